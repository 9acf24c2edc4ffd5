//! `lossy-path` and `mtu-blackhole`: what the network loses, and what it never lets through.

use std::net::IpAddr;

use crate::digest::{Kind, Netns, Path, Sample};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const LOSSY: Rule =
    Rule { code: "lossy-path", needs: &[Need::TwoLooks, Need::TcpInfo], judge: judge_lossy };
pub(super) const MTU: Rule =
    Rule { code: "mtu-blackhole", needs: &[Need::TwoLooks, Need::TcpInfo, Need::Sysctls], judge: judge_mtu };

/// Peers behind a black hole that has been got around, reported one by one.
const SHOWN: usize = 10;

fn judge_lossy(case: &Case<'_>) -> Judgement {
    if case.after.digest.rows() > 0 && case.after.reader == Some(eleven_snapshot::ReaderKind::Proc) {
        return Judgement::Undecided(vec![Missing::TcpInfo]);
    }
    let limits = &case.thresholds;
    let mut findings = Vec::new();
    let mut worst: f64 = 0.0;
    let mut paths: Vec<_> = case.after.digest.paths.all.iter().collect();
    paths.sort_by_key(|(key, _)| **key);
    for ((netns, prefix), path) in paths {
        let worst_of = case.after.digest.paths.worst.get(&(*netns, *prefix));
        let earlier = case.before.and_then(|before| before.digest.paths.all.get(&(*netns, *prefix)));
        let recent = earlier.and_then(|earlier| between(earlier, path));
        let share = |path: &Path| path.repeated as f64 * 100.0 / path.segments.max(1) as f64;
        // What happened between the looks counts, if there was enough; else their whole lives.
        // Of what is lost by the dozen, less has to be seen.
        let is_enough = |path: &Path| {
            path.segments >= limits.path_segments
                || (path.segments >= limits.path_segments / 4 && share(path) >= limits.path_loss_critical)
        };
        let (judged, is_recent) = match recent {
            Some(recent) if is_enough(&recent) => (recent, true),
            _ => (path.clone(), false),
        };
        if !is_enough(&judged) {
            continue;
        }
        worst = worst.max(share(&judged));
        // Old losses of a path that is clean now are history; what was not there before has none.
        let goes_on = case.before.is_none()
            || is_recent
            || earlier.is_none_or(|earlier| path.repeated > earlier.repeated);
        if share(&judged) < limits.path_loss || !goes_on {
            continue;
        }
        // Full-sized segments that never pass are another fault.
        if black_holes(case)
            .any(|sample| sample.netns == *netns && worst_of.is_some_and(|(tuple, _)| *tuple == sample.tuple))
        {
            continue;
        }
        // A few seconds of one client's bad radio are no fault of this host's network.
        let severity = if judged.segments < limits.path_segments {
            Severity::Info
        } else if share(&judged) >= limits.path_loss_critical {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let network = format!("{prefix}/{}", if prefix.is_ipv4() { 24 } else { 48 });
        let subject =
            Subject { remote: Some(network), state: Some("ESTABLISHED"), ..case.subject(*netns, None) };
        let host = worst_of.map(|(tuple, _)| tuple.remote);
        let mut finding = Finding::new(LOSSY.code, severity, Responsible::Network)
            .about(subject)
            .count(judged.repeated)
            .with("share", Value::Percent(share(&judged)))
            .number("segments", judged.segments, "segments")
            .number("repeated", judged.repeated, "segments")
            .number("connections", path.connections, "connections")
            .maybe("worst_peer", host)
            .fix("clear-this-host", case.command(*netns, "ip -s -s link"), true)
            .fix(
                "measure-path",
                host.map(|host| {
                    case.command(*netns, &format!("mtr -nT -P {} -c 100 -r {}", host.port(), host.ip()))
                }),
                true,
            )
            .see(&["RFC 8985", "eleven explain net.ipv4.tcp_congestion_control"]);
        if is_recent {
            finding = finding.variant("recent");
        } else {
            finding = finding.unsure(Confidence::Likely, &case.second_look());
        }
        findings.push(finding);
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(worst))])
}

/// What went out between the looks; `None` when connections ended and took their counts along.
fn between(earlier: &Path, later: &Path) -> Option<Path> {
    Some(Path {
        connections: later.connections,
        segments: later.segments.checked_sub(earlier.segments)?,
        repeated: later.repeated.checked_sub(earlier.repeated)?,
    })
}

