/* SPDX-License-Identifier: MIT */
#include "daemon/sql.h"

#include "test.h"
#include "unit/util.h"

#include <errno.h>

/** An open database in a directory of its own. */
struct fixture {
    char *directory, *path;
    struct sql *sql;
};

static void fixture_clear(struct fixture *fixture)
{
    sql_close(fixture->sql);
    free(fixture->path);
    scratch_remove(fixture->directory);
}

#define _cleanup_fixture_ _cleanup_(fixture_clear)

static struct fixture fixture_make(void)
{
    struct fixture fixture = {.directory = scratch_make()};

    fixture.path = scratch_path(fixture.directory, "test.db");
    CHECK_EQ(sql_open(fixture.path, &fixture.sql), 0);
    CHECK_EQ(sql_run(fixture.sql, "CREATE TABLE t (number INTEGER, text TEXT) STRICT"), 0);
    return fixture;
}

static int64_t number_of(struct sql *sql, const char *query)
{
    int64_t number = -1;

    CHECK_EQ(sql_get_number(sql, query, &number), 0);
    return number;
}

TEST(nothing_is_taken)
{
    CHECK(!sql_close(NULL));
    CHECK(!statement_free(NULL));
}

TEST(values_go_in_and_come_out)
{
    static const struct {
        uint64_t number;
        const char *text;
    } rows[] = {{0, ""}, {1, "it's; \"quoted\""}, {UINT32_MAX, "\xe6\x97\xa5"}, {INT64_MAX, "end"}};
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(statement_freep) struct statement *insert = NULL, *select = NULL;

    REQUIRE(statement_prepare(f.sql, "INSERT INTO t VALUES (?, ?)", &insert) == 0);
    REQUIRE(statement_prepare(f.sql, "SELECT text, number FROM t WHERE number >= ? ORDER BY number",
                              &select) == 0);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        CHECK_EQ(statement_bind(insert, "ts", rows[i].number, rows[i].text), 0);
        CHECK_EQ(statement_finish(insert), 0);
    }

    /* A statement starts anew with every bind, also from the middle of its rows. */
    CHECK_EQ(statement_bind(select, "u", 0U), 0);
    CHECK_EQ(statement_step(select), 1);
    CHECK_EQ(statement_bind(select, "u", (uint16_t) 1), 0);
    for (size_t i = 1; i < ELEMENTSOF(rows); i++) {
        REQUIRE(statement_step(select) == 1);
        CHECK_STREQ(statement_text(select, 0), rows[i].text);
        CHECK_EQ(statement_number(select, 1), rows[i].number);
    }
    CHECK_EQ(statement_step(select), 0);
    CHECK_EQ(number_of(f.sql, "SELECT count(*) FROM t"), ELEMENTSOF(rows));
}

TEST(a_finished_statement_holds_no_lock)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(statement_freep) struct statement *select = NULL;

    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, ''), (2, '')"), 0);
    REQUIRE(statement_prepare(f.sql, "SELECT number FROM t", &select) == 0);
    CHECK_EQ(statement_bind(select, ""), 0);
    CHECK_EQ(statement_finish(select), 0); /* there would be more rows */
    CHECK_EQ(sql_run(f.sql, "DROP TABLE t"), 0);
}

TEST(one_number)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    int64_t number = 4711;

    CHECK_EQ(number_of(f.sql, "SELECT -5"), -5);
    CHECK_EQ(number_of(f.sql, "SELECT 9223372036854775807"), INT64_MAX);
    CHECK_EQ(number_of(f.sql, "SELECT number FROM t"), 0); /* no row */
    CHECK_EQ(sql_get_number(f.sql, "SELECT nonsense", &number), -EINVAL);
    CHECK_EQ(number, 4711);
}

/* ---- copies ---- */

TEST(a_copy_is_whole)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_free_ char *path = scratch_path(f.directory, "it's a copy");
    _cleanup_(sql_closep) struct sql *copy = NULL;

    CHECK_EQ(sql_run(f.sql, "PRAGMA user_version = 7; INSERT INTO t VALUES (1, 'one')"), 0);
    CHECK_EQ(sql_copy(f.sql, path), 0);
    REQUIRE(sql_open(path, &copy) == 0);
    CHECK_EQ(number_of(copy, "SELECT count(*) FROM t WHERE number = 1 AND text = 'one'"), 1);
    CHECK_EQ(number_of(copy, "PRAGMA user_version"), 7);
    CHECK_EQ(sql_copy(f.sql, path), -EINVAL); /* it writes over nothing */
}

