/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue's round: read as many packets as one recvmmsg gives, judge each, write its verdict behind
 * the others, send them all in one call. All buffers are made at the start, one slot a packet;
 * nothing is allocated afterwards.
 *
 * A packet leaves the kernel's queue by a verdict only, so every packet whose number can be read
 * gets one, however little else of its message makes sense. Refused verdicts (the packet went away:
 * its device did, or somebody deleted a chain) come back as errors among the packets and are passed
 * over.
 */
#include "config.h"

#include "kernel/queue.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCH = QUEUE_BATCH, /* packets a round */
	METADATA_ROOM = 512, /* what the kernel says of a packet besides its bytes */
	VERDICT_ROOM = 64,   /* a verdict besides a changed packet's bytes */
	COPY_RANGE_MAX = UINT16_MAX - sizeof(struct nlattr),
	LENGTH_MAX = 32768, /* the kernel's hash of waiting packets ends here */
	/* What a waiting packet may cost in the socket besides its bytes. */
	SOCKET_OVERHEAD = 2048,
	/* Of queues that close first. The kernel's table of descriptors, 8 bytes each, has to reach
	 * so far. */
	HIGH_FD = 1 << 16,
	HIGH_FDS = 256,
};

/* What a message says besides the packet itself. */
struct message {
	uint32_t id;
	uint32_t mark;
	uint32_t ifindex;
	bool readable;
};

struct queue {
	struct queue_options options;
	struct mnl_socket *nl;
	/* Open from the start: only root may open it, and by now we may be somebody else. NULL: not
	 * there. */
	FILE *proc;
	struct queue_stats stats;
	struct mmsghdr messages[BATCH];
	struct iovec slots[BATCH];
	struct message of[BATCH]; /* this round's packets */
	struct engine_packet packets[BATCH];
	uint8_t *in;      /* BATCH slots */
	uint8_t *out;     /* the round's verdicts */
	size_t out_len;   /* bytes */
	uint8_t *changed; /* one changed packet */
};

static int proc_columns(FILE *proc, uint16_t number, unsigned columns[7])
{
	char line[256];

	rewind(proc);
	while (fgets(line, sizeof(line), proc) != NULL)
		if (sscanf(line, "%u %u %u %u %u %u %u", &columns[0], &columns[1], &columns[2],
			    &columns[3], &columns[4], &columns[5], &columns[6]) == 7 &&
			columns[0] == number)
			return 0;
	return -1;
}

static void explain_refusal(const struct queue *q, int error, char *why, size_t size)
{
	unsigned columns[7];

	/* The kernel says EPERM for a queue of somebody else's, as for want of privilege. */
	if ((error == EPERM || error == EBUSY) && q->proc != NULL &&
		proc_columns(q->proc, q->options.number, columns) == 0)
		snprintf(why, size,
			"queue %u is held by another program (netlink port %u, usually its pid)",
			q->options.number, columns[1]);
	else if (error == EPERM)
		snprintf(why, size, "no permission for queue %u: CAP_NET_ADMIN is needed",
			q->options.number);
	else if (error == EBUSY)
		snprintf(why, size, "queue %u is held by another program", q->options.number);
	else if (error == EINVAL || error == EPROTONOSUPPORT)
		snprintf(why, size,
			"this kernel has no packet queues (CONFIG_NETFILTER_NETLINK_QUEUE, module "
			"nfnetlink_queue)");
	else
		snprintf(why, size, "can't open queue %u: %s", q->options.number, strerror(error));
}

/* An answer that is there at once is either the refusal or, all being well, a first packet: that
 * one has to stay. */
static int bind_error(struct mnl_socket *nl)
{
	_Alignas(struct nlmsghdr) char buf[64];
	const struct nlmsghdr *nlh = (const void *)buf;
	ssize_t n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

	if (n < (ssize_t)(sizeof(*nlh) + sizeof(int)) || nlh->nlmsg_type != NLMSG_ERROR)
		return 0;
	return netlink_error(nlh);
}

