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
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use crate::demux::{ConnectionId, Demux, ListenerId};
use crate::{FourTuple, Instant, Policy};

mod binding;
mod call;
pub mod constants;
mod errno;
mod events;
mod info;
mod opening;
mod options;
mod packets;
mod rows;
mod settings;
mod text;
mod zero_copy;

pub use call::{Call, Outcome};
pub use errno::Errno;
pub use events::{EpollChange, PollEntry};
pub use info::{NAMES as INFO_NAMES, TcpInfo};
pub use rows::SocketRow;
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
    /// Connections without a program whose port nobody else may have.
    unshared: BTreeSet<FourTuple>,
    /// So many of them, and those that are over are forgotten.
    unshared_most: usize,
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
            demux: Demux::with_options(alloc::sync::Arc::new(settings.policy.clone()), settings.host.clone()),
            settings,
            now: Instant::ZERO,
            table: BTreeMap::new(),
            owners: BTreeMap::new(),
            unshared: BTreeSet::new(),
            unshared_most: 0,
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

    /// `socket()` for TCP, of IPv6 or IPv4.
    pub fn socket(&mut self, v6: bool) -> Descriptor {
        let socket = self.fresh(v6);
        let descriptor = self.new_descriptor();
        self.table.insert(descriptor, socket);
        descriptor
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
                self.remember_unshared(&socket);
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
}

#[cfg(test)]
mod tests;
