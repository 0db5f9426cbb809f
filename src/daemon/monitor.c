/* SPDX-License-Identifier: MIT */
#include "daemon/monitor.h"

#include "daemon/monitor-internal.h"
#include "shared/format.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>

/* So soon after the start a clock that is set is a clock that was wrong: what this run has written
 * is dated anew. Later the past stays as it is, and a gap is noted. */
#define YOUNG_USEC (15 * 60 * USEC_PER_SEC)

/* After an absence of this length the clock may be wrong, too: no detail is deleted before the
 * daemon has run for a day. */
#define LONG_ABSENCE_USEC (7 * 86400 * USEC_PER_SEC)
#define CLOCK_TRUST_USEC  (86400 * USEC_PER_SEC)

/* ---- gaps ---- */

void monitor_note_gap(struct monitor *monitor, enum gap_reason reason, uint64_t from_usec,
                      uint64_t until_usec)
{
    const struct gap gap = {from_usec, until_usec, reason};
    char from[FORMAT_SIZE], until[FORMAT_SIZE];

    log_event(LOG_WARNING, MESSAGE_GAP, "Gap from %s until %s: %s",
              format_timestamp(from, from_usec, false), format_timestamp(until, until_usec, false),
              gap_reason_explain(reason));
    gap_list_add(&monitor->gaps, &gap); /* without memory it is in the log only */
}

/** Looks whether the kernel lost connections since the last look. */
static void look_for_losses(struct monitor *monitor, uint64_t since_usec, uint64_t now)
{
    struct probe_health health;
    uint64_t lost;

    if (probe_health(monitor->probe, &health) < 0)
        return;
    /* An event that one program did not see was seen by another, unless both were interrupted. Then
     * a connection may have opened unseen. */
    if (health.skipped_events != monitor->skipped_before)
        probe_recover(monitor->probe);
    monitor->skipped_before = health.skipped_events;

    lost = health.storage_failures + health.unsettled + collector_lost_closes(monitor->collector);
    if (lost > monitor->lost_before)
        monitor_note_gap(monitor, GAP_SKIPPED, since_usec, now);
    monitor->lost_before = lost;
}

/* ---- the clock ---- */

/** Dates what this run has written anew. */
static int redate(struct monitor *monitor, int64_t step, uint64_t now)
{
    int64_t bucket = (int64_t) BUCKET_USEC;
    int64_t shift = (step + (step > 0 ? bucket : -bucket) / 2) / bucket * bucket;
    int r = ledger_begin(monitor->ledger);

    if (r < 0)
        return r;
    r = ledger_redate(monitor->ledger, period_start(RESOLUTION_5MIN, monitor->first_usec),
                      now - (uint64_t) step + 1, shift, now);
    if (r >= 0)
        r = ledger_commit(monitor->ledger, now, false);
    if (r < 0)
        ledger_rollback(monitor->ledger);
    return r;
}

static void on_clock_set(struct monitor *monitor, int64_t step, uint64_t now, uint64_t boottime)
{
    uint64_t before = now - (uint64_t) step, amount = (uint64_t) (step < 0 ? -step : step);
    bool young = boottime - monitor->started_boottime_usec < YOUNG_USEC;
    char text[FORMAT_SIZE];

    log_notice("The clock was set %s by %s", step < 0 ? "back" : "forward",
               format_duration(text, amount));
    collector_shift(monitor->collector, step);
    if ((young || before < CLOCK_FLOOR_USEC) && redate(monitor, step, now) >= 0) {
        monitor->first_usec += (uint64_t) step;
        return;
    }
    monitor_note_gap(monitor, GAP_CLOCK, step < 0 ? now : before, step < 0 ? before : now);
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

/* What comes between two samples belongs to the later one, but what comes up to a whole second
 * belongs to the second that ends with it: so buckets and days get the bytes of their own time. */
int monitor_sample(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME), boottime = now_usec(CLOCK_BOOTTIME);
    uint64_t second = usec_floor(now, USEC_PER_SEC), at;
    int64_t step = wall_clock_observe(&monitor->clock, now, boottime);
    bool second_ends;
    int r;

    if (step)
        on_clock_set(monitor, step, now, boottime);
    second_ends = second != monitor->second_usec;
    at = second_ends && !step ? second - 1 : now;
    if ((r = probe_walk(monitor->probe, second_ends ? boottime : 0)) < 0 ||
        (r = ingest_all(monitor, at)) < 0)
        return r;
    if (second_ends) {
        collector_tick(monitor->collector, at, boottime - monitor->second_boottime_usec);
        look_for_losses(monitor, monitor->second_usec, now);
        monitor->second_usec = second;
        monitor->second_boottime_usec = boottime;
    }
    return 0;
}

