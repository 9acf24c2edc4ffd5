//! What shall happen to which packet, written down beforehand.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::{Flags, Segment};

/// What shall happen to one packet.
///
/// In words, as [`FromStr`] reads them: `drop 3 from A`, `drop FIN 1 from B`, `delay 2 from A 50ms`,
/// `duplicate data 4 from A to C`. An action, the packet's number among all segments of that host (or
/// among those with certain flags, or with text), the host, and a time where the action takes one.
/// `drop the 3rd segment from A` and `delay segment 2 from A by 50 ms` are understood as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    /// The name of the host that sends the packet.
    pub from: String,
    /// The name of the host it is for; `None`: any.
    pub to: Option<String>,
    /// Which of its packets.
    pub which: Which,
    /// What happens to it.
    pub action: Action,
}

/// One of the segments that a host sends. They are counted from 1; repeated ones count again, and
/// packets without a segment do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The segment with that number.
    Nth(u32),
    /// Among the segments that have all of these flags, and perhaps others.
    NthWith(Flags, u32),
    /// Among the segments with text.
    NthWithText(u32),
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is lost.
    Drop,
    /// It arrives so much later, and lets others pass.
    Delay(Duration),
    /// It arrives a second time, so much later.
    Duplicate(Duration),
    /// A bit of it arrives wrong.
    Corrupt,
    /// It is marked as having met congestion, if its sender takes part in ECN.
    Mark,
}

/// Several lines of a script, applied together: one [`Scripted`] a line or between semicolons; what follows `#` is a comment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schedule(pub Vec<Scripted>);

/// The words for the actions.
const ACTIONS: [(&str, Action); 5] = [
    ("drop", Action::Drop),
    ("delay", Action::Delay(Duration::ZERO)),
    ("duplicate", Action::Duplicate(Duration::ZERO)),
    ("corrupt", Action::Corrupt),
    ("mark", Action::Mark),
];

/// Words that make a line read like a sentence.
const FILLERS: [&str; 7] = ["the", "segment", "packet", "with", "number", "by", "after"];

/// How a number may also be written.
const ORDINALS: [(&str, u32); 5] = [("first", 1), ("second", 2), ("third", 3), ("fourth", 4), ("fifth", 5)];

impl Which {
    /// Whether a segment is among those that are counted.
    pub(super) fn counts(self, segment: &Segment<'_>) -> bool {
        match self {
            Self::Nth(_) => true,
            Self::NthWith(flags, _) => segment.flags.contains(flags),
            Self::NthWithText(_) => !segment.text.is_empty(),
        }
    }

    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Nth(number) | Self::NthWith(_, number) | Self::NthWithText(number) => number,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nth(number) => write!(f, "{number}"),
            Self::NthWith(flags, number) => write!(f, "{flags} {number}"),
            Self::NthWithText(number) => write!(f, "data {number}"),
        }
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = core::mem::discriminant(&self.action);
        let word = ACTIONS.iter().find(|(_, action)| core::mem::discriminant(action) == kind);
        write!(f, "{} {} from {}", word.map_or("", |(word, _)| *word), self.which, self.from)?;
        if let Some(to) = &self.to {
            write!(f, " to {to}")?;
        }
        match self.action {
            Action::Delay(duration) => write!(f, " {}", Written(duration)),
            Action::Duplicate(duration) if !duration.is_zero() => write!(f, " {}", Written(duration)),
            Action::Duplicate(_) | Action::Drop | Action::Corrupt | Action::Mark => Ok(()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|scripted| writeln!(f, "{scripted}"))
    }
}

/// A duration as it is written in a script, in whole microseconds.
pub(super) struct Written(pub(super) Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros.is_multiple_of(1_000_000) {
            write!(f, "{}s", micros / 1_000_000)
        } else if micros.is_multiple_of(1_000) {
            write!(f, "{}ms", micros / 1_000)
        } else {
            write!(f, "{micros}us")
        }
    }
}

/// A line that says nothing that could happen to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScriptedError {
    line: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Action,
    Number,
    From,
    Word(String),
    Delay,
}

