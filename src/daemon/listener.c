/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include "shared/cleanup.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Reading counters is for everybody; what changes something is authorised call by call. */
#define SOCKET_MODE 0666

#define BACKLOG 64

/** Removes what a dead daemon left at @path. */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct reason *reason)
{
    _cleanup_close_ int fd = -1;
    struct stat status;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : fail_errno(reason, -errno, "Cannot look at %s", path);
    if (!S_ISSOCK(status.st_mode))
        return fail(reason, -EEXIST, "%s is there and is not a socket; choose another --socket",
                    path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(reason, -errno, "Cannot make a socket");
    if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) == 0 || errno == EAGAIN)
        return fail(reason, -EADDRINUSE,
                    "Another daemon listens on %s; stop that one or choose another --socket", path);
    if (errno != ECONNREFUSED)
        return fail_errno(reason, -errno, "Cannot tell who uses %s", path);
    if (unlink(path) < 0)
        return fail_errno(reason, -errno, "Cannot remove the socket %s of a dead daemon", path);
    return 0;
}

/** Makes the directory of @path, if only that one is missing. */
static int make_directory(const char *path, struct reason *reason)
{
    _cleanup_free_ char *copy = strdup(path);
    const char *directory;

    if (!copy)
        return -ENOMEM;
    directory = dirname(copy);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail_errno(reason, -errno, "Cannot make the directory %s for the socket", directory);
    return 0;
}

int listener_open(const char *path, struct reason *reason)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    int r;

    if (strlen(path) >= sizeof(address.sun_path))
        return fail(reason, -ENAMETOOLONG, "The socket path %s is longer than %zu bytes", path,
                    sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    if ((r = make_directory(path, reason)) < 0 || (r = remove_stale(path, &address, reason)) < 0)
        return r;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(reason, -errno, "Cannot make a socket");
    if (bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
        chmod(path, SOCKET_MODE) < 0 || listen(fd, BACKLOG) < 0)
        return fail_errno(reason, -errno, "Cannot listen on %s", path);
    return TAKE_FD(fd);
}
