/* SPDX-License-Identifier: MIT */
#include "client/prompt.h"

#include "client/model-internal.h"
#include "client/text.h"
#include "shared/parse.h"

#include <string.h>
#include <wctype.h>

/* Each returns effects; one that does not take the answer says why and leaves the prompt open. */
static unsigned accept_filter(struct model *model);
static unsigned accept_range(struct model *model);
static unsigned accept_cycle_day(struct model *model);
static unsigned accept_from(struct model *model);
static unsigned accept_to(struct model *model);
static unsigned accept_port(struct model *model);
static unsigned accept_description(struct model *model);
static unsigned accept_remove(struct model *model);

static const struct kind {
    enum prompt_shape shape;
    const char *question; /* may have a %u for the port it is about */
    unsigned (*accept)(struct model *model);
} kinds[_PROMPT_MAX] = {
    [PROMPT_FILTER] = {SHAPE_TEXT, "Only ports with", accept_filter},
    [PROMPT_RANGE] = {SHAPE_MENU, "Range", accept_range},
    [PROMPT_CYCLE_DAY] = {SHAPE_TEXT, "Day the cycle begins on, 1 to 31", accept_cycle_day},
    [PROMPT_FROM] = {SHAPE_TEXT, "From, YYYY-MM-DD", accept_from},
    [PROMPT_TO] = {SHAPE_TEXT, "Up to and including, YYYY-MM-DD", accept_to},
    [PROMPT_PORT] = {SHAPE_TEXT, "Port to add", accept_port},
    [PROMPT_DESCRIPTION] = {SHAPE_TEXT, "Description of port %u, if any", accept_description},
    [PROMPT_REMOVE] = {SHAPE_CONFIRM, "Remove port %u? History stays. y/N", accept_remove},
};

/* The lines of the range menu. A cycle and dates of one's own are asked for further. */
static const struct {
    enum range_kind kind;
    enum prompt_id next;
} ranges[] = {
    {RANGE_TODAY, PROMPT_NONE},       {RANGE_THIS_MONTH, PROMPT_NONE},
    {RANGE_LAST_7_DAYS, PROMPT_NONE}, {RANGE_LAST_30_DAYS, PROMPT_NONE},
    {RANGE_CYCLE, PROMPT_CYCLE_DAY},  {RANGE_DATES, PROMPT_FROM},
};

static const struct choice range_choices[ELEMENTSOF(ranges)] = {
    {'t', "today"},        {'m', "this month"},       {'7', "last 7 days"},
    {'3', "last 30 days"}, {'b', "billing cycle..."}, {'c', "from ... to ..."},
};

enum prompt_shape prompt_shape(const struct prompt *prompt)
{
    return kinds[prompt->id].shape;
}

void prompt_question(const struct model *model, char *buffer, size_t size)
{
    const char *question = kinds[model->prompt.id].question, *place = strstr(question, "%u");

    if (!place)
        snprintf(buffer, size, "%s", question);
    else
        snprintf(buffer, size, "%.*s%u%s", (int) (place - question), question, model->prompt.port,
                 place + strlen("%u"));
}

const struct choice *prompt_choices(const struct prompt *prompt, size_t *ret_n)
{
    *ret_n = ELEMENTSOF(range_choices);
    return range_choices;
}

/* ---- opening and closing ---- */

static unsigned close_prompt(struct model *model)
{
    model->prompt = (struct prompt){};
    return EFFECT_REDRAW;
}

static unsigned complain(struct model *model, const char *complaint)
{
    model->prompt.complaint = complaint;
    return EFFECT_REDRAW;
}

/** What is in the field at first: what is likely meant. */
static void fill_in(struct model *model)
{
    const struct range_request *request = &model->range_request;
    const struct model_port *port = model_selected(model);
    struct prompt *prompt = &model->prompt;

    switch (prompt->id) {
    case PROMPT_FILTER:
        snprintf(prompt->text, sizeof(prompt->text), "%s", model->filter);
        break;
    case PROMPT_RANGE:
        while (prompt->choice + 1 < ELEMENTSOF(ranges) &&
               ranges[prompt->choice].kind != request->kind)
            prompt->choice++;
        break;
    case PROMPT_CYCLE_DAY:
        if (request->cycle_day || (port && port->cycle_day))
            snprintf(prompt->text, sizeof(prompt->text), "%d",
                     request->cycle_day ?: (int) port->cycle_day);
        break;
    case PROMPT_FROM:
        date_format(model->range.first, prompt->text);
        break;
    case PROMPT_TO:
        date_format(date_of(model->now.wall_usec), prompt->text);
        break;
    default:
        break;
    }
}

unsigned prompt_open(struct model *model, enum prompt_id id)
{
    model->message = (struct message){};
    model->prompt = (struct prompt){.id = id, .port = model->selected};
    if (id == PROMPT_REMOVE && !model_selected(model))
        return close_prompt(model);
    fill_in(model);
    return EFFECT_REDRAW;
}

