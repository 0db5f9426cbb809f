/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_DASHBOARD_H
#define PORTMON_DASHBOARD_H

#include "client/model.h"
#include "client/monitor-client.h"

struct dashboard_options {
    struct model_options model;
    struct monitor_client *client; /* connected; the dashboard takes it over */
    struct monitor_target target;  /* to connect to again */
    struct service_status status;  /* of this connection; the dashboard takes it over, too */
};

/**
 * Shows the dashboard until the user or a signal ends it. Returns 0, or a negative errno with
 * @reason. After a signal that ends it, does not return: the process ends by that signal.
 */
int dashboard_run(struct dashboard_options *options, struct reason *reason);

#endif
