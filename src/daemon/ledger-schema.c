/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-schema.h"

#include "shared/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* "PMon": how file(1) and we tell a ledger from other databases. */
#define APPLICATION_ID 0x504d6f6e

/* Traffic of some interval. What counts wire bytes later adds two columns that may be NULL. */
#define TRAFFIC_COLUMNS              \
    "rx_bytes INTEGER NOT NULL,"     \
    "tx_bytes INTEGER NOT NULL,"     \
    "rx_packets INTEGER NOT NULL,"   \
    "tx_packets INTEGER NOT NULL,"   \
    "connections INTEGER NOT NULL,"  \
    "peak_rx_rate INTEGER NOT NULL," \
    "peak_tx_rate INTEGER NOT NULL,"

/* Whose traffic: protocol is the IP protocol number (6 is TCP), role 0 is server, 1 is client. */
#define ACCOUNT_COLUMNS          \
    "port INTEGER NOT NULL,"     \
    "protocol INTEGER NOT NULL," \
    "role INTEGER NOT NULL,"

/* migrations[n] brings a ledger of version n to version n + 1. Never change one that was released.
 */
static const char *const migrations[] = {
    /* Every port that was ever watched; `added` over the bus rather than named by configuration. */
    "CREATE TABLE port ("
    "port INTEGER PRIMARY KEY CHECK (port BETWEEN 1 AND 65535),"
    "description TEXT NOT NULL,"
    "added INTEGER NOT NULL,"
    "first_watched_usec INTEGER NOT NULL"
    ") STRICT;"

    /* 5 minutes from `start`, in seconds since the epoch; kept for retention_days. */
    "CREATE TABLE bucket (" ACCOUNT_COLUMNS "start INTEGER NOT NULL," TRAFFIC_COLUMNS
    "PRIMARY KEY (port, protocol, role, start)"
    ") STRICT, WITHOUT ROWID;"

    /* A local day, as the number YYYYMMDD; kept for ever. */
    "CREATE TABLE day (" ACCOUNT_COLUMNS "date INTEGER NOT NULL," TRAFFIC_COLUMNS
    "PRIMARY KEY (port, protocol, role, date)"
    ") STRICT, WITHOUT ROWID;"

    /* All there ever was. */
    "CREATE TABLE total (" ACCOUNT_COLUMNS TRAFFIC_COLUMNS "PRIMARY KEY (port, protocol, role)"
    ") STRICT, WITHOUT ROWID;"

    /* The kernel's counters that all of the above came from, and how far each was counted. */
    "CREATE TABLE source ("
    "id INTEGER PRIMARY KEY CHECK (id = 1),"
    "boot_id TEXT NOT NULL,"
    "epoch TEXT NOT NULL,"
    "committed_usec INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE checkpoint (" ACCOUNT_COLUMNS "rx_bytes INTEGER NOT NULL,"
    "tx_bytes INTEGER NOT NULL,"
    "rx_packets INTEGER NOT NULL,"
    "tx_packets INTEGER NOT NULL,"
    "opened INTEGER NOT NULL,"
    "PRIMARY KEY (port, protocol, role)"
    ") STRICT, WITHOUT ROWID;"

    /* When figures may be wrong, and why. */
    "CREATE TABLE gap ("
    "id INTEGER PRIMARY KEY,"
    "from_usec INTEGER NOT NULL,"
    "until_usec INTEGER NOT NULL,"
    "reason TEXT NOT NULL"
    ") STRICT;",

    /* Whether the last daemon stopped in order, and from when on there is 5-minute detail. */
    "ALTER TABLE source ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE source ADD COLUMN detail_from_usec INTEGER NOT NULL DEFAULT 0;",

    /* When the last commit was by CLOCK_BOOTTIME, which nobody sets; how many connections the
     * kernel had lost by then. The day whose row a bucket is contained in: after a change of the
     * time zone it may not be the one that its start says. */
    "ALTER TABLE source ADD COLUMN committed_boottime_usec INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE source ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN date INTEGER NOT NULL DEFAULT 0;"
    "UPDATE bucket SET date = strftime('%Y%m%d', start, 'unixepoch', 'localtime');",
};

static int migrate(struct sql *sql, size_t version)
{
    char pragma[64];
    int r;

    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu", version + 1);
    if ((r = sql_run(sql, "BEGIN IMMEDIATE")) < 0)
        return r;
    if ((r = sql_run(sql, migrations[version])) < 0 || (r = sql_run(sql, pragma)) < 0 ||
        (r = sql_run(sql, "COMMIT")) < 0) {
        sql_run(sql, "ROLLBACK");
        return r;
    }
    return 0;
}

/** Copies a ledger aside before it is changed for good. An older copy of that version is replaced.
 */
static int back_up(struct sql *sql, const char *path, int64_t version, struct reason *reason)
{
    _cleanup_free_ char *copy = NULL;
    int r;

    if (asprintf(&copy, "%s.schema-%" PRIi64, path, version) < 0)
        return -ENOMEM;
    unlink(copy);
    r = sql_copy(sql, copy);
    if (r < 0)
        return fail(reason, r, "Cannot copy %s to %s before it is brought up to date: %s", path,
                    copy, sql_message(sql));
    log_notice("Bringing %s up to date; as it was it is kept in %s", path, copy);
    return 0;
}

int ledger_schema_prepare(struct sql *sql, const char *path, struct reason *reason)
{
    const int64_t newest = ELEMENTSOF(migrations);
    int64_t application, version, objects;
    char pragma[64];
    int r;

    if ((r = sql_get_number(sql, "PRAGMA application_id", &application)) < 0 ||
        (r = sql_get_number(sql, "PRAGMA user_version", &version)) < 0 ||
        (r = sql_get_number(sql, "SELECT count(*) FROM sqlite_schema", &objects)) < 0)
        return fail(reason, r, "Cannot read %s: %s", path, sql_message(sql));
    if (application != APPLICATION_ID && objects > 0)
        return fail(reason, -EMEDIUMTYPE,
                    "%s is a database, but not one of portmon's; move it away or choose another "
                    "data directory",
                    path);
    if (version > newest)
        return fail(reason, -EOVERFLOW,
                    "%s was made by a newer portmon (schema %" PRIi64 ", this one knows %" PRIi64
                    "); install that version again",
                    path, version, newest);

    if (objects == 0) {
        /* Vacuuming in small steps keeps the file from growing for ever. Only a new file takes it.
         */
        snprintf(pragma, sizeof(pragma), "PRAGMA application_id = %d", APPLICATION_ID);
        if ((r = sql_run(sql, "PRAGMA auto_vacuum = INCREMENTAL")) < 0 ||
            (r = sql_run(sql, pragma)) < 0)
            return fail(reason, r, "Cannot write to %s: %s", path, sql_message(sql));
    }
    if (version > 0 && version < newest) {
        r = back_up(sql, path, version, reason);
        if (r < 0)
            return r;
    }
    for (; version < newest; version++) {
        log_debug("Bringing %s from schema %" PRIi64 " to %" PRIi64, path, version, version + 1);
        r = migrate(sql, (size_t) version);
        if (r < 0)
            return fail(reason, r, "Cannot bring %s from schema %" PRIi64 " to %" PRIi64 ": %s",
                        path, version, version + 1, sql_message(sql));
    }
    return 0;
}