/* All in one message: a queue that is bound and not yet set up drops what comes. */
static int bind_queue(const struct queue *q)
{
	_Alignas(struct nlmsghdr) char buf[256];
	const struct queue_options *o = &q->options;
	struct nlmsghdr *nlh = netlink_put_netfilter(
		buf, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, 0, AF_UNSPEC, o->number);

	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, (int)o->copy_range);
	nfq_nlmsg_cfg_put_qmaxlen(nlh, o->length);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	if (netlink_send(q->nl, nlh, nlh->nlmsg_len) == -1)
		return errno;
	return bind_error(q->nl);
}

/*
 * A process that dies closes its descriptors from the highest number down: Linux does since 4.4,
 * and promises nothing. An RST that one of its sockets sends then is sent once: it would wait in a
 * queue that is still bound, to be dropped with it, and passes by "bypass" where nobody holds the
 * queue.
 */
static void move_up(struct queue *q)
{
	struct rlimit limit;
	struct mnl_socket *nl;
	int fd, least = HIGH_FD;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < HIGH_FD + HIGH_FDS)
		least = (int)limit.rlim_cur - HIGH_FDS;
	fd = fcntl(mnl_socket_get_fd(q->nl), F_DUPFD_CLOEXEC, least);
	if (fd == -1)
		return;
	nl = mnl_socket_fdopen(fd);
	if (nl == NULL) {
		close(fd);
		return;
	}
	mnl_socket_close(q->nl);
	q->nl = nl;
}

