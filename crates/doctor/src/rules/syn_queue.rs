//! `syn-flood` and `syn-backlog-full`: handshakes that nobody finishes, and SYNs thrown away.

use std::net::SocketAddr;

use eleven_snapshot::NamespaceState;

use crate::digest::{HalfOpen, Listener, Netns};
use crate::look::{sysctl, tcp_ext};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Look, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const FLOOD: Rule =
    Rule { code: "syn-flood", needs: &[Need::TwoLooks, Need::Counters], judge: judge_flood };
pub(super) const BACKLOG_FULL: Rule = Rule {
    code: "syn-backlog-full",
    needs: &[Need::TwoLooks, Need::Counters, Need::Sysctls],
    judge: judge_full,
};

const REFERENCES: &[&str] = &["RFC 4987", "eleven explain net.ipv4.tcp_syncookies"];

fn judge_flood(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let limits = &case.thresholds;
    let mut most = 0;
    let mut incoming: Vec<_> = case.after.digest.handshakes.incoming.iter().collect();
    incoming.sort_by_key(|(key, _)| **key);
    for ((netns, at), half_open) in incoming {
        most = most.max(half_open.count);
        let repeated = half_open.repeated as f64 * 100.0 / half_open.count.max(1) as f64;
        let earlier = case.before.and_then(|before| before.digest.handshakes.incoming.get(&(*netns, *at)));
        // Either the answers are repeated, or the crowd was there at both looks.
        let stays = earlier.is_some_and(|earlier| earlier.count >= limits.syn_recv_many);
        let cookies = case.state(*netns).and_then(|state| case.grown(state, "SyncookiesSent")).unwrap_or(0);
        let unanswered = repeated >= limits.syn_recv_unanswered || stays || cookies > 0;
        // Behind a full accept queue requests wait for the program: not a flood.
        let listeners = &case.after.digest.listeners.all;
        let waits = listeners
            .iter()
            .any(|listener| listener.netns == *netns && listener.takes(*at) && listener.is_full());
        if half_open.count < limits.syn_recv_many || !unanswered || waits {
            continue;
        }
        findings.push(flood(case, *netns, *at, half_open));
    }
    // Cookies leave nothing in any table.
    for state in &case.after.namespaces {
        let label = &*state.namespace.label;
        let (Some(sent), Some(elapsed)) = (case.grown(state, "SyncookiesSent"), case.elapsed_s()) else {
            continue;
        };
        let received = case.grown(state, "SyncookiesRecv").unwrap_or(0);
        let is_many = sent as f64 / elapsed >= limits.cookies_per_second && sent >= 20 && received * 2 < sent;
        if !is_many || findings.iter().any(|found| found.subject.netns.as_deref() == Some(label)) {
            continue;
        }
        let finding = Finding::new(FLOOD.code, Severity::Critical, Responsible::Network)
            .variant("cookies")
            .about(subject_of(case, state, "TcpExt.SyncookiesSent"))
            .count(sent)
            .number("cookies_sent", sent, "cookies")
            .number("cookies_returned", received, "cookies")
            .with("rate", Value::PerMinute(sent as f64 * 60.0 / elapsed))
            .maybe("syncookies", sysctl(state, "net.ipv4.tcp_syncookies"))
            .unsure(Confidence::Likely, &[Missing::Capture]);
        findings.push(flood_fixes(case, state, finding));
    }
    // Without cookies most of a flood is thrown away, and the queue shows only its size.
    for state in &case.after.namespaces {
        let label = &*state.namespace.label;
        let Some(found) = thrown_away(case, state) else { continue };
        if findings.iter().all(|known| known.subject.netns.as_deref() != Some(label)) {
            findings.push(found);
        }
    }
    Judgement::of(findings, vec![seen("syn_recv", most)])
}

/// The listener at which most handshakes are open, at this look or the one before; else the only one there is.
fn busiest<'a>(
    case: &Case<'a>,
    state: &NamespaceState,
) -> (Option<(SocketAddr, Option<&'a HalfOpen>)>, Option<&'a Listener>) {
    let here = |netns: Netns| *case.label(netns) == *state.namespace.label;
    let most = |look: &'a Look| {
        let incoming = look.digest.handshakes.incoming.iter().filter(|((netns, _), _)| here(*netns));
        incoming.max_by_key(|(key, half_open)| (half_open.count, **key))
    };
    let fullest = most(case.after);
    let earlier = || case.before.filter(|_| fullest.is_none()).and_then(most);
    let listeners = || case.after.digest.listeners.all.iter().filter(|listener| here(listener.netns));
    if let Some(((_, at), half_open)) = fullest {
        let listener = listeners().find(|listener| listener.takes(*at));
        return (Some((*at, Some(half_open))), listener);
    }
    if let Some(((_, at), _)) = earlier() {
        return (Some((*at, None)), listeners().find(|listener| listener.takes(*at)));
    }
    let mut all = listeners();
    let only = all.next().filter(|_| all.next().is_none());
    (only.map(|listener| (listener.at, None)), only)
}

