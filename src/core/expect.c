/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of a million flows is not in the cache: each lookup would wait for memory, twice. In a
 * batch those waits pass side by side: all packets' index lines are asked for first, then the flows
 * they lead to, then the packets are judged.
 */
#include "core/engine_state.h"

void engine_expect(const struct engine *e, const struct engine_packet *packets, size_t count)
{
	uint64_t hashes[ENGINE_BATCH];
	size_t known = 0;
	struct tuple ends;

	for (size_t i = 0; i < count && known < ENGINE_BATCH; i++)
		if (packet_peek(packets[i].bytes, packets[i].captured, &ends))
			hashes[known++] = flow_expect(e->table, &ends);
	for (size_t i = 0; i < known; i++)
		flow_expect_next(e->table, hashes[i]);
}

void engine_memory(const struct engine *e, void (*each)(void *start, size_t size))
{
	flow_table_memory(e->table, each);
}
