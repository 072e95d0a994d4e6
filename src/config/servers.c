/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/servers.h"

#include "config/values.h"

#include <inttypes.h>
#include <string.h>
#include <sys/un.h>

enum {
	SERVER_WEIGHT_MAX = 256,
	SERVER_CONNECTIONS_MAX = 16 << 20,
	SERVER_LABEL_MAX = 63 /* RFC 1035, section 2.3.4 */
};

static const char no_room[] = "does not fit into memory";

static const char *server_copy(struct arena *arena, const char *text, size_t len, const char **out)
{
	char *copy = arena_alloc(arena, len + 1, 1);

	if (copy == NULL)
		return no_room;
	memcpy(copy, text, len);
	*out = copy;
	return NULL;
}

/* A host's name as DNS has them; one that ends in a number would be an address (RFC 3696,
 * section 2). */
static const char *server_check_host(const char *host)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const char *label = host;
	size_t len;

	for (;; label += len + 1) {
		len = strspn(label, letters);
		if (len == 0 || len > SERVER_LABEL_MAX || *label == '-' || label[len - 1] == '-')
			return "has no good name of a host";
		if (label[len] == '\0')
			break;
		if (label[len] != '.')
			return "has no good name of a host";
	}
	return strspn(label, "0123456789") == len ? "is not an address" : NULL;
}

static const char *server_parse_unix(struct config_server *out)
{
	out->kind = SERVER_UNIX;
	out->path = out->name + strlen("unix:");
	if (strlen(out->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "has too long a path";
	return value_parse_path(out->path);
}

static const char *server_parse_addr(struct config_server *out)
{
	const char *wrong = value_parse_endpoint(out->name, &out->at);

	out->kind = SERVER_ADDR;
	if (wrong == NULL && endpoint_is_any(&out->at))
		return "is no host's address";
	return wrong;
}

static const char *server_parse_name(
	struct arena *arena, const char *colon, struct config_server *out)
{
	struct port_range port;
	const char *wrong;

	out->kind = SERVER_NAME;
	wrong = server_copy(arena, out->name, (size_t)(colon - out->name), &out->host);
	if (wrong == NULL)
		wrong = server_check_host(out->host);
	if (wrong != NULL)
		return wrong;
	if (value_parse_ports(colon + 1, &port) != NULL || port.first != port.last)
		return "has no good port";
	out->at.port = port.first;
	return NULL;
}

static const char *server_parse_where(struct arena *arena, struct config_server *out)
{
	const char *colon = strrchr(out->name, ':');

	if (strncmp(out->name, "unix:", 5) == 0)
		return server_parse_unix(out);
	if (colon == NULL)
		return "has no port";
	if (strchr(out->name, ':') != colon || *out->name == '[' ||
		strspn(out->name, "0123456789.") == (size_t)(colon - out->name))
		return server_parse_addr(out);
	return server_parse_name(arena, colon, out);
}

/* The word at *text, which moves behind it and the white space there. */
static size_t server_word(const char **text, char *out, size_t room)
{
	size_t len = strcspn(*text, " \t"), kept = len < room ? len : room - 1;

	memcpy(out, *text, kept);
	out[kept] = '\0';
	*text += len;
	*text += strspn(*text, " \t");
	return len;
}

static const char *server_parse_option(const char **text, struct config_server *out)
{
	char key[24], value[24];
	uint64_t n;
	bool weight;

	server_word(text, key, sizeof(key));
	server_word(text, value, sizeof(value));
	weight = strcmp(key, "weight") == 0;
	if (!weight && strcmp(key, "max_connections") != 0)
		return "has an unknown option";
	if ((weight ? out->weight : out->max_connections) != 0)
		return "has an option twice";
	if (value_parse_size(value, &n) != NULL || n == 0 ||
		n > (weight ? SERVER_WEIGHT_MAX : SERVER_CONNECTIONS_MAX))
		return weight ? "has no good weight" : "has no good max_connections";
	*(weight ? &out->weight : &out->max_connections) = (uint32_t)n;
	return NULL;
}

const char *server_parse(const char *text, struct arena *arena, struct config_server *out)
{
	size_t len = strcspn(text, " \t");
	const char *wrong;

	*out = (struct config_server){0};
	wrong = server_copy(arena, text, len, &out->name);
	if (wrong == NULL)
		wrong = server_parse_where(arena, out);
	text += len;
	text += strspn(text, " \t");
	while (wrong == NULL && *text != '\0')
		wrong = server_parse_option(&text, out);
	if (out->weight == 0)
		out->weight = 1;
	return wrong;
}

void server_print(const struct config_server *s, FILE *to)
{
	fputs(s->name, to);
	if (s->weight != 1)
		fprintf(to, " weight %" PRIu32, s->weight);
	if (s->max_connections == 0)
		return;
	fputs(" max_connections ", to);
	value_print_size(s->max_connections, to);
}
