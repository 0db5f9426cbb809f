/* SPDX-License-Identifier: MIT */
#include "shared/calendar.h"

#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

#include <errno.h>

#define MINUTE     60
#define HOUR       (60 * MINUTE)
#define END_OF_ERA INT64_C(6311433600) /* 2170-01-01 UTC */

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static uint64_t usec(int64_t sec)
{
    return (uint64_t) sec * USEC_PER_SEC;
}

static const char *date_text(struct date date)
{
    static char buffers[4][DATE_STRING_SIZE];
    static unsigned next;

    return date_format(date, buffers[next++ % ELEMENTSOF(buffers)]);
}

/* As YYYYMMDD. */
#define CHECK_DATE(got, wanted) CHECK_EQ(date_to_number(got), date_to_number(wanted))

/** A moment as YYYY-MM-DDTHH:MM of UTC. */
static int64_t utc(const char *text)
{
    struct tm tm = {};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M", &tm);

    if (!end || *end)
        abort();
    return timegm(&tm);
}

/* ---- dates ---- */

TEST(dates_that_exist)
{
    static const struct {
        struct date date;
        bool valid;
    } cases[] = {
        {{2026, 1, 1}, true},   {{2026, 12, 31}, true}, {{2026, 0, 1}, false},
        {{2026, 13, 1}, false}, {{2026, 1, 0}, false},  {{2026, 1, 32}, false},
        {{2026, 4, 30}, true},  {{2026, 4, 31}, false}, {{2026, 2, 28}, true},
        {{2026, 2, 29}, false}, {{2024, 2, 29}, true},  {{2024, 2, 30}, false},
        {{2000, 2, 29}, true},  {{1900, 2, 29}, false}, {{2100, 2, 29}, false},
        {{1, 1, 1}, true},      {{0, 12, 31}, false},   {{9999, 12, 31}, true},
        {{10000, 1, 1}, false}, {{-1, 1, 1}, false},    {{2026, -1, 1}, false},
        {{2026, 1, -1}, false},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%d-%d-%d", cases[i].date.year, cases[i].date.month, cases[i].date.day);
        CHECK_EQ(date_is_valid(cases[i].date), cases[i].valid);
    }
}

TEST(dates_are_read_whole)
{
    static const char *const bad[] = {
        "",           "2026-11-2",   "2026-11-231", "2026-1-023",  "2026/11/23", "2026-11-00",
        "2026-00-01", "2026-13-01",  "2026-02-29",  "2026-11-31",  " 2026-11-2", "2026-11-2 ",
        "+026-11-23", "-026-11-23",  "2026-+1-23",  "0000-01-01",  "2026-11-ab", "20261123",
        "2026-11--1", "12026-11-23", "today",       "2026-11-23T",
    };
    struct date date = {1, 2, 3};

    CHECK_EQ(date_parse("2026-11-23", &date), 0);
    CHECK_DATE(date, ((struct date){2026, 11, 23}));
    CHECK_EQ(date_parse("2024-02-29", &date), 0);
    CHECK_EQ(date_parse("0001-01-01", &date), 0);
    CHECK_EQ(date_parse("9999-12-31", &date), 0);
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        CONTEXT("%s", bad[i]);
        CHECK_EQ(date_parse(bad[i], &date), -EINVAL);
    }
    CHECK_DATE(date, ((struct date){9999, 12, 31}));
}

/** The day after, told without the code under test. */
static struct date tomorrow(struct date date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = date.year % 400 == 0 || (date.year % 100 != 0 && date.year % 4 == 0);

    if (date.day < days[date.month - 1] + (leap && date.month == 2))
        return (struct date){date.year, date.month, date.day + 1};
    if (date.month < 12)
        return (struct date){date.year, date.month + 1, 1};
    return (struct date){date.year + 1, 1, 1};
}

TEST(every_day_of_800_years_follows_the_one_before)
{
    const struct date first = {1600, 1, 1};
    struct date date = first, parsed = {};

    for (int n = 0; date.year < 2400; n++) {
        struct date next = tomorrow(date);

        CHECK(date_is_valid(date));
        CHECK_DATE(date_add_days(first, n), date);
        CHECK_DATE(date_add_days(date, -n), first);
        CHECK_DATE(date_from_number(date_to_number(date)), date);
        CHECK_EQ(date_parse(date_text(date), &parsed), 0);
        CHECK_DATE(parsed, date);
        CHECK(date_compare(date, next) < 0 && date_compare(next, date) > 0);
        CHECK_EQ(date_compare(date, date), 0);
        CHECK_EQ(days_in_month(date.year, date.month) == date.day, next.day == 1);
        CHECK_DATE(date_month(date), ((struct date){date.year, date.month, 1}));
        date = next;
    }
    CHECK_EQ(date_to_number((struct date){2026, 11, 23}), 20261123);
}

