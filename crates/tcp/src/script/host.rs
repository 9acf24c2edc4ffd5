//! What a script can be played on.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::Instant;
use crate::fast_open::CookieCache;
use crate::sockets::{
    Call, Departure, Descriptor, EpollChange, Errno, Outcome, Settings, Shutdown, Sockets, TcpInfo,
};

/// A host on which the calls of a script are made and to which its segments go: the endpoint in virtual time, or
/// somebody's kernel in real time.
///
/// Calls are those of Linux, and none waits: [`attempt`](Self::attempt) says of one that would that it has to.
#[allow(missing_docs, reason = "the calls are those of the C library; errors are what errno tells")]
#[allow(clippy::missing_errors_doc, reason = "errors are what errno tells")]
pub trait ScriptHost: Sized {
    /// The time, [`START`](super::START) at first.
    fn now(&self) -> Instant;
    /// Time passes until `to`. It stops early, and says so by `false`, when `stop` finds something.
    fn advance(&mut self, to: Instant, stop: impl FnMut(&mut Self) -> bool) -> bool;
    /// When something may happen by itself.
    fn next_timer(&self) -> Option<Instant>;
    /// How long after its time a segment is still waited for.
    fn longest_wait(&self) -> Duration;
    /// No less than this is asked of anything's time.
    fn least_tolerance(&self) -> Duration;
    /// A packet arrives.
    fn receive_packet(&mut self, packet: &[u8]);
    /// The next packet that leaves.
    fn take_packet(&mut self) -> Option<Departure>;

    /// Tries a call; `None` if it has to wait.
    fn attempt(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>>;
    fn socket(&mut self) -> Result<Descriptor, Errno>;
    fn bind(&mut self, descriptor: Descriptor, local: SocketAddr) -> Result<(), Errno>;
    fn listen(&mut self, descriptor: Descriptor, backlog: i32) -> Result<(), Errno>;
    fn shutdown(&mut self, descriptor: Descriptor, how: Shutdown) -> Result<(), Errno>;
    fn close(&mut self, descriptor: Descriptor) -> Result<(), Errno>;
    fn set_option(
        &mut self,
        descriptor: Descriptor,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno>;
    fn option(&mut self, descriptor: Descriptor, level: i32, name: i32) -> Result<Vec<u8>, Errno>;
    fn is_blocking(&self, descriptor: Descriptor) -> bool;
    fn set_nonblocking(&mut self, descriptor: Descriptor, on: bool) -> Result<(), Errno>;
    /// `SIOCINQ`.
    fn unread(&self, descriptor: Descriptor) -> Result<u32, Errno>;
    /// `SIOCOUTQ`.
    fn unacknowledged(&self, descriptor: Descriptor) -> Result<u32, Errno>;
    fn tcp_info(&self, descriptor: Descriptor) -> Result<TcpInfo, Errno>;
    fn epoll_create(&mut self) -> Result<Descriptor, Errno>;
    fn epoll_change(
        &mut self,
        set: Descriptor,
        change: EpollChange,
        descriptor: Descriptor,
        events: u32,
        data: u64,
    ) -> Result<(), Errno>;
    /// What zero-copy sends have come to: the numbers of the first and the last.
    fn take_zero_copied(&mut self, descriptor: Descriptor) -> Result<(u32, u32), Errno>;
    /// Whether a connection has been begun or accepted with it.
    fn has_connection(&self, descriptor: Descriptor) -> bool;

    /// Sets a sysctl, without the `net.ipv4.` before it; what is wrong is said in words.
    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), String>;
    /// The sysctls go back to what they were at first.
    fn restore_sysctls(&mut self);
    /// The host forgets its Fast Open cookies.
    fn forget_cookies(&mut self);
    /// The device cuts no segments any more.
    fn stop_offload(&mut self);
}

/// The endpoint.
pub(super) struct Endpoint {
    pub(super) sockets: Sockets,
    pub(super) settings: Settings,
}

/// After this nothing is waited for.
const LONGEST: Duration = Duration::from_secs(3_600);

impl ScriptHost for Endpoint {
    fn now(&self) -> Instant {
        self.sockets.now()
    }

    fn advance(&mut self, to: Instant, mut stop: impl FnMut(&mut Self) -> bool) -> bool {
        while let Some(timer) = self.next_timer().filter(|timer| *timer <= to) {
            self.sockets.advance(timer, |_| false);
            if stop(self) {
                return false;
            }
        }
        self.sockets.advance(to, |_| false)
    }

    fn next_timer(&self) -> Option<Instant> {
        self.sockets.next_timer()
    }

    fn longest_wait(&self) -> Duration {
        LONGEST
    }

    fn least_tolerance(&self) -> Duration {
        Duration::ZERO
    }

    fn receive_packet(&mut self, packet: &[u8]) {
        self.sockets.receive_packet(packet);
    }

    fn take_packet(&mut self) -> Option<Departure> {
        self.sockets.take_packet()
    }

    fn attempt(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>> {
        self.sockets.attempt(call)
    }

    fn socket(&mut self) -> Result<Descriptor, Errno> {
        Ok(self.sockets.socket(false))
    }

    fn bind(&mut self, descriptor: Descriptor, local: SocketAddr) -> Result<(), Errno> {
        self.sockets.bind(descriptor, local)
    }

    fn listen(&mut self, descriptor: Descriptor, backlog: i32) -> Result<(), Errno> {
        self.sockets.listen(descriptor, backlog)
    }

    fn shutdown(&mut self, descriptor: Descriptor, how: Shutdown) -> Result<(), Errno> {
        self.sockets.shutdown(descriptor, how)
    }

    fn close(&mut self, descriptor: Descriptor) -> Result<(), Errno> {
        self.sockets.close(descriptor)
    }

    fn set_option(
        &mut self,
        descriptor: Descriptor,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        self.sockets.set_option(descriptor, level, name, value)
    }

    fn option(&mut self, descriptor: Descriptor, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        self.sockets.option(descriptor, level, name)
    }

    fn is_blocking(&self, descriptor: Descriptor) -> bool {
        self.sockets.is_blocking(descriptor)
    }

    fn set_nonblocking(&mut self, descriptor: Descriptor, on: bool) -> Result<(), Errno> {
        self.sockets.set_nonblocking(descriptor, on)
    }

    fn unread(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.sockets.unread(descriptor)
    }

    fn unacknowledged(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.sockets.unacknowledged(descriptor)
    }

    fn tcp_info(&self, descriptor: Descriptor) -> Result<TcpInfo, Errno> {
        self.sockets.tcp_info(descriptor)
    }

    fn epoll_create(&mut self) -> Result<Descriptor, Errno> {
        Ok(self.sockets.epoll_create())
    }

    fn epoll_change(
        &mut self,
        set: Descriptor,
        change: EpollChange,
        descriptor: Descriptor,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        self.sockets.epoll_change(set, change, descriptor, events, data)
    }

    fn take_zero_copied(&mut self, descriptor: Descriptor) -> Result<(u32, u32), Errno> {
        self.sockets.take_zero_copied(descriptor)
    }

    fn has_connection(&self, descriptor: Descriptor) -> bool {
        self.sockets.connection_of(descriptor).is_some()
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.sockets.settings_mut().set(name, value).map_err(|error| error.to_string())
    }

    fn restore_sysctls(&mut self) {
        *self.sockets.settings_mut() = self.settings.clone();
    }

    fn forget_cookies(&mut self) {
        *self.sockets.demux_mut().cookies_mut() = CookieCache::default();
    }

    fn stop_offload(&mut self) {
        self.sockets.set_offload(false);
    }
}
