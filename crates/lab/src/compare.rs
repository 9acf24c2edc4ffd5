//! The same scenario on the kernel and on the endpoint: where they differ, and why they may.
//!
//! Compared is the subject: the states it went through, what its rows showed in each, what it sent and at which intervals
//! it sent again, and what its calls returned.

use std::time::Duration;

use eleven_tcp::{Flags, Instant, Segment, State};

use crate::evidence::{Evidence, PassageRecord, What};
use crate::host::SUBJECT;
use crate::promise::describe;
use crate::run::Outcome;

/// Something in which the endpoint is unlike the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub aspect: Aspect,
    /// What the kernel did.
    pub kernel: String,
    /// What the endpoint did.
    pub endpoint: String,
    /// Why it may be so, with the place where that is written; `None`: nobody knows.
    pub explanation: Option<&'static str>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Whether the promises were kept.
    Promises,
    /// The states, one after the other.
    States,
    /// The rows in each state.
    Rows,
    /// What calls returned.
    Answers,
    /// The segments that were sent.
    Segments,
    /// The options of the SYN.
    Options,
    /// The windows that were announced.
    Windows,
    /// The time from a segment to its repetition.
    Intervals,
}

impl Aspect {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promises => "promises",
            Self::States => "states",
            Self::Rows => "rows",
            Self::Answers => "answers",
            Self::Segments => "segments",
            Self::Options => "options",
            Self::Windows => "windows",
            Self::Intervals => "intervals",
        }
    }
}

/// A difference that has a reason.
struct Explanation {
    aspect: Aspect,
    /// In which scenario; empty: in any.
    scenario: &'static str,
    why: &'static str,
    /// Whether it explains what the kernel and the endpoint did.
    covers: fn(&str, &str) -> bool,
}

const UNIT: &str = "RFC 7323 §2.4 has a window told in units. Linux rounds up to a whole one (__tcp_select_window, \
                    net/ipv4/tcp_output.c), the endpoint only where it has memory for it: they are one unit apart.";
const TIMEOUT: &str = "RFC 9293 §3.8.3 allows a count of retransmissions or a time. Linux takes the number as a time, as long \
                       as so many doublings of 200 ms take (retransmits_timed_out, net/ipv4/tcp_timer.c), within which \
                       a loss probe makes room for one more; the endpoint counts.";
const PINGPONG: &str = "RFC 1122 §4.2.3.2 lets an ACK wait for up to 500 ms. Linux does so as soon as a program has answered \
                        (tcp_event_data_sent, net/ipv4/tcp_output.c), the endpoint after 16 segments.";
const RACE: &str = "The SYN is sent again after a second at one host, the SYN+ACK at the other (RFC 6298 §2.1): which comes \
                    first is chance, and the second is not sent any more if the first has ended it.";

const ANYTHING: fn(&str, &str) -> bool = |_, _| true;

const EXPLANATIONS: &[Explanation] = &[
    Explanation { aspect: Aspect::Windows, scenario: "", why: UNIT, covers: is_a_unit_apart },
    Explanation {
        aspect: Aspect::Segments,
        scenario: "three-segment-close",
        why: PINGPONG,
        covers: ANYTHING,
    },
    Explanation { aspect: Aspect::Rows, scenario: "three-segment-close", why: PINGPONG, covers: ANYTHING },
    Explanation { aspect: Aspect::Segments, scenario: "lost-syn-ack", why: RACE, covers: ANYTHING },
    Explanation { aspect: Aspect::Rows, scenario: "lost-syn-ack", why: RACE, covers: ANYTHING },
    Explanation { aspect: Aspect::Intervals, scenario: "lost-syn-ack", why: RACE, covers: ANYTHING },
    Explanation { aspect: Aspect::Rows, scenario: "lost-all-data", why: TIMEOUT, covers: ANYTHING },
    Explanation { aspect: Aspect::Segments, scenario: "lost-all-data", why: TIMEOUT, covers: ANYTHING },
    Explanation { aspect: Aspect::Rows, scenario: "lost-all-fins", why: TIMEOUT, covers: ANYTHING },
    Explanation { aspect: Aspect::Segments, scenario: "lost-all-fins", why: TIMEOUT, covers: ANYTHING },
];

