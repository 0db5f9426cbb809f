/* SPDX-License-Identifier: MIT */
#include "client/tui/screen.h"

#include "client/text.h"
#include "shared/cleanup.h"

#include <curses.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#undef columns /* a number of the terminal's description */

/* An escape sequence arrives at once, even over a slow line; what comes later is a key of its own.
 */
#define ESCAPE_MSEC 25

/* Middle tones of the 256 colours, with a contrast of 3.9 and more to both black and white; of 8
 * colours those that most palettes keep readable on both. The background is never touched. */
static const struct {
    short color;      /* of 256; 0: that of the terminal */
    short poor_color; /* of 8 */
    attr_t attributes;
    attr_t plain_attributes; /* where there are no colours */
} looks[_STYLE_MAX] = {
    [STYLE_NORMAL] = {},
    [STYLE_DIM] = {244, 0, 0, A_NORMAL},
    [STYLE_STRONG] = {0, 0, A_BOLD, A_BOLD},
    [STYLE_HEADING] = {244, 0, A_UNDERLINE, A_UNDERLINE},
    [STYLE_TITLE] = {0, 0, A_BOLD, A_BOLD},
    [STYLE_FOCUS] = {0, 0, A_BOLD | A_UNDERLINE, A_BOLD | A_UNDERLINE},
    [STYLE_RULE] = {244, 0, 0, A_NORMAL},
    [STYLE_RX] = {28, COLOR_GREEN, 0, A_NORMAL},
    [STYLE_TX] = {32, COLOR_MAGENTA, 0, A_NORMAL},
    [STYLE_SELECTED] = {0, 0, A_REVERSE, A_REVERSE},
    [STYLE_KEY] = {0, 0, A_BOLD, A_BOLD},
    [STYLE_GOOD] = {28, COLOR_GREEN, 0, A_NORMAL},
    [STYLE_WARNING] = {130, COLOR_RED, 0, A_BOLD},
    [STYLE_ALARM] = {160, COLOR_RED, A_BOLD, A_REVERSE},
};

static struct {
    SCREEN *screen;
    struct look look;
    attr_t attributes[_STYLE_MAX]; /* with their colour pairs */
    short pairs[_STYLE_MAX];
    struct surface next;  /* being drawn */
    struct surface shown; /* what the terminal shows */
    bool repaint;
} the;

/* ---- beginning and end ---- */

bool screen_is_possible(struct reason *reason)
{
    const char *terminal = getenv("TERM") ?: "";
    bool possible = false;
    int error;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        fail(reason, -ENOTTY,
             "The dashboard needs a terminal; portmon stats and portmon watch do "
             "without");
    else if (setupterm(terminal, STDOUT_FILENO, &error) != OK)
        fail(reason, -ENOTTY, "The terminal '%s' (TERM) is not known here", terminal);
    else if (!cursor_address)
        fail(reason, -ENOTTY, "The terminal '%s' (TERM) can't show a dashboard", terminal);
    else
        possible = true;
    if (cur_term)
        del_curterm(cur_term);
    return possible;
}

static bool wants_color(void)
{
    const char *no_color = getenv("NO_COLOR");

    return !(no_color && *no_color) && has_colors() && start_color() == OK &&
           use_default_colors() == OK;
}

static void choose_looks(void)
{
    the.look.unicode = text_is_unicode();
    the.look.color = wants_color();
    for (int i = 0; i < _STYLE_MAX; i++) {
        short color = COLORS >= 256 ? looks[i].color : looks[i].poor_color;

        the.attributes[i] = the.look.color ? looks[i].attributes : looks[i].plain_attributes;
        the.pairs[i] = 0;
        if (!the.look.color || !color)
            continue;
        the.pairs[i] = (short) (i + 1);
        init_pair(the.pairs[i], color, -1);
    }
}

int screen_open(struct reason *reason)
{
    the.screen = newterm(NULL, stdout, stdin);
    if (!the.screen)
        return fail(reason, -ENOTTY, "The terminal can't be used");
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, false);
    keypad(stdscr, true);
    nodelay(stdscr, true);
    set_escdelay(ESCAPE_MSEC);
    mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
    mouseinterval(0); /* a click is there when the button goes down */
    curs_set(0);
    choose_looks();
    the.repaint = true;
    return 0;
}

void screen_close(void)
{
    if (!the.screen)
        return;
    curs_set(1);
    endwin();
    delscreen(the.screen);
    surface_free(&the.next);
    surface_free(&the.shown);
    the.screen = NULL;
}

