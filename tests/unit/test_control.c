/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket with a daemon that only pretends. Server and clients share one thread: waiting
 * is turning the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/control.h"
#include "control/records.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fake {
	struct config *config;
	uint64_t confirm_us;
	uint64_t drain_us;
	struct filter filter;
	size_t limit;
	bool large;
};

static struct fake fake;
static struct event_base *base;
static struct control *control;
static char directory[] = "/tmp/test_control.XXXXXX";
static char path[64];

static json_t *fake_status(void *arg)
{
	static const struct policy_rule rule = {
		.name = "web\xff", .mode = MODE_GATE, .enforce = true};
	static const struct status_rule rules[] = {{.rule = &rule, .matched = 7}};
	static const char *const notes[] = {"a note"};
	struct status s = {.version = "1.2.3",
		.enforce = true,
		.rules = rules,
		.rule_count = 1,
		.notes = notes,
		.note_count = 1};

	(void)arg;
	s.drops[REASON_no_flow] = 5;
	s.handshakes.failed[CAUSE_refused] = 3;
	return status_json(&s);
}

static json_t *fake_flows(void *arg, const struct filter *filter, size_t limit)
{
	struct fake *f = arg;
	struct engine_flow_info flow = {
		.client_state = "SYN_SENT", .server_state = "LISTEN", .flow_state = "half-open"};
	struct records_flows records;

	f->filter = *filter;
	f->limit = limit;
	records_flows_start(&records, limit);
	for (unsigned i = 0; i < (f->large ? 10000u : 3u); i++)
		records_flows_add(&records, &flow, i == 0 ? NULL : "web");
	return records_flows_end(&records);
}

static long fake_kill(void *arg, const struct filter *filter, char **message)
{
	struct fake *f = arg;

	f->filter = *filter;
	if (filter->terms & FILTER_RULE) {
		*message = strdup("no rule has that name");
		return -1;
	}
	return 2;
}

static json_t *fake_failures(void *arg)
{
	struct failure failure = {.at_us = 1500000, .report = {.cause = CAUSE_no_ack}};

	(void)arg;
	return json_pack("{s:[o]}", "failures", records_failure(&failure, NULL));
}

static json_t *fake_rules(void *arg)
{
	(void)arg;
	return NULL;
}

static const struct config *fake_config(void *arg)
{
	struct fake *f = arg;

	return f->config;
}

static bool fake_reload(void *arg, uint64_t confirm_us, char **message)
{
	struct fake *f = arg;
	char *long_message = malloc(2000);

	f->confirm_us = confirm_us;
	memset(long_message, 'm', 1999);
	long_message[1999] = '\0';
	*message = long_message;
	return false;
}

static bool fake_confirm(void *arg, char **message)
{
	(void)arg, (void)message;
	return true;
}

static bool fake_drain(void *arg, uint64_t timeout_us, char **message)
{
	struct fake *f = arg;

	f->drain_us = timeout_us;
	*message = strdup("draining");
	return true;
}

static const struct control_ops ops = {
	.status = fake_status,
	.flows = fake_flows,
	.flows_kill = fake_kill,
	.failures = fake_failures,
	.rules = fake_rules,
	.config = fake_config,
	.reload = fake_reload,
	.confirm = fake_confirm,
	.drain = fake_drain,
};

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void turn(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Sends all of it, turning the loop as the socket fills up. */
static void put(int fd, const char *bytes, size_t len)
{
	for (int i = 0; len > 0 && i < 10000; i++) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		turn();
	}
}

/* The next line of an answer, parsed; NULL once the server has closed. */
static json_t *take(int fd)
{
	static char line[4 << 20];
	size_t len = 0;

	for (int idle = 0; idle < 1000; idle++) {
		ssize_t n = recv(fd, line + len, 1, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		if (n < 0) {
			turn();
			continue;
		}
		idle = 0;
		if (line[len++] == '\n')
			return json_loadb(line, len, 0, NULL);
	}
	fail_msg("no answer");
	return NULL;
}

static json_t *ask(const char *request)
{
	int fd = connect_client();

	put(fd, request, strlen(request));
	put(fd, "\n", 1);
	json_t *answer = take(fd);
	assert_non_null(answer);
	close(fd);
	turn();
	return answer;
}

static void answers_status(void **state)
{
	static const char *const keys[] = {"version", "uptime_s", "enforce", "config", "workers",
		"queue", "flows", "handshakes", "drops", "cookies", "sources", "splice", "rules"};
	json_t *answer = ask("{\"command\": \"status\"}");
	json_t *result = json_object_get(answer, "result");

	(void)state;
	assert_true(json_is_true(json_object_get(answer, "ok")));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_object_get(result, keys[i]));
	json_t *drops = json_object_get(result, "drops");
	assert_int_equal(json_object_size(drops), REASON_COUNT - 1);
	assert_int_equal(json_integer_value(json_object_get(drops, "no_flow")), 5);
	json_t *rule = json_array_get(json_object_get(result, "rules"), 0);
	assert_string_equal(json_string_value(json_object_get(rule, "name")), "web?");
	assert_int_equal(json_integer_value(json_object_get(rule, "matched")), 7);
	json_decref(answer);
}

