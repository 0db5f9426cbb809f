/* SPDX-License-Identifier: MIT */
#include "client/model.h"

#include "unit/model-fixture.h"

#include <limits.h>
#include <locale.h>

/* ---- ports ---- */

TEST(empty)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    CHECK(!model_selected(&model));
    CHECK_EQ(model_step(&model, 1), 0);
    model_sort(&model, COLUMN_TODAY);
    model_set_filter(&model, "x");
    model_settle(&model, PANEL_PORTS, 3);
    model_settle_scales(&model, 100);
    prompt_open(&model, PROMPT_REMOVE);
    CHECK_EQ(model.prompt.id, PROMPT_NONE); /* there is nothing to remove */
    tell(&model, NULL, 0);
    CHECK(model.has_ports);
    CHECK_EQ(model.selected, 0);
}

TEST(the_first_port_is_selected)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    CHECK(tell(&model, three, 3) & EFFECT_REFETCH);
    CHECK_EQ(model.selected, 80);
    CHECK(!(tell(&model, three, 3) & EFFECT_REFETCH));
    CHECK_STREQ(listed(&model), "80 443 5000");
}

TEST(the_port_that_was_asked_for_is_selected)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 443);
    tell(&model, three, 3);
    CHECK_EQ(model.selected, 443);
    CHECK(!*model.message.text);
}

TEST(a_port_that_is_not_watched_is_said_to_be)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 9999);
    tell(&model, three, 3);
    CHECK_EQ(model.selected, 80);
    CHECK(strstr(model.message.text, "9999"));
    CHECK(model.message.is_failure);
}

TEST(stepping_ends_at_the_ends)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, three, 3);
    CHECK(model_step(&model, 1) & EFFECT_REFETCH);
    CHECK_EQ(model.selected, 443);
    model_step(&model, 100);
    CHECK_EQ(model.selected, 5000);
    model_step(&model, 1);
    CHECK_EQ(model.selected, 5000);
    model_step(&model, -1);
    CHECK_EQ(model.selected, 443);
    model_step(&model, INT_MIN + 1);
    CHECK_EQ(model.selected, 80);
}

/* The port stays, whatever happens to its row. */
TEST(selection_is_by_port)
{
    static const struct told four[] = {{22, "", 0, 0, 0},
                                       {80, "Web", 100, 10, 3},
                                       {443, "", 0, 0, 0},
                                       {5000, "Büro", 200, 900, 2}};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 443);
    tell(&model, three, 3);
    for (enum port_column column = 0; column < _COLUMN_MAX; column++) {
        model_sort(&model, column);
        CHECK_EQ(model.selected, 443);
        CHECK_EQ(model.shown[model.selected_row]->port, 443);
    }
    model_sort(&model, COLUMN_PORT);
    tell(&model, four, 4);
    CHECK_EQ(model.selected, 443);
    CHECK_EQ(model.selected_row, 2);
}

TEST(what_takes_the_place_of_a_removed_port_is_selected)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 443);
    tell(&model, three, 3);
    CHECK(tell(&model, (struct told[]){three[0], three[2]}, 2) & EFFECT_REFETCH);
    CHECK_EQ(model.selected, 5000);
    tell(&model, three, 1);
    CHECK_EQ(model.selected, 80);
    tell(&model, NULL, 0);
    CHECK_EQ(model.selected, 0);
    tell(&model, three, 3);
    CHECK_EQ(model.selected, 80);
}

TEST(sorts_by_each_column)
{
    static const struct {
        enum port_column column;
        const char *order, *reversed;
    } cases[] = {
        {COLUMN_PORT, "80 443 5000", "5000 443 80"},
        {COLUMN_DESCRIPTION, "5000 80 443", "443 80 5000"},
        {COLUMN_RX_RATE, "5000 80 443", "443 80 5000"},
        {COLUMN_TX_RATE, "443 5000 80", "80 5000 443"},
        {COLUMN_MINUTE, "443 5000 80", "80 5000 443"},
        {COLUMN_TODAY, "5000 443 80", "80 443 5000"},
        {COLUMN_OPEN, "80 5000 443", "443 5000 80"},
    };
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, three, 3);
    pass(&model, 10);
    tell(&model,
         (struct told[]){{80, "Web", 300, 20, 3},
                         {443, "web, encrypted", 310, 640, 1},
                         {5000, "Büro", 500, 1100, 2}},
         3);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("column %d", cases[i].column);
        model.sort = _COLUMN_MAX; /* so that each is new */
        model.reversed = true;
        model_sort(&model, cases[i].column);
        CHECK_STREQ(listed(&model), cases[i].order);
        model_sort(&model, cases[i].column);
        CHECK_STREQ(listed(&model), cases[i].reversed);
    }
}

