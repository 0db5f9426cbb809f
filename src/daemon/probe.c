/* SPDX-License-Identifier: MIT */
#include "daemon/privileges.h"
#include "daemon/probe-internal.h"
#include "shared/time-util.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

_Static_assert((int) PORTMON_ROLE_SERVER == ROLE_SERVER, "roles differ");
_Static_assert((int) PORTMON_ROLE_CLIENT == ROLE_CLIENT, "roles differ");
_Static_assert((int) _PORTMON_ROLE_MAX == _ROLE_MAX, "roles differ");

const char *probe_collector(const struct probe *probe)
{
    return probe->fds[LINK_SOCK_OPS] >= 0 ? "sock_ops+tracepoint" : "tracepoint";
}

sd_id128_t probe_epoch(const struct probe *probe)
{
    sd_id128_t epoch;

    memcpy(&epoch, probe->control->epoch, sizeof(epoch));
    return epoch;
}

static bool can_read(void *userdata)
{
    struct probe *probe = userdata;
    struct portmon_page page;
    uint32_t key = 0;

    return bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, &page) != -EPERM;
}

bool probe_works_unprivileged(struct probe *probe)
{
    return privileges_dispensable_for(can_read, probe);
}

/* ---- the watch list ---- */

bool probe_watches(const struct probe *probe, uint16_t port)
{
    return probe->watch->watched[port];
}

int probe_watch(struct probe *probe, uint16_t port)
{
    static const struct portmon_page empty;
    uint32_t key = port / PORTMON_PAGE_PORTS;
    int r = bpf_map_update_elem(probe->fds[MAP_PAGES], &key, &empty, BPF_NOEXIST);

    if (r < 0 && r != -EEXIST)
        return r == -E2BIG ? -ENOMEM : r;
    __atomic_store_n(&probe->watch->watched[port], 1, __ATOMIC_RELEASE);
    return 0;
}

void probe_unwatch(struct probe *probe, uint16_t port)
{
    __atomic_store_n(&probe->watch->watched[port], 0, __ATOMIC_RELEASE);
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

int probe_adopt(struct probe *probe)
{
    int r = iterate_quietly(probe->fds[LINK_SCAN_FILES]);

    return r < 0 ? r : iterate_quietly(probe->fds[LINK_SCAN_TCP]);
}

int probe_recover(struct probe *probe)
{
    int r;

    probe->control->recover = 1;
    r = probe_adopt(probe);
    probe->control->recover = 0;
    return r;
}

int probe_walk(struct probe *probe, uint64_t tick_usec)
{
    if (tick_usec)
        probe->control->tick_nsec = tick_usec * NSEC_PER_USEC;
    __atomic_store_n(&probe->control->walk, probe->control->walk + 1, __ATOMIC_RELEASE);
    return iterate_quietly(probe->fds[LINK_WALK]);
}

/* ---- reading ---- */

static void read_counters(struct counters *ret, const struct portmon_counters *counters,
                          uint32_t walk)
{
    *ret = (struct counters){
        .rx_bytes = counters->rx_bytes,
        .tx_bytes = counters->tx_bytes,
        .rx_packets = counters->rx_segments,
        .tx_packets = counters->tx_segments,
        .opened = counters->opened,
        .unclosed = counters->opened + counters->adopted - counters->closed,
        .live = counters->live_walk == walk ? counters->live : 0,
    };
}

int probe_read(struct probe *probe, struct port_counters *ports, size_t n)
{
    struct portmon_page page;
    int64_t loaded = -1;
    int r;

    for (size_t i = 0; i < n; i++) {
        uint32_t key = ports[i].port / PORTMON_PAGE_PORTS;

        if (key != loaded) {
            r = bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, &page);
            if (r == -ENOENT)
                memset(&page, 0, sizeof(page));
            else if (r < 0)
                return r;
            loaded = key;
        }
        for (enum role role = 0; role < _ROLE_MAX; role++)
            read_counters(&ports[i].role[role],
                          &page.port[ports[i].port % PORTMON_PAGE_PORTS][role],
                          probe->control->walk);
    }
    return 0;
}

static const char *state_name(uint8_t state)
{
    static const char *const names[] = {
        [BPF_TCP_ESTABLISHED] = "ESTABLISHED",
        [BPF_TCP_SYN_SENT] = "SYN-SENT",
        [BPF_TCP_SYN_RECV] = "SYN-RECEIVED",
        [BPF_TCP_FIN_WAIT1] = "FIN-WAIT-1",
        [BPF_TCP_FIN_WAIT2] = "FIN-WAIT-2",
        [BPF_TCP_TIME_WAIT] = "TIME-WAIT",
        [BPF_TCP_CLOSE] = "CLOSED",
        [BPF_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [BPF_TCP_LAST_ACK] = "LAST-ACK",
        [BPF_TCP_CLOSING] = "CLOSING",
    };

    return state < ELEMENTSOF(names) && names[state] ? names[state] : "UNKNOWN";
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
        .state = state_name(record->state),
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

int probe_list(struct probe *probe, uint16_t port, struct connection **ret)
{
    _cleanup_(output_free) struct output records = {}, owners = {};
    _cleanup_free_ struct connection *connections = NULL;
    uint64_t now_nsec;
    size_t n, n_owners;
    int r;

    r = probe_walk(probe, 0);
    if (r < 0)
        return r;
    probe->control->list_port = port;
    if ((r = iterate(probe->fds[LINK_LIST], &records)) < 0 ||
        (r = iterate(probe->fds[LINK_OWNERS], &owners)) < 0)
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

int probe_health(struct probe *probe, struct probe_health *ret)
{
    *ret = (struct probe_health){
        .storage_failures = probe->health->storage_failures,
        .unsettled = probe->health->unsettled,
        .contended = probe->health->contended,
        .skipped_events = recursion_misses(probe->fds[PROGRAM_STATE_1]) +
                          recursion_misses(probe->fds[PROGRAM_STATE_2]),
    };
    return 0;
}
