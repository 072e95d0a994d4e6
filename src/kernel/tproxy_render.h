/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of transparent interception as nftables text. */
#ifndef ACKGATE_KERNEL_TPROXY_RENDER_H
#define ACKGATE_KERNEL_TPROXY_RENDER_H

#include "kernel/tproxy.h"

#define TPROXY_TABLE "inet ackgate_tproxy"

/* Writes the table. The number of its rules; -1 without memory. */
long tproxy_render(FILE *to, const char *table, const struct tproxy_plan *plan);

#endif
