//! Sockets as programs on Linux know them, on top of [`Demux`] in virtual time.
//!
//! What a script or a foreign test driver calls are `socket`, `accept`, `setsockopt` and their like, with numbers for
//! descriptors, options and errors. [`Sockets`] answers them: it does no I/O either, and its clock is the caller's.
//! Packets go in by [`Sockets::receive_packet`] and come out of [`Sockets::take_packet`].
//!
//! A call that would block is not carried out but says so; [`Call`] is one that can be tried again.
//!
//! ```
//! use eleven_tcp::sockets::{Call, Outcome, Settings, Sockets};
//!
//! let mut sockets = Sockets::new(Settings::default());
//! let listener = sockets.socket(false);
//! sockets.bind(listener, "192.168.0.1:8080".parse().unwrap()).unwrap();
//! sockets.listen(listener, 1).unwrap();
//! // Nobody has come yet.
//! let mut accept = Call::Accept { descriptor: listener };
//! assert_eq!(sockets.attempt(&mut accept), None);
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use crate::demux::{ConnectionId, Demux, DemuxEvent, ListenerId};
use crate::ip::{self, IcmpKind, Received, Unreachable};
use crate::listener::{ListenerOptions, SynCookies};
use crate::rules::Failure;
use crate::{ConnectionEvent, FourTuple, IcmpError, Instant, Policy, Segment, State};

mod call;
pub mod constants;
mod errno;
mod events;
mod info;
mod options;
mod settings;

pub use call::{Call, Outcome};
pub use errno::Errno;
pub use events::{EpollChange, PollEntry};
pub use info::{NAMES as INFO_NAMES, TcpInfo};
pub use settings::{NAMES as SETTING_NAMES, SettingError, Settings};

use events::Epoll;

/// What stands for a socket in calls.
pub type Descriptor = i32;

/// Which directions [`Sockets::shutdown`] closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// A packet on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When it left.
    pub at: Instant,
    /// It, from the IP header on.
    pub packet: Vec<u8>,
}

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing has become of it.
    New,
    /// `connect()` waits for the first text (`TCP_FASTOPEN_CONNECT`).
    Deferred(SocketAddr),
    Listening(ListenerId),
    Connection(ConnectionId),
}

struct Socket {
    kind: Kind,
    v6: bool,
    bound: Option<SocketAddr>,
    policy: Policy,
    /// `O_NONBLOCK`.
    nonblocking: bool,
    /// `connect()` or the handshake has succeeded, and the program knows.
    connected: bool,
    /// The handshake has succeeded.
    opened: bool,
    /// What the next call returns.
    error: Option<Errno>,
    shut_read: bool,
    shut_write: bool,
    choices: Choices,
    /// It has found no room since it was told of some.
    wants_room: bool,
    /// What is wanting until a zero-copy send is done: the number behind its text, and its own.
    zero_copies: VecDeque<(u32, u32)>,
    zero_copy_next: u32,
    /// Finished ones, for `MSG_ERRQUEUE`: first and last number.
    zero_copied: Option<(u32, u32)>,
}

/// Options that the endpoint does not have in its policy.
#[derive(Clone, Debug, Default)]
struct Choices {
    unsent_low: u32,
    receive_buffer: Option<u32>,
    linger: Option<Duration>,
    cork: bool,
    keepalive: bool,
    fast_open: Option<u32>,
    fast_open_connect: bool,
    fast_open_no_cookie: bool,
    tell_unread: bool,
    zero_copy: bool,
    defer_accept: Option<Duration>,
    plain: BTreeMap<(i32, i32), Vec<u8>>,
}

/// A host with sockets. See the [module](self).
pub struct Sockets {
    demux: Demux,
    settings: Settings,
    now: Instant,
    table: BTreeMap<Descriptor, Socket>,
    owners: BTreeMap<u64, Descriptor>,
    polls: BTreeMap<Descriptor, Epoll>,
    departures: VecDeque<Departure>,
    make_descriptor: Option<Box<dyn FnMut() -> Descriptor + Send>>,
    next_descriptor: Descriptor,
    local: (Ipv4Addr, Ipv6Addr),
    mtu: u16,
    offload: bool,
}

