//! `address-in-use`, `port-range-overlap`, `unexpected-listener`: who holds which port.

use std::net::IpAddr;

use crate::digest::{AtPort, Listener, Netns};
use crate::rule::seen;
use crate::rules::ports::parse_ranges;
use crate::{Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject};

pub(super) const IN_USE: Rule = Rule { code: "address-in-use", needs: &[Need::Owners], judge: judge_in_use };
pub(super) const RANGE_OVERLAP: Rule =
    Rule { code: "port-range-overlap", needs: &[Need::Sysctls], judge: judge_overlap };
pub(super) const UNEXPECTED: Rule =
    Rule { code: "unexpected-listener", needs: &[Need::TwoLooks, Need::Owners], judge: judge_unexpected };

/// Ports reported one by one.
const SHOWN: usize = 5;

fn holder(listener: &Listener) -> Option<(u32, std::sync::Arc<str>)> {
    listener.owners.first().map(|owner| (owner.pid, owner.process.clone()))
}

fn overlaps(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_unspecified() || b.is_unspecified()
}

/// Whether somebody who bound a port and does not listen is in the way of another who does, or
/// of the listener that was there before.
fn judge_in_use(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let listeners = &case.after.digest.listeners;
    for bound in &listeners.bound {
        let other = listeners.all.iter().find(|listener| {
            listener.netns == bound.netns
                && listener.at.port() == bound.at.port()
                && overlaps(listener.at.ip(), bound.at.ip())
                && listener.interface == bound.interface
        });
        let Some(other) = other else { continue };
        // A program's own second socket may be meant so; another program's is in the way.
        let is_own = holder(other) == holder(bound);
        let severity = if is_own { Severity::Info } else { Severity::Warning };
        let confidence = if is_own { Confidence::Possible } else { Confidence::Likely };
        let (pid, process) = holder(other).unzip();
        let subject = Subject {
            netns: Some(case.label(bound.netns)),
            pid,
            process,
            local: Some(other.at.to_string()),
            state: Some("LISTEN"),
            ..Subject::default()
        };
        let mut finding = Finding::new(IN_USE.code, severity, Responsible::Configuration)
            .variant("bound")
            .about(subject)
            .count(1)
            .with("port", bound.at.port())
            .maybe("waiting_process", holder(bound).map(|(pid, name)| format!("{name} (pid {pid})")))
            .unsure(confidence, &[]);
        finding = fixes(case, bound.netns, bound.at.port(), finding);
        findings.push(finding);
    }
    // A listener that went away and left connections on its port: a restart without
    // SO_REUSEADDR fails on them.
    if let Some(before) = case.before.filter(|_| case.same_boot()) {
        for gone in &before.digest.listeners.all {
            let port = gone.at.port();
            let still = listeners
                .all
                .iter()
                .any(|listener| listener.netns == gone.netns && listener.at.port() == port);
            let left = case
                .after
                .digest
                .served
                .0
                .get(&(gone.netns, port))
                .map_or(0, |served| served.time_wait + served.established);
            let has_port = case.after.digest.spaces.get(usize::from(gone.netns)).is_some();
            if still || left == 0 || !has_port {
                continue;
            }
            let (pid, process) = holder(gone).unzip();
            let subject = Subject {
                netns: Some(case.label(gone.netns)),
                pid,
                process,
                local: Some(gone.at.to_string()),
                state: Some("TIME_WAIT"),
                ..Subject::default()
            };
            let finding = Finding::new(IN_USE.code, Severity::Warning, Responsible::LocalProgram)
                .variant("left-over")
                .about(subject)
                .count(left)
                .with("port", port)
                .number("left_over", left, "sockets")
                .unsure(Confidence::Possible, &[]);
            findings.push(fixes(case, gone.netns, port, finding));
        }
    }
    findings.extend(ended(case, &findings));
    Judgement::of(
        findings,
        vec![seen("listeners", listeners.all.len() as u64), seen("only_bound", listeners.bound.len() as u64)],
    )
}

