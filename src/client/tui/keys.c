/* SPDX-License-Identifier: MIT */
#include "client/tui/keys.h"

#include <limits.h>

#define PAGE 10

/* ---- actions: each takes the argument of its binding and returns effects ---- */

static unsigned quit(struct model *model, int argument)
{
    return EFFECT_QUIT;
}

static unsigned toggle_help(struct model *model, int argument)
{
    model->help = !model->help;
    model->help_top = 0;
    return EFFECT_REDRAW;
}

static unsigned step(struct model *model, int argument)
{
    return model_step(model, argument);
}

static unsigned move(struct model *model, int argument)
{
    return model_move(model, argument);
}

static unsigned next_panel(struct model *model, int argument)
{
    return model_focus_step(model, argument);
}

static unsigned enter(struct model *model, int argument)
{
    return model_focus(model, model->focus == PANEL_PORTS ? PANEL_SUMMARY : PANEL_PORTS);
}

static unsigned go_to_connections(struct model *model, int argument)
{
    if (model->focus == PANEL_CONNECTIONS)
        return model_focus(model, PANEL_PORTS);
    /* Who asks for them wants to be asked for a password, if that is what it takes. */
    return model_focus(model, PANEL_CONNECTIONS) |
           (*model->connections_reason.text ? model_refresh(model) : 0);
}

static unsigned refresh(struct model *model, int argument)
{
    return model_refresh(model);
}

static unsigned repaint(struct model *model, int argument)
{
    return EFFECT_REDRAW | EFFECT_REPAINT;
}

static unsigned next_sort(struct model *model, int argument)
{
    return model_sort(model, (model->sort + 1) % _COLUMN_MAX);
}

static unsigned reverse_sort(struct model *model, int argument)
{
    return model_sort(model, model->sort);
}

static unsigned other_role(struct model *model, int argument)
{
    return model_set_role(model, model->role == ROLE_SERVER ? ROLE_CLIENT : ROLE_SERVER);
}

static unsigned change_interval(struct model *model, int argument)
{
    return model_set_interval(model, (int) model->interval_sec + argument);
}

static unsigned ask(struct model *model, int argument)
{
    return prompt_open(model, (enum prompt_id) argument);
}

static unsigned leave(struct model *model, int argument)
{
    model->help = false;
    model->message = (struct message){};
    return *model->filter ? model_set_filter(model, "") : EFFECT_REDRAW;
}

/* ---- tables ---- */

static const struct binding {
    enum input_kind kind;
    wchar_t character;
    unsigned (*act)(struct model *model, int argument);
    int argument;
} bindings[] = {
    {INPUT_CHARACTER, L'q', quit},
    {INPUT_CHARACTER, L'?', toggle_help},
    {INPUT_CHARACTER, L'n', step, 1},
    {INPUT_CHARACTER, L'N', step, -1},
    {INPUT_RIGHT, 0, step, 1},
    {INPUT_LEFT, 0, step, -1},
    {INPUT_DOWN, 0, move, 1},
    {INPUT_UP, 0, move, -1},
    {INPUT_PAGE_DOWN, 0, move, PAGE},
    {INPUT_PAGE_UP, 0, move, -PAGE},
    {INPUT_HOME, 0, move, -INT_MAX},
    {INPUT_END, 0, move, INT_MAX},
    {INPUT_TAB, 0, next_panel, 1},
    {INPUT_BACKTAB, 0, next_panel, -1},
    {INPUT_ENTER, 0, enter},
    {INPUT_CHARACTER, L'c', go_to_connections},
    {INPUT_CHARACTER, L'd', ask, PROMPT_RANGE},
    {INPUT_CHARACTER, L'/', ask, PROMPT_FILTER},
    {INPUT_CHARACTER, L's', next_sort},
    {INPUT_CHARACTER, L'S', reverse_sort},
    {INPUT_CHARACTER, L'v', other_role},
    {INPUT_CHARACTER, L'a', ask, PROMPT_PORT},
    {INPUT_CHARACTER, L'x', ask, PROMPT_REMOVE},
    {INPUT_CHARACTER, L'r', refresh},
    {INPUT_CHARACTER, CONTROL('l'), repaint},
    {INPUT_CHARACTER, L'+', change_interval, 1},
    {INPUT_CHARACTER, L'=', change_interval, 1}, /* the same key without Shift */
    {INPUT_CHARACTER, L'-', change_interval, -1},
    {INPUT_ESCAPE, 0, leave},
};

static const struct key_help help[] = {
    {"q", "Quit", "quit"},
    {"?", "This help", "help"},
    {"n  N  Right  Left", "Next and previous port", NULL},
    {"Up  Down", "Move in the panel in focus (also PgUp, PgDn, Home, End)", NULL},
    {"Tab  Shift-Tab", "Next and previous panel", "panel"},
    {"Enter", "From the ports to the summary, and back", NULL},
    {"d", "Range of days", "days"},
    {"c", "Connections, and back", "connections"},
    {"/", "Only ports that match; Esc shows all", "filter"},
    {"s  S", "Sort by the next column; the other way round", "sort"},
    {"a", "Add a port", "add"},
    {"x", "Remove the selected port", "remove"},
    {"v", "As server, or as client", "role"},
    {"+  -", "Sample less, or more often: every 1 to 60 s", NULL},
    {"r", "Refresh now", "refresh"},
    {"Ctrl-L", "Paint the screen anew", NULL},
    {"Mouse", "Click a port, a column or a panel; the wheel scrolls", NULL},
};

const struct key_help *keys_help(size_t *ret_n)
{
    *ret_n = ELEMENTSOF(help);
    return help;
}

/* ---- modes ---- */

static unsigned press_in_prompt(struct model *model, const struct input *input)
{
    switch (input->kind) {
    case INPUT_CHARACTER:
        if (input->character == CONTROL('u'))
            return prompt_erase(model, true);
        return prompt_type(model, input->character);
    case INPUT_BACKSPACE:
        return prompt_erase(model, false);
    case INPUT_UP:
    case INPUT_WHEEL_UP:
        return prompt_move(model, -1);
    case INPUT_DOWN:
    case INPUT_WHEEL_DOWN:
        return prompt_move(model, 1);
    case INPUT_ENTER:
        return prompt_accept(model);
    case INPUT_ESCAPE:
        return prompt_cancel(model);
    default:
        return 0;
    }
}

static unsigned press_in_help(struct model *model, const struct input *input)
{
    static const int steps[_INPUT_MAX] = {
        [INPUT_UP] = -1,          [INPUT_WHEEL_UP] = -1, [INPUT_PAGE_UP] = -PAGE,
        [INPUT_PAGE_DOWN] = PAGE, [INPUT_DOWN] = 1,      [INPUT_WHEEL_DOWN] = 1,
    };
    int top = (int) model->help_top + steps[input->kind];

    if (!steps[input->kind] && input->kind != INPUT_NONE)
        return input->character == L'q' ? EFFECT_QUIT : toggle_help(model, 0);
    model->help_top = top > 0 ? (size_t) top : 0;
    return EFFECT_REDRAW;
}

unsigned keys_press(struct model *model, const struct input *input)
{
    if (model->prompt.id)
        return press_in_prompt(model, input);
    if (model->help)
        return press_in_help(model, input);
    for (size_t i = 0; i < ELEMENTSOF(bindings); i++)
        if (bindings[i].kind == input->kind &&
            (input->kind != INPUT_CHARACTER || bindings[i].character == input->character))
            return bindings[i].act(model, bindings[i].argument);
    return 0;
}