TEST(months_later)
{
    static const struct {
        struct date date;
        int months;
        struct date wanted;
    } cases[] = {
        {{2026, 11, 23}, 0, {2026, 11, 23}},  {{2026, 11, 23}, 1, {2026, 12, 23}},
        {{2026, 12, 31}, 1, {2027, 1, 31}},   {{2026, 1, 31}, 1, {2026, 2, 28}},
        {{2024, 1, 31}, 1, {2024, 2, 29}},    {{2024, 2, 29}, 12, {2025, 2, 28}},
        {{2024, 2, 29}, 48, {2028, 2, 29}},   {{2026, 1, 15}, -1, {2025, 12, 15}},
        {{2026, 3, 31}, -1, {2026, 2, 28}},   {{2026, 12, 1}, -12, {2025, 12, 1}},
        {{2026, 1, 31}, -13, {2024, 12, 31}}, {{2026, 5, 31}, 25, {2028, 6, 30}},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%s and %d months", date_text(cases[i].date), cases[i].months);
        CHECK_DATE(date_add_months(cases[i].date, cases[i].months), cases[i].wanted);
    }
}

/* ---- billing cycles ---- */

TEST(cycles)
{
    static const struct {
        struct date date;
        int day, offset;
        struct date wanted;
    } cases[] = {
        {{2026, 11, 23}, 1, 0, {2026, 11, 1}},   {{2026, 11, 23}, 23, 0, {2026, 11, 23}},
        {{2026, 11, 23}, 24, 0, {2026, 10, 24}}, {{2026, 1, 14}, 15, 0, {2025, 12, 15}},
        {{2026, 12, 31}, 1, 1, {2027, 1, 1}},    {{2026, 1, 1}, 1, -1, {2025, 12, 1}},
        {{2026, 3, 30}, 31, 0, {2026, 2, 28}},   {{2026, 3, 31}, 31, 0, {2026, 3, 31}},
        {{2026, 2, 27}, 31, 0, {2026, 1, 31}},   {{2026, 2, 28}, 31, 0, {2026, 2, 28}},
        {{2024, 2, 28}, 31, 0, {2024, 1, 31}},   {{2024, 2, 29}, 31, 0, {2024, 2, 29}},
        {{2024, 2, 29}, 29, 0, {2024, 2, 29}},   {{2026, 2, 28}, 29, 0, {2026, 2, 28}},
        {{2026, 4, 29}, 31, 0, {2026, 3, 31}},   {{2026, 4, 30}, 31, 0, {2026, 4, 30}},
        {{2026, 1, 31}, 31, 1, {2026, 2, 28}},   {{2026, 1, 31}, 31, 2, {2026, 3, 31}},
        {{2026, 3, 31}, 31, -1, {2026, 2, 28}},  {{2026, 3, 31}, 30, -1, {2026, 2, 28}},
        {{2026, 11, 23}, 5, 14, {2028, 1, 5}},   {{2026, 11, 23}, 5, -23, {2024, 12, 5}},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("cycle day %d, %s, offset %d", cases[i].day, date_text(cases[i].date),
                cases[i].offset);
        CHECK_DATE(cycle_start(cases[i].date, cases[i].day, cases[i].offset), cases[i].wanted);
    }
}

/* Days partition time, as is shown further down; so it is enough that cycles partition the days. */
TEST(cycles_partition_200_years)
{
    for (int day = 1; day <= CYCLE_DAY_MAX; day++) {
        struct date date = {1970, 1, 1}, start = {1969, 12, day};

        CONTEXT("cycle day %d", day);
        for (; date.year < 2170; date = tomorrow(date)) {
            bool last_of_month = tomorrow(date).day == 1;

            if (date.day == day || (last_of_month && date.day < day)) {
                CHECK_DATE(cycle_start(start, day, 1), date);
                CHECK_DATE(cycle_start(date, day, -1), start);
                start = date;
            }
            CHECK_DATE(cycle_start(date, day, 0), start);
        }
    }
}

/* ---- periods and zones ---- */

