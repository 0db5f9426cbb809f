/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROBE_INTERNAL_H
#define PORTMON_PROBE_INTERNAL_H

#include "bpf/portmon-abi.h"
#include "daemon/probe.h"

/** Everything a probe holds in the kernel. */
enum probe_fd {
    MAP_SOCKETS,
    MAP_PAGES,
    MAP_WATCH,
    MAP_CONTROL,
    MAP_HEALTH,
    LINK_STATE_1,
    LINK_STATE_2,
    LINK_WALK,
    LINK_LIST,
    LINK_SCAN_FILES,
    LINK_SCAN_TCP,
    LINK_OWNERS,
    PROGRAM_STATE_1,
    PROGRAM_STATE_2,
    LINK_SOCK_OPS, /* last: the only one that may be missing */
    _PROBE_FD_MAX,
};

/** The maps, which outlive programs, come first. */
#define _MAP_MAX (MAP_HEALTH + 1)

struct probe {
    int fds[_PROBE_FD_MAX];      /* -1 if not there */
    bool adopted[_PROBE_FD_MAX]; /* it came from a predecessor, who had it kept already */
    char **stale;                /* names of what a predecessor had kept and we do not need */
    size_t n_stale;
    struct portmon_watch *watch;
    struct portmon_control *control;
    const struct portmon_health *health;
};

#endif
