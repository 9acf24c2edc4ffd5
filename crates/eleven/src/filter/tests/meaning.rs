//! Which sockets match, and what is known before they are read.

use std::sync::Arc;

use eleven_snapshot::{Family, KernelOnly, Owner, SocketKind, TcpInfo, Timer, TimerKind};
use eleven_tcp::{State, StateSet};

use super::*;

fn socket() -> Socket {
    let mut socket = Socket::new(State::Established);
    socket.local_address = IpAddr::from([10, 0, 0, 1]);
    socket.local_port = Some(443);
    socket.remote_address = IpAddr::from([192, 0, 2, 9]);
    socket.remote_port = Some(51_000);
    socket
}

fn owner(pid: u32, process: &str) -> Owner {
    Owner { pid, process: process.into(), fd: 3 }
}

fn matches(socket: &Socket, rows: &[(&str, bool)]) {
    for (text, expected) in rows {
        assert_eq!(parse(text).matches(socket), *expected, "{text}");
    }
}

#[test]
fn addresses_and_ports() {
    let mut socket = socket();
    matches(
        &socket,
        &[
            ("", true),
            ("src 10.0.0.0/8", true),
            ("src 11.0.0.0/8", false),
            ("dst 192.0.2.9:51000", true),
            ("dst 192.0.2.9:51001", false),
            ("dst != 192.0.2.9:51001", true),
            ("sport 443", true),
            ("sport >= 443 and sport <= 443", true),
            ("sport > 443 or sport < 443", false),
            ("dport != 443", true),
            ("port 443", true),
            ("port != 443", false),
            ("port > 50000", true),
            ("address 192.0.2.9", true),
            ("address != 192.0.2.9", false),
            ("src *", true),
            ("src != *", false),
            ("src ::/0", false),
            ("autobound", false),
            ("inet", true),
            ("inet6", false),
        ],
    );
    socket.family = Family::Inet6;
    socket.local_address = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    matches(
        &socket,
        &[
            ("src 10.0.0.0/8", true),
            ("src 10.0.0.1:443", true),
            ("src ::ffff:10.0.0.1", true),
            ("src ::/0", true),
            ("inet", false),
            ("inet6", true),
        ],
    );
    // A port that is not set is 0, as in the kernel and so in ss.
    let mut listener = Socket::new(State::Listen);
    listener.local_port = Some(40_000);
    matches(
        &listener,
        &[("dport 443", false), ("dport != 443", true), ("dport < 1", true), ("autobound", true)],
    );
}

#[test]
fn owners() {
    let mut socket = socket();
    // Nothing was looked up.
    matches(
        &socket,
        &[
            ("process nginx", false),
            ("process != nginx", false),
            ("not process nginx", true),
            ("pid != 1", false),
            ("owner none", false),
            ("owner != none", false),
        ],
    );
    socket.no_owner = Some(KernelOnly::Orphan);
    matches(
        &socket,
        &[
            ("process != nginx", false),
            ("owner none", true),
            ("owner orphan", true),
            ("owner kernel", false),
            ("owner != kernel", true),
        ],
    );
    socket.no_owner = None;
    socket.owners = vec![owner(10, "nginx"), owner(11, "systemd-resolve")];
    matches(
        &socket,
        &[
            ("process nginx", true),
            ("process != nginx", false),
            ("process != haproxy", true),
            ("process 'ngin?'", true),
            ("process systemd-resolved", true),
            ("process systemd-res", false),
            ("process systemd-resolve*", true),
            ("pid 11", true),
            ("pid 12", false),
            ("owner none", false),
            ("owner != none", true),
        ],
    );
    socket.uid = Some(33);
    matches(
        &socket,
        &[("uid 33", true), ("user www-data", true), ("user != www-data", false), ("user root", false)],
    );
    // The name that a row has beats the number, which may be another host's.
    socket.user = Some("backup".into());
    matches(
        &socket,
        &[("user www-data", false), ("user backup", true), ("user != root", true), ("user b*", true)],
    );
}

