//! Ladder diagrams: two ends, time going down, an arrow for each segment.
//!
//! What is drawn comes as plain entries, so that a simulation, a capture and a script can all be drawn.
//! [`Ladder::text`] draws with letters, [`Ladder::svg`] a picture.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::Instant;

mod svg;
mod text;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The left one, by habit who opens the connection.
    Left,
    /// The right one.
    Right,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// What an event did to the state of an end; both the same if nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// The state before, as it is to be printed.
    pub before: String,
    /// The state after.
    pub after: String,
}

/// A segment on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Which end sends it.
    pub from: Side,
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived; `None`: it was lost.
    pub received: Option<Instant>,
    /// What is written on the arrow: `SYN seq=0 win=64240`.
    pub label: String,
    /// What sending it meant for its sender, where that is known.
    pub sender: Option<Change>,
    /// What receiving it meant for its receiver.
    pub receiver: Option<Change>,
}

/// Something that happens at one end: a call, a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// At which.
    pub side: Side,
    /// When.
    pub time: Instant,
    /// What: `close()`.
    pub text: String,
    /// What it meant for this end's state, where that is known.
    pub change: Option<Change>,
}

/// Something to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An arrow.
    Segment(Flight),
    /// A mark beside an end.
    Note(Note),
}

/// A ladder diagram of a connection.
///
/// ```
/// use eleven_tcp::Instant;
/// use eleven_tcp::sim::ladder::{Change, Entry, Flight, Ladder, Side};
///
/// let change = |before: &str, after: &str| Some(Change { before: before.into(), after: after.into() });
/// let ladder = Ladder {
///     left: "client".into(),
///     right: "server".into(),
///     entries: vec![Entry::Segment(Flight {
///         from: Side::Left,
///         sent: Instant::ZERO,
///         received: Some(Instant::from_millis(10)),
///         label: "SYN seq=0".into(),
///         sender: change("CLOSED", "SYN_SENT"),
///         receiver: change("LISTEN", "SYN_RECV"),
///     })],
/// };
/// assert!(ladder.text().contains("SYN_SENT ├─"));
/// assert!(ladder.svg().starts_with("<svg"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ladder {
    /// The name of the left end.
    pub left: String,
    /// The name of the right end.
    pub right: String,
    /// What happened, in any order.
    pub entries: Vec<Entry>,
}

