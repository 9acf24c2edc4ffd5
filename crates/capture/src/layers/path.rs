//! The way a segment took into its packet: VLANs, labels, tunnels, the interface.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::BitOr;

/// One step of a [`PathKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathStep {
    /// A VLAN, by its id (IEEE 802.1Q).
    Vlan(u16),
    /// A service of a provider backbone, by its I-SID (IEEE 802.1ah).
    Backbone(u32),
    /// An MPLS label (RFC 3032).
    Mpls(u32),
    /// A PPPoE session (RFC 2516).
    Pppoe(u16),
    /// VXLAN, by its network identifier (RFC 7348).
    Vxlan(u32),
    /// Geneve, by its network identifier (RFC 8926).
    Geneve(u32),
    /// GRE without a key (RFC 2784).
    Gre,
    /// GRE with a key (RFC 2890).
    GreKey(u32),
    /// PPTP, by the call id of the receiver (RFC 2637).
    Pptp(u16),
    /// ERSPAN, by its session.
    Erspan(u16),
    /// GTP-U, by the receiver's tunnel endpoint (3GPP TS 29.281).
    Gtp(u32),
    /// IP in IP of either version (RFC 2003, RFC 4213, RFC 2473).
    IpInIp,
    /// Ethernet in IP (RFC 3378).
    EtherIp,
    /// Teredo (RFC 4380).
    Teredo,
    /// AYIYA.
    Ayiya,
}

impl PathStep {
    /// Its kind and its number.
    const fn pack(self) -> u64 {
        let (kind, number): (u64, u32) = match self {
            Self::Vlan(id) => (1, id as u32),
            Self::Backbone(id) => (2, id),
            Self::Mpls(label) => (3, label),
            Self::Pppoe(session) => (4, session as u32),
            Self::Vxlan(id) => (5, id),
            Self::Geneve(id) => (6, id),
            Self::Gre => (7, 0),
            Self::GreKey(key) => (8, key),
            Self::Pptp(call) => (9, call as u32),
            Self::Erspan(session) => (10, session as u32),
            Self::Gtp(endpoint) => (11, endpoint),
            Self::IpInIp => (12, 0),
            Self::EtherIp => (13, 0),
            Self::Teredo => (14, 0),
            Self::Ayiya => (15, 0),
        };
        kind << 32 | number as u64
    }

    const fn unpack(packed: u64) -> Option<Self> {
        let number = packed as u32;
        Some(match packed >> 32 {
            1 => Self::Vlan(number as u16),
            2 => Self::Backbone(number),
            3 => Self::Mpls(number),
            4 => Self::Pppoe(number as u16),
            5 => Self::Vxlan(number),
            6 => Self::Geneve(number),
            7 => Self::Gre,
            8 => Self::GreKey(number),
            9 => Self::Pptp(number as u16),
            10 => Self::Erspan(number as u16),
            11 => Self::Gtp(number),
            12 => Self::IpInIp,
            13 => Self::EtherIp,
            14 => Self::Teredo,
            15 => Self::Ayiya,
            _ => return None,
        })
    }

    /// Which part of a path it belongs to.
    const fn part(self) -> PathParts {
        match self {
            Self::Vlan(_) | Self::Backbone(_) => PathParts::VLAN,
            Self::Mpls(_) => PathParts::MPLS,
            _ => PathParts::TUNNEL,
        }
    }

    /// The same for both directions: the numbers of some tunnels are the receiver's.
    const fn without_direction(self) -> Self {
        match self {
            Self::Gtp(_) => Self::Gtp(0),
            Self::Pptp(_) => Self::Pptp(0),
            other => other,
        }
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vlan(id) => write!(f, "vlan {id}"),
            Self::Backbone(id) => write!(f, "i-sid {id}"),
            Self::Mpls(label) => write!(f, "mpls {label}"),
            Self::Pppoe(session) => write!(f, "pppoe {session}"),
            Self::Vxlan(id) => write!(f, "vxlan {id}"),
            Self::Geneve(id) => write!(f, "geneve {id}"),
            Self::Gre => f.write_str("gre"),
            Self::GreKey(key) => write!(f, "gre {key}"),
            Self::Pptp(call) => write!(f, "pptp {call}"),
            Self::Erspan(session) => write!(f, "erspan {session}"),
            Self::Gtp(endpoint) => write!(f, "gtp {endpoint:#x}"),
            Self::IpInIp => f.write_str("ip-in-ip"),
            Self::EtherIp => f.write_str("etherip"),
            Self::Teredo => f.write_str("teredo"),
            Self::Ayiya => f.write_str("ayiya"),
        }
    }
}

