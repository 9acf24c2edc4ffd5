//! Tunnels: GRE, and those over UDP.

use super::Why;
use super::ip;
use super::link::{by_ether_type, ether_type};
use super::path::PathStep;
use super::rest::Rest;
use super::walk::{Carried, Found, Layer, Turn, Walk, protocol};

/// Ports of UDP where tunnels end.
mod port {
    pub(super) const GTP: u16 = 2_152;
    pub(super) const TEREDO: u16 = 3_544;
    pub(super) const GRE: u16 = 4_754;
    pub(super) const VXLAN: u16 = 4_789;
    pub(super) const AYIYA: u16 = 5_072;
    pub(super) const GENEVE: u16 = 6_081;
    /// VXLAN's, before it had one.
    pub(super) const OLD_VXLAN: u16 = 8_472;
}

/// ERSPAN's numbers among Ethernet's types.
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

/// GRE (RFC 2784, RFC 2890) and its version 1 for PPTP (RFC 2637 §4.1).
pub(super) fn gre(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[flags, version, t0, t1] = walk.rest.take()?;
    let kind = u16::from_be_bytes([t0, t1]);
    let has = |bit: u8| flags & bit != 0;
    let (checksum, routing, key, sequence) = (has(0x80), has(0x40), has(0x20), has(0x10));
    match version & 7 {
        0 if routing => return Err(Why::GreRouting),
        0 => {}
        1 => return pptp(walk, kind, sequence, version & 0x80 != 0),
        version => return Err(Why::GreVersion(version)),
    }
    if checksum {
        walk.rest.skip(4)?;
    }
    let key = if key { Some(u32::from_be_bytes(*walk.rest.take()?)) } else { None };
    if sequence {
        walk.rest.skip(4)?;
    }
    match kind {
        // Without a number it is ERSPAN's first type, which has no header of its own.
        ERSPAN if sequence => {
            let &[_, _, s0, s1, _, _, _, _] = walk.rest.take()?;
            walk.path.push(PathStep::Erspan(u16::from_be_bytes([s0, s1]) & 0x3ff));
            return Ok(Turn::Into(Layer::Ethernet));
        }
        ERSPAN_3 => {
            let &[_, _, s0, s1, _, _, _, _, _, _, _, flags] = walk.rest.take()?;
            walk.path.push(PathStep::Erspan(u16::from_be_bytes([s0, s1]) & 0x3ff));
            if flags & 1 == 1 {
                walk.rest.skip(8)?;
            }
            return Ok(Turn::Into(Layer::Ethernet));
        }
        _ => walk.path.push(key.map_or(PathStep::Gre, PathStep::GreKey)),
    }
    match kind {
        ERSPAN => Ok(Turn::Into(Layer::Ethernet)),
        kind => by_ether_type(kind),
    }
}

fn pptp(walk: &mut Walk<'_>, kind: u16, sequence: bool, acknowledgment: bool) -> Result<Turn, Why> {
    let &[_, _, c0, c1] = walk.rest.take()?;
    walk.path.push(PathStep::Pptp(u16::from_be_bytes([c0, c1])));
    walk.rest.skip(4 * (usize::from(sequence) + usize::from(acknowledgment)))?;
    if walk.rest.length == 0 {
        // Only an acknowledgment.
        return Ok(Turn::Found(Found::NotTcp(Carried::Protocol(protocol::GRE))));
    }
    by_ether_type(kind)
}

/// Ethernet in IP (RFC 3378).
pub(super) fn ether_ip(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    walk.rest.skip(2)?;
    walk.path.push(PathStep::EtherIp);
    Ok(Turn::Into(Layer::Ethernet))
}

/// A datagram, and the tunnel that its port announces. What is no tunnel is no error.
pub(super) fn udp(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    const NOT_TCP: Turn = Turn::Found(Found::NotTcp(Carried::Protocol(protocol::UDP)));
    let &[s0, s1, d0, d1, l0, l1, _, _] = walk.rest.take()?;
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let told = usize::from(u16::from_be_bytes([l0, l1]));
    // 0 is a jumbogram's (RFC 2675 §4), or a large datagram that a card was to cut.
    if let Some(length) = told.checked_sub(8)
        && length <= walk.rest.length
    {
        walk.rest.limit(length);
    }
    let is = |port| source == port || destination == port;
    let tunnel = match destination {
        port::VXLAN | port::OLD_VXLAN => vxlan(&walk.rest),
        port::GENEVE => geneve(&walk.rest, false),
        port::GRE => return Ok(Turn::Into(Layer::Gre)),
        _ if is(port::GTP) => gtp(&walk.rest),
        _ if is(port::TEREDO) => teredo(&walk.rest),
        _ if is(port::AYIYA) => ayiya(&walk.rest),
        _ => gtp(&walk.rest).or_else(|| geneve(&walk.rest, true)),
    };
    let Some(Tunnel { header, step, inside }) = tunnel else { return Ok(NOT_TCP) };
    walk.rest.skip(header)?;
    walk.path.push(step);
    match inside {
        Inside::Layer(layer) => Ok(Turn::Into(layer)),
        Inside::EtherType(kind) => by_ether_type(kind),
    }
}

