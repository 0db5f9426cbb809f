/* SPDX-License-Identifier: MIT */
/* The client: its verbs. */
#include "client/verbs.h"
#include "shared/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DISPLAY_OPTIONS (BIT(OPTION_UTC) | BIT(OPTION_SI))

static const struct verb verbs[] = {
    {"stats", "", "Show live figures, or those of a range of days",
     BIT(OPTION_PORT) | RANGE_OPTIONS | BIT(OPTION_ROLE) | DISPLAY_OPTIONS | BIT(OPTION_JSON), 0, 0,
     verb_stats},
    {"history", "", "Show what was transferred in each interval",
     BIT(OPTION_PORT) | RANGE_OPTIONS | BIT(OPTION_BY) | BIT(OPTION_LIMIT) | BIT(OPTION_TOP) |
         BIT(OPTION_ROLE) | DISPLAY_OPTIONS | BIT(OPTION_JSON) | BIT(OPTION_CSV),
     0, 0, verb_history},
    {"connections", "", "List open connections, the busiest first",
     BIT(OPTION_PORT) | BIT(OPTION_SI) | BIT(OPTION_JSON), 0, 0, verb_connections},
    {"watch", "", "Print a line every second until interrupted",
     BIT(OPTION_PORT) | BIT(OPTION_INTERVAL) | BIT(OPTION_ROLE) | DISPLAY_OPTIONS |
         BIT(OPTION_JSON),
     0, 0, verb_watch},
    {"status", "", "Show the state of portmond", BIT(OPTION_JSON), 0, 0, verb_status},
    {"doctor", "", "Look for what may be wrong, and say what to do", BIT(OPTION_JSON), 0, 0,
     verb_doctor},
    {"list-ports", "", "List the ports that are watched", BIT(OPTION_JSON), 0, 0, verb_list_ports},
    {"add-port", "PORT [DESCRIPTION]", "Watch a port from now on", 0, 1, 2, verb_add_port},
    {"remove-port", "PORT", "Stop watching a port; its history stays", 0, 1, 1, verb_remove_port},
    {"describe-port", "PORT DESCRIPTION", "Call a port something", 0, 2, 2, verb_describe_port},
    {"tui", "", "Show a dashboard until q is pressed",
     BIT(OPTION_PORT) | BIT(OPTION_INTERVAL) | BIT(OPTION_ROLE) | BIT(OPTION_SI), 0, 0, verb_tui},
    {"flush", "", "Write all that is counted to the ledger now", 0, 0, 0, verb_flush},
    {},
};

/**
 * Sees to it that no socket of ours gets the number of a standard descriptor that is closed, where
 * it would get our output. What is opened in its place can't be written to.
 */
static void occupy_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    safe_close(fd);
}

/** What could not be written is a failure, of which nobody has said anything unless @status is. */
static int finish_output(int status)
{
    bool failed = ferror(stdout);

    errno = 0;
    if ((fflush(stdout) == 0 && !failed) || status != STATUS_DONE)
        return status;
    /* Of a failure some time ago the reason is not known any more. */
    fprintf(stderr, "portmon: Cannot write the output%s%s\n", errno ? ": " : "",
            errno ? strerrordesc_np(errno) : "");
    return STATUS_FAILED;
}

int main(int argc, char *argv[])
{
    struct context context = {};
    int status;

    occupy_standard_fds();
    setlocale(LC_ALL, "");
    if (arguments_parse(verbs, argc, argv, &context.arguments, &status) > 0)
        status = context.arguments.verb->run(&context);
    context_done(&context);
    return finish_output(status);
}