int monitor_tick(struct monitor *monitor)
{
    return monitor_sample(monitor);
}

int monitor_refresh(struct monitor *monitor)
{
    return monitor_sample(monitor);
}

/* ---- writing ---- */

int monitor_ledger_result(struct monitor *monitor, int r)
{
    if (r < 0)
        fail(&monitor->ledger_reason, r, "%s", ledger_message(monitor->ledger));
    monitor->ledger_damaged |= r == -EBADMSG;
    return r;
}

static int post_port(struct monitor *monitor, uint16_t port)
{
    struct port_counters reading;
    const struct interval *pending;
    bool any = false;
    int r;

    for (enum role role = 0; role < _ROLE_MAX; role++) {
        size_t n = collector_pending(monitor->collector, port, role, &pending);

        for (size_t i = 0; i < n; i++) {
            r = ledger_post(monitor->ledger, port, role, &pending[i]);
            if (r < 0)
                return r;
            any = true;
        }
    }
    if (!any)
        return 0;
    collector_reading(monitor->collector, port, &reading);
    return ledger_checkpoint(monitor->ledger, &reading);
}

static int post_all(struct monitor *monitor, bool stopped)
{
    int r = ledger_begin(monitor->ledger);

    if (r < 0)
        return r;
    for (uint16_t port = 0; r >= 0 && (port = collector_next(monitor->collector, port));)
        r = post_port(monitor, port);
    for (size_t i = 0; r >= 0 && i < monitor->gaps.n; i++)
        r = ledger_add_gap(monitor->ledger, &monitor->gaps.gaps[i]);
    if (r >= 0)
        r = ledger_commit(monitor->ledger, now_usec(CLOCK_REALTIME), stopped);
    if (r < 0) {
        monitor_ledger_result(monitor, r);
        ledger_rollback(monitor->ledger);
        return r;
    }
    collector_committed(monitor->collector);
    gap_list_clear(&monitor->gaps);
    return 0;
}

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
        r = ledger_commit(monitor->ledger, now, false);
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
    monitor_note_gap(monitor, GAP_DAMAGED, 0, now_usec(CLOCK_REALTIME));
    monitor->ledger_damaged = false;
    return renew(monitor);
}

static int try_commit(struct monitor *monitor, bool stopped)
{
    int r;

    if (monitor->ledger_damaged && (r = rescue(monitor)) < 0)
        return r;
    if ((r = ledger_check_file(monitor->ledger, &monitor->ledger_reason)) < 0)
        return r;
    r = post_all(monitor, stopped);
    if (r == -EBADMSG && (r = rescue(monitor)) >= 0)
        r = post_all(monitor, stopped);
    return r;
}

