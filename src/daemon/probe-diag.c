/* SPDX-License-Identifier: MIT */
/*
 * A probe where BPF can't be had: it asks the kernel for its sockets, compares with what they were
 * before, and is told of those that end. That is not exact: a FIN may count as an octet, the queue
 * of ends may run over, and the sockets of other network namespaces are not seen. Where the ends
 * are not told, what opens and ends between two looks is missed.
 */
#include "daemon/probe-internal.h"
#include "daemon/probe-netlink.h"
#include "shared/time-util.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

/** Whether a port is watched. */
enum watching {
    UNWATCHED,
    WATCHED,
    WATCHED_ANEW, /* what is open now was open before */
};

/** A watched connection. */
struct account {
    struct diag_socket socket; /* as it was seen last */
    uint64_t rx_bytes;         /* octets that its port's counters know of */
    uint64_t tx_bytes;
    uint64_t rx_baseline; /* those that were there when it was adopted */
    uint64_t tx_baseline;
    uint64_t opened_usec; /* CLOCK_BOOTTIME */
    uint64_t tick_usec;   /* the last whole second, its octets, and the rates it found */
    uint64_t tick_rx;
    uint64_t tick_tx;
    uint64_t rx_rate;
    uint64_t tx_rate;
    uint16_t port;
    enum role role;
    bool adopted;
    bool open; /* the last walk found it */
};

/** Sockets that a dump found. Empty when zeroed. */
struct finds {
    struct diag_socket *sockets;
    size_t n;
    size_t size;
};

struct diag_probe {
    struct probe probe;
    int query;
    int events; /* what ends; -1 if that is not told to us */
    sd_id128_t epoch;
    uint32_t network_namespace;
    uint8_t watched[65536]; /* enum watching */
    uint8_t serves[65536];  /* whether a local port means that a connection was accepted there */
    struct counters *counters[65536];
    struct account *accounts; /* by cookie */
    size_t n_accounts;
    struct finds finds;
    struct ifaddrs *addresses; /* our own, asked for once in a walk if need be */
    struct probe_health health;
};

static struct diag_probe *diag_probe(struct probe *probe)
{
    return (struct diag_probe *) probe;
}

/* ---- what a connection is ---- */

static struct in6_addr to_ipv6(const struct sockaddr *address)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (address->sa_family == AF_INET6)
        return ((const struct sockaddr_in6 *) (const void *) address)->sin6_addr;
    memcpy(&mapped.s6_addr[12], &((const struct sockaddr_in *) (const void *) address)->sin_addr,
           sizeof(struct in_addr));
    return mapped;
}

