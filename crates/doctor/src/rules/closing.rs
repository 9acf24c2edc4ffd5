//! `fin-wait1-stuck`, `last-ack-stuck`, `closing-stuck`: our FIN is on its way and stays there.

use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::digest::{Kind, Sample};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const FIN_WAIT1: Rule = Rule {
    code: "fin-wait1-stuck",
    needs: &[Need::TwoLooks],
    judge: |case| judge(case, FIN_WAIT1.code, State::FinWait1),
};
pub(super) const LAST_ACK: Rule = Rule {
    code: "last-ack-stuck",
    needs: &[Need::TwoLooks],
    judge: |case| judge(case, LAST_ACK.code, State::LastAck),
};
pub(super) const CLOSING: Rule = Rule {
    code: "closing-stuck",
    needs: &[Need::TwoLooks],
    judge: |case| judge(case, CLOSING.code, State::Closing),
};

fn judge(case: &Case<'_>, code: &'static str, state: State) -> Judgement {
    let mut stuck: Vec<&Sample> = Vec::new();
    for (sample, before) in case.suspects(Kind::Closing).filter(|(sample, _)| sample.state == state) {
        let stays = before.is_some_and(|before| before.state == state);
        let zero_window = sample.timer == Some(TimerKind::Persist);
        // Two repeats are a second at the least, many round trips; in both looks one is enough.
        if sample.repeats >= 2
            || (stays && (sample.repeats >= 1 || zero_window))
            || (zero_window && case.before.is_none())
        {
            stuck.push(sample);
        }
    }
    let mut findings = Vec::new();
    let (persisting, repeating): (Vec<&Sample>, Vec<&Sample>) =
        stuck.iter().partition(|sample| sample.timer == Some(TimerKind::Persist));
    findings.extend(finding(case, code, state, &repeating, false));
    findings.extend(finding(case, code, state, &persisting, true));
    Judgement::of(
        findings,
        vec![seen("in_state", case.after.digest.in_state(state)), seen("stuck", stuck.len() as u64)],
    )
}

fn finding(
    case: &Case<'_>,
    code: &'static str,
    state: State,
    stuck: &[&Sample],
    zero_window: bool,
) -> Option<Finding> {
    let worst = stuck.iter().max_by_key(|sample| sample.repeats)?;
    let one_remote = stuck.iter().all(|sample| sample.tuple.remote.ip() == worst.tuple.remote.ip());
    let remote = if stuck.len() == 1 {
        Some(worst.tuple.remote.to_string())
    } else {
        one_remote.then(|| worst.tuple.remote.ip().to_string())
    };
    let mut remotes: Vec<_> = stuck.iter().map(|sample| sample.tuple.remote.ip()).collect();
    remotes.sort_unstable();
    remotes.dedup();
    let subject = Subject {
        local: (stuck.len() == 1).then(|| worst.tuple.local.to_string()),
        remote,
        state: Some(state.as_str()),
        ..case.subject(worst.netns, worst.holder())
    };
    let retries = case.sysctl(worst.netns, "net.ipv4.tcp_orphan_retries");
    let bytes: u64 = stuck.iter().map(|sample| u64::from(sample.send_queue)).sum();
    let responsible = if zero_window { Responsible::Peer } else { Responsible::Network };
    // Of many clients some always lose their network before the last segment: the kernel waits for that.
    let counts = &case.after.digest.spaces[usize::from(worst.netns)].counts;
    let others: u64 = [State::Established, State::TimeWait].iter().map(|state| counts[state.index()]).sum();
    let is_everyday = (stuck.len() as u64).saturating_mul(case.thresholds.clients_a_vanished_one) <= others;
    let severity = if is_everyday { Severity::Info } else { Severity::Warning };
    let orphans = stuck.iter().filter(|sample| sample.owner.is_none() && !sample.unreadable).count() as u64;
    let mut finding = Finding::new(code, severity, responsible)
        .about(subject)
        .count(stuck.len() as u64)
        .number("stuck", stuck.len() as u64, "sockets")
        .number("orphans", orphans, "sockets")
        .number("most_repeats", u64::from(worst.repeats), "segments")
        .number("send_queue", bytes, "bytes")
        .number("remotes", remotes.len() as u64, "addresses")
        .number("next_repeat_ms", worst.expires_ms, "ms")
        .maybe("orphan_retries", retries);
    if let Some(silent) = worst.silent_ms {
        finding = finding.with("silent", Value::Ms(silent));
    }
    if zero_window {
        finding = finding.variant("zero-window");
    }
    if let Some(peer) = stuck.iter().find_map(|sample| case.mirror(sample)) {
        finding = finding.maybe(
            "peer_here",
            peer.owner.as_ref().map(|owner| {
                format!(
                    "{} (pid {}, fd {}, {}, Recv-Q {})",
                    owner.process, owner.pid, owner.fd, peer.state, peer.recv_queue
                )
            }),
        );
    } else {
        finding = finding.unsure(Confidence::Likely, &[Missing::OtherEnd]);
    }
    let filter = format!("eleven list 'state {}'", state.ss_name().to_ascii_lowercase());
    finding = finding.fix(
        if zero_window { "peer-must-read" } else { "wait-for-orphans" },
        case.command(worst.netns, &filter),
        true,
    );
    if let Some(state) = case
        .state(worst.netns)
        .filter(|_| orphans > 0 && retries.is_none_or(|retries| retries == 0 || retries > 4))
    {
        let fix = case.set_sysctl("fewer-orphan-retries", state, "net.ipv4.tcp_orphan_retries", "4");
        finding.fixes.extend(fix);
    }
    Some(finding.see(&["RFC 9293 §3.6", "eleven explain net.ipv4.tcp_orphan_retries"]))
}
