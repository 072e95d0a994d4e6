/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/log.h"

#include "control/endpoint.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 1024,
	ENTRY_MAX_BYTES = 2048, /* a line with its fields, for the journal */
};

static enum config_log destination = LOG_TO_STDERR;
static atomic_int threshold = LOG_LEVEL_NOTICE;
static bool stderr_is_journal;
static int journal = -1;
static struct sockaddr_un journal_at = {.sun_family = AF_UNIX};
static atomic_uint_fast64_t lost; /* lines that standard error would not take */
static _Atomic(struct log_site *) listed_sites;

/* syslog's numbers, which sd-daemon and the journal share. */
static int priority_of(enum config_log_level level)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = 3,
		[LOG_LEVEL_WARNING] = 4,
		[LOG_LEVEL_NOTICE] = 5,
		[LOG_LEVEL_INFO] = 6,
		[LOG_LEVEL_DEBUG] = 7,
	};
	return priorities[level];
}

static const char *word_of(enum config_log_level level)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_NOTICE] = "notice",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	return words[level];
}

/*
 * Whether standard error is the stream that systemd connected to the journal (systemd.exec(5),
 * JOURNAL_STREAM).
 */
static bool find_journal_stream(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_journal(const char *path)
{
	snprintf(journal_at.sun_path, sizeof(journal_at.sun_path), "%s", path);
	if (journal < 0)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void log_open(enum config_log to, enum config_log_level level)
{
	tzset();
	log_journal("/run/systemd/journal/socket");
	stderr_is_journal = find_journal_stream();
	destination = to;
	if (to == LOG_TO_AUTO)
		destination = stderr_is_journal ? LOG_TO_JOURNAL : LOG_TO_STDERR;
	log_set_level(level);
}

void log_set_level(enum config_log_level level)
{
	atomic_store(&threshold, (int)level);
}

bool log_wanted(enum config_log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static uint64_t monotonic_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* full_at is when the bucket would be full again; a line moves it on by one line's worth. */
bool log_site_allows(struct log_site *site, uint64_t now_us)
{
	const uint64_t per_line = 1000000 / LOG_PER_S;
	uint64_t full_at = atomic_load(&site->full_at);
	uint64_t next;

	do {
		next = (full_at > now_us ? full_at : now_us) + per_line;
		if (next - now_us > LOG_BURST * per_line)
			return false;
	} while (!atomic_compare_exchange_weak(&site->full_at, &full_at, next));
	return true;
}

static void withhold(struct log_site *site, const char *name)
{
	atomic_fetch_add(&site->unsaid, 1);
	if (atomic_exchange(&site->listed, true))
		return;
	site->name = name;
	site->next = atomic_load(&listed_sites);
	while (!atomic_compare_exchange_weak(&listed_sites, &site->next, site))
		;
}

/* "2026-01-31 23:59:59.123 notice: ", or what the journal reads levels from. Returns its length. */
static size_t write_prefix(char *out, size_t size, enum config_log_level level)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	if (stderr_is_journal)
		return (size_t)snprintf(out, size, "<%d>", priority_of(level));
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	return (size_t)snprintf(
		out, size, "%s.%03ld %s: ", date, now.tv_nsec / 1000000, word_of(level));
}

/*
 * One write a line keeps threads' lines apart. A pipe with room for PIPE_BUF bytes is POLLOUT: the
 * write does not block.
 */
static void emit_stderr(enum config_log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 64];
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

	size_t len = write_prefix(line, sizeof(line), level);
	size_t text_len = strnlen(text, LINE_MAX_BYTES - 1);
	memcpy(line + len, text, text_len);
	len += text_len;
	line[len++] = '\n';
	if (poll(&out, 1, 0) != 1 || write(STDERR_FILENO, line, len) < 0)
		atomic_fetch_add(&lost, 1);
}

/* Appends "NAME=value"; false if it does not fit. */
static bool add_field(char *entry, size_t *len, const char *name, const char *value)
{
	size_t room = ENTRY_MAX_BYTES - *len;
	int n = snprintf(entry + *len, room, "%s=%s\n", name, value);

	if (n < 0 || (size_t)n >= room)
		return false;
	*len += (size_t)n;
	return true;
}

/*
 * In the journal's own protocol, a datagram a line, since libsystemd's calls wait for a journal
 * that has stopped reading. No value has a line break: the text has lost them, and rules have none
 * in their names.
 */
static bool emit_journal(
	enum config_log_level level, const char *text, const struct log_field *fields, size_t count)
{
	const char priority[2] = {(char)('0' + priority_of(level)), '\0'};
	char entry[ENTRY_MAX_BYTES];
	size_t len = 0;

	bool fits = add_field(entry, &len, "MESSAGE", text) &&
		    add_field(entry, &len, "PRIORITY", priority) &&
		    add_field(entry, &len, "SYSLOG_IDENTIFIER", "ackgated");
	for (size_t i = 0; i < count && fits; i++)
		fits = add_field(entry, &len, fields[i].name, fields[i].value);
	return fits && sendto(journal, entry, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			       (const struct sockaddr *)&journal_at, sizeof(journal_at)) >= 0;
}

static void emit(
	enum config_log_level level, char *text, const struct log_field *fields, size_t count)
{
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	/* A datagram of somebody who has exited since is not known to be from our unit. */
	bool by_datagram = destination == LOG_TO_JOURNAL && (count > 0 || !stderr_is_journal);
	if (!by_datagram || !emit_journal(level, text, fields, count))
		emit_stderr(level, text);
}

void log_write(struct log_site *site, enum config_log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (!log_site_allows(site, monotonic_us())) {
		withhold(site, format);
		return;
	}
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	emit(level, text, NULL, 0);
}

void log_text(enum config_log_level level, const char *text)
{
	char line[LINE_MAX_BYTES];

	if (!log_wanted(level))
		return;
	while (*text != '\0') {
		int len = (int)strnlen(text, sizeof(line) - 1);
		const char *end = memchr(text, '\n', (size_t)len);
		if (end != NULL)
			len = (int)(end - text);
		snprintf(line, sizeof(line), "%.*s", len, text);
		if (len > 0)
			emit(level, line, NULL, 0);
		text += len + (end != NULL);
	}
}

bool log_site_takes(struct log_site *site, const char *name)
{
	if (log_site_allows(site, monotonic_us()))
		return true;
	withhold(site, name);
	return false;
}

void log_with_fields(
	enum config_log_level level, char *text, const struct log_field *fields, size_t count)
{
	emit(level, text, fields, count);
}

/* The summary is at the level of warnings: what is missing may be of any level. */
void log_tick(void)
{
	char text[LINE_MAX_BYTES];
	struct log_site *site = atomic_load(&listed_sites);

	for (; site != NULL; site = site->next) {
		uint64_t n = atomic_exchange(&site->unsaid, 0);
		if (n == 0)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 " more of these were not logged: %s", n,
			site->name);
		emit(LOG_LEVEL_WARNING, text, NULL, 0);
	}
	uint64_t n = atomic_exchange(&lost, 0);
	if (n == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " lines are lost: standard error took them no more",
		n);
	emit(LOG_LEVEL_WARNING, text, NULL, 0);
}

