/* SPDX-License-Identifier: MIT */
#include "client/text.h"

#include <langinfo.h>
#include <stdint.h>
#include <string.h>
#include <wctype.h>

#define UNKNOWN      L'?'
#define MAX_ASCII    0x7f
#define MAX_UNICODE  0x10ffff
#define CONTINUATION 0x80 /* of the two highest bits */

bool text_is_unicode(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool is_continuation(char byte)
{
    return ((uint8_t) byte & 0xc0) == CONTINUATION;
}

/** Decodes one character; what is not UTF-8 gives U+FFFD. */
static wchar_t decode(const char **text)
{
    static const struct {
        uint8_t mask, lead;
        wchar_t first; /* a lower one is written in fewer bytes */
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    uint8_t lead = (uint8_t) * *text;
    wchar_t character;
    size_t more = 0;

    while (more < 4 && (lead & forms[more].mask) != forms[more].lead)
        more++;
    (*text)++;
    if (more == 4)
        return 0xfffd;
    character = lead & (uint8_t) ~forms[more].mask;
    for (size_t i = 0; i < more; i++) {
        if (!is_continuation((*text)[i]))
            return 0xfffd;
        character = character << 6 | ((uint8_t) (*text)[i] & 0x3f);
    }
    *text += more;
    if (character < forms[more].first || character > MAX_UNICODE ||
        (character >= 0xd800 && character < 0xe000))
        return 0xfffd;
    return character;
}

bool text_next(const char **text, wchar_t *ret, unsigned *ret_columns)
{
    wchar_t character;
    int columns;

    if (!**text)
        return false;
    character = decode(text);
    columns = character <= MAX_ASCII || text_is_unicode() ? wcwidth(character) : -1;
    *ret = columns < 0 ? UNKNOWN : character;
    *ret_columns = columns < 0 ? 1 : (unsigned) columns;
    return true;
}

size_t text_width(const char *text)
{
    wchar_t character;
    unsigned columns;
    size_t width = 0;

    while (text_next(&text, &character, &columns))
        width += columns;
    return width;
}

void text_cut(char *text, size_t columns)
{
    static const char mark[] = "..";
    const char *rest = text;
    char *end = text;
    wchar_t character;
    unsigned width;
    size_t used = strlen(mark);

    if (text_width(text) <= columns)
        return;
    while (text_next(&rest, &character, &width) && (used += width) <= columns)
        end = text + (rest - text);
    strcpy(end, mark);
}

static wchar_t folded(const char **text)
{
    return **text ? (wchar_t) towlower((wint_t) decode(text)) : 0;
}

static bool begins_with(const char *text, const char *part)
{
    while (*part)
        if (folded(&text) != folded(&part))
            return false;
    return true;
}

bool text_contains(const char *text, const char *part)
{
    while (!begins_with(text, part)) {
        if (!*text)
            return false;
        decode(&text);
    }
    return true;
}

int text_compare(const char *a, const char *b)
{
    const char *x = a, *y = b;
    wchar_t left, right;

    do {
        left = folded(&x);
        right = folded(&y);
    } while (left && left == right);
    if (left != right)
        return left < right ? -1 : 1;
    return strcmp(a, b);
}

size_t text_encode(char buffer[static TEXT_CHARACTER_SIZE], wchar_t character)
{
    static const uint8_t leads[] = {0x00, 0xc0, 0xe0, 0xf0};
    size_t more = character > 0xffff ? 3 : character > 0x7ff ? 2 : character > MAX_ASCII ? 1 : 0;

    buffer[0] = (char) (leads[more] | character >> 6 * more);
    for (size_t i = 1; i <= more; i++)
        buffer[i] = (char) (CONTINUATION | (character >> 6 * (more - i) & 0x3f));
    buffer[more + 1] = '\0';
    return more + 1;
}

size_t text_without_last(const char *text)
{
    const char *rest = text;
    size_t length = 0;
    wchar_t character;
    unsigned columns;

    for (const char *at = rest; text_next(&rest, &character, &columns); at = rest)
        if (columns > 0)
            length = (size_t) (at - text);
    return length;
}
