/* SPDX-License-Identifier: MIT */
#include "client/text.h"

#include "client/tui/surface.h"
#include "shared/cleanup.h"
#include "test.h"

#include <locale.h>

TEST(width)
{
    static const struct {
        const char *text;
        size_t unicode, ascii;
    } cases[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"Bücher", 6, 6},
        {"日本語", 6, 3},
        {"e\u0301te\u0301", 3, 5},  /* accents that join */
        {"\u200b|", 1, 2},          /* a blank of no width */
        {"a\tb\033[m\a", 7, 7},     /* what would be a command to the terminal */
        {"\xff\xfe", 2, 2},         /* not UTF-8 */
        {"\xe6\x97", 2, 2},         /* cut off */
        {"\xc0\xaf", 1, 1},         /* longer than need be */
        {"\xed\xa0\x80", 1, 1},     /* half of a pair */
        {"\xf4\x90\x80\x80", 1, 1}, /* beyond Unicode */
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("case %zu", i);
        setlocale(LC_ALL, "C.UTF-8");
        CHECK_EQ(text_width(cases[i].text), cases[i].unicode);
        setlocale(LC_ALL, "C");
        CHECK_EQ(text_width(cases[i].text), cases[i].ascii);
    }
    setlocale(LC_ALL, "C.UTF-8");
}

TEST(cut)
{
    static const struct {
        const char *text;
        size_t columns;
        const char *wanted;
    } cases[] = {
        {"", 12, ""},
        {"exactly", 7, "exactly"},
        {"a little more", 12, "a little m.."},
        {"日本語日本語", 12, "日本語日本語"},
        {"日本語日本語", 11, "日本語日.."},
        {"e\u0301e\u0301e\u0301e\u0301", 3, "e\u0301.."},
        {"\xff\xff\xff\xff", 3, "\xff.."},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        char text[64];

        CONTEXT("case %zu", i);
        strcpy(text, cases[i].text);
        text_cut(text, cases[i].columns);
        CHECK_STREQ(text, cases[i].wanted);
    }
}

TEST(characters)
{
    static const wchar_t all[] = {L'a', 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    char text[TEXT_CHARACTER_SIZE];

    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        const char *at = text;
        unsigned columns;
        wchar_t got;

        CHECK_EQ(text_encode(text, all[i]), strlen(text));
        CHECK(text_next(&at, &got, &columns));
        CHECK_EQ(at - text, strlen(text));
        CHECK(got == all[i] || got == L'?');
    }
}

TEST(without_last)
{
    CHECK_EQ(text_without_last(""), 0);
    CHECK_EQ(text_without_last("a"), 0);
    CHECK_EQ(text_without_last("aü"), 1);
    CHECK_EQ(text_without_last("a日"), 1);
    CHECK_EQ(text_without_last("ae\u0301"), 1);
    CHECK_EQ(text_without_last("日a"), 3);
}

TEST(contains)
{
    CHECK(text_contains("", ""));
    CHECK(text_contains("x", ""));
    CHECK(!text_contains("", "x"));
    CHECK(text_contains("Straße", "AßE"));
    CHECK(text_contains("aab", "ab"));
    CHECK(!text_contains("ab", "abc"));
}

TEST(order)
{
    CHECK(text_compare("a", "B") < 0);
    CHECK(text_compare("B", "a") > 0);
    CHECK(text_compare("a", "ab") < 0);
    CHECK(text_compare("a", "A") != 0);
    CHECK_EQ(text_compare("Ä", "Ä"), 0);
}

/* ---- on a surface ---- */

#define ROWS    3
#define COLUMNS 10

/** A row of a surface as text; '>' for the right half of a wide character. */
static const wchar_t *row_text(const struct surface *surface, unsigned row)
{
    static wchar_t text[COLUMNS * CELL_CHARACTERS + 1];
    wchar_t *end = text;

    for (unsigned i = 0; i < surface->columns; i++) {
        const wchar_t *cell = surface->cells[row * surface->columns + i].text;

        end = wcpcpy(end, *cell ? cell : L">");
    }
    return text;
}

