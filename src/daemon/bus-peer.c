/* SPDX-License-Identifier: MIT */
/* Clients that come by the socket, each on a connection of its own without a bus in between. */
#include "daemon/bus-internal.h"
#include "shared/bus-names.h"
#include "shared/log.h"

#include <errno.h>
#include <sys/socket.h>

/* Each peer costs some 20 KiB. A user who opens more than a few at once is up to no good, and must
 * not keep others out; root may always come. */
#define MAX_PEERS          256
#define MAX_PEERS_PER_USER 32

/* Messages that wait for a peer to read them. One that lets more pile up is cut off. */
#define MAX_QUEUED_MESSAGES 64

struct peer {
    struct peers *peers;
    struct peer *next;
    sd_bus *connection;
    sd_event_source *drain;
    uid_t uid;
};

struct peers {
    struct bus *bus;
    sd_event_source *accept;
    struct peer *first;
    unsigned n;
};

static struct peer *peer_free(struct peer *peer)
{
    if (!peer)
        return NULL;
    sd_event_source_disable_unref(peer->drain);
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

/** Cuts a peer off that does not read what it is sent. It goes when the event loop sees that. */
static bool cut_off_if_stuck(struct peer *peer)
{
    uint64_t queued = 0;

    if (sd_bus_get_n_queued_write(peer->connection, &queued) < 0 || queued <= MAX_QUEUED_MESSAGES)
        return false;
    log_debug("A peer of user %u does not read its answers: cut off", peer->uid);
    shutdown(sd_bus_get_fd(peer->connection), SHUT_RDWR);
    return true;
}

/** Programs that were made for a bus greet it first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct peer *peer = userdata;

    if (cut_off_if_stuck(peer))
        return 1;
    if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "Hello") > 0)
        return sd_bus_reply_method_return(message, "s", ":1.0");
    return 0;
}

/**
 * sd-bus leaves a message that came together with the end of the handshake where it is until more
 * comes. So once the connection is ready, process what there is.
 */
static int on_drain(sd_event_source *source, void *userdata)
{
    struct peer *peer = userdata;
    _cleanup_(sd_bus_unrefp) sd_bus *connection = sd_bus_ref(peer->connection);
    int r = sd_bus_is_ready(connection);

    if (r == 0)
        return 0;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    /* Processing may end the peer; the connection is ours to look at meanwhile. */
    while (r > 0 && sd_bus_is_open(connection) > 0)
        r = sd_bus_process(connection, NULL);
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
    if ((r = sd_bus_set_description(connection, "peer")) < 0 || (r = sd_id128_randomize(&id)) < 0 ||
        (r = sd_bus_set_server(connection, true, id)) < 0 ||
        (r = sd_bus_set_sender(connection, MONITOR_BUS_NAME)) < 0 ||
        (r = sd_bus_start(connection)) < 0 ||
        (r = sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
        (r = sd_bus_add_filter(connection, NULL, on_message, peer)) < 0 ||
        (r = sd_bus_match_signal(connection, NULL, "org.freedesktop.DBus.Local",
                                 "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                 "Disconnected", on_disconnected, peer)) < 0 ||
        (r = sd_event_add_post(bus->event, &peer->drain, on_drain, peer)) < 0)
        return r;
    return bus_publish(bus, connection);
}

static bool may_come(const struct peers *peers, uid_t uid)
{
    unsigned same = 0;

    if (uid == 0)
        return true;
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
    if ((r = sd_event_add_io(bus->event, &peers->accept, fd, EPOLLIN, on_accept, peers)) < 0 ||
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
    free(peers);
    return NULL;
}

void peers_for_each(struct peers *peers, void (*emit)(sd_bus *connection, uint16_t port),
                    uint16_t port)
{
    for (struct peer *peer = peers->first; peer; peer = peer->next)
        if (!cut_off_if_stuck(peer))
            emit(peer->connection, port);
}