/// What is drawn as one, from top to bottom. At each end, steps follow each other in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    Note(&'a Note),
    /// A segment that was lost.
    Lost(&'a Flight),
    /// A segment that no other crosses.
    Arrow(&'a Flight),
    /// Two segments in opposite directions that cross each other and no third.
    Cross {
        from_left: &'a Flight,
        from_right: &'a Flight,
    },
    /// The beginning of an arrow whose end comes later. Numbered from 0.
    Departure(&'a Flight, usize),
    /// The end of such an arrow.
    Arrival(&'a Flight, usize),
}

/// Something that happens at one end.
#[derive(Clone, Copy)]
struct Event<'a> {
    time: Instant,
    /// The place of its entry in the list.
    index: usize,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Note(&'a Note),
    Send(&'a Flight),
    Receive(&'a Flight),
}

impl Ladder {
    fn events(&self, side: Side) -> VecDeque<Event<'_>> {
        let mut events = VecDeque::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let (time, what) = match entry {
                Entry::Note(note) if note.side == side => (note.time, What::Note(note)),
                Entry::Segment(flight) if flight.from == side => (flight.sent, What::Send(flight)),
                Entry::Segment(flight) => match flight.received {
                    Some(received) => (received, What::Receive(flight)),
                    None => continue,
                },
                Entry::Note(_) => continue,
            };
            events.push_back(Event { time, index, what });
        }
        events.make_contiguous().sort_by_key(Event::order);
        events
    }

    /// The state an end begins in; empty if that is not known.
    fn first_state(&self, side: Side) -> &str {
        self.events(side).iter().find_map(Event::change).map_or("", |change| &change.before)
    }

    /// Brings the events of both ends together, so that as many arrows as possible are drawn in one piece.
    ///
    /// A row may tell of different times at its two ends: only each end for itself goes down in
    /// order of time. Arrows are in each other's way only if they come in a different order at the two ends.
    fn steps(&self) -> Vec<Step<'_>> {
        let (mut left, mut right) = (self.events(Side::Left), self.events(Side::Right));
        let mut broken = Broken::new();
        let mut steps = Vec::new();
        while let Some(next) = Next::choose(&left, &right, &broken) {
            let (l, r) = match next {
                Next::Left => (left.pop_front(), None),
                Next::Right => (None, right.pop_front()),
                Next::Arrow | Next::Cross => (left.pop_front(), right.pop_front()),
            };
            if next == Next::Cross {
                // The other ends of both.
                left.pop_front();
                right.pop_front();
            }
            steps.extend(match (next, l.map(|event| event.what), r.map(|event| event.what)) {
                (Next::Cross, Some(What::Send(from_left)), Some(What::Send(from_right))) => {
                    Some(Step::Cross { from_left, from_right })
                }
                (Next::Arrow, Some(What::Send(flight)), _) | (Next::Arrow, _, Some(What::Send(flight))) => {
                    Some(Step::Arrow(flight))
                }
                _ => l.or(r).map(|event| event.alone(&mut broken)),
            });
        }
        steps
    }
}

/// The entries whose arrows are drawn in two pieces, and the numbers these have.
type Broken = BTreeMap<usize, usize>;

impl<'a> Event<'a> {
    fn order(&self) -> (Instant, usize) {
        (self.time, self.index)
    }

    const fn change(&self) -> Option<&'a Change> {
        match self.what {
            What::Note(note) => note.change.as_ref(),
            What::Send(flight) => flight.sender.as_ref(),
            What::Receive(flight) => flight.receiver.as_ref(),
        }
    }

    const fn is_send(&self) -> bool {
        matches!(self.what, What::Send(_))
    }

    /// Whether it is drawn without its other end, or has none.
    fn is_alone(&self, broken: &Broken) -> bool {
        match self.what {
            What::Note(_) => true,
            What::Send(flight) => flight.received.is_none() || broken.contains_key(&self.index),
            What::Receive(_) => broken.contains_key(&self.index),
        }
    }

    /// The step it is by itself. If it has another end, its arrow is broken from now on.
    fn alone(&self, broken: &mut Broken) -> Step<'a> {
        let next = broken.len();
        match self.what {
            What::Note(note) => Step::Note(note),
            What::Send(flight) if flight.received.is_none() => Step::Lost(flight),
            What::Send(flight) => Step::Departure(flight, *broken.entry(self.index).or_insert(next)),
            What::Receive(flight) => Step::Arrival(flight, *broken.entry(self.index).or_insert(next)),
        }
    }
}

/// Which of the ends' next events are drawn next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Left,
    Right,
    /// Both, which are the two ends of one segment.
    Arrow,
    /// Both and those behind them, which are the ends of two segments.
    Cross,
}

impl Next {
    fn choose(left: &VecDeque<Event<'_>>, right: &VecDeque<Event<'_>>, broken: &Broken) -> Option<Self> {
        let (l, r) = match (left.front(), right.front()) {
            (None, None) => return None,
            (Some(_), None) => return Some(Self::Left),
            (None, Some(_)) => return Some(Self::Right),
            (Some(l), Some(r)) => (l, r),
        };
        let earlier = if l.order() <= r.order() { Self::Left } else { Self::Right };
        Some(match (l.is_alone(broken), r.is_alone(broken)) {
            (true, true) => earlier,
            (true, false) => Self::Left,
            (false, true) => Self::Right,
            (false, false) if l.index == r.index => Self::Arrow,
            (false, false) => {
                let behind = |events: &VecDeque<Event<'_>>| events.get(1).map(|event| event.index);
                match (l.is_send(), r.is_send()) {
                    (true, true) if behind(left) == Some(r.index) && behind(right) == Some(l.index) => {
                        Self::Cross
                    }
                    (true, true) => earlier,
                    (true, false) => Self::Left,
                    // The last: only a segment that arrived before it was sent.
                    (false, _) => Self::Right,
                }
            }
        })
    }
}

/// How many columns text takes, a letter each.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text in lines of at most so many columns, broken at blanks where possible.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let Some(current) = lines.last_mut() else {
                break;
            };
            let used = width(current);
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= columns {
                if gap > 0 {
                    current.push(' ');
                }
                current.extend(word.drain(..));
            } else if used == 0 {
                current.extend(word.drain(..columns.max(1).min(word.len())));
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