static void passes_arguments_on(void **state)
{
	(void)state;
	json_decref(ask(
		"{\"command\": \"flows\", \"args\": {\"filter\": \"port 443\", \"limit\": 2}}"));
	assert_int_equal(fake.filter.terms, FILTER_PORT);
	assert_int_equal(fake.filter.port, 443);
	assert_int_equal(fake.limit, 2);
	json_decref(
		ask("{\"command\": \"flows kill\", \"args\": {\"filter\": \"client 192.0.2.1\"}}"));
	assert_int_equal(fake.filter.terms, FILTER_CLIENT);
	json_decref(ask("{\"command\": \"drain\", \"args\": {\"timeout_s\": 1.5}}"));
	assert_int_equal(fake.drain_us, 1500000);
	json_decref(ask("{\"command\": \"drain\"}"));
	assert_int_equal(fake.drain_us, 0);
}

static void shows_the_configuration(void **state)
{
	json_t *answer = ask("{\"command\": \"config\"}");
	const char *text = NULL, *port = NULL;

	(void)state;
	assert_int_equal(json_unpack(answer, "{s:{s:s, s:{s:{s:s}}}}", "result", "text", &text,
				 "sections", "rule web", "port", &port),
		0);
	assert_non_null(strstr(text, "[rule web]"));
	assert_string_equal(port, "80");
	json_decref(answer);
}

static void refuses_in_words(void **state)
{
	static const struct {
		const char *request;
		const char *says;
	} rows[] = {
		{"", "no JSON"},
		{"status", "no JSON"},
		{"{", "no JSON"},
		{"[]", "{\"command\": NAME"},
		{"{\"command\": 1}", "{\"command\": NAME"},
		{"{\"command\": \"status\", \"command\": \"rules\"}", "no JSON"},
		{"{\"command\": \"status\", \"more\": 1}", "{\"command\": NAME"},
		{"{\"command\": \"status\", \"args\": []}", "no object"},
		{"{\"command\": \"status\", \"args\": {\"a\": 1}}", "args:"},
		{"{\"command\": \"halt\"}", "no command 'halt'"},
		{"{\"command\": \"flows\", \"args\": {\"filter\": \"web\"}}", "'web' is no part"},
		{"{\"command\": \"flows\", \"args\": {\"limit\": 0}}", "'limit' wants"},
		{"{\"command\": \"flows kill\", \"args\": {\"filter\": \" \"}}", "wants a filter"},
		{"{\"command\": \"flows kill\"}", "args:"},
		{"{\"command\": \"flows kill\", \"args\": {\"filter\": \"rule x\"}}",
			"no rule has"},
		{"{\"command\": \"reload\", \"args\": {\"confirm_s\": -1}}", "wants seconds"},
		{"{\"command\": \"reload\", \"args\": {\"confirm_s\": \"1\"}}", "wants seconds"},
		{"{\"command\": \"reload\", \"args\": {\"confirm_s\": 1e300}}", "wants seconds"},
		{"{\"command\": \"drain\", \"args\": {\"timeout_s\": 1e-9}}", "wants seconds"},
		{"{\"command\": \"rules\"}", "no memory"},
		{"{\"command\": \"reload\"}", "mmmm"},
		{"{\"command\": \"stat\xff\"}", "no JSON"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *answer = ask(rows[i].request);
		const char *error = json_string_value(json_object_get(answer, "error"));
		assert_true(json_is_false(json_object_get(answer, "ok")));
		assert_non_null(error);
		if (strstr(error, rows[i].says) == NULL)
			fail_msg("'%s' is answered by: %s", rows[i].request, error);
		json_decref(answer);
	}
}

static void long_messages_arrive_whole(void **state)
{
	json_t *answer = ask("{\"command\": \"reload\"}");

	(void)state;
	assert_int_equal(json_string_length(json_object_get(answer, "error")), 1999);
	json_decref(answer);
}

static void deep_nesting_is_refused(void **state)
{
	char *request = malloc(10001);

	(void)state;
	memset(request, '[', 10000);
	request[10000] = '\0';
	json_t *answer = ask(request);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
	free(request);
}

static void requests_on_one_connection_are_answered_in_order(void **state)
{
	static const char requests[] = "{\"command\": \"confirm\"}\n{\"command\": \"x\"}\r\n"
				       "{\"command\": \"confirm\"}";
	int fd = connect_client();

	(void)state;
	put(fd, requests, sizeof(requests) - 1);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 3; i++) {
		json_t *answer = take(fd);
		assert_int_equal(json_is_true(json_object_get(answer, "ok")), i != 1);
		json_decref(answer);
	}
	assert_null(take(fd));
	close(fd);
}

