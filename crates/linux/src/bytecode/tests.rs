//! The kernel's auditor and interpreter of filter programs, written anew from their
//! described behaviour, and compiled filters put through both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

struct Op {
    code: u8,
    yes: usize,
    no: usize,
}

fn op_at(code: &[u8], at: usize) -> Option<Op> {
    let bytes = code.get(at..at + OP)?;
    Some(Op {
        code: bytes[0],
        yes: usize::from(bytes[1]),
        no: usize::from(u16::from_ne_bytes([bytes[2], bytes[3]])),
    })
}

fn u32_at(code: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(code[at..at + 4].try_into().unwrap())
}

/// What the kernel demands of a program before it runs it. `Err` says what is wrong.
fn audit(code: &[u8]) -> Result<(), String> {
    if code.len() < OP {
        return Err("no operation".to_owned());
    }
    let mut at = 0;
    while at < code.len() {
        let left = code.len() - at;
        let op = op_at(code, at).ok_or_else(|| format!("half an operation at {at}"))?;
        let length = OP
            + match op.code {
                JMP | AUTO => 0,
                S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ | DEV_COND => 4,
                MARK_COND | CGROUP_COND => 8,
                S_COND | D_COND => {
                    let family = *code.get(at + 4).ok_or("no family")?;
                    let prefix = *code.get(at + 5).ok_or("no prefix")?;
                    let address = match family {
                        AF_UNSPEC => 0,
                        AF_INET => 4,
                        AF_INET6 => 16,
                        other => return Err(format!("family {other}")),
                    };
                    if usize::from(prefix) > 8 * address {
                        return Err(format!("prefix {prefix} of family {family}"));
                    }
                    8 + address
                }
                other => return Err(format!("code {other} at {at}")),
            };
        if left < length {
            return Err(format!("operand cut off at {at}"));
        }
        for (name, jump) in [("no", op.no), ("yes", op.yes)] {
            if jump < length || jump > left + 4 || jump % 4 != 0 {
                return Err(format!("{name} {jump} at {at}"));
            }
        }
        if op.no < left && !is_boundary(code, at + op.no) {
            return Err(format!("no {} at {at} lands inside an operation", op.no));
        }
        at += op.yes;
    }
    if at == code.len() { Ok(()) } else { Err("yes runs past the end".to_owned()) }
}

/// Whether walking along `yes` from the start arrives at `target`.
fn is_boundary(code: &[u8], target: usize) -> bool {
    let mut at = 0;
    while at < target {
        match op_at(code, at) {
            Some(op) if op.yes >= 4 && op.yes % 4 == 0 => at += op.yes,
            _ => return false,
        }
    }
    at == target
}

fn leading_bits_agree(a: &[u8], b: &[u8], bits: usize) -> bool {
    let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (7 - i % 8) & 1;
    (0..bits).all(|i| bit(a, i) == bit(b, i))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The test of addresses, on bytes as the kernel has them.
fn host_holds(condition: &[u8], address: IpAddr, port: u16) -> bool {
    let wanted = i32::from_ne_bytes(condition[4..8].try_into().unwrap());
    if wanted != -1 && wanted != i32::from(port) {
        return false;
    }
    let (family, bits) = (condition[0], usize::from(condition[1]));
    let entry_family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let bytes = octets(address);
    if family != AF_UNSPEC && family != entry_family {
        return entry_family == AF_INET6
            && family == AF_INET
            && bytes[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
            && leading_bits_agree(&bytes[12..], &condition[8..], bits);
    }
    bits == 0 || leading_bits_agree(&bytes, &condition[8..], bits)
}

fn run(code: &[u8], subject: &Subject) -> bool {
    let mut at = 0;
    while at < code.len() {
        let op = op_at(code, at).unwrap();
        let operand = at + OP;
        let port = || op_at(code, operand).unwrap().no as u16;
        let holds = match op.code {
            JMP => false,
            S_GE => subject.local_port >= port(),
            S_LE => subject.local_port <= port(),
            S_EQ => subject.local_port == port(),
            D_GE => subject.remote_port >= port(),
            D_LE => subject.remote_port <= port(),
            D_EQ => subject.remote_port == port(),
            AUTO => !subject.port_chosen,
            S_COND => host_holds(&code[operand..], subject.local_address, subject.local_port),
            D_COND => host_holds(&code[operand..], subject.remote_address, subject.remote_port),
            DEV_COND => u32_at(code, operand) == subject.interface,
            MARK_COND => subject.mark & u32_at(code, operand + 4) == u32_at(code, operand),
            CGROUP_COND => {
                u64::from_ne_bytes(code[operand..operand + 8].try_into().unwrap()) == subject.cgroup
            }
            other => panic!("code {other}"),
        };
        at += if holds { op.yes } else { op.no };
    }
    at == code.len()
}

/// Few values, so that filters and sockets meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..3, 0u8..3).prop_map(|(a, b)| IpAddr::V4(Ipv4Addr::new(10, a, 0, b))),
        (0u8..3, 0u8..3).prop_map(|(a, b)| IpAddr::V6(Ipv4Addr::new(10, a, 0, b).to_ipv6_mapped())),
        (0u16..3).prop_map(|a| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, a))),
        Just(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Just(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..4, Just(443), Just(u16::MAX), any::<u16>()]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), 0u8..=128).prop_map(|(address, length)| {
        Prefix::new(address, if address.is_ipv4() { length % 33 } else { length }).unwrap()
    })
}

