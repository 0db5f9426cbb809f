/* SPDX-License-Identifier: MIT */
/*
 * Loaded into a daemon before libc: its wall clock is set, and its files can't be written, as a
 * file says that the test has mapped, too. Nobody else's clock or disk is touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const struct faults {
    int64_t clock_sec; /* what the wall clock shows less what is right */
    uint64_t read_only;
} *volatile faults;

__attribute__((constructor)) static void open_faults(void)
{
    const char *path = getenv("PORTMON_TEST_FAULTS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory;

    if (fd < 0)
        return;
    memory = mmap(NULL, sizeof(*faults), PROT_READ, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED)
        faults = memory;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = (int) syscall(SYS_clock_gettime, clock, ret);

    if (r == 0 && faults && clock == CLOCK_REALTIME)
        ret->tv_sec += faults->clock_sec;
    return r;
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    if (faults && faults->read_only) {
        errno = EROFS;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buffer, size, offset);
}
