/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From one configuration to the next: slots, keys that need a restart; and files. */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *parse(const char *text, const struct config *previous)
{
	const struct config_source source = {.name = "a", .text = text, .len = strlen(text)};
	struct config_errors errors = {0};
	struct config *c = config_parse(&source, 1, previous, &errors);

	if (c == NULL)
		fail_msg("%s", errors.count > 0 ? errors.list[0] : "no configuration and no fault");
	return c;
}

static void slots(void **state)
{
	struct config *first =
		parse("[rule a]\nport = 1\n[rule b]\nport = 2\n[rule c]\nport = 3\n", NULL);
	struct config *second = parse(
		"[rule n]\nport = 9\n[rule c]\nport = 3\n[rule a]\nport = 7\n[rule m]\nport = 4\n",
		first);
	struct config *third = parse("[rule x]\nport = 9\n[rule m]\nport = 1\n", second);

	(void)state;
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(first->policy.rules[i].slot, i);
	assert_int_equal(second->policy.rules[0].slot, 3); /* not 1: flows of b may still stand */
	assert_int_equal(second->policy.rules[1].slot, 2);
	assert_int_equal(second->policy.rules[2].slot, 0);
	assert_int_equal(second->policy.rules[3].slot, 4);
	assert_int_equal(third->policy.rules[0].slot, 1);
	assert_int_equal(third->policy.rules[1].slot, 4);
	config_free(first);
	config_free(second);
	config_free(third);
}

/* All slots taken before and all names new: then those of rules that have gone are good enough. */
static void all_slots(void **state)
{
	char *text = calloc(1, POLICY_RULES_MAX * 32);
	bool seen[POLICY_RULES_MAX] = {false};
	struct config *old = NULL;

	(void)state;
	assert_non_null(text);
	for (char round = 'a'; round <= 'b'; round++) {
		struct config *c;
		size_t len = 0;

		for (unsigned i = 0; i < POLICY_RULES_MAX; i++)
			len += (size_t)snprintf(text + len, 32, "[rule %c%u]\nport = %u\n",
				i == 0 ? 'z' : round, i, i + 1);
		c = parse(text, old);
		config_free(old);
		old = c;
	}
	assert_int_equal(old->policy.rules[0].slot, 0);
	for (size_t i = 0; i < POLICY_RULES_MAX; i++) {
		assert_in_range(old->policy.rules[i].slot, 0, POLICY_RULES_MAX - 1);
		assert_false(seen[old->policy.rules[i].slot]);
		seen[old->policy.rules[i].slot] = true;
	}
	config_free(old);
	free(text);
}

static void note(const char *section, const char *key, void *arg)
{
	char *noted = arg;

	sprintf(noted + strlen(noted), "%s %s\n", section, key);
}

static void restart_keys(void **state)
{
	struct config *old =
		parse("[daemon]\nuser = root\nworkers = 2\n[limits]\nsource_prefix6 = 56\n"
		      "[cookies]\nsecret_file = /etc/secret\n",
			NULL);
	struct config *next = parse(
		"[daemon]\ncontrol = /tmp/x\nlog_level = debug\nworkers = "
		"2\nstate_dir = /var/lib/longer/than/it/was\n"
		"drain = 1s\n[netfilter]\nqueue = 7\ntproxy_mark = 2\nadopt_window = "
		"5s\non_failure = "
		"closed\n[limits]\nhalf_open = 1m\nhandshakes_in_flight = 1k\nnever_block = ::1\n"
		"[cookies]\nrotation = 5m\n"
		"[timeouts]\nclosed = 3s\n",
		NULL);
	char noted[512] = "";

	(void)state;
	config_keep_restart_keys(old, next, note, noted);
	assert_string_equal(noted,
		"daemon user\ndaemon control\ndaemon state_dir\nnetfilter queue\nnetfilter "
		"tproxy_mark\nlimits half_open\n"
		"limits source_prefix6\nlimits handshakes_in_flight\ncookies secret_file\n");
	config_free(old);
	assert_string_equal(next->daemon.user, "root");
	assert_string_equal(next->daemon.control, "/run/ackgate/control.sock");
	assert_string_equal(next->daemon.state_dir, "/var/lib/ackgate");
	assert_int_equal(next->daemon.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(next->netfilter.queue, 5200);
	assert_int_equal(next->netfilter.tproxy_mark, 0x10000000);
	assert_int_equal(next->daemon.drain_us, 1000000);
	assert_false(next->netfilter.fail_open);
	assert_int_equal(next->policy.source_prefix6, 56);
	assert_int_equal(next->policy.adopt_window, 5);
	assert_int_equal(next->policy.half_open, 65536);
	assert_int_equal(next->limits.handshakes_in_flight, 16384);
	assert_int_equal(next->limits.never_block_count, 1);
	assert_string_equal(next->cookies.secret_file, "/etc/secret");
	assert_true(next->policy.cookies_shared);
	assert_int_equal(next->policy.cookie_rotation, 300);
	assert_int_equal(next->policy.timeouts.closed, 3);
	config_free(next);
}

static void unchanged(void **state)
{
	struct config *old = parse("[daemon]\nuser = someone\n", NULL);
	struct config *next = parse("[daemon]\nuser = someone\n[rule a]\n", old);
	char noted[512] = "";

	(void)state;
	config_keep_restart_keys(old, next, note, noted);
	assert_string_equal(noted, "");
	config_free(old);
	config_free(next);
}

struct folder {
	char path[64];
};

static void folder_write(const struct folder *f, const char *name, const char *text)
{
	char path[128];
	FILE *to;

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	to = fopen(path, "w");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static void folder_remove(const struct folder *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	remove(path);
}

static int folder_setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	*state = f;
	if (f == NULL)
		return -1;
	strcpy(f->path, "/tmp/test_config.XXXXXX");
	return mkdtemp(f->path) != NULL ? 0 : -1;
}

static int folder_teardown(void **state)
{
	static const char *const names[] = {"conf.d/20-b.ini", "conf.d/10-a.ini",
		"conf.d/.hidden.ini", "conf.d/notes.txt", "conf.d/30-c.ini", "conf.d",
		"ackgate.ini", ""};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		folder_remove(*state, names[i]);
	free(*state);
	return 0;
}

static struct config_source *folder_read(
	const struct folder *f, size_t *count, struct config_errors *errors)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ackgate.ini", f->path);
	return config_read(path, count, errors);
}

