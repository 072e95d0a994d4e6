/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/interception.h"

#include "daemon/log.h"

#include <event2/event.h>

enum {
	WHY = 512
};

static struct tproxy_plan plan_of(const struct config *c)
{
	return (struct tproxy_plan){
		.policy = &c->policy,
		.splices = c->splices,
		.mark = c->netfilter.tproxy_mark,
		.gate_mark = c->netfilter.mark,
		.fail_open = c->netfilter.fail_open,
	};
}

static bool wanted(const struct config *c)
{
	return tproxy_wanted(&c->policy, c->splices);
}

bool interception_open(struct daemon *d, char *why, size_t why_size)
{
	d->tproxy = tproxy_open();
	if (!d->tproxy)
		snprintf(why, why_size, "out of memory");
	return d->tproxy != NULL;
}

void interception_close(struct daemon *d)
{
	tproxy_close(d->tproxy);
	d->tproxy = NULL;
}

static void find_ports(const struct daemon *d, const struct config *c,
	const struct splice_change *change, struct tproxy_ports ports[static POLICY_RULES_MAX])
{
	for (size_t i = 0; i < c->policy.rule_count; i++) {
		const uint16_t slot = c->policy.rules[i].slot;

		ports[i] = (struct tproxy_ports){0};
		if (d->splice)
			ports[i] = (struct tproxy_ports){
				.v4 = splice_port(d->splice, change, slot, true),
				.v6 = splice_port(d->splice, change, slot, false),
			};
	}
}

/* What nobody wants is no reason to refuse a configuration. `change` NULL: what listens is in
 * force. */
static int apply(struct daemon *d, const struct config *c, const struct splice_change *change,
	char *why, size_t why_size)
{
	struct tproxy_ports ports[POLICY_RULES_MAX];
	struct tproxy_plan plan = plan_of(c);
	bool needed = d->intercepting || wanted(c);

	find_ports(d, c, change, ports);
	plan.ports = ports;
	if (tproxy_apply(d->tproxy, &plan, why, why_size) == 0) {
		d->intercepting = needed;
		return 0;
	}
	if (needed)
		return -1;
	log_warning("remains of transparent interception could not be taken away: %s", why);
	return 0;
}

int interception_apply(struct daemon *d, const struct config *c, char *why, size_t why_size)
{
	return apply(d, c, d->splice_next, why, why_size);
}

void interception_go_back(struct daemon *d, const struct config *refused)
{
	char why[WHY];

	if (refused != d->config && apply(d, d->config, NULL, why, sizeof(why)) != 0)
		log_error("transparent rules are not what they were: %s", why);
}

void interception_mend(struct daemon *d)
{
	char why[WHY];

	if (tproxy_intact(d->tproxy))
		return;
	log_warning("somebody took away what leads connections to transparent rules; putting it "
		    "back");
	if (interception_apply(d, d->config, why, sizeof(why)) != 0)
		log_error("it can't be put back: %s", why);
}

static void on_routing_changed(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (tproxy_watch_read(d->tproxy))
		upkeep_mend_soon(d);
}

void interception_follow_config(struct daemon *d)
{
	int fd;

	if (d->routing_event || !wanted(d->config))
		return;
	fd = tproxy_watch_fd(d->tproxy);
	if (fd >= 0)
		d->routing_event =
			event_new(d->base, fd, EV_READ | EV_PERSIST, on_routing_changed, d);
	if (!d->routing_event || event_add(d->routing_event, NULL) != 0)
		log_warning("changes of the host's routing rules are noticed late");
}

void interception_stop(struct daemon *d)
{
	char why[WHY];

	if (d->routing_event)
		event_free(d->routing_event);
	d->routing_event = NULL;

	if (!d->intercepting)
		return;
	if (tproxy_remove(d->tproxy, why, sizeof(why)) != 0)
		log_error("what leads connections to transparent rules could not be taken away: "
			  "%s; ackgated --purge does",
			why);
	d->intercepting = false;
}

int interception_print(const struct config *c, FILE *to)
{
	const struct tproxy_plan plan = plan_of(c);

	return tproxy_print(&plan, to);
}

uint32_t interception_mark(const struct config *c)
{
	return wanted(c) ? c->netfilter.tproxy_mark : 0;
}