fn subject() -> impl Strategy<Value = Subject> {
    (address(), address(), port(), port(), 0u32..4, 0u32..8, 0u64..3, any::<bool>()).prop_map(
        |(local_address, remote, local_port, remote_port, interface, mark, cgroup, port_chosen)| {
            // Both ends of a socket have its family.
            let remote_address = match (local_address, remote) {
                (IpAddr::V4(_), IpAddr::V6(v6)) => {
                    IpAddr::V4(v6.to_ipv4_mapped().unwrap_or(Ipv4Addr::LOCALHOST))
                }
                (IpAddr::V6(_), IpAddr::V4(v4)) => IpAddr::V6(v4.to_ipv6_mapped()),
                _ => remote,
            };
            Subject {
                local_address,
                local_port,
                remote_address,
                remote_port,
                interface,
                mark,
                cgroup,
                port_chosen,
            }
        },
    )
}

fn filter() -> impl Strategy<Value = KernelFilter> {
    let port_test = || {
        prop_oneof![
            port().prop_map(PortTest::AtLeast),
            port().prop_map(PortTest::AtMost),
            port().prop_map(PortTest::Equal),
        ]
    };
    let host_test = || {
        (prop::option::of(prefix()), prop::option::of(port()))
            .prop_map(|(prefix, port)| HostTest { prefix, port })
    };
    let leaf = prop_oneof![
        Just(KernelFilter::All),
        Just(KernelFilter::AutoBound),
        port_test().prop_map(KernelFilter::LocalPort),
        port_test().prop_map(KernelFilter::RemotePort),
        host_test().prop_map(KernelFilter::LocalAddress),
        host_test().prop_map(KernelFilter::RemoteAddress),
        (0u32..4).prop_map(KernelFilter::Interface),
        (0u32..8, 0u32..8).prop_map(|(value, mask)| KernelFilter::Mark { value, mask }),
        (0u64..3).prop_map(KernelFilter::Cgroup),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(KernelFilter::And),
            prop::collection::vec(inner.clone(), 0..5).prop_map(KernelFilter::Or),
            inner.prop_map(|inner| KernelFilter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_program_accepts_what_its_filter_accepts(filter in filter(), subjects in prop::collection::vec(subject(), 1..20)) {
        let program = filter.compile().unwrap();
        if program.is_empty() {
            // Nothing to send: the kernel then shows every socket.
            prop_assert!(subjects.iter().all(|subject| filter.matches(subject)));
        } else {
            prop_assert_eq!(audit(program.as_bytes()), Ok(()));
        }
        for subject in &subjects {
            prop_assert_eq!(run(program.as_bytes(), subject), filter.matches(subject), "{:?}", subject);
        }
    }

    #[test]
    fn constructors_keep_the_meaning(parts in prop::collection::vec(filter(), 0..4), subject in subject()) {
        let all = KernelFilter::all_of(parts.clone());
        prop_assert_eq!(all.matches(&subject), parts.iter().all(|part| part.matches(&subject)));
        let any = KernelFilter::any_of(parts.clone());
        prop_assert_eq!(any.matches(&subject), parts.iter().any(|part| part.matches(&subject)));
        let not = all.clone().negated();
        prop_assert_eq!(not.matches(&subject), !all.matches(&subject));
    }

    #[test]
    fn a_filter_without_marks_accepts_no_less(filter in filter(), subject in subject()) {
        let wider = filter.without_marks();
        prop_assert!(!wider.tests_marks());
        prop_assert!(wider.matches(&subject) || !filter.matches(&subject));
    }
}

fn local_port(port: u16) -> KernelFilter {
    KernelFilter::LocalPort(PortTest::Equal(port))
}

#[test]
fn a_single_test_is_laid_out_as_the_kernel_reads_it() {
    let program = local_port(443).compile().unwrap();
    let [port_0, port_1] = 443u16.to_ne_bytes();
    let [no_0, no_1] = 12u16.to_ne_bytes();
    assert_eq!(program.as_bytes(), [S_EQ, 8, no_0, no_1, 0, 0, port_0, port_1]);

    let test = HostTest { prefix: Prefix::new(IpAddr::from([10, 1, 2, 3]), 8), port: None };
    let program = KernelFilter::RemoteAddress(test).compile().unwrap();
    let [no_0, no_1] = 20u16.to_ne_bytes();
    let expected = [D_COND, 16, no_0, no_1, AF_INET, 8, 0, 0, 255, 255, 255, 255, 10, 0, 0, 0];
    assert_eq!(program.as_bytes(), expected);
}

#[test]
fn everything_needs_no_program_and_nothing_is_one_jump() {
    assert!(KernelFilter::All.compile().unwrap().is_empty());
    assert!(KernelFilter::And(Vec::new()).compile().unwrap().is_empty());
    let [no_0, no_1] = 8u16.to_ne_bytes();
    assert_eq!(KernelFilter::NOTHING.compile().unwrap().as_bytes(), [JMP, 4, no_0, no_1]);
}

#[test]
fn a_filter_longer_than_a_jump_is_refused() {
    let ports = |count: u16| KernelFilter::Or((0..count).map(local_port).collect());
    let program = ports(5_400).compile().unwrap();
    assert_eq!(audit(program.as_bytes()), Ok(()));
    let error = ports(5_500).compile().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the filter takes 65996 bytes of kernel bytecode, which is more than a request holds"
    );
    // A conjunction has no inner jumps: its way out and the attribute's length bound it.
    assert!(KernelFilter::And((0..8_190).map(local_port).collect()).compile().is_ok());
    assert!(KernelFilter::And((0..8_192).map(local_port).collect()).compile().is_err());
}

#[test]
fn v4_prefixes_hold_mapped_addresses_and_not_the_reverse() {
    let v4 = Prefix::new(IpAddr::from([10, 0, 0, 0]), 8).unwrap();
    let mapped = IpAddr::V6(Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped());
    assert!(v4.contains(IpAddr::from([10, 1, 2, 3])));
    assert!(v4.contains(mapped));
    assert!(!v4.contains(IpAddr::from([11, 1, 2, 3])));
    assert!(!v4.contains(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    assert!(Prefix::host(mapped).contains(mapped));
    assert!(!Prefix::host(mapped).contains(IpAddr::from([10, 1, 2, 3])));
    let any_v6 = Prefix::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0).unwrap();
    assert!(any_v6.contains(mapped));
    assert!(!any_v6.contains(IpAddr::from([10, 1, 2, 3])));
    assert!(Prefix::new(IpAddr::from([10, 0, 0, 0]), 33).is_none());
    assert!(Prefix::new(mapped, 129).is_none());
}

#[test]
fn the_auditor_refuses_what_the_kernel_refuses() {
    let program = KernelFilter::Not(Box::new(local_port(1))).compile().unwrap();
    assert_eq!(audit(program.as_bytes()), Ok(()));
    // Cut at 8 it is the test alone, which is a program of its own.
    for at in (0..program.as_bytes().len()).filter(|at| *at != 8) {
        assert!(audit(&program.as_bytes()[..at]).is_err(), "cut at {at}");
    }
    let mut inside = program.as_bytes().to_vec();
    inside[2..4].copy_from_slice(&9u16.to_ne_bytes());
    assert!(audit(&inside).is_err());
}
