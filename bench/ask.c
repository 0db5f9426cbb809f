/* SPDX-License-Identifier: MIT */
/* Asks portmond the same again and again over one connection, and prints what each answer took, in
 * microseconds. */
#include "client/monitor-client.h"
#include "shared/time-util.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A question, about one port and a range of time. */
struct question {
    uint16_t port;
    uint64_t from_usec;
    uint64_t until_usec;
};

typedef int ask_fn(struct monitor_client *client, const struct question *question,
                   struct reason *reason);

static int ask_stats(struct monitor_client *client, const struct question *question,
                     struct reason *reason)
{
    _cleanup_port_stats_ struct port_stats stats = {};

    return monitor_client_stats(client, question->port, &stats, reason);
}

static int ask_all_stats(struct monitor_client *client, const struct question *question,
                         struct reason *reason)
{
    _cleanup_port_stats_list_ struct port_stats_list stats = {};

    return monitor_client_all_stats(client, &stats, reason);
}

static int ask_ports(struct monitor_client *client, const struct question *question,
                     struct reason *reason)
{
    _cleanup_port_list_ struct port_list ports = {};

    return monitor_client_list_ports(client, &ports, reason);
}

static int ask_connections(struct monitor_client *client, const struct question *question,
                           struct reason *reason)
{
    _cleanup_connection_list_ struct connection_list list = {};

    return monitor_client_connections(client, question->port, &list, reason);
}

static int ask_range(struct monitor_client *client, const struct question *question,
                     struct reason *reason)
{
    struct traffic traffic;

    return monitor_client_range(client, question->port, ROLE_SERVER, question->from_usec,
                                question->until_usec, &traffic, reason);
}

static int ask_history(struct monitor_client *client, const struct question *question,
                       const char *resolution, struct reason *reason)
{
    _cleanup_history_ struct history history = {};

    return monitor_client_history(client, question->port, ROLE_SERVER, question->from_usec,
                                  question->until_usec, resolution, &history, reason);
}

static int ask_buckets(struct monitor_client *client, const struct question *question,
                       struct reason *reason)
{
    return ask_history(client, question, "5min", reason);
}

static int ask_hours(struct monitor_client *client, const struct question *question,
                     struct reason *reason)
{
    return ask_history(client, question, "hour", reason);
}

static int ask_days(struct monitor_client *client, const struct question *question,
                    struct reason *reason)
{
    return ask_history(client, question, "day", reason);
}

static int flush_ledger(struct monitor_client *client, const struct question *question,
                        struct reason *reason)
{
    return monitor_client_flush(client, reason);
}

static const struct {
    const char *name;
    ask_fn *ask;
} questions[] = {
    {"stats", ask_stats},    {"all-stats", ask_all_stats},
    {"ports", ask_ports},    {"connections", ask_connections},
    {"range", ask_range},    {"5min", ask_buckets},
    {"hour", ask_hours},     {"day", ask_days},
    {"flush", flush_ledger},
};

static int fail_with(const struct reason *reason)
{
    fprintf(stderr, "ask: %s\n", reason->text);
    return 1;
}

/** usage: ask SOCKET|- QUESTION TIMES [PORT [FROM_SEC UNTIL_SEC]]; "-" is the system bus. */
int main(int argc, char *argv[])
{
    _cleanup_(monitor_client_freep) struct monitor_client *client = NULL;
    struct monitor_target target = {.start = MONITOR_START_NEVER};
    struct question question = {};
    struct reason reason = {};
    ask_fn *ask = NULL;

    for (size_t i = 0; argc > 3 && i < ELEMENTSOF(questions); i++)
        if (strcmp(questions[i].name, argv[2]) == 0)
            ask = questions[i].ask;
    if (!ask) {
        fputs("usage: ask SOCKET|- QUESTION TIMES [PORT [FROM_SEC UNTIL_SEC]]\n", stderr);
        return 2;
    }
    if (strcmp(argv[1], "-") != 0)
        target.socket_path = argv[1];
    if (argc > 4)
        question.port = (uint16_t) atoi(argv[4]);
    if (argc > 6) {
        question.from_usec = strtoull(argv[5], NULL, 10) * USEC_PER_SEC;
        question.until_usec = strtoull(argv[6], NULL, 10) * USEC_PER_SEC;
    }
    if (monitor_client_open(&client, &target, &reason) < 0)
        return fail_with(&reason);
    for (int i = atoi(argv[3]); i > 0; i--) {
        uint64_t start = now_usec(CLOCK_MONOTONIC);

        if (ask(client, &question, &reason) < 0)
            return fail_with(&reason);
        printf("%" PRIu64 "\n", now_usec(CLOCK_MONOTONIC) - start);
    }
    return 0;
}
