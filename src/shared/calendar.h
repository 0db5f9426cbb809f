/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_CALENDAR_H
#define PORTMON_CALENDAR_H

/*
 * Days, months and billing cycles of the local time zone (TZ or /etc/localtime). Moments are
 * microseconds of CLOCK_REALTIME. Every moment belongs to exactly one day, and days follow each
 * other without gap or overlap, whatever the zone's clocks do: a day has 23, 24 or 25 hours, and
 * one whose midnight does not exist begins with the first moment that does.
 */

#include <stdbool.h>
#include <stdint.h>

/** How finely a history is divided. Hours, days and months are those of the local clock. */
enum resolution {
    RESOLUTION_5MIN,
    RESOLUTION_HOUR,
    RESOLUTION_DAY,
    RESOLUTION_MONTH,
    _RESOLUTION_MAX,
};

/** The length of RESOLUTION_5MIN. Every zone's days have begun on such a boundary since 1973. */
#define BUCKET_USEC (UINT64_C(300) * 1000000)

/** A day of the Gregorian calendar: year 1..9999, month 1..12, day 1..31. */
struct date {
    int year;
    int month;
    int day;
};

#define DATE_STRING_SIZE sizeof("YYYY-MM-DD")
#define CYCLE_DAY_MAX    31

/** Reads the time zone again if it was changed on disk. */
void calendar_refresh_zone(void);

/**
 * The name of the time zone, as TZ takes it: "Europe/Berlin". Empty if it cannot be told, as when
 * /etc/localtime is a copy. @buffer is always terminated.
 */
void calendar_zone_name(char *buffer, unsigned size);

/** Whether such a day exists. */
bool date_is_valid(struct date date);

/** Negative, zero or positive, as @a is before, the same as or after @b. */
int date_compare(struct date a, struct date b);

struct date date_add_days(struct date date, int days);

/** The same day @months later, or the last of that month if it is shorter. */
struct date date_add_months(struct date date, int months);

/** The first day of the date's month. */
struct date date_month(struct date date);

/** 28, 29, 30 or 31. */
int days_in_month(int year, int month);

/** The number YYYYMMDD, which sorts as the dates do, and back. */
uint32_t date_to_number(struct date date);
struct date date_from_number(uint32_t number);

/** Reads exactly YYYY-MM-DD. Returns 0, or -EINVAL if it is not a day that exists. */
int date_parse(const char *text, struct date *ret);

/** Writes YYYY-MM-DD into @buffer and returns it. */
const char *date_format(struct date date, char buffer[static DATE_STRING_SIZE]);

/** The day that a moment belongs to. */
struct date date_of(uint64_t usec);

/** The first moment of a day: the end of the day before. */
uint64_t date_start(struct date date);

/** "5min", "hour", "day" or "month". */
const char *resolution_to_string(enum resolution resolution);

/** Returns the resolution of that name, or -EINVAL. */
int resolution_from_string(const char *name);

/**
 * The first moment of the 5 minutes, clock hour, day or month that a moment belongs to. An hour in
 * which the clock is changed by a part of an hour ends there.
 */
uint64_t period_start(enum resolution resolution, uint64_t usec);

/** The first moment after it. */
uint64_t period_end(enum resolution resolution, uint64_t usec);

/**
 * The first day of the billing cycle that @date belongs to. A cycle begins on day @cycle_day
 * (1..31) of each month, or on the last day of a month that has no such day. @offset counts cycles:
 * -1 is the one before, 1 the one after.
 */
struct date cycle_start(struct date date, int cycle_day, int offset);

#endif
