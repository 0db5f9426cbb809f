/* SPDX-License-Identifier: MIT */
/* What the kernel knows of a connection, and what gets lost on the way. */
#include "traffic.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <unistd.h>

/* ---- by descriptor ---- */

static struct tcp_info info_of(int fd)
{
    struct tcp_info info = {};
    socklen_t length = sizeof(info);

    MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    return info;
}

enum tcp_state state_of(int fd)
{
    return info_of(fd).tcpi_state;
}

uint64_t octets_arrived(int fd)
{
    return info_of(fd).tcpi_bytes_received;
}

uint32_t octets_unsent(int fd)
{
    return info_of(fd).tcpi_notsent_bytes;
}

uint32_t segments_unacknowledged(int fd)
{
    return info_of(fd).tcpi_unacked;
}

uint32_t retransmissions(int fd)
{
    return info_of(fd).tcpi_total_retrans;
}

uint32_t segments_out_of_order(int fd)
{
    return info_of(fd).tcpi_sacked;
}

uint64_t octets_sent_first(int fd)
{
    struct tcp_info info = info_of(fd);

    return info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
}

bool fast_open_succeeded(int fd)
{
    return info_of(fd).tcpi_options & TCPI_OPT_SYN_DATA;
}

/* A probe that finds room takes octets along; only one that finds none is followed by a pause that
 * gets longer. So nothing is in flight either. */
bool window_is_shut(int fd)
{
    struct tcp_info info = info_of(fd);

    return info.tcpi_backoff > 0 && info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
}

/* ---- by name ---- */

union diag_answer {
    struct nlmsghdr header;
    char bytes[4096];
};

/** Asks about one socket, or for its end. Returns 0 or a negative errno. */
static int diag(const struct run *run, enum end end, uint16_t type, union diag_answer *answer)
{
    const struct name *name = &run->name[end];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 query;
    } request = {
        .header =
            {
                .nlmsg_len = sizeof(request),
                .nlmsg_type = type,
                .nlmsg_flags = NLM_F_REQUEST | (type == SOCK_DESTROY ? NLM_F_ACK : 0),
            },
        .query =
            {
                .sdiag_family = (__u8) run->family[end],
                .sdiag_protocol = IPPROTO_TCP,
                .idiag_states = ~0U,
                .id =
                    {
                        .idiag_sport = name->local.sin6_port,
                        .idiag_dport = name->remote.sin6_port,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
                    },
            },
    };
    size_t skip = run->family[end] == AF_INET ? 12 : 0; /* the prefix of a v4-mapped address */
    int fd;

    memcpy(request.query.id.idiag_src, &name->local.sin6_addr.s6_addr[skip], 16 - skip);
    memcpy(request.query.id.idiag_dst, &name->remote.sin6_addr.s6_addr[skip], 16 - skip);

    enter_namespace(run, end);
    fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    leave_namespace();
    MUST(send(fd, &request, sizeof(request), 0));
    MUST(recv(fd, answer, sizeof(*answer), 0));
    close(fd);
    if (answer->header.nlmsg_type == NLMSG_ERROR)
        return ((struct nlmsgerr *) NLMSG_DATA(&answer->header))->error;
    return 0;
}

enum tcp_state state_by_name(const struct run *run, enum end end)
{
    union diag_answer answer;
    int r = diag(run, end, SOCK_DIAG_BY_FAMILY, &answer);
    enum tcp_state state;

    if (r == -ENOENT)
        return TCP_CLOSE;
    errno = -r;
    EXPECT(r == 0);
    state = ((struct inet_diag_msg *) NLMSG_DATA(&answer.header))->idiag_state;
    return state == TCP_LISTEN ? TCP_CLOSE : state; /* the next best thing that was found */
}

void destroy_socket(const struct run *run, enum end end)
{
    union diag_answer answer;
    int r = diag(run, end, SOCK_DESTROY, &answer);

    if (r == -EOPNOTSUPP)
        unavailable("this kernel can't destroy sockets (CONFIG_INET_DIAG_DESTROY)");
    errno = -r;
    EXPECT(r == 0);
}

/* ---- loss: a filter decides about each segment before TCP sees it; it begins with the header */

#define TCP_HEADER_FLAGS 13
#define FLAG_RST         0x04
#define DROP             0
#define KEEP             UINT32_MAX
#define LOSS_PERCENT     10

static void attach(int fd, struct sock_filter *code, size_t n)
{
    struct sock_fprog program = {.len = (unsigned short) n, .filter = code};

    MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

void lose_everything(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_RET | BPF_K, DROP),
    };

    attach(fd, code, ELEMENTSOF(code));
}

void lose_resets(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_HEADER_FLAGS),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FLAG_RST, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, DROP),
        BPF_STMT(BPF_RET | BPF_K, KEEP),
    };

    attach(fd, code, ELEMENTSOF(code));
}

void lose_some(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 100),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, LOSS_PERCENT, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, DROP),
        BPF_STMT(BPF_RET | BPF_K, KEEP),
    };

    attach(fd, code, ELEMENTSOF(code));
}

void lose_longer_than(int fd, uint32_t octets)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, octets, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, DROP),
        BPF_STMT(BPF_RET | BPF_K, KEEP),
    };

    attach(fd, code, ELEMENTSOF(code));
}

void lose_nothing(int fd)
{
    int unused = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0)
        EXPECT(errno == ENOENT);
}

void mark_output(int fd, enum mark mark)
{
    set_option(fd, SOL_SOCKET, SO_MARK, mark);
}