/* A failure is logged when it begins and when it ends. */
int monitor_commit(struct monitor *monitor, bool stopped)
{
    int r;

    if (!stopped && !monitor->gaps.n && !monitor->ledger_damaged &&
        !collector_has_pending(monitor->collector))
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

/** Forgets detail that is too old, if the clock that says so is to be trusted. */
static void prune(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    uint64_t age = now_usec(CLOCK_BOOTTIME) - monitor->started_boottime_usec;
    struct date today = date_of(now);

    if (now < CLOCK_FLOOR_USEC || (monitor->long_absent && age < CLOCK_TRUST_USEC))
        return;
    ledger_prune(monitor->ledger, date_add_days(today, -(int) monitor->retention_days));
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

void monitor_set_retention(struct monitor *monitor, unsigned days)
{
    monitor->retention_days = days;
}

/* ---- beginning and end ---- */

int monitor_new(struct monitor **ret, const char *data_directory,
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
    monitor->started_boottime_usec = now_usec(CLOCK_BOOTTIME);
    monitor->first_usec = now_usec(CLOCK_REALTIME);
    if ((r = ledger_open(data_directory, &monitor->ledger, &rescued, reason)) < 0 ||
        (r = probe_open(&monitor->probe, inherited, n_inherited, reason)) < 0)
        return r;
    if (rescued) {
        log_event(LOG_ERR, MESSAGE_LEDGER_FAILURE, "%s", reason->text);
        monitor_note_gap(monitor, GAP_DAMAGED, 0, monitor->first_usec);
    }
    *ret = TAKE_PTR(monitor);
    return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return NULL;
    if (monitor->started && monitor_sample(monitor) >= 0)
        monitor_commit(monitor, true);
    probe_free(monitor->probe);
    for (size_t port = 0; port < ELEMENTSOF(monitor->ports); port++)
        watched_port_free(monitor->ports[port]);
    collector_free(monitor->collector);
    ledger_free(monitor->ledger);
    gap_list_clear(&monitor->gaps);
    free(monitor);
    return NULL;
}

/** Notes what was not counted, or not when it came, since the ledger was last written. */
static void note_absence(struct monitor *monitor, const struct ledger_source *source,
                         bool continues, bool same_boot)
{
    uint64_t from = source->committed_usec, until = monitor->first_usec;

    if (from > until)
        monitor_note_gap(monitor, GAP_CLOCK, until, from);
    else if (!continues)
        monitor_note_gap(monitor,
                         source->stopped ? GAP_STOPPED
                         : same_boot     ? GAP_CRASHED
                                         : GAP_REBOOTED,
                         from, until);
    else if (collector_has_pending(monitor->collector) &&
             period_start(RESOLUTION_5MIN, from) != period_start(RESOLUTION_5MIN, until))
        monitor_note_gap(monitor, GAP_UNSAMPLED, from, until);
}

int monitor_start(struct monitor *monitor, struct reason *reason)
{
    sd_id128_t boot_id, epoch = probe_epoch(monitor->probe);
    struct ledger_source source = {};
    bool continues, same_boot;
    int r, n_known;

    r = sd_id128_get_boot(&boot_id);
    if (r < 0)
        return fail_errno(reason, r, "Cannot read the boot id");
    if ((r = ledger_get_source(monitor->ledger, &source)) < 0 ||
        (r = n_known = monitor_list_added(monitor)) < 0 ||
        (r = monitor_list_left_over(monitor)) < 0)
        return fail(reason, r, "Cannot read the ledger: %s", ledger_message(monitor->ledger));
    same_boot = sd_id128_equal(source.boot_id, boot_id);
    continues = same_boot && sd_id128_equal(source.epoch, epoch);
    monitor->long_absent = source.committed_usec &&
                           monitor->first_usec - source.committed_usec > LONG_ABSENCE_USEC;

    if ((r = ledger_set_source(monitor->ledger, boot_id, epoch)) < 0 ||
        (r = monitor_begin_ports(monitor, continues)) < 0)
        return fail(reason, r, "Cannot begin to count: %s",
                    r == -ENOMEM ? "out of memory" : ledger_message(monitor->ledger));
    r = monitor_sample(monitor);
    if (r < 0)
        return fail_errno(reason, r, "Cannot count with the BPF programs");
    if (source.committed_usec && n_known > 0)
        note_absence(monitor, &source, continues, same_boot);
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
