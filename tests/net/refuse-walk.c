/* SPDX-License-Identifier: MIT */
/* Loaded into a daemon before libc: the kernel refuses programs that walk a map, as some do. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_refused(long number, const long *arguments)
{
    const union bpf_attr *attributes = (const void *) arguments[1];

    return number == SYS_bpf && arguments[0] == BPF_PROG_LOAD &&
           strcmp(attributes->prog_name, "portmon_walk") == 0;
}

/* libbpf calls the kernel by this. */
long syscall(long number, ...)
{
    static long (*next)(long number, ...);
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (is_refused(number, arguments)) {
        errno = EPERM;
        return -1;
    }
    if (!next)
        next = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}
