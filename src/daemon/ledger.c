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

#define ADD_TRAFFIC                                            \
    "rx_bytes = rx_bytes + excluded.rx_bytes,"                 \
    "tx_bytes = tx_bytes + excluded.tx_bytes,"                 \
    "rx_packets = rx_packets + excluded.rx_packets,"           \
    "tx_packets = tx_packets + excluded.tx_packets,"           \
    "connections = connections + excluded.connections,"        \
    "peak_rx_rate = max(peak_rx_rate, excluded.peak_rx_rate)," \
    "peak_tx_rate = max(peak_tx_rate, excluded.peak_tx_rate)"

/* What is there is never less, unless the ledger was damaged. */
#define TAKE_AMOUNTS                       \
    "rx_bytes = max(rx_bytes - ?, 0),"     \
    "tx_bytes = max(tx_bytes - ?, 0),"     \
    "rx_packets = max(rx_packets - ?, 0)," \
    "tx_packets = max(tx_packets - ?, 0)," \
    "connections = max(connections - ?, 0)"

#define IS_EMPTY \
    "rx_bytes = 0 AND tx_bytes = 0 AND rx_packets = 0 AND tx_packets = 0 AND connections = 0"

/* Parameters of an account come before those of the row, always in this order. */
#define ACCOUNT "port = ? AND protocol = ? AND role = ?"

