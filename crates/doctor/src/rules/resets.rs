//! `reset-unread-data`, `reset-after-close`, `refused-connections`: resets this kernel sends.

use eleven_snapshot::NamespaceState;

use crate::look::{tcp_ext, tcp_ext_of, tcp_mib, tcp_mib_of};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const UNREAD_DATA: Rule =
    Rule { code: "reset-unread-data", needs: &[Need::TwoLooks, Need::Counters], judge: judge_unread };
pub(super) const AFTER_CLOSE: Rule =
    Rule { code: "reset-after-close", needs: &[Need::TwoLooks, Need::Counters], judge: judge_late };
pub(super) const REFUSED: Rule =
    Rule { code: "refused-connections", needs: &[Need::TwoLooks, Need::Counters], judge: judge_refused };

/// Segments on their way to a connection that is reset here: the initial window of RFC 6928.
const ON_ITS_WAY: u64 = 10;

/// Counters of resets that have a reason of their own, apart from the two that are judged here.
const OTHER_REASONS: [&str; 6] = [
    "TCPAbortOnMemory",
    "TCPAbortOnTimeout",
    "TCPAbortOnLinger",
    "TCPAbortFailed",
    "ListenOverflows",
    // The peer's FIN meets no TIME_WAIT.
    "TCPTimeWaitOverflow",
];

/// What a namespace's counters say of resets between the looks.
struct Resets {
    /// Closed with data unread (`TCPAbortOnClose`).
    unread: u64,
    /// Reset because data came after close (`TCPAbortOnData`), or closed with SO_LINGER 0.
    counted_late: u64,
    /// The same without a counter of its own: the connection was in FIN_WAIT2 without a program.
    /// Told only where most peers are here, so that they show what was reset.
    uncounted_late: u64,
    /// What is left: resets that answered a SYN, as far as can be told.
    refused: u64,
    /// Resets with another reason.
    explained: u64,
    /// Of our own attempts, those that failed at once: both ends are here.
    attempts_failed: u64,
    opened: u64,
}

impl Resets {
    fn of(case: &Case<'_>, state: &NamespaceState) -> Result<Self, Missing> {
        if tcp_mib(state, "OutRsts").is_none() || tcp_ext(state, "TCPAbortOnClose").is_none() {
            return Err(Missing::Counters);
        }
        let sent = case.grown_mib(state, "OutRsts").ok_or(Missing::SecondLook)?;
        let ext = |name| case.grown(state, name).unwrap_or(0);
        let mib = |name| case.grown_mib(state, name).unwrap_or(0);
        let (unread, counted_late) = (ext("TCPAbortOnClose"), ext("TCPAbortOnData"));
        // Numbers of a file edited by hand may be anything.
        let explained =
            OTHER_REASONS.into_iter().map(ext).fold(unread.saturating_add(counted_late), u64::saturating_add);
        let rest = sent.saturating_sub(explained);
        let is_local = case.after.digest.is_mostly_within_host(&state.namespace.label);
        // Both ends of a connection that is closed with data unread are counted as reset.
        let established =
            mib("EstabResets").saturating_sub(unread.saturating_add(counted_late).saturating_mul(2));
        let uncounted_late = if is_local { rest.min(established) } else { 0 };
        Ok(Self {
            unread,
            counted_late,
            uncounted_late,
            refused: rest - uncounted_late,
            explained,
            attempts_failed: mib("AttemptFails"),
            opened: mib("ActiveOpens").saturating_add(mib("PassiveOpens")),
        })
    }
}

/// Events between the looks that are a habit: at least three, and so many a minute.
fn is_habit(case: &Case<'_>, count: u64) -> bool {
    let Some(elapsed) = case.elapsed_s() else { return false };
    count >= 3 && count as f64 * 60.0 / elapsed >= case.thresholds.resets_per_minute
}

fn about(state: &NamespaceState, counter: &'static str) -> Subject {
    Subject { netns: Some(state.namespace.label.clone()), counter: Some(counter), ..Subject::default() }
}

/// Whether a sum of counters rose once only: a program ended, and nothing goes on.
fn is_burst(pulses: Option<(u64, u64)>) -> bool {
    pulses.is_some_and(|(rises, _)| rises < 2)
}

fn per_minute(case: &Case<'_>, count: u64) -> Value {
    Value::PerMinute(count as f64 * 60.0 / case.elapsed_s().unwrap_or(60.0))
}

fn judge_unread(case: &Case<'_>) -> Judgement {
    let share = case.thresholds.unread_share;
    judge(case, UNREAD_DATA.code, "TCPAbortOnClose", "TcpExt.TCPAbortOnClose", share, |resets| resets.unread)
}

