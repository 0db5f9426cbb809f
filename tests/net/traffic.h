/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TRAFFIC_H
#define PORTMON_TRAFFIC_H

/*
 * The program `traffic` makes one kind of TCP connection, knows what went over it, and prints that
 * as the truth which portmon has to report. A case is a function with an entry in one of the tables
 * that traffic.c lists; it plays both ends of the connection and keeps account as it goes.
 *
 * It changes nothing of its surroundings and needs libc only, so that it also runs from an
 * initramfs of another kernel. Segments get lost through filters on its own sockets.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof(*(array)))

/* Two sizes that share no factor with any segment or buffer size, so that mixing up the directions
 * or counting by the segment can't go unnoticed. */
#define SOME 123457
#define MORE 765433

/** A connection has two. In a simultaneous open, CLIENT is the one that came first. */
enum end { CLIENT, SERVER, _END_MAX };

static inline enum end other(enum end end)
{
    return end == CLIENT ? SERVER : CLIENT;
}

/** What an end's sockets have transferred while their port was watched. */
struct truth {
    uint64_t rx;
    uint64_t tx;
    unsigned connections;
};

/** How the kernel names a connection, from one end. Addresses are IPv6, perhaps v4-mapped. */
struct name {
    struct sockaddr_in6 local;
    struct sockaddr_in6 remote;
};

/** One performance of a case. */
struct run {
    uint16_t port;
    int protocol;                      /* for socket(): 0, or IPPROTO_MPTCP */
    int family[_END_MAX];              /* of the sockets */
    int network_namespace[_END_MAX];   /* -1: the one we were started in */
    struct in6_addr address[_END_MAX]; /* where the other end finds this one */
    enum end actor;                    /* does what the case is about; the other is the peer */
    enum end peer;
    unsigned ports; /* how many: see REPEATED */
    unsigned seconds;
    unsigned threads;
    const void *plan; /* what the table says about this case beyond its function */

    bool watched; /* whether the port is: only then does the truth grow */
    int listener; /* -1 if none, as with the other sockets */
    int fd[_END_MAX];
    struct name name[_END_MAX];
    uint64_t unread; /* octets that have arrived at the peer and were not read … */
    uint64_t queued; /* … and that the actor could not send yet: see overfill() */
    struct truth truth[_END_MAX];
};

enum case_flags {
    EITHER_END = 1 << 0, /* makes sense with each end as the actor */
    PREPARED = 1 << 1,   /* needs a network namespace with TCP Fast Open and dropping marks */
    STAGED = 1 << 2,     /* stops for the port to be added or removed: see stage() */
    UNOWNED = 1 << 3,    /* STAGED while no process has the connection open */
    HUGE = 1 << 4,       /* moves gigabytes: once is enough */
    REPEATED = 1 << 5,   /* takes as many ports, seconds or threads as the command line says */
};

struct traffic_case {
    const char *name;
    const char *intent; /* one line */
    void (*perform)(struct run *run);
    const void *plan;
    unsigned flags;
};

struct case_table {
    const struct traffic_case *cases;
    size_t n;
};

extern const struct case_table open_cases, use_cases, close_cases, end_cases, abort_cases,
    process_cases, protocol_cases, staged_cases, churn_cases;

/* ---- traffic.c ---- */

/** Ends the program because something failed that the case takes for granted. */
_Noreturn void give_up(const char *what, const char *file, int line);

/** Ends it with status 77: this kernel or its settings can't do the case. */
_Noreturn void unavailable(const char *reason);