/// Whether full-sized segments are repeated in vain while the peer is known to be there: it
/// answered small ones, and no full one of ours has ever been acknowledged.
pub(super) fn is_black_hole(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> bool {
    let (Some(mss), Some(acked)) = (sample.send_mss, sample.bytes_acked) else { return false };
    let repeats = u64::from(sample.repeats).max(sample.backoff.unwrap_or(0));
    if repeats < 2 || u64::from(sample.send_queue) < mss || mss < 500 {
        return false;
    }
    // Data went back and forth, or segments still arrive.
    let heard =
        before.is_some_and(|before| before.segments_in.zip(sample.segments_in).is_some_and(|(a, b)| b > a));
    let talked = acked > 1 || sample.bytes_received.unwrap_or(0) > 0;
    let same_host_listens = case.after.digest.is_local(sample.tuple.remote.ip())
        && case.after.digest.listeners.full_at(sample.tuple.remote).is_some();
    acked < mss && (talked || heard) && !same_host_listens
}

fn black_holes<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Sample> {
    case.suspects(Kind::Unanswered)
        .filter(|(sample, before)| is_black_hole(case, sample, *before))
        .map(|(sample, _)| sample)
}

fn judge_mtu(case: &Case<'_>) -> Judgement {
    let all: Vec<&Sample> = black_holes(case).collect();
    let mut findings = Vec::new();
    let mut remotes: Vec<_> = all.iter().map(|sample| (sample.netns, sample.tuple.remote.ip())).collect();
    remotes.sort_unstable();
    remotes.dedup();
    for (netns, remote) in remotes {
        let its: Vec<&&Sample> =
            all.iter().filter(|sample| sample.netns == netns && sample.tuple.remote.ip() == remote).collect();
        let Some(worst) = its.iter().max_by_key(|sample| sample.repeats) else { continue };
        let subject = Subject {
            local: Some(worst.tuple.local.to_string()),
            remote: Some(if its.len() == 1 { worst.tuple.remote.to_string() } else { remote.to_string() }),
            state: Some("ESTABLISHED"),
            ..case.subject(netns, worst.holder())
        };
        let probing = case.sysctl(netns, "net.ipv4.tcp_mtu_probing");
        let mut finding = Finding::new(MTU.code, Severity::Warning, Responsible::Network)
            .about(subject)
            .count(its.len() as u64)
            .number("connections", its.len() as u64, "connections")
            .number("send_queue", u64::from(worst.send_queue), "bytes")
            .number("repeats", u64::from(worst.repeats), "segments")
            .maybe("mss", worst.send_mss)
            .maybe("acked", worst.bytes_acked)
            .maybe("mtu_probing", probing)
            .unsure(
                if its.len() > 1 { Confidence::Likely } else { Confidence::Possible },
                &[Missing::Capture],
            )
            .fix("measure-mtu", case.command(netns, &format!("tracepath -n {remote}")), true);
        if let Some(state) = case.state(netns).filter(|_| probing == Some(0)) {
            finding.fixes.extend(case.set_sysctl("mtu-probing", state, "net.ipv4.tcp_mtu_probing", "1"));
        }
        findings.push(finding.fix("let-icmp-through", None, true).see(&["RFC 2923 §2.1", "RFC 4821"]));
    }
    findings.extend(probed(case));
    Judgement::of(findings, vec![seen("unanswered", case.after.digest.suspects.total(Kind::Unanswered))])
}

/// Connections that have found a way through a black hole by themselves, at the cost of some seconds each.
fn probed(case: &Case<'_>) -> Vec<Finding> {
    let is_probed = |sample: &Sample| {
        let probing = case.sysctl(sample.netns, "net.ipv4.tcp_mtu_probing");
        let base = case.sysctl(sample.netns, "net.ipv4.tcp_base_mss").unwrap_or(1024);
        probing > Some(0) && sample.send_mss.is_some_and(|mss| mss <= base)
    };
    let all = || case.suspects(Kind::Shrunk).map(|(sample, _)| sample).filter(|sample| is_probed(sample));
    let mut remotes: Vec<_> = all().map(|sample| (sample.netns, sample.tuple.remote.ip())).collect();
    remotes.sort_unstable();
    remotes.dedup();
    remotes.truncate(SHOWN);
    let one = |(netns, remote): (Netns, IpAddr)| {
        let its = || all().filter(|sample| sample.netns == netns && sample.tuple.remote.ip() == remote);
        let (count, first) = (its().count() as u64, its().next()?);
        let subject = Subject {
            local: (count == 1).then(|| first.tuple.local.to_string()),
            remote: Some(if count == 1 { first.tuple.remote.to_string() } else { remote.to_string() }),
            state: Some("ESTABLISHED"),
            ..case.subject(netns, first.holder())
        };
        let finding = Finding::new(MTU.code, Severity::Info, Responsible::Network)
            .variant("probed")
            .about(subject)
            .count(count)
            .number("connections", count, "connections")
            .maybe("mss", first.send_mss)
            .maybe("asked_mss", first.asked_mss)
            .number(
                "repeated",
                its().filter_map(|sample| sample.repeated).fold(0, u64::saturating_add),
                "segments",
            )
            .maybe("mtu_probing", case.sysctl(netns, "net.ipv4.tcp_mtu_probing"))
            .unsure(Confidence::Possible, &[Missing::Capture])
            .fix("measure-mtu", case.command(netns, &format!("tracepath -n {remote}")), true)
            .fix("let-icmp-through", None, true);
        Some(finding.see(&["RFC 2923 §2.1", "RFC 4821"]))
    };
    remotes.into_iter().filter_map(one).collect()
}