const struct look *screen_look(void)
{
    return &the.look;
}

/* ---- drawing ---- */

struct surface *screen_begin(void)
{
    unsigned rows = (unsigned) LINES, columns = (unsigned) COLS;

    if (the.next.rows != rows || the.next.columns != columns) {
        if (surface_resize(&the.next, rows, columns) < 0 ||
            surface_resize(&the.shown, rows, columns) < 0)
            return NULL;
        the.repaint = true;
    }
    surface_clear(&the.next);
    return &the.next;
}

static void write_row(unsigned row)
{
    const struct cell *cells = the.next.cells + (size_t) row * the.next.columns;

    for (unsigned column = 0; column < the.next.columns; column++) {
        cchar_t character;

        if (!*cells[column].text) /* the right half of the one before */
            continue;
        setcchar(&character, cells[column].text, the.attributes[cells[column].style],
                 the.pairs[cells[column].style], NULL);
        mvadd_wch((int) row, (int) column, &character);
    }
}

void screen_show(void)
{
    struct surface shown = the.shown;
    bool cursor = the.next.cursor_row >= 0;

    for (unsigned row = 0; row < the.next.rows; row++)
        if (the.repaint || !surface_row_equal(&the.next, &the.shown, row))
            write_row(row);
    if (cursor)
        move(the.next.cursor_row, the.next.cursor_column);
    curs_set(cursor);
    wnoutrefresh(stdscr);
    doupdate();
    the.repaint = false;
    the.shown = the.next;
    the.next = shown;
}

void screen_repaint(void)
{
    clearok(curscr, true);
    the.repaint = true;
}

void screen_resized(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        resizeterm(size.ws_row, size.ws_col);
    screen_repaint();
}

void screen_suspend(void)
{
    curs_set(1);
    endwin();
}

void screen_resume(void)
{
    /* In the background this stops us again, until the terminal is ours. */
    reset_prog_mode();
    refresh();
    curs_set(0);
    screen_resized();
}

/* ---- keys ---- */

static const struct {
    wint_t code;
    enum input_kind kind;
} special_keys[] = {
    {KEY_UP, INPUT_UP},
    {KEY_DOWN, INPUT_DOWN},
    {KEY_LEFT, INPUT_LEFT},
    {KEY_RIGHT, INPUT_RIGHT},
    {KEY_PPAGE, INPUT_PAGE_UP},
    {KEY_NPAGE, INPUT_PAGE_DOWN},
    {KEY_HOME, INPUT_HOME},
    {KEY_END, INPUT_END},
    {KEY_ENTER, INPUT_ENTER},
    {KEY_BTAB, INPUT_BACKTAB},
    {KEY_BACKSPACE, INPUT_BACKSPACE},
};

static const struct {
    wint_t character;
    enum input_kind kind;
} control_keys[] = {
    {L'\t', INPUT_TAB},  {L'\r', INPUT_ENTER},     {L'\n', INPUT_ENTER},
    {033, INPUT_ESCAPE}, {L'\b', INPUT_BACKSPACE}, {0177, INPUT_BACKSPACE},
};

static void read_mouse(struct input *ret)
{
    MEVENT event;

    if (getmouse(&event) != OK)
        return;
    ret->kind = event.bstate & BUTTON1_PRESSED   ? INPUT_CLICK
                : event.bstate & BUTTON4_PRESSED ? INPUT_WHEEL_UP
                : event.bstate & BUTTON5_PRESSED ? INPUT_WHEEL_DOWN
                                                 : INPUT_NONE;
    ret->row = event.y;
    ret->column = event.x;
}

static void read_special(wint_t code, struct input *ret)
{
    for (size_t i = 0; i < ELEMENTSOF(special_keys); i++)
        if (special_keys[i].code == code)
            ret->kind = special_keys[i].kind;
}

static void read_character(wint_t character, struct input *ret)
{
    ret->kind = INPUT_CHARACTER;
    ret->character = (wchar_t) character;
    for (size_t i = 0; i < ELEMENTSOF(control_keys); i++)
        if (control_keys[i].character == character)
            ret->kind = control_keys[i].kind;
}

bool screen_read(struct input *ret)
{
    wint_t code;
    int r = get_wch(&code);

    *ret = (struct input){};
    if (r == ERR)
        return false;
    if (r == OK)
        read_character(code, ret);
    else if (code == KEY_MOUSE)
        read_mouse(ret);
    else
        read_special(code, ret);
    return true;
}
