/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * Lists the TCP sockets of a network namespace, a record of fixed length each: what
 * sock_diag tells of a socket, at half of its cost, and whether keepalive is on.
 */
#include "kernel.h"
#include "socket.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Kernel states that are wanted, as bits. */
const volatile __u32 STATES = ~0u;

/* Bits of record.flags. */
enum {
	KEEPALIVE = 1 << 1,
	/* sent_ago holds; received_ago holds too. */
	HAS_SENT_AGO = 1 << 2,
	HAS_RECEIVED_AGO = 1 << 3,
};

/* As idiag_timer counts. */
enum { TIMER_NONE = 0, TIMER_RETRANSMIT = 1, TIMER_KEEPALIVE = 2, TIMER_TIME_WAIT = 3, TIMER_PERSIST = 4 };
/* icsk_pending (include/net/inet_connection_sock.h). */
enum { ICSK_TIME_RETRANS = 1, ICSK_TIME_PROBE0 = 3, ICSK_TIME_LOSS_PROBE = 5, ICSK_TIME_REO_TIMEOUT = 6 };
/* enum sock_flags (include/net/sock.h). */
enum { SOCK_KEEPOPEN = 3 };

/* As in src/bpf/rows.rs. Times are in jiffies. */
struct record {
	__u8 local_address[16];
	__u8 remote_address[16];
	__u64 cookie;
	__u64 inode;
	__u64 cgroup;
	__u64 timer_expires;
	__u32 uid;
	__u32 interface;
	__u32 mark;
	/* Of a listener: the accept queue and its limit. */
	__u32 recv_queue;
	__u32 send_queue;
	__u32 sent_ago;
	__u32 received_ago;
	/* 0: the namespace's default. */
	__u32 keepalive_time;
	__u32 keepalive_interval;
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u8 state;
	__u8 kind;
	__u8 timer;
	__u8 retransmits;
	__u8 shutdown;
	__u8 flags;
	__u8 keepalive_probes;
	__u8 padding[7];
};

static __always_inline __u64 until(unsigned long expires, __u64 now)
{
	/* Both count from the same start and wrap together. */
	long left = (long)(expires - now);

	return left > 0 ? left : 0;
}

static __always_inline void fill_timer(struct record *record, struct tcp_sock *tp, __u64 now)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	struct sock *sk = &icsk->icsk_inet.sk;
	__u8 pending = icsk->icsk_pending;
	struct timer_list *keepalive = &sk->sk_timer;
	unsigned long expires;

	if (field_exists(icsk->icsk_keepalive_timer))
		keepalive = &icsk->icsk_keepalive_timer;
	if (field_exists(icsk->icsk_timeout))
		expires = icsk->icsk_timeout;
	else if (field_exists(icsk->icsk_retransmit_timer))
		expires = icsk->icsk_retransmit_timer.expires;
	else
		expires = sk->tcp_retransmit_timer.expires;
	if (pending == ICSK_TIME_RETRANS || pending == ICSK_TIME_LOSS_PROBE || pending == ICSK_TIME_REO_TIMEOUT) {
		record->timer = TIMER_RETRANSMIT;
		record->retransmits = icsk->icsk_retransmits;
		record->timer_expires = until(expires, now);
	} else if (pending == ICSK_TIME_PROBE0) {
		record->timer = TIMER_PERSIST;
		record->retransmits = icsk->icsk_probes_out;
		record->timer_expires = until(expires, now);
	} else if (keepalive->entry.pprev) {
		record->timer = TIMER_KEEPALIVE;
		record->retransmits = icsk->icsk_probes_out;
		record->timer_expires = until(keepalive->expires, now);
	}
}

static __always_inline void fill_full(struct record *record, struct tcp_sock *tp, __u64 now)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct socket *socket = sk->sk_socket;
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;

	record->mark = sk->sk_mark;
	record->shutdown = sk->sk_shutdown;
	if (socket) {
		/* Beyond the type the verifier knows, so read by address (sock_i_ino). */
		struct socket_alloc *alloc = (struct socket_alloc *)socket;
		unsigned long inode = 0;

		bpf_probe_read_kernel(&inode, sizeof(inode), &alloc->vfs_inode.i_ino);
		record->inode = inode;
	}
	if (cgroup)
		record->cgroup = cgroup->kn->id;
	if (sk->__sk_common.skc_flags & (1ul << SOCK_KEEPOPEN))
		record->flags |= KEEPALIVE;
	record->keepalive_time = tp->keepalive_time;
	record->keepalive_interval = tp->keepalive_intvl;
	record->keepalive_probes = tp->keepalive_probes;
	if (record->state == TCP_LISTEN) {
		record->recv_queue = sk->sk_ack_backlog;
		record->send_queue = sk->sk_max_ack_backlog;
		return;
	}
	record->recv_queue = tp->rcv_nxt - tp->copied_seq;
	/* For a moment the program can be ahead (tcp_diag_get_info). */
	if ((__s32)record->recv_queue < 0)
		record->recv_queue = 0;
	record->send_queue = tp->write_seq - tp->snd_una;
	record->sent_ago = (__u32)now - tp->lsndtime;
	record->flags |= HAS_SENT_AGO;
	/* A FIN counts as a byte, and after a simultaneous open the clock is not set. */
	if (tp->bytes_received > 1) {
		record->received_ago = (__u32)now - tp->inet_conn.icsk_ack.lrcvtime;
		record->flags |= HAS_RECEIVED_AGO;
	}
	fill_timer(record, tp, now);
}

SEC("iter/tcp")
int list_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct record record = {};
	__u64 now;

	if (!sk)
		return 0;
	record.state = sk->skc_state;
	record.kind = KIND_FULL;
	now = bpf_jiffies64();
	if (record.state == TCP_TIME_WAIT) {
		struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

		if (!tw)
			return 0;
		record.kind = KIND_TIMEWAIT;
		record.state = tw->tw_sk.tw_substate;
		record.mark = tw->tw_sk.tw_mark;
		record.timer = TIMER_TIME_WAIT;
		record.timer_expires = until(tw->tw_sk.tw_timer.expires, now);
	} else if (record.state == TCP_NEW_SYN_RECV) {
		struct tcp_request_sock *request = bpf_skc_to_tcp_request_sock(sk);

		if (!request)
			return 0;
		record.kind = KIND_REQUEST;
		record.mark = request->req.ir_mark;
		record.timer = TIMER_RETRANSMIT;
		record.retransmits = request->req.req.num_retrans;
		record.timer_expires = until(request->req.req.rsk_timer.expires, now);
	}
	if (record.state >= 32 || !(STATES & (1u << record.state)))
		return 0;

	record.family = sk->skc_family;
	copy_local_address(record.local_address, sk);
	copy_remote_address(record.remote_address, sk);
	record.local_port = sk->skc_num;
	record.remote_port = __builtin_bswap16(sk->skc_dport);
	record.interface = sk->skc_bound_dev_if;
	record.uid = ctx->uid;
	record.cookie = bpf_get_socket_cookie(sk);
	if (record.kind == KIND_FULL) {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

		if (!tp)
			return 0;
		fill_full(&record, tp, now);
	}
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
