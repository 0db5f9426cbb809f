/* SPDX-License-Identifier: MIT */
#include "unit/ledger-fixture.h"

#include <glob.h>
#include <limits.h>

static bool same_bytes(const struct bytes *a, const struct bytes *b)
{
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

/** What was kept aside of a damaged database. There must be one. */
static struct bytes read_aside(const struct fixture *f)
{
    char pattern[PATH_MAX];
    struct bytes bytes = {};
    glob_t found = {};

    snprintf(pattern, sizeof(pattern), "%s.damaged-*Z", f->file);
    if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1)
        bytes = read_all(found.gl_pathv[0]);
    else
        CHECK_FAILED("there is not one file aside but %zu", found.gl_pathc);
    globfree(&found);
    return bytes;
}

/* ---- damage ---- */

TEST(what_is_no_database_is_kept_aside)
{
    static const char *const texts[] = {
        "garbage",
        "SQLite format 4 is not ours, and the rest of these bytes makes no sense at all either; "
        "a database begins with a hundred bytes of which none of these is one.",
    };

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        _cleanup_fixture_ struct fixture f = fixture_empty();
        _cleanup_(bytes_clear) struct bytes aside = {};

        CONTEXT("text %zu", i);
        CHECK_EQ(mkdir(f.directory, 0700), 0);
        scratch_write(f.file, texts[i], strlen(texts[i]));
        CHECK(reopen(&f));
        aside = read_aside(&f);
        CHECK(aside.n == strlen(texts[i]) && memcmp(aside.data, texts[i], aside.n) == 0);
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), none);
        commit(f.ledger, ROLE_SERVER, START, some);
        CHECK(!reopen(&f));
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    }
}

#define N_BUCKETS 600
#define PAGE      ((size_t) 4096) /* SQLite's */

/** Some hundred rows; each of its own traffic. */
static void fill(struct fixture *f)
{
    const struct port_counters reading = {.port = PORT, .role[ROLE_SERVER].rx_bytes = 4711};

    CHECK_EQ(ledger_save_port(f->ledger, PORT, "a port", true, START), 0);
    CHECK_EQ(ledger_set_source(f->ledger, SD_ID128_ALLF, SD_ID128_ALLF), 0);
    CHECK_EQ(ledger_begin(f->ledger), 0);
    CHECK_EQ(ledger_checkpoint(f->ledger, &reading), 0);
    for (uint64_t i = 0; i < N_BUCKETS; i++)
        post(f->ledger, PORT, ROLE_SERVER, START + i * BUCKET_USEC,
             (struct traffic){.rx_bytes = i + 1});
    CHECK_EQ(ledger_commit(f->ledger, START, 0, false), 0);
}

/** What can be read of it. */
struct content {
    struct history history;
    uint64_t sum, total, checkpoint;
    bool port, source, damaged; /* whether it is there; whether a gap says so */
};

/** Reads all there is. Returns 0, or what the first that could not be read failed with. */
static int read_content(struct ledger *ledger, struct content *ret)
{
    _cleanup_(ledger_port_clear) struct ledger_port port = {};
    _cleanup_gap_list_ struct gap_list gaps = {};
    struct port_counters checkpoint = {.port = PORT};
    struct ledger_source source;
    struct traffic all, days;
    int r;

    history_clear(&ret->history);
    if ((r = ledger_history(ledger, PORT, ROLE_SERVER, 0, FOREVER, RESOLUTION_5MIN,
                            &ret->history)) < 0 ||
        (r = ledger_sum(ledger, PORT, ROLE_SERVER, 0, FOREVER, &days)) < 0 ||
        (r = ledger_total(ledger, PORT, ROLE_SERVER, &all)) < 0 ||
        (r = ledger_get_checkpoint(ledger, &checkpoint)) < 0 ||
        (r = ledger_get_source(ledger, &source)) < 0 ||
        (r = ledger_gaps(ledger, 0, FOREVER, &gaps)) < 0 ||
        (r = ledger_get_port(ledger, PORT, &port)) < 0)
        return r;
    ret->sum = days.rx_bytes;
    ret->total = all.rx_bytes;
    ret->checkpoint = checkpoint.role[ROLE_SERVER].rx_bytes;
    ret->source = sd_id128_equal(source.epoch, SD_ID128_ALLF);
    ret->port = r > 0;
    ret->damaged = gaps.n == 1 && gaps.gaps[0].reason == GAP_DAMAGED;
    return 0;
}

