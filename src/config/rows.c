/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/options.h"

#include "core/engine.h"

#include <assert.h>
#include <stdint.h>

const struct section_row section_rows[SECTION_COUNT] = {
	[SECTION_DAEMON] = {"daemon", false, "The process itself."},
	[SECTION_NETFILTER] = {"netfilter", false, "Its rules and queues in the kernel."},
	[SECTION_LIMITS] = {"limits", false,
		"How much is remembered at once, by all workers together. Memory for it is taken "
		"at start."},
	[SECTION_COOKIES] = {"cookies", false,
		"SYN cookies: answers to SYNs that hold all there is to remember in their own "
		"numbers, so that a flood of SYNs finds no memory to fill."},
	[SECTION_TIMEOUTS] = {"timeouts", false,
		"How long a flow may stay in a state without a packet; part of a second counts as "
		"a whole one."},
	[SECTION_RULE] = {"rule", true,
		"What happens to connections that arrive. Rules are tried in the file's order and "
		"the first that matches decides. "
		"TCP that matches no rule is left alone, and so is what comes in by lo unless a "
		"rule names it."},
	[SECTION_BACKEND] = {"backend", true,
		"Servers for rules with mode = splice. Several rules may name the same backend."},
};

static const struct option_word yes_no[] = {
	{"yes", true, false}, {"no", false, false}, {NULL, 0, false}};

static const struct option_word metrics_words[] = {
	{"off", 0, false}, {"*", 0, true}, {NULL, 0, false}};

static const struct option_word log_words[] = {
	{"auto", LOG_TO_AUTO, false},
	{"stderr", LOG_TO_STDERR, false},
	{"journal", LOG_TO_JOURNAL, false},
	{NULL, 0, false},
};

static const struct option_word log_levels[] = {
	{"error", LOG_LEVEL_ERROR, false},
	{"warning", LOG_LEVEL_WARNING, false},
	{"notice", LOG_LEVEL_NOTICE, false},
	{"info", LOG_LEVEL_INFO, false},
	{"debug", LOG_LEVEL_DEBUG, false},
	{NULL, 0, false},
};

static const struct option_word manage_words[] = {
	{"auto", MANAGE_AUTO, false},
	{"nftables", MANAGE_NFTABLES, false},
	{"iptables", MANAGE_IPTABLES, false},
	{"none", MANAGE_NONE, false},
	{NULL, 0, false},
};

static const struct option_word on_failure_words[] = {
	{"open", true, false}, {"closed", false, false}, {NULL, 0, false}};

static const struct option_word modes[] = {
	{"gate", MODE_GATE, false},
	{"splice", MODE_SPLICE, false},
	{"accept", MODE_ACCEPT, false},
	{"drop", MODE_DROP, false},
	{"reject", MODE_REJECT, false},
	{NULL, 0, false},
};

static const struct option_word syncookies_words[] = {
	{"adaptive", SYNCOOKIES_ADAPTIVE, false},
	{"always", SYNCOOKIES_ALWAYS, false},
	{"never", SYNCOOKIES_NEVER, false},
	{NULL, 0, false},
};

static const struct option_word inspect_words[] = {
	{"handshake", INSPECT_HANDSHAKE, false},
	{"full", INSPECT_FULL, false},
	{NULL, 0, false},
};

static const struct option_word fastopen_words[] = {
	{"strip", true, false}, {"pass", false, false}, {NULL, 0, false}};

static const struct option_word source_words[] = {
	{"self", SOURCE_SELF, false},
	{"client", SOURCE_CLIENT, false},
	{"*", SOURCE_LIST, false},
	{NULL, 0, false},
};

static const struct option_word accept_proxy_words[] = {
	{"off", PROXY_OFF, false},
	{"v1", PROXY_V1, false},
	{"v2", PROXY_V2, false},
	{"any", PROXY_ANY, false},
	{NULL, 0, false},
};

static const struct option_word send_proxy_words[] = {
	{"off", PROXY_OFF, false},
	{"v1", PROXY_V1, false},
	{"v2", PROXY_V2, false},
	{NULL, 0, false},
};

static const struct option_word balance_words[] = {
	{"roundrobin", BALANCE_ROUNDROBIN, false},
	{"leastconn", BALANCE_LEASTCONN, false},
	{"source", BALANCE_SOURCE, false},
	{NULL, 0, false},
};

