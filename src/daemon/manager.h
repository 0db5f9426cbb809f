/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MANAGER_H
#define PORTMON_MANAGER_H

#include "daemon/config.h"
#include "shared/reason.h"

/**
 * Makes the configuration anew, for a reload: file and command line. It reports what is wrong by
 * itself. Returns 0 or a negative errno.
 */
typedef int (*config_source)(void *userdata, struct config **ret);

/**
 * Runs the daemon until it is told to stop: owns everything and wires it together. @config becomes
 * the manager's. Returns 0 after a clean stop, or a negative errno with @reason.
 */
int manager_run(struct config *config, config_source source, void *userdata, struct reason *reason);

#endif
