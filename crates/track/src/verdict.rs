//! What comes out for each segment.

use eleven_tcp::{Rule, State};

use crate::{Note, Notes, Provenance, Side};

/// What one segment is and does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The flow: the number of its first packet.
    pub flow: u64,
    /// Its [`Flow::ordinal`](crate::Flow::ordinal).
    pub ordinal: u64,
    /// Whether the flow begins with this segment.
    pub is_first: bool,
    /// Who sent it.
    pub from: Side,
    /// The sequence number, counted from the sender's SYN (0). Without a SYN the first seen counts as 1.
    pub seq: u32,
    /// The acknowledgment number, counted from the other's SYN; `None` without ACK.
    pub ack: Option<u32>,
    /// The length of its text in bytes.
    pub length: u32,
    /// The states of client and server before it was seen.
    pub before: [State; 2],
    /// The states behind it, as if it arrived.
    pub after: [State; 2],
    /// How sure the states behind it are, of client and server.
    pub provenances: [Provenance; 2],
    /// The rule that moved its sender, if something did.
    pub sender_rule: Option<&'static Rule>,
    /// The rule by which its receiver answers; `None` if nothing is known of the receiver.
    pub receiver_rule: Option<&'static Rule>,
    /// What else there is to say.
    pub notes: Notes,
    /// How often the same acknowledgment came, where it is a [duplicate](Note::DuplicateAck).
    pub duplicate_acks: u16,
}

impl Verdict {
    /// The state of a side before.
    pub fn before(&self, side: Side) -> State {
        self.before[side.index()]
    }

    /// The state of a side afterwards.
    pub fn after(&self, side: Side) -> State {
        self.after[side.index()]
    }

    /// The rule that explains the segment best: the one that moved its sender, else the one by which its
    /// receiver answers.
    pub fn rule(&self) -> Option<&'static Rule> {
        self.sender_rule.or(self.receiver_rule)
    }

    /// How sure [`Self::rule`] is: that of the side it is about.
    pub fn provenance(&self) -> Provenance {
        let side = if self.sender_rule.is_some() { self.from } else { self.from.other() };
        self.provenances[side.index()]
    }

    /// Whether it has a note.
    pub fn has(&self, note: Note) -> bool {
        self.notes.contains(note)
    }
}
