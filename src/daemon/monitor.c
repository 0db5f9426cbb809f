/* SPDX-License-Identifier: MIT */
#include "daemon/monitor.h"

#include "daemon/ledger.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <string.h>

/* The end of the year 9999, as far as dates go. */
#define LAST_MOMENT_USEC (UINT64_C(253402300799) * USEC_PER_SEC)

struct watched_port {
    char *description;
    int cycle_day;   /* 0 if none */
    bool configured; /* the configuration names it */
    bool added;      /* somebody added it over the bus */
};

struct monitor {
    struct probe *probe;
    struct collector *collector;
    struct ledger *ledger;
    struct watched_port *ports[65536]; /* by number; NULL if not watched */
    uint64_t second_usec;              /* the whole second (CLOCK_REALTIME) last sampled … */
    uint64_t second_boottime_usec;     /* … and when that was */
    bool ledger_fails;
};

static struct watched_port *watched_port_free(struct watched_port *port)
{
    if (!port)
        return NULL;
    free(port->description);
    free(port);
    return NULL;
}

static struct watched_port *watched_port_new(const char *description)
{
    struct watched_port *port = calloc(1, sizeof(*port));

    if (!port)
        return NULL;
    port->description = strdup(description);
    return port->description ? port : watched_port_free(port);
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
static int sample(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME), boottime = now_usec(CLOCK_BOOTTIME);
    uint64_t second = usec_floor(now, USEC_PER_SEC);
    bool second_ends = second != monitor->second_usec;
    uint64_t at = second_ends ? second - 1 : now;
    int r;

    if ((r = probe_walk(monitor->probe, second_ends ? boottime : 0)) < 0 ||
        (r = ingest_all(monitor, at)) < 0)
        return r;
    if (second_ends) {
        collector_tick(monitor->collector, at, boottime - monitor->second_boottime_usec);
        monitor->second_usec = second;
        monitor->second_boottime_usec = boottime;
    }
    return 0;
}

int monitor_tick(struct monitor *monitor)
{
    return sample(monitor);
}

int monitor_refresh(struct monitor *monitor)
{
    return sample(monitor);
}

/* ---- writing ---- */

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

static int post_all(struct monitor *monitor)
{
    int r = ledger_begin(monitor->ledger);

    if (r < 0)
        return r;
    for (uint16_t port = 0; r >= 0 && (port = collector_next(monitor->collector, port));)
        r = post_port(monitor, port);
    if (r >= 0)
        r = ledger_commit(monitor->ledger, now_usec(CLOCK_REALTIME));
    if (r < 0)
        ledger_rollback(monitor->ledger);
    return r;
}

/** Writes what is pending. A failure is logged when it begins and when it ends. */
static int commit(struct monitor *monitor)
{
    int r;

    if (!collector_has_pending(monitor->collector))
        return 0;
    r = post_all(monitor);
    if (r < 0) {
        if (!monitor->ledger_fails)
            log_event(LOG_ERR, MESSAGE_LEDGER_FAILURE,
                      "Cannot write to the ledger: %s; what is counted stays in memory until it "
                      "can be written",
                      ledger_message(monitor->ledger));
        monitor->ledger_fails = true;
        return r;
    }
    if (monitor->ledger_fails)
        log_notice("The ledger can be written again; nothing was lost");
    monitor->ledger_fails = false;
    collector_committed(monitor->collector);
    return 0;
}

int monitor_flush(struct monitor *monitor)
{
    int r = sample(monitor);

    return r < 0 ? r : commit(monitor);
}

/* ---- ports ---- */

/** Watches a port that is not watched. Open connections are left to probe_adopt(). */
static int begin_port(struct monitor *monitor, uint16_t port, const char *description)
{
    struct port_counters now = {.port = port};
    struct watched_port *watched;
    int r;

    if ((r = probe_watch(monitor->probe, port)) < 0 ||
        (r = probe_read(monitor->probe, &now, 1)) < 0 ||
        (r = collector_add(monitor->collector, &now, &now)) < 0)
        return r;
    watched = watched_port_new(description);
    if (!watched) {
        collector_remove(monitor->collector, port);
        return -ENOMEM;
    }
    monitor->ports[port] = watched;
    return 0;
}

