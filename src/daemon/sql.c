/* SPDX-License-Identifier: MIT */
#include "daemon/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* How long a reader or a backup may hold the database before a write gives up: the main loop
 * waits meanwhile. What was not written is kept and tried again. */
#define BUSY_TIMEOUT_MSEC 200

struct sql {
    sqlite3 *db;
};

struct statement {
    sqlite3_stmt *stmt;
};

static int error_from(int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return 0;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* a race for locks that was lost too often */
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_IOERR:
        return -EIO;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return -EINVAL;
    }
}

int sql_open(const char *path, struct sql **ret)
{
    _cleanup_(sql_closep) struct sql *sql = calloc(1, sizeof(*sql));
    int r;

    if (!sql)
        return -ENOMEM;
    r = error_from(sqlite3_open_v2(path, &sql->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                       SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                   NULL));
    if (r < 0)
        return r;
    sqlite3_busy_timeout(sql->db, BUSY_TIMEOUT_MSEC);
    *ret = TAKE_PTR(sql);
    return 0;
}

struct sql *sql_close(struct sql *sql)
{
    if (!sql)
        return NULL;
    sqlite3_close(sql->db);
    free(sql);
    return NULL;
}

const char *sql_message(struct sql *sql)
{
    return sqlite3_errmsg(sql->db);
}

int sql_run(struct sql *sql, const char *text)
{
    if (!sql)
        return -ENOTCONN;
    return error_from(sqlite3_exec(sql->db, text, NULL, NULL, NULL));
}

int sql_get_number(struct sql *sql, const char *text, int64_t *ret)
{
    _cleanup_(statement_freep) struct statement *statement = NULL;
    int r = statement_prepare(sql, text, &statement);

    if (r < 0)
        return r;
    r = statement_step(statement);
    if (r < 0)
        return r;
    *ret = r > 0 ? sqlite3_column_int64(statement->stmt, 0) : 0;
    return 0;
}

