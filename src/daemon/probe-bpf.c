/* SPDX-License-Identifier: MIT */
/* A probe made of BPF programs: reading what they count. */
#include "daemon/probe-bpf.h"
#include "daemon/privileges.h"
#include "shared/time-util.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

_Static_assert((int) PORTMON_ROLE_SERVER == ROLE_SERVER, "roles differ");
_Static_assert((int) PORTMON_ROLE_CLIENT == ROLE_CLIENT, "roles differ");
_Static_assert((int) _PORTMON_ROLE_MAX == _ROLE_MAX, "roles differ");

static struct bpf_probe *bpf_probe(struct probe *probe)
{
    return (struct bpf_probe *) probe;
}

static sd_id128_t get_epoch(const struct probe *base)
{
    const struct bpf_probe *probe = (const struct bpf_probe *) base;
    sd_id128_t epoch;

    memcpy(&epoch, probe->control->epoch, sizeof(epoch));
    return epoch;
}

static bool can_read(void *userdata)
{
    struct bpf_probe *probe = userdata;
    struct portmon_page page;
    uint32_t key = 0;

    return bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, &page) != -EPERM;
}

static bool works_unprivileged(struct probe *probe)
{
    return privileges_dispensable_for(can_read, probe);
}

/* ---- the watch list ---- */

static bool watches(const struct probe *base, uint16_t port)
{
    const struct bpf_probe *probe = (const struct bpf_probe *) base;

    return probe->watch->watched[port];
}

/** Makes a page of counters, unless it is there. */
static int make_page(int map, uint32_t key)
{
    static const struct portmon_page empty;
    int r = bpf_map_update_elem(map, &key, &empty, BPF_NOEXIST);

    if (r < 0 && r != -EEXIST)
        return r == -E2BIG ? -ENOMEM : r;
    return 0;
}

int probe_bpf_reserve(struct bpf_probe *probe, uint32_t key)
{
    if (probe->fds[MAP_LIVE] < 0 || probe->closed[key])
        return 0;
    probe->closed[key] = calloc(1, sizeof(*probe->closed[key]));
    return probe->closed[key] ? make_page(probe->fds[MAP_LIVE], key) : -ENOMEM;
}

static int watch(struct probe *base, uint16_t port)
{
    struct bpf_probe *probe = bpf_probe(base);
    uint32_t key = port / PORTMON_PAGE_PORTS;
    int r;

    if ((r = make_page(probe->fds[MAP_PAGES], key)) < 0 || (r = probe_bpf_reserve(probe, key)) < 0)
        return r;
    __atomic_store_n(&probe->watch->watched[port], 1, __ATOMIC_RELEASE);
    return 0;
}

static void unwatch(struct probe *base, uint16_t port)
{
    __atomic_store_n(&bpf_probe(base)->watch->watched[port], 0, __ATOMIC_RELEASE);
}

/* ---- iterators ---- */

/** What an iterator wrote; empty when zeroed. */
struct output {
    char *data;
    size_t length;
    size_t size;
};

static void output_free(struct output *output)
{
    free(output->data);
}

static int output_reserve(struct output *output, size_t space)
{
    size_t size = output->size ?: 4096;
    char *data;

    while (size - output->length < space)
        size *= 2;
    if (size == output->size)
        return 0;
    data = realloc(output->data, size);
    if (!data)
        return -ENOMEM;
    output->data = data;
    output->size = size;
    return 0;
}

/** Runs an iterator to its end and keeps what it writes. */
static int iterate(int link, struct output *output)
{
    const size_t chunk = 16 * 1024;
    _cleanup_close_ int iterator = bpf_iter_create(link);
    ssize_t n;
    int r;

    if (iterator < 0)
        return iterator;
    for (;;) {
        r = output_reserve(output, chunk);
        if (r < 0)
            return r;
        n = read(iterator, output->data + output->length, output->size - output->length);
        if (n == 0)
            return 0;
        /* EAGAIN: many objects went by without output, and there are more */
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n > 0)
            output->length += (size_t) n;
    }
}

static int iterate_quietly(int link)
{
    _cleanup_(output_free) struct output nothing = {};

    return iterate(link, &nothing);
}

static int adopt(struct probe *base)
{
    struct bpf_probe *probe = bpf_probe(base);
    int r = 0;

    if (probe->fds[LINK_SCAN_FILES] >= 0)
        r = iterate_quietly(probe->fds[LINK_SCAN_FILES]);
    return r < 0 ? r : iterate_quietly(probe->fds[LINK_SCAN_TCP]);
}

