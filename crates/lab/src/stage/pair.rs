//! A wire made of two devices, where there is no TUN: the kernel has one end, and we listen and speak at the other.
//!
//! That takes nothing but the namespace. What it lacks compared with TUN is made up for here: frames have an Ethernet
//! header, and checksums are left to a network card that is not there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use eleven_tcp::Segment;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use super::route::Route;
use super::sysctl;

/// Name of our end.
const FAR_END: &str = "eleven0-peer";

/// Hardware address of the kernel's end: what it takes for its own.
const NEAR_END: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// An Ethernet header.
const HEADER: usize = 14;
const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];

/// The wire.
pub(super) struct Pair {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Pair {
    /// Makes it in the namespace of the calling thread; `name` is the kernel's end, with these addresses.
    pub(super) fn new(
        name: &str,
        v4: (Ipv4Addr, u8),
        v6: Option<(Ipv6Addr, u8)>,
        mtu: u16,
    ) -> io::Result<Self> {
        let route = Route::open()?;
        route.make_pair(name, NEAR_END, FAR_END, mtu)?;
        // Our end has no address, and no use for one.
        let _ = sysctl::write(&format!("net.ipv6.conf.{FAR_END}.disable_ipv6"), "1");
        let (near, far) = (route.index(name)?, route.index(FAR_END)?);
        route.turn_on([far, near])?;
        route.add_address(near, v4.0.into(), v4.1)?;
        if let Some((address, bits)) = v6 {
            route.add_address(near, address.into(), bits)?;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol nothing comes before it is bound: else this would hear other devices too.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        bind(socket.as_fd(), far)?;
        Ok(Self { socket, buffer: vec![0; HEADER + 65_535] })
    }

    /// The next packet that the kernel sends, if there is one.
    pub(super) fn read(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let (length, _) = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_ip =
                self.buffer.get(12..HEADER).is_some_and(|kind| kind == ETHERTYPE_V4 || kind == ETHERTYPE_V6);
            if length > HEADER && is_ip {
                let packet = &mut self.buffer[HEADER..length];
                complete_checksum(packet);
                return Ok(Some(packet));
            }
        }
    }

    /// Hands the kernel a packet.
    pub(super) fn write(&self, packet: &[u8]) -> io::Result<()> {
        let kind =
            if packet.first().is_some_and(|first| first >> 4 == 6) { ETHERTYPE_V6 } else { ETHERTYPE_V4 };
        let frame = [&NEAR_END[..], &NEAR_END, &kind, packet].concat();
        match send(&self.socket, &frame, SendFlags::empty()) {
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The sum of the pseudo-header is all that the kernel puts in where a card sums up the rest.
fn complete_checksum(packet: &mut [u8]) {
    let Some((source, destination, header)) = tcp_at(packet) else { return };
    let Some(bytes) = packet.get_mut(header..) else { return };
    if !Segment::has_partial_checksum(bytes, source, destination) {
        return;
    }
    let mut whole = Vec::with_capacity(bytes.len());
    if let Ok(segment) = Segment::parse(bytes) {
        segment.emit(source, destination, &mut whole);
    }
    if whole.len() == bytes.len() {
        bytes.copy_from_slice(&whole);
    }
}

/// The addresses of a packet that carries TCP, and where that begins.
fn tcp_at(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    const TCP: u8 = 6;
    let address = |at: usize| -> Option<[u8; 4]> { packet.get(at..)?.first_chunk().copied() };
    let wide = |at: usize| -> Option<[u8; 16]> { packet.get(at..)?.first_chunk().copied() };
    match packet.first()? >> 4 {
        4 if *packet.get(9)? == TCP => {
            Some((address(12)?.into(), address(16)?.into(), usize::from(packet[0] & 0xf) * 4))
        }
        6 if *packet.get(6)? == TCP => Some((wide(8)?.into(), wide(24)?.into(), 40)),
        _ => None,
    }
}

/// Binds a packet socket to a device: packets come from here on.
fn bind(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads an address of that length, and keeps no pointer to it.
    #[allow(unsafe_code, reason = "no safe wrapper knows addresses of this family")]
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