/* The value of a call that returns a negative number when it fails, which ends the program. */
#define MUST(call)                              \
    ({                                          \
        __auto_type must_ = (call);             \
        if (must_ < 0)                          \
            give_up(#call, __FILE__, __LINE__); \
        must_;                                  \
    })

#define EXPECT(condition)                            \
    do {                                             \
        if (!(condition))                            \
            give_up(#condition, __FILE__, __LINE__); \
    } while (0)

/* What the program waits for, shown when it waits too long. */
extern const char *volatile waiting_for;
void nap(void);

#define WAIT_FOR(condition)       \
    do {                          \
        waiting_for = #condition; \
        while (!(condition))      \
            nap();                \
        waiting_for = NULL;       \
    } while (0)

/**
 * Stops until the port has been added or removed: tells whoever runs us on standard output, and
 * goes on with a line on standard input. From then on the truth grows, or does not. The port of a
 * case that is not STAGED is watched from the beginning, and adding it does nothing.
 */
void stage_add(struct run *run);
void stage_remove(struct run *run);

/** The same while traffic flows, in other threads: the line on standard input ends it. */
void stage_flowing(const struct run *run);

/* ---- place.c: sockets and where they are ---- */

/** Enters an end's network namespace with this thread; leave_namespace() brings it back. */
void enter_namespace(const struct run *run, enum end end);
void leave_namespace(void);

void set_option(int fd, int level, int option, int value);
int make_socket(const struct run *run, enum end end);

/** The address of end @of as a socket of @user writes it. Returns its length. */
socklen_t address_for(const struct run *run, enum end of, enum end user, uint16_t port,
                      struct sockaddr_storage *ret);

void bind_to(const struct run *run, int fd, enum end end, uint16_t port);

/** Binds @fd of end @end to a port that is free, and returns it. */
uint16_t bind_to_any(const struct run *run, int fd, enum end end);

/** Connects a socket of end @from to @port at the other end. Returns as connect() does. */
int try_connect(const struct run *run, enum end from, int fd, uint16_t port);

void set_blocking(int fd, bool blocking);

/** Sends a SYN that stays unanswered, because of a filter on the socket. */
void begin_to_connect(const struct run *run, enum end from, int fd, uint16_t port);

/** Makes a connection a mere socket again, which may connect anew. */
void disconnect(int fd);

int make_listener(const struct run *run, uint16_t port);
void start_listening(struct run *run);
void stop_listening(struct run *run);

/** Notes that @fd is a connection of @end, which counts. */
void established(struct run *run, enum end end, int fd);

void connect_client(struct run *run);
void accept_server(struct run *run);

/** Disconnects the client's socket, which stays, and lets the server's end go. */
void disconnect_client(struct run *run);

/** Connects that socket anew. */
void reconnect_client(struct run *run);

/** A listener and one connection. */
void open_pair(struct run *run);

/* ---- flow.c: octets ---- */

/* How octets are written and read: all of them, by a blocking socket. */
typedef void move_fn(int fd, uint64_t octets);
move_fn send_plain, receive_plain;

/** Reads the end of the stream, and nothing before it. */
void receive_end(int fd);

void count_sent(struct run *run, enum end end, uint64_t octets);
void count_received(struct run *run, enum end end, uint64_t octets);

/** Moves octets from an end to the other, which reads them all. */
void transfer(struct run *run, enum end from, uint64_t octets);
void transfer_by(struct run *run, enum end from, uint64_t octets, move_fn *send, move_fn *receive);

/** Moves octets both ways at once. */
void exchange(struct run *run, uint64_t from_actor, uint64_t from_peer);

/** A connection that has been used both ways. */
void open_and_exchange(struct run *run);

/** Sends octets that reach the other end's kernel; nobody reads them. */
void send_unread(struct run *run, enum end from, uint64_t octets);

/** The actor writes more than the peer's kernel takes, until nothing moves any more. */
void overfill(struct run *run);

/** The peer reads all of that, and so the rest is sent. */
void drain(struct run *run);

/** Closes a socket so that its peer gets a reset and no FIN. */
void reset_socket(int fd);

void close_end(struct run *run, enum end end);
void reset_end(struct run *run, enum end end);
void half_close(struct run *run, enum end end);

/** Both ends close, the actor first. */
void finish(struct run *run);

/* ---- wire.c: what the kernel knows, and what gets lost ---- */

/* As the kernel numbers them. */
enum tcp_state {
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT,
    TCP_SYN_RECV,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_TIME_WAIT,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_CLOSING,
};

enum tcp_state state_of(int fd);

/** Octets that have arrived in order, read or not, without the peer's FIN. */
uint64_t octets_arrived(int fd);
uint32_t octets_unsent(int fd);
uint32_t segments_unacknowledged(int fd);
uint32_t segments_out_of_order(int fd);
uint32_t retransmissions(int fd);

/** Octets that were sent first, not again, as far as the kernel knows: some may not have left. */
uint64_t octets_sent_first(int fd);

bool fast_open_succeeded(int fd);

/** Whether the peer was asked for room in its window and had none. */
bool window_is_shut(int fd);

/** The state of an end's connection when no descriptor is left to ask; TCP_CLOSE if it is gone. */
enum tcp_state state_by_name(const struct run *run, enum end end);

/** Ends a connection as `ss -K` does. */
void destroy_socket(const struct run *run, enum end end);

/* From now on, what comes for a socket is lost, or arrives. */
void lose_everything(int fd);
void lose_resets(int fd);
void lose_some(int fd);
void lose_longer_than(int fd, uint32_t octets);
void lose_nothing(int fd);

/* What a socket sends is dropped before it leaves, by rules of a PREPARED namespace. */
enum mark { MARK_NONE, MARK_DROP, MARK_DROP_SOME };
void mark_output(int fd, enum mark mark);

#endif
