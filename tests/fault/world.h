/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_FAULT_WORLD_H
#define PORTMON_FAULT_WORLD_H

/*
 * A host in memory: clocks that are set at will, a kernel that counts, and somebody who keeps its
 * counters or does not. A real monitor, with its real ledger, runs on it in processes that may be
 * killed anywhere; the world is shared memory and stays.
 *
 * world.c defines the functions of daemon/probe.h, clock_gettime() and sd_id128_get_boot(), which
 * takes those of the host's place.
 */

#include "daemon/monitor.h"
#include "shared/time-util.h"

/* The ports there is traffic for. */
#define FIRST_PORT 7000
#define N_PORTS    3

/* Where the right clock begins: a quarter to midnight, UTC, of 22 November 2026. */
#define WORLD_START_USEC (UINT64_C(1795391100) * USEC_PER_SEC)

/* Nothing lasts longer. */
#define MAX_SECONDS (5 * 86400)

/** What was transferred in one second of the right time, in each role of each port. */
struct second {
    struct traffic truth[N_PORTS][_ROLE_MAX];
};

struct world {
    /* clocks */
    uint64_t start_usec; /* the right time at the beginning */
    uint64_t boottime_usec;
    uint64_t asleep_usec; /* of that */
    int64_t wrong_usec;   /* what the wall clock shows less what is right */

    /* the kernel */
    uint64_t boots;
    uint64_t epochs; /* that were ever made; the last one is that of the counters */
    uint64_t epoch;  /* 0: no counters */
    bool keeper;     /* somebody keeps descriptors … */
    bool kept;       /* … and has those of the counters */
    uint8_t watched[65536];
    struct counters counters[N_PORTS][_ROLE_MAX];
    struct probe_health health;

    /* the truth */
    struct second seconds[MAX_SECONDS];
    bool wanted[N_PORTS]; /* the port is to be counted */
};

extern struct world *world;

/** Makes the world, or makes it anew: with a wall clock that is right and nothing in the kernel. */
void world_make(uint64_t start_usec);

/** The second we are in. */
uint64_t world_second(void);

/** The right time of a second. */
uint64_t world_time(uint64_t second);

/** Lets time pass; or up to the next whole second, and soon after it. */
void world_pass(uint64_t usec);
void world_pass_second(void);

/** The host sleeps. */
void world_sleep(uint64_t usec);

/** The host goes down, and comes up again some time later. */
void world_reboot(void);

/** The daemon is gone: so are counters that nobody keeps. */
void world_lose_daemon(void);

/** Something comes to a port, and is answered. */
void world_traffic(unsigned port, enum role role, uint64_t rx_bytes, uint64_t tx_bytes);

/** A little for all ports and roles, different in each second. */
void world_any_traffic(void);

/** What was transferred in all while the port was to be counted. */
struct traffic world_truth(unsigned port, enum role role);

/** Starts a monitor that counts; NULL, with the reason, if it could not. */
struct monitor *world_start(const char *directory, struct reason *reason);

#endif