impl ParseScriptedError {
    /// What was not understood.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl fmt::Display for ParseScriptedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", self.line)?;
        match &self.problem {
            Problem::Action => f.write_str("a line begins with drop, delay, duplicate, corrupt or mark"),
            Problem::Number => f.write_str("which one? Say `3`, `FIN 1` or `data 2`, counting from 1"),
            Problem::From => f.write_str("sent by whom? Say `from` and the name of a host"),
            Problem::Word(word) => {
                write!(f, "`{word}` is not understood; an example is `delay 2 from A 50ms`")
            }
            Problem::Delay => f.write_str("for how long? Say `50ms`, `1.5s` or `200us`"),
        }
    }
}

impl core::error::Error for ParseScriptedError {}

impl FromStr for Scripted {
    type Err = ParseScriptedError;

    fn from_str(line: &str) -> Result<Self, ParseScriptedError> {
        parse(line).map_err(|problem| ParseScriptedError { line: line.trim().to_owned(), problem })
    }
}

impl FromStr for Schedule {
    type Err = ParseScriptedError;

    fn from_str(text: &str) -> Result<Self, ParseScriptedError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
        let entries = lines.flat_map(|line| line.split(';')).filter(|entry| !entry.trim().is_empty());
        entries.map(Scripted::from_str).collect::<Result<_, _>>().map(Self)
    }
}

fn parse(line: &str) -> Result<Scripted, Problem> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let action = ACTIONS.iter().find(|(word, _)| first.eq_ignore_ascii_case(word));
    let (_, mut action) = *action.ok_or(Problem::Action)?;

    let (mut number, mut flags, mut text) = (None, None, false);
    loop {
        let word = words.next().ok_or(if number.is_some() { Problem::From } else { Problem::Number })?;
        if word.eq_ignore_ascii_case("from") {
            break;
        } else if FILLERS.iter().any(|filler| word.eq_ignore_ascii_case(filler)) {
        } else if let Some(counted) = count(word) {
            number = Some(counted);
        } else if word.eq_ignore_ascii_case("data") || word.eq_ignore_ascii_case("text") {
            text = true;
        } else {
            flags = Some(word.parse::<Flags>().map_err(|_| Problem::Word(word.to_owned()))?);
        }
    }
    let number = number.filter(|number| *number > 0).ok_or(Problem::Number)?;
    let which = match (flags, text) {
        (None, false) => Which::Nth(number),
        (Some(flags), false) => Which::NthWith(flags, number),
        (None, true) => Which::NthWithText(number),
        (Some(_), true) => return Err(Problem::Word("data".to_owned())),
    };

    let from = words.next().ok_or(Problem::From)?.to_owned();
    let mut to = None;
    // A number and its unit may stand apart.
    let mut rest = String::new();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("to") && to.is_none() && rest.is_empty() {
            to = Some(words.next().ok_or(Problem::From)?.to_owned());
        } else if !FILLERS.iter().any(|filler| word.eq_ignore_ascii_case(filler)) {
            rest.push_str(word);
        }
    }
    match &mut action {
        Action::Delay(duration) => *duration = parse_duration(&rest).ok_or(Problem::Delay)?,
        Action::Duplicate(duration) if !rest.is_empty() => {
            *duration = parse_duration(&rest).ok_or(Problem::Delay)?;
        }
        Action::Duplicate(_) | Action::Drop | Action::Corrupt | Action::Mark if rest.is_empty() => {}
        _ => return Err(Problem::Word(rest)),
    }
    Ok(Scripted { from, to, which, action })
}

/// `3`, `3rd` or `third`.
fn count(word: &str) -> Option<u32> {
    let ordinal = ORDINALS.iter().find(|(ordinal, _)| word.eq_ignore_ascii_case(ordinal));
    if let Some((_, number)) = ordinal {
        return Some(*number);
    }
    let endings = ["st", "nd", "rd", "th"];
    endings.iter().find_map(|ending| word.strip_suffix(ending)).unwrap_or(word).parse().ok()
}

