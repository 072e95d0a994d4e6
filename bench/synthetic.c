/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "synthetic.h"

#include <stdbool.h>
#include <string.h>

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, value >> 16);
	put16(to + 2, value);
}

/* Flow numbers spread over 32 bits, one to one. */
static uint32_t synthetic_isn(uint32_t number)
{
	number *= 0x9e3779b1u;
	number ^= number >> 15;
	return number * 0x85ebca77u;
}

static size_t write_ipv4(uint8_t *ip, size_t tcp_len, const uint8_t src[4], const uint8_t dst[4])
{
	static const uint8_t header[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6};

	memcpy(ip, header, sizeof(header));
	put16(ip + 2, (uint32_t)(sizeof(header) + tcp_len));
	memcpy(ip + 12, src, 4);
	memcpy(ip + 16, dst, 4);
	return sizeof(header);
}

static size_t write_ipv6(uint8_t *ip, size_t tcp_len, const uint8_t src[16], const uint8_t dst[16])
{
	static const uint8_t header[8] = {0x60, 0, 0, 0, 0, 0, 6, 64};

	memcpy(ip, header, sizeof(header));
	put16(ip + 4, (uint32_t)tcp_len);
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, dst, 16);
	return 40;
}

void synthetic_write(struct synthetic *p, uint32_t number, uint8_t flags)
{
	static const uint8_t options[20] = {
		2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t server[16] = {0x20, 0x01, 0x0d, 0xb8, [12] = 192, 0, 2, 1};
	uint8_t client[16] = {0x20, 0x01, 0x0d, 0xb8};
	bool from_server = flags == (TCP_SYN | TCP_ACK);
	size_t options_len = flags & TCP_SYN ? sizeof(options) : 0;
	size_t tcp_len = 20 + options_len;
	uint32_t client_isn = synthetic_isn(number), server_isn = ~client_isn;
	uint32_t id = number / 2;
	/* 24 bits of address and, for numbers beyond, the port make a flow's tuple its own. */
	uint32_t address = (id * 0x9e3779b1u) & 0xffffff;
	uint32_t client_port = 1024 + (id >> 24) + address % 60000;

	put32(client + 4, address | 0x0a000000);
	put32(client + 12, address | 0x0a000000);
	const uint8_t *src = from_server ? server : client;
	const uint8_t *dst = from_server ? client : server;
	size_t ip_len = number % 2 ? write_ipv6(p->bytes, tcp_len, src, dst)
				   : write_ipv4(p->bytes, tcp_len, src + 12, dst + 12);
	uint8_t *tcp = p->bytes + ip_len;

	put16(tcp, from_server ? 443 : client_port);
	put16(tcp + 2, from_server ? client_port : 443);
	put32(tcp + 4, from_server ? server_isn : client_isn + !(flags & TCP_SYN));
	put32(tcp + 8, !(flags & TCP_ACK) ? 0 : (from_server ? client_isn : server_isn) + 1);
	tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, 64240);
	put32(tcp + 16, 0);
	memcpy(tcp + 20, options, options_len);
	p->len = ip_len + tcp_len;
}

void synthetic_acknowledge(struct synthetic *p, uint32_t ack)
{
	put32(p->bytes + (p->bytes[0] >> 4 == 6 ? 40 : 20) + 8, ack);
}
