//! One socket, as one row shows it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use eleven_tcp::State;
use serde::{Deserialize, Serialize};

use crate::{SocketMemory, SocketOptions, TcpInfo};

/// Address family of the *socket*, not of the traffic: an IPv6 socket that talks to an
/// IPv4 peer is [`Family::Inet6`] with v4-mapped addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `AF_INET`.
    Inet,
    /// `AF_INET6`.
    Inet6,
}

impl Family {
    /// The word in JSON, tables and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
        }
    }
}

/// How the kernel stores what a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketKind {
    /// A whole `struct tcp_sock`.
    Full,
    /// A request mini-socket: a passive open before its ACK (`TCP_NEW_SYN_RECV`).
    Request,
    /// A TIME_WAIT mini-socket; its state may also be FIN_WAIT2.
    #[serde(rename = "timewait")]
    TimeWait,
    /// Bound to a port, neither listening nor connected (`TCP_BOUND_INACTIVE`).
    Bound,
}

impl SocketKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Full, Self::Request, Self::TimeWait, Self::Bound];

    /// The word in JSON, tables and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Request => "request",
            Self::TimeWait => "timewait",
            Self::Bound => "bound",
        }
    }

    /// Whether no program can own it: the kernel keeps a mini-socket on its own account.
    pub const fn is_mini(self) -> bool {
        matches!(self, Self::Request | Self::TimeWait)
    }
}

/// The timer that runs on a socket (`idiag_timer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// Retransmission, including the tail loss probe.
    Retransmit,
    /// Keepalive.
    Keepalive,
    /// The end of a TIME_WAIT mini-socket.
    TimeWait,
    /// Zero-window probe.
    Persist,
}

impl TimerKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Retransmit, Self::Keepalive, Self::TimeWait, Self::Persist];

    /// From `idiag_timer` and the second column of `/proc/net/tcp`'s `tr`; 0 is no timer.
    pub const fn from_kernel_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Retransmit),
            2 => Some(Self::Keepalive),
            3 => Some(Self::TimeWait),
            4 => Some(Self::Persist),
            _ => None,
        }
    }

    /// The word in JSON, tables and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmit",
            Self::Keepalive => "keepalive",
            Self::TimeWait => "time_wait",
            Self::Persist => "persist",
        }
    }
}

/// A running timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Which timer.
    pub kind: TimerKind,
    /// Milliseconds until it fires.
    pub expires_ms: u64,
    /// How often it has fired without an answer.
    pub retransmits: u8,
}

/// How long a socket has existed, as far as one look can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Milliseconds.
    pub ms: u64,
    /// The socket may be older than that.
    pub is_lower_bound: bool,
}

/// A program that holds a descriptor of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Process id, in the reader's pid namespace.
    pub pid: u32,
    /// The kernel's name of the process (`/proc/PID/comm`).
    pub process: Arc<str>,
    /// The descriptor.
    pub fd: u32,
}

/// Keepalive of a socket, as far as it is known from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// Whether `SO_KEEPALIVE` is set.
    pub enabled: bool,
    /// Seconds of silence before the first probe (`TCP_KEEPIDLE`).
    pub idle_s: Option<u32>,
    /// Seconds between probes (`TCP_KEEPINTVL`).
    pub interval_s: Option<u32>,
    /// Unanswered probes until the connection is given up (`TCP_KEEPCNT`).
    pub probes: Option<u32>,
}

/// Why a socket shows no owner. "No owner" has four meanings and none of them is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelOnly {
    /// A mini-socket: nobody owns it.
    MiniSocket,
    /// The program closed it or is gone; the kernel finishes the conversation.
    Orphan,
    /// The handshake is done and no program has called accept yet.
    NotAccepted,
    /// A program owns it; who cannot be read without privilege (or it vanished meanwhile).
    Unreadable,
}

