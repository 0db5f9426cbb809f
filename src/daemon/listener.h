/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LISTENER_H
#define PORTMON_LISTENER_H

#include "shared/reason.h"

/**
 * Makes the stream socket at @path that peers connect to; everybody may. A socket that a dead
 * daemon left there is taken over; -EADDRINUSE if a live one listens on it. Returns a descriptor
 * or a negative errno with @reason.
 */
int listener_open(const char *path, struct reason *reason);

#endif