/// Connections are found by a plain number.
fn number_of(id: ConnectionId) -> u64 {
    id.as_number()
}

impl Sockets {
    /// A host with these sysctls.
    pub fn new(settings: Settings) -> Self {
        Self {
            demux: Demux::new(alloc::sync::Arc::new(settings.policy.clone())),
            settings,
            now: Instant::ZERO,
            table: BTreeMap::new(),
            owners: BTreeMap::new(),
            polls: BTreeMap::new(),
            departures: VecDeque::new(),
            make_descriptor: None,
            next_descriptor: 3,
            local: (Ipv4Addr::new(192, 168, 0, 1), Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1)),
            mtu: 1500,
            offload: true,
        }
    }

    /// Takes descriptors from `make` instead of counting.
    pub fn set_descriptors(&mut self, make: Box<dyn FnMut() -> Descriptor + Send>) {
        self.make_descriptor = Some(make);
    }

    /// The host's own addresses, and the MTU of its device.
    pub const fn set_device(&mut self, v4: Ipv4Addr, v6: Ipv6Addr, mtu: u16) {
        self.local = (v4, v6);
        self.mtu = mtu;
    }

    /// Whether the device cuts segments itself.
    pub const fn set_offload(&mut self, offload: bool) {
        self.offload = offload;
    }

    /// The sysctls; changes count for sockets made later.
    pub const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The endpoint under the sockets.
    pub const fn demux(&self) -> &Demux {
        &self.demux
    }

    /// The same, to be changed.
    pub const fn demux_mut(&mut self) -> &mut Demux {
        &mut self.demux
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Whether the descriptor stands for a socket here, or for an epoll set.
    pub fn knows(&self, descriptor: Descriptor) -> bool {
        self.table.contains_key(&descriptor) || self.polls.contains_key(&descriptor)
    }

    fn new_descriptor(&mut self) -> Descriptor {
        if let Some(make) = &mut self.make_descriptor {
            return make();
        }
        self.next_descriptor += 1;
        self.next_descriptor - 1
    }

    fn socket_of(&self, descriptor: Descriptor) -> Result<&Socket, Errno> {
        self.table.get(&descriptor).ok_or(Errno::BadDescriptor)
    }

    fn socket_mut(&mut self, descriptor: Descriptor) -> Result<&mut Socket, Errno> {
        self.table.get_mut(&descriptor).ok_or(Errno::BadDescriptor)
    }

    fn connection(&self, socket: &Socket) -> Option<&crate::Connection> {
        match socket.kind {
            Kind::Connection(id) => self.demux.connection(id),
            _ => None,
        }
    }

    /// The connection behind a descriptor.
    pub fn connection_of(&self, descriptor: Descriptor) -> Option<&crate::Connection> {
        self.connection(self.table.get(&descriptor)?)
    }

    fn fresh(&self, v6: bool) -> Socket {
        let mut policy = self.settings.policy.clone();
        policy.mtu = self.mtu;
        let bits = self.settings.fast_open;
        policy.fast_open.client = bits & 1 != 0;
        policy.fast_open.server = bits & 2 != 0;
        policy.fast_open.client_without_cookie = bits & 4 != 0;
        policy.fast_open.server_without_cookie = bits & 0x200 != 0;
        Socket {
            kind: Kind::New,
            v6,
            bound: None,
            policy,
            nonblocking: false,
            connected: false,
            opened: false,
            error: None,
            shut_read: false,
            shut_write: false,
            choices: Choices::default(),
            wants_room: false,
            zero_copies: VecDeque::new(),
            zero_copy_next: 0,
            zero_copied: None,
        }
    }

    // Calls.

    /// `socket()` for TCP, of IPv6 or IPv4.
    pub fn socket(&mut self, v6: bool) -> Descriptor {
        let socket = self.fresh(v6);
        let descriptor = self.new_descriptor();
        self.table.insert(descriptor, socket);
        descriptor
    }

    /// `bind()`.
    ///
    /// # Errors
    /// If the descriptor is none or bound already.
    pub fn bind(&mut self, descriptor: Descriptor, local: SocketAddr) -> Result<(), Errno> {
        let socket = self.socket_mut(descriptor)?;
        if socket.bound.is_some() || socket.kind != Kind::New {
            return Err(Errno::Invalid);
        }
        socket.bound = Some(canonical(local));
        Ok(())
    }

    /// `listen()`.
    ///
    /// # Errors
    /// If the descriptor is none, connected, or the address is taken.
    pub fn listen(&mut self, descriptor: Descriptor, backlog: i32) -> Result<(), Errno> {
        let socket = self.table.get(&descriptor).ok_or(Errno::BadDescriptor)?;
        // Linux's queue holds one more than it is told.
        let backlog = u32::try_from(backlog).unwrap_or(self.settings.backlog).min(self.settings.backlog) + 1;
        if let Kind::Listening(id) = socket.kind {
            let policy = unlimited(&socket.policy);
            self.demux.change_listener(id, &policy, |options| options.backlog = backlog);
            return Ok(());
        }
        if socket.kind != Kind::New {
            return Err(Errno::Invalid);
        }
        let local = socket.bound.unwrap_or_else(|| self.any(socket.v6));
        let options = ListenerOptions {
            backlog,
            cookies: match self.settings.syn_cookies {
                0 => SynCookies::Off,
                1 => SynCookies::OnOverflow,
                _ => SynCookies::Always,
            },
            defer_accept: socket.choices.defer_accept,
            // TFO_SERVER_WO_SOCKOPT1: every listener does it.
            fast_open: socket.choices.fast_open.or((self.settings.fast_open & 0x400 != 0).then_some(backlog)),
            ..ListenerOptions::default()
        };
        self.demux.set_policy(&unlimited(&socket.policy));
        let id = self.demux.listen(local, options)?;
        self.socket_mut(descriptor)?.kind = Kind::Listening(id);
        Ok(())
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
        let (v6, choices) = (socket.v6, socket.choices.clone());
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
            if keepalive {
                connection.set_keepalive(now, true);
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
            if keepalive {
                connection.set_keepalive(now, true);
            }
            Ok(())
        });
        self.socket_mut(descriptor)?.kind = Kind::Connection(id);
        self.owners.insert(number_of(id), descriptor);
        self.work();
        Ok(taken)
    }

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
            let result = self.demux.call(id, |connection| match (follows, record) {
                (true, _) => connection.send_more(now, piece),
                (false, true) => connection.send_record(now, piece),
                (false, false) => connection.send(now, piece),
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

    fn note_zero_copy(&mut self, descriptor: Descriptor, id: ConnectionId) {
        let Some(end) = self.demux.connection(id).map(crate::Connection::text_end) else { return };
        if let Some(socket) = self.table.get_mut(&descriptor).filter(|socket| socket.choices.zero_copy) {
            socket.zero_copies.push_back((end.0, socket.zero_copy_next));
            socket.zero_copy_next = socket.zero_copy_next.wrapping_add(1);
        }
    }

    fn open_with_text(
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

    fn take_error(&mut self, descriptor: Descriptor) -> Option<Errno> {
        self.table.get_mut(&descriptor)?.error.take()
    }

    fn unsent_low(&self, socket: &Socket) -> u32 {
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
            self.work();
            return Ok(out);
        }
        if connection.peer_has_closed() {
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

    /// `close()`.
    ///
    /// # Errors
    /// If the descriptor is none.
    pub fn close(&mut self, descriptor: Descriptor) -> Result<(), Errno> {
        for set in self.polls.values_mut() {
            set.forget(descriptor);
        }
        if self.polls.remove(&descriptor).is_some() {
            return Ok(());
        }
        let socket = self.table.remove(&descriptor).ok_or(Errno::BadDescriptor)?;
        let now = self.now;
        match socket.kind {
            Kind::New | Kind::Deferred(_) => {}
            Kind::Listening(id) => self.demux.close_listener(now, id),
            Kind::Connection(id) => {
                self.owners.remove(&number_of(id));
                let _ = if socket.choices.linger == Some(Duration::ZERO) {
                    self.demux.abort(now, id)
                } else {
                    self.demux.close(now, id)
                };
            }
        }
        self.work();
        Ok(())
    }

    /// `shutdown()`.
    ///
    /// # Errors
    /// If the descriptor is none, or not connected.
    pub fn shutdown(&mut self, descriptor: Descriptor, how: Shutdown) -> Result<(), Errno> {
        let socket = self.socket_mut(descriptor)?;
        let id = match socket.kind {
            Kind::New | Kind::Deferred(_) => return Err(Errno::NotConnected),
            Kind::Listening(id) => {
                if how != Shutdown::Write {
                    socket.kind = Kind::New;
                    let now = self.now;
                    self.demux.close_listener(now, id);
                    self.work();
                }
                return Ok(());
            }
            Kind::Connection(id) => id,
        };
        socket.shut_read |= how != Shutdown::Write;
        socket.shut_write |= how != Shutdown::Read;
        if how != Shutdown::Read {
            let now = self.now;
            let result = self.demux.shutdown(now, id);
            self.work();
            if result.is_err() {
                return Err(Errno::NotConnected);
            }
        }
        Ok(())
    }

    /// `O_NONBLOCK` on or off.
    ///
    /// # Errors
    /// If the descriptor is none.
    pub fn set_nonblocking(&mut self, descriptor: Descriptor, on: bool) -> Result<(), Errno> {
        self.socket_mut(descriptor)?.nonblocking = on;
        Ok(())
    }

    /// Whether calls may wait.
    pub fn is_blocking(&self, descriptor: Descriptor) -> bool {
        self.table.get(&descriptor).is_some_and(|socket| !socket.nonblocking)
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

    /// The numbers of zero-copy sends that are done, for `MSG_ERRQUEUE`: first and last.
    ///
    /// # Errors
    /// [`Errno::WouldBlock`] if there are none; or if the descriptor is none.
    pub fn take_zero_copied(&mut self, descriptor: Descriptor) -> Result<(u32, u32), Errno> {
        self.socket_mut(descriptor)?.zero_copied.take().ok_or(Errno::WouldBlock)
    }

    // Packets and time.

    /// A packet has arrived; what is none for TCP is passed over.
    pub fn receive_packet(&mut self, packet: &[u8]) {
        let now = self.now;
        match Received::parse(packet) {
            Ok(Received::Tcp(packet)) => {
                if let Ok(segment) = Segment::parse(packet.tcp) {
                    let envelope = crate::Envelope {
                        source: packet.source,
                        destination: packet.destination,
                        ecn: packet.ecn,
                    };
                    self.demux.handle_segment(now, &envelope, &segment);
                }
            }
            Ok(Received::Icmp(message)) => {
                let seq = message.quoted.seq;
                let error = match message.kind {
                    IcmpKind::PacketTooBig { mtu } => {
                        IcmpError::PacketTooBig { seq, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) }
                    }
                    // Linux takes these for hard ones (`icmp_err_convert`).
                    IcmpKind::Unreachable(Unreachable::Protocol | Unreachable::Port) => {
                        IcmpError::Unreachable { seq }
                    }
                    IcmpKind::Unreachable(_) | IcmpKind::TimeExceeded { .. } => IcmpError::Transient { seq },
                };
                let pair = message.quoted.pair();
                self.demux.handle_icmp(now, &pair, error);
                let refused = matches!(message.kind, IcmpKind::Unreachable(Unreachable::Port));
                self.work();
                if refused {
                    self.refuse(&pair);
                }
            }
            Err(_) => {}
        }
        self.work();
    }

    /// A port that is not reachable is one where nobody listens.
    fn refuse(&mut self, pair: &FourTuple) {
        for socket in self.table.values_mut() {
            if let Kind::Connection(id) = socket.kind
                && self.demux.connection(id).is_some_and(|connection| connection.pair() == *pair)
                && socket.error == Some(Errno::HostUnreachable)
            {
                socket.error = Some(Errno::ConnectionRefused);
            }
        }
    }

    /// The next packet that leaves.
    pub fn take_packet(&mut self) -> Option<Departure> {
        self.departures.pop_front()
    }

    /// When something happens by itself.
    pub fn next_timer(&self) -> Option<Instant> {
        self.demux.poll_timeout()
    }

    /// Time passes: everything up to `to` happens. It stops early, and says so by `false`, when `stop` finds something.
    pub fn advance(&mut self, to: Instant, mut stop: impl FnMut(&mut Self) -> bool) -> bool {
        while let Some(timer) = self.next_timer().filter(|timer| *timer <= to) {
            self.now = self.now.max(timer);
            let now = self.now;
            self.demux.handle_timeout(now);
            self.work();
            if stop(self) {
                return false;
            }
        }
        self.now = self.now.max(to);
        true
    }

    /// Everything that follows from what happened: packets leave, programs are told.
    fn work(&mut self) {
        let now = self.now;
        while let Some(out) = self.demux.poll_transmit(now) {
            // A device that does not cut segments gets them cut.
            let size = if self.offload { usize::MAX } else { usize::from(out.segment_size) };
            let (source, destination) = (out.envelope.source, out.envelope.destination);
            for segment in out.segment.cut(size) {
                let mut packet = Vec::new();
                if ip::emit_segment(&segment, source, destination, out.envelope.ecn, 64, &mut packet).is_ok()
                {
                    self.departures.push_back(Departure { at: now, packet });
                }
            }
        }
        while let Some(event) = self.demux.poll_event() {
            self.take_event(event);
        }
        let roomy: Vec<Descriptor> = self
            .table
            .iter()
            .filter(|(it, socket)| {
                socket.wants_room && self.readiness(**it) & constants::readiness::POLLOUT != 0
            })
            .map(|(it, _)| *it)
            .collect();
        for descriptor in roomy {
            if let Some(socket) = self.table.get_mut(&descriptor) {
                socket.wants_room = false;
            }
            self.wake(descriptor);
        }
        self.finish_zero_copies();
    }

    fn take_event(&mut self, event: DemuxEvent) {
        match event {
            DemuxEvent::Incoming(listener) => {
                let found = self
                    .table
                    .iter()
                    .find(|(_, socket)| socket.kind == Kind::Listening(listener))
                    .map(|(it, _)| *it);
                if let Some(descriptor) = found {
                    self.wake(descriptor);
                }
            }
            DemuxEvent::Connection(id, event) => {
                let Some(&descriptor) = self.owners.get(&number_of(id)) else { return };
                if let Some(socket) = self.table.get_mut(&descriptor) {
                    match event {
                        ConnectionEvent::Failed(failure) => socket.error = Some(failure_of(failure)),
                        ConnectionEvent::Opened => socket.opened = true,
                        _ => {}
                    }
                }
                self.wake(descriptor);
            }
        }
    }

    fn finish_zero_copies(&mut self) {
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

/// The send buffer of a socket is looked after here ([`Sockets::send`]).
fn unlimited(policy: &Policy) -> Policy {
    Policy { send_buffer: u32::MAX, ..policy.clone() }
}

fn failure_of(failure: Failure) -> Errno {
    failure.into()
}

/// An IPv4 address in the clothes of IPv6 is one of IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
