/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which source address a connection towards a server has, when some have no local port left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/dial.h"
#include "splice/sockaddr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	MANY = 32 /* ports, which the kernel chooses by chance: half of them odd */
};

static const uint64_t now = 5000000;

static const struct addr first = {.b = {[10] = 0xff, 0xff, 127, 0, 0, 2}};
static const struct addr second = {.b = {[10] = 0xff, 0xff, 127, 0, 0, 3}};

/* A server, and a rule with two source addresses. */
struct fixture {
	int listener;
	struct endpoint server;
	struct sockaddr_storage to;
	struct addr_range sources[2];
	struct route route;
	struct exhausted exhausted;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	socklen_t len = sizeof(f->to);

	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(f->listener, MANY), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&f->to, &len), 0);
	((struct sockaddr_in *)&f->to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(sockaddr_endpoint(&f->to, &f->server));
	f->sources[0].first = first;
	f->sources[1].first = second;
	f->route.set.source = SOURCE_LIST;
	f->route.set.sources = f->sources;
	f->route.set.source_count = 2;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	free(f);
	return 0;
}

static int dial(struct fixture *f, uint64_t now_us, enum dial_fault *fault)
{
	const struct dial d = {
		.route = &f->route,
		.to = &f->to,
		.len = sizeof(struct sockaddr_in),
		.exhausted = &f->exhausted,
		.now_us = now_us,
	};
	bool connected;

	return dial_begin(&d, &connected, fault);
}

static struct endpoint name_of(int fd)
{
	struct sockaddr_storage name;
	struct endpoint e = {0};
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_true(sockaddr_endpoint(&name, &e));
	return e;
}

/* A connection begins, from there. */
static void assert_dials_from(struct fixture *f, uint64_t now_us, const struct addr *source)
{
	struct endpoint from;
	enum dial_fault fault;
	int fd = dial(f, now_us, &fault);

	assert_int_equal(fault, DIAL_NONE);
	from = name_of(fd);
	assert_memory_equal(&from.addr, source, sizeof(*source));
	close(fd);
}

static void an_exhausted_address_rests_for_a_moment(void **state)
{
	struct fixture *f = *state;

	assert_dials_from(f, now, &first);
	exhausted_add(&f->exhausted, &first, &f->server, now);
	assert_dials_from(f, now, &second);
	assert_dials_from(f, now + EXHAUSTED_US - 1, &second);
	assert_dials_from(f, now + EXHAUSTED_US, &first);
}

static void none_left_has_a_name(void **state)
{
	struct fixture *f = *state;
	enum dial_fault fault;

	exhausted_add(&f->exhausted, &first, &f->server, now);
	exhausted_add(&f->exhausted, &second, &f->server, now + 10);
	assert_int_equal(dial(f, now + 20, &fault), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_int_equal(fault, DIAL_NO_PORT);
	assert_dials_from(f, now + EXHAUSTED_US, &first);
}

static void towards_other_servers_it_has_ports(void **state)
{
	struct fixture *f = *state;
	struct endpoint other = f->server;

	other.port++;
	exhausted_add(&f->exhausted, &first, &other, now);
	assert_dials_from(f, now, &first);
}

static void the_oldest_is_forgotten_for_one_more(void **state)
{
	struct fixture *f = *state;
	struct endpoint other = f->server;

	exhausted_add(&f->exhausted, &first, &f->server, now);
	for (int i = 1; i < EXHAUSTED_PAIRS; i++) {
		other.port++;
		exhausted_add(&f->exhausted, &first, &other, now);
	}
	assert_dials_from(f, now, &second);
	exhausted_add(&f->exhausted, &second, &other, now);
	assert_dials_from(f, now, &first);
	assert_true(exhausted_has(&f->exhausted, &first, &other, now));
}

/* Linux before 6.8 keeps to even ones as long as there are any. */
static bool kernel_can_mix(void)
{
	struct utsname name;
	int major, minor;

	return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 8));
}

static void even_and_odd_ports_are_alike(void **state)
{
	struct fixture *f = *state;
	int fds[MANY], odd = 0;

	if (!kernel_can_mix())
		skip();
	for (int i = 0; i < MANY; i++) {
		struct endpoint from;
		enum dial_fault fault;

		fds[i] = dial(f, now, &fault);
		assert_int_equal(fault, DIAL_NONE);
		from = name_of(fds[i]);
		odd += from.port % 2;
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	assert_in_range(odd, 1, MANY - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_exhausted_address_rests_for_a_moment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_left_has_a_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			towards_other_servers_it_has_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_oldest_is_forgotten_for_one_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(even_and_odd_ports_are_alike, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
