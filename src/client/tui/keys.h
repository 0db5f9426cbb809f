/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_KEYS_H
#define PORTMON_KEYS_H

/* What each key does, as a table; the help is made from it. */

#include "client/model.h"

#include <wchar.h>

enum input_kind {
    INPUT_NONE, /* nothing we know */
    INPUT_CHARACTER,
    INPUT_UP,
    INPUT_DOWN,
    INPUT_LEFT,
    INPUT_RIGHT,
    INPUT_PAGE_UP,
    INPUT_PAGE_DOWN,
    INPUT_HOME,
    INPUT_END,
    INPUT_ENTER,
    INPUT_TAB,
    INPUT_BACKTAB,
    INPUT_BACKSPACE,
    INPUT_ESCAPE,
    INPUT_CLICK,
    INPUT_WHEEL_UP,
    INPUT_WHEEL_DOWN,
    _INPUT_MAX,
};

struct input {
    enum input_kind kind;
    wchar_t character; /* of INPUT_CHARACTER */
    int row;           /* of the mouse */
    int column;
};

#define CONTROL(letter) ((letter) &0x1f)

struct key_help {
    const char *keys;
    const char *text;
    const char *hint; /* one word for the last line of the screen, or NULL */
};

/** The explanations, in order. */
const struct key_help *keys_help(size_t *ret_n);

/** Does what a key asks for, in the prompt if one is open; returns effects. */
unsigned keys_press(struct model *model, const struct input *input);

#endif
