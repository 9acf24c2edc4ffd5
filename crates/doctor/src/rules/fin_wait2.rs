//! `fin-wait2-held`: we have closed our half, the peer does not close its.

use eleven_tcp::State;

use crate::digest::{Kind, Sample};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const HELD: Rule = Rule { code: "fin-wait2-held", needs: &[Need::TwoLooks, Need::Owners], judge };

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let limits = &case.thresholds;
    let mut holders: Vec<_> =
        case.after.digest.holders.0.iter().filter(|(key, _)| key.2 == State::FinWait2).collect();
    holders.sort_by_key(|(key, _)| (key.0, key.1));
    let mut held_all = 0;
    for ((netns, pid, _), holding) in holders {
        held_all += holding.count;
        let its: Vec<(&Sample, bool)> = case
            .suspects(Kind::FinWait2)
            .filter(|(sample, _)| {
                sample.netns == *netns && sample.owner.as_ref().map(|owner| owner.pid) == *pid
            })
            .map(|(sample, before)| (sample, before.is_some()))
            .collect();
        // A peer that still sends its answer keeps bytes coming.
        let standing =
            its.iter().filter(|(sample, stays)| *stays && !is_receiving(case, sample)).count() as u64;
        let oldest = its.iter().filter_map(|(sample, _)| sample.silent_ms).max();
        let is_old = oldest >= Some(limits.close_wait_old_ms);
        if standing == 0 && !is_old {
            continue;
        }
        // A few may wait for an answer that takes its time.
        let is_few = standing < limits.fin_wait2_standing && !is_old;
        let severity = if is_few { Severity::Info } else { Severity::Warning };
        let peer = its.iter().find_map(|(sample, _)| case.mirror(sample));
        let remote = holding.main_remote();
        let subject = Subject {
            remote: remote.filter(|(_, most)| *most == holding.count).map(|(address, _)| address.to_string()),
            state: Some(State::FinWait2.as_str()),
            ..case.subject(*netns, pid.zip(holding.process.clone()))
        };
        let mut finding = Finding::new(HELD.code, severity, Responsible::Peer)
            .about(subject)
            .count(holding.count)
            .number("fin_wait2", holding.count, "sockets")
            .number("standing", standing, "sockets")
            .maybe("oldest", oldest.map(Value::Ms))
            .maybe("main_remote", remote.map(|(address, _)| address));
        match peer.and_then(|peer| peer.owner.as_ref().map(|owner| (peer, owner))) {
            Some((peer, owner)) => {
                finding = finding.variant("peer-here").with(
                    "peer_here",
                    format!("{} (pid {}, fd {}, {})", owner.process, owner.pid, owner.fd, peer.state),
                );
            }
            None => finding = finding.unsure(Confidence::Likely, &[Missing::OtherEnd]),
        }
        if is_few {
            finding = finding.unsure(Confidence::Possible, &[]);
        }
        findings.push(
            finding
                .fix("close-at-peer", case.command(*netns, "eleven list 'state close-wait'"), true)
                .fix("bound-half-close", None, true)
                .see(&["RFC 9293 §3.6", "shutdown(2)", "eleven explain FIN_WAIT2"]),
        );
    }
    let mut orphans_all = 0;
    for (index, space) in case.after.digest.spaces.iter().enumerate() {
        orphans_all += space.fin_wait2_orphans;
        if space.fin_wait2_orphans < limits.fin_wait2_orphans {
            continue;
        }
        let netns = index as u16;
        let subject = Subject { state: Some(State::FinWait2.as_str()), ..case.subject(netns, None) };
        findings.push(
            Finding::new(HELD.code, Severity::Info, Responsible::Peer)
                .variant("orphans")
                .about(subject)
                .count(space.fin_wait2_orphans)
                .number("fin_wait2", space.fin_wait2_orphans, "sockets")
                .maybe("fin_timeout", case.sysctl(netns, "net.ipv4.tcp_fin_timeout"))
                .fix(
                    "close-at-peer",
                    case.command(netns, "eleven count --by remote 'state fin-wait-2'"),
                    true,
                )
                .see(&["eleven explain net.ipv4.tcp_fin_timeout"]),
        );
    }
    Judgement::of(findings, vec![seen("fin_wait2", held_all), seen("fin_wait2_orphans", orphans_all)])
}

/// Whether data came in between the looks, or is to be read still.
fn is_receiving(case: &Case<'_>, sample: &Sample) -> bool {
    let grew = case.earlier(sample).is_some_and(|before| {
        before.bytes_received.zip(sample.bytes_received).is_some_and(|(sooner, later)| later > sooner)
    });
    grew || sample.recv_queue > 1
}
