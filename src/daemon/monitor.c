/* SPDX-License-Identifier: MIT */
#include "daemon/monitor.h"

#include "daemon/monitor-internal.h"
#include "shared/format.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>

/* A sample that comes later than this was held up. What the kernel counted alone meanwhile is dated
 * to the end of that time. */
#define LATE_USEC (10 * USEC_PER_SEC)

/* How often a clean stop tries to write, if somebody else locks the ledger: for some 10 seconds. */
#define STOP_ATTEMPTS 50

/* ---- gaps ---- */

static void log_gap(const struct gap *gap, bool goes_on)
{
    char from[FORMAT_SIZE], until[FORMAT_SIZE];

    log_event(goes_on ? LOG_DEBUG : LOG_WARNING, MESSAGE_GAP, "Gap from %s until %s: %s",
              format_timestamp(from, gap->from_usec, false),
              format_timestamp(until, gap->until_usec, false), gap_reason_explain(gap->reason));
}

void monitor_note_gap(struct monitor *monitor, enum gap_reason reason, uint64_t from_usec,
                      uint64_t until_usec)
{
    const struct gap gap = {from_usec, until_usec, reason};
    struct gap *pending = monitor->gaps.n ? &monitor->gaps.gaps[monitor->gaps.n - 1] : NULL;

    log_gap(&gap, gap_goes_on(&monitor->last_gap, &gap));
    monitor->last_gap = gap;
    if (pending && gap_goes_on(pending, &gap))
        pending->until_usec = until_usec;
    else
        gap_list_add(&monitor->gaps, &gap); /* without memory it is in the log only */
}

/** Looks whether the kernel lost connections since the last look. */
static void look_for_losses(struct monitor *monitor, uint64_t now)
{
    struct probe_health health;
    uint64_t lost, since = monitor->looked_usec;

    if (!probe_is_exact(monitor->probe))
        monitor_note_gap(monitor, GAP_INEXACT, since < now ? since : now, now);
    if (probe_health(monitor->probe, &health) < 0)
        return;
    /* An event that one program did not see was seen by another, unless both were interrupted. Then
     * a connection may have opened unseen. */
    if (health.skipped_events != monitor->skipped_before)
        probe_recover(monitor->probe);
    monitor->skipped_before = health.skipped_events;

    monitor->looked_usec = now;
    lost = health.storage_failures + health.unsettled + collector_lost_closes(monitor->collector);
    if (lost <= monitor->lost)
        return; /* less: that a close was lost is noticed some seconds after a start */
    monitor->lost = lost;
    monitor_note_gap(monitor, GAP_SKIPPED, since < now ? since : now, now);
}

/* ---- sampling ---- */

/** Reads the counters of all ports and hands them to the collector. */
static int ingest_all(struct monitor *monitor, uint64_t at_usec)
{
    size_t n = collector_n_ports(monitor->collector), i = 0;
    _cleanup_free_ struct port_counters *readings = calloc(n ?: 1, sizeof(*readings));
    int r;

    if (!readings)
        return -ENOMEM;
    for (uint16_t port = 0; (port = collector_next(monitor->collector, port));)
        readings[i++].port = port;
    r = probe_read(monitor->probe, readings, n);
    for (i = 0; r >= 0 && i < n; i++)
        r = collector_ingest(monitor->collector, &readings[i], at_usec);
    return r;
}

/** A second has ended at @at, by a clock that was set by @step meanwhile. */
static void end_second(struct monitor *monitor, uint64_t at, uint64_t boottime, int64_t step)
{
    uint64_t monotonic = now_usec(CLOCK_MONOTONIC);
    uint64_t elapsed = boottime - monitor->second_boottime_usec;
    uint64_t before = usec_before(at, elapsed);

    collector_tick(monitor->collector, at, elapsed);
    if (!step && monotonic - monitor->second_monotonic_usec > LATE_USEC &&
        period_start(RESOLUTION_5MIN, before) != period_start(RESOLUTION_5MIN, at))
        monitor_note_gap(monitor, GAP_UNSAMPLED, before, at);
    monitor->second_boottime_usec = boottime;
    monitor->second_monotonic_usec = monotonic;
}

