/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/splicing.h"

#include "control/endpoint.h"
#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	FDS_OF_CONNECTION = 2,
	FDS_OF_OURS = 512, /* queues, listeners, pipes of some transfers */
	FDS_WANTED = 1 << 20,
	TEXT = 512,
};

/* -- what is told -- */

static bool wants_record(void *arg)
{
	(void)arg;
	return log_wanted(LOG_LEVEL_INFO);
}

/* "1.234 s", "12.3 ms" */
static const char *time_text(char out[static 24], uint64_t us)
{
	if (us >= 1000000)
		snprintf(out, 24, "%" PRIu64 ".%03" PRIu64 " s", us / 1000000, us / 1000 % 1000);
	else
		snprintf(out, 24, "%" PRIu64 ".%03" PRIu64 " ms", us / 1000, us % 1000);
	return out;
}

static void describe(char *out, size_t size, const struct splice_record *r, const char *client)
{
	char handshake[24], connect[24], total[24];
	const bool why = r->error && r->end != SPLICE_END_reset && r->end != SPLICE_END_lost;

	snprintf(out, size,
		"spliced %s, rule %s, server %s%s%s: %s%s%s by %s, %s; handshake %s, connect %s, "
		"total %s, %" PRIu64 " bytes in, %" PRIu64 " out%s%s",
		client, r->rule, r->backend ? r->backend : "", r->backend ? "/" : "",
		r->server    ? r->server
		: r->backend ? "-"
			     : "as asked",
		splice_end_words(r->end), why ? ": " : "", why ? strerrordesc_np(r->error) : "",
		splice_side_word(r->by), splice_phase_word(r->phase),
		r->handshake_us ? time_text(handshake, r->handshake_us) : "-",
		r->connect_us ? time_text(connect, r->connect_us) : "-",
		time_text(total, r->total_us), r->bytes_in, r->bytes_out,
		r->retries ? ", after retries" : "",
		r->end == SPLICE_END_no_syn_ack && r->as_client
			? "; does the server's way back to the client lead through this host?"
			: "");
}

static void ended(void *arg, const struct splice_record *r)
{
	static struct log_site sites[SPLICE_END_COUNT];
	const enum config_log_level level =
		r->end == SPLICE_END_no_local_port || r->end == SPLICE_END_failed
			? LOG_LEVEL_WARNING
			: LOG_LEVEL_INFO;
	char text[TEXT], client[ENDPOINT_TEXT], number[6][24];

	(void)arg;
	if (!log_wanted(level) || !log_site_takes(&sites[r->end], splice_end_words(r->end)))
		return;
	endpoint_text(client, &r->client.addr, r->client.port);
	describe(text, sizeof(text), r, client);
	snprintf(number[0], 24, "%" PRIu64, r->handshake_us);
	snprintf(number[1], 24, "%" PRIu64, r->connect_us);
	snprintf(number[2], 24, "%" PRIu64, r->total_us);
	snprintf(number[3], 24, "%" PRIu64, r->bytes_in);
	snprintf(number[4], 24, "%" PRIu64, r->bytes_out);
	snprintf(number[5], 24, "%u", r->retries);
	const struct log_field fields[] = {
		{"ACKGATE_CLIENT", client},
		{"ACKGATE_RULE", r->rule},
		{"ACKGATE_BACKEND", r->backend ? r->backend : "original"},
		{"ACKGATE_SERVER", r->server ? r->server : ""},
		{"ACKGATE_END", splice_end_words(r->end)},
		{"ACKGATE_BY", splice_side_word(r->by)},
		{"ACKGATE_PHASE", splice_phase_word(r->phase)},
		{"ACKGATE_HANDSHAKE_US", number[0]},
		{"ACKGATE_CONNECT_US", number[1]},
		{"ACKGATE_TOTAL_US", number[2]},
		{"ACKGATE_BYTES_IN", number[3]},
		{"ACKGATE_BYTES_OUT", number[4]},
		{"ACKGATE_RETRIES", number[5]},
	};
	log_with_fields(level, text, fields, sizeof(fields) / sizeof(*fields));
}

static void accepting(void *arg, bool paused)
{
	struct rlimit limit = {0};

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (paused)
		log_warning("no file descriptor is left (%ju may be open): clients wait in the "
			    "backlog; raise LimitNOFILE, or lower max_connections",
			(uintmax_t)limit.rlim_cur);
	else
		log_notice("file descriptors can be had again: clients are accepted");
}

static void told(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	LOG_AT(level, "%s", sentence);
}

static void listens(void *arg, const char *name, int fd)
{
	(void)arg;
	if (fd >= 0)
		notify_store(name, fd);
	else
		notify_forget(name);
}

