/* SPDX-License-Identifier: MIT */
#include "shared/format.h"

#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (MIB * KIB)
#define TIB (GIB * KIB)
#define PIB (TIB * KIB)
#define EIB (PIB * KIB)

TEST(bytes)
{
    static const struct {
        uint64_t bytes;
        const char *iec, *si;
    } cases[] = {
        {0, "0 B", "0 B"},
        {1, "1 B", "1 B"},
        {999, "999 B", "999 B"},
        {1000, "1000 B", "1.00 kB"},
        {1004, "1004 B", "1.00 kB"},
        {1006, "1006 B", "1.01 kB"},
        {1023, "1023 B", "1.02 kB"},
        {1024, "1.00 KiB", "1.02 kB"},
        {1536, "1.50 KiB", "1.54 kB"},
        /* What would be rounded up to 1000.00 or 1024.00 of a unit is 1.00 of the next. */
        {999994, "976.56 KiB", "999.99 kB"},
        {999995, "976.56 KiB", "1.00 MB"},
        {999999, "976.56 KiB", "1.00 MB"},
        {MIB - 6, "1023.99 KiB", "1.05 MB"},
        {MIB - 5, "1.00 MiB", "1.05 MB"},
        {MIB - 1, "1.00 MiB", "1.05 MB"},
        {MIB, "1.00 MiB", "1.05 MB"},
        {GIB - 1, "1.00 GiB", "1.07 GB"},
        {GIB, "1.00 GiB", "1.07 GB"},
        {TIB - 1, "1.00 TiB", "1.10 TB"},
        {TIB, "1.00 TiB", "1.10 TB"},
        {PIB, "1.00 PiB", "1.13 PB"},
        {EIB - 1, "1.00 EiB", "1.15 EB"},
        {EIB, "1.00 EiB", "1.15 EB"},
        /* A double does not hold it; two decimals do not show that. */
        {UINT64_MAX, "16.00 EiB", "18.45 EB"},
    };
    char text[FORMAT_SIZE], rate[FORMAT_SIZE + 2];

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CHECK_STREQ(format_bytes(text, cases[i].bytes, UNITS_IEC), cases[i].iec);
        CHECK_STREQ(format_bytes(text, cases[i].bytes, UNITS_SI), cases[i].si);
        snprintf(rate, sizeof(rate), "%s/s", cases[i].iec);
        CHECK_STREQ(format_rate(text, cases[i].bytes, UNITS_IEC), rate);
        snprintf(rate, sizeof(rate), "%s/s", cases[i].si);
        CHECK_STREQ(format_rate(text, cases[i].bytes, UNITS_SI), rate);
    }
}

TEST(durations)
{
    static const struct {
        uint64_t usec;
        const char *wanted;
    } cases[] = {
        {0, "0s"},
        {USEC_PER_SEC - 1, "0s"},
        {USEC_PER_SEC, "1s"},
        {60 * USEC_PER_SEC - 1, "59s"},
        {60 * USEC_PER_SEC, "1min 0s"},
        {725 * USEC_PER_SEC, "12min 5s"},
        {3600 * USEC_PER_SEC - 1, "59min 59s"},
        {3600 * USEC_PER_SEC, "1h 0min"},
        {86400 * USEC_PER_SEC - 1, "23h 59min"},
        {86400 * USEC_PER_SEC, "1d 0h"},
        {(3 * 86400 + 4 * 3600 + 59 * 60) * USEC_PER_SEC, "3d 4h"},
        {UINT64_MAX, "213503982d 8h"},
    };
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        CHECK_STREQ(format_duration(text, cases[i].usec), cases[i].wanted);
}

TEST(timestamps)
{
    static const struct {
        const char *zone;
        uint64_t sec;
        const char *wanted;
    } cases[] = {
        {ZONE_BERLIN, 1795450080, "2026-11-23T17:08:00+01:00"},
        {ZONE_BERLIN, 1792889999, "2026-10-25T02:59:59+02:00"},
        {ZONE_BERLIN, 1792890000, "2026-10-25T02:00:00+01:00"},
        {ZONE_ST_JOHNS, 1795450080, "2026-11-23T12:38:00-03:30"},
        {ZONE_ST_JOHNS, 0, "1969-12-31T20:30:00-03:30"},
        {ZONE_SAO_PAULO, 1795450080, "2026-11-23T14:08:00-02:00"},
        {ZONE_KATHMANDU, 1795450080, "2026-11-23T21:53:00+05:45"},
        {"UTC", 1795450080, "2026-11-23T16:08:00+00:00"},
        {"ODD0:44:30", 1795450080, "2026-11-23T15:23:30-00:44"},
    };
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%s", cases[i].zone);
        use_zone(cases[i].zone);
        CHECK_STREQ(format_timestamp(text, cases[i].sec * USEC_PER_SEC, false), cases[i].wanted);
        CHECK_STREQ(format_timestamp(text, cases[i].sec * USEC_PER_SEC + USEC_PER_SEC - 1, false),
                    cases[i].wanted);
    }
    CHECK_STREQ(format_timestamp(text, 1795450080 * USEC_PER_SEC, true), "2026-11-23T16:08:00Z");
    CHECK_STREQ(format_timestamp(text, 0, true), "1970-01-01T00:00:00Z");
    CHECK_STREQ(format_timestamp(text, UINT64_MAX, true), "586524-01-19T08:01:49Z");
}

RUN_TESTS()
