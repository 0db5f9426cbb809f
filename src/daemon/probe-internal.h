/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROBE_INTERNAL_H
#define PORTMON_PROBE_INTERNAL_H

#include "daemon/probe.h"

/** A family of collectors. The functions are those of probe.h; what may be missing says so. */
struct probe_type {
    struct probe *(*free)(struct probe *probe);
    enum collector_kind (*kind)(const struct probe *probe);
    sd_id128_t (*epoch)(const struct probe *probe);
    bool (*works_unprivileged)(struct probe *probe);
    bool (*keeps)(const struct probe *probe, const char *name); /* hands something over so named */
    int (*hand_over)(const struct probe *probe, const struct probe_keeper *keeper, void *userdata);
    bool (*watches)(const struct probe *probe, uint16_t port);
    int (*watch)(struct probe *probe, uint16_t port);
    void (*unwatch)(struct probe *probe, uint16_t port);
    int (*adopt)(struct probe *probe);
    int (*recover)(struct probe *probe);
    int (*walk)(struct probe *probe, uint64_t tick_usec);
    int (*read)(struct probe *probe, struct port_counters *ports, size_t n);
    int (*list)(struct probe *probe, uint16_t port, struct connection **ret);
    int (*health)(struct probe *probe, struct probe_health *ret);
};

/** What all probes have; each family's own struct begins with it. */
struct probe {
    const struct probe_type *type;
    char **stale; /* names of what a predecessor had kept and we do not need */
    size_t n_stale;
};

/** Notes that what a predecessor had kept under this name is of no use. Returns 0 or -ENOMEM. */
int probe_add_stale(struct probe *probe, const char *name);

/** As probe_open(), by the BPF programs. */
int probe_bpf_open(struct probe **ret, enum collector_kind wanted,
                   const struct inherited_fd *inherited, size_t n_inherited, struct reason *reason);

/** As probe_open(), by the kernel's socket statistics. */
int probe_diag_open(struct probe **ret, struct reason *reason);

/** A state of TCP as RFC 9293 names it. */
const char *probe_state_name(uint8_t state);

#endif
