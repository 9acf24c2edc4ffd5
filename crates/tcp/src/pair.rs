//! The pair of sockets that identifies a connection (RFC 9293 §3.4).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The local and the remote address and port of a connection, as its owner sees them.
///
/// Narrower than two [`SocketAddr`]s, because a host may keep millions of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourTuple {
    /// This side's address.
    pub local_address: IpAddr,
    /// The peer's address.
    pub remote_address: IpAddr,
    /// This side's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
}

impl FourTuple {
    /// Nothing filled in: `0.0.0.0:0` on both sides.
    pub const UNSPECIFIED: Self = Self {
        local_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        local_port: 0,
        remote_port: 0,
    };

    /// From the two sockets.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local_address: local.ip(),
            remote_address: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// The local socket.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_address, self.local_port)
    }

    /// The remote socket.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_address, self.remote_port)
    }

    /// As the peer sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            local_address: self.remote_address,
            remote_address: self.local_address,
            local_port: self.remote_port,
            remote_port: self.local_port,
        }
    }

    /// The largest text that fits a packet of `mtu` bytes without IP or TCP options.
    pub const fn largest_text(&self, mtu: u16) -> u16 {
        let headers = if self.remote_address.is_ipv4() { 20 + 20 } else { 40 + 20 };
        mtu.saturating_sub(headers)
    }
}

/// `10.0.0.1:443 → 10.0.0.9:51234`
impl fmt::Display for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.local(), self.remote())
    }
}

impl fmt::Debug for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