/// Ports whose server ended before the first look, and what it left there.
fn ended(case: &Case<'_>, known: &[Finding]) -> Vec<Finding> {
    let digest = &case.after.digest;
    let mut ports: Vec<_> = digest.borrowed.left_over.iter().collect();
    ports.sort_by_key(|(key, _)| **key);
    let is_told = |netns: Netns, port: u16| {
        let told = |finding: &Finding| {
            finding.subject.netns.as_deref() == Some(&*case.label(netns))
                && finding.evidence.contains(&seen("port", port))
        };
        digest.listeners.all.iter().any(|listener| listener.netns == netns && listener.at.port() == port)
            || known.iter().any(told)
    };
    let ports = ports.into_iter().filter(|((netns, port), _)| !is_told(*netns, *port)).take(SHOWN);
    let one = |((netns, port), at): (&(Netns, u16), &AtPort)| {
        let mostly_waits = at.time_wait * 2 >= at.count;
        let subject = Subject {
            local: Some(at.example.local.to_string()),
            state: Some(if mostly_waits { "TIME_WAIT" } else { "ESTABLISHED" }),
            ..case.subject(*netns, at.holder.clone())
        };
        let finding = Finding::new(IN_USE.code, Severity::Info, Responsible::LocalProgram)
            .variant("ended")
            .about(subject)
            .count(at.count)
            .with("port", *port)
            .number("left_over", at.count, "sockets")
            .number("time_wait", at.time_wait, "sockets")
            .unsure(Confidence::Possible, &[]);
        fixes(case, *netns, *port, finding)
    };
    ports.map(one).collect()
}

fn fixes(case: &Case<'_>, netns: Netns, port: u16, finding: Finding) -> Finding {
    finding
        .fix("name-holder", case.command(netns, &format!("eleven list 'sport = :{port}'")), true)
        .fix("reuse-address", None, true)
        .see(&["socket(7) SO_REUSEADDR", "bind(2) EADDRINUSE"])
}

fn judge_overlap(case: &Case<'_>) -> Judgement {
    let mut findings: Vec<Finding> = Vec::new();
    let mut known: Vec<(u16, u16)> = Vec::new();
    let mut listeners: Vec<&Listener> = case.after.digest.listeners.all.iter().collect();
    listeners.sort_by_key(|listener| (listener.netns, listener.at.port()));
    for listener in listeners {
        let port = listener.at.port();
        let (low, high) = case.after.digest.spaces[usize::from(listener.netns)].range;
        if !(low..=high).contains(&port) || known.contains(&(listener.netns, port)) {
            continue;
        }
        let Some(state) = case.state(listener.netns) else { continue };
        let reserved = state.sysctls.get("net.ipv4.ip_local_reserved_ports").map_or("", String::as_str);
        if parse_ranges(reserved).iter().any(|(first, last)| (*first..=*last).contains(&port)) {
            continue;
        }
        known.push((listener.netns, port));
        let to = if reserved.is_empty() { port.to_string() } else { format!("{reserved},{port}") };
        let subject = Subject {
            local: Some(listener.at.to_string()),
            state: Some("LISTEN"),
            sysctl: Some("net.ipv4.ip_local_reserved_ports"),
            ..case.subject(listener.netns, holder(listener))
        };
        let mut finding = Finding::new(RANGE_OVERLAP.code, Severity::Info, Responsible::Configuration)
            .about(subject)
            .count(1)
            .with("port", port)
            .with("port_range", format!("{low} {high}"))
            .with("reserved", if reserved.is_empty() { "-" } else { reserved });
        finding.fixes.extend(case.set_sysctl("reserve-port", state, "net.ipv4.ip_local_reserved_ports", &to));
        findings.push(finding.see(&["ip(7)", "eleven explain net.ipv4.ip_local_reserved_ports"]));
    }
    findings.extend(taken(case, &known));
    Judgement::of(findings, vec![seen("listeners", case.after.digest.listeners.all.len() as u64)])
}

