/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_FEED_H
#define PORTMON_FEED_H

/*
 * Talks to portmond in a thread of its own, so that whatever takes long, a slow link or a daemon
 * that hangs, never keeps the user's keys waiting. Requests go in; news come out as plain structs,
 * announced on a descriptor. A connection that breaks is made again.
 *
 * The thread reads no calendar: the time zone is the environment's, and changes with portmond's.
 */

#include "client/model.h"
#include "client/monitor-client.h"

struct feed;

/** What has come since the news were last taken. Only what is marked is there. */
struct news {
    bool has_link;
    enum link link;
    struct reason lost;           /* if it is */
    struct service_status status; /* if it is up: of this connection */
    const char *way;

    bool has_stats;
    struct port_stats_list stats;
    uint64_t sampled_usec; /* CLOCK_BOOTTIME */

    bool has_summary;
    struct query summary_of;
    struct summary summary;
    struct reason summary_reason; /* why there is none, if there is text */

    bool has_connections;
    uint16_t connections_of;
    struct connection_list connections;
    struct reason connections_reason;

    bool has_result; /* of a change */
    bool failed;
    struct reason result; /* in words */
};

void news_clear(struct news *news);
#define _cleanup_news_ _cleanup_(news_clear)

/**
 * Starts the thread. It takes over @client, which is connected to @target; the strings of that must
 * stay. Returns 0 or a negative errno.
 */
int feed_start(struct feed **ret, struct monitor_client *client,
               const struct monitor_target *target);

/**
 * Ends the thread. If it waits for portmond it is left behind, for the end of the process. Takes
 * NULL; returns NULL.
 */
struct feed *feed_stop(struct feed *feed);

/** A descriptor that is readable when there are news. */
int feed_fd(const struct feed *feed);

/** From now on fetch this. */
void feed_want(struct feed *feed, const struct wanted *wanted);

/** Carry this out. Returns 0, or -EBUSY if the changes before it are not done yet. */
int feed_change(struct feed *feed, const struct change *change);

/** Takes the news. */
void feed_take(struct feed *feed, struct news *ret);

#endif
