//! Filters that the kernel runs while it dumps sockets: INET_DIAG bytecode.
//!
//! A dump request may carry a small program (`INET_DIAG_REQ_BYTECODE`). The kernel runs it
//! on every socket and sends only those that it accepts, so that a question about one port
//! does not copy a million rows. [`KernelFilter`] is what such a program can say, as a
//! tree; [`KernelFilter::compile`] turns the tree into the program.
//!
//! # The machine
//!
//! An operation is `struct inet_diag_bc_op { u8 code; u8 yes; u16 no; }`, followed by its
//! operand. Both numbers are distances in bytes from the operation's own start: `yes` is
//! taken when the test holds, `no` when it does not. A program that arrives exactly at its
//! end accepts the socket; one that goes 4 bytes past it rejects the socket.
//!
//! The kernel audits a program before it runs it, and the shape here follows from the
//! audit: it walks the program along `yes`, so `yes` always leads to the next operation,
//! and it lets `no` land only on an operation, on the end, or 4 bytes past the end.
//! Everything but conjunction therefore needs `INET_DIAG_BC_JMP`, which always takes `no`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

// `include/uapi/linux/inet_diag.h`. Code 0 is a NOP, which is never needed.
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
const CGROUP_COND: u8 = 13;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Bytes of `struct inet_diag_bc_op`, and the unit that every length is a multiple of.
const OP: usize = 4;

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// A prefix of `length` bits; the bits behind it are cleared. `None` when the address
    /// has fewer bits than that.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// The prefix that holds one address and no other.
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// The address, with all bits behind the prefix zero.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether the prefix is a single address.
    pub const fn is_host(&self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether the kernel counts the address of a socket to the prefix.
    ///
    /// An IPv4 prefix also holds the v4-mapped addresses of IPv6 sockets. The reverse is
    /// not so: an IPv6 prefix, even a v4-mapped one, holds addresses of IPv6 sockets only.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => return false,
            },
            _ => address,
        };
        Self::new(address, self.length).is_some_and(|masked| masked == *self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) => write!(f, "{v4}")?,
            IpAddr::V6(v6) => write!(f, "[{v6}]")?,
        }
        if self.is_host() { Ok(()) } else { write!(f, "/{}", self.length) }
    }
}

/// A test of a port number; 0 is a port that is not set, as a listener's remote port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortTest {
    /// This port or a higher one.
    AtLeast(u16),
    /// This port or a lower one.
    AtMost(u16),
    /// This port.
    Equal(u16),
}

impl PortTest {
    /// Whether `port` passes.
    pub const fn holds(self, port: u16) -> bool {
        match self {
            Self::AtLeast(least) => port >= least,
            Self::AtMost(most) => port <= most,
            Self::Equal(wanted) => port == wanted,
        }
    }
}

/// A test of an address, a port, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostTest {
    /// What holds the address; `None` is any address of either family.
    pub prefix: Option<Prefix>,
    /// The port; `None` is any.
    pub port: Option<u16>,
}

impl HostTest {
    /// Whether an address and its port pass.
    pub fn holds(&self, address: IpAddr, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port)
            && self.prefix.is_none_or(|prefix| prefix.contains(address))
    }
}

/// What the kernel sees of a socket when it runs a filter on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Local address. Its variant is the family of the socket: v4-mapped addresses of an
    /// IPv6 socket are [`IpAddr::V6`].
    pub local_address: IpAddr,
    /// Local port, 0 when none.
    pub local_port: u16,
    /// Remote address, of the same family.
    pub remote_address: IpAddr,
    /// Remote port, 0 when none.
    pub remote_port: u16,
    /// Index of the interface that the socket is bound to, 0 when none.
    pub interface: u32,
    /// Firewall mark. Mini-sockets of older kernels have 0.
    pub mark: u32,
    /// Id of the control group, 0 for mini-sockets.
    pub cgroup: u64,
    /// Whether the program chose the local port (`SOCK_BINDPORT_LOCK`). Mini-sockets and
    /// accepted connections never have this set, whatever their listener did.
    pub port_chosen: bool,
}

/// What the kernel can filter by.
///
/// States are not here: they travel as a mask in the request itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KernelFilter {
    /// Every socket.
    All,
    /// Sockets that all of these accept; every socket when there are none.
    And(Vec<Self>),
    /// Sockets that one of these accepts; no socket when there are none.
    Or(Vec<Self>),
    /// Sockets that this does not accept.
    Not(Box<Self>),
    /// Sockets whose local port passes.
    LocalPort(PortTest),
    /// Sockets whose remote port passes.
    RemotePort(PortTest),
    /// Sockets whose local address and port pass.
    LocalAddress(HostTest),
    /// Sockets whose remote address and port pass.
    RemoteAddress(HostTest),
    /// Sockets bound to the interface with this index.
    Interface(u32),
    /// Sockets with `mark & mask == value`. The kernel refuses a program with this test
    /// (EPERM) unless the asking program has CAP_NET_ADMIN: see [`Self::without_marks`].
    Mark {
        /// What the masked mark must be.
        value: u32,
        /// Which bits count.
        mask: u32,
    },
    /// Sockets made in the version 2 control group with this id.
    Cgroup(u64),
    /// Sockets whose local port no program chose.
    AutoBound,
}