/** Whether the peer is on this host, so that its accepted end is counted already. */
static bool stays_home(struct diag_probe *probe, const struct diag_socket *socket)
{
    const struct in6_addr *remote = &socket->remote_address;

    if (IN6_ARE_ADDR_EQUAL(remote, &socket->local_address) || IN6_IS_ADDR_LOOPBACK(remote) ||
        (IN6_IS_ADDR_V4MAPPED(remote) && remote->s6_addr[12] == 127))
        return true;
    if (!probe->addresses && getifaddrs(&probe->addresses) < 0)
        return false;
    for (const struct ifaddrs *own = probe->addresses; own; own = own->ifa_next) {
        const struct sockaddr *address = own->ifa_addr;
        struct in6_addr ipv6;

        if (!address || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
            continue;
        ipv6 = to_ipv6(address);
        if (IN6_ARE_ADDR_EQUAL(&ipv6, remote))
            return true;
    }
    return false;
}

/** Finds out what a socket counts for, if for anything. */
static bool classify(struct diag_probe *probe, const struct diag_socket *socket,
                     struct account *account)
{
    account->role = probe->watched[socket->local_port] && probe->serves[socket->local_port]
                        ? ROLE_SERVER
                        : ROLE_CLIENT;
    account->port = account->role == ROLE_SERVER ? socket->local_port : socket->remote_port;
    if (account->role == ROLE_SERVER)
        return true;
    return probe->watched[socket->remote_port] && !stays_home(probe, socket);
}

static uint64_t less_one(uint64_t octets, bool one)
{
    return octets > one ? octets - one : 0;
}

/** Octets received, as far as the state tells of the peer's FIN. */
static uint64_t octets_received(const struct diag_socket *socket)
{
    bool fin = socket->state == TCP_CLOSE_WAIT || socket->state == TCP_LAST_ACK ||
               socket->state == TCP_CLOSING;

    return less_one(socket->bytes_received, fin);
}

/** Octets sent. Kernels that do not count them tell of the acknowledged ones, with our SYN. */
static uint64_t octets_sent(const struct diag_socket *socket, enum role role)
{
    return socket->bytes_sent ?: less_one(socket->bytes_acked, role == ROLE_CLIENT);
}

/* ---- accounts ---- */

static void advance(uint64_t *account, uint64_t octets, uint64_t *counter, bool last)
{
    if (octets <= *account && !last)
        return;
    *counter += octets - *account; /* the last word may be less by a FIN */
    *account = octets;
}

/** Moves what a socket has transferred to its port's counters. */
static void update(struct diag_probe *probe, struct account *account,
                   const struct diag_socket *socket, uint64_t rx, uint64_t tx, bool last)
{
    struct counters *counters = &probe->counters[account->port][account->role];

    advance(&account->rx_bytes, rx, &counters->rx_bytes, last);
    advance(&account->tx_bytes, tx, &counters->tx_bytes, last);
    counters->rx_packets += socket->segments_in - account->socket.segments_in;
    counters->tx_packets += socket->segments_out - account->socket.segments_out;
}

/** Begins to count a socket that was not known: from its beginning, or from now on. */
static void begin(struct diag_probe *probe, struct account *account,
                  const struct diag_socket *socket)
{
    struct counters *counters = &probe->counters[account->port][account->role];

    account->opened_usec = account->tick_usec = now_usec(CLOCK_BOOTTIME);
    account->socket.cookie = socket->cookie;
    counters->unclosed++;
    if (probe->watched[account->port] != WATCHED_ANEW) {
        counters->opened++;
        return;
    }
    account->adopted = true;
    account->rx_bytes = account->rx_baseline = account->tick_rx = octets_received(socket);
    account->tx_bytes = account->tx_baseline = account->tick_tx = octets_sent(socket,
                                                                              account->role);
    account->socket = *socket;
}

/**
 * Takes the last word of a socket. Its state is gone. An orderly end leaves our FIN acknowledged,
 * one more than was sent; then the peer's has come, too. A socket that was reset from here has
 * forgotten everything.
 */
static void end(struct diag_probe *probe, struct account *account, const struct diag_socket *socket)
{
    uint64_t acked = less_one(socket->bytes_acked, account->role == ROLE_CLIENT), tx;
    bool orderly, peer_done;

    probe->counters[account->port][account->role].unclosed--;
    if (!socket->remote_port) {
        probe->health.unsettled++;
        return;
    }
    orderly = socket->bytes_sent ? acked == socket->bytes_sent + 1
                                 : acked > octets_sent(&account->socket, account->role);
    peer_done = octets_received(&account->socket) < account->socket.bytes_received;
    tx = less_one(acked, orderly);
    if (socket->bytes_sent > tx)
        tx = socket->bytes_sent;
    update(probe, account, socket, less_one(socket->bytes_received, orderly || peer_done), tx,
           true);
}

static int compare_cookies(const void *a, const void *b)
{
    uint64_t x = ((const struct diag_socket *) a)->cookie;
    uint64_t y = ((const struct diag_socket *) b)->cookie;

    return (x > y) - (x < y);
}

static int on_find(void *userdata, const struct diag_socket *socket)
{
    struct diag_probe *probe = userdata;
    struct finds *finds = &probe->finds;
    struct diag_socket *sockets;
    size_t size;

    if (socket->state == TCP_LISTEN) {
        probe->serves[socket->local_port] = true;
        return 0;
    }
    if (finds->n == finds->size) {
        size = finds->size * 2 ?: 64;
        sockets = reallocarray(finds->sockets, size, sizeof(*sockets));
        if (!sockets)
            return -ENOMEM;
        finds->sockets = sockets;
        finds->size = size;
    }
    finds->sockets[finds->n++] = *socket;
    return 0;
}

/** Whether a socket that ended had a connection: it was accepted, or our SYN was. */
static bool was_established(const struct diag_socket *socket, enum role role)
{
    return role == ROLE_SERVER ? socket->remote_port : socket->bytes_acked;
}

static int on_end(void *userdata, const struct diag_socket *socket)
{
    struct diag_probe *probe = userdata;
    struct account missed = {}, *account = NULL;

    if (probe->n_accounts) /* an account begins with its socket, and that with the cookie */
        account = bsearch(socket, probe->accounts, probe->n_accounts, sizeof(*account),
                          compare_cookies);
    if (account && account->port) {
        end(probe, account, socket);
        account->port = 0;
    } else if (!account && classify(probe, socket, &missed) &&
               was_established(socket, missed.role) && probe->watched[missed.port] == WATCHED) {
        begin(probe, &missed, socket);
        end(probe, &missed, socket);
    }
    return 0;
}

/** A known connection is no longer among the open ones. Returns whether its end will be told. */
static bool keep_vanished(struct diag_probe *probe, struct account *account, bool told)
{
    account->open = false;
    if (told && probe->watched[account->port])
        return true;
    if (probe->watched[account->port])
        probe->health.unsettled++;
    probe->counters[account->port][account->role].unclosed--;
    return false;
}

/** Joins what is known and what was found, both by cookie, to what is known from now on. */
static int merge(struct diag_probe *probe, bool told)
{
    const struct finds *finds = &probe->finds;
    struct account *merged = calloc(probe->n_accounts + finds->n + 1, sizeof(*merged));
    size_t n = 0, i = 0, j = 0;

    if (!merged)
        return -ENOMEM;
    while (i < probe->n_accounts || j < finds->n) {
        const struct diag_socket *socket = j < finds->n ? &finds->sockets[j] : NULL;
        struct account *account = &merged[n];

        if (i < probe->n_accounts &&
            (!socket || probe->accounts[i].socket.cookie < socket->cookie)) {
            *account = probe->accounts[i++];
            n += keep_vanished(probe, account, told);
            continue;
        }
        j++;
        if (i < probe->n_accounts && probe->accounts[i].socket.cookie == socket->cookie)
            *account = probe->accounts[i++];
        else if (*account = (struct account){}, !classify(probe, socket, account))
            continue;
        else
            begin(probe, account, socket);
        update(probe, account, socket, octets_received(socket), octets_sent(socket, account->role),
               false);
        account->socket = *socket;
        account->open = true;
        n++;
    }
    free(probe->accounts);
    probe->accounts = merged;
    probe->n_accounts = n;
    return 0;
}

/** Forgets connections whose end was told. */
static void forget_ended(struct diag_probe *probe)
{
    size_t n = 0;

    for (size_t i = 0; i < probe->n_accounts; i++)
        if (probe->accounts[i].port)
            probe->accounts[n++] = probe->accounts[i];
    probe->n_accounts = n;
}

static void measure_rates(struct account *account, uint64_t tick_usec)
{
    uint64_t elapsed = tick_usec - account->tick_usec;

    if ((int64_t) elapsed <= 0)
        return;
    account->rx_rate = (account->rx_bytes - account->tick_rx) * USEC_PER_SEC / elapsed;
    account->tx_rate = (account->tx_bytes - account->tick_tx) * USEC_PER_SEC / elapsed;
    account->tick_rx = account->rx_bytes;
    account->tick_tx = account->tx_bytes;
    account->tick_usec = tick_usec;
}

static void count_live(struct diag_probe *probe)
{
    for (size_t port = 0; port < ELEMENTSOF(probe->counters); port++)
        for (enum role role = 0; probe->counters[port] && role < _ROLE_MAX; role++)
            probe->counters[port][role].live = 0;
    for (size_t i = 0; i < probe->n_accounts; i++) {
        const struct account *account = &probe->accounts[i];

        probe->counters[account->port][account->role].live += account->open;
    }
}

/* ---- the functions of a probe ---- */

static int walk(struct probe *base, uint64_t tick_usec)
{
    struct diag_probe *probe = diag_probe(base);
    bool told = probe->events >= 0;
    int r;

    probe->finds.n = 0;
    r = diag_dump(probe->query, probe->watched, on_find, probe);
    if (r < 0)
        return r;
    if (probe->finds.n)
        qsort(probe->finds.sockets, probe->finds.n, sizeof(struct diag_socket), compare_cookies);
    r = merge(probe, told);
    if (r >= 0 && told)
        r = diag_drain(probe->events, on_end, probe);
    if (r == -ENOBUFS) { /* some ends were lost, so there is no waiting for those of any */
        probe->health.unsettled++;
        probe->finds.n = 0;
        for (size_t i = 0; i < probe->n_accounts; i++)
            if (probe->accounts[i].port && !probe->accounts[i].open) {
                keep_vanished(probe, &probe->accounts[i], false);
                probe->accounts[i].port = 0;
            }
        r = 0;
    }
    forget_ended(probe);
    for (size_t i = 0; tick_usec && i < probe->n_accounts; i++)
        measure_rates(&probe->accounts[i], tick_usec);
    count_live(probe);
    if (probe->addresses)
        freeifaddrs(probe->addresses);
    probe->addresses = NULL;
    return r;
}

static int adopt(struct probe *base)
{
    struct diag_probe *probe = diag_probe(base);
    int r = walk(base, 0);

    for (size_t port = 0; r >= 0 && port < ELEMENTSOF(probe->watched); port++)
        if (probe->watched[port] == WATCHED_ANEW)
            probe->watched[port] = WATCHED;
    return r;
}

/** No event is skipped here: walks find what there is. */
static int recover(struct probe *base)
{
    return 0;
}

static bool watches(const struct probe *base, uint16_t port)
{
    return ((const struct diag_probe *) base)->watched[port];
}

static int watch(struct probe *base, uint16_t port)
{
    struct diag_probe *probe = diag_probe(base);

    if (!probe->counters[port])
        probe->counters[port] = calloc(_ROLE_MAX, sizeof(struct counters));
    if (!probe->counters[port])
        return -ENOMEM;
    if (!probe->watched[port])
        probe->watched[port] = WATCHED_ANEW;
    return 0;
}

/**
 * Ports that the system gives to connections that are opened from here are a server's only once a
 * listener was seen there; the others always are.
 */
static void find_servers(struct diag_probe *probe)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned first = 0, last = UINT16_MAX;

    if (file && fscanf(file, "%u %u", &first, &last) == 2)
        for (unsigned port = 1; port <= UINT16_MAX; port++)
            probe->serves[port] = port < first || port > last;
}

