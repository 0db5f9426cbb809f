/* SPDX-License-Identifier: MIT */
#include "daemon/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct capabilities {
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static int get(struct capabilities *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capget, &header, ret->data) < 0 ? -errno : 0;
}

static int set(const struct capabilities *capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capset, &header, capabilities->data) < 0 ? -errno : 0;
}

bool privileges_have(uint64_t wanted)
{
    struct capabilities now = {};

    if (get(&now) < 0)
        return false;
    return (((uint64_t) now.data[1].effective << 32 | now.data[0].effective) & wanted) == wanted;
}

int privileges_keep_only(uint64_t kept)
{
    struct capabilities now;
    int r = get(&now);

    if (r < 0)
        return r;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        now.data[i].permitted &= (uint32_t) (kept >> 32 * i);
        now.data[i].effective = now.data[i].permitted;
        now.data[i].inheritable = 0;
    }
    /* Before 4.3 there were no ambient capabilities to clear; then the call fails and is done. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return set(&now);
}

bool privileges_dispensable_for(bool (*works)(void *userdata), void *userdata)
{
    struct capabilities saved, none;
    bool result;

    if (get(&saved) < 0)
        return false;
    none = saved;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        none.data[i].effective = 0;
    if (set(&none) < 0)
        return false;
    result = works(userdata);
    return set(&saved) >= 0 && result;
}
