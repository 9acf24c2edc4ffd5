//! What can go wrong while reading a host, and what to do about it.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why sockets, owners or values could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The kernel was built without `INET_DIAG`, or its module cannot be loaded.
    #[error("this kernel has no TCP socket diagnosis (INET_DIAG); `modprobe tcp_diag` may load it")]
    NoSockDiag,
    /// A netlink system call failed.
    #[error("cannot {operation}: {source}")]
    Netlink {
        /// What was attempted.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A file below `/proc` or `/sys` could not be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// BPF cannot be used here.
    #[error("BPF cannot be used: {0}")]
    Bpf(String),
    /// A network namespace that does not exist.
    #[error("there is no {} `{name}`{}", whose_namespace(name), known_namespaces(known))]
    NoNamespace {
        /// What was asked for.
        name: String,
        /// Names that exist.
        known: Vec<String>,
    },
    /// A network namespace that cannot be entered.
    #[error("cannot enter network namespace `{name}`: {source}{}", privilege_hint(source))]
    EnterNamespace {
        /// Which one.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// A number may have been meant as either.
fn whose_namespace(name: &str) -> &'static str {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        "process, and no network namespace,"
    } else {
        "network namespace"
    }
}

fn known_namespaces(known: &[String]) -> String {
    if known.is_empty() {
        "; `ip netns list` shows the named ones, and a PID or a path may be given too".to_owned()
    } else {
        format!("; there are: {}", known.join(", "))
    }
}

fn privilege_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied
        || error.raw_os_error() == Some(Errno::PERM.raw_os_error())
    {
        " (it takes CAP_SYS_ADMIN; try sudo)"
    } else if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
        " (it is a namespace of another kind)"
    } else {
        ""
    }
}

impl ReadError {
    pub(crate) fn netlink(operation: &'static str, source: io::Error) -> Self {
        // What a kernel without NETLINK_SOCK_DIAG answers to socket(2).
        if source.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error()) {
            return Self::NoSockDiag;
        }
        Self::Netlink { operation, source }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    /// The errno that ended a dump; ENOENT means that no handler for TCP is registered.
    pub(crate) fn from_dump_errno(errno: i32) -> Self {
        if errno == Errno::NOENT.raw_os_error() {
            return Self::NoSockDiag;
        }
        Self::Netlink { operation: "dump sockets", source: io::Error::from_raw_os_error(errno) }
    }
}
