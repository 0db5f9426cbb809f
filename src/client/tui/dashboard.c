/* SPDX-License-Identifier: MIT */
/* The loop: sleeps until there is a key, news, a signal or another second, and draws. */
#include "client/tui/dashboard.h"

#include "client/tui/feed.h"
#include "client/tui/keys.h"
#include "client/tui/layout.h"
#include "client/tui/screen.h"
#include "client/tui/view.h"
#include "shared/time-util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

/* The clock is drawn this late in its second, so that it can go along with the sample of then. */
#define CLOCK_DELAY_USEC (USEC_PER_SEC / 4)

#define WHEEL_ROWS 3

static const int handled_signals[] = {SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH};

struct dashboard {
    struct model model;
    struct layout layout;
    struct feed *feed;
    struct wanted wanted; /* that the feed was told */
    int signal_fd;
    int stderr_fd; /* the real one, while ours leads nowhere; -1 if it was left alone */
    sigset_t blocked;
    int ended_by; /* a signal, or 0 */
    bool quit;
};

/* ---- time ---- */

static struct moment now(void)
{
    return (struct moment){now_usec(CLOCK_REALTIME), now_usec(CLOCK_BOOTTIME)};
}

/** Days are those of portmond's time zone. Only this thread reads calendars. */
static void use_zone(const struct service_status *status)
{
    /* TZ is always set before the other thread is there: here it is replaced, never added. */
    if (status->time_zone && *status->time_zone)
        setenv("TZ", status->time_zone, true);
    calendar_refresh_zone();
}

/* ---- drawing ---- */

static const struct view *const panel_views[_PANEL_MAX] = {
    [PANEL_PORTS] = &view_ports,
    [PANEL_GRAPH] = &view_graph,
    [PANEL_SUMMARY] = &view_summary,
    [PANEL_DAYS] = &view_days,
    [PANEL_CONNECTIONS] = &view_connections,
};

static struct region region_of(struct surface *surface, const struct place *place)
{
    return (struct region){surface,       screen_look(), place->row,
                           place->column, place->rows,   place->columns};
}

static void draw_view(struct dashboard *dashboard, const struct view *view,
                      const struct region *region)
{
    if (region->rows <= 0)
        return;
    if (view->settle)
        view->settle(&dashboard->model, region);
    view->draw(&dashboard->model, region);
}

static void draw_all(struct dashboard *dashboard, struct surface *surface)
{
    const struct layout *layout = &dashboard->layout;
    struct region region = region_of(surface, &layout->header);
    const struct place whole = {0, 0, (int) surface->rows, (int) surface->columns};
    const struct place help = {1, 0, whole.rows - 2, whole.columns};

    draw_view(dashboard, &view_header, &region);
    for (enum panel panel = 0; panel < _PANEL_MAX && !dashboard->model.help; panel++) {
        region = region_of(surface, &layout->panels[panel]);
        draw_view(dashboard, panel_views[panel], &region);
    }
    region = region_of(surface, &help);
    if (dashboard->model.help)
        draw_view(dashboard, &view_help, &region);
    region = region_of(surface, &whole);
    draw_view(dashboard, &view_prompt, &region);
}

/** Finds out what there is room for, and tells the feed if it should fetch something else. */
static void divide(struct dashboard *dashboard, const struct surface *surface)
{
    struct layout *layout = &dashboard->layout;
    struct model *model = &dashboard->model;
    struct wanted wanted = dashboard->wanted;

    layout_divide(layout, (int) surface->rows, (int) surface->columns, model->focus,
                  model->n_ports);
    model_wanted(model, &wanted);
    wanted.summary = layout->panels[PANEL_SUMMARY].rows > 0 || layout->panels[PANEL_DAYS].rows > 0;
    wanted.connections = layout->panels[PANEL_CONNECTIONS].rows > 0;
    if (wanted_equal(&wanted, &dashboard->wanted))
        return;
    dashboard->wanted = wanted;
    feed_want(dashboard->feed, &wanted);
}