static void unwatch(struct probe *base, uint16_t port)
{
    diag_probe(base)->watched[port] = UNWATCHED;
}

static int read_ports(struct probe *base, struct port_counters *ports, size_t n)
{
    struct diag_probe *probe = diag_probe(base);

    for (size_t i = 0; i < n; i++) {
        memset(ports[i].role, 0, sizeof(ports[i].role));
        if (probe->counters[ports[i].port])
            memcpy(ports[i].role, probe->counters[ports[i].port], sizeof(ports[i].role));
    }
    return 0;
}

static void read_connection(struct connection *ret, const struct account *account,
                            const struct diag_probe *probe, uint64_t now)
{
    const struct diag_socket *socket = &account->socket;

    *ret = (struct connection){
        .local_address = socket->local_address,
        .remote_address = socket->remote_address,
        .local_port = socket->local_port,
        .remote_port = socket->remote_port,
        .port = account->port,
        .role = account->role,
        .state = probe_state_name(socket->state),
        .adopted = account->adopted,
        .rx_bytes = account->rx_bytes - account->rx_baseline,
        .tx_bytes = account->tx_bytes - account->tx_baseline,
        .rx_rate = account->rx_rate,
        .tx_rate = account->tx_rate,
        .age_usec = now - account->opened_usec,
        .rtt_usec = socket->rtt_usec,
        .retransmissions = socket->retransmissions,
        .network_namespace = probe->network_namespace,
    };
}

