//! `syn-sent-unanswered` and `syn-sent-scan`: connection attempts into silence.

use eleven_tcp::State;

use crate::rule::seen;
use crate::{Case, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value};

pub(super) const UNANSWERED: Rule =
    Rule { code: "syn-sent-unanswered", needs: &[Need::Owners], judge: judge_unanswered };
pub(super) const SCAN: Rule = Rule { code: "syn-sent-scan", needs: &[Need::Owners], judge: judge_scan };

/// Destinations reported one by one; the rest is counted.
const SHOWN: usize = 10;

/// Whether a process is one that [`SCAN`] reports.
fn is_scan(case: &Case<'_>, destinations: usize) -> bool {
    destinations as u64 >= case.thresholds.scan_destinations
}

fn judge_scan(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut most = 0;
    let mut processes: Vec<_> = case.after.digest.handshakes.processes.iter().collect();
    processes.sort_by_key(|(key, _)| **key);
    for ((netns, pid), attempts) in processes {
        most = most.max(attempts.destinations.len() as u64);
        if !is_scan(case, attempts.destinations.len()) {
            continue;
        }
        let subject = Subject {
            state: Some(State::SynSent.as_str()),
            ..case.subject(*netns, pid.zip(attempts.process.clone()))
        };
        let mut ports: Vec<u16> = attempts.destinations.iter().map(std::net::SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        let shown: Vec<String> = ports.iter().take(8).map(u16::to_string).collect();
        let more = if ports.len() > shown.len() { " …" } else { "" };
        let severity =
            if attempts.destinations.len() >= 1000 { Severity::Critical } else { Severity::Warning };
        let mut finding = Finding::new(SCAN.code, severity, Responsible::LocalProgram)
            .about(subject)
            .count(attempts.count)
            .number("syn_sent", attempts.count, "sockets")
            .number("destinations", attempts.destinations.len() as u64, "destinations")
            .number("addresses", attempts.addresses.len() as u64, "addresses")
            .with("ports", format!("{}{more}", shown.join(" ")))
            .number("repeated", attempts.repeated, "sockets")
            .fix(
                "inspect-process",
                pid.map(|pid| format!("ls -l /proc/{pid}/exe; ps -o user,ppid,lstart,args -p {pid}")),
                true,
            )
            .fix("freeze-process", pid.map(|pid| format!("kill -STOP {pid}")), true)
            .see(&["eleven explain SYN_SENT"]);
        if pid.is_none() {
            finding.missing.push(Missing::Privilege);
        }
        findings.push(finding);
    }
    Judgement::of(findings, vec![seen("destinations", most)])
}

fn judge_unanswered(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let handshakes = &case.after.digest.handshakes;
    let mut destinations: Vec<_> =
        handshakes.destinations.iter().filter(|(_, destination)| destination.repeated > 0).collect();
    destinations.sort_by_key(|(key, destination)| (std::cmp::Reverse(destination.repeated), **key));
    let silent = destinations.len() as u64;
    for ((netns, remote), destination) in destinations {
        let pid = destination.process.as_ref().map(|(pid, _)| *pid);
        let of_process = handshakes.processes.get(&(*netns, pid));
        if of_process.is_some_and(|attempts| is_scan(case, attempts.destinations.len())) {
            continue;
        }
        // The other end is here and its queue is full: that is the finding, not the path.
        let here = &case.after.digest;
        if here.is_local(remote.ip()) && here.listeners.full_at(*remote).is_some() {
            continue;
        }
        if findings.len() == SHOWN {
            break;
        }
        let retries = case.sysctl(*netns, "net.ipv4.tcp_syn_retries");
        let subject = Subject {
            local: destination.local.map(|local| local.ip().to_string()),
            remote: Some(remote.to_string()),
            state: Some(State::SynSent.as_str()),
            ..case.subject(*netns, destination.process.clone())
        };
        // One SYN in a thousand is lost anywhere, and repeated once.
        let is_lost = destination.most_repeats < 2 && destination.repeated < 3;
        let severity = if is_lost { Severity::Info } else { Severity::Warning };
        let mut finding = Finding::new(UNANSWERED.code, severity, Responsible::Network)
            .about(subject)
            .count(destination.count)
            .number("syn_sent", destination.count, "sockets")
            .number("repeated", destination.repeated, "sockets")
            .number("most_repeats", u64::from(destination.most_repeats), "SYNs")
            .number("silent_destinations", silent, "destinations")
            .maybe("gives_up", retries.map(|retries| Value::Ms(syn_timeout_ms(retries))))
            .fix(
                "follow-syn",
                case.command(
                    *netns,
                    &format!("tcpdump -ni any 'tcp port {} and host {}'", remote.port(), remote.ip()),
                ),
                true,
            )
            .fix("connect-timeout", None, true)
            .see(&["RFC 9293 §3.8.3", "connect(2) ETIMEDOUT", "eleven explain net.ipv4.tcp_syn_retries"]);
        finding.missing = vec![Missing::OtherEnd];
        findings.push(finding);
    }
    Judgement::of(
        findings,
        vec![
            seen("syn_sent", case.after.digest.in_state(State::SynSent)),
            seen("silent_destinations", silent),
        ],
    )
}

/// How long connect() waits: a second, doubled with every repeat, at most two minutes a turn.
fn syn_timeout_ms(retries: u64) -> u64 {
    (0..=retries.min(127)).map(|turn| (1000_u64 << turn.min(20)).min(120_000)).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn six_repeats_are_two_minutes_and_seven_seconds() {
        assert_eq!(super::syn_timeout_ms(6), 127_000);
        let _ = super::syn_timeout_ms(u64::MAX);
    }
}
