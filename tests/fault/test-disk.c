/* SPDX-License-Identifier: MIT */
/*
 * A day's work of portmond in two minutes, again and again, and each time the disk does something
 * else at another operation: fails, is full, is locked, ends the process, loses what was not
 * synced. In the end nothing is lost, nothing is there twice, and what could not be counted is in a
 * gap.
 */
#include "daemon/sql.h"
#include "disk.h"
#include "shared/log.h"
#include "test.h"
#include "unit/util.h"
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* How long a session is, and how long a disk that fails for long does. */
#define SESSION_SECONDS 130
#define FAULT_SECONDS   25

/* How long one waits before one starts a daemon again that could not start. */
#define RESTART_SECONDS 2

/* So many restarts in vain make no sense any more. */
#define MAX_STARTS 200

/* What else happens to the file in the course of a session. */
#define INCIDENT_SECOND 91

enum incident {
    NOTHING,
    DELETION, /* of the file, and all that belongs to it */
    DAMAGE,   /* of a page that held nothing */
};

struct session {
    char *directory;
    char *file;
    enum incident incident;
    uint64_t incident_n; /* the operation before it, and the one that made up for it */
    uint64_t repair_n;
    uint64_t mended; /* the second in which the disk works again */
    uint64_t n_starts;
    uint64_t n_checks;
    uint64_t n_failed; /* operations */
    bool wrong_clock;  /* for some time */
    bool lost;         /* something that was to be counted */
    struct reason reason;
};

static struct session *session;

/* ---- what is done in the course of a session ---- */

/** The daemon is gone. Under nobody's supervision its counters are, too. */
static void lose_daemon(void)
{
    session->lost |= !world->kept;
    world_lose_daemon();
}

static void stop(struct monitor **monitor)
{
    *monitor = monitor_free(*monitor);
    lose_daemon();
}

static uint64_t port_total(struct monitor *monitor, unsigned port, enum role role)
{
    struct role_stats stats[_ROLE_MAX];

    return monitor_stats(monitor, (uint16_t) (FIRST_PORT + port), stats) < 0
               ? UINT64_MAX
               : stats[role].total.rx_bytes;
}

/** Figures are exact whenever they can be had, written or not, unless some were lost. */
static void check_figures(struct monitor *monitor)
{
    for (unsigned port = 0; port < N_PORTS; port++) {
        uint64_t truth = world_truth(port, ROLE_CLIENT).rx_bytes, got;

        if (!monitor_watches(monitor, (uint16_t) (FIRST_PORT + port)))
            continue;
        got = port_total(monitor, port, ROLE_CLIENT);
        if (got == UINT64_MAX) {
            CHECK(disk->fault != DISK_WORKS || monitor_ledger_fails(monitor));
            continue;
        }
        session->n_checks++;
        if (!session->lost)
            CHECK_EQ(got, truth);
        else
            CHECK(got <= truth);
    }
}

static void delete_files(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s%s", session->file, suffixes[i]) < 0 || unlink(path) < 0)
            CHECK_FAILED("%s%s can't be deleted", session->file, suffixes[i]);
    }
}

