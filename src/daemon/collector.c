/* SPDX-License-Identifier: MIT */
#include "daemon/collector.h"

#include "shared/calendar.h"
#include "shared/time-util.h"

#include <errno.h>
#include <string.h>

/* Pending intervals per port and role: a week without a writable ledger. After that times blur,
 * bytes do not. */
#define MAX_PENDING (7 * 24 * 12)

/* The same of all together, some 70 MiB: whoever scans 65,535 watched ports shall not fill our
 * memory. Each port has one in any case. */
#define MAX_PENDING_OF_ALL (1 << 20)

/* Recent intervals per port and role, a day, and of all together, some 3 MiB. */
#define MAX_RECENT        (24 * 12)
#define MAX_RECENT_OF_ALL (1 << 15)

/* Seconds over which a connection that is counted open but was not seen must stay unseen. */
#define DRIFT_WINDOW_TICKS 10

struct account {
    struct counters reading;   /* the highest values seen, all of them ingested */
    struct counters tick;      /* the same at the last tick */
    struct counters committed; /* the same at the last commit */
    struct live_figures live;
    struct interval *pending;
    size_t n_pending;
    size_t size_pending;
    struct recent_interval *recent;
    size_t n_recent;
    size_t size_recent;
    uint64_t drift; /* the smallest excess of counted over seen connections in this window … */
    uint64_t lost;  /* … and in the worst window */
};

struct port_account {
    uint16_t port;
    struct account role[_ROLE_MAX];
};

struct collector {
    struct port_account *ports[65536]; /* by port number */
    uint64_t present[65536 / 64];      /* a bit for each, to find the next one soon */
    size_t n_ports;
    size_t n_pending; /* of all accounts */
    size_t n_recent;
    unsigned ticks;
};

struct collector *collector_new(void)
{
    return calloc(1, sizeof(struct collector));
}

static struct port_account *port_account_free(struct port_account *account)
{
    if (!account)
        return NULL;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        free(account->role[role].pending);
        free(account->role[role].recent);
    }
    free(account);
    return NULL;
}

struct collector *collector_free(struct collector *collector)
{
    if (!collector)
        return NULL;
    for (size_t port = 0; port < ELEMENTSOF(collector->ports); port++)
        port_account_free(collector->ports[port]);
    free(collector);
    return NULL;
}

int collector_add(struct collector *collector, const struct port_counters *counted,
                  const struct port_counters *now)
{
    struct port_account *account;

    if (collector->ports[counted->port])
        return -EEXIST;
    account = calloc(1, sizeof(*account));
    if (!account)
        return -ENOMEM;
    account->port = counted->port;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        account->role[role].reading = counted->role[role];
        account->role[role].committed = counted->role[role];
        account->role[role].tick = now->role[role];
        account->role[role].live.connections = now->role[role].live;
        account->role[role].drift = UINT64_MAX;
    }
    collector->ports[counted->port] = account;
    collector->present[counted->port / 64] |= UINT64_C(1) << counted->port % 64;
    collector->n_ports++;
    return 0;
}

void collector_remove(struct collector *collector, uint16_t port)
{
    if (!collector->ports[port])
        return;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        collector->n_pending -= collector->ports[port]->role[role].n_pending;
        collector->n_recent -= collector->ports[port]->role[role].n_recent;
    }
    collector->ports[port] = port_account_free(collector->ports[port]);
    collector->present[port / 64] &= ~(UINT64_C(1) << port % 64);
    collector->n_ports--;
}

bool collector_has(const struct collector *collector, uint16_t port)
{
    return collector->ports[port];
}

size_t collector_n_ports(const struct collector *collector)
{
    return collector->n_ports;
}

uint16_t collector_next(const struct collector *collector, uint16_t port)
{
    unsigned next = port + 1U;

    while (next <= UINT16_MAX) {
        uint64_t rest = collector->present[next / 64] >> next % 64;

        if (rest)
            return (uint16_t) (next + (unsigned) __builtin_ctzll(rest));
        next = (next / 64 + 1) * 64;
    }
    return 0;
}

/** Makes room for one more element of a list that holds @n. Returns the list, or NULL. */
static void *reserve(void *list, size_t n, size_t *size, size_t element_size)
{
    size_t wanted = *size * 2 ?: 2;
    void *larger;

    if (n < *size)
        return list;
    larger = reallocarray(list, wanted, element_size);
    if (larger)
        *size = wanted;
    return larger;
}

