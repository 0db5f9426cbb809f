/* SPDX-License-Identifier: MIT */
#include "daemon/ledger.h"

#include "daemon/ledger-schema.h"
#include "daemon/sql.h"
#include "shared/time-util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LEDGER_FILE "portmon.db"

/* IP protocol number. The only one so far. */
#define PROTOCOL_TCP 6

#define DIRECTORY_MODE 0750

enum query {
    PORTS,
    GET_PORT,
    SAVE_PORT,
    FORGET_PORT,
    GET_SOURCE,
    SET_SOURCE,
    POST_BUCKET,
    POST_DAY,
    POST_TOTAL,
    SET_CHECKPOINT,
    GET_CHECKPOINT,
    TOUCH_SOURCE,
    GET_TOTAL,
    GET_BUCKETS,
    GET_DAYS,
    _QUERY_MAX,
};

#define TRAFFIC_NAMES \
    "rx_bytes, tx_bytes, rx_packets, tx_packets, connections, peak_rx_rate, peak_tx_rate"

#define ADD_TRAFFIC                                            \
    "rx_bytes = rx_bytes + excluded.rx_bytes,"                 \
    "tx_bytes = tx_bytes + excluded.tx_bytes,"                 \
    "rx_packets = rx_packets + excluded.rx_packets,"           \
    "tx_packets = tx_packets + excluded.tx_packets,"           \
    "connections = connections + excluded.connections,"        \
    "peak_rx_rate = max(peak_rx_rate, excluded.peak_rx_rate)," \
    "peak_tx_rate = max(peak_tx_rate, excluded.peak_tx_rate)"

