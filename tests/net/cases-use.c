/* SPDX-License-Identifier: MIT */
/* Ways to write and to read. */
#include "traffic.h"

#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE ((size_t) 100 * 1000)

static char piece[PIECE];

static size_t piece_of(uint64_t octets)
{
    return octets < PIECE ? (size_t) octets : PIECE;
}

/* ---- system calls ---- */

static void send_by_write(int fd, uint64_t octets)
{
    while (octets > 0)
        octets -= (uint64_t) MUST(write(fd, piece, piece_of(octets)));
}

static void receive_by_read(int fd, uint64_t octets)
{
    char buffer[PIECE];

    while (octets > 0)
        octets -= (uint64_t) MUST(read(fd, buffer, piece_of(octets)));
}

#define VECTORS 3

/** Splits a buffer unevenly: some octets, none, the rest. */
static void split(char *buffer, size_t size, struct iovec ret[static VECTORS])
{
    size_t first = size / 3;

    ret[0] = (struct iovec){buffer, first};
    ret[1] = (struct iovec){buffer + first, 0};
    ret[2] = (struct iovec){buffer + first, size - first};
}

static void send_vectors(int fd, uint64_t octets)
{
    struct iovec vectors[VECTORS];

    while (octets > 0) {
        split(piece, piece_of(octets), vectors);
        octets -= (uint64_t) MUST(writev(fd, vectors, VECTORS));
    }
}

static void receive_vectors(int fd, uint64_t octets)
{
    struct iovec vectors[VECTORS];
    char buffer[PIECE];

    while (octets > 0) {
        split(buffer, piece_of(octets), vectors);
        octets -= (uint64_t) MUST(readv(fd, vectors, VECTORS));
    }
}

#define BATCH 4

/** Sends messages in batches; the rest of one that went only in part comes with the next batch. */
static void send_messages(int fd, uint64_t octets)
{
    while (octets > 0) {
        struct iovec vectors[BATCH];
        struct mmsghdr messages[BATCH] = {};
        uint64_t rest = octets;
        int n;

        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){piece, piece_of(rest / 2)};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
            rest -= vectors[i].iov_len;
        }
        if (octets < BATCH)
            vectors[0].iov_len = 1;
        n = MUST(sendmmsg(fd, messages, octets < BATCH ? 1 : BATCH, 0));
        for (int i = 0; i < n; i++)
            octets -= messages[i].msg_len;
    }
}

static void receive_messages(int fd, uint64_t octets)
{
    char buffer[PIECE];

    while (octets > 0) {
        struct iovec vectors[VECTORS];
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = VECTORS};

        split(buffer, piece_of(octets), vectors);
        octets -= (uint64_t) MUST(recvmsg(fd, &message, 0));
    }
}

/* ---- without a copy ---- */

static void send_file(int fd, uint64_t octets)
{
    int file = MUST(memfd_create("octets", MFD_CLOEXEC));

    MUST(ftruncate(file, (off_t) octets));
    for (off_t offset = 0; (uint64_t) offset < octets;)
        MUST(sendfile(fd, file, &offset, octets - (uint64_t) offset));
    close(file);
}

static void send_by_splice(int fd, uint64_t octets)
{
    int pipes[2];

    MUST(pipe2(pipes, O_CLOEXEC));
    while (octets > 0) {
        size_t rest = (size_t) MUST(write(pipes[1], piece, octets < 50000 ? octets : 50000));

        octets -= rest;
        while (rest > 0)
            rest -= (size_t) MUST(splice(pipes[0], NULL, fd, NULL, rest, SPLICE_F_MORE));
    }
    close(pipes[0]);
    close(pipes[1]);
}

static void receive_by_splice(int fd, uint64_t octets)
{
    char buffer[PIECE];
    int pipes[2];

    MUST(pipe2(pipes, O_CLOEXEC));
    while (octets > 0) {
        size_t rest = (size_t) MUST(splice(fd, NULL, pipes[1], NULL, octets, 0));

        EXPECT(rest > 0);
        octets -= rest;
        while (rest > 0)
            rest -= (size_t) MUST(read(pipes[0], buffer, sizeof(buffer)));
    }
    close(pipes[0]);
    close(pipes[1]);
}

/** Reads one notification about a buffer that is free again, if there is one. */
static bool reap_notification(int fd)
{
    char control[CMSG_SPACE(sizeof(struct sock_extended_err)) + 128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};

    return recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
}

