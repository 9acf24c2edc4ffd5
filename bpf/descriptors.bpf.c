/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * Lists who holds which TCP socket: one record a descriptor, of every process the reader's
 * pid namespace shows.
 */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* As in src/bpf/descriptors.rs. */
struct record {
	__u64 inode;
	__u32 pid;
	__u32 fd;
};

SEC("iter/task_file")
int list_descriptors(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct record record;
	struct sock *sk;
	__u16 family, protocol;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	protocol = sk->sk_protocol;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	/* An MPTCP connection's subflows are TCP sockets with the connection's file. */
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return 0;
	record.inode = file->f_inode->i_ino;
	record.pid = task->tgid;
	record.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
