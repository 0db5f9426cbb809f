/* SPDX-License-Identifier: MIT */
/* Sockets that processes share, hand over, or leave behind when they are killed. */
#include "traffic.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/** Makes a process that does not outlive us. Returns 0 in it. */
static pid_t fork_child(void)
{
    pid_t child = MUST(fork());

    if (child == 0)
        MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
    return child;
}

/** … and that has nothing of the connection but one end. */
static pid_t fork_with(const struct run *run, enum end end)
{
    pid_t child = fork_child();

    if (child == 0) {
        close(run->listener);
        close(run->fd[other(end)]);
    }
    return child;
}

static void expect_success(pid_t child)
{
    int status;

    MUST(waitpid(child, &status, 0));
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- killed ---- */

/** Gives the actor's end to a process that does nothing but wait for octets, and kills it. */
static void kill_owner(struct run *run)
{
    pid_t child = fork_with(run, run->actor);

    if (child == 0) {
        pause();
        _exit(1);
    }
    close_end(run, run->actor);
    MUST(kill(child, SIGKILL));
    MUST(waitpid(child, NULL, 0));
}

static void killed(struct run *run)
{
    open_and_exchange(run);
    kill_owner(run);
    receive_end(run->fd[run->peer]);
    close_end(run, run->peer);
}

static void killed_before_read(struct run *run)
{
    open_pair(run);
    send_unread(run, run->peer, 50000);
    kill_owner(run);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
    close_end(run, run->peer);
}

static void killed_before_sent(struct run *run)
{
    open_pair(run);
    overfill(run);
    kill_owner(run);
    drain(run);
    receive_end(run->fd[run->peer]);
    close_end(run, run->peer);
}

/* ---- shared ---- */

static void count_exchange(struct run *run, uint64_t from_actor, uint64_t from_peer)
{
    count_sent(run, run->actor, from_actor);
    count_received(run, run->peer, from_actor);
    count_sent(run, run->peer, from_peer);
    count_received(run, run->actor, from_peer);
}

/** The other end of what serve() does. */
static void be_served(struct run *run, pid_t child)
{
    int peer = run->fd[run->peer];

    send_plain(peer, SOME);
    receive_plain(peer, MORE);
    receive_end(peer);
    expect_success(child);
    close_end(run, run->peer);
    count_exchange(run, MORE, SOME);
}

static _Noreturn void serve(int fd)
{
    receive_plain(fd, SOME);
    send_plain(fd, MORE);
    _exit(0);
}

static void inherited(struct run *run)
{
    pid_t child;

    open_pair(run);
    exchange(run, 1, 2);
    child = fork_with(run, run->actor);
    if (child == 0)
        serve(run->fd[run->actor]);
    close_end(run, run->actor);
    be_served(run, child);
}

union descriptor_message {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int channel, int fd)
{
    union descriptor_message control = {
        .header =
            {
                .cmsg_len = CMSG_LEN(sizeof(fd)),
                .cmsg_level = SOL_SOCKET,
                .cmsg_type = SCM_RIGHTS,
            },
    };
    char octet = 0;
    struct iovec vector = {&octet, 1};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control),
    };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    MUST(sendmsg(channel, &message, 0));
}

static int receive_descriptor(int channel)
{
    union descriptor_message control;
    char octet;
    struct iovec vector = {&octet, 1};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control),
    };
    int fd;

    MUST(recvmsg(channel, &message, 0));
    EXPECT(message.msg_controllen >= CMSG_LEN(sizeof(fd)));
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}

/** To a process that was there before the connection. */
static void handed_over(struct run *run)
{
    int channel[2];
    pid_t child;

    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
    child = fork_child();
    if (child == 0)
        serve(receive_descriptor(channel[0]));
    open_pair(run);
    exchange(run, 1, 2);
    send_descriptor(channel[1], run->fd[run->actor]);
    close_end(run, run->actor);
    be_served(run, child);
}

static const struct traffic_case cases[] = {
    {"killed", "SIGKILL when all is read", killed, NULL, EITHER_END},
    {"killed-before-read", "SIGKILL with octets to read", killed_before_read, NULL, EITHER_END},
    {"killed-before-sent", "SIGKILL with octets to send", killed_before_sent, NULL, EITHER_END},
    {"inherited", "fork(): a child goes on", inherited, NULL, EITHER_END},
    {"handed-over", "SCM_RIGHTS: another process goes on", handed_over, NULL, EITHER_END},
};

const struct case_table process_cases = {cases, ELEMENTSOF(cases)};