static void check_row(const struct surface *surface, const wchar_t *wanted)
{
    if (wcscmp(row_text(surface, 1), wanted) != 0)
        CHECK_FAILED("the row is \"%ls\", not \"%ls\"", row_text(surface, 1), wanted);
    CHECK(wcscmp(row_text(surface, 0), L"          ") == 0);
    CHECK(wcscmp(row_text(surface, 2), L"          ") == 0);
}

TEST(nothing_leaves_its_region)
{
    static const struct {
        int column;
        const char *text;
        const wchar_t *put, *fitted, *right;
    } cases[] = {
        {0, "abc", L"  abc     ", L"  abc     ", L"     abc  "},
        {0, "abcdefgh", L"  abcdef  ", L"  abcde…  ", L"  abcde…  "},
        {-2, "abcd", L"  cd      ", NULL, NULL},
        {4, "日本", L"      日>  ", NULL, NULL},
        {5, "日本", L"          ", NULL, NULL}, /* half of it can't be shown */
        {0, "日本語国", L"  日>本>語>  ", L"  日>本> …  ", L"  日>本> …  "},
        {0, "e\u0301e\u0301", L"  e\u0301e\u0301      ", L"  e\u0301e\u0301      ",
         L"      e\u0301e\u0301  "},
        {0, "\u0301a", L"  a       ", L"  a       ", L"       a  "}, /* nothing to join */
    };
    static const struct look look = {.unicode = true};
    struct surface surface = {};

    setlocale(LC_ALL, "C.UTF-8");
    REQUIRE(surface_resize(&surface, ROWS, COLUMNS) == 0);
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        const struct region region = {&surface, &look, 1, 2, 1, 6};

        CONTEXT("case %zu", i);
        surface_clear(&surface);
        region_put(&region, 0, cases[i].column, STYLE_NORMAL, cases[i].text);
        region_put(&region, 1, 0, STYLE_NORMAL, "below");
        region_put(&region, -1, 0, STYLE_NORMAL, "above");
        check_row(&surface, cases[i].put);
        if (!cases[i].fitted)
            continue;
        surface_clear(&surface);
        region_fit(&region, 0, 0, 6, STYLE_NORMAL, cases[i].text);
        region_fit(&region, 1, 0, 6, STYLE_NORMAL, "below");
        region_fit(&region, -1, 0, 6, STYLE_NORMAL, "above");
        check_row(&surface, cases[i].fitted);
        surface_clear(&surface);
        region_fit_right(&region, 0, 0, 6, STYLE_NORMAL, cases[i].text);
        check_row(&surface, cases[i].right);
    }
    surface_free(&surface);
}

TEST(wrapping)
{
    static const struct look look = {.unicode = true};
    struct surface surface = {};
    struct region region = {&surface, &look, 0, 0, ROWS, COLUMNS};

    setlocale(LC_ALL, "C.UTF-8");
    REQUIRE(surface_resize(&surface, ROWS, COLUMNS) == 0);
    CHECK_EQ(wrapped_rows("one two three", 10, 5), 2);
    CHECK_EQ(region_wrap(&region, 0, 0, 10, 2, STYLE_NORMAL, "one two three four five"), 2);
    CHECK(wcscmp(row_text(&surface, 0), L"one two   ") == 0);
    CHECK(wcscmp(row_text(&surface, 1), L"three fou…") == 0);
    surface_clear(&surface);
    CHECK_EQ(region_wrap(&region, 0, 0, 10, 3, STYLE_NORMAL, "Donaudampfschiff"), 2);
    CHECK(wcscmp(row_text(&surface, 0), L"Donaudampf") == 0);
    CHECK(wcscmp(row_text(&surface, 1), L"schiff    ") == 0);
    CHECK_EQ(region_wrap(&region, 0, 0, 0, 3, STYLE_NORMAL, "x"), 0);
    CHECK_EQ(wrapped_rows("日本語", 2, 5), 3);
    surface_free(&surface);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    return run_tests();
}
