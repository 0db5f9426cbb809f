/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_INTERNAL_H
#define PORTMON_MONITOR_INTERNAL_H

/* What the parts of the monitor share: monitor.c counts and writes, monitor-ports.c begins and ends
 * with ports, monitor-figures.c answers. */

#include "daemon/ledger.h"
#include "daemon/monitor.h"
#include "daemon/wall-clock.h"

struct watched_port {
    char *description;
    int cycle_day;   /* 0 if none */
    bool configured; /* the configuration names it */
    bool added;      /* somebody added it over the bus */
    bool counting;   /* the collector has it */
};

struct monitor {
    struct probe *probe;
    struct collector *collector;
    struct ledger *ledger;
    struct watched_port *ports[65536]; /* by number; NULL if not watched */
    unsigned retention_days;
    bool started;

    struct wall_clock clock;
    uint64_t started_boottime_usec;
    uint64_t first_usec;           /* CLOCK_REALTIME at the start, as we know it by now */
    uint64_t second_usec;          /* the whole second (CLOCK_REALTIME) last sampled … */
    uint64_t second_boottime_usec; /* … and when that was */
    bool long_absent;              /* the ledger is older than a clock can be trusted */

    bool ledger_fails;   /* the last commit did */
    bool ledger_damaged; /* a read found damage */
    struct reason ledger_reason;
    struct gap_list gaps; /* that are not in the ledger yet */
    uint64_t lost_before; /* connections lost in the kernel, as of the last look */
    uint64_t skipped_before;
};

/**
 * Passes on what a function of the ledger returned, and remembers why it failed. Damage is mended
 * with the next commit.
 */
int monitor_ledger_result(struct monitor *monitor, int r);

/** Walks, reads and ingests. */
int monitor_sample(struct monitor *monitor);

/** Writes what is pending. @stopped: it is the last time. */
int monitor_commit(struct monitor *monitor, bool stopped);

/** Notes a gap, in the log too. It is written with the next commit. */
void monitor_note_gap(struct monitor *monitor, enum gap_reason reason, uint64_t from_usec,
                      uint64_t until_usec);

/**
 * Begins to count all ports that do not count yet. @continues: the ledger has checkpoints of the
 * kernel's counters. Those that can't be begun are not watched any more.
 */
int monitor_begin_ports(struct monitor *monitor, bool continues);

/** Lists the ports that were added over the bus. Returns how many ports there ever were. */
int monitor_list_added(struct monitor *monitor);

/** Lists the ports that a predecessor watched and we should not; and ends them when all they had is
 * written. */
int monitor_list_left_over(struct monitor *monitor);
void monitor_end_left_over(struct monitor *monitor);

/** Ends counting a port, and forgets it. */
void monitor_end_port(struct monitor *monitor, uint16_t port);

struct watched_port *watched_port_free(struct watched_port *port);

#endif
