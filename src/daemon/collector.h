/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_COLLECTOR_H
#define PORTMON_COLLECTOR_H

/*
 * Turns readings of counters that only grow into traffic of intervals, rates and peaks. Pure: time
 * and readings come in as arguments, nothing goes out but by the functions below.
 *
 * What was ingested and is not yet in the ledger is pending. It stays until collector_committed(),
 * so a ledger that can't be written loses nothing.
 */

#include "daemon/counters.h"
#include "shared/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collector;

/** The figures of a port in one role that only the collector knows. */
struct live_figures {
    uint64_t connections; /* open now */
    uint64_t rx_rate;     /* bytes per second, over the last whole second */
    uint64_t tx_rate;
};

struct collector *collector_new(void);
struct collector *collector_free(struct collector *collector);
DEFINE_CLEANUP(struct collector, collector_free)

/**
 * Begins with a port. @counted is what the ledger holds of these counters: everything beyond it
 * will be ingested. @now is what they say now: rates begin there. Returns 0, -EEXIST or -ENOMEM.
 */
int collector_add(struct collector *collector, const struct port_counters *counted,
                  const struct port_counters *now);

/** Ends with a port and drops what is pending: commit first. */
void collector_remove(struct collector *collector, uint16_t port);

bool collector_has(const struct collector *collector, uint16_t port);
size_t collector_n_ports(const struct collector *collector);

/**
 * The next port after @port, or 0: iterate with `for (p = 0; (p = collector_next(c, p));)`.
 */
uint16_t collector_next(const struct collector *collector, uint16_t port);

/**
 * Takes a reading. What has come since the last one belongs to the interval of @at_usec
 * (CLOCK_REALTIME). Returns 0, -ENOENT, or -ENOMEM: what was not taken comes with the next one.
 */
int collector_ingest(struct collector *collector, const struct port_counters *reading,
                     uint64_t at_usec);

/**
 * Ends a second that began @elapsed_usec ago: rates are those of this second from now on, and the
 * peaks of the interval of @at_usec learn of it. Call it after ingesting all ports.
 */
void collector_tick(struct collector *collector, uint64_t at_usec, uint64_t elapsed_usec);

/** Returns 0 or -ENOENT. */
int collector_live(const struct collector *collector, uint16_t port, enum role role,
                   struct live_figures *ret);

/**
 * Connections whose end the kernel's events did not tell, so that their last bytes may be missing.
 * Never more than there were.
 */
uint64_t collector_lost_closes(const struct collector *collector);

/** The pending intervals of a port in one role, oldest first. Valid until the next ingest. */
size_t collector_pending(const struct collector *collector, uint16_t port, enum role role,
                         const struct interval **ret);

/** Whether anything is pending. */
bool collector_has_pending(const struct collector *collector);

/** The reading up to which a port's traffic was ingested: what to checkpoint with the pending. */
void collector_reading(const struct collector *collector, uint16_t port, struct port_counters *ret);

/**
 * Everything that is pending is in the ledger now, and what is recent is where it belongs. The
 * pending becomes recent.
 */
void collector_committed(struct collector *collector);

/** The reading of the last commit: what the ledger contains. */
void collector_committed_reading(const struct collector *collector, uint16_t port,
                                 struct port_counters *ret);

/* The clock that dates what is ingested may turn out to be wrong. What is pending is dated anew
 * then, and so is what is recent; until the next commit the ledger has that where it was. */

/**
 * The clock was wrong by so much; by the right one it is @now_usec. @all: it was wrong all along.
 * If not, only what it has dated later than now is known to be wrong.
 */
void collector_shift(struct collector *collector, int64_t shift_usec, uint64_t now_usec, bool all);

/** Traffic that was committed of late. */
struct recent_interval {
    uint64_t in_ledger_usec;  /* where the ledger has it */
    struct interval interval; /* where it belongs */
};

/**
 * What was committed in the last day of a port in one role, as far as there was room to remember.
 * Valid until the next commit.
 */
size_t collector_recent(const struct collector *collector, uint16_t port, enum role role,
                        const struct recent_interval **ret);

#endif
