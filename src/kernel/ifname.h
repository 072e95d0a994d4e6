/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interface numbers to names, without asking the kernel for every packet. One per thread. */
#ifndef ACKGATE_KERNEL_IFNAME_H
#define ACKGATE_KERNEL_IFNAME_H

#include <net/if.h>
#include <stdint.h>

enum {
	IFNAME_CACHE_SIZE = 64,
};

/* Zero-initialise. */
struct ifname_cache {
	struct {
		uint32_t ifindex;
		uint64_t asked_us;
		char name[IF_NAMESIZE];
	} entry[IFNAME_CACHE_SIZE];
};

/*
 * The interface's name, at most a second old (interfaces are renamed), "" if there is none.
 * `now_us`: monotonic microseconds. Holds until the next call.
 */
const char *ifname_get(struct ifname_cache *c, uint32_t ifindex, uint64_t now_us);

#endif
