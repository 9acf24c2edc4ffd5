//! `keepalive-missing`, `heartbeat-reconnect`, `idle-timeout-order`: connections that nobody
//! watches.

use crate::look::sysctl;
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const KEEPALIVE: Rule =
    Rule { code: "keepalive-missing", needs: &[Need::TcpInfo], judge: judge_keepalive };
pub(super) const HEARTBEAT: Rule =
    Rule { code: "heartbeat-reconnect", needs: &[Need::TcpInfo], judge: judge_heartbeat };
pub(super) const TIMEOUT_ORDER: Rule =
    Rule { code: "idle-timeout-order", needs: &[Need::Sysctls], judge: judge_order };

/// Clients reported one by one.
const SHOWN: usize = 10;

fn judge_keepalive(case: &Case<'_>) -> Judgement {
    let limits = &case.thresholds;
    let mut findings = Vec::new();
    let mut served: Vec<_> = case.after.digest.served.0.iter().collect();
    served.sort_by_key(|(key, _)| **key);
    let mut unwatched = 0;
    for ((netns, number), port) in served {
        unwatched += port.unwatched;
        // One for a minute, or many for some seconds.
        let is_brief = port.unwatched == 0;
        let count = if is_brief { port.unwatched_brief } else { port.unwatched };
        if count == 0 || (is_brief && (count < limits.idle_many || case.before.is_none())) {
            continue;
        }
        let beyond = port.longest_ms >= limits.idle_beyond_keepalive_ms && port.unwatched >= limits.idle_many;
        let severity = if beyond { Severity::Warning } else { Severity::Info };
        let listener =
            case.after.digest.listeners.all.iter().find(|l| l.netns == *netns && l.at.port() == *number);
        let subject = Subject {
            local: Some(listener.map_or_else(|| format!("*:{number}"), |listener| listener.at.to_string())),
            state: Some("ESTABLISHED"),
            ..case.subject(*netns, port.holder.clone())
        };
        findings.push(
            Finding::new(KEEPALIVE.code, severity, Responsible::LocalProgram)
                .about(subject)
                .count(count)
                .number("unwatched", count, "connections")
                .number("established", port.established, "connections")
                .with("idle", Value::Ms(port.longest_ms))
                .with("port", *number)
                .maybe(
                    "keepalive_time",
                    case.sysctl(*netns, "net.ipv4.tcp_keepalive_time")
                        .map(|s| Value::Ms(s.saturating_mul(1000))),
                )
                .fix(
                    "keepalive-on",
                    case.command(
                        *netns,
                        &format!(
                            "eleven keepalive 'state established and sport = :{number}' --set \
                             time=60,interval=10,probes=6"
                        ),
                    ),
                    true,
                )
                .see(&[
                    "RFC 1122 §4.2.3.6",
                    "tcp(7) TCP_KEEPIDLE",
                    "eleven explain net.ipv4.tcp_keepalive_time",
                ]),
        );
    }
    Judgement::of(findings, vec![seen("unwatched", unwatched)])
}

fn judge_heartbeat(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut clients: Vec<_> = case.after.digest.clients.all.iter().collect();
    clients.sort_by_key(|(key, client)| (std::cmp::Reverse(client.dead()), **key));
    let mut most = 0;
    for ((netns, port, remote), client) in clients {
        most = most.max(client.count);
        let proven = client.unanswered + client.close_wait;
        let is_proven = client.dead() + 1 == client.count
            && client.count >= case.thresholds.reconnects
            && client.unanswered > 0
            && proven * 2 >= client.dead();
        // Silence alone is the habit of a pool too, which goes on with its oldest connection.
        let silent = client.dead() + client.quiet;
        let is_long = client.quiet == 0 || client.count >= case.thresholds.reconnects;
        let looks_like_it = case.before.is_some()
            && client.newest_lives()
            && is_long
            && client.count >= 2
            && silent + 1 == client.count;
        if !is_proven && !looks_like_it {
            continue;
        }
        if findings.len() == SHOWN {
            break;
        }
        let (severity, confidence) = if is_proven {
            (Severity::Warning, Confidence::Likely)
        } else {
            (Severity::Info, Confidence::Possible)
        };
        let subject = Subject {
            local: Some(format!("*:{port}")),
            remote: Some(remote.to_string()),
            state: Some("ESTABLISHED"),
            ..case.subject(*netns, client.holder.clone())
        };
        let mut finding = Finding::new(HEARTBEAT.code, severity, Responsible::LocalProgram);
        if !is_proven {
            finding = finding.variant("silent");
        }
        findings.push(
            finding
                .about(subject)
                .count(client.count)
                .number("connections", client.count, "connections")
                .number("dead", client.dead(), "connections")
                .number("unanswered", client.unanswered, "connections")
                .number("close_wait", client.close_wait, "connections")
                .number("silent_connections", client.silent + client.quiet, "connections")
                .maybe("silent_for", Some(client.silent_for_ms).filter(|ms| *ms > 0).map(Value::Ms))
                .with("port", *port)
                .unsure(confidence, &[Missing::OtherEnd])
                .fix(
                    "server-heartbeat",
                    case.command(*netns, &format!("eleven list 'sport = :{port} and dst {remote}'")),
                    true,
                )
                .fix("watch-peer", None, true)
                .see(&["RFC 1122 §4.2.3.6", "RFC 5482"]),
        );
    }
    Judgement::of(findings, vec![seen("connections", most)])
}

/// What one host can tell of the path: its own keepalive against its own connection tracking.
fn judge_order(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    for state in &case.after.namespaces {
        let (Some(keepalive), Some(tracked), Some(count)) = (
            sysctl(state, "net.ipv4.tcp_keepalive_time"),
            sysctl(state, "net.netfilter.nf_conntrack_tcp_timeout_established"),
            sysctl(state, "net.netfilter.nf_conntrack_count"),
        ) else {
            continue;
        };
        if count == 0 || keepalive < tracked {
            continue;
        }
        let subject = Subject {
            netns: Some(state.namespace.label.clone()),
            sysctl: Some("net.netfilter.nf_conntrack_tcp_timeout_established"),
            ..Subject::default()
        };
        let mut finding = Finding::new(TIMEOUT_ORDER.code, Severity::Warning, Responsible::Configuration)
            .about(subject)
            .count(count)
            .with("keepalive_time", Value::Ms(keepalive.saturating_mul(1000)))
            .with("established_timeout", Value::Ms(tracked.saturating_mul(1000)))
            .number("conntrack_count", count, "flows");
        finding.fixes.extend(case.set_sysctl(
            "keepalive-below",
            state,
            "net.ipv4.tcp_keepalive_time",
            &(tracked / 2).max(30).to_string(),
        ));
        findings.push(finding.see(&["RFC 5382 REQ-5", "eleven explain net.ipv4.tcp_keepalive_time"]));
    }
    let keepalive =
        case.after.namespaces.iter().filter_map(|state| sysctl(state, "net.ipv4.tcp_keepalive_time")).min();
    let seconds = keepalive.map(|seconds| seen("keepalive_time", Value::Ms(seconds.saturating_mul(1000))));
    Judgement::of(findings, seconds.into_iter().collect())
}
