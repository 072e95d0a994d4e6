/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/status.h"

#include "control/records.h"
#include "control/text.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Every word is there, zero or not, so that scripts need not ask. */
static json_t *reasons_json(const uint64_t by_reason[REASON_COUNT])
{
	json_t *o = json_object();

	for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++)
		json_object_set_new(o, reason_word((enum reason)r), count(by_reason[r]));
	return o;
}

static json_t *handshakes_json(const struct status *s)
{
	json_t *failed = json_object();

	for (unsigned c = CAUSE_NONE + 1; c < CAUSE_COUNT; c++)
		json_object_set_new(
			failed, cause_word((enum cause)c), count(s->handshakes.failed[c]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "started", count(s->handshakes.started),
		"completed", count(s->handshakes.completed), "failed", failed, "evicted",
		count(s->handshakes.evicted), "adopted", count(s->handshakes.adopted));
}

static json_t *config_json(const struct status *s)
{
	return json_pack("{s:o, s:I, s:o, s:o}", "file", text_json(s->config.file), "loaded_at",
		(json_int_t)s->config.loaded_at, "generation", count(s->config.generation),
		"last_error", text_json(s->config.last_error));
}

static json_t *queue_json(const struct status *s)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "packets", count(s->queue.packets),
		"kernel_dropped", count(s->queue.kernel_dropped), "user_dropped",
		count(s->queue.user_dropped), "overruns", count(s->queue.overruns));
}

static json_t *flows_json(const struct engine_gauges *g)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "syn_sent", count(g->syn_sent),
		"syn_received", count(g->syn_received), "opening", count(g->opening), "established",
		count(g->established), "closing", count(g->closing), "offloaded",
		count(g->offloaded));
}

static json_t *cookies_json(const struct status *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "sent", count(s->cookies.sent),
		"accepted", count(s->cookies.accepted), "refused", count(s->cookies.refused),
		"logged", count(s->cookies.logged), "logged_in_vain",
		count(s->cookies.logged_in_vain), "log_lost", count(s->cookies.log_lost), "active",
		s->cookies.active);
}

static json_t *splice_json(const struct status *s)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "open", count(s->splice.open), "total",
		count(s->splice.total), "bytes_in", count(s->splice.bytes_in), "bytes_out",
		count(s->splice.bytes_out));
}

static json_t *rules_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->rule_count; i++)
		json_array_append_new(list, records_rule_counts(&s->rules[i]));
	return list;
}

static json_t *notes_json(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->note_count; i++)
		json_array_append_new(list, text_json(s->notes[i]));
	return list;
}

json_t *status_json(const struct status *s)
{
	json_t *root = json_pack("{s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "version",
		text_json(s->version), "uptime_s", count(s->uptime_s), "enforce", s->enforce,
		"draining", s->draining, "confirm_left_s", count(s->confirm_left_s), "manage",
		text_json(s->manage), "workers", count(s->workers));
	int failed = root == NULL ? -1 : 0;

	failed |= json_object_set_new(root, "config", config_json(s));
	failed |= json_object_set_new(root, "queue", queue_json(s));
	failed |= json_object_set_new(root, "flows", flows_json(&s->flows));
	failed |= json_object_set_new(root, "handshakes", handshakes_json(s));
	failed |= json_object_set_new(root, "drops", reasons_json(s->drops));
	failed |= json_object_set_new(root, "observed", reasons_json(s->observed));
	failed |= json_object_set_new(root, "untracked", count(s->untracked));
	failed |= json_object_set_new(root, "cookies", cookies_json(s));
	failed |= json_object_set_new(root, "sources",
		json_pack("{s:o, s:o}", "tracked", count(s->sources.tracked), "blocked",
			count(s->sources.blocked)));
	failed |= json_object_set_new(root, "splice", splice_json(s));
	failed |= json_object_set_new(root, "rules", rules_json(s));
	failed |= json_object_set_new(root, "notes", notes_json(s));
	if (failed) {
		json_decref(root);
		return NULL;
	}
	return root;
}
