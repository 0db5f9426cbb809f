/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_H
#define PORTMON_MONITOR_H

/*
 * What portmond does, without saying to whom: watches ports, knows their figures, keeps them. It
 * joins the probe (the kernel's counters), the collector (what they mean) and the ledger (what was
 * written). The buses publish it.
 *
 * Unless said otherwise functions return 0 or a negative errno: -ENOENT not watched (or, for what
 * was written, never watched), -EEXIST watched already, -ERANGE not a range of time; -ENOSPC,
 * -EROFS, -EBUSY, -EBADMSG and -EIO come from the ledger, and monitor_ledger_message() says more.
 */

#include "daemon/collector.h"
#include "daemon/probe.h"
#include "shared/calendar.h"
#include "shared/cleanup.h"
#include "shared/gap.h"
#include "shared/history.h"
#include "shared/reason.h"

#include <stdbool.h>
#include <stdint.h>

struct monitor;

/** All figures of a port in one role, as of now. */
struct role_stats {
    struct traffic total; /* since the port was first watched */
    struct traffic today; /* since local midnight */
    struct live_figures live;
};

/**
 * Opens the ledger and the probe, which takes over what a predecessor left in @inherited. Nothing
 * is counted yet.
 */
int monitor_new(struct monitor **ret, const char *data_directory, enum collector_kind collector,
                const struct inherited_fd *inherited, size_t n_inherited, struct reason *reason);

/** Commits what is pending, if it can, and ends. Takes NULL; returns NULL. */
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_CLEANUP(struct monitor, monitor_free)

/** Begins to count: the ports of the configuration, and those that were added over the bus. */
int monitor_start(struct monitor *monitor, struct reason *reason);

/** As probe_hand_over(). */
int monitor_hand_over(struct monitor *monitor, const struct probe_keeper *keeper, void *userdata);

/** For how many days 5-minute detail is kept. */
void monitor_set_retention(struct monitor *monitor, unsigned days);

/* ---- configuration ---- */

/**
 * Learns what the configuration says about a port. Returns 1 if that was not watched before: it is
 * with monitor_start() or monitor_begin_configured(). 0 if it was, or -ENOMEM.
 */
int monitor_configure(struct monitor *monitor, uint16_t port, const char *description,
                      int cycle_day);

/** After a reload: watches the ports that are new in the configuration. */
int monitor_begin_configured(struct monitor *monitor);

/**
 * The configuration does not name a port any more. Returns whether it should be removed: whether
 * nobody added it over the bus.
 */
bool monitor_unconfigure(struct monitor *monitor, uint16_t port);

/* ---- ports ---- */

bool monitor_watches(const struct monitor *monitor, uint16_t port);

/** The next watched port after @port, or 0. */
uint16_t monitor_next(const struct monitor *monitor, uint16_t port);

/** Of a watched port; "" if it has none. */
const char *monitor_description(const struct monitor *monitor, uint16_t port);

/** The day of the month on which the billing cycle of a watched port begins, or 0. */
int monitor_cycle_day(const struct monitor *monitor, uint16_t port);

/** Whether the configuration names a watched port, so that it comes back after a removal. */
bool monitor_is_configured(const struct monitor *monitor, uint16_t port);

/** Watches a port from now on, over restarts. */
int monitor_add(struct monitor *monitor, uint16_t port, const char *description);

/**
 * Ends watching a port, in two steps, since its going is announced while it is still there. The
 * first writes what was counted, which stays, and may fail; the second can't.
 */
int monitor_prepare_removal(struct monitor *monitor, uint16_t port);
void monitor_remove(struct monitor *monitor, uint16_t port);

int monitor_describe(struct monitor *monitor, uint16_t port, const char *description);

/* ---- time ---- */

/** Takes the sample of a second that has just ended. Call it soon after every whole second. */
int monitor_tick(struct monitor *monitor);

/** Samples, and writes everything to the ledger. */
int monitor_flush(struct monitor *monitor);

/* ---- figures, all as of the moment of the call ---- */

/** Takes a sample of @port, or of all if that is 0, so that the functions below tell the latest. */
int monitor_refresh(struct monitor *monitor, uint16_t port);

/** What is going on at a port: the cheapest of these. */
int monitor_live(struct monitor *monitor, uint16_t port, enum role role, struct live_figures *ret);

int monitor_stats(struct monitor *monitor, uint16_t port, struct role_stats ret[_ROLE_MAX]);

/** The sum of [from_usec, until_usec). */
int monitor_range(struct monitor *monitor, uint16_t port, enum role role, uint64_t from_usec,
                  uint64_t until_usec, struct traffic *ret);

/** The intervals with traffic of [from_usec, until_usec). @history must be empty. */
int monitor_history(struct monitor *monitor, uint16_t port, enum role role, uint64_t from_usec,
                    uint64_t until_usec, enum resolution resolution, struct history *history);

/** The gaps that touch [from_usec, until_usec), oldest first, those not yet written last. */
int monitor_gaps(struct monitor *monitor, uint64_t from_usec, uint64_t until_usec,
                 struct gap_list *ret);

/** As probe_list(). */
int monitor_connections(struct monitor *monitor, uint16_t port, struct connection **ret);

/** What was lost in the kernel, and connections whose close was not seen. */
int monitor_health(struct monitor *monitor, struct probe_health *ret, uint64_t *ret_lost_closes);

const char *monitor_collector(const struct monitor *monitor);

/** Whether what counts now is exact. */
bool monitor_is_exact(const struct monitor *monitor);

/** Whether everything works after the last capability is gone. */
bool monitor_works_unprivileged(struct monitor *monitor);

/** Whether what is counted can't be written at present. */
bool monitor_ledger_fails(const struct monitor *monitor);

/** What was last wrong with the ledger. */
const char *monitor_ledger_message(struct monitor *monitor);

#endif
