//! What the tests of the command stand on, beside the testbed.

pub(crate) mod program;
pub(crate) mod sockets;
pub(crate) mod terminal;

/// Whether this process is root, without whom most tests can make nothing.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
