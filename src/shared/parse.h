/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PARSE_H
#define PORTMON_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Reads a decimal number that is the whole of @text: digits only, no sign, no blanks. Returns 0,
 * -EINVAL if it is not a number, or -ERANGE if it is not in [@min, @max].
 */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/** Reads a TCP port, 1..65535. Returns 0, -EINVAL or -ERANGE. */
int parse_port(const char *text, uint16_t *ret);

/** Whether a text has no control characters, so that it can stand in a table or a log line. */
bool is_one_line(const char *text);

#endif
