/* SPDX-License-Identifier: MIT */
#include "client/tui/feed.h"

#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

/* What is summed up changes slowly, and asking for it makes portmond read its ledger. */
#define SUMMARY_USEC (5 * USEC_PER_SEC)

/* How soon to try again after portmond went away; ssh is not for free. */
#define RETRY_LOCAL_USEC USEC_PER_SEC
#define RETRY_HOST_USEC  (5 * USEC_PER_SEC)

/* A sample is taken a moment after the second, when portmond has taken its own. */
#define SAMPLE_DELAY_USEC (20 * USEC_PER_SEC / 1000)

/* How long to wait at the end for a thread that may be in the middle of a call. */
#define STOP_MSEC 100

/* Changes that may wait: a person types them. */
#define MAX_CHANGES 4

struct feed {
    pthread_t thread;
    pthread_mutex_t lock;
    int news_fd; /* to the user's side … */
    int wake_fd; /* … and to the thread */

    /* under the lock */
    bool stop;
    struct wanted wanted;
    struct change changes[MAX_CHANGES];
    size_t n_changes;
    struct news news;

    /* the thread's own */
    struct monitor_target target;
    struct monitor_client *client; /* NULL while portmond is away */
    struct wanted now;             /* a copy of what is wanted */
    uint64_t retry_usec;           /* CLOCK_BOOTTIME, as all of these: when to connect again */
    uint64_t sample_usec;          /* when to ask for the figures */
    uint64_t summary_usec;         /* when to ask for the summary */
    struct query summary_of;       /* that the percentile is of */
    struct percentile percentile;
    bool refused; /* the connections: not to be asked for again unasked */
};

/* ---- news ---- */

void news_clear(struct news *news)
{
    service_status_clear(&news->status);
    port_stats_list_clear(&news->stats);
    summary_clear(&news->summary);
    connection_list_clear(&news->connections);
    *news = (struct news){};
}

static void wake(int fd)
{
    eventfd_write(fd, 1); /* it can fail only when it is awake anyhow */
}

static void clear_event(int fd)
{
    eventfd_t value;

    eventfd_read(fd, &value);
}

/** Locks the news to add some; publish() ends it. */
static struct news *begin_news(struct feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    return &feed->news;
}

static void publish(struct feed *feed)
{
    pthread_mutex_unlock(&feed->lock);
    wake(feed->news_fd);
}

/* ---- connecting ---- */

static void lose(struct feed *feed, const struct reason *reason)
{
    struct news *news;

    feed->client = monitor_client_free(feed->client);
    feed->retry_usec = now_usec(CLOCK_BOOTTIME) +
                       (feed->target.host ? RETRY_HOST_USEC : RETRY_LOCAL_USEC);
    news = begin_news(feed);
    service_status_clear(&news->status);
    news->has_link = true;
    news->link = LINK_LOST;
    news->lost = *reason;
    publish(feed);
}

/** Whether a call failed because portmond is not there, rather than because it said no. */
static bool is_loss(int r)
{
    return r < 0 && r != -ENOENT && r != -EACCES && r != -ENOMEM;
}

/** Reads what portmond says of itself, which is how a connection begins. */
static void greet(struct feed *feed)
{
    _cleanup_service_status_ struct service_status status = {};
    struct reason reason = {};
    struct news *news;
    int r = monitor_client_status(feed->client, &status, &reason);

    if (r < 0) {
        lose(feed, &reason);
        return;
    }
    feed->sample_usec = feed->summary_usec = 0;
    feed->percentile = (struct percentile){};
    news = begin_news(feed);
    service_status_clear(&news->status);
    news->has_link = true;
    news->link = LINK_UP;
    news->status = status;
    news->way = monitor_client_way(feed->client);
    status = (struct service_status){};
    publish(feed);
}

static void reconnect(struct feed *feed)
{
    struct reason reason = {};

    if (monitor_client_open(&feed->client, &feed->target, &reason) < 0)
        lose(feed, &reason);
    else
        greet(feed);
}

/* ---- fetching ---- */

static void fetch_stats(struct feed *feed)
{
    _cleanup_port_stats_list_ struct port_stats_list stats = {};
    uint64_t before = now_usec(CLOCK_BOOTTIME), after;
    struct reason reason = {};
    struct news *news;
    int r = monitor_client_all_stats(feed->client, &stats, &reason);

    if (r < 0) {
        lose(feed, &reason);
        return;
    }
    after = now_usec(CLOCK_BOOTTIME);
    news = begin_news(feed);
    port_stats_list_clear(&news->stats);
    news->has_stats = true;
    news->stats = stats;
    news->sampled_usec = before + (after - before) / 2; /* somewhere in between it was */
    stats = (struct port_stats_list){};
    publish(feed);
}

