/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log's bounds, and what its lines look like. Standard error is a file while a test looks at
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/endpoint.h"
#include "daemon/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char captured[1 << 17];

static int capture_start(void)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(f);
	dup2(fileno(f), STDERR_FILENO);
	fclose(f);
	return saved;
}

static void capture_end(int saved)
{
	ssize_t len = pread(STDERR_FILENO, captured, sizeof(captured) - 1, 0);

	dup2(saved, STDERR_FILENO);
	close(saved);
	captured[len < 0 ? 0 : len] = '\0';
}

static size_t count_of(const char *text)
{
	size_t n = 0;

	for (const char *at = captured; (at = strstr(at, text)) != NULL; at += strlen(text))
		n++;
	return n;
}

static void a_bucket_holds_50_and_refills_by_10_a_second(void **state)
{
	struct log_site site = {0};
	uint64_t now = 5000000;
	int allowed = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		allowed += log_site_allows(&site, now);
	assert_int_equal(allowed, LOG_BURST);
	assert_false(log_site_allows(&site, now + 99999));
	assert_true(log_site_allows(&site, now + 100000));
	assert_false(log_site_allows(&site, now + 100000));

	now += 60000000;
	for (int i = 0; i < 1000; i++)
		allowed += log_site_allows(&site, now);
	assert_int_equal(allowed, 2 * LOG_BURST);
}

static void what_is_withheld_is_summed_up(void **state)
{
	(void)state;
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	int saved = capture_start();
	for (int i = 0; i < LOG_BURST + 20; i++)
		log_info("line %d", i);
	log_info("another place");
	log_tick();
	log_tick();
	capture_end(saved);
	assert_in_range(count_of(" info: line "), LOG_BURST, LOG_BURST + 2);
	assert_int_equal(count_of("another place"), 1);
	assert_int_equal(count_of("more of these were not logged: line %d"), 1);
}

static void levels_hold(void **state)
{
	(void)state;
	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	int saved = capture_start();
	log_error("one");
	log_warning("two");
	log_notice("three");
	log_text(LOG_LEVEL_ERROR, "four\n\nfive\n");
	capture_end(saved);
	assert_int_equal(count_of("\n"), 4);
	assert_non_null(strstr(captured, " error: one\n"));
	assert_non_null(strstr(captured, " warning: two\n"));
	assert_non_null(strstr(captured, " error: five\n"));
}

static void control_characters_and_long_lines_are_harmless(void **state)
{
	char *text = malloc(5000);

	(void)state;
	memset(text, 'y', 4999);
	text[4999] = '\0';
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	int saved = capture_start();
	log_info("a\nb\033[31m");
	log_info("%s", text);
	log_text(LOG_LEVEL_INFO, text);
	capture_end(saved);
	free(text);
	assert_non_null(strstr(captured, "a?b?[31m\n"));
	assert_int_equal(count_of("\n"), 2 + 5); /* cut the one, broken the other */
}

static struct report report_of(enum reason reason, enum cause cause)
{
	struct report r = {.reason = reason, .cause = cause};
	struct addr_range range;

	assert_true(endpoint_parse("192.0.2.1:1025", &range, &r.tuple.client_port));
	r.tuple.client = range.first;
	assert_true(endpoint_parse("[2001:db8::1]:80", &range, &r.tuple.server_port));
	r.tuple.server = range.first;
	return r;
}

static void refusals_say_who_and_why(void **state)
{
	struct report dropped = report_of(REASON_no_flow, CAUSE_NONE);
	struct report failed = report_of(REASON_NONE, CAUSE_no_syn_ack);

	(void)state;
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	int saved = capture_start();
	log_refused(&dropped, "web");
	dropped.observed = true;
	log_refused(&dropped, NULL);
	log_refused(&failed, "web");
	capture_end(saved);
	assert_non_null(strstr(captured, " info: refused: 192.0.2.1:1025 -> [2001:db8::1]:80, rule "
					 "web: no_flow, belongs to"));
	assert_non_null(strstr(captured, " info: would be refused: 192.0.2.1:1025 -> "
					 "[2001:db8::1]:80, rule none: no_flow, "));
	assert_non_null(
		strstr(captured, " info: handshake 192.0.2.1:1025 -> [2001:db8::1]:80 failed at "
				 "SYN-ACK, rule web: no_syn_ack, the server did not answer\n"));
}