int sql_copy(struct sql *sql, const char *path)
{
    _cleanup_(statement_freep) struct statement *statement = NULL;
    _cleanup_close_ int fd = -1;
    int r = statement_prepare(sql, "VACUUM INTO ?", &statement);

    if (r < 0 || (r = statement_bind(statement, "s", path)) < 0 ||
        (r = statement_finish(statement)) < 0)
        return r;
    /* Not every version of SQLite does that. */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

void sql_keep_log(struct sql *sql)
{
    sqlite3_db_config(sql->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

/** Inserts the current row of a query. Returns 1, 0 if it is there already, or a negative errno. */
static int copy_row(sqlite3_stmt *row, sqlite3_stmt *insert, struct sql *to)
{
    int r;

    for (int i = 0; i < sqlite3_column_count(row); i++)
        sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
    r = error_from(sqlite3_step(insert));
    sqlite3_reset(insert);
    return r < 0 ? r : sqlite3_changes(to->db) > 0;
}

/** What writes rows of a query into a table. To be freed by sqlite3_free(). */
static char *insert_text(const char *table, sqlite3_stmt *rows)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    int n = sqlite3_column_count(rows);

    sqlite3_str_appendf(text, "INSERT OR IGNORE INTO %s (", table);
    for (int i = 0; i < n; i++)
        sqlite3_str_appendf(text, "%s\"%w\"", i ? ", " : "", sqlite3_column_name(rows, i));
    sqlite3_str_appendall(text, ") VALUES (");
    for (int i = 0; i < n; i++)
        sqlite3_str_appendall(text, i ? ", ?" : "?");
    sqlite3_str_appendall(text, ")");
    return sqlite3_str_finish(text);
}

/** Prepares the statement that reads a table by its key, and the one that writes such rows. */
static int prepare_salvage(struct sql *from, struct sql *to, const struct sql_table *table,
                           const char *direction, struct statement **ret_rows,
                           struct statement **ret_insert)
{
    char text[256], *insert;
    int n = snprintf(text, sizeof(text), "SELECT * FROM %s ORDER BY ", table->name), r;

    for (int i = 0; i < 4 && table->key[i]; i++)
        n += snprintf(text + n, sizeof(text) - (size_t) n, "%s%s %s", i ? ", " : "", table->key[i],
                      direction);
    r = statement_prepare(from, text, ret_rows);
    if (r < 0)
        return r;
    insert = insert_text(table->name, (*ret_rows)->stmt);
    r = insert ? statement_prepare(to, insert, ret_insert) : -ENOMEM;
    sqlite3_free(insert);
    return r;
}

/** Copies rows until there are no more, or none that can be read, makes sense, or is new. */
static int64_t salvage_direction(struct sql *from, struct sql *to, const struct sql_table *table,
                                 const char *direction)
{
    _cleanup_(statement_freep) struct statement *rows = NULL, *insert = NULL;
    int64_t n = 0;
    int r;

    if (prepare_salvage(from, to, table, direction, &rows, &insert) < 0)
        return 0;
    while (sqlite3_step(rows->stmt) == SQLITE_ROW) {
        r = copy_row(rows->stmt, insert->stmt, to);
        if (r < 0 && r != -EINVAL)
            return r;
        if (r <= 0)
            break;
        n++;
    }
    return n;
}

int64_t sql_salvage(struct sql *from, struct sql *to, const struct sql_table *table)
{
    int64_t n = salvage_direction(from, to, table, "ASC"), m;

    if (n < 0)
        return n;
    m = salvage_direction(from, to, table, "DESC");
    return m < 0 ? m : n + m;
}

int statement_prepare(struct sql *sql, const char *text, struct statement **ret)
{
    _cleanup_(statement_freep) struct statement *statement = calloc(1, sizeof(*statement));
    int r;

    if (!statement)
        return -ENOMEM;
    if (!sql)
        return -ENOTCONN;
    r = error_from(
        sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt, NULL));
    if (r < 0)
        return r;
    *ret = TAKE_PTR(statement);
    return 0;
}

struct statement *statement_free(struct statement *statement)
{
    if (!statement)
        return NULL;
    sqlite3_finalize(statement->stmt);
    free(statement);
    return NULL;
}

int statement_bind(struct statement *statement, const char *types, ...)
{
    va_list values;
    int r = SQLITE_OK;

    if (!statement)
        return -ENOTCONN;
    statement_reset(statement);
    va_start(values, types);
    for (int i = 1; r == SQLITE_OK && *types; i++, types++)
        switch (*types) {
        case 'u':
            r = sqlite3_bind_int64(statement->stmt, i, va_arg(values, unsigned));
            break;
        case 't':
            r = sqlite3_bind_int64(statement->stmt, i, (int64_t) va_arg(values, uint64_t));
            break;
        case 's':
            r = sqlite3_bind_text(statement->stmt, i, va_arg(values, const char *), -1,
                                  SQLITE_STATIC);
            break;
        default:
            r = SQLITE_MISUSE;
        }
    va_end(values);
    return error_from(r);
}

int statement_step(struct statement *statement)
{
    int r = sqlite3_step(statement->stmt);

    if (r == SQLITE_ROW)
        return 1;
    sqlite3_reset(statement->stmt);
    return error_from(r);
}

int statement_finish(struct statement *statement)
{
    int r = statement_step(statement);

    if (r > 0)
        statement_reset(statement);
    return r < 0 ? r : 0;
}

void statement_reset(struct statement *statement)
{
    sqlite3_reset(statement->stmt);
}

uint64_t statement_number(struct statement *statement, int column)
{
    return (uint64_t) sqlite3_column_int64(statement->stmt, column);
}

const char *statement_text(struct statement *statement, int column)
{
    return (const char *) sqlite3_column_text(statement->stmt, column);
}
