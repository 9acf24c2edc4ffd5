/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * The few kernel structures the programs look into, written out by hand.
 *
 * preserve_access_index makes every field access a relocation (CO-RE): the loader puts
 * in the offset of the running kernel, so only names and types matter here, and fields
 * that are not used are left out.
 */
#ifndef ELEVEN_KERNEL_H
#define ELEVEN_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define KERNEL __attribute__((preserve_access_index))

/* A map is declared by the types of the members of its definition (libbpf's BTF form). */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2 };
enum { BPF_NOEXIST = 1 };
enum { BPF_F_NO_PREALLOC = 1 };

/* Helpers, by their number in include/uapi/linux/bpf.h. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static __u64 (*bpf_get_socket_cookie)(void *sk) = (void *)46;
static __u64 (*bpf_jiffies64)(void) = (void *)118;
static long (*bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*bpf_seq_write)(void *seq, const void *data, __u32 length) = (void *)127;
static void *(*bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static void *(*bpf_skc_to_tcp_timewait_sock)(void *sk) = (void *)138;
static void *(*bpf_skc_to_tcp_request_sock)(void *sk) = (void *)139;
static void *(*bpf_sock_from_file)(void *file) = (void *)162;

enum { AF_INET = 2, AF_INET6 = 10 };
enum { IPPROTO_TCP = 6, IPPROTO_MPTCP = 262 };
enum { TCP_TIME_WAIT = 6, TCP_LISTEN = 10, TCP_NEW_SYN_RECV = 12 };

/* Whether the running kernel has a field (a CO-RE relocation like the offsets). */
#define field_exists(field) __builtin_preserve_field_info(field, 2)

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	union {
		struct {
			__u32 skc_daddr;
			__u32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__u16 skc_dport;
			__u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
} KERNEL;

struct inode {
	unsigned long i_ino;
} KERNEL;

struct file {
	struct inode *f_inode;
} KERNEL;

struct socket {
	struct file *file;
	struct sock *sk;
} KERNEL;

/* A socket and its file's inode, which the kernel allocates as one. */
struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
} KERNEL;

struct hlist_node {
	struct hlist_node **pprev;
} KERNEL;

struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
} KERNEL;

struct kernfs_node {
	__u64 id;
} KERNEL;

struct cgroup {
	struct kernfs_node *kn;
} KERNEL;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	__u32 sk_mark;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	/* The keepalive timer, and in newer kernels the retransmission timer. */
	struct timer_list sk_timer;
	struct timer_list tcp_retransmit_timer;
	struct sock_cgroup_data sk_cgrp_data;
	struct socket *sk_socket;
} KERNEL;

struct inet_sock {
	struct sock sk;
} KERNEL;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct timer_list icsk_retransmit_timer;
	/* In newer kernels, in the place of sk_timer. */
	struct timer_list icsk_keepalive_timer;
	/* Gone in newer kernels, where the timer's own time serves. */
	unsigned long icsk_timeout;
	__u8 icsk_retransmits;
	__u8 icsk_pending;
	__u8 icsk_probes_out;
	struct {
		__u32 lrcvtime;
	} icsk_ack;
} KERNEL;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_una;
	__u32 write_seq;
	__u32 lsndtime;
	__u64 bytes_received;
	unsigned int keepalive_time;
	unsigned int keepalive_intvl;
	__u8 keepalive_probes;
} KERNEL;

struct inet_timewait_sock {
	volatile unsigned char tw_substate;
	__u32 tw_mark;
	struct timer_list tw_timer;
} KERNEL;

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
} KERNEL;

struct request_sock {
	struct timer_list rsk_timer;
	__u8 num_retrans;
} KERNEL;

struct inet_request_sock {
	struct request_sock req;
	__u32 ir_mark;
} KERNEL;

struct tcp_request_sock {
	struct inet_request_sock req;
} KERNEL;

struct task_struct {
	__s32 tgid;
} KERNEL;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	__u32 uid;
} KERNEL;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} KERNEL;

#endif