TEST(filters_by_number_and_description)
{
    static const struct {
        const char *filter, *listed;
    } cases[] = {
        {"", "80 443 5000"}, {"web", "80 443"}, {"WEB", "80 443"}, {"0", "80 5000"},
        {"büro", "5000"},    {"BÜRO", "5000"},  {"bur", ""},       {"eb, e", "443"},
        {"5000", "5000"},    {"50000", ""},
    };
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, three, 3);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%s", cases[i].filter);
        model_set_filter(&model, cases[i].filter);
        CHECK_STREQ(listed(&model), cases[i].listed);
        tell(&model, three, 3);
        CHECK_STREQ(listed(&model), cases[i].listed);
        CHECK(model_selected(&model)); /* even if nothing is listed */
    }
}

TEST(the_list_scrolls_to_what_is_selected)
{
    struct told many[16] = {};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    for (size_t i = 0; i < ELEMENTSOF(many); i++)
        many[i].port = (uint16_t) (i + 1);
    tell(&model, many, ELEMENTSOF(many));
    for (int i = 0; i < 40; i++) {
        model_step(&model, i < 20 ? 1 : -1);
        model_settle(&model, PANEL_PORTS, 5);
        CHECK(model.selected_row >= model.ports_top && model.selected_row < model.ports_top + 5);
        CHECK(model.ports_top + 5 <= 16);
    }
    CHECK_EQ(model.ports_top, 0);
    model_step(&model, 15);
    model_settle(&model, PANEL_PORTS, 5);
    model_settle(&model, PANEL_PORTS, 30); /* the terminal grew */
    CHECK_EQ(model.ports_top, 0);
}

/* ---- rates ---- */

static uint64_t rx_rate(const struct model *model)
{
    return model_selected(model)->rates[ROLE_SERVER][DIRECTION_RX];
}

TEST(rates_are_what_was_transferred_between_samples)
{
    struct told told = {80, "", 1000, 0, 0};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, &told, 1);
    for (int i = 0; i < 5; i++) {
        pass(&model, 1);
        told.rx_bytes += 500;
        tell(&model, &told, 1);
        CHECK_EQ(rx_rate(&model), 500);
    }
    pass(&model, 4);
    told.rx_bytes += 800;
    tell(&model, &told, 1);
    CHECK_EQ(rx_rate(&model), 200);
    CHECK_EQ(model_selected(&model)->minute_bytes[ROLE_SERVER], 3300);
}

TEST(what_was_missed_is_not_made_up)
{
    struct told told = {80, "", 1000, 0, 0};
    const struct reason reason = {"gone"};
    const struct series *series;
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, &told, 1);
    pass(&model, 1);
    tell(&model, &told, 1);
    model_take_loss(&model, &reason);
    CHECK(model_is_stale(&model));
    pass(&model, 5);
    told.rx_bytes += 100000; /* nobody knows when */
    tell(&model, &told, 1);
    pass(&model, 1);
    told.rx_bytes -= 50000; /* portmond crashed and has forgotten some */
    tell(&model, &told, 1);
    pass(&model, 1);
    told.rx_bytes += 7;
    tell(&model, &told, 1);
    series = &model_selected(&model)->series[ROLE_SERVER];
    CHECK_EQ(rx_rate(&model), 7);
    for (uint64_t age = 0; age < 10; age++)
        CHECK(!(series_at(series, DIRECTION_RX, model_last_second(&model) - age) > 7));
}

TEST(silence_is_remarked_on)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    pass(&model, 100);
    CHECK_EQ(model_silence_usec(&model), 0); /* nothing was there to fall silent */
    tell(&model, three, 3);
    pass(&model, 4);
    CHECK_EQ(model_silence_usec(&model), 0);
    pass(&model, 1);
    CHECK_EQ(model_silence_usec(&model), 5 * USEC_PER_SEC);
    model_set_interval(&model, 60);
    CHECK_EQ(model_silence_usec(&model), 0);
    CHECK(!model_is_stale(&model));
}