/* What comes between two samples belongs to the later one, but what comes up to a whole second
 * belongs to the second that ends with it: so buckets and days get the bytes of their own time. */
int monitor_sample(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME), boottime = now_usec(CLOCK_BOOTTIME);
    uint64_t second = usec_floor(now, USEC_PER_SEC), at;
    int64_t step = monitor_observe_clock(monitor, now, boottime);
    bool second_ends = second != monitor->second_usec;
    int r;

    at = second_ends && !step ? second - 1 : now;
    if ((r = probe_walk(monitor->probe, second_ends ? boottime : 0)) < 0 ||
        (r = ingest_all(monitor, at)) < 0)
        return r;
    if (second_ends) {
        end_second(monitor, at, boottime, step);
        look_for_losses(monitor, now);
        monitor->second_usec = second;
    }
    if (step && monitor->started)
        monitor_commit(monitor, false); /* what is recent moves; if not now, then with the next */
    return 0;
}

int monitor_tick(struct monitor *monitor)
{
    int r = monitor_sample(monitor);

    /* Until a damaged ledger is mended nobody can be told anything. */
    if (monitor->ledger_damaged && !monitor->ledger_fails)
        monitor_commit(monitor, false);
    return r;
}

/* One port of many thousands is sampled by itself. But a second that has ended has for all. */
int monitor_refresh(struct monitor *monitor, uint16_t port)
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    struct port_counters reading = {.port = port};
    int r;

    if (!port || usec_floor(now, USEC_PER_SEC) != monitor->second_usec)
        return monitor_sample(monitor);
    if (!collector_has(monitor->collector, port))
        return 0;
    if ((r = probe_walk(monitor->probe, 0)) < 0 ||
        (r = probe_read(monitor->probe, &reading, 1)) < 0)
        return r;
    return collector_ingest(monitor->collector, &reading, now);
}

/* ---- beginning and end ---- */

void monitor_set_retention(struct monitor *monitor, unsigned days)
{
    monitor->retention_days = days;
}

int monitor_new(struct monitor **ret, const char *data_directory, enum collector_kind collector,
                const struct inherited_fd *inherited, size_t n_inherited, struct reason *reason)
{
    _cleanup_(monitor_freep) struct monitor *monitor = calloc(1, sizeof(*monitor));
    bool rescued = false;
    int r;

    if (!monitor)
        return -ENOMEM;
    monitor->collector = collector_new();
    if (!monitor->collector)
        return -ENOMEM;
    monitor->first_usec = monitor->looked_usec = now_usec(CLOCK_REALTIME);
    monitor->second_boottime_usec = now_usec(CLOCK_BOOTTIME);
    monitor->second_monotonic_usec = now_usec(CLOCK_MONOTONIC);
    r = ledger_open(data_directory, &monitor->ledger, &rescued, reason);
    if (r < 0)
        return r;
    if (rescued)
        log_event(LOG_ERR, MESSAGE_LEDGER_FAILURE, "%s", reason->text);
    r = probe_open(&monitor->probe, collector, inherited, n_inherited, reason);
    if (r < 0)
        return r;
    if (r > 0)
        log_warning("%s", reason->text);
    if (probe_caveat(monitor->probe))
        log_warning("Counting by %s: %s", probe_collector(monitor->probe),
                    probe_caveat(monitor->probe));
    *ret = TAKE_PTR(monitor);
    return 0;
}

/** Writes what is left, and that it is all. */
static void stop(struct monitor *monitor)
{
    int r = monitor_sample(monitor) < 0 ? 0 : -EBUSY;

    for (int i = 0; r == -EBUSY && i < STOP_ATTEMPTS; i++)
        r = monitor_commit(monitor, true);
}

struct monitor *monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return NULL;
    if (monitor->started)
        stop(monitor);
    probe_free(monitor->probe);
    for (size_t port = 0; port < ELEMENTSOF(monitor->ports); port++)
        watched_port_free(monitor->ports[port]);
    collector_free(monitor->collector);
    ledger_free(monitor->ledger);
    gap_list_clear(&monitor->gaps);
    free(monitor);
    return NULL;
}