static const char *const query_texts[_QUERY_MAX] = {
    [PORTS] = "SELECT port, added, description FROM port ORDER BY port",
    [GET_PORT] = "SELECT port, added, description FROM port WHERE port = ?",
    [SAVE_PORT] = "INSERT INTO port (port, description, added, first_watched_usec)"
                  " VALUES (?, ?, ?, ?) ON CONFLICT (port) DO UPDATE SET"
                  " description = excluded.description, added = max(added, excluded.added)",
    [FORGET_PORT] = "UPDATE port SET added = 0 WHERE port = ?",
    [GET_SOURCE] = "SELECT 1 FROM source WHERE boot_id = ? AND epoch = ?",
    [SET_SOURCE] = "INSERT INTO source (id, boot_id, epoch, committed_usec) VALUES (1, ?, ?, 0)"
                   " ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id,"
                   " epoch = excluded.epoch",
    [POST_BUCKET] = "INSERT INTO bucket (port, protocol, role, start, " TRAFFIC_NAMES ")"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (port, protocol, role, start) DO UPDATE SET " ADD_TRAFFIC,
    [POST_DAY] = "INSERT INTO day (port, protocol, role, date, " TRAFFIC_NAMES ")"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                 " ON CONFLICT (port, protocol, role, date) DO UPDATE SET " ADD_TRAFFIC,
    [POST_TOTAL] = "INSERT INTO total (port, protocol, role, " TRAFFIC_NAMES ")"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (port, protocol, role) DO UPDATE SET " ADD_TRAFFIC,
    [SET_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoint (port, protocol, role, rx_bytes,"
                       " tx_bytes, rx_packets, tx_packets, opened)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [GET_CHECKPOINT] = "SELECT rx_bytes, tx_bytes, rx_packets, tx_packets, opened FROM checkpoint"
                       " WHERE port = ? AND protocol = ? AND role = ?",
    [TOUCH_SOURCE] = "UPDATE source SET committed_usec = ?",
    [GET_TOTAL] = "SELECT " TRAFFIC_NAMES " FROM total"
                  " WHERE port = ? AND protocol = ? AND role = ?",
    [GET_BUCKETS] = "SELECT " TRAFFIC_NAMES ", start FROM bucket WHERE port = ? AND protocol = ?"
                    " AND role = ? AND start >= ? AND start < ? ORDER BY start",
    [GET_DAYS] = "SELECT " TRAFFIC_NAMES ", date FROM day WHERE port = ? AND protocol = ?"
                 " AND role = ? AND date >= ? AND date < ? ORDER BY date",
};

struct ledger {
    struct sql *sql;
    struct statement *queries[_QUERY_MAX];
    int directory; /* locked */
};

/* ---- opening ---- */

static int lock_directory(const char *directory, struct reason *reason)
{
    _cleanup_close_ int fd = -1;

    if (mkdir(directory, DIRECTORY_MODE) < 0 && errno != EEXIST)
        return fail_errno(reason, -errno, "Cannot make the data directory %s", directory);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(reason, -errno, "Cannot open the data directory %s", directory);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? fail(reason, -EWOULDBLOCK,
                          "The data directory %s is in use by another portmond; stop that one or "
                          "choose another --data-dir",
                          directory)
                   : fail_errno(reason, -errno, "Cannot lock the data directory %s", directory);
    return TAKE_FD(fd);
}

static int open_database(struct ledger *ledger, const char *path, struct reason *reason)
{
    int r;

    r = sql_open(path, &ledger->sql);
    if (r < 0)
        return fail_errno(reason, r, "Cannot open %s", path);
    r = ledger_schema_prepare(ledger->sql, path, reason);
    if (r < 0)
        return r;
    /* WAL lets others read while we write; FULL makes a commit survive a power cut. */
    if ((r = sql_run(ledger->sql, "PRAGMA journal_mode = WAL")) < 0 ||
        (r = sql_run(ledger->sql, "PRAGMA synchronous = FULL")) < 0)
        return fail(reason, r, "Cannot write to %s: %s", path, sql_message(ledger->sql));
    for (enum query query = 0; query < _QUERY_MAX; query++) {
        r = statement_prepare(ledger->sql, query_texts[query], &ledger->queries[query]);
        if (r < 0)
            return fail(reason, r, "Cannot read %s: %s", path, sql_message(ledger->sql));
    }
    return 0;
}

int ledger_open(const char *directory, struct ledger **ret, struct reason *reason)
{
    _cleanup_(ledger_freep) struct ledger *ledger = calloc(1, sizeof(*ledger));
    _cleanup_free_ char *path = NULL;
    int r;

    if (!ledger || asprintf(&path, "%s/" LEDGER_FILE, directory) < 0)
        return -ENOMEM;
    ledger->directory = lock_directory(directory, reason);
    if (ledger->directory < 0)
        return ledger->directory;
    r = open_database(ledger, path, reason);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(ledger);
    return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    for (enum query query = 0; query < _QUERY_MAX; query++)
        statement_free(ledger->queries[query]);
    sql_close(ledger->sql);
    safe_close(ledger->directory);
    free(ledger);
    return NULL;
}

const char *ledger_message(struct ledger *ledger)
{
    return sql_message(ledger->sql);
}

/* ---- ports ---- */

void ledger_port_clear(struct ledger_port *port)
{
    free(port->description);
    *port = (struct ledger_port){};
}

void ledger_ports_free(struct ledger_port *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ledger_port_clear(&ports[i]);
    free(ports);
}

static int read_port(struct statement *query, struct ledger_port *ret)
{
    char *description = strdup(statement_text(query, 2) ?: "");

    if (!description)
        return -ENOMEM;
    *ret = (struct ledger_port){
        .port = (uint16_t) statement_number(query, 0),
        .added = statement_number(query, 1),
        .description = description,
    };
    return 0;
}

int ledger_ports(struct ledger *ledger, struct ledger_port **ret, size_t *ret_n)
{
    struct statement *query = ledger->queries[PORTS];
    struct ledger_port *ports = NULL, *more;
    size_t n = 0, size = 0;
    int r;

    r = statement_bind(query, "");
    while (r >= 0 && (r = statement_step(query)) > 0) {
        if (n == size) {
            size = size * 2 ?: 16;
            more = reallocarray(ports, size, sizeof(*ports));
            if (!more) {
                r = -ENOMEM;
                break;
            }
            ports = more;
        }
        r = read_port(query, &ports[n]);
        if (r >= 0)
            n++;
    }
    if (r < 0) {
        statement_reset(query);
        ledger_ports_free(ports, n);
        return r;
    }
    *ret = ports;
    *ret_n = n;
    return 0;
}

int ledger_get_port(struct ledger *ledger, uint16_t port, struct ledger_port *ret)
{
    struct statement *query = ledger->queries[GET_PORT];
    int r;

    if ((r = statement_bind(query, "u", port)) < 0 || (r = statement_step(query)) <= 0)
        return r;
    r = read_port(query, ret);
    statement_reset(query);
    return r < 0 ? r : 1;
}

int ledger_save_port(struct ledger *ledger, uint16_t port, const char *description, bool added,
                     uint64_t now_usec)
{
    struct statement *query = ledger->queries[SAVE_PORT];
    int r = statement_bind(query, "usut", port, description, added, now_usec);

    return r < 0 ? r : statement_finish(query);
}

int ledger_forget_port(struct ledger *ledger, uint16_t port)
{
    struct statement *query = ledger->queries[FORGET_PORT];
    int r = statement_bind(query, "u", port);

    return r < 0 ? r : statement_finish(query);
}

/* ---- writing ---- */

int ledger_begin(struct ledger *ledger)
{
    return sql_run(ledger->sql, "BEGIN IMMEDIATE");
}

void ledger_rollback(struct ledger *ledger)
{
    sql_run(ledger->sql, "ROLLBACK");
}

int ledger_set_source(struct ledger *ledger, sd_id128_t boot_id, sd_id128_t epoch)
{
    struct statement *get = ledger->queries[GET_SOURCE], *set = ledger->queries[SET_SOURCE];
    char boot[SD_ID128_STRING_MAX], made[SD_ID128_STRING_MAX];
    int r;

    sd_id128_to_string(boot_id, boot);
    sd_id128_to_string(epoch, made);
    if ((r = statement_bind(get, "ss", boot, made)) < 0 || (r = statement_step(get)) < 0)
        return r;
    statement_reset(get);
    if (r > 0)
        return 1;

    if ((r = ledger_begin(ledger)) < 0)
        return r;
    if ((r = sql_run(ledger->sql, "DELETE FROM checkpoint")) < 0 ||
        (r = statement_bind(set, "ss", boot, made)) < 0 || (r = statement_finish(set)) < 0 ||
        (r = sql_run(ledger->sql, "COMMIT")) < 0) {
        ledger_rollback(ledger);
        return r;
    }
    return 0;
}

/** Runs one of the upserts: the account, then a key if it has one, then the traffic. */
static int post(struct statement *query, uint16_t port, enum role role, const uint64_t *key,
                const struct traffic *t)
{
    int r;

    if (key)
        r = statement_bind(query, "uuutttttttt", port, PROTOCOL_TCP, role, *key, t->rx_bytes,
                           t->tx_bytes, t->rx_packets, t->tx_packets, t->connections,
                           t->peak_rx_rate, t->peak_tx_rate);
    else
        r = statement_bind(query, "uuuttttttt", port, PROTOCOL_TCP, role, t->rx_bytes, t->tx_bytes,
                           t->rx_packets, t->tx_packets, t->connections, t->peak_rx_rate,
                           t->peak_tx_rate);
    return r < 0 ? r : statement_finish(query);
}

int ledger_post(struct ledger *ledger, uint16_t port, enum role role,
                const struct interval *interval)
{
    uint64_t start = interval->start_usec / USEC_PER_SEC;
    uint64_t date = date_to_number(date_of(interval->start_usec));
    int r;

    if ((r = post(ledger->queries[POST_BUCKET], port, role, &start, &interval->traffic)) < 0 ||
        (r = post(ledger->queries[POST_DAY], port, role, &date, &interval->traffic)) < 0 ||
        (r = post(ledger->queries[POST_TOTAL], port, role, NULL, &interval->traffic)) < 0)
        return r;
    return 0;
}

int ledger_checkpoint(struct ledger *ledger, const struct port_counters *reading)
{
    struct statement *query = ledger->queries[SET_CHECKPOINT];
    int r = 0;

    for (enum role role = 0; r >= 0 && role < _ROLE_MAX; role++) {
        const struct counters *c = &reading->role[role];

        r = statement_bind(query, "uuuttttt", reading->port, PROTOCOL_TCP, role, c->rx_bytes,
                           c->tx_bytes, c->rx_packets, c->tx_packets, c->opened);
        if (r >= 0)
            r = statement_finish(query);
    }
    return r;
}

int ledger_commit(struct ledger *ledger, uint64_t now_usec)
{
    struct statement *touch = ledger->queries[TOUCH_SOURCE];
    int r;

    if ((r = statement_bind(touch, "t", now_usec)) < 0 || (r = statement_finish(touch)) < 0)
        return r;
    return sql_run(ledger->sql, "COMMIT");
}

/* ---- reading ---- */

static void read_traffic(struct statement *query, struct traffic *ret)
{
    *ret = (struct traffic){
        .rx_bytes = statement_number(query, 0),
        .tx_bytes = statement_number(query, 1),
        .rx_packets = statement_number(query, 2),
        .tx_packets = statement_number(query, 3),
        .connections = statement_number(query, 4),
        .peak_rx_rate = statement_number(query, 5),
        .peak_tx_rate = statement_number(query, 6),
    };
}

int ledger_read_checkpoint(struct ledger *ledger, struct port_counters *ret)
{
    struct statement *query = ledger->queries[GET_CHECKPOINT];
    int r;

    for (enum role role = 0; role < _ROLE_MAX; role++) {
        ret->role[role] = (struct counters){};
        if ((r = statement_bind(query, "uuu", ret->port, PROTOCOL_TCP, role)) < 0 ||
            (r = statement_step(query)) < 0)
            return r;
        if (r == 0)
            continue;
        ret->role[role] = (struct counters){
            .rx_bytes = statement_number(query, 0),
            .tx_bytes = statement_number(query, 1),
            .rx_packets = statement_number(query, 2),
            .tx_packets = statement_number(query, 3),
            .opened = statement_number(query, 4),
        };
        statement_reset(query);
    }
    return 0;
}

int ledger_total(struct ledger *ledger, uint16_t port, enum role role, struct traffic *ret)
{
    struct statement *query = ledger->queries[GET_TOTAL];
    int r;

    *ret = (struct traffic){};
    if ((r = statement_bind(query, "uuu", port, PROTOCOL_TCP, role)) < 0 ||
        (r = statement_step(query)) <= 0)
        return r;
    read_traffic(query, ret);
    statement_reset(query);
    return 0;
}

/** Adds the rows of a query to @history, each under the beginning of its period. */
static int add_rows(struct statement *query, bool days, enum resolution resolution,
                    struct history *history)
{
    struct traffic traffic;
    uint64_t start;
    int r;

    while ((r = statement_step(query)) > 0) {
        read_traffic(query, &traffic);
        start = statement_number(query, 7);
        start = days ? date_start(date_from_number((uint32_t) start)) : start * USEC_PER_SEC;
        r = history_add(history, period_start(resolution, start), &traffic);
        if (r < 0) {
            statement_reset(query);
            return r;
        }
    }
    return r;
}

static int add_buckets(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                       uint64_t until_usec, enum resolution resolution, struct history *history)
{
    struct statement *query = ledger->queries[GET_BUCKETS];
    int r;

    if (from_usec >= until_usec)
        return 0;
    r = statement_bind(query, "uuutt", port, PROTOCOL_TCP, role, from_usec / USEC_PER_SEC,
                       (until_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
    return r < 0 ? r : add_rows(query, false, resolution, history);
}

static int add_days(struct ledger *ledger, uint16_t port, enum role role, struct date from,
                    struct date until, enum resolution resolution, struct history *history)
{
    struct statement *query = ledger->queries[GET_DAYS];
    int r = statement_bind(query, "uuuuu", port, PROTOCOL_TCP, role, date_to_number(from),
                           date_to_number(until));

    return r < 0 ? r : add_rows(query, true, resolution, history);
}

/** The first day that begins at @usec or later. */
static struct date first_whole_day(uint64_t usec)
{
    struct date date = date_of(usec);

    return date_start(date) < usec ? date_add_days(date, 1) : date;
}

/* Whole days come from the rows of days, what is left at both ends from the buckets. */
int ledger_history(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                   uint64_t until_usec, enum resolution resolution, struct history *history)
{
    struct date first = first_whole_day(from_usec), end = date_of(until_usec);
    int r;

    if (resolution < RESOLUTION_DAY || date_compare(first, end) >= 0)
        return add_buckets(ledger, port, role, from_usec, until_usec, resolution, history);
    if ((r = add_buckets(ledger, port, role, from_usec, date_start(first), resolution, history)) <
            0 ||
        (r = add_days(ledger, port, role, first, end, resolution, history)) < 0 ||
        (r = add_buckets(ledger, port, role, date_start(end), until_usec, resolution, history)) < 0)
        return r;
    return 0;
}

int ledger_sum(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
               uint64_t until_usec, struct traffic *ret)
{
    _cleanup_history_ struct history history = {};
    int r = ledger_history(ledger, port, role, from_usec, until_usec, RESOLUTION_DAY, &history);

    if (r < 0)
        return r;
    history_sum(&history, ret);
    return 0;
}