#[test]
fn ages() {
    let mut socket = socket();
    matches(&socket, &[("age > 0", false), ("age < 1h", false), ("age != 1h", false)]);
    socket.age_ms = Some(60_000);
    socket.age_is_lower_bound = Some(false);
    matches(
        &socket,
        &[
            ("age > 1m", false),
            ("age >= 1m", true),
            ("age > 59s", true),
            ("age < 1m", false),
            ("age <= 60", true),
            ("age = 1m", true),
            ("age != 1m", false),
        ],
    );
    socket.age_is_lower_bound = Some(true);
    matches(
        &socket,
        &[
            ("age > 1m", true),
            ("age > 2m", false),
            ("age < 2m", true),
            ("age < 1m", false),
            ("age <= 1m", true),
            ("age = 1m", false),
            ("age != 1m", false),
            ("age != 59s", true),
        ],
    );
}

#[test]
fn the_rest() {
    let mut socket = socket();
    let unknown = [
        "recvq",
        "sendq",
        "backlog",
        "retransmits",
        "inode",
        "cookie",
        "fwmark",
        "uid",
        "netns",
        "container",
        "congestion",
        "cgroup",
        "user",
    ];
    for keyword in unknown {
        for operator in ["=", "!="] {
            let text = format!("{keyword} {operator} 0");
            assert!(!parse(&text).matches(&socket), "{text}");
            assert!(parse(&format!("not {text}")).matches(&socket), "{text}");
        }
    }
    matches(
        &socket,
        &[("dev lo", false), ("dev != lo", true), ("timer none", true), ("timer != none", false)],
    );
    socket.recv_queue = Some(4097);
    socket.send_queue = Some(0);
    socket.interface = Some("eth0".into());
    socket.mark = Some(0x13);
    socket.inode = Some(7);
    socket.cookie = Some(31);
    socket.netns = Some("blue".into());
    socket.container = Some("web".into());
    socket.congestion = Some("cubic".into());
    socket.cgroup = Some("/system.slice/nginx.service".into());
    socket.timer = Some(Timer { kind: TimerKind::Keepalive, expires_ms: 5, retransmits: 2 });
    let mut bytes = vec![0; 104];
    bytes[68..72].copy_from_slice(&1500u32.to_ne_bytes());
    socket.tcp_info = Some(Box::new(TcpInfo::from_bytes(&bytes)));
    matches(
        &socket,
        &[
            ("recvq > 4k", true),
            ("recvq > 5k", false),
            ("sendq = 0", true),
            ("dev eth0", true),
            ("dev 2", true),
            ("dev eth*", true),
            ("dev != eth0", false),
            ("fwmark 0x13", true),
            ("fwmark 3/3", true),
            ("fwmark 0x10/0x13", false),
            ("inode 7", true),
            ("cookie 0x1f", true),
            ("netns blue", true),
            ("container w?b", true),
            ("congestion != cubic", false),
            ("cgroup /system.slice/*", true),
            ("timer keepalive", true),
            ("timer none", false),
            ("retransmits >= 2", true),
            ("rtt > 1ms", true),
            ("rtt < 1.5ms", false),
            ("kind full", true),
        ],
    );
}

fn set(states: &[State]) -> StateSet {
    states.iter().copied().collect()
}

#[test]
fn the_state_mask_is_as_small_as_is_safe() {
    use State::{Closed, Established, FinWait2, Listen, SynReceived, TimeWait};
    for (text, states, only) in [
        ("", StateSet::ALL, true),
        ("state time-wait", set(&[TimeWait]), true),
        ("not state time-wait", set(&[TimeWait]).complement(), true),
        ("state listen or state estab", set(&[Listen, Established]), true),
        (
            "state connected and not (state bucket or state estab)",
            set(&[Listen, Closed, TimeWait, SynReceived, Established]).complement(),
            true,
        ),
        ("state bucket", set(&[SynReceived, TimeWait]), true),
        ("state bound", set(&[Closed]), false),
        ("exclude bound", StateSet::ALL, false),
        ("state time-wait and dport 443", set(&[TimeWait]), false),
        ("state time-wait or dport 443", StateSet::ALL, false),
        ("not (state time-wait or dport 443)", set(&[TimeWait]).complement(), false),
        ("not (state time-wait and dport 443)", StateSet::ALL, false),
        ("backlog > 0", set(&[Listen]), false),
        ("backlog != 0", set(&[Listen]), false),
        ("not backlog > 0", StateSet::ALL, false),
        ("recvq > 0 and state listen", StateSet::EMPTY, true),
        ("kind timewait", set(&[TimeWait, FinWait2]), false),
        ("kind request", set(&[SynReceived]), false),
        ("kind != request", StateSet::ALL, false),
        ("timer time_wait", set(&[TimeWait, FinWait2]), false),
        ("state listen and state estab and process x", StateSet::EMPTY, true),
        ("state all or process x", StateSet::ALL, true),
    ] {
        let filter = parse(text);
        assert_eq!(filter.states(), states, "{text}");
        assert_eq!(filter.is_only_states(), only, "{text}");
    }
}

