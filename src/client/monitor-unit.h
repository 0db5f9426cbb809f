/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_UNIT_H
#define PORTMON_MONITOR_UNIT_H

/* portmond as systemd sees it. To ask starts nothing. */

#include "shared/reason.h"

/** In systemd's words: "loaded", "active", "enabled", … */
struct unit_state {
    char load[16];
    char active[16];
    char file[24];
};

/**
 * Asks systemd about portmond's service, on [USER@]HOST or, if that is NULL, here. Returns 0,
 * -ENOTCONN if there is no system bus, or another negative errno with @reason: -ENOENT if systemd
 * is not on it.
 */
int monitor_unit_look(const char *host, struct unit_state *ret, struct reason *reason);

#endif
