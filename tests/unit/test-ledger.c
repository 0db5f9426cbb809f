/* SPDX-License-Identifier: MIT */
#include "daemon/ledger.h"

#include "unit/ledger-fixture.h"

/* ---- opening ---- */

TEST(directory_and_file_are_made)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct stat status;

    REQUIRE(stat(f.directory, &status) == 0);
    CHECK_EQ(status.st_mode & S_IRWXO, 0); /* who talks to whom is nobody else's business */
    CHECK_EQ(access(f.file, F_OK), 0);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), none);
    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), none);
    CHECK(!ledger_free(NULL));
}

TEST(where_no_directory_can_be)
{
    _cleanup_scratch_ char *scratch = scratch_make();
    _cleanup_free_ char *file = scratch_path(scratch, "file");
    _cleanup_free_ char *missing = scratch_path(scratch, "missing/data");
    struct ledger *ledger = NULL;
    bool rescued = false;
    struct reason reason = {};

    scratch_write(file, "", 0);
    CHECK_EQ(ledger_open(file, &ledger, &rescued, &reason), -ENOTDIR);
    CHECK(strstr(reason.text, file));
    CHECK_EQ(ledger_open(missing, &ledger, &rescued, &reason), -ENOENT);
    CHECK(strstr(reason.text, missing));
    CHECK(!ledger);
}

static bool is_refused(const char *directory)
{
    struct ledger *ledger = NULL;
    bool rescued = false;
    struct reason reason = {};

    return ledger_open(directory, &ledger, &rescued, &reason) == -EWOULDBLOCK && !ledger &&
           strstr(reason.text, directory);
}

static bool is_let_in(const char *directory)
{
    struct ledger *ledger = NULL;
    bool rescued = false;

    return ledger_open(directory, &ledger, &rescued, NULL) == 0 && !ledger_free(ledger);
}

TEST(one_daemon_at_a_time)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(in_child(is_refused, f.directory), EXIT_SUCCESS);
    CHECK(is_refused(f.directory));
    commit(f.ledger, ROLE_SERVER, START, some); /* the first is not disturbed */
    f.ledger = ledger_free(f.ledger);
    CHECK_EQ(in_child(is_let_in, f.directory), EXIT_SUCCESS);
    CHECK(is_let_in(f.directory));
}

/* ---- databases that are not ours ---- */

/** Whether opening is refused with that error, and leaves the file as it was and nothing else. */
static void check_refused(const struct fixture *f, int error)
{
    _cleanup_(bytes_clear) struct bytes before = read_all(f->file);
    _cleanup_(bytes_clear) struct bytes after = {};
    struct ledger *ledger = NULL;
    bool rescued = false;
    struct reason reason = {};

    CHECK_EQ(ledger_open(f->directory, &ledger, &rescued, &reason), error);
    CHECK(!ledger);
    CHECK(strstr(reason.text, f->file));
    after = read_all(f->file);
    CHECK(before.n > 0 && after.n == before.n && memcmp(before.data, after.data, before.n) == 0);
    CHECK_EQ(remove(f->file), 0);
    CHECK_EQ(rmdir(f->directory), 0); /* no journal, no write-ahead log */
}

/** A directory whose database is what these statements make it. */
static struct fixture fixture_of(const char *statements)
{
    struct fixture fixture = fixture_empty();
    struct sql *sql = NULL;

    CHECK_EQ(mkdir(fixture.directory, 0700), 0);
    CHECK_EQ(sql_open(fixture.file, &sql), 0);
    CHECK_EQ(sql_run(sql, statements), 0);
    sql_close(sql);
    return fixture;
}

