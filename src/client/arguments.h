/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_ARGUMENTS_H
#define PORTMON_ARGUMENTS_H

/*
 * The command line, from tables: one of all options, one of verbs and which options each takes.
 * Help, completion and the check of the man page come from the same tables.
 */

#include "client/range.h"
#include "shared/format.h"
#include "shared/traffic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
    /* for every verb */
    OPTION_HOST,
    OPTION_SOCKET,
    OPTION_HELP,
    OPTION_VERSION,
    /* for some */
    OPTION_PORT,
    OPTION_ROLE,
    OPTION_TODAY,
    OPTION_THIS_MONTH,
    OPTION_LAST_7_DAYS,
    OPTION_LAST_30_DAYS,
    OPTION_CYCLE_DAY,
    OPTION_CYCLE,
    OPTION_FROM,
    OPTION_TO,
    OPTION_BY,
    OPTION_LIMIT,
    OPTION_TOP,
    OPTION_INTERVAL,
    OPTION_UTC,
    OPTION_SI,
    OPTION_CSV,
    OPTION_JSON,
    _OPTION_MAX,
};

#define BIT(option) (UINT64_C(1) << (option))

#define COMMON_OPTIONS \
    (BIT(OPTION_HOST) | BIT(OPTION_SOCKET) | BIT(OPTION_HELP) | BIT(OPTION_VERSION))

#define RANGE_OPTIONS                                                                          \
    (BIT(OPTION_TODAY) | BIT(OPTION_THIS_MONTH) | BIT(OPTION_LAST_7_DAYS) |                    \
     BIT(OPTION_LAST_30_DAYS) | BIT(OPTION_CYCLE_DAY) | BIT(OPTION_CYCLE) | BIT(OPTION_FROM) | \
     BIT(OPTION_TO))

struct context;

/** What portmon can be told to do. */
struct verb {
    const char *name;
    const char *parameters; /* for the help: "PORT [DESCRIPTION]" */
    const char *summary;
    uint64_t options; /* a BIT() for each, without the common ones */
    int min_parameters;
    int max_parameters;

    /** Returns an exit status. */
    int (*run)(struct context *context);
};

/** What the command line said. The strings are those of argv. */
struct arguments {
    const struct verb *verb;
    char **parameters;
    int n_parameters;
    uint64_t given; /* a BIT() for each option that was given */
    const char *host;
    const char *socket_path;
    uint16_t port; /* 0 if none was given */
    enum role role;
    struct range_request range;
    enum resolution by; /* RESOLUTION_DAY if not given */
    size_t limit;       /* rows at the most; 0 if not given */
    bool top;
    unsigned interval_sec;
    enum unit_system units;
    bool utc;
    bool csv;
    bool json;
};

enum {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
};

/**
 * Reads the command line. @verbs ends with an empty one. Returns 1 to go on with @ret, or 0 when
 * all is done, with the exit status in *@ret_status: help was printed, or what is wrong.
 */
int arguments_parse(const struct verb *verbs, int argc, char *argv[], struct arguments *ret,
                    int *ret_status);

/** Says what is wrong with the command line, and returns STATUS_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
