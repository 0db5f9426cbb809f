/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_HISTORY_H
#define PORTMON_HISTORY_H

#include "shared/cleanup.h"
#include "shared/traffic.h"

#include <stddef.h>

/** Intervals in the order of their beginnings, each beginning once. Empty when zeroed. */
struct history {
    struct interval *rows;
    size_t n;
    size_t size;
};

/** Adds traffic to the row of that beginning, made if need be. Returns 0 or -ENOMEM. */
int history_add(struct history *history, uint64_t start_usec, const struct traffic *traffic);

/** The sum of all rows. */
void history_sum(const struct history *history, struct traffic *ret);

void history_clear(struct history *history);

#define _cleanup_history_ _cleanup_(history_clear)

#endif
