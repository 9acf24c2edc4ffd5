//! What a rule can ask about the segment and the connection.
//!
//! A condition is a yes-or-no question; a [`Guard`] demands an answer to some of them;
//! [`Facts`] are all the answers at one moment. Nothing here is code that decides: who
//! drives the rules works out the facts from sequence numbers and hands them in.

use core::fmt;

use crate::Flags;

/// A question with the answer yes or no.
///
/// The first twelve are about the arriving segment, the rest about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Condition {
    /// RST is set.
    Rst,
    /// SYN is set.
    Syn,
    /// The segment passes the sequence number test (RFC 9293 §3.10.7.4, first check),
    /// and PAWS where timestamps are in use (RFC 7323 §5).
    ///
    /// Where RST or SYN is set, the number of that control alone is tested, as for a
    /// segment of length zero: RFC 5961 asks whether the control lies in the window, not
    /// whether some text behind it does. Where RCV.WND is zero, a segment at RCV.NXT is
    /// tested as if it were empty: its acknowledgment has to count, or two sides with full
    /// buffers would never hear of each other again. Its text and its FIN do not count.
    Acceptable,
    /// SEG.SEQ is RCV.NXT (RFC 5961 §3.2). Asked only of a segment with RST.
    Exact,
    /// ACK is set.
    Ack,
    /// SEG.ACK acknowledges something it may.
    ///
    /// In SYN_SENT and SYN_RECV that is our SYN: ISS < SEG.ACK ≤ SND.NXT. In the
    /// synchronized states old acknowledgments count too, within the largest window the
    /// peer ever offered: SND.UNA − MAX.SND.WND ≤ SEG.ACK ≤ SND.NXT (RFC 5961 §5.2).
    AckAcceptable,
    /// Our FIN has been sent and is covered by SEG.ACK or by an earlier acknowledgment.
    AcksOurFin,
    /// FIN is set and nothing before it is missing.
    ///
    /// A FIN behind a gap is held together with its text. When the gap is filled, what
    /// was held is handled as if it arrived only then: a segment event of its own.
    Fin,
    /// The FIN is the one the peer has sent before: SEG.SEQ + SEG.LEN = RCV.NXT. It lies
    /// left of the window, so the sequence number test alone would not see the FIN.
    FinRepeated,
    /// The SYN+ACK of a simultaneous open, without RST and FIN: SEG.SEQ = IRS, and the ACK
    /// covers our SYN. It lies left of the window, yet its ACK has to count, or neither
    /// side would ever leave SYN_RECV.
    CrossingSynAck,
    /// The SYN may open the next connection between the same two sockets although this one
    /// is in TIME_WAIT: a listener waits, and by timestamp or sequence number the SYN is
    /// newer than everything seen (RFC 6191, RFC 9293 §3.6.1 MAY-2).
    NewIncarnation,
    /// The segment brings new text, and the program has closed for reading as well.
    TextAfterClose,
    /// The connection came from LISTEN, not from an active OPEN.
    PassiveOpen,
    /// The call names the remote socket.
    RemoteKnown,
    /// Text was handed over by SEND that could not be sent yet.
    TextQueued,
    /// Text has been received that the program has not read.
    UnreadText,
}

impl Condition {
    /// Every condition, in the order a guard is spoken.
    pub const ALL: [Self; 16] = [
        Self::Rst,
        Self::Syn,
        Self::Acceptable,
        Self::Exact,
        Self::Ack,
        Self::AckAcceptable,
        Self::AcksOurFin,
        Self::Fin,
        Self::FinRepeated,
        Self::CrossingSynAck,
        Self::NewIncarnation,
        Self::TextAfterClose,
        Self::PassiveOpen,
        Self::RemoteKnown,
        Self::TextQueued,
        Self::UnreadText,
    ];

    /// The flag whose presence this condition is about, for the four that are about one.
    pub const fn flag(self) -> Option<Flags> {
        match self {
            Self::Rst => Some(Flags::RST),
            Self::Syn => Some(Flags::SYN),
            Self::Ack => Some(Flags::ACK),
            Self::Fin => Some(Flags::FIN),
            _ => None,
        }
    }

    /// The condition in words, or its contrary.
    pub const fn words(self, holds: bool) -> &'static str {
        match (self, holds) {
            (Self::Rst, true) => "RST",
            (Self::Rst, false) => "no RST",
            (Self::Syn, true) => "SYN",
            (Self::Syn, false) => "no SYN",
            (Self::Acceptable, true) => "in window",
            (Self::Acceptable, false) => "outside window",
            (Self::Exact, true) => "exactly at RCV.NXT",
            (Self::Exact, false) => "not at RCV.NXT",
            (Self::Ack, true) => "ACK",
            (Self::Ack, false) => "no ACK",
            (Self::AckAcceptable, true) => "acknowledgment acceptable",
            (Self::AckAcceptable, false) => "acknowledgment not acceptable",
            (Self::AcksOurFin, true) => "our FIN acknowledged",
            (Self::AcksOurFin, false) => "our FIN not acknowledged",
            (Self::Fin, true) => "FIN",
            (Self::Fin, false) => "no FIN",
            (Self::FinRepeated, true) => "the peer's FIN once more",
            (Self::FinRepeated, false) => "not the peer's FIN once more",
            (Self::CrossingSynAck, true) => "the SYN+ACK that crossed ours",
            (Self::CrossingSynAck, false) => "not a SYN+ACK that crossed ours",
            (Self::NewIncarnation, true) => "new enough to open the next connection",
            (Self::NewIncarnation, false) => "not new enough to open the next connection",
            (Self::TextAfterClose, true) => "new text nobody can read",
            (Self::TextAfterClose, false) => "no text that nobody can read",
            (Self::PassiveOpen, true) => "opened passively",
            (Self::PassiveOpen, false) => "opened actively",
            (Self::RemoteKnown, true) => "remote socket given",
            (Self::RemoteKnown, false) => "remote socket not given",
            (Self::TextQueued, true) => "text waits to be sent",
            (Self::TextQueued, false) => "no text waits to be sent",
            (Self::UnreadText, true) => "received text unread",
            (Self::UnreadText, false) => "no received text unread",
        }
    }
}

