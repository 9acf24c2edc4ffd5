/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * Counts the TCP sockets of a network namespace by chosen keys, inside the kernel: a
 * million sockets leave it as a handful of numbers.
 */
#include "kernel.h"
#include "socket.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Which keys to tell groups apart by; the loader sets it. Bits as in src/bpf/count.rs. */
enum {
	KEY_LOCAL_PORT = 1 << 0,
	KEY_REMOTE_PORT = 1 << 1,
	KEY_LOCAL_ADDRESS = 1 << 2,
	KEY_REMOTE_ADDRESS = 1 << 3,
	KEY_USER = 1 << 4,
};
const volatile __u32 KEYS = 0;

/* Kernel states that are wanted, as bits. */
const volatile __u32 STATES = ~0u;

enum { NO_USER = ~0u };

/* State, kind and family are always told apart: they fit one small table. */
enum { STATES_MAX = 16, KINDS_MAX = 4, CELLS = STATES_MAX * KINDS_MAX * 2 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CELLS);
	__type(key, __u32);
	__type(value, __u64);
} cells SEC(".maps");

struct group {
	__u8 local_address[16];
	__u8 remote_address[16];
	__u32 user;
	__u16 local_port;
	__u16 remote_port;
	/* Index into the table above. */
	__u32 cell;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct group);
	__type(value, __u64);
} groups SEC(".maps");

/* Sockets that found no room in `groups`: not 0 means that the counts are incomplete. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} overflow SEC(".maps");

static __always_inline void count_group(struct sock_common *sk, __u32 cell, __u32 kind, __u32 uid)
{
	struct group group = {};
	__u64 one = 1, *count;

	group.cell = cell;
	if (KEYS & KEY_LOCAL_PORT)
		group.local_port = sk->skc_num;
	if (KEYS & KEY_REMOTE_PORT)
		group.remote_port = __builtin_bswap16(sk->skc_dport);
	if (KEYS & KEY_LOCAL_ADDRESS)
		copy_local_address(group.local_address, sk);
	if (KEYS & KEY_REMOTE_ADDRESS)
		copy_remote_address(group.remote_address, sk);
	if (KEYS & KEY_USER) {
		group.user = uid;
		/* Nobody owns a mini-socket, and without a file the kernel's 0 is not root. */
		if (kind != KIND_FULL) {
			group.user = NO_USER;
		} else if (uid == 0) {
			struct sock *full = bpf_skc_to_tcp_sock(sk);

			if (full && !full->sk_socket)
				group.user = NO_USER;
		}
	}

	count = bpf_map_lookup_elem(&groups, &group);
	if (count) {
		*count += 1;
		return;
	}
	if (bpf_map_update_elem(&groups, &group, &one, BPF_NOEXIST)) {
		__u32 zero = 0;
		__u64 *lost = bpf_map_lookup_elem(&overflow, &zero);

		if (lost)
			*lost += 1;
	}
}

SEC("iter/tcp")
int count_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	__u32 state, kind = KIND_FULL, cell;
	__u64 *count;

	if (!sk)
		return 0;
	state = sk->skc_state;
	if (state == TCP_TIME_WAIT) {
		struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

		kind = KIND_TIMEWAIT;
		if (tw)
			state = tw->tw_sk.tw_substate;
	} else if (state == TCP_NEW_SYN_RECV) {
		kind = KIND_REQUEST;
	}
	if (state >= STATES_MAX || !(STATES & (1u << state)))
		return 0;

	cell = (kind * STATES_MAX + state) * 2 + (sk->skc_family == AF_INET6);
	if (KEYS) {
		count_group(sk, cell, kind, ctx->uid);
		return 0;
	}
	count = bpf_map_lookup_elem(&cells, &cell);
	if (count)
		*count += 1;
	return 0;
}
