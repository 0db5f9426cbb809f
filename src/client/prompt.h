/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROMPT_H
#define PORTMON_PROMPT_H

/* What the dashboard asks its user, and what comes of the answers. Part of the model, and pure. */

#include "shared/bus-names.h"
#include "shared/calendar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

struct model;

enum prompt_id {
    PROMPT_NONE,
    PROMPT_FILTER,
    PROMPT_RANGE,
    PROMPT_CYCLE_DAY,
    PROMPT_FROM,
    PROMPT_TO,
    PROMPT_PORT,
    PROMPT_DESCRIPTION,
    PROMPT_REMOVE,
    _PROMPT_MAX,
};

/** How it is answered: by typing, by choosing from a menu, or by yes or no. */
enum prompt_shape {
    SHAPE_NONE,
    SHAPE_TEXT,
    SHAPE_MENU,
    SHAPE_CONFIRM,
};

/** A question that is open. Zeroed when none is. */
struct prompt {
    enum prompt_id id;
    char text[MAX_DESCRIPTION_BYTES + 1]; /* typed so far, in UTF-8 */
    const char *complaint;                /* why the last answer was not taken, or NULL */
    unsigned choice;                      /* the line of the menu */
    uint16_t port;                        /* that it is about */
    struct date from;                     /* of a range whose end is asked for */
};

struct choice {
    wchar_t key;
    const char *text;
};

enum prompt_shape prompt_shape(const struct prompt *prompt);

/** Writes the question. */
void prompt_question(const struct model *model, char *buffer, size_t size);

/** The lines of a menu. */
const struct choice *prompt_choices(const struct prompt *prompt, size_t *ret_n);

/* Each returns effects. */
unsigned prompt_open(struct model *model, enum prompt_id id);

/** A character that was typed: it is part of the text, a line of the menu, or yes or no. */
unsigned prompt_type(struct model *model, wchar_t character);

/** Takes away the last character, or all of them. */
unsigned prompt_erase(struct model *model, bool all);

/** Moves in a menu. */
unsigned prompt_move(struct model *model, int lines);
unsigned prompt_accept(struct model *model);
unsigned prompt_cancel(struct model *model);

#endif
