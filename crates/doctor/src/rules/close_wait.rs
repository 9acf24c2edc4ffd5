//! `close-wait-leak`: the peer has closed, the local program does not.

use eleven_tcp::State;

use crate::digest::{Holding, Kind, Netns, Sample};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const LEAK: Rule =
    Rule { code: "close-wait-leak", needs: &[Need::TwoLooks, Need::Owners, Need::TcpInfo], judge };

/// Descriptors shown of a leak.
const DESCRIPTORS_SHOWN: usize = 20;

fn judge(case: &Case<'_>) -> Judgement {
    let total = case.after.digest.in_state(State::CloseWait);
    let mut standing_all = 0;
    let mut findings = Vec::new();
    let mut holders: Vec<_> =
        case.after.digest.holders.0.iter().filter(|(key, _)| key.2 == State::CloseWait).collect();
    holders.sort_by_key(|(key, _)| (key.0, key.1));
    for ((netns, pid, _), holding) in holders {
        // What waits for accept is the accept queue's fault, not a missing close.
        if holding.not_accepted == holding.count {
            continue;
        }
        let held = Held::of(case, *netns, *pid, holding);
        standing_all += held.standing;
        findings.extend(held.judge(case, *netns, *pid));
    }
    Judgement::of(findings, vec![seen("close_wait", total), seen("standing", standing_all)])
}

/// What one process holds, and how it developed.
struct Held<'a> {
    holding: &'a Holding,
    earlier: u64,
    /// In both looks, and nothing on its way to the peer.
    standing: u64,
    /// The longest time that one has lasted, at least.
    oldest_ms: Option<u64>,
    samples: Vec<&'a Sample>,
}