static int recover(struct probe *base)
{
    struct bpf_probe *probe = bpf_probe(base);
    int r;

    probe->control->recover = 1;
    r = adopt(base);
    probe->control->recover = 0;
    return r;
}

/**
 * Where walks sum up open connections anew each time: keeps what closed ones have come to so far.
 * One that closes from here on is in what the walk finds or, if the walk comes too late, missing
 * until the next one; but it is never in both.
 */
static int read_closed(struct bpf_probe *probe)
{
    int r = 0;

    if (probe->fds[MAP_LIVE] < 0)
        return 0;
    for (uint32_t key = 0; r >= 0 && key < ELEMENTSOF(probe->closed); key++)
        if (probe->closed[key])
            r = bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, probe->closed[key]);
    return r;
}

/** Brings all figures up to date. Keeps what the walk writes. */
static int run_walk(struct bpf_probe *probe, struct output *output)
{
    int r = read_closed(probe);
    size_t listed;

    if (r < 0)
        return r;
    __atomic_store_n(&probe->control->walk, probe->control->walk + 1, __ATOMIC_RELEASE);
    if (probe->fds[LINK_WALK] >= 0)
        return iterate(probe->fds[LINK_WALK], output);
    do { /* it lists so many at once, and each once only */
        listed = output->length;
        r = iterate(probe->fds[LINK_WALK_ROSTER], output);
    } while (r >= 0 && output->length > listed);
    return r;
}

static int walk(struct probe *base, uint64_t tick_usec)
{
    _cleanup_(output_free) struct output nothing = {};
    struct bpf_probe *probe = bpf_probe(base);

    if (tick_usec)
        probe->control->tick_nsec = tick_usec * NSEC_PER_USEC;
    return run_walk(probe, &nothing);
}

/* ---- reading ---- */

static void read_counters(struct counters *ret, const struct portmon_counters *counters,
                          const struct bpf_probe *probe)
{
    *ret = (struct counters){
        .rx_bytes = counters->rx_bytes,
        .tx_bytes = counters->tx_bytes,
        .rx_packets = counters->rx_segments,
        .tx_packets = counters->tx_segments,
        .opened = counters->opened,
        .unclosed = counters->opened + counters->adopted - counters->closed,
        .live = counters->live_walk == probe->control->walk ? counters->live : 0,
    };
}

/** Adds what the last walk found open, if it found any. */
static void add_live(struct portmon_counters *counters, const struct portmon_counters *live,
                     uint32_t walk)
{
    if (live->live_walk != walk)
        return;
    counters->rx_bytes += live->rx_bytes;
    counters->tx_bytes += live->tx_bytes;
    counters->rx_segments += live->rx_segments;
    counters->tx_segments += live->tx_segments;
    counters->live = live->live;
    counters->live_walk = walk;
}

/** A page of counters; all zero where no port was ever watched. */
static int read_page(struct bpf_probe *probe, uint32_t key, struct portmon_page *ret)
{
    struct portmon_page live;
    int r;

    memset(ret, 0, sizeof(*ret));
    if (probe->fds[MAP_LIVE] < 0) {
        r = bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, ret);
        return r == -ENOENT ? 0 : r;
    }
    if (!probe->closed[key])
        return 0;
    r = bpf_map_lookup_elem(probe->fds[MAP_LIVE], &key, &live);
    if (r < 0)
        return r;
    *ret = *probe->closed[key];
    for (size_t port = 0; port < PORTMON_PAGE_PORTS; port++)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            add_live(&ret->port[port][role], &live.port[port][role], probe->control->walk);
    return 0;
}

static int read_ports(struct probe *base, struct port_counters *ports, size_t n)
{
    struct bpf_probe *probe = bpf_probe(base);
    struct portmon_page page;
    int64_t loaded = -1;
    int r;

    for (size_t i = 0; i < n; i++) {
        uint32_t key = ports[i].port / PORTMON_PAGE_PORTS;

        if (key != loaded) {
            r = read_page(probe, key, &page);
            if (r < 0)
                return r;
            loaded = key;
        }
        for (enum role role = 0; role < _ROLE_MAX; role++)
            read_counters(&ports[i].role[role],
                          &page.port[ports[i].port % PORTMON_PAGE_PORTS][role], probe);
    }
    return 0;
}

