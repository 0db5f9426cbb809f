/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_COLLECTOR_KIND_H
#define PORTMON_COLLECTOR_KIND_H

/** Ways to count, as --collector and the configuration name them. portmond(8) explains each. */
enum collector_kind {
    COLLECTOR_AUTO, /* the best that can be had */
    COLLECTOR_SOCK_OPS_TRACEPOINT,
    COLLECTOR_TRACEPOINT,
    COLLECTOR_SOCK_OPS,
    COLLECTOR_FALLBACK,
    COLLECTOR_DIAG,
    _COLLECTOR_MAX,
};

/** All names, for messages. */
#define COLLECTOR_NAMES "auto, sock_ops+tracepoint, tracepoint, sock_ops, fallback or diag"

const char *collector_kind_to_string(enum collector_kind kind);

/** Returns the kind of that name, or -EINVAL. */
int collector_kind_from_string(const char *name);

#endif
