/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spoofed segments from very many addresses, as fast as one core can or at a given rate, written
 * to a device of a lab's network namespace; it refuses to run in any other.
 */
#include "arguments.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	BATCH = 64,
	FRAME_MAX = 128,
	FRAME_AT = 2, /* so that the headers behind Ethernet's are aligned */
	TTL = 64,
	WINDOW = 64240,
	PORT_FIRST = 1024,
	PORT_COUNT = 64000,
	SOURCES_DEFAULT = 1000000,
	SECONDS_DEFAULT = 5,
	SYN_OPTIONS = 20,
	TSVAL_AT = 8, /* in the options of a SYN */
};

static const char NAMED[] = "/run/netns";

struct kind {
	const char *name;
	uint8_t flags;
};

static const struct kind kinds[] = {
	{"syn", TH_SYN},
	{"ack", TH_ACK},
	{"rst", TH_RST},
	{"syn-ack", TH_SYN | TH_ACK},
	{"fin", TH_FIN | TH_ACK},
};

struct flood {
	union address first;
	union address to;
	uint32_t sources;
	uint16_t port;
	uint8_t flags;
	bool bare;
	double rate; /* segments a second; 0: as many as go */
	double seconds;
	const char *device;
	uint8_t next_hop[ETH_ALEN];

	int socket;
	uint64_t random;
	size_t ip_at, tcp_at, end; /* where things are in a buffer, bytes */
	uint32_t sum;              /* of what is the same in all frames, pseudo-header included */
	uint64_t sent;
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	_Alignas(8) uint8_t frames[BATCH][FRAME_MAX];
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

/* RFC 1071; what stays even needs no byte order. */
static uint32_t sum_of(uint32_t sum, const void *bytes, size_t size)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	return sum;
}

