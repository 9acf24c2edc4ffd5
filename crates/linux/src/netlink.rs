//! Netlink messages: a walk over bytes the kernel sent, and the socket they come from.
//!
//! The walk is over untrusted bytes: it never reads beyond what it was given and ends at
//! the first thing that does not fit.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with, sockopt,
};

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LENGTH: usize = 16;

/// `NLMSG_ERROR`.
const TYPE_ERROR: u16 = 2;
/// `NLMSG_DONE`.
const TYPE_DONE: u16 = 3;
/// `NLMSG_OVERRUN`.
const TYPE_OVERRUN: u16 = 4;
/// `NLM_F_REQUEST`.
pub(crate) const FLAG_REQUEST: u16 = 0x1;
/// `NLM_F_DUMP`: root and match.
pub(crate) const FLAG_DUMP: u16 = 0x300;
/// `NLM_F_DUMP_INTR`: the table changed under the dump.
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;

/// The largest message a dump delivers at once (`NLMSG_GOODSIZE` up to 32 KiB), with room
/// for a single larger message.
pub(crate) const RECEIVE_LENGTH: usize = 64 * 1024;

/// Reads a native-endian `u16` at `offset`.
pub(crate) fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..offset + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// Reads a native-endian `u32` at `offset`.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Reads a native-endian `u64` at `offset`.
pub(crate) fn read_u64(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..offset + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// One netlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A message of the protocol, without its header.
    Payload {
        /// What follows the header.
        body: &'a [u8],
        /// The kernel noticed that its table changed during the dump.
        interrupted: bool,
    },
    /// The dump is over; an error number other than 0 says that it broke off.
    Done {
        /// Positive errno, or 0.
        errno: i32,
        /// As in [`Message::Payload`].
        interrupted: bool,
    },
    /// The kernel refused the request (positive errno), or acknowledges it (0).
    Error {
        /// Positive errno, or 0.
        errno: i32,
    },
    /// The kernel dropped messages for want of room.
    Overrun,
    /// Bytes that are no message: the walk ends here.
    Malformed,
}

/// Walks the messages in one datagram.
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Starts at the first message.
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        if bytes.is_empty() {
            return None;
        }
        let header = (read_u32(bytes, 0), read_u16(bytes, 4), read_u16(bytes, 6));
        let (Some(length), Some(kind), Some(flags)) = header else {
            self.0 = &[];
            return Some(Message::Malformed);
        };
        let Some(body) = bytes.get(HEADER_LENGTH..length as usize) else {
            self.0 = &[];
            return Some(Message::Malformed);
        };
        // Messages start at multiples of four (NLMSG_ALIGN).
        self.0 = bytes.get((length as usize).next_multiple_of(4)..).unwrap_or(&[]);
        let interrupted = flags & FLAG_DUMP_INTERRUPTED != 0;
        // The kernel carries errors as negative numbers; a DONE without one is a good end.
        let errno = || read_u32(body, 0).map_or(0, |number| number.cast_signed().wrapping_neg());
        Some(match kind {
            TYPE_DONE => Message::Done { errno: errno(), interrupted },
            TYPE_ERROR => Message::Error { errno: errno() },
            TYPE_OVERRUN => Message::Overrun,
            _ => Message::Payload { body, interrupted },
        })
    }
}

/// Walks the attributes behind a message's fixed part: type and value.
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Starts at the first attribute.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let bytes = self.0;
        let length = usize::from(read_u16(bytes, 0)?);
        let kind = read_u16(bytes, 2)?;
        let value = bytes.get(4..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// Appends an attribute with its padding.
pub(crate) fn push_attribute(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    request.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
    request.extend_from_slice(&kind.to_ne_bytes());
    request.extend_from_slice(value);
    request.resize(request.len().next_multiple_of(4), 0);
}

/// A netlink socket of the sock_diag family. It belongs to the network namespace of the
/// thread that opened it, wherever it is used later.
#[derive(Debug)]
pub(crate) struct NetlinkSocket(OwnedFd);

impl NetlinkSocket {
    /// Opens one in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        // Only a hint: the dump is paced by our reading, a refusal costs nothing.
        let _ = sockopt::set_socket_recv_buffer_size(&fd, 1 << 20);
        Ok(Self(fd))
    }

    /// Sends a request to the kernel. The header's length is filled in here.
    pub(crate) fn send(&self, request: &mut [u8]) -> io::Result<()> {
        let length = request.len() as u32;
        request[..4].copy_from_slice(&length.to_ne_bytes());
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        sendto(&self.0, request, SendFlags::empty(), &kernel)?;
        Ok(())
    }

    /// Receives one datagram; returns its length.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.0, &mut *buffer, RecvFlags::TRUNC) {
                Ok((_, length)) if length > buffer.len() => {
                    return Err(io::Error::other(format!(
                        "the kernel sent a message of {length} bytes where {} are expected at most",
                        buffer.len()
                    )));
                }
                Ok((_, length)) => return Ok(length),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
