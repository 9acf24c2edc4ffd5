//! `half-open-peer`: the peer is gone, and nothing has told us.

use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::digest::{Kind, Map, Netns, Sample, Unwatched, is_within_host};
use crate::rule::seen;
use crate::rules::group;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const PEER: Rule =
    Rule { code: "half-open-peer", needs: &[Need::TwoLooks, Need::TcpInfo, Need::Sysctls], judge };

/// Reported one by one; the rest is counted.
const SHOWN: usize = 20;
/// Clocks of the kernel tick in so many milliseconds, and a look takes its time.
const SLACK_MS: u64 = 100;
/// Programs with idle connections that are worth a word.
const UNWATCHED_SHOWN: usize = 3;

/// Whether a peer is silent for good: repeats go unanswered, and it has sent nothing meanwhile.
pub(super) fn is_silent(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> bool {
    let repeats = repeats(sample);
    // Probes of a window are answered, or not sent at all.
    let is_probing = sample.timer == Some(TimerKind::Persist);
    if is_probing || repeats < u64::from(case.thresholds.unanswered_repeats) {
        return false;
    }
    // Repeats take at least as long as the doubled timeouts; a peer that answered anything
    // within the last of them is there. Where much was lost before, several losses in a row are
    // no wonder.
    let patience = if sample.is_used_to_loss() { 15_000 } else { 2_000 };
    let quiet_enough = sample.silent_ms.is_none_or(|silent| silent >= patience);
    let heard =
        before.is_some_and(|before| before.segments_in.zip(sample.segments_in).is_some_and(|(a, b)| b > a));
    quiet_enough && !heard
}

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let (mut silent, mut probed) = (Vec::new(), Vec::new());
    let mut unanswered = 0_u64;
    for (sample, before) in case.suspects(Kind::Unanswered) {
        unanswered += 1;
        if sample.timer == Some(TimerKind::Keepalive) {
            probed.extend(probing(case, sample, before).map(|finding| (sample, finding)));
            continue;
        }
        if super::path::is_refused_here(sample) && !super::path::is_black_hole(case, sample, before) {
            findings.push(refused_here(case, sample));
            continue;
        }
        if !is_silent(case, sample, before) || super::path::is_black_hole(case, sample, before) {
            continue;
        }
        let here = &case.after.digest;
        // Our client thinks it is connected, while its peer waits in a full accept queue here.
        if here.is_local(sample.tuple.remote.ip()) && here.listeners.full_at(sample.tuple.remote).is_some() {
            continue;
        }
        silent.push(sample);
    }
    silent.sort_by_key(|sample| std::cmp::Reverse(repeats(sample)));
    let groups = group::by_peer(case, silent, |sample| sample);
    let probed_twice = probed.iter().filter(|(sample, _)| sample.repeats >= 2).map(|(sample, _)| *sample);
    let vanished = Vanished::of(groups.iter().flatten().copied().chain(probed_twice));
    let told = |is_everyday: bool, finding: Finding| {
        if is_everyday { Finding { severity: Severity::Info, ..finding } } else { finding }
    };
    let one = |(sample, finding): (&Sample, Finding)| told(vanished.has_few(case, sample), finding);
    findings.extend(probed.into_iter().map(one));
    findings.extend(groups.iter().map(|group| {
        told(group.iter().all(|sample| vanished.has_few(case, sample)), repeating(case, group))
    }));
    let alone = alone(case);
    let missing_ends = alone.iter().map(|group| group.len() as u64).sum::<u64>();
    findings.extend(alone.iter().map(|group| idle(case, group)));
    findings.extend(unwatched(case));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let all = findings.len() as u64;
    findings.truncate(SHOWN);
    if all > SHOWN as u64 {
        for finding in &mut findings {
            *finding = finding.clone().number("of_this_kind", all, "connections");
        }
    }
    Judgement::of(findings, vec![seen("unanswered", unanswered), seen("missing_ends", missing_ends)])
}

/// Clients that have vanished, by the port of the server. Where clients are many, some always have: radio cells, lids
/// that are closed. The timers that count here are made for that.
struct Vanished(Map<(Netns, u16), u64>);

impl Vanished {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut ports: Map<(Netns, u16), u64> = Map::default();
        for sample in samples {
            *ports.entry((sample.netns, sample.tuple.local.port())).or_default() += 1;
        }
        Self(ports)
    }

    /// Whether a connection is one of many to a server, few of whose clients have vanished.
    fn has_few(&self, case: &Case<'_>, sample: &Sample) -> bool {
        let key = (sample.netns, sample.tuple.local.port());
        let vanished = self.0.get(&key).copied().unwrap_or(0);
        let served = case.after.digest.served.0.get(&key).map_or(0, |port| port.established);
        vanished.saturating_mul(case.thresholds.clients_a_vanished_one) <= served
    }
}