impl KernelOnly {
    /// The words of a table's owner column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MiniSocket => "kernel",
            Self::Orphan => "orphan",
            Self::NotAccepted => "not accepted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One socket.
///
/// `None` is "unknown" throughout, and JSON's `null`; a key is never absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// Network namespace: its name under `/run/netns`, else its inode number.
    pub netns: Option<Arc<str>>,
    /// Family of the socket.
    pub family: Family,
    /// State, in netstat's spelling.
    #[serde(with = "state_as_text")]
    pub state: State,
    /// How the kernel stores it.
    pub kind: SocketKind,
    /// Local address; `0.0.0.0` or `::` when any.
    pub local_address: IpAddr,
    /// Local port.
    pub local_port: Option<u16>,
    /// Remote address; `0.0.0.0` or `::` when any.
    pub remote_address: IpAddr,
    /// Remote port, `None` when any.
    pub remote_port: Option<u16>,
    /// Name of the interface the socket is bound to.
    pub interface: Option<Arc<str>>,
    /// Bytes received that the program has not read; a FIN counts one. Not for LISTEN.
    pub recv_queue: Option<u32>,
    /// Bytes written that the peer has not acknowledged; a FIN counts one. Not for LISTEN.
    pub send_queue: Option<u32>,
    /// LISTEN: connections waiting for accept.
    pub backlog: Option<u32>,
    /// LISTEN: how many may wait.
    pub backlog_limit: Option<u32>,
    /// User that made the socket.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<Arc<str>>,
    /// Inode of the socket's file; `None` when it has none.
    pub inode: Option<u64>,
    /// The kernel's cookie: with the namespace, the identity of a socket.
    pub cookie: Option<u64>,
    /// The timer that runs.
    pub timer: Option<Timer>,
    /// Age in milliseconds.
    pub age_ms: Option<u64>,
    /// Whether the socket may be older than `age_ms`.
    pub age_is_lower_bound: Option<bool>,
    /// Every program that holds a descriptor of it.
    pub owners: Vec<Owner>,
    /// Why there is no owner; `None` when there is one, or owners were not looked up.
    pub no_owner: Option<KernelOnly>,
    /// Path of the control group that made the socket.
    pub cgroup: Option<Arc<str>>,
    /// Container or service that the control group belongs to.
    pub container: Option<Arc<str>>,
    /// Firewall mark (`SO_MARK`); readable with CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Congestion control algorithm.
    pub congestion: Option<Arc<str>>,
    /// The kernel's `struct tcp_info`, where it was asked for.
    pub tcp_info: Option<Box<TcpInfo>>,
    /// What its buffers take, where it was asked for.
    #[serde(default)]
    pub memory: Option<Box<SocketMemory>>,
    /// Options in effect, where they were asked for.
    #[serde(default)]
    pub options: Option<SocketOptions>,
    /// Keepalive.
    pub keepalive: Option<Keepalive>,
}

impl Socket {
    /// A socket of which nothing is known but its state.
    pub fn new(state: State) -> Self {
        Self {
            netns: None,
            family: Family::Inet,
            state,
            kind: SocketKind::Full,
            local_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            local_port: None,
            remote_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            remote_port: None,
            interface: None,
            recv_queue: None,
            send_queue: None,
            backlog: None,
            backlog_limit: None,
            uid: None,
            user: None,
            inode: None,
            cookie: None,
            timer: None,
            age_ms: None,
            age_is_lower_bound: None,
            owners: Vec::new(),
            no_owner: None,
            cgroup: None,
            container: None,
            mark: None,
            congestion: None,
            tcp_info: None,
            memory: None,
            options: None,
            keepalive: None,
        }
    }

    /// The age, where it is known.
    pub fn age(&self) -> Option<Age> {
        self.age_ms.map(|ms| Age { ms, is_lower_bound: self.age_is_lower_bound.unwrap_or(true) })
    }

    /// Sets both age fields.
    pub fn set_age(&mut self, age: Option<Age>) {
        self.age_ms = age.map(|age| age.ms);
        self.age_is_lower_bound = age.map(|age| age.is_lower_bound);
    }

    /// Process names of the owners, each once, sorted, joined by commas.
    /// `None` when there is no owner.
    pub fn process_names(&self) -> Option<String> {
        let mut names: Vec<&str> = self.owners.iter().map(|owner| &*owner.process).collect();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| names.join(","))
    }
}

/// A state in JSON is its netstat spelling; any spelling is read.
pub(crate) mod state_as_text {
    use eleven_tcp::State;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
    pub(crate) fn serialize<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        word.parse().map_err(D::Error::custom)
    }
}
