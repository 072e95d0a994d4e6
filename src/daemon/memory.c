/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/memory.h"

#include "control/endpoint.h"
#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PATH = 256,
	SIZE_MAX_READ = 4 << 20, /* bytes: some times what 4096 servers take */
};

static bool read_endpoint(const json_t *entry, const char *key, struct addr *addr, uint16_t *port)
{
	const char *text = json_string_value(json_object_get(entry, key));
	struct addr_range range;

	if (!text || !endpoint_parse(text, &range, port) || *port == 0)
		return false;
	*addr = range.first;
	return true;
}

static enum learned_trait read_trait(const json_t *entry, const char *key)
{
	const json_t *value = json_object_get(entry, key);

	return json_is_true(value)    ? LEARNED_YES
	       : json_is_false(value) ? LEARNED_NO
				      : LEARNED_UNKNOWN;
}

static void recall(struct learned *learned, const json_t *entry)
{
	json_int_t mss = json_integer_value(json_object_get(entry, "mss"));
	json_int_t shift = json_integer_value(json_object_get(entry, "wscale_shift"));
	struct learned_server s = {
		.options =
			{
				.mss = mss > 0 && mss <= UINT16_MAX ? (uint16_t)mss : 0,
				.wscale = read_trait(entry, "wscale"),
				.wscale_shift = shift >= 0 && shift <= 14 ? (uint8_t)shift : 0,
				.sack = read_trait(entry, "sack"),
				.timestamps = read_trait(entry, "timestamps"),
				.ecn = read_trait(entry, "ecn"),
			},
		.route_wanted = json_is_true(json_object_get(entry, "dnat")),
	};

	if (!read_endpoint(entry, "server", &s.addr, &s.port))
		return;
	if (read_endpoint(entry, "public", &s.public_addr, &s.public_port))
		s.route = LEARNED_ROUTE_ONE;
	learned_recall(learned, &s);
}

void memory_load(const char *folder, struct learned *learned)
{
	char path[PATH];
	json_error_t error;
	json_t *list, *entry;
	struct stat st;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/learned", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	list = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SIZE_MAX_READ
		       ? json_loadfd(fd, JSON_REJECT_DUPLICATES, &error)
		       : NULL;
	close(fd);
	json_array_foreach(list, i, entry) recall(learned, entry);
	json_decref(list);
}

static json_t *trait(enum learned_trait t)
{
	return t == LEARNED_UNKNOWN ? json_null() : json_boolean(t == LEARNED_YES);
}

static json_t *endpoint(const struct addr *a, uint16_t port)
{
	char text[ENDPOINT_TEXT];

	return json_string(endpoint_text(text, a, port));
}

static void note(void *arg, const struct learned_server *s)
{
	const struct learned_options *o = &s->options;
	json_t *entry = json_pack("{s:o, s:i, s:o, s:i, s:o, s:o, s:o, s:b}", "server",
		endpoint(&s->addr, s->port), "mss", (int)o->mss, "wscale", trait(o->wscale),
		"wscale_shift", (int)o->wscale_shift, "sack", trait(o->sack), "timestamps",
		trait(o->timestamps), "ecn", trait(o->ecn), "dnat", s->route_wanted);

	if (s->route == LEARNED_ROUTE_ONE)
		json_object_set_new(entry, "public", endpoint(&s->public_addr, s->public_port));
	json_array_append_new(arg, entry);
}

/* In one piece, so that whoever reads it meets the old text or the new. */
static bool replace(const char *path, const char *text)
{
	char beside[PATH + 8];
	FILE *f;
	bool fine;
	int fd;

	snprintf(beside, sizeof(beside), "%s.new", path);
	unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	fine = fputs(text, f) >= 0;
	fine = fclose(f) == 0 && fine;
	return fine && rename(beside, path) == 0;
}

void memory_save(const char *folder, const struct learned *learned, uint64_t *hash)
{
	static const struct siphash_key key = {0};
	char path[PATH], *text;
	json_t *list = json_array();
	uint64_t now;

	learned_each(learned, note, list);
	text = json_dumps(list, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	json_decref(list);
	if (!text)
		return;
	now = siphash(text, strlen(text), &key);
	snprintf(path, sizeof(path), "%s/learned", folder);
	if (now != *hash) {
		/* Said once a text, not every time. */
		if (!replace(path, text))
			log_info("what is known of servers could not be saved in %s: %s", path,
				strerror(errno));
		*hash = now;
	}
	free(text);
}
