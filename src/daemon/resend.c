/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/resend.h"

/* Where both ends' addresses were changed, conntrack has neither of its tuples as hooks show them:
 * the way that DNAT leads is known from elsewhere. */
static bool find(const struct resend *with, const struct tuple *t, struct translations_found *found)
{
	struct learned_server server;
	struct tuple sent = *t;

	if (translations_find(with->translations, t, found))
		return true;
	if (!learned_find(with->learned, &t->server, t->server_port, &server) ||
		server.route != LEARNED_ROUTE_ONE)
		return false;
	sent.server = server.public_addr;
	sent.server_port = server.public_port;
	return translations_find(with->translations, &sent, found);
}

bool resend_rst(const struct resend *with, const struct server_rst *rst)
{
	struct translations_found found;
	uint8_t bytes[BUILD_MAX];

	/* The kernel is wrong about all entries that a program has made, translated or not. */
	if (!find(with, &rst->tuple, &found) || !found.by_ctnetlink)
		return false;
	const struct build_segment out = {
		.src = found.client_side.server,
		.dst = found.client_side.client,
		.src_port = found.client_side.server_port,
		.dst_port = found.client_side.client_port,
		.seq = rst->seq + (found.translated ? found.offset : 0),
		.ack = rst->ack,
		.flags = rst->has_ack ? TCP_RST | TCP_ACK : TCP_RST,
	};
	inject_add(with->inject, bytes, build_segment(bytes, &out));
	return true;
}

static struct tuple reversed(const struct tuple *t)
{
	return (struct tuple){t->server, t->client, t->server_port, t->client_port};
}

static bool is_end(const struct addr *a, uint16_t port, const struct addr *b, uint16_t b_port)
{
	return port == b_port && addr_equal(a, b);
}

/* The quoted segment was the client's: its numbers are the same on both sides. */
static void tell_client(const struct translations_found *found, struct build_too_big *out)
{
	out->to = found->client_side.client;
	out->quoted = found->client_side;
}

/* The quoted segment was the server's. Where it arrives, its number is as the client sees it. */
static void tell_server(const struct translations_found *found, const struct size_error *error,
	struct build_too_big *out)
{
	out->to = found->server_side.server;
	out->quoted = reversed(&found->server_side);
	if (error->arrived)
		out->seq -= found->offset;
}

bool resend_too_big(const struct resend *with, const struct size_error *error)
{
	const struct tuple *quoted = &error->quoted;
	const struct tuple back = reversed(quoted);
	struct build_too_big out = {.from = error->from, .mtu = error->mtu, .seq = error->seq};
	struct translations_found found;
	uint8_t bytes[BUILD_MAX];

	if (find(with, quoted, &found) && found.translated &&
		(is_end(&quoted->client, quoted->client_port, &found.client_side.client,
			 found.client_side.client_port) ||
			is_end(&quoted->client, quoted->client_port, &found.server_side.client,
				found.server_side.client_port)))
		tell_client(&found, &out);
	else if (find(with, &back, &found) && found.translated)
		tell_server(&found, error, &out);
	else
		return false;
	inject_add(with->inject, bytes, build_too_big(bytes, &out));
	return true;
}
