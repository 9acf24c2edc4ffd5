//! A network namespace that lives as long as a value, or a thread that is in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::LabError;

/// A private network namespace, held open.
#[derive(Debug)]
pub(crate) struct Namespace(File);

impl Namespace {
    /// Makes one, which the calling thread is in from now on.
    ///
    /// # Errors
    /// [`LabError::NoNamespace`] without the privilege.
    pub(crate) fn unshare() -> Result<Self, LabError> {
        // SAFETY: only the network namespace of this thread changes; file descriptor tables, memory and file systems
        // stay shared.
        #[allow(unsafe_code, reason = "unshare(2) is unsafe for flags that are not used here")]
        let made = unsafe { unshare_unsafe(UnshareFlags::NEWNET) };
        made.map_err(io::Error::from)
            .and_then(|()| File::open("/proc/thread-self/ns/net"))
            .map(Self)
            .map_err(|source| LabError::NoNamespace { source, hint: "; root may make one" })
    }

    /// Moves the calling thread into it.
    ///
    /// # Errors
    /// The system's, which does not happen to who made it.
    pub(crate) fn enter(&self) -> Result<(), LabError> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| LabError::System { operation: "enter the namespace", source: error.into() })
    }

    /// A path that leads to it for as long as it lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}