/*
 * "handshake 192.0.2.1:1025 -> 198.51.100.1:80 failed at SYN-ACK, rule web: no_syn_ack, the server
 * did not answer"
 */
static void describe(char *out, size_t size, const struct report *r, const char *client,
	const char *server, const char *rule)
{
	const char *verb = r->observed ? "would be refused" : "refused";
	char from[ENDPOINT_TEXT] = "";

	if (r->reason != REASON_NONE) {
		snprintf(out, size, "%s: %s -> %s, rule %s: %s, %s", verb, client, server, rule,
			reason_word(r->reason), reason_meaning(r->reason));
		return;
	}
	if (r->cause == CAUSE_unreachable)
		endpoint_addr_text(from, &r->from);
	snprintf(out, size, "handshake %s -> %s failed at %s, rule %s: %s, %s%s%s", client, server,
		cause_step(r->cause), rule, cause_word(r->cause), cause_meaning(r->cause),
		from[0] != '\0' ? ": says " : "", from);
}

void log_refused(const struct report *r, const char *rule)
{
	static struct log_site by_reason[REASON_COUNT], by_cause[CAUSE_COUNT];
	char text[LINE_MAX_BYTES], client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	if (!log_wanted(LOG_LEVEL_INFO))
		return;
	bool failed = r->cause != CAUSE_NONE;
	struct log_site *site = failed ? &by_cause[r->cause] : &by_reason[r->reason];
	if (!log_site_takes(site, failed ? cause_word(r->cause) : reason_word(r->reason)))
		return;
	endpoint_text(client, &r->tuple.client, r->tuple.client_port);
	endpoint_text(server, &r->tuple.server, r->tuple.server_port);
	if (rule == NULL)
		rule = "none";
	describe(text, sizeof(text), r, client, server, rule);

	const struct log_field fields[] = {
		{"ACKGATE_CLIENT", client},
		{"ACKGATE_SERVER", server},
		{"ACKGATE_RULE", rule},
		{"ACKGATE_REASON", reason_word(r->reason)},
		{"ACKGATE_CAUSE", cause_word(r->cause)},
	};
	emit(LOG_LEVEL_INFO, text, fields, sizeof(fields) / sizeof(fields[0]));
}

void log_notable(const struct notice *n, const char *rule)
{
	char server[ENDPOINT_TEXT];

	rule = rule != NULL ? rule : "?";
	switch (n->kind) {
	case NOTICE_COOKIES_ON:
		log_warning("rule %s: cookies on, %u handshakes are half-open", rule, n->half_open);
		break;
	case NOTICE_COOKIES_OFF:
		log_notice("rule %s: cookies off, %u handshakes are half-open", rule, n->half_open);
		break;
	case NOTICE_ROUTE_UNKNOWN:
		log_warning("rule %s: no cookies for %s yet: DNAT leads to it, and from which "
			    "address, exactly one, is not known",
			rule, endpoint_text(server, &n->server, n->port));
		break;
	case NOTICE_RELEARNED:
		log_warning("rule %s: %s answered with less than clients had been promised; its "
			    "options are learned anew",
			rule, endpoint_text(server, &n->server, n->port));
		break;
	}
}
