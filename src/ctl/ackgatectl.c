/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "config/values.h"
#include "control/filter.h"
#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/units.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	LIMIT_DEFAULT = 1000,
	LIMIT_MAX = 10000
};

struct options {
	const char *socket;
	bool json;
	const char *confirm;
	const char *limit;
	char **words; /* after the command's own */
	int word_count;
};

struct command {
	const char *name;
	/* Fills *args from the options; false with a message on standard error. */
	bool (*arguments)(const struct options *o, json_t **args);
	void (*show)(const struct show *s, const json_t *result);
};

static const char usage[] =
	"usage: ackgatectl [-s PATH] [--json] COMMAND\n"
	"\n"
	"  status                   how the gate is doing, on one page\n"
	"  flows [FILTER]           the flows it follows (--limit N: so many, 1000)\n"
	"  flows kill FILTER        forget flows and reset both their ends\n"
	"  rules                    the rules with their counters\n"
	"  failures                 what was refused of late, and why\n"
	"  sources                  who has the most connections, and who is blocked\n"
	"  block ADDR [TIME]        block an address, a prefix or a range, for TIME [10m]\n"
	"  unblock ADDR             lift such a block\n"
	"  backends                 the servers of rules that splice, and where they listen\n"
	"  backends enable SERVER   (BACKEND/SERVER) let it have connections again\n"
	"  backends disable SERVER  give it no new ones, and check it no more\n"
	"  backends drain SERVER    give it no new ones\n"
	"  config                   the configuration in force, defaults included\n"
	"  reload [--confirm TIME]  read the configuration again; with TIME, go back to the old\n"
	"                           one unless `ackgatectl confirm` follows in time\n"
	"  confirm                  keep what the last reload brought\n"
	"  drain [TIME]             finish the handshakes under way, at most for TIME, and stop\n"
	"\n"
	"  -s, --socket PATH        the daemon's control socket [/run/ackgate/control.sock]\n"
	"      --json               for machines\n"
	"  -h, --help               this text\n"
	"  -V, --version            the version\n"
	"\n"
	"FILTER, of any of these: client ADDR[/N]  server ADDR[:PORT]  port N  rule NAME  state "
	"WORD\n"
	"TIME: 500ms 30s 10m 2h 1d\n";

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool complain(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("ackgatectl: ", stderr);
	vfprintf(stderr, format, ap);
	fputs("\n", stderr);
	va_end(ap);
	return false;
}

static bool no_words(const struct options *o)
{
	return o->word_count == 0 || complain("'%s' is too much here", o->words[0]);
}

static bool take_nothing(const struct options *o, json_t **args)
{
	*args = NULL;
	return no_words(o);
}

static bool take_time(const char *text, const char *key, json_t **args)
{
	double seconds;

	if (text == NULL) {
		*args = NULL;
		return true;
	}
	if (!units_parse_duration(text, &seconds))
		return complain(
			"'%s' is no time: it wants a number and a unit, as in 30s or 10m", text);
	*args = json_pack("{s:f}", key, seconds);
	return true;
}

static bool take_reload(const struct options *o, json_t **args)
{
	return no_words(o) && take_time(o->confirm, "confirm_s", args);
}

static bool take_drain(const struct options *o, json_t **args)
{
	if (o->word_count > 1)
		return complain("'%s' is too much here", o->words[1]);
	return take_time(o->word_count == 1 ? o->words[0] : NULL, "timeout_s", args);
}

/* The words of a filter, joined. */
static bool take_filter(const struct options *o, char *text, size_t size)
{
	struct filter filter;
	char why[512];
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < o->word_count; i++) {
		used += (size_t)snprintf(
			text + used, size - used, "%s%s", i > 0 ? " " : "", o->words[i]);
		if (used >= size)
			return complain("the filter is too long");
	}
	return filter_parse(&filter, text, why, sizeof(why)) || complain("%s", why);
}

static bool take_flows(const struct options *o, json_t **args)
{
	char text[1024];
	long limit = LIMIT_DEFAULT;
	char *end = NULL;

	if (!take_filter(o, text, sizeof(text)))
		return false;
	if (o->limit != NULL) {
		limit = strtol(o->limit, &end, 10);
		if (*end != '\0' || limit < 1 || limit > LIMIT_MAX)
			return complain("--limit wants a number from 1 to %d", LIMIT_MAX);
	}
	*args = json_pack("{s:s, s:I}", "filter", text, "limit", (json_int_t)limit);
	return true;
}

static bool take_kill(const struct options *o, json_t **args)
{
	char text[1024];

	if (o->word_count == 0)
		return complain("'flows kill' wants a FILTER that says which");
	if (!take_filter(o, text, sizeof(text)))
		return false;
	*args = json_pack("{s:s}", "filter", text);
	return true;
}

static bool take_range(const struct options *o, const char *command, int words)
{
	struct addr_range range;
	const char *wrong;

	if (o->word_count == 0)
		return complain("'%s' wants an address, a prefix or a range", command);
	if (o->word_count > words)
		return complain("'%s' is too much here", o->words[words]);
	wrong = value_parse_addrs(o->words[0], &range);
	return wrong == NULL || complain("'%s' %s; give an address such as 192.0.2.7, "
					 "2001:db8::/64 or 192.0.2.10-192.0.2.20",
					o->words[0], wrong);
}

