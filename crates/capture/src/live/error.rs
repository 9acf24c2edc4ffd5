//! What can go wrong with a live capture, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::filter::FilterError;

/// A live capture cannot begin, or not go on. What was captured before stays valid.
#[derive(Debug)]
pub enum LiveError {
    /// The caller may not capture.
    Permission,
    /// There is no such interface.
    NoInterface {
        /// Its name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The network namespace cannot be entered.
    Namespace {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The filter makes no program.
    Filter(FilterError),
    /// The kernel refuses.
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The interface went down. Packets come again when it comes up.
    Down {
        /// Its name.
        name: String,
    },
    /// The interface is no more.
    Vanished {
        /// Its name.
        name: String,
    },
}

impl LiveError {
    /// Whether packets may still come.
    pub const fn can_continue(&self) -> bool {
        matches!(self, Self::Down { .. })
    }

    pub(super) fn system(attempt: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission,
            _ => Self::System { attempt, source },
        }
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission => f.write_str(
                "capturing takes CAP_NET_RAW: run it as root, or give the program that capability",
            ),
            Self::NoInterface { name, known } => {
                write!(f, "there is no interface {name}; there are {} and any", known.join(", "))
            }
            Self::Namespace { path, source } => {
                write!(
                    f,
                    "the network namespace {} cannot be entered: {source}; it takes CAP_SYS_ADMIN",
                    path.display()
                )
            }
            Self::Filter(error) => fmt::Display::fmt(error, f),
            Self::System { attempt, source } => write!(f, "the kernel does not let us {attempt}: {source}"),
            Self::Down { name } => write!(f, "{name} went down; packets come again when it is up"),
            Self::Vanished { name } => {
                write!(
                    f,
                    "{name} is no more; what was captured until then is used. Capture on `any` to outlive it"
                )
            }
        }
    }
}

impl std::error::Error for LiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Namespace { source, .. } | Self::System { source, .. } => Some(source),
            Self::Filter(error) => Some(error),
            Self::Permission | Self::NoInterface { .. } | Self::Down { .. } | Self::Vanished { .. } => None,
        }
    }
}
