/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TEST_H
#define PORTMON_TEST_H

/*
 * Unit tests in C. TEST(name) { … } defines a test; RUN_TESTS() in main() runs all of a program's
 * and reports in TAP, which meson reads. A CHECK that fails is reported with its place and values,
 * and the test goes on; after a REQUIRE it ends. In a loop over a table, CONTEXT(…) says which row
 * it is at. SKIP(why) ends a test that this machine has not got the means for.
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

/* A loop that fails once often fails a million times. */
#define MAX_REPORTED 20

static struct test *first_test, **last_test = &first_test;
static unsigned failed_checks;
static char test_context[128];
static const char *skipped_because;

#define TEST(test_name)                                                          \
    static void test_##test_name(void);                                          \
    __attribute__((constructor)) static void register_##test_name(void)          \
    {                                                                            \
        static struct test test = {.name = #test_name, .run = test_##test_name}; \
        *last_test = &test;                                                      \
        last_test = &test.next;                                                  \
    }                                                                            \
    static void test_##test_name(void)

#define CHECK_FAILED(...)                                             \
    do {                                                              \
        if (failed_checks++ < MAX_REPORTED) {                         \
            printf("# %s:%d: ", __FILE__, __LINE__);                  \
            printf(__VA_ARGS__);                                      \
            printf(*test_context ? " [%s]\n" : "%s\n", test_context); \
        }                                                             \
    } while (0)

#define CHECK(condition)                            \
    do {                                            \
        if (!(condition))                           \
            CHECK_FAILED("not so: %s", #condition); \
    } while (0)

/** A CHECK without which the rest of the test makes no sense. */
#define REQUIRE(condition)                          \
    do {                                            \
        if (!(condition)) {                         \
            CHECK_FAILED("not so: %s", #condition); \
            return;                                 \
        }                                           \
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

/** What the checks that follow are about. */
#define CONTEXT(...) snprintf(test_context, sizeof(test_context), __VA_ARGS__)

#define SKIP(why)              \
    do {                       \
        skipped_because = why; \
        return;                \
    } while (0)

/** Runs the tests; the value main() returns. */
static inline int run_tests(void)
{
    unsigned n = 0, failed_tests = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *test = first_test; test; test = test->next) {
        failed_checks = 0;
        test_context[0] = '\0';
        skipped_because = NULL;
        test->run();
        failed_tests += failed_checks > 0;
        printf("%sok %u - %s%s%s\n", failed_checks ? "not " : "", ++n, test->name,
               skipped_because ? " # SKIP " : "", skipped_because ?: "");
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