/// What a finding of counters is about: the listener that they most likely count for.
fn subject_of(case: &Case<'_>, state: &NamespaceState, counter: &'static str) -> Subject {
    let (at, listener) = busiest(case, state);
    let owner = listener.and_then(|listener| listener.owners.first());
    Subject {
        netns: Some(state.namespace.label.clone()),
        pid: owner.map(|owner| owner.pid),
        process: owner.map(|owner| owner.process.clone()),
        local: at.map(|(at, _)| at.to_string()),
        state: Some("SYN_RECV"),
        counter: Some(counter),
        ..Subject::default()
    }
}

/// SYNs that a full queue drops. With cookies off, the last quarter of `tcp_max_syn_backlog` is kept for known peers,
/// and drops there count in `ListenDrops` only.
fn drops(case: &Case<'_>, state: &NamespaceState) -> Option<u64> {
    let full = case.grown(state, "TCPReqQFullDrop");
    if sysctl(state, "net.ipv4.tcp_syncookies") != Some(0) {
        return full;
    }
    let all = case.grown(state, "ListenDrops").unwrap_or(0);
    Some(full?.max(all.saturating_sub(case.grown(state, "ListenOverflows").unwrap_or(0))))
}

/// A crowd of strangers at a queue that is full: far more SYNs are dropped than handshakes completed.
fn thrown_away(case: &Case<'_>, state: &NamespaceState) -> Option<Finding> {
    let limits = &case.thresholds;
    let dropped = drops(case, state)?;
    let opened = case.grown_mib(state, "PassiveOpens").unwrap_or(0);
    let is_many = dropped as f64 / case.elapsed_s()? >= limits.cookies_per_second && dropped >= 20;
    let (Some((at, Some(half_open))), _) = busiest(case, state) else { return None };
    let sources = half_open.sources.len() as u64;
    // Half of those in the queue come from somewhere else: honest clients are few, and answer.
    let is_crowd = half_open.count >= 8 && sources * 2 > half_open.count;
    if !is_many || opened > dropped / 4 || !is_crowd {
        return None;
    }
    let finding = Finding::new(FLOOD.code, Severity::Critical, Responsible::Network)
        .variant("thrown-away")
        .about(Subject { local: Some(at.to_string()), ..subject_of(case, state, "TcpExt.TCPReqQFullDrop") })
        .count(dropped)
        .number("syn_drops", dropped, "SYNs")
        .number("completed", opened, "connections")
        .number("syn_recv", half_open.count, "requests")
        .number("repeated", half_open.repeated, "requests")
        .number("sources", sources, "addresses")
        .maybe("syncookies", sysctl(state, "net.ipv4.tcp_syncookies"))
        .unsure(Confidence::Likely, &[Missing::Capture]);
    Some(flood_fixes(case, state, finding))
}

