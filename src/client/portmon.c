/* SPDX-License-Identifier: MIT */
/* The client: its verbs, and what they share. */
#include "client/verbs.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct verb verbs[] = {
    {"stats", "", "Show figures: live ones, or those of a range of days",
     BIT(OPTION_PORT) | BIT(OPTION_ROLE) | RANGE_OPTIONS | BIT(OPTION_JSON), 0, 0, verb_stats},
    {"status", "", "Show the state of portmond", BIT(OPTION_JSON), 0, 0, verb_status},
    {"list-ports", "", "List the ports that are watched", BIT(OPTION_JSON), 0, 0, verb_list_ports},
    {"add-port", "PORT [DESCRIPTION]", "Watch a port from now on", 0, 1, 2, verb_add_port},
    {"remove-port", "PORT", "Stop watching a port; its history stays", 0, 1, 1, verb_remove_port},
    {"describe-port", "PORT DESCRIPTION", "Call a port something", 0, 2, 2, verb_describe_port},
    {"flush", "", "Write everything that is counted to the ledger now", 0, 0, 0, verb_flush},
    {},
};

int context_connect(struct context *context, struct reason *reason)
{
    const struct monitor_target target = {
        .socket_path = context->arguments.socket_path,
        .host = context->arguments.host,
    };

    return monitor_client_open(&context->client, &target, reason);
}

int context_use_zone(struct context *context, struct reason *reason)
{
    _cleanup_service_status_ struct service_status status = {};
    int r = monitor_client_status(context->client, &status, reason);

    if (r < 0)
        return r;
    if (*status.time_zone)
        setenv("TZ", status.time_zone, true);
    calendar_refresh_zone();
    return 0;
}

bool context_wants_color(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

int report_failure(const struct reason *reason, int r)
{
    fprintf(stderr, "portmon: %s\n", *reason->text ? reason->text : strerrordesc_np(-r));
    return STATUS_FAILED;
}

int main(int argc, char *argv[])
{
    struct context context = {};
    int status;

    setlocale(LC_ALL, "");
    if (arguments_parse(verbs, argc, argv, &context.arguments, &status) > 0)
        status = context.arguments.verb->run(&context);
    monitor_client_free(context.client);
    return status;
}