/// `50ms`, `1.5s`, `200us`: at least one digit, a unit, and no more precision than microseconds.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(digits);
    let micros_per_unit: u64 = match unit {
        "us" | "µs" | "μs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let mut micros = whole.parse::<u64>().ok()?.checked_mul(micros_per_unit)?;
    let mut step = micros_per_unit;
    for digit in fraction.chars() {
        step /= 10;
        micros = micros.checked_add(u64::from(digit.to_digit(10)?) * step)?;
    }
    (!fraction.is_empty()).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripted(which: Which, action: Action) -> Scripted {
        Scripted { from: "A".to_owned(), to: None, which, action }
    }

    #[test]
    fn lines_are_understood_and_printed() {
        let ms = Duration::from_millis;
        let (third, fin) = (Which::Nth(3), Which::NthWith(Flags::FIN, 1));
        for (line, expected, printed) in [
            ("drop 3 from A", scripted(third, Action::Drop), "drop 3 from A"),
            ("drop the 3rd segment from A", scripted(third, Action::Drop), "drop 3 from A"),
            ("  Drop third from A ", scripted(third, Action::Drop), "drop 3 from A"),
            ("drop FIN 1 from A", scripted(fin, Action::Drop), "drop FIN 1 from A"),
            ("drop the first FIN from A", scripted(fin, Action::Drop), "drop FIN 1 from A"),
            (
                "corrupt [S.] 2 from A",
                scripted(Which::NthWith(Flags::SYN | Flags::ACK, 2), Action::Corrupt),
                "corrupt SYN+ACK 2 from A",
            ),
            ("delay 3 from A 50ms", scripted(third, Action::Delay(ms(50))), "delay 3 from A 50ms"),
            (
                "delay segment 3 from A by 1.5 s",
                scripted(third, Action::Delay(ms(1_500))),
                "delay 3 from A 1500ms",
            ),
            ("delay 3 from A 0.2us", scripted(third, Action::Delay(ms(0))), "delay 3 from A 0s"),
            (
                "delay 3 from A 1.25ms",
                scripted(third, Action::Delay(Duration::from_micros(1_250))),
                "delay 3 from A 1250us",
            ),
            ("duplicate 3 from A", scripted(third, Action::Duplicate(ms(0))), "duplicate 3 from A"),
            (
                "duplicate 3 from A after 2s",
                scripted(third, Action::Duplicate(ms(2_000))),
                "duplicate 3 from A 2s",
            ),
            ("mark data 2 from A", scripted(Which::NthWithText(2), Action::Mark), "mark data 2 from A"),
            (
                "drop 3 from A to B",
                Scripted { to: Some("B".to_owned()), ..scripted(third, Action::Drop) },
                "drop 3 from A to B",
            ),
        ] {
            assert_eq!(line.parse(), Ok(expected.clone()), "{line}");
            assert_eq!(expected.to_string(), printed);
            assert_eq!(printed.parse(), Ok(expected));
        }
    }

    #[test]
    fn other_lines_say_what_is_missing() {
        for (line, says) in [
            ("", "begins with drop"),
            ("lose 3 from A", "begins with drop"),
            ("drop from A", "which one?"),
            ("drop 0 from A", "which one?"),
            ("drop FIN from A", "which one?"),
            ("drop", "which one?"),
            ("drop 99999999999 from A", "`99999999999` is not understood"),
            ("drop 3", "sent by whom?"),
            ("drop 3 from", "sent by whom?"),
            ("drop 3 from A to", "sent by whom?"),
            ("drop GIN 3 from A", "`GIN` is not understood"),
            ("drop FIN data 3 from A", "`data` is not understood"),
            ("drop 3 from A 50ms", "`50ms` is not understood"),
            ("delay 3 from A", "for how long?"),
            ("delay 3 from A 50", "for how long?"),
            ("delay 3 from A 50min", "for how long?"),
            ("delay 3 from A .ms", "for how long?"),
            ("delay 3 from A 1.ms", "for how long?"),
            ("delay 3 from A 1.2.3ms", "for how long?"),
            ("delay 3 from A 99999999999999999999s", "for how long?"),
            ("delay 3 from A 18446744073709551615s", "for how long?"),
            ("duplicate 3 from A soon", "for how long?"),
        ] {
            let error = line.parse::<Scripted>().unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.line(), line);
        }
    }

    #[test]
    fn a_schedule_has_lines_and_comments() {
        let schedule: Schedule =
            "# the client\ndrop 1 from A; drop 2 from A # both\n\n delay 1 from A 1s\n".parse().unwrap();
        assert_eq!(schedule.to_string(), "drop 1 from A\ndrop 2 from A\ndelay 1 from A 1s\n");
        assert!("drop 1 from A\nnonsense".parse::<Schedule>().is_err());
        assert_eq!("".parse(), Ok(Schedule::default()));
    }
}