static void redraw(struct dashboard *dashboard)
{
    struct surface *surface = screen_begin();

    if (!surface) /* without memory the screen stays as it is */
        return;
    divide(dashboard, surface);
    if (dashboard->layout.too_small) {
        const struct place line = {0, 0, 1, (int) surface->columns};
        const struct region region = region_of(surface, &line);

        region_fit(&region, 0, 0, region.columns, STYLE_NORMAL, "Too small: 40x10 is needed");
    } else
        draw_all(dashboard, surface);
    screen_show();
}

/* ---- events ---- */

static unsigned take_news(struct dashboard *dashboard)
{
    _cleanup_news_ struct news news = {};
    struct model *model = &dashboard->model;
    unsigned effects = 0;

    feed_take(dashboard->feed, &news);
    if (news.has_stats)
        effects |= model_take_stats(model, news.stats.ports, news.stats.n, news.sampled_usec);
    if (news.has_link && news.link == LINK_UP) {
        use_zone(&news.status);
        effects |= model_take_status(model, &news.status, news.way);
    } else if (news.has_link)
        effects |= model_take_loss(model, &news.lost);
    if (news.has_summary)
        effects |= model_take_summary(model, &news.summary_of, &news.summary,
                                      *news.summary_reason.text ? &news.summary_reason : NULL);
    if (news.has_connections)
        effects |= model_take_connections(model, news.connections_of, &news.connections,
                                          *news.connections_reason.text ? &news.connections_reason
                                                                        : NULL);
    if (news.has_result)
        effects |= model_take_result(model, news.failed, news.result.text);
    return effects;
}

/** A click or a turn of the wheel goes to the panel under it. */
static unsigned press_mouse(struct dashboard *dashboard, const struct input *input)
{
    struct model *model = &dashboard->model;
    unsigned effects;

    if (model->help || model->prompt.id || dashboard->layout.too_small)
        return keys_press(model, input);
    for (enum panel panel = 0; panel < _PANEL_MAX; panel++) {
        const struct place *place = &dashboard->layout.panels[panel];
        const struct view *view = panel_views[panel];
        int row = input->row - place->row, column = input->column - place->column;
        struct region region = {.rows = place->rows, .columns = place->columns};

        if (row < 0 || row >= place->rows || column < 0 || column >= place->columns)
            continue;
        if (input->kind != INPUT_CLICK)
            return model_scroll(model, panel,
                                input->kind == INPUT_WHEEL_UP ? -WHEEL_ROWS : WHEEL_ROWS);
        effects = model_focus(model, panel);
        return effects | (view->click ? view->click(model, &region, row, column) : 0);
    }
    return 0;
}

static unsigned read_keys(struct dashboard *dashboard)
{
    unsigned effects = 0;
    struct input input;

    while (!(effects & EFFECT_QUIT) && screen_read(&input))
        effects |= input.kind >= INPUT_CLICK ? press_mouse(dashboard, &input)
                                             : keys_press(&dashboard->model, &input);
    return effects;
}

/** Stops as the shell expects it, until it lets us go on. */
static void suspend(struct dashboard *dashboard)
{
    sigset_t stop;

    screen_suspend();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* here we stop */
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    screen_resume();
}

static unsigned take_signals(struct dashboard *dashboard)
{
    struct signalfd_siginfo info;

    while (read(dashboard->signal_fd, &info, sizeof(info)) == sizeof(info))
        switch (info.ssi_signo) {
        case SIGTSTP:
            suspend(dashboard);
            break;
        case SIGCONT:
            screen_resume();
            break;
        case SIGWINCH:
            screen_resized();
            break;
        default:
            dashboard->ended_by = (int) info.ssi_signo;
            return EFFECT_QUIT;
        }
    return EFFECT_REDRAW;
}

static void carry_out(struct dashboard *dashboard, unsigned effects)
{
    struct model *model = &dashboard->model;

    if (effects & EFFECT_QUIT)
        dashboard->quit = true;
    if (effects & EFFECT_REPAINT)
        screen_repaint();
    if (model->change.kind) {
        if (feed_change(dashboard->feed, &model->change) < 0)
            effects |= model_say(model, true, "portmond has not answered what was asked before");
        model->change = (struct change){};
    }
    if (effects & (EFFECT_REDRAW | EFFECT_REFETCH) && !dashboard->quit)
        redraw(dashboard);
}

