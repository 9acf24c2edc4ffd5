//! Making and configuring devices: the few messages of rtnetlink(7) that takes.

use std::io;
use std::net::IpAddr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, netlink, recv, sendto,
    socket_with,
};

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLMSG_ERROR`, and `RTMGRP_LINK`.
const ERROR: u16 = 2;
const EVENTS_OF_LINKS: u32 = 1;
/// How long a device may take to come up.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// `RTM_NEWLINK`, `RTM_GETLINK` and `RTM_NEWADDR`.
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_ACK`, and `NLM_F_CREATE | NLM_F_EXCL`.
const REQUEST: u16 = 0x5;
const CREATE: u16 = 0x600;

/// Attributes of links (`linux/if_link.h`, `linux/veth.h`) and of addresses (`linux/if_addr.h`).
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_QUEUE: u16 = 6;
const LINK_INFO: u16 = 18;
const LINK_GSO_MAX_SEGMENTS: u16 = 40;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// `IFF_UP` and `IFF_NOARP`: nobody is asked who has an address.
const UP: u32 = 1;
const NO_ARP: u32 = 1 << 7;

/// Talks to the kernel about the devices of the namespace it was opened in.
pub(super) struct Route {
    requests: OwnedFd,
    /// Hears when a device changes.
    events: OwnedFd,
}

impl Route {
    pub(super) fn open() -> io::Result<Self> {
        // No protocol: NETLINK_ROUTE is number 0.
        let socket =
            |flags| socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC | flags, None);
        let events = socket(SocketFlags::NONBLOCK)?;
        bind(&events, &netlink::SocketAddrNetlink::new(0, EVENTS_OF_LINKS))?;
        Ok(Self { requests: socket(SocketFlags::empty())?, events })
    }

    /// Makes two devices that are the ends of a wire. The first one has a hardware address, and hands on segment by segment: nobody behind it would
    /// cut larger packets.
    pub(super) fn make_pair(&self, one: &str, address: [u8; 6], other: &str, mtu: u16) -> io::Result<()> {
        let mtu = u32::from(mtu).to_ne_bytes();
        let mut peer = link_header(0, 0);
        push(&mut peer, LINK_NAME, &terminated(other));
        push(&mut peer, LINK_MTU, &mtu);
        let mut data = Vec::new();
        push(&mut data, VETH_PEER, &peer);
        let mut info = Vec::new();
        push(&mut info, INFO_KIND, b"veth");
        push(&mut info, INFO_DATA, &data);
        let mut body = link_header(0, 0);
        push(&mut body, LINK_NAME, &terminated(one));
        push(&mut body, LINK_ADDRESS, &address);
        push(&mut body, LINK_MTU, &mtu);
        push(&mut body, LINK_GSO_MAX_SEGMENTS, &1_u32.to_ne_bytes());
        push(&mut body, LINK_INFO, &info);
        self.ask(NEW_LINK, CREATE, &body)
    }

    /// Turns devices on, without address resolution, and waits until they take packets: the kernel sees to that
    /// beside, and drops what comes before.
    pub(super) fn turn_on(&self, indices: [u32; 2]) -> io::Result<()> {
        for index in indices {
            self.ask(NEW_LINK, 0, &link_header(index, UP | NO_ARP))?;
        }
        for index in indices {
            while !self.takes_packets(index)? {
                let mut polled = [PollFd::new(&self.events, PollFlags::IN)];
                if poll(&mut polled, Some(&PATIENCE))? == 0 {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the devices do not come up"));
                }
                let mut event = [0; 4_096];
                while recv(&self.events, &mut event[..], RecvFlags::empty()).is_ok() {}
            }
        }
        Ok(())
    }

    /// Whether its queue is another one than that of a device without a wire, which drops everything.
    fn takes_packets(&self, index: u32) -> io::Result<bool> {
        let answer = self.exchange(GET_LINK, 0, &link_header(index, 0))?;
        // The answer, and behind it the acknowledgment: attributes begin behind the two headers.
        let length = answer.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        let mut rest = answer.get(32..length).unwrap_or_default();
        while let Some([l0, l1, k0, k1, ..]) = rest.get(..4) {
            let (length, kind) = (u16::from_ne_bytes([*l0, *l1]), u16::from_ne_bytes([*k0, *k1]));
            let Some(value) = rest.get(4..usize::from(length)) else { break };
            if kind == LINK_QUEUE {
                return Ok(!value.starts_with(b"noop\0"));
            }
            rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        }
        // A kernel that does not say.
        Ok(true)
    }

    /// Gives a device an address; the network around it is behind it.
    pub(super) fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let (family, bytes) = match address {
            IpAddr::V4(address) => (AddressFamily::INET, address.octets().to_vec()),
            IpAddr::V6(address) => (AddressFamily::INET6, address.octets().to_vec()),
        };
        // struct ifaddrmsg
        let mut body = vec![family.as_raw() as u8, prefix, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        push(&mut body, LOCAL, &bytes);
        push(&mut body, ADDRESS, &bytes);
        self.ask(NEW_ADDRESS, CREATE, &body)
    }

    /// Number of the device called `name`.
    pub(super) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(netdevice::name_to_index(&self.requests, name)?)
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.exchange(kind, flags, body).map(drop)
    }

    /// Sends a request, and gives what the kernel answers, if that is no error.
    fn exchange(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        // struct nlmsghdr
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(body);
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        sendto(&self.requests, &message, SendFlags::empty(), &kernel)?;
        let mut answer = Vec::new();
        let mut piece = [0; 16_384];
        loop {
            let (length, _) = recv(&self.requests, &mut piece[..], RecvFlags::empty())?;
            let piece = piece.get(..length).unwrap_or_default();
            let kind = piece.get(4..6).and_then(|kind| kind.first_chunk()).copied().map(u16::from_ne_bytes);
            if kind != Some(ERROR) {
                answer.extend_from_slice(piece);
                continue;
            }
            // An acknowledgment is an error of number 0, behind the header.
            let errno = piece.get(HEADER..HEADER + 4).and_then(|errno| errno.first_chunk()).copied();
            return match errno.map(i32::from_ne_bytes) {
                Some(0) => Ok(answer),
                Some(errno) => Err(io::Error::from_raw_os_error(errno.wrapping_neg())),
                None => Err(io::Error::other("the kernel's answer is too short")),
            };
        }
    }
}

/// `struct ifinfomsg`, of a device or of a new one, with the flags it is to have.
fn link_header(index: u32, flags: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    for word in [index, flags, flags] {
        header.extend_from_slice(&word.to_ne_bytes());
    }
    header
}

fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