TEST(rows_that_are_there_already_stay)
{
    static const struct sql_table table = {"k", {"a", "b"}};
    _cleanup_fixture_ struct fixture from = fixture_make(), to = fixture_make();

    CHECK_EQ(sql_run(from.sql, "CREATE TABLE k (a INTEGER, b INTEGER, c TEXT, PRIMARY KEY (a, b));"
                               "INSERT INTO k VALUES (1, 1, 'x'), (1, 2, NULL), (2, 1, 'y')"),
             0);
    CHECK_EQ(sql_salvage(from.sql, to.sql, &table), 0); /* it has no such table */
    CHECK_EQ(sql_run(to.sql, "CREATE TABLE k (a INTEGER, b INTEGER, c TEXT, PRIMARY KEY (a, b))"),
             0);
    CHECK_EQ(sql_salvage(from.sql, to.sql, &table), 3);
    CHECK_EQ(number_of(to.sql, "SELECT count(*) FROM k"), 3);
    CHECK_EQ(number_of(to.sql, "SELECT count(*) FROM k WHERE a = 1 AND b = 2 AND c IS NULL"), 1);

    CHECK_EQ(sql_run(to.sql, "DELETE FROM k WHERE a = 1; UPDATE k SET c = 'newer'"), 0);
    CHECK_EQ(sql_salvage(from.sql, to.sql, &table), 2);
    CHECK_EQ(number_of(to.sql, "SELECT count(*) FROM k WHERE c = 'newer'"), 1);
}

TEST(columns_that_are_new_have_their_default)
{
    static const struct sql_table table = {"k", {"a"}};
    _cleanup_fixture_ struct fixture from = fixture_make(), to = fixture_make();

    CHECK_EQ(sql_run(from.sql, "CREATE TABLE k (a INTEGER PRIMARY KEY, \"odd \"\" name\" TEXT);"
                               "INSERT INTO k VALUES (1, 'x')"),
             0);
    CHECK_EQ(sql_run(to.sql, "CREATE TABLE k (new INTEGER NOT NULL DEFAULT 7,"
                             " \"odd \"\" name\" TEXT, a INTEGER PRIMARY KEY)"),
             0);
    CHECK_EQ(sql_salvage(from.sql, to.sql, &table), 1);
    CHECK_EQ(number_of(to.sql, "SELECT new FROM k WHERE a = 1 AND \"odd \"\" name\" = 'x'"), 7);
}

TEST(rows_that_cannot_be_written)
{
    static const struct sql_table table = {"t", {"number"}};
    _cleanup_fixture_ struct fixture from = fixture_make(), to = fixture_make();

    CHECK_EQ(sql_run(from.sql, "INSERT INTO t VALUES (1, '')"), 0);
    CHECK_EQ(sql_run(to.sql, "PRAGMA query_only = ON"), 0);
    CHECK_EQ(sql_salvage(from.sql, to.sql, &table), -EROFS);
}

/* ---- errors ---- */

TEST(what_is_not_open)
{
    struct statement *statement = NULL;
    int64_t number;

    CHECK_EQ(sql_run(NULL, "SELECT 1"), -ENOTCONN);
    CHECK_EQ(sql_get_number(NULL, "SELECT 1", &number), -ENOTCONN);
    CHECK_EQ(statement_prepare(NULL, "SELECT 1", &statement), -ENOTCONN);
    CHECK(!statement);
    CHECK_EQ(statement_bind(NULL, ""), -ENOTCONN);
}