/** How long to sleep: up to where the clock shows another second. */
static struct timespec until_next_second(void)
{
    uint64_t usec = USEC_PER_SEC - (now_usec(CLOCK_REALTIME) - CLOCK_DELAY_USEC) % USEC_PER_SEC;

    return (struct timespec){.tv_sec = (time_t) (usec / USEC_PER_SEC),
                             .tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC)};
}

static void run(struct dashboard *dashboard)
{
    struct pollfd fds[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = dashboard->signal_fd, .events = POLLIN},
        {.fd = feed_fd(dashboard->feed), .events = POLLIN},
    };
    struct timespec timeout;
    struct moment moment;
    uint64_t second;
    unsigned effects;
    int n;

    redraw(dashboard);
    while (!dashboard->quit) {
        timeout = until_next_second();
        n = ppoll(fds, ELEMENTSOF(fds), &timeout, NULL);
        second = dashboard->model.now.wall_usec / USEC_PER_SEC;
        moment = now();
        effects = model_tick(&dashboard->model, &moment);
        if (n == 0 && moment.wall_usec / USEC_PER_SEC != second)
            effects |= EFFECT_REDRAW;
        if (n > 0 && fds[1].revents)
            effects |= take_signals(dashboard);
        if (n > 0 && fds[2].revents)
            effects |= take_news(dashboard);
        if (n > 0 && fds[0].revents & POLLIN)
            effects |= read_keys(dashboard);
        else if (n > 0 && fds[0].revents) { /* the terminal is gone, and SIGHUP did not come */
            dashboard->ended_by = SIGHUP;
            effects |= EFFECT_QUIT;
        }
        carry_out(dashboard, effects);
    }
}

/* ---- beginning and end ---- */

/** Signals are read like all else, in every thread: nothing is done in between. */
static int block_signals(struct dashboard *dashboard)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTSOF(handled_signals); i++)
        sigaddset(&set, handled_signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, &dashboard->blocked);
    dashboard->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return dashboard->signal_fd < 0 ? -errno : 0;
}

/** Ends as who sent the signal expects it: by that signal. */
static void unblock_signals(struct dashboard *dashboard)
{
    safe_close(dashboard->signal_fd);
    if (dashboard->ended_by) {
        signal(dashboard->ended_by, SIG_DFL);
        raise(dashboard->ended_by);
    }
    pthread_sigmask(SIG_SETMASK, &dashboard->blocked, NULL);
}

/**
 * Keeps others from writing to our screen. ssh, which is started anew when its connection broke,
 * would ask for passwords there; it has to do without, or with a window of its own.
 */
static void guard_terminal(struct dashboard *dashboard)
{
    int nowhere = isatty(STDERR_FILENO) ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

    dashboard->stderr_fd = nowhere < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (dashboard->stderr_fd >= 0)
        dup2(nowhere, STDERR_FILENO);
    safe_close(nowhere);
    setenv("SSH_ASKPASS", "/bin/false", false);
    setenv("SSH_ASKPASS_REQUIRE", "force", true);
}

static void release_terminal(struct dashboard *dashboard)
{
    if (dashboard->stderr_fd >= 0)
        dup2(dashboard->stderr_fd, STDERR_FILENO);
    safe_close(dashboard->stderr_fd);
}

int dashboard_run(struct dashboard_options *options, struct reason *reason)
{
    struct dashboard dashboard = {};
    struct moment moment = now();
    int r;

    setenv("TZ", ":/etc/localtime", false); /* what it is if it is not set; see use_zone() */
    use_zone(&options->status);
    model_init(&dashboard.model, &options->model, &moment);
    model_take_status(&dashboard.model, &options->status, monitor_client_way(options->client));
    r = block_signals(&dashboard);
    if (r >= 0 && (r = screen_open(reason)) >= 0) {
        guard_terminal(&dashboard);
        options->target.start = MONITOR_START_NEVER;
        r = feed_start(&dashboard.feed, TAKE_PTR(options->client), &options->target);
        if (r >= 0)
            run(&dashboard);
        feed_stop(dashboard.feed);
        screen_close();
        release_terminal(&dashboard);
    }
    model_clear(&dashboard.model);
    unblock_signals(&dashboard);
    return r;
}
