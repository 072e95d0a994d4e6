/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/blocks.h"

#include "control/endpoint.h"
#include "daemon/log.h"
#include "daemon/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WHY = 512,
	RANGE_TEXT = 2 * ENDPOINT_TEXT,
	AGAIN_US = 1000000, /* handshakes that were in the queue already ask once more */
};

static bool overlap(const struct addr_range *a, const struct addr_range *b)
{
	return addr_is_v4(&a->first) == addr_is_v4(&b->first) &&
	       memcmp(a->first.b, b->last.b, sizeof(a->first.b)) <= 0 &&
	       memcmp(b->first.b, a->last.b, sizeof(a->first.b)) <= 0;
}

/* NULL, or why the range is never blocked: a phrase that goes on from "it holds". */
static const char *held_back(const struct daemon *d, const struct addr_range *range)
{
	const struct config *c = d->config;
	const char *why = NULL;

	for (size_t i = 0; i < c->limits.never_block_count; i++)
		if (overlap(range, &c->limits.never_block[i]))
			return "an address of [limits] never_block";
	return protected_addr(d->protected, range, &why) ? why : NULL;
}

static bool block(struct daemon *d, const struct addr_range *range, uint32_t seconds, char *why,
	size_t why_size)
{
	const char *held = held_back(d, range);

	if (held) {
		snprintf(why, why_size, "it holds %s", held);
		return false;
	}
	if (lasting_cannot_block(d->lasting)) {
		snprintf(why, why_size, "%s", lasting_cannot_block(d->lasting));
		return false;
	}
	return lasting_block(d->lasting, range, seconds, why, why_size) == 0;
}

/* What stands is carried by the kernel's own table, or by sockets: a walk through all of them, so
 * one for many. */
void blocks_tick(struct daemon *d)
{
	if (d->kill_count)
		answers_kill_clients(d, d->to_kill, d->kill_count);
	d->kill_count = 0;
}

static void kill_soon(struct daemon *d, const struct addr_range *range)
{
	if (d->kill_count == DAEMON_KILLS_MAX)
		blocks_tick(d);
	d->to_kill[d->kill_count++] = *range;
}

bool blocks_add(struct daemon *d, const struct addr_range *range, uint32_t seconds, char **message)
{
	char text[RANGE_TEXT], why[WHY];

	endpoint_range_text(text, sizeof(text), range);
	if (!block(d, range, seconds, why, sizeof(why))) {
		*message = say("%s is not blocked: %s", text, why);
		return false;
	}
	answers_kill_clients(d, range, 1);
	*message = say("%s is blocked for %u s", text, (unsigned)seconds);
	log_notice("%s is blocked for %u s, by hand", text, (unsigned)seconds);
	return true;
}

bool blocks_remove(struct daemon *d, const struct addr_range *range, char **message)
{
	char text[RANGE_TEXT], why[WHY];
	int rc = lasting_unblock(d->lasting, range, why, sizeof(why));

	endpoint_range_text(text, sizeof(text), range);
	if (rc != 0) {
		*message = rc > 0 ? say("%s is not blocked", text) : say("%s", why);
		return false;
	}
	*message = say("%s is not blocked any more", text);
	log_notice("%s is not blocked any more, by hand", text);
	return true;
}

static bool asked_before(struct daemon *d, const struct addr_range *range)
{
	uint64_t now = worker_now();
	struct daemon_block *oldest = &d->last_blocks[0];

	for (size_t i = 0; i < DAEMON_LAST_BLOCKS; i++) {
		struct daemon_block *b = &d->last_blocks[i];

		if (b->at_us && now - b->at_us < AGAIN_US &&
			memcmp(&b->range, range, sizeof(*range)) == 0)
			return true;
		if (b->at_us < oldest->at_us)
			oldest = b;
	}
	*oldest = (struct daemon_block){*range, now};
	return false;
}

void blocks_enforce(struct daemon *d, const struct block *b)
{
	const struct policy_rule *rule = policy_rule_by_slot(&d->config->policy, b->slot);
	char text[RANGE_TEXT], why[WHY];

	if (asked_before(d, &b->source))
		return;
	endpoint_range_text(text, sizeof(text), &b->source);
	if (block(d, &b->source, b->seconds, why, sizeof(why))) {
		kill_soon(d, &b->source);
		log_notice("%s is blocked for %u s by rule %s", text, (unsigned)b->seconds,
			rule ? rule->name : "?");
	} else {
		log_warning("%s is over its limits but not blocked: %s", text, why);
	}
}
