//! `time-wait-port-exhaustion`: no local port is left toward one destination.

use std::net::{IpAddr, SocketAddr};

use eleven_snapshot::NamespaceState;

use crate::digest::{Group, Netns, Space};
use crate::look::sysctl;
use crate::rule::seen;
use crate::{Case, Confidence, Finding, Judgement, Need, Responsible, Rule, Severity, Subject, Value};

pub(super) const EXHAUSTION: Rule =
    Rule { code: "time-wait-port-exhaustion", needs: &[Need::TwoLooks, Need::Sysctls], judge };

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut fullest: f64 = 0.0;
    let mut groups: Vec<_> =
        case.after.digest.ports.groups.iter().filter(|(_, group)| group.used() > 1).collect();
    groups.sort_by_key(|(key, _)| **key);
    let available: Vec<u64> =
        (0..case.after.digest.spaces.len()).map(|netns| available(case, netns as Netns)).collect();
    for (key, group) in groups {
        let available = available[usize::from(key.0)];
        let (found, share) = one(case, *key, group, available);
        fullest = fullest.max(share);
        findings.extend(found);
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(fullest))])
}

/// How bad it is in a namespace; `None` where there are ports enough.
pub(super) fn severity(case: &Case<'_>, state: &NamespaceState) -> Option<Severity> {
    let Judgement::Found(findings) = judge(case) else { return None };
    let here = findings.iter().filter(|it| it.subject.netns.as_deref() == Some(&*state.namespace.label));
    here.map(|finding| finding.severity).max()
}

/// Ports that an outgoing connection of a namespace may be given.
fn available(case: &Case<'_>, netns: Netns) -> u64 {
    let space: &Space = &case.after.digest.spaces[usize::from(netns)];
    let (low, high) = space.range;
    let mut taken: Vec<u16> = case
        .after
        .digest
        .listeners
        .all
        .iter()
        .filter(|listener| listener.netns == netns)
        .map(|listener| listener.at.port())
        .collect();
    if let Some(text) =
        case.state(netns).and_then(|state| state.sysctls.get("net.ipv4.ip_local_reserved_ports"))
    {
        for (first, last) in parse_ranges(text) {
            // A range as large as all ports is at most 65,536 entries.
            taken.extend(first.max(low)..=last.min(high));
        }
    }
    taken.retain(|port| (low..=high).contains(port));
    taken.sort_unstable();
    taken.dedup();
    (u64::from(high) + 1).saturating_sub(u64::from(low)).saturating_sub(taken.len() as u64)
}

/// `8080,9000-9010` as the kernel prints it.
pub(super) fn parse_ranges(text: &str) -> Vec<(u16, u16)> {
    let parse = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    // The kernel prints few; a file edited by hand may hold any number.
    text.split(',').filter_map(parse).take(1024).collect()
}

/// Whether growth at this pace uses the ports up. TIME_WAIT grows for its first minute only: then
/// as many end as begin, and a load that has just started looks worse than it will be.
fn reaches(growth: f64, earlier: Option<&Group>, group: &Group, available: u64) -> bool {
    let live_before = earlier.map_or(0, |earlier| earlier.live);
    let used_before = earlier.map_or(0, Group::used);
    let of_live = group.live.saturating_sub(live_before);
    let mostly_live = of_live * 2 > group.used().saturating_sub(used_before);
    let until_steady_ms = TIME_WAIT_MS.saturating_sub(group.time_wait_oldest_ms);
    let is_steady = until_steady_ms < TIME_WAIT_MS / 10;
    let at_most = group.used() as f64 + growth * until_steady_ms as f64 / 60_000.0;
    mostly_live || is_steady || at_most >= available as f64 * 0.95
}

/// How long TIME_WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_MS: u64 = 60_000;

/// Whether the kernel may give out a port whose only use is a TIME_WAIT toward this address.
fn may_reuse(state: &NamespaceState, remote: IpAddr) -> bool {
    let timestamps = sysctl(state, "net.ipv4.tcp_timestamps") != Some(0);
    timestamps
        && match sysctl(state, "net.ipv4.tcp_tw_reuse") {
            Some(1) => true,
            Some(2) => remote.is_loopback(),
            _ => false,
        }
}

