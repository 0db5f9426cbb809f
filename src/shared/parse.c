/* SPDX-License-Identifier: MIT */
#include "shared/parse.h"

#include <errno.h>
#include <stddef.h>

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;

    if (!*text)
        return -EINVAL;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t) (*c - '0'), &number))
            return -ERANGE;
    }
    if (number < min || number > max)
        return -ERANGE;
    *ret = number;
    return 0;
}

int parse_port(const char *text, uint16_t *ret)
{
    uint64_t number;
    int r = parse_number(text, 1, UINT16_MAX, &number);

    if (r < 0)
        return r;
    *ret = (uint16_t) number;
    return 0;
}

bool is_one_line(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c < ' ' || *c == 0x7f)
            return false;
    return true;
}