static void end_port(struct monitor *monitor, uint16_t port)
{
    probe_unwatch(monitor->probe, port);
    collector_remove(monitor->collector, port);
    monitor->ports[port] = watched_port_free(monitor->ports[port]);
}

bool monitor_watches(const struct monitor *monitor, uint16_t port)
{
    return monitor->ports[port];
}

uint16_t monitor_next(const struct monitor *monitor, uint16_t port)
{
    return collector_next(monitor->collector, port);
}

const char *monitor_description(const struct monitor *monitor, uint16_t port)
{
    return monitor->ports[port]->description;
}

int monitor_cycle_day(const struct monitor *monitor, uint16_t port)
{
    return monitor->ports[port]->cycle_day;
}

bool monitor_is_configured(const struct monitor *monitor, uint16_t port)
{
    return monitor->ports[port]->configured;
}

int monitor_add(struct monitor *monitor, uint16_t port, const char *description)
{
    int r;

    if (monitor->ports[port])
        return -EEXIST;
    /* Traffic of the port from when it was watched before must not count as new. */
    r = probe_walk(monitor->probe, 0);
    if (r < 0)
        return r;
    r = begin_port(monitor, port, description);
    if (r < 0)
        return r;
    if ((r = probe_adopt(monitor->probe)) < 0 ||
        (r = ledger_save_port(monitor->ledger, port, description, true, now_usec(CLOCK_REALTIME))) <
            0) {
        end_port(monitor, port);
        return r;
    }
    monitor->ports[port]->added = true;
    log_port_event(LOG_INFO, MESSAGE_PORT_ADDED, port, "Watching port %u", port);
    return 0;
}

int monitor_prepare_removal(struct monitor *monitor, uint16_t port)
{
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    r = monitor_flush(monitor);
    return r < 0 ? r : ledger_forget_port(monitor->ledger, port);
}

void monitor_remove(struct monitor *monitor, uint16_t port)
{
    bool configured = monitor->ports[port]->configured;

    end_port(monitor, port);
    log_port_event(LOG_INFO, MESSAGE_PORT_REMOVED, port, "No longer watching port %u%s", port,
                   configured ? "; the configuration names it, so it comes back with the next "
                                "start or reload"
                              : "");
}

int monitor_describe(struct monitor *monitor, uint16_t port, const char *description)
{
    _cleanup_free_ char *copy = NULL;
    char *old;
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    copy = strdup(description);
    if (!copy)
        return -ENOMEM;
    r = ledger_save_port(monitor->ledger, port, description, false, now_usec(CLOCK_REALTIME));
    if (r < 0)
        return r;
    old = monitor->ports[port]->description;
    monitor->ports[port]->description = TAKE_PTR(copy);
    free(old);
    return 0;
}

/* ---- beginning and end ---- */

int monitor_new(struct monitor **ret, const char *data_directory, struct reason *reason)
{
    _cleanup_(monitor_freep) struct monitor *monitor = calloc(1, sizeof(*monitor));
    int r;

    if (!monitor)
        return -ENOMEM;
    monitor->collector = collector_new();
    if (!monitor->collector)
        return -ENOMEM;
    if ((r = ledger_open(data_directory, &monitor->ledger, reason)) < 0 ||
        (r = probe_open(&monitor->probe, reason)) < 0)
        return r;
    *ret = TAKE_PTR(monitor);
    return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return NULL;
    if (monitor->probe && monitor->ledger)
        monitor_flush(monitor);
    probe_free(monitor->probe);
    for (size_t port = 0; port < ELEMENTSOF(monitor->ports); port++)
        watched_port_free(monitor->ports[port]);
    collector_free(monitor->collector);
    ledger_free(monitor->ledger);
    free(monitor);
    return NULL;
}

