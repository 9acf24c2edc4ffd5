//! Calls that may have to wait.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::constants::message::{MSG_DONTWAIT, MSG_FASTOPEN, MSG_PEEK};
use super::events::PollEntry;
use super::{Descriptor, Errno, Sockets};
use crate::{Instant, State};

/// A call as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `accept()`.
    Accept {
        /// The listener.
        descriptor: Descriptor,
    },
    /// `connect()`.
    Connect {
        /// The socket.
        descriptor: Descriptor,
        /// Where to.
        remote: SocketAddr,
        /// It is on its way.
        begun: bool,
    },
    /// `send()`, `sendto()`.
    Send {
        /// The socket.
        descriptor: Descriptor,
        /// What is to be sent.
        text: Vec<u8>,
        /// So much of it was taken.
        done: usize,
        /// `MSG_…`.
        flags: i32,
        /// For `MSG_FASTOPEN`.
        to: Option<SocketAddr>,
    },
    /// `recv()`.
    Receive {
        /// The socket.
        descriptor: Descriptor,
        /// At the most.
        length: usize,
        /// `MSG_…`.
        flags: i32,
    },
    /// `poll()`.
    Poll {
        /// Descriptors, and what is asked about them.
        entries: Vec<PollEntry>,
        /// Until when; `None`: for ever.
        deadline: Option<Instant>,
    },
    /// `epoll_wait()`.
    EpollWait {
        /// The set.
        descriptor: Descriptor,
        /// At the most so many events.
        most: usize,
        /// Until when; `None`: for ever.
        deadline: Option<Instant>,
    },
}

/// What a call has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing but success.
    Done,
    /// So many bytes were taken.
    Taken(usize),
    /// Text; none at the end of file.
    Text(Vec<u8>),
    /// A new connection and its peer.
    Accepted(Descriptor, SocketAddr),
    /// For each entry of `poll()` what is ready.
    Ready(Vec<u32>),
    /// What `epoll_wait()` tells: what is ready, and the data given with the descriptor.
    Events(Vec<(u32, u64)>),
}

impl Sockets {
    /// Tries a call; `None` if it has to wait, until anything happens or until [`Call::deadline`].
    pub fn attempt(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>> {
        match call {
            Call::Accept { descriptor } => {
                let blocking = self.is_blocking(*descriptor);
                let accepted = self.accept(*descriptor);
                or_wait(accepted.map(|(new, peer)| Outcome::Accepted(new, peer)), blocking)
            }
            Call::Connect { descriptor, remote, begun } => {
                let blocking = self.is_blocking(*descriptor);
                if *begun {
                    return self.connect_result(*descriptor).map(|result| result.map(|()| Outcome::Done));
                }
                match self.connect(*descriptor, *remote) {
                    Err(Errno::InProgress | Errno::AlreadyInProgress) if blocking => {
                        *begun = true;
                        None
                    }
                    result => Some(result.map(|()| Outcome::Done)),
                }
            }
            Call::Send { descriptor, text, done, flags, to } => {
                self.attempt_send(*descriptor, text, done, flags, *to)
            }
            Call::Receive { descriptor, length, flags } => {
                let blocking = self.is_blocking(*descriptor) && *flags & MSG_DONTWAIT == 0;
                let text = self.recv(*descriptor, *length, *flags & MSG_PEEK != 0);
                or_wait(text.map(Outcome::Text), blocking)
            }
            Call::Poll { entries, deadline } => {
                let ready: Vec<u32> = entries.iter().map(|entry| self.poll(*entry)).collect();
                let over = deadline.is_some_and(|deadline| deadline <= self.now());
                (over || ready.iter().any(|ready| *ready != 0)).then_some(Ok(Outcome::Ready(ready)))
            }
            Call::EpollWait { descriptor, most, deadline } => match self.epoll_take(*descriptor, *most) {
                Ok(events) => {
                    let over = deadline.is_some_and(|deadline| deadline <= self.now());
                    (over || !events.is_empty()).then_some(Ok(Outcome::Events(events)))
                }
                Err(error) => Some(Err(error)),
            },
        }
    }

    /// A blocking send takes everything before it returns.
    fn attempt_send(
        &mut self,
        descriptor: Descriptor,
        text: &[u8],
        done: &mut usize,
        flags: &mut i32,
        to: Option<SocketAddr>,
    ) -> Option<Result<Outcome, Errno>> {
        let blocking = self.is_blocking(descriptor) && *flags & MSG_DONTWAIT == 0;
        loop {
            let rest = text.get(*done..).unwrap_or_default();
            if *done > 0 && rest.is_empty() {
                // All of it went with the SYN; what comes of that is waited for.
                return match self.connect_result(descriptor)? {
                    Err(error) if error != Errno::IsConnected => Some(Err(error)),
                    _ => Some(Ok(Outcome::Taken(*done))),
                };
            }
            match self.send(descriptor, rest, *flags, to) {
                Ok(taken) => {
                    *done += taken;
                    *flags &= !MSG_FASTOPEN;
                    if blocking && self.is_opening(descriptor) {
                        if *done < text.len() {
                            self.expect_text(descriptor);
                        }
                        return None;
                    }
                    if *done >= text.len() || !blocking || taken == 0 {
                        return Some(Ok(Outcome::Taken(*done)));
                    }
                }
                // The connection is on its way; the text goes when it is open.
                Err(Errno::InProgress) if blocking => {
                    *flags &= !MSG_FASTOPEN;
                    if text.is_empty() {
                        return Some(Err(Errno::InProgress));
                    }
                    self.expect_text(descriptor);
                    return None;
                }
                Err(Errno::WouldBlock) if blocking => {
                    self.expect_text(descriptor);
                    return None;
                }
                // What was taken before has gone.
                Err(error) if *done == 0 || self.sent_with_syn(descriptor) => return Some(Err(error)),
                Err(_) => return Some(Ok(Outcome::Taken(*done))),
            }
        }
    }

    /// A call waits to send when the connection is open.
    fn expect_text(&mut self, descriptor: Descriptor) {
        if self.is_opening(descriptor) {
            self.with_connection(descriptor, crate::Connection::expect_text);
        }
    }

    fn is_opening(&self, descriptor: Descriptor) -> bool {
        self.connection_of(descriptor).is_some_and(|connection| connection.state() == State::SynSent)
    }

    /// All that was taken went with a SYN that came to nothing.
    fn sent_with_syn(&self, descriptor: Descriptor) -> bool {
        self.table.get(&descriptor).is_some_and(|socket| !socket.opened && !socket.connected)
    }
}

impl Call {
    /// When the call returns at the latest.
    pub const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Poll { deadline, .. } | Self::EpollWait { deadline, .. } => *deadline,
            _ => None,
        }
    }
}

fn or_wait(result: Result<Outcome, Errno>, blocking: bool) -> Option<Result<Outcome, Errno>> {
    match result {
        Err(Errno::WouldBlock) if blocking => None,
        result => Some(result),
    }
}
