//! Calls that may have to wait: made without waiting, as often as it takes.

use std::net::{Ipv4Addr, SocketAddr};

use eleven_tcp::script::ScriptHost as _;
use eleven_tcp::sockets::constants::message::{MSG_DONTWAIT, MSG_FASTOPEN};
use eleven_tcp::sockets::{Call, Descriptor, Errno, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags, sockopt};

use super::host::KernelScript;

impl KernelScript {
    /// Tries a call that may have to wait.
    pub(super) fn try_call(&mut self, call: &mut Call) -> Option<Result<Outcome, Errno>> {
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
                let blocking = self.is_blocking(*descriptor) && *flags & MSG_DONTWAIT == 0;
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
        let blocking = self.is_blocking(*descriptor) && *flags & MSG_DONTWAIT == 0;
        loop {
            let rest = text.get(*done..).unwrap_or_default();
            match self.send(*descriptor, rest, *flags, *to) {
                Ok(taken) => {
                    *done += taken;
                    *to = None;
                    *flags &= !MSG_FASTOPEN;
                    if *done >= text.len() || !blocking || taken == 0 {
                        return Some(Ok(Outcome::Taken(*done)));
                    }
                }
                Err(Errno::WouldBlock | Errno::InProgress | Errno::AlreadyInProgress) if blocking => {
                    *to = None;
                    *flags &= !MSG_FASTOPEN;
                    return None;
                }
                Err(error) if *done == 0 => return Some(Err(error)),
                Err(_) => return Some(Ok(Outcome::Taken(*done))),
            }
        }
    }
}

/// An error in the endpoint's words; scripts name no others.
pub(super) fn known(error: rustix::io::Errno) -> Errno {
    Errno::from_number(error.raw_os_error()).unwrap_or(Errno::Invalid)
}

fn or_wait(result: Result<Outcome, Errno>, blocking: bool) -> Option<Result<Outcome, Errno>> {
    match result {
        Err(Errno::WouldBlock) if blocking => None,
        result => Some(result),
    }
}