TEST(other_databases_are_left_alone)
{
    static const char *const others[] = {
        "CREATE TABLE bookmark (url TEXT)",
        "PRAGMA journal_mode = WAL; CREATE TABLE bookmark (url TEXT)",
        "PRAGMA application_id = 4711; PRAGMA user_version = 1; CREATE TABLE port (port INTEGER)",
        "CREATE VIEW one AS SELECT 1",
    };

    for (size_t i = 0; i < ELEMENTSOF(others); i++) {
        struct fixture f;

        CONTEXT("%s", others[i]);
        f = fixture_of(others[i]);
        check_refused(&f, -EMEDIUMTYPE);
        fixture_clear(&f);
    }
}

TEST(a_newer_ledger_is_left_alone)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct sql *sql = NULL;

    commit(f.ledger, ROLE_SERVER, START, some);
    f.ledger = ledger_free(f.ledger);
    REQUIRE(sql_open(f.file, &sql) == 0);
    CHECK_EQ(sql_run(sql, "PRAGMA user_version = 1000; ALTER TABLE bucket ADD novelty TEXT"), 0);
    sql_close(sql);
    check_refused(&f, -EOVERFLOW);
}

/* A crash may leave a file that was made, and marked as ours, but has no tables yet. */
TEST(an_empty_database_becomes_a_ledger)
{
    static const char *const beginnings[] = {"", "PRAGMA application_id = 0x504d6f6e"};

    for (size_t i = 0; i < ELEMENTSOF(beginnings); i++) {
        struct fixture f;

        CONTEXT("%s", beginnings[i]);
        f = fixture_of(beginnings[i]);
        reopen(&f);
        commit(f.ledger, ROLE_SERVER, START, some);
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
        fixture_clear(&f);
    }
}

TEST(an_older_ledger_is_kept_and_brought_up_to_date)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_free_ char *kept = scratch_path(f.directory, FILE_NAME ".schema-1");
    _cleanup_(sql_closep) struct sql *copy = NULL;
    struct sql *sql = NULL;
    int64_t number;

    commit(f.ledger, ROLE_SERVER, START, some);
    f.ledger = ledger_free(f.ledger);
    CHECK(access(kept, F_OK) < 0);
    scratch_write(kept, "of an earlier attempt", 21);
    REQUIRE(sql_open(f.file, &sql) == 0);
    CHECK_EQ(sql_run(sql, "PRAGMA user_version = 1;"
                          "ALTER TABLE source DROP COLUMN stopped;"
                          "ALTER TABLE source DROP COLUMN detail_from_usec;"
                          "ALTER TABLE source DROP COLUMN lost;"
                          "ALTER TABLE source DROP COLUMN committed_boottime_usec;"
                          "ALTER TABLE bucket DROP COLUMN date"),
             0);
    sql_close(sql);

    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    commit(f.ledger, ROLE_SERVER, START, more);
    REQUIRE(sql_open(kept, &copy) == 0);
    CHECK_EQ(sql_get_number(copy, "PRAGMA user_version", &number), 0);
    CHECK_EQ(number, 1);
    CHECK_EQ(sql_get_number(copy, "SELECT rx_bytes FROM total", &number), 0);
    CHECK_EQ(number, some.rx_bytes);
}

/* ---- ports ---- */

static void check_port(struct ledger *ledger, uint16_t number, bool added, const char *description)
{
    _cleanup_(ledger_port_clear) struct ledger_port port = {};

    CHECK_EQ(ledger_get_port(ledger, number, &port), 1);
    CHECK_EQ(port.port, number);
    CHECK_EQ(port.added, added);
    CHECK_STREQ(port.description, description);
}

