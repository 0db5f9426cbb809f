/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROBE_BPF_H
#define PORTMON_PROBE_BPF_H

#include "bpf/portmon-abi.h"
#include "daemon/probe-internal.h"

/** Everything a probe may hold in the kernel. */
enum probe_fd {
    MAP_SOCKETS,
    MAP_PAGES,
    MAP_WATCH,
    MAP_CONTROL,
    MAP_HEALTH,
    MAP_ROSTER,
    MAP_LIVE,
    LINK_STATE_1,
    LINK_STATE_2,
    LINK_DESTROY,
    LINK_WALK,
    LINK_WALK_ROSTER,
    LINK_SCAN_FILES,
    LINK_SCAN_TCP,
    LINK_OWNERS,
    LINK_SOCK_OPS,
    PROGRAM_STATE_1,
    PROGRAM_STATE_2,
    _PROBE_FD_MAX,
};

/** The maps, which outlive programs, come first. */
#define _MAP_MAX (MAP_LIVE + 1)

struct variant;

struct bpf_probe {
    struct probe probe;
    const struct variant *variant; /* which programs count */
    int fds[_PROBE_FD_MAX];        /* -1 if not there */
    bool adopted[_PROBE_FD_MAX];   /* it came from a predecessor, who had it kept already */
    struct portmon_watch *watch;
    struct portmon_control *control;
    const struct portmon_health *health;
    /* Where walks sum up open connections, what closed ones had come to before the last walk.
     * By page, NULL where no port was ever watched. */
    struct portmon_page *closed[PORTMON_MAX_PAGES];
};

bool probe_bpf_keeps(const struct probe *probe, const char *name);
int probe_bpf_hand_over(const struct probe *probe, const struct probe_keeper *keeper,
                        void *userdata);
enum collector_kind probe_bpf_kind(const struct probe *probe);

/** Frees what probe_bpf_open() made. */
struct probe *probe_bpf_free(struct probe *probe);

/** Makes room for what walks need of page number @key. Returns 0 or a negative errno. */
int probe_bpf_reserve(struct bpf_probe *probe, uint32_t key);

extern const struct probe_type probe_bpf_type;

#endif