/** Makes room for the interval of @at_usec and returns it, or NULL. */
static struct interval *pending_interval(struct collector *collector, struct account *account,
                                         uint64_t at_usec)
{
    uint64_t start = period_start(RESOLUTION_5MIN, at_usec);
    struct interval *pending;

    for (size_t i = account->n_pending; i-- > 0;)
        if (account->pending[i].start_usec == start)
            return &account->pending[i];
    if (account->n_pending == MAX_PENDING ||
        (account->n_pending && collector->n_pending >= MAX_PENDING_OF_ALL))
        return &account->pending[account->n_pending - 1];
    pending = reserve(account->pending, account->n_pending, &account->size_pending,
                      sizeof(*pending));
    if (!pending)
        return NULL;
    account->pending = pending;
    pending = &account->pending[account->n_pending++];
    collector->n_pending++;
    *pending = (struct interval){.start_usec = start};
    return pending;
}

/** What a counter has grown by. A reading may be one too high for a moment; that is made good. */
static uint64_t grown(uint64_t *seen, uint64_t now)
{
    uint64_t growth = now > *seen ? now - *seen : 0;

    *seen += growth;
    return growth;
}

static int ingest(struct collector *collector, struct account *account, const struct counters *now,
                  uint64_t at_usec)
{
    struct counters reading = account->reading;
    struct traffic traffic = {
        .rx_bytes = grown(&reading.rx_bytes, now->rx_bytes),
        .tx_bytes = grown(&reading.tx_bytes, now->tx_bytes),
        .rx_packets = grown(&reading.rx_packets, now->rx_packets),
        .tx_packets = grown(&reading.tx_packets, now->tx_packets),
        .connections = grown(&reading.opened, now->opened),
    };
    struct interval *pending;

    reading.live = account->live.connections = now->live;
    reading.unclosed = now->unclosed;
    if (!traffic_is_empty(&traffic)) {
        pending = pending_interval(collector, account, at_usec);
        if (!pending)
            return -ENOMEM;
        traffic_add(&pending->traffic, &traffic);
    }
    account->reading = reading;
    return 0;
}

