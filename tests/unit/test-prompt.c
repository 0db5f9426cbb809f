/* SPDX-License-Identifier: MIT */
#include "client/prompt.h"

#include "unit/model-fixture.h"

#include <locale.h>

static void type(struct model *model, const char *text)
{
    for (; *text; text++)
        prompt_type(model, (wchar_t) *text);
}

static void answer(struct model *model, const char *text)
{
    prompt_erase(model, true);
    type(model, text);
    prompt_accept(model);
}

TEST(the_filter_works_while_it_is_typed)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, three, 3);
    prompt_open(&model, PROMPT_FILTER);
    type(&model, "we");
    CHECK_STREQ(listed(&model), "80 443");
    prompt_type(&model, L'ö');
    CHECK_STREQ(listed(&model), "");
    prompt_erase(&model, false);
    CHECK_STREQ(model.filter, "we");
    prompt_accept(&model);
    CHECK_EQ(model.prompt.id, PROMPT_NONE);
    CHECK_STREQ(listed(&model), "80 443");
    prompt_open(&model, PROMPT_FILTER);
    CHECK_STREQ(model.prompt.text, "we");
    prompt_cancel(&model);
    CHECK_STREQ(listed(&model), "80 443 5000");
}

TEST(ranges_are_chosen_by_key_and_by_arrow)
{
    static const struct {
        const char *key;
        enum range_kind kind;
    } cases[] = {{"t", RANGE_TODAY},
                 {"7", RANGE_LAST_7_DAYS},
                 {"3", RANGE_LAST_30_DAYS},
                 {"m", RANGE_THIS_MONTH}};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        prompt_open(&model, PROMPT_RANGE);
        type(&model, cases[i].key);
        CHECK_EQ(model.range_request.kind, cases[i].kind);
        CHECK_EQ(model.prompt.id, PROMPT_NONE);
    }
    prompt_open(&model, PROMPT_RANGE); /* stands on "this month" */
    prompt_move(&model, 1);
    prompt_accept(&model);
    CHECK_EQ(model.range_request.kind, RANGE_LAST_7_DAYS);
    prompt_open(&model, PROMPT_RANGE);
    prompt_move(&model, -3); /* around the top */
    type(&model, "?");
    CHECK_EQ(model.prompt.id, PROMPT_RANGE);
    prompt_accept(&model);
    CHECK_EQ(model.prompt.id, PROMPT_FROM);
    prompt_cancel(&model);
    CHECK_EQ(model.range_request.kind, RANGE_LAST_7_DAYS);
}

TEST(a_cycle_has_its_day)
{
    _cleanup_(model_clear) struct model model = {};
    const struct date first = {2026, 11, 15}, last = {2026, 12, 14};

    begin(&model, 80);
    tell(&model, three, 3);
    model.ports[0]->cycle_day = 15;
    prompt_open(&model, PROMPT_RANGE);
    type(&model, "b");
    CHECK_STREQ(model.prompt.text, "15"); /* the port's own */
    answer(&model, "32");
    CHECK(model.prompt.complaint);
    prompt_erase(&model, false);
    CHECK(!model.prompt.complaint);
    answer(&model, "15");
    CHECK_EQ(model.range_request.kind, RANGE_CYCLE);
    CHECK_EQ(date_compare(model.range.first, first), 0);
    CHECK_EQ(date_compare(model.range.last, last), 0);
}

TEST(dates_are_checked)
{
    _cleanup_(model_clear) struct model model = {};
    const struct date first = {2026, 2, 1};

    begin(&model, 80);
    prompt_open(&model, PROMPT_RANGE);
    type(&model, "c");
    CHECK_STREQ(model.prompt.text, "2026-11-01");
    answer(&model, "2026-02-30");
    CHECK(model.prompt.complaint);
    answer(&model, "2026-02-01");
    CHECK_EQ(model.prompt.id, PROMPT_TO);
    CHECK_STREQ(model.prompt.text, "2026-11-23");
    answer(&model, "2026-01-31");
    CHECK(model.prompt.complaint);
    CHECK_EQ(model.range_request.kind, RANGE_THIS_MONTH); /* so far */
    answer(&model, "2026-02-01");
    CHECK_EQ(model.range_request.kind, RANGE_DATES);
    CHECK_EQ(date_compare(model.range.first, first), 0);
    CHECK_EQ(date_compare(model.range.last, first), 0);
}

TEST(adding)
{
    static const char *const wrong[] = {"", "0", "65536", "80abc", "-1", " 80"};
    struct told told[] = {three[0], three[1], three[2], {6000, "new one", 0, 0, 0}};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    model_set_filter(&model, "web");
    prompt_open(&model, PROMPT_PORT);
    for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
        CONTEXT("%s", wrong[i]);
        answer(&model, wrong[i]);
        CHECK(model.prompt.complaint);
        CHECK_EQ(model.prompt.id, PROMPT_PORT);
    }
    answer(&model, "6000");
    CHECK_EQ(model.prompt.id, PROMPT_DESCRIPTION);
    answer(&model, "new one");
    CHECK_EQ(model.change.kind, CHANGE_ADD);
    CHECK_EQ(model.change.port, 6000);
    CHECK_STREQ(model.change.description, "new one");
    CHECK_STREQ(model.filter, ""); /* which would hide it */
    tell(&model, three, 3);
    CHECK_EQ(model.selected, 80);
    tell(&model, told, 4);
    CHECK_EQ(model.selected, 6000);
}

TEST(adding_that_fails)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    prompt_open(&model, PROMPT_PORT);
    answer(&model, "5000");
    prompt_accept(&model);
    model_take_result(&model, true, "Port 5000 is watched already");
    CHECK(model.message.is_failure);
    tell(&model, three, 3);
    CHECK_EQ(model.selected, 80); /* it is not gone to later on */
}

TEST(removal_asks_first)
{
    static const char no[] = {'n', 'N', 'x', ' ', 'q'};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 443);
    tell(&model, three, 3);
    for (size_t i = 0; i < sizeof(no); i++) {
        prompt_open(&model, PROMPT_REMOVE);
        prompt_type(&model, no[i]);
        CHECK_EQ(model.prompt.id, PROMPT_NONE);
    }
    prompt_open(&model, PROMPT_REMOVE);
    prompt_accept(&model); /* Enter */
    prompt_open(&model, PROMPT_REMOVE);
    prompt_cancel(&model);
    CHECK_EQ(model.change.kind, CHANGE_NONE);
    prompt_open(&model, PROMPT_REMOVE);
    model_step(&model, 1); /* the question is about the port it was asked for */
    prompt_type(&model, 'y');
    CHECK_EQ(model.change.kind, CHANGE_REMOVE);
    CHECK_EQ(model.change.port, 443);
}

TEST(descriptions_have_a_limit)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    prompt_open(&model, PROMPT_PORT);
    answer(&model, "6000");
    for (int i = 0; i < 300; i++)
        prompt_type(&model, L'日');
    prompt_type(&model, L'\a'); /* nor can it have control characters */
    prompt_accept(&model);
    CHECK_EQ(strlen(model.change.description), MAX_DESCRIPTION_BYTES / 3 * 3);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    return run_tests();
}