static void send_zero_copy(int fd, uint64_t octets)
{
    struct pollfd errors = {.fd = fd}; /* POLLERR is always reported */
    int one = 1;
    ssize_t n;

    if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
        unavailable("no SO_ZEROCOPY");
    while (octets > 0) {
        n = send(fd, piece, piece_of(octets), MSG_ZEROCOPY);
        if (n >= 0)
            octets -= (uint64_t) n;
        else
            EXPECT(errno == ENOBUFS && poll(&errors, 1, -1) == 1);
        while (reap_notification(fd))
            ;
    }
}

/** Maps what is aligned to pages into memory, and copies what is not. */
static void receive_zero_copy(int fd, uint64_t octets)
{
    const size_t window = (size_t) 16 * 4096;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    void *memory = mmap(NULL, window, PROT_READ, MAP_SHARED, fd, 0);
    char buffer[PIECE];

    if (memory == MAP_FAILED)
        unavailable("no TCP_ZEROCOPY_RECEIVE");
    while (octets > 0) {
        struct tcp_zerocopy_receive request = {
            .address = (uintptr_t) memory,
            .length = (uint32_t) (octets < window ? octets : window),
        };
        socklen_t length = sizeof(request);

        MUST(poll(&readable, 1, -1));
        MUST(getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &request, &length));
        octets -= request.length;
        if (request.recv_skip_hint && octets > 0)
            octets -= (uint64_t) MUST(recv(
                fd, buffer,
                piece_of(request.recv_skip_hint < octets ? request.recv_skip_hint : octets), 0));
    }
    munmap(memory, window);
}

/* ---- io_uring ---- */

static void move_by_uring(int fd, uint64_t octets, uint8_t operation)
{
    struct uring *uring = uring_new();
    char buffer[PIECE];
    int n;

    if (!uring)
        unavailable("the kernel refuses io_uring");
    memset(buffer, 0, sizeof(buffer));
    while (octets > 0) {
        n = uring_do(uring, operation, fd, buffer, piece_of(octets));
        if (n == -EINVAL)
            unavailable("io_uring of this kernel lacks the operation");
        EXPECT((errno = n < 0 ? -n : 0) == 0);
        EXPECT(n > 0);
        octets -= (uint64_t) n;
    }
    uring_free(uring);
}

static void send_by_uring(int fd, uint64_t octets)
{
    move_by_uring(fd, octets, URING_SEND);
}

static void receive_by_uring(int fd, uint64_t octets)
{
    move_by_uring(fd, octets, URING_RECV);
}

static void send_by_uring_zero_copy(int fd, uint64_t octets)
{
    move_by_uring(fd, octets, URING_SEND_ZERO_COPY);
}

static void write_by_uring(int fd, uint64_t octets)
{
    move_by_uring(fd, octets, URING_WRITE);
}

static void read_by_uring(int fd, uint64_t octets)
{
    move_by_uring(fd, octets, URING_READ);
}

/* ---- small, large, in part, not at all ---- */

static void send_small_pieces(int fd, uint64_t octets)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    for (size_t size = 1; octets > 0; size = size % 13 + 1)
        octets -= (uint64_t) MUST(send(fd, piece, size < octets ? size : octets, 0));
}

static void receive_small_pieces(int fd, uint64_t octets)
{
    char buffer[11];

    for (size_t size = 1; octets > 0; size = size % sizeof(buffer) + 1)
        octets -= (uint64_t) MUST(recv(fd, buffer, size < octets ? size : octets, 0));
}

static void send_corked(int fd, uint64_t octets)
{
    for (; octets > 1000; octets -= 1000)
        EXPECT(send(fd, piece, 1000, MSG_MORE) == 1000);
    send_plain(fd, octets);
}

static void receive_whole(int fd, uint64_t octets)
{
    char buffer[PIECE];

    for (; octets > 0; octets -= piece_of(octets))
        EXPECT(recv(fd, buffer, piece_of(octets), MSG_WAITALL) == (ssize_t) piece_of(octets));
}

/** Large writes go in part or not at all; reads come before there is anything. */
static void move_without_blocking(int fd, uint64_t octets, short event,
                                  ssize_t (*move)(int, void *, size_t))
{
    struct pollfd ready = {.fd = fd, .events = event};
    static const size_t large = 1 << 22;
    void *memory = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(memory != MAP_FAILED);
    while (octets > 0) {
        ssize_t n = move(fd, memory, octets < large ? (size_t) octets : large);

        if (n >= 0) {
            octets -= (uint64_t) n;
            continue;
        }
        EXPECT(errno == EAGAIN);
        MUST(poll(&ready, 1, -1));
    }
    munmap(memory, large);
}

