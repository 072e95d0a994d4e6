/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splice rules and backends: what they say, how they are printed, and all that is wrong with them.
 */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	FAULTS_MAX = 8
};

#define WEB      "[backend web]\nservers = 192.0.2.1:80, [2001:db8::1]:80\n"
#define SPLICE   "[rule a]\nmode = splice\n"
#define LISTENS  SPLICE "listen = 0.0.0.0:80\n"
#define TO_WEB   LISTENS "backend = web\n"
#define ANYWHERE SPLICE "transparent = yes\nport = 80\n"
#define SERVERS                                                                                    \
	"; give up to 64 servers such as 192.0.2.1:80, [2001:db8::1]:80, www.example.org:80 or "   \
	"unix:/run/web.sock, each once, with weight 1 to 256 and max_connections 1 to 16m behind " \
	"it if need be"
#define ENDPOINTS                                                                                  \
	"; give addresses with ports, such as 192.0.2.1:80, 0.0.0.0:80 or [::]:80, or none"
#define HOSTS "; give self, client, or single addresses such as 192.0.2.1 or 2001:db8::1"
#define OBSERVES                                                                                   \
	": a splice rule can't observe, since it ends connections itself; use mode = gate, or "

static struct config *parse_to(const char *text, struct config_errors *errors)
{
	const struct config_source source = {.name = "a", .text = text, .len = strlen(text)};

	return config_parse(&source, 1, NULL, errors);
}

static struct config *parse(const char *text)
{
	struct config_errors errors = {0};
	struct config *c = parse_to(text, &errors);

	if (c == NULL)
		fail_msg("%s", errors.count > 0 ? errors.list[0] : "no configuration and no fault");
	config_errors_free(&errors);
	return c;
}

static char *print(const struct config *c)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	config_print(c, to);
	fclose(to);
	return text;
}

static void assert_endpoint(const struct endpoint *at, const char *octets, uint16_t port)
{
	struct addr wanted = addr_v4((const uint8_t *)octets);

	assert_memory_equal(at->addr.b, wanted.b, sizeof(wanted.b));
	assert_int_equal(at->port, port);
}

static void defaults(void **state)
{
	struct config *c = parse("[rule g]\nport = 22\n" TO_WEB WEB);
	const struct config_splice *gate = &c->splices[0], *s = &c->splices[1];
	const struct config_backend *b = &c->backends[0];

	(void)state;
	assert_int_equal(c->policy.rules[1].mode, MODE_SPLICE);
	assert_int_equal(gate->listen_count, 0);
	assert_null(gate->backend);
	assert_int_equal(s->listen_count, 1);
	assert_endpoint(&s->listen[0], "\0\0\0\0", 80);
	assert_string_equal(s->backend, "web");
	assert_ptr_equal(s->found, b);
	assert_false(s->transparent);
	assert_int_equal(s->source, SOURCE_SELF);
	assert_int_equal(s->source_count, 0);
	assert_int_equal(s->accept_proxy, PROXY_OFF);
	assert_int_equal(s->trusted_proxy_count, 0);
	assert_int_equal(s->send_proxy, PROXY_OFF);
	assert_false(s->wait_for_data);
	assert_true(s->splice);
	assert_int_equal(s->connect_timeout_us, 5000000);
	assert_int_equal(s->idle_timeout_us, 3600000000);
	assert_int_equal(s->half_closed_timeout_us, 300000000);
	assert_int_equal(s->total_timeout_us, 0);
	assert_int_equal(s->keepalive_us, 120000000);
	assert_int_equal(s->max_connections, 0);
	assert_int_equal(c->backend_count, 1);
	assert_string_equal(b->name, "web");
	assert_int_equal(b->balance, BALANCE_ROUNDROBIN);
	assert_int_equal(b->retries, 2);
	assert_int_equal(b->check, CHECK_TCP);
	assert_int_equal(b->check_interval_us, 5000000);
	assert_int_equal(b->rise, 2);
	assert_int_equal(b->fall, 3);
	assert_int_equal(b->max_connections, 0);
	config_free(c);
}

