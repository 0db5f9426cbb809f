/* SPDX-License-Identifier: MIT */
#include "shared/reason.h"

#include "test.h"

#include <errno.h>

TEST(a_sentence_and_the_error_come_back)
{
    struct reason reason = {};

    CHECK_EQ(fail(&reason, -EBADMSG, "Cannot read %s: line %d", "file", 7), -EBADMSG);
    CHECK_STREQ(reason.text, "Cannot read file: line 7");
    CHECK_EQ(fail_errno(&reason, -ENOENT, "Cannot open %s", "file"), -ENOENT);
    CHECK_STREQ(reason.text, "Cannot open file: No such file or directory");
    CHECK_EQ(fail_errno(&reason, -99999, "Cannot open %s", "file"), -99999);
    CHECK_STREQ(reason.text, "Cannot open file: unknown error");
}

TEST(nobody_need_ask_why)
{
    CHECK_EQ(fail(NULL, -EIO, "Cannot read %s", "file"), -EIO);
    CHECK_EQ(fail_errno(NULL, -EIO, "Cannot read %s", "file"), -EIO);
}

TEST(what_is_too_long_is_cut)
{
    static const size_t longest = sizeof(((struct reason *) NULL)->text) - 1;
    struct reason reason = {};

    /* The part before the error fills all, and all but some of the room. */
    for (size_t length = longest - 40; length < longest + 40; length++) {
        CONTEXT("length %zu", length);
        CHECK_EQ(fail(&reason, -EIO, "%*d", (int) length, 7), -EIO);
        CHECK_EQ(strlen(reason.text), length < longest ? length : longest);
        CHECK_EQ(fail_errno(&reason, -EIO, "%*d", (int) length, 7), -EIO);
        CHECK(strlen(reason.text) <= longest);
        CHECK(strlen(reason.text) == longest || strstr(reason.text, "7: Input/output error"));
    }
}

RUN_TESTS()