/// Everything in which the endpoint was unlike the kernel.
pub fn compare(kernel: &Outcome, endpoint: &Outcome) -> Vec<Difference> {
    let mut differences = Vec::new();
    let name = kernel.scenario.name;
    let mut differ = |aspect, kernel: String, endpoint: String| {
        if kernel != endpoint {
            let known = |it: &&Explanation| {
                it.aspect == aspect
                    && (it.scenario.is_empty() || it.scenario == name)
                    && (it.covers)(&kernel, &endpoint)
            };
            let explanation = EXPLANATIONS.iter().find(known).map(|it| it.why);
            differences.push(Difference { aspect, kernel, endpoint, explanation });
        }
    };
    let (k, e) = (&kernel.evidence, &endpoint.evidence);
    differ(Aspect::Promises, promises(kernel), promises(endpoint));
    differ(Aspect::States, states(k), states(e));
    differ(Aspect::Answers, answers(k).join(", "), answers(e).join(", "));
    for (state, kernel, endpoint) in common_rows(k, e) {
        differ(Aspect::Rows, format!("{state}: {kernel}"), format!("{state}: {endpoint}"));
    }
    let (of_kernel, of_endpoint) = (sent(k), sent(e));
    if let Some((kernel, endpoint)) = first_difference(&segments(&of_kernel), &segments(&of_endpoint)) {
        differ(Aspect::Segments, kernel, endpoint);
    }
    differ(Aspect::Options, options(&of_kernel), options(&of_endpoint));
    differ(Aspect::Windows, windows(&of_kernel), windows(&of_endpoint));
    for (kernel, endpoint) in intervals(&of_kernel, &of_endpoint) {
        differ(Aspect::Intervals, kernel, endpoint);
    }
    differences
}

fn promises(outcome: &Outcome) -> String {
    if outcome.reached() {
        return "all kept".to_owned();
    }
    // Only a kernel counts, so that the endpoint is promised less.
    let missed =
        outcome.verdicts.iter().filter(|verdict| !verdict.kept).map(|verdict| verdict.promised.as_str());
    format!("not kept: {}", missed.chain(outcome.stopped.as_deref()).collect::<Vec<_>>().join(", "))
}

fn states(evidence: &Evidence) -> String {
    evidence.path(SUBJECT).iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" → ")
}

fn answers(evidence: &Evidence) -> Vec<String> {
    let calls = evidence.events.iter().filter(|event| event.host == SUBJECT);
    let told = calls.filter_map(|event| match &event.what {
        What::Call { text, answer: Ok(answer) } => Some(format!("{text} = {answer}")),
        What::Call { text, answer: Err(errno) } => Some(format!("{text} = {errno}")),
        _ => None,
    });
    // The port of a client is its host's choice.
    told.filter(|text| !text.starts_with("accept")).collect()
}

/// What the rows of each state showed last before it ended, for the states that both went through.
fn common_rows(kernel: &Evidence, endpoint: &Evidence) -> Vec<(State, String, String)> {
    let row = |evidence: &Evidence, wanted: State| {
        let samples =
            evidence.samples.iter().filter(|sample| sample.host == SUBJECT && sample.state == wanted);
        let told = samples.filter_map(|sample| sample.row.as_ref()).map(describe);
        let mut told: Vec<String> = told.collect();
        told.dedup();
        told.join(", ")
    };
    let (of_kernel, of_endpoint) = (kernel.path(SUBJECT), endpoint.path(SUBJECT));
    let mut common: Vec<State> = of_kernel
        .into_iter()
        .filter(|state| of_endpoint.contains(state) && *state != State::Closed)
        .collect();
    common.sort_unstable();
    common.dedup();
    common.into_iter().map(|state| (state, row(kernel, state), row(endpoint, state))).collect()
}

fn sent(evidence: &Evidence) -> Vec<&PassageRecord> {
    let sent = |passage: &&PassageRecord| passage.from == SUBJECT;
    evidence.passages.iter().filter(sent).collect()
}

