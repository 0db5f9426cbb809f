/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PRIVILEGES_H
#define PORTMON_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#define CAPABILITY(number) (UINT64_C(1) << (number))

/** Whether all of these capabilities are in effect. */
bool privileges_have(uint64_t capabilities);

/** Gives up all capabilities but these, for good. Returns 0 or a negative errno. */
int privileges_keep_only(uint64_t capabilities);

/** Whether @works, which returns false if it was refused, works without any capability. */
bool privileges_dispensable_for(bool (*works)(void *userdata), void *userdata);

#endif
