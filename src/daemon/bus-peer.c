/* SPDX-License-Identifier: MIT */
/* Clients that come by the socket, each on a connection of its own without a bus in between. */
#include "daemon/bus-internal.h"
#include "shared/bus-names.h"
#include "shared/log.h"

#include <errno.h>
#include <malloc.h>
#include <sys/socket.h>

/* Each peer costs some 20 KiB and a descriptor, of which there are 1024. A user who opens more than
 * a few at once is up to no good, and must not keep others out, nor all of them root. */
#define MAX_PEERS          256
#define MAX_PEERS_PER_USER 32
#define RESERVED_FOR_ROOT  64

/* Messages that wait for a peer to read them. One that lets more pile up is cut off. Those that it
 * had no chance to read do not count: a reload may tell of thousands of ports at once. */
#define MAX_QUEUED_MESSAGES 64

/* … but no peer may cost more than some 25 MB. */
#define MAX_BURST_MESSAGES 16384

/* A year of 5 minutes is an answer of 7 MB, and a message that comes may have 128 MB: some that are
 * not read, or not ended, are as much memory as there is. So all that is allocated has a limit. */
#define MAX_HEAP_BYTES (128 << 20)

/* How many messages of one peer are handled before others have their turn. */
#define MAX_MESSAGES_A_TURN 16

struct peer {
    struct peers *peers;
    struct peer *next;
    sd_bus *connection;
    uid_t uid;
    uint64_t n_allowed; /* as many messages may wait */
    bool keeps_up;      /* it had read its messages when this turn of the event loop … */
    uint64_t turn;      /* … began to send more */
    bool drained;       /* of what came together with the end of the handshake */
    bool cut_off;
};

struct peers {
    struct bus *bus;
    sd_event_source *accept;
    sd_event_source *turn;
    struct peer *first;
    unsigned n;
};

static struct peer *peer_free(struct peer *peer)
{
    if (!peer)
        return NULL;
    sd_bus_close_unref(peer->connection);
    free(peer);
    return NULL;
}

DEFINE_CLEANUP(struct peer, peer_free)

static void peer_leave(struct peer *peer)
{
    struct peer **link = &peer->peers->first;

    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    peer->peers->n--;
    peer_free(peer);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    peer_leave(userdata);
    return 1;
}

static uint64_t n_queued(const struct peer *peer)
{
    uint64_t n = 0;

    return sd_bus_get_n_queued_write(peer->connection, &n) < 0 ? 0 : n;
}

/** The peer goes when the event loop sees that its connection ended. */
static void cut_off(struct peer *peer, const char *why)
{
    if (peer->cut_off)
        return;
    log_debug("A peer of user %u is cut off: %s", peer->uid, why);
    peer->cut_off = true;
    shutdown(sd_bus_get_fd(peer->connection), SHUT_RDWR);
}

static bool cut_off_if_stuck(struct peer *peer)
{
    uint64_t n = n_queued(peer);

    if (n > peer->n_allowed)
        cut_off(peer, "it does not read its answers");
    /* What it has read since must not pile up again. */
    if (peer->n_allowed > n + MAX_QUEUED_MESSAGES)
        peer->n_allowed = n + MAX_QUEUED_MESSAGES;
    return peer->cut_off;
}

/** Sends a peer what it did not ask for. Who had kept up until this turn can't read it meanwhile.
 */
static void tell(struct peer *peer, void (*emit)(sd_bus *connection, uint16_t port), uint16_t port)
{
    uint64_t before = n_queued(peer), after, turn = 0;

    sd_event_get_iteration(peer->peers->bus->event, &turn);
    if (peer->turn != turn) {
        peer->turn = turn;
        peer->keeps_up = before <= MAX_QUEUED_MESSAGES;
    }
    emit(peer->connection, port);
    after = n_queued(peer);
    if (peer->keeps_up && after > before && after <= MAX_BURST_MESSAGES)
        peer->n_allowed += after - before;
}

/** Programs that were made for a bus greet it first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct peer *peer = userdata;

    /* Only calls: the news that it is disconnected must go on. */
    if (sd_bus_message_is_method_call(message, NULL, NULL) > 0 && cut_off_if_stuck(peer))
        return 1;
    if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "Hello") > 0)
        return sd_bus_reply_method_return(message, "s", ":1.0");
    return 0;
}

/**
 * sd-bus leaves a message that came together with the end of the handshake where it is until more
 * comes. So once the connection is ready, process what there is.
 */
static void drain(struct peer *peer)
{
    _cleanup_(sd_bus_unrefp) sd_bus *connection = sd_bus_ref(peer->connection);
    int r = sd_bus_is_ready(connection);

    if (r == 0)
        return;
    for (int i = 0; r > 0 && i < MAX_MESSAGES_A_TURN; i++) {
        r = sd_bus_process(connection, NULL);
        if (sd_bus_is_open(connection) <= 0)
            return; /* and the peer may be gone */
    }
    peer->drained = r <= 0;
}

/** Gets memory back: from those who do not read, or, if there are none, from all; never from root.
 */