/** Opens and reads a ledger as the daemon does. Returns whether it had to be rescued. */
static bool open_and_read(struct fixture *f, struct content *ret)
{
    bool rescued = reopen(f);
    struct reason reason = {};
    int r = read_content(f->ledger, ret);

    if (r == -EBADMSG && !rescued) {
        CHECK_EQ(ledger_rescue(f->ledger, &reason), 0);
        CHECK(strstr(reason.text, f->file));
        rescued = true;
        r = read_content(f->ledger, ret);
    }
    CHECK_EQ(r, 0);
    return rescued;
}

static void damage(struct bytes *bytes, size_t page)
{
    memset(bytes->data + page * PAGE, 0xff, PAGE);
}

/* Whatever page is damaged: the ledger goes on, what it still has is what was posted, and only what
 * was on that page is gone, unless it follows from the rest: days from their buckets, all from the
 * days. The first page leads to all others. */
TEST(one_damaged_page)
{
    const uint64_t all = (uint64_t) N_BUCKETS * (N_BUCKETS + 1) / 2;
    _cleanup_fixture_ struct fixture whole = fixture_make();
    _cleanup_(bytes_clear) struct bytes bytes = {};
    unsigned n_rescued = 0, without_port = 0, without_sum = 0, without_total = 0;
    unsigned without_rows = 0, without_source = 0, without_checkpoint = 0;

    use_zone("UTC");
    fill(&whole);
    whole.ledger = ledger_free(whole.ledger);
    bytes = read_all(whole.file);
    REQUIRE(bytes.n / PAGE > 10);

    for (size_t page = 0; page < bytes.n / PAGE; page++) {
        _cleanup_fixture_ struct fixture f = fixture_empty();
        _cleanup_(bytes_clear) struct bytes aside = {};
        struct content content = {};
        char saved[PAGE];

        CONTEXT("page %zu", page + 1);
        memcpy(saved, bytes.data + page * PAGE, PAGE);
        damage(&bytes, page);
        CHECK_EQ(mkdir(f.directory, 0700), 0);
        scratch_write(f.file, bytes.data, bytes.n);

        if (open_and_read(&f, &content)) {
            aside = read_aside(&f);
            CHECK(same_bytes(&aside, &bytes));
            CHECK(content.damaged);
            n_rescued++;
        }
        without_port += !content.port;
        without_sum += content.sum == 0;
        without_total += content.total == 0;
        without_source += !content.source;
        without_checkpoint += content.checkpoint != 4711;
        without_rows += content.history.n < N_BUCKETS / 2;
        CHECK(content.sum == all || content.sum == 0);
        CHECK(content.total == all || content.total == 0);
        for (size_t i = 0; i < content.history.n; i++)
            CHECK_EQ(content.history.rows[i].traffic.rx_bytes,
                     (content.history.rows[i].start_usec - START) / BUCKET_USEC + 1);
        history_clear(&content.history);

        commit(f.ledger, ROLE_CLIENT, START, some);
        CHECK(!reopen(&f));
        CHECK_TRAFFIC(total(f.ledger, ROLE_CLIENT), some);
        memcpy(bytes.data + page * PAGE, saved, PAGE);
    }
    CHECK(n_rescued > bytes.n / PAGE / 2);
    CHECK_EQ(without_port, 1);
    CHECK_EQ(without_sum, 1);
    CHECK_EQ(without_total, 1);
    CHECK(without_rows <= 2);
    CHECK(without_source <= 2);
    CHECK(without_checkpoint <= 2);
}

static bool commits_and_crashes(const char *directory)
{
    struct ledger *ledger = NULL;
    bool rescued;

    if (ledger_open(directory, &ledger, &rescued, NULL) < 0)
        return false;
    commit(ledger, ROLE_CLIENT, START, some);
    return failed_checks == 0;
}

