//! Who holds which socket by which number.

/// A descriptor of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) inode: u64,
    pub(crate) pid: u32,
    pub(crate) fd: u32,
}