TEST(ports_stay_as_they_were_described_and_added)
{
    static const struct {
        enum { SAVE, ADD, FORGET } step;
        const char *description;
        bool added;
    } steps[] = {
        {SAVE, "of the configuration", false},
        {ADD, "over the bus", true},
        {SAVE, "described anew", true},
        {FORGET, "described anew", false},
        {SAVE, "", false},
        {ADD, "it's \"back\"; \xe6\x97\xa5", true},
        {ADD, "it's \"back\"; \xe6\x97\xa5", true},
    };
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(ledger_save_port(f.ledger, 443, "another", true, START), 0);
    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        CONTEXT("step %zu", i);
        CHECK_EQ(steps[i].step == FORGET ? ledger_forget_port(f.ledger, 80)
                                         : ledger_save_port(f.ledger, 80, steps[i].description,
                                                            steps[i].step == ADD, START),
                 0);
        check_port(f.ledger, 80, steps[i].added, steps[i].description);
        reopen(&f);
        check_port(f.ledger, 80, steps[i].added, steps[i].description);
        check_port(f.ledger, 443, true, "another");
    }
}

TEST(ports_come_by_number)
{
    static const uint16_t saved[] = {5000, 65535, 1, 80, 443}, wanted[] = {1, 80, 443, 5000, 65535};
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct ledger_port *ports = NULL;
    size_t n = 4711;

    CHECK_EQ(ledger_ports(f.ledger, &ports, &n), 0);
    CHECK_EQ(n, 0);
    ledger_ports_free(ports, n);

    for (size_t i = 0; i < ELEMENTSOF(saved); i++)
        CHECK_EQ(ledger_save_port(f.ledger, saved[i], "x", saved[i] % 2, START), 0);
    CHECK_EQ(ledger_ports(f.ledger, &ports, &n), 0);
    CHECK_EQ(n, ELEMENTSOF(wanted));
    for (size_t i = 0; i < n && i < ELEMENTSOF(wanted); i++) {
        CHECK_EQ(ports[i].port, wanted[i]);
        CHECK_EQ(ports[i].added, wanted[i] % 2);
        CHECK_STREQ(ports[i].description, "x");
    }
    ledger_ports_free(ports, n);
}

TEST(ports_that_are_not)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct ledger_port port = {.port = 4711};

    CHECK_EQ(ledger_get_port(f.ledger, 80, &port), 0);
    CHECK_EQ(port.port, 4711);
    CHECK_EQ(ledger_forget_port(f.ledger, 80), 0); /* nothing to forget */
    CHECK_EQ(ledger_get_port(f.ledger, 80, &port), 0);
    CHECK_EQ(ledger_save_port(f.ledger, 0, "", true, START), -EINVAL);
    CHECK(*ledger_message(f.ledger));
}

/* ---- writing ---- */

TEST(posts_add_up)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct traffic traffic;

    commit(f.ledger, ROLE_SERVER, START, some);
    commit(f.ledger, ROLE_SERVER, START, more); /* a part of the same interval */
    commit(f.ledger, ROLE_CLIENT, START, more);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
    CHECK_TRAFFIC(total(f.ledger, ROLE_CLIENT), more);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, START, START + BUCKET_USEC), both);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, START + BUCKET_USEC, FOREVER), none);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, 0, START), none);
    CHECK_EQ(ledger_total(f.ledger, PORT + 1, ROLE_SERVER, &traffic), 0);
    CHECK_TRAFFIC(traffic, none);

    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_CLIENT, 0, FOREVER), more);
}

TEST(what_is_rolled_back_never_was)
{
    const struct port_counters reading = {.port = PORT, .role[ROLE_SERVER].rx_bytes = 4711};
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct port_counters checkpoint = {.port = PORT};

    commit(f.ledger, ROLE_SERVER, START, some);
    CHECK_EQ(ledger_begin(f.ledger), 0);
    post(f.ledger, PORT, ROLE_SERVER, START, more);
    CHECK_EQ(ledger_checkpoint(f.ledger, &reading), 0);
    ledger_rollback(f.ledger);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, 0, FOREVER), some);
    CHECK_EQ(ledger_get_checkpoint(f.ledger, &checkpoint), 0);
    CHECK_EQ(checkpoint.role[ROLE_SERVER].rx_bytes, 0);

    /* Neither was what is not committed when the ledger is closed. */
    CHECK_EQ(ledger_begin(f.ledger), 0);
    post(f.ledger, PORT, ROLE_SERVER, START, more);
    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);

    ledger_rollback(f.ledger); /* of nothing */
    commit(f.ledger, ROLE_SERVER, START, more);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
}