TEST(names_of_resolutions)
{
    static const char *const names[] = {"5min", "hour", "day", "month"};
    static const char *const bad[] = {"", "Hour", "hours", "5 min", "week", "hour "};

    CHECK_EQ(ELEMENTSOF(names), _RESOLUTION_MAX);
    for (int i = 0; i < _RESOLUTION_MAX; i++) {
        CHECK_STREQ(resolution_to_string(i), names[i]);
        CHECK_EQ(resolution_from_string(names[i]), i);
    }
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        CONTEXT("\"%s\"", bad[i]);
        CHECK_EQ(resolution_from_string(bad[i]), -EINVAL);
    }
}

TEST(five_minutes_are_those_of_utc)
{
    uint64_t start = usec(utc("2026-11-23T17:05"));

    use_zone("ODD-0:44:30"); /* Liberia's until 1972, but for the sign */
    CHECK_EQ(period_start(RESOLUTION_5MIN, start), start);
    CHECK_EQ(period_start(RESOLUTION_5MIN, start + BUCKET_USEC - 1), start);
    CHECK_EQ(period_start(RESOLUTION_5MIN, start - 1), start - BUCKET_USEC);
    CHECK_EQ(period_end(RESOLUTION_5MIN, start), start + BUCKET_USEC);
    CHECK_EQ(period_end(RESOLUTION_5MIN, start - 1), start);
    CHECK_EQ(period_start(RESOLUTION_5MIN, 0), 0);
}

TEST(time_begins_with_the_epoch)
{
    use_zone(ZONE_ST_JOHNS); /* where it began at 20:30 */
    CHECK_DATE(date_of(0), ((struct date){1969, 12, 31}));
    CHECK_EQ(date_start((struct date){1969, 12, 31}), 0);
    CHECK_EQ(date_start((struct date){1969, 11, 1}), 0);
    for (enum resolution resolution = 0; resolution < _RESOLUTION_MAX; resolution++)
        CHECK_EQ(period_start(resolution, 1), 0);
    CHECK_EQ(period_end(RESOLUTION_HOUR, 0), usec(HOUR / 2));
    CHECK_EQ(period_end(RESOLUTION_DAY, 0), usec(3 * HOUR + HOUR / 2));
    CHECK_EQ(period_end(RESOLUTION_MONTH, 0), usec(3 * HOUR + HOUR / 2));
}

TEST(the_zone_is_read_again)
{
    uint64_t noon = usec(utc("2026-11-23T12:00"));

    setenv("TZ", "UTC", 1);
    calendar_refresh_zone();
    CHECK_DATE(date_of(noon), ((struct date){2026, 11, 23}));
    setenv("TZ", "EAST-14", 1);
    calendar_refresh_zone();
    CHECK_DATE(date_of(noon), ((struct date){2026, 11, 24}));
}

TEST(the_zone_has_a_name)
{
    static const struct {
        const char *tz, *name;
    } cases[] = {
        {"Europe/Berlin", "Europe/Berlin"},
        {":Europe/Berlin", "Europe/Berlin"},
        {ZONE_BERLIN, ZONE_BERLIN},
        {"", "UTC"},
        {":", "UTC"},
    };
    char name[64];

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        setenv("TZ", cases[i].tz, 1);
        calendar_zone_name(name, sizeof(name));
        CHECK_STREQ(name, cases[i].name);
    }
    setenv("TZ", "Europe/Berlin", 1);
    calendar_zone_name(name, 5);
    CHECK_STREQ(name, "Euro");

    /* What /etc/localtime says depends on the machine; that it is terminated does not. */
    unsetenv("TZ");
    memset(name, 'x', sizeof(name));
    calendar_zone_name(name, sizeof(name));
    CHECK(memchr(name, '\0', sizeof(name)));
}

/* ---- days of remarkable zones ---- */