/** Overwrites the only page of an empty table, and lets it be seen. */
static void damage(struct monitor *monitor)
{
    _cleanup_gap_list_ struct gap_list gaps = {};
    struct sql *sql = NULL;
    char page[4096];
    int64_t number = 0;
    FILE *file;

    REQUIRE(sql_open(session->file, &sql) == 0);
    CHECK_EQ(sql_run(sql, "DELETE FROM gap; PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    CHECK_EQ(sql_get_number(sql, "SELECT rootpage FROM sqlite_schema WHERE name = 'gap'", &number),
             0);
    sql_close(sql);
    REQUIRE(number > 0 && (file = fopen(session->file, "r+e")));
    memset(page, 0xff, sizeof(page));
    fseek(file, (number - 1) * (int64_t) sizeof(page), SEEK_SET);
    fwrite(page, sizeof(page), 1, file);
    fclose(file);
    CHECK(monitor_gaps(monitor, 0, UINT64_MAX >> 1, &gaps) < 0);
}

static void happen_to_file(struct monitor *monitor)
{
    enum disk_fault fault = disk->fault;
    uint64_t n = disk->n;

    if (session->incident_n || !session->incident)
        return;
    session->incident_n = n;
    disk->fault = DISK_WORKS; /* what we do ourselves does not fail */
    if (session->incident == DELETION)
        delete_files();
    else
        damage(monitor);
    disk->fault = fault;
    disk->n = n;
}

static void add_port(struct monitor *monitor, unsigned port)
{
    int r = monitor_add(monitor, (uint16_t) (FIRST_PORT + port), "added");

    CHECK(r == 0 || r == -EEXIST || disk->fault != DISK_WORKS);
}

static void remove_port(struct monitor *monitor, unsigned port)
{
    uint16_t number = (uint16_t) (FIRST_PORT + port);

    if (!monitor_watches(monitor, number))
        return;
    if (monitor_prepare_removal(monitor, number) >= 0)
        monitor_remove(monitor, number);
}

/** What happens at this second besides traffic. It may happen again after a crash. */
static void happen(struct monitor **monitor, uint64_t second)
{
    switch (second) {
    case 5:
    case 61:
        add_port(*monitor, 2);
        break;
    case 23:
        add_port(*monitor, 1);
        break;
    case 27:
        monitor_describe(*monitor, FIRST_PORT, "described");
        break;
    case 47:
        remove_port(*monitor, 2);
        break;
    case 83:
        stop(monitor);
        break;
    case INCIDENT_SECOND:
        happen_to_file(*monitor);
        break;
    }
}

static void flush(struct monitor *monitor)
{
    int r = monitor_flush(monitor);

    CHECK(r >= 0 || disk->fault != DISK_WORKS);
    if (r >= 0 && session->incident_n && !session->repair_n)
        session->repair_n = disk->n;
}

/** A disk that fails for long works again some time after it has begun to fail. */
static void mend_if_time(void)
{
    if (!session->mended && disk->failed)
        session->mended = world_second() + FAULT_SECONDS;
    if (session->mended && world_second() >= session->mended)
        disk->fault = DISK_WORKS;
}

/** Lets a second pass. Returns false if the daemon could not be started. */
static bool live_second(struct monitor **monitor)
{
    uint64_t second;

    if (!*monitor) {
        *monitor = world_start(session->directory, &session->reason);
        session->n_starts++;
        if (!*monitor)
            return false;
    }
    happen(monitor, world_second());
    world->wrong_usec = session->wrong_clock && world_second() >= 33 && world_second() < 71
                            ? 3600 * (int64_t) USEC_PER_SEC
                            : 0;
    world_any_traffic();
    world_pass_second();
    second = world_second();
    mend_if_time();
    if (!*monitor)
        return true;
    CHECK(monitor_tick(*monitor) >= 0);
    if (second % 10 == 0)
        flush(*monitor);
    if (second % 7 == 0)
        check_figures(*monitor);
    return true;
}

/** A process that is a daemon, and one after it if it is stopped. Its exit status tells the rest.
 */
static int live(void)
{
    struct monitor *monitor = NULL;

    while (world_second() < SESSION_SECONDS)
        if (!live_second(&monitor))
            return EXIT_FAILURE;
    stop(&monitor);
    return failed_checks ? 2 : EXIT_SUCCESS;
}

static int live_in_child(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(live());
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        CHECK_FAILED("the daemon died: status %d", status);
        return 2;
    }
    return WEXITSTATUS(status);
}

static void remove_index(void)
{
    _cleanup_free_ char *path = scratch_path(session->directory, "portmon.db-shm");

    unlink(path); /* it is in memory */
}

/** Lives on, in one process after the other, until the session is over. */
static void play(void)
{
    while (session->n_starts < MAX_STARTS)
        switch (live_in_child()) {
        case EXIT_SUCCESS:
            return;
        case DISK_EXIT:

            session->n_failed++;
            if (disk->fault == DISK_POWER_CUT) {
                session->lost = true;
                remove_index();
                world_reboot();
            } else
                lose_daemon();
            disk_mend();
            break;
        case EXIT_FAILURE:
            lose_daemon();
            for (int i = 0; i < RESTART_SECONDS; i++) {
                world_any_traffic();
                world_pass_second();
            }

            mend_if_time();
            break;
        default:
            CHECK_FAILED("a check failed in the daemon");
            return;
        }
    CHECK_FAILED("the daemon never started again: %s", session->reason.text);
}

/* ---- what must hold in the end ---- */

/** Whether a second of the right time is in a gap in which traffic is not counted. */
static bool is_missed(const struct gap_list *gaps, uint64_t second)
{
    uint64_t usec = world_time(second) + USEC_PER_SEC / 2;

    for (size_t i = 0; i < gaps->n; i++)
        if ((gaps->gaps[i].reason == GAP_STOPPED || gaps->gaps[i].reason == GAP_CRASHED ||
             gaps->gaps[i].reason == GAP_REBOOTED) &&
            gaps->gaps[i].from_usec < usec && usec < gaps->gaps[i].until_usec)
            return true;
    return false;
}

