//! `listen`, `accept` and `connect`.

use core::net::{IpAddr, SocketAddr};

use super::{Descriptor, Errno, Kind, Socket, Sockets, number_of};
use crate::listener::{ListenerOptions, SynCookies};
use crate::{FourTuple, Policy, State};

impl Sockets {
    /// `listen()`.
    ///
    /// # Errors
    /// If the descriptor is none, connected, or the address is taken.
    pub fn listen(&mut self, descriptor: Descriptor, backlog: i32) -> Result<(), Errno> {
        let socket = self.table.get(&descriptor).ok_or(Errno::BadDescriptor)?;
        // Linux's queue holds one more than it is told.
        let backlog = u32::try_from(backlog).unwrap_or(self.settings.backlog).min(self.settings.backlog) + 1;
        if let Kind::Listening(id) = socket.kind {
            let policy = of_listener(socket);
            let syn_backlog = self.syn_backlog(backlog);
            self.demux.change_listener(id, &policy, |options| {
                (options.backlog, options.syn_backlog) = (backlog, syn_backlog);
            });
            return Ok(());
        }
        if socket.kind != Kind::New {
            return Err(Errno::Invalid);
        }
        let local = socket.bound.unwrap_or_else(|| self.any(socket.v6));
        let options = ListenerOptions {
            backlog,
            syn_backlog: self.syn_backlog(backlog),
            abort_on_overflow: self.settings.abort_on_overflow,
            cookies: match self.settings.syn_cookies {
                0 => SynCookies::Off,
                1 => SynCookies::OnOverflow,
                _ => SynCookies::Always,
            },
            defer_accept: socket.choices.defer_accept,
            // TFO_SERVER_WO_SOCKOPT1: every listener does it.
            fast_open: socket.choices.fast_open.or((self.settings.fast_open & 0x400 != 0).then_some(backlog)),
        };
        self.demux.set_policy(&of_listener(socket));
        let id = self.demux.listen(local, options)?;
        self.socket_mut(descriptor)?.kind = Kind::Listening(id);
        Ok(())
    }

    /// How many connections may be half open: as many as may wait to be accepted; without cookies the last quarter of
    /// `tcp_max_syn_backlog` is kept for peers that are known to be alive (`tcp_conn_request`), which nobody is here.
    fn syn_backlog(&self, backlog: u32) -> u32 {
        match self.settings.syn_cookies {
            0 => backlog.min(self.settings.syn_backlog - (self.settings.syn_backlog >> 2) + 1),
            _ => backlog,
        }
    }

    fn any(&self, v6: bool) -> SocketAddr {
        let address: IpAddr = if v6 { self.local.1.into() } else { self.local.0.into() };
        SocketAddr::new(address, 0)
    }

    /// `accept()`: the new descriptor, and the peer.
    ///
    /// # Errors
    /// [`Errno::WouldBlock`] if nobody waits; otherwise if the descriptor is no listener.
    pub fn accept(&mut self, descriptor: Descriptor) -> Result<(Descriptor, SocketAddr), Errno> {
        let socket = self.socket_of(descriptor)?;
        let Kind::Listening(listener) = socket.kind else { return Err(Errno::Invalid) };
        let (v6, choices, numbers) = (socket.v6, socket.choices.clone(), socket.policy.keepalive);
        let id = self.demux.accept(listener).ok_or(Errno::WouldBlock)?;
        let pair = self.demux.connection(id).map_or(FourTuple::UNSPECIFIED, crate::Connection::pair);
        let mut accepted = self.fresh(v6);
        accepted.kind = Kind::Connection(id);
        accepted.connected = true;
        accepted.choices = choices;
        // What happened before anybody could hear of it.
        accepted.error = self.demux.connection(id).and_then(crate::Connection::failure).map(Errno::from);
        let new = self.new_descriptor();
        let corked = accepted.choices.cork;
        let keepalive = accepted.choices.keepalive;
        self.table.insert(new, accepted);
        self.owners.insert(number_of(id), new);
        let now = self.now;
        let _ = self.demux.call(id, |connection| {
            connection.set_cork(corked);
            connection.policy_mut().keepalive = numbers;
            // The policy may have the numbers (the sysctls): it is the socket's option that turns it on.
            if keepalive || connection.policy().keepalive.is_some() {
                connection.set_keepalive(now, keepalive);
            }
            Ok(())
        });
        self.work();
        Ok((new, pair.remote()))
    }

