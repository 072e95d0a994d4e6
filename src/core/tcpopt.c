/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/tcpopt.h"

#include "core/wire.h"

enum {
	WSCALE_MAX = 14,         /* RFC 7323, section 2.3 */
	FASTOPEN_MAGIC = 0xf989, /* the experiment's number (RFC 7413, appendix A; RFC 6994) */
	FASTOPEN_COOKIE_MIN = 4, /* RFC 7413, section 2 */
	FASTOPEN_COOKIE_MAX = 16,
	AUTH_AO_MIN = 4, /* RFC 5925, section 2.2 */
};

/* Bytes, for the kinds that are always as long. */
static const uint8_t fixed_size[256] = {
	[TCP_OPTION_MSS] = 4,
	[TCP_OPTION_WSCALE] = 3,
	[TCP_OPTION_SACK_PERMITTED] = 2,
	[TCP_OPTION_TIMESTAMP] = 10,
	[TCP_OPTION_MD5] = 18,
};

struct option {
	const uint8_t *bytes; /* from the kind */
	uint8_t size;
	uint16_t offset; /* from the start of the TCP header */
};

static bool read_mss(const struct option *o, struct tcp_options *out)
{
	if (out->mss_offset != 0)
		return false;
	out->mss = wire_get16(o->bytes + 2);
	out->mss_offset = o->offset;
	return true;
}

static bool read_wscale(const struct option *o, struct tcp_options *out)
{
	if (out->has_wscale)
		return false;
	out->has_wscale = true;
	out->wscale = o->bytes[2] < WSCALE_MAX ? o->bytes[2] : WSCALE_MAX;
	return true;
}

static bool read_timestamp(const struct option *o, struct tcp_options *out)
{
	if (out->has_timestamp)
		return false;
	out->has_timestamp = true;
	out->tsval = wire_get32(o->bytes + 2);
	out->tsecr = wire_get32(o->bytes + 6);
	return true;
}

/* `header` bytes come before the cookie: two, or four in the experimental form. */
static bool read_fastopen(const struct option *o, uint8_t header, struct tcp_options *out)
{
	unsigned cookie = o->size - (unsigned)header;

	if (out->has_fastopen || cookie % 2 != 0 || cookie > FASTOPEN_COOKIE_MAX)
		return false;
	if (cookie != 0 && cookie < FASTOPEN_COOKIE_MIN)
		return false;
	out->has_fastopen = true;
	out->fastopen_len = (uint8_t)cookie;
	out->fastopen_offset = o->offset;
	out->fastopen_size = o->size;
	return true;
}

static bool is_experimental_fastopen(const struct option *o)
{
	return o->size >= 4 && wire_get16(o->bytes + 2) == FASTOPEN_MAGIC;
}

/*
 * What the gate acts on may stand in the list once only: of two, the gate would take one and the
 * server the other, and a second Fast Open option would survive the removal of the first.
 */
static bool read_option(const struct option *o, struct tcp_options *out)
{
	uint8_t kind = o->bytes[0];

	if (fixed_size[kind] != 0 && o->size != fixed_size[kind])
		return false;
	switch (kind) {
	case TCP_OPTION_MSS:
		return read_mss(o, out);
	case TCP_OPTION_WSCALE:
		return read_wscale(o, out);
	case TCP_OPTION_SACK_PERMITTED:
		out->sack_permitted = true;
		return true;
	case TCP_OPTION_TIMESTAMP:
		return read_timestamp(o, out);
	case TCP_OPTION_MD5:
		out->has_auth = true;
		return true;
	case TCP_OPTION_AO:
		out->has_auth = true;
		return o->size >= AUTH_AO_MIN;
	case TCP_OPTION_FASTOPEN:
		return read_fastopen(o, 2, out);
	case TCP_OPTION_EXPERIMENT:
		return !is_experimental_fastopen(o) || read_fastopen(o, 4, out);
	default:
		return true;
	}
}

bool tcpopt_parse(const uint8_t *options, size_t len, struct tcp_options *out)
{
	size_t at = 0;

	*out = (struct tcp_options){0};
	while (at < len && options[at] != TCP_OPTION_EOL) {
		if (options[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (len - at < 2 || options[at + 1] < 2 || options[at + 1] > len - at)
			return false;
		struct option o = {options + at, options[at + 1], (uint16_t)(TCP_HEADER + at)};
		if (!read_option(&o, out))
			return false;
		at += o.size;
	}
	return true;
}