static const struct option_word check_words[] = {
	{"off", CHECK_OFF, false},
	{"tcp", CHECK_TCP, false},
	{NULL, 0, false},
};

static const struct option_word over_limit_words[] = {
	{"drop", OVER_LIMIT_DROP, false},
	{"reject", OVER_LIMIT_REJECT, false},
	{"block", OVER_LIMIT_BLOCK, false},
	{NULL, 0, false},
};

enum {
	KI = 1024,
	MI = 1024 * KI
};
#define SECONDS UINT64_C(1000000)
#define TIMEOUT .type = OPTION_DURATION, .min = SECONDS, .max = 30 * 86400 * SECONDS

#define CONFIG(member)                                                                             \
	.offset = offsetof(struct config, member), .size = sizeof(((struct config *)0)->member)
#define RULE(member)                                                                               \
	.offset = offsetof(struct config_rule, rule.member),                                       \
	.size = sizeof(((struct config_rule *)0)->rule.member)
#define SPLICE(member)                                                                             \
	.offset = offsetof(struct config_rule, splice.member),                                     \
	.size = sizeof(((struct config_rule *)0)->splice.member)
#define BACKEND(member)                                                                            \
	.offset = offsetof(struct config_backend, member),                                         \
	.size = sizeof(((struct config_backend *)0)->member)
