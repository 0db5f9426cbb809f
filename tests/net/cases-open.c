/* SPDX-License-Identifier: MIT */
/* Ways to open a connection, and ways not to. */
#include "traffic.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <unistd.h>

/** Uses an open connection. In a staged case it was used before its port is added, too. */
static void use_and_finish(struct run *run)
{
    if (!run->watched)
        exchange(run, 1001, 2003);
    stage_add(run);
    exchange(run, SOME, MORE);
    finish(run);
}

/* ---- data comes early ---- */

/* Each fits into a segment. */
#define FIRST_OCTETS 900
#define LAST_OCTETS  700

/** Sends octets which the server's kernel has when this returns. */
static void send_first(struct run *run)
{
    send_plain(run->fd[CLIENT], FIRST_OCTETS);
    WAIT_FOR(segments_unacknowledged(run->fd[CLIENT]) == 0);
    count_sent(run, CLIENT, FIRST_OCTETS);
    count_received(run, SERVER, FIRST_OCTETS);
}

static void connect_deferred(struct run *run)
{
    start_listening(run);
    set_option(run->listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    connect_client(run);
}

static void defer_accept(struct run *run)
{
    connect_deferred(run);
    send_first(run);
    accept_server(run);
    receive_plain(run->fd[SERVER], FIRST_OCTETS);
    use_and_finish(run);
}

static void defer_accept_until_closed(struct run *run)
{
    connect_deferred(run);
    half_close(run, CLIENT);
    accept_server(run);
    finish(run);
}

/** To the server there never was a connection. */
static void defer_accept_until_reset(struct run *run)
{
    connect_deferred(run);
    reset_end(run, CLIENT);
}

/** Returns a client's socket that has put octets into its SYN, in no state in particular. */
static int send_with_syn(struct run *run, int flags)
{
    static const char octets[FIRST_OCTETS];
    struct sockaddr_storage address;
    socklen_t length = address_for(run, SERVER, CLIENT, run->port, &address);
    int fd = make_socket(run, CLIENT);

    start_listening(run);
    set_option(run->listener, IPPROTO_TCP, TCP_FASTOPEN, 16);
    if (flags & MSG_DONTWAIT)
        lose_everything(fd);
    if (sendto(fd, octets, sizeof(octets), MSG_FASTOPEN | flags, (const void *) &address, length) !=
        sizeof(octets))
        unavailable("TCP Fast Open is off (net.ipv4.tcp_fastopen)");
    return fd;
}

static void fast_open(struct run *run)
{
    int fd = send_with_syn(run, 0);

    established(run, CLIENT, fd);
    accept_server(run);
    receive_plain(run->fd[SERVER], FIRST_OCTETS);
    if (!fast_open_succeeded(fd))
        unavailable("TCP Fast Open did not take the data with the SYN");
    count_sent(run, CLIENT, FIRST_OCTETS);
    count_received(run, SERVER, FIRST_OCTETS);
    use_and_finish(run);
}

/** Accepts a connection whose handshake goes on: the client does not hear the answer. */
static int fast_open_halfway(struct run *run)
{
    int fd = send_with_syn(run, MSG_DONTWAIT);

    accept_server(run);
    EXPECT(state_of(run->fd[SERVER]) == TCP_SYN_RECV);
    receive_plain(run->fd[SERVER], FIRST_OCTETS);
    count_received(run, SERVER, FIRST_OCTETS);
    return fd;
}

static void fast_open_closed_early(struct run *run)
{
    int fd = fast_open_halfway(run);

    send_plain(run->fd[SERVER], LAST_OCTETS);
    count_sent(run, SERVER, LAST_OCTETS);
    close_end(run, SERVER);
    lose_nothing(fd);
    WAIT_FOR(state_of(fd) != TCP_SYN_SENT);
    established(run, CLIENT, fd);
    count_sent(run, CLIENT, FIRST_OCTETS);
    receive_plain(fd, LAST_OCTETS);
    count_received(run, CLIENT, LAST_OCTETS);
    receive_end(fd);
    close_end(run, CLIENT);
}

/** To the client it never became a connection. */
static void fast_open_reset_early(struct run *run)
{
    int fd = fast_open_halfway(run);

    stop_listening(run); /* the SYN comes again, for it is not answered */
    reset_end(run, SERVER);
    MUST(close(fd));
}

/* ---- both open ---- */

static void start_pair_of_openers(struct run *run, int *client, int *server, uint16_t *client_port)
{
    *client = make_socket(run, CLIENT);
    *server = make_socket(run, SERVER);
    *client_port = bind_to_any(run, *client, CLIENT);
    bind_to(run, *server, SERVER, run->port);
}

static void use_pair_of_openers(struct run *run, int client, int server)
{
    WAIT_FOR(state_of(client) == TCP_ESTABLISHED && state_of(server) == TCP_ESTABLISHED);
    lose_nothing(client);
    lose_nothing(server);
    established(run, CLIENT, client);
    established(run, SERVER, server);
    use_and_finish(run);
    run->truth[SERVER] = (struct truth){}; /* nobody accepted it */
}

/**
 * The first SYNs are lost and sent again at the same time. One that arrived where nobody was yet
 * may have been refused, and the refusal be on its way.
 */
static void simultaneous_open(struct run *run)
{
    int client, server;
    uint16_t client_port;

    start_pair_of_openers(run, &client, &server, &client_port);
    lose_everything(client);
    lose_everything(server);
    begin_to_connect(run, CLIENT, client, run->port);
    begin_to_connect(run, SERVER, server, client_port);
    lose_resets(client);
    lose_resets(server);
    use_pair_of_openers(run, client, server);
}

/** One sends a SYN and gets, instead of an answer, the other's. */
static void simultaneous_open_at_one_end(struct run *run)
{
    int client, server;
    uint16_t client_port;

    start_pair_of_openers(run, &client, &server, &client_port);
    lose_resets(client); /* nobody is there yet */
    begin_to_connect(run, CLIENT, client, run->port);
    MUST(try_connect(run, SERVER, server, client_port));
    use_pair_of_openers(run, client, server);
}

/** A socket connected to itself was opened here and accepted nowhere. */
static void self_connect(struct run *run)
{
    struct sockaddr_storage address;
    socklen_t length = address_for(run, CLIENT, CLIENT, run->port, &address);
    int fd = make_socket(run, CLIENT);

    bind_to(run, fd, CLIENT, run->port);
    MUST(connect(fd, (const void *) &address, length));
    send_plain(fd, SOME / 100);
    receive_plain(fd, SOME / 100);
    MUST(close(fd));
}

/* ---- nobody accepts ---- */

static void refused(struct run *run)
{
    int fd = make_socket(run, CLIENT);

    EXPECT(try_connect(run, CLIENT, fd, run->port) < 0 && errno == ECONNREFUSED);
    MUST(close(fd));
}

static void given_up(struct run *run)
{
    int fd = make_socket(run, CLIENT);

    start_listening(run);
    lose_everything(fd);
    begin_to_connect(run, CLIENT, fd, run->port);
    MUST(close(fd));
}

enum meanwhile { STAYS, HALF_CLOSES, RESETS };

/** The handshake ends without the server's doing, and so is its connection. */
static void never_accepted(struct run *run)
{
    const enum meanwhile *client = run->plan;

    start_listening(run);
    connect_client(run);
    run->truth[SERVER].connections += run->watched;
    send_first(run);
    if (*client == RESETS) {
        reset_end(run, CLIENT);
        return;
    }
    if (*client == HALF_CLOSES) {
        half_close(run, CLIENT);
        WAIT_FOR(state_of(run->fd[CLIENT]) == TCP_FIN_WAIT2);
    }
    stop_listening(run);
    WAIT_FOR(state_of(run->fd[CLIENT]) == TCP_CLOSE);
    close_end(run, CLIENT);
}

/* ---- the same socket, the same port ---- */

static void reconnect(struct run *run)
{
    open_pair(run);
    exchange(run, SOME, MORE);
    disconnect_client(run);
    reconnect_client(run);
    use_and_finish(run);
}

/** A socket that was accepted once opens a connection to its own host. */
static void reconnect_accepted(struct run *run)
{
    struct sockaddr_storage address;
    struct truth client;
    socklen_t length;
    int fd;

    open_pair(run);
    exchange(run, SOME, MORE);
    client = run->truth[CLIENT];
    fd = run->fd[SERVER];
    disconnect(fd);
    WAIT_FOR(state_of(run->fd[CLIENT]) == TCP_CLOSE);
    close_end(run, CLIENT);

    length = address_for(run, SERVER, SERVER, run->port, &address);
    MUST(connect(fd, (const void *) &address, length));
    established(run, CLIENT, fd);
    accept_server(run);
    use_and_finish(run);
    run->truth[CLIENT] = client; /* the second one stayed at home */
}

/** The port is nothing but the local end of a connection to another one. */
static void outgoing_from_port(struct run *run)
{
    struct sockaddr_in6 address = {};
    socklen_t length = sizeof(address);
    int fd = make_socket(run, CLIENT);

    run->listener = make_listener(run, 0);
    MUST(getsockname(run->listener, (void *) &address, &length));
    bind_to(run, fd, CLIENT, run->port);
    MUST(try_connect(run, CLIENT, fd, ntohs(address.sin6_port)));
    established(run, CLIENT, fd);
    accept_server(run);
    use_and_finish(run);
    run->truth[CLIENT] = run->truth[SERVER] = (struct truth){};
}

static void port_at_both_ends(struct run *run)
{
    int fd = make_socket(run, CLIENT);

    if (IN6_ARE_ADDR_EQUAL(&run->address[CLIENT], &run->address[SERVER]))
        unavailable("needs two addresses");
    bind_to(run, fd, CLIENT, run->port);
    start_listening(run);
    MUST(try_connect(run, CLIENT, fd, run->port));
    established(run, CLIENT, fd);
    accept_server(run);
    use_and_finish(run);
}

static void several_listeners(struct run *run)
{
    struct pollfd listeners[] = {
        {.fd = make_listener(run, run->port), .events = POLLIN},
        {.fd = make_listener(run, run->port), .events = POLLIN},
    };

    for (int i = 0; i < 16; i++) {
        connect_client(run);
        MUST(poll(listeners, ELEMENTSOF(listeners), -1));
        run->listener = listeners[listeners[0].revents ? 0 : 1].fd;
        accept_server(run);
        exchange(run, SOME, 1);
        finish(run);
    }
}

#define MEANWHILE(what) ((const enum meanwhile[]){what})

/* clang-format off */
#define STAGED_CASE(of, perform) \
    {"added-after-" of, "open before its port is added", perform, NULL, EITHER_END | STAGED}
/* clang-format on */

static const struct traffic_case cases[] = {
    {"defer-accept", "TCP_DEFER_ACCEPT: the server hears of the first octets", defer_accept, NULL,
     EITHER_END},
    {"defer-accept-until-closed", "the first the server hears of is the end",
     defer_accept_until_closed, NULL, EITHER_END},
    {"defer-accept-until-reset", "the server never hears of it", defer_accept_until_reset},
    {"fast-open", "TCP Fast Open: octets in the SYN", fast_open, NULL, EITHER_END | PREPARED},
    {"fast-open-closed-early", "the server closes before the handshake has ended",
     fast_open_closed_early, NULL, PREPARED},
    {"fast-open-reset-early", "the server resets before the handshake has ended",
     fast_open_reset_early, NULL, PREPARED},
    {"simultaneous-open", "both ends connect and their SYNs cross", simultaneous_open, NULL,
     EITHER_END},
    {"simultaneous-open-at-one-end", "both ends connect, one a little later",
     simultaneous_open_at_one_end, NULL, EITHER_END},
    {"self-connect", "a socket connects to itself", self_connect},
    {"refused", "nobody listens", refused},
    {"given-up", "the client closes before it is answered", given_up},
    {"never-accepted", "the listener closes with the connection in its queue", never_accepted,
     MEANWHILE(STAYS)},
    {"never-accepted-half-closed", "… after the client's FIN", never_accepted,
     MEANWHILE(HALF_CLOSES)},
    {"never-accepted-reset", "… after the client's reset", never_accepted, MEANWHILE(RESETS)},
    {"reconnect", "connect(AF_UNSPEC), then connect() again", reconnect, NULL, EITHER_END},
    {"reconnect-accepted", "an accepted socket, disconnected, opens a connection",
     reconnect_accepted, NULL, EITHER_END},
    {"outgoing-from-port", "the port is local to a connection that was not accepted",
     outgoing_from_port, NULL, EITHER_END},
    {"port-at-both-ends", "the port is the local one of both ends", port_at_both_ends, NULL,
     EITHER_END},
    {"several-listeners", "SO_REUSEPORT", several_listeners, NULL, EITHER_END},

    {"added-after-fast-open", "open before its port is added", fast_open, NULL,
     EITHER_END | PREPARED | STAGED},
    STAGED_CASE("simultaneous-open", simultaneous_open),
    STAGED_CASE("simultaneous-open-at-one-end", simultaneous_open_at_one_end),
    STAGED_CASE("reconnect", reconnect),
    STAGED_CASE("reconnect-accepted", reconnect_accepted),
    STAGED_CASE("outgoing-from-port", outgoing_from_port),
    STAGED_CASE("port-at-both-ends", port_at_both_ends),
};

const struct case_table open_cases = {cases, ELEMENTSOF(cases)};