/// A segment without its window, which is compared by itself.
fn segments(sent: &[&PassageRecord]) -> Vec<String> {
    let plain = |passage: &&PassageRecord| {
        let words = passage.label.split(' ').filter(|word| !word.starts_with("win="));
        words.collect::<Vec<_>>().join(" ")
    };
    sent.iter().map(plain).collect()
}

/// Where two lists differ first; what comes behind differs because of that.
fn first_difference(kernel: &[String], endpoint: &[String]) -> Option<(String, String)> {
    let place = (0..kernel.len().max(endpoint.len())).find(|at| kernel.get(*at) != endpoint.get(*at))?;
    let told = |list: &[String]| {
        let segment = list.get(place).map_or("nothing", String::as_str);
        format!("segment {}: {segment}", place + 1)
    };
    Some((told(kernel), told(endpoint)))
}

fn options(sent: &[&PassageRecord]) -> String {
    let syn = sent.iter().find_map(|passage| {
        passage
            .segment(|segment: &Segment<'_>| {
                let options = &segment.options;
                segment.flags.contains(Flags::SYN).then(|| {
                    format!(
                        "mss {} sack {} timestamps {} window scale {}",
                        options.mss().map_or_else(|| "-".to_owned(), |mss| mss.to_string()),
                        options.sack_permitted(),
                        options.timestamps().is_some(),
                        options.window_scale().map_or_else(|| "-".to_owned(), |scale| scale.to_string()),
                    )
                })
            })
            .flatten()
    });
    syn.unwrap_or_default()
}

/// The windows that were announced, each once as long as it stayed. A reset announces none.
fn windows(sent: &[&PassageRecord]) -> String {
    let window = |passage: &&PassageRecord| {
        let of_segment =
            |segment: &Segment<'_>| (!segment.flags.contains(Flags::RST)).then_some(segment.window);
        passage.segment(of_segment).flatten()
    };
    let mut windows: Vec<String> = sent.iter().filter_map(window).map(|window| window.to_string()).collect();
    windows.dedup();
    windows.join(", ")
}

/// Whether lists of windows differ by one at the most.
fn is_a_unit_apart(kernel: &str, endpoint: &str) -> bool {
    let numbers =
        |list: &str| -> Vec<u32> { list.split(", ").filter_map(|word| word.parse().ok()).collect() };
    let (kernel, endpoint) = (numbers(kernel), numbers(endpoint));
    kernel.len() == endpoint.len() && kernel.iter().zip(&endpoint).all(|(k, e)| k.abs_diff(*e) <= 1)
}

/// A repetition may come so much earlier or later than the other's: kernels count in jiffies, and the machine is shared.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Times from a segment to its repetition that are not about the same.
fn intervals(kernel: &[&PassageRecord], endpoint: &[&PassageRecord]) -> Vec<(String, String)> {
    let (kernel, endpoint) = (repetitions(kernel), repetitions(endpoint));
    let pairs = kernel.iter().zip(&endpoint).filter(|(k, e)| k.0 == e.0);
    let differ = pairs.filter(|(k, e)| {
        let difference = k.1.abs_diff(e.1);
        difference > TOLERANCE && difference > k.1.max(e.1) / 5
    });
    let told = |(what, time): &(String, Duration)| format!("{what} again after {:.3} s", time.as_secs_f64());
    differ.map(|(k, e)| (told(k), told(e))).collect()
}

/// Each segment that was sent before, and how long before.
fn repetitions(sent: &[&PassageRecord]) -> Vec<(String, Duration)> {
    let mut seen: Vec<(Key, Instant)> = Vec::new();
    let mut found = Vec::new();
    for passage in sent {
        let Some(Some(key)) = passage.segment(key) else { continue };
        match seen.iter_mut().find(|(known, _)| *known == key) {
            Some((_, at)) => {
                found.push((key.0.to_string(), passage.sent.duration_since(*at)));
                *at = passage.sent;
            }
            None => seen.push((key, passage.sent)),
        }
    }
    found
}

/// What makes a segment the same as another: flags, number, length.
type Key = (Flags, u32, u32);

/// Only what takes numbers is sent again.
fn key(segment: &Segment<'_>) -> Option<Key> {
    let length = segment.len();
    (length > 0).then_some((segment.flags, segment.seq.0, length))
}