static int list(struct probe *base, uint16_t port, struct connection **ret)
{
    struct diag_probe *probe = diag_probe(base);
    uint64_t now = now_usec(CLOCK_BOOTTIME);
    struct connection *connections;
    size_t n = 0;
    int r = walk(base, 0);

    if (r < 0)
        return r;
    connections = calloc(probe->n_accounts ?: 1, sizeof(*connections));
    if (!connections)
        return -ENOMEM;
    for (size_t i = 0; i < probe->n_accounts; i++) {
        const struct account *account = &probe->accounts[i];

        if (account->open && (!port || port == account->port))
            read_connection(&connections[n++], account, probe, now);
    }
    *ret = connections;
    return (int) n;
}

static int get_health(struct probe *base, struct probe_health *ret)
{
    *ret = diag_probe(base)->health;
    return 0;
}

static enum collector_kind get_kind(const struct probe *base)
{
    return COLLECTOR_DIAG;
}

static sd_id128_t get_epoch(const struct probe *base)
{
    return ((const struct diag_probe *) base)->epoch;
}

static bool works_unprivileged(struct probe *base)
{
    return true;
}

/** What it knows is in its own memory, and ends with it. */
static bool keeps(const struct probe *base, const char *name)
{
    return false;
}

static int hand_over(const struct probe *base, const struct probe_keeper *keeper, void *userdata)
{
    return 0;
}