    /// `connect()`: begins it.
    ///
    /// # Errors
    /// [`Errno::InProgress`] if it has begun now, [`Errno::AlreadyInProgress`] if it had before; otherwise why not.
    pub fn connect(&mut self, descriptor: Descriptor, remote: SocketAddr) -> Result<(), Errno> {
        let remote = canonical(remote);
        let socket = self.socket_of(descriptor)?;
        match socket.kind {
            Kind::New => {}
            Kind::Deferred(_) | Kind::Listening(_) => return Err(Errno::IsConnected),
            Kind::Connection(_) => {
                return self.connect_result(descriptor).unwrap_or(Err(Errno::AlreadyInProgress));
            }
        }
        if socket.choices.fast_open_connect && self.settings.fast_open & 1 != 0 {
            let known = self.demux.cookies_mut().get(remote.ip());
            let socket = self.socket_mut(descriptor)?;
            let cookie = matches!(known, Some(crate::fast_open::Remembered::Cookie { .. }));
            if cookie || socket.policy.fast_open.client_without_cookie {
                socket.kind = Kind::Deferred(remote);
                return Ok(());
            }
            self.open(descriptor, remote, Some(&[]))?;
            return Err(Errno::InProgress);
        }
        self.open(descriptor, remote, None)?;
        Err(Errno::InProgress)
    }

    /// What has become of a `connect()`; `None`: nothing yet. An error is told once.
    pub fn connect_result(&mut self, descriptor: Descriptor) -> Option<Result<(), Errno>> {
        let socket = self.table.get_mut(&descriptor)?;
        if let Some(error) = socket.error.take() {
            return Some(Err(error));
        }
        let Kind::Connection(id) = socket.kind else { return Some(Err(Errno::NotConnected)) };
        match self.demux.connection(id).map(crate::Connection::state) {
            Some(State::SynSent | State::SynReceived) => None,
            Some(State::Closed) | None => Some(Err(Errno::ConnectionRefused)),
            Some(_) if socket.connected => Some(Err(Errno::IsConnected)),
            Some(_) => {
                socket.connected = true;
                Some(Ok(()))
            }
        }
    }

    /// Opens the connection; with text by Fast Open. How much of it was taken is returned.
    fn open(
        &mut self,
        descriptor: Descriptor,
        remote: SocketAddr,
        text: Option<&[u8]>,
    ) -> Result<usize, Errno> {
        let socket = self.table.get(&descriptor).ok_or(Errno::BadDescriptor)?;
        let mut policy = unlimited(&socket.policy);
        policy.fast_open.client = self.settings.fast_open & 1 != 0;
        policy.fast_open.client_without_cookie =
            self.settings.fast_open & 4 != 0 || socket.choices.fast_open_no_cookie;
        let (cork, keepalive) = (socket.choices.cork, socket.choices.keepalive);
        let local = socket.bound.unwrap_or_else(|| self.any(remote.is_ipv6()));
        self.demux.set_policy(&policy);
        let now = self.now;
        let (id, taken) = match text {
            Some(text) => self.demux.connect_fast_open(now, local, remote, text)?,
            None if local.port() == 0 => (self.demux.connect(now, local.ip(), remote)?, 0),
            None => (self.demux.connect_from(now, local, remote)?, 0),
        };
        let _ = self.demux.call(id, |connection| {
            connection.set_cork(cork);
            // The policy may have the numbers (the sysctls): it is the socket's option that turns it on.
            if keepalive || connection.policy().keepalive.is_some() {
                connection.set_keepalive(now, keepalive);
            }
            Ok(())
        });
        self.socket_mut(descriptor)?.kind = Kind::Connection(id);
        self.owners.insert(number_of(id), descriptor);
        self.work();
        Ok(taken)
    }

    pub(super) fn open_with_text(
        &mut self,
        descriptor: Descriptor,
        to: SocketAddr,
        text: &[u8],
        zero_copy: bool,
    ) -> Result<usize, Errno> {
        let taken = self.open(descriptor, to, Some(text))?;
        if taken > 0
            && zero_copy
            && let Kind::Connection(id) = self.socket_of(descriptor)?.kind
        {
            self.note_zero_copy(descriptor, id);
        }
        if taken == 0 { Err(Errno::InProgress) } else { Ok(taken) }
    }
}

/// The send buffer of a socket is looked after here ([`Sockets::send`]).
pub(super) fn unlimited(policy: &Policy) -> Policy {
    Policy { send_buffer: u32::MAX, ..policy.clone() }
}

/// The policy of the connections that a listener opens: nobody has set an option of them before they are accepted.
pub(super) fn of_listener(socket: &Socket) -> Policy {
    let keepalive = socket.policy.keepalive.filter(|_| socket.choices.keepalive);
    Policy { keepalive, ..unlimited(&socket.policy) }
}

/// An IPv4 address in the clothes of IPv6 is one of IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
