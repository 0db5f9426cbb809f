/* SPDX-License-Identifier: MIT */
#include "shared/calendar.h"

#include "shared/time-util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEC_PER_HOUR INT64_C(3600)
#define SEC_PER_DAY  (24 * SEC_PER_HOUR)

/* No zone has ever been further from UTC than this, nor changed its clocks twice so soon. */
#define MAX_OFFSET_SEC (26 * SEC_PER_HOUR)

/* No zone has ever set its clocks back by more than this. */
#define MAX_STEP_SEC (25 * SEC_PER_HOUR)

void calendar_refresh_zone(void)
{
    tzset();
}

void calendar_zone_name(char *buffer, unsigned size)
{
    static const char directory[] = "/zoneinfo/";
    const char *name = getenv("TZ");
    char target[PATH_MAX];
    ssize_t length;

    buffer[0] = '\0';
    if (name) {
        if (*name == ':')
            name++;
        snprintf(buffer, size, "%s", *name ? name : "UTC");
        return;
    }
    length = readlink("/etc/localtime", target, sizeof(target) - 1);
    if (length < 0) {
        if (errno == ENOENT)
            snprintf(buffer, size, "UTC");
        return;
    }
    target[length] = '\0';
    name = strstr(target, directory);
    if (name)
        snprintf(buffer, size, "%s", name + strlen(directory));
}

int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

bool date_is_valid(struct date date)
{
    return date.year >= 1 && date.year <= 9999 && date.month >= 1 && date.month <= 12 &&
           date.day >= 1 && date.day <= days_in_month(date.year, date.month);
}

uint32_t date_to_number(struct date date)
{
    return (uint32_t) (date.year * 10000 + date.month * 100 + date.day);
}

struct date date_from_number(uint32_t number)
{
    return (struct date){
        .year = (int) (number / 10000),
        .month = (int) (number / 100 % 100),
        .day = (int) (number % 100),
    };
}

int date_compare(struct date a, struct date b)
{
    uint32_t x = date_to_number(a), y = date_to_number(b);

    return (x > y) - (x < y);
}

static struct date date_from_tm(const struct tm *tm)
{
    return (struct date){tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday};
}

/** Seconds from the epoch to the date's midnight in UTC. */
static int64_t date_to_utc(struct date date)
{
    struct tm tm = {.tm_year = date.year - 1900, .tm_mon = date.month - 1, .tm_mday = date.day};

    return timegm(&tm);
}

struct date date_add_days(struct date date, int days)
{
    time_t midnight = date_to_utc(date) + days * SEC_PER_DAY;
    struct tm tm;

    gmtime_r(&midnight, &tm);
    return date_from_tm(&tm);
}

static struct date clamp_day(struct date date)
{
    int last = days_in_month(date.year, date.month);

    if (date.day > last)
        date.day = last;
    return date;
}

struct date date_add_months(struct date date, int months)
{
    int month = date.year * 12 + date.month - 1 + months;

    return clamp_day((struct date){month / 12, month % 12 + 1, date.day});
}

struct date date_month(struct date date)
{
    date.day = 1;
    return date;
}