static struct probe *diag_free(struct probe *base)
{
    struct diag_probe *probe = diag_probe(base);

    safe_close(probe->query);
    safe_close(probe->events);
    for (size_t port = 0; port < ELEMENTSOF(probe->counters); port++)
        free(probe->counters[port]);
    free(probe->accounts);
    free(probe->finds.sockets);
    free(probe);
    return NULL;
}

static const struct probe_type probe_diag_type = {
    .free = diag_free,
    .kind = get_kind,
    .epoch = get_epoch,
    .works_unprivileged = works_unprivileged,
    .keeps = keeps,
    .hand_over = hand_over,
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

int probe_diag_open(struct probe **ret, struct reason *reason)
{
    struct diag_probe *probe = calloc(1, sizeof(*probe));
    _cleanup_(probe_freep) struct probe *base = (struct probe *) probe;
    struct stat namespace;
    int r;

    if (!probe)
        return -ENOMEM;
    probe->probe.type = &probe_diag_type;
    probe->events = diag_subscribe();
    probe->query = diag_connect();
    if (probe->query < 0)
        return fail_errno(reason, probe->query, "Cannot ask the kernel for socket statistics");
    find_servers(probe);
    r = walk(base, 0);
    if (r < 0)
        return fail_errno(reason, r, "Cannot read the kernel's socket statistics");
    if (stat("/proc/self/ns/net", &namespace) == 0)
        probe->network_namespace = (uint32_t) namespace.st_ino;
    r = sd_id128_randomize(&probe->epoch);
    if (r < 0)
        return fail_errno(reason, r, "Cannot get random numbers");
    *ret = TAKE_PTR(base);
    return 0;
}
