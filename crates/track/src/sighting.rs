//! What goes in: a segment, where and when it was seen.

use core::fmt;
use core::net::IpAddr;

use eleven_tcp::{Ecn, Segment};

/// One TCP segment as somebody in between saw it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The packet's number, counted from 1 over everything that is read. It only has to grow.
    pub number: u64,
    /// When, in nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The sender's address.
    pub source: IpAddr,
    /// The receiver's address.
    pub destination: IpAddr,
    /// The identification of the IPv4 header; `None` for IPv6.
    pub identification: Option<u16>,
    /// TTL, or the hop limit of IPv6.
    pub hop_limit: u8,
    /// The ECN bits of the IP header.
    pub ecn: Ecn,
    /// The segment; its text may have been cut off by the capture.
    pub segment: &'a Segment<'a>,
    /// The length of its text in bytes, from the IP header: what was sent, not what was captured.
    pub text_length: u32,
    /// Whether its checksum is known to be wrong.
    pub checksum_bad: bool,
    /// Tells apart flows with the same addresses and ports on different paths (VLAN, tunnel, interface):
    /// a hash of what is to be part of the key; 0 if nothing is.
    pub path: u64,
}

/// One of the two ends of a flow.
///
/// The client is who sends the first SYN. Where no SYN was seen, it is guessed ([`crate::Flow::direction_known`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Who opened the connection.
    Client = 0,
    /// Whom it was opened to.
    Server = 1,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Place in an array with something for each side.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word that is printed: `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
