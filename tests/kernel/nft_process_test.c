/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that speaks with nftables: what it does for us, what it may, and what its failures
 * come to. */
#include "config.h"

#include "daemon/nft_process.h"
#include "kernel/nft_run.h"
#include "netns.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MANY = 1100, /* descriptors: more than an fd_set has */
	ELEMENTS = 400000,
	MUCH = 8000, /* pages */
};

static struct nft_process *start(void)
{
	char why[256];
	struct nft_process *p = nft_process_start("nobody", why, sizeof(why));

	if (p == NULL)
		fail_msg("%s", why);
	return p;
}

static void runs(const char *command)
{
	char *said;
	bool ok = nft_run(command, NFT_RUN_PLAIN, &said);

	if (!ok)
		fail_msg("%s: %s", command, said != NULL ? said : "");
	free(said);
}

static void refuses(const char *command, const char *words)
{
	char *said;

	assert_false(nft_run(command, NFT_RUN_PLAIN, &said));
	assert_non_null(said);
	if (strstr(said, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, said);
	free(said);
}

/* The youngest child of a process. */
static pid_t child_of(pid_t parent)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1)
		;
	fclose(f);
	assert_true(pid > 0);
	return pid;
}

static void test_rules_go_in_and_are_listed(void **state)
{
	int ns = netns_new();
	struct nft_process *p = start();
	json_t *listed;

	(void)state;
	runs("table inet t { chain c { counter comment \"ackgate:drop:no_flow:0\"; }; }");
	listed = nft_run_list("list table inet t", NFT_RUN_JSON);
	assert_non_null(listed);
	struct ruleset_found found;
	nft_run_read(listed, &found);
	assert_int_equal(found.rules, 1);
	json_decref(listed);
	refuses("table inet t { chain c { nonsense; }; }", "nonsense");
	refuses("list table inet u", "No such file or directory");
	nft_process_stop(p);
	netns_sh("nft list table inet t >/dev/null");
	/* Here again. */
	runs("delete table inet t");
	close(ns);
}

static void test_no_descriptor_is_too_many(void **state)
{
	int ns = netns_new(), opened[MANY];
	struct nft_process *p = start();
	struct rlimit limit = {MANY + 64, MANY + 64};

	(void)state;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < MANY; i++)
		assert_int_not_equal(opened[i] = open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
	runs("add table inet t");
	for (int i = 0; i < MANY; i++)
		close(opened[i]);
	nft_process_stop(p);
	close(ns);
}

static void may_little(pid_t pid)
{
	char path[64], line[256];
	unsigned uid = 0;
	unsigned long long effective = 0, bounding = 1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "Uid: %u", &uid);
		sscanf(line, "CapEff: %llx", &effective);
		sscanf(line, "CapBnd: %llx", &bounding);
	}
	fclose(f);
	assert_int_not_equal(uid, 0);
	assert_int_equal(effective, 1ull << 12); /* CAP_NET_ADMIN */
	assert_int_equal(bounding, 0);
}

static void test_it_is_the_user_and_may_little(void **state)
{
	int ns = netns_new();
	struct nft_process *p = start();
	const pid_t child = child_of(getpid());

	(void)state;
	refuses("include \"/etc/shadow\"", "Permission denied");
	may_little(child);
	may_little(child_of(child));
	nft_process_stop(p);
	close(ns);
}

static pid_t runner(void)
{
	return child_of(child_of(getpid()));
}

static unsigned long pages_of(pid_t pid)
{
	char path[64];
	unsigned long pages = 0;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages;
}

/* Once it has grown by what only the command's set can be. */
static void *abort_a_command(void *arg)
{
	const pid_t pid = *(const pid_t *)arg;
	const unsigned long before = pages_of(pid);

	while (pages_of(pid) < before + MUCH)
		usleep(1000);
	kill(pid, SIGABRT);
	return NULL;
}

static char *large_command(void)
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	fputs("table inet t { set s { type mark; elements = { 0", to);
	for (unsigned i = 1; i < ELEMENTS; i++)
		fprintf(to, ", %u", i);
	fputs(" }; }; }", to);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void test_a_crash_is_one_commands_failure(void **state)
{
	int ns = netns_new();
	struct nft_process *p = start();
	char *large = large_command();
	pthread_t thread;
	pid_t pid;

	(void)state;
	runs("add table inet u");
	pid = runner();
	assert_int_equal(pthread_create(&thread, NULL, abort_a_command, &pid), 0);
	refuses(large, "libnftables was ended by signal 6");
	pthread_join(thread, NULL);
	runs("add table inet u");
	/* Between two commands nobody notices. */
	usleep(100000);
	kill(runner(), SIGKILL);
	runs("add table inet v");
	free(large);
	nft_process_stop(p);
	close(ns);
}

static void test_when_it_is_gone(void **state)
{
	int ns = netns_new();
	struct nft_process *p = start();

	(void)state;
	kill(child_of(getpid()), SIGKILL);
	while (!nft_process_is_gone(p))
		usleep(1000);
	for (int i = 0; i < 2; i++)
		refuses("add table inet t", "the process that speaks with nftables is gone");
	nft_process_stop(p);
	close(ns);
}

static void test_an_unknown_user(void **state)
{
	char why[256];

	(void)state;
	assert_null(nft_process_start("nobody-at-all", why, sizeof(why)));
	assert_non_null(strstr(why, "there is no user 'nobody-at-all'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_go_in_and_are_listed),
		cmocka_unit_test(test_it_is_the_user_and_may_little),
		cmocka_unit_test(test_a_crash_is_one_commands_failure),
		cmocka_unit_test(test_when_it_is_gone),
		cmocka_unit_test(test_an_unknown_user),
		cmocka_unit_test(test_no_descriptor_is_too_many),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
