//! Limits of the kernel, and settings that do harm.

use eleven_doctor::{Responsible, Severity};
use eleven_tcp::State;

use crate::world::{World, one};
use crate::{first, silent, still};

#[test]
fn limits_of_the_kernel() {
    let mut world = World::new();
    world.sockstat("orphan", 60_000);
    first(&still(&world), "orphans-high", Responsible::Peer);
    world.sockstat("orphan", 6_000);
    silent(&still(&world));

    world.sysctl("net.netfilter.nf_conntrack_max", "1000");
    world.sysctl("net.netfilter.nf_conntrack_count", "995");
    world.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "432000");
    let findings = still(&world);
    assert_eq!(first(&findings, "conntrack-full", Responsible::Configuration).severity, Severity::Critical);
    world.sysctl("net.netfilter.nf_conntrack_count", "500");
    silent(&still(&world));

    world.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "3600");
    first(&still(&world), "idle-timeout-order", Responsible::Configuration);
    world.sysctl("net.ipv4.tcp_keepalive_time", "600");
    silent(&still(&world));

    world.sockstat("mem", 131_000);
    first(&still(&world), "memory-pressure", Responsible::LocalKernel);
    world.sockstat("mem", 90_000);
    silent(&still(&world));
}

#[test]
fn harmful_values() {
    for (name, value, variant) in [
        ("net.ipv4.tcp_tw_recycle", "1", "tw-recycle"),
        ("net.ipv4.tcp_syncookies", "0", "syncookies"),
        ("net.ipv4.tcp_abort_on_overflow", "1", "abort-on-overflow"),
        ("net.ipv4.tcp_max_tw_buckets", "100", "tw-buckets"),
        ("net.ipv4.tcp_retries2", "3", "retries2-low"),
        ("net.ipv4.tcp_retries2", "60", "retries2-high"),
        ("net.ipv4.tcp_sack", "0", "sack"),
        ("net.ipv4.tcp_window_scaling", "0", "window-scaling"),
    ] {
        let mut world = World::new();
        world.sysctl(name, value);
        let findings = one(&world);
        let finding = first(&findings, "harmful-sysctl", Responsible::Configuration);
        assert_eq!((finding.variant, finding.subject.sysctl), (Some(variant), Some(name)));
    }
    let mut world = World::new();
    world.sysctl("net.ipv4.tcp_timestamps", "0");
    silent(&one(&world));
    world.sysctl("net.ipv4.tcp_tw_reuse", "1");
    first(&one(&world), "harmful-sysctl", Responsible::Configuration);
    // Where the ports have run out for that very reason, it comes first.
    world.sysctl("net.ipv4.ip_local_port_range", "40000 40031");
    for port in 40_000..40_032 {
        world.add(State::TimeWait, &format!("10.0.0.1:{port}"), "10.0.9.9:5432").age_ms = Some(30_000);
    }
    let findings = still(&world);
    assert_eq!(
        first(&findings, "harmful-sysctl", Responsible::Configuration).variant,
        Some("timestamps-exhausted")
    );
    assert_eq!(findings[1].code, "time-wait-port-exhaustion");
    let mut tuned = World::new();
    tuned.sysctl("net.ipv4.tcp_fin_timeout", "15");
    tuned.sysctl("net.ipv4.tcp_tw_reuse", "1");
    tuned.sysctl("net.ipv4.tcp_syncookies", "2");
    silent(&one(&tuned));
}