/// Outgoing connections that were given the port of a well-known service, which could not start now.
fn taken(case: &Case<'_>, known: &[(Netns, u16)]) -> Vec<Finding> {
    let mut ports: Vec<_> = case.after.digest.borrowed.taken.iter().collect();
    ports.retain(|(key, at)| !known.contains(key) && at.time_wait < at.count);
    ports.sort_by_key(|(key, _)| **key);
    let one = |((netns, port), at): (&(Netns, u16), &AtPort)| {
        let state = case.state(*netns)?;
        let (low, high) = case.after.digest.spaces[usize::from(*netns)].range;
        let reserved = state.sysctls.get("net.ipv4.ip_local_reserved_ports").map_or("", String::as_str);
        if parse_ranges(reserved).iter().any(|(first, last)| (*first..=*last).contains(port)) {
            return None;
        }
        let to = if reserved.is_empty() { port.to_string() } else { format!("{reserved},{port}") };
        let subject = Subject {
            local: Some(at.example.local.to_string()),
            remote: Some(at.example.remote.to_string()),
            state: Some("ESTABLISHED"),
            sysctl: Some("net.ipv4.ip_local_reserved_ports"),
            ..case.subject(*netns, at.holder.clone())
        };
        let mut finding = Finding::new(RANGE_OVERLAP.code, Severity::Info, Responsible::Configuration)
            .variant("taken")
            .about(subject)
            .count(at.count)
            .with("port", *port)
            .with("port_range", format!("{low} {high}"))
            .with("reserved", if reserved.is_empty() { "-" } else { reserved })
            .unsure(Confidence::Possible, &[]);
        finding.fixes.extend(case.set_sysctl("reserve-port", state, "net.ipv4.ip_local_reserved_ports", &to));
        Some(finding.see(&["ip(7)", "eleven explain net.ipv4.ip_local_reserved_ports"]))
    };
    ports.into_iter().filter_map(one).take(SHOWN).collect()
}

fn judge_unexpected(case: &Case<'_>) -> Judgement {
    let listeners = &case.after.digest.listeners;
    let counted = vec![seen("listeners", listeners.all.len() as u64)];
    let reachable = listeners.all.iter().filter(|listener| !listener.at.ip().is_loopback());
    if listeners.has_expectations {
        let findings = reachable
            .filter(|listener| listener.is_unexpected)
            .map(|listener| unexpected(case, listener, Severity::Warning).variant("not-expected"));
        return Judgement::of(findings.collect(), counted);
    }
    let Some(before) = case.before else { return Judgement::Undecided(vec![Missing::EarlierSnapshot]) };
    let mut findings = Vec::new();
    for listener in reachable {
        let label = case.label(listener.netns);
        // Namespaces of the earlier look only: a new container brings its listeners along.
        let namespace_known = before.digest.spaces.iter().any(|space| space.label == label);
        let was_there = before.digest.listeners.all.iter().any(|old| {
            *before.digest.label(old.netns) == label
                && old.at.port() == listener.at.port()
                && overlaps(old.at.ip(), listener.at.ip())
        });
        if was_there || !namespace_known {
            continue;
        }
        // Within seconds services start all the time; since a snapshot that was kept it is news.
        let severity = if before.saved { Severity::Warning } else { Severity::Info };
        findings.push(unexpected(case, listener, severity).unsure(Confidence::Likely, &[]));
    }
    Judgement::of(findings, counted)
}

fn unexpected(case: &Case<'_>, listener: &Listener, severity: Severity) -> Finding {
    let port = listener.at.port();
    let owner = holder(listener);
    let pid = owner.as_ref().map(|(pid, _)| *pid);
    let subject = Subject {
        local: Some(listener.at.to_string()),
        state: Some("LISTEN"),
        ..case.subject(listener.netns, owner)
    };
    let mut finding = Finding::new(UNEXPECTED.code, severity, Responsible::Configuration)
        .about(subject)
        .count(1)
        .with("port", port)
        .maybe("user", listener.user.as_deref())
        .fix(
            "inspect-listener",
            pid.map(|pid| format!("ps -o user,lstart,args -p {pid}; systemctl status {pid}")),
            true,
        )
        .fix("bind-loopback", None, true)
        .see(&["eleven explain LISTEN"]);
    if listener.hidden_owner {
        finding.missing.push(Missing::Privilege);
    }
    finding
}
