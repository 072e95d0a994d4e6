/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one list of words for why a packet or a handshake was not let through: counters, logs, JSON
 * and metrics use these. */
#ifndef ACKGATE_CORE_REASONS_H
#define ACKGATE_CORE_REASONS_H

/* X(word, what it means) */
#define REASON_LIST(X)                                                                             \
	X(malformed, "headers or options that contradict each other or the packet's length")       \
	X(fragment, "an IP fragment that nobody reassembled")                                      \
	X(bad_flags, "a combination of TCP flags that no step of a connection has")                \
	X(bad_ack, "an acknowledgement number that answers nothing the other end sent")            \
	X(bad_seq, "a sequence number that does not follow the handshake")                         \
	X(no_flow, "belongs to no connection and opens none")                                      \
	X(not_established, "data before the handshake was complete")                               \
	X(out_of_window, "outside the window the other end offered")                               \
	X(bad_cookie, "an acknowledgement that carries no valid SYN cookie")                       \
	X(source_rate, "the source sends SYNs faster than syn_rate, or guesses cookies")           \
	X(half_open_full, "the rule's half_open limit is reached")                                 \
	X(source_half_open, "the source has too many half-open handshakes")                        \
	X(source_connections, "the source has connections_per_source connections")                 \
	X(in_flight_full, "handshakes_in_flight is reached")                                       \
	X(blocked, "the source is blocked")                                                        \
	X(table_full, "no room to follow another flow")                                            \
	X(rule, "a rule says drop or reject")                                                      \
	X(backend_down, "no server of the backend is up")

/* X(word, the step that failed, what it means) */
#define CAUSE_LIST(X)                                                                              \
	X(refused, "SYN-ACK", "the server answered with RST")                                      \
	X(no_syn_ack, "SYN-ACK", "the server did not answer")                                      \
	X(no_ack, "ACK", "the client never answered: gone, spoofed, or its path back is broken")   \
	X(client_reset, "ACK", "the client sent RST")                                              \
	X(unreachable, "SYN", "an ICMP error says that the server cannot be reached")              \
	X(limited, "SYN", "a limit was reached")

enum reason {
	REASON_NONE,
#define X(word, meaning) REASON_##word,
	REASON_LIST(X)
#undef X
	REASON_COUNT
};

enum cause {
	CAUSE_NONE,
#define X(word, step, meaning) CAUSE_##word,
	CAUSE_LIST(X)
#undef X
	CAUSE_COUNT
};

/* The word itself; "none" for REASON_NONE and CAUSE_NONE. */
const char *reason_word(enum reason r);
const char *reason_meaning(enum reason r);
const char *cause_word(enum cause c);
const char *cause_step(enum cause c);
const char *cause_meaning(enum cause c);

#endif
