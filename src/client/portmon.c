/* SPDX-License-Identifier: MIT */
/* The client: its verbs. */
#include "client/verbs.h"

#include <locale.h>

#define DISPLAY_OPTIONS (BIT(OPTION_UTC) | BIT(OPTION_SI))

static const struct verb verbs[] = {
    {"stats", "", "Show figures: live ones, or those of a range of days",
     BIT(OPTION_PORT) | RANGE_OPTIONS | BIT(OPTION_ROLE) | DISPLAY_OPTIONS | BIT(OPTION_JSON), 0, 0,
     verb_stats},
    {"history", "", "Show what was transferred in each interval",
     BIT(OPTION_PORT) | RANGE_OPTIONS | BIT(OPTION_BY) | BIT(OPTION_LIMIT) | BIT(OPTION_TOP) |
         BIT(OPTION_ROLE) | DISPLAY_OPTIONS | BIT(OPTION_JSON) | BIT(OPTION_CSV),
     0, 0, verb_history},
    {"connections", "", "List open connections, the busiest first",
     BIT(OPTION_PORT) | BIT(OPTION_SI) | BIT(OPTION_JSON), 0, 0, verb_connections},
    {"watch", "", "Print a line every second until interrupted",
     BIT(OPTION_PORT) | BIT(OPTION_INTERVAL) | BIT(OPTION_ROLE) | DISPLAY_OPTIONS, 0, 0,
     verb_watch},
    {"status", "", "Show the state of portmond", BIT(OPTION_JSON), 0, 0, verb_status},
    {"list-ports", "", "List the ports that are watched", BIT(OPTION_JSON), 0, 0, verb_list_ports},
    {"add-port", "PORT [DESCRIPTION]", "Watch a port from now on", 0, 1, 2, verb_add_port},
    {"remove-port", "PORT", "Stop watching a port; its history stays", 0, 1, 1, verb_remove_port},
    {"describe-port", "PORT DESCRIPTION", "Call a port something", 0, 2, 2, verb_describe_port},
    {"flush", "", "Write everything that is counted to the ledger now", 0, 0, 0, verb_flush},
    {},
};

int main(int argc, char *argv[])
{
    struct context context = {};
    int status;

    setlocale(LC_ALL, "");
    if (arguments_parse(verbs, argc, argv, &context.arguments, &status) > 0)
        status = context.arguments.verb->run(&context);
    context_done(&context);
    return status;
}