static ssize_t send_now(int fd, void *buffer, size_t size)
{
    return send(fd, buffer, size, MSG_DONTWAIT);
}

static ssize_t receive_now(int fd, void *buffer, size_t size)
{
    return recv(fd, buffer, size, MSG_DONTWAIT);
}

static void send_without_blocking(int fd, uint64_t octets)
{
    move_without_blocking(fd, octets, POLLOUT, send_now);
}

static void receive_without_blocking(int fd, uint64_t octets)
{
    move_without_blocking(fd, octets, POLLIN, receive_now);
}

static void receive_peeked(int fd, uint64_t octets)
{
    char buffer[PIECE];

    while (octets > 0) {
        ssize_t n = MUST(recv(fd, buffer, piece_of(octets), MSG_PEEK));

        EXPECT(recv(fd, buffer, (size_t) n, 0) == n);
        octets -= (uint64_t) n;
    }
}

/** TCP throws away what MSG_TRUNC reads, so this is also the fastest way. */
static void receive_discarded(int fd, uint64_t octets)
{
    static const uint64_t most = 1 << 30;

    while (octets > 0)
        octets -= (uint64_t) MUST(recv(fd, NULL, octets < most ? octets : most, MSG_TRUNC));
}

/** A page of memory with one behind it that must not be touched. */
static char *make_cliff(void)
{
    char *memory = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(memory != MAP_FAILED);
    MUST(mprotect(memory + 4096, 4096, PROT_NONE));
    return memory;
}

/** What lies beyond the cliff is never sent, and the call may fail altogether. */
static void send_from_cliff(int fd, uint64_t octets)
{
    char *memory = make_cliff();

    while (octets > 0) {
        ssize_t n = send(fd, memory + 1, octets < 5000 ? octets : 5000, 0);

        EXPECT(n > 0 || errno == EFAULT);
        if (n < 0)
            n = MUST(send(fd, memory, octets < 4096 ? octets : 4096, 0));
        octets -= (uint64_t) n;
    }
    munmap(memory, 2 * 4096);
}

static void receive_to_cliff(int fd, uint64_t octets)
{
    char *memory = make_cliff();

    while (octets > 0) {
        ssize_t n = recv(fd, memory + 1, octets < 5000 ? octets : 5000, 0);

        EXPECT(n > 0 || errno == EFAULT);
        if (n < 0)
            n = MUST(recv(fd, memory, octets < 4096 ? octets : 4096, 0));
        octets -= (uint64_t) n;
    }
    munmap(memory, 2 * 4096);
}

/* ---- cases ---- */

struct way {
    move_fn *send;
    move_fn *receive;
    uint64_t octets;
};

/** The actor sends and receives in its way, one after the other and in an order of its own. */
static void use(struct run *run)
{
    const struct way *way = run->plan;

    open_pair(run);
    transfer_by(run, run->actor, way->octets, way->send, receive_plain);
    transfer_by(run, run->peer, way->octets + 1, send_plain, way->receive);
    transfer_by(run, run->actor, 1, way->send, receive_plain);
    finish(run);
}

struct sizes {
    uint64_t from_actor;
    uint64_t from_peer;
};

static void plain(struct run *run)
{
    const struct sizes *sizes = run->plan;

    open_pair(run);
    exchange(run, sizes->from_actor, sizes->from_peer);
    finish(run);
}

/** A short connection on each of several ports. */
static void each_port(struct run *run)
{
    for (unsigned i = 0; i < run->ports; i++) {
        memset(run->truth, 0, sizeof(run->truth));
        open_pair(run);
        exchange(run, SOME / 100, MORE / 100);
        finish(run);
        stop_listening(run);
        run->port++;
    }
}

/** Longer than 32-bit counters and sequence numbers reach. */
static void past_4_gib(struct run *run)
{
    open_pair(run);
    transfer_by(run, run->actor, UINT64_C(4400000007), send_file, receive_discarded);
    finish(run);
}

/** The client chooses where its sequence numbers begin: just before they wrap. */
static void wrapping_sequence(struct run *run)
{
    int fd = make_socket(run, CLIENT), on = 1;

    start_listening(run);
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
        unavailable("no TCP_REPAIR");
    set_option(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    set_option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, -SOME / 2);
    set_option(fd, IPPROTO_TCP, TCP_REPAIR, 0);
    MUST(try_connect(run, CLIENT, fd, run->port));
    established(run, CLIENT, fd);
    accept_server(run);
    exchange(run, SOME, MORE);
    finish(run);
}

