/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_DOCTOR_H
#define PORTMON_DOCTOR_H

#include "daemon/config.h"

#include <stdbool.h>

/** What is looked at. */
struct doctor_case {
    const struct config *config;
    bool config_is_valid; /* if not, @config is what there would be without the file */
};

/**
 * Looks at everything that portmond depends on and prints a line each: ok, or what to do. At last
 * it counts known bytes over loopback and compares. Disturbs no portmond that runs: it has counters
 * of its own. Returns whether all is well.
 */
bool doctor_run(const struct doctor_case *it);

#endif