/** When the ledger was last written, as our clock tells it. */
static uint64_t last_commit(const struct monitor *monitor, const struct ledger_source *source,
                            bool same_boot)
{
    if (!same_boot || !source->committed_boottime_usec)
        return source->committed_usec;
    return usec_before(monitor->first_usec,
                       monitor->second_boottime_usec - source->committed_boottime_usec);
}

/** Notes that the same counters went on while nobody read them. */
static void note_unsampled(struct monitor *monitor, uint64_t from)
{
    uint64_t until = monitor->first_usec;

    if (collector_has_pending(monitor->collector) &&
        period_start(RESOLUTION_5MIN, from) != period_start(RESOLUTION_5MIN, until))
        monitor_note_gap(monitor, GAP_UNSAMPLED, from, until);
}

/** Notes that nothing was counted. */
static void note_absence(struct monitor *monitor, const struct ledger_source *source, uint64_t from,
                         bool same_boot)
{
    struct gap gap;

    monitor->was_absent = true;
    monitor->absent_reason = source->stopped ? GAP_STOPPED : same_boot ? GAP_CRASHED : GAP_REBOOTED;
    if (same_boot && from <= monitor->first_usec)
        monitor->absent_usec = monitor->first_usec - from;
    else
        monitor->absent_from_usec = from;
    gap = monitor_absence(monitor);
    log_gap(&gap, false);
}

/** Notes that the clock was set while we were not there. */
static void note_clock(struct monitor *monitor, uint64_t old, uint64_t new)
{
    uint64_t from = old < new ? old : new, until = old < new ? new : old;

    if (until - from >= CLOCK_STEP_USEC)
        monitor_note_gap(monitor, GAP_CLOCK, from, until);
}

/** Begins with what the ledger is to continue from. */
static int begin(struct monitor *monitor, sd_id128_t boot_id, struct reason *reason)
{
    sd_id128_t epoch = probe_epoch(monitor->probe);
    struct ledger_source source = {};
    bool same_boot, continues;
    uint64_t from;
    int r, n_known;

    if ((r = ledger_get_source(monitor->ledger, &source)) < 0 ||
        (r = n_known = monitor_list_added(monitor)) < 0 ||
        (r = monitor_list_left_over(monitor)) < 0)
        return fail(reason, r, "Cannot read the ledger: %s", ledger_message(monitor->ledger));
    same_boot = sd_id128_equal(source.boot_id, boot_id);
    continues = same_boot && sd_id128_equal(source.epoch, epoch);
    from = last_commit(monitor, &source, same_boot);
    wall_clock_start(&monitor->clock, monitor->first_usec, monitor->second_boottime_usec, from);
    if (continues) {
        monitor->lost = monitor->lost_in_ledger = source.lost;
        monitor->looked_usec = from;
    }

    if ((r = ledger_set_source(monitor->ledger, boot_id, epoch)) < 0 ||
        (r = monitor_begin_ports(monitor, continues)) < 0)
        return fail(reason, r, "Cannot begin to count: %s",
                    r == -ENOMEM ? "out of memory" : ledger_message(monitor->ledger));
    r = monitor_sample(monitor);
    if (r < 0)
        return fail_errno(reason, r, "Cannot count with %s", probe_collector(monitor->probe));
    if (source.committed_usec && n_known > 0) {
        note_clock(monitor, source.committed_usec, from);
        if (continues)
            note_unsampled(monitor, from);
        else
            note_absence(monitor, &source, from, same_boot);
    }
    return 0;
}

int monitor_start(struct monitor *monitor, struct reason *reason)
{
    sd_id128_t boot_id;
    int r;

    r = sd_id128_get_boot(&boot_id);
    if (r < 0)
        return fail_errno(reason, r, "Cannot read the boot id");
    r = begin(monitor, boot_id, reason);
    if (r < 0)
        return r;
    r = monitor_commit(monitor, false);
    if (r < 0)
        return fail(reason, r, "Cannot write to the ledger: %s", monitor->ledger_reason.text);
    monitor_end_left_over(monitor);
    monitor->started = true;
    return 0;
}

int monitor_hand_over(struct monitor *monitor, const struct probe_keeper *keeper, void *userdata)
{
    return probe_hand_over(monitor->probe, keeper, userdata);
}
