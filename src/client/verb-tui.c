/* SPDX-License-Identifier: MIT */
#include "client/tui/dashboard.h"
#include "client/tui/screen.h"
#include "client/verbs.h"

#include <limits.h>
#include <unistd.h>

int verb_tui(struct context *context)
{
    const struct arguments *arguments = &context->arguments;
    char host[HOST_NAME_MAX + 1] = "localhost";
    struct dashboard_options options = {
        .model =
            {
                .host = arguments->host ?: host,
                .port = arguments->port,
                .role = arguments->role,
                .units = arguments->units,
                .interval_sec = arguments->interval_sec,
            },
        .target =
            {
                .socket_path = arguments->socket_path,
                .host = arguments->host,
                .start = MONITOR_START_ONCE,
            },
    };
    struct reason reason = {};
    int r = 0;

    if (arguments->interval_sec > MAX_TUI_INTERVAL_SEC)
        return usage_error("the dashboard takes a sample every 1 to %d seconds",
                           MAX_TUI_INTERVAL_SEC);
    gethostname(host, sizeof(host) - 1);
    /* All that may ask something or fail comes while the terminal is still an ordinary one. */
    if (!screen_is_possible(&reason))
        r = -ENOTTY;
    else if ((r = monitor_client_open(&options.client, &options.target, &reason)) >= 0 &&
             (r = monitor_client_status(options.client, &options.status, &reason)) >= 0)
        r = dashboard_run(&options, &reason);
    service_status_clear(&options.status);
    monitor_client_free(options.client);
    return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
}