fn subject(case: &Case<'_>, sample: &Sample) -> Subject {
    Subject {
        local: Some(sample.tuple.local.to_string()),
        remote: Some(sample.tuple.remote.to_string()),
        state: Some(sample.state.as_str()),
        ..case.subject(sample.netns, sample.holder())
    }
}

/// Adds what helps; `these` is the filter that chooses the connections.
fn advised(case: &Case<'_>, netns: Netns, these: &str, finding: Finding) -> Finding {
    finding
        .fix("watch-peer", None, true)
        .fix("kill-connection", case.command(netns, &format!("eleven kill '{these}'")), false)
        .see(&[
            "RFC 1122 §4.2.3.5",
            "RFC 5482",
            "tcp(7) TCP_USER_TIMEOUT",
            "eleven explain net.ipv4.tcp_retries2",
        ])
}

fn repeating(case: &Case<'_>, group: &[&Sample]) -> Finding {
    let worst = group[0];
    let retries2 = case.sysctl(worst.netns, "net.ipv4.tcp_retries2");
    let left = retries2.and_then(|retries| left_ms(retries, worst));
    let gone = group.iter().all(|sample| case.mirror_is_missing(sample));
    let mut finding = Finding::new(PEER.code, Severity::Warning, Responsible::Peer)
        .about(group::subject(case, group.iter().copied()))
        .count(group.len() as u64)
        .number("connections", group.len() as u64, "connections")
        .number("repeats", repeats(worst), "segments")
        .number("send_queue", group.iter().map(|sample| u64::from(sample.send_queue)).sum(), "bytes")
        .maybe("silent", worst.silent_ms.map(Value::Ms))
        .number("next_repeat_ms", worst.expires_ms, "ms")
        .maybe("retries", retries2)
        .maybe("gives_up", left.map(Value::Ms));
    if gone {
        finding = finding.variant("missing");
    } else {
        finding = finding.unsure(Confidence::Likely, &[Missing::OtherEnd]);
        if group.len() > 1 {
            finding = finding.variant("many");
        }
    }
    advised(case, worst.netns, &group::these(group), finding)
}

/// How often a segment has been repeated.
fn repeats(sample: &Sample) -> u64 {
    u64::from(sample.repeats).max(sample.backoff.unwrap_or(0))
}

/// Data that does not even leave this host, though the peer's window is open.
fn refused_here(case: &Case<'_>, sample: &Sample) -> Finding {
    let remote = sample.tuple.remote.ip();
    let finding = Finding::new(PEER.code, Severity::Warning, Responsible::Configuration)
        .variant("refused-here")
        .about(subject(case, sample))
        .count(1)
        .number("tries", sample.repeats(), "segments")
        .number("send_queue", u64::from(sample.send_queue), "bytes")
        .maybe("silent", sample.silent_ms.map(Value::Ms))
        .unsure(Confidence::Likely, &[])
        .fix(
            "look-at-device",
            case.command(sample.netns, &format!("ip route get {remote}; ip -s link")),
            true,
        )
        .fix("look-at-filter", case.command(sample.netns, "nft list ruleset; iptables -nvL OUTPUT"), true);
    advised(case, sample.netns, &group::these(&[sample]), finding)
}

