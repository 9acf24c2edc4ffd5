//! What is ready: `poll()` and `epoll`.

use alloc::vec::Vec;

use super::constants::readiness::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM,
    POLLWRNORM,
};
use super::{Descriptor, Errno, Kind, Sockets};
use crate::State;

/// One line of `poll()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollEntry {
    /// The descriptor.
    pub descriptor: Descriptor,
    /// What is asked about.
    pub events: u32,
}

/// An epoll set.
#[derive(Default)]
pub(super) struct Epoll {
    watches: Vec<Watch>,
}

struct Watch {
    descriptor: Descriptor,
    events: u32,
    data: u64,
    /// Something has happened since it was told.
    woken: bool,
    /// `EPOLLONESHOT`, and it has been told.
    spent: bool,
}

impl Epoll {
    pub(super) fn forget(&mut self, descriptor: Descriptor) {
        self.watches.retain(|watch| watch.descriptor != descriptor);
    }
}

/// What `epoll_ctl()` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpollChange {
    /// `EPOLL_CTL_ADD`.
    Add,
    /// `EPOLL_CTL_DEL`.
    Delete,
    /// `EPOLL_CTL_MOD`.
    Modify,
}

const ALWAYS: u32 = POLLERR | POLLHUP;
const READ: u32 = POLLIN | POLLRDNORM;
const WRITE: u32 = POLLOUT | POLLWRNORM;

impl Sockets {
    /// What is ready, whether or not anybody asks (`tcp_poll`).
    pub fn readiness(&self, descriptor: Descriptor) -> u32 {
        let Some(socket) = self.table.get(&descriptor) else { return 0 };
        let connection = match socket.kind {
            Kind::New => return WRITE | POLLHUP,
            Kind::Deferred(_) => return WRITE,
            Kind::Listening(id) => {
                let waits = self.demux.listener(id).is_some_and(|listener| listener.waiting() > 0);
                return if waits { READ } else { 0 };
            }
            Kind::Connection(id) => self.demux.connection(id),
        };
        let mut ready = if socket.error.is_some() || socket.zero_copied.is_some() { POLLERR } else { 0 };
        let Some(connection) = connection else { return ready | POLLHUP | READ | POLLRDHUP | WRITE };
        let closed = connection.state() == State::Closed;
        let read_shut = closed || socket.shut_read || connection.peer_has_closed();
        let write_shut = closed || socket.shut_write;
        if read_shut && write_shut {
            ready |= POLLHUP;
        }
        if read_shut {
            ready |= READ | POLLRDHUP;
        }
        let opening = match connection.state() {
            State::SynSent => true,
            State::SynReceived => !connection.is_fast_open(),
            _ => false,
        };
        if opening {
            return ready;
        }
        if connection.readable() > 0 {
            ready |= READ;
        }
        let queued = connection.unacknowledged();
        let room = queued <= socket.policy.send_buffer / 3 * 2;
        let low = self.unsent_low(socket);
        if write_shut || (room && u64::from(connection.unsent()) * 2 < u64::from(low)) {
            ready |= WRITE;
        }
        ready
    }

    /// What of an entry is ready.
    pub(super) fn poll(&self, entry: PollEntry) -> u32 {
        self.readiness(entry.descriptor) & (entry.events | ALWAYS)
    }

    /// Something has happened to a socket.
    pub(super) fn wake(&mut self, descriptor: Descriptor) {
        for set in self.polls.values_mut() {
            for watch in set.watches.iter_mut().filter(|watch| watch.descriptor == descriptor) {
                watch.woken = true;
            }
        }
    }

    /// `epoll_create()`.
    pub fn epoll_create(&mut self) -> Descriptor {
        let descriptor = self.new_descriptor();
        self.polls.insert(descriptor, Epoll::default());
        descriptor
    }

    /// `epoll_ctl()`.
    ///
    /// # Errors
    /// If one of the descriptors is none, or is (not) watched already.
    pub fn epoll_change(
        &mut self,
        set: Descriptor,
        change: EpollChange,
        descriptor: Descriptor,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        if !self.table.contains_key(&descriptor) {
            return Err(Errno::BadDescriptor);
        }
        let watches = &mut self.polls.get_mut(&set).ok_or(Errno::BadDescriptor)?.watches;
        let place = watches.iter().position(|watch| watch.descriptor == descriptor);
        let watch = Watch { descriptor, events, data, woken: true, spent: false };
        match (change, place) {
            (EpollChange::Add, None) => watches.push(watch),
            (EpollChange::Modify, Some(place)) => watches[place] = watch,
            (EpollChange::Delete, Some(place)) => drop(watches.remove(place)),
            _ => return Err(Errno::Invalid),
        }
        Ok(())
    }

    /// What `epoll_wait()` has to tell now.
    pub(super) fn epoll_take(&mut self, set: Descriptor, most: usize) -> Result<Vec<(u32, u64)>, Errno> {
        let watches = self.polls.get_mut(&set).ok_or(Errno::BadDescriptor)?;
        let mut watches = core::mem::take(&mut watches.watches);
        let mut told = Vec::new();
        for watch in &mut watches {
            if told.len() >= most || watch.spent || (watch.events & EPOLLET != 0 && !watch.woken) {
                continue;
            }
            let asked = watch.events & !(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE);
            let ready = self.readiness(watch.descriptor) & (asked | ALWAYS);
            watch.woken = false;
            if ready != 0 {
                watch.spent = watch.events & EPOLLONESHOT != 0;
                told.push((ready, watch.data));
            }
        }
        if let Some(kept) = self.polls.get_mut(&set) {
            kept.watches = watches;
        }
        Ok(told)
    }
}
