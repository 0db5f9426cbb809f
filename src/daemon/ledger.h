/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LEDGER_H
#define PORTMON_LEDGER_H

/*
 * The history on disk: traffic by 5 minutes, by day and in all, per port and role; which ports were
 * added; and up to where the kernel's counters are contained in it. All of a flush is one
 * transaction, so the last two never disagree.
 *
 * Functions return 0 or a negative errno as in sql.h; ledger_message() says more.
 */

#include "daemon/counters.h"
#include "shared/calendar.h"
#include "shared/cleanup.h"
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

/**
 * Opens the ledger in a directory, both made if need be, and locks it against other daemons.
 * Returns 0 or a negative errno with @reason: -EWOULDBLOCK if another daemon has it.
 */
int ledger_open(const char *directory, struct ledger **ret, struct reason *reason);

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

/* ---- writing: begin, post and checkpoint, commit; or roll back ---- */

/**
 * Names the counters that are read from now on. Returns 1 if the ledger's checkpoints are of these
 * counters, 0 if they were of others and start from zero now.
 */
int ledger_set_source(struct ledger *ledger, sd_id128_t boot_id, sd_id128_t epoch);

int ledger_begin(struct ledger *ledger);

/** Adds the traffic of (a part of) a 5-minute interval. */
int ledger_post(struct ledger *ledger, uint16_t port, enum role role,
                const struct interval *interval);

/** What is posted brings the ledger up to this reading. */
int ledger_checkpoint(struct ledger *ledger, const struct port_counters *reading);

/** When it has returned 0, everything since ledger_begin() is on the disk. */
int ledger_commit(struct ledger *ledger, uint64_t now_usec);
void ledger_rollback(struct ledger *ledger);

/* ---- reading ---- */

/** The reading of @ret->port that the ledger contains; zeros if none. */
int ledger_read_checkpoint(struct ledger *ledger, struct port_counters *ret);

/** Everything since the port was first watched. */
int ledger_total(struct ledger *ledger, uint16_t port, enum role role, struct traffic *ret);

/** The sum of [from_usec, until_usec). */
int ledger_sum(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
               uint64_t until_usec, struct traffic *ret);

/** Adds the intervals of [from_usec, until_usec) that have traffic to @history. */
int ledger_history(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                   uint64_t until_usec, enum resolution resolution, struct history *history);

#endif