static void fetch_connections(struct feed *feed)
{
    _cleanup_connection_list_ struct connection_list list = {};
    uint16_t port = feed->now.query.port;
    struct reason reason = {};
    struct news *news;
    int r = monitor_client_connections(feed->client, port, &list, &reason);

    if (is_loss(r)) {
        lose(feed, &reason);
        return;
    }
    feed->refused = r == -EACCES; /* or polkit would ask for a password every second */
    news = begin_news(feed);
    connection_list_clear(&news->connections);
    news->has_connections = true;
    news->connections_of = port;
    news->connections = list;
    news->connections_reason = reason;
    list = (struct connection_list){};
    publish(feed);
}

/** The percentile changes only when five minutes are over, and takes all of them to tell. */
static int fetch_percentile(struct feed *feed, const struct query *query, struct reason *reason)
{
    size_t n = intervals_over(query->from_usec, query->until_usec, now_usec(CLOCK_REALTIME));
    _cleanup_history_ struct history buckets = {};
    int r;

    if (!query->percentile || n == 0) {
        feed->percentile = (struct percentile){};
        return 0;
    }
    if (n == feed->percentile.n_intervals && query_equal(query, &feed->summary_of))
        return 0;
    r = monitor_client_history(feed->client, query->port, query->role, query->from_usec,
                               query->from_usec + n * BUCKET_USEC,
                               resolution_to_string(RESOLUTION_5MIN), &buckets, reason);
    if (r >= 0)
        percentile_find(&feed->percentile, &buckets, n);
    return r;
}

static int ask_summary(struct feed *feed, const struct query *query, struct summary *summary,
                       struct reason *reason)
{
    int r;

    if ((r = monitor_client_range(feed->client, query->port, query->role, query->from_usec,
                                  query->until_usec, &summary->total, reason)) < 0 ||
        (r = monitor_client_history(feed->client, query->port, query->role, query->from_usec,
                                    query->until_usec, resolution_to_string(query->by),
                                    &summary->rows, reason)) < 0 ||
        (r = monitor_client_gaps(feed->client, query->from_usec, query->until_usec, &summary->gaps,
                                 reason)) < 0 ||
        (r = fetch_percentile(feed, query, reason)) < 0)
        return r;
    feed->summary_of = *query;
    summary->percentile = feed->percentile;
    summary->range.from_usec = query->from_usec;
    summary->range.until_usec = query->until_usec;
    summary_estimate(summary, now_usec(CLOCK_REALTIME));
    return 0;
}

static void fetch_summary(struct feed *feed)
{
    _cleanup_summary_ struct summary summary = {};
    const struct query *query = &feed->now.query;
    struct reason reason = {};
    struct news *news;
    int r = ask_summary(feed, query, &summary, &reason);

    if (r == -ENOTCONN) {
        lose(feed, &reason);
        return;
    }
    news = begin_news(feed);
    summary_clear(&news->summary);
    news->has_summary = true;
    news->summary_of = *query;
    news->summary = summary;
    news->summary_reason = reason;
    summary = (struct summary){};
    publish(feed);
}

/* ---- changes ---- */

static void carry_out(struct feed *feed, const struct change *change)
{
    struct reason reason = {};
    struct news *news;
    int r;

    if (!feed->client)
        r = fail(&reason, -ENOTCONN, "Cannot change the list of ports: portmond is away");
    else if (change->kind == CHANGE_ADD)
        r = monitor_client_add_port(feed->client, change->port, change->description, &reason);
    else
        r = monitor_client_remove_port(feed->client, change->port, &reason);
    if (r >= 0)
        fail(&reason, 0,
             change->kind == CHANGE_ADD
                 ? "Port %u is watched from now on"
                 : "Port %u is no longer watched; its history stays. If portmond's configuration "
                   "or command line names it, it comes back with the next start or reload.",
             change->port);
    news = begin_news(feed);
    news->has_result = true;
    news->failed = r < 0;
    news->result = reason;
    publish(feed);
    feed->sample_usec = 0;
}

/* ---- the thread ---- */

/** Takes over what has been asked for since; returns how many changes there are, or -1 to stop. */
static int take_requests(struct feed *feed, struct change changes[static MAX_CHANGES])
{
    struct wanted before = feed->now;
    int n;

    pthread_mutex_lock(&feed->lock);
    n = feed->stop ? -1 : (int) feed->n_changes;
    memcpy(changes, feed->changes, sizeof(feed->changes));
    feed->n_changes = 0;
    feed->now = feed->wanted;
    pthread_mutex_unlock(&feed->lock);

    if (feed->now.refreshes != before.refreshes) {
        feed->refused = false;
        feed->retry_usec = feed->sample_usec = feed->summary_usec = 0;
    }
    if (!query_equal(&feed->now.query, &before.query) || feed->now.summary != before.summary)
        feed->summary_usec = 0;
    if (feed->now.query.port != before.query.port || feed->now.query.role != before.query.role ||
        feed->now.connections != before.connections ||
        feed->now.interval_sec != before.interval_sec)
        feed->sample_usec = 0;
    return n;
}

