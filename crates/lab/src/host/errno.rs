//! What a call of a program failed with.

use std::fmt;

/// An errno of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// Those that socket calls return, by number.
const NAMES: [(i32, &str); 27] = [
    (1, "EPERM"),
    (4, "EINTR"),
    (9, "EBADF"),
    (11, "EAGAIN"),
    (13, "EACCES"),
    (22, "EINVAL"),
    (24, "EMFILE"),
    (32, "EPIPE"),
    (90, "EMSGSIZE"),
    (92, "ENOPROTOOPT"),
    (95, "EOPNOTSUPP"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (102, "ENETRESET"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (106, "EISCONN"),
    (107, "ENOTCONN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
];

impl Errno {
    /// EAGAIN: the call would have to wait.
    pub const WOULD_BLOCK: Self = Self(11);
    /// EINPROGRESS: the connection is being opened.
    pub const IN_PROGRESS: Self = Self(115);
    /// EADDRINUSE: the address and port are taken.
    pub const ADDRESS_IN_USE: Self = Self(98);
    /// EADDRNOTAVAIL: no port is left.
    pub const ADDRESS_NOT_AVAILABLE: Self = Self(99);
    /// ECONNRESET: the peer has reset the connection.
    pub const CONNECTION_RESET: Self = Self(104);
    /// ETIMEDOUT: nothing was acknowledged for too long.
    pub const TIMED_OUT: Self = Self(110);
    /// ECONNREFUSED: nobody listens there.
    pub const CONNECTION_REFUSED: Self = Self(111);
    /// EPIPE: this side has closed, or the connection is gone.
    pub const BROKEN_PIPE: Self = Self(32);

    /// `ECONNRESET` and the like.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(number, _)| *number == self.0).map(|(_, name)| *name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}

impl From<eleven_tcp::sockets::Errno> for Errno {
    fn from(errno: eleven_tcp::sockets::Errno) -> Self {
        Self(errno.number())
    }
}