/* The last commit of a daemon that crashed is in the write-ahead log only. */
TEST(what_a_crash_left_in_the_log_is_taken_over)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(bytes_clear) struct bytes bytes = {};
    struct content content = {};

    fill(&f);
    f.ledger = ledger_free(f.ledger);
    CHECK_EQ(in_child(commits_and_crashes, f.directory), EXIT_SUCCESS);
    bytes = read_all(f.file);
    damage(&bytes, bytes.n / PAGE - 3); /* some of the first buckets; the last are at the end */
    scratch_write(f.file, bytes.data, bytes.n);

    CHECK(open_and_read(&f, &content));
    CHECK_TRAFFIC(total(f.ledger, ROLE_CLIENT), some);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_CLIENT, START, START + BUCKET_USEC), some);
    history_clear(&content.history);
}

/* On a full disk a rescue fails, too. The daemon goes on, and tries again. */
TEST(a_rescue_that_fails_can_be_done_again)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct content content = {};
    struct reason reason = {};

    fill(&f);
    limit_file_size(1);
    CHECK_EQ(ledger_rescue(f.ledger, &reason), -EIO);
    CHECK(strstr(reason.text, f.file));
    CHECK(ledger_begin(f.ledger) < 0);
    ledger_rollback(f.ledger);
    CHECK(*ledger_message(f.ledger));
    limit_file_size(RLIM_INFINITY);

    CHECK_EQ(ledger_check_file(f.ledger, &reason), 0);
    CHECK_EQ(read_content(f.ledger, &content), 0);
    CHECK_EQ(content.history.n, N_BUCKETS);
    CHECK(!content.damaged);
    CHECK_EQ(ledger_rescue(f.ledger, &reason), 0);
    CHECK_EQ(read_content(f.ledger, &content), 0);
    CHECK_EQ(content.history.n, N_BUCKETS);
    CHECK(content.damaged);
    history_clear(&content.history);
}

/* ---- a file that is gone ---- */

TEST(a_file_that_is_there_is_left_alone)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct stat before, after;

    commit(f.ledger, ROLE_SERVER, START, some);
    CHECK_EQ(stat(f.file, &before), 0);
    CHECK_EQ(ledger_check_file(f.ledger, NULL), 0);
    CHECK_EQ(stat(f.file, &after), 0);
    CHECK_EQ(after.st_ino, before.st_ino);
}

/** Removes the files of the data directory, as an administrator may, and the directory. */
static void remove_files(const struct fixture *f, bool directory)
{
    static const char *const names[] = {FILE_NAME, FILE_NAME "-wal", FILE_NAME "-shm"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        _cleanup_free_ char *path = scratch_path(f->directory, names[i]);

        CHECK_EQ(unlink(path), 0);
    }
    if (directory)
        CHECK_EQ(rmdir(f->directory), 0);
}

static bool is_refused(const char *directory)
{
    struct ledger *ledger = NULL;
    bool rescued;

    return ledger_open(directory, &ledger, &rescued, NULL) == -EWOULDBLOCK;
}

TEST(a_deleted_file_is_written_anew)
{
    for (unsigned with_directory = 0; with_directory <= 1; with_directory++) {
        _cleanup_fixture_ struct fixture f = fixture_make();

        CONTEXT("%s", with_directory ? "with its directory" : "alone");
        commit(f.ledger, ROLE_SERVER, START, some);
        remove_files(&f, with_directory);
        CHECK_EQ(ledger_check_file(f.ledger, NULL), 0);
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
        CHECK_EQ(ledger_check_file(f.ledger, NULL), 0);
        CHECK_EQ(in_child(is_refused, f.directory), EXIT_SUCCESS);
        commit(f.ledger, ROLE_SERVER, START, more);
        CHECK(!reopen(&f));
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), both);
    }
}

TEST(another_file_in_its_place_is_left_alone)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(bytes_clear) struct bytes bytes = {};
    struct reason reason = {};

    commit(f.ledger, ROLE_SERVER, START, some);
    CHECK_EQ(unlink(f.file), 0);
    scratch_write(f.file, "another", 7);
    CHECK_EQ(ledger_check_file(f.ledger, &reason), -ESTALE);
    CHECK(strstr(reason.text, f.file));
    bytes = read_all(f.file);
    CHECK(bytes.n == 7 && memcmp(bytes.data, "another", 7) == 0);
}

RUN_TESTS()
