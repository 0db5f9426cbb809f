/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef PORTMON_ABI_H
#define PORTMON_ABI_H

/*
 * What the BPF programs and the daemon share: the values of the maps and the records of the
 * iterators. Every member has a fixed width and its natural alignment, nothing is padded
 * implicitly, and the sizes are asserted below, so that maps which outlive a daemon can be read by
 * its successor. PORTMON_ABI_VERSION changes with any of it.
 *
 * Byte and segment counters only ever grow and are never reset; whoever wants a difference
 * remembers where it was.
 */

#include <linux/types.h>

#define PORTMON_ABI_VERSION 3

/** How a connection concerns a watched port. The two are never added up. */
enum portmon_role {
    PORTMON_ROLE_SERVER, /* accepted here; the watched port is the local one */
    PORTMON_ROLE_CLIENT, /* opened here to another host or namespace; the watched port is remote */
    _PORTMON_ROLE_MAX,
};

/** Counters of one port in one role. Written by the programs only. */
struct portmon_counters {
    __u64 rx_bytes;    /* octets of the stream received in order; may step back by one, see bpf/ */
    __u64 tx_bytes;    /* octets of the stream sent, each once */
    __u64 rx_segments; /* as tcpi_segs_in, acknowledgements included */
    __u64 tx_segments;
    __u64 opened;  /* connections that became established while watched */
    __u64 adopted; /* connections found open when the port was added */
    __u64 closed;
    __u32 live;      /* connections seen by walk number live_walk … */
    __u32 live_walk; /* … so 0 when this is not the number of the last walk */
};

/*
 * Counters live in pages of a hash map that user space fills and nobody deletes from: memory grows
 * with the ports that are watched (1 KiB each at the most), yet all 65,535 fit, and reading
 * neighbours costs one system call. Key: port / PORTMON_PAGE_PORTS.
 */
#define PORTMON_PAGE_PORTS 8
#define PORTMON_MAX_PAGES  (65536 / PORTMON_PAGE_PORTS)

struct portmon_page {
    struct portmon_counters port[PORTMON_PAGE_PORTS][_PORTMON_ROLE_MAX];
};

/** The watch list: watched[port] is 1 or 0. Written by the daemon only. */
struct portmon_watch {
    __u8 watched[65536];
};

/** What the daemon tells the programs. Written by the daemon only. */
struct portmon_control {
    __u32 walk;      /* number of the walk that runs or ran last */
    __u16 list_port; /* port whose connections that walk lists, 0 for all */
    __u8 recover;    /* what scans find opened unseen: it counts from its beginning */
    __u8 list;       /* walks write a portmon_connection for each that is open */
    __u64 tick_nsec; /* CLOCK_BOOTTIME of the last whole-second walk: per-connection rates */
    __u8 epoch[16];  /* random, made with the maps: tells these counters from any others */
};

/** What can go wrong in the kernel, counted. Written by the programs only. */
struct portmon_health {
    __u64 storage_failures; /* watched connections that got no storage and are not counted, or no
                             * place on the roster and are only when they close */
    __u64 unsettled;        /* closes that could not settle their account: bytes may be missing */
    __u64 contended;        /* lost compare-and-swaps, harmless */
    __u64 walked;           /* sockets seen by walks */
    __u64 scanned;          /* sockets seen by scans */
    __u64 enrolled;         /* adopted connections whose end sock_ops will report */
};

/** A socket's account. It goes with the socket. */
struct portmon_socket {
    __u64 rx; /* (generation << 52) | (octets accounted << 1) | settled: see advance() */
    __u64 tx;
    __u64 segments;    /* (in << 32) | out, both modulo 2^32 as the kernel keeps them */
    __u64 rx_baseline; /* octets that were there when an open connection was adopted */
    __u64 tx_baseline;
    __u64 opened_nsec; /* CLOCK_BOOTTIME of establishment or adoption */
    __u64 tick_nsec;   /* the last whole-second walk, its octets, and the rates it found */
    __u64 tick_rx;
    __u64 tick_tx;
    __u64 rx_rate; /* bytes per second */
    __u64 tx_rate;
    __u32 phase; /* enum portmon_phase; changed by compare-and-swap */
    __u16 port;  /* skc_num is 0 by the time an accepted socket closes */
    __u8 role;
    __u8 flags;        /* PORTMON_SOCKET_* */
    __u32 first_octet; /* sequence number of the first that we send: snd_nxt counts from it */
    __u32 seen;        /* number of the last walk that came by */
};

enum portmon_phase {
    PORTMON_PHASE_NEW,     /* fresh storage, all zero */
    PORTMON_PHASE_CLAIMED, /* one program fills it in; others leave it alone */
    PORTMON_PHASE_OPEN,
    PORTMON_PHASE_CLOSING, /* one program settles it */
    PORTMON_PHASE_CLOSED,  /* all of it is counted */
    PORTMON_PHASE_OPENED,  /* CLAIMED by a scan, and an event has told since that it opened */
};

#define PORTMON_SOCKET_ADOPTED 1

/** What a walk that lists writes of an open connection. */
struct portmon_connection {
    __u64 socket; /* matches portmon_owner.socket; means nothing else */
    __u64 rx_bytes;
    __u64 tx_bytes;
    __u64 rx_rate; /* bytes per second over the last whole second */
    __u64 tx_rate;
    __u64 opened_nsec;      /* CLOCK_BOOTTIME */
    __u8 local_address[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
    __u8 remote_address[16];
    __u32 rtt_usec; /* smoothed, 0 if not measured yet */
    __u32 retransmissions;
    __u32 network_namespace; /* inode number */
    __u16 local_port;
    __u16 remote_port;
    __u16 port; /* the watched one */
    __u8 role;
    __u8 state;  /* TCP_ESTABLISHED … */
    __u8 flags;  /* PORTMON_SOCKET_* */
    __u8 family; /* AF_INET or AF_INET6, as the socket was made */
    __u8 reserved[2];
};

/** One record of the `owners` iterator: a process that holds a watched socket. */
struct portmon_owner {
    __u64 socket;
    __u32 pid;
    char comm[16];
    __u32 reserved;
};

#define PORTMON_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
PORTMON_ASSERT_SIZE(portmon_counters, 64);
PORTMON_ASSERT_SIZE(portmon_page, 1024);
PORTMON_ASSERT_SIZE(portmon_watch, 65536);
PORTMON_ASSERT_SIZE(portmon_control, 32);
PORTMON_ASSERT_SIZE(portmon_health, 48);
PORTMON_ASSERT_SIZE(portmon_socket, 104);
PORTMON_ASSERT_SIZE(portmon_connection, 104);
PORTMON_ASSERT_SIZE(portmon_owner, 32);

#endif