static uint16_t checksum_of(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static bool is_ipv4(const struct flood *f)
{
	return f->to.any.sa_family == AF_INET;
}

static void write_ethernet(struct flood *f, uint8_t *frame)
{
	struct ether_header *ether = (struct ether_header *)(frame + FRAME_AT);
	struct ifreq request;

	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", f->device);
	if (ioctl(f->socket, SIOCGIFHWADDR, &request) < 0)
		err(EXIT_SYSTEM, "address of %s", f->device);
	memcpy(ether->ether_shost, request.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(ether->ether_dhost, f->next_hop, ETH_ALEN);
	ether->ether_type = htons(is_ipv4(f) ? ETHERTYPE_IP : ETHERTYPE_IPV6);
}

static void write_ipv4(struct flood *f, uint8_t *frame)
{
	struct ip *ip = (struct ip *)(frame + f->ip_at);

	ip->ip_v = 4;
	ip->ip_hl = sizeof(*ip) / 4;
	ip->ip_len = htons((uint16_t)(f->end - f->ip_at));
	ip->ip_off = htons(IP_DF);
	ip->ip_ttl = TTL;
	ip->ip_p = IPPROTO_TCP;
	ip->ip_dst = f->to.in4.sin_addr;
	f->sum = sum_of(f->sum, &ip->ip_dst, sizeof(ip->ip_dst));
}

static void write_ipv6(struct flood *f, uint8_t *frame)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(frame + f->ip_at);

	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons((uint16_t)(f->end - f->tcp_at));
	ip->ip6_nxt = IPPROTO_TCP;
	ip->ip6_hlim = TTL;
	ip->ip6_dst = f->to.in6.sin6_addr;
	f->sum = sum_of(f->sum, &ip->ip6_dst, sizeof(ip->ip6_dst));
}

static void write_tcp(struct flood *f, uint8_t *frame)
{
	/* As Linux sends: MSS 1460, SACK permitted, timestamps, window scale 7. */
	static const uint8_t options[SYN_OPTIONS] = {
		2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	struct tcphdr *tcp = (struct tcphdr *)(frame + f->tcp_at);
	size_t length = f->end - f->tcp_at;

	tcp->th_dport = htons(f->port);
	tcp->th_off = (uint8_t)(length / 4) & 0xf;
	tcp->th_flags = f->flags;
	tcp->th_win = htons(WINDOW);
	if (length > sizeof(*tcp))
		memcpy(tcp + 1, options, sizeof(options));
	f->sum = sum_of(f->sum, tcp, length) + IPPROTO_TCP + (uint32_t)length;
}

/* What is the same in all frames, once. */
static void write_frames(struct flood *f)
{
	uint8_t *first = f->frames[0];
	bool options = (f->flags & TH_SYN) && !f->bare;

	f->ip_at = FRAME_AT + sizeof(struct ether_header);
	f->tcp_at = f->ip_at + (is_ipv4(f) ? sizeof(struct ip) : sizeof(struct ip6_hdr));
	f->end = f->tcp_at + sizeof(struct tcphdr) + (options ? SYN_OPTIONS : 0);
	write_ethernet(f, first);
	if (is_ipv4(f))
		write_ipv4(f, first);
	else
		write_ipv6(f, first);
	write_tcp(f, first);
	for (int i = 0; i < BATCH; i++) {
		if (i > 0)
			memcpy(f->frames[i], first, f->end);
		f->vectors[i] = (struct iovec){f->frames[i] + FRAME_AT, f->end - FRAME_AT};
		f->messages[i].msg_hdr.msg_iov = &f->vectors[i];
		f->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static uint32_t write_source(struct flood *f, uint8_t *frame)
{
	uint32_t index = (uint32_t)((random_next(&f->random) >> 32) * f->sources >> 32);
	union address source = address_on(&f->first, index);

	if (is_ipv4(f)) {
		struct ip *ip = (struct ip *)(frame + f->ip_at);

		ip->ip_src = source.in4.sin_addr;
		ip->ip_sum = 0;
		ip->ip_sum = checksum_of(sum_of(0, ip, sizeof(*ip)));
		return sum_of(f->sum, &ip->ip_src, sizeof(ip->ip_src));
	}

	struct ip6_hdr *ip6 = (struct ip6_hdr *)(frame + f->ip_at);

	ip6->ip6_src = source.in6.sin6_addr;
	return sum_of(f->sum, &ip6->ip6_src, sizeof(ip6->ip6_src));
}

/* Source, port, numbers and checksum of the next segment. */
static void write_next(struct flood *f, uint8_t *frame)
{
	struct tcphdr *tcp = (struct tcphdr *)(frame + f->tcp_at);
	uint32_t sum = write_source(f, frame);
	uint64_t numbers = random_next(&f->random);
	uint32_t tsval = (uint32_t)random_next(&f->random);

	tcp->th_sport = htons((uint16_t)(PORT_FIRST + (tsval >> 8) % PORT_COUNT));
	tcp->th_seq = (uint32_t)numbers;
	tcp->th_ack = f->flags & TH_ACK ? (uint32_t)(numbers >> 32) : 0;
	sum = sum_of(sum, &tcp->th_sport, sizeof(tcp->th_sport));
	sum = sum_of(sum, &tcp->th_seq, sizeof(tcp->th_seq) + sizeof(tcp->th_ack));
	if (f->end > f->tcp_at + sizeof(*tcp)) {
		uint8_t *at = (uint8_t *)(tcp + 1) + TSVAL_AT;

		memcpy(at, &tsval, sizeof(tsval));
		sum = sum_of(sum, at, sizeof(tsval));
	}
	tcp->th_sum = checksum_of(sum);
}

static void send_batch(struct flood *f)
{
	for (int i = 0; i < BATCH; i++)
		write_next(f, f->frames[i]);

	int n = sendmmsg(f->socket, f->messages, BATCH, 0);

	if (n >= 0)
		f->sent += (uint64_t)n;
	else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		err(EXIT_SYSTEM, "%s", f->device);
}

/* Returns the seconds that it took. */
static double run(struct flood *f)
{
	double start = now_s(), now = start;

	while (!stopped && now - start < f->seconds) {
		if (f->rate > 0)
			sleep_until(start + (double)f->sent / f->rate);
		send_batch(f);
		now = now_s();
	}
	return now - start;
}

static void open_device(struct flood *f)
{
	static const int on = 1;
	struct sockaddr_ll place = {.sll_family = AF_PACKET};

	f->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (f->socket < 0)
		err(EXIT_SYSTEM, "socket");
	place.sll_ifindex = (int)if_nametoindex(f->device);
	if (place.sll_ifindex == 0 || bind(f->socket, (struct sockaddr *)&place, sizeof(place)) < 0)
		err(EXIT_SYSTEM, "%s", f->device);
	if (setsockopt(f->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
		err(EXIT_SYSTEM, "PACKET_QDISC_BYPASS");
}

static bool is_mine(const struct stat *mine, const char *path)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_dev == mine->st_dev &&
	       other.st_ino == mine->st_ino;
}

/*
 * A network that others are on must never see any of this: only a namespace that `ip netns` has
 * made will do, and not that of process 1 under such a name.
 */
static void insist_on_private_network(void)
{
	char path[sizeof(NAMED) + NAME_MAX + 1];
	struct stat mine;
	struct dirent *entry;
	bool named = false;
	DIR *folder = opendir(NAMED);

	if (folder && stat("/proc/self/ns/net", &mine) == 0)
		while (!named && (entry = readdir(folder))) {
			snprintf(path, sizeof(path), "%s/%s", NAMED, entry->d_name);
			named = is_mine(&mine, path);
		}
	if (folder)
		closedir(folder);
	if (!named || is_mine(&mine, "/proc/1/ns/net"))
		errx(EXIT_SYSTEM, "floods are for network namespaces that `ip netns` made");
}

static uint8_t flags_argument(const char *text)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(text, kinds[i].name) == 0)
			return kinds[i].flags;
	errx(EXIT_USAGE, "'%s' is none of syn, ack, rst, syn-ack, fin", text);
}

static void lladdr_argument(struct flood *f, const char *text)
{
	char end;
	uint8_t *a = f->next_hop;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &a[0], &a[1], &a[2], &a[3], &a[4],
		    &a[5], &end) != ETH_ALEN)
		errx(EXIT_USAGE, "'%s' is no link-layer address", text);
}

static void usage(FILE *to)
{
	fputs("usage: flood --device D --lladdr NEXT-HOP --to ADDR --port P --sources FIRST [...]\n"
	      "  --count N       how many sources, of IPv6 each in a /64 of its own (1000000)\n"
	      "  --kind K        syn, ack, rst, syn-ack, fin (syn)\n"
	      "  --bare          SYNs without options\n"
	      "  --rate N        segments a second (as many as one core can send)\n"
	      "  --seconds S     (5); SIGTERM ends it earlier\n",
		to);
}

static void set_option(struct flood *f, int option, const char *text)
{
	switch (option) {
	case 'd':
		f->device = text;
		break;
	case 'l':
		lladdr_argument(f, text);
		break;
	case 't':
		f->to = argument_address(text);
		break;
	case 'p':
		f->port = (uint16_t)argument_number(text, 1, 65535);
		break;
	case 's':
		f->first = argument_address(text);
		break;
	case 'n':
		f->sources = (uint32_t)argument_number(text, 1, UINT32_MAX);
		break;
	case 'k':
		f->flags = flags_argument(text);
		break;
	case 'b':
		f->bare = true;
		break;
	case 'r':
		f->rate = argument_number(text, 1, 1e9);
		break;
	case 'S':
		f->seconds = argument_number(text, 0.01, 3600);
		break;
	case 'h':
		usage(stdout);
		exit(EXIT_SUCCESS);
	default:
		usage(stderr);
		exit(EXIT_USAGE);
	}
}

static void read_options(struct flood *f, int argc, char **argv)
{
	static const struct option names[] = {
		{"device", required_argument, NULL, 'd'},
		{"lladdr", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'},
		{"port", required_argument, NULL, 'p'},
		{"sources", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'n'},
		{"kind", required_argument, NULL, 'k'},
		{"bare", no_argument, NULL, 'b'},
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		set_option(f, option, optarg);
	if (optind < argc || !f->device || !f->port || !f->to.any.sa_family ||
		f->to.any.sa_family != f->first.any.sa_family) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	static struct flood f = {
		.sources = SOURCES_DEFAULT, .flags = TH_SYN, .seconds = SECONDS_DEFAULT};

	read_options(&f, argc, argv);
	insist_on_private_network();
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	f.random = random_seed();
	open_device(&f);
	write_frames(&f);

	double seconds = run(&f);

	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.6f, \"per_s\": %.0f}\n", f.sent, seconds,
		(double)f.sent / seconds);
	return EXIT_SUCCESS;
}