static bool commits_and_dies(const char *directory)
{
    struct ledger *ledger = NULL;
    bool rescued = false;

    if (ledger_open(directory, &ledger, &rescued, NULL) < 0)
        return false;
    commit(ledger, ROLE_SERVER, START, some);
    CHECK_EQ(ledger_begin(ledger), 0);
    post(ledger, PORT, ROLE_SERVER, START, more);
    return failed_checks == 0;
}

TEST(what_is_committed_survives_a_crash)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    f.ledger = ledger_free(f.ledger);
    CHECK_EQ(in_child(commits_and_dies, f.directory), EXIT_SUCCESS);
    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
}

/* What a full disk does: a flush fails as a whole, and the same flush succeeds later. */
TEST(a_failed_flush_can_be_done_again)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    int r;

    commit(f.ledger, ROLE_SERVER, START, some);
    for (unsigned round = 0; round < 3; round++) {
        limit_file_size(1);
        r = ledger_begin(f.ledger);
        if (r == 0) {
            post(f.ledger, PORT, ROLE_SERVER, START, more);
            r = ledger_commit(f.ledger, START, 0, false);
        }
        CHECK_EQ(r, -EIO);
        CHECK(*ledger_message(f.ledger));
        ledger_rollback(f.ledger);
        limit_file_size(RLIM_INFINITY);
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    }
    commit(f.ledger, ROLE_SERVER, START, more);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
    reopen(&f);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
}

/* A backup reads, an administrator writes: readers never hold us up, writers only for a moment. */
TEST(others_use_the_file_too)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(sql_closep) struct sql *other = NULL;
    int64_t number;

    commit(f.ledger, ROLE_SERVER, START, some);
    REQUIRE(sql_open(f.file, &other) == 0);
    CHECK_EQ(sql_run(other, "BEGIN"), 0);
    CHECK_EQ(sql_get_number(other, "SELECT rx_bytes FROM total", &number), 0);
    CHECK_EQ(number, some.rx_bytes);
    commit(f.ledger, ROLE_SERVER, START, more);
    CHECK_EQ(sql_get_number(other, "SELECT rx_bytes FROM total", &number), 0);
    CHECK_EQ(number, some.rx_bytes); /* a backup is of one moment */
    CHECK_EQ(sql_run(other, "COMMIT"), 0);
    CHECK_EQ(sql_get_number(other, "SELECT rx_bytes FROM total", &number), 0);
    CHECK_EQ(number, both.rx_bytes);

    CHECK_EQ(sql_run(other, "BEGIN IMMEDIATE"), 0);
    CHECK_EQ(ledger_begin(f.ledger), -EBUSY);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
    CHECK_EQ(sql_run(other, "ROLLBACK"), 0);
    commit(f.ledger, ROLE_CLIENT, START, some);
    CHECK_TRAFFIC(total(f.ledger, ROLE_CLIENT), some);
}

/* ---- source and checkpoints ---- */

static const sd_id128_t boot = SD_ID128_ARRAY(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89,
                                              ab, cd, ef);
static const sd_id128_t epoch = SD_ID128_ARRAY(0f, 1e, 2d, 3c, 4b, 5a, 69, 78, 87, 96, a5, b4, c3,
                                               d2, e1, f0);

