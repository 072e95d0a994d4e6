/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The elements of the lasting table's two sets. What these return is what lasting.h says of its
 * functions. */
#ifndef ACKGATE_KERNEL_LASTING_BLOCKS_H
#define ACKGATE_KERNEL_LASTING_BLOCKS_H

#include "core/addr.h"

#include <stddef.h>

int lasting_blocks_add(
	const struct addr_range *range, uint32_t seconds, char *why, size_t why_size);
int lasting_blocks_delete(const struct addr_range *range, char *why, size_t why_size);
int lasting_blocks_list(
	void (*each)(void *arg, const struct addr_range *range, uint32_t left_s), void *arg);

#endif
