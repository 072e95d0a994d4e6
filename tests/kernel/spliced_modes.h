/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each test once in each mode; cmocka.h and spliced.h come first. */
#ifndef ACKGATE_TESTS_KERNEL_SPLICED_MODES_H
#define ACKGATE_TESTS_KERNEL_SPLICED_MODES_H

extern struct spliced_mode spliced_modes[4];

#define EACH_MODE(test)                                                                            \
	{#test " (spliced, IPv4)", test, NULL, NULL, &spliced_modes[0]},                           \
		{#test " (copied, IPv4)", test, NULL, NULL, &spliced_modes[1]},                    \
		{#test " (spliced, IPv6)", test, NULL, NULL, &spliced_modes[2]},                   \
	{                                                                                          \
#test " (copied, IPv6)", test, NULL, NULL, &spliced_modes[3]                       \
	}

/* Before the tests: root, and an end to whatever might hang. */
void spliced_prepare(void);

#define spliced_run(tests) (spliced_prepare(), cmocka_run_group_tests(tests, NULL, NULL))

#endif