int date_parse(const char *text, struct date *ret)
{
    static const char pattern[] = "dddd-dd-dd";
    struct date date;

    if (strlen(text) != strlen(pattern))
        return -EINVAL;
    for (size_t i = 0; pattern[i]; i++)
        if (pattern[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return -EINVAL;
    date = (struct date){atoi(text), atoi(text + 5), atoi(text + 8)};
    if (!date_is_valid(date))
        return -EINVAL;
    *ret = date;
    return 0;
}

const char *date_format(struct date date, char buffer[static DATE_STRING_SIZE])
{
    snprintf(buffer, DATE_STRING_SIZE, "%04u-%02u-%02u", (unsigned) date.year % 10000,
             (unsigned) date.month % 100, (unsigned) date.day % 100);
    return buffer;
}

static struct tm local_time(int64_t sec)
{
    time_t moment = sec;
    struct tm tm = {};

    localtime_r(&moment, &tm);
    return tm;
}

/** Whether the local clock has come to @date at that second. */
static bool has_come(int64_t sec, struct date date)
{
    struct tm tm = local_time(sec);

    return date_compare(date_from_tm(&tm), date) >= 0;
}

/** The second in (@low, @high] where the local clock first comes to @date; low has not, high has.
 */
static int64_t bisect_start(int64_t low, int64_t high, struct date date)
{
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (has_come(middle, date))
            high = middle;
        else
            low = middle;
    }
    return high;
}

/** The last second before @high where the clocks were changed, given that they were after @low. */
static int64_t bisect_change(int64_t low, int64_t high)
{
    long offset = local_time(high).tm_gmtoff;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (local_time(middle).tm_gmtoff == offset)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static int64_t date_start_sec(struct date date)
{
    int64_t utc = date_to_utc(date), low = utc - MAX_OFFSET_SEC, high = utc + MAX_OFFSET_SEC;
    long offset = local_time(low).tm_gmtoff;

    /* Nearly always the clock is not changed in the day before it comes to midnight. That it may be
     * set back across midnight afterwards, and come there again, does not matter. */
    if (local_time(utc - offset).tm_gmtoff == offset)
        return utc - offset;
    return bisect_start(low, high, date);
}

/** Moments before the epoch are none; it stands for them. */
static uint64_t usec_from_sec(int64_t sec)
{
    return sec < 0 ? 0 : (uint64_t) sec * USEC_PER_SEC;
}

uint64_t date_start(struct date date)
{
    return usec_from_sec(date_start_sec(date));
}

struct date date_of(uint64_t usec)
{
    int64_t sec = (int64_t) (usec / USEC_PER_SEC);
    struct tm tm = local_time(sec);
    struct date date = date_from_tm(&tm), next;

    /* Where clocks were set back across midnight, the next day has begun already. */
    if (local_time(sec - MAX_STEP_SEC).tm_gmtoff > tm.tm_gmtoff) {
        next = date_add_days(date, 1);
        if (date_start(next) <= usec)
            return next;
    }
    return date;
}

static const char *const resolution_names[_RESOLUTION_MAX] = {
    [RESOLUTION_5MIN] = "5min",
    [RESOLUTION_HOUR] = "hour",
    [RESOLUTION_DAY] = "day",
    [RESOLUTION_MONTH] = "month",
};

const char *resolution_to_string(enum resolution resolution)
{
    return resolution_names[resolution];
}

int resolution_from_string(const char *name)
{
    for (int resolution = 0; resolution < _RESOLUTION_MAX; resolution++)
        if (strcmp(resolution_names[resolution], name) == 0)
            return resolution;
    return -EINVAL;
}

/* Clock hours. Not every zone's begin with an hour of UTC, and one in which the clock is changed by
 * a part of an hour ends there. */

/** The seconds since the clock showed a full hour, if it was not changed since. */
static int64_t into_hour(int64_t sec)
{
    int64_t into = (sec + local_time(sec).tm_gmtoff) % SEC_PER_HOUR;

    return into < 0 ? into + SEC_PER_HOUR : into;
}

/** Whether the clock is changed by a part of an hour in (@low, @high]. */
static bool is_shifted(int64_t low, int64_t high)
{
    return (local_time(high).tm_gmtoff - local_time(low).tm_gmtoff) % SEC_PER_HOUR != 0;
}

static uint64_t hour_start(uint64_t usec)
{
    int64_t sec = (int64_t) (usec / USEC_PER_SEC), start = sec - into_hour(sec);

    return usec_from_sec(is_shifted(start, sec) ? bisect_change(start, sec) : start);
}

static uint64_t hour_end(uint64_t usec)
{
    int64_t sec = (int64_t) (usec / USEC_PER_SEC), end = sec - into_hour(sec) + SEC_PER_HOUR;

    return usec_from_sec(is_shifted(sec, end) ? bisect_change(sec, end) : end);
}

uint64_t period_start(enum resolution resolution, uint64_t usec)
{
    switch (resolution) {
    case RESOLUTION_HOUR:
        return hour_start(usec);
    case RESOLUTION_DAY:
        return date_start(date_of(usec));
    case RESOLUTION_MONTH:
        return date_start(date_month(date_of(usec)));
    default:
        return usec_floor(usec, BUCKET_USEC);
    }
}

uint64_t period_end(enum resolution resolution, uint64_t usec)
{
    switch (resolution) {
    case RESOLUTION_HOUR:
        return hour_end(usec);
    case RESOLUTION_DAY:
        return date_start(date_add_days(date_of(usec), 1));
    case RESOLUTION_MONTH:
        return date_start(date_add_months(date_month(date_of(usec)), 1));
    default:
        return usec_floor(usec, BUCKET_USEC) + BUCKET_USEC;
    }
}

struct date cycle_start(struct date date, int cycle_day, int offset)
{
    struct date start = date;

    start.day = cycle_day;
    if (date_compare(clamp_day(start), date) > 0)
        offset--;
    start = date_add_months(date_month(start), offset);
    start.day = cycle_day;
    return clamp_day(start);
}
