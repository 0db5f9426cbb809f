/* SPDX-License-Identifier: MIT */
#include "shared/collector-kind.h"

#include <errno.h>
#include <string.h>

static const char *const names[_COLLECTOR_MAX] = {
    [COLLECTOR_AUTO] = "auto",
    [COLLECTOR_SOCK_OPS_TRACEPOINT] = "sock_ops+tracepoint",
    [COLLECTOR_TRACEPOINT] = "tracepoint",
    [COLLECTOR_SOCK_OPS] = "sock_ops",
    [COLLECTOR_FALLBACK] = "fallback",
    [COLLECTOR_DIAG] = "diag",
};

const char *collector_kind_to_string(enum collector_kind kind)
{
    return names[kind];
}

int collector_kind_from_string(const char *name)
{
    for (int kind = 0; kind < _COLLECTOR_MAX; kind++)
        if (strcmp(names[kind], name) == 0)
            return kind;
    return -EINVAL;
}
