/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the helper does and refuses, and what is left after the drop. The parts that need root are
 * skipped without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/frame.h"
#include "daemon/helper.h"
#include "daemon/privileges.h"
#include "daemon/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void only_the_iptables_programs_are_allowed(void **state)
{
	static const struct {
		const char *argv[6];
		const char *input;
		bool allowed;
	} rows[] = {
		{{"iptables", "-w", "-t", "mangle", "-S"}, NULL, true},
		{{"ip6tables", "-V"}, NULL, true},
		{{"iptables-restore", "--noflush", "-w", "5"},
			"*raw\n-A X -m mark --mark 1\nCOMMIT\n", true},
		{{"ip6tables-restore", "--noflush", "--test"},
			"*raw\n-A X -j MARK -m statistic --mode random\n", true},
		{{"iptables-save", "-c", "-t", "raw"}, NULL, true},
		{{NULL}, NULL, false},
		{{""}, NULL, false},
		{{"sh", "-c", "id"}, NULL, false},
		{{"/usr/sbin/iptables", "-S"}, NULL, false},
		{{"../sbin/iptables", "-S"}, NULL, false},
		{{"iptables-legacy", "-S"}, NULL, false},
		{{"iptables", "-M", "/tmp/evil", "-L"}, NULL, false},
		{{"iptables", "-nM/tmp/evil", "-L"}, NULL, false},
		{{"iptables", "--modprobe=/tmp/evil", "-L"}, NULL, false},
		{{"iptables", "--modp", "/tmp/evil", "-L"}, NULL, false},
		{{"iptables-save", "-M", "/tmp/evil"}, NULL, false},
		{{"iptables-save", "-f", "/etc/passwd"}, NULL, false},
		{{"iptables-save", "--file=/etc/passwd"}, NULL, false},
		{{"iptables-restore", "/etc/shadow"}, NULL, false},
		{{"iptables-restore"}, "*raw\n-A X -M /tmp/evil\nCOMMIT\n", false},
		{{"iptables-restore"}, "*raw\n-A X \"-M\" /tmp/evil\nCOMMIT\n", false},
		{{"iptables-restore"}, "*raw\n-A X -\"M\" /tmp/evil\nCOMMIT\n", false},
		{{"iptables-restore"}, "*raw\n-A X --modprob\\e=/tmp/evil\nCOMMIT\n", false},
		{{"iptables-restore"}, "*raw\n-A X -vM/tmp/evil", false},
	};
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (program_allowed(rows[i].argv, rows[i].input, why, sizeof(why)) !=
			rows[i].allowed)
			fail_msg("row %zu, %s %s", i, rows[i].argv[0], rows[i].argv[1]);
}

static void a_program_gets_its_input_and_is_heard(void **state)
{
	static const char *const cat[] = {"cat", NULL};
	static const char *const env[] = {"env", NULL};
	static const char *const no_such[] = {"no-such-program", NULL};
	static const char *const ls[] = {"ls", "/nowhere", NULL};
	size_t size = 3 << 20;
	char *input = malloc(size + 1), *output;

	(void)state;
	memset(input, 'i', size);
	input[size] = '\0';
	assert_int_equal(program_run(cat, input, 10000, &output), 0);
	assert_int_equal(strlen(output), size);
	free(input);
	free(output);
	assert_int_equal(program_run(env, NULL, 10000, &output), 0);
	assert_string_equal(output, "PATH=/usr/sbin:/sbin:/usr/bin:/bin\nLC_ALL=C\n");
	free(output);
	assert_int_equal(program_run(no_such, NULL, 10000, &output), 127);
	assert_non_null(strstr(output, "No such file"));
	free(output);
	assert_int_equal(program_run(ls, NULL, 10000, &output), 2);
	assert_non_null(strstr(output, "/nowhere"));
	free(output);
}

static void a_program_that_does_not_end_is_ended(void **state)
{
	static const char *const sleep_long[] = {"sleep", "20", NULL};
	static const char *const yes[] = {"yes", NULL};
	time_t start = time(NULL);
	char *output;

	(void)state;
	assert_int_equal(program_run(sleep_long, NULL, 300, &output), -1);
	assert_non_null(strstr(output, "did not end"));
	free(output);
	assert_int_equal(program_run(yes, NULL, 300, &output), -1);
	assert_true(strlen(output) < 9 << 20);
	free(output);
	assert_true(time(NULL) - start < 10);
}

static void wrong_frames_are_refused(void **state)
{
	/* kind, parts, bytes, then parts */
	static const uint32_t rows[][6] = {
		{1, 1, 4, 5, 0, 0},
		{1, 1, 4, UINT32_MAX, 0, 0},
		{1, 2, 4, 0, 0, 0},
		{1, UINT32_MAX, 4, 0, 0, 0},
		{1, 1, UINT32_MAX, 0, 0, 0},
		{1, 0, 4, 0, 0, 0},
		{1, 1, 12, 4, 0, 0},
	};
	struct frame f;
	int fds[2];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(write(fds[0], rows[i], sizeof(rows[i])), sizeof(rows[i]));
		close(fds[0]);
		assert_false(frame_receive(fds[1], &f));
		close(fds[1]);
	}
}