static int save_configured_ports(struct monitor *monitor)
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    int r = ledger_begin(monitor->ledger);

    if (r < 0)
        return r;
    for (uint16_t port = 0; r >= 0 && (port = monitor_next(monitor, port));)
        if (monitor->ports[port]->configured)
            r = ledger_save_port(monitor->ledger, port, monitor->ports[port]->description, false,
                                 now);
    if (r >= 0)
        r = ledger_commit(monitor->ledger, now);
    if (r < 0)
        ledger_rollback(monitor->ledger);
    return r;
}

/** Replaces a description unless there is none. */
static int replace_description(struct watched_port *watched, const char *description)
{
    char *copy;

    if (!*description)
        return 0;
    copy = strdup(description);
    if (!copy)
        return -ENOMEM;
    free(watched->description);
    watched->description = copy;
    return 0;
}

int monitor_configure(struct monitor *monitor, uint16_t port, const char *description,
                      int cycle_day)
{
    _cleanup_(ledger_port_clear) struct ledger_port past = {};
    bool is_new = !monitor->ports[port];
    int r;

    if (is_new) {
        /* Where the configuration has no description, the last one that was given stays. */
        r = *description ? 0 : ledger_get_port(monitor->ledger, port, &past);
        if (r >= 0)
            r = begin_port(monitor, port, past.description ?: description);
    } else
        r = replace_description(monitor->ports[port], description);
    if (r < 0)
        return r;
    monitor->ports[port]->configured = true;
    monitor->ports[port]->cycle_day = cycle_day;
    return is_new;
}

bool monitor_unconfigure(struct monitor *monitor, uint16_t port)
{
    monitor->ports[port]->configured = false;
    monitor->ports[port]->cycle_day = 0;
    return !monitor->ports[port]->added;
}

int monitor_adopt(struct monitor *monitor)
{
    int r = save_configured_ports(monitor);

    return r < 0 ? r : probe_adopt(monitor->probe);
}

/** Watches the ports that were added over the bus, and learns which of the others were. */
static int begin_added_ports(struct monitor *monitor)
{
    struct ledger_port *known = NULL;
    size_t n = 0;
    int r;

    r = ledger_ports(monitor->ledger, &known, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        uint16_t port = known[i].port;

        if (!known[i].added)
            continue;
        if (!monitor->ports[port])
            r = begin_port(monitor, port, known[i].description);
        if (r >= 0)
            monitor->ports[port]->added = true;
    }
    ledger_ports_free(known, n);
    return r;
}

int monitor_start(struct monitor *monitor, struct reason *reason)
{
    sd_id128_t boot_id;
    int r;

    r = sd_id128_get_boot(&boot_id);
    if (r < 0)
        return fail_errno(reason, r, "Cannot read the boot id");
    if ((r = ledger_set_source(monitor->ledger, boot_id, probe_epoch(monitor->probe))) < 0 ||
        (r = begin_added_ports(monitor)) < 0 || (r = save_configured_ports(monitor)) < 0)
        return fail(reason, r, "Cannot use the ledger: %s", ledger_message(monitor->ledger));
    if ((r = probe_adopt(monitor->probe)) < 0 || (r = sample(monitor)) < 0)
        return fail_errno(reason, r, "Cannot count with the BPF programs");
    return 0;
}

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
            return r < 0 ? r : -ENOENT;
    }
    r = ledger_history(monitor->ledger, port, role, from_usec, until_usec, resolution, history);
    if (r < 0)
        return r;
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

int monitor_stats(struct monitor *monitor, uint16_t port, struct role_stats ret[_ROLE_MAX])
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    const struct interval *pending;
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        size_t n = collector_pending(monitor->collector, port, role, &pending);

        if ((r = collector_live(monitor->collector, port, role, &ret[role].live)) < 0 ||
            (r = ledger_total(monitor->ledger, port, role, &ret[role].total)) < 0 ||
            (r = monitor_range(monitor, port, role, period_start(RESOLUTION_DAY, now),
                               period_end(RESOLUTION_DAY, now), &ret[role].today)) < 0)
            return r;
        for (size_t i = 0; i < n; i++)
            traffic_add(&ret[role].total, &pending[i].traffic);
    }
    return 0;
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
    return ledger_message(monitor->ledger);
}