/** The next moment of the steady clock at which the wall's seconds are a multiple of @sec. */
static uint64_t next_sample(uint64_t now, unsigned sec)
{
    uint64_t wall = now_usec(CLOCK_REALTIME) - SAMPLE_DELAY_USEC, interval = sec * USEC_PER_SEC;

    return now + interval - wall % interval;
}

static void do_what_is_due(struct feed *feed)
{
    uint64_t now = now_usec(CLOCK_BOOTTIME);

    if (!feed->client && now >= feed->retry_usec)
        reconnect(feed);
    if (feed->client && feed->now.interval_sec && now >= feed->sample_usec) {
        feed->sample_usec = next_sample(now, feed->now.interval_sec);
        fetch_stats(feed);
        if (feed->client && feed->now.query.port && feed->now.connections && !feed->refused)
            fetch_connections(feed);
    }
    if (feed->client && feed->now.query.port && feed->now.summary && now >= feed->summary_usec) {
        feed->summary_usec = now + SUMMARY_USEC;
        fetch_summary(feed);
    }
}

static void wait_for_next(const struct feed *feed)
{
    struct pollfd awake = {.fd = feed->wake_fd, .events = POLLIN};
    uint64_t now = now_usec(CLOCK_BOOTTIME), next = feed->sample_usec;
    bool summary = feed->now.query.port && feed->now.summary;
    struct timespec timeout;

    if (!feed->client)
        next = feed->retry_usec;
    else if (!feed->now.interval_sec) /* nothing is wanted yet */
        next = UINT64_MAX;
    else if (summary && feed->summary_usec < next)
        next = feed->summary_usec;
    next = next > now ? next - now : 0;
    timeout = (struct timespec){
        .tv_sec = (time_t) (next / USEC_PER_SEC),
        .tv_nsec = (long) (next % USEC_PER_SEC * NSEC_PER_USEC),
    };
    ppoll(&awake, 1, next == UINT64_MAX - now ? NULL : &timeout, NULL);
    clear_event(feed->wake_fd);
}

static void *run(void *userdata)
{
    struct change changes[MAX_CHANGES];
    struct feed *feed = userdata;
    int n;

    while ((n = take_requests(feed, changes)) >= 0) {
        for (int i = 0; i < n; i++)
            carry_out(feed, &changes[i]);
        do_what_is_due(feed);
        wait_for_next(feed);
    }
    feed->client = monitor_client_free(feed->client);
    return NULL;
}

/* ---- the user's side ---- */

static struct feed *feed_free(struct feed *feed)
{
    if (!feed)
        return NULL;
    news_clear(&feed->news);
    monitor_client_free(feed->client);
    safe_close(feed->news_fd);
    safe_close(feed->wake_fd);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
    return NULL;
}

DEFINE_CLEANUP(struct feed, feed_free)

int feed_start(struct feed **ret, struct monitor_client *client,
               const struct monitor_target *target)
{
    _cleanup_(feed_freep) struct feed *feed = calloc(1, sizeof(*feed));
    int r;

    if (!feed) {
        monitor_client_free(client);
        return -ENOMEM;
    }
    feed->client = client;
    feed->target = *target;
    pthread_mutex_init(&feed->lock, NULL);
    feed->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    feed->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (feed->news_fd < 0 || feed->wake_fd < 0)
        return -errno;
    r = pthread_create(&feed->thread, NULL, run, feed);
    if (r != 0)
        return -r;
    *ret = TAKE_PTR(feed);
    return 0;
}

struct feed *feed_stop(struct feed *feed)
{
    struct timespec until;

    if (!feed)
        return NULL;
    pthread_mutex_lock(&feed->lock);
    feed->stop = true;
    pthread_mutex_unlock(&feed->lock);
    wake(feed->wake_fd);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STOP_MSEC * 1000000L;
    until.tv_sec += until.tv_nsec / (long) NSEC_PER_SEC;
    until.tv_nsec %= (long) NSEC_PER_SEC;
    if (pthread_timedjoin_np(feed->thread, NULL, &until) == 0)
        feed_free(feed);
    return NULL;
}

int feed_fd(const struct feed *feed)
{
    return feed->news_fd;
}

void feed_want(struct feed *feed, const struct wanted *wanted)
{
    pthread_mutex_lock(&feed->lock);
    feed->wanted = *wanted;
    pthread_mutex_unlock(&feed->lock);
    wake(feed->wake_fd);
}

int feed_change(struct feed *feed, const struct change *change)
{
    int r = -EBUSY;

    pthread_mutex_lock(&feed->lock);
    if (feed->n_changes < MAX_CHANGES) {
        feed->changes[feed->n_changes++] = *change;
        r = 0;
    }
    pthread_mutex_unlock(&feed->lock);
    wake(feed->wake_fd);
    return r;
}

void feed_take(struct feed *feed, struct news *ret)
{
    clear_event(feed->news_fd);
    pthread_mutex_lock(&feed->lock);
    *ret = feed->news;
    feed->news = (struct news){};
    pthread_mutex_unlock(&feed->lock);
}
