use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::program::{code, place};
use super::*;

/// What the kernel knows about a packet, and its bytes from the network header on.
#[derive(Clone, Debug)]
struct Seen {
    protocol: u16,
    outgoing: bool,
    loopback: bool,
    bytes: Vec<u8>,
}

/// Runs a program as the kernel does: a load from beyond the packet ends it with 0.
fn run(program: &Program, seen: &Seen) -> u32 {
    let load = |at: u32, size: usize| -> Option<u32> {
        match at {
            place::PROTOCOL => Some(seen.protocol.into()),
            place::PACKET_TYPE => Some(if seen.outgoing { 4 } else { 0 }),
            place::HARDWARE => Some(if seen.loopback { 772 } else { 1 }),
            at => {
                let at = at.checked_sub(place::NETWORK)? as usize;
                let bytes = seen.bytes.get(at..at + size)?;
                Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
            }
        }
    };
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
    loop {
        let Instruction { code, jump_true, jump_false, operand } = program.instructions()[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
        let loaded = match code {
            code::LOAD_WORD => load(operand, 4),
            code::LOAD_HALF => load(operand, 2),
            code::LOAD_BYTE => load(operand, 1),
            code::LOAD_HALF_INDEXED => load(operand.wrapping_add(x), 2),
            code::LOAD_HEADER_LENGTH => match load(operand, 1) {
                Some(byte) => {
                    x = (byte & 0xf) * 4;
                    Some(a)
                }
                None => None,
            },
            code::AND => Some(a & operand),
            code::JUMP => {
                at += operand as usize;
                Some(a)
            }
            code::JUMP_EQUAL => {
                jump(a == operand);
                Some(a)
            }
            code::JUMP_SET => {
                jump(a & operand != 0);
                Some(a)
            }
            code::RETURN => return operand,
            other => panic!("no such instruction: {other:#x}"),
        };
        let Some(value) = loaded else { return 0 };
        a = value;
    }
}

/// A packet for these tests, and what is true of it.
#[derive(Clone, Debug)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
    /// Words of options of IPv4.
    options: u8,
    later_fragment: bool,
    tagged: bool,
    is_ip: bool,
}

impl Packet {
    fn seen(&self) -> Seen {
        let mut ip = Vec::new();
        let kind = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ip.extend([
                    0x45 + self.options,
                    0,
                    0,
                    99,
                    0,
                    0,
                    0,
                    u8::from(self.later_fragment),
                    64,
                    self.protocol,
                    0,
                    0,
                ]);
                ip.extend(source.octets());
                ip.extend(destination.octets());
                ip.extend(vec![1; usize::from(self.options) * 4]);
                0x0800_u16
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let next = if self.later_fragment { 44 } else { self.protocol };
                ip.extend([0x60, 0, 0, 0, 0, 99, next, 64]);
                ip.extend(source.octets());
                ip.extend(destination.octets());
                0x86dd
            }
            _ => panic!("one version"),
        };
        ip.extend(self.ports.0.to_be_bytes());
        ip.extend(self.ports.1.to_be_bytes());
        let kind = if self.is_ip { kind } else { 0x0806 };
        let mut bytes = Vec::new();
        if self.tagged {
            bytes.extend([0, 7]);
            bytes.extend(kind.to_be_bytes());
        }
        bytes.extend(ip);
        Seen { protocol: if self.tagged { 0x8100 } else { kind }, outgoing: false, loopback: false, bytes }
    }

    /// What an expression says of it, worked out another way.
    fn matches(&self, expression: &Expression) -> bool {
        let begins = |address: IpAddr, net: IpAddr, length: u8| match (address, net) {
            (IpAddr::V4(address), IpAddr::V4(net)) => {
                (0..length).all(|bit| (address.to_bits() ^ net.to_bits()) << bit >> 31 == 0)
            }
            (IpAddr::V6(address), IpAddr::V6(net)) => {
                (0..length).all(|bit| (address.to_bits() ^ net.to_bits()) << bit >> 127 == 0)
            }
            _ => false,
        };
        let ends = [self.source, self.destination];
        match expression {
            Expression::Host(host) => self.is_ip && ends.contains(host),
            Expression::Net(net, length) => self.is_ip && ends.iter().any(|end| begins(*end, *net, *length)),
            Expression::Port(port) => {
                let fragment_of_any = self.source.is_ipv6() && self.later_fragment;
                self.is_ip
                    && (fragment_of_any || matches!(self.protocol, 6 | 17 | 132))
                    && (self.later_fragment || [self.ports.0, self.ports.1].contains(port))
            }
            Expression::Protocol(number) => {
                let next = if self.source.is_ipv6() && self.later_fragment { 44 } else { self.protocol };
                self.is_ip && next == *number
            }
            Expression::All(parts) => parts.iter().all(|part| self.matches(part)),
            Expression::Any(parts) => parts.iter().any(|part| self.matches(part)),
            Expression::Not(part) => !self.matches(part),
        }
    }
}

