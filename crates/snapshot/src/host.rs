//! A host at one moment: its namespaces, processes and sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Counters, Socket};

/// Where socket rows came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderKind {
    /// BPF iterators.
    Bpf,
    /// sock_diag over netlink.
    Netlink,
    /// The text tables `/proc/net/tcp` and `/proc/net/tcp6`.
    Proc,
}

impl fmt::Display for ReaderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "bpf",
            Self::Netlink => "netlink",
            Self::Proc => "proc",
        })
    }
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// What sockets carry in `netns`: the name, else the inode number.
    pub label: Arc<str>,
    /// Inode number of the namespace, its identity on this host.
    pub inode: u64,
    /// Name under `/run/netns`.
    pub name: Option<String>,
    /// Lowest process id that lives in it.
    pub pid: Option<u32>,
    /// Where it is mounted or open, when neither a process nor a name leads to it.
    pub path: Option<String>,
}

/// A namespace and what was read in it beside sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamespaceState {
    /// Which one.
    #[serde(flatten)]
    pub namespace: Namespace,
    /// Kernel counters.
    pub counters: Counters,
    /// Sysctl values as the kernel prints them, by dotted name. Values are per namespace.
    pub sysctls: BTreeMap<String, String>,
}

/// A process that owns at least one of the sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub name: Arc<str>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Soft limit of open descriptors (`RLIMIT_NOFILE`); `None` when unlimited or unknown.
    pub descriptor_limit: Option<u64>,
    /// Sockets of this snapshot that it holds.
    pub sockets: u64,
    /// Container or service it runs in.
    pub container: Option<Arc<str>>,
}

/// What was seen of a host at one moment. Serialises as one JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of this layout, [`crate::FORMAT_VERSION`].
    pub eleven_snapshot: u32,
    /// When, in seconds since 1970-01-01 UTC.
    pub taken_at_s: f64,
    /// Name of the host.
    pub host: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Identity of this boot: cookies and inodes mean nothing beyond it.
    pub boot_id: Option<String>,
    /// How the sockets were read.
    pub reader: Option<ReaderKind>,
    /// What could not be seen, a sentence each. Empty when all was seen.
    pub notes: Vec<String>,
    /// The namespaces looked into.
    pub namespaces: Vec<NamespaceState>,
    /// The sockets.
    pub sockets: Vec<Socket>,
    /// The processes that own sockets.
    pub processes: Vec<Process>,
    /// Number of sockets that were written: the last key, so a cut file lacks it.
    pub socket_count: u64,
}
