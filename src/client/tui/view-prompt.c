/* SPDX-License-Identifier: MIT */
/* The last line: a prompt, a message, or what can be done. Menus and long messages grow upwards. */
#include "client/text.h"
#include "client/tui/keys.h"
#include "client/tui/view.h"

#include <stdio.h>
#include <string.h>

/* Rows that a message may take. */
#define MESSAGE_ROWS 4

/* Columns that an answer needs beside its question; else it has the row to itself. */
#define MIN_ANSWER 20

/* ---- prompts ---- */

static void clear_row(const struct region *region, int row)
{
    region_repeat(region, row, 0, region->columns, STYLE_NORMAL, L' ');
}

static void draw_text(const struct model *model, const struct region *region, int row)
{
    const struct prompt *prompt = &model->prompt;
    const char *text = prompt->text;
    int column, room, skip, above = row - 1;
    wchar_t character;
    unsigned columns;
    char question[96];

    prompt_question(model, question, sizeof(question));
    if ((int) text_width(question) + MIN_ANSWER > region->columns) {
        clear_row(region, above);
        region_fit(region, above--, 1, region->columns - 2, STYLE_KEY, question);
        column = 1;
    } else
        column = region_printf(region, row, 1, STYLE_KEY, "%s: ", question);
    room = region->columns - column - 1;
    /* The end of a long text is where one types. */
    for (skip = (int) text_width(text) - room; skip > 0 && text_next(&text, &character, &columns);)
        skip -= (int) columns;
    column = region_put(region, row, column, STYLE_STRONG, text);
    region->surface->cursor_row = region->row + row;
    region->surface->cursor_column = region->column + column;
    if (prompt->complaint) {
        clear_row(region, above);
        region_fit(region, above, 1, region->columns - 2, STYLE_ALARM, prompt->complaint);
    }
}

static void draw_confirm(const struct model *model, const struct region *region, int row)
{
    char question[96];

    prompt_question(model, question, sizeof(question));
    region->surface->cursor_row = region->row + row;
    region->surface->cursor_column = region->column +
                                     region_put(region, row, 1, STYLE_ALARM, question) + 1;
}

static void draw_menu(const struct model *model, const struct region *region, int row)
{
    size_t n;
    const struct choice *choices = prompt_choices(&model->prompt, &n);
    int top = row - (int) n;
    char question[96];
    struct region box = region_part(region, top, 0, (int) n + 1, region->columns);

    prompt_question(model, question, sizeof(question));
    for (int i = 0; i <= (int) n; i++)
        clear_row(&box, i);
    region_title(&box, true, question);
    for (size_t i = 0; i < n; i++) {
        const char key[] = {(char) choices[i].key, '\0'};

        region_put(&box, (int) i + 1, 2, STYLE_KEY, key);
        region_put(&box, (int) i + 1, 5, STYLE_NORMAL, choices[i].text);
        if (i == model->prompt.choice)
            region_restyle(&box, (int) i + 1, 0, box.columns, STYLE_SELECTED);
    }
}

static void draw_prompt(const struct model *model, const struct region *region)
{
    static void (*const shapes[])(const struct model *, const struct region *, int) = {
        [SHAPE_TEXT] = draw_text,
        [SHAPE_MENU] = draw_menu,
        [SHAPE_CONFIRM] = draw_confirm,
    };

    shapes[prompt_shape(&model->prompt)](model, region, region->rows - 1);
}

/* ---- messages ---- */

static void draw_message(const struct model *model, const struct region *region)
{
    const struct message *message = &model->message;
    enum style style = message->is_failure ? STYLE_ALARM : STYLE_GOOD;
    int width = region->columns - 2, rows = wrapped_rows(message->text, width, MESSAGE_ROWS);

    for (int row = region->rows - rows; row < region->rows; row++)
        clear_row(region, row);
    region_wrap(region, region->rows - rows, 1, width, rows, style, message->text);
}

/* ---- hints ---- */

static void draw_hints(const struct model *model, const struct region *region)
{
    int row = region->rows - 1, column = 1, end;
    const struct key_help *help;
    char interval[32];
    size_t n;

    snprintf(interval, sizeof(interval), "every %u s", model->interval_sec);
    end = region->columns - (int) strlen(interval) - 1;
    region_put(region, row, end, STYLE_DIM, interval);
    help = keys_help(&n);
    for (size_t i = 0; i < n; i++) {
        int length = (int) strcspn(help[i].keys, " ");
        int width = help[i].hint ? length + 1 + (int) strlen(help[i].hint) : 0;

        if (!width || column + width + 2 > end)
            continue;
        column = region_printf(region, row, column, STYLE_KEY, "%.*s", length, help[i].keys);
        column = region_printf(region, row, column + 1, STYLE_DIM, "%s", help[i].hint) + 2;
    }
}

static void draw(const struct model *model, const struct region *region)
{
    if (model->prompt.id)
        draw_prompt(model, region);
    else if (*model->message.text)
        draw_message(model, region);
    else
        draw_hints(model, region);
}

const struct view view_prompt = {.draw = draw};