TEST(a_slow_link_is_no_silence)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    tell(&model, three, 3);
    pass(&model, 10);
    CHECK(model_is_stale(&model));
    tell(&model, three, 3);
    pass(&model, 13); /* as slow as before, and some more */
    CHECK_EQ(model_silence_usec(&model), 0);
    pass(&model, 1);
    CHECK_EQ(model_silence_usec(&model), 14 * USEC_PER_SEC);
    tell(&model, three, 3);
    pass(&model, 1);
    tell(&model, three, 3); /* it is fast again */
    pass(&model, 5);
    CHECK_EQ(model_silence_usec(&model), 5 * USEC_PER_SEC);
}

TEST(the_interval_has_limits)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 0);
    model_set_interval(&model, 0);
    CHECK_EQ(model.interval_sec, 1);
    model_set_interval(&model, 61);
    CHECK_EQ(model.interval_sec, 60);
}

/* ---- the selected port ---- */

static void take_day(struct model *model, const char *day, uint64_t rx)
{
    struct summary summary = {};
    struct wanted wanted;
    struct date date;

    REQUIRE(date_parse(day, &date) == 0);
    REQUIRE(history_add(&summary.rows, date_start(date),
                        &(struct traffic){.rx_bytes = rx, .tx_bytes = 1}) == 0);
    model_wanted(model, &wanted);
    model_take_summary(model, &wanted.query, &summary, NULL);
    CHECK(!summary.rows.n); /* taken */
}

TEST(what_is_wanted_follows_what_is_chosen)
{
    _cleanup_(model_clear) struct model model = {};
    struct wanted wanted = {};
    struct date date = {2026, 11, 1};

    begin(&model, 443);
    tell(&model, three, 3);
    model.status.retention_days = 30;
    model_wanted(&model, &wanted);
    CHECK_EQ(wanted.query.port, 443);
    CHECK_EQ(wanted.query.from_usec, date_start(date));
    CHECK_EQ(wanted.query.by, RESOLUTION_DAY);
    CHECK(wanted.query.percentile);
    CHECK_EQ(model_set_range(&model, &(struct range_request){.kind = RANGE_TODAY}),
             EFFECT_REDRAW | EFFECT_REFETCH);
    model_wanted(&model, &wanted);
    CHECK_EQ(wanted.query.by, RESOLUTION_HOUR);
    model_set_range(&model, &(struct range_request){
                                .kind = RANGE_DATES, .from = {2026, 10, 23}, .to = {2026, 10, 24}});
    model_wanted(&model, &wanted);
    CHECK(!wanted.query.percentile); /* the detail of the first day is gone */
    model_set_role(&model, ROLE_CLIENT);
    model_refresh(&model);
    model_wanted(&model, &wanted);
    CHECK_EQ(wanted.query.role, ROLE_CLIENT);
    CHECK_EQ(wanted.refreshes, 1);
}

TEST(a_bar_for_each_day_that_has_begun)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    take_day(&model, "2026-11-02", 500);
    CHECK(model.has_summary);
    CHECK_EQ(model.n_bars, 23);
    CHECK_EQ(model.bars[0].start_usec, date_start((struct date){2026, 11, 23}));
    CHECK(model_bar_is_unfinished(&model, &model.bars[0]));
    CHECK(!model_bar_is_unfinished(&model, &model.bars[1]));
    for (size_t i = 0; i < model.n_bars; i++)
        CHECK_EQ(model.bars[i].traffic.rx_bytes, i == 21 ? 500 : 0);
}

TEST(a_bar_for_each_hour_of_a_day_with_25)
{
    _cleanup_(model_clear) struct model model = {};
    const struct date day = {2026, 10, 25};

    begin(&model, 80);
    tell(&model, three, 3);
    model_set_range(&model, &(struct range_request){.kind = RANGE_DATES, .from = day, .to = day});
    take_day(&model, "2026-10-25", 3);
    CHECK_EQ(model.n_bars, 25);
    CHECK_EQ(model.bars[24].traffic.rx_bytes, 3);
    CHECK_EQ(model.bars[0].traffic.rx_bytes, 0);
}

TEST(bars_have_a_limit)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    model_set_range(&model, &(struct range_request){
                                .kind = RANGE_DATES, .from = {1, 1, 1}, .to = {9999, 12, 31}});
    take_day(&model, "2026-11-01", 3);
    CHECK_EQ(model.n_bars, MAX_BARS);
    CHECK_EQ(model.bars[22].traffic.rx_bytes, 3);
    model_set_range(&model, &(struct range_request){
                                .kind = RANGE_DATES, .from = {2030, 1, 1}, .to = {2030, 2, 1}});
    take_day(&model, "2030-01-01", 3);
    CHECK_EQ(model.n_bars, 0); /* not begun */
}

