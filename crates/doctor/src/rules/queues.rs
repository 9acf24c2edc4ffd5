//! `local-reader-slow` and `peer-reader-slow`: data has arrived, and nobody reads it.

use eleven_snapshot::TimerKind;

use crate::digest::{Kind, Sample};
use crate::rule::seen;
use crate::rules::{group, threads};
use crate::{Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Value};

pub(super) const LOCAL_READER: Rule =
    Rule { code: "local-reader-slow", needs: &[Need::TwoLooks, Need::Owners], judge: judge_local };
pub(super) const PEER_READER: Rule =
    Rule { code: "peer-reader-slow", needs: &[Need::TwoLooks, Need::TcpInfo], judge: judge_peer };

/// Programs and peers reported one by one; the rest is counted.
const SHOWN: usize = 10;

/// Share of the time in per cent from which on the reader, and not the path, sets the pace.
const HELD_UP: f64 = 50.0;

/// Bytes the program took between two looks.
fn read_between(before: &Sample, after: &Sample) -> Option<u64> {
    let received = after.bytes_received?.saturating_sub(before.bytes_received?);
    received.saturating_add(u64::from(before.recv_queue)).checked_sub(u64::from(after.recv_queue))
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
    let groups = group::by_peer(case, unread, |(sample, _)| sample);
    let all = groups.len() as u64;
    let findings = groups.iter().take(SHOWN).map(|group| local(case, group, all)).collect();
    Judgement::of(findings, vec![seen("unread", case.after.digest.suspects.total(Kind::Unread))])
}

fn local(case: &Case<'_>, group: &[(&Sample, Option<&Sample>)], all: u64) -> Finding {
    let (worst, before) = group[0];
    let detail = worst.owner.as_ref().and_then(|owner| case.after.detail(owner.pid));
    let waiting = group.iter().map(|(sample, _)| u64::from(sample.recv_queue)).sum();
    let earlier = group.iter().map(|(_, before)| Some(u64::from((*before)?.recv_queue))).sum::<Option<u64>>();
    let read = group.iter().map(|(sample, before)| read_between((*before)?, sample)).sum::<Option<u64>>();
    let mut finding = Finding::new(LOCAL_READER.code, Severity::Warning, Responsible::LocalProgram)
        .about(group::subject(case, group.iter().map(|(sample, _)| *sample)))
        .count(group.len() as u64)
        .number("recv_queue", waiting, "bytes")
        .number("connections", group.len() as u64, "connections")
        .growth(earlier.and_then(|earlier| case.per_minute(earlier, waiting)))
        .maybe("read_between", read)
        .maybe("fd", worst.owner.as_ref().map(|owner| u64::from(owner.fd)))
        .maybe("idle", worst.idle_ms.map(Value::Ms))
        .maybe("threads", detail.and_then(threads::describe));
    if group.len() > 1 {
        finding = finding.variant("many");
    }
    if all > SHOWN as u64 {
        finding = finding.number("of_this_kind", all, "findings");
    }
    if before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    }
    if worst.unreadable {
        finding = finding.unsure(Confidence::Likely, &[Missing::Privilege]);
    }
    let stack = worst
        .owner
        .as_ref()
        .map(|owner| format!("grep -H . /proc/{0}/task/*/wchan; cat /proc/{0}/task/*/stack", owner.pid));
    finding
        .fix("why-not-reading", stack, true)
        .fix("bound-input", None, true)
        .see(&["RFC 9293 §3.8.6", "eleven explain net.ipv4.tcp_rmem"])
}