static int compare_owners(const void *a, const void *b)
{
    const struct portmon_owner *x = a, *y = b;

    if (x->socket != y->socket)
        return x->socket < y->socket ? -1 : 1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int find_owner(const void *socket, const void *owner)
{
    uint64_t wanted = *(const uint64_t *) socket;
    const struct portmon_owner *found = owner;

    return (wanted > found->socket) - (wanted < found->socket);
}

static void read_connection(struct connection *ret, const struct portmon_connection *record,
                            uint64_t now_nsec)
{
    *ret = (struct connection){
        .local_port = record->local_port,
        .remote_port = record->remote_port,
        .port = record->port,
        .role = record->role,
        .state = probe_state_name(record->state),
        .adopted = record->flags & PORTMON_SOCKET_ADOPTED,
        .rx_bytes = record->rx_bytes,
        .tx_bytes = record->tx_bytes,
        .rx_rate = record->rx_rate,
        .tx_rate = record->tx_rate,
        .age_usec = (now_nsec - record->opened_nsec) / NSEC_PER_USEC,
        .rtt_usec = record->rtt_usec,
        .retransmissions = record->retransmissions,
        .network_namespace = record->network_namespace,
    };
    memcpy(&ret->local_address, record->local_address, sizeof(ret->local_address));
    memcpy(&ret->remote_address, record->remote_address, sizeof(ret->remote_address));
}

static int list(struct probe *base, uint16_t port, struct connection **ret)
{
    struct bpf_probe *probe = bpf_probe(base);
    _cleanup_(output_free) struct output records = {}, owners = {};
    _cleanup_free_ struct connection *connections = NULL;
    uint64_t now_nsec;
    size_t n, n_owners;
    int r;

    probe->control->list_port = port;
    probe->control->list = 1;
    r = run_walk(probe, &records);
    probe->control->list = 0;
    if (r >= 0 && probe->fds[LINK_OWNERS] >= 0)
        r = iterate(probe->fds[LINK_OWNERS], &owners);
    if (r < 0)
        return r;
    n = records.length / sizeof(struct portmon_connection);
    n_owners = owners.length / sizeof(struct portmon_owner);
    if (n_owners)
        qsort(owners.data, n_owners, sizeof(struct portmon_owner), compare_owners);

    connections = calloc(n ?: 1, sizeof(*connections));
    if (!connections)
        return -ENOMEM;
    now_nsec = now_usec(CLOCK_BOOTTIME) * NSEC_PER_USEC;
    for (size_t i = 0; i < n; i++) {
        const struct portmon_connection *record =
            (const struct portmon_connection *) (void *) records.data + i;
        const struct portmon_owner *owner = NULL;

        read_connection(&connections[i], record, now_nsec);
        if (n_owners)
            owner = bsearch(&record->socket, owners.data, n_owners, sizeof(*owner), find_owner);
        if (owner) {
            connections[i].pid = owner->pid;
            memcpy(connections[i].comm, owner->comm, sizeof(owner->comm));
        }
    }
    *ret = TAKE_PTR(connections);
    return (int) n;
}

static uint64_t recursion_misses(int program)
{
    struct bpf_prog_info info = {};
    uint32_t length = sizeof(info);

    return program >= 0 && bpf_obj_get_info_by_fd(program, &info, &length) == 0
               ? info.recursion_misses
               : 0;
}

static int get_health(struct probe *base, struct probe_health *ret)
{
    const struct bpf_probe *probe = bpf_probe(base);

    *ret = (struct probe_health){
        .storage_failures = probe->health->storage_failures,
        .unsettled = probe->health->unsettled,
        .contended = probe->health->contended,
        .skipped_events = recursion_misses(probe->fds[PROGRAM_STATE_1]) +
                          recursion_misses(probe->fds[PROGRAM_STATE_2]),
    };
    return 0;
}

const struct probe_type probe_bpf_type = {
    .free = probe_bpf_free,
    .kind = probe_bpf_kind,
    .epoch = get_epoch,
    .works_unprivileged = works_unprivileged,
    .keeps = probe_bpf_keeps,
    .hand_over = probe_bpf_hand_over,
    .watches = watches,
    .watch = watch,
    .unwatch = unwatch,
    .adopt = adopt,
    .recover = recover,
    .walk = walk,
    .read = read_ports,
    .list = list,
    .health = get_health,
};