/// Which parts of a path tell flows with the same addresses and ports apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct PathParts(u8);

impl PathParts {
    /// None: the same flow may be seen at several places of its way, or change it.
    pub const NONE: Self = Self(0);
    /// VLANs, and services of a provider backbone.
    pub const VLAN: Self = Self(1);
    /// MPLS labels. Both directions of a flow mostly have other labels.
    pub const MPLS: Self = Self(2);
    /// Tunnels and sessions, with those of their ids that are the same for both directions.
    pub const TUNNEL: Self = Self(4);
    /// The interface where it was captured.
    pub const INTERFACE: Self = Self(8);

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for PathParts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// As many steps are kept, the outermost.
const STEPS: usize = 5;

/// The way a segment took into its packet, from outside to inside: at most five steps, further ones are left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PathKey {
    steps: [u64; STEPS],
    /// One more than the interface's number; 0: none.
    interface: u32,
}

impl PathKey {
    /// Nothing.
    pub const EMPTY: Self = Self { steps: [0; STEPS], interface: 0 };

    pub(super) const fn at(interface: u32) -> Self {
        Self { steps: [0; STEPS], interface: interface.saturating_add(1) }
    }

    pub(super) fn push(&mut self, step: PathStep) {
        if let Some(free) = self.steps.iter_mut().find(|step| **step == 0) {
            *free = step.pack();
        }
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> impl Iterator<Item = PathStep> + '_ {
        self.steps.iter().map_while(|step| PathStep::unpack(*step))
    }

    /// The interface, by its number; `None` where [`Self::identity`] left it out.
    pub const fn interface(&self) -> Option<u32> {
        self.interface.checked_sub(1)
    }

    /// Only what shall tell flows apart, the same for both directions of a flow.
    #[must_use]
    pub fn identity(&self, parts: PathParts) -> Self {
        if parts == PathParts::NONE {
            return Self::EMPTY;
        }
        let interface = if parts.contains(PathParts::INTERFACE) { self.interface } else { 0 };
        let mut key = Self { interface, ..Self::EMPTY };
        let chosen = self.steps().filter(|step| parts.contains(step.part()));
        chosen.for_each(|step| key.push(step.without_direction()));
        key
    }

    /// A number for it: 0 for [`Self::EMPTY`] and for nothing else. The same in every run, so a stranger can
    /// make two paths collide.
    pub fn number(&self) -> u64 {
        if *self == Self::EMPTY {
            return 0;
        }
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        self.hash(&mut hasher);
        hasher.finish().max(1)
    }
}

/// The hash function FNV-1a: stable, and good enough for a handful of paths.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// As `vlan 7, vxlan 42`; nothing if there is nothing. The interface is not named: who knows its name prints it.
impl fmt::Display for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{step}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathKey({self}; {:?})", self.interface())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_and_chosen_from() {
        let mut path = PathKey::at(3);
        assert_eq!((path.to_string().as_str(), path.interface()), ("", Some(3)));
        for step in [PathStep::Vlan(7), PathStep::Mpls(16), PathStep::Gtp(9), PathStep::Vxlan(42)] {
            path.push(step);
        }
        assert_eq!(path.to_string(), "vlan 7, mpls 16, gtp 0x9, vxlan 42");
        assert_eq!(path.identity(PathParts::NONE), PathKey::EMPTY);
        assert_eq!(PathKey::EMPTY.number(), 0);
        let tunnels = path.identity(PathParts::TUNNEL);
        assert_eq!((tunnels.to_string().as_str(), tunnels.interface()), ("gtp 0x0, vxlan 42", None));
        let both = path.identity(PathParts::VLAN | PathParts::INTERFACE);
        assert_eq!((both.to_string().as_str(), both.interface()), ("vlan 7", Some(3)));
        assert_ne!(both.number(), path.identity(PathParts::VLAN).number());
        path.push(PathStep::Gre);
        path.push(PathStep::Teredo);
        assert_eq!(path.steps().last(), Some(PathStep::Gre));
    }

    #[test]
    fn steps_survive_packing() {
        use PathStep as S;
        let number = 0xabcd_ef01;
        for step in [
            S::Vlan(4_095),
            S::Backbone(number),
            S::Mpls(number),
            S::Pppoe(1),
            S::Vxlan(number),
            S::Geneve(number),
            S::Gre,
            S::GreKey(number),
            S::Pptp(65_535),
            S::Erspan(1_023),
            S::Gtp(number),
            S::IpInIp,
            S::EtherIp,
            S::Teredo,
            S::Ayiya,
        ] {
            assert_eq!(PathStep::unpack(step.pack()), Some(step));
            assert!(!step.to_string().is_empty());
        }
    }
}
