/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef PORTMON_KERNEL_H
#define PORTMON_KERNEL_H

/*
 * The kernel's own structures, only the members that are read. The loader finds their real offsets
 * in the running kernel's BTF (CO-RE), so neither order nor size matter here and no generated
 * header of some kernel is needed. What is stable, the user-space API, comes from <linux/bpf.h>.
 */

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* <errno.h>, <linux/in.h> and <sys/socket.h> do not compile for BPF */
#define AF_INET     2
#define AF_INET6    10
#define IPPROTO_TCP 6
#define EEXIST      17

/* Since Linux 6.12; older headers lack it, older kernels refuse it. */
#define TCP_SOCK_OPS_CB_FLAGS 1008

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum sock_flags {
    SOCK_DEAD,
    SOCK_DONE,
};

struct ns_common {
    unsigned int inum;
};

struct net {
    struct ns_common ns;
};

typedef struct {
    struct net *net;
} possible_net_t;

struct in6_addr {
    union {
        __u8 u6_addr8[16];
        __be32 u6_addr32[4];
    } in6_u;
};

struct sock_common {
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
    unsigned long skc_flags;
};

struct net_device {
    int ifindex;
};

struct dst_entry {
    struct net_device *dev;
};

struct sock {
    struct sock_common __sk_common;
    struct dst_entry *sk_dst_cache;
    __u16 sk_protocol;
    struct bpf_local_storage *sk_bpf_storage;
};

typedef struct {
    int counter;
} atomic_t;

struct bpf_local_storage_elem {
    atomic_t state; /* since Linux 7.0 */
};

struct ipv6_pinfo {
    int mcast_oif;
};

struct inet_sock {
    struct ipv6_pinfo *pinet6;
    int mc_index;
    __be16 inet_sport;
};

struct tcp_sock {
    __u32 snd_nxt;
    __u32 snd_una;
    __u32 write_seq;
    __u32 segs_in;
    __u32 segs_out;
    __u32 srtt_us;
    __u32 total_retrans;
    __u64 bytes_received;
    __u64 bytes_acked;
    __u64 bytes_sent;
    __u64 bytes_retrans;
};

struct socket {
    struct sock *sk;
};

struct file;

struct task_struct {
    int tgid;
    struct task_struct *group_leader;
    char comm[16];
};

struct seq_file {
    size_t size;
    size_t count;
};

struct bpf_map;

struct bpf_iter_meta {
    struct seq_file *seq;
    __u64 seq_num;
};

struct bpf_iter__bpf_sk_storage_map {
    struct bpf_iter_meta *meta;
    struct bpf_map *map;
    struct sock *sk;
    void *value;
};

struct bpf_iter__bpf_map_elem {
    struct bpf_iter_meta *meta;
    struct bpf_map *map;
    void *key;
    void *value;
};

struct bpf_iter__tcp {
    struct bpf_iter_meta *meta;
    struct sock_common *sk_common;
};

struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    struct file *file;
};

#pragma clang attribute pop

#endif