static struct helper *start_helper_of(const char *config_file, const char *control)
{
	char why[256];
	struct helper *h = helper_start(config_file, control, why, sizeof(why));

	assert_non_null(h);
	return h;
}

static struct helper *start_helper(const char *config_file)
{
	return start_helper_of(config_file, "/nowhere.sock");
}

static void the_helper_refuses_other_programs(void **state)
{
	static const char *const id[] = {"id", NULL};
	static const char *const version[] = {"iptables", "-V", NULL};
	struct helper *h = start_helper("/nowhere.ini");
	char *output;

	(void)state;
	assert_int_equal(helper_exec(h, id, NULL, &output), -1);
	assert_string_equal(output, "the helper does not run 'id'");
	free(output);
	int status = helper_exec(h, version, NULL, &output);
	if (status != 127) {
		assert_int_equal(status, 0);
		assert_memory_equal(output, "iptables v", 10);
	}
	free(output);
	assert_int_equal(helper_exec(h, version, NULL, NULL), status);
	helper_stop(h);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void the_helper_reads_the_configuration(void **state)
{
	char directory[] = "/tmp/test_privileges.XXXXXX", file[64];
	struct config_errors errors = {0};
	size_t count = 0;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/test.ini", directory);
	struct helper *h = start_helper(file);
	assert_null(helper_read_config(h, &count, &errors));
	assert_int_equal(errors.count, 1);
	config_errors_free(&errors);

	write_file(file, "[rule web]\nport = 80\n");
	errors = (struct config_errors){0};
	struct config_source *sources = helper_read_config(h, &count, &errors);
	assert_non_null(sources);
	assert_int_equal(count, 1);
	assert_string_equal(sources[0].name, file);
	assert_int_equal(sources[0].len, 21);
	assert_memory_equal(sources[0].text, "[rule web]\nport = 80\n", 21);
	helper_free_sources(sources, count);
	helper_stop(h);
	unlink(file);
	rmdir(directory);
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/* The one socket, and in the folder that was there at the start: a link in its place leads nowhere.
 */
static void the_helper_removes_the_control_socket(void **state)
{
	char directory[] = "/tmp/test_privileges.XXXXXX", path[64], folder[64], moved[64], why[128];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(folder, sizeof(folder), "%s/run", directory);
	snprintf(moved, sizeof(moved), "%s/moved", directory);
	snprintf(path, sizeof(path), "%s/run/control.sock", directory);
	assert_int_equal(mkdir(folder, 0755), 0);
	struct helper *h = start_helper_of("/nowhere.ini", path);
	assert_true(helper_remove_socket(h, why, sizeof(why)));

	make_socket(path);
	assert_true(helper_remove_socket(h, why, sizeof(why)));
	assert_int_equal(access(path, F_OK), -1);
	write_file(path, "a file");
	assert_false(helper_remove_socket(h, why, sizeof(why)));
	assert_string_equal(why, "it is no socket");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(rename(folder, moved), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	make_socket(path);
	assert_true(helper_remove_socket(h, why, sizeof(why)));
	assert_int_equal(unlink(path), 0);
	helper_stop(h);
	assert_false(helper_remove_socket(NULL, why, sizeof(why)));
	rmdir(folder);
	rmdir(moved);
	rmdir(directory);
}

/* The process group gets what Ctrl-C sends; the helper outlives it, and ends when its daemon is
 * gone. */
static void the_helper_outlives_signals_but_not_its_daemon(void **state)
{
	static const char *const id[] = {"id", NULL};
	int fds[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid_t daemon = fork();
	if (daemon == 0) {
		setpgid(0, 0);
		struct helper *h = start_helper("/nowhere.ini");
		char *output = NULL;
		helper_exec(h, id, NULL, &output); /* it is up */
		free(output);
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		kill(0, SIGINT);
		kill(0, SIGTERM);
		kill(0, SIGHUP);
		helper_exec(h, id, NULL, &output);
		bool alive = strcmp(output, "the helper does not run 'id'") == 0;
		free(output);
		_exit(alive ? 0 : 1);
	}
	close(fds[1]);
	int status = -1;
	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	assert_int_equal(status, 0);
	/* The helper held the other copy of fds[1]: the end of file says that it is gone. */
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
}

static void too_much_is_refused_and_harmless(void **state)
{
	static const char *const version[] = {"iptables", "-V", NULL};
	struct helper *h = start_helper("/nowhere.ini");
	size_t size = FRAME_BYTES_MAX + 1;
	char *input = malloc(size + 1), *output;
	const char *many[300] = {NULL};

	(void)state;
	for (size_t i = 0; i < 299; i++)
		many[i] = "iptables";
	assert_int_equal(helper_exec(h, many, NULL, &output), -1);
	assert_non_null(strstr(output, "more than the helper process takes"));
	free(output);
	memset(input, 'i', size);
	input[size] = '\0';
	assert_int_equal(helper_exec(h, version, input, &output), -1);
	assert_non_null(strstr(output, "more than the helper process takes"));
	free(input);
	free(output);
	assert_int_not_equal(helper_exec(h, version, NULL, NULL), -1);
	helper_stop(h);
}

static void an_unknown_user_is_named(void **state)
{
	static const char *const owned[] = {NULL};
	char why[256];

	(void)state;
	assert_false(privileges_drop("no-such-user-here", owned, why, sizeof(why)));
	assert_non_null(strstr(why, "there is no user 'no-such-user-here'"));
}

static bool given(const char *path, char *why, size_t why_size)
{
	const char *const owned[] = {path, NULL};
	int status = -1, fds[2];

	assert_int_equal(pipe(fds), 0);
	pid_t child = fork();
	if (child == 0) {
		why[0] = '\0';
		bool fine = privileges_drop("nobody", owned, why, why_size);
		_exit(write(fds[1], why, strlen(why) + 1) < 0 || !fine);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(read(fds[0], why, why_size) > 0);
	close(fds[0]);
	close(fds[1]);
	return status == 0;
}

static void a_shared_folder_is_not_given_away(void **state)
{
	char directory[] = "/tmp/test_privileges.XXXXXX", inner[64], deeper[80], why[256];

	(void)state;
	if (geteuid() != 0 || !privileges_enough(why, sizeof(why)))
		skip();
	assert_non_null(mkdtemp(directory));
	snprintf(inner, sizeof(inner), "%s/inner", directory);
	snprintf(deeper, sizeof(deeper), "%s/deeper", inner);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_false(given(directory, why, sizeof(why)));
	assert_non_null(strstr(why, "is shared with others"));
	assert_int_equal(chmod(inner, 0770), 0);
	assert_false(given(inner, why, sizeof(why)));
	assert_false(given("/tmp", why, sizeof(why)));
	assert_int_equal(chmod(inner, 0750), 0);
	assert_true(given(inner, why, sizeof(why)));
	/* The next start finds what it made in there. */
	assert_int_equal(mkdir(deeper, 0755), 0);
	assert_true(given(inner, why, sizeof(why)));
	rmdir(deeper);
	rmdir(inner);
	rmdir(directory);
}

/* The value of a line of /proc/self/status, base 16; -1 if there is none. */
static long long own_status(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long long value = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoll(line + strlen(key), NULL, 16);
	if (f != NULL)
		fclose(f);
	return value;
}

/* Runs in a child: its exit status is the number of the first step that went wrong. */
static int drop_and_look(const char *user, const char *file)
{
	const long long kept = 1 << 10 | 1 << 12 | 1 << 13;
	const char *const owned[] = {file, "/nowhere/to/be/found", NULL};
	bool root = strcmp(user, "root") == 0;
	char why[256];
	struct stat st;

	if (!privileges_enough(why, sizeof(why)))
		return 1;
	if (!privileges_drop(user, owned, why, sizeof(why)))
		return 2;
	if ((geteuid() == 0) != root)
		return 3;
	if (own_status("CapEff:") != kept || own_status("CapPrm:") != kept)
		return 4;
	if (own_status("CapBnd:") != 0 || own_status("CapAmb:") != 0 || own_status("CapInh:") != 0)
		return 5;
	if (own_status("NoNewPrivs:") != 1)
		return 6;
	if (stat(file, &st) < 0 || st.st_uid != geteuid())
		return 7;
	if (!root && setuid(0) == 0)
		return 8;
	return 0;
}

static void three_capabilities_are_left(void **state)
{
	static const char *const users[] = {"root", "nobody"};
	char file[] = "/tmp/test_privileges.XXXXXX", why[256];

	(void)state;
	if (geteuid() != 0 || !privileges_enough(why, sizeof(why)))
		skip();
	int fd = mkstemp(file);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		int status = -1;
		pid_t child = fork();
		if (child == 0)
			_exit(drop_and_look(users[i], file));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("user %s: step %d", users[i], WEXITSTATUS(status));
	}
	close(fd);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_iptables_programs_are_allowed),
		cmocka_unit_test(a_program_gets_its_input_and_is_heard),
		cmocka_unit_test(a_program_that_does_not_end_is_ended),
		cmocka_unit_test(wrong_frames_are_refused),
		cmocka_unit_test(the_helper_refuses_other_programs),
		cmocka_unit_test(the_helper_reads_the_configuration),
		cmocka_unit_test(the_helper_removes_the_control_socket),
		cmocka_unit_test(the_helper_outlives_signals_but_not_its_daemon),
		cmocka_unit_test(too_much_is_refused_and_harmless),
		cmocka_unit_test(an_unknown_user_is_named),
		cmocka_unit_test(a_shared_folder_is_not_given_away),
		cmocka_unit_test(three_capabilities_are_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
