/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TEST_H
#define PORTMON_TEST_H

/*
 * Unit tests in C. TEST(name) { … } defines a test; RUN_TESTS() in main() runs all of a program's
 * and reports in TAP, which meson reads. A CHECK that fails is reported with its place and values,
 * and the test goes on.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *first_test, **last_test = &first_test;
static unsigned failed_checks;

#define TEST(test_name)                                                          \
    static void test_##test_name(void);                                          \
    __attribute__((constructor)) static void register_##test_name(void)          \
    {                                                                            \
        static struct test test = {.name = #test_name, .run = test_##test_name}; \
        *last_test = &test;                                                      \
        last_test = &test.next;                                                  \
    }                                                                            \
    static void test_##test_name(void)

#define CHECK_FAILED(...)                        \
    do {                                         \
        printf("# %s:%d: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                     \
        putchar('\n');                           \
        failed_checks++;                         \
    } while (0)

#define CHECK(condition)                         \
    do {                                         \
        if (!(condition))                        \
            CHECK_FAILED("not so: " #condition); \
    } while (0)

/** Equality of integers. */
#define CHECK_EQ(got, wanted)                                                      \
    do {                                                                           \
        intmax_t got_ = (intmax_t) (got), wanted_ = (intmax_t) (wanted);           \
        if (got_ != wanted_)                                                       \
            CHECK_FAILED("%s is %jd, not %jd (%s)", #got, got_, wanted_, #wanted); \
    } while (0)

/** Equality of strings. */
#define CHECK_STREQ(got, wanted)                                                       \
    do {                                                                               \
        const char *got_ = (got), *wanted_ = (wanted);                                 \
        if (!got_ || strcmp(got_, wanted_) != 0)                                       \
            CHECK_FAILED("%s is \"%s\", not \"%s\"", #got, got_ ?: "(null)", wanted_); \
    } while (0)

/** Runs the tests; the value main() returns. */
static inline int run_tests(void)
{
    unsigned n = 0, failed_tests = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *test = first_test; test; test = test->next) {
        failed_checks = 0;
        test->run();
        failed_tests += failed_checks > 0;
        printf("%sok %u - %s\n", failed_checks ? "not " : "", ++n, test->name);
    }
    printf("1..%u\n", n);
    return failed_tests ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN_TESTS()         \
    int main(void)          \
    {                       \
        return run_tests(); \
    }

#endif