static const char *const query_texts[_QUERY_MAX] = {
    [PORTS] = "SELECT port, added, description FROM port ORDER BY port",
    [GET_PORT] = "SELECT port, added, description FROM port WHERE port = ?",
    [NEXT_PORT] = "SELECT port FROM port WHERE port >= ? ORDER BY port LIMIT 1",
    [SAVE_PORT] = "INSERT INTO port (port, description, added, first_watched_usec)"
                  " VALUES (?, ?, ?, ?) ON CONFLICT (port) DO UPDATE SET"
                  " description = excluded.description, added = max(added, excluded.added)",
    [FORGET_PORT] = "UPDATE port SET added = 0 WHERE port = ?",
    [GET_SOURCE] = "SELECT boot_id, epoch, stopped, committed_usec,"
                   " committed_boottime_usec, lost, detail_from_usec FROM source",
    [SET_SOURCE] = "INSERT INTO source (id, boot_id, epoch, committed_usec) VALUES (1, ?, ?, 0)"
                   " ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id,"
                   " epoch = excluded.epoch",
    [TOUCH_SOURCE] = "UPDATE source SET committed_usec = ?, committed_boottime_usec = ?,"
                     " stopped = ?",
    [SET_DETAIL_FROM] = "UPDATE source SET detail_from_usec = ?",
    [SET_LOST] = "UPDATE source SET lost = ?",
    [POST_BUCKET] = "INSERT INTO bucket (port, protocol, role, start, date, " TRAFFIC_NAMES ")"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (port, protocol, role, start) DO UPDATE SET " ADD_TRAFFIC
                    " RETURNING date",
    [POST_DAY] = "INSERT INTO day (port, protocol, role, date, " TRAFFIC_NAMES ")"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                 " ON CONFLICT (port, protocol, role, date) DO UPDATE SET " ADD_TRAFFIC,
    [POST_TOTAL] = "INSERT INTO total (port, protocol, role, " TRAFFIC_NAMES ")"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (port, protocol, role) DO UPDATE SET " ADD_TRAFFIC,
    [TAKE_BUCKET] = "UPDATE bucket SET " TAKE_AMOUNTS " WHERE " ACCOUNT
                    " AND start = ? RETURNING date",
    [TAKE_DAY] = "UPDATE day SET " TAKE_AMOUNTS " WHERE " ACCOUNT " AND date = ?",
    [DELETE_EMPTY_BUCKET] = "DELETE FROM bucket WHERE " ACCOUNT " AND start = ? AND " IS_EMPTY,
    [DELETE_EMPTY_DAY] = "DELETE FROM day WHERE " ACCOUNT " AND date = ? AND " IS_EMPTY,
    [SET_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoint (port, protocol, role, rx_bytes,"
                       " tx_bytes, rx_packets, tx_packets, opened)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [GET_CHECKPOINT] = "SELECT rx_bytes, tx_bytes, rx_packets, tx_packets, opened FROM checkpoint"
                       " WHERE " ACCOUNT,
    [EXTEND_GAP] = "UPDATE gap SET until_usec = max(until_usec, ?2) WHERE reason = ?3"
                   " AND id = (SELECT max(id) FROM gap) AND ?1 BETWEEN from_usec AND until_usec"
                   " RETURNING id",
    [ADD_GAP] = "INSERT INTO gap (from_usec, until_usec, reason) VALUES (?, ?, ?)",
    [CHANGE_GAP] = "UPDATE gap SET from_usec = ?, until_usec = ? WHERE from_usec = ?"
                   " AND until_usec = ? AND reason = ? RETURNING id",
    [GET_GAPS] = "SELECT from_usec, until_usec, reason FROM gap"
                 " WHERE until_usec > ? AND from_usec < ? ORDER BY from_usec, id",
    [BEGIN_READING] = "BEGIN",
    [END_READING] = "COMMIT",
    [GET_TOTAL] = "SELECT " TRAFFIC_NAMES " FROM total WHERE " ACCOUNT,
    [GET_BUCKETS] = "SELECT " TRAFFIC_NAMES ", start, date FROM bucket WHERE " ACCOUNT
                    " AND start >= ? AND start < ? AND date >= ? AND date < ? ORDER BY start",
    [GET_DAYS] = "SELECT " TRAFFIC_NAMES ", date FROM day WHERE " ACCOUNT
                 " AND date >= ? AND date < ? ORDER BY date",
    [GET_FIRST_BUCKET] = "SELECT start FROM bucket WHERE " ACCOUNT " ORDER BY start LIMIT 1",
    [DELETE_BUCKETS] = "DELETE FROM bucket WHERE " ACCOUNT " AND start >= ? AND start < ?",
};

/* ---- opening ---- */

int ledger_lock_directory(struct ledger *ledger, struct reason *reason)
{
    const char *directory = ledger->directory;
    _cleanup_close_ int fd = -1;
    struct stat locked, status;

    if (mkdir(directory, DIRECTORY_MODE) < 0 && errno != EEXIST)
        return fail_errno(reason, -errno, "Cannot make the data directory %s", directory);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(reason, -errno, "Cannot open the data directory %s", directory);
    if (ledger->directory_fd >= 0 && fstat(ledger->directory_fd, &locked) == 0 &&
        fstat(fd, &status) == 0 && locked.st_dev == status.st_dev && locked.st_ino == status.st_ino)
        return 0; /* it is ours already */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? fail(reason, -EWOULDBLOCK,
                          "The data directory %s is in use by another portmond; stop that one or "
                          "choose another --data-dir",
                          directory)
                   : fail_errno(reason, -errno, "Cannot lock the data directory %s", directory);
    safe_close(ledger->directory_fd);
    ledger->directory_fd = TAKE_FD(fd);
    return 0;
}

void ledger_close_database(struct ledger *ledger)
{
    for (enum query query = 0; query < _QUERY_MAX; query++)
        ledger->queries[query] = statement_free(ledger->queries[query]);
    ledger->sql = sql_close(ledger->sql);
}

/** Remembers which file is open, and what it knows of its own past. */
static int look_at_file(struct ledger *ledger, const char *path)
{
    struct statement *query = ledger->queries[GET_SOURCE];
    struct stat status;
    int r;

    if (stat(path, &status) < 0)
        return -errno;
    ledger->device = status.st_dev;
    ledger->inode = status.st_ino;
    r = RUN_FOR_ROW(ledger, GET_SOURCE, "");
    if (r < 0)
        return r;
    ledger->detail_from_usec = r > 0 ? statement_number(query, 6) : 0;
    ledger->prune_port = 0;
    statement_reset(query);
    return 0;
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
        (r = sql_run(ledger->sql, "PRAGMA synchronous = FULL")) < 0 ||
        (r = sql_run(ledger->sql, "PRAGMA journal_size_limit = " WAL_SIZE_LIMIT)) < 0)
        return fail(reason, r, "Cannot write to %s: %s", path, sql_message(ledger->sql));
    for (enum query query = 0; r >= 0 && query < _QUERY_MAX; query++)
        r = statement_prepare(ledger->sql, query_texts[query], &ledger->queries[query]);
    if (r < 0 || (r = look_at_file(ledger, path)) < 0)
        return fail(reason, r, "Cannot read %s: %s", path, sql_message(ledger->sql));
    return 0;
}

int ledger_open_database(struct ledger *ledger, const char *path, struct reason *reason)
{
    int r;

    ledger_close_database(ledger);
    r = open_database(ledger, path, &ledger->closed_because);
    if (r < 0) {
        ledger_close_database(ledger);
        fail(reason, r, "%s", ledger->closed_because.text);
    }
    return r;
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
    if ((r = ledger_lock_directory(ledger, reason)) < 0)
        return r;
    r = ledger_open_database(ledger, ledger->path, reason);
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
    return ledger->sql ? sql_message(ledger->sql) : ledger->closed_because.text;
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

    r = RUN_FOR_ROW(ledger, GET_PORT, "u", port);
    if (r <= 0)
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

int ledger_commit(struct ledger *ledger, uint64_t now_usec, uint64_t boottime_usec, bool stopped)
{
    int r = RUN(ledger, TOUCH_SOURCE, "ttu", now_usec, boottime_usec, stopped);

    return r < 0 ? r : ledger_commit_rest(ledger);
}

int ledger_commit_rest(struct ledger *ledger)
{
    return sql_run(ledger->sql, "COMMIT");
}

int ledger_post_interval(struct ledger *ledger, uint16_t port, enum role role, uint64_t start,
                         const struct traffic *traffic)
{
    struct statement *query = ledger->queries[POST_BUCKET];
    unsigned date = date_to_number(date_of(start * USEC_PER_SEC));
    int r;

    r = RUN_FOR_ROW(ledger, POST_BUCKET, "uuutu" TRAFFIC_TYPES, port, PROTOCOL_TCP, role, start,
                    date, TRAFFIC_VALUES(traffic));
    if (r < 0)
        return r;
    date = (unsigned) statement_number(query, 0);
    statement_reset(query);
    return RUN(ledger, POST_DAY, "uuuu" TRAFFIC_TYPES, port, PROTOCOL_TCP, role, date,
               TRAFFIC_VALUES(traffic));
}

int ledger_post(struct ledger *ledger, uint16_t port, enum role role,
                const struct interval *interval)
{
    const struct traffic *traffic = &interval->traffic;
    int r = ledger_post_interval(ledger, port, role, interval->start_usec / USEC_PER_SEC, traffic);

    return r < 0 ? r
                 : RUN(ledger, POST_TOTAL, "uuu" TRAFFIC_TYPES, port, PROTOCOL_TCP, role,
                       TRAFFIC_VALUES(traffic));
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

/** Whether a query gave a row. */
static int any_row(struct ledger *ledger, enum query query, int r)
{
    if (r > 0)
        statement_reset(ledger->queries[query]);
    return r;
}

int ledger_add_gap(struct ledger *ledger, const struct gap *gap)
{
    const char *reason = gap_reason_to_string(gap->reason);
    int r;

    r = any_row(ledger, EXTEND_GAP,
                RUN_FOR_ROW(ledger, EXTEND_GAP, "tts", gap->from_usec, gap->until_usec, reason));
    if (r == 0)
        r = RUN(ledger, ADD_GAP, "tts", gap->from_usec, gap->until_usec, reason);
    return r < 0 ? r : 0;
}

int ledger_change_gap(struct ledger *ledger, const struct gap *old, const struct gap *new)
{
    int r;

    r = any_row(ledger, CHANGE_GAP,
                RUN_FOR_ROW(ledger, CHANGE_GAP, "tttts", new->from_usec, new->until_usec,
                            old->from_usec, old->until_usec, gap_reason_to_string(old->reason)));
    if (r == 0)
        r = ledger_add_gap(ledger, new);
    return r < 0 ? r : 0;
}

/* ---- the source ---- */

int ledger_get_source(struct ledger *ledger, struct ledger_source *ret)
{
    struct statement *query = ledger->queries[GET_SOURCE];
    int r;

    *ret = (struct ledger_source){};
    r = RUN_FOR_ROW(ledger, GET_SOURCE, "");
    if (r <= 0)
        return r;
    /* An id that can't be read is that of no counters there are. */
    sd_id128_from_string(statement_text(query, 0) ?: "", &ret->boot_id);
    sd_id128_from_string(statement_text(query, 1) ?: "", &ret->epoch);
    ret->stopped = statement_number(query, 2);
    ret->committed_usec = statement_number(query, 3);
    ret->committed_boottime_usec = statement_number(query, 4);
    ret->lost = statement_number(query, 5);
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

int ledger_set_lost(struct ledger *ledger, uint64_t lost)
{
    return RUN(ledger, SET_LOST, "t", lost);
}

int ledger_get_checkpoint(struct ledger *ledger, struct port_counters *ret)
{
    struct statement *query = ledger->queries[GET_CHECKPOINT];
    int found = 0, r;

    for (enum role role = 0; role < _ROLE_MAX; role++) {
        ret->role[role] = (struct counters){};
        r = RUN_FOR_ROW(ledger, GET_CHECKPOINT, "uuu", ret->port, PROTOCOL_TCP, role);
        if (r < 0)
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