impl<'a> Held<'a> {
    fn of(case: &Case<'a>, netns: Netns, pid: Option<u32>, holding: &'a Holding) -> Self {
        let mut samples = Vec::new();
        let mut standing = 0;
        for (sample, before) in case.suspects(Kind::CloseWait) {
            let is_its = sample.netns == netns && sample.owner.as_ref().map(|owner| owner.pid) == pid;
            // A server that still sends the answer is doing its work.
            if !is_its || sample.not_accepted || sample.send_queue > 0 {
                continue;
            }
            // So is one whose peer has acknowledged more of it since.
            let answers = before.is_some_and(|before| {
                before.bytes_acked.zip(sample.bytes_acked).is_some_and(|(sooner, later)| later > sooner)
            });
            standing += u64::from(before.is_some() && !answers);
            samples.push(sample);
        }
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.silent_ms));
        let before =
            case.before.and_then(|before| before.digest.holders.0.get(&(netns, pid, State::CloseWait)));
        let oldest_ms = samples.first().and_then(|sample| sample.silent_ms);
        Self { holding, earlier: before.map_or(0, |before| before.count), standing, oldest_ms, samples }
    }

    fn judge(&self, case: &Case<'_>, netns: Netns, pid: Option<u32>) -> Option<Finding> {
        let limits = &case.thresholds;
        let count = self.holding.count;
        let old =
            self.samples.iter().filter(|sample| sample.silent_ms >= Some(limits.close_wait_old_ms)).count();
        let is_old = old > 0;
        let stands = self.standing >= limits.close_wait_standing;
        let growth = case.per_minute(self.earlier, count).filter(|_| case.before.is_some());
        // One look without an age: only a crowd says something.
        let crowd = case.before.is_none() && count >= 4 * limits.close_wait_standing;
        let is_few = !is_old && !stands && !crowd;
        // One look cannot tell what stands from what passes by: it is a word, and so is little that stands.
        let nothing_stands = if case.before.is_some() { self.standing == 0 } else { self.samples.is_empty() };
        if is_few && nothing_stands {
            return None;
        }
        let descriptors = pid
            .and_then(|pid| case.after.detail(pid))
            .and_then(|detail| detail.descriptors_open.zip(detail.descriptor_limit));
        let is_exhausting = descriptors.is_some_and(|(open, limit)| {
            open as f64 * 100.0 >= limit as f64 * limits.descriptors_warning && count >= open / 2
        });
        let grows_fast = growth.is_some_and(|growth| growth >= 60.0) && count >= 100;
        let severity = if is_few {
            Severity::Info
        } else if is_exhausting || grows_fast || count >= limits.close_wait_critical {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let remote = self.holding.main_remote();
        let subject = Subject {
            remote: remote.filter(|(_, most)| *most == count).map(|(address, _)| address.to_string()),
            state: Some(State::CloseWait.as_str()),
            local: common_local(&self.samples),
            ..case.subject(netns, pid.zip(self.holding.process.clone()))
        };
        let mut finding = Finding::new(LEAK.code, severity, Responsible::LocalProgram)
            .about(subject)
            .count(count)
            .number("close_wait", count, "sockets")
            .growth(growth)
            .maybe("main_remote", remote.map(|(address, _)| address))
            .number("remotes", self.holding.remotes() as u64, "addresses")
            .number("end_unread", self.holding.end_unread, "sockets")
            .number("data_unread", self.holding.data_unread, "sockets")
            .number("end_read", self.holding.read, "sockets")
            .maybe("oldest", self.oldest_ms.map(Value::Ms));
        if case.before.is_some() {
            finding = finding.number("standing", self.standing, "sockets");
        }
        let mut fds: Vec<u32> = self.samples.iter().filter_map(|s| s.owner.as_ref()).map(|o| o.fd).collect();
        fds.sort_unstable();
        if !fds.is_empty() {
            let shown: Vec<String> = fds.iter().take(DESCRIPTORS_SHOWN).map(u32::to_string).collect();
            let more = if count > shown.len() as u64 { " …" } else { "" };
            finding = finding.with("descriptors", format!("{}{more}", shown.join(" ")));
        }
        if let Some((open, limit)) = descriptors {
            finding = finding.number("descriptors_open", open, "descriptors").number(
                "descriptor_limit",
                limit,
                "descriptors",
            );
            if let Some(growth) = growth.filter(|growth| *growth > 0.0 && limit > open) {
                finding = finding.with("minutes_left", Value::Minutes((limit - open) as f64 / growth));
            }
        }
        if let Some(peer) = self.samples.iter().find_map(|sample| case.mirror(sample)) {
            finding = finding.maybe(
                "peer_here",
                peer.owner.as_ref().map(|owner| {
                    format!("{} (pid {}, fd {}, {})", owner.process, owner.pid, owner.fd, peer.state)
                }),
            );
        }
        let holding = self.holding;
        finding.variant = if holding.end_unread * 2 > count {
            Some("end-unread")
        } else if holding.data_unread * 2 > count {
            Some("data-unread")
        } else if holding.read * 2 > count {
            Some("end-read")
        } else {
            None
        };
        if is_few {
            // A program may still work on the answer to a client that has half-closed.
            finding = finding.variant("few").unsure(Confidence::Possible, &[]);
        }
        if pid.is_none() {
            finding = finding.unsure(Confidence::Likely, &[Missing::Privilege]);
        }
        if case.before.is_none() {
            let confidence = if is_old { Confidence::Certain } else { Confidence::Likely };
            finding = finding.unsure(confidence, &[Missing::SecondLook]);
        }
        let list =
            pid.map(|pid| case.command(netns, &format!("eleven list 'state close-wait and pid {pid}'")));
        let finding = finding
            .fix("close-in-program", list, true)
            .fix("stack-of-process", pid.map(|pid| format!("cat /proc/{pid}/task/*/stack")), true)
            .fix("restart-process", pid.map(|pid| format!("systemctl status {pid}")), false);
        Some(finding.see(&["RFC 9293 §3.6, case 2", "shutdown(2)", "eleven explain CLOSE_WAIT"]))
    }
}

/// The local address and port, when all have the same.
fn common_local(samples: &[&Sample]) -> Option<String> {
    let first = samples.first()?.tuple.local;
    samples.iter().all(|sample| sample.tuple.local == first).then(|| first.to_string())
}
