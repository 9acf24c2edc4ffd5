//! `MSG_ZEROCOPY`: which sends are done with.

use alloc::vec::Vec;

use super::{Descriptor, Errno, Kind, Sockets};
use crate::demux::ConnectionId;

impl Sockets {
    pub(super) fn note_zero_copy(&mut self, descriptor: Descriptor, id: ConnectionId) {
        let Some(end) = self.demux.connection(id).map(crate::Connection::text_end) else { return };
        if let Some(socket) = self.table.get_mut(&descriptor).filter(|socket| socket.choices.zero_copy) {
            socket.zero_copies.push_back((end.0, socket.zero_copy_next));
            socket.zero_copy_next = socket.zero_copy_next.wrapping_add(1);
        }
    }

    /// The numbers of zero-copy sends that are done, for `MSG_ERRQUEUE`: first and last.
    ///
    /// # Errors
    /// [`Errno::WouldBlock`] if there are none; or if the descriptor is none.
    pub fn take_zero_copied(&mut self, descriptor: Descriptor) -> Result<(u32, u32), Errno> {
        self.socket_mut(descriptor)?.zero_copied.take().ok_or(Errno::WouldBlock)
    }

    pub(super) fn finish_zero_copies(&mut self) {
        let mut done = Vec::new();
        for (descriptor, socket) in &mut self.table {
            let Kind::Connection(id) = socket.kind else { continue };
            let una = self.demux.connection(id).map(|connection| connection.info().send_unacknowledged);
            while let Some(&(end, number)) = socket.zero_copies.front() {
                if una.is_some_and(|una| crate::SeqNumber(end).gt(una)) {
                    break;
                }
                socket.zero_copies.pop_front();
                let first = socket.zero_copied.map_or(number, |(first, _)| first);
                socket.zero_copied = Some((first, number));
                done.push(*descriptor);
            }
        }
        for descriptor in done {
            self.wake(descriptor);
        }
    }
}