fn flood(case: &Case<'_>, netns: Netns, at: SocketAddr, half_open: &HalfOpen) -> Finding {
    let sources = half_open.sources.len() as u64;
    let crowd = sources >= case.thresholds.syn_sources_many;
    let main =
        half_open.sources.iter().max_by_key(|(address, count)| (**count, std::cmp::Reverse(**address)));
    let listener =
        case.after.digest.listeners.all.iter().find(|listener| listener.netns == netns && listener.takes(at));
    let owner = listener.and_then(|listener| listener.owners.first());
    let state = case.state(netns);
    let cookies = state.and_then(|state| case.grown(state, "SyncookiesSent"));
    let drops = state.and_then(|state| case.grown(state, "TCPReqQFullDrop"));
    let is_losing = cookies.unwrap_or(0) + drops.unwrap_or(0) > 0;
    let limit = listener.and_then(|listener| listener.limit).map(u64::from);
    let severity = if is_losing || limit.is_some_and(|limit| half_open.count >= limit) {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let earlier = case
        .before
        .map(|before| before.digest.handshakes.incoming.get(&(netns, at)).map_or(0, |earlier| earlier.count));
    let subject = Subject {
        local: Some(at.to_string()),
        remote: main.filter(|_| sources == 1).map(|(address, _)| address.to_string()),
        state: Some("SYN_RECV"),
        ..case.subject(netns, owner.map(|owner| (owner.pid, owner.process.clone())))
    };
    let mut finding = Finding::new(FLOOD.code, severity, Responsible::Network)
        .about(subject)
        .count(half_open.count)
        .number("syn_recv", half_open.count, "requests")
        .number("repeated", half_open.repeated, "requests")
        .number("sources", sources, "addresses")
        .maybe("main_remote", main.map(|(address, _)| *address))
        .growth(earlier.and_then(|earlier| case.per_minute(earlier, half_open.count)))
        .maybe("limit", limit)
        .maybe("cookies_sent", cookies)
        .maybe("syncookies", case.sysctl(netns, "net.ipv4.tcp_syncookies"));
    if !crowd {
        finding = finding.variant("few-sources").unsure(Confidence::Likely, &[Missing::Capture]);
    }
    if case.before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    }
    match state {
        Some(state) => flood_fixes(case, state, finding),
        None => finding,
    }
}

fn flood_fixes(case: &Case<'_>, state: &NamespaceState, mut finding: Finding) -> Finding {
    if sysctl(state, "net.ipv4.tcp_syncookies") == Some(0) {
        finding.fixes.extend(case.set_sysctl("syncookies-on", state, "net.ipv4.tcp_syncookies", "1"));
    }
    if sysctl(state, "net.ipv4.tcp_synack_retries") > Some(2) {
        finding.fixes.extend(case.set_sysctl("fewer-synacks", state, "net.ipv4.tcp_synack_retries", "2"));
    }
    let watch = finding.subject.local.as_deref().and_then(|local| local.rsplit_once(':')).map(|(_, port)| {
        let filter = format!("tcp port {port} and tcp[tcpflags] & (tcp-syn|tcp-ack) != 0");
        case.command_in(state, &format!("tcpdump -ni any '{filter}'"))
    });
    finding.fix("filter-upstream", watch, true).see(REFERENCES)
}

fn judge_full(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut drops_all = 0;
    let mut undecided = Vec::new();
    for state in &case.after.namespaces {
        let Some(total) = tcp_ext(state, "TCPReqQFullDrop") else {
            undecided = vec![Missing::Counters];
            continue;
        };
        let cookies = sysctl(state, "net.ipv4.tcp_syncookies");
        let grown = drops(case, state);
        let drops = grown.unwrap_or(0);
        drops_all += drops;
        if drops == 0 {
            if grown.is_none() && total > 0 && cookies == Some(0) {
                undecided = vec![Missing::SecondLook];
            }
            continue;
        }
        let (at, listener) = busiest(case, state);
        let half_open = at.and_then(|(_, half_open)| half_open);
        let mut finding = Finding::new(BACKLOG_FULL.code, Severity::Critical, Responsible::Configuration)
            .about(subject_of(case, state, "TcpExt.TCPReqQFullDrop"))
            .count(drops)
            .number("syn_drops", drops, "SYNs")
            .growth(case.elapsed_s().map(|elapsed| drops as f64 * 60.0 / elapsed))
            .maybe("syn_recv", half_open.map(|half_open| half_open.count))
            .maybe("sources", half_open.map(|half_open| half_open.sources.len() as u64))
            .maybe("limit", listener.and_then(|listener| listener.limit).map(u64::from))
            .maybe("syncookies", cookies)
            .maybe("max_syn_backlog", sysctl(state, "net.ipv4.tcp_max_syn_backlog"));
        finding.fixes.extend(case.set_sysctl("syncookies-on", state, "net.ipv4.tcp_syncookies", "1"));
        if sysctl(state, "net.core.somaxconn") < Some(4096) {
            finding.fixes.extend(case.set_sysctl("raise-somaxconn", state, "net.core.somaxconn", "4096"));
        }
        findings.push(finding.fix("raise-backlog", None, true).see(REFERENCES));
    }
    if findings.is_empty() && !undecided.is_empty() {
        return Judgement::Undecided(undecided);
    }
    Judgement::of(findings, vec![seen("syn_drops", drops_all)])
}
