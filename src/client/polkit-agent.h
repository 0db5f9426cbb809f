/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_POLKIT_AGENT_H
#define PORTMON_POLKIT_AGENT_H

#include <sys/types.h>

/**
 * Starts polkit's textual agent, which asks for a password on this terminal, where one may be
 * needed: for a user other than root, on a terminal. Returns its process id, or 0 if there is none.
 */
pid_t polkit_agent_start(void);

/** Ends it. Takes 0. */
void polkit_agent_stop(pid_t agent);

#endif
