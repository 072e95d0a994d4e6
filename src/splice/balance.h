/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose turn it is. Servers are numbers below `count`, sets of them bits. Pure but for one shared
 * counter, which is atomic.
 */
#ifndef ACKGATE_SPLICE_BALANCE_H
#define ACKGATE_SPLICE_BALANCE_H

#include "core/addr.h"

#include <stddef.h>
#include <stdint.h>

struct balance;

/* Weights from 1 up. `names` make a server's share of sources its own, wherever it stands in the
 * list. NULL without memory. */
struct balance *balance_new(
	const uint32_t *weights, const char *const *names, unsigned count, uint32_t position);
void balance_free(struct balance *b);

/* Where balance_next stands, for a new one to go on from. */
uint32_t balance_position(const struct balance *b);

/* Each of these picks one of `among`, which has at least one. */

/* By turns, as smoothly as weights allow; whoever is not among them gives up its turns. */
unsigned balance_next(struct balance *b, uint64_t among);

/* The fewest connections for its weight, the new one included; by turns among equals. */
unsigned balance_least(struct balance *b, uint64_t among, const uint32_t *connections);

/* By the client's address: weighted rendezvous hashing (Thaler, Ravishankar 1998), the same after a
 * restart and at every gate. A server that goes or comes moves its own clients and nobody else's.
 */
unsigned balance_source(const struct balance *b, uint64_t among, const struct addr *client);

#endif
