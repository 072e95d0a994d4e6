/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/commands.h"

#include "config/values.h"
#include "control/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A confirmation or a drain that lasts longer than a day is a slip of the finger. */
enum {
	SECONDS_MAX = 86400
};

struct request {
	json_t *args; /* an object, maybe empty; borrowed */
	const struct control_ops *ops;
	void *arg;
	/*
	 * A command that returns NULL has set one of these, the daemon's words or ours; if not,
	 * there was no memory.
	 */
	char *message;
	char why[512];
};

static json_t *refuse(struct request *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static json_t *refuse(struct request *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->why, sizeof(r->why), format, ap);
	va_end(ap);
	return NULL;
}

/*
 * A json_unpack format ends with '!': keys that the command does not know are refused, never
 * ignored.
 */
static bool unpack_failed(struct request *r, int rc, const json_error_t *e)
{
	if (rc == 0)
		return false;
	refuse(r, "args: %s", e->text);
	return true;
}

static bool no_args(struct request *r)
{
	json_error_t e;

	return !unpack_failed(r, json_unpack_ex(r->args, &e, 0, "{!}"), &e);
}

/* An answer of words alone: the daemon's message, or its refusal. Takes `message`. */
static json_t *tell(struct request *r, bool done, char *message)
{
	if (!done) {
		r->message = message;
		return message != NULL ? NULL : refuse(r, "refused");
	}
	json_t *result = json_pack("{s:o}", "message", text_json(message));
	free(message);
	return result;
}

/* A duration in seconds, fractions allowed; *us stays as it is if there is none. */
static bool take_us(
	struct request *r, const char *key, const json_t *value, int max_s, uint64_t *us)
{
	double s = json_number_value(value);

	if (value == NULL)
		return true;
	if (!json_is_number(value) || !(s >= 1e-6) || s > max_s) {
		refuse(r, "'%s' wants seconds, more than 0 and at most %d", key, max_s);
		return false;
	}
	*us = (uint64_t)(s * 1e6);
	return true;
}

/* The only argument there may be; 0 if it is not given. */
static bool take_seconds(struct request *r, const char *key, uint64_t *us)
{
	json_error_t e;
	json_t *value = NULL;

	*us = 0;
	if (unpack_failed(r, json_unpack_ex(r->args, &e, 0, "{s?:o !}", key, &value), &e))
		return false;
	return take_us(r, key, value, SECONDS_MAX, us);
}

static bool take_range(struct request *r, const char *text, struct addr_range *range)
{
	const char *wrong = value_parse_addrs(text, range);

	if (wrong != NULL)
		refuse(r, "'range': '%.64s' %s", text, wrong);
	return wrong == NULL;
}

static json_t *run_status(struct request *r)
{
	return no_args(r) ? r->ops->status(r->arg) : NULL;
}

static json_t *run_failures(struct request *r)
{
	return no_args(r) ? r->ops->failures(r->arg) : NULL;
}

static json_t *run_rules(struct request *r)
{
	return no_args(r) ? r->ops->rules(r->arg) : NULL;
}

static json_t *run_flows(struct request *r)
{
	const char *text = "";
	json_int_t limit = CONTROL_FLOWS_MAX;
	struct filter filter;
	json_error_t e;

	int rc = json_unpack_ex(r->args, &e, 0, "{s?:s, s?:I !}", "filter", &text, "limit", &limit);
	if (unpack_failed(r, rc, &e))
		return NULL;
	if (!filter_parse(&filter, text, r->why, sizeof(r->why)))
		return NULL;
	if (limit < 1 || limit > CONTROL_FLOWS_MAX)
		return refuse(r, "'limit' wants a number from 1 to %d", CONTROL_FLOWS_MAX);
	return r->ops->flows(r->arg, &filter, (size_t)limit);
}

static json_t *run_flows_kill(struct request *r)
{
	const char *text = "";
	struct filter filter;
	json_error_t e;
	char *message = NULL;

	if (unpack_failed(r, json_unpack_ex(r->args, &e, 0, "{s:s !}", "filter", &text), &e))
		return NULL;
	if (!filter_parse(&filter, text, r->why, sizeof(r->why)))
		return NULL;
	if (filter.terms == 0)
		return refuse(r, "'flows kill' wants a filter that says which flows");
	long killed = r->ops->flows_kill(r->arg, &filter, &message);
	if (killed < 0)
		return tell(r, false, message);
	free(message);
	return json_pack("{s:I}", "killed", (json_int_t)killed);
}

/* A section of an INI as config_print writes it, `line` being its text in brackets. */
static json_t *open_section(json_t *sections, char *line)
{
	json_t *section = json_object();

	line[strcspn(line, "]")] = '\0';
	if (json_object_set_new(sections, line + 1, section) < 0)
		return NULL;
	return section;
}

static void add_key(json_t *section, char *line)
{
	char *equals = strchr(line, '=');

	if (equals == NULL || section == NULL)
		return;
	char *key_end = equals;
	while (key_end > line && key_end[-1] == ' ')
		key_end--;
	*key_end = '\0';
	json_object_set_new(section, line, text_json(equals + 1 + strspn(equals + 1, " ")));
}

/* {"SECTION": {"KEY": "VALUE"}}; reads the text of config_print, which it takes apart. */
static json_t *ini_to_json(char *text)
{
	json_t *sections = json_object();
	json_t *section = NULL;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (line[0] == '[')
			section = open_section(sections, line);
		else if (line[0] != '#' && line[0] != ';')
			add_key(section, line);
	}
	return sections;
}

