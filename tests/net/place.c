/* SPDX-License-Identifier: MIT */
/* Sockets, and where they are. */
#include "traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* ---- network namespaces: a socket stays in the one that it was made in ---- */

static __thread int home = -1;

void enter_namespace(const struct run *run, enum end end)
{
    if (run->network_namespace[end] < 0)
        return;
    home = MUST(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    MUST(setns(run->network_namespace[end], CLONE_NEWNET));
}

void leave_namespace(void)
{
    if (home < 0)
        return;
    MUST(setns(home, CLONE_NEWNET));
    close(home);
    home = -1;
}

/* ---- addresses ---- */

static socklen_t make_address(int family, const struct in6_addr *address, uint16_t port,
                              struct sockaddr_storage *ret)
{
    struct sockaddr_in6 *in6 = (void *) ret;
    struct sockaddr_in *in = (void *) ret;

    memset(ret, 0, sizeof(*ret));
    ret->ss_family = (sa_family_t) family;
    if (family == AF_INET6) {
        in6->sin6_addr = *address;
        in6->sin6_port = htons(port);
        return sizeof(*in6);
    }
    memcpy(&in->sin_addr, &address->s6_addr[12], sizeof(in->sin_addr));
    in->sin_port = htons(port);
    return sizeof(*in);
}

socklen_t address_for(const struct run *run, enum end of, enum end user, uint16_t port,
                      struct sockaddr_storage *ret)
{
    return make_address(run->family[user], &run->address[of], port, ret);
}

/** Any address as an IPv6 one, the form in which names are kept. */
static struct sockaddr_in6 to_ipv6(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *in = (const void *) address;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in->sin_port};

    if (address->ss_family == AF_INET6)
        return *(const struct sockaddr_in6 *) address;
    memset(&in6.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&in6.sin6_addr.s6_addr[12], &in->sin_addr, sizeof(in->sin_addr));
    return in6;
}

static struct name name_of(int fd)
{
    struct sockaddr_storage local, remote;
    socklen_t local_length = sizeof(local), remote_length = sizeof(remote);

    MUST(getsockname(fd, (void *) &local, &local_length));
    MUST(getpeername(fd, (void *) &remote, &remote_length));
    return (struct name){to_ipv6(&local), to_ipv6(&remote)};
}

/* ---- sockets ---- */

void set_option(int fd, int level, int option, int value)
{
    MUST(setsockopt(fd, level, option, &value, sizeof(value)));
}

int make_socket(const struct run *run, enum end end)
{
    int fd;

    enter_namespace(run, end);
    fd = socket(run->family[end], SOCK_STREAM | SOCK_CLOEXEC, run->protocol);
    leave_namespace();
    if (fd < 0 && run->protocol)
        unavailable("the kernel lacks this protocol");
    MUST(fd);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return fd;
}

void bind_to(const struct run *run, int fd, enum end end, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length = address_for(run, end, end, port, &address);

    MUST(bind(fd, (const void *) &address, length));
}

uint16_t bind_to_any(const struct run *run, int fd, enum end end)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    bind_to(run, fd, end, 0);
    MUST(getsockname(fd, (void *) &address, &length));
    return ntohs(to_ipv6(&address).sin6_port);
}

void set_blocking(int fd, bool blocking)
{
    int flags = MUST(fcntl(fd, F_GETFL));

    MUST(fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

int try_connect(const struct run *run, enum end from, int fd, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length = address_for(run, other(from), from, port, &address);

    return connect(fd, (const void *) &address, length);
}

int make_listener(const struct run *run, uint16_t port)
{
    static const struct in6_addr any;
    struct sockaddr_storage address;
    socklen_t length = make_address(run->family[SERVER], &any, port, &address);
    int fd = make_socket(run, SERVER);

    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    MUST(bind(fd, (const void *) &address, length));
    MUST(listen(fd, SOMAXCONN));
    return fd;
}

void start_listening(struct run *run)
{
    run->listener = make_listener(run, run->port);
}

void stop_listening(struct run *run)
{
    MUST(close(run->listener));
    run->listener = -1;
}

void established(struct run *run, enum end end, int fd)
{
    run->fd[end] = fd;
    run->name[end] = name_of(fd);
    run->truth[end].connections += run->watched;
}

void begin_to_connect(const struct run *run, enum end from, int fd, uint16_t port)
{
    set_blocking(fd, false);
    EXPECT(try_connect(run, from, fd, port) < 0 && errno == EINPROGRESS);
    EXPECT(state_of(fd) == TCP_SYN_SENT);
    set_blocking(fd, true);
}

void disconnect(int fd)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    MUST(connect(fd, &nowhere, sizeof(nowhere)));
}

void connect_client(struct run *run)
{
    int fd = make_socket(run, CLIENT);

    if (run->protocol != IPPROTO_MPTCP) /* which lacks it before Linux 6.3 */
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    bind_to(run, fd, CLIENT, 0);
    MUST(try_connect(run, CLIENT, fd, run->port));
    established(run, CLIENT, fd);
}

void accept_server(struct run *run)
{
    established(run, SERVER, MUST(accept4(run->listener, NULL, NULL, SOCK_CLOEXEC)));
}

void disconnect_client(struct run *run)
{
    disconnect(run->fd[CLIENT]);
    WAIT_FOR(state_of(run->fd[SERVER]) == TCP_CLOSE);
    close_end(run, SERVER);
}

void reconnect_client(struct run *run)
{
    int fd = run->fd[CLIENT];

    MUST(try_connect(run, CLIENT, fd, run->port));
    established(run, CLIENT, fd);
    accept_server(run);
}

void open_pair(struct run *run)
{
    start_listening(run);
    connect_client(run);
    accept_server(run);
}
