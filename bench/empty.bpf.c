/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/* A program that does nothing, where portmon's are: so much of their time is the kernel's, for the
 * call and for the clock that measures it. */

#include "kernel.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("tp_btf/inet_sock_set_state")
int empty(void *ctx)
{
    return 0;
}