static json_t *run_config(struct request *r)
{
	char *text = NULL;
	size_t len = 0;

	if (!no_args(r))
		return NULL;
	FILE *f = open_memstream(&text, &len);
	if (f == NULL)
		return NULL;
	const struct config *config = r->ops->config(r->arg);
	config_print(config, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	json_t *whole = text_json(text);
	json_t *result = json_pack("{s:o, s:o, s:o}", "file", text_json(config->file), "text",
		whole, "sections", ini_to_json(text));
	free(text);
	return result;
}

static json_t *run_reload(struct request *r)
{
	uint64_t confirm_us;
	char *message = NULL;

	if (!take_seconds(r, "confirm_s", &confirm_us))
		return NULL;
	bool done = r->ops->reload(r->arg, confirm_us, &message);
	return tell(r, done, message);
}

static json_t *run_confirm(struct request *r)
{
	char *message = NULL;

	if (!no_args(r))
		return NULL;
	bool done = r->ops->confirm(r->arg, &message);
	return tell(r, done, message);
}

static json_t *run_sources(struct request *r)
{
	return no_args(r) ? r->ops->sources(r->arg) : NULL;
}

static json_t *run_block(struct request *r)
{
	uint64_t for_us = CONTROL_BLOCK_S * UINT64_C(1000000);
	struct addr_range range;
	const char *text = "";
	json_t *value = NULL;
	char *message = NULL;
	json_error_t e;

	int rc = json_unpack_ex(r->args, &e, 0, "{s:s, s?:o !}", "range", &text, "for_s", &value);
	if (unpack_failed(r, rc, &e) || !take_range(r, text, &range) ||
		!take_us(r, "for_s", value, CONTROL_BLOCK_MAX_S, &for_us))
		return NULL;
	bool done = r->ops->block(r->arg, &range, for_us, &message);
	return tell(r, done, message);
}

static json_t *run_unblock(struct request *r)
{
	struct addr_range range;
	const char *text = "";
	char *message = NULL;
	json_error_t e;

	if (unpack_failed(r, json_unpack_ex(r->args, &e, 0, "{s:s !}", "range", &text), &e) ||
		!take_range(r, text, &range))
		return NULL;
	bool done = r->ops->unblock(r->arg, &range, &message);
	return tell(r, done, message);
}

static json_t *run_backends(struct request *r)
{
	return no_args(r) ? r->ops->backends(r->arg) : NULL;
}

static json_t *run_administer(struct request *r, const char *how)
{
	const char *server = "";
	char *message = NULL;
	json_error_t e;

	if (unpack_failed(r, json_unpack_ex(r->args, &e, 0, "{s:s !}", "server", &server), &e))
		return NULL;
	bool done = r->ops->administer(r->arg, server, how, &message);
	return tell(r, done, message);
}

static json_t *run_backends_enable(struct request *r)
{
	return run_administer(r, "enable");
}

static json_t *run_backends_disable(struct request *r)
{
	return run_administer(r, "disable");
}

static json_t *run_backends_drain(struct request *r)
{
	return run_administer(r, "drain");
}

static json_t *run_drain(struct request *r)
{
	uint64_t timeout_us;
	char *message = NULL;

	if (!take_seconds(r, "timeout_s", &timeout_us))
		return NULL;
	bool done = r->ops->drain(r->arg, timeout_us, &message);
	return tell(r, done, message);
}

static const struct {
	const char *name;
	json_t *(*run)(struct request *r);
} commands[] = {
	{"status", run_status},                     /* {} */
	{"flows", run_flows},                       /* {"filter": TEXT, "limit": N} */
	{"flows kill", run_flows_kill},             /* {"filter": TEXT} */
	{"failures", run_failures},                 /* {} */
	{"rules", run_rules},                       /* {} */
	{"config", run_config},                     /* {} */
	{"reload", run_reload},                     /* {"confirm_s": SECONDS} */
	{"confirm", run_confirm},                   /* {} */
	{"sources", run_sources},                   /* {} */
	{"block", run_block},                       /* {"range": ADDRS, "for_s": SECONDS} */
	{"unblock", run_unblock},                   /* {"range": ADDRS} */
	{"backends", run_backends},                 /* {} */
	{"backends enable", run_backends_enable},   /* {"server": "BACKEND/SERVER"} */
	{"backends disable", run_backends_disable}, /* likewise */
	{"backends drain", run_backends_drain},     /* likewise */
	{"drain", run_drain},                       /* {"timeout_s": SECONDS} */
};

json_t *commands_refusal(const char *sentence)
{
	return json_pack("{s:b, s:o}", "ok", 0, "error", text_json(sentence));
}

static json_t *run(const char *name, struct request *r)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(r);
	return refuse(r, "there is no command '%s'", name);
}

json_t *commands_answer(const char *text, size_t len, const struct control_ops *ops, void *arg)
{
	struct request r = {.ops = ops, .arg = arg};
	const char *name = NULL;
	json_t *answer = NULL, *result = NULL, *empty = json_object();
	json_error_t e;

	json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (request == NULL) {
		refuse(&r, "the request is no JSON: %s", e.text);
		goto out;
	}
	r.args = empty;
	if (json_unpack_ex(request, &e, 0, "{s:s, s?:o !}", "command", &name, "args", &r.args) <
		0) {
		refuse(&r, "the request wants {\"command\": NAME, \"args\": {}}: %s", e.text);
		goto out;
	}
	if (!json_is_object(r.args)) {
		refuse(&r, "\"args\" is no object");
		goto out;
	}
	result = run(name, &r);
out:
	if (r.message == NULL && r.why[0] == '\0')
		refuse(&r, "the daemon has no memory left for this");
	if (result != NULL)
		answer = json_pack("{s:b, s:o}", "ok", 1, "result", result);
	else
		answer = commands_refusal(r.message != NULL ? r.message : r.why);
	free(r.message);
	json_decref(request);
	json_decref(empty);
	return answer;
}
