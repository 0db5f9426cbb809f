/* SPDX-License-Identifier: MIT */
#include "daemon/monitor-internal.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <string.h>

struct watched_port *watched_port_free(struct watched_port *port)
{
    if (!port)
        return NULL;
    free(port->description);
    free(port);
    return NULL;
}

/** Puts a port on the list. It does not count yet. */
static int add_entry(struct monitor *monitor, uint16_t port, const char *description)
{
    struct watched_port *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return -ENOMEM;
    entry->description = strdup(description);
    if (!entry->description) {
        watched_port_free(entry);
        return -ENOMEM;
    }
    monitor->ports[port] = entry;
    return 0;
}

void monitor_end_port(struct monitor *monitor, uint16_t port)
{
    probe_unwatch(monitor->probe, port);
    collector_remove(monitor->collector, port);
    monitor->ports[port] = watched_port_free(monitor->ports[port]);
}

/* ---- beginning ---- */

/** A port that is about to count. */
struct beginning {
    struct port_counters counted; /* what the ledger has of its counters */
    struct port_counters now;     /* what they say */
};

/** Whether the kernel went on counting for a port where the ledger left off. */
static int find_beginning(struct monitor *monitor, struct beginning *beginning, bool continues)
{
    uint16_t port = beginning->now.port;
    int r = 0;

    beginning->counted.port = port;
    if (continues && probe_watches(monitor->probe, port))
        r = ledger_get_checkpoint(monitor->ledger, &beginning->counted);
    if (r == 0) /* what was counted before, if anything, is not for us */
        beginning->counted = beginning->now;
    return r < 0 ? r : 0;
}

/**
 * Writes down which ports are watched and from where on their counters count, before the kernel is
 * told to: whatever happens in between, nothing is counted twice. What a predecessor watched and we
 * do not is written down already.
 */
static int save_beginnings(struct monitor *monitor, const struct beginning *beginnings, size_t n)
{
    uint64_t now = now_usec(CLOCK_REALTIME);
    int r = monitor_ledger_result(monitor, ledger_begin(monitor->ledger));

    if (r < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        uint16_t port = beginnings[i].now.port;
        const struct watched_port *entry = monitor->ports[port];

        if (entry->configured || entry->added)
            r = ledger_save_port(monitor->ledger, port, entry->description, entry->added, now);
        if (r >= 0)
            r = ledger_checkpoint(monitor->ledger, &beginnings[i].counted);
    }
    if (r >= 0)
        r = ledger_commit_rest(monitor->ledger);
    if (r < 0) {
        monitor_ledger_result(monitor, r);
        ledger_rollback(monitor->ledger);
    }
    return r;
}

static int begin(struct monitor *monitor, struct beginning *beginnings, size_t n, bool continues)
{
    int r;

    for (size_t i = 0; i < n; i++) {
        r = probe_read(monitor->probe, &beginnings[i].now, 1);
        if (r < 0 || (r = find_beginning(monitor, &beginnings[i], continues)) < 0)
            return r;
    }
    r = save_beginnings(monitor, beginnings, n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        uint16_t port = beginnings[i].now.port;

        if ((r = collector_add(monitor->collector, &beginnings[i].counted, &beginnings[i].now)) <
                0 ||
            (r = probe_watch(monitor->probe, port)) < 0)
            return r;
        monitor->ports[port]->counting = true;
    }
    return r < 0 ? r : probe_adopt(monitor->probe);
}

/** Forgets ports that could not be begun. In the kernel they are left alone: a predecessor may have
 * watched them, and our successor may go on where it ended. */
static void drop_idle_entries(struct monitor *monitor)
{
    for (size_t port = 1; port < ELEMENTSOF(monitor->ports); port++)
        if (monitor->ports[port] && !monitor->ports[port]->counting) {
            collector_remove(monitor->collector, (uint16_t) port);
            monitor->ports[port] = watched_port_free(monitor->ports[port]);
        }
}

