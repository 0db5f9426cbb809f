/* SPDX-License-Identifier: MIT */
#include "daemon/monitor-internal.h"
#include "shared/time-util.h"

#include <errno.h>

/* The end of the year 9999, as far as dates go. */
#define LAST_MOMENT_USEC (UINT64_C(253402300799) * USEC_PER_SEC)

/* ---- figures ---- */

/** Adds what is pending of [from_usec, until_usec). */
static int add_pending(struct monitor *monitor, uint16_t port, enum role role, uint64_t from_usec,
                       uint64_t until_usec, enum resolution resolution, struct history *history)
{
    const struct interval *pending;
    size_t n = collector_pending(monitor->collector, port, role, &pending);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        if (pending[i].start_usec >= from_usec && pending[i].start_usec < until_usec)
            r = history_add(history, period_start(resolution, pending[i].start_usec),
                            &pending[i].traffic);
    return r;
}

int monitor_history(struct monitor *monitor, uint16_t port, enum role role, uint64_t from_usec,
                    uint64_t until_usec, enum resolution resolution, struct history *history)
{
    int r;

    if (until_usec > LAST_MOMENT_USEC)
        until_usec = LAST_MOMENT_USEC;
    if (from_usec >= until_usec)
        return -ERANGE;
    if (!monitor->ports[port]) {
        _cleanup_(ledger_port_clear) struct ledger_port past = {};

        r = ledger_get_port(monitor->ledger, port, &past);
        if (r <= 0)
            return r < 0 ? monitor_ledger_result(monitor, r) : -ENOENT;
    }
    r = ledger_history(monitor->ledger, port, role, from_usec, until_usec, resolution, history);
    if (r < 0)
        return monitor_ledger_result(monitor, r);
    return add_pending(monitor, port, role, from_usec, until_usec, resolution, history);
}

int monitor_range(struct monitor *monitor, uint16_t port, enum role role, uint64_t from_usec,
                  uint64_t until_usec, struct traffic *ret)
{
    _cleanup_history_ struct history history = {};
    int r = monitor_history(monitor, port, role, from_usec, until_usec, RESOLUTION_DAY, &history);

    if (r < 0)
        return r;
    history_sum(&history, ret);
    return 0;
}

int monitor_live(struct monitor *monitor, uint16_t port, enum role role, struct live_figures *ret)
{
    return collector_live(monitor->collector, port, role, ret);
}

static int read_stats(struct monitor *monitor, uint16_t port, enum role role, uint64_t now,
                      struct role_stats *ret)
{
    const struct interval *pending;
    size_t n = collector_pending(monitor->collector, port, role, &pending);
    int r;

    if ((r = collector_live(monitor->collector, port, role, &ret->live)) < 0 ||
        (r = monitor_ledger_result(monitor,
                                   ledger_total(monitor->ledger, port, role, &ret->total))) < 0 ||
        (r = monitor_range(monitor, port, role, period_start(RESOLUTION_DAY, now),
                           period_end(RESOLUTION_DAY, now), &ret->today)) < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        traffic_add(&ret->total, &pending[i].traffic);
    return 0;
}

int monitor_stats(struct monitor *monitor, uint16_t port, struct role_stats ret[_ROLE_MAX])
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    r = monitor_ledger_result(monitor, ledger_begin_reading(monitor->ledger));
    if (r < 0)
        return r;
    for (enum role role = 0; r >= 0 && role < _ROLE_MAX; role++)
        r = read_stats(monitor, port, role, now, &ret[role]);
    ledger_end_reading(monitor->ledger);
    return r;
}

static bool touches(const struct gap *gap, uint64_t from_usec, uint64_t until_usec)
{
    return gap->until_usec > from_usec && gap->from_usec < until_usec;
}

int monitor_gaps(struct monitor *monitor, uint64_t from_usec, uint64_t until_usec,
                 struct gap_list *ret)
{
    int r = monitor_ledger_result(monitor,
                                  ledger_gaps(monitor->ledger, from_usec, until_usec, ret));

    for (size_t i = 0; r >= 0 && i < monitor->gaps.n; i++) {
        const struct gap *gap = &monitor->gaps.gaps[i];
        struct gap *last = ret->n ? &ret->gaps[ret->n - 1] : NULL;

        if (!touches(gap, from_usec, until_usec))
            continue;
        if (last && gap_goes_on(last, gap)) /* as the ledger will have it */
            last->until_usec = gap->until_usec;
        else
            r = gap_list_add(ret, gap);
    }
    return r;
}

int monitor_connections(struct monitor *monitor, uint16_t port, struct connection **ret)
{
    if (port && !monitor->ports[port])
        return -ENOENT;
    return probe_list(monitor->probe, port, ret);
}

int monitor_health(struct monitor *monitor, struct probe_health *ret, uint64_t *ret_lost_closes)
{
    *ret_lost_closes = collector_lost_closes(monitor->collector);
    return probe_health(monitor->probe, ret);
}

const char *monitor_collector(const struct monitor *monitor)
{
    return probe_collector(monitor->probe);
}

bool monitor_is_exact(const struct monitor *monitor)
{
    return probe_is_exact(monitor->probe);
}

bool monitor_works_unprivileged(struct monitor *monitor)
{
    return probe_works_unprivileged(monitor->probe);
}

bool monitor_ledger_fails(const struct monitor *monitor)
{
    return monitor->ledger_fails;
}

const char *monitor_ledger_message(struct monitor *monitor)
{
    return *monitor->ledger_reason.text ? monitor->ledger_reason.text
                                        : ledger_message(monitor->ledger);
}
