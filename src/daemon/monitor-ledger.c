/* SPDX-License-Identifier: MIT */
#include "daemon/monitor-internal.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>

/* How often the ledger is told that we are there, though nothing has come: a gap that begins with
 * the last commit is longer than it should be by this at the most. */
#define IDLE_COMMIT_USEC BUCKET_USEC

int monitor_ledger_result(struct monitor *monitor, int r)
{
    if (r < 0)
        fail(&monitor->ledger_reason, r, "%s", ledger_message(monitor->ledger));
    monitor->ledger_damaged |= r == -EBADMSG;
    return r == -ENOENT ? -EIO : r; /* to our callers -ENOENT is a port that is not watched */
}

/* ---- what a commit consists of ---- */

static int post_pending(struct monitor *monitor, uint16_t port, enum role role)
{
    const struct interval *pending;
    size_t n = collector_pending(monitor->collector, port, role, &pending);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = ledger_post(monitor->ledger, port, role, &pending[i]);
    return r < 0 ? r : n > 0;
}

/** Dates what was written by a wrong clock anew. */
static int move_recent(struct monitor *monitor, uint16_t port, enum role role)
{
    const struct recent_interval *recent;
    size_t n = collector_recent(monitor->collector, port, role, &recent);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        if (recent[i].in_ledger_usec != recent[i].interval.start_usec)
            r = ledger_move(monitor->ledger, port, role, recent[i].in_ledger_usec,
                            recent[i].interval.start_usec, &recent[i].interval.traffic);
    return r;
}

static int post_port(struct monitor *monitor, uint16_t port)
{
    struct port_counters reading;
    bool any = false;
    int r;

    for (enum role role = 0; role < _ROLE_MAX; role++) {
        if ((r = move_recent(monitor, port, role)) < 0 ||
            (r = post_pending(monitor, port, role)) < 0)
            return r;
        any |= r > 0;
    }
    if (!any)
        return 0;
    collector_reading(monitor->collector, port, &reading);
    return ledger_checkpoint(monitor->ledger, &reading);
}

static int post_absence(struct monitor *monitor)
{
    const struct gap *old = &monitor->absence_in_ledger, gap = monitor_absence(monitor);

    if (!monitor->was_absent ||
        (gap.from_usec == old->from_usec && gap.until_usec == old->until_usec))
        return 0;
    return old->until_usec ? ledger_change_gap(monitor->ledger, old, &gap)
                           : ledger_add_gap(monitor->ledger, &gap);
}

static int post_gaps(struct monitor *monitor)
{
    int r = post_absence(monitor);

    for (size_t i = 0; r >= 0 && i < monitor->gaps.n; i++)
        r = ledger_add_gap(monitor->ledger, &monitor->gaps.gaps[i]);
    if (r >= 0 && monitor->lost != monitor->lost_in_ledger)
        r = ledger_set_lost(monitor->ledger, monitor->lost);
    return r;
}

/** What was posted is in the ledger: nothing is pending any more. */
static void forget_posted(struct monitor *monitor)
{
    collector_committed(monitor->collector);
    gap_list_clear(&monitor->gaps);
    if (monitor->was_absent)
        monitor->absence_in_ledger = monitor_absence(monitor);
    monitor->lost_in_ledger = monitor->lost;
    monitor->committed_boottime_usec = now_usec(CLOCK_BOOTTIME);
}

static int post_all(struct monitor *monitor, bool stopped)
{
    int r = ledger_begin(monitor->ledger);

    for (uint16_t port = 0; r >= 0 && (port = collector_next(monitor->collector, port));)
        r = post_port(monitor, port);
    if (r >= 0)
        r = post_gaps(monitor);
    if (r >= 0)
        r = ledger_commit(monitor->ledger, now_usec(CLOCK_REALTIME), now_usec(CLOCK_BOOTTIME),
                          stopped);
    if (r < 0) {
        monitor_ledger_result(monitor, r);
        ledger_rollback(monitor->ledger);
        return r;
    }
    forget_posted(monitor);
    return 0;
}

/* ---- damage ---- */

/** Makes a ledger that had to be begun anew one of these counters and ports. */
static int renew(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    struct port_counters committed;
    sd_id128_t boot_id;
    int r;

    if ((r = sd_id128_get_boot(&boot_id)) < 0 || (r = ledger_begin(monitor->ledger)) < 0)
        return r;
    r = ledger_set_source(monitor->ledger, boot_id, probe_epoch(monitor->probe));
    for (uint16_t port = 0; r >= 0 && (port = collector_next(monitor->collector, port));) {
        const struct watched_port *entry = monitor->ports[port];

        collector_committed_reading(monitor->collector, port, &committed);
        r = ledger_save_port(monitor->ledger, port, entry->description, entry->added, now);
        if (r >= 0)
            r = ledger_checkpoint(monitor->ledger, &committed);
    }
    if (r >= 0)
        r = ledger_commit_rest(monitor->ledger);
    if (r < 0)
        ledger_rollback(monitor->ledger);
    return r;
}

static int rescue(struct monitor *monitor)
{
    struct reason what = {};
    int r = ledger_rescue(monitor->ledger, &what);

    if (r < 0) {
        monitor->ledger_reason = what;
        return r;
    }
    log_event(LOG_ERR, MESSAGE_LEDGER_FAILURE, "%s", what.text);
    monitor->ledger_damaged = false;
    return monitor_ledger_result(monitor, renew(monitor));
}

/* ---- commits ---- */

static int try_commit(struct monitor *monitor, bool stopped)
{
    int r = ledger_check_file(monitor->ledger, &monitor->ledger_reason);

    if (r == -EBADMSG || (r >= 0 && monitor->ledger_damaged))
        r = rescue(monitor);
    if (r >= 0)
        r = post_all(monitor, stopped);
    if (r == -EBADMSG && (r = rescue(monitor)) >= 0)
        r = post_all(monitor, stopped);
    return r;
}

static bool has_work(const struct monitor *monitor)
{
    return !monitor->started || monitor->gaps.n || monitor->ledger_damaged ||
           monitor->ledger_fails || collector_has_pending(monitor->collector) ||
           now_usec(CLOCK_BOOTTIME) - monitor->committed_boottime_usec >= IDLE_COMMIT_USEC;
}

/* A failure is logged when it begins and when it ends. */
int monitor_commit(struct monitor *monitor, bool stopped)
{
    int r;

    if (!stopped && !has_work(monitor))
        return 0;
    r = try_commit(monitor, stopped);
    if (r < 0 && !monitor->ledger_fails)
        log_event(LOG_ERR, MESSAGE_LEDGER_FAILURE,
                  "Cannot write to the ledger: %s; what is counted stays in memory until it can be "
                  "written",
                  monitor->ledger_reason.text);
    if (r >= 0 && monitor->ledger_fails)
        log_notice("The ledger can be written again; nothing was lost");
    monitor->ledger_fails = r < 0;
    return r;
}

/** Forgets detail that is too old, if the clock that says so can be trusted. */
static void prune(struct monitor *monitor)
{
    struct date today = date_of(now_usec(CLOCK_REALTIME));

    if (monitor_clock_is_trusted(monitor))
        monitor_ledger_result(
            monitor,
            ledger_prune(monitor->ledger, date_add_days(today, -(int) monitor->retention_days)));
}

int monitor_flush(struct monitor *monitor)
{
    int r = monitor_sample(monitor);

    if (r < 0)
        return r;
    r = monitor_commit(monitor, false);
    if (r >= 0)
        prune(monitor);
    return r;
}