static void check_port(struct monitor *monitor, const struct gap_list *gaps, unsigned port,
                       enum role role)
{
    struct traffic truth = {}, history = {};

    for (uint64_t second = 0; second <= world_second(); second++)
        if (!is_missed(gaps, second))
            traffic_add(&truth, &world->seconds[second].truth[port][role]);
    CHECK_EQ(monitor_range(monitor, (uint16_t) (FIRST_PORT + port), role, 0, UINT64_MAX, &history),
             truth.rx_bytes ? 0 : -ENOENT);
    CHECK_EQ(history.rx_bytes, truth.rx_bytes);
    CHECK_EQ(history.tx_bytes, truth.tx_bytes);
    CHECK_EQ(history.connections, truth.connections);
}

/** The database is whole, and its tables tell the same. */
static void check_database(void)
{
    static const struct {
        const char *text;
        int64_t wanted;
    } cases[] = {
        {"SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'", 0},
        {"SELECT count(*) FROM bucket WHERE start % 300", 0},
        {"SELECT count(*) FROM (SELECT port, role, date, sum(rx_bytes) AS rx, sum(tx_bytes) AS tx"
         " FROM bucket GROUP BY 1, 2, 3) AS b LEFT JOIN day AS d USING (port, role, date)"
         " WHERE b.rx IS NOT d.rx_bytes OR b.tx IS NOT d.tx_bytes",
         0},
        {"SELECT count(*) FROM (SELECT port, role, sum(rx_bytes) AS rx FROM day GROUP BY 1, 2) AS d"
         " LEFT JOIN total AS t USING (port, role) WHERE d.rx IS NOT t.rx_bytes",
         0},
        {"SELECT count(*) FROM gap WHERE reason = 'skipped'", 0},
    };
    _cleanup_(sql_closep) struct sql *sql = NULL;
    int64_t number;

    REQUIRE(sql_open(session->file, &sql) == 0);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        number = -1;
        CHECK_EQ(sql_get_number(sql, cases[i].text, &number), 0);
        if (number != cases[i].wanted)
            CHECK_FAILED("%s gives %jd", cases[i].text, (intmax_t) number);
    }
}

static void check_end(void)
{
    struct reason reason = {};
    struct monitor *monitor = world_start(session->directory, &reason);
    _cleanup_gap_list_ struct gap_list gaps = {};

    if (!monitor) {
        CHECK_FAILED("it can't be opened any more: %s", reason.text);
        return;
    }
    if (monitor_gaps(monitor, 0, UINT64_MAX >> 1, &gaps) == -EBADMSG)
        monitor_tick(monitor); /* who read this page first was killed before it was mended */
    CHECK_EQ(monitor_gaps(monitor, 0, UINT64_MAX >> 1, &gaps), 0);
    for (unsigned port = 0; port < N_PORTS; port++)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            check_port(monitor, &gaps, port, role);
    /* Of a clock that was set just when the daemon was killed its successor does not know how. */
    for (size_t i = 0; !session->lost && i < gaps.n; i++)
        if ((gaps.gaps[i].reason != GAP_CLOCK || session->n_starts <= 2) &&
            (gaps.gaps[i].reason != GAP_DAMAGED || session->incident != DAMAGE))
            CHECK_FAILED("there is a gap: %s", gap_reason_to_string(gaps.gaps[i].reason));
    monitor_free(monitor);
    check_database();
}

/** One session. Returns how many operations it took. */
static uint64_t run(enum incident incident, bool keeper, enum disk_fault fault, uint64_t first,
                    uint64_t length)
{
    _cleanup_scratch_ char *scratch = scratch_make();
    uint64_t n;

    world_make(WORLD_START_USEC);
    disk_mend();
    *session = (struct session){
        .directory = scratch_path(scratch, "data"),
        .file = scratch_path(scratch, "data/portmon.db"),
        .incident = incident,
        /* Who comes after a reboot does not know that an earlier clock was wrong. */
        .wrong_clock = fault != DISK_POWER_CUT,
    };
    world->keeper = keeper;
    disk->fault = fault;
    disk->first = first;
    disk->length = length;
    disk->chance = first + 1;
    play();
    n = disk->n;
    session->n_failed += disk->failed;
    disk_mend();
    check_end();
    free(session->directory);
    free(session->file);
    return n;
}

/* ---- the sessions ---- */

/** How many operations of a session there are from one that goes wrong to the next: with
 * PORTMON_THOROUGH in the environment 1, with PORTMON_SHARE so many times more than usual. */
