/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LEDGER_INTERNAL_H
#define PORTMON_LEDGER_INTERNAL_H

/* What the parts of the ledger share: ledger.c opens and writes, ledger-read.c reads,
 * ledger-upkeep.c forgets and re-dates, ledger-rescue.c helps when the file is damaged or gone. */

#include "daemon/ledger.h"
#include "daemon/sql.h"

#include <sys/types.h>

#define LEDGER_FILE "portmon.db"

/** IP protocol number. The only one so far. */
#define PROTOCOL_TCP 6

enum query {
    PORTS,
    GET_PORT,
    NEXT_PORT,
    SAVE_PORT,
    FORGET_PORT,
    GET_SOURCE,
    SET_SOURCE,
    TOUCH_SOURCE,
    SET_DETAIL_FROM,
    POST_BUCKET,
    POST_DAY,
    POST_TOTAL,
    SET_CHECKPOINT,
    GET_CHECKPOINT,
    ADD_GAP,
    GET_GAPS,
    GET_TOTAL,
    GET_BUCKETS,
    GET_DAYS,
    GET_FIRST_BUCKET,
    DELETE_BUCKETS,
    TAKE_BUCKETS,
    DELETE_DAY,
    SUM_DAY,
    _QUERY_MAX,
};

struct ledger {
    char *directory;
    char *path;
    int directory_fd; /* locked */
    struct sql *sql;
    struct statement *queries[_QUERY_MAX];
    dev_t device; /* of the file that is open, to notice when it is gone */
    ino_t inode;
    uint64_t detail_from_usec; /* there are buckets from here on; before, only days */
    unsigned prune_port;       /* where the pass that forgets old detail is; 0: none runs … */
    uint64_t prune_until_usec; /* … and up to when it forgets */
};

/** Opens the database at ledger->path; what was open is closed first. */
int ledger_open_database(struct ledger *ledger, struct reason *reason);

void ledger_close_database(struct ledger *ledger);

/** Adds traffic to the row of an account, and of @key if there is one: a POST_* query. */
int ledger_post_traffic(struct ledger *ledger, enum query query, uint16_t port, enum role role,
                        const uint64_t *key, const struct traffic *traffic);

/** Adds the rows of a bound query, buckets, to @history, each under the start of its period. */
int ledger_read_buckets(struct statement *query, enum resolution resolution,
                        struct history *history);

/** Binds @types and its values to a query and runs it. It gives no rows. */
#define RUN(ledger, query, ...)                                  \
    ({                                                           \
        struct statement *_statement = (ledger)->queries[query]; \
        int _r = statement_bind(_statement, __VA_ARGS__);        \
        _r < 0 ? _r : statement_finish(_statement);              \
    })

#endif
