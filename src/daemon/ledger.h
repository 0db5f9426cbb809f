/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LEDGER_H
#define PORTMON_LEDGER_H

/*
 * The history on disk: traffic by 5 minutes, by day and in all, per port and role; which ports were
 * added; when figures may be wrong; and up to where the kernel's counters are contained in it. All
 * of a flush is one transaction, so the last and the first never disagree.
 *
 * Functions return 0 or a negative errno as in sql.h; ledger_message() says more. Those that change
 * something may stand alone or between ledger_begin() and ledger_commit().
 */

#include "daemon/counters.h"
#include "shared/calendar.h"
#include "shared/cleanup.h"
#include "shared/gap.h"
#include "shared/history.h"
#include "shared/reason.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-id128.h>

struct ledger;

/** A port that is or was watched. */
struct ledger_port {
    uint16_t port;
    bool added; /* over the bus: to be watched again after a restart */
    char *description;
};

/** The counters that the ledger was last written from. */
struct ledger_source {
    sd_id128_t boot_id;
    sd_id128_t epoch;
    bool stopped;                     /* in order: everything was written */
    uint64_t committed_usec;          /* when; 0 if never */
    uint64_t committed_boottime_usec; /* the same by CLOCK_BOOTTIME; 0 if that is not known */
    uint64_t lost;                    /* connections that the kernel had lost until then */
};

/**
 * Opens the ledger in a directory, both made if need be, and locks it against other daemons. A
 * damaged one is rescued, as below: *@ret_rescued says so, and @reason what happened. Returns 0 or
 * a negative errno with @reason: -EWOULDBLOCK if another daemon has it, -EMEDIUMTYPE if the
 * database is not a ledger, -EOVERFLOW if a newer portmon made it.
 */
int ledger_open(const char *directory, struct ledger **ret, bool *ret_rescued,
                struct reason *reason);

/** Takes NULL; returns NULL. What was not committed is not in the ledger. */
struct ledger *ledger_free(struct ledger *ledger);
DEFINE_CLEANUP(struct ledger, ledger_free)

/** What went wrong last. Valid until the next call. */
const char *ledger_message(struct ledger *ledger);

/* ---- ports ---- */

/** All ports there ever were, by number. *@ret is to be freed by ledger_ports_free(). */
int ledger_ports(struct ledger *ledger, struct ledger_port **ret, size_t *ret_n);
void ledger_ports_free(struct ledger_port *ports, size_t n);
void ledger_port_clear(struct ledger_port *port);

/**
 * What is known of one port. Returns 1, 0 if it was never watched, or a negative errno.
 * @ret->description is the caller's to free.
 */
int ledger_get_port(struct ledger *ledger, uint16_t port, struct ledger_port *ret);

/** Writes a port down. One that was added stays so. */
int ledger_save_port(struct ledger *ledger, uint16_t port, const char *description, bool added,
                     uint64_t now_usec);

/** A port that was added is no more. */
int ledger_forget_port(struct ledger *ledger, uint16_t port);

/* ---- writing: begin; post and checkpoint; commit or roll back ---- */

int ledger_begin(struct ledger *ledger);

/** Adds the traffic of (a part of) a 5-minute interval. */
int ledger_post(struct ledger *ledger, uint16_t port, enum role role,
                const struct interval *interval);

/** What is posted brings the ledger up to this reading. */
int ledger_checkpoint(struct ledger *ledger, const struct port_counters *reading);

/** Notes a time when figures may be wrong. One that goes on where the last one ended is the same.
 */
int ledger_add_gap(struct ledger *ledger, const struct gap *gap);

/** A gap that was added is another one: the clock that dated it was wrong. */
int ledger_change_gap(struct ledger *ledger, const struct gap *old, const struct gap *new);

/**
 * When it has returned 0, everything since ledger_begin() is on the disk. @stopped: nothing more
 * will come from this daemon.
 */
int ledger_commit(struct ledger *ledger, uint64_t now_usec, uint64_t boottime_usec, bool stopped);

/** The same for what does not bring the ledger up to date with the kernel's counters. */
int ledger_commit_rest(struct ledger *ledger);

void ledger_rollback(struct ledger *ledger);

/* ---- the source ---- */

/** What the ledger was last written from; zero if it was never. */
int ledger_get_source(struct ledger *ledger, struct ledger_source *ret);

/** Names the counters that it is written from now on. Checkpoints of others are forgotten. */
int ledger_set_source(struct ledger *ledger, sd_id128_t boot_id, sd_id128_t epoch);

/** How many connections the kernel has lost by now. */
int ledger_set_lost(struct ledger *ledger, uint64_t lost);

/** The reading of @ret->port that the ledger contains: 1, or 0 and zeros if there is none. */
int ledger_get_checkpoint(struct ledger *ledger, struct port_counters *ret);

/* ---- reading ---- */

/**
 * What is read from here to ledger_end_reading() is of one moment, and takes the file's locks once.
 * Nothing may be written in between.
 */
int ledger_begin_reading(struct ledger *ledger);
void ledger_end_reading(struct ledger *ledger);

/** Everything since the port was first watched. */
int ledger_total(struct ledger *ledger, uint16_t port, enum role role, struct traffic *ret);

/** The sum of [from_usec, until_usec). */
int ledger_sum(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
               uint64_t until_usec, struct traffic *ret);

/** Adds the intervals of [from_usec, until_usec) that have traffic to @history. */
int ledger_history(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                   uint64_t until_usec, enum resolution resolution, struct history *history);

/** Adds the gaps that touch [from_usec, until_usec), oldest first. */
int ledger_gaps(struct ledger *ledger, uint64_t from_usec, uint64_t until_usec,
                struct gap_list *ret);

/* ---- upkeep ---- */

/**
 * Forgets 5-minute detail of the days before @horizon, a little at a time: call it often. Returns 1
 * if it changed something, 0 if there is nothing to do.
 */
int ledger_prune(struct ledger *ledger, struct date horizon);

/**
 * Dates traffic that was posted for the bucket of @from_usec anew: the clock that dated it was
 * wrong. What is not there any more is not moved. Needs a transaction.
 */
int ledger_move(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                uint64_t to_usec, const struct traffic *traffic);

/* ---- when the file is not what it should be ---- */

/**
 * Checks that the file that is open is the one in the directory. If none is open any more, it is
 * opened; if it was deleted, it is written anew. Returns 0 or a negative errno with @reason:
 * -ESTALE if another file is there instead.
 */
int ledger_check_file(struct ledger *ledger, struct reason *reason);

/**
 * After -EBADMSG: begins a new file, takes over what can be read, notes a gap in it, and keeps the
 * damaged one aside.
 * Returns 0 with @reason saying what was done, or a negative errno with @reason.
 */
int ledger_rescue(struct ledger *ledger, struct reason *reason);

#endif
