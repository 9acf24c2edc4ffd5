/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * What every program that looks at TCP sockets needs: how the kernel stores one, and its
 * addresses as sixteen bytes, of which IPv4 fills the first four.
 */
#ifndef ELEVEN_SOCKET_H
#define ELEVEN_SOCKET_H

#include "kernel.h"

/*
 * A mini-socket in TCP_TIME_WAIT stands for TIME_WAIT and, by its substate, for a FIN_WAIT2
 * that no program holds. One in TCP_NEW_SYN_RECV is a passive open before its ACK.
 */
enum { KIND_FULL = 0, KIND_REQUEST = 1, KIND_TIMEWAIT = 2 };

static __always_inline void copy_address(__u8 *to, struct sock_common *sk, __u32 v4, const struct in6_addr *v6)
{
	const __u32 *words = (const __u32 *)v6;
	__u32 *out = (__u32 *)to;

	if (sk->skc_family == AF_INET) {
		out[0] = v4;
		return;
	}
	out[0] = words[0];
	out[1] = words[1];
	out[2] = words[2];
	out[3] = words[3];
}

static __always_inline void copy_local_address(__u8 *to, struct sock_common *sk)
{
	copy_address(to, sk, sk->skc_rcv_saddr, &sk->skc_v6_rcv_saddr);
}

static __always_inline void copy_remote_address(__u8 *to, struct sock_common *sk)
{
	copy_address(to, sk, sk->skc_daddr, &sk->skc_v6_daddr);
}

#endif