TEST(checkpoints_belong_to_their_source)
{
    static const sd_id128_t other = SD_ID128_ARRAY(ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff, ff,
                                                   ff, ff, ff, ff);
    const struct {
        const char *name;
        sd_id128_t boot_id, epoch;
        int known;
    } cases[] = {
        {"the first", boot, epoch, 0},          {"the same", boot, epoch, 1},
        {"counters made anew", boot, other, 0}, {"the same again", boot, other, 1},
        {"after a reboot", other, other, 0},    {"the first again is another", boot, epoch, 0},
    };
    const struct port_counters reading = {
        .port = PORT,
        .role[ROLE_SERVER] = {1, 2, 3, 4, 5, 6, 7},
        .role[ROLE_CLIENT] = {10, 20, 30, 40, 50, 60, 70},
    };
    /* How many are open is not what the ledger contains. */
    static const struct counters kept[_ROLE_MAX] = {{1, 2, 3, 4, 5, 0, 0},
                                                    {10, 20, 30, 40, 50, 0, 0}};
    _cleanup_fixture_ struct fixture f = fixture_make();

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct port_counters got = {.port = PORT, .role[ROLE_SERVER] = {9, 9, 9, 9, 9, 9, 9}};
        struct port_counters zero = {.port = PORT + 1};

        CONTEXT("%s", cases[i].name);
        CHECK_EQ(ledger_set_source(f.ledger, cases[i].boot_id, cases[i].epoch), 0);
        CHECK_EQ(ledger_get_checkpoint(f.ledger, &got), cases[i].known);
        for (enum role role = 0; role < _ROLE_MAX; role++)
            CHECK(memcmp(&got.role[role], cases[i].known ? &kept[role] : &zero.role[role],
                         sizeof(got.role[role])) == 0);

        CHECK_EQ(ledger_begin(f.ledger), 0);
        post(f.ledger, PORT, ROLE_SERVER, START, some);
        CHECK_EQ(ledger_checkpoint(f.ledger, &zero), 0);
        CHECK_EQ(ledger_checkpoint(f.ledger, &reading), 0);
        CHECK_EQ(ledger_commit(f.ledger, START, 0, false), 0);
        reopen(&f);

        /* A new source begins its counters anew, not the history. */
        CHECK_EQ(total(f.ledger, ROLE_SERVER).rx_bytes, i + 1);
    }
}

TEST(the_source_tells_how_the_last_daemon_ended)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct ledger_source source = {.committed_usec = 4711};

    CHECK_EQ(ledger_get_source(f.ledger, &source), 0);
    CHECK(sd_id128_is_null(source.boot_id) && sd_id128_is_null(source.epoch));
    CHECK_EQ(source.committed_usec, 0);
    CHECK(!source.stopped);

    CHECK_EQ(ledger_set_source(f.ledger, boot, epoch), 0);
    for (unsigned i = 1; i <= 4; i++) {
        CONTEXT("commit %u", i);
        CHECK_EQ(ledger_begin(f.ledger), 0);
        CHECK_EQ(ledger_set_lost(f.ledger, 10 * i), 0);
        CHECK_EQ(ledger_commit(f.ledger, START + i, i, i % 2), 0);
        reopen(&f);
        CHECK_EQ(ledger_get_source(f.ledger, &source), 0);
        CHECK(sd_id128_equal(source.boot_id, boot) && sd_id128_equal(source.epoch, epoch));
        CHECK_EQ(source.committed_usec, START + i);
        CHECK_EQ(source.committed_boottime_usec, i);
        CHECK_EQ(source.lost, 10 * i);
        CHECK_EQ(source.stopped, i % 2);
    }
}

/* ---- gaps ---- */

