//! `eleven-tcp` as a host: the unruly peer of a kernel, and in the simulator the subject too.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use eleven_snapshot::{Counters, Family, KernelOnly, Socket, SocketKind, Timer, TimerKind};
use eleven_tcp::connection::RunningTimer;
use eleven_tcp::policy::Secret;
use eleven_tcp::sockets::constants::{level, socket as so, tcp};
use eleven_tcp::sockets::{self, Settings, SocketRow, Sockets};
use eleven_tcp::{Instant, State};

use super::{Direction, Errno, Host, HostId, SocketId, SocketOption};
use crate::LabError;

/// A host of `eleven-tcp`, by default with the habits of Linux.
pub struct EndpointHost {
    host: HostId,
    sockets: Sockets,
    settings: Settings,
    /// How often it has crashed.
    lives: u8,
}

impl EndpointHost {
    /// A host whose time is `now`.
    pub fn new(host: HostId, now: Instant) -> Self {
        let settings = Settings::default();
        Self { host, sockets: begin(host, &settings, now, 0), settings, lives: 0 }
    }

    /// The sockets themselves, for what [`Host`] does not offer.
    pub const fn sockets_mut(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    fn option(&mut self, socket: SocketId, level: i32, name: i32, value: u32) -> Result<(), Errno> {
        Ok(self.sockets.set_option(socket, level, name, &value.to_ne_bytes())?)
    }
}

/// The sockets of a host that has just been started.
fn begin(host: HostId, settings: &Settings, now: Instant, lives: u8) -> Sockets {
    let mut settings = settings.clone();
    let mut secret = *b"eleven-lab host ";
    (secret[14], secret[15]) = (host.0 as u8, lives);
    settings.set_secret(Secret(secret));
    let mut sockets = Sockets::new(settings);
    sockets.set_device(host.v4(), host.v6(), 1_500);
    sockets.set_offload(false);
    sockets.advance(now, |_| false);
    sockets
}

impl Host for EndpointHost {
    fn kind(&self) -> &'static str {
        "endpoint"
    }

    fn socket(&mut self, v6: bool) -> Result<SocketId, Errno> {
        let socket = self.sockets.socket(v6);
        self.sockets.set_nonblocking(socket, true)?;
        Ok(socket)
    }

    fn set_option(&mut self, socket: SocketId, option: SocketOption) -> Result<(), Errno> {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        match option {
            SocketOption::ReuseAddress(on) => {
                self.option(socket, level::SOCKET, so::SO_REUSEADDR, u32::from(on))
            }
            SocketOption::Keepalive(on) => {
                self.option(socket, level::SOCKET, so::SO_KEEPALIVE, u32::from(on))
            }
            SocketOption::KeepaliveTime(time) => {
                self.option(socket, level::TCP, tcp::TCP_KEEPIDLE, seconds(time))
            }
            SocketOption::KeepaliveInterval(time) => {
                self.option(socket, level::TCP, tcp::TCP_KEEPINTVL, seconds(time))
            }
            SocketOption::KeepaliveProbes(count) => self.option(socket, level::TCP, tcp::TCP_KEEPCNT, count),
            SocketOption::UserTimeout(time) => {
                let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
                self.option(socket, level::TCP, tcp::TCP_USER_TIMEOUT, millis)
            }
            SocketOption::Linger(time) => {
                let mut value = u32::from(time.is_some()).to_ne_bytes().to_vec();
                value.extend_from_slice(&time.map_or(0, seconds).to_ne_bytes());
                Ok(self.sockets.set_option(socket, level::SOCKET, so::SO_LINGER, &value)?)
            }
            SocketOption::NoDelay(on) => self.option(socket, level::TCP, tcp::TCP_NODELAY, u32::from(on)),
            SocketOption::ReceiveBuffer(bytes) => self.option(socket, level::SOCKET, so::SO_RCVBUF, bytes),
            SocketOption::SendBuffer(bytes) => self.option(socket, level::SOCKET, so::SO_SNDBUF, bytes),
        }
    }

    fn bind(&mut self, socket: SocketId, local: SocketAddr) -> Result<(), Errno> {
        Ok(self.sockets.bind(socket, local)?)
    }

    fn listen(&mut self, socket: SocketId, backlog: i32) -> Result<(), Errno> {
        Ok(self.sockets.listen(socket, backlog)?)
    }

    fn connect(&mut self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        Ok(self.sockets.connect(socket, remote)?)
    }

    fn connect_outcome(&mut self, socket: SocketId) -> Option<Result<(), Errno>> {
        match self.sockets.connect_result(socket)? {
            Ok(()) | Err(sockets::Errno::IsConnected) => Some(Ok(())),
            Err(error) => Some(Err(error.into())),
        }
    }

    fn accept(&mut self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        let (new, peer) = self.sockets.accept(socket)?;
        self.sockets.set_nonblocking(new, true)?;
        Ok((new, peer))
    }

    fn send(&mut self, socket: SocketId, text: &[u8]) -> Result<usize, Errno> {
        Ok(self.sockets.send(socket, text, 0, None)?)
    }

