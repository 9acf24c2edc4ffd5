//! One dump: request out, datagrams in, rows to a visitor.

use std::io;
use std::ops::ControlFlow;

use eleven_snapshot::{Family, Socket};
use eleven_tcp::State;

use super::{DuplicateFilter, Extensions, Labels, Request, parse_row};
use crate::ReadError;
use crate::netlink::{Message, Messages, NetlinkSocket, RECEIVE_LENGTH};
use crate::ring::{self, Filled};

/// How a dump ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpEnd {
    /// Rows handed to the visitor.
    pub rows: u64,
    /// Rows left out because the same socket had been seen.
    pub duplicates: u64,
    /// Rows that could not be understood, and were left out.
    pub malformed: u64,
    /// The kernel noticed a change of its table during the dump: rows may be missing.
    /// That it did not notice proves nothing.
    pub interrupted: bool,
    /// The visitor asked to stop.
    pub stopped: bool,
}

impl DumpEnd {
    /// Adds the end of a further dump.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.malformed += other.malformed;
        self.interrupted |= other.interrupted;
        self.stopped |= other.stopped;
    }
}

/// Dumps the sockets of the calling thread's network namespace to `visitor`.
///
/// One [`Socket`] value is filled again for every row; clone what is to be kept. The filter
/// program is left out where the kernel refuses it: more rows come then, not fewer.
///
/// # Errors
/// [`ReadError::NoSockDiag`] when the kernel has no TCP diagnosis, [`ReadError::Netlink`]
/// when a system call fails. Rows seen before the error have reached the visitor.
pub fn dump(
    request: &Request,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<DumpEnd, ReadError> {
    match dump_as_asked(request, labels, visitor) {
        // The kernel does not know an operation of the filter program, or its caller lacks
        // the privilege for one. Whoever gave the program filters again, so it may be left out.
        Err(ReadError::Netlink { source, .. })
            if request.bytecode.is_some() && (is_unsupported(&source) || is_refused(&source)) =>
        {
            dump_as_asked(&Request { bytecode: None, ..request.clone() }, labels, visitor)
        }
        outcome => outcome,
    }
}

fn dump_as_asked(
    request: &Request,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<DumpEnd, ReadError> {
    let socket = NetlinkSocket::open().map_err(|error| ReadError::netlink("open a netlink socket", error))?;
    let mut walk = Walk {
        request,
        labels,
        visitor,
        row: Socket::new(State::Closed),
        seen: DuplicateFilter::default(),
        end: DumpEnd::default(),
    };
    match walk.run(&socket, request.family) {
        // The request for both families is the legacy one: a kernel may drop it one day.
        Err(ReadError::Netlink { source, .. })
            if request.family.is_none() && walk.end.rows == 0 && is_unsupported(&source) =>
        {
            walk.run(&socket, Some(Family::Inet))?;
            if !walk.end.stopped {
                walk.run(&socket, Some(Family::Inet6))?;
            }
            Ok(walk.end)
        }
        outcome => outcome.map(|()| walk.end),
    }
}

fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
}

fn is_unsupported(error: &io::Error) -> bool {
    [rustix::io::Errno::INVAL, rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::PROTONOSUPPORT]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

struct Walk<'a, 'l> {
    request: &'a Request,
    labels: &'a mut Labels<'l>,
    visitor: &'a mut dyn FnMut(&Socket) -> ControlFlow<()>,
    row: Socket,
    seen: DuplicateFilter,
    end: DumpEnd,
}

/// Whether more datagrams of this dump are to come.
type Step = Result<ControlFlow<()>, ReadError>;

impl Walk<'_, '_> {
    fn run(&mut self, socket: &NetlinkSocket, family: Option<Family>) -> Result<(), ReadError> {
        socket
            .send(&mut self.request.encode(family))
            .map_err(|error| ReadError::netlink("send the sock_diag request", error))?;

        // Most dumps fit a few datagrams; a thread would cost more than it saves.
        let mut buffer = vec![0; RECEIVE_LENGTH];
        for _ in 0..4 {
            let length = receive(socket, &mut buffer)?;
            if self.datagram(&buffer[..length])?.is_break() {
                return Ok(());
            }
        }
        self.run_beside_the_kernel(socket)
    }

    fn run_beside_the_kernel(&mut self, socket: &NetlinkSocket) -> Result<(), ReadError> {
        let fill = |buffer: &mut [u8]| {
            let length = receive(socket, buffer)?;
            // The dump's last datagram holds its DONE or ERROR message; waiting for another
            // one would be to wait for ever.
            Ok(Filled { length, is_last: ends_dump(&buffer[..length]) })
        };
        let start_failed = |error| ReadError::netlink("start a thread for the dump", error);
        ring::run("sock_diag", RECEIVE_LENGTH, fill, |bytes| self.datagram(bytes), start_failed)
    }

    fn datagram(&mut self, bytes: &[u8]) -> Step {
        for message in Messages::new(bytes) {
            match message {
                Message::Payload { body, interrupted } => {
                    self.end.interrupted |= interrupted;
                    if !parse_row(body, self.request.extensions, self.labels, &mut self.row) {
                        self.end.malformed += 1;
                        continue;
                    }
                    if self.row.cookie.is_some_and(|cookie| !self.seen.is_new(cookie)) {
                        self.end.duplicates += 1;
                        continue;
                    }
                    self.end.rows += 1;
                    if (self.visitor)(&self.row).is_break() {
                        self.end.stopped = true;
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Message::Done { errno: 0, interrupted } => {
                    self.end.interrupted |= interrupted;
                    return Ok(ControlFlow::Break(()));
                }
                Message::Error { errno: 0 } => {}
                Message::Done { errno, .. } | Message::Error { errno } => {
                    return Err(ReadError::from_dump_errno(errno));
                }
                Message::Overrun => self.end.interrupted = true,
                Message::Malformed => {
                    self.end.malformed += 1;
                    break;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn receive(socket: &NetlinkSocket, buffer: &mut [u8]) -> Result<usize, ReadError> {
    socket.receive(buffer).map_err(|error| ReadError::netlink("receive from sock_diag", error))
}

fn ends_dump(datagram: &[u8]) -> bool {
    Messages::new(datagram)
        // Any number but 0 ends the walk as well; to wait on then would be to wait for ever.
        .any(|message| match message {
            Message::Done { .. } => true,
            Message::Error { errno } => errno != 0,
            Message::Payload { .. } | Message::Overrun | Message::Malformed => false,
        })
}

/// For the fuzz target, its replay and recorded messages: any bytes as one datagram of a
/// dump, handed through the same walk as the kernel's.
///
/// # Errors
/// As [`dump`], for an error message among the bytes.
#[doc(hidden)]
pub fn read_any_bytes(
    bytes: &[u8],
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<DumpEnd, ReadError> {
    let extensions = Extensions { tcp_info: true, age: true, congestion: true, memory_and_options: true };
    let mut walk = Walk {
        request: &Request { extensions, ..Request::default() },
        labels: &mut Labels::new(None),
        visitor,
        row: Socket::new(State::Closed),
        seen: DuplicateFilter::default(),
        end: DumpEnd::default(),
    };
    let outcome = walk.datagram(bytes);
    let goes_on = matches!(outcome, Ok(ControlFlow::Continue(())));
    // The thread that receives and the walk must agree on which datagram is the last.
    assert!(walk.end.stopped || goes_on != ends_dump(bytes), "the two sides of a dump disagree on its end");
    outcome.map(|_| walk.end)
}
