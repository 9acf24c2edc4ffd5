//! `send` and `recv`, and how much waits on either side.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::opening::canonical;
use super::{Descriptor, Errno, Kind, Socket, Sockets, constants};
use crate::State;
use crate::demux::ConnectionId;

impl Sockets {
    /// `send()` with its flags, and `sendto()`, which connects with `MSG_FASTOPEN`. What there is room for is taken.
    ///
    /// # Errors
    /// As the errors of Linux; [`Errno::WouldBlock`] if there is no room.
    pub fn send(
        &mut self,
        descriptor: Descriptor,
        text: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_of(descriptor)?;
        let opens = flags & constants::message::MSG_FASTOPEN != 0;
        let zero_copy = flags & constants::message::MSG_ZEROCOPY != 0;
        // The sysctl counts as it is now.
        let may_open = self.settings.fast_open & 1 != 0;
        let id = match socket.kind {
            Kind::Listening(_) => return Err(Errno::BrokenPipe),
            Kind::New if opens && may_open => {
                let to = canonical(to.ok_or(Errno::Invalid)?);
                return self.open_with_text(descriptor, to, text, zero_copy);
            }
            Kind::New if opens => return Err(Errno::NotSupported),
            Kind::New => return Err(self.take_error(descriptor).unwrap_or(Errno::BrokenPipe)),
            Kind::Deferred(remote) => return self.open_with_text(descriptor, remote, text, zero_copy),
            Kind::Connection(id) => id,
        };
        if let Some(error) = self.take_error(descriptor) {
            return Err(error);
        }
        let socket = self.socket_of(descriptor)?;
        let Some(connection) = self.demux.connection(id) else { return Err(Errno::BrokenPipe) };
        let opening = match connection.state() {
            State::SynSent => true,
            State::SynReceived => !connection.is_fast_open(),
            _ => false,
        };
        if opening {
            return Err(if opens { Errno::AlreadyInProgress } else { Errno::WouldBlock });
        }
        if connection.state() == State::Closed || socket.shut_write {
            return Err(Errno::BrokenPipe);
        }
        let more = flags & constants::message::MSG_MORE != 0;
        let taken = self.fill(descriptor, id, text, more, flags & constants::message::MSG_EOR != 0)?;
        if taken < text.len() {
            self.socket_mut(descriptor)?.wants_room = true;
        }
        if taken == 0 && !text.is_empty() {
            return Err(Errno::WouldBlock);
        }
        if zero_copy && taken > 0 {
            self.note_zero_copy(descriptor, id);
        }
        self.work();
        Ok(taken)
    }

    /// Takes text as Linux does: in packets as large as a device takes at once. Whether there is room is asked before
    /// each, so the last may be more than fits.
    fn fill(
        &mut self,
        descriptor: Descriptor,
        id: ConnectionId,
        text: &[u8],
        more: bool,
        record: bool,
    ) -> Result<usize, Errno> {
        let now = self.now;
        let mut taken = 0;
        while taken < text.len() {
            let socket = self.socket_of(descriptor)?;
            let Some(connection) = self.demux.connection(id) else { return Err(Errno::BrokenPipe) };
            let info = connection.info();
            let mss = u32::from(info.send_mss).max(1);
            let largest =
                (socket.policy.segmentation_offload.min(info.largest_window / 2) / mss).max(1) * mss;
            let unsent = connection.unsent();
            let begun = unsent % largest;
            let room =
                connection.unacknowledged() < socket.policy.send_buffer && unsent < self.unsent_low(socket);
            if begun == 0 && !room {
                break;
            }
            let end = text.len().min(taken + (largest - begun) as usize);
            let piece = &text[taken..end];
            let follows = more || end < text.len();
            // Only a packet that is full is pushed before its time.
            let is_full = begun + piece.len() as u32 == largest;
            let result = self.demux.call(id, |connection| {
                let taken = match (follows, record) {
                    (true, _) => connection.send_more(now, piece),
                    (false, true) => connection.send_record(now, piece),
                    (false, false) => connection.send(now, piece),
                };
                if is_full && taken.is_ok() {
                    connection.push_if_much();
                }
                taken
            });
            match result {
                Ok(0) => break,
                Ok(count) => taken += count,
                Err(error) if taken == 0 => {
                    return Err(match Errno::from(error) {
                        Errno::NotConnected => Errno::BrokenPipe,
                        other => other,
                    });
                }
                Err(_) => break,
            }
            self.work();
        }
        if taken < text.len() && taken > 0 && !more {
            let _ = self.demux.call(id, |connection| {
                connection.push_at_end();
                Ok(())
            });
        }
        Ok(taken)
    }

