/* SPDX-License-Identifier: MIT */
/* Days, cycles and periods: what holds in any zone at any time. */
#include "fuzz.h"
#include "shared/calendar.h"
#include "shared/cleanup.h"
#include "shared/time-util.h"

#include <stdio.h>
#include <time.h>

/* The end of what dates can name, less a day for the zones. */
#define END_USEC (UINT64_C(253402214400) * USEC_PER_SEC)

/* Days of the years 1 to 9999 */
#define N_DAYS 3652059

static const char *const zones[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "ODD-8EVEN-14,J100/23,J200/1",
};

static void use_zone(const char *zone)
{
    static const char *used;

    if (zone == used)
        return;
    used = zone;
    setenv("TZ", zone, 1);
    tzset();
}

static void check_periods(uint64_t moment)
{
    for (enum resolution resolution = 0; resolution < _RESOLUTION_MAX; resolution++) {
        uint64_t start = period_start(resolution, moment), end = period_end(resolution, moment);

        MUST_BE(start <= moment && moment < end);
        MUST_BE(period_start(resolution, start) == start);
        MUST_BE(period_start(resolution, end - 1) == start);
        MUST_BE(period_end(resolution, start) == end);
        MUST_BE(period_start(resolution, end) == end);
        if (start > 0)
            MUST_BE(period_end(resolution, start - 1) == start);
    }
}

static void check_day(uint64_t moment)
{
    struct date day = date_of(moment), next = date_add_days(day, 1);

    MUST_BE(date_is_valid(day));
    MUST_BE(date_start(day) <= moment && moment < date_start(next));
    MUST_BE(date_start(day) == period_start(RESOLUTION_DAY, moment));
    MUST_BE(date_start(date_month(day)) == period_start(RESOLUTION_MONTH, moment));
}

static void check_order(uint64_t a, uint64_t b)
{
    if (a > b)
        return;
    MUST_BE(date_compare(date_of(a), date_of(b)) <= 0);
    for (enum resolution resolution = 0; resolution < _RESOLUTION_MAX; resolution++)
        MUST_BE(period_start(resolution, a) <= period_start(resolution, b));
}

static void check_date(struct date date, int days)
{
    struct date other = date_add_days(date, days), read;
    char text[DATE_STRING_SIZE];

    MUST_BE(date_parse(date_format(date, text), &read) == 0 && date_compare(read, date) == 0);
    MUST_BE(date_compare(date_from_number(date_to_number(date)), date) == 0);
    MUST_BE(date_is_valid(other));
    MUST_BE((date_compare(other, date) > 0) == (days > 0));
    MUST_BE(date_compare(date_add_days(other, -days), date) == 0);
    MUST_BE((date_to_number(date) < date_to_number(other)) == (days > 0));
}

static void check_cycle(struct date date, int cycle_day, int offset)
{
    struct date first = cycle_start(date, cycle_day, 0), next = cycle_start(date, cycle_day, 1);
    struct date far = cycle_start(date, cycle_day, offset);
    int length = days_in_month(first.year, first.month);

    MUST_BE(date_compare(first, date) <= 0 && date_compare(date, next) < 0);
    MUST_BE(first.day == (cycle_day < length ? cycle_day : length));
    MUST_BE(date_compare(cycle_start(first, cycle_day, 0), first) == 0);
    MUST_BE(date_compare(cycle_start(next, cycle_day, -1), first) == 0);
    MUST_BE(date_compare(cycle_start(far, cycle_day, -offset), first) == 0);
    MUST_BE(date_compare(date_month(far), date_add_months(date_month(first), offset)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const char *zone = zones[input_byte(&input) % ELEMENTSOF(zones)];
    uint64_t a = input_number(&input) % END_USEC, b = input_number(&input) % END_USEC;
    /* As far from both ends as we go. */
    uint64_t day = 1200 * 31 + input_number(&input) % (N_DAYS - 2 * 1200 * 31);
    int days = (int) (input_number(&input) % 60000) - 30000;
    int offset = (int) (input_number(&input) % 2000) - 1000;
    int cycle_day = 1 + input_byte(&input) % CYCLE_DAY_MAX;
    struct date date = date_add_days((struct date){1, 1, 1}, (int) day);

    use_zone(zone);
    for (int i = 0; i < 2; i++) {
        uint64_t moment = i ? b : a;

        check_periods(moment);
        check_day(moment);
    }
    check_order(a < b ? a : b, a < b ? b : a);
    check_date(date, days);
    check_cycle(date, cycle_day, offset);
    return 0;
}
