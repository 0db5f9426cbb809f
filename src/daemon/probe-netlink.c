/* SPDX-License-Identifier: MIT */
#include "daemon/probe-netlink.h"

#include "shared/cleanup.h"

#include <linux/bpf.h> /* states of TCP: <netinet/tcp.h> would clash with <linux/tcp.h> */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* What a dump comes in. The kernel fills at most this much at once. */
#define CHUNK 32768

/* Room for connections that end between two looks, some 500 bytes each. */
#define QUEUE_BYTES (16 << 20)

/* More ranges of ports than that, and the kernel is faster without a filter. */
#define MAX_RANGES 64

#define STATE(state) (1U << (state))
#define WANTED_STATES                                                                   \
    (STATE(BPF_TCP_ESTABLISHED) | STATE(BPF_TCP_FIN_WAIT1) | STATE(BPF_TCP_FIN_WAIT2) | \
     STATE(BPF_TCP_CLOSE_WAIT) | STATE(BPF_TCP_LAST_ACK) | STATE(BPF_TCP_CLOSING) |     \
     STATE(BPF_TCP_LISTEN))

/* ---- filters ---- */

/** Instructions for the kernel. Each test is a pair: what to do, and the port it is about. */
struct filter {
    struct inet_diag_bc_op ops[MAX_RANGES * 2 * 5];
    size_t n;
};

static size_t size_of(const struct filter *filter)
{
    return filter->n * sizeof(filter->ops[0]);
}

/** Accepts a socket whose local (@above, @below of the source) or remote port is in a range. */
static void add_test(struct filter *filter, unsigned char above, unsigned char below,
                     uint16_t first, uint16_t last)
{
    const uint16_t op = sizeof(filter->ops[0]);
    struct inet_diag_bc_op test[] = {
        {above, 2 * op, 5 * op},   {0, 0, first}, {below, 2 * op, 3 * op}, {0, 0, last},
        {INET_DIAG_BC_JMP, op, 0}, /* to the end, which accepts: see finish() */
    };

    memcpy(&filter->ops[filter->n], test, sizeof(test));
    filter->n += ELEMENTSOF(test);
}

/** Sets the jumps that accept, to the end, and those of the last test that reject, beyond it. */
static void finish(struct filter *filter)
{
    const uint16_t op = sizeof(filter->ops[0]);

    for (size_t i = 4; i < filter->n; i += 5)
        filter->ops[i].no = (uint16_t) ((filter->n - i) * op);
    filter->ops[filter->n - 5].no += op;
    filter->ops[filter->n - 3].no += op;
}

/** Makes a filter; it stays empty if there are too many ports for one. */
static void make_filter(struct filter *filter, const uint8_t watched[static 65536])
{
    unsigned ranges = 0;

    filter->n = 0;
    for (unsigned first = 1, last; first <= UINT16_MAX; first = last + 1) {
        last = first;
        if (!watched[first])
            continue;
        while (last < UINT16_MAX && watched[last + 1])
            last++;
        if (ranges++ == MAX_RANGES) {
            filter->n = 0;
            return;
        }
        add_test(filter, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE, (uint16_t) first, (uint16_t) last);
        add_test(filter, INET_DIAG_BC_D_GE, INET_DIAG_BC_D_LE, (uint16_t) first, (uint16_t) last);
    }
    if (!ranges) /* none is watched, and no socket is open at port 0 */
        add_test(filter, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE, 0, 0);
    finish(filter);
}

/* ---- reading ---- */

static void read_address(struct in6_addr *ret, uint8_t family, const __be32 address[static 4])
{
    if (family == AF_INET6) {
        memcpy(ret, address, sizeof(*ret));
        return;
    }
    *ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ret->s6_addr[12], address, sizeof(address[0]));
}

/** Reads what this kernel knows of struct tcp_info; the rest stays 0. */
static void read_info(struct diag_socket *ret, const void *data, size_t size)
{
    struct tcp_info info = {};

    memcpy(&info, data, size < sizeof(info) ? size : sizeof(info));
    ret->bytes_received = info.tcpi_bytes_received;
    ret->bytes_acked = info.tcpi_bytes_acked;
    ret->bytes_sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
    ret->segments_in = info.tcpi_segs_in;
    ret->segments_out = info.tcpi_segs_out;
    ret->rtt_usec = info.tcpi_rtt;
    ret->retransmissions = info.tcpi_total_retrans;
}

