//! The kernel as a host that scripts are played on.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant as Clock};

use eleven_tcp::Instant;
use eleven_tcp::script::{Network, START, ScriptHost};
use eleven_tcp::sockets::constants::{level, tcp};
use eleven_tcp::sockets::{Call, Departure, Descriptor, EpollChange, Errno, Outcome, Shutdown, TcpInfo};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto};

use super::calls::known;
use super::sys;
use crate::LabError;
use crate::host::SUBJECT;
use crate::stage::{Device, Namespace, sysctl};

/// Between two looks at what waits: calls that return are noticed within this.
const LOOK: Duration = Duration::from_millis(1);
/// How long after its time a segment is waited for, so that a script can tell what came instead.
const LATE: Duration = Duration::from_millis(500);

/// The sysctls in which hosts are set up differently, and that scripts take for granted.
const LEVEL: [(&str, &str); 3] = [
    ("tcp_rmem", "4096 131072 6291456"),
    ("tcp_wmem", "4096 16384 4194304"),
    ("tcp_congestion_control", "cubic"),
];

/// Sets a sysctl. A namespace may only have congestion controls that are allowed to everybody, and of those each kernel
/// has reno: it takes the place of one that is not.
fn write(name: &str, value: &str) -> Result<(), LabError> {
    let written = sysctl::write(name, value);
    if written.is_err() && name == "tcp_congestion_control" && !is_allowed(value) {
        return sysctl::write(name, "reno");
    }
    written
}

/// Whether a congestion control is allowed in namespaces.
pub(super) fn is_allowed(congestion: &str) -> bool {
    let allowed = eleven_linux::proc::sysctl::read("net.ipv4.tcp_allowed_congestion_control");
    allowed.is_some_and(|allowed| allowed.split(' ').any(|name| name == congestion))
}

/// A descriptor of the script's.
pub(super) struct Open {
    fd: OwnedFd,
    /// The script's calls wait. Ours never do.
    blocking: bool,
    /// It was connected or accepted.
    pub(super) connected: bool,
}

/// A kernel in a namespace that nobody else has. The thread that makes it is in the namespace.
pub(super) struct KernelScript {
    _namespace: Namespace,
    device: Device,
    begun: Clock,
    pub(super) open: BTreeMap<Descriptor, Open>,
    departures: VecDeque<Departure>,
    /// The sysctls that were changed, as they were before.
    before: BTreeMap<String, String>,
    tolerance: Duration,
}

impl KernelScript {
    pub(super) fn new(network: Network, tolerance: Duration) -> Result<Self, LabError> {
        let namespace = Namespace::unshare()?;
        let v4 = (network.local, common_bits(network.local, network.remote));
        let device = Device::new(crate::host::kernel_device(), v4, (SUBJECT.v6(), 64), network.mtu)?;
        for (name, value) in LEVEL {
            // Not all of them are allowed in a user namespace; a script that minds will show it.
            let _ = write(name, value);
        }
        Ok(Self {
            _namespace: namespace,
            device,
            begun: Clock::now(),
            open: BTreeMap::new(),
            departures: VecDeque::new(),
            before: BTreeMap::new(),
            tolerance,
        })
    }

    pub(super) fn fd(&self, descriptor: Descriptor) -> Result<BorrowedFd<'_>, Errno> {
        self.open.get(&descriptor).map(|open| open.fd.as_fd()).ok_or(Errno::BadDescriptor)
    }

    pub(super) fn keep(&mut self, fd: OwnedFd, connected: bool) -> Descriptor {
        let descriptor = fd.as_raw_fd();
        self.open.insert(descriptor, Open { fd, blocking: true, connected });
        descriptor
    }

    /// Takes what the kernel has sent, each with its time.
    fn gather(&mut self) {
        let at = START + self.begun.elapsed();
        while let Ok(Some(packet)) = self.device.read() {
            self.departures.push_back(Departure { at, packet: packet.to_vec() });
        }
    }
}

/// How many bits the addresses have in common: the network that both are in. At least one, since a network of all
/// addresses gets no route.
fn common_bits(one: Ipv4Addr, other: Ipv4Addr) -> u8 {
    (one.to_bits() ^ other.to_bits()).leading_zeros().clamp(1, 30) as u8
}

impl ScriptHost for KernelScript {
    fn now(&self) -> Instant {
        START + self.begun.elapsed()
    }