TEST(mistakes_of_ours)
{
    static const char *const texts[] = {
        "nonsense",
        "INSERT INTO missing VALUES (1)",
        "INSERT INTO t VALUES ('not a number', '')",
        "COMMIT",
    };
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(statement_freep) struct statement *statement = NULL;

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        CONTEXT("%s", texts[i]);
        CHECK_EQ(sql_run(f.sql, texts[i]), -EINVAL);
        CHECK(*sql_message(f.sql));
    }
    CHECK_EQ(statement_prepare(f.sql, "SELECT * FROM missing", &statement), -EINVAL);
    CHECK(!statement);
    REQUIRE(statement_prepare(f.sql, "SELECT ?", &statement) == 0);
    CHECK_EQ(statement_bind(statement, "uu", 1U, 2U), -EINVAL);
    CHECK_EQ(statement_bind(statement, "x", 1U), -EINVAL);
}

TEST(what_cannot_be_opened)
{
    _cleanup_scratch_ char *directory = scratch_make();
    _cleanup_free_ char *path = scratch_path(directory, "missing/test.db");
    struct sql *sql = NULL;

    CHECK_EQ(sql_open(path, &sql), -ENOENT);
    CHECK_EQ(sql_open(directory, &sql), -ENOENT);
    CHECK(!sql);
}

TEST(full)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), 0);
    CHECK_EQ(number_of(f.sql, "PRAGMA max_page_count = 4"), 4);
    CHECK_EQ(sql_run(f.sql, "BEGIN IMMEDIATE"), 0);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (2, hex(zeroblob(100000)))"), -ENOSPC);
    sql_run(f.sql, "ROLLBACK");
    CHECK_EQ(number_of(f.sql, "SELECT count(*) FROM t"), 1);
}

TEST(read_only)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(sql_run(f.sql, "PRAGMA query_only = ON"), 0);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), -EROFS);
    CHECK_EQ(sql_run(f.sql, "PRAGMA query_only = OFF"), 0);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), 0);
}

TEST(locked_by_somebody_else)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(sql_closep) struct sql *other = NULL;

    REQUIRE(sql_open(f.path, &other) == 0);
    CHECK_EQ(sql_run(other, "BEGIN IMMEDIATE"), 0);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), -EBUSY);
    CHECK_EQ(number_of(f.sql, "SELECT count(*) FROM t"), 0); /* reading goes on */
    CHECK_EQ(sql_run(other, "ROLLBACK"), 0);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), 0);
}

TEST(locked_by_ourselves)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(statement_freep) struct statement *select = NULL;

    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, ''), (2, '')"), 0);
    REQUIRE(statement_prepare(f.sql, "SELECT number FROM t", &select) == 0);
    CHECK_EQ(statement_step(select), 1);
    CHECK_EQ(sql_run(f.sql, "DROP TABLE t"), -EBUSY);
    statement_reset(select);
    CHECK_EQ(sql_run(f.sql, "DROP TABLE t"), 0);
}

TEST(not_a_database)
{
    static const char text[] = "This is not a database, though longer than its magic number.";
    _cleanup_scratch_ char *directory = scratch_make();
    _cleanup_free_ char *path = scratch_path(directory, "test.db");
    _cleanup_(sql_closep) struct sql *sql = NULL;
    int64_t number;

    scratch_write(path, text, sizeof(text));
    REQUIRE(sql_open(path, &sql) == 0);
    CHECK_EQ(sql_get_number(sql, "SELECT count(*) FROM sqlite_schema", &number), -EBADMSG);
    CHECK(*sql_message(sql));
}

TEST(corrupt)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(sql_closep) struct sql *sql = NULL;

    /* A page that the file has not got. */
    CHECK_EQ(sql_run(f.sql, "PRAGMA writable_schema = ON;"
                            "UPDATE sqlite_schema SET rootpage = 1000"),
             0);
    REQUIRE(sql_open(f.path, &sql) == 0);
    CHECK_EQ(sql_run(sql, "INSERT INTO t VALUES (1, '')"), -EBADMSG);
}

/* A write that the system refuses for another reason than a full disk. */
TEST(input_or_output_fails)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (1, '')"), 0);
    limit_file_size(4096);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (2, hex(zeroblob(100000)))"), -EIO);
    limit_file_size(RLIM_INFINITY);
    CHECK_EQ(number_of(f.sql, "SELECT count(*) FROM t"), 1);
    CHECK_EQ(sql_run(f.sql, "INSERT INTO t VALUES (2, hex(zeroblob(100000)))"), 0);
}

RUN_TESTS()