impl KernelFilter {
    /// No socket.
    pub const NOTHING: Self = Self::Or(Vec::new());

    /// All of `parts`, without what changes nothing.
    pub fn all_of(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::All => {}
                Self::And(inner) => kept.extend(inner),
                nothing if nothing == Self::NOTHING => return nothing,
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::All,
            1 => kept.swap_remove(0),
            _ => Self::And(kept),
        }
    }

    /// Any of `parts`, without what changes nothing.
    pub fn any_of(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::All => return Self::All,
                Self::Or(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        if kept.len() == 1 { kept.swap_remove(0) } else { Self::Or(kept) }
    }

    /// The sockets that `self` does not accept.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::All => Self::NOTHING,
            Self::Not(inner) => *inner,
            nothing if nothing == Self::NOTHING => Self::All,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether the kernel accepts a socket that looks like this.
    pub fn matches(&self, subject: &Subject) -> bool {
        match self {
            Self::All => true,
            Self::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(subject)),
            Self::Not(inner) => !inner.matches(subject),
            Self::LocalPort(test) => test.holds(subject.local_port),
            Self::RemotePort(test) => test.holds(subject.remote_port),
            Self::LocalAddress(test) => test.holds(subject.local_address, subject.local_port),
            Self::RemoteAddress(test) => test.holds(subject.remote_address, subject.remote_port),
            Self::Interface(index) => *index == subject.interface,
            Self::Mark { value, mask } => subject.mark & mask == *value,
            Self::Cgroup(id) => *id == subject.cgroup,
            Self::AutoBound => !subject.port_chosen,
        }
    }

    /// Whether a mark is tested somewhere, which takes CAP_NET_ADMIN.
    pub fn tests_marks(&self) -> bool {
        match self {
            Self::Mark { .. } => true,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::tests_marks),
            Self::Not(inner) => inner.tests_marks(),
            Self::All
            | Self::LocalPort(_)
            | Self::RemotePort(_)
            | Self::LocalAddress(_)
            | Self::RemoteAddress(_)
            | Self::Interface(_)
            | Self::Cgroup(_)
            | Self::AutoBound => false,
        }
    }

    /// A filter that accepts at least what `self` accepts and tests no mark: the one to
    /// send without CAP_NET_ADMIN.
    #[must_use]
    pub fn without_marks(&self) -> Self {
        self.widened(true)
    }

    /// Replaces tests of marks by what errs on the side of accepting; under an odd number
    /// of negations that is to reject.
    fn widened(&self, positive: bool) -> Self {
        match self {
            Self::And(parts) => Self::all_of(parts.iter().map(|part| part.widened(positive))),
            Self::Or(parts) => Self::any_of(parts.iter().map(|part| part.widened(positive))),
            Self::Not(inner) => inner.widened(!positive).negated(),
            Self::Mark { .. } if positive => Self::All,
            Self::Mark { .. } => Self::NOTHING,
            other => other.clone(),
        }
    }

    /// Compiles the filter for the `INET_DIAG_REQ_BYTECODE` attribute.
    ///
    /// Older kernels do not know every test (control groups came with 5.8). They answer
    /// EINVAL, and the caller asks again without a program.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when a jump or the attribute would be too long for its 16-bit length.
    /// The caller then dumps without a program and filters what arrives.
    pub fn compile(&self) -> Result<Program, TooLong> {
        let mut compiler = Compiler::default();
        let mut rejects = Vec::new();
        compiler.emit(self, &mut rejects);
        compiler.land(&rejects, compiler.code.len() + OP);
        // The attribute has a header of 4 bytes and its own 16-bit length.
        if compiler.too_long || compiler.code.len() + OP > usize::from(u16::MAX) {
            return Err(TooLong { bytes: compiler.code.len() });
        }
        Ok(Program { code: compiler.code })
    }
}

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    code: Vec<u8>,
}

impl Program {
    /// The payload of the attribute, in this machine's byte order.
    pub fn as_bytes(&self) -> &[u8] {
        &self.code
    }

    /// Whether the program accepts every socket by saying nothing. The kernel refuses an
    /// attribute without an operation, so leave it out of the request.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }
}

