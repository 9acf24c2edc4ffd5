//! Opening connections: a free pair of sockets, and what a new connection takes over from one in TIME_WAIT.

use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::registry::Key;
use super::{ConnectionId, Demux};
use crate::connection::Steps;
use crate::hash::of_pair;
use crate::rules::Event;
use crate::{CallError, Connection, FourTuple, Instant, State};

/// Why no connection or listener could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The local address and port are taken: `EADDRINUSE`.
    AddressInUse,
    /// Every port towards this peer is taken: `EADDRNOTAVAIL`.
    NoPortLeft,
    /// What the connection itself answers.
    Call(CallError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse => f.write_str("the local address and port are in use; choose another port"),
            Self::NoPortLeft => f.write_str(
                "no local port is left towards this peer; use another local address or a wider range",
            ),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// A pair that a new connection of ours can have.
#[derive(Clone, Copy)]
struct Vacancy {
    hash: u32,
    /// The connection in TIME_WAIT that gives way to it.
    record: Option<Key>,
}

impl Demux {
    /// Opens a connection from a port of the host's choice.
    ///
    /// # Errors
    /// If no port is left, or the remote socket is unspecified.
    pub fn connect(
        &mut self,
        now: Instant,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, OpenError> {
        let (pair, vacancy) = self.choose_port(now, FourTuple::new(SocketAddr::new(local, 0), remote))?;
        self.connect_pair(now, pair, vacancy)
    }

    fn choose_port(&mut self, now: Instant, pair: FourTuple) -> Result<(FourTuple, Vacancy), OpenError> {
        let mut ports = core::mem::take(&mut self.ports);
        let mut found = None;
        ports.choose(&pair, &self.policy.secret, |port| {
            let pair = FourTuple { local_port: port, ..pair };
            found = self.vacancy(now, &pair).map(|vacancy| (pair, vacancy));
            found.is_some()
        });
        self.ports = ports;
        found.ok_or(OpenError::NoPortLeft)
    }

    /// Opens a connection from a given address and port.
    ///
    /// # Errors
    /// If the pair is taken, or the remote socket is unspecified.
    pub fn connect_from(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, OpenError> {
        let pair = FourTuple::new(local, remote);
        let vacancy = self.vacancy(now, &pair).ok_or(OpenError::AddressInUse)?;
        self.connect_pair(now, pair, vacancy)
    }

    fn connect_pair(
        &mut self,
        now: Instant,
        pair: FourTuple,
        vacancy: Vacancy,
    ) -> Result<ConnectionId, OpenError> {
        let mut connection = Box::new(Connection::new(self.policy.clone()));
        connection.connect(now, pair).map_err(OpenError::Call)?;
        Ok(self.opening(connection, vacancy))
    }

    /// Opens a connection whose text goes with the SYN if the server is known to allow it (RFC 7413); how much of it
    /// was taken is returned. With no local port the host chooses one.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`Self::connect_from`].
    pub fn connect_fast_open(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        text: &[u8],
    ) -> Result<(ConnectionId, usize), OpenError> {
        let mut pair = FourTuple::new(local, remote);
        let vacancy = if local.port() == 0 {
            let chosen = self.choose_port(now, pair)?;
            pair = chosen.0;
            chosen.1
        } else {
            self.vacancy(now, &pair).ok_or(OpenError::AddressInUse)?
        };
        let known = self.cookies.get(remote.ip());
        let mut connection = Box::new(Connection::new(self.policy.clone()));
        let taken = connection.connect_fast_open(now, pair, known, text).map_err(OpenError::Call)?;
        Ok((self.opening(connection, vacancy), taken))
    }

    fn opening(&mut self, mut connection: Box<Connection>, vacancy: Vacancy) -> ConnectionId {
        self.steps = *connection.steps();
        if let Some(record) = vacancy.record.and_then(|key| self.time_wait.remove(key)) {
            self.steps = Steps::of(State::TimeWait, Event::ActiveOpen);
            connection.begin_at(record.next_initial());
        }
        ConnectionId(self.add(connection, vacancy.hash))
    }

    /// The place of a new connection of ours, if the pair is free.
    fn vacancy(&self, now: Instant, pair: &FourTuple) -> Option<Vacancy> {
        let hash = of_pair(&self.policy.secret, pair);
        if self.connections.find_hashed(pair, hash).is_some() {
            return None;
        }
        let record = self.time_wait.find_hashed(pair, hash);
        let free = match record.and_then(|key| self.time_wait.get(key)) {
            Some(record) => self.options.reuse_time_wait && record.may_be_reused(now),
            None => self.listeners.find(pair.local_address, pair.local_port).is_none(),
        };
        free.then_some(Vacancy { hash, record })
    }
}