static void a_request_in_pieces_is_one_request(void **state)
{
	static const char request[] = "{\"command\": \"confirm\"}\n";
	int fd = connect_client();

	(void)state;
	for (size_t i = 0; i < sizeof(request) - 1; i++)
		put(fd, request + i, 1);
	json_t *answer = take(fd);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	close(fd);
	turn();
}

static void a_huge_request_is_cut_off(void **state)
{
	char *bytes = malloc(1 << 20);
	int fd = connect_client();

	(void)state;
	memset(bytes, ' ', 1 << 20);
	put(fd, bytes, 1 << 20);
	free(bytes);
	json_t *answer = take(fd);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
	assert_null(take(fd));
	close(fd);
	json_decref(ask("{\"command\": \"status\"}"));
}

/* It asks for 2 MB again and again and reads none: what it is owed must not pile up. */
static void a_client_that_does_not_read_is_not_served_on(void **state)
{
	static const char request[] = "{\"command\": \"flows\"}\n";
	int fd = connect_client();
	size_t sent = 0;

	(void)state;
	fake.large = true;
	for (int i = 0; i < 100000; i++) {
		if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
			break;
		sent++;
		if (i % 100 == 0)
			turn();
	}
	assert_in_range(sent, 2, 99999);
	fake.limit = 0;
	turn();
	assert_int_equal(fake.limit, 0);
	fake.large = false;
	json_decref(ask("{\"command\": \"status\"}"));
	close(fd);
	turn();
}

static void silent_clients_make_room(void **state)
{
	int fds[2 * CONTROL_CLIENTS_MAX];
	char byte;

	(void)state;
	for (size_t i = 0; i < 2 * CONTROL_CLIENTS_MAX; i++) {
		fds[i] = connect_client();
		turn();
	}
	json_decref(ask("{\"command\": \"status\"}"));
	assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
	assert_int_equal(recv(fds[2 * CONTROL_CLIENTS_MAX - 1], &byte, 1, 0), -1);
	for (size_t i = 0; i < 2 * CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	turn();
}

static void clients_that_leave_early_do_no_harm(void **state)
{
	static const char request[] = "{\"command\": \"status\"}\n";

	(void)state;
	for (int i = 0; i < 10; i++) {
		int fd = connect_client();
		assert_true(send(fd, request, sizeof(request) - 1, 0) > 0);
		close(fd);
	}
	turn();
	json_decref(ask("{\"command\": \"status\"}"));
}

static void a_socket_in_use_is_left_alone(void **state)
{
	char why[256];

	(void)state;
	assert_null(control_open(base, path, &ops, &fake, why, sizeof(why)));
	assert_non_null(strstr(why, "in use"));
	turn();
	json_decref(ask("{\"command\": \"status\"}"));
}

static void a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char why[256];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	struct control *c = control_open(base, address.sun_path, &ops, &fake, why, sizeof(why));
	assert_non_null(c);
	assert_true(control_close(c));
	assert_int_equal(access(address.sun_path, F_OK), -1);
}

static void other_files_are_left_alone(void **state)
{
	char file[80], long_path[300], why[256];

	(void)state;
	snprintf(file, sizeof(file), "%s/file", directory);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_null(control_open(base, file, &ops, &fake, why, sizeof(why)));
	assert_non_null(strstr(why, "no socket"));
	assert_int_equal(unlink(file), 0);
	memset(long_path, 'p', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_null(control_open(base, long_path, &ops, &fake, why, sizeof(why)));
	assert_null(control_open(base, "/nowhere/at/all", &ops, &fake, why, sizeof(why)));
}

static void its_group_alone_may_connect(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static int start(void **state)
{
	static const char text[] = "[rule web]\nport = 80\n";
	const struct config_source source = {"test.ini", text, sizeof(text) - 1};
	struct config_errors errors = {0};
	char why[256];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	fake.config = config_parse(&source, 1, NULL, &errors);
	if (fake.config == NULL || mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	base = event_base_new();
	control = control_open(base, path, &ops, &fake, why, sizeof(why));
	return control == NULL ? -1 : 0;
}

static int stop(void **state)
{
	(void)state;
	control_close(control);
	event_base_free(base);
	config_free(fake.config);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_status),
		cmocka_unit_test(passes_arguments_on),
		cmocka_unit_test(shows_the_configuration),
		cmocka_unit_test(refuses_in_words),
		cmocka_unit_test(long_messages_arrive_whole),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(requests_on_one_connection_are_answered_in_order),
		cmocka_unit_test(a_request_in_pieces_is_one_request),
		cmocka_unit_test(a_huge_request_is_cut_off),
		cmocka_unit_test(a_client_that_does_not_read_is_not_served_on),
		cmocka_unit_test(silent_clients_make_room),
		cmocka_unit_test(clients_that_leave_early_do_no_harm),
		cmocka_unit_test(a_socket_in_use_is_left_alone),
		cmocka_unit_test(a_stale_socket_is_replaced),
		cmocka_unit_test(other_files_are_left_alone),
		cmocka_unit_test(its_group_alone_may_connect),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
