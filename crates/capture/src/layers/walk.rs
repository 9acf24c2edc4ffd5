//! Layer by layer from the first byte of a packet to its transport.

use super::ip::{self, Ip};
use super::path::{PathKey, PathStep};
use super::rest::Rest;
use super::{Why, link, tunnel};

/// The numbers of the protocols of IP (IANA).
pub(super) mod protocol {
    pub(in crate::layers) const HOP_BY_HOP: u8 = 0;
    pub(in crate::layers) const ICMP: u8 = 1;
    pub(in crate::layers) const IPV4: u8 = 4;
    pub(in crate::layers) const TCP: u8 = 6;
    pub(in crate::layers) const UDP: u8 = 17;
    pub(in crate::layers) const IPV6: u8 = 41;
    pub(in crate::layers) const ROUTING: u8 = 43;
    pub(in crate::layers) const FRAGMENT: u8 = 44;
    pub(in crate::layers) const GRE: u8 = 47;
    pub(in crate::layers) const AUTHENTICATION: u8 = 51;
    pub(in crate::layers) const ICMP_V6: u8 = 58;
    pub(in crate::layers) const NO_NEXT: u8 = 59;
    pub(in crate::layers) const DESTINATION_OPTIONS: u8 = 60;
    pub(in crate::layers) const IP_IN_IP_ENCAPSULATION: u8 = 94;
    pub(in crate::layers) const ETHER_IP: u8 = 97;
    pub(in crate::layers) const MOBILITY: u8 = 135;
    pub(in crate::layers) const MPLS: u8 = 137;
    pub(in crate::layers) const HIP: u8 = 139;
    pub(in crate::layers) const SHIM6: u8 = 140;
}

/// What begins at the next byte.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    Ethernet,
    Vlan,
    /// A tag of so many bytes before a type.
    Tag(u8),
    Backbone,
    FabricPath,
    Llc,
    Cooked,
    Cooked2,
    Loopback,
    Ppp,
    PppWithDirection,
    Pppoe,
    CiscoHdlc,
    Mpls,
    /// IP of either version.
    Ip,
    V4,
    V6,
    /// What IP carries, by its protocol.
    Payload(u8),
    Gre,
}

/// Where a layer leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Into(Layer),
    Found(Found),
}

/// Where the walk ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// A TCP header comes next.
    Tcp,
    /// An ICMP message comes next.
    Icmp,
    /// A part of a datagram comes next.
    Fragment(FragmentHeader),
    NotTcp(Carried),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentHeader {
    pub(super) identification: u32,
    pub(super) protocol: u8,
    pub(super) start: u32,
    pub(super) more: bool,
}

/// What a packet carries instead of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carried {
    /// A protocol by its number in Ethernet's type field: 0x0806 is ARP.
    EtherType(u16),
    /// IEEE 802.2 without IP.
    Llc,
    /// A protocol of PPP by its number.
    Ppp(u16),
    /// An address family by its number, on a BSD loopback.
    Family(u32),
    /// A control message of an MPLS pseudowire.
    MplsControl,
    /// A protocol of IP by its number: 17 is UDP, 50 is what IPsec encrypts.
    Protocol(u8),
}

/// So many layers are gone through. No packet that means well has as many.
const DEPTH: u32 = 48;

/// A packet on its way through the layers.
pub(super) struct Walk<'a> {
    pub(super) rest: Rest<'a>,
    pub(super) path: PathKey,
    pub(super) ip: Ip,
}

impl Walk<'_> {
    #[inline]
    pub(super) fn run(&mut self, mut layer: Layer) -> Result<Found, Why> {
        for _ in 0..DEPTH {
            match self.step(layer)? {
                Turn::Into(next) => layer = next,
                Turn::Found(found) => return Ok(found),
            }
        }
        Err(Why::TooDeep)
    }

    #[inline]
    fn step(&mut self, layer: Layer) -> Result<Turn, Why> {
        match layer {
            Layer::Payload(protocol::TCP) => Ok(Turn::Found(Found::Tcp)),
            Layer::V4 => ip::v4(self),
            Layer::Ethernet => link::ethernet(self),
            Layer::V6 => ip::v6(self),
            Layer::Payload(protocol) => self.payload(protocol),
            Layer::Vlan => link::vlan(self),
            Layer::Tag(length) => link::tag(self, length.into()),
            Layer::Backbone => link::backbone(self),
            Layer::FabricPath => link::fabric_path(self),
            Layer::Llc => link::llc(self),
            Layer::Cooked => link::cooked(self),
            Layer::Cooked2 => link::cooked2(self),
            Layer::Loopback => link::loopback(self),
            Layer::Ppp => link::ppp(self),
            Layer::PppWithDirection => link::ppp_with_direction(self),
            Layer::Pppoe => link::pppoe(self),
            Layer::CiscoHdlc => link::cisco_hdlc(self),
            Layer::Mpls => link::mpls(self),
            Layer::Ip => ip::either(self),
            Layer::Gre => tunnel::gre(self),
        }
    }

    fn payload(&mut self, number: u8) -> Result<Turn, Why> {
        let is_v4 = self.ip.source.is_v4();
        match number {
            protocol::TCP => Ok(Turn::Found(Found::Tcp)),
            protocol::UDP => tunnel::udp(self),
            protocol::ICMP if is_v4 => Ok(Turn::Found(Found::Icmp)),
            protocol::ICMP_V6 if !is_v4 => Ok(Turn::Found(Found::Icmp)),
            protocol::IPV4 | protocol::IP_IN_IP_ENCAPSULATION => {
                self.path.push(PathStep::IpInIp);
                Ok(Turn::Into(Layer::V4))
            }
            protocol::IPV6 => {
                self.path.push(PathStep::IpInIp);
                Ok(Turn::Into(Layer::V6))
            }
            protocol::GRE => Ok(Turn::Into(Layer::Gre)),
            protocol::ETHER_IP => tunnel::ether_ip(self),
            protocol::MPLS => Ok(Turn::Into(Layer::Mpls)),
            protocol::AUTHENTICATION => {
                ip::authentication(&mut self.rest).map(Layer::Payload).map(Turn::Into)
            }
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6
                if !is_v4 =>
            {
                // Behind a fragment that was put together, or an authentication.
                ip::extensions(self, number)
            }
            // What IPsec encrypts among them.
            _ => Ok(Turn::Found(Found::NotTcp(Carried::Protocol(number)))),
        }
    }
}
