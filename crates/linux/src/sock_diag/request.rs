//! What to ask sock_diag for.

use eleven_snapshot::Family;
use eleven_tcp::{State, StateSet};

use crate::netlink::{FLAG_DUMP, FLAG_REQUEST, HEADER_LENGTH, push_attribute};

/// `TCPDIAG_GETSOCK`, the oldest request: the only one that walks both families at once.
const TYPE_BOTH_FAMILIES: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`.
const TYPE_BY_FAMILY: u16 = 20;
/// `INET_DIAG_REQ_BYTECODE`, the attribute that carries a filter program.
const ATTRIBUTE_BYTECODE: u16 = 1;
/// `struct inet_diag_sockid`: left zero, a dump does not ask for a certain socket.
const SOCKET_ID: [u8; 48] = [0; 48];

const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Which optional parts of a row are wanted. Each costs: TCP_INFO triples the bytes of a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `struct tcp_info`, kept with the row.
    pub tcp_info: bool,
    /// `struct tcp_info`, only to derive the age from it.
    pub age: bool,
    /// Name of the congestion control algorithm.
    pub congestion: bool,
    /// What the buffers take, and the options in effect.
    pub memory_and_options: bool,
}

impl Extensions {
    /// The mask `idiag_ext`: bit n−1 asks for attribute n.
    fn mask(self) -> u8 {
        const INFO: u8 = 1 << (super::row::ATTRIBUTE_INFO - 1);
        const MEMORY: u8 = 1 << (super::row::ATTRIBUTE_MEMORY - 1);
        const CONGESTION: u8 = 1 << (super::row::ATTRIBUTE_CONGESTION - 1);
        let mut mask = 0;
        if self.tcp_info || self.age {
            mask |= INFO;
        }
        if self.congestion {
            mask |= CONGESTION;
        }
        // Options come unasked.
        if self.memory_and_options {
            mask |= MEMORY;
        }
        mask
    }
}

/// What a dump is to contain.
#[derive(Clone, Debug)]
pub struct Request {
    /// States wanted; the kernel skips the others before building a row.
    pub states: StateSet,
    /// One family, or both.
    pub family: Option<Family>,
    /// A filter program for the kernel to run ([`crate::bytecode`]).
    pub bytecode: Option<Vec<u8>>,
    /// Optional parts of a row.
    pub extensions: Extensions,
}

impl Default for Request {
    fn default() -> Self {
        Self { states: StateSet::ALL, family: None, bytecode: None, extensions: Extensions::default() }
    }
}

/// The kernel's mask of a set of states.
///
/// SYN_RECV also stands for request mini-sockets (bit 12) and CLOSED for bound sockets
/// (bit 13, since Linux 6.8; older kernels do not list them and ignore the bit).
fn kernel_mask(states: StateSet) -> u32 {
    states.iter().fold(0, |mask, state| {
        mask | 1 << state.kernel_number()
            | match state {
                State::SynReceived => 1 << 12,
                State::Closed => 1 << 13,
                _ => 0,
            }
    })
}

impl Request {
    /// The request's bytes. `by_family` picks the newer request, which knows one family only.
    pub(crate) fn encode(&self, by_family: Option<Family>) -> Vec<u8> {
        let mut request = vec![0; HEADER_LENGTH];
        let kind = if by_family.is_some() { TYPE_BY_FAMILY } else { TYPE_BOTH_FAMILIES };
        request[4..6].copy_from_slice(&kind.to_ne_bytes());
        request[6..8].copy_from_slice(&(FLAG_REQUEST | FLAG_DUMP).to_ne_bytes());
        let states = kernel_mask(self.states).to_ne_bytes();
        if let Some(family) = by_family {
            // struct inet_diag_req_v2
            let family = match family {
                Family::Inet => AF_INET,
                Family::Inet6 => AF_INET6,
            };
            request.extend_from_slice(&[family, IPPROTO_TCP, self.extensions.mask(), 0]);
            request.extend_from_slice(&states);
            request.extend_from_slice(&SOCKET_ID);
        } else {
            // struct inet_diag_req
            request.extend_from_slice(&[AF_INET, 0, 0, self.extensions.mask()]);
            request.extend_from_slice(&SOCKET_ID);
            request.extend_from_slice(&states);
            request.extend_from_slice(&[0; 4]);
        }
        if let Some(program) = &self.bytecode {
            push_attribute(&mut request, ATTRIBUTE_BYTECODE, program);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_kernels() {
        let request = Request::default();
        assert_eq!(request.encode(None).len(), HEADER_LENGTH + 60);
        assert_eq!(request.encode(Some(Family::Inet6)).len(), HEADER_LENGTH + 56);
        let filtered = Request { bytecode: Some(vec![0; 5]), ..request };
        assert_eq!(filtered.encode(None).len(), HEADER_LENGTH + 60 + 12);
    }

    #[test]
    fn the_mask_names_every_kind_of_socket() {
        assert_eq!(kernel_mask(StateSet::ALL), 0b11_1111_1111_1110);
        assert_eq!(kernel_mask(StateSet::EMPTY.with(State::SynReceived)), 1 << 3 | 1 << 12);
        assert_eq!(kernel_mask(StateSet::EMPTY.with(State::Listen)), 1 << 10);
    }
}