    fn receive(&mut self, socket: SocketId, length: usize) -> Result<Vec<u8>, Errno> {
        Ok(self.sockets.recv(socket, length, false)?)
    }

    fn take_error(&mut self, socket: SocketId) -> Option<Errno> {
        let value = self.sockets.option(socket, level::SOCKET, so::SO_ERROR).ok()?;
        let number = i32::from_ne_bytes(*value.first_chunk()?);
        (number != 0).then_some(Errno(number))
    }

    fn shutdown(&mut self, socket: SocketId, direction: Direction) -> Result<(), Errno> {
        let how = match direction {
            Direction::Read => sockets::Shutdown::Read,
            Direction::Write => sockets::Shutdown::Write,
            Direction::Both => sockets::Shutdown::Both,
        };
        Ok(self.sockets.shutdown(socket, how)?)
    }

    fn close(&mut self, socket: SocketId) -> Result<(), Errno> {
        Ok(self.sockets.close(socket)?)
    }

    fn local(&self, socket: SocketId) -> Option<SocketAddr> {
        self.sockets.connection_of(socket).map(|connection| connection.pair().local())
    }

    fn take_packet(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        Ok(self.sockets.take_packet().map(|departure| departure.packet))
    }

    fn receive_packet(&mut self, packet: &[u8]) -> Result<(), LabError> {
        self.sockets.receive_packet(packet);
        Ok(())
    }

    fn advance(&mut self, now: Instant) {
        self.sockets.advance(now, |_| false);
    }

    fn next_timer(&self) -> Option<Instant> {
        self.sockets.next_timer()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), LabError> {
        let short = name.strip_prefix("net.ipv4.").or_else(|| name.strip_prefix("net.core.")).unwrap_or(name);
        let failed = |why: String| LabError::Setting { name: name.to_owned(), value: value.to_owned(), why };
        if short == "somaxconn" {
            self.settings.backlog =
                value.trim().parse().map_err(|_| failed("a number is expected".into()))?;
        } else {
            self.settings.set(short, value).map_err(|error| failed(error.to_string()))?;
        }
        let secret = self.sockets.settings_mut().policy.secret;
        *self.sockets.settings_mut() = self.settings.clone();
        self.sockets.settings_mut().set_secret(secret);
        let policy = self.sockets.settings_mut().policy.clone();
        self.sockets.demux_mut().set_policy(&policy);
        self.sockets.demux_mut().set_options(self.settings.host.clone());
        Ok(())
    }

    fn rows(&mut self) -> Result<Vec<Socket>, LabError> {
        let now = self.sockets.now();
        Ok(self.sockets.rows().iter().map(|row| as_socket(row, now)).collect())
    }

    fn counters(&mut self) -> Result<Counters, LabError> {
        Ok(Counters::default())
    }

    fn crash(&mut self) {
        self.lives = self.lives.wrapping_add(1);
        self.sockets = begin(self.host, &self.settings, self.sockets.now(), self.lives);
    }
}

/// A row as the kernel's would be.
fn as_socket(row: &SocketRow, now: Instant) -> Socket {
    let pair = row.pair;
    let mut socket = Socket::new(row.state);
    socket.family = if pair.local_address.is_ipv4() { Family::Inet } else { Family::Inet6 };
    socket.kind = match row.state {
        State::Closed => SocketKind::Bound,
        State::SynReceived if !row.owned => SocketKind::Request,
        State::TimeWait => SocketKind::TimeWait,
        // Linux keeps this as a mini-socket too (`tcp_time_wait`).
        State::FinWait2 if !row.owned => SocketKind::TimeWait,
        _ => SocketKind::Full,
    };
    socket.local_address = pair.local_address;
    socket.remote_address = pair.remote_address;
    socket.local_port = Some(pair.local_port).filter(|port| *port != 0);
    socket.remote_port = Some(pair.remote_port).filter(|port| *port != 0);
    // Mini-sockets show no queues (`inet_twsk_diag_fill`, `inet_req_diag_fill`).
    let mini = socket.kind.is_mini();
    let (receive, send) = if mini { (0, 0) } else { (row.receive_queue, row.send_queue) };
    if row.state == State::Listen {
        (socket.backlog, socket.backlog_limit) = (Some(receive), Some(send));
    } else {
        (socket.recv_queue, socket.send_queue) = (Some(receive), Some(send));
    }
    socket.timer = row.timer.map(|(kind, expires)| Timer {
        kind: match kind {
            RunningTimer::Retransmission => TimerKind::Retransmit,
            RunningTimer::Persist => TimerKind::Persist,
            RunningTimer::Keepalive => TimerKind::Keepalive,
            RunningTimer::State => TimerKind::TimeWait,
        },
        expires_ms: u64::try_from(expires.duration_since(now).as_millis()).unwrap_or(u64::MAX),
        retransmits: row.retransmits,
    });
    socket.no_owner = match (mini, row.owned, row.state) {
        (true, ..) => Some(KernelOnly::MiniSocket),
        (false, true, _) => None,
        (false, false, State::Established | State::CloseWait) => Some(KernelOnly::NotAccepted),
        (false, false, _) => Some(KernelOnly::Orphan),
    };
    socket
}