static void servers(void **state)
{
	struct config *c = parse("[backend b]\nservers = 192.0.2.1:80 max_connections 1k weight 7,"
				 "[2001:db8::1]:443,\n\twww.example-1.org:8080  weight\t2 ,"
				 " unix:/run/web.sock\n");
	const struct config_server *s = c->backends[0].servers;

	(void)state;
	assert_int_equal(c->backends[0].server_count, 4);
	assert_int_equal(s[0].kind, SERVER_ADDR);
	assert_string_equal(s[0].name, "192.0.2.1:80");
	assert_endpoint(&s[0].at, "\xc0\0\x02\x01", 80);
	assert_int_equal(s[0].weight, 7);
	assert_int_equal(s[0].max_connections, 1024);
	assert_int_equal(s[1].kind, SERVER_ADDR);
	assert_string_equal(s[1].name, "[2001:db8::1]:443");
	assert_false(addr_is_v4(&s[1].at.addr));
	assert_int_equal(s[1].at.port, 443);
	assert_int_equal(s[1].weight, 1);
	assert_int_equal(s[1].max_connections, 0);
	assert_int_equal(s[2].kind, SERVER_NAME);
	assert_string_equal(s[2].name, "www.example-1.org:8080");
	assert_string_equal(s[2].host, "www.example-1.org");
	assert_int_equal(s[2].at.port, 8080);
	assert_int_equal(s[2].weight, 2);
	assert_int_equal(s[3].kind, SERVER_UNIX);
	assert_string_equal(s[3].path, "/run/web.sock");
	config_free(c);
}

/* Everything that is not a default, in its order, comes back as it was. */
static void printed(void **state)
{
	static const char text[] =
		"[rule b]\nfrom = 10.0.0.0/8\nmode = splice\n"
		"listen = 192.0.2.1:443, [::]:80\nbackend = z\nsource = 192.0.2.7, 2001:db8::7\n"
		"accept_proxy = any\ntrusted_proxies = 10.0.0.0/8, ::1\nsend_proxy = v2\n"
		"wait_for_data = yes\nsplice = no\nconnect_timeout = 100ms\nidle_timeout = off\n"
		"half_closed_timeout = off\ntotal_timeout = 30d\nkeepalive = off\n"
		"max_connections = 10k\n"
		"[rule t]\nport = 25\nmode = splice\ntransparent = yes\nsource = client\n"
		"[backend z]\nservers = [2001:db8::1]:80 weight 256 max_connections 1m,\n"
		"\tunix:/a,\n\t192.0.2.1:1\nbalance = leastconn\nretries = 0\ncheck = off\n"
		"check_interval = 1500ms\nrise = 1\nfall = 100\nmax_connections = 5\n"
		"[backend unused]\nservers = a:1\nbalance = source\n";
	struct config *c = parse(text);
	char *once = print(c), *twice, *line, *copy = strdup(text);
	struct config *again = parse(once);

	(void)state;
	assert_non_null(copy);
	twice = print(again);
	assert_string_equal(once, twice);
	for (line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (strstr(once, line) == NULL)
			fail_msg("%s is not in what is printed:\n%s", line, once);
	}
	assert_ptr_equal(again->splices[0].found, &again->backends[0]);
	assert_true(again->splices[1].transparent);
	assert_int_equal(again->splices[1].source, SOURCE_CLIENT);
	free(copy);
	free(once);
	free(twice);
	config_free(c);
	config_free(again);
}

/* Items as long as they may be leave room for the key before them. */
static void long_items(void **state)
{
	char text[1024], *once;
	struct config *c;

	(void)state;
	snprintf(text, sizeof(text),
		"[backend b]\nservers = %.*s.example.org:65535 weight 256,\n\ta:1\n", 149,
		"abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz."
		"abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz");
	c = parse(text);
	once = print(c);
	config_free(parse(once));
	free(once);
	config_free(c);
}