static const struct splice_events events = {wants_record, ended, accepting, told, listens};

/* -- descriptors -- */

static uint64_t connections_of(const struct config *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->policy.rule_count; i++)
		if (c->policy.rules[i].mode == MODE_SPLICE)
			sum += c->splices[i].max_connections;
	return sum;
}

void splicing_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FDS_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < FDS_WANTED ? limit.rlim_max : FDS_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Said if max_connections asks for more than there are. */
static void check_limit(const struct config *c)
{
	const uint64_t wanted = connections_of(c) * FDS_OF_CONNECTION + FDS_OF_OURS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && wanted > limit.rlim_cur)
		log_warning("max_connections asks for %" PRIu64
			    " file descriptors, and %ju may be open: some clients will wait; "
			    "raise LimitNOFILE",
			wanted, (uintmax_t)limit.rlim_cur);
}

/* -- life -- */

static bool is_asked_for(const struct config *c)
{
	for (size_t i = 0; i < c->policy.rule_count; i++)
		if (c->policy.rules[i].mode == MODE_SPLICE)
			return true;
	return false;
}

static void take_socket(void *arg, int fd, const char *name)
{
	struct daemon *d = arg;

	if (d->inherited_count == DAEMON_SOCKETS_MAX) {
		close(fd);
		return;
	}
	d->inherited[d->inherited_count].fd = fd;
	snprintf(d->inherited[d->inherited_count].name, SPLICE_PLACE_NAME, "%s", name);
	d->inherited_count++;
}

void splicing_inherit(struct daemon *d)
{
	notify_each_socket(take_socket, d);
}

static void hand_on(struct daemon *d)
{
	for (unsigned i = 0; i < d->inherited_count; i++) {
		const struct splice_socket socket = {d->inherited[i].fd, d->inherited[i].name};

		if (d->splice && splice_inherit(d->splice, &socket))
			continue;
		close(socket.fd);
		notify_forget(socket.name);
	}
	d->inherited_count = 0;
}

static bool open_splice(struct daemon *d, char *why, size_t why_size)
{
	d->splice = splice_open(d->worker_count, &events, d, why, why_size);
	if (!d->splice)
		return false;
	hand_on(d);
	return !d->splice_runs || splice_start(d->splice, why, why_size);
}

bool splicing_prepare(struct daemon *d, const struct config *c, char *why, size_t why_size)
{
	if (!d->splice && !is_asked_for(c)) {
		hand_on(d);
		return true;
	}
	if (is_asked_for(c))
		check_limit(c);
	if (!d->splice && !open_splice(d, why, why_size))
		return false;
	d->splice_next = splice_prepare(d->splice, c, why, why_size);
	return d->splice_next != NULL;
}

void splicing_commit(struct daemon *d)
{
	if (d->splice_next)
		splice_commit(d->splice, d->splice_next);
	d->splice_next = NULL;
}

void splicing_abandon(struct daemon *d)
{
	if (d->splice_next)
		splice_abandon(d->splice, d->splice_next);
	d->splice_next = NULL;
}

bool splicing_start(struct daemon *d, char *why, size_t why_size)
{
	d->splice_runs = true;
	return !d->splice || splice_start(d->splice, why, why_size);
}

static void tell_engine(void *arg, const struct splice_rule_view *rule)
{
	const struct daemon *d = arg;

	engine_shared_backend_down(d->shared, rule->slot, rule->backend_down);
}

void splicing_tick(struct daemon *d)
{
	if (d->splice)
		splice_each_rule(d->splice, tell_engine, d);
}

void splicing_status(const struct daemon *d, struct status *out)
{
	struct splice_totals totals = {0};

	if (d->splice)
		splice_totals(d->splice, &totals);
	out->splice.open = totals.open;
	out->splice.total = totals.total;
	out->splice.bytes_in = totals.bytes_in;
	out->splice.bytes_out = totals.bytes_out;
}

void splicing_rest(struct daemon *d)
{
	if (d->splice)
		splice_rest(d->splice);
}

bool splicing_idle(const struct daemon *d)
{
	struct splice_totals totals = {0};

	if (d->splice)
		splice_totals(d->splice, &totals);
	return totals.open == 0;
}

void splicing_close(struct daemon *d)
{
	static const struct timespec moment = {.tv_nsec = 100000000};
	const bool cut = !splicing_idle(d);

	splicing_abandon(d);
	splice_close(d->splice);
	d->splice = NULL;
	/* RSTs to those that were left may pass by the queues, which are read until then. */
	if (cut)
		nanosleep(&moment, NULL);
}
