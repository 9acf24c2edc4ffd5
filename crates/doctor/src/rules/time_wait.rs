//! `time-wait-normal` and `time-wait-overflow`: a harmless pile, and one that is cut short.

use eleven_tcp::State;

use crate::look::{sockstat, sysctl, tcp_ext};
use crate::rule::seen;
use crate::{Case, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject};

pub(super) const NORMAL: Rule = Rule { code: "time-wait-normal", needs: &[], judge: judge_normal };
pub(super) const OVERFLOW: Rule =
    Rule { code: "time-wait-overflow", needs: &[Need::TwoLooks, Need::Counters], judge: judge_overflow };

fn judge_normal(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut served: Vec<_> = case.after.digest.served.0.iter().collect();
    served.sort_by_key(|(key, _)| **key);
    let mut most = 0;
    for ((netns, number), port) in served {
        most = most.max(port.time_wait);
        if port.time_wait < case.thresholds.time_wait_many {
            continue;
        }
        let listener = case
            .after
            .digest
            .listeners
            .all
            .iter()
            .find(|listener| listener.netns == *netns && listener.at.port() == *number);
        let owner = listener.and_then(|listener| listener.owners.first());
        let subject = Subject {
            local: Some(listener.map_or_else(|| format!("*:{number}"), |listener| listener.at.to_string())),
            state: Some(State::TimeWait.as_str()),
            ..case.subject(*netns, owner.map(|owner| (owner.pid, owner.process.clone())))
        };
        findings.push(
            Finding::new(NORMAL.code, Severity::Info, Responsible::LocalProgram)
                .about(subject)
                .count(port.time_wait)
                .number("time_wait", port.time_wait, "sockets")
                .number("memory", port.time_wait * 300 / 1024, "KiB")
                .fix(
                    "leave-time-wait",
                    case.command(
                        *netns,
                        &format!("eleven count --by remote 'state time-wait and sport = :{number}'"),
                    ),
                    true,
                )
                .see(&["RFC 9293 §3.6.1", "eleven explain TIME_WAIT"]),
        );
    }
    Judgement::of(
        findings,
        vec![seen("time_wait", case.after.digest.in_state(State::TimeWait)), seen("on_one_port", most)],
    )
}

fn judge_overflow(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    let mut total = 0;
    for state in &case.after.namespaces {
        let Some(absolute) = tcp_ext(state, "TCPTimeWaitOverflow") else {
            missing = vec![Missing::Counters];
            continue;
        };
        let buckets = sysctl(state, "net.ipv4.tcp_max_tw_buckets");
        let now = sockstat(state, "tw");
        let grown = case.grown(state, "TCPTimeWaitOverflow");
        let is_full = buckets
            .zip(now)
            .is_some_and(|(buckets, now)| now.saturating_mul(10) >= buckets.saturating_mul(9));
        if grown.is_none() && absolute > 0 && !is_full {
            missing = vec![Missing::SecondLook];
        }
        let overflows = match grown {
            Some(grown) => grown,
            None if absolute > 0 && is_full => absolute as u64,
            None => 0,
        };
        total += overflows;
        if overflows == 0 {
            continue;
        }
        let to = buckets.map_or(262_144, |buckets| buckets.saturating_mul(4).max(262_144)).to_string();
        let subject = Subject {
            netns: Some(state.namespace.label.clone()),
            state: Some(State::TimeWait.as_str()),
            sysctl: Some("net.ipv4.tcp_max_tw_buckets"),
            counter: Some("TcpExt.TCPTimeWaitOverflow"),
            ..Subject::default()
        };
        let mut finding = Finding::new(OVERFLOW.code, Severity::Warning, Responsible::Configuration)
            .about(subject)
            .count(overflows)
            .number("overflows", overflows, "connections")
            .growth(case.elapsed_s().map(|elapsed| overflows as f64 * 60.0 / elapsed))
            .maybe("max_tw_buckets", buckets)
            .maybe("time_wait", now);
        finding.missing = case.second_look();
        finding.fixes.extend(case.set_sysctl("raise-tw-buckets", state, "net.ipv4.tcp_max_tw_buckets", &to));
        findings.push(finding.see(&["eleven explain net.ipv4.tcp_max_tw_buckets"]));
    }
    if findings.is_empty() && !missing.is_empty() {
        return Judgement::Undecided(missing);
    }
    Judgement::of(findings, vec![seen("overflows", total)])
}
