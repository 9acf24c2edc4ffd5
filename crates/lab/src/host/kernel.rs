//! The kernel of a private network namespace, behind a device that leads to us.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use eleven_linux::sock_diag::{self, Request};
use eleven_linux::{Labels, proc};
use eleven_snapshot::{Counters, KernelOnly, Socket, SocketKind};
use eleven_tcp::{Instant, State};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::{Direction, Errno, Host, HostId, SocketId, SocketOption};
use crate::LabError;
use crate::stage::{Device, Namespace, sysctl};

/// The device's name, which is what to give to `tcpdump -i`.
pub(super) const DEVICE: &str = "eleven0";
/// The device's MTU.
const MTU: u16 = 1_500;

/// A kernel in a namespace of its own. What belongs to a namespace is made by a thread that is in it; a thread may have
/// several such hosts, so it enters before each such call.
pub struct KernelHost {
    namespace: Namespace,
    device: Device,
    sockets: BTreeMap<SocketId, OwnedFd>,
    labels: Labels<'static>,
}

impl KernelHost {
    /// Makes a namespace and a device with the addresses of `host`. The calling thread is in the namespace from now on.
    ///
    /// # Errors
    /// Without the privilege, or where no device can be made.
    pub fn new(host: HostId) -> Result<Self, LabError> {
        let namespace = Namespace::unshare()?;
        let device = Device::new(DEVICE, (host.v4(), 24), (host.v6(), 64), MTU)?;
        Ok(Self { namespace, device, sockets: BTreeMap::new(), labels: Labels::new(None) })
    }

    /// A path that leads to the namespace for as long as the host lives, as `nsenter --net=` takes one.
    pub fn namespace_path(&self) -> String {
        self.namespace.path()
    }

    fn descriptor_of(&self, socket: SocketId) -> Result<&OwnedFd, Errno> {
        self.sockets.get(&socket).ok_or(Errno(9))
    }

    fn keep(&mut self, descriptor: OwnedFd) -> SocketId {
        let id = descriptor.as_raw_fd();
        self.sockets.insert(id, descriptor);
        id
    }
}

