/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/translation.h"

size_t translation_build_ack(const struct translation *t, const struct addr *client,
	uint16_t client_port, uint8_t out[static BUILD_MAX])
{
	const struct build_segment ack = {
		.src = *client,
		.dst = t->tuple.server,
		.src_port = client_port,
		.dst_port = t->tuple.server_port,
		.seq = t->client_isn + 1,
		.ack = t->server_isn + 1,
		.flags = TCP_ACK,
		.window = t->client_window,
		.has_timestamp = t->timestamps,
		.tsval = t->client_tsval,
		.tsecr = t->server_tsval,
	};

	return build_segment(out, &ack);
}

uint16_t translation_window(const struct translation *t)
{
	uint16_t window =
		(uint16_t)(t->scales ? t->server_window >> t->server_wscale : t->server_window);

	return window == 0 && t->server_window > 0 ? 1 : window;
}

size_t translation_build_update(const struct translation *t, uint8_t out[static BUILD_MAX])
{
	const struct build_segment update = {
		.src = t->public_addr,
		.dst = t->tuple.client,
		.src_port = t->public_port,
		.dst_port = t->tuple.client_port,
		.seq = t->cookie_isn + 1,
		.ack = t->client_isn + 1,
		.flags = TCP_ACK,
		.window = translation_window(t),
		.has_timestamp = t->timestamps,
		.tsval = t->cookie_tsval,
		.tsecr = t->client_tsval,
	};

	return build_segment(out, &update);
}
