/* SPDX-License-Identifier: MIT */
#include "daemon/ledger.h"

#include "daemon/ledger-internal.h"
#include "daemon/ledger-schema.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIRECTORY_MODE 0750

/* To this the write-ahead log shrinks after a reader has held it up. */
#define WAL_SIZE_LIMIT "16777216"

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

/* Parameters of an account come first, always in this order. */
#define ACCOUNT "port = ? AND protocol = ? AND role = ?"

static const char *const query_texts[_QUERY_MAX] = {
    [PORTS] = "SELECT port, added, description FROM port ORDER BY port",
    [GET_PORT] = "SELECT port, added, description FROM port WHERE port = ?",
    [NEXT_PORT] = "SELECT port FROM port WHERE port >= ? ORDER BY port LIMIT 1",
    [SAVE_PORT] = "INSERT INTO port (port, description, added, first_watched_usec)"
                  " VALUES (?, ?, ?, ?) ON CONFLICT (port) DO UPDATE SET"
                  " description = excluded.description, added = max(added, excluded.added)",
    [FORGET_PORT] = "UPDATE port SET added = 0 WHERE port = ?",
    [GET_SOURCE] = "SELECT boot_id, epoch, stopped, committed_usec, detail_from_usec FROM source",
    [SET_SOURCE] = "INSERT INTO source (id, boot_id, epoch, committed_usec) VALUES (1, ?, ?, 0)"
                   " ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id,"
                   " epoch = excluded.epoch",
    [TOUCH_SOURCE] = "UPDATE source SET committed_usec = ?, stopped = ?",
    [SET_DETAIL_FROM] = "UPDATE source SET detail_from_usec = ?",
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
                       " WHERE " ACCOUNT,
    [ADD_GAP] = "INSERT INTO gap (from_usec, until_usec, reason) VALUES (?, ?, ?)",
    [GET_GAPS] = "SELECT from_usec, until_usec, reason FROM gap"
                 " WHERE until_usec > ? AND from_usec < ? ORDER BY from_usec, id",
    [GET_TOTAL] = "SELECT " TRAFFIC_NAMES " FROM total WHERE " ACCOUNT,
    [GET_BUCKETS] = "SELECT " TRAFFIC_NAMES ", start FROM bucket WHERE " ACCOUNT
                    " AND start >= ? AND start < ? ORDER BY start",
    [GET_DAYS] = "SELECT " TRAFFIC_NAMES ", date FROM day WHERE " ACCOUNT
                 " AND date >= ? AND date < ? ORDER BY date",
    [GET_FIRST_BUCKET] = "SELECT start FROM bucket WHERE " ACCOUNT " ORDER BY start LIMIT 1",
    [DELETE_BUCKETS] = "DELETE FROM bucket WHERE " ACCOUNT " AND start >= ? AND start < ?",
    [TAKE_BUCKETS] = "DELETE FROM bucket WHERE " ACCOUNT " AND start >= ? AND start < ?"
                     " RETURNING " TRAFFIC_NAMES ", start",
    [DELETE_DAY] = "DELETE FROM day WHERE " ACCOUNT " AND date = ?",
    [SUM_DAY] = "INSERT INTO day SELECT port, protocol, role, ?4, sum(rx_bytes), sum(tx_bytes),"
                " sum(rx_packets), sum(tx_packets), sum(connections), max(peak_rx_rate),"
                " max(peak_tx_rate) FROM bucket WHERE port = ?1 AND protocol = ?2 AND role = ?3"
                " AND start >= ?5 AND start < ?6 GROUP BY port, protocol, role",
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

void ledger_close_database(struct ledger *ledger)
{
    for (enum query query = 0; query < _QUERY_MAX; query++)
        ledger->queries[query] = statement_free(ledger->queries[query]);
    ledger->sql = sql_close(ledger->sql);
}

/** Remembers which file is open, and what it knows of its own past. */
static int look_at_file(struct ledger *ledger)
{
    struct statement *query = ledger->queries[GET_SOURCE];
    struct stat status;
    int r;

    if (stat(ledger->path, &status) < 0)
        return -errno;
    ledger->device = status.st_dev;
    ledger->inode = status.st_ino;
    if ((r = statement_bind(query, "")) < 0 || (r = statement_step(query)) < 0)
        return r;
    ledger->detail_from_usec = r > 0 ? statement_number(query, 4) : 0;
    statement_reset(query);
    return 0;
}

int ledger_open_database(struct ledger *ledger, struct reason *reason)
{
    const char *path = ledger->path;
    int r;

    ledger_close_database(ledger);
    r = sql_open(path, &ledger->sql);
    if (r < 0)
        return fail_errno(reason, r, "Cannot open %s", path);
    r = ledger_schema_prepare(ledger->sql, path, reason);
    if (r < 0)
        return r;
    /* WAL lets others read while we write; FULL makes a commit survive a power cut. */
    if ((r = sql_run(ledger->sql, "PRAGMA journal_mode = WAL")) < 0 ||
        (r = sql_run(ledger->sql, "PRAGMA synchronous = FULL")) < 0 ||
        (r = sql_run(ledger->sql, "PRAGMA journal_size_limit = " WAL_SIZE_LIMIT)) < 0)
        return fail(reason, r, "Cannot write to %s: %s", path, sql_message(ledger->sql));
    for (enum query query = 0; r >= 0 && query < _QUERY_MAX; query++)
        r = statement_prepare(ledger->sql, query_texts[query], &ledger->queries[query]);
    if (r < 0 || (r = look_at_file(ledger)) < 0)
        return fail(reason, r, "Cannot read %s: %s", path, sql_message(ledger->sql));
    return 0;
}

int ledger_open(const char *directory, struct ledger **ret, bool *ret_rescued,
                struct reason *reason)
{
    _cleanup_(ledger_freep) struct ledger *ledger = calloc(1, sizeof(*ledger));
    bool rescued = false;
    int r;

    if (!ledger)
        return -ENOMEM;
    ledger->directory_fd = -1;
    ledger->directory = strdup(directory);
    if (!ledger->directory || asprintf(&ledger->path, "%s/" LEDGER_FILE, directory) < 0)
        return -ENOMEM;
    ledger->directory_fd = lock_directory(directory, reason);
    if (ledger->directory_fd < 0)
        return ledger->directory_fd;
    r = ledger_open_database(ledger, reason);
    if (r == -EBADMSG) {
        rescued = true;
        r = ledger_rescue(ledger, reason);
    }
    if (r < 0)
        return r;
    *ret_rescued = rescued;
    *ret = TAKE_PTR(ledger);
    return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    ledger_close_database(ledger);
    safe_close(ledger->directory_fd);
    free(ledger->directory);
    free(ledger->path);
    free(ledger);
    return NULL;
}

const char *ledger_message(struct ledger *ledger)
{
    return ledger->sql ? sql_message(ledger->sql) : "it is not open";
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
    return RUN(ledger, SAVE_PORT, "usut", port, description, added, now_usec);
}

int ledger_forget_port(struct ledger *ledger, uint16_t port)
{
    return RUN(ledger, FORGET_PORT, "u", port);
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

int ledger_commit(struct ledger *ledger, uint64_t now_usec, bool stopped)
{
    int r = RUN(ledger, TOUCH_SOURCE, "tu", now_usec, stopped);

    return r < 0 ? r : sql_run(ledger->sql, "COMMIT");
}

int ledger_post_traffic(struct ledger *ledger, enum query query, uint16_t port, enum role role,
                        const uint64_t *key, const struct traffic *t)
{
    if (key)
        return RUN(ledger, query, "uuutttttttt", port, PROTOCOL_TCP, role, *key, t->rx_bytes,
                   t->tx_bytes, t->rx_packets, t->tx_packets, t->connections, t->peak_rx_rate,
                   t->peak_tx_rate);
    return RUN(ledger, query, "uuuttttttt", port, PROTOCOL_TCP, role, t->rx_bytes, t->tx_bytes,
               t->rx_packets, t->tx_packets, t->connections, t->peak_rx_rate, t->peak_tx_rate);
}

int ledger_post(struct ledger *ledger, uint16_t port, enum role role,
                const struct interval *interval)
{
    uint64_t start = interval->start_usec / USEC_PER_SEC;
    uint64_t date = date_to_number(date_of(interval->start_usec));
    int r;

    if ((r = ledger_post_traffic(ledger, POST_BUCKET, port, role, &start, &interval->traffic)) <
            0 ||
        (r = ledger_post_traffic(ledger, POST_DAY, port, role, &date, &interval->traffic)) < 0 ||
        (r = ledger_post_traffic(ledger, POST_TOTAL, port, role, NULL, &interval->traffic)) < 0)
        return r;
    return 0;
}

int ledger_checkpoint(struct ledger *ledger, const struct port_counters *reading)
{
    int r = 0;

    for (enum role role = 0; r >= 0 && role < _ROLE_MAX; role++) {
        const struct counters *c = &reading->role[role];

        r = RUN(ledger, SET_CHECKPOINT, "uuuttttt", reading->port, PROTOCOL_TCP, role, c->rx_bytes,
                c->tx_bytes, c->rx_packets, c->tx_packets, c->opened);
    }
    return r;
}

int ledger_add_gap(struct ledger *ledger, const struct gap *gap)
{
    return RUN(ledger, ADD_GAP, "tts", gap->from_usec, gap->until_usec,
               gap_reason_to_string(gap->reason));
}

/* ---- the source ---- */

int ledger_get_source(struct ledger *ledger, struct ledger_source *ret)
{
    struct statement *query = ledger->queries[GET_SOURCE];
    int r;

    *ret = (struct ledger_source){};
    if ((r = statement_bind(query, "")) < 0 || (r = statement_step(query)) <= 0)
        return r;
    /* An id that can't be read is that of no counters there are. */
    sd_id128_from_string(statement_text(query, 0) ?: "", &ret->boot_id);
    sd_id128_from_string(statement_text(query, 1) ?: "", &ret->epoch);
    ret->stopped = statement_number(query, 2);
    ret->committed_usec = statement_number(query, 3);
    statement_reset(query);
    return 0;
}

int ledger_set_source(struct ledger *ledger, sd_id128_t boot_id, sd_id128_t epoch)
{
    char boot[SD_ID128_STRING_MAX], made[SD_ID128_STRING_MAX];
    struct ledger_source source;
    int r = ledger_get_source(ledger, &source);

    if (r < 0)
        return r;
    if (sd_id128_equal(source.boot_id, boot_id) && sd_id128_equal(source.epoch, epoch))
        return 0;
    r = sql_run(ledger->sql, "DELETE FROM checkpoint");
    if (r < 0)
        return r;
    return RUN(ledger, SET_SOURCE, "ss", sd_id128_to_string(boot_id, boot),
               sd_id128_to_string(epoch, made));
}

int ledger_get_checkpoint(struct ledger *ledger, struct port_counters *ret)
{
    struct statement *query = ledger->queries[GET_CHECKPOINT];
    int found = 0, r;

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
        found = 1;
    }
    return found;
}