static int open_socket(struct queue *q)
{
	size_t waiting = (size_t)q->options.length * (q->options.copy_range + SOCKET_OVERHEAD);
	int sndbuf = 2 * BATCH * (int)(VERDICT_ROOM + q->options.copy_range);
	int on = 1;

	q->nl = netlink_open(NETLINK_NETFILTER, 0, waiting);
	if (q->nl == NULL)
		return errno;
	/* An overrun is in the kernel's counters; as an error of recv it would only hide packets.
	 */
	(void)mnl_socket_setsockopt(q->nl, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	(void)setsockopt(
		mnl_socket_get_fd(q->nl), SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	if (q->options.closes_first)
		move_up(q);
	return 0;
}

static int make_buffers(struct queue *q)
{
	size_t slot = MNL_ALIGN(METADATA_ROOM + q->options.copy_range);

	q->in = malloc(BATCH * slot);
	q->out = malloc(BATCH * MNL_ALIGN(VERDICT_ROOM + q->options.copy_range));
	q->changed = malloc(q->options.copy_range);
	if (q->in == NULL || q->out == NULL || q->changed == NULL)
		return ENOMEM;
	for (size_t i = 0; i < BATCH; i++) {
		q->slots[i] = (struct iovec){.iov_base = q->in + i * slot, .iov_len = slot};
		q->messages[i].msg_hdr = (struct msghdr){.msg_iov = &q->slots[i], .msg_iovlen = 1};
	}
	return 0;
}

struct queue *queue_open(const struct queue_options *o, char *why, size_t why_size)
{
	struct queue *q = calloc(1, sizeof(*q));
	int error;

	if (q == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	q->options = *o;
	if (q->options.length > LENGTH_MAX)
		q->options.length = LENGTH_MAX;
	if (q->options.copy_range == 0 || q->options.copy_range > COPY_RANGE_MAX)
		q->options.copy_range = COPY_RANGE_MAX;
	q->proc = fopen("/proc/thread-self/net/netfilter/nfnetlink_queue", "re");
	error = make_buffers(q);
	if (error == 0)
		error = open_socket(q);
	if (error == 0)
		error = bind_queue(q);
	if (error != 0) {
		explain_refusal(q, error, why, why_size);
		queue_close(q);
		return NULL;
	}
	return q;
}

void queue_close(struct queue *q)
{
	if (q == NULL)
		return;
	if (q->nl != NULL)
		mnl_socket_close(q->nl);
	if (q->proc != NULL)
		fclose(q->proc);
	free(q->in);
	free(q->out);
	free(q->changed);
	free(q);
}

int queue_fd(const struct queue *q)
{
	return mnl_socket_get_fd(q->nl);
}

static int remember_attribute(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;

	if (mnl_attr_get_type(attr) <= NFQA_MAX)
		attrs[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

/* An attribute that is missing leaves *value; false for one that is no 32-bit number. */
static bool read_u32(const struct nlattr *attr, uint32_t *value)
{
	if (attr == NULL)
		return true;
	if (mnl_attr_get_payload_len(attr) != sizeof(*value))
		return false;
	*value = ntohl(mnl_attr_get_u32(attr));
	return true;
}

static enum engine_hook hook_of(uint8_t hook)
{
	switch (hook) {
	case NF_INET_LOCAL_IN:
		return HOOK_INPUT;
	case NF_INET_LOCAL_OUT:
		return HOOK_OUTPUT;
	case NF_INET_PRE_ROUTING:
		return HOOK_PREROUTING;
	default:
		return HOOK_FORWARD;
	}
}

/* The packet's bytes, and of how many it was made. */
static bool read_payload(const struct nlattr *attrs[], struct engine_packet *p)
{
	uint32_t on_wire = 0;

	p->bytes = (const uint8_t *)"";
	if (attrs[NFQA_PAYLOAD] != NULL) {
		p->bytes = mnl_attr_get_payload(attrs[NFQA_PAYLOAD]);
		p->captured = mnl_attr_get_payload_len(attrs[NFQA_PAYLOAD]);
	}
	if (!read_u32(attrs[NFQA_CAP_LEN], &on_wire))
		return false;
	/* The kernel names the length only of a packet that it cut. */
	p->on_wire = on_wire > p->captured ? on_wire : p->captured;
	return true;
}

static bool read_message(const struct queue *q, const struct nlattr *attrs[], struct message *m,
	struct engine_packet *p)
{
	const struct nfqnl_msg_packet_hdr *header = mnl_attr_get_payload(attrs[NFQA_PACKET_HDR]);
	uint32_t skb_info = 0;

	if (!read_payload(attrs, p) || !read_u32(attrs[NFQA_MARK], &m->mark) ||
		!read_u32(attrs[NFQA_SKB_INFO], &skb_info) ||
		!read_u32(attrs[NFQA_IFINDEX_INDEV], &m->ifindex))
		return false;
	/* Packets of this host, or merged on arrival, have their checksum made or checked
	 * elsewhere. */
	p->verify_checksum = (skb_info & NFQA_SKB_CSUM_NOTVERIFIED) != 0 &&
			     (skb_info & (NFQA_SKB_CSUMNOTREADY | NFQA_SKB_GSO)) == 0;
	p->hook = hook_of(header->hook);
	p->hint = (m->mark & q->options.mark) != 0;
	p->lane = q->options.lane;
	return true;
}

static struct nlmsghdr *verdict_begin(struct queue *q, uint32_t id, int verdict)
{
	struct nlmsghdr *nlh = netlink_put_netfilter(q->out + q->out_len, NFNL_SUBSYS_QUEUE,
		NFQNL_MSG_VERDICT, 0, AF_UNSPEC, q->options.number);

	nfq_nlmsg_verdict_put(nlh, (int)id, verdict);
	return nlh;
}

static void verdict_end(struct queue *q, const struct nlmsghdr *nlh)
{
	q->out_len += MNL_ALIGN(nlh->nlmsg_len);
}

static void put_change(struct queue *q, struct nlmsghdr *nlh, const struct engine_packet *p,
	const struct decision *d)
{
	size_t len = build_change_syn(
		q->changed, q->options.copy_range, p->bytes, p->captured, &d->segment, &d->change);

	if (len != 0)
		nfq_nlmsg_verdict_put_pkt(nlh, q->changed, (uint32_t)len);
}

static void put_verdict(struct queue *q, const struct message *m, const struct engine_packet *p,
	const struct decision *d)
{
	static const int kernel_verdict[] = {
		[VERDICT_ACCEPT] = NF_ACCEPT,
		[VERDICT_DROP] = NF_DROP,
		[VERDICT_ADMIT] = NF_REPEAT,
	};
	struct nlmsghdr *nlh = verdict_begin(q, m->id, kernel_verdict[d->verdict]);

	if (d->verdict != VERDICT_DROP) {
		uint32_t mark = d->verdict == VERDICT_ADMIT ? m->mark | q->options.mark
							    : m->mark & ~q->options.mark;
		if (mark != m->mark)
			nfq_nlmsg_verdict_put_mark(nlh, mark);
		if (d->change_syn)
			put_change(q, nlh, p, d);
	}
	verdict_end(q, nlh);
}

/* Reads a datagram; true if it was a packet. */
static bool read_datagram(const struct queue *q, const void *datagram, size_t len,
	struct message *m, struct engine_packet *p)
{
	const struct nlmsghdr *nlh = datagram;
	const struct nlattr *attrs[NFQA_MAX + 1] = {NULL};
	const struct nfqnl_msg_packet_hdr *header;
	const size_t head = MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg));

	if (len < head || nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return false;
	if (nlh->nlmsg_len < len)
		len = nlh->nlmsg_len;
	if (len < head || mnl_attr_parse_payload((const uint8_t *)datagram + head, len - head,
				  remember_attribute, attrs) < 0)
		return false;
	if (attrs[NFQA_PACKET_HDR] == NULL ||
		mnl_attr_get_payload_len(attrs[NFQA_PACKET_HDR]) < sizeof(*header))
		return false;
	header = mnl_attr_get_payload(attrs[NFQA_PACKET_HDR]);
	*m = (struct message){.id = ntohl(header->packet_id)};
	*p = (struct engine_packet){.bytes = (const uint8_t *)""};
	/* Of a message longer than its slot the last attribute is missing: a packet without bytes,
	 * so malformed. */
	m->readable = read_message(q, attrs, m, p);
	return true;
}

static int read_batch(struct queue *q, int datagrams)
{
	int packets = 0;

	for (int i = 0; i < datagrams; i++)
		packets += read_datagram(q, q->slots[i].iov_base, q->messages[i].msg_len,
			&q->of[packets], &q->packets[packets]);
	return packets;
}

static void judge_batch(struct queue *q, int packets, const struct queue_calls *calls, void *arg)
{
	struct decision d;

	if (calls->expect != NULL)
		calls->expect(arg, q->packets, (size_t)packets);
	for (int i = 0; i < packets; i++) {
		d.verdict = VERDICT_DROP;
		d.change_syn = false;
		if (q->of[i].readable)
			calls->judge(arg, &q->packets[i], q->of[i].ifindex, &d);
		put_verdict(q, &q->of[i], &q->packets[i], &d);
	}
	if (calls->before_verdicts != NULL)
		calls->before_verdicts(arg);
}

static int receive_batch(struct queue *q)
{
	int n;

	do
		n = recvmmsg(queue_fd(q), q->messages, BATCH, MSG_DONTWAIT, NULL);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == ENOBUFS)
		q->stats.overruns++;
	return errno == ENOBUFS || errno == EAGAIN ? 0 : -1;
}

/* Each verdict by itself: for when all at once were more than the socket or the kernel's memory
 * takes. */
static int send_verdicts_singly(struct queue *q)
{
	int rc = 0;

	for (size_t at = 0; at < q->out_len;) {
		const struct nlmsghdr *nlh = (const void *)(q->out + at);
		if (netlink_send(q->nl, nlh, nlh->nlmsg_len) == -1)
			rc = -1;
		at += MNL_ALIGN(nlh->nlmsg_len);
	}
	return rc;
}

static int send_verdicts(struct queue *q)
{
	if (q->out_len == 0 || netlink_send(q->nl, q->out, q->out_len) == 0)
		return 0;
	return send_verdicts_singly(q);
}

int queue_run(struct queue *q, const struct queue_calls *calls, void *arg)
{
	int n = receive_batch(q);
	int packets = n > 0 ? read_batch(q, n) : n;

	if (packets <= 0)
		return packets;
	q->out_len = 0;
	judge_batch(q, packets, calls, arg);
	q->stats.packets += (unsigned)packets;
	return send_verdicts(q) == -1 ? -1 : packets;
}

void queue_stats(const struct queue *q, struct queue_stats *out)
{
	unsigned columns[7];

	*out = q->stats;
	out->kernel_dropped = 0;
	out->user_dropped = 0;
	if (q->proc != NULL && proc_columns(q->proc, q->options.number, columns) == 0) {
		out->kernel_dropped = columns[5];
		out->user_dropped = columns[6];
	}
}
