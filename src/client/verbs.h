/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_VERBS_H
#define PORTMON_VERBS_H

/* One function a verb, each in the file of that name. They return an exit status. */

#include "client/arguments.h"
#include "client/monitor-client.h"

/** What a verb works with. */
struct context {
    struct arguments arguments;
    struct monitor_client *client; /* see context_connect() */
};

/** Connects to portmond. Returns 0 or a negative errno with @reason. */
int context_connect(struct context *context, struct reason *reason);

/** From here on days are those of portmond's time zone, which may be on another host. */
int context_use_zone(struct context *context, struct reason *reason);

/** Whether standard output is a terminal that wants colours. */
bool context_wants_color(void);

/** Says why something failed, and returns STATUS_FAILED. */
int report_failure(const struct reason *reason, int r);

int verb_stats(struct context *context);
int verb_status(struct context *context);
int verb_list_ports(struct context *context);
int verb_add_port(struct context *context);
int verb_remove_port(struct context *context);
int verb_describe_port(struct context *context);
int verb_flush(struct context *context);

#endif
