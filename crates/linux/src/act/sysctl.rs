//! Setting a sysctl in a network namespace.

use std::io;
use std::path::PathBuf;

use crate::namespace::NamespaceHandle;
use crate::proc::sysctl;

/// Why a sysctl was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It is no sysctl's name.
    #[error("`{0}` is no sysctl")]
    NoSysctl(String),
    /// The namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] crate::ReadError),
    /// The kernel refused.
    #[error("the kernel refuses {name} = {value}: {source}")]
    Refused {
        /// Dotted name.
        name: String,
        /// The value asked for.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel took it and shows something else.
    #[error("{name} was set to {value}, but the kernel shows {shown}")]
    Ignored {
        /// Dotted name.
        name: String,
        /// The value asked for.
        value: String,
        /// The value shown.
        shown: String,
    },
}

/// Sets a sysctl in a namespace and returns the value it had. Nothing changes on an error,
/// except that the kernel may have taken a value and show another ([`SetError::Ignored`]).
///
/// # Errors
/// [`SetError`]: no such sysctl, no privilege, a value out of range.
pub fn set(namespace: &NamespaceHandle, name: &str, value: &str) -> Result<String, SetError> {
    namespace.run(|| {
        // Reading checks the name, so that it cannot lead out of /proc/sys.
        let before = sysctl::read(name).ok_or_else(|| SetError::NoSysctl(name.to_owned()))?;
        let path: PathBuf = std::iter::once("/proc/sys").chain(name.split('.')).collect();
        std::fs::write(&path, value).map_err(|source| SetError::Refused {
            name: name.to_owned(),
            value: value.to_owned(),
            source,
        })?;
        let shown = sysctl::read(name).unwrap_or_default();
        let asked = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        if shown != asked {
            return Err(SetError::Ignored { name: name.to_owned(), value: asked, shown });
        }
        Ok(before)
    })?
}