static void relieve(struct peers *peers)
{
    bool any = false;

    for (struct peer *peer = peers->first; peer; peer = peer->next)
        if (peer->cut_off)
            return; /* it comes when they go */
    for (struct peer *peer = peers->first; peer; peer = peer->next)
        if (peer->uid != 0 && n_queued(peer) > 0) {
            cut_off(peer, "memory is short, and it does not read");
            any = true;
        }
    for (struct peer *peer = peers->first; !any && peer; peer = peer->next)
        if (peer->uid != 0)
            cut_off(peer, "memory is short");
}

static void relieve_if_short(struct peers *peers)
{
    struct mallinfo2 heap;

    if (!peers->first)
        return;
    heap = mallinfo2();
    if (heap.uordblks + heap.hblkhd > MAX_HEAP_BYTES)
        relieve(peers);
}

/** After every turn of the event loop. */
static int on_turn(sd_event_source *source, void *userdata)
{
    struct peers *peers = userdata;
    struct peer *next;

    for (struct peer *peer = peers->first; peer; peer = next) {
        next = peer->next; /* a peer may end itself, but no other */
        if (!peer->drained)
            drain(peer);
    }
    relieve_if_short(peers);
    return 0;
}

static int peer_start(struct peer *peer, int fd)
{
    sd_bus *connection = peer->connection;
    struct bus *bus = peer->peers->bus;
    sd_id128_t id;
    int r;

    if ((r = sd_bus_set_fd(connection, fd, fd)) < 0) {
        safe_close(fd);
        return r;
    }
    if ((r = sd_bus_set_description(connection, "peer")) < 0 ||
        (r = sd_bus_negotiate_fds(connection, false)) < 0 || (r = sd_id128_randomize(&id)) < 0 ||
        (r = sd_bus_set_server(connection, true, id)) < 0 ||
        (r = sd_bus_set_sender(connection, MONITOR_BUS_NAME)) < 0 ||
        (r = sd_bus_start(connection)) < 0 ||
        /* Or the end of the event loop would wait for peers that do not read, or do not speak. */
        (r = sd_bus_set_close_on_exit(connection, false)) < 0 ||
        (r = sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
        (r = sd_bus_add_filter(connection, NULL, on_message, peer)) < 0 ||
        (r = sd_bus_match_signal(connection, NULL, "org.freedesktop.DBus.Local",
                                 "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                 "Disconnected", on_disconnected, peer)) < 0)
        return r;
    return bus_publish(bus, connection);
}

static bool may_come(const struct peers *peers, uid_t uid)
{
    unsigned same = 0;

    if (uid == 0)
        return peers->n < MAX_PEERS + RESERVED_FOR_ROOT;
    for (const struct peer *peer = peers->first; peer; peer = peer->next)
        same += peer->uid == uid;
    return peers->n < MAX_PEERS && same < MAX_PEERS_PER_USER;
}

static int on_accept(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
    _cleanup_(peer_freep) struct peer *peer = NULL;
    struct ucred credentials = {};
    socklen_t length = sizeof(credentials);
    struct peers *peers = userdata;
    _cleanup_close_ int fd = -1;
    int r;

    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED)
            log_warning("Cannot accept a peer: %m");
        return 0;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return 0;
    if (!may_come(peers, credentials.uid)) {
        log_debug("Too many peers; one of user %u was turned away", credentials.uid);
        return 0;
    }
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return 0;
    peer->peers = peers;
    peer->uid = credentials.uid;
    peer->n_allowed = MAX_QUEUED_MESSAGES;
    r = sd_bus_new(&peer->connection);
    if (r >= 0)
        r = peer_start(peer, TAKE_FD(fd));
    if (r < 0) {
        log_debug("Cannot serve a peer: %s", strerrordesc_np(-r));
        return 0;
    }
    peer->next = peers->first;
    peers->first = TAKE_PTR(peer);
    peers->n++;
    return 0;
}

int peers_new(struct peers **ret, struct bus *bus, int fd)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    int r;

    if (!peers)
        return -ENOMEM;
    peers->bus = bus;
    if ((r = sd_event_add_post(bus->event, &peers->turn, on_turn, peers)) < 0 ||
        (r = sd_event_add_io(bus->event, &peers->accept, fd, EPOLLIN, on_accept, peers)) < 0 ||
        (r = sd_event_source_set_io_fd_own(peers->accept, true)) < 0) {
        peers_free(peers);
        return r;
    }
    *ret = peers;
    return 0;
}

struct peers *peers_free(struct peers *peers)
{
    if (!peers)
        return NULL;
    while (peers->first)
        peer_leave(peers->first);
    sd_event_source_disable_unref(peers->accept);
    sd_event_source_disable_unref(peers->turn);
    free(peers);
    return NULL;
}

void peers_for_each(struct peers *peers, void (*emit)(sd_bus *connection, uint16_t port),
                    uint16_t port)
{
    for (struct peer *peer = peers->first; peer; peer = peer->next)
        if (!cut_off_if_stuck(peer))
            tell(peer, emit, port);
    relieve_if_short(peers);
}
