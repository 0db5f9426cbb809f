/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TEXT_H
#define PORTMON_TEXT_H

/* Text on terminals. Everything portmond sends is UTF-8, whatever the locale of the client. */

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/** Whether the locale can show all of Unicode; without it, ASCII alone can be relied on. */
bool text_is_unicode(void);

/**
 * Takes the next character off a UTF-8 text: writes what to show for it, and how many columns that
 * takes (0 for one that joins the character before, 1 or 2). What can't be shown becomes '?'.
 * Returns false at the end of the text.
 */
bool text_next(const char **text, wchar_t *ret, unsigned *ret_columns);

/** Terminal columns that a UTF-8 text takes. */
size_t text_width(const char *text);

/** Cuts a UTF-8 text that takes more than @columns, and marks its end with "..". */
void text_cut(char *text, size_t columns);

/** Whether @text has @part in it, whatever the case of either. Everything has the empty text. */
bool text_contains(const char *text, const char *part);

/** Compares as people sort: case counts only between texts that are otherwise the same. */
int text_compare(const char *a, const char *b);

/** Bytes that the UTF-8 form of a character may take, with the terminating zero. */
#define TEXT_CHARACTER_SIZE 5

/** Writes a character in UTF-8; returns its length. */
size_t text_encode(char buffer[static TEXT_CHARACTER_SIZE], wchar_t character);

/** The length of @text without its last character and what joins that. */
size_t text_without_last(const char *text);

#endif
