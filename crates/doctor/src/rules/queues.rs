//! `local-reader-slow` and `peer-reader-slow`: data has arrived, and nobody reads it.

use eleven_snapshot::TimerKind;

use crate::digest::{Kind, Sample};
use crate::rule::seen;
use crate::rules::threads;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const LOCAL_READER: Rule =
    Rule { code: "local-reader-slow", needs: &[Need::TwoLooks, Need::Owners], judge: judge_local };
pub(super) const PEER_READER: Rule =
    Rule { code: "peer-reader-slow", needs: &[Need::TwoLooks, Need::TcpInfo], judge: judge_peer };

/// Connections reported one by one; the rest is counted.
const SHOWN: usize = 10;

/// Bytes the program took between two looks.
fn read_between(before: &Sample, after: &Sample) -> Option<u64> {
    let received = after.bytes_received?.saturating_sub(before.bytes_received?);
    received.saturating_add(u64::from(before.recv_queue)).checked_sub(u64::from(after.recv_queue))
}

fn subject(case: &Case<'_>, sample: &Sample) -> Subject {
    Subject {
        local: Some(sample.tuple.local.to_string()),
        remote: Some(sample.tuple.remote.to_string()),
        state: Some(sample.state.as_str()),
        ..case.subject(sample.netns, sample.holder())
    }
}

fn judge_local(case: &Case<'_>) -> Judgement {
    let limits = &case.thresholds;
    let mut unread: Vec<(&Sample, Option<&Sample>)> = case
        .suspects(Kind::Unread)
        .filter(|(sample, before)| {
            // It waits for accept: the accept queue's finding.
            if sample.not_accepted {
                return false;
            }
            match before {
                // Standing: at least as much as before, and hardly anything taken meanwhile.
                Some(before) => {
                    sample.recv_queue >= before.recv_queue / 2
                        && sample.recv_queue >= limits.unread_bytes
                        && read_between(before, sample)
                            .is_none_or(|read| read < u64::from(before.recv_queue) / 2)
                }
                None if case.before.is_none() => {
                    sample.recv_queue >= limits.unread_bytes_one_look && sample.idle_ms >= Some(2_000)
                }
                None => false,
            }
        })
        .collect();
    unread.sort_by_key(|(sample, _)| std::cmp::Reverse(sample.recv_queue));
    let all = unread.len() as u64;
    let findings: Vec<Finding> =
        unread.iter().take(SHOWN).map(|(sample, before)| local(case, sample, *before, all)).collect();
    Judgement::of(findings, vec![seen("unread", case.after.digest.suspects.total(Kind::Unread))])
}

fn local(case: &Case<'_>, sample: &Sample, before: Option<&Sample>, all: u64) -> Finding {
    let detail = sample.owner.as_ref().and_then(|owner| case.after.detail(owner.pid));
    let mut finding =
        Finding::new(LOCAL_READER.code, Severity::Warning, Responsible::LocalProgram)
            .about(subject(case, sample))
            .count(u64::from(sample.recv_queue))
            .number("recv_queue", u64::from(sample.recv_queue), "bytes")
            .growth(before.and_then(|before| {
                case.per_minute(u64::from(before.recv_queue), u64::from(sample.recv_queue))
            }))
            .maybe("read_between", before.and_then(|before| read_between(before, sample)))
            .maybe("fd", sample.owner.as_ref().map(|owner| u64::from(owner.fd)))
            .maybe("idle", sample.idle_ms.map(Value::Ms))
            .maybe("threads", detail.and_then(threads::describe));
    if all > 1 {
        finding = finding.number("of_this_kind", all, "connections");
    }
    if before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    }
    if sample.unreadable {
        finding = finding.unsure(Confidence::Likely, &[Missing::Privilege]);
    }
    let stack = sample
        .owner
        .as_ref()
        .map(|owner| format!("grep -H . /proc/{0}/task/*/wchan; cat /proc/{0}/task/*/stack", owner.pid));
    finding
        .fix("why-not-reading", stack, true)
        .fix("bound-input", None, true)
        .see(&["RFC 9293 §3.8.6", "eleven explain net.ipv4.tcp_rmem"])
}

fn judge_peer(case: &Case<'_>) -> Judgement {
    let mut findings: Vec<(u32, Finding)> = Vec::new();
    for (sample, before) in case.suspects(Kind::Unsent) {
        // Zero window: probes instead of data. Or nothing acknowledged between the looks while
        // the peer is there and its window is used up.
        let probing = sample.timer == Some(TimerKind::Persist);
        let stands = before.is_some_and(|before| {
            before.bytes_acked.zip(sample.bytes_acked).is_some_and(|(sooner, later)| sooner == later)
        });
        let closed = sample.send_window.is_some_and(|window| window < sample.send_mss.unwrap_or(1));
        let is_stuck = match before {
            Some(_) => {
                stands
                    && ((probing && (closed || sample.send_window.is_none()))
                        || (closed && sample.timer != Some(TimerKind::Retransmit)))
            }
            None => {
                case.before.is_none() && probing && sample.silent_ms.is_none_or(|silent| silent < 130_000)
            }
        };
        if !is_stuck {
            continue;
        }
        let peer = case.mirror(sample);
        let mut finding = Finding::new(PEER_READER.code, Severity::Warning, Responsible::Peer)
            .about(subject(case, sample))
            .count(u64::from(sample.send_queue))
            .number("send_queue", u64::from(sample.send_queue), "bytes")
            .number("probes", u64::from(sample.repeats), "probes")
            .maybe("send_window", sample.send_window)
            .maybe("idle", sample.idle_ms.map(Value::Ms));
        match peer.and_then(|peer| peer.owner.as_ref().map(|owner| (peer, owner))) {
            Some((peer, owner)) => {
                let words = format!(
                    "{} (pid {}, fd {}, {}, Recv-Q {})",
                    owner.process, owner.pid, owner.fd, peer.state, peer.recv_queue
                );
                finding = finding.variant("peer-here").with("peer_here", words);
            }
            None => finding.missing.push(Missing::OtherEnd),
        }
        if before.is_none() {
            finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
        }
        let remote = sample.tuple.remote;
        let find = format!("eleven list 'dst {} and dport = :{}' --info", remote.ip(), remote.port());
        let finding = finding
            .fix("peer-must-read", case.command(sample.netns, &find), true)
            .fix("bound-output", None, true)
            .see(&["RFC 9293 §3.8.6.1", "tcp(7) TCP_USER_TIMEOUT"]);
        findings.push((sample.send_queue, finding));
    }
    findings.sort_by_key(|(queue, _)| std::cmp::Reverse(*queue));
    let all = findings.len() as u64;
    let findings = findings.into_iter().take(SHOWN).map(|(_, finding)| {
        if all > 1 { finding.number("of_this_kind", all, "connections") } else { finding }
    });
    Judgement::of(findings.collect(), vec![seen("unsent", case.after.digest.suspects.total(Kind::Unsent))])
}
