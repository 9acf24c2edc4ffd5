//! `half-open-peer`: the peer is gone, and nothing has told us.

use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::digest::{Kind, Sample};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const PEER: Rule =
    Rule { code: "half-open-peer", needs: &[Need::TwoLooks, Need::TcpInfo, Need::Sysctls], judge };

/// Reported one by one; the rest is counted.
const SHOWN: usize = 20;

/// Whether a peer is silent for good: repeats go unanswered, and it has sent nothing meanwhile.
pub(super) fn is_silent(case: &Case<'_>, sample: &Sample, before: Option<&Sample>) -> bool {
    let repeats = u64::from(sample.repeats).max(sample.backoff.unwrap_or(0));
    // Probes of a window are answered, or not sent at all.
    let is_probing = sample.timer == Some(TimerKind::Persist);
    if is_probing || repeats < u64::from(case.thresholds.unanswered_repeats) {
        return false;
    }
    // Repeats take at least as long as the doubled timeouts; a peer that answered anything
    // within the last of them is there.
    let quiet_enough = sample.silent_ms.is_none_or(|silent| silent >= 2_000);
    let heard =
        before.is_some_and(|before| before.segments_in.zip(sample.segments_in).is_some_and(|(a, b)| b > a));
    quiet_enough && !heard
}

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut unanswered = 0_u64;
    let mut missing_ends = 0_u64;
    for (sample, before) in case.suspects(Kind::Unanswered) {
        unanswered += 1;
        if !is_silent(case, sample, before) || super::path::is_black_hole(case, sample, before) {
            continue;
        }
        let here = &case.after.digest;
        // Our client thinks it is connected, while its peer waits in a full accept queue here.
        if here.is_local(sample.tuple.remote.ip()) && here.listeners.full_at(sample.tuple.remote).is_some() {
            continue;
        }
        findings.push(repeating(case, sample));
    }
    for (sample, before) in case.suspects(Kind::Idle) {
        if before.is_some() && case.mirror_is_missing(sample) {
            missing_ends += 1;
            findings.push(idle(case, sample));
        }
    }
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

fn subject(case: &Case<'_>, sample: &Sample) -> Subject {
    Subject {
        local: Some(sample.tuple.local.to_string()),
        remote: Some(sample.tuple.remote.to_string()),
        state: Some(sample.state.as_str()),
        ..case.subject(sample.netns, sample.holder())
    }
}

/// Adds what helps.
fn advised(case: &Case<'_>, sample: &Sample, finding: Finding) -> Finding {
    let (local, remote) = (sample.tuple.local, sample.tuple.remote);
    finding
        .fix("watch-peer", None, true)
        .fix(
            "kill-connection",
            case.command(
                sample.netns,
                &format!(
                    "eleven kill 'src {} and sport = :{} and dst {} and dport = :{}'",
                    local.ip(),
                    local.port(),
                    remote.ip(),
                    remote.port()
                ),
            ),
            false,
        )
        .see(&[
            "RFC 1122 §4.2.3.5",
            "RFC 5482",
            "tcp(7) TCP_USER_TIMEOUT",
            "eleven explain net.ipv4.tcp_retries2",
        ])
}

fn repeating(case: &Case<'_>, sample: &Sample) -> Finding {
    let retries2 = case.sysctl(sample.netns, "net.ipv4.tcp_retries2");
    let repeats = u64::from(sample.repeats).max(sample.backoff.unwrap_or(0));
    let left = retries2.and_then(|retries| left_ms(retries, sample));
    let gone = case.mirror_is_missing(sample);
    let mut finding = Finding::new(PEER.code, Severity::Warning, Responsible::Peer)
        .about(subject(case, sample))
        .count(1)
        .number("repeats", repeats, "segments")
        .number("send_queue", u64::from(sample.send_queue), "bytes")
        .maybe("silent", sample.silent_ms.map(Value::Ms))
        .number("next_repeat_ms", sample.expires_ms, "ms")
        .maybe("retries", retries2)
        .maybe("gives_up", left.map(Value::Ms));
    if gone {
        finding = finding.variant("missing");
    } else {
        finding = finding.unsure(Confidence::Likely, &[Missing::OtherEnd]);
    }
    advised(case, sample, finding)
}

fn idle(case: &Case<'_>, sample: &Sample) -> Finding {
    let finding = Finding::new(PEER.code, Severity::Warning, Responsible::LocalProgram)
        .variant("idle")
        .about(subject(case, sample))
        .count(1)
        .maybe("idle", sample.idle_ms.map(Value::Ms));
    advised(case, sample, finding)
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
