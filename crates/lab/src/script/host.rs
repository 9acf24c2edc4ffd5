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
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

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
struct Open {
    fd: OwnedFd,
    /// The script's calls wait. Ours never do.
    blocking: bool,
    /// It was connected or accepted.
    connected: bool,
}

/// A kernel in a namespace that nobody else has. The thread that makes it is in the namespace.
pub(super) struct KernelScript {
    _namespace: Namespace,
    device: Device,
    begun: Clock,
    open: BTreeMap<Descriptor, Open>,
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

    fn fd(&self, descriptor: Descriptor) -> Result<BorrowedFd<'_>, Errno> {
        self.open.get(&descriptor).map(|open| open.fd.as_fd()).ok_or(Errno::BadDescriptor)
    }

    fn keep(&mut self, fd: OwnedFd, connected: bool) -> Descriptor {
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

    fn connect(&mut self, descriptor: Descriptor, remote: SocketAddr) -> Result<(), Errno> {
        let result = net::connect(self.fd(descriptor)?, &remote).map_err(known);
        if let Some(open) = self.open.get_mut(&descriptor) {
            open.connected = true;
        }
        result
    }

    /// What has become of a `connect()` that waits.
    fn connect_outcome(&self, descriptor: Descriptor) -> Option<Result<(), Errno>> {
        let fd = match self.fd(descriptor) {
            Ok(fd) => fd,
            Err(errno) => return Some(Err(errno)),
        };
        match sockopt::socket_error(fd) {
            Ok(Err(error)) | Err(error) => return Some(Err(known(error))),
            Ok(Ok(())) => {}
        }
        crate::host::is_connected(fd).then_some(Ok(()))
    }

    fn send(
        &mut self,
        descriptor: Descriptor,
        text: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let flags = SendFlags::from_bits_retain(flags.cast_unsigned()) | SendFlags::NOSIGNAL;
        let fd = self.fd(descriptor)?;
        let sent = match to {
            Some(to) => net::sendto(fd, text, flags, &to),
            None => net::send(fd, text, flags),
        };
        if to.is_some()
            && let Some(open) = self.open.get_mut(&descriptor)
        {
            open.connected = true;
        }
        sent.map_err(known)
    }

    fn receive(&self, descriptor: Descriptor, length: usize, flags: i32) -> Result<Vec<u8>, Errno> {
        let mut text = vec![0; length];
        let flags = RecvFlags::from_bits_retain(flags.cast_unsigned());
        let (count, _) = net::recv(self.fd(descriptor)?, &mut text[..], flags).map_err(known)?;
        text.truncate(count);
        Ok(text)
    }

    fn poll(&self, call: &Call) -> Result<Vec<u32>, Errno> {
        let Call::Poll { entries, .. } = call else { return Ok(Vec::new()) };
        let mut polled = Vec::new();
        for entry in entries {
            let events = PollFlags::from_bits_retain(entry.events as u16);
            polled.push(PollFd::from_borrowed_fd(self.fd(entry.descriptor)?, events));
        }
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_err(known)?;
        Ok(polled.iter().map(|polled| u32::from(polled.revents().bits())).collect())
    }

    fn epoll_wait(&self, set: Descriptor, most: usize) -> Result<Vec<(u32, u64)>, Errno> {
        let nothing = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        let mut events = vec![nothing; most.clamp(1, 1_024)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let count = epoll::wait(self.fd(set)?, &mut events[..], Some(&now)).map_err(known)?;
        // The structure is packed: its fields are copied before they are looked at.
        Ok(events[..count]
            .iter()
            .map(|event| (event.flags, event.data))
            .map(|(flags, data)| (flags.bits(), data.u64()))
            .collect())
    }

    /// Sends what is left of a text; `None` if a blocking call has to wait for room.
    fn attempt_send(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>> {
        let Call::Send { descriptor, text, done, flags, to } = call else { return None };
        let blocking = self.is_blocking(*descriptor) && *flags & DONT_WAIT == 0;
        loop {
            let rest = text.get(*done..).unwrap_or_default();
            match self.send(*descriptor, rest, *flags, *to) {
                Ok(taken) => {
                    *done += taken;
                    *to = None;
                    *flags &= !FAST_OPEN;
                    if *done >= text.len() || !blocking || taken == 0 {
                        return Some(Ok(Outcome::Taken(*done)));
                    }
                }
                Err(Errno::WouldBlock | Errno::InProgress | Errno::AlreadyInProgress) if blocking => {
                    *to = None;
                    *flags &= !FAST_OPEN;
                    return None;
                }
                Err(error) if *done == 0 => return Some(Err(error)),
                Err(_) => return Some(Ok(Outcome::Taken(*done))),
            }
        }
    }
}

const DONT_WAIT: i32 = eleven_tcp::sockets::constants::message::MSG_DONTWAIT;
const FAST_OPEN: i32 = eleven_tcp::sockets::constants::message::MSG_FASTOPEN;

/// An error in the endpoint's words; scripts name no others.
fn known(error: rustix::io::Errno) -> Errno {
    Errno::from_number(error.raw_os_error()).unwrap_or(Errno::Invalid)
}

/// How many bits the addresses have in common: the network that both are in. At least one, since a network of all
/// addresses gets no route.
fn common_bits(one: Ipv4Addr, other: Ipv4Addr) -> u8 {
    (one.to_bits() ^ other.to_bits()).leading_zeros().clamp(1, 30) as u8
}

fn or_wait(result: Result<Outcome, Errno>, blocking: bool) -> Option<Result<Outcome, Errno>> {
    match result {
        Err(Errno::WouldBlock) if blocking => None,
        result => Some(result),
    }
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
        match call {
            Call::Accept { descriptor } => {
                let (blocking, flags) =
                    (self.is_blocking(*descriptor), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC);
                let accepted =
                    self.fd(*descriptor).and_then(|fd| net::acceptfrom_with(fd, flags).map_err(known));
                let accepted = accepted.map(|(fd, peer)| {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    let unspecified = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
                    Outcome::Accepted(self.keep(fd, true), peer.unwrap_or(unspecified))
                });
                or_wait(accepted, blocking)
            }
            Call::Connect { descriptor, remote, begun } => {
                let blocking = self.is_blocking(*descriptor);
                if *begun {
                    let outcome = self.connect_outcome(*descriptor)?;
                    return Some(outcome.map(|()| Outcome::Done));
                }
                match self.connect(*descriptor, *remote) {
                    Err(Errno::InProgress | Errno::AlreadyInProgress) if blocking => {
                        *begun = true;
                        None
                    }
                    result => Some(result.map(|()| Outcome::Done)),
                }
            }
            Call::Send { .. } => self.attempt_send(call),
            Call::Receive { descriptor, length, flags } => {
                let blocking = self.is_blocking(*descriptor) && *flags & DONT_WAIT == 0;
                or_wait(self.receive(*descriptor, *length, *flags).map(Outcome::Text), blocking)
            }
            Call::Poll { deadline, .. } => {
                let over = deadline.is_some_and(|deadline| deadline <= self.now());
                match self.poll(call) {
                    Ok(ready) if over || ready.iter().any(|ready| *ready != 0) => {
                        Some(Ok(Outcome::Ready(ready)))
                    }
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                }
            }
            Call::EpollWait { descriptor, most, deadline } => {
                let over = deadline.is_some_and(|deadline| deadline <= self.now());
                match self.epoll_wait(*descriptor, *most) {
                    Ok(events) if over || !events.is_empty() => Some(Ok(Outcome::Events(events))),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                }
            }
        }
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