#define CONFIG_LIST(member) CONFIG(member), .count_offset = offsetof(struct config, member##_count)
#define RULE_LIST(member)                                                                          \
	RULE(member), .count_offset = offsetof(struct config_rule, rule.member##_count),           \
		      .zero = "any"
#define SPLICE_COUNT(member) .count_offset = offsetof(struct config_rule, splice.member)
#define LATER                .type = OPTION_TEXT, .later = true

const struct option option_rows[] = {
	{SECTION_DAEMON, "user", OPTION_USER, CONFIG(daemon.user), .initial = "ackgate",
		.restart = true,
		.help = "Whom the daemon becomes once it is set up, with CAP_NET_ADMIN, "
			"CAP_NET_RAW and CAP_NET_BIND_SERVICE alone; root means: nobody else."},
	{SECTION_DAEMON, "workers", OPTION_NUMBER, CONFIG(daemon.workers), .min = 1, .max = 64,
		.zero = "auto", .initial = "auto", .restart = true,
		.help = "Threads, each with a queue and a part of the flows of its own; auto: one "
			"for each CPU, 8 at most."},
	{SECTION_DAEMON, "control", OPTION_PATH, CONFIG(daemon.control),
		.initial = "/run/ackgate/control.sock", .restart = true,
		.help = "The socket that ackgatectl speaks to."},
	{SECTION_DAEMON, "metrics", OPTION_WORD, .words = metrics_words, .initial = "off",
		.restart = true, .help = "Where to serve metrics over HTTP."},
	{SECTION_DAEMON, "metrics_allow", LATER, .help = "Who may read the metrics."},
	{SECTION_DAEMON, "log", OPTION_WORD, CONFIG(daemon.log), .words = log_words,
		.initial = "auto", .restart = true,
		.help = "Where messages go; auto: to the journal if systemd started the daemon, "
			"else to stderr."},
	{SECTION_DAEMON, "log_level", OPTION_WORD, CONFIG(daemon.log_level), .words = log_levels,
		.initial = "info",
		.help = "The least important messages to log; info has a line for each handshake "
			"that is refused or fails."},
	{SECTION_DAEMON, "enforce", OPTION_WORD, CONFIG(daemon.enforce), .words = yes_no,
		.initial = "yes",
		.help = "no: everything is judged, counted and logged, and nothing is dropped, "
			"answered or changed, whatever the rules say."},
	{SECTION_DAEMON, "state_dir", OPTION_PATH, CONFIG(daemon.state_dir),
		.initial = "/var/lib/ackgate", .restart = true,
		.help = "What has to outlive the daemon is kept here: a folder of its own, which "
			"becomes the user's."},
	{SECTION_DAEMON, "drain", OPTION_DURATION, CONFIG(daemon.drain_us), .max = 86400 * SECONDS,
		.zero = "off", .initial = "10s",
		.help = "How long a stop or restart waits for spliced connections, which end with "
			"the process."},

	{SECTION_NETFILTER, "manage", OPTION_WORD, CONFIG(netfilter.manage), .words = manage_words,
		.initial = "auto", .restart = true,
		.help = "How the kernel's rules are put in; auto: by nftables if it can queue "
			"packets here, else by iptables; "
			"none: you put in yourself what ackgated -n prints."},
	{SECTION_NETFILTER, "queue", OPTION_NUMBER, CONFIG(netfilter.queue), .max = UINT16_MAX,
		.initial = "5200", .restart = true,
		.help = "The first of the NFQUEUE numbers that are ours, five for each worker."},
	{SECTION_NETFILTER, "queue_length", OPTION_SIZE, CONFIG(netfilter.queue_length), .min = 16,
		.max = 32 * KI, .unit = "packets", .initial = "8k", .restart = true,
		.help = "How many packets may wait in each queue; the kernel drops what comes on "
			"top."},
	{SECTION_NETFILTER, "mark", OPTION_BIT, CONFIG(netfilter.mark), .max = UINT32_MAX,
		.initial = "0x20000000", .restart = true,
		.help = "The one bit of packet and connection marks that is ours; nobody else on "
			"the host may use it."},
	{SECTION_NETFILTER, "tproxy_mark", OPTION_BIT, CONFIG(netfilter.tproxy_mark),
		.max = UINT32_MAX, .initial = "0x10000000", .restart = true,
		.help = "The one bit of packet marks by which the host's routing leads packets of "
			"rules with transparent = yes, and servers' answers under source = client, "
			"to this host's own sockets; another one than mark, and nobody else's."},
	{SECTION_NETFILTER, "on_failure", OPTION_WORD, CONFIG(netfilter.fail_open),
		.words = on_failure_words, .initial = "open",
		.help = "What happens to new handshakes while no daemon runs; admitted flows go on "
			"either way."},
	{SECTION_NETFILTER, "adopt", OPTION_WORD, CONFIG(netfilter.adopt), .words = yes_no,
		.initial = "yes",
		.help = "Admit connections that stand already when the daemon starts, and those of "
			"local servers that conntrack forgets later."},
	{SECTION_NETFILTER, "adopt_window", OPTION_DURATION, CONFIG(netfilter.adopt_window_us),
		.min = SECONDS, .max = 3600 * SECONDS, .initial = "30s",
		.help = "For how long after the start a segment from a server behind this host "
			"proves "
			"that its connection stood before; from a local server it always does."},

	{SECTION_LIMITS, "half_open", OPTION_SIZE, CONFIG(limits.half_open), .min = 16,
		.max = 16 * MI, .unit = "flows", .initial = "64k", .restart = true,
		.help = "Handshakes under way; when there are more, the oldest unanswered ones "
			"go."},
	{SECTION_LIMITS, "flows", OPTION_SIZE, CONFIG(limits.flows), .min = 16, .max = 16 * MI,
		.unit = "flows", .initial = "256k", .restart = true,
		.help = "Admitted flows that the daemon follows itself: those of rules with "
			"inspect = full or connections_per_source."},
	{SECTION_LIMITS, "sources", OPTION_SIZE, CONFIG(limits.sources), .min = 16, .max = 16 * MI,
		.unit = "sources", .initial = "64k", .restart = true,
		.help = "Sources whose rates and connections are remembered."},
	{SECTION_LIMITS, "source_prefix4", OPTION_NUMBER, CONFIG(limits.source_prefix4), .min = 1,
		.max = 32, .unit = "bits", .initial = "32", .restart = true,
		.help = "How many bits of an IPv4 address make one source."},
	{SECTION_LIMITS, "source_prefix6", OPTION_NUMBER, CONFIG(limits.source_prefix6), .min = 1,
		.max = 128, .unit = "bits", .initial = "64", .restart = true,
		.help = "How many bits of an IPv6 address make one source."},
	{SECTION_LIMITS, "handshakes_in_flight", OPTION_SIZE, CONFIG(limits.handshakes_in_flight),
		.min = 1, .max = MI, .unit = "connections", .initial = "16k", .restart = true,
		.help = "Connections whose client brought a good cookie and whose server has not "
			"answered yet."},
	{SECTION_LIMITS, "never_block", OPTION_ADDRS, CONFIG_LIST(limits.never_block),
		.zero = "none", .initial = "none",
		.help = "Addresses that are never blocked, whatever a rule or ackgatectl says; nor "
			"are loopback, this host's own, and those that an administrator is logged "
			"in from by SSH."},

	{SECTION_COOKIES, "secret_file", OPTION_PATH, CONFIG(cookies.secret_file), .zero = "auto",
		.initial = "auto", .restart = true,
		.help = "The secret that cookies are made with: a file of 32 bytes or more that "
			"nobody else may read. Gates that stand behind one address share it, and "
			"rotation with it, so that each takes the cookies of the others; auto: one "
			"is made once, in state_dir."},
	{SECTION_COOKIES, "rotation", OPTION_DURATION, CONFIG(cookies.rotation_us), .min = SECONDS,
		.max = 86400 * SECONDS, .initial = "1m",
		.help = "For how long the keys that are made of the secret are used; a cookie is "
			"good for one to two of these times."},

	{SECTION_TIMEOUTS, "syn_sent", TIMEOUT, CONFIG(timeouts.syn_sent_us), .initial = "20s",
		.help = "A SYN was seen, no SYN-ACK."},
	{SECTION_TIMEOUTS, "syn_received", TIMEOUT, CONFIG(timeouts.syn_received_us),
		.initial = "30s", .help = "A SYN-ACK was seen, no ACK."},
	{SECTION_TIMEOUTS, "established", TIMEOUT, CONFIG(timeouts.established_us),
		.initial = "124m",
		.help = "The connection stands; RFC 5382 asks for 2 hours and 4 minutes at least."},
	{SECTION_TIMEOUTS, "fin_wait", TIMEOUT, CONFIG(timeouts.fin_wait_us), .initial = "4m",
		.help = "One end has sent its FIN; here and below RFC 5382 asks for 4 minutes."},
	{SECTION_TIMEOUTS, "close_wait", TIMEOUT, CONFIG(timeouts.close_wait_us), .initial = "4m",
		.help = "That FIN is acknowledged, the other end has not sent its own."},
	{SECTION_TIMEOUTS, "last_ack", TIMEOUT, CONFIG(timeouts.last_ack_us), .initial = "4m",
		.help = "Both have sent their FIN, the last one is not acknowledged."},
	{SECTION_TIMEOUTS, "time_wait", TIMEOUT, CONFIG(timeouts.time_wait_us), .initial = "4m",
		.help = "Both FINs are acknowledged; late segments may still come."},
	{SECTION_TIMEOUTS, "closed", TIMEOUT, CONFIG(timeouts.closed_us), .initial = "10s",
		.help = "An RST was seen."},

	{SECTION_RULE, "from", OPTION_ADDRS, RULE_LIST(from), .initial = "any",
		.help = "Clients that the rule matches."},
	{SECTION_RULE, "to", OPTION_ADDRS, RULE_LIST(to), .initial = "any",
		.help = "Servers that the rule matches, by their addresses after DNAT: a "
			"container's own, for instance."},
	{SECTION_RULE, "port", OPTION_PORTS, RULE_LIST(port), .initial = "any",
		.help = "Ports of the servers, after DNAT."},
	{SECTION_RULE, "interface", OPTION_INTERFACES, RULE_LIST(interface), .initial = "any",
		.help = "Interfaces that connections come in by; any means all but lo."},
	{SECTION_RULE, "mode", OPTION_WORD, RULE(mode), .words = modes, .initial = "gate",
		.help = "gate: let it through once its handshake is complete; splice: gate it, end "
			"it here, and open a connection of our own to a server of the backend; "
			"accept: let it through unseen; drop: refuse it in silence; "
			"reject: refuse it with an RST, a limited number of them a second."},
	{SECTION_RULE, "enforce", OPTION_WORD, RULE(enforce), .words = yes_no, .initial = "yes",
		.help = "no: judge, count and log, but let everything go on unchanged; not with "
			"mode = splice, which ends connections itself."},
	{SECTION_RULE, "syncookies", OPTION_WORD, RULE(syncookies), .words = syncookies_words,
		.initial = "adaptive",
		.help = "When a gate answers SYNs with cookies and asks the server only once a "
			"client has proven itself; adaptive: while its handshakes under way are "
			"too many."},
	{SECTION_RULE, "syncookies_start", OPTION_PERCENT, RULE(syncookies_start), .min = 1,
		.max = 100, .initial = "75%",
		.help = "Adaptive cookies start when so much of the rule's half_open, or of that "
			"in [limits] if it has none, is taken."},
	{SECTION_RULE, "syncookies_end", OPTION_PERCENT, RULE(syncookies_end), .min = 1, .max = 100,
		.initial = "50%",
		.help = "The share at which they end; lower than syncookies_start."},
	{SECTION_RULE, "inspect", OPTION_WORD, RULE(inspect), .words = inspect_words,
		.initial = "handshake",
		.help = "handshake: an admitted flow belongs to the kernel; full: each of its "
			"segments is judged, to the end."},
	{SECTION_RULE, "fastopen", OPTION_WORD, RULE(fastopen_strip), .words = fastopen_words,
		.initial = "strip",
		.help = "strip: take TCP Fast Open's option and data out of SYNs, so that no data "
			"comes before the handshake."},
	{SECTION_RULE, "mss", OPTION_NUMBER, RULE(mss), .min = 88, .max = 65495, .unit = "bytes",
		.zero = "off", .initial = "off",
		.help = "The largest MSS that SYN and SYN-ACK may offer."},
	{SECTION_RULE, "syn_rate", OPTION_RATE, RULE(syn_rate), .max = 1000000, .zero = "off",
		.initial = "off",
		.help = "SYNs of one source; without a burst, as many may come at once as in a "
			"second."},
	{SECTION_RULE, "half_open", OPTION_SIZE, RULE(half_open), .min = 1, .max = 16 * MI,
		.unit = "flows", .zero = "off", .initial = "off",
		.help = "Handshakes of this rule that may be under way at once."},
	{SECTION_RULE, "connections_per_source", OPTION_SIZE, RULE(connections_per_source),
		.min = 1, .max = 16 * MI, .unit = "connections", .zero = "off", .initial = "off",
		.help = "Connections that one source may have at once."},
	{SECTION_RULE, "over_limit", OPTION_WORD, RULE(over_limit), .words = over_limit_words,
		.initial = "drop",
		.help = "What happens to a SYN that exceeds a limit of the rule: drop it; reject "
			"it with an RST, a limited number of them a second; or drop it and block "
			"its source in the kernel. Nobody is blocked for mere SYNs, which anybody "
			"can forge, but for connections that were completed."},
	{SECTION_RULE, "block_time", OPTION_SECONDS, RULE(block_time), .min = 1, .max = 30 * 86400,
		.initial = "10m",
		.help = "For how long over_limit = block blocks a source; part of a second counts "
			"as a whole one."},

	{SECTION_RULE, "listen", OPTION_ENDPOINTS, SPLICE(listen), SPLICE_COUNT(listen_count),
		.zero = "none", .initial = "none",
		.help = "Where mode = splice accepts connections; 0.0.0.0 and [::] stand for all "
			"of "
			"this host's addresses of that family. The rule then matches these, and "
			"from and interface may narrow it."},
	{SECTION_RULE, "backend", OPTION_NAME, SPLICE(backend), .zero = "original",
		.initial = "original",
		.help = "The [backend NAME] that spliced connections lead to; original: where the "
			"client wanted to go, which only transparent = yes knows."},
	{SECTION_RULE, "transparent", OPTION_WORD, SPLICE(transparent), .words = yes_no,
		.initial = "no",
		.help = "yes: in place of listen, take connections on their way to other hosts, as "
			"from, to, port and interface say; port has to be given. Such a rule gives "
			"no SYN cookies."},
	{SECTION_RULE, "source", OPTION_HOSTS, SPLICE(sources), SPLICE_COUNT(source_count),
		.word_offset = offsetof(struct config_rule, splice.source), .words = source_words,
		.initial = "self",
		.help = "The address that servers see; self: the one this host chooses; client: "
			"the "
			"client's own, so servers have to route their answers back through here; "
			"else one of these addresses of this host."},
	{SECTION_RULE, "accept_proxy", OPTION_WORD, SPLICE(accept_proxy),
		.words = accept_proxy_words, .initial = "off",
		.help = "Which version of the PROXY protocol's header trusted_proxies begin their "
			"connections with: it says who the client is."},
	{SECTION_RULE, "trusted_proxies", OPTION_ADDRS, SPLICE(trusted_proxies),
		SPLICE_COUNT(trusted_proxy_count), .zero = "none", .initial = "none",
		.help = "Whose connections begin with that header, and have to; nobody else's word "
			"is taken."},
	{SECTION_RULE, "send_proxy", OPTION_WORD, SPLICE(send_proxy), .words = send_proxy_words,
		.initial = "off",
		.help = "The version of the PROXY protocol in which servers are told who the "
			"client "
			"is."},
	{SECTION_RULE, "wait_for_data", OPTION_WORD, SPLICE(wait_for_data), .words = yes_no,
		.initial = "no",
		.help = "yes: open the server's connection with the client's first byte; not for "
			"protocols in which the server speaks first."},
	{SECTION_RULE, "splice", OPTION_WORD, SPLICE(splice), .words = yes_no, .initial = "yes",
		.help = "Move bytes from one connection to the other inside the kernel; no: copy "
			"them."},
	{SECTION_RULE, "connect_timeout", OPTION_DURATION, SPLICE(connect_timeout_us),
		.min = SECONDS / 10, .max = 3600 * SECONDS, .initial = "5s",
		.help = "How long a server may take to answer."},
	{SECTION_RULE, "idle_timeout", TIMEOUT, SPLICE(idle_timeout_us), .zero = "off",
		.initial = "1h", .help = "How long a connection may stand without a byte."},
	{SECTION_RULE, "half_closed_timeout", TIMEOUT, SPLICE(half_closed_timeout_us),
		.zero = "off", .initial = "5m",
		.help = "The same once one end has sent all that it has to say."},
	{SECTION_RULE, "total_timeout", TIMEOUT, SPLICE(total_timeout_us), .zero = "off",
		.initial = "off", .help = "How long a connection may stand at all."},
	{SECTION_RULE, "keepalive", OPTION_DURATION, SPLICE(keepalive_us), .min = SECONDS,
		.max = 9 * 3600 * SECONDS, .zero = "off", .initial = "2m",
		.help = "After how long without a packet TCP asks both ends whether they are still "
			"there."},
	{SECTION_RULE, "max_connections", OPTION_SIZE, SPLICE(max_connections), .min = 1,
		.max = 16 * MI, .unit = "connections", .zero = "off", .initial = "off",
		.help = "Connections that the rule may splice at once; more wait to be accepted."},

	{SECTION_BACKEND, "servers", OPTION_SERVERS, BACKEND(servers),
		.count_offset = offsetof(struct config_backend, server_count),
		.example = "192.0.2.11:8080, 192.0.2.12:8080 weight 2",
		.help = "Where they are. Names are looked up again and again. A server of weight 2 "
			"takes twice as many connections as one of weight 1, which is what each "
			"has if nothing is said."},
	{SECTION_BACKEND, "balance", OPTION_WORD, BACKEND(balance), .words = balance_words,
		.initial = "roundrobin",
		.help = "Which server takes the next connection; roundrobin: one after the other; "
			"leastconn: the one with the fewest; source: always the same for one "
			"client's address."},
	{SECTION_BACKEND, "retries", OPTION_NUMBER, BACKEND(retries),
		.max = BACKEND_SERVERS_MAX - 1, .unit = "servers", .initial = "2",
		.help = "How many other servers are tried when one can't be reached."},
	{SECTION_BACKEND, "check", OPTION_WORD, BACKEND(check), .words = check_words,
		.initial = "tcp",
		.help = "tcp: open a connection to each server now and then, to learn whether it "
			"is "
			"up; off: learn that from clients' connections alone."},
	{SECTION_BACKEND, "check_interval", OPTION_DURATION, BACKEND(check_interval_us),
		.min = SECONDS / 10, .max = 3600 * SECONDS, .initial = "5s",
		.help = "From one check to the next."},
	{SECTION_BACKEND, "rise", OPTION_NUMBER, BACKEND(rise), .min = 1, .max = 100,
		.unit = "checks", .initial = "2",
		.help = "Good checks in a row that bring a server up."},
	{SECTION_BACKEND, "fall", OPTION_NUMBER, BACKEND(fall), .min = 1, .max = 100,
		.unit = "checks", .initial = "3", .help = "Bad checks in a row that take it down."},
	{SECTION_BACKEND, "max_connections", OPTION_SIZE, BACKEND(max_connections), .min = 1,
		.max = 16 * MI, .unit = "connections", .zero = "off", .initial = "off",
		.help = "Connections that all servers together may have at once."},
};

const size_t option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTION_ROWS_MAX,
	"OPTION_ROWS_MAX is too small");
static_assert(LANES == 5, "the help of [netfilter] queue says how many there are");