    fn advance(&mut self, to: Instant, mut stop: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            self.gather();
            if stop(self) {
                return false;
            }
            let now = self.now();
            if now >= to {
                return true;
            }
            let wait = to.duration_since(now).min(LOOK);
            let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            let device = self.device.descriptor();
            // Whatever it returns, the device is looked at next.
            let _ = poll(&mut [PollFd::from_borrowed_fd(device, PollFlags::IN)], Some(&timeout));
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        // Nobody tells when a kernel's timers expire.
        Some(self.now() + LOOK)
    }

    fn longest_wait(&self) -> Duration {
        LATE
    }

    fn least_tolerance(&self) -> Duration {
        self.tolerance
    }

    fn receive_packet(&mut self, packet: &[u8]) {
        // A device that fails shows in what does not come.
        let _ = self.device.write(packet);
        self.gather();
    }

    fn take_packet(&mut self) -> Option<Departure> {
        self.gather();
        self.departures.pop_front()
    }

    fn attempt(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>> {
        self.try_call(call)
    }

    fn socket(&mut self) -> Result<Descriptor, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP));
        Ok(self.keep(fd.map_err(known)?, false))
    }

    fn bind(&mut self, descriptor: Descriptor, local: SocketAddr) -> Result<(), Errno> {
        net::bind(self.fd(descriptor)?, &local).map_err(known)
    }

    fn listen(&mut self, descriptor: Descriptor, backlog: i32) -> Result<(), Errno> {
        net::listen(self.fd(descriptor)?, backlog).map_err(known)
    }

    fn shutdown(&mut self, descriptor: Descriptor, how: Shutdown) -> Result<(), Errno> {
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        net::shutdown(self.fd(descriptor)?, how).map_err(known)
    }

    fn close(&mut self, descriptor: Descriptor) -> Result<(), Errno> {
        self.open.remove(&descriptor).map(drop).ok_or(Errno::BadDescriptor)
    }

    fn set_option(
        &mut self,
        descriptor: Descriptor,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        sys::set_option(self.fd(descriptor)?, level, name, value)
    }

    fn option(&mut self, descriptor: Descriptor, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        sys::option(self.fd(descriptor)?, level, name)
    }

    fn is_blocking(&self, descriptor: Descriptor) -> bool {
        self.open.get(&descriptor).is_some_and(|open| open.blocking)
    }

    fn set_nonblocking(&mut self, descriptor: Descriptor, on: bool) -> Result<(), Errno> {
        self.open.get_mut(&descriptor).map(|open| open.blocking = !on).ok_or(Errno::BadDescriptor)
    }

    fn unread(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        sys::count(self.fd(descriptor)?, libc::FIONREAD)
    }

    fn unacknowledged(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        sys::count(self.fd(descriptor)?, libc::TIOCOUTQ)
    }

    fn tcp_info(&self, descriptor: Descriptor) -> Result<TcpInfo, Errno> {
        let bytes = sys::option(self.fd(descriptor)?, level::TCP, tcp::TCP_INFO)?;
        Ok(TcpInfo::from_bytes(&bytes))
    }

    fn epoll_create(&mut self) -> Result<Descriptor, Errno> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(known)?;
        Ok(self.keep(set, false))
    }

    fn epoll_change(
        &mut self,
        set: Descriptor,
        change: EpollChange,
        descriptor: Descriptor,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        let (set, fd) = (self.fd(set)?, self.fd(descriptor)?);
        let (data, events) = (epoll::EventData::new_u64(data), epoll::EventFlags::from_bits_retain(events));
        match change {
            EpollChange::Add => epoll::add(set, fd, data, events),
            EpollChange::Modify => epoll::modify(set, fd, data, events),
            EpollChange::Delete => epoll::delete(set, fd),
        }
        .map_err(known)
    }

    fn take_zero_copied(&mut self, _: Descriptor) -> Result<(u32, u32), Errno> {
        // The queue of errors is not read here.
        Err(Errno::NotSupported)
    }

    fn has_connection(&self, descriptor: Descriptor) -> bool {
        self.open.get(&descriptor).is_some_and(|open| open.connected)
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), String> {
        let full = sysctl::full_name(name);
        if let Some(before) = eleven_linux::proc::sysctl::read(&full) {
            self.before.entry(full).or_insert(before);
        }
        write(name, value).map_err(|error| error.to_string())
    }

    fn restore_sysctls(&mut self) {
        for (name, value) in std::mem::take(&mut self.before) {
            // It was taken from there.
            let _ = sysctl::write(&name, &value);
        }
    }

    fn forget_cookies(&mut self) {
        // The namespace is new, and so is what it remembers.
    }

    fn stop_offload(&mut self) {
        // The device cuts nothing in the first place: the kernel does before.
    }
}
