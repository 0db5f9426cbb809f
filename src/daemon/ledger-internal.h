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
    SET_LOST,
    SET_DETAIL_FROM,
    POST_BUCKET,
    POST_DAY,
    POST_TOTAL,
    TAKE_BUCKET,
    TAKE_DAY,
    DELETE_EMPTY_BUCKET,
    DELETE_EMPTY_DAY,
    SET_CHECKPOINT,
    GET_CHECKPOINT,
    EXTEND_GAP,
    ADD_GAP,
    CHANGE_GAP,
    GET_GAPS,
    BEGIN_READING,
    END_READING,
    GET_TOTAL,
    GET_BUCKETS,
    GET_DAYS,
    GET_FIRST_BUCKET,
    DELETE_BUCKETS,
    _QUERY_MAX,
};

struct ledger {
    char *directory;
    char *path;
    int directory_fd;             /* locked */
    struct sql *sql;              /* NULL if it could not be opened again … */
    struct reason closed_because; /* … which is why */
    struct statement *queries[_QUERY_MAX];
    dev_t device; /* of the file that is open, to notice when it is gone */
    ino_t inode;
    uint64_t detail_from_usec; /* there are buckets from here on; before, only days */
    unsigned prune_port;       /* where the pass that forgets old detail is; 0: none runs … */
    uint64_t prune_until_usec; /* … and up to when it forgets */
};

/** Opens a database of the directory; what was open is closed first. */
int ledger_open_database(struct ledger *ledger, const char *path, struct reason *reason);

void ledger_close_database(struct ledger *ledger);

/** Makes the directory if need be, and locks the one that is there now. */
int ledger_lock_directory(struct ledger *ledger, struct reason *reason);

/** Adds traffic of a bucket that begins at @start, in seconds, to it and to its day. */
int ledger_post_interval(struct ledger *ledger, uint16_t port, enum role role, uint64_t start,
                         const struct traffic *traffic);

/** Binds @types and its values to a query and runs it. It gives no rows. */
#define RUN(ledger, query, ...)                                  \
    ({                                                           \
        struct statement *_statement = (ledger)->queries[query]; \
        int _r = statement_bind(_statement, __VA_ARGS__);        \
        _r < 0 ? _r : statement_finish(_statement);              \
    })

/** Binds them to a query that gives at most one row: 1 if there is one, which must be reset. */
#define RUN_FOR_ROW(ledger, query, ...)                          \
    ({                                                           \
        struct statement *_statement = (ledger)->queries[query]; \
        int _r = statement_bind(_statement, __VA_ARGS__);        \
        _r < 0 ? _r : statement_step(_statement);                \
    })

/** The columns of traffic, and their values as parameters. */
#define TRAFFIC_NAMES \
    "rx_bytes, tx_bytes, rx_packets, tx_packets, connections, peak_rx_rate, peak_tx_rate"
#define TRAFFIC_TYPES "ttttttt"
#define TRAFFIC_VALUES(t)                                                             \
    (t)->rx_bytes, (t)->tx_bytes, (t)->rx_packets, (t)->tx_packets, (t)->connections, \
        (t)->peak_rx_rate, (t)->peak_tx_rate

#endif