#[test]
fn families_that_cannot_match_are_known() {
    let [both, inet, inet6] =
        [(true, true), (true, false), (false, true)].map(|(inet, inet6)| Families { inet, inet6 });
    for (text, families) in [
        ("", both),
        ("inet", inet),
        ("not inet", inet6),
        ("family != inet6", inet),
        ("dst 10.0.0.0/8", both),
        ("dst 2001:db8::/32", inet6),
        ("dst != 2001:db8::/32", both),
        ("not dst 2001:db8::/32", both),
        ("dst localhost", both),
        ("inet and dst ::1", Families::NONE),
        ("inet or dport 1", both),
        ("dst inet:10.0.0.1", inet),
    ] {
        assert_eq!(parse(text).families(), families, "{text}");
    }
}

#[test]
fn the_kernel_is_asked_what_it_can_answer() {
    use KernelFilter::{All, And, Cgroup, Interface, LocalPort, Mark, Not, Or, RemotePort};
    use eleven_linux::bytecode::PortTest::{AtLeast, AtMost, Equal};
    let remote_443 = || RemotePort(Equal(443));
    for (text, expected) in [
        ("", All),
        ("state time-wait", All),
        ("dport 443", remote_443()),
        ("dport != 443", Not(Box::new(remote_443()))),
        ("not dport != 443", remote_443()),
        ("dport > 443", RemotePort(AtLeast(444))),
        ("dport < 443", RemotePort(AtMost(442))),
        ("dport < 0", KernelFilter::NOTHING),
        ("dport > 65535", KernelFilter::NOTHING),
        ("dport >= 0", All),
        ("port 443", Or(vec![LocalPort(Equal(443)), remote_443()])),
        ("state time-wait and dport 443", remote_443()),
        ("state time-wait or dport 443", All),
        ("process nginx and dport 443", remote_443()),
        ("not (process nginx and dport 443)", All),
        ("not (process nginx or dport 443)", Not(Box::new(remote_443()))),
        ("autobound", And(vec![LocalPort(AtLeast(32_768)), LocalPort(AtMost(60_999))])),
        ("dev eth0", Interface(2)),
        ("dev wlan0", All),
        ("dev eth*", All),
        ("dev != eth0", All),
        ("not dev != eth0", All),
        ("fwmark 1", Mark { value: 1, mask: u32::MAX }),
        ("not fwmark 1", All),
        ("not not fwmark 1", Mark { value: 1, mask: u32::MAX }),
        ("cgroup /user.slice", Cgroup(2)),
        ("cgroup /gone", All),
    ] {
        assert_eq!(parse(text).kernel_filter(&TestNames), expected, "{text}");
    }
}

#[test]
fn only_what_is_asked_for_is_read() {
    let none = Needs::default();
    for (text, needs) in [
        ("", none),
        ("dport 443 and recvq > 0 and timer none", none),
        ("process nginx", Needs { owners: true, ..none }),
        ("not (pid 1)", Needs { owners: true, ..none }),
        ("owner none", Needs { owners: true, ..none }),
        ("user www-data", none),
        ("user someone", Needs { users: true, ..none }),
        ("uid 0", none),
        ("age > 1m", Needs { age: true, tcp_info: true, ..none }),
        ("rtt > 1ms", Needs { tcp_info: true, ..none }),
        ("congestion bbr", Needs { congestion: true, ..none }),
        ("container x", Needs { cgroup: true, container: true, ..none }),
        ("netns x or dev lo or fwmark 1", Needs { netns: true, interface: true, mark: true, ..none }),
        // The answer is known without looking.
        ("state all or process nginx", none),
    ] {
        assert_eq!(parse(text).needs(), needs, "{text}");
    }
}

#[test]
fn everything_is_everything() {
    let filter = Filter::everything();
    assert_eq!(filter, parse(""));
    assert!(filter.is_everything() && filter.is_only_states());
    let mut request = Socket::new(State::SynReceived);
    request.kind = SocketKind::Request;
    request.netns = Some(Arc::from("x"));
    assert!(filter.matches(&request));
}
