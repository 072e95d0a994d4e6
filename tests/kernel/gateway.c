/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "gateway.h"

#include "core/build.h"
#include "kernel/inject.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	TIMEOUT = 3600, /* seconds */
};

static void note_done(void *arg, const struct translation *t, const struct addr *client,
	uint16_t client_port, int error)
{
	struct gateway *n = arg;

	assert_in_range(n->count, 0, GATEWAY_DONE_MAX - 1);
	n->done[n->count++] = (struct gateway_done){
		.t = *t,
		.client = *client,
		.client_port = client_port,
		.error = error,
	};
}

void gateway_open(struct gateway *n)
{
	char why[256] = "";

	*n = (struct gateway){.gate = netns_new(), .server = netns_new()};
	netns_join(n->server, "s0", "10.2.0.2/24", n->gate, "g0", "10.2.0.1/24");
	netns_sh("ip addr add fd02::2/64 dev s0 nodad");
	netns_sh("iptables -A INPUT -j DROP && ip6tables -A INPUT -p tcp -j DROP");
	netns_enter(n->gate);
	netns_sh("ip addr add fd02::1/64 dev g0 nodad");
	netns_sh("iptables -t mangle -A OUTPUT -p tcp -j CONNMARK --set-mark %d",
		GATEWAY_OTHERS_MARK);
	netns_sh("ip6tables -t mangle -A OUTPUT -p tcp -j CONNMARK --set-mark %d",
		GATEWAY_OTHERS_MARK);
	netns_sh("echo %d >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", TIMEOUT);
	n->tr = translations_open(GATEWAY_MARK, note_done, n, why, sizeof(why));
	if (n->tr == NULL)
		fail_msg("%s", why);
}

void gateway_close(const struct gateway *n)
{
	translations_close(n->tr);
	close(n->gate);
	close(n->server);
}

struct tuple gateway_tuple(
	const char *client, uint16_t client_port, const char *server, uint16_t server_port)
{
	return (struct tuple){
		.client = netns_addr(client),
		.server = netns_addr(server),
		.client_port = client_port,
		.server_port = server_port,
	};
}

struct tuple gateway_to_server(bool v4, uint16_t client_port)
{
	return v4 ? gateway_tuple("192.0.2.7", client_port, "10.2.0.2", 80)
		  : gateway_tuple("2001:db8::7", client_port, "fd02::2", 80);
}

struct translation gateway_translation(const struct tuple *t)
{
	return (struct translation){
		.tuple = *t,
		.public_addr = t->server,
		.public_port = t->server_port,
		.client_isn = GATEWAY_CLIENT_ISN,
		.cookie_isn = GATEWAY_COOKIE_ISN,
		.server_isn = GATEWAY_SERVER_ISN,
		.scales = true,
		.client_wscale = 7,
		.server_wscale = 9,
		.sack = true,
		.timestamps = true,
		.cookie_tsval = GATEWAY_COOKIE_TSVAL,
		.server_tsval = GATEWAY_SERVER_TSVAL,
	};
}

struct translation gateway_by_dnat(
	const struct tuple *t, const char *public_addr, uint16_t public_port)
{
	struct translation made = gateway_translation(t);

	made.public_addr = netns_addr(public_addr);
	made.public_port = public_port;
	return made;
}

/* An RST made into another segment, its checksum mended (RFC 1624). */
static void set_flags(uint8_t *tcp, uint8_t flags)
{
	uint32_t checksum = (uint32_t)(tcp[16] << 8 | tcp[17]) + tcp[13] + (0xffffu ^ flags);

	checksum = (checksum & 0xffff) + (checksum >> 16);
	checksum = (checksum & 0xffff) + (checksum >> 16);
	tcp[13] = flags;
	tcp[16] = (uint8_t)(checksum >> 8);
	tcp[17] = (uint8_t)checksum;
}

void gateway_send(const struct tuple *t, uint8_t flags, uint32_t seq)
{
	uint8_t packet[BUILD_RST_MAX];
	size_t len = build_rst(
		packet, &t->client, t->client_port, &t->server, t->server_port, seq, false, 0);
	char why[256];
	struct inject *i = inject_open(0, why, sizeof(why));
	struct inject_stats stats;

	assert_non_null(i);
	set_flags(packet + len - 20, flags);
	inject_add(i, packet, len);
	inject_flush(i);
	inject_stats(i, &stats);
	assert_int_equal(stats.sent, 1);
	inject_close(i);
}

void gateway_send_syn(const struct tuple *t)
{
	gateway_send(t, TCP_SYN, GATEWAY_CLIENT_ISN);
}