/// Few addresses, so that they meet.
fn v4() -> impl Strategy<Value = IpAddr> {
    (0..4_u8, 0..3_u8).prop_map(|(net, host)| Ipv4Addr::new(10, 0, net, host).into())
}

fn v6() -> impl Strategy<Value = IpAddr> {
    (0..3_u16, 0..3_u16).prop_map(|(net, host)| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host).into())
}

fn packet() -> impl Strategy<Value = Packet> {
    let addresses = prop_oneof![(v4(), v4()), (v6(), v6())];
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(132), Just(1)];
    (addresses, protocol, (0..4_u16, 0..4_u16), 0..3_u8, any::<[bool; 3]>()).prop_map(
        |((source, destination), protocol, ports, options, [later_fragment, tagged, other])| Packet {
            source,
            destination,
            protocol,
            ports,
            options,
            later_fragment: later_fragment && other,
            tagged,
            is_ip: !other || later_fragment,
        },
    )
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        prop_oneof![v4(), v6()].prop_map(Expression::Host),
        (v4(), 0..=32_u8).prop_map(|(net, length)| Expression::Net(net, length)),
        (v6(), 0..=128_u8).prop_map(|(net, length)| Expression::Net(net, length)),
        (0..4_u16).prop_map(Expression::Port),
        prop_oneof![Just(6_u8), Just(17), Just(44)].prop_map(Expression::Protocol),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Expression::All),
            vec(inner.clone(), 0..4).prop_map(Expression::Any),
            inner.prop_map(|part| !part),
        ]
    })
}

proptest! {
    #[test]
    fn the_program_lets_through_what_the_expression_does(
        expression in expression(),
        packets in vec(packet(), 1..20),
    ) {
        let program = Program::compile(Some(&expression), 96).unwrap();
        for packet in packets {
            let kept = run(&program, &packet.seen());
            prop_assert_eq!(kept == 96, packet.matches(&expression), "{} of {:?}", expression, packet);
        }
    }

    #[test]
    fn no_packet_is_too_short_for_it(expression in expression(), bytes in vec(any::<u8>(), 0..64), kind in any::<u16>()) {
        let program = Program::compile(Some(&expression), 96).unwrap();
        for protocol in [0x0800, 0x86dd, 0x8100, kind] {
            run(&program, &Seen { protocol, outgoing: false, loopback: false, bytes: bytes.clone() });
        }
    }
}

#[test]
fn what_leaves_by_the_loopback_is_seen_only_once() {
    let program = Program::compile(None, 65_535).unwrap();
    let seen = |outgoing, loopback| Seen { protocol: 0x0800, outgoing, loopback, bytes: Vec::new() };
    assert_eq!(run(&program, &seen(true, true)), 0);
    for (outgoing, loopback) in [(false, true), (true, false), (false, false)] {
        assert_eq!(run(&program, &seen(outgoing, loopback)), 65_535);
    }
}

#[test]
fn what_makes_no_program_says_why() {
    let host = Expression::Host(Ipv4Addr::LOCALHOST.into());
    let many = Expression::Any(vec![host.clone(); 10_000]);
    assert!(matches!(Program::compile(Some(&many), 1), Err(FilterError::TooLong { .. })));
    let some = Expression::Any(vec![host.clone(); 100]);
    assert!(Program::compile(Some(&some), 1).is_ok());
    let net = Expression::Net(Ipv4Addr::LOCALHOST.into(), 33);
    assert_eq!(Program::compile(Some(&net), 1), Err(FilterError::PrefixLength(33)));
    let deep = (0..200).fold(host, |inner, _| !inner);
    assert_eq!(Program::compile(Some(&deep), 1), Err(FilterError::TooDeep));
    assert_eq!(
        (!Expression::Port(80)).and(Expression::Protocol(6)).to_string(),
        "(not (port 80)) and (proto 6)"
    );
}
