/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_INTERNAL_H
#define PORTMON_MONITOR_INTERNAL_H

/* What the parts of the monitor share: monitor.c counts, monitor-clock.c minds the wall clock,
 * monitor-ledger.c writes, monitor-ports.c begins and ends with ports, monitor-figures.c answers.
 */

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
    bool was_settled;    /* the clock was, at least once */
    uint64_t first_usec; /* CLOCK_REALTIME at the start, as we know it by now */

    uint64_t second_usec;           /* the whole second (CLOCK_REALTIME) last sampled … */
    uint64_t second_boottime_usec;  /* … and when that was */
    uint64_t second_monotonic_usec; /* the same, without the time that the host slept */

    bool ledger_fails;   /* the last commit did */
    bool ledger_damaged; /* a read found damage */
    struct reason ledger_reason;
    uint64_t committed_boottime_usec;

    struct gap_list gaps; /* that are not in the ledger yet */
    struct gap last_gap;  /* the one that was noted last */

    /* What was missed before the start: see monitor_absence(). */
    bool was_absent;
    enum gap_reason absent_reason;
    uint64_t
        absent_from_usec; /* by a clock of an earlier boot; 0 if it was this boot, and then … */
    uint64_t absent_usec; /* … for so long */
    struct gap absence_in_ledger; /* zero if it is not there yet */

    uint64_t lost; /* connections lost in the kernel, as of the last look … */
    uint64_t lost_in_ledger;
    uint64_t looked_usec; /* … and when that was */
    uint64_t skipped_before;
};

/* ---- monitor.c ---- */

/** Walks, reads and ingests. */
int monitor_sample(struct monitor *monitor);

/** Notes a gap, in the log too. It is written with the next commit. */
void monitor_note_gap(struct monitor *monitor, enum gap_reason reason, uint64_t from_usec,
                      uint64_t until_usec);

/* ---- monitor-clock.c ---- */

/** What was missed before the start: it ends when we began, as we know it by now. */
struct gap monitor_absence(const struct monitor *monitor);

/** Looks whether the clock was set, and dates anew what has to be. Returns by how much. */
int64_t monitor_observe_clock(struct monitor *monitor, uint64_t now, uint64_t boottime);

/** Whether something may be deleted because the clock, as of now, says that it is old. */
bool monitor_clock_is_trusted(const struct monitor *monitor);

/* ---- monitor-ledger.c ---- */

/**
 * Passes on what a function of the ledger returned, and remembers why it failed. Damage is mended
 * with the next commit.
 */
int monitor_ledger_result(struct monitor *monitor, int r);

/** Writes what is pending. @stopped: it is the last time. */
int monitor_commit(struct monitor *monitor, bool stopped);

/* ---- monitor-ports.c ---- */

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
