/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_SQL_H
#define PORTMON_SQL_H

/*
 * SQLite, as the ledger uses it: one connection, prepared statements, errors as negative errno.
 * This is the only part that knows sqlite3.h.
 *
 * Errors: -ENOSPC full, -EROFS read-only, -EBUSY locked by somebody else, -EBADMSG corrupt or not a
 * database, -EIO, -ENOMEM, -ENOENT can't be opened, -EINVAL anything else (a mistake of ours).
 * -ENOTCONN: it is not open, which a NULL says as well.
 */

#include "shared/cleanup.h"

#include <stdint.h>

struct sql;
struct statement;

/** Opens a database, made if need be. Returns 0 or a negative errno. */
int sql_open(const char *path, struct sql **ret);

/** Closes it. Its statements must be gone. Takes NULL; returns NULL. */
struct sql *sql_close(struct sql *sql);
DEFINE_CLEANUP(struct sql, sql_close)

/** What SQLite says of the last error. Valid until the next call. */
const char *sql_message(struct sql *sql);

/** Runs statements that give no rows. */
int sql_run(struct sql *sql, const char *text);

/** Runs one statement that gives one number. */
int sql_get_number(struct sql *sql, const char *text, int64_t *ret);

/** Copies the whole database into a new file, which is on the disk then. */
int sql_copy(struct sql *sql, const char *path);

/** Leaves the write-ahead log alone when the database is closed: it is evidence. */
void sql_keep_log(struct sql *sql);

/** A table and the columns of its primary key, at most four. */
struct sql_table {
    const char *name;
    const char *key[4];
};

/**
 * Copies the rows of a table that can be read, of a damaged database too: from both ends up to
 * where the damage is. Rows that are there already stay. Columns that are missing in @from have
 * their default. Returns the number of rows, or a negative errno if they can't be written.
 */
int64_t sql_salvage(struct sql *from, struct sql *to, const struct sql_table *table);

/** Prepares a statement for the life of the connection. */
int statement_prepare(struct sql *sql, const char *text, struct statement **ret);
struct statement *statement_free(struct statement *statement);
DEFINE_CLEANUP(struct statement, statement_free)

/**
 * Starts a statement anew with the values of its parameters, in order. @types has a letter for
 * each: 'u' unsigned int or what is promoted to int, 't' uint64_t (at most INT64_MAX), 's' const
 * char *. Strings must live until it is reset.
 */
int statement_bind(struct statement *statement, const char *types, ...);

/** 1: there is a row; 0: done, and reset; negative: failed, and reset. */
int statement_step(struct statement *statement);

/** Steps a statement that gives no row. */
int statement_finish(struct statement *statement);

/** Ends a statement before its last row. */
void statement_reset(struct statement *statement);

/** Columns of the current row, from 0. */
uint64_t statement_number(struct statement *statement, int column);
const char *statement_text(struct statement *statement, int column);

#endif