int collector_ingest(struct collector *collector, const struct port_counters *reading,
                     uint64_t at_usec)
{
    struct port_account *account = collector->ports[reading->port];
    int r;

    if (!account)
        return -ENOENT;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        r = ingest(collector, &account->role[role], &reading->role[role], at_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

/** The rate over a second, or over the longer time that it took to come to its end. */
static uint64_t rate(uint64_t bytes, uint64_t elapsed_usec)
{
    if (elapsed_usec < USEC_PER_SEC)
        elapsed_usec = USEC_PER_SEC;
    return (uint64_t) ((unsigned __int128) bytes * USEC_PER_SEC / elapsed_usec);
}

/* A walk takes its time, and what opened meanwhile it need not have seen: on a busy port that is so
 * every second. A connection whose end was not told is there for good, and is noticed when fewer
 * open. */
static void watch_drift(struct account *account, bool window_ends)
{
    const struct counters *reading = &account->reading;
    uint64_t opened = grown(&account->tick.opened, reading->opened);
    uint64_t seen = reading->live + opened;
    uint64_t drift = reading->unclosed > seen ? reading->unclosed - seen : 0;

    if (drift < account->drift)
        account->drift = drift;
    if (window_ends) {
        if (account->drift > account->lost)
            account->lost = account->drift;
        account->drift = UINT64_MAX;
    }
}

static void tick(struct collector *collector, struct account *account, uint64_t at_usec,
                 uint64_t elapsed_usec)
{
    const struct counters *now = &account->reading;
    struct interval *pending;
    struct traffic peak;

    account->live.rx_rate = rate(grown(&account->tick.rx_bytes, now->rx_bytes), elapsed_usec);
    account->live.tx_rate = rate(grown(&account->tick.tx_bytes, now->tx_bytes), elapsed_usec);
    if (!account->live.rx_rate && !account->live.tx_rate)
        return;
    pending = pending_interval(collector, account, at_usec);
    if (!pending)
        return; /* a peak is lost, no byte */
    peak = (struct traffic){
        .peak_rx_rate = account->live.rx_rate,
        .peak_tx_rate = account->live.tx_rate,
    };
    traffic_add(&pending->traffic, &peak);
}

void collector_tick(struct collector *collector, uint64_t at_usec, uint64_t elapsed_usec)
{
    bool window_ends = ++collector->ticks % DRIFT_WINDOW_TICKS == 0;

    for (uint16_t port = 0; (port = collector_next(collector, port));)
        for (enum role role = 0; role < _ROLE_MAX; role++) {
            struct account *account = &collector->ports[port]->role[role];

            tick(collector, account, at_usec, elapsed_usec);
            watch_drift(account, window_ends);
        }
}

int collector_live(const struct collector *collector, uint16_t port, enum role role,
                   struct live_figures *ret)
{
    if (!collector->ports[port])
        return -ENOENT;
    *ret = collector->ports[port]->role[role].live;
    return 0;
}

uint64_t collector_lost_closes(const struct collector *collector)
{
    uint64_t lost = 0;

    for (uint16_t port = 0; (port = collector_next(collector, port));)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            lost += collector->ports[port]->role[role].lost;
    return lost;
}

size_t collector_pending(const struct collector *collector, uint16_t port, enum role role,
                         const struct interval **ret)
{
    const struct port_account *account = collector->ports[port];

    if (!account)
        return 0;
    *ret = account->role[role].pending;
    return account->role[role].n_pending;
}

bool collector_has_pending(const struct collector *collector)
{
    return collector->n_pending;
}

void collector_reading(const struct collector *collector, uint16_t port, struct port_counters *ret)
{
    ret->port = port;
    for (enum role role = 0; role < _ROLE_MAX; role++)
        ret->role[role] = collector->ports[port]->role[role].reading;
}

/** Remembers an interval that was committed. What is not remembered is dated for good: the oldest,
 * and what there is no memory for. */
static void remember(struct collector *collector, struct account *account,
                     const struct interval *committed)
{
    bool full = account->n_recent == MAX_RECENT || collector->n_recent >= MAX_RECENT_OF_ALL;
    struct recent_interval *recent;

    for (size_t i = account->n_recent; i-- > 0;)
        if (account->recent[i].in_ledger_usec == committed->start_usec) {
            traffic_add(&account->recent[i].interval.traffic, &committed->traffic);
            return;
        }
    if (full && !account->n_recent)
        return;
    if (full) {
        collector->n_recent--;
        memmove(account->recent, account->recent + 1,
                --account->n_recent * sizeof(*account->recent));
    }
    recent = reserve(account->recent, account->n_recent, &account->size_recent, sizeof(*recent));
    if (!recent)
        return;
    account->recent = recent;
    account->recent[account->n_recent++] = (struct recent_interval){committed->start_usec,
                                                                    *committed};
    collector->n_recent++;
}

static void commit(struct collector *collector, struct account *account)
{
    for (size_t i = 0; i < account->n_recent; i++)
        account->recent[i].in_ledger_usec = account->recent[i].interval.start_usec;
    for (size_t i = 0; i < account->n_pending; i++)
        remember(collector, account, &account->pending[i]);
    collector->n_pending -= account->n_pending;
    account->n_pending = 0;
    account->committed = account->reading;
}

void collector_committed(struct collector *collector)
{
    for (uint16_t port = 0; (port = collector_next(collector, port));)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            commit(collector, &collector->ports[port]->role[role]);
}

void collector_committed_reading(const struct collector *collector, uint16_t port,
                                 struct port_counters *ret)
{
    ret->port = port;
    for (enum role role = 0; role < _ROLE_MAX; role++)
        ret->role[role] = collector->ports[port]->role[role].committed;
}

/** Where an interval belongs after a shift: in the nearest bucket, but in none that is to come. */
static uint64_t shifted(uint64_t start_usec, int64_t shift_usec, uint64_t now_usec)
{
    uint64_t usec = usec_shift(start_usec, shift_usec) + BUCKET_USEC / 2;

    return period_start(RESOLUTION_5MIN, usec < now_usec ? usec : now_usec);
}

static void shift_pending(struct collector *collector, struct account *account, int64_t shift_usec,
                          uint64_t now_usec)
{
    size_t n = account->n_pending;

    collector->n_pending -= n;
    account->n_pending = 0;
    for (size_t i = 0; i < n; i++) {
        struct interval old = account->pending[i], *new;

        /* There is room: two that fall on one become one. */
        new = pending_interval(collector, account, shifted(old.start_usec, shift_usec, now_usec));
        traffic_add(&new->traffic, &old.traffic);
    }
}

static void shift_recent(struct collector *collector, struct account *account, int64_t shift_usec,
                         uint64_t now_usec, bool all)
{
    size_t n = 0;

    for (size_t i = 0; i < account->n_recent; i++) {
        struct recent_interval recent = account->recent[i];
        uint64_t *start_usec = &recent.interval.start_usec;

        if (!all && *start_usec <= now_usec && recent.in_ledger_usec == *start_usec)
            continue; /* dated for good */
        if (all || *start_usec > now_usec)
            *start_usec = shifted(*start_usec, shift_usec, now_usec);
        account->recent[n++] = recent;
    }
    collector->n_recent -= account->n_recent - n;
    account->n_recent = n;
}

void collector_shift(struct collector *collector, int64_t shift_usec, uint64_t now_usec, bool all)
{
    for (uint16_t port = 0; (port = collector_next(collector, port));)
        for (enum role role = 0; role < _ROLE_MAX; role++) {
            struct account *account = &collector->ports[port]->role[role];

            shift_pending(collector, account, shift_usec, now_usec);
            shift_recent(collector, account, shift_usec, now_usec, all);
        }
}

size_t collector_recent(const struct collector *collector, uint16_t port, enum role role,
                        const struct recent_interval **ret)
{
    const struct port_account *account = collector->ports[port];

    if (!account)
        return 0;
    *ret = account->role[role].recent;
    return account->role[role].n_recent;
}
