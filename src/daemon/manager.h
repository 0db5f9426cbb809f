/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MANAGER_H
#define PORTMON_MANAGER_H

#include "daemon/config.h"
#include "shared/reason.h"

/**
 * Runs the daemon until it is told to stop: owns everything and wires it together. Returns 0 after
 * a clean stop, or a negative errno with @reason.
 */
int manager_run(const struct config *config, struct reason *reason);

#endif
