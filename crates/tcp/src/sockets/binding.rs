//! `bind`, and who else has the port.

use core::net::SocketAddr;

use super::constants::{level, socket::SO_REUSEADDR};
use super::opening::canonical;
use super::{Descriptor, Errno, Kind, Socket, Sockets};
use crate::State;

/// So many closed connections that do not share their port are remembered before it is looked which are over.
const MANY: usize = 64;

impl Sockets {
    /// `bind()`.
    ///
    /// A port is shared only by sockets that all have `SO_REUSEADDR`, one in TIME_WAIT too, and none of them listens
    /// (`inet_csk_bind_conflict`).
    ///
    /// # Errors
    /// If the descriptor is none or bound already, or another socket has the port.
    pub fn bind(&mut self, descriptor: Descriptor, local: SocketAddr) -> Result<(), Errno> {
        let local = canonical(local);
        let socket = self.socket_of(descriptor)?;
        if socket.bound.is_some() || socket.kind != Kind::New {
            return Err(Errno::Invalid);
        }
        if local.port() != 0 && self.is_taken(local, shares(socket)) {
            return Err(Errno::AddressInUse);
        }
        self.socket_mut(descriptor)?.bound = Some(local);
        Ok(())
    }

    fn is_taken(&self, local: SocketAddr, shared: bool) -> bool {
        let taken = |socket: &Socket| {
            let listens = matches!(socket.kind, Kind::Listening(_));
            let over = matches!(socket.kind, Kind::Connection(_))
                && self.connection(socket).is_none_or(|connection| connection.state() == State::Closed);
            let other = socket.bound.or_else(|| self.connection(socket).map(|it| it.pair().local()));
            !over
                && other.is_some_and(|other| collide(local, other))
                && (listens || !shared || !shares(socket))
        };
        // Those that no program has any more.
        let left = |(pair, state): (crate::FourTuple, State)| {
            state != State::Closed
                && collide(local, pair.local())
                && (!shared || self.unshared.contains(&pair))
        };
        self.table.values().any(taken) || self.demux.states().any(left)
    }

    /// A connection loses its program: whether it shares its port must be known until it is over.
    pub(super) fn remember_unshared(&mut self, socket: &Socket) {
        let Some(pair) = self.connection(socket).map(crate::Connection::pair) else { return };
        if shares(socket) {
            return;
        }
        if self.unshared.len() >= self.unshared_most.max(MANY) {
            let demux = &self.demux;
            self.unshared.retain(|pair| demux.state_of(pair) != State::Closed);
            self.unshared_most = 2 * self.unshared.len();
        }
        self.unshared.insert(pair);
    }
}

/// Whether the socket has `SO_REUSEADDR`.
fn shares(socket: &Socket) -> bool {
    let value = socket.choices.plain.get(&(level::SOCKET, SO_REUSEADDR));
    value.is_some_and(|value| value.iter().any(|byte| *byte != 0))
}

/// Whether two local sockets are the same, or one stands for all addresses and so for the other.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