/** An urgent octet is one of the stream, whether it is read with the others or apart. */
static void urgent(struct run *run)
{
    const bool *in_its_place = run->plan;
    char octet;
    int peer;

    open_pair(run);
    peer = run->fd[run->peer];
    set_option(peer, SOL_SOCKET, SO_OOBINLINE, *in_its_place);
    send_plain(run->fd[run->actor], SOME);
    EXPECT(send(run->fd[run->actor], "!", 1, MSG_OOB) == 1);
    send_plain(run->fd[run->actor], 1000);
    receive_plain(peer, SOME);
    if (!*in_its_place)
        WAIT_FOR(recv(peer, &octet, 1, MSG_OOB) == 1);
    receive_plain(peer, *in_its_place + 1000);
    count_sent(run, run->actor, SOME + 1 + 1000);
    count_received(run, run->peer, SOME + 1 + 1000);
    finish(run);
}

#define SIZES(a, b)           ((const struct sizes[]){{a, b}})
#define IN_ITS_PLACE(yes)     ((const bool[]){yes})
#define WAY(send, receive, n) ((const struct way[]){{send, receive, n}})

static const struct traffic_case cases[] = {
    {"nothing", "no octet either way", plain, SIZES(0, 0), EITHER_END},
    {"one-octet", "one from the end that closes first", plain, SIZES(1, 0), EITHER_END},
    {"one-octet-back", "one to the end that closes first", plain, SIZES(0, 1), EITHER_END},
    {"odd-sizes", "both ways at once", plain, SIZES(SOME, MORE), EITHER_END},
    {"megabytes", "both ways at once", plain, SIZES((24 << 20) + 1, (17 << 20) + 3), EITHER_END},
    {"past-4-gib", "more than 32 bits count", past_4_gib, NULL, EITHER_END | HUGE},
    {"wrapping-sequence", "sequence numbers wrap", wrapping_sequence, NULL, EITHER_END},
    {"each-port", "on several ports, one after the other: the truth about each", each_port, NULL,
     REPEATED},
    {"write", "write(), read()", use, WAY(send_by_write, receive_by_read, MORE), EITHER_END},
    {"vectors", "writev(), readv()", use, WAY(send_vectors, receive_vectors, MORE), EITHER_END},
    {"messages", "sendmmsg(), recvmsg()", use, WAY(send_messages, receive_messages, MORE),
     EITHER_END},
    {"sendfile", "sendfile(), recv()", use, WAY(send_file, receive_plain, 3 * MORE), EITHER_END},
    {"splice", "splice() both ways", use, WAY(send_by_splice, receive_by_splice, MORE), EITHER_END},
    {"zero-copy", "MSG_ZEROCOPY, TCP_ZEROCOPY_RECEIVE", use,
     WAY(send_zero_copy, receive_zero_copy, 3 * MORE), EITHER_END},
    {"io-uring", "io_uring: send, recv", use, WAY(send_by_uring, receive_by_uring, MORE),
     EITHER_END},
    {"io-uring-write", "io_uring: write, read", use, WAY(write_by_uring, read_by_uring, MORE),
     EITHER_END},
    {"io-uring-zero-copy", "io_uring: send_zc, recv", use,
     WAY(send_by_uring_zero_copy, receive_by_uring, MORE), EITHER_END},
    {"small-pieces", "a few octets at a time, TCP_NODELAY", use,
     WAY(send_small_pieces, receive_small_pieces, 5003), EITHER_END},
    {"corked", "MSG_MORE, MSG_WAITALL", use, WAY(send_corked, receive_whole, MORE), EITHER_END},
    {"without-blocking", "writes in part, reads too early", use,
     WAY(send_without_blocking, receive_without_blocking, (8 << 20) + 5), EITHER_END},
    {"peeked", "MSG_PEEK: seen twice, received once", use, WAY(send_plain, receive_peeked, MORE),
     EITHER_END},
    {"discarded", "MSG_TRUNC: received and never seen", use,
     WAY(send_plain, receive_discarded, MORE), EITHER_END},
    {"bad-memory", "calls that fail with EFAULT", use, WAY(send_from_cliff, receive_to_cliff, SOME),
     EITHER_END},
    {"urgent", "MSG_OOB, read apart", urgent, IN_ITS_PLACE(false), EITHER_END},
    {"urgent-inline", "MSG_OOB, read in its place", urgent, IN_ITS_PLACE(true), EITHER_END},
};

const struct case_table use_cases = {cases, ELEMENTSOF(cases)};
