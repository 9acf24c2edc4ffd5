//! What programs ask of a host.

use core::net::SocketAddr;

use alloc::sync::Arc;

use super::ports::EphemeralPorts;
use super::{ConnectionId, Demux, HostOptions, ListenerId, OpenError};
use crate::fast_open::CookieCache;
use crate::listener::{Listener, ListenerOptions};
use crate::rules::Failure;
use crate::{CallError, Connection, Instant, Policy};

impl Demux {
    /// Listens on an address and port; an unspecified address stands for all.
    ///
    /// # Errors
    /// [`OpenError::AddressInUse`] if another listener has the same.
    pub fn listen(&mut self, local: SocketAddr, options: ListenerOptions) -> Result<ListenerId, OpenError> {
        let listener = Listener::new(local, self.policy.clone(), options);
        self.listeners.add(listener).ok_or(OpenError::AddressInUse)
    }

    /// Closes a listener. Connections that nobody has accepted are reset.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        let Some(mut listener) = self.listeners.remove(id) else { return };
        self.incoming.retain(|incoming| *incoming != id);
        for key in listener.take_queue() {
            let _ = self.call(ConnectionId(key), |connection| connection.abort(now));
        }
    }

    /// Takes a connection that a listener has opened.
    pub fn accept(&mut self, id: ListenerId) -> Option<ConnectionId> {
        let key = self.listeners.get_mut(id)?.take_accepted()?;
        Some(ConnectionId(key))
    }

    /// The cookies of servers, to be looked at, changed or kept.
    pub const fn cookies_mut(&mut self) -> &mut CookieCache {
        &mut self.cookies
    }

    /// Changes the choices with which connections and listeners begin from now on. The secret stays.
    pub fn set_policy(&mut self, policy: &Policy) {
        if self.policy.as_ref() != policy {
            self.policy = Arc::new(Policy { secret: self.policy.secret, ..policy.clone() });
        }
    }

    /// Changes the choices of the host, for what begins from now on.
    pub fn set_options(&mut self, options: HostOptions) {
        if self.options.ports != options.ports {
            self.ports = EphemeralPorts::new(options.ports);
        }
        self.options = options;
    }

    /// Changes the choices of a listener, and those of the connections that it opens from now on.
    pub fn change_listener(
        &mut self,
        id: ListenerId,
        policy: &Policy,
        change: impl FnOnce(&mut ListenerOptions),
    ) {
        let secret = self.policy.secret;
        if let Some(listener) = self.listeners.get_mut(id) {
            change(listener.options_mut());
            listener.set_policy(Arc::new(Policy { secret, ..policy.clone() }));
        }
    }

    /// SEND; see [`Connection::send`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn send(&mut self, now: Instant, id: ConnectionId, text: &[u8]) -> Result<usize, CallError> {
        self.call(id, |connection| connection.send(now, text))
    }

    /// RECEIVE; see [`Connection::recv`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn recv(&mut self, now: Instant, id: ConnectionId, out: &mut [u8]) -> Result<usize, CallError> {
        self.call(id, |connection| connection.recv(now, out))
    }

    /// The half-close; see [`Connection::shutdown`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn shutdown(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.shutdown(now))
    }

    /// CLOSE; see [`Connection::close`]. The identifier means nothing any more afterwards.
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn close(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.close(now))
    }

    /// ABORT; see [`Connection::abort`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.abort(now))
    }

    /// Lets `call` do something with a connection, and takes care of what follows from it: segments
    /// to send, timers, the end.
    ///
    /// # Errors
    /// What `call` returns; if there is no such connection, that.
    pub fn call<R>(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Connection) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let Some(entry) = self.connections.get_mut(id.0) else {
            return Err(CallError::Failed(Failure::ConnectionDoesNotExist));
        };
        let result = call(&mut entry.connection);
        self.steps = *entry.connection.steps();
        self.after(id.0);
        result
    }
}
