/* SPDX-License-Identifier: MIT */
#include "shared/gap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *words;
} reasons[_GAP_REASON_MAX] = {
    [GAP_STOPPED] = {"stopped", "portmond was not running; traffic of this time is not counted"},
    [GAP_CRASHED] = {"crashed",
                     "portmond ended unexpectedly and its counters were lost; traffic of "
                     "this time is not counted"},
    [GAP_REBOOTED] = {"rebooted", "the host went down; traffic since the last flush is missing"},
    [GAP_UNSAMPLED] = {"unsampled", "portmond was not running but the kernel counted; all of it is "
                                    "there, dated to the end of this time"},
    [GAP_CLOCK] = {"clock", "the clock was set; traffic may be dated wrongly"},
    [GAP_DAMAGED] = {"damaged", "the ledger was damaged; history of this time may be incomplete"},
    [GAP_SKIPPED] = {"skipped", "the kernel did not report every connection; bytes may be missing"},
    [GAP_INEXACT] = {"inexact", "counted by the kernel's socket statistics, which are not exact; "
                                "bytes may be missing"},
};

int gap_list_add(struct gap_list *list, const struct gap *gap)
{
    struct gap *gaps;
    size_t size;

    if (list->n == list->size) {
        size = list->size * 2 ?: 8;
        gaps = reallocarray(list->gaps, size, sizeof(*gaps));
        if (!gaps)
            return -ENOMEM;
        list->gaps = gaps;
        list->size = size;
    }
    list->gaps[list->n++] = *gap;
    return 0;
}

void gap_list_clear(struct gap_list *list)
{
    free(list->gaps);
    *list = (struct gap_list){};
}

bool gap_goes_on(const struct gap *last, const struct gap *gap)
{
    return last->reason == gap->reason && last->from_usec <= gap->from_usec &&
           gap->from_usec <= last->until_usec;
}

const char *gap_reason_to_string(enum gap_reason reason)
{
    return reasons[reason].name;
}

int gap_reason_from_string(const char *name)
{
    for (int reason = 0; reason < _GAP_REASON_MAX; reason++)
        if (strcmp(reasons[reason].name, name) == 0)
            return reason;
    return -EINVAL;
}

const char *gap_reason_explain(enum gap_reason reason)
{
    return reasons[reason].words;
}
