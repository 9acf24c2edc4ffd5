//! From a link's header to IP: Ethernet with its tags, cooked captures, PPP, MPLS.

use super::Why;
use super::ip;
use super::path::PathStep;
use super::walk::{Carried, Found, Layer, Turn, Walk};
use crate::LinkType;

/// The numbers of protocols in Ethernet's type field (IEEE).
pub(super) mod ether_type {
    pub(in crate::layers) const IPV4: u16 = 0x0800;
    pub(in crate::layers) const IPV6: u16 = 0x86dd;
    pub(in crate::layers) const VLAN: u16 = 0x8100;
    pub(in crate::layers) const SERVICE_VLAN: u16 = 0x88a8;
    /// QinQ before it was standardised.
    pub(in crate::layers) const OLD_SERVICE_VLAN: u16 = 0x9100;
    pub(in crate::layers) const BACKBONE: u16 = 0x88e7;
    pub(in crate::layers) const VN_TAG: u16 = 0x8926;
    pub(in crate::layers) const E_TAG: u16 = 0x893f;
    pub(in crate::layers) const FABRIC_PATH: u16 = 0x8903;
    pub(in crate::layers) const MPLS: u16 = 0x8847;
    pub(in crate::layers) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in crate::layers) const PPPOE_SESSION: u16 = 0x8864;
    pub(in crate::layers) const PPP: u16 = 0x880b;
    /// "Transparent Ethernet bridging" in GRE and its like.
    pub(in crate::layers) const ETHERNET: u16 = 0x6558;
    /// Below this it is a length (IEEE 802.3 §3.2.6).
    pub(in crate::layers) const LEAST: u16 = 0x0600;
    /// In a cooked capture: a frame of 802.2.
    pub(in crate::layers) const COOKED_LLC: u16 = 4;
}

/// What a captured packet begins with.
#[inline]
pub(super) fn first(link: LinkType) -> Option<Layer> {
    Some(match link {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 | LinkType::IPV4 | LinkType::IPV6 => Layer::Ip,
        LinkType::LINUX_SLL => Layer::Cooked,
        LinkType::LINUX_SLL2 => Layer::Cooked2,
        LinkType::NULL | LinkType::LOOP => Layer::Loopback,
        LinkType::PPP | LinkType::PPP_HDLC => Layer::Ppp,
        LinkType::PPP_WITH_DIRECTION => Layer::PppWithDirection,
        LinkType::PPPOE => Layer::Pppoe,
        LinkType::CISCO_HDLC => Layer::CiscoHdlc,
        LinkType::MPLS => Layer::Mpls,
        _ => return None,
    })
}

#[inline]
pub(super) fn ethernet(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[.., t0, t1] = walk.rest.take::<14>()?;
    by_ether_type(u16::from_be_bytes([t0, t1]))
}

/// What a type field announces.
#[inline]
pub(super) fn by_ether_type(kind: u16) -> Result<Turn, Why> {
    Ok(Turn::Into(match kind {
        ether_type::IPV4 => Layer::V4,
        ether_type::IPV6 => Layer::V6,
        ether_type::VLAN | ether_type::SERVICE_VLAN | ether_type::OLD_SERVICE_VLAN => Layer::Vlan,
        ether_type::BACKBONE => Layer::Backbone,
        ether_type::VN_TAG => Layer::Tag(4),
        ether_type::E_TAG => Layer::Tag(6),
        ether_type::FABRIC_PATH => Layer::FabricPath,
        ether_type::MPLS | ether_type::MPLS_MULTICAST => Layer::Mpls,
        ether_type::PPPOE_SESSION => Layer::Pppoe,
        ether_type::PPP => Layer::Ppp,
        ether_type::ETHERNET => Layer::Ethernet,
        length if length < ether_type::LEAST => Layer::Llc,
        other => return Ok(Turn::Found(Found::NotTcp(Carried::EtherType(other)))),
    }))
}

/// A tag of IEEE 802.1Q, and the type behind it.
pub(super) fn vlan(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[c0, c1, t0, t1] = walk.rest.take()?;
    walk.path.push(PathStep::Vlan(u16::from_be_bytes([c0, c1]) & 0xfff));
    by_ether_type(u16::from_be_bytes([t0, t1]))
}

/// A tag that says nothing of interest, of so many bytes, and the type behind it.
pub(super) fn tag(walk: &mut Walk<'_>, length: usize) -> Result<Turn, Why> {
    walk.rest.skip(length)?;
    let &[t0, t1] = walk.rest.take()?;
    by_ether_type(u16::from_be_bytes([t0, t1]))
}

/// The service tag of IEEE 802.1ah; the customer's frame follows.
pub(super) fn backbone(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[_, high, middle, low] = walk.rest.take()?;
    walk.path.push(PathStep::Backbone(u32::from_be_bytes([0, high, middle, low])));
    Ok(Turn::Into(Layer::Ethernet))
}

/// Cisco FabricPath: two bytes of forwarding tag and hop count, then the frame as it was.
pub(super) fn fabric_path(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    walk.rest.skip(2)?;
    Ok(Turn::Into(Layer::Ethernet))
}

