/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secret's file, and what is kept of servers: both outlive a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/memory.h"
#include "daemon/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ackgate-secret-XXXXXX";
static char file[64];
static char why[512];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/cookie.secret", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/learned", folder);
	unlink(path);
	unlink(file);
	return rmdir(folder);
}

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void one_is_made_once(void **state)
{
	uint8_t first[COOKIE_SECRET], again[COOKIE_SECRET];
	static const uint8_t nothing[COOKIE_SECRET];
	struct stat st;

	(void)state;
	assert_false(secret_load(file, false, first, why, sizeof(why)));
	assert_non_null(strstr(why, file));
	assert_true(secret_load(file, true, first, why, sizeof(why)));
	assert_true(secret_load(file, true, again, why, sizeof(why)));
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, nothing, sizeof(first));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, COOKIE_SECRET);
}

static void thirty_two_bytes_are_taken_as_they_are(void **state)
{
	static const char text[] = "0123456789abcdef0123456789ABCDEF";
	uint8_t secret[COOKIE_SECRET];

	(void)state;
	write_file(file, text, COOKIE_SECRET, 0600);
	assert_true(secret_load(file, false, secret, why, sizeof(why)));
	assert_memory_equal(secret, text, sizeof(secret));
}

static void all_of_a_longer_one_counts(void **state)
{
	char text[100];
	uint8_t one[COOKIE_SECRET], other[COOKIE_SECRET];

	(void)state;
	memset(text, 'x', sizeof(text));
	write_file(file, text, sizeof(text), 0600);
	assert_true(secret_load(file, false, one, why, sizeof(why)));
	text[99] = 'y';
	write_file(file, text, sizeof(text), 0600);
	assert_true(secret_load(file, false, other, why, sizeof(why)));
	assert_memory_not_equal(one, other, sizeof(one));
}

static void what_is_no_secret_is_refused(void **state)
{
	uint8_t secret[COOKIE_SECRET];
	char text[COOKIE_SECRET] = "x";

	(void)state;
	write_file(file, text, COOKIE_SECRET - 1, 0600);
	assert_false(secret_load(file, true, secret, why, sizeof(why)));
	assert_non_null(strstr(why, "holds 31 bytes: 32 are needed"));
	write_file(file, text, COOKIE_SECRET, 0640);
	assert_false(secret_load(file, true, secret, why, sizeof(why)));
	assert_non_null(strstr(why, "chmod 600"));
	/* Nor does anything else wait for somebody to write it. */
	unlink(file);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_false(secret_load(file, true, secret, why, sizeof(why)));
	unlink(file);
	assert_int_equal(symlink("/dev/zero", file), 0);
	assert_false(secret_load(file, true, secret, why, sizeof(why)));
	unlink(file);
}

static const struct siphash_key key = {1, 2};

static struct learned_server server_with_all(void)
{
	return (struct learned_server){
		.addr = {.b = {0xfd, [15] = 7}},
		.port = 443,
		.options = {.mss = 1440,
			.wscale_shift = 9,
			.wscale = LEARNED_YES,
			.sack = LEARNED_NO,
			.timestamps = LEARNED_YES},
		.route = LEARNED_ROUTE_ONE,
		.public_addr = {.b = {0xfd, [15] = 9}},
		.public_port = 8443,
		.route_wanted = true,
	};
}

static void assert_same(const struct learned_server *a, const struct learned_server *b)
{
	assert_memory_equal(&a->addr, &b->addr, sizeof(a->addr));
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->options.mss, b->options.mss);
	assert_int_equal(a->options.wscale_shift, b->options.wscale_shift);
	assert_int_equal(a->options.wscale, b->options.wscale);
	assert_int_equal(a->options.sack, b->options.sack);
	assert_int_equal(a->options.timestamps, b->options.timestamps);
	assert_int_equal(a->options.ecn, b->options.ecn);
	assert_int_equal(a->route, b->route);
	assert_memory_equal(&a->public_addr, &b->public_addr, sizeof(a->public_addr));
	assert_int_equal(a->public_port, b->public_port);
	assert_int_equal(a->route_wanted, b->route_wanted);
}

static void what_is_known_of_servers_is_kept(void **state)
{
	struct learned *before = learned_new(64, &key), *after = learned_new(64, &key);
	struct learned_server knew = server_with_all(), knows;
	uint64_t hash = 0, first;

	(void)state;
	learned_recall(before, &knew);
	memory_save(folder, before, &hash);
	memory_load(folder, after);
	assert_true(learned_find(after, &knew.addr, knew.port, &knows));
	assert_same(&knows, &knew);

	first = hash;
	memory_save(folder, before, &hash);
	assert_true(hash == first);
	learned_forget(before, &knew.addr, knew.port);
	memory_save(folder, before, &hash);
	assert_true(hash != first);
	learned_free(before);
	learned_free(after);
}

static unsigned count_servers(const char *text)
{
	struct learned *l = learned_new(64, &key);
	struct learned_server s = server_with_all();
	char path[64];
	unsigned found;

	snprintf(path, sizeof(path), "%s/learned", folder);
	write_file(path, text, strlen(text), 0600);
	memory_load(folder, l);
	found = learned_find(l, &s.addr, s.port, &s);
	learned_free(l);
	return found;
}

/* Whatever is in the file, it is no more than a hint. */
static void nonsense_is_passed_over(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "null", "[1, [], {}]",
		"[{\"server\": 7}]", "[{\"server\": \"[fd00::7]\"}]",
		"[{\"server\": \"[fd00::7]:0\"}]"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(count_servers(texts[i]), 0);
	assert_int_equal(count_servers("[{\"server\": \"[fd00::7]:443\", \"mss\": 99999999, "
				       "\"wscale_shift\": -1, \"sack\": \"yes\"}]"),
		1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_made_once),
		cmocka_unit_test(thirty_two_bytes_are_taken_as_they_are),
		cmocka_unit_test(all_of_a_longer_one_counts),
		cmocka_unit_test(what_is_no_secret_is_refused),
		cmocka_unit_test(what_is_known_of_servers_is_kept),
		cmocka_unit_test(nonsense_is_passed_over),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
