//! Snapshots may be edited by hand: whatever stands in them, the rules answer.

use eleven_snapshot::TimerKind;
use eleven_tcp::State;
use proptest::prelude::*;

use crate::world::{World, info, own, timer, two};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, any::<u64>(), Just(u64::MAX), Just(0)]
}

const SYSCTLS: &[&str] = &[
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
];
const COUNTERS: &[&str] = &[
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPTimeWaitOverflow",
    "SyncookiesSent",
    "TCPAbortOnData",
];

fn world() -> impl Strategy<Value = World> {
    let sysctl = (
        0..SYSCTLS.len(),
        prop_oneof![
            number().prop_map(|number| number.to_string()),
            (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} {b} {c}")),
            Just("60999 32768".to_owned()),
            Just("1-65535,x,9-1,,".to_owned()),
            ".{0,8}",
        ],
    );
    let socket = (0..11_usize, 0..6_u16, 0..6_u16, 0..5_usize, any::<[u32; 3]>(), number(), 0..4_u32);
    (
        prop::collection::vec(sysctl, 0..6),
        prop::collection::vec((0..COUNTERS.len(), any::<i64>()), 0..4),
        prop::collection::vec(socket, 0..60),
        (number(), number()),
    )
        .prop_map(|(sysctls, counters, sockets, (open, limit))| {
            let mut world = World::new();
            for (index, value) in sysctls {
                world.sysctl(SYSCTLS[index], &value);
            }
            for (index, value) in counters {
                world.count(COUNTERS[index], value);
                world.sockstat(["mem", "orphan", "tw"][index % 3], value);
            }
            for (state, local, remote, kind, [recv, send, repeats], value, pid) in sockets {
                let local = format!("127.0.0.1:{}", 32_766 + local);
                let socket = world.add(
                    State::ALL[state],
                    &local,
                    &format!("127.0.0.{}:{}", 1 + remote % 2, 32_766 + remote),
                );
                (socket.recv_queue, socket.send_queue) = (Some(recv), Some(send));
                (socket.backlog, socket.backlog_limit) = (Some(recv), Some(send));
                socket.age_ms = Some(value);
                if let Some(kind) = TimerKind::ALL.get(kind) {
                    timer(socket, *kind, repeats as u8);
                }
                if pid > 0 {
                    own(socket, pid, recv);
                }
                let low = value & 0xffff_ffff;
                socket.tcp_info = Some(info(&[
                    ("last_data_sent", low),
                    ("last_data_recv", low),
                    ("last_ack_recv", low),
                    ("bytes_received", value),
                    ("bytes_acked", value),
                    ("data_segs_out", low),
                    ("total_retrans", low),
                    ("snd_mss", low),
                ]));
            }
            world.process(1, open, limit);
            world
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_in_a_snapshot_stops_the_rules((before, after) in (world(), world())) {
        for findings in [two(&before, &after), two(&after, &after)] {
            for finding in findings {
                prop_assert!(finding.subject.netns.is_some());
                prop_assert!(!finding.evidence.is_empty() && !finding.fixes.is_empty());
            }
        }
    }
}
