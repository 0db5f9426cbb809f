/* SPDX-License-Identifier: MIT */
#include "shared/parse.h"

#include "shared/cleanup.h"
#include "test.h"

#include <errno.h>

/* What a failing function must leave alone. */
#define UNTOUCHED 4711

TEST(numbers_are_read_whole)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        int wanted;
        uint64_t number;
    } cases[] = {
        {"0", 0, 9, 0, 0},
        {"9", 0, 9, 0, 9},
        {"10", 0, 9, -ERANGE},
        {"0", 1, 9, -ERANGE},
        {"007", 0, 9, 0, 7},
        {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, -ERANGE}, /* the addition overflows */
        {"18446744073709551620", 0, UINT64_MAX, -ERANGE}, /* the multiplication does */
        {"99999999999999999999999", 0, UINT64_MAX, -ERANGE},
        {"", 0, 9, -EINVAL},
        {" 1", 0, 9, -EINVAL},
        {"1 ", 0, 9, -EINVAL},
        {"1\n", 0, 9, -EINVAL},
        {"+1", 0, 9, -EINVAL},
        {"-1", 0, 9, -EINVAL},
        {"1.0", 0, 9, -EINVAL},
        {"1e1", 0, 99, -EINVAL},
        {"0x1", 0, 9, -EINVAL},
        {"1a", 0, 9, -EINVAL},
        {"/", 0, 99, -EINVAL}, /* the characters next to the digits */
        {":", 0, 99, -EINVAL},
        {"\xd9\xa1", 0, 9, -EINVAL}, /* an Arabic one */
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint64_t number = UNTOUCHED;

        CONTEXT("\"%s\"", cases[i].text);
        CHECK_EQ(parse_number(cases[i].text, cases[i].min, cases[i].max, &number), cases[i].wanted);
        CHECK_EQ(number, cases[i].wanted < 0 ? UNTOUCHED : cases[i].number);
    }
}

TEST(ports)
{
    static const struct {
        const char *text;
        int wanted;
        uint16_t port;
    } cases[] = {
        {"1", 0, 1},        {"80", 0, 80},      {"65535", 0, 65535},     {"0", -ERANGE},
        {"65536", -ERANGE}, {"65616", -ERANGE}, {"4294967376", -ERANGE}, {"-1", -EINVAL},
        {"80abc", -EINVAL}, {"http", -EINVAL},  {"", -EINVAL},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint16_t port = UNTOUCHED;

        CONTEXT("\"%s\"", cases[i].text);
        CHECK_EQ(parse_port(cases[i].text, &port), cases[i].wanted);
        CHECK_EQ(port, cases[i].wanted < 0 ? UNTOUCHED : cases[i].port);
    }
}

TEST(one_line)
{
    static const char *const good[] = {"", " ", "Web server", "caf\xc3\xa9 ~!", "\xe6\x97\xa5"};
    static const char *const bad[] = {"\n", "a\nb", "a\tb", "\x1b[31m", "\x7f", "a\x01", "a\r"};

    for (size_t i = 0; i < ELEMENTSOF(good); i++)
        CHECK(is_one_line(good[i]));
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        CONTEXT("bad[%zu]", i);
        CHECK(!is_one_line(bad[i]));
    }
}

RUN_TESTS()
