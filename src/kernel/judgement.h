/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packets the kernel judges by itself, and which it asks user space about: the plan as steps.
 */
#ifndef ACKGATE_KERNEL_JUDGEMENT_H
#define ACKGATE_KERNEL_JUDGEMENT_H

#include "kernel/chains.h"

/* Fills all chains, which are empty and named. */
void judgement_build(struct chains *c);

#endif
