//! The numbers of options and flags on Linux, as programs and scripts use them.

/// Levels of `setsockopt`.
pub mod level {
    /// `SOL_IP`.
    pub const IP: i32 = 0;
    /// `SOL_SOCKET`.
    pub const SOCKET: i32 = 1;
    /// `SOL_TCP`.
    pub const TCP: i32 = 6;
    /// `SOL_IPV6`.
    pub const IPV6: i32 = 41;
}

/// Options of `SOL_SOCKET`.
pub mod socket {
    #![allow(missing_docs, reason = "the names are those of the C header")]
    pub const SO_REUSEADDR: i32 = 2;
    pub const SO_ERROR: i32 = 4;
    pub const SO_SNDBUF: i32 = 7;
    pub const SO_RCVBUF: i32 = 8;
    pub const SO_KEEPALIVE: i32 = 9;
    pub const SO_LINGER: i32 = 13;
    pub const SO_REUSEPORT: i32 = 15;
    pub const SO_SNDBUFFORCE: i32 = 32;
    pub const SO_RCVBUFFORCE: i32 = 33;
    pub const SO_MARK: i32 = 36;
    pub const SO_MAX_PACING_RATE: i32 = 47;
    pub const SO_MEMINFO: i32 = 55;
    pub const SO_ZEROCOPY: i32 = 60;
}

/// Options of `SOL_TCP`.
pub mod tcp {
    #![allow(missing_docs, reason = "the names are those of the C header")]
    pub const TCP_NODELAY: i32 = 1;
    pub const TCP_MAXSEG: i32 = 2;
    pub const TCP_CORK: i32 = 3;
    pub const TCP_KEEPIDLE: i32 = 4;
    pub const TCP_KEEPINTVL: i32 = 5;
    pub const TCP_KEEPCNT: i32 = 6;
    pub const TCP_SYNCNT: i32 = 7;
    pub const TCP_DEFER_ACCEPT: i32 = 9;
    pub const TCP_WINDOW_CLAMP: i32 = 10;
    pub const TCP_INFO: i32 = 11;
    pub const TCP_QUICKACK: i32 = 12;
    pub const TCP_CONGESTION: i32 = 13;
    pub const TCP_USER_TIMEOUT: i32 = 18;
    pub const TCP_FASTOPEN: i32 = 23;
    pub const TCP_NOTSENT_LOWAT: i32 = 25;
    pub const TCP_CC_INFO: i32 = 26;
    pub const TCP_FASTOPEN_CONNECT: i32 = 30;
    pub const TCP_FASTOPEN_KEY: i32 = 33;
    pub const TCP_FASTOPEN_NO_COOKIE: i32 = 34;
    pub const TCP_INQ: i32 = 36;
}

/// Flags of `send` and `recv`.
pub mod message {
    #![allow(missing_docs, reason = "the names are those of the C header")]
    pub const MSG_PEEK: i32 = 0x2;
    pub const MSG_DONTWAIT: i32 = 0x40;
    pub const MSG_EOR: i32 = 0x80;
    pub const MSG_ERRQUEUE: i32 = 0x2000;
    pub const MSG_NOSIGNAL: i32 = 0x4000;
    pub const MSG_MORE: i32 = 0x8000;
    pub const MSG_ZEROCOPY: i32 = 0x0400_0000;
    pub const MSG_FASTOPEN: i32 = 0x2000_0000;
}

/// What `poll` and `epoll` tell; the same numbers for both.
pub mod readiness {
    #![allow(missing_docs, reason = "the names are those of the C header")]
    pub const POLLIN: u32 = 0x1;
    pub const POLLPRI: u32 = 0x2;
    pub const POLLOUT: u32 = 0x4;
    pub const POLLERR: u32 = 0x8;
    pub const POLLHUP: u32 = 0x10;
    pub const POLLRDNORM: u32 = 0x40;
    pub const POLLWRNORM: u32 = 0x100;
    pub const POLLRDHUP: u32 = 0x2000;
    pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
    pub const EPOLLONESHOT: u32 = 1 << 30;
    pub const EPOLLET: u32 = 1 << 31;
}