TEST(late_answers_are_dropped)
{
    struct connection_list list = {};
    struct summary summary = {};
    struct wanted wanted;
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    model_wanted(&model, &wanted);
    model_step(&model, 1);
    CHECK_EQ(model_take_summary(&model, &wanted.query, &summary, NULL), 0);
    CHECK(!model.has_summary);
    CHECK_EQ(model_take_connections(&model, 80, &list, NULL), 0);
    CHECK_EQ(model.connections_of, 0);
}

TEST(what_is_shown_goes_with_the_port)
{
    const struct reason refused = {"no"};
    struct connection_list list = {};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    take_day(&model, "2026-11-02", 500);
    model_take_connections(&model, 80, &list, &refused);
    CHECK_STREQ(model.connections_reason.text, "no");
    model_step(&model, 1);
    CHECK(!model.has_summary);
    CHECK_EQ(model.n_bars, 0);
    CHECK(!*model.connections_reason.text);
}

TEST(connections_are_those_of_the_role)
{
    _cleanup_(model_clear) struct model model = {};
    struct connection_list list = {.n = 3};

    begin(&model, 80);
    tell(&model, three, 3);
    model_set_role(&model, ROLE_CLIENT);
    list.connections = calloc(3, sizeof(*list.connections));
    for (uint16_t i = 0; i < 3; i++)
        list.connections[i] = (struct connection){
            .role = i == 1 ? ROLE_SERVER : ROLE_CLIENT,
            .remote_address = strdup("::1"),
            .remote_port = i,
        };
    model_take_connections(&model, 80, &list, NULL);
    CHECK_EQ(model.connections.n, 2);
    CHECK_EQ(model.connections.connections[0].remote_port, 0);
    CHECK_EQ(model.connections.connections[1].remote_port, 2);
    model_set_role(&model, ROLE_SERVER); /* they are asked for anew */
    CHECK_EQ(model.connections_of, 0);
    CHECK_EQ(model.connections.n, 0);
}

TEST(scrolling_stays_over_updates)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, three, 3);
    take_day(&model, "2026-11-02", 500);
    model_focus(&model, PANEL_DAYS);
    model_move(&model, 4);
    model_settle(&model, PANEL_DAYS, 8);
    take_day(&model, "2026-11-02", 501);
    model_settle(&model, PANEL_DAYS, 8);
    CHECK_EQ(model.bars_top, 4);
    model_move(&model, 100);
    model_settle(&model, PANEL_DAYS, 8);
    CHECK_EQ(model.bars_top, 15);
    model_move(&model, -100);
    CHECK_EQ(model.bars_top, 0);
    CHECK_EQ(model.selected, 80);
}

TEST(days_end_at_midnight)
{
    _cleanup_(model_clear) struct model model = {};
    uint64_t midnight = date_start((struct date){2026, 11, 24});

    begin(&model, 80);
    tell(&model, three, 3);
    model_set_range(&model, &(struct range_request){.kind = RANGE_TODAY});
    take_day(&model, "2026-11-23", 1);
    midnight = date_start((struct date){2026, 11, 24});
    CHECK_EQ(model_tick(&model, &(struct moment){midnight - 1, START}), 0);
    CHECK(model_tick(&model, &(struct moment){midnight, START}) & EFFECT_REFETCH);
    CHECK_EQ(model.range.from_usec, midnight);
    CHECK(!model.has_summary);
}

TEST(messages_go)
{
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    model_say(&model, false, "Well %s", "done");
    pass(&model, 9);
    CHECK_STREQ(model.message.text, "Well done");
    pass(&model, 1);
    CHECK_STREQ(model.message.text, "");
}

TEST(the_scale_is_that_of_the_port)
{
    struct told told[] = {{80, "", 0, 0, 0}, {443, "", 0, 0, 0}};
    _cleanup_(model_clear) struct model model = {};

    begin(&model, 80);
    tell(&model, told, 2);
    pass(&model, 1);
    told[0].rx_bytes = 5000000;
    tell(&model, told, 2);
    model_settle_scales(&model, 60);
    CHECK_EQ(model.scales[DIRECTION_RX].top, 5 << 20);
    CHECK_EQ(model.scales[DIRECTION_TX].top, 1024);
    model_step(&model, 1);
    model_settle_scales(&model, 60);
    CHECK_EQ(model.scales[DIRECTION_RX].top, 1024);
    model_step(&model, -1);
    model_settle_scales(&model, 10 * SERIES_SECONDS); /* a huge terminal */
    CHECK_EQ(model.scales[DIRECTION_RX].top, 5 << 20);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    return run_tests();
}
