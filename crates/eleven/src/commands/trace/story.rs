//! The story of one flow, in sentences.

use eleven_capture::Timestamp;
use eleven_knowledge::{Language, anomaly, fill, story};
use eleven_tcp::State;
use eleven_track::{Assumption, Ending, Flow, Inference, Note, Provenance, Side};

use super::flows::Numbered;
use super::record::Records;
use crate::text;

/// Tells it, a sentence or a few on each line.
pub(super) fn tell(
    numbered: &Numbered,
    records: &Records,
    time_wait_seconds: u64,
    language: Language,
) -> String {
    let teller = Teller { flow: &numbered.flow, records, time_wait_seconds, language };
    let parts = [teller.beginning(), teller.middle(numbered), teller.oddities(), teller.end()];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let story = parts.map(|part| part.join("\n")).collect::<Vec<_>>().join("\n\n");
    format!("{story}\n")
}

struct Teller<'a> {
    flow: &'a Flow,
    records: &'a Records,
    time_wait_seconds: u64,
    language: Language,
}

/// Placeholders and what they stand for.
type Values<'a> = &'a [(&'a str, &'a str)];

impl Teller<'_> {
    fn say(&self, key: &str, values: Values<'_>) -> String {
        let template = story(key, self.language).unwrap_or_default();
        fill(&template, |name| {
            let value = values.iter().find(|(known, _)| *known == name);
            value.map_or_else(String::new, |(_, value)| (*value).to_owned())
        })
    }

    fn side(&self, side: Side) -> String {
        self.say(if side == Side::Client { "side-client" } else { "side-server" }, &[])
    }

    fn time(&self, time_ns: i64) -> String {
        let after = (time_ns - self.flow.first_time_ns).max(0) as f64 / 1e9;
        format!("{:.6} (+{after:.6} s)", Timestamp(time_ns))
    }

    fn had(&self, note: Note) -> bool {
        self.flow.count_of(note) > 0 || self.records.segments.iter().any(|record| record.verdict.has(note))
    }

    fn beginning(&self) -> Vec<String> {
        let flow = self.flow;
        let (client, server) = (flow.client.socket.to_string(), flow.server.socket.to_string());
        let ends = [("client", client.as_str()), ("server", server.as_str())];
        let mut told = Vec::new();
        let synchronized = |side| {
            let path = &flow.end(side).path;
            path.iter().any(|step| step.state == State::Established)
        };
        if flow.opened_by.is_none() {
            if flow.direction_known {
                told.push(self.say("opened-without-syn", &ends));
            } else if flow.client.path.iter().chain(&flow.server.path).any(|step| step.state != State::Closed)
            {
                let low = flow.server.socket.port() < 1_024 && flow.client.socket.port() >= 1_024;
                let reason = self.say(if low { "reason-service-port" } else { "reason-lower-port" }, &[]);
                told.push(self.say("opened-midstream", &[ends[0], ends[1], ("reason", &reason)]));
            } else {
                told.push(self.say("no-connection", &ends));
            }
            return told;
        }
        match flow.ending {
            Ending::Unanswered => {
                let count = flow.client.packets.to_string();
                told.push(self.say("syn-unanswered", &[ends[0], ends[1], ("count", &count)]));
                return told;
            }
            Ending::Refused => {
                let reported = matches!(flow.client.provenance, Provenance::Inferred(Inference::Reported));
                told.push(self.say(if reported { "unreachable" } else { "refused" }, &ends));
                return told;
            }
            _ => {}
        }
        if self.had(Note::SimultaneousOpen) {
            told.push(self.say("opened-simultaneously", &ends));
        } else if let Some(micros) = flow.handshake_us {
            let (time, took) = (self.time(flow.first_time_ns), format!("{:.3}", f64::from(micros) / 1e3));
            told.push(self.say("opened", &[ends[0], ends[1], ("time", &time), ("handshake_ms", &took)]));
        } else if !synchronized(Side::Client) || !synchronized(Side::Server) {
            told.push(self.say("handshake-unfinished", &ends));
        }
        if let [Some(client), Some(server)] = self.records.offers {
            let mut options = Vec::new();
            let pair = |key: &str, one: Option<u64>, other: Option<u64>| {
                let (one, other) = (one?.to_string(), other?.to_string());
                Some(self.say(key, &[("client", &one), ("server", &other)]))
            };
            options.extend(pair("option-mss", client.mss.map(u64::from), server.mss.map(u64::from)));
            let scales = (client.window_scale.map(u64::from), server.window_scale.map(u64::from));
            options.extend(pair("option-window-scale", scales.0, scales.1));
            if client.sack && server.sack {
                options.push(self.say("option-sack", &[]));
            }
            if client.timestamps && server.timestamps {
                options.push(self.say("option-timestamps", &[]));
            }
            if self.had(Note::EcnNegotiated) {
                options.push(self.say("option-ecn", &[]));
            }
            if self.had(Note::FastOpen) {
                options.push(self.say("option-fast-open", &[]));
            }
            let between = if self.language == Language::English { ", " } else { "、" };
            told.push(if options.is_empty() {
                self.say("negotiated-nothing", &[])
            } else {
                self.say("negotiated", &[("options", &options.join(between))])
            });
        }
        told
    }

    fn middle(&self, numbered: &Numbered) -> Vec<String> {
        let flow = self.flow;
        if matches!(flow.ending, Ending::Unanswered | Ending::Refused) {
            return Vec::new();
        }
        let mut told = Vec::new();
        if numbered.bytes() == 0 {
            told.push(self.say("no-data", &[]));
        } else {
            let number = |value: u64| text::thousands(value);
            told.push(self.say(
                "data",
                &[
                    ("client_bytes", &number(flow.client.bytes)),
                    ("server_bytes", &number(flow.server.bytes)),
                    ("client_packets", &number(flow.client.packets.into())),
                    ("server_packets", &number(flow.server.packets.into())),
                ],
            ));
        }
        if let (Some(micros), Some(handshake)) = (flow.first_byte_us, flow.handshake_us) {
            let ms = format!("{:.3}", f64::from(micros.saturating_sub(handshake)) / 1e3);
            told.push(self.say("first-byte", &[("side", &self.side(Side::Server)), ("ms", &ms)]));
        }
        if let Some(trips) = flow.round_trips() {
            let ms = |nanos: u64| format!("{:.3} ms", nanos as f64 / 1e6);
            told.push(self.say(
                "rtt",
                &[("min", &ms(trips.min_ns)), ("median", &ms(trips.median_ns)), ("max", &ms(trips.max_ns))],
            ));
        }
        for side in Side::BOTH {
            let again = flow.end(side).all_retransmissions();
            let with_text = self
                .records
                .segments
                .iter()
                .filter(|it| it.verdict.from == side && it.verdict.length > 0)
                .count();
            if again > 0 && with_text > 0 {
                let share = format!("{:.1} %", 100.0 * f64::from(again) / with_text as f64);
                let count = text::thousands(again.into());
                told.push(self.say(
                    "retransmitted",
                    &[("side", &self.side(side)), ("count", &count), ("share", &share)],
                ));
            }
        }
        told
    }

    fn oddities(&self) -> Vec<String> {
        if self.flow.anomalies.is_empty() {
            return vec![self.say("no-anomaly", &[])];
        }
        let mut told = Vec::new();
        for odd in &self.flow.anomalies {
            let what = anomaly(odd.kind.as_str(), self.language)
                .map_or_else(|| odd.kind.text().to_owned(), |text| text.what);
            let (count, packet) = (odd.count.to_string(), odd.first_packet.to_string());
            let sentence = self.say(
                "anomaly",
                &[("count", &count), ("packet", &packet), ("side", &self.side(odd.side)), ("what", &what)],
            );
            told.push(format!("[{}] {sentence}", odd.kind));
        }
        let lost = self.flow.count_of(Note::LostInCapture) + self.flow.count_of(Note::AckedUnseen);
        if lost > 0 {
            told.push(self.say("lost-in-capture", &[("count", &lost.to_string())]));
        }
        told
    }

    fn end(&self) -> Vec<String> {
        let flow = self.flow;
        let mut told = Vec::new();
        let states = [flow.client.state.to_string(), flow.server.state.to_string()];
        let states = [("client_state", states[0].as_str()), ("server_state", states[1].as_str())];
        let entered = |side: Side, wanted: &[State]| {
            flow.end(side).path.iter().find(|step| wanted.contains(&step.state)).map(|step| step.time_ns)
        };
        let waited = |side| entered(side, &[State::TimeWait]).is_some();
        let seconds = self.time_wait_seconds.to_string();
        match (flow.ending, flow.closed_by) {
            (Ending::Fin, Some(side)) => {
                let at_once = self.had(Note::SimultaneousClose);
                if at_once {
                    told.push(self.say("closed-at-once", &[]));
                } else {
                    let time = entered(side, &[State::FinWait1]).unwrap_or(flow.last_time_ns);
                    told.push(
                        self.say(
                            "closed-in-order",
                            &[("side", &self.side(side)), ("time", &self.time(time))],
                        ),
                    );
                }
                match Side::BOTH.map(waited) {
                    [true, true] => told.push(self.say("time-wait-both", &[("seconds", &seconds)])),
                    [false, false] => {}
                    [client, _] => {
                        let side = self.side(if client { Side::Client } else { Side::Server });
                        told.push(self.say("time-wait", &[("side", &side), ("seconds", &seconds)]));
                    }
                }
                if self.had(Note::RstAfterClose) {
                    told.push(self.say("reset-after-close", &[]));
                }
            }
            (Ending::Reset, _) => {
                let reset = self.records.segments.iter().find(|record| {
                    record.verdict.has(Note::RstExact)
                        || record.flags.contains(eleven_tcp::Flags::RST)
                            && record.verdict.sender_rule.is_some()
                });
                if let Some(reset) = reset {
                    let (side, time) = (self.side(reset.verdict.from), self.time(reset.time.0));
                    let packet = reset.packet.to_string();
                    told.push(self.say("reset", &[("side", &side), ("time", &time), ("packet", &packet)]));
                }
            }
            (Ending::Open, Some(side)) => told.push(self.say("half-closed", &[("side", &self.side(side))])),
            (Ending::Open, None) => told.push(self.say("still-open", &states)),
            _ => {}
        }
        told.push(self.say("end-states", &states));
        for side in Side::BOTH {
            let end = flow.end(side);
            let (key, reason) = match end.provenance {
                Provenance::Observed => continue,
                Provenance::Inferred(why) => ("inferred", inference(why)),
                Provenance::Assumed(why) => ("assumed", assumption(why)),
            };
            let reason = self.say(reason, &[]);
            told.push(
                self.say(
                    key,
                    &[("side", &self.side(side)), ("state", end.state.as_str()), ("reason", &reason)],
                ),
            );
        }
        told
    }
}

const fn inference(why: Inference) -> &'static str {
    match why {
        Inference::SeenTravelling => "reason-seen-travelling",
        Inference::Acknowledged => "reason-acknowledged",
        Inference::NotCaptured => "reason-not-captured",
        Inference::AnsweredSyn => "reason-answered-syn",
        Inference::NoEarlierFin => "reason-no-earlier-fin",
        Inference::AnswersAsClosed => "reason-answers-as-closed",
        Inference::Reported => "reason-reported",
    }
}

const fn assumption(why: Assumption) -> &'static str {
    match why {
        Assumption::NothingHeard => "reason-nothing-heard",
        Assumption::Midstream => "reason-midstream",
        Assumption::TimeWaitOver => "reason-time-wait-over",
    }
}