static uint64_t stride(uint64_t usual)
{
    const char *share = getenv("PORTMON_SHARE");

    if (getenv("PORTMON_THOROUGH"))
        return 1;
    return usual * (share ? strtoull(share, NULL, 10) : 1);
}

/** A session for each of these operations, which goes wrong. */
static void run_range(enum incident incident, bool keeper, enum disk_fault fault, uint64_t length,
                      uint64_t first, uint64_t last, uint64_t step)
{
    static const char *const incidents[] = {"", ", after deletion", ", after damage"};
    uint64_t n_sessions = 0, n_failed = 0;

    for (; first <= last && !failed_checks; first += step) {
        CONTEXT("%s at operation %ju%s%s%s", disk_fault_name(fault), (uintmax_t) first,
                length > 1 ? " for long" : "", keeper ? "" : ", no keeper", incidents[incident]);
        run(incident, keeper, fault, first, length);
        n_sessions++;
        n_failed += session->n_failed;
    }
    CHECK(n_failed > 0 || getenv("PORTMON_SHARE")); /* a share may miss those that can */
    printf("# %s%s%s: %ju sessions, %ju operations went wrong\n", disk_fault_name(fault),
           incidents[incident], keeper ? "" : ", no keeper", (uintmax_t) n_sessions,
           (uintmax_t) n_failed);
}

static void run_each(enum disk_fault fault, uint64_t length)
{
    for (unsigned keeper = 0; keeper <= 1; keeper++)
        run_range(NOTHING, keeper, fault, length, 1 + keeper,
                  run(NOTHING, keeper, DISK_WORKS, 0, 0), stride(13));
}

/** What goes wrong while the ledger recovers from something else. */
static void run_each_after(enum incident incident, enum disk_fault fault)
{
    run(incident, true, DISK_WORKS, 0, 0);
    run_range(incident, true, fault, 1, session->incident_n + 1, session->repair_n, stride(3));
}

TEST(a_disk_that_works)
{
    for (unsigned keeper = 0; keeper <= 1; keeper++)
        CHECK(run(NOTHING, keeper, DISK_WORKS, 0, 0) > 500);
    CHECK(session->n_checks > 10);
}

TEST(one_operation_fails)
{
    run_each(DISK_FAILS, 1);
}

TEST(the_disk_fails_for_a_while)
{
    run_each(DISK_FAILS, UINT64_MAX);
}

TEST(the_disk_is_full_for_a_moment)
{
    run_each(DISK_IS_FULL, 1);
}

TEST(the_disk_is_full_for_a_while)
{
    run_each(DISK_IS_FULL, UINT64_MAX);
}

TEST(somebody_locks_the_file_for_a_moment)
{
    run_each(DISK_IS_LOCKED, 1);
}

TEST(memory_is_short)
{
    run_each(DISK_NO_MEMORY, 1);
}

TEST(the_daemon_is_killed)
{
    run_each(DISK_CRASH, 1);
}

TEST(the_power_is_cut)
{
    run_each(DISK_POWER_CUT, 1);
}

TEST(while_a_deleted_file_is_written_anew)
{
    run_each_after(DELETION, DISK_FAILS);
    run_each_after(DELETION, DISK_IS_FULL);
    run_each_after(DELETION, DISK_NO_MEMORY);
}

TEST(while_a_damaged_file_is_rescued)
{
    run_each_after(DAMAGE, DISK_FAILS);
    run_each_after(DAMAGE, DISK_IS_FULL);
    run_each_after(DAMAGE, DISK_NO_MEMORY);
    run_each_after(DAMAGE, DISK_CRASH);
}

/* PORTMON_SESSION="INCIDENT KEEPER FAULT FIRST LENGTH", numbers all, plays one session and shows
 * its log. */
static int play_one(const char *text)
{
    unsigned incident, keeper, fault;
    uintmax_t first, length;

    if (sscanf(text, "%u %u %u %ju %ju", &incident, &keeper, &fault, &first, &length) != 5)
        return EXIT_FAILURE;
    log_set_level(LOG_DEBUG);
    run((enum incident) incident, keeper, (enum disk_fault) fault, first, length);
    return failed_checks ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void)
{
    const char *one = getenv("PORTMON_SESSION");

    setenv("TZ", "UTC", 1);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* faster, and nothing here is about a real disk */
    disk_make();
    log_set_level(LOG_EMERG);
    session = mmap(NULL, sizeof(*session), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    return one ? play_one(one) : run_tests();
}
