//! What can go wrong in a laboratory, and what to do about it.

use std::io;

use eleven_linux::ReadError;

/// Why a laboratory cannot be set up, or has to be given up.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No private network namespace can be made.
    #[error("no private network namespace can be made: {source}{hint}; `--simulate` takes no privilege")]
    NoNamespace {
        /// The system's answer.
        source: io::Error,
        /// What stands in the way, if that is known.
        hint: &'static str,
    },
    /// The namespace has no device.
    #[error(
        "no TUN device can be made: {source}; {}; nor can a pair of devices: {pair}; `--simulate` needs none",
        device_hint(source)
    )]
    NoDevice {
        /// The system's answer for TUN.
        source: io::Error,
        /// And for what would do instead.
        pair: io::Error,
    },
    /// A packet cannot be exchanged with the kernel.
    #[error("cannot {operation} the device: {source}")]
    Device {
        /// What was attempted.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A sysctl cannot be set.
    #[error("cannot set {name} to `{value}`: {why}")]
    Setting {
        /// Its name as given.
        name: String,
        /// The value as given.
        value: String,
        /// What is wrong, or the system's answer.
        why: String,
    },
    /// There is no such setting.
    #[error("there is no setting `{name}`{}", suggestion(near))]
    NoSuchSetting {
        /// The name as given.
        name: String,
        /// Names that may have been meant.
        near: Vec<String>,
    },
    /// There is no such scenario.
    #[error("there is no scenario `{name}`{}", suggestion(near))]
    NoSuchScenario {
        /// The name as given.
        name: String,
        /// Names that may have been meant.
        near: Vec<String>,
    },
    /// The kernel's view of its sockets cannot be read.
    #[error(transparent)]
    Witness(#[from] ReadError),
    /// The capture cannot be written.
    #[error("cannot write the capture: {0}")]
    Capture(io::Error),
    /// A call that has to succeed did not.
    #[error("{call} returned {errno}")]
    Call {
        /// Which call.
        call: String,
        /// What it returned.
        errno: crate::host::Errno,
    },
    /// Something else that the system refuses.
    #[error("cannot {operation}: {source}")]
    System {
        /// What was attempted.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn device_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "/dev/net/tun is not open to this user, which root may change (`chmod 666 /dev/net/tun`, as most hosts have it)"
    } else {
        "`modprobe tun` may load it"
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => "; `eleven lab list` shows what there is".to_owned(),
        [one] => format!("; did you mean `{one}`?"),
        [most @ .., last] => format!("; did you mean `{}` or `{last}`?", most.join("`, `")),
    }
}

/// Why a scenario does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Something that should have happened did not in the time that there is for it.
    #[error("{0}")]
    NotReached(String),
    /// The user has interrupted it.
    #[error("interrupted")]
    Interrupted,
    /// The laboratory itself has failed.
    #[error(transparent)]
    Failed(#[from] LabError),
}