static void folder_conf_d(const struct folder *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/conf.d", f->path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void files(void **state)
{
	const struct folder *f = *state;
	struct config_errors errors = {0};
	struct config_source *sources;
	struct config *c;
	size_t count = 0;

	folder_conf_d(f);
	folder_write(f, "ackgate.ini", "[daemon]\n[rule main]\nport = 1\n");
	folder_write(f, "conf.d/20-b.ini", "[rule b]\nport = 3\n");
	folder_write(f, "conf.d/10-a.ini", "[rule a]\nport = 2");
	folder_write(f, "conf.d/.hidden.ini", "garbage");
	folder_write(f, "conf.d/notes.txt", "garbage");
	sources = folder_read(f, &count, &errors);
	assert_non_null(sources);
	assert_int_equal(count, 3);
	c = config_parse(sources, count, NULL, &errors);
	config_sources_free(sources, count);
	assert_non_null(c);
	assert_int_equal(c->policy.rule_count, 3);
	assert_string_equal(c->policy.rules[0].name, "main");
	assert_string_equal(c->policy.rules[1].name, "a");
	assert_string_equal(c->policy.rules[2].name, "b");
	assert_non_null(strstr(c->file, "/ackgate.ini"));
	config_free(c);
}

static void one_file(void **state)
{
	struct config_errors errors = {0};
	struct config_source *sources;
	size_t count = 0;

	folder_write(*state, "ackgate.ini", "");
	sources = folder_read(*state, &count, &errors);
	assert_non_null(sources);
	assert_int_equal(count, 1);
	assert_int_equal(sources[0].len, 0);
	config_sources_free(sources, count);
}

/* The main file missing, and a folder where a file belongs. */
static void unreadable(void **state)
{
	const struct folder *f = *state;
	struct config_errors errors = {0};
	char path[128], wanted[256];
	size_t count;

	folder_conf_d(f);
	snprintf(path, sizeof(path), "%s/conf.d/30-c.ini", f->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_null(folder_read(f, &count, &errors));
	assert_int_equal(errors.count, 2);
	snprintf(wanted, sizeof(wanted),
		"%s/ackgate.ini:1: the file can't be read: No such file or directory; name one "
		"that can",
		f->path);
	assert_string_equal(errors.list[0], wanted);
	snprintf(wanted, sizeof(wanted),
		"%s:1: the file can't be read: Is a directory; name one that can", path);
	assert_string_equal(errors.list[1], wanted);
	config_errors_free(&errors);
}

static void too_large(void **state)
{
	struct config_errors errors = {0};
	size_t size = 1024 * 1024 + 1, count;
	char *text = malloc(size + 1);

	assert_non_null(text);
	memset(text, '\n', size);
	text[size] = '\0';
	folder_write(*state, "ackgate.ini", text);
	assert_null(folder_read(*state, &count, &errors));
	assert_int_equal(errors.count, 1);
	assert_non_null(strstr(errors.list[0], "larger than 1 MiB"));
	config_errors_free(&errors);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots),
		cmocka_unit_test(all_slots),
		cmocka_unit_test(restart_keys),
		cmocka_unit_test(unchanged),
		cmocka_unit_test_setup_teardown(files, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(one_file, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(unreadable, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(too_large, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