impl Host for KernelHost {
    fn kind(&self) -> &'static str {
        "kernel"
    }

    fn socket(&mut self, v6: bool) -> Result<SocketId, Errno> {
        // It fails only where the namespace was lost, and then the socket would be somewhere else.
        self.namespace.enter().map_err(|_| Errno(1))?;
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        Ok(self.keep(descriptor))
    }

    fn set_option(&mut self, socket: SocketId, option: SocketOption) -> Result<(), Errno> {
        let fd = self.descriptor_of(socket)?;
        match option {
            SocketOption::ReuseAddress(on) => sockopt::set_socket_reuseaddr(fd, on),
            SocketOption::Keepalive(on) => sockopt::set_socket_keepalive(fd, on),
            SocketOption::KeepaliveTime(time) => sockopt::set_tcp_keepidle(fd, time),
            SocketOption::KeepaliveInterval(time) => sockopt::set_tcp_keepintvl(fd, time),
            SocketOption::KeepaliveProbes(count) => sockopt::set_tcp_keepcnt(fd, count),
            SocketOption::UserTimeout(time) => {
                sockopt::set_tcp_user_timeout(fd, u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
            }
            SocketOption::Linger(time) => sockopt::set_socket_linger(fd, time),
            SocketOption::NoDelay(on) => sockopt::set_tcp_nodelay(fd, on),
            SocketOption::ReceiveBuffer(bytes) => sockopt::set_socket_recv_buffer_size(fd, bytes as usize),
            SocketOption::SendBuffer(bytes) => sockopt::set_socket_send_buffer_size(fd, bytes as usize),
        }
        .map_err(Errno::from)
    }

    fn bind(&mut self, socket: SocketId, local: SocketAddr) -> Result<(), Errno> {
        Ok(net::bind(self.descriptor_of(socket)?, &local)?)
    }

    fn listen(&mut self, socket: SocketId, backlog: i32) -> Result<(), Errno> {
        Ok(net::listen(self.descriptor_of(socket)?, backlog)?)
    }

    fn connect(&mut self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        Ok(net::connect(self.descriptor_of(socket)?, &remote)?)
    }

    fn connect_outcome(&mut self, socket: SocketId) -> Option<Result<(), Errno>> {
        if let Some(error) = self.take_error(socket) {
            return Some(Err(error));
        }
        let fd = match self.descriptor_of(socket) {
            Ok(fd) => fd,
            Err(error) => return Some(Err(error)),
        };
        is_connected(fd).then_some(Ok(()))
    }

    fn accept(&mut self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (descriptor, peer) = net::acceptfrom_with(self.descriptor_of(socket)?, flags)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(Errno(22))?;
        Ok((self.keep(descriptor), peer))
    }

    fn send(&mut self, socket: SocketId, text: &[u8]) -> Result<usize, Errno> {
        Ok(net::send(self.descriptor_of(socket)?, text, SendFlags::NOSIGNAL)?)
    }

    fn receive(&mut self, socket: SocketId, length: usize) -> Result<Vec<u8>, Errno> {
        let mut text = vec![0; length];
        let (count, _) = net::recv(self.descriptor_of(socket)?, &mut text[..], RecvFlags::empty())?;
        text.truncate(count);
        Ok(text)
    }

    fn take_error(&mut self, socket: SocketId) -> Option<Errno> {
        let fd = self.descriptor_of(socket).ok()?;
        match sockopt::socket_error(fd) {
            Ok(Err(error)) | Err(error) => Some(error.into()),
            Ok(Ok(())) => None,
        }
    }

    fn shutdown(&mut self, socket: SocketId, direction: Direction) -> Result<(), Errno> {
        let how = match direction {
            Direction::Read => net::Shutdown::Read,
            Direction::Write => net::Shutdown::Write,
            Direction::Both => net::Shutdown::Both,
        };
        Ok(net::shutdown(self.descriptor_of(socket)?, how)?)
    }

    fn close(&mut self, socket: SocketId) -> Result<(), Errno> {
        self.sockets.remove(&socket).map(drop).ok_or(Errno(9))
    }

    fn local(&self, socket: SocketId) -> Option<SocketAddr> {
        let address = net::getsockname(self.descriptor_of(socket).ok()?).ok()?;
        SocketAddr::try_from(address).ok()
    }

    fn take_packet(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        Ok(self.device.read()?.map(<[u8]>::to_vec))
    }

    fn receive_packet(&mut self, packet: &[u8]) -> Result<(), LabError> {
        self.device.write(packet)
    }

    fn advance(&mut self, _now: Instant) {}

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.device.descriptor())
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), LabError> {
        self.namespace.enter()?;
        sysctl::write(name, value)
    }

    fn rows(&mut self) -> Result<Vec<Socket>, LabError> {
        self.namespace.enter()?;
        let mut rows = Vec::new();
        sock_diag::dump(&Request::default(), &mut self.labels, &mut |row| {
            let mut row = row.clone();
            row.no_owner = why_no_owner(&row);
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    fn counters(&mut self) -> Result<Counters, LabError> {
        self.namespace.enter()?;
        Ok(proc::counters::read())
    }

    fn crash(&mut self) {}
}

/// Whether a connection is open: who has a peer may still be opening it, and could not send.
pub(crate) fn is_connected(fd: impl AsFd) -> bool {
    let mut ready = [PollFd::new(&fd, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let can_send = poll(&mut ready, Some(&at_once)).is_ok_and(|count| count > 0);
    can_send && net::getpeername(&fd).is_ok_and(|peer| peer.is_some())
}

/// All sockets here are ours, so whoever has no file has no owner.
fn why_no_owner(row: &Socket) -> Option<KernelOnly> {
    match (row.kind, row.inode, row.state) {
        (SocketKind::Request | SocketKind::TimeWait, ..) => Some(KernelOnly::MiniSocket),
        (_, Some(_), _) => None,
        (_, None, State::Established | State::CloseWait) => Some(KernelOnly::NotAccepted),
        (_, None, _) => Some(KernelOnly::Orphan),
    }
}

/// How long a look at the kernel's device may wait before the clock is looked at again: timers of the kernel expire
/// without telling anybody.
pub(super) const LOOK: Duration = Duration::from_millis(10);