    pub(super) fn take_error(&mut self, descriptor: Descriptor) -> Option<Errno> {
        self.table.get_mut(&descriptor)?.error.take()
    }

    pub(super) fn unsent_low(&self, socket: &Socket) -> u32 {
        if socket.choices.unsent_low == 0 { self.settings.unsent_low } else { socket.choices.unsent_low }
    }

    /// `recv()` of so many bytes at the most; none at the end of file.
    ///
    /// # Errors
    /// As the errors of Linux; [`Errno::WouldBlock`] if there is nothing yet.
    pub fn recv(&mut self, descriptor: Descriptor, length: usize, peek: bool) -> Result<Vec<u8>, Errno> {
        let socket = self.socket_of(descriptor)?;
        let id = match socket.kind {
            Kind::Listening(_) | Kind::New => return Err(Errno::NotConnected),
            Kind::Deferred(_) => return Err(Errno::WouldBlock),
            Kind::Connection(id) => id,
        };
        let Some(connection) = self.demux.connection(id) else { return Ok(Vec::new()) };
        if connection.readable() > 0 && length > 0 {
            if peek {
                return Ok(connection.peek().take(length).to_vec());
            }
            let mut out = alloc::vec![0; length.min(connection.readable() as usize)];
            let now = self.now;
            let count = self.demux.recv(now, id, &mut out)?;
            out.truncate(count);
            // Linux takes the end of file along with the last text before it (`tcp_recvmsg_locked`; the FIN is a flag of
            // the same buffer): Recv-Q no longer has it, though no call has told the program.
            let ended =
                |connection: &crate::Connection| connection.readable() == 0 && connection.peer_has_closed();
            if self.demux.connection(id).is_some_and(ended) {
                self.with_connection(descriptor, crate::Connection::note_end_read);
            }
            self.work();
            return Ok(out);
        }
        if connection.peer_has_closed() {
            if !peek {
                self.with_connection(descriptor, crate::Connection::note_end_read);
            }
            return Ok(Vec::new());
        }
        let closed = connection.state() == State::Closed;
        let shut = socket.shut_read;
        if let Some(error) = self.take_error(descriptor) {
            return Err(error);
        }
        if closed || shut {
            return Ok(Vec::new());
        }
        Err(Errno::WouldBlock)
    }

    /// `SIOCINQ`: bytes that can be read.
    ///
    /// # Errors
    /// If the descriptor is none, or a listener.
    pub fn unread(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        let socket = self.socket_of(descriptor)?;
        match socket.kind {
            Kind::Listening(_) => Err(Errno::Invalid),
            _ => Ok(self.connection(socket).map_or(0, crate::Connection::readable)),
        }
    }

    /// What `TCP_CM_INQ` tells: as [`Self::unread`], and one where only the end of file is left.
    pub fn unread_hint(&self, descriptor: Descriptor) -> Option<u32> {
        let socket = self.table.get(&descriptor)?;
        let connection = self.connection(socket)?;
        let unread = connection.readable();
        socket
            .choices
            .tell_unread
            .then(|| if unread == 0 && connection.peer_has_closed() { 1 } else { unread })
    }

    /// `SIOCOUTQ`: bytes sent or to be sent that are not acknowledged.
    ///
    /// # Errors
    /// If the descriptor is none, or a listener.
    pub fn unacknowledged(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        let socket = self.socket_of(descriptor)?;
        match socket.kind {
            Kind::Listening(_) => Err(Errno::Invalid),
            _ => Ok(self.connection(socket).map_or(0, crate::Connection::unacknowledged)),
        }
    }
}
