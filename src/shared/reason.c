/* SPDX-License-Identifier: MIT */
#include "shared/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fail(struct reason *reason, int error, const char *format, ...)
{
    va_list arguments;

    if (reason) {
        va_start(arguments, format);
        vsnprintf(reason->text, sizeof(reason->text), format, arguments);
        va_end(arguments);
    }
    return error;
}

int fail_errno(struct reason *reason, int error, const char *format, ...)
{
    va_list arguments;
    size_t length;

    if (reason) {
        va_start(arguments, format);
        vsnprintf(reason->text, sizeof(reason->text), format, arguments);
        va_end(arguments);
        length = strlen(reason->text);
        snprintf(reason->text + length, sizeof(reason->text) - length, ": %s",
                 strerrordesc_np(abs(error)) ?: "unknown error");
    }
    return error;
}
