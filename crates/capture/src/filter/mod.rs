//! What of the traffic a live capture shall see: an expression, compiled to a program that the kernel runs.
//!
//! It looks at the outermost IP header, behind at most one VLAN tag that the card did not take off: what is within a
//! tunnel, the kernel cannot tell.

use std::fmt;
use std::net::IpAddr;

mod compile;
mod program;

pub use program::{Instruction, Program};

/// Which packets to let through. The words are those of tcpdump's filters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// From or to an address.
    Host(IpAddr),
    /// From or to an address that begins with so many of these bits.
    Net(IpAddr, u8),
    /// From or to a port of TCP, UDP or SCTP. Fragments other than the first have no ports, and are let through: the
    /// first alone is of no use.
    Port(u16),
    /// A protocol of IP, behind no extension header: 6 is TCP. (Any fragment of one of IPv4; no fragment of IPv6.)
    Protocol(u8),
    /// All of these; all packets if there are none.
    All(Vec<Expression>),
    /// Any of these; no packet if there is none.
    Any(Vec<Expression>),
    /// What that one does not let through.
    Not(Box<Expression>),
}

impl Expression {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Any(vec![self, other])
    }
}

impl std::ops::Not for Expression {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// As tcpdump writes it.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            parts.iter().enumerate().try_for_each(|(index, part)| {
                let between = if index == 0 { "" } else { word };
                write!(f, "{between}({part})")
            })
        };
        match self {
            Self::Host(address) => write!(f, "host {address}"),
            Self::Net(address, length) => write!(f, "net {address}/{length}"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::Protocol(number) => write!(f, "proto {number}"),
            Self::All(parts) => list(f, parts, " and "),
            Self::Any(parts) => list(f, parts, " or "),
            Self::Not(part) => write!(f, "not ({part})"),
        }
    }
}

/// An expression that cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// Its program would be longer than the kernel takes.
    TooLong {
        /// So many instructions.
        instructions: usize,
    },
    /// A network whose prefix is longer than its addresses.
    PrefixLength(u8),
    /// It is nested deeper than anybody writes.
    TooDeep,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { instructions } => write!(
                f,
                "the filter takes {instructions} instructions, and the kernel takes 4,096; filter by fewer \
                 addresses, or by networks"
            ),
            Self::PrefixLength(length) => {
                write!(
                    f,
                    "a network's prefix of {length} bits is longer than its addresses; IPv4 has 32, IPv6 128"
                )
            }
            Self::TooDeep => f.write_str("the filter is nested more than 100 deep; write it flatter"),
        }
    }
}

impl std::error::Error for FilterError {}

#[cfg(test)]
mod tests;