/// The conditions that hold at one moment; every other condition does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Facts(u32);

impl Facts {
    /// Nothing holds.
    pub const NONE: Self = Self(0);

    /// The conditions listed hold.
    pub const fn of(conditions: &[Condition]) -> Self {
        let mut facts = Self::NONE;
        let mut index = 0;
        while index < conditions.len() {
            facts = facts.with(conditions[index]);
            index += 1;
        }
        facts
    }

    /// The facts that flags alone settle. A FIN is taken to be in sequence.
    pub const fn of_flags(flags: Flags) -> Self {
        let mut facts = Self::NONE;
        let mut index = 0;
        while index < Condition::ALL.len() {
            let condition = Condition::ALL[index];
            if let Some(flag) = condition.flag()
                && flags.contains(flag)
            {
                facts = facts.with(condition);
            }
            index += 1;
        }
        facts
    }

    /// Whether `condition` holds.
    pub const fn holds(self, condition: Condition) -> bool {
        self.0 & (1 << condition as u32) != 0
    }

    /// These facts, and `condition` holds.
    #[must_use]
    pub const fn with(self, condition: Condition) -> Self {
        Self(self.0 | (1 << condition as u32))
    }

    /// These facts, and `condition` holds if `holds`.
    #[must_use]
    pub const fn set(self, condition: Condition, holds: bool) -> Self {
        Self((self.0 & !(1 << condition as u32)) | ((holds as u32) << condition as u32))
    }

    /// Whether everything in `other` holds here too.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing in `other` holds here.
    pub const fn is_disjoint(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }

    /// What holds in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing holds.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The conditions that hold.
    pub fn iter(self) -> impl Iterator<Item = Condition> {
        Condition::ALL.into_iter().filter(move |condition| self.holds(*condition))
    }

    /// Whether these answers can occur together: see [`IMPLICATIONS`].
    pub fn is_consistent(self) -> bool {
        IMPLICATIONS.iter().all(|(condition, guard)| !self.holds(*condition) || guard.admits(self))
    }
}

impl FromIterator<Condition> for Facts {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        conditions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What follows from a condition by its meaning: if the first holds, so does the guard.
pub const IMPLICATIONS: &[(Condition, Guard)] = &[
    (Condition::Exact, Guard::new(&[Condition::Acceptable], &[])),
    (Condition::AckAcceptable, Guard::new(&[Condition::Ack], &[])),
    (Condition::AcksOurFin, Guard::new(&[Condition::Ack, Condition::AckAcceptable], &[])),
    (
        Condition::FinRepeated,
        Guard::new(&[Condition::Fin], &[Condition::Acceptable, Condition::TextAfterClose]),
    ),
    (
        Condition::CrossingSynAck,
        Guard::new(
            &[Condition::Syn, Condition::Ack, Condition::AckAcceptable],
            &[Condition::Rst, Condition::Acceptable, Condition::Fin, Condition::PassiveOpen],
        ),
    ),
    (Condition::NewIncarnation, Guard::new(&[Condition::Syn], &[Condition::Rst, Condition::Ack])),
];

/// What has to hold, and what must not, for a rule to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Guard {
    required: Facts,
    excluded: Facts,
}

impl Guard {
    /// Always applies.
    pub const ALWAYS: Self = Self { required: Facts::NONE, excluded: Facts::NONE };

    /// Applies where all of `required` and none of `excluded` hold.
    pub const fn new(required: &[Condition], excluded: &[Condition]) -> Self {
        Self { required: Facts::of(required), excluded: Facts::of(excluded) }
    }

    /// The conditions that have to hold.
    pub const fn required(self) -> Facts {
        self.required
    }

    /// The conditions that must not hold.
    pub const fn excluded(self) -> Facts {
        self.excluded
    }

    /// Whether `facts` satisfy the guard.
    pub const fn admits(self, facts: Facts) -> bool {
        facts.contains(self.required) && facts.is_disjoint(self.excluded)
    }

    /// Whether a segment with these flags can satisfy the guard, whatever its numbers are.
    ///
    /// A FIN is taken to be in sequence.
    pub fn can_admit(self, flags: Flags) -> bool {
        let given = Facts::of_flags(flags);
        let implied = IMPLICATIONS.iter().filter(|(condition, _)| self.required.holds(*condition));
        let (required, excluded) =
            implied.fold((self.required, self.excluded), |(required, excluded), (_, guard)| {
                (required.union(guard.required), excluded.union(guard.excluded))
            });
        Condition::ALL.into_iter().filter(|condition| condition.flag().is_some()).all(|condition| {
            let set = given.holds(condition);
            (set || !required.holds(condition)) && (!set || !excluded.holds(condition))
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for condition in Condition::ALL {
            let holds = self.required.holds(condition);
            if holds || self.excluded.holds(condition) {
                write!(f, "{separator}{}", condition.words(holds))?;
                separator = ", ";
            }
        }
        if separator.is_empty() { f.write_str("always") } else { Ok(()) }
    }
}