int monitor_begin_ports(struct monitor *monitor, bool continues)
{
    _cleanup_free_ struct beginning *beginnings = NULL;
    size_t n = 0, i = 0;
    int r;

    for (size_t port = 1; port < ELEMENTSOF(monitor->ports); port++)
        n += monitor->ports[port] && !monitor->ports[port]->counting;
    beginnings = calloc(n ?: 1, sizeof(*beginnings));
    if (!beginnings)
        return -ENOMEM;
    for (size_t port = 1; port < ELEMENTSOF(monitor->ports); port++)
        if (monitor->ports[port] && !monitor->ports[port]->counting)
            beginnings[i++].now.port = (uint16_t) port;

    r = probe_walk(monitor->probe, 0);
    if (r >= 0)
        r = begin(monitor, beginnings, n, continues);
    if (r < 0)
        drop_idle_entries(monitor);
    return r;
}

/* ---- the list ---- */

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
    r = add_entry(monitor, port, description);
    if (r < 0)
        return r;
    monitor->ports[port]->added = true;
    r = monitor_begin_ports(monitor, false);
    if (r < 0)
        return r;
    log_port_event(LOG_INFO, MESSAGE_PORT_ADDED, port, "Watching port %u", port);
    return 0;
}

int monitor_prepare_removal(struct monitor *monitor, uint16_t port)
{
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    r = monitor_flush(monitor);
    return r < 0 ? r : monitor_ledger_result(monitor, ledger_forget_port(monitor->ledger, port));
}

void monitor_remove(struct monitor *monitor, uint16_t port)
{
    bool configured = monitor->ports[port]->configured;

    monitor_end_port(monitor, port);
    log_port_event(LOG_INFO, MESSAGE_PORT_REMOVED, port, "No longer watching port %u%s", port,
                   configured ? "; the configuration names it, so it comes back with the next "
                                "start or reload"
                              : "");
}

int monitor_describe(struct monitor *monitor, uint16_t port, const char *description)
{
    _cleanup_free_ char *copy = NULL;
    int r;

    if (!monitor->ports[port])
        return -ENOENT;
    copy = strdup(description);
    if (!copy)
        return -ENOMEM;
    r = monitor_ledger_result(monitor, ledger_save_port(monitor->ledger, port, description, false,
                                                        now_usec(CLOCK_REALTIME)));
    if (r < 0)
        return r;
    free(monitor->ports[port]->description);
    monitor->ports[port]->description = TAKE_PTR(copy);
    return 0;
}

/* ---- configuration ---- */

int monitor_configure(struct monitor *monitor, uint16_t port, const char *description,
                      int cycle_day)
{
    _cleanup_(ledger_port_clear) struct ledger_port past = {};
    bool is_new = !monitor->ports[port];
    char *copy;
    int r = 0;

    if (is_new) {
        /* Where the configuration has no description, the last one that was given stays. */
        if (!*description)
            r = ledger_get_port(monitor->ledger, port, &past);
        if (r >= 0)
            r = add_entry(monitor, port, past.description ?: description);
        if (r < 0)
            return r;
    } else if (*description) {
        copy = strdup(description);
        if (!copy)
            return -ENOMEM;
        free(monitor->ports[port]->description);
        monitor->ports[port]->description = copy;
    }
    monitor->ports[port]->configured = true;
    monitor->ports[port]->cycle_day = cycle_day;
    return is_new;
}

int monitor_begin_configured(struct monitor *monitor)
{
    return monitor_begin_ports(monitor, false);
}

bool monitor_unconfigure(struct monitor *monitor, uint16_t port)
{
    monitor->ports[port]->configured = false;
    monitor->ports[port]->cycle_day = 0;
    return !monitor->ports[port]->added;
}

int monitor_list_added(struct monitor *monitor)
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
            r = add_entry(monitor, port, known[i].description);
        if (r >= 0)
            monitor->ports[port]->added = true;
    }
    ledger_ports_free(known, n);
    return r < 0 ? r : (int) n;
}

int monitor_list_left_over(struct monitor *monitor)
{
    int r = 0;

    for (size_t port = 1; r >= 0 && port < ELEMENTSOF(monitor->ports); port++)
        if (probe_watches(monitor->probe, (uint16_t) port) && !monitor->ports[port])
            r = add_entry(monitor, (uint16_t) port, "");
    return r;
}

void monitor_end_left_over(struct monitor *monitor)
{
    for (uint16_t port = 0; (port = monitor_next(monitor, port));)
        if (!monitor->ports[port]->configured && !monitor->ports[port]->added)
            monitor_end_port(monitor, port);
}