static void a_reader_that_stopped_costs_lines_not_time(void **state)
{
	int fds[2];
	int saved = dup(STDERR_FILENO);

	(void)state;
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	assert_int_equal(pipe(fds), 0);
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	dup2(fds[1], STDERR_FILENO);
	for (int i = 0; i < 1000; i++)
		log_text(LOG_LEVEL_INFO, "to a pipe that nobody reads");
	ssize_t len = read(fds[0], captured, sizeof(captured));
	log_tick();
	ssize_t more = read(fds[0], captured, sizeof(captured) - 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
	assert_true(len > 0 && more > 0);
	captured[more] = '\0';
	assert_int_equal(count_of(" lines are lost"), 1);
}

static const char journal_path[] = "test_log.journal";

/* A journal that is there and has not read anything yet. */
static int journal_start(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(at.sun_path, journal_path, sizeof(journal_path));
	unlink(journal_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	log_open(LOG_TO_JOURNAL, LOG_LEVEL_INFO);
	log_journal(journal_path);
	return fd;
}

static void the_journal_gets_a_refusal_s_fields(void **state)
{
	struct report failed = report_of(REASON_NONE, CAUSE_no_syn_ack);
	int fd = journal_start();

	(void)state;
	log_refused(&failed, "web");
	ssize_t len = recv(fd, captured, sizeof(captured) - 1, MSG_DONTWAIT);
	close(fd);
	unlink(journal_path);
	assert_true(len > 0);
	captured[len] = '\0';
	assert_string_equal(captured,
		"MESSAGE=handshake 192.0.2.1:1025 -> [2001:db8::1]:80 failed "
		"at SYN-ACK, rule web: no_syn_ack, the server did not answer\n"
		"PRIORITY=6\n"
		"SYSLOG_IDENTIFIER=ackgated\n"
		"ACKGATE_CLIENT=192.0.2.1:1025\n"
		"ACKGATE_SERVER=[2001:db8::1]:80\n"
		"ACKGATE_RULE=web\n"
		"ACKGATE_REASON=none\n"
		"ACKGATE_CAUSE=no_syn_ack\n");
}

static void a_journal_that_stopped_costs_lines_not_time(void **state)
{
	int fd = journal_start();
	int saved = capture_start();

	(void)state;
	alarm(20); /* ends the test if a line waits */
	for (int i = 0; i < 3000; i++)
		log_text(LOG_LEVEL_INFO, "to a journal that does not read");
	alarm(0);
	capture_end(saved);
	close(fd);
	unlink(journal_path);
	assert_in_range(count_of("to a journal that does not read"), 1, 2999);
}

static void *log_a_lot(void *arg)
{
	for (int i = 0; i < 10000; i++)
		log_info("from one of several threads %p", arg);
	return NULL;
}

static void threads_share_a_bucket(void **state)
{
	pthread_t threads[4];

	(void)state;
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	int saved = capture_start();
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, log_a_lot, NULL);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_tick();
	capture_end(saved);
	assert_in_range(count_of(" info: from one"), LOG_BURST, LOG_BURST + 20);
	assert_int_equal(count_of("more of these were not logged: from one of several"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_holds_50_and_refills_by_10_a_second),
		cmocka_unit_test(what_is_withheld_is_summed_up),
		cmocka_unit_test(levels_hold),
		cmocka_unit_test(control_characters_and_long_lines_are_harmless),
		cmocka_unit_test(refusals_say_who_and_why),
		cmocka_unit_test(a_reader_that_stopped_costs_lines_not_time),
		cmocka_unit_test(the_journal_gets_a_refusal_s_fields),
		cmocka_unit_test(a_journal_that_stopped_costs_lines_not_time),
		cmocka_unit_test(threads_share_a_bucket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