TEST(remarkable_days)
{
    static const struct {
        const char *zone, *date, *start;
        int minutes;
    } cases[] = {
        {"UTC", "2026-11-23", "2026-11-23T00:00", 24 * 60},
        {"Europe/Berlin", "2026-03-28", "2026-03-27T23:00", 24 * 60},
        {"Europe/Berlin", "2026-03-29", "2026-03-28T23:00", 23 * 60},
        {"Europe/Berlin", "2026-10-25", "2026-10-24T22:00", 25 * 60},
        {"America/New_York", "2026-03-08", "2026-03-08T05:00", 23 * 60},
        {"America/New_York", "2026-11-01", "2026-11-01T04:00", 25 * 60},
        {"Asia/Kathmandu", "2026-11-23", "2026-11-22T18:15", 24 * 60},
        {"Asia/Kathmandu", "1986-01-01", "1985-12-31T18:30", 24 * 60 - 15},
        {"Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24 * 60 + 30},
        {"Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30", 24 * 60 - 30},
        /* Clocks go forward from 0:00 to 1:00. */
        {"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23 * 60},
        /* Back from 24:00 to 23:00: midnight is come to twice, and only stays the second time. */
        {"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25 * 60},
        /* Back from 0:01 to 23:01: the day has begun already. */
        {"America/St_Johns", "2006-10-29", "2006-10-29T02:30", 25 * 60},
        {"America/St_Johns", "2006-10-28", "2006-10-28T02:30", 24 * 60},
        /* By two hours, that year. */
        {"America/St_Johns", "1988-10-30", "1988-10-30T01:30", 26 * 60},
        /* Back from 1:00 to 0:00: midnight twice, on the same day. */
        {"America/Havana", "2025-11-02", "2025-11-02T04:00", 25 * 60},
        {"Atlantic/Azores", "2025-10-26", "2025-10-26T00:00", 25 * 60},
        /* Back from 2:00 to 23:00. */
        {"Antarctica/Casey", "2010-03-05", "2010-03-04T13:00", 27 * 60},
        /* Across the date line: 30 December 2011 was left out. */
        {"Pacific/Apia", "2011-12-29", "2011-12-29T10:00", 24 * 60},
        {"Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0},
        {"Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24 * 60},
        /* … and 21 August 1993. */
        {"Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00", 0},
        /* Before the epoch there is nothing. */
        {"America/New_York", "1969-12-31", "1970-01-01T00:00", 5 * 60},
        {"America/New_York", "1969-12-30", "1970-01-01T00:00", 0},
    };

    if (!has_zones())
        SKIP("no time zone database");
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint64_t start = usec(utc(cases[i].start));
        struct date date = {}, next;

        CONTEXT("%s in %s", cases[i].date, cases[i].zone);
        use_zone(cases[i].zone);
        CHECK_EQ(date_parse(cases[i].date, &date), 0);
        next = date_add_days(date, 1);
        CHECK_EQ(date_start(date), start);
        CHECK_EQ((date_start(next) - start) / (MINUTE * USEC_PER_SEC), cases[i].minutes);
        if (date_start(next) > start) {
            CHECK_DATE(date_of(start), date);
            CHECK_DATE(date_of(date_start(next) - 1), date);
        }
    }
}

/* ---- all moments of 200 years ---- */

/*
 * An oracle that knows nothing but localtime_r(). It walks through time: from midnight to midnight,
 * and where the clocks are changed from hour to hour and by minutes. A day begins when the clock
 * comes to it for the first time: so the day of a moment is the latest that the clock has shown so
 * far. An hour begins when the clock comes to it, and when the clock is changed by a part of one.
 */

/* No two changes of these zones are this close to each other. */
#define SCAN_SEC (24 * HOUR)

/* Where to look closely: some hours, since a change may shift the clock by as much, and minutes,
 * since it need not come on the hour. Everywhere would take minutes. */
#define NEAR_SEC   (4 * HOUR)
#define CLOSE_SEC  (2 * MINUTE)
#define MAX_CHANGE 1024

struct oracle {
    const int64_t *next_change;
    int64_t now;
    struct tm clock;
    struct date day;
    int64_t day_start, month_start, hour_start; /* the last only near a change */
};

static struct tm clock_at(int64_t sec)
{
    time_t moment = sec;
    struct tm tm = {};

    localtime_r(&moment, &tm);
    return tm;
}

static struct date shown(const struct tm *clock)
{
    return (struct date){clock->tm_year + 1900, clock->tm_mon + 1, clock->tm_mday};
}

/** The first seconds of new offsets, between two that are far away. */
static const int64_t *find_changes(void)
{
    static const int64_t steps[] = {HOUR, MINUTE, 1};
    static int64_t changes[MAX_CHANGE + 2] = {INT64_MIN / 2};
    size_t n = 1;

    for (int64_t from = -SCAN_SEC; from < END_OF_ERA; from += SCAN_SEC) {
        int64_t last = from;
        long offset = clock_at(from).tm_gmtoff;

        if (clock_at(from + SCAN_SEC).tm_gmtoff == offset)
            continue;
        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
            while (clock_at(last + steps[i]).tm_gmtoff == offset)
                last += steps[i];
        if (n > MAX_CHANGE)
            abort();
        changes[n++] = last + 1;
    }
    changes[n] = INT64_MAX / 2;
    return changes + 1;
}

/** Whether the clock was changed in the last @distance seconds, or will be in the next ones. */
static bool near_change(const struct oracle *oracle, int64_t distance)
{
    return oracle->now >= oracle->next_change[0] - distance ||
           oracle->now < oracle->next_change[-1] + distance;
}

static int64_t into_hour(const struct tm *clock)
{
    return clock->tm_min * MINUTE + clock->tm_sec;
}

static int64_t next_moment(const struct oracle *oracle)
{
    int64_t till_hour = HOUR - into_hour(&oracle->clock);
    int64_t till_midnight = (23 - oracle->clock.tm_hour) * HOUR + till_hour;
    int64_t till_change = oracle->next_change[0] - oracle->now;

    if (near_change(oracle, CLOSE_SEC))
        return oracle->now + MINUTE;
    if (near_change(oracle, NEAR_SEC))
        return oracle->now + min(till_hour, till_change - CLOSE_SEC);
    return oracle->now + min(till_midnight, till_change - NEAR_SEC);
}

/** Goes on to the next moment. */
static void step(struct oracle *oracle)
{
    const struct oracle before = *oracle;
    int64_t expected;

    oracle->now = next_moment(oracle);
    oracle->clock = clock_at(oracle->now);
    if (oracle->now >= *oracle->next_change)
        oracle->next_change++;

    if (date_compare(shown(&oracle->clock), before.day) > 0) {
        oracle->day = shown(&oracle->clock);
        oracle->day_start = oracle->now;
        if (oracle->day.month != before.day.month)
            oracle->month_start = oracle->now;
    }

    expected = (into_hour(&before.clock) + oracle->now - before.now) % HOUR;
    if (into_hour(&oracle->clock) == 0 || into_hour(&oracle->clock) != expected)
        oracle->hour_start = oracle->now;
    else if (!near_change(&before, NEAR_SEC))
        oracle->hour_start = oracle->now - into_hour(&oracle->clock);
}

/** Whether the days are what the oracle saw, at a moment and just before it. */
static void check_days(const struct oracle *before, const struct oracle *oracle)
{
    uint64_t now = usec(oracle->now);

    CHECK_DATE(date_of(now), oracle->day);
    CHECK_DATE(date_of(now - 1), before->day);
    for (struct date day = oracle->day; date_compare(day, before->day) > 0;
         day = date_add_days(day, -1))
        CHECK_EQ(date_start(day), now); /* those that the clock left out begin here, too */
}

/** Whether a period of that kind began at @start, and before @moment at @previous. */
static void check_periods(int64_t moment, enum resolution resolution, int64_t previous,
                          int64_t start)
{
    uint64_t now = usec(moment);

    CHECK_EQ(period_start(resolution, now - 1), usec(previous));
    CHECK_EQ(period_start(resolution, now), usec(start));
    if (start == moment)
        CHECK_EQ(period_end(resolution, now - 1), now);
    else
        CHECK(period_end(resolution, now - 1) > now);
}

static void check_zone(const char *zone)
{
    struct oracle oracle = {}, before;

    CONTEXT("%s", zone);
    use_zone(zone);
    oracle.next_change = find_changes();
    oracle.clock = clock_at(0);
    oracle.day = shown(&oracle.clock);
    while (oracle.now < END_OF_ERA && !failed_checks) {
        before = oracle;
        step(&oracle);
        check_days(&before, &oracle);
        if (oracle.month_start == oracle.now)
            check_periods(oracle.now, RESOLUTION_MONTH, before.month_start, oracle.month_start);
        if (near_change(&before, NEAR_SEC))
            check_periods(oracle.now, RESOLUTION_HOUR, before.hour_start, oracle.hour_start);
        if (near_change(&before, CLOSE_SEC))
            check_periods(oracle.now, RESOLUTION_DAY, before.day_start, oracle.day_start);
    }
}

TEST(hours_days_and_months_partition_200_years)
{
    static const char *const zones[] = {
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "America/St_Johns",
        "America/Havana",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Asia/Pyongyang",
        "Asia/Beirut",
        "Africa/Cairo",
        "Atlantic/Azores",
        /* Made up: forward from 23:00 to 5:00, back from 1:00 to 19:00. */
        "ODD-8EVEN-14,J100/23,J200/1",
    };

    if (!has_zones())
        SKIP("no time zone database");
    for (size_t i = 0; i < ELEMENTSOF(zones); i++)
        check_zone(zones[i]);
}

RUN_TESTS()