/// IEEE 802.2, with SNAP (RFC 1042) or without.
pub(super) fn llc(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    match *walk.rest.peek::<3>()? {
        [0xaa, 0xaa, 0x03] => {
            let &[_, _, _, o0, o1, o2, t0, t1] = walk.rest.take()?;
            match [o0, o1, o2] {
                // The type field of Ethernet; the second for those that have to stay apart (IEEE 802.1H).
                [0, 0, 0 | 0xf8] => by_ether_type(u16::from_be_bytes([t0, t1])),
                _ => Ok(Turn::Found(Found::NotTcp(Carried::Llc))),
            }
        }
        // IP without SNAP (RFC 948).
        [0x06, 0x06, 0x03] => {
            walk.rest.skip(3)?;
            Ok(Turn::Into(Layer::V4))
        }
        _ => Ok(Turn::Found(Found::NotTcp(Carried::Llc))),
    }
}

/// Linux "cooked" capture: 16 bytes, the last two of them the type.
pub(super) fn cooked(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[.., t0, t1] = walk.rest.take::<16>()?;
    by_cooked_type(u16::from_be_bytes([t0, t1]))
}

/// Version 2: 20 bytes, the first two of them the type.
pub(super) fn cooked2(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[t0, t1, ..] = walk.rest.take::<20>()?;
    by_cooked_type(u16::from_be_bytes([t0, t1]))
}

fn by_cooked_type(kind: u16) -> Result<Turn, Why> {
    match kind {
        ether_type::COOKED_LLC => Ok(Turn::Into(Layer::Llc)),
        // Numbers of Linux's own, no lengths.
        kind if kind < ether_type::LEAST => Ok(Turn::Found(Found::NotTcp(Carried::EtherType(kind)))),
        kind => by_ether_type(kind),
    }
}

/// BSD loopback: the address family, in whichever byte order makes it small.
pub(super) fn loopback(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let bytes = *walk.rest.take::<4>()?;
    match u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes)) {
        // AF_INET; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => ip::either(walk),
        family => Ok(Turn::Found(Found::NotTcp(Carried::Family(family)))),
    }
}

/// PPP, with or without its framing's address and control, its protocol in one byte or two (RFC 1661).
pub(super) fn ppp(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    if walk.rest.bytes.starts_with(&[0xff, 0x03]) {
        walk.rest.skip(2)?;
    }
    let &[first] = walk.rest.take()?;
    let protocol = if first & 1 == 1 {
        first.into()
    } else {
        let &[second] = walk.rest.take()?;
        u16::from_be_bytes([first, second])
    };
    Ok(match protocol {
        0x0021 => Turn::Into(Layer::V4),
        0x0057 => Turn::Into(Layer::V6),
        0x0281 | 0x0283 => Turn::Into(Layer::Mpls),
        other => Turn::Found(Found::NotTcp(Carried::Ppp(other))),
    })
}

pub(super) fn ppp_with_direction(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    walk.rest.skip(1)?;
    Ok(Turn::Into(Layer::Ppp))
}

pub(super) fn pppoe(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[version, code, s0, s1, l0, l1] = walk.rest.take()?;
    if version != 0x11 || code != 0 {
        return Ok(Turn::Found(Found::NotTcp(Carried::EtherType(ether_type::PPPOE_SESSION))));
    }
    walk.path.push(PathStep::Pppoe(u16::from_be_bytes([s0, s1])));
    // Large segments that a card was to cut have a length of 0 or of one piece; then IP knows better.
    let told = usize::from(u16::from_be_bytes([l0, l1]));
    if told >= 20 && told <= walk.rest.length && told + 64 > walk.rest.length {
        walk.rest.limit(told);
    }
    Ok(Turn::Into(Layer::Ppp))
}

/// Cisco's HDLC: address, control, and the type of Ethernet.
pub(super) fn cisco_hdlc(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[_, _, t0, t1] = walk.rest.take()?;
    by_ether_type(u16::from_be_bytes([t0, t1]))
}

/// Labels, and what is behind the last: nothing says it, so the first bytes have to (RFC 4928).
pub(super) fn mpls(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    loop {
        let &[a, b, c, _] = walk.rest.take()?;
        let label = u32::from_be_bytes([0, a, b, c]) >> 4;
        walk.path.push(PathStep::Mpls(label));
        if c & 1 == 0 {
            continue;
        }
        let &[first] = walk.rest.peek()?;
        return Ok(match (label, first >> 4) {
            // "Explicit null" labels say which version it is.
            (0, 4) => Turn::Into(Layer::V4),
            (2, 6) => Turn::Into(Layer::V6),
            (_, 4 | 6) if ip::is_plausible(&walk.rest) || !carries_ethernet(walk, 0) => Turn::Into(Layer::Ip),
            (_, 0) if carries_ethernet(walk, 4) || !carries_ethernet(walk, 0) => {
                // The control word of a pseudowire (RFC 4448).
                walk.rest.skip(4)?;
                Turn::Into(Layer::Ethernet)
            }
            (_, 1) if !carries_ethernet(walk, 0) => Turn::Found(Found::NotTcp(Carried::MplsControl)),
            _ => Turn::Into(Layer::Ethernet),
        });
    }
}

/// Whether a frame that we know begins so many bytes on.
fn carries_ethernet(walk: &Walk<'_>, at: usize) -> bool {
    walk.rest.half(at + 12).is_some_and(|kind| {
        matches!(
            kind,
            ether_type::IPV4
                | ether_type::IPV6
                | ether_type::VLAN
                | ether_type::SERVICE_VLAN
                | ether_type::MPLS
                | ether_type::PPPOE_SESSION
                | 0x0806
        )
    })
}