fn judge_late(case: &Case<'_>) -> Judgement {
    let share = case.thresholds.late_share;
    judge(case, AFTER_CLOSE.code, "TCPAbortOnData", "TcpExt.TCPAbortOnData", share, |resets| {
        resets.counted_late.saturating_add(resets.uncounted_late)
    })
}

fn judge(
    case: &Case<'_>,
    code: &'static str,
    counter: &'static str,
    full: &'static str,
    share_of_opened: f64,
    count: fn(&Resets) -> u64,
) -> Judgement {
    let mut findings = Vec::new();
    let mut total = 0;
    for state in &case.after.namespaces {
        let resets = match Resets::of(case, state) {
            Ok(resets) => resets,
            Err(missing) => return Judgement::Undecided(vec![missing]),
        };
        let count = count(&resets);
        total = count.saturating_add(total);
        if !is_habit(case, count) {
            continue;
        }
        let pulses = case.pulses(state, |counters| {
            // Those without a counter of their own rise with all resets.
            if resets.uncounted_late > 0 {
                tcp_mib_of(counters, "OutRsts")
            } else {
                tcp_ext_of(counters, counter)
            }
        });
        let share = (resets.opened > 0).then(|| count as f64 * 100.0 / resets.opened as f64);
        // Health checks of a load balancer end so, each of them.
        let is_seldom =
            case.per_minute(0, count).is_some_and(|rate| rate < case.thresholds.resets_many_per_minute);
        let is_usual = is_seldom || is_burst(pulses) || share.is_some_and(|share| share < share_of_opened);
        let severity = if is_usual { Severity::Info } else { Severity::Warning };
        let fix = if code == UNREAD_DATA.code { "read-before-close" } else { "close-in-order" };
        findings.push(
            Finding::new(code, severity, Responsible::LocalProgram)
                .about(about(state, full))
                .count(count)
                .number("resets", count, "connections")
                .with("rate", per_minute(case, count))
                .maybe("share_of_opened", share.map(|share| Value::Percent(share.min(100.0))))
                .maybe("moments", pulses.map(|(rises, moments)| format!("{rises} / {moments}")))
                .unsure(Confidence::Certain, &[Missing::Capture])
                .fix(
                    fix,
                    Some(case.command_in(state, "tcpdump -ni any 'tcp[tcpflags] & tcp-rst != 0'")),
                    true,
                )
                .fix(
                    "watch-counter",
                    Some(case.command_in(state, &format!("nstat -az TcpExt{counter} TcpOutRsts"))),
                    true,
                )
                .see(&["RFC 2525 §2.17", "RFC 9293 §3.10.4", "close(2)"]),
        );
    }
    Judgement::of(findings, vec![seen("resets", total)])
}

fn judge_refused(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut total = 0;
    for state in &case.after.namespaces {
        let resets = match Resets::of(case, state) {
            Ok(resets) => resets,
            Err(missing) => return Judgement::Undecided(vec![missing]),
        };
        let refused = resets.refused;
        total = refused.saturating_add(total);
        // What was on its way to a connection that was just reset is answered by resets too, one a
        // segment: a window of it at the start of a connection.
        if !is_habit(case, refused.saturating_sub(resets.explained.saturating_mul(ON_ITS_WAY))) {
            continue;
        }
        let failed = resets.attempts_failed;
        let is_from_here = failed.saturating_mul(2) >= refused;
        let rate = case.per_minute(0, refused).unwrap_or(0.0);
        let pulses = case.pulses(state, |counters| tcp_mib_of(counters, "OutRsts"));
        let is_usual = is_burst(pulses) || !is_from_here && rate < case.thresholds.refused_per_minute;
        let severity = if is_usual { Severity::Info } else { Severity::Warning };
        let mut finding = Finding::new(REFUSED.code, severity, Responsible::Configuration)
            .about(about(state, "Tcp.OutRsts"))
            .count(refused)
            .number("resets", refused, "segments")
            .with("rate", per_minute(case, refused))
            .number("attempts_failed", failed, "connections")
            .maybe("moments", pulses.map(|(rises, moments)| format!("{rises} / {moments}")))
            .unsure(if is_from_here { Confidence::Likely } else { Confidence::Possible }, &[Missing::Capture])
            .fix(
                "which-port",
                Some(case.command_in(state, "tcpdump -c 20 -ni any 'tcp[13] & 0x14 = 0x14'")),
                true,
            )
            .fix("start-service", Some(case.command_in(state, "eleven list 'state listening'")), true)
            .see(&["RFC 9293 §3.10.7.1", "connect(2) ECONNREFUSED"]);
        if is_from_here {
            finding = finding.variant("from-here");
        }
        findings.push(finding);
    }
    Judgement::of(findings, vec![seen("resets", total)])
}