/// A filter that does not fit the kernel's 16-bit lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How long the program would have been.
    pub bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the filter takes {} bytes of kernel bytecode, which is more than a request holds",
            self.bytes
        )
    }
}

impl std::error::Error for TooLong {}

/// Emits code that falls through for a socket that a filter accepts. The operations that
/// leave for one it rejects are collected until it is known where that is.
#[derive(Default)]
struct Compiler {
    code: Vec<u8>,
    too_long: bool,
}

impl Compiler {
    fn emit(&mut self, filter: &KernelFilter, rejects: &mut Vec<usize>) {
        match filter {
            KernelFilter::All => {}
            KernelFilter::And(parts) => {
                for part in parts {
                    self.emit(part, rejects);
                }
            }
            KernelFilter::Or(parts) => {
                let Some((last, others)) = parts.split_last() else {
                    return self.operation(JMP, &[], rejects);
                };
                let mut accepts = Vec::new();
                for part in others {
                    let mut misses = Vec::new();
                    self.emit(part, &mut misses);
                    self.operation(JMP, &[], &mut accepts);
                    self.land(&misses, self.code.len());
                }
                self.emit(last, rejects);
                self.land(&accepts, self.code.len());
            }
            KernelFilter::Not(inner) => {
                let mut misses = Vec::new();
                self.emit(inner, &mut misses);
                self.operation(JMP, &[], rejects);
                self.land(&misses, self.code.len());
            }
            KernelFilter::LocalPort(test) => self.port(*test, [S_GE, S_LE, S_EQ], rejects),
            KernelFilter::RemotePort(test) => self.port(*test, [D_GE, D_LE, D_EQ], rejects),
            KernelFilter::LocalAddress(test) => self.host(*test, S_COND, rejects),
            KernelFilter::RemoteAddress(test) => self.host(*test, D_COND, rejects),
            KernelFilter::Interface(index) => self.operation(DEV_COND, &index.to_ne_bytes(), rejects),
            KernelFilter::Mark { value, mask } => {
                // struct inet_diag_markcond { u32 mark; u32 mask; }
                let mut operand = [0; 8];
                operand[..4].copy_from_slice(&value.to_ne_bytes());
                operand[4..].copy_from_slice(&mask.to_ne_bytes());
                self.operation(MARK_COND, &operand, rejects);
            }
            KernelFilter::Cgroup(id) => self.operation(CGROUP_COND, &id.to_ne_bytes(), rejects),
            KernelFilter::AutoBound => self.operation(AUTO, &[], rejects),
        }
    }

    /// A comparison of ports keeps its operand in the `no` of a second operation, in host
    /// byte order.
    fn port(&mut self, test: PortTest, [ge, le, eq]: [u8; 3], rejects: &mut Vec<usize>) {
        let (code, port) = match test {
            PortTest::AtLeast(port) => (ge, port),
            PortTest::AtMost(port) => (le, port),
            PortTest::Equal(port) => (eq, port),
        };
        let [low, high] = port.to_ne_bytes();
        self.operation(code, &[0, 0, low, high], rejects);
    }

    /// `struct inet_diag_hostcond { u8 family; u8 prefix_len; int port; __be32 addr[]; }`:
    /// two bytes of padding before the port, which is −1 for any, and as many bytes of
    /// address as the family has.
    fn host(&mut self, test: HostTest, code: u8, rejects: &mut Vec<usize>) {
        let mut operand = [0; 24];
        let used = match test.prefix {
            None => {
                operand[0] = AF_UNSPEC;
                8
            }
            Some(prefix) => {
                operand[1] = prefix.length;
                match prefix.address {
                    IpAddr::V4(v4) => {
                        operand[0] = AF_INET;
                        operand[8..12].copy_from_slice(&v4.octets());
                        12
                    }
                    IpAddr::V6(v6) => {
                        operand[0] = AF_INET6;
                        operand[8..24].copy_from_slice(&v6.octets());
                        24
                    }
                }
            }
        };
        operand[4..8].copy_from_slice(&test.port.map_or(-1, i32::from).to_ne_bytes());
        self.operation(code, &operand[..used], rejects);
    }

    fn operation(&mut self, code: u8, operand: &[u8], leaves: &mut Vec<usize>) {
        leaves.push(self.code.len());
        // No operand is longer than 24 bytes, so `yes` always fits.
        self.code.extend_from_slice(&[code, (OP + operand.len()) as u8, 0, 0]);
        self.code.extend_from_slice(operand);
    }

    /// Lets the operations that left arrive at `target`.
    fn land(&mut self, operations: &[usize], target: usize) {
        for &at in operations {
            match u16::try_from(target - at) {
                Ok(distance) => self.code[at + 2..at + 4].copy_from_slice(&distance.to_ne_bytes()),
                Err(_) => self.too_long = true,
            }
        }
    }
}
