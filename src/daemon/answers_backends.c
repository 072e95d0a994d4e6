/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `backends`, and what is done to their servers. */
#include "config.h"

#include "daemon/answers.h"

#include "control/records.h"
#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "daemon/say.h"
#include "daemon/splicing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_server(void *arg, const char *backend, const struct backend_view *view)
{
	const uint64_t now = worker_now();
	const struct records_server record = {
		.backend = backend,
		.server = view->name,
		.address = view->where,
		.state = server_state_word(view->state),
		.since_s = now > view->since_us ? (now - view->since_us) / 1000000 : 0,
		.last = view->last,
		.connections = view->connections,
		.total = view->total,
		.failures = view->failures,
		.weight = view->weight,
		.max_connections = view->max_connections,
	};

	json_array_append_new(arg, records_server(&record));
}

static void add_listener(void *arg, const struct splice_place_view *view)
{
	const struct records_listener record = {
		.rule = view->rule,
		.at = view->at,
		.transparent = view->transparent,
		.backlog = view->backlog.now,
		.backlog_max = view->backlog.max,
		.overflows = view->backlog.overflows,
	};

	json_array_append_new(arg, records_listener(&record));
}

json_t *answers_backends(void *arg)
{
	const struct daemon *d = arg;
	json_t *servers = json_array(), *listeners = json_array();

	if (d->splice && servers && listeners) {
		splice_each_server(d->splice, add_server, servers);
		splice_each_place(d->splice, add_listener, listeners);
	}
	return json_pack("{s:o, s:o}", "servers", servers, "listeners", listeners);
}

bool answers_administer(void *arg, const char *server, const char *how, char **message)
{
	struct daemon *d = arg;
	const bool enable = strcmp(how, "enable") == 0, drain = strcmp(how, "drain") == 0;
	const char *slash = strchr(server, '/');
	char backend[64];

	if (!slash || (size_t)(slash - server) >= sizeof(backend)) {
		*message = say("'%.64s' is no server; give BACKEND/SERVER, as `backends` shows it",
			server);
		return false;
	}
	memcpy(backend, server, (size_t)(slash - server));
	backend[slash - server] = '\0';
	if (!d->splice || !splice_administer(d->splice, backend, slash + 1,
				  enable  ? SERVER_ENABLED
				  : drain ? SERVER_DRAINING
					  : SERVER_DISABLED)) {
		*message =
			say("there is no server %.128s; `ackgatectl backends` lists them", server);
		return false;
	}
	*message = say("%.128s %s", server,
		enable  ? "is enabled"
		: drain ? "gets no new connections; those it has go on"
			: "is disabled");
	log_notice("%s", *message ? *message : "a server's state was changed");
	splicing_tick(d);
	return true;
}