/* One more than fit is a fault; as many as fit are none. */
static void many_servers(void **state)
{
	char text[2048] = "[backend b]\nservers = a:1";
	struct config_errors errors = {0};
	struct config *c;

	(void)state;
	for (int i = 2; i <= BACKEND_SERVERS_MAX; i++)
		sprintf(text + strlen(text), ",\n\ta:%d", i);
	c = parse(text);
	assert_int_equal(c->backends[0].server_count, BACKEND_SERVERS_MAX);
	config_free(c);
	strcat(text, ",\n\ta:99");
	assert_null(parse_to(text, &errors));
	assert_int_equal(errors.count, 1);
	assert_string_equal(
		errors.list[0], "a:66: [backend b] servers = a:99 is one too many" SERVERS);
	config_errors_free(&errors);
}

/* Of splice rules only: nobody else reads these keys. */
static void printed_of_gates(void **state)
{
	struct config *c = parse("[rule a]\nlisten = none\n");
	char *text = print(c);

	(void)state;
	assert_null(strstr(text, "listen"));
	assert_null(strstr(text, "keepalive"));
	free(text);
	config_free(c);
}

static const struct {
	const char *name;
	const char *text;
	const char *faults[FAULTS_MAX];
} scenarios[] = {
	{"listens", TO_WEB WEB, {NULL}},
	{"transparent, to a backend", ANYWHERE "backend = web\n" WEB, {NULL}},
	{"transparent, to where clients want to go", ANYWHERE "backend = original\n", {NULL}},
	{"transparent by itself", ANYWHERE, {NULL}},
	{"a backend that no rule names", WEB, {NULL}},
	{"narrowed", TO_WEB "from = 10.0.0.0/8\ninterface = eth0\n" WEB, {NULL}},
	{"inspected in full", TO_WEB "inspect = full\n" WEB, {NULL}},
	{"keys that say what holds anyway",
		"[rule a]\nlisten = none\ntransparent = no\nidle_timeout = 60m\n", {NULL}},

	/* Values. */
	{"no places",
		SPLICE "listen = 192.0.2.1, ::1:80,\n\t[::1], [10.0.0.1]:80,\n"
		       "\t[::1:80, 10.0.0.300:80,\n\t10.0.0.1:0, 10.0.0.1:65536\n",
		{"3: [rule a] listen = 192.0.2.1 has no port" ENDPOINTS,
			"3: [rule a] listen = ::1:80 has no brackets around its IPv6 "
			"address" ENDPOINTS,
			"4: [rule a] listen = [::1] has no port" ENDPOINTS,
			"4: [rule a] listen = [10.0.0.1]:80 has brackets around an IPv4 "
			"address" ENDPOINTS,
			"5: [rule a] listen = [::1:80 has no port" ENDPOINTS,
			"5: [rule a] listen = 10.0.0.300:80 is not an address" ENDPOINTS,
			"6: [rule a] listen = 10.0.0.1:0 has no good port" ENDPOINTS,
			"6: [rule a] listen = 10.0.0.1:65536 has no good port" ENDPOINTS}},
	{"no sources", ANYWHERE "source = 10.0.0.0/8\n",
		{"5: [rule a] source = 10.0.0.0/8 is more than one address" HOSTS}},
	{"a source that is none", ANYWHERE "source = ::, clinet\n",
		{"5: [rule a] source = :: is no host's address" HOSTS,
			"5: [rule a] source = clinet is not an address" HOSTS}},
	{"no server", "[backend b]\nservers = web\n",
		{"2: [backend b] servers = web has no port" SERVERS}},
	{"bad addresses of servers",
		"[backend b]\nservers = 0.0.0.0:80, 10.0.0.300:80,\n\t::1:80\n",
		{"2: [backend b] servers = 0.0.0.0:80 is no host's address" SERVERS,
			"2: [backend b] servers = 10.0.0.300:80 is not an address" SERVERS,
			"3: [backend b] servers = ::1:80 has no brackets around its IPv6 "
			"address" SERVERS}},
	{"bad names of servers",
		"[backend b]\nservers = a_b:1, -a:1, a..b:1,\n\ta.7:1, ex ample:1\n",
		{"2: [backend b] servers = -a:1 has no good name of a host" SERVERS,
			"2: [backend b] servers = a..b:1 has no good name of a host" SERVERS,
			"3: [backend b] servers = a.7:1 is not an address" SERVERS,
			"3: [backend b] servers = ex ample:1 has no port" SERVERS}},
	{"bad ports and paths of servers",
		"[backend b]\nservers = a:0, a:1-2,\n\tunix:run/x,\n\tunix:/23456789112345678921234"
		"5678931234567894123456789512345678961234567897123456789812345678991234567890123456"
		"7\n",
		{"2: [backend b] servers = a:0 has no good port" SERVERS,
			"2: [backend b] servers = a:1-2 has no good port" SERVERS,
			"3: [backend b] servers = unix:run/x is not a path from the root" SERVERS}},
	{"a path too long",
		"[backend b]\nservers = unix:/2345678911234567892123456789312345678941234567895123"
		"4567896123456789712345678981234567899123456789012345678\n",
		{"2: [backend b] servers = unix:/234567891123456789212345678931234567894123456789"
		 "51234567896123456789712345678981234567899123456789012345678 has too long a "
		 "path" SERVERS}},
	{"bad options of servers",
		"[backend b]\nservers = a:1 weight 0, b:1 weight 257,\n\tc:1 weight,\n\td:1 "
		"backup,\n"
		"\te:1 weight 1 weight 1\n",
		{"2: [backend b] servers = a:1 weight 0 has no good weight" SERVERS,
			"2: [backend b] servers = b:1 weight 257 has no good weight" SERVERS,
			"3: [backend b] servers = c:1 weight has no good weight" SERVERS,
			"4: [backend b] servers = d:1 backup has an unknown option" SERVERS,
			"5: [backend b] servers = e:1 weight 1 weight 1 has an option "
			"twice" SERVERS}},
	{"a server's limit too large", "[backend b]\nservers = a:1 max_connections 17m\n",
		{"2: [backend b] servers = a:1 max_connections 17m has no good "
		 "max_connections" SERVERS}},
	{"a server twice", "[backend b]\nservers = a:1, b:1,\n\ta:1 weight 2\n",
		{"3: [backend b] servers = a:1 weight 2 stands twice" SERVERS}},
	{"a name for a backend's", LISTENS "backend = we b\n",
		{"4: [rule a] backend = we b is no name of a section; give the name of a [backend "
		 "NAME], or original"}},
	{"numbers beyond", WEB "retries = 64\nrise = 0\nfall = 101\ncheck_interval = 50ms\n",
		{"3: [backend web] retries = 64 is too large; give a number from 0 to 63 servers",
			"4: [backend web] rise = 0 is too small; give a number from 1 to 100 "
			"checks",
			"5: [backend web] fall = 101 is too large; give a number from 1 to 100 "
			"checks",
			"6: [backend web] check_interval = 50ms is too small; give a time from "
			"100ms to 1h as in 500ms, 30s, 10m, 2h or 1d"}},

	/* Sections. */
	{"a backend twice", WEB WEB,
		{"3: [backend web] stands twice, first in a:1; give each backend a name of its "
		 "own"}},
	{"a backend and a rule of one name", "[rule web]\n" WEB, {NULL}},
	{"a backend without a name", "[backend]\nservers = a:1\n",
		{"1: [backend] has no name; write [backend NAME]"}},
	{"a backend's bad name", "[backend a/b]\nservers = a:1\n",
		{"1: [backend a/b] is no name for a backend; give at most 31 letters, digits, - "
		 "and _"}},
	{"a backend called original", "[backend original]\nservers = a:1\n",
		{"1: [backend original] has a name that means the client's own destination; give "
		 "another"}},
	{"a backend without servers", "[backend web]\nrise = 1\n",
		{"1: [backend web] has no servers; give servers = 192.0.2.1:80, for instance"}},
	{"a misspelt key of a backend", "[backend web]\nsevers = a:1\n",
		{"2: unknown key 'severs' in [backend web]; did you mean 'servers'?"}},
	{"a backend's key in a rule", "[rule a]\nservers = a:1\n",
		{"2: unknown key 'servers' in [rule a]; it belongs into [backend NAME]"}},

	/* What values say together. */
	{"nowhere", SPLICE "backend = web\n" WEB,
		{"2: [rule a] mode = splice has neither listen nor transparent = yes; give listen "
		 "= "
		 "0.0.0.0:80, for instance"}},
	{"here and everywhere", TO_WEB "transparent = yes\n" WEB,
		{"5: [rule a] transparent = yes can't stand beside listen; leave one of them out"}},
	{"everywhere on every port", SPLICE "transparent = yes\nto = 192.0.2.0/24\n",
		{"3: [rule a] transparent = yes without port would take every connection, an "
		 "administrator's too; give port"}},
	{"said twice", TO_WEB "to = 192.0.2.1\nport = 80\n" WEB,
		{"5: [rule a] to can't stand beside listen, which says it already; leave it out",
			"6: [rule a] port can't stand beside listen, which says it already; leave "
			"it "
			"out"}},
	{"leads nowhere", LISTENS,
		{"1: [rule a] has no backend, and only with transparent = yes do clients name a "
		 "server themselves; give backend = NAME and a [backend NAME]"}},
	{"leads to itself", LISTENS "backend = original\n",
		{"4: [rule a] has no backend, and only with transparent = yes do clients name a "
		 "server themselves; give backend = NAME and a [backend NAME]"}},
	{"a misspelt backend", LISTENS "backend = wbe\n" WEB,
		{"4: [rule a] backend = wbe is not there; did you mean 'web'?"}},
	{"an unknown backend", LISTENS "backend = mail\n" WEB,
		{"4: [rule a] backend = mail is not there; add a [backend mail]"}},
	{"in another mode", "[rule a]\nlisten = [::]:80\nport = 80\nkeepalive = 1m\n",
		{"2: [rule a] listen is for mode = splice alone; give that too, or leave it out",
			"4: [rule a] keepalive is for mode = splice alone; give that too, or leave "
			"it out"}},
	{"observes", TO_WEB "enforce = no\n" WEB,
		{"5: [rule a] enforce = no can't be" OBSERVES "leave it out"}},
	{"all observe", TO_WEB WEB "[daemon]\nenforce = no\n",
		{"2: [rule a] mode = splice can't be with [daemon] enforce = no" OBSERVES
		 "enforce = no in the other rules"}},
	{"two in one place",
		TO_WEB "[rule b]\nmode = splice\nlisten = 0.0.0.0:80\nbackend = "
		       "web\n" WEB,
		{"7: [rule b] listen = 0.0.0.0:80 takes in 0.0.0.0:80 of [rule a] in a:3; a place "
		 "is one rule's, once"}},
	{"one of them everywhere",
		SPLICE "listen = 192.0.2.1:80, [::]:80\nbackend = web\n"
		       "[rule b]\nmode = splice\nlisten = 0.0.0.0:81, 0.0.0.0:80\nbackend = "
		       "web\n" WEB,
		{"7: [rule b] listen = 0.0.0.0:80 takes in 192.0.2.1:80 of [rule a] in a:3; a "
		 "place is one rule's, once"}},
	{"everywhere and one of them, in one rule",
		SPLICE "listen = [::]:80, 192.0.2.1:80, [::1]:80\nbackend = web\n" WEB,
		{"3: [rule a] listen = [::1]:80 takes in [::]:80 of [rule a] in a:3; a place is "
		 "one "
		 "rule's, once"}},
	{"two families, addresses and ports",
		SPLICE "listen = 0.0.0.0:80, [::]:80, 192.0.2.1:81\nbackend = web\n"
		       "[rule b]\nmode = splice\nlisten = 192.0.2.2:81\nbackend = web\n" WEB,
		{NULL}},
	{"nobody is trusted", TO_WEB "accept_proxy = v1\n" WEB,
		{"5: [rule a] accept_proxy has no trusted_proxies, and anybody could claim to be "
		 "anybody; give the proxies' addresses there"}},
	{"the client's address on a UNIX socket",
		TO_WEB "source = client\n[backend web]\nservers = unix:/run/x\n",
		{
			"5: [rule a] source = client means nothing to unix:/run/x of [backend "
			"web]; give "
			"that server an address, or source = self with send_proxy",
		}},
	{"the client's address and servers of another family",
		SPLICE "listen = [::]:80, 0.0.0.0:80\nbackend = web\nsource = client\n[backend "
		       "web]\nservers = 192.0.2.1:80\n",
		{"5: [rule a] source = client leaves IPv6 clients without a server, since "
		 "[backend web] has none of that family; add one, or narrow the rule"}},
	{"the client's address, narrowed to the servers' family",
		ANYWHERE
		"backend = web\nsource = client\nfrom = 10.0.0.0/8\n[backend web]\nservers "
		"= 192.0.2.1:80\n",
		{NULL}},
	{"the client's address and a name",
		ANYWHERE "backend = web\nsource = client\n[backend web]\nservers = a:80\n", {NULL}},
	{"own addresses of one family", TO_WEB "source = 192.0.2.9\n" WEB,
		{"5: [rule a] source has no IPv6 address for [2001:db8::1]:80 of [backend web]; "
		 "add one"}},
	{"own addresses of both", TO_WEB "source = 192.0.2.9, ::1\n" WEB, {NULL}},
	{"families apart", SPLICE "listen = [::]:80\nbackend = web\nfrom = 10.0.0.0/8\n" WEB,
		{"1: [rule a] can't match anything, since 'from' and 'listen' have no family in "
		 "common; give addresses of one family in both"}},
	{"one bit twice", "[netfilter]\ntproxy_mark = 0x20000000\n",
		{"2: [netfilter] mark and tproxy_mark are both 0x20000000; give each a bit of its "
		 "own"}},
	{"the other bit twice", "[netfilter]\nmark = 0x10000000\n",
		{"2: [netfilter] mark and tproxy_mark are both 0x10000000; give each a bit of its "
		 "own"}},

	/* Which rule comes first. */
	{"behind a gate for its port", "[rule g]\nport = 80-90\n" TO_WEB WEB,
		{"3: [rule a] is never reached, since [rule g] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
	{"behind a gate for one of its addresses",
		"[rule g]\nport = 80\nto = 192.0.2.1\n" TO_WEB WEB, {NULL}},
	{"a gate for what passes by", TO_WEB "[rule g]\nport = 80\n" WEB, {NULL}},
	{"a gate for what passes by a transparent rule", ANYWHERE "[rule g]\nport = 80\n", {NULL}},
	{"behind another transparent rule",
		ANYWHERE "[rule b]\nmode = splice\ntransparent = yes\nport = 80\nto = ::/0\n",
		{"5: [rule b] is never reached, since [rule a] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
};

static void faults(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(scenarios) / sizeof(scenarios[0]); n++) {
		struct config_errors errors = {0};
		struct config *c = parse_to(scenarios[n].text, &errors);

		for (size_t i = 0; i < FAULTS_MAX; i++) {
			const char *got = i < errors.count ? errors.list[i] + 2 : "(none)";
			const char *wanted = scenarios[n].faults[i];

			wanted = wanted != NULL ? wanted : "(none)";
			if (strcmp(got, wanted) != 0)
				fail_msg("%s:\n   got %s\nwanted %s", scenarios[n].name, got,
					wanted);
		}
		assert_int_equal(c == NULL, errors.count > 0);
		config_free(c);
		config_errors_free(&errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(servers),
		cmocka_unit_test(printed),
		cmocka_unit_test(long_items),
		cmocka_unit_test(many_servers),
		cmocka_unit_test(printed_of_gates),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