fn one(
    case: &Case<'_>,
    key: (Netns, IpAddr, SocketAddr),
    group: &Group,
    available: u64,
) -> (Option<Finding>, f64) {
    let (netns, local, remote) = key;
    let Some(state) = case.state(netns) else { return (None, 0.0) };
    let reusable = may_reuse(state, remote.ip());
    let used = if reusable { group.live + group.time_wait_young } else { group.used() };
    let share = |used: u64| used as f64 * 100.0 / available.max(1) as f64;
    let limits = &case.thresholds;
    let earlier = case.before.and_then(|before| before.digest.ports.groups.get(&key));
    // Between the looks TIME_WAIT of the same age leaves as new comes, so growth is net.
    let growth = case.before.and_then(|_| case.per_minute(earlier.map_or(0, Group::used), group.used()));
    let left = available.saturating_sub(used);
    let minutes = growth
        .filter(|growth| *growth > 0.0 && reaches(*growth, earlier, group, available))
        .map(|growth| left as f64 / growth);
    let soon = minutes.is_some_and(|minutes| minutes <= limits.ports_minutes) && share(used) >= 50.0;
    // The next minute is no time to react in.
    let now = soon && minutes.is_some_and(|minutes| minutes <= 1.0);
    let severity = if share(used) >= limits.ports_critical || now {
        Severity::Critical
    } else if share(used) >= limits.ports_warning || soon {
        Severity::Warning
    } else if reusable && share(group.used()) >= limits.ports_warning {
        Severity::Info
    } else {
        return (None, share(used));
    };
    // TIME_WAIT has no owner; who had a connection open at either look is the likeliest.
    let holder = group.holder.clone().or_else(|| earlier.and_then(|earlier| earlier.holder.clone()));
    let subject = Subject {
        local: Some(local.to_string()),
        remote: Some(remote.to_string()),
        state: Some(if group.time_wait >= group.live { "TIME_WAIT" } else { "ESTABLISHED" }),
        ..case.subject(netns, holder)
    };
    let mut finding = Finding::new(EXHAUSTION.code, severity, Responsible::LocalProgram)
        .about(subject)
        .count(group.used())
        .number("ports_used", group.used(), "ports")
        .number("ports_available", available, "ports")
        .with("share", Value::Percent(share(group.used())))
        .number("time_wait", group.time_wait, "ports")
        .number("live", group.live, "ports")
        .growth(growth)
        .maybe("minutes_left", minutes.map(Value::Minutes))
        .maybe("port_range", state.sysctls.get("net.ipv4.ip_local_port_range").cloned())
        .maybe("tw_reuse", sysctl(state, "net.ipv4.tcp_tw_reuse"));
    if severity == Severity::Info {
        finding = finding.variant("reused");
    } else if group.live > group.time_wait {
        finding = finding.variant("live");
    }
    if case.before.is_none() {
        finding.missing = case.second_look();
    }
    if case.after.digest.ports.pruned {
        finding = finding.unsure(Confidence::Likely, &[]);
    }
    let list = format!(
        "eleven count --by process,remote,remote-port 'dst {} and dport = :{}'",
        remote.ip(),
        remote.port()
    );
    finding = finding.fix("reuse-connections", case.command(netns, &list), true);
    if !reusable && group.time_wait > 0 && severity > Severity::Info {
        // Without timestamps nothing is reused, whatever tcp_tw_reuse says.
        let has_timestamps = sysctl(state, "net.ipv4.tcp_timestamps") != Some(0);
        if !has_timestamps {
            finding.fixes.extend(case.set_sysctl("put-back", state, "net.ipv4.tcp_timestamps", "1"));
        }
        if sysctl(state, "net.ipv4.tcp_tw_reuse") != Some(1) {
            finding.fixes.extend(case.set_sysctl("tw-reuse", state, "net.ipv4.tcp_tw_reuse", "1"));
        }
    }
    let (low, high) = case.after.digest.spaces[usize::from(netns)].range;
    if u32::from(high) - u32::from(low.min(high)) < 45_000 {
        finding.fixes.extend(case.set_sysctl(
            "wider-range",
            state,
            "net.ipv4.ip_local_port_range",
            "15000 60999",
        ));
    }
    (Some(finding.see(&["RFC 9293 §3.6.1", "RFC 6191", "eleven explain net.ipv4.tcp_tw_reuse"])), share(used))
}
