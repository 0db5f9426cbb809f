/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-internal.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Everything that is worth taking over, each by its primary key. */
static const struct sql_table tables[] = {
    {"port", {"port"}},
    {"total", {"port", "protocol", "role"}},
    {"day", {"port", "protocol", "role", "date"}},
    {"gap", {"id"}},
    {"bucket", {"port", "protocol", "role", "start"}},
};

/* ---- a file that is gone ---- */

int ledger_check_file(struct ledger *ledger, struct reason *reason)
{
    struct stat status;
    int r;

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
    if (mkdir(ledger->directory, 0750) < 0 && errno != EEXIST)
        return fail_errno(reason, -errno, "%s was deleted, and its directory can't be made anew",
                          ledger->path);
    r = sql_copy(ledger->sql, ledger->path);
    if (r < 0) {
        fail(reason, r, "%s was deleted, and can't be written anew: %s", ledger->path,
             sql_message(ledger->sql));
        unlink(ledger->path);
        return r;
    }
    log_event(LOG_WARNING, MESSAGE_LEDGER_FAILURE,
              "%s was deleted while it was in use; it was written anew from the open file",
              ledger->path);
    return ledger_open_database(ledger, reason);
}

/* ---- a file that is damaged ---- */

/** Renames a database and what belongs to it. */
static int move_aside(const char *path, const char *aside)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    int r = 0;

    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
        _cleanup_free_ char *from = NULL, *to = NULL;

        if (asprintf(&from, "%s%s", path, suffixes[i]) < 0 ||
            asprintf(&to, "%s%s", aside, suffixes[i]) < 0)
            return -ENOMEM;
        if (rename(from, to) < 0 && errno != ENOENT)
            r = -errno;
    }
    return r;
}

static char *name_aside(const char *path)
{
    time_t now = time(NULL);
    char stamp[32];
    struct tm tm;
    char *aside;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    return asprintf(&aside, "%s.damaged-%s", path, stamp) < 0 ? NULL : aside;
}

/** Copies what can be read of a damaged ledger. Returns the number of rows. */
static int64_t salvage(struct ledger *ledger, const char *damaged)
{
    _cleanup_(sql_closep) struct sql *from = NULL;
    int64_t n, sum = 0;
    int r;

    r = sql_open(damaged, &from);
    if (r < 0)
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(tables); i++) {
        if (ledger_begin(ledger) < 0)
            break;
        n = sql_salvage(from, ledger->sql, &tables[i]);
        r = sql_run(ledger->sql, "COMMIT");
        if (r < 0)
            ledger_rollback(ledger);
        else
            sum += n;
    }
    return sum;
}

int ledger_rescue(struct ledger *ledger, struct reason *reason)
{
    _cleanup_free_ char *aside = name_aside(ledger->path);
    int64_t n;
    int r;

    if (!aside)
        return -ENOMEM;
    ledger_close_database(ledger);
    r = move_aside(ledger->path, aside);
    if (r < 0)
        return fail_errno(reason, r, "%s is damaged, and can't be moved aside", ledger->path);
    r = ledger_open_database(ledger, reason);
    if (r < 0)
        return r;
    n = salvage(ledger, aside);
    fail(reason, 0,
         "%s was damaged. It is kept as %s; a new one was begun with the %" PRIi64
         " rows that could be read",
         ledger->path, aside, n);
    return 0;
}
