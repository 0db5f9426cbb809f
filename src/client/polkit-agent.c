/* SPDX-License-Identifier: MIT */
#include "client/polkit-agent.h"

#include "shared/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define AGENT "pkttyagent"

/* An agent that has not registered by then is not waited for: polkit may find another one. */
#define READY_TIMEOUT_MSEC 5000

/** The child: becomes the agent, which closes @ready when it has registered. */
__attribute__((noreturn)) static void become_agent(int ready, pid_t parent)
{
    char notify[16];

    snprintf(notify, sizeof(notify), "%d", ready);
    /* It must not outlive us, nor be stopped by a Ctrl-C that is meant for the prompt. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent &&
        fcntl(ready, F_SETFD, 0) == 0)
        execlp(AGENT, AGENT, "--notify-fd", notify, "--fallback", (char *) NULL);
    _exit(EXIT_FAILURE);
}

pid_t polkit_agent_start(void)
{
    struct pollfd registered = {.events = POLLIN};
    pid_t parent = getpid(), agent;
    int ends[2];

    if (geteuid() == 0 || !isatty(STDIN_FILENO) || pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    fflush(stdout);
    agent = fork();
    if (agent == 0)
        become_agent(ends[1], parent);
    close(ends[1]);
    if (agent > 0) {
        registered.fd = ends[0];
        poll(&registered, 1, READY_TIMEOUT_MSEC);
    }
    close(ends[0]);
    return agent > 0 ? agent : 0;
}

void polkit_agent_stop(pid_t agent)
{
    if (!agent)
        return;
    kill(agent, SIGTERM);
    kill(agent, SIGCONT);
    waitpid(agent, NULL, 0);
}
