/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_SCREEN_H
#define PORTMON_SCREEN_H

/* The terminal: colours, keys, mouse, size. This is the only part that knows curses. */

#include "client/tui/keys.h"
#include "client/tui/surface.h"
#include "shared/reason.h"

/** Whether there is a terminal that a dashboard can be shown on; fills @reason if not. */
bool screen_is_possible(struct reason *reason);

/** Takes the terminal over. There can be one screen only. Returns 0, or -ENOTTY or -ENOMEM. */
int screen_open(struct reason *reason);

/** Leaves the terminal as it was found. */
void screen_close(void);

const struct look *screen_look(void);

/** The surface to draw on, of the size of the terminal as it is now, and blank. */
struct surface *screen_begin(void);

/** Shows the surface: writes what differs from what is there. */
void screen_show(void);

/** The terminal may show anything by now: writes everything anew with the next screen_show(). */
void screen_repaint(void);

/** The terminal has another size. */
void screen_resized(void);

/** Gives the terminal back for the time that we are stopped, and takes it again. */
void screen_suspend(void);
void screen_resume(void);

/** Takes a key that was pressed; returns false if there is none. */
bool screen_read(struct input *ret);

#endif
