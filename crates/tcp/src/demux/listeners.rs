//! The listeners of a host.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::Instant;
use crate::listener::Listener;

/// A listener of a [`Demux`](super::Demux). It means nothing any more when the listener is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    index: u32,
    generation: u32,
}

#[derive(Default)]
struct Place {
    listener: Option<Listener>,
    /// Counts the listeners that have been here, so that an old identifier does not find a new one.
    generation: u32,
}

/// Few enough on any host to be looked through.
#[derive(Default)]
pub(super) struct Listeners(Vec<Place>);

impl Listeners {
    /// Adds a listener, unless there is one on the same address and port.
    pub(super) fn add(&mut self, listener: Listener) -> Option<ListenerId> {
        if self.iter().any(|(_, other)| other.local() == listener.local()) {
            return None;
        }
        let index = self.0.iter().position(|place| place.listener.is_none()).unwrap_or_else(|| {
            self.0.push(Place::default());
            self.0.len() - 1
        });
        let place = &mut self.0[index];
        place.listener = Some(listener);
        Some(ListenerId { index: index as u32, generation: place.generation })
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        let place = self.0.get(id.index as usize).filter(|place| place.generation == id.generation)?;
        place.listener.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let place = self.0.get_mut(id.index as usize).filter(|place| place.generation == id.generation)?;
        place.listener.as_mut()
    }

    pub(super) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        let place = self.0.get_mut(id.index as usize).filter(|place| place.generation == id.generation)?;
        place.generation = place.generation.wrapping_add(1);
        place.listener.take()
    }

    /// The listener on this address, or else that on all addresses.
    pub(super) fn find(&self, address: IpAddr, port: u16) -> Option<ListenerId> {
        let mut on_all = None;
        for (id, listener) in self.iter() {
            let own: SocketAddr = listener.local();
            if own.port() != port {
                continue;
            }
            if own.ip() == address {
                return Some(id);
            }
            if own.ip().is_unspecified() && own.is_ipv4() == address.is_ipv4() {
                on_all = on_all.or(Some(id));
            }
        }
        on_all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        (0..).zip(&self.0).filter_map(|(index, place)| {
            let id = ListenerId { index, generation: place.generation };
            place.listener.as_ref().map(|listener| (id, listener))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ListenerId, &mut Listener)> {
        (0..).zip(&mut self.0).filter_map(|(index, place)| {
            let id = ListenerId { index, generation: place.generation };
            place.listener.as_mut().map(|listener| (id, listener))
        })
    }

    /// When one of them has something to do at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.iter().filter_map(|(_, listener)| listener.next_deadline()).min()
    }
}
