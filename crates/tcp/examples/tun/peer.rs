//! smoltcp in our place: the same device, the same kernel at its other end, the same text.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::kernel;
use crate::programs::{fill, is_right};
use crate::stack::{KERNEL, OURS, SINK, SOURCE, verdict};

/// As large as our own side's receive buffer in these runs.
const BUFFER: usize = 1 << 20;

/// Text from the kernel to smoltcp and back; what is printed for each.
pub(crate) fn check(bytes: u64, mut print: impl FnMut(String)) -> Result<(), String> {
    let ours: IpAddr = OURS.parse().map_err(|_| "an address")?;
    let device = DeviceBuilder::new()
        .name("eleven0")
        .ipv4(KERNEL, 24_u8, None)
        .mtu(1_500)
        .build_sync()
        .map_err(|error| format!("no TUN device: {error}; root may make one where /dev/net/tun is"))?;
    device.set_nonblocking(true).map_err(|error| error.to_string())?;
    let mut port = Port { device, received: VecDeque::new(), spare: Vec::new() };

    let peer = kernel::send_to(SocketAddr::new(ours, SINK), bytes);
    let seconds = serve(&mut port, SINK, &peer, receive())?;
    print(verdict("kernel client → smoltcp", seconds, peer.join(), bytes)?);

    let peer = kernel::receive_from(SocketAddr::new(ours, SOURCE));
    let seconds = serve(&mut port, SOURCE, &peer, send(bytes))?;
    print(verdict("kernel client ← smoltcp", seconds, peer.join(), bytes)?);
    Ok(())
}

/// Reads and compares until the end.
fn receive() -> impl FnMut(&mut Socket<'_>) -> Result<(), String> {
    let mut at = 0;
    move |socket| {
        while socket.can_recv() {
            let right = socket.recv(|text| {
                let right = is_right(text, at);
                at += text.len() as u64;
                (text.len(), right)
            });
            if !right.map_err(|error| error.to_string())? {
                return Err(format!("wrong text before byte {at}"));
            }
        }
        if !socket.may_recv() && socket.may_send() {
            socket.close();
        }
        Ok(())
    }
}

/// Sends so many bytes, then closes.
fn send(bytes: u64) -> impl FnMut(&mut Socket<'_>) -> Result<(), String> {
    let mut sent = 0;
    move |socket| {
        while socket.can_send() && sent < bytes {
            let count = socket.send(|room| {
                let length = (bytes - sent).min(room.len() as u64) as usize;
                fill(&mut room[..length], sent);
                (length, length)
            });
            sent += count.map_err(|error| error.to_string())? as u64;
        }
        if sent == bytes && socket.may_send() {
            socket.close();
        }
        Ok(())
    }
}

/// Listens on a port and works until the kernel's side has finished; how many seconds that took.
fn serve<T>(
    port: &mut Port,
    number: u16,
    peer: &JoinHandle<T>,
    mut work: impl FnMut(&mut Socket<'_>) -> Result<(), String>,
) -> Result<f64, String> {
    let start = Clock::now();
    let now = || Instant::from_micros(1_000_000 + start.elapsed().as_micros() as i64);
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), port, now());
    let address = OURS.parse::<IpAddress>().map_err(|()| "an address")?;
    interface.update_ip_addrs(|addresses| {
        // An interface has room for its first address.
        let _ = addresses.push(IpCidr::new(address, 24));
    });
    let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.listen(number).map_err(|error| error.to_string())?;
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(socket);
    while !peer.is_finished() {
        port.read()?;
        interface.poll(now(), port, &mut sockets);
        work(sockets.get_mut(handle))?;
        interface.poll(now(), port, &mut sockets);
        let longest = Duration::from_millis(10);
        let wait = interface.poll_delay(now(), &sockets).map_or(longest, |wait| longest.min(wait.into()));
        port.wait(wait)?;
        if start.elapsed() > Duration::from_secs(300) {
            return Err("smoltcp: not finished after 300 s".to_owned());
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The device as smoltcp wants it.
struct Port {
    device: SyncDevice,
    received: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Port {
    /// Takes up to 256 packets from the device.
    fn read(&mut self) -> Result<(), String> {
        while self.received.len() < 256 {
            let mut packet = self.spare.pop().unwrap_or_default();
            packet.resize(1_500, 0);
            match rustix::io::read(self.device.as_fd(), &mut packet[..]) {
                Ok(length) => {
                    packet.truncate(length);
                    self.received.push_back(packet);
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(format!("reading from the device: {error}")),
            }
        }
        Ok(())
    }

    fn wait(&self, longest: Duration) -> Result<(), String> {
        if longest.is_zero() || !self.received.is_empty() {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
        let fd = self.device.as_fd();
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(format!("waiting for the device: {error}")),
        }
    }
}

struct Incoming<'a> {
    packet: Vec<u8>,
    spare: &'a mut Vec<Vec<u8>>,
}

struct Outgoing<'a>(&'a SyncDevice);

impl phy::RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.packet);
        self.spare.push(self.packet);
        result
    }
}

impl phy::TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut packet = [0; 1_500];
        let packet = &mut packet[..length];
        let result = f(packet);
        // A full queue drops, as on any wire.
        let _ = rustix::io::write(self.0.as_fd(), packet);
        result
    }
}

impl phy::Device for Port {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Incoming { packet, spare: &mut self.spare }, Outgoing(&self.device)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&self.device))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}