/// Keepalive probes that nobody answers.
fn probing(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> Option<Finding> {
    let heard =
        before.is_some_and(|before| before.segments_in.zip(sample.segments_in).is_some_and(|(a, b)| b > a));
    // Where the other end has to be here, it is known whether it is.
    if heard || is_within_host(sample.tuple) {
        return None;
    }
    let repeats = u64::from(sample.repeats);
    // A single probe may be lost, and the next one comes in more than a minute as a rule.
    let severity = match (repeats, before) {
        (2.., _) => Severity::Warning,
        (_, Some(_)) => Severity::Info,
        (_, None) => return None,
    };
    let interval_ms =
        case.sysctl(sample.netns, "net.ipv4.tcp_keepalive_intvl").map(|s| s.saturating_mul(1000));
    let probes = case.sysctl(sample.netns, "net.ipv4.tcp_keepalive_probes");
    // What the program set for this socket is not known; with the sysctls it ends then.
    let left = interval_ms.zip(probes).and_then(|(interval, probes)| {
        let more = probes.checked_sub(repeats)?;
        Some(more.saturating_mul(interval).saturating_add(sample.expires_ms))
    });
    let finding = Finding::new(PEER.code, severity, Responsible::Peer)
        .variant("probing")
        .about(subject(case, sample))
        .count(1)
        .number("unanswered_probes", repeats, "probes")
        .maybe("silent", sample.silent_ms.map(Value::Ms))
        .with("next_probe", Value::Ms(sample.expires_ms))
        .maybe("keepalive_probes", probes)
        .maybe("gives_up", left.map(Value::Ms))
        .unsure(Confidence::Likely, &[Missing::OtherEnd]);
    Some(advised(case, sample.netns, &group::these(&[sample]), finding))
}

/// Outgoing connections that are idle without keepalive: nothing tells one whose peer is gone from one whose peer has
/// nothing to say.
fn unwatched(case: &Case<'_>) -> Vec<Finding> {
    let mut all: Vec<_> = case.after.digest.unwatched.0.iter().collect();
    all.retain(|(_, held)| held.longest_ms >= case.thresholds.idle_ms);
    all.sort_by_key(|(key, held)| (std::cmp::Reverse(held.count), **key));
    all.truncate(UNWATCHED_SHOWN);
    let one = |((netns, pid), held): (&(Netns, Option<u32>), &Unwatched)| {
        let subject = Subject {
            local: (held.count == 1).then(|| held.longest.local.to_string()),
            remote: held.remote.map(|remote| remote.to_string()),
            state: Some(State::Established.as_str()),
            ..case.subject(*netns, pid.zip(held.process.clone()))
        };
        let of_whom = pid.map_or_else(String::new, |pid| format!(" and pid {pid}"));
        let finding = Finding::new(PEER.code, Severity::Info, Responsible::LocalProgram)
            .variant("unwatched")
            .about(subject)
            .count(held.count)
            .number("unwatched", held.count, "connections")
            .with("idle", Value::Ms(held.longest_ms))
            .with("longest_peer", held.longest.remote)
            .maybe(
                "keepalive_time",
                case.sysctl(*netns, "net.ipv4.tcp_keepalive_time").map(|s| Value::Ms(s.saturating_mul(1000))),
            )
            .unsure(Confidence::Possible, &[Missing::OtherEnd]);
        let list = format!("eleven keepalive 'state established{of_whom}'");
        finding.fix("watch-peer", case.command(*netns, &list), true).see(&[
            "RFC 1122 §4.2.3.6",
            "tcp(7) TCP_KEEPIDLE",
            "eleven explain net.ipv4.tcp_keepalive_time",
        ])
    };
    all.into_iter().map(one).collect()
}

/// Ends without another end, by program and peer; not those that repeat data.
fn alone<'a>(case: &Case<'a>) -> Vec<Vec<&'a Sample>> {
    let digest = &case.after.digest;
    // Short connections begin and end while a look is taken, and may have the address of one that came before. What has
    // been alone since the first look has heard nothing since then.
    let elapsed_ms = case.elapsed_s().map_or(0, |elapsed| (elapsed * 1000.0) as u64);
    let is_younger =
        |sample: &Sample| sample.idle_ms.is_some_and(|idle| idle.saturating_add(SLACK_MS) < elapsed_ms);
    let alone = digest.pairs.alone().into_iter().filter(|sample| {
        // The kernel refuses the last ACK while the accept queue is full: the client's end alone
        // exists then, and the queue is the finding.
        !sample.is_repeating()
            && !is_younger(sample)
            && digest.listeners.full_at(sample.tuple.remote).is_none()
    });
    group::by_peer(case, alone, |sample| sample)
}

fn idle(case: &Case<'_>, group: &[&Sample]) -> Finding {
    let first = group[0];
    let watched = group.iter().filter(|sample| sample.timer == Some(TimerKind::Keepalive));
    let next_probe = watched.clone().map(|sample| sample.expires_ms).max();
    let mut finding = Finding::new(PEER.code, Severity::Warning, Responsible::LocalProgram)
        .variant("idle")
        .about(group::subject(case, group.iter().copied()))
        .count(group.len() as u64)
        .number("missing_ends", group.len() as u64, "connections")
        .number("watched", watched.count() as u64, "connections")
        .maybe("idle", group.iter().filter_map(|sample| sample.idle_ms).max().map(Value::Ms))
        .maybe("next_probe", next_probe.map(Value::Ms));
    if group.len() > 1 {
        finding = finding.variant("idle-many");
    }
    if case.before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    }
    advised(case, first.netns, &group::these(group), finding)
}

/// When the kernel gives up: it allows as much time as `retries` doublings of the least timeout
/// would take (`retransmits_timed_out`), from the first repeat on.
fn left_ms(retries: u64, sample: &Sample) -> Option<u64> {
    if sample.state != State::Established && sample.state != State::CloseWait {
        return None;
    }
    let total = eleven_tcp::patience::unacknowledged(u32::try_from(retries).unwrap_or(u32::MAX)).as_millis();
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    let gone = sample.silent_ms?;
    Some(total.saturating_sub(gone).max(sample.expires_ms))
}