/** The next question of a row of them: what was answered so far stays. */
static unsigned go_on(struct model *model, enum prompt_id id)
{
    model->prompt.id = id;
    model->prompt.complaint = NULL;
    *model->prompt.text = '\0';
    fill_in(model);
    return EFFECT_REDRAW;
}

/* ---- answers ---- */

static unsigned accept_filter(struct model *model)
{
    return close_prompt(model); /* it was applied while it was typed */
}

static unsigned accept_range(struct model *model)
{
    unsigned choice = model->prompt.choice;

    if (ranges[choice].next)
        return go_on(model, ranges[choice].next);
    close_prompt(model);
    return model_set_range(model, &(struct range_request){.kind = ranges[choice].kind});
}

static unsigned accept_cycle_day(struct model *model)
{
    uint64_t day;

    if (parse_number(model->prompt.text, 1, CYCLE_DAY_MAX, &day) < 0)
        return complain(model, "not a day of the month");
    close_prompt(model);
    return model_set_range(model,
                           &(struct range_request){.kind = RANGE_CYCLE, .cycle_day = (int) day});
}

static unsigned accept_from(struct model *model)
{
    if (date_parse(model->prompt.text, &model->prompt.from) < 0)
        return complain(model, "not a day that exists");
    return go_on(model, PROMPT_TO);
}

static unsigned accept_to(struct model *model)
{
    struct range_request request = {.kind = RANGE_DATES, .from = model->prompt.from};

    if (date_parse(model->prompt.text, &request.to) < 0)
        return complain(model, "not a day that exists");
    if (date_compare(request.to, request.from) < 0)
        return complain(model, "before the first day");
    close_prompt(model);
    return model_set_range(model, &request);
}

static unsigned accept_port(struct model *model)
{
    if (parse_port(model->prompt.text, &model->prompt.port) < 0)
        return complain(model, "not a port, 1 to 65535");
    return go_on(model, PROMPT_DESCRIPTION);
}

static unsigned ask_for(struct model *model, enum change_kind kind, const char *description)
{
    model->change = (struct change){.kind = kind, .port = model->prompt.port};
    snprintf(model->change.description, sizeof(model->change.description), "%s", description);
    return close_prompt(model);
}

static unsigned accept_description(struct model *model)
{
    model->wanted_port = model->prompt.port;
    model_set_filter(model, ""); /* which might hide it */
    return ask_for(model, CHANGE_ADD, model->prompt.text);
}

static unsigned accept_remove(struct model *model)
{
    return ask_for(model, CHANGE_REMOVE, "");
}

unsigned prompt_accept(struct model *model)
{
    if (prompt_shape(&model->prompt) == SHAPE_CONFIRM) /* Enter alone is the answer in capitals */
        return close_prompt(model);
    return kinds[model->prompt.id].accept(model);
}

unsigned prompt_cancel(struct model *model)
{
    unsigned effects = 0;

    if (model->prompt.id == PROMPT_FILTER)
        effects = model_set_filter(model, "");
    return effects | close_prompt(model);
}

/* ---- typing ---- */

static unsigned text_changed(struct model *model)
{
    model->prompt.complaint = NULL;
    return EFFECT_REDRAW |
           (model->prompt.id == PROMPT_FILTER ? model_set_filter(model, model->prompt.text) : 0);
}

static unsigned append(struct model *model, wchar_t character)
{
    struct prompt *prompt = &model->prompt;
    char encoded[TEXT_CHARACTER_SIZE];
    size_t length = strlen(prompt->text);

    if (!iswprint((wint_t) character) ||
        length + text_encode(encoded, character) >= sizeof(prompt->text))
        return 0;
    memcpy(prompt->text + length, encoded, strlen(encoded) + 1);
    return text_changed(model);
}

static unsigned choose(struct model *model, wchar_t character)
{
    for (unsigned i = 0; i < ELEMENTSOF(range_choices); i++)
        if (range_choices[i].key == character) {
            model->prompt.choice = i;
            return prompt_accept(model);
        }
    return 0;
}

unsigned prompt_type(struct model *model, wchar_t character)
{
    switch (prompt_shape(&model->prompt)) {
    case SHAPE_TEXT:
        return append(model, character);
    case SHAPE_MENU:
        return choose(model, character);
    case SHAPE_CONFIRM:
        if (character == 'y' || character == 'Y')
            return kinds[model->prompt.id].accept(model);
        return close_prompt(model);
    default:
        return 0;
    }
}

unsigned prompt_erase(struct model *model, bool all)
{
    char *text = model->prompt.text;

    text[all ? 0 : text_without_last(text)] = '\0';
    return text_changed(model);
}

unsigned prompt_move(struct model *model, int lines)
{
    int n = ELEMENTSOF(range_choices);

    model->prompt.choice = (unsigned) (((int) model->prompt.choice + lines % n + n) % n);
    return EFFECT_REDRAW;
}
