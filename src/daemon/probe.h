/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROBE_H
#define PORTMON_PROBE_H

/*
 * What counts in the kernel, as the rest of the daemon sees it: BPF programs or, where those can't
 * be had, the kernel's socket statistics. This is the only part that knows libbpf and netlink. A
 * probe consists of nothing but file descriptors and memory: once it is open, no capability is
 * needed any more.
 */

#include "daemon/counters.h"
#include "shared/cleanup.h"
#include "shared/collector-kind.h"
#include "shared/reason.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-id128.h>

struct probe;

/** An open connection of a watched port. */
struct connection {
    struct in6_addr local_address; /* IPv4 as ::ffff:a.b.c.d */
    struct in6_addr remote_address;
    uint16_t local_port;
    uint16_t remote_port;
    uint16_t port; /* the watched one */
    enum role role;
    const char *state; /* as RFC 9293 names it: "ESTABLISHED" */
    bool adopted;      /* open before its port was watched: counted from then on */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint64_t rx_rate; /* bytes per second, over the last whole second */
    uint64_t tx_rate;
    uint64_t age_usec; /* since it was established, or adopted */
    uint32_t rtt_usec; /* smoothed; 0 if not measured yet */
    uint32_t retransmissions;
    uint32_t network_namespace; /* inode number, as in /proc/PID/ns/net */
    uint32_t pid;               /* 0 if no process holds it */
    char comm[16];
};

/** What was lost or went wrong in the kernel since the counters were made. */
struct probe_health {
    uint64_t storage_failures; /* connections not counted for want of memory, or late */
    uint64_t unsettled;        /* connections whose last bytes may be missing */
    uint64_t skipped_events;   /* events that one of the tracing programs did not see */
    uint64_t contended;        /* harmless collisions of walks and closes */
};

/** A descriptor that a predecessor handed over, under the name it gave. */
struct inherited_fd {
    const char *name;
    int fd;
};

/** Descriptors that are a probe's have names that begin so. */
#define PROBE_NAME_PREFIX "portmon-"
#define PROBE_NAME_SIZE   64

/**
 * Opens a probe of the wanted kind: takes over what a predecessor left, so that counting went on
 * and goes on, and loads and attaches what is missing. The descriptors in @inherited become the
 * probe's. Returns 0; 1 with @reason if COLLECTOR_AUTO had to make do with one that is not exact;
 * or a negative errno with @reason: -EPERM without CAP_BPF and CAP_PERFMON, -EOPNOTSUPP on a kernel
 * that can't.
 */
int probe_open(struct probe **ret, enum collector_kind wanted, const struct inherited_fd *inherited,
               size_t n_inherited, struct reason *reason);

/** Who keeps descriptors for a successor. */
struct probe_keeper {
    int (*keep)(void *userdata, const char *name, int fd);
    void (*drop)(void *userdata, const char *name);
};

/**
 * Gives the keeper what a successor will need, and then drops what ours left and nobody needs: at
 * no moment nothing is attached. What was handed over before is not handed over again. Returns 0,
 * or what keep() failed with.
 */
int probe_hand_over(const struct probe *probe, const struct probe_keeper *keeper, void *userdata);

/** Detaches the programs unless somebody else holds them. Takes NULL; returns NULL. */
struct probe *probe_free(struct probe *probe);
DEFINE_CLEANUP(struct probe, probe_free)

/** The name of what counts: see shared/collector-kind.h. */
const char *probe_collector(const struct probe *probe);

/** What it can't do, in words for the log; NULL if it can all. */
const char *probe_caveat(const struct probe *probe);

/** Whether it counts exactly. */
bool probe_is_exact(const struct probe *probe);

/** Identifies the counters: they start from zero with a new epoch and only then. */
sd_id128_t probe_epoch(const struct probe *probe);

/**
 * Whether the kernel lets the probe be used without capabilities. If not (before Linux 5.19, with
 * kernel.unprivileged_bpf_disabled set), CAP_BPF must be kept.
 */
bool probe_works_unprivileged(struct probe *probe);

/** Whether a port is on the watch list, where a predecessor may have put it. */
bool probe_watches(const struct probe *probe, uint16_t port);

/**
 * Begins to count a port's new connections. Follow it up with probe_adopt() for those that are
 * open. Returns 0 or a negative errno: -ENOMEM if the kernel has no room for the counters.
 */
int probe_watch(struct probe *probe, uint16_t port);

/** Ends it. Connections that are open go on being counted, to nobody's use. */
void probe_unwatch(struct probe *probe, uint16_t port);

/** Begins to count the open connections of all watched ports that are not counted yet. */
int probe_adopt(struct probe *probe);

/**
 * Counts connections that opened unseen since their port was watched, with all they transferred.
 */
int probe_recover(struct probe *probe);

/**
 * Brings the counters up to date. @tick_usec (CLOCK_BOOTTIME) ends a one-second interval for the
 * connections' rates; 0 leaves those alone.
 */
int probe_walk(struct probe *probe, uint64_t tick_usec);

/**
 * Reads the counters of ports[0..n-1].port; neighbours share a system call. A port that was never
 * watched has zeros.
 */
int probe_read(struct probe *probe, struct port_counters *ports, size_t n);

/**
 * The open connections of @port, or of all ports if it is 0. *@ret is the caller's to free.
 * Returns their number or a negative errno.
 */
int probe_list(struct probe *probe, uint16_t port, struct connection **ret);

int probe_health(struct probe *probe, struct probe_health *ret);

#endif
