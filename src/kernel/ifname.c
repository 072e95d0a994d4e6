/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ifname.h"

#include <stddef.h>

enum {
	FRESH_US = 1000000,
};

const char *ifname_get(struct ifname_cache *c, uint32_t ifindex, uint64_t now_us)
{
	size_t at = ifindex % IFNAME_CACHE_SIZE;

	if (ifindex == 0)
		return "";
	if (c->entry[at].ifindex != ifindex || now_us - c->entry[at].asked_us > FRESH_US) {
		c->entry[at].ifindex = ifindex;
		c->entry[at].asked_us = now_us;
		if (if_indextoname(ifindex, c->entry[at].name) == NULL)
			c->entry[at].name[0] = '\0';
	}
	return c->entry[at].name;
}
