//! A host: its sockets as programs use them, its packets, and what somebody who looks at it sees.
//!
//! Two kinds answer to the same calls: [`KernelHost`], the kernel of a private network namespace, and
//! [`EndpointHost`], `eleven-tcp` under a program's interface.

mod endpoint;
mod errno;
mod kernel;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use eleven_snapshot::{Counters, Socket};
use eleven_tcp::Instant;

pub use endpoint::EndpointHost;
pub use errno::Errno;
pub use kernel::KernelHost;
pub(crate) use kernel::is_connected;

use crate::LabError;

/// A host of a laboratory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// The host whose states are shown: the kernel, or in the simulator what stands in for it.
pub const SUBJECT: HostId = HostId(0);
/// Its unruly peer, always an endpoint of `eleven-tcp`.
pub const PEER: HostId = HostId(1);
/// A third host, where there is one: behind the subject, seen from the peer.
pub const SERVER: HostId = HostId(2);

impl HostId {
    /// What it is called in sentences.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "subject",
            1 => "peer",
            2 => "server",
            _ => "another",
        }
    }

    /// Its IPv4 address, of a range for documentation (RFC 5737).
    pub const fn v4(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.0 as u8 + 1)
    }

    /// Its IPv6 address, of a range for documentation (RFC 3849).
    pub const fn v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.0 as u16 + 1)
    }

    /// A port at its IPv4 address.
    pub const fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.v4()), port)
    }
}

/// What stands for a socket in the calls of one host.
pub type SocketId = i32;

/// Which direction is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`: a half-close, which sends a FIN.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// An option of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// `SO_REUSEADDR`.
    ReuseAddress(bool),
    /// `SO_KEEPALIVE`.
    Keepalive(bool),
    /// `TCP_KEEPIDLE`, in whole seconds.
    KeepaliveTime(Duration),
    /// `TCP_KEEPINTVL`, in whole seconds.
    KeepaliveInterval(Duration),
    /// `TCP_KEEPCNT`.
    KeepaliveProbes(u32),
    /// `TCP_USER_TIMEOUT`, in milliseconds.
    UserTimeout(Duration),
    /// `SO_LINGER`; of zero, `close()` sends an RST.
    Linger(Option<Duration>),
    /// `TCP_NODELAY`.
    NoDelay(bool),
    /// `SO_RCVBUF` in bytes.
    ReceiveBuffer(u32),
    /// `SO_SNDBUF` in bytes.
    SendBuffer(u32),
}

/// A host. Calls do not wait: what would have to is [`Errno::WOULD_BLOCK`].
pub trait Host {
    /// What it is, in a word: `kernel`, `endpoint`.
    fn kind(&self) -> &'static str;

    /// `socket()`.
    ///
    /// # Errors
    /// As every call: what errno tells.
    fn socket(&mut self, v6: bool) -> Result<SocketId, Errno>;

    /// `setsockopt()`.
    ///
    /// # Errors
    /// What errno tells.
    fn set_option(&mut self, socket: SocketId, option: SocketOption) -> Result<(), Errno>;

    /// `bind()`.
    ///
    /// # Errors
    /// What errno tells.
    fn bind(&mut self, socket: SocketId, local: SocketAddr) -> Result<(), Errno>;

    /// `listen()`.
    ///
    /// # Errors
    /// What errno tells.
    fn listen(&mut self, socket: SocketId, backlog: i32) -> Result<(), Errno>;

    /// `connect()`: begins it, for which errno is EINPROGRESS.
    ///
    /// # Errors
    /// What errno tells.
    fn connect(&mut self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno>;

    /// What has become of a `connect()` that was begun; `None`: nothing yet.
    fn connect_outcome(&mut self, socket: SocketId) -> Option<Result<(), Errno>>;

    /// `accept()`.
    ///
    /// # Errors
    /// What errno tells.
    fn accept(&mut self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno>;

    /// `send()`: how many bytes were taken. There is no SIGPIPE.
    ///
    /// # Errors
    /// What errno tells.
    fn send(&mut self, socket: SocketId, text: &[u8]) -> Result<usize, Errno>;

    /// `recv()`; nothing is the end of file.
    ///
    /// # Errors
    /// What errno tells.
    fn receive(&mut self, socket: SocketId, length: usize) -> Result<Vec<u8>, Errno>;

    /// `getsockopt(SO_ERROR)`: what went wrong meanwhile, which is told once.
    fn take_error(&mut self, socket: SocketId) -> Option<Errno>;

    /// `shutdown()`.
    ///
    /// # Errors
    /// What errno tells.
    fn shutdown(&mut self, socket: SocketId, direction: Direction) -> Result<(), Errno>;

    /// `close()`.
    ///
    /// # Errors
    /// What errno tells.
    fn close(&mut self, socket: SocketId) -> Result<(), Errno>;

    /// `getsockname()`, where it is bound.
    fn local(&self, socket: SocketId) -> Option<SocketAddr>;

    /// The next packet that it sends.
    ///
    /// # Errors
    /// If the device fails.
    fn take_packet(&mut self) -> Result<Option<Vec<u8>>, LabError>;

    /// A packet arrives.
    ///
    /// # Errors
    /// If the device fails.
    fn receive_packet(&mut self, packet: &[u8]) -> Result<(), LabError>;

    /// Time has passed. A kernel knows.
    fn advance(&mut self, now: Instant);

    /// When something happens by itself, where that is known.
    fn next_timer(&self) -> Option<Instant>;

    /// What becomes readable when there is a packet; `None`: packets come only in answer to something.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Sets a sysctl.
    ///
    /// # Errors
    /// [`LabError::Setting`].
    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), LabError>;

    /// All its TCP sockets, as somebody who looks at the host sees them.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    fn rows(&mut self) -> Result<Vec<Socket>, LabError>;

    /// Its counters; none where nobody counts.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    fn counters(&mut self) -> Result<Counters, LabError>;

    /// Loses everything it knows, and tells nobody. A kernel cannot.
    fn crash(&mut self);
}

/// The name of a kernel's device, as `tcpdump -i` takes it.
pub const fn kernel_device() -> &'static str {
    kernel::DEVICE
}

pub(crate) const fn kernel_look() -> Duration {
    kernel::LOOK
}
