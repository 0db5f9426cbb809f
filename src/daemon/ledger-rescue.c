/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-internal.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* What belongs to a database besides its own file. */
#define LOG_SUFFIX   "-wal"
#define INDEX_SUFFIX "-shm"

/* A database that is being made, to take the place of the one that is or was there. A crash leaves
 * it behind; the next attempt removes it. */
#define NEW_SUFFIX ".new"

/* Everything that is worth taking over, each by its primary key. */
static const struct sql_table tables[] = {
    {"source", {"id"}},
    {"checkpoint", {"port", "protocol", "role"}},
    {"port", {"port"}},
    {"total", {"port", "protocol", "role"}},
    {"day", {"port", "protocol", "role", "date"}},
    {"gap", {"id"}},
    {"bucket", {"port", "protocol", "role", "start"}},
};

static char *with_suffix(const char *path, const char *suffix)
{
    char *result;

    return asprintf(&result, "%s%s", path, suffix) < 0 ? NULL : result;
}

/** Removes a database and what belongs to it, as far as it is there. */
static int remove_database(const char *path)
{
    static const char *const suffixes[] = {"", LOG_SUFFIX, INDEX_SUFFIX};

    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
        _cleanup_free_ char *file = with_suffix(path, suffixes[i]);

        if (!file)
            return -ENOMEM;
        if (unlink(file) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* ---- a file that is gone ---- */

/* The write-ahead log of the old file must go first: it would be taken for that of the new one. The
 * old one is open and needs neither name. */
static int replace_deleted(struct ledger *ledger, const char *copy)
{
    int r;

    if ((r = remove_database(copy)) < 0 || (r = sql_copy(ledger->sql, copy)) < 0 ||
        (r = remove_database(ledger->path)) < 0)
        return r;
    if (rename(copy, ledger->path) < 0 || fsync(ledger->directory_fd) < 0)
        return -errno;
    return 0;
}

int ledger_check_file(struct ledger *ledger, struct reason *reason)
{
    _cleanup_free_ char *copy = with_suffix(ledger->path, NEW_SUFFIX);
    struct stat status;
    int r;

    if (!copy)
        return -ENOMEM;
    if (!ledger->sql) {
        r = ledger_lock_directory(ledger, reason);
        return r < 0 ? r : ledger_open_database(ledger, ledger->path, reason);
    }
    if (stat(ledger->path, &status) == 0) {
        if (status.st_dev == ledger->device && status.st_ino == ledger->inode)
            return 0;
        return fail(reason, -ESTALE,
                    "%s was replaced by another file while it was in use; restart portmond",
                    ledger->path);
    }
    if (errno != ENOENT)
        return fail_errno(reason, -errno, "Cannot look at %s", ledger->path);

    /* The deleted file is still open, with everything in it. */
    if ((r = ledger_lock_directory(ledger, reason)) < 0)
        return r;
    r = replace_deleted(ledger, copy);
    if (r < 0)
        return fail_errno(reason, r, "%s was deleted, and can't be written anew", ledger->path);
    log_event(LOG_WARNING, MESSAGE_LEDGER_FAILURE,
              "%s was deleted while it was in use; it was written anew from the open file",
              ledger->path);
    return ledger_open_database(ledger, ledger->path, reason);
}

/* ---- a file that is damaged ---- */

static char *name_aside(const char *path)
{
    time_t now = time(NULL);
    char suffix[64];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(suffix, sizeof(suffix), ".damaged-%Y%m%dT%H%M%SZ", &tm);
    return with_suffix(path, suffix);
}

/* What is left of damaged pages may be read as rows that make no sense. And what was lost in one
 * table is contained in another: days in their buckets, all in the days. */
static const char *const mending[] = {
#define NONSENSE                                                                     \
    "port NOT BETWEEN 1 AND 65535 OR protocol <> 6 OR role NOT BETWEEN 0 AND 1"      \
    " OR min(rx_bytes, tx_bytes, rx_packets, tx_packets, connections, peak_rx_rate," \
    " peak_tx_rate) < 0"
#define SUM                                                                             \
    "sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets), sum(connections)," \
    " max(peak_rx_rate), max(peak_tx_rate)"
    "DELETE FROM bucket WHERE start % 300 <> 0 OR " NONSENSE,
    "DELETE FROM day WHERE date NOT BETWEEN 19700101 AND 99991231 OR " NONSENSE,
    "DELETE FROM total WHERE " NONSENSE,
    "DELETE FROM gap WHERE until_usec < from_usec",
    "UPDATE bucket SET date = strftime('%Y%m%d', start, 'unixepoch', 'localtime') WHERE date = 0",
    "INSERT OR IGNORE INTO day (port, protocol, role, date, " TRAFFIC_NAMES ")"
    " SELECT port, protocol, role, date, " SUM " FROM bucket GROUP BY 1, 2, 3, 4",
    "INSERT OR IGNORE INTO total (port, protocol, role, " TRAFFIC_NAMES ")"
    " SELECT port, protocol, role, " SUM " FROM day GROUP BY 1, 2, 3",
    "INSERT OR IGNORE INTO port SELECT DISTINCT port, '', 0, 0 FROM total",
#undef NONSENSE
#undef SUM
};

/** Copies what can be read of a damaged ledger into the one that is open. Returns the number of
 * rows. */
static int64_t salvage(struct ledger *ledger, const char *damaged)
{
    const struct gap gap = {0, now_usec(CLOCK_REALTIME), GAP_DAMAGED};
    _cleanup_(sql_closep) struct sql *from = NULL;
    int64_t n, sum = 0;
    int r;

    if ((r = sql_open(damaged, &from)) < 0 || (r = ledger_begin(ledger)) < 0)
        return r;
    sql_keep_log(from);
    for (size_t i = 0; i < ELEMENTSOF(tables); i++) {
        n = sql_salvage(from, ledger->sql, &tables[i]);
        if (n < 0)
            return n;
        sum += n;
    }
    for (size_t i = 0; i < ELEMENTSOF(mending); i++) {
        r = sql_run(ledger->sql, mending[i]);
        if (r < 0 && r != -EINVAL) /* numbers that make no sense may have no sum */
            return r;
    }
    if ((r = ledger_add_gap(ledger, &gap)) < 0 || (r = ledger_commit_rest(ledger)) < 0)
        return r;
    return sum;
}

/** Makes a new ledger of what can be read of the old one. Returns the number of rows. */
static int64_t make_new(struct ledger *ledger, const char *path, struct reason *reason)
{
    int64_t n;
    int r;

    if (ledger->sql)
        sql_keep_log(ledger->sql);
    if ((r = remove_database(path)) < 0)
        return fail_errno(reason, r, "Cannot remove %s", path);
    if ((r = ledger_open_database(ledger, path, reason)) < 0)
        return r;
    /* All in one file; one that is not finished is of no use anyway. */
    r = sql_run(ledger->sql, "PRAGMA journal_mode = MEMORY");
    n = r < 0 ? r : salvage(ledger, ledger->path);
    if (n < 0)
        fail_errno(reason, (int) n, "%s is damaged, and what can be read can't be taken over",
                   ledger->path);
    ledger_close_database(ledger);
    return n;
}

/** Keeps the damaged file aside: by a second name, or where there are none, by another. */
static int keep_aside(const char *path, const char *aside)
{
    if (link(path, aside) == 0 || errno == EEXIST || errno == ENOENT)
        return 0;
    return rename(path, aside) < 0 ? -errno : 0;
}

/** Puts the new one in its place. There always is one, so that a crash does not leave nothing. */
static int swap(struct ledger *ledger, const char *new, const char *aside)
{
    _cleanup_free_ char *log = with_suffix(ledger->path, LOG_SUFFIX);
    _cleanup_free_ char *log_aside = with_suffix(aside, LOG_SUFFIX);
    _cleanup_free_ char *index = with_suffix(ledger->path, INDEX_SUFFIX);
    int r;

    if (!log || !log_aside || !index)
        return -ENOMEM;
    if ((r = keep_aside(ledger->path, aside)) < 0)
        return r;
    if ((rename(log, log_aside) < 0 && errno != ENOENT) || (unlink(index) < 0 && errno != ENOENT) ||
        rename(new, ledger->path) < 0 || fsync(ledger->directory_fd) < 0)
        return -errno;
    return 0;
}

int ledger_rescue(struct ledger *ledger, struct reason *reason)
{
    _cleanup_free_ char *new = with_suffix(ledger->path, NEW_SUFFIX);
    _cleanup_free_ char *aside = name_aside(ledger->path);
    int64_t n;
    int r;

    if (!new || !aside)
        return -ENOMEM;
    n = make_new(ledger, new, reason);
    r = n < 0 ? (int) n : swap(ledger, new, aside);
    if (n >= 0 && r < 0)
        fail_errno(reason, r, "%s is damaged, and can't be moved aside", ledger->path);
    if (r < 0) {
        remove_database(new);
        ledger_open_database(ledger, ledger->path,
                             NULL); /* what can be read is better than nothing */
        return r;
    }
    r = ledger_open_database(ledger, ledger->path, reason);
    if (r < 0)
        return r;
    fail(reason, 0,
         "%s was damaged. It is kept as %s; a new one was begun with the %" PRIi64
         " rows that could be read",
         ledger->path, aside, n);
    return 0;
}