/** Returns whether the message tells about a socket of TCP. */
static bool read_socket(struct diag_socket *ret, const struct nlmsghdr *message)
{
    const struct inet_diag_msg *data = NLMSG_DATA(message);
    int left = (int) message->nlmsg_len - (int) NLMSG_LENGTH(sizeof(*data));
    const struct nlattr *attribute = (const void *) (data + 1);
    bool is_tcp = true;

    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY || left < 0)
        return false;
    *ret = (struct diag_socket){
        .cookie = (uint64_t) data->id.idiag_cookie[1] << 32 | data->id.idiag_cookie[0],
        .local_port = ntohs(data->id.idiag_sport),
        .remote_port = ntohs(data->id.idiag_dport),
        .state = data->idiag_state,
    };
    read_address(&ret->local_address, data->idiag_family, data->id.idiag_src);
    read_address(&ret->remote_address, data->idiag_family, data->id.idiag_dst);
    while (left >= NLA_HDRLEN && attribute->nla_len >= NLA_HDRLEN && attribute->nla_len <= left) {
        const void *payload = (const char *) attribute + NLA_HDRLEN;
        size_t size = attribute->nla_len - (size_t) NLA_HDRLEN;

        if (attribute->nla_type == INET_DIAG_INFO)
            read_info(ret, payload, size);
        else if (attribute->nla_type == INET_DIAG_PROTOCOL && size == 1)
            is_tcp = *(const uint8_t *) payload == IPPROTO_TCP;
        left -= NLA_ALIGN(attribute->nla_len);
        attribute = (const void *) ((const char *) attribute + NLA_ALIGN(attribute->nla_len));
    }
    return is_tcp;
}

/** Takes the messages of a datagram. Returns 1 if the last one ends a dump, else 0 or an error. */
static int take(const void *buffer, size_t size, diag_function function, void *userdata)
{
    struct diag_socket socket;
    int r = 0;

    for (const struct nlmsghdr *message = buffer; r >= 0 && NLMSG_OK(message, size);
         message = NLMSG_NEXT(message, size)) {
        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (message->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *) NLMSG_DATA(message))->error;
        if (read_socket(&socket, message))
            r = function(userdata, &socket);
    }
    return r;
}

static int ask(int fd, uint8_t family, const struct filter *filter)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
        struct nlattr attribute;
    } message = {
        .header =
            {
                .nlmsg_len = sizeof(message.header) + sizeof(message.request),
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
            },
        .request =
            {
                .sdiag_family = family,
                .sdiag_protocol = IPPROTO_TCP,
                .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                .idiag_states = WANTED_STATES,
            },
        .attribute =
            {
                .nla_len = (uint16_t) (NLA_HDRLEN + size_of(filter)),
                .nla_type = INET_DIAG_REQ_BYTECODE,
            },
    };
    struct iovec parts[] = {
        {&message, sizeof(message.header) + sizeof(message.request)},
        {(void *) filter->ops, size_of(filter)},
    };

    if (filter->n) {
        parts[0].iov_len = sizeof(message);
        message.header.nlmsg_len = (uint32_t) (sizeof(message) + size_of(filter));
    }
    return sendmsg(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = ELEMENTSOF(parts)}, 0) < 0
               ? -errno
               : 0;
}

int diag_dump(int fd, const uint8_t watched[static 65536], diag_function function, void *userdata)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    _Alignas(struct nlmsghdr) char buffer[CHUNK];
    struct filter filter;
    ssize_t n;
    int r = 0;

    make_filter(&filter, watched);
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(families); i++) {
        r = ask(fd, families[i], &filter);
        while (r == 0) {
            n = recv(fd, buffer, sizeof(buffer), 0);
            if (n >= 0)
                r = take(buffer, (size_t) n, function, userdata);
            else if (errno != EINTR)
                r = -errno;
        }
    }
    return r < 0 ? r : 0;
}

int diag_drain(int fd, diag_function function, void *userdata)
{
    _Alignas(struct nlmsghdr) char buffer[CHUNK];
    bool lost = false;
    int r = 0;

    while (r >= 0) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (n >= 0)
            r = take(buffer, (size_t) n, function, userdata);
        else if (errno == ENOBUFS)
            lost = true;
        else if (errno == EAGAIN)
            return lost ? -ENOBUFS : 0;
        else if (errno != EINTR)
            r = -errno;
    }
    return r;
}

/* ---- sockets ---- */

int diag_connect(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    return fd < 0 ? -errno : fd;
}

int diag_subscribe(void)
{
    static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};
    const int size = QUEUE_BYTES;
    const struct sockaddr_nl anything = {.nl_family = AF_NETLINK};
    _cleanup_close_ int fd = diag_connect();

    if (fd < 0)
        return fd;
    /* One without an address is passed over by the kernel, which has none either. */
    if (bind(fd, (const struct sockaddr *) &anything, sizeof(anything)) < 0)
        return -errno;
    for (size_t i = 0; i < ELEMENTSOF(groups); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
            return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return TAKE_FD(fd);
}
