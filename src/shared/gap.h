/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_GAP_H
#define PORTMON_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Why figures of some time may be wrong. */
enum gap_reason {
    GAP_STOPPED,   /* portmond was not running: not counted */
    GAP_CRASHED,   /* it ended, and its counters with it: the last seconds are not counted either */
    GAP_REBOOTED,  /* the host went down without stopping it */
    GAP_UNSAMPLED, /* the kernel counted alone: all is there, but dated to the end of the gap */
    GAP_CLOCK,     /* the wall clock was set: traffic may be dated wrongly */
    GAP_DAMAGED,   /* the ledger was damaged: some history may be lost */
    GAP_SKIPPED,   /* the kernel did not report all events: some bytes may be missing */
    GAP_INEXACT,   /* counted by what is not exact */
    _GAP_REASON_MAX,
};

/** A time [from_usec, until_usec) when figures may be wrong. */
struct gap {
    uint64_t from_usec;
    uint64_t until_usec;
    enum gap_reason reason;
};

/** Gaps in the order of their beginnings. Empty when zeroed. */
struct gap_list {
    struct gap *gaps;
    size_t n;
    size_t size;
};

/** Returns 0 or -ENOMEM. */
int gap_list_add(struct gap_list *list, const struct gap *gap);
void gap_list_clear(struct gap_list *list);

#define _cleanup_gap_list_ __attribute__((cleanup(gap_list_clear)))

/** Whether @gap is more of @last. */
bool gap_goes_on(const struct gap *last, const struct gap *gap);

/** "stopped", "crashed", … */
const char *gap_reason_to_string(enum gap_reason reason);

/** Returns the reason of that name, or -EINVAL. */
int gap_reason_from_string(const char *name);

/** The reason in words for people: "portmond was not running". */
const char *gap_reason_explain(enum gap_reason reason);

#endif