/// A tunnel's header was recognised.
struct Tunnel {
    header: usize,
    step: PathStep,
    inside: Inside,
}

enum Inside {
    Layer(Layer),
    EtherType(u16),
}

/// RFC 7348 §5: the flag that there is an identifier is always set.
fn vxlan(rest: &Rest<'_>) -> Option<Tunnel> {
    let &[flags, _, _, _, high, middle, low, _] = rest.bytes.first_chunk()?;
    let step = PathStep::Vxlan(u32::from_be_bytes([0, high, middle, low]));
    (flags & 0x08 != 0).then_some(Tunnel { header: 8, step, inside: Inside::Layer(Layer::Ethernet) })
}

/// RFC 8926 §3.4. On another port than its own what is inside has to make sense too.
fn geneve(rest: &Rest<'_>, guess: bool) -> Option<Tunnel> {
    let &[first, flags, t0, t1, high, middle, low, reserved] = rest.bytes.first_chunk()?;
    let header = 8 + usize::from(first & 0x3f) * 4;
    let kind = u16::from_be_bytes([t0, t1]);
    if first >> 6 != 0 {
        return None;
    }
    if guess {
        let mut inner = *rest;
        inner.skip(header).ok()?;
        let sound = match kind {
            ether_type::IPV4 | ether_type::IPV6 => ip::is_plausible(&inner),
            ether_type::ETHERNET => match inner.half(12)? {
                ether_type::IPV4 | ether_type::IPV6 => {
                    inner.skip(14).ok()?;
                    ip::is_plausible(&inner)
                }
                ether_type::VLAN => true,
                _ => false,
            },
            _ => false,
        };
        if flags & 0x3f != 0 || reserved != 0 || !sound {
            return None;
        }
    }
    let step = PathStep::Geneve(u32::from_be_bytes([0, high, middle, low]));
    Some(Tunnel { header, step, inside: Inside::EtherType(kind) })
}

/// A T-PDU of GTP version 1 (3GPP TS 29.281 §5.1) whose length is the datagram's and that carries IP.
fn gtp(rest: &Rest<'_>) -> Option<Tunnel> {
    const T_PDU: u8 = 0xff;
    let &[flags, kind, l0, l1, e0, e1, e2, e3] = rest.bytes.first_chunk()?;
    let told = usize::from(u16::from_be_bytes([l0, l1]));
    // Version 1, "GTP" and not "GTP prime", the spare bit zero.
    if flags & 0xf8 != 0x30 || kind != T_PDU || told + 8 != rest.length {
        return None;
    }
    let mut inner = *rest;
    inner.skip(8).ok()?;
    if flags & 7 != 0 {
        let &[_, _, _, mut next] = inner.take().ok()?;
        while next != 0 {
            // Their length is in units of four bytes, the type of the next at the end.
            let &[words] = inner.peek().ok()?;
            let length = usize::from(words) * 4;
            next = *inner.bytes.get(length.checked_sub(1)?)?;
            inner.skip(length).ok()?;
        }
    }
    let step = PathStep::Gtp(u32::from_be_bytes([e0, e1, e2, e3]));
    let header = inner.offset - rest.offset;
    ip::is_plausible(&inner).then_some(Tunnel { header, step, inside: Inside::Layer(Layer::Ip) })
}

/// RFC 4380 §5.1.1: perhaps an authentication, perhaps an origin, then IPv6.
fn teredo(rest: &Rest<'_>) -> Option<Tunnel> {
    let mut inner = *rest;
    if let [0, 1, id, value, ..] = *inner.bytes {
        inner.skip(4 + usize::from(id) + usize::from(value) + 9).ok()?;
    }
    if inner.bytes.starts_with(&[0, 0]) {
        inner.skip(8).ok()?;
    }
    let is_v6 = inner.bytes.first().is_some_and(|first| first >> 4 == 6);
    (is_v6 && ip::is_plausible(&inner)).then_some(Tunnel {
        header: inner.offset - rest.offset,
        step: PathStep::Teredo,
        inside: Inside::Layer(Layer::V6),
    })
}

/// AYIYA (draft-massar-v6ops-ayiya): an identity and a signature whose lengths are told, and what is carried.
fn ayiya(rest: &Rest<'_>) -> Option<Tunnel> {
    const FORWARD: u8 = 1;
    let &[identity, signature, operation, next, _, _, _, _] = rest.bytes.first_chunk()?;
    let header = 8 + (1 << (identity >> 4).min(8)) + usize::from(signature >> 4) * 4;
    let mut inner = *rest;
    inner.skip(header).ok()?;
    let carries_v6 = operation & 0xf == FORWARD && next == protocol::IPV6;
    (carries_v6 && ip::is_plausible(&inner)).then_some(Tunnel {
        header,
        step: PathStep::Ayiya,
        inside: Inside::Layer(Layer::V6),
    })
}