static int take_entry(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *data)
{
	struct nf_conntrack *copy = data;

	(void)type;
	nfct_copy(copy, ct, NFCT_CP_OVERRIDE);
	return NFCT_CB_CONTINUE;
}

struct nf_conntrack *gateway_entry(const struct tuple *t)
{
	struct nfct_handle *h = nfct_open(CONNTRACK, 0);
	struct nf_conntrack *asked = nfct_new(), *got = nfct_new();
	bool v4 = addr_is_v4(&t->client);
	int rc;

	assert_non_null(h);
	nfct_set_attr_u8(asked, ATTR_ORIG_L3PROTO, v4 ? AF_INET : AF_INET6);
	nfct_set_attr(
		asked, v4 ? ATTR_ORIG_IPV4_SRC : ATTR_ORIG_IPV6_SRC, t->client.b + (v4 ? 12 : 0));
	nfct_set_attr(
		asked, v4 ? ATTR_ORIG_IPV4_DST : ATTR_ORIG_IPV6_DST, t->server.b + (v4 ? 12 : 0));
	nfct_set_attr_u8(asked, ATTR_ORIG_L4PROTO, IPPROTO_TCP);
	nfct_set_attr_u16(asked, ATTR_ORIG_PORT_SRC, htons(t->client_port));
	nfct_set_attr_u16(asked, ATTR_ORIG_PORT_DST, htons(t->server_port));
	nfct_callback_register(h, NFCT_T_ALL, take_entry, got);
	rc = nfct_query(h, NFCT_Q_GET, asked);
	nfct_close(h);
	nfct_destroy(asked);
	if (rc == 0)
		return got;
	nfct_destroy(got);
	return NULL;
}

/* What holds of each that is made. */
static void check_standing(const struct nf_conntrack *ct)
{
	const uint32_t status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_SEQ_ADJUST;

	assert_int_equal(nfct_get_attr_u32(ct, ATTR_STATUS) & status, status);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_STATE), TCP_CONNTRACK_ESTABLISHED);
	assert_in_range(nfct_get_attr_u32(ct, ATTR_TIMEOUT), TIMEOUT - 60, TIMEOUT);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_REPL_NAT_SEQ_OFFSET_BEFORE), 0x20);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_REPL_NAT_SEQ_OFFSET_AFTER), 0x20);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_ORIG_NAT_SEQ_OFFSET_AFTER), 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_ISN), GATEWAY_COOKIE_ISN);
}

static void check_options(const struct nf_conntrack *ct, const struct translation *t)
{
	const uint8_t both = IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM;
	uint8_t flags = (uint8_t)((t->scales ? IP_CT_TCP_FLAG_WINDOW_SCALE : 0) |
				  (t->sack ? IP_CT_TCP_FLAG_SACK_PERM : 0));

	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_ORIG) & both, flags);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_REPL) & both, flags);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_ORIG) & IP_CT_TCP_FLAG_BE_LIBERAL, 0);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_ORIG), t->scales ? 7 : 0);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_REPL), t->scales ? 9 : 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_ITS),
		t->timestamps ? (uint32_t)GATEWAY_COOKIE_TSVAL : 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_TSOFF),
		t->timestamps ? (uint32_t)(GATEWAY_SERVER_TSVAL - GATEWAY_COOKIE_TSVAL) : 0);
}

void gateway_check_done(const struct gateway *n, unsigned i, const struct translation *t, int error)
{
	assert_true(i < n->count);
	assert_memory_equal(&n->done[i].t, t, sizeof(*t));
	assert_int_equal(n->done[i].error, error);
}

void gateway_check_seen_as(
	const struct gateway *n, unsigned i, const struct addr *client, uint16_t port)
{
	assert_memory_equal(&n->done[i].client, client, sizeof(*client));
	assert_int_equal(n->done[i].client_port, port);
}

const struct gateway_done *gateway_make(struct gateway *n, const struct translation *t)
{
	unsigned i = n->count;

	translations_add(n->tr, t);
	assert_int_equal(n->count, i);
	translations_flush(n->tr);
	assert_int_equal(n->count, i + 1);
	gateway_check_done(n, i, t, 0);
	return &n->done[i];
}

void gateway_check_made(const struct translation *t, const struct tuple *original, uint32_t mark)
{
	struct nf_conntrack *ct = gateway_entry(original);

	assert_non_null(ct);
	check_standing(ct);
	check_options(ct, t);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), mark);
	nfct_destroy(ct);
}