static bool take_block(const struct options *o, json_t **args)
{
	if (!take_range(o, "block", 2) ||
		!take_time(o->word_count == 2 ? o->words[1] : NULL, "for_s", args))
		return false;
	if (*args == NULL)
		*args = json_object();
	json_object_set_new(*args, "range", json_string(o->words[0]));
	return true;
}

static bool take_unblock(const struct options *o, json_t **args)
{
	if (!take_range(o, "unblock", 1))
		return false;
	*args = json_pack("{s:s}", "range", o->words[0]);
	return true;
}

static bool take_server(const struct options *o, json_t **args)
{
	if (o->word_count == 0 || strchr(o->words[0], '/') == NULL)
		return complain(
			"give a server as BACKEND/SERVER; `ackgatectl backends` lists them");
	if (o->word_count > 1)
		return complain("'%s' is too much here", o->words[1]);
	*args = json_pack("{s:s}", "server", o->words[0]);
	return true;
}

static const struct command commands[] = {
	{"status", take_nothing, show_status},
	{"flows", take_flows, show_flows},
	{"rules", take_nothing, show_rules},
	{"failures", take_nothing, show_failures},
	{"sources", take_nothing, show_sources},
	{"block", take_block, show_message},
	{"unblock", take_unblock, show_message},
	{"backends", take_nothing, show_backends},
	{"config", take_nothing, show_config},
	{"reload", take_reload, show_message},
	{"confirm", take_nothing, show_message},
	{"drain", take_drain, show_message},
};

/* Of two words. */
static const struct command longer[] = {
	{"flows kill", take_kill, show_killed},
	{"backends enable", take_server, show_message},
	{"backends disable", take_server, show_message},
	{"backends drain", take_server, show_message},
};

static const char *const later[] = {
	"trace",
	"explain",
	"replay",
	"watch",
};

static const struct command *find_command(struct options *o)
{
	const char *name = o->words[0];

	o->words++;
	o->word_count--;
	for (size_t i = 0; o->word_count > 0 && i < sizeof(longer) / sizeof(longer[0]); i++) {
		const size_t len = strlen(name);

		if (strncmp(longer[i].name, name, len) != 0 || longer[i].name[len] != ' ' ||
			strcmp(longer[i].name + len + 1, o->words[0]) != 0)
			continue;
		o->words++;
		o->word_count--;
		return &longer[i];
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(later[i], name) == 0) {
			complain("'%s' is not in this version (" PACKAGE_VERSION ")", name);
			return NULL;
		}
	}
	complain("there is no command '%s'; ackgatectl -h lists them", name);
	return NULL;
}

static struct show for_standard_output(void)
{
	struct show s = {.to = stdout, .now = (int64_t)time(NULL)};
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return s;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		s.width = size.ws_col;
	s.colour = (no_colour == NULL || no_colour[0] == '\0') && term != NULL &&
		   strcmp(term, "dumb") != 0;
	return s;
}

static enum client_outcome run(const struct command *command, const struct options *o)
{
	const struct show s = for_standard_output();
	json_t *args, *result;
	char *why;

	if (!command->arguments(o, &args))
		return CLIENT_BAD_USAGE;
	enum client_outcome outcome = client_ask(o->socket, command->name, args, &result, &why);
	if (outcome != CLIENT_DONE) {
		bool list = why != NULL && strchr(why, '\n') != NULL;
		complain("%s%s", list ? "refused:\n" : "", why != NULL ? why : "no memory");
		free(why);
		return outcome;
	}
	if (o->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		fputs("\n", stdout);
	} else {
		command->show(&s, result);
	}
	json_decref(result);
	if (fflush(stdout) != 0) {
		complain("standard output can't be written");
		return CLIENT_REFUSED;
	}
	return CLIENT_DONE;
}

enum {
	OPTION_JSON = 256,
	OPTION_CONFIRM,
	OPTION_LIMIT
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"confirm", required_argument, NULL, OPTION_CONFIRM},
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

int main(int argc, char **argv)
{
	struct options o = {.socket = "/run/ackgate/control.sock"};
	int option;

	while ((option = getopt_long(argc, argv, "s:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			o.socket = optarg;
			break;
		case OPTION_JSON:
			o.json = true;
			break;
		case OPTION_CONFIRM:
			o.confirm = optarg;
			break;
		case OPTION_LIMIT:
			o.limit = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return CLIENT_DONE;
		case 'V':
			puts("ackgatectl " PACKAGE_VERSION);
			return CLIENT_DONE;
		default:
			return CLIENT_BAD_USAGE;
		}
	}
	o.words = argv + optind;
	o.word_count = argc - optind;
	if (o.word_count == 0) {
		fputs(usage, stderr);
		return CLIENT_BAD_USAGE;
	}
	const struct command *command = find_command(&o);
	if (command == NULL)
		return CLIENT_BAD_USAGE;
	if (o.confirm != NULL && command->arguments != take_reload) {
		complain("--confirm goes with reload");
		return CLIENT_BAD_USAGE;
	}
	return (int)run(command, &o);
}
