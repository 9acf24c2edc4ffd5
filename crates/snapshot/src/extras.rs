//! What a socket's row can carry beside the usual: memory, and options set on the socket.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// What a socket's buffers take, in bytes (`SO_MEMINFO`, `enum sk_meminfo` in
/// `include/uapi/linux/sock_diag.h`), under the kernel's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SocketMemory {
    /// Taken by received data.
    pub rmem_alloc: u32,
    /// Limit of that (`SO_RCVBUF`).
    pub rcvbuf: u32,
    /// Taken by data on its way out.
    pub wmem_alloc: u32,
    /// Limit of what may be queued (`SO_SNDBUF`).
    pub sndbuf: u32,
    /// Reserved for both ahead of need.
    pub fwd_alloc: u32,
    /// Queued to be sent or acknowledged.
    pub wmem_queued: u32,
    /// Taken by options and filters.
    pub optmem: u32,
    /// Received while the program held the socket.
    pub backlog: u32,
    /// Segments dropped for want of room: a count, not bytes. Unknown before Linux 4.6.
    pub drops: Option<u32>,
}

/// Options in effect on a socket, of those that the kernel reports (`INET_DIAG_SOCKOPT`,
/// `struct inet_diag_sockopt`, since Linux 5.14). In JSON a list of names.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketOptions(u16);

/// Not of the structure: `INET_DIAG_SKV6ONLY`, told of IPv6 sockets that listen or are bound.
const V6_ONLY: u16 = 1 << 15;

/// Bits of the structure's two bytes, lowest first, and the options behind them.
const OPTIONS: [(u16, &str); 12] = [
    (1 << 0, "recverr"),
    (1 << 1, "is_icsk"),
    (1 << 2, "freebind"),
    (1 << 3, "hdrincl"),
    (1 << 4, "mc_loop"),
    (1 << 5, "transparent"),
    (1 << 6, "mc_all"),
    (1 << 7, "nodefrag"),
    (1 << 8, "bind_address_no_port"),
    (1 << 9, "recverr_rfc4884"),
    (1 << 10, "defer_connect"),
    (V6_ONLY, "v6only"),
];

impl SocketOptions {
    /// From the two bytes of the structure; bits of options unknown here are dropped.
    pub fn from_bytes(bytes: [u8; 2]) -> Self {
        let known = OPTIONS.iter().fold(0, |known, (bit, _)| known | bit);
        Self(u16::from_le_bytes(bytes) & known & !V6_ONLY)
    }

    /// The same, and `v6only` if so.
    #[must_use]
    pub fn with_v6_only(self, v6_only: bool) -> Self {
        Self(if v6_only { self.0 | V6_ONLY } else { self.0 })
    }

    /// Names of the options in effect, as the kernel spells them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        OPTIONS.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| *name)
    }
}

impl fmt::Debug for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for SocketOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in self.names() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for SocketOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        // A name of a later release is passed over, as other unknown keys are.
        let known = OPTIONS.iter().filter(|(_, name)| names.iter().any(|given| given == name));
        Ok(Self(known.fold(0, |bits, (bit, _)| bits | bit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_list_of_names() {
        let options = SocketOptions::from_bytes([0b0010_0010, 0b1111_1001]);
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(json, r#"["is_icsk","transparent","bind_address_no_port"]"#);
        assert_eq!(serde_json::from_str::<SocketOptions>(&json).unwrap(), options);
        let later = r#"["transparent","of_a_later_release"]"#;
        assert_eq!(
            serde_json::from_str::<SocketOptions>(later).unwrap().names().collect::<Vec<_>>(),
            ["transparent"]
        );
    }
}
