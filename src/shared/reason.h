/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_REASON_H
#define PORTMON_REASON_H

#include <stddef.h>

/**
 * Why something failed, in one sentence for the person who has to mend it: what was tried, why it
 * failed, what to do. Functions that fail for reasons an errno cannot tell fill it in; the caller
 * at the top prints it once. Empty when zeroed.
 */
struct reason {
    char text[512];
};

/** Writes the sentence, unless @reason is NULL. Returns @error, so a failing function ends with it.
 */
int fail(struct reason *reason, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** As fail(), and ends the sentence with what @error means. */
int fail_errno(struct reason *reason, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