/// Whether the peer is there and takes nothing. Zero window: probes instead of data. Or nothing
/// acknowledged between the looks while the peer is there and its window is used up.
fn is_stuck(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> bool {
    let probing = sample.timer == Some(TimerKind::Persist);
    let Some(before) = before else {
        return case.before.is_none() && probing && sample.silent_ms.is_none_or(|silent| silent < 130_000);
    };
    let stands = before.bytes_acked.zip(sample.bytes_acked).is_some_and(|(sooner, later)| sooner == later);
    let closed = sample.send_window.is_some_and(|window| window < sample.send_mss.unwrap_or(1));
    stands
        && ((probing && (closed || sample.send_window.is_none()))
            || (closed && sample.timer != Some(TimerKind::Retransmit)))
}

/// Share of the time between the looks, in per cent, for which the peer's window held data up.
fn held_up(case: &Case<'_>, before: &Sample, sample: &Sample) -> Option<f64> {
    let held_up_us = sample.held_up_us?.checked_sub(before.held_up_us?)?;
    Some((held_up_us as f64 / 1e4 / case.elapsed_s()?).min(100.0))
}

/// Whether data moves at the pace at which the peer reads: what a stream that is watched looks
/// like too.
fn is_slow(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> bool {
    before.is_some_and(|before| before.send_queue > 0 && held_up(case, before, sample) >= Some(HELD_UP))
}

fn judge_peer(case: &Case<'_>) -> Judgement {
    let (mut stuck, mut slow) = (Vec::new(), Vec::new());
    for (sample, before) in case.suspects(Kind::Unsent) {
        if is_stuck(case, sample, before) {
            stuck.push((sample, before));
        } else if is_slow(case, sample, before) {
            slow.push((sample, before));
        }
    }
    let mut findings = Vec::new();
    for (mut unsent, severity) in [(stuck, Severity::Warning), (slow, Severity::Info)] {
        unsent.sort_by_key(|(sample, _)| std::cmp::Reverse(sample.send_queue));
        let groups = group::by_peer(case, unsent, |(sample, _)| sample);
        let all = groups.len() as u64;
        findings.extend(groups.iter().take(SHOWN).map(|group| peer(case, group, severity, all)));
    }
    Judgement::of(findings, vec![seen("unsent", case.after.digest.suspects.total(Kind::Unsent))])
}

fn peer(case: &Case<'_>, group: &[(&Sample, Option<&Sample>)], severity: Severity, all: u64) -> Finding {
    let (worst, before) = group[0];
    let waiting = group.iter().map(|(sample, _)| u64::from(sample.send_queue)).sum();
    let taken = before.and_then(|before| worst.bytes_acked?.checked_sub(before.bytes_acked?));
    let mut finding = Finding::new(PEER_READER.code, severity, Responsible::Peer)
        .about(group::subject(case, group.iter().map(|(sample, _)| *sample)))
        .count(group.len() as u64)
        .number("send_queue", waiting, "bytes")
        .number("connections", group.len() as u64, "connections")
        .number("probes", u64::from(worst.repeats), "probes")
        .maybe("send_window", worst.send_window)
        .maybe("held_up", before.and_then(|before| held_up(case, before, worst)).map(Value::Percent))
        .maybe("taken_between", taken)
        .maybe("idle", worst.idle_ms.map(Value::Ms));
    if group.len() > 1 {
        finding = finding.variant("many");
    }
    match case.mirror(worst) {
        Some(peer) if peer.not_accepted => {
            let listeners = &case.after.digest.listeners;
            let listener = listeners.at(peer.netns, peer.tuple.local);
            let owner = listener.and_then(|listener| threads::acceptor(case, listener));
            let words = owner.map(|owner| format!("{} (pid {})", owner.process, owner.pid));
            finding = finding.variant("not-accepted").maybe("peer_here", words);
        }
        Some(peer) => {
            if let Some(owner) = &peer.owner {
                let words = format!(
                    "{} (pid {}, fd {}, {}, Recv-Q {})",
                    owner.process, owner.pid, owner.fd, peer.state, peer.recv_queue
                );
                finding = finding.variant("peer-here").with("peer_here", words);
            }
        }
        None => finding.missing.push(Missing::OtherEnd),
    }
    if severity == Severity::Info {
        finding = finding.variant("slow").unsure(Confidence::Likely, &[]);
    }
    if all > SHOWN as u64 {
        finding = finding.number("of_this_kind", all, "findings");
    }
    if before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    }
    let remote = worst.tuple.remote;
    let find =
        format!("eleven list 'sendq > 0 and dst {} and dport = :{}' --info", remote.ip(), remote.port());
    finding
        .fix("peer-must-read", case.command(worst.netns, &find), true)
        .fix("bound-output", None, true)
        .see(&["RFC 9293 §3.8.6.1", "tcp(7) TCP_USER_TIMEOUT"])
}