TEST(gaps_that_touch_a_range)
{
    static const struct gap gaps[] = {
        {300, 400, GAP_CRASHED}, {100, 200, GAP_STOPPED},  {150, 350, GAP_CLOCK},
        {500, 500, GAP_SKIPPED}, {600, 700, GAP_REBOOTED},
    };
    static const struct {
        uint64_t from_usec, until_usec;
        const char *wanted; /* the places in the list above, oldest first */
    } cases[] = {
        {0, FOREVER, "12034"}, {0, 100, ""},     {0, 101, "1"},   {200, 300, "2"},
        {199, 301, "120"},     {350, 600, "03"}, {699, 700, "4"}, {700, FOREVER, ""},
    };
    _cleanup_fixture_ struct fixture f = fixture_make();

    CHECK_EQ(ledger_begin(f.ledger), 0);
    for (size_t i = 0; i < ELEMENTSOF(gaps); i++)
        CHECK_EQ(ledger_add_gap(f.ledger, &gaps[i]), 0);
    CHECK_EQ(ledger_commit(f.ledger, START, 0, false), 0);
    reopen(&f);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_gap_list_ struct gap_list got = {};

        CONTEXT("case %zu", i);
        CHECK_EQ(ledger_gaps(f.ledger, cases[i].from_usec, cases[i].until_usec, &got), 0);
        CHECK_EQ(got.n, strlen(cases[i].wanted));
        for (size_t n = 0; n < got.n && cases[i].wanted[n]; n++) {
            const struct gap *wanted = &gaps[cases[i].wanted[n] - '0'];

            CHECK_EQ(got.gaps[n].from_usec, wanted->from_usec);
            CHECK_EQ(got.gaps[n].until_usec, wanted->until_usec);
            CHECK_EQ(got.gaps[n].reason, wanted->reason);
        }
    }
}

static void check_gap(struct ledger *ledger, uint64_t from_usec, uint64_t until_usec)
{
    _cleanup_gap_list_ struct gap_list got = {};

    CHECK_EQ(ledger_gaps(ledger, 0, FOREVER, &got), 0);
    REQUIRE(got.n > 0);
    CHECK_EQ(got.gaps[got.n - 1].from_usec, from_usec);
    CHECK_EQ(got.gaps[got.n - 1].until_usec, until_usec);
}

TEST(a_gap_that_goes_on_is_one)
{
    static const struct {
        struct gap gap;
        uint64_t from_usec, until_usec; /* the last one then */
        size_t n;
    } steps[] = {
        {{100, 200, GAP_SKIPPED}, 100, 200, 1}, {{200, 300, GAP_SKIPPED}, 100, 300, 1},
        {{150, 250, GAP_SKIPPED}, 100, 300, 1}, {{301, 400, GAP_SKIPPED}, 301, 400, 2},
        {{400, 500, GAP_CLOCK}, 400, 500, 3},   {{500, 600, GAP_SKIPPED}, 500, 600, 4},
    };
    _cleanup_fixture_ struct fixture f = fixture_make();

    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        _cleanup_gap_list_ struct gap_list got = {};

        CONTEXT("step %zu", i);
        CHECK_EQ(ledger_add_gap(f.ledger, &steps[i].gap), 0);
        reopen(&f);
        check_gap(f.ledger, steps[i].from_usec, steps[i].until_usec);
        CHECK_EQ(ledger_gaps(f.ledger, 0, FOREVER, &got), 0);
        CHECK_EQ(got.n, steps[i].n);
    }
}

TEST(a_gap_that_was_dated_wrongly)
{
    static const struct gap first = {100, 200, GAP_CRASHED}, second = {5000, 6000, GAP_CRASHED},
                            third = {5000, 7000, GAP_CRASHED}, other = {9000, 9500, GAP_CRASHED};
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_gap_list_ struct gap_list got = {};

    CHECK_EQ(ledger_add_gap(f.ledger, &first), 0);
    CHECK_EQ(ledger_change_gap(f.ledger, &first, &second), 0);
    reopen(&f);
    check_gap(f.ledger, 5000, 6000);
    CHECK_EQ(ledger_change_gap(f.ledger, &second, &third), 0);
    check_gap(f.ledger, 5000, 7000);
    CHECK_EQ(ledger_gaps(f.ledger, 0, FOREVER, &got), 0);
    CHECK_EQ(got.n, 1);

    /* One that is not there any more: the new one counts. */
    CHECK_EQ(ledger_change_gap(f.ledger, &first, &other), 0);
    check_gap(f.ledger, 9000, 9500);
}

RUN_TESTS()
