//! What there is to say about a segment besides the states.

use core::fmt;

macro_rules! notes {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $text:literal $weight:ident,)+) => {
        /// Something worth saying about a segment. Each has a stable name and a short text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Note {
            $($(#[doc = $doc])+ $variant,)+
        }

        const TABLE: &[(Note, &str, &str, Weight)] =
            &[$((Note::$variant, $name, $text, Weight::$weight)),+];
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Weight {
    /// Part of ordinary life.
    Plain,
    /// Counted as an anomaly of the flow.
    Anomaly,
}

notes! {
    /// The same SYN or SYN+ACK once more.
    SynRetransmission "syn-retransmission" "the same SYN was sent again" Anomaly,
    /// The same FIN once more.
    FinRetransmission "fin-retransmission" "the same FIN was sent again" Anomaly,
    /// Text that was seen before, or that the peer has reported missing.
    Retransmission "retransmission" "text sent again" Anomaly,
    /// … after duplicate acknowledgments or SACK blocks asked for it.
    FastRetransmission "fast-retransmission" "text sent again because duplicate ACKs asked for it" Anomaly,
    /// … although the peer had acknowledged it already.
    SpuriousRetransmission "spurious-retransmission" "text sent again that was already acknowledged" Anomaly,
    /// Text that was overtaken by what was sent later.
    OutOfOrder "out-of-order" "overtaken on the way by a later segment" Anomaly,
    /// The text before this segment has not been seen yet: overtaken, lost before it came here, or lost in the capture.
    Gap "gap" "the text before this segment was not captured yet" Plain,
    /// An acknowledgment of text that never came behind a [gap](Self::Gap): the capture lost it, not the network.
    LostInCapture "lost-in-capture" "acknowledges the text of a gap that was never filled" Anomaly,
    /// An acknowledgment of text that has not been seen: the capture lost it, not the network.
    AckedUnseen "acked-unseen" "acknowledges text that was not captured" Anomaly,
    /// An acknowledgment that says the same again because something is missing.
    DuplicateAck "duplicate-ack" "the same acknowledgment again: something before is missing" Anomaly,
    /// The text fills the peer's window.
    WindowFull "window-full" "the receiver's window is full now" Anomaly,
    /// The sender cannot take more text.
    ZeroWindow "zero-window" "its sender can take no more text" Anomaly,
    /// Asks whether the window is still zero.
    ZeroWindowProbe "zero-window-probe" "asks whether the window is still zero" Anomaly,
    /// The answer to such a question.
    ZeroWindowProbeAck "zero-window-probe-ack" "answers a probe: the window is still zero" Anomaly,
    /// Only the window changes.
    WindowUpdate "window-update" "tells of a larger window" Plain,
    /// Asks whether the peer is there.
    Keepalive "keepalive" "asks whether the peer is still there" Plain,
    /// The answer to it.
    KeepaliveAck "keepalive-ack" "answers a keepalive probe" Plain,
    /// An acknowledgment that questions a reset or a SYN (RFC 5961).
    ChallengeAck "challenge-ack" "questions a reset, a SYN or an acknowledgment (RFC 5961)" Anomaly,
    /// A reset at exactly the number expected next: it counts.
    RstExact "rst-exact" "resets: its number is exactly the one expected" Plain,
    /// A reset in the window, which is to be questioned first.
    RstInWindow "rst-in-window" "in the window but not exact: to be answered with a challenge ACK" Anomaly,
    /// A reset outside the window, which is ignored.
    RstOutOfWindow "rst-out-of-window" "outside the window: ignored" Anomaly,
    /// Its victim goes on as if nothing had happened, or its sender does.
    SuspectedInjection "suspected-injection" "the connection goes on behind a reset: perhaps somebody else sent it" Anomaly,
    /// A reset for a connection that was closed already.
    RstAfterClose "rst-after-close" "the connection was closed already" Anomaly,
    /// Numbers outside the window; it changes nothing.
    OutOfWindow "out-of-window" "outside the receiver's window: it changes nothing" Anomaly,
    /// SYN with FIN.
    SynFin "syn-fin" "SYN with FIN: no TCP sends that" Anomaly,
    /// SYN with RST.
    SynRst "syn-rst" "SYN with RST: no TCP sends that" Anomaly,
    /// RST with FIN.
    RstFin "rst-fin" "RST with FIN: no TCP sends that" Anomaly,
    /// Another combination that no TCP sends.
    IllegalFlags "illegal-flags" "no TCP sends these flags" Anomaly,
    /// No flags: probes how closed ports answer.
    NullScan "null-scan" "no flags: a scan" Anomaly,
    /// FIN, PSH and URG.
    XmasScan "xmas-scan" "FIN, PSH and URG: a scan" Anomaly,
    /// FIN out of nothing.
    FinScan "fin-scan" "FIN without a connection: a scan" Anomaly,
    /// Both sent SYN before they saw the other's.
    SimultaneousOpen "simultaneous-open" "both sides opened at once" Anomaly,
    /// Both sent FIN before they saw the other's.
    SimultaneousClose "simultaneous-close" "both sides closed at once" Anomaly,
    /// The answer to a SYN is an ACK or a SYN alone.
    SplitHandshake "split-handshake" "answers a SYN with SYN and ACK apart" Anomaly,
    /// The sockets of an earlier connection are used again.
    PortReuse "port-reuse" "a new connection between the same sockets" Anomaly,
    /// One end seems to know nothing of the connection any more: it answers so, or not at all.
    HalfOpen "half-open" "one end answers as if it knew nothing of this connection, or answers no more" Anomaly,
    /// A SYN that nothing answered.
    UnansweredSyn "unanswered-syn" "nothing answered the SYN" Anomaly,
    /// A SYN answered with a reset.
    Refused "refused" "the SYN was answered with a reset" Anomaly,
    /// Many SYNs to one socket whose handshakes do not end.
    SynFlood "syn-flood" "many SYNs to this socket, and few handshakes that end" Anomaly,
    /// One source tries many sockets.
    Scan "scan" "its sender tries many sockets" Anomaly,
    /// Large segments vanish while small ones pass.
    MtuBlackHole "mtu-black-hole" "large segments vanish on the way, small ones pass" Anomaly,
    /// A router reported that a packet was too large.
    PacketTooBig "packet-too-big" "a router reports that the packet is too large for the path" Anomaly,
    /// TTL or hop limit differ from before: another path, or somebody between.
    TtlChange "ttl-change" "TTL differs from this end's other packets" Anomaly,
    /// The pattern of IP identifications differs from before.
    IpIdChange "ip-id-change" "the IP identification breaks with its pattern" Anomaly,
    /// The MSS of a SYN differs from that of the same SYN sent before.
    MssAltered "mss-altered" "the same SYN with another MSS" Anomaly,
    /// The same SYN came without the window scale it had before.
    WindowScaleLost "window-scale-lost" "the same SYN without its window scale" Anomaly,
    /// Asks for a Fast Open cookie, or uses one.
    FastOpen "fast-open" "TCP Fast Open" Plain,
    /// ECN was offered and granted.
    EcnNegotiated "ecn-negotiated" "both sides agreed on ECN" Plain,
    /// The checksum is wrong.
    BadChecksum "bad-checksum" "the checksum is wrong" Anomaly,
    /// A SYN in an open connection.
    SynInConnection "syn-in-connection" "a SYN in an open connection: to be questioned" Anomaly,
    /// It acknowledges what this connection never sent.
    BadAck "bad-ack" "acknowledges what was never sent" Anomaly,
    /// An old timestamp: an old duplicate (PAWS).
    OldTimestamp "old-timestamp" "its timestamp is older than what was seen before" Plain,
    /// The peer's D-SACK says that this text had come twice.
    DuplicateSack "d-sack" "reports text that arrived twice" Plain,
    /// The flow was open when the capture began.
    Midstream "midstream" "the connection was open before the capture began" Plain,
    /// What was inferred of an end was too early: this segment shows it, and the path was put right.
    TakenBack "taken-back" "shows that something inferred before had not happened yet" Plain,
    /// The options break off.
    MalformedOptions "malformed-options" "an option has an impossible length" Anomaly,
}

impl Note {
    /// Every note.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The stable name: `zero-window`.
    pub const fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        TABLE[self as usize].2
    }

    /// Whether it counts among the anomalies of a flow; the others are part of ordinary life.
    pub fn is_anomaly(self) -> bool {
        TABLE[self as usize].3 == Weight::Anomaly
    }

    /// The note of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of notes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Notes(u64);

impl Notes {
    /// None.
    pub const NONE: Self = Self(0);

    /// Puts one in.
    #[inline]
    pub const fn insert(&mut self, note: Note) {
        self.0 |= 1 << note as u32;
    }

    /// Whether it is in.
    #[inline]
    pub const fn contains(self, note: Note) -> bool {
        self.0 & (1 << note as u32) != 0
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Note> {
        TABLE.iter().map(|row| row.0).filter(move |note| self.contains(*note))
    }
}

impl FromIterator<Note> for Notes {
    fn from_iter<I: IntoIterator<Item = Note>>(notes: I) -> Self {
        let mut set = Self::NONE;
        notes.into_iter().for_each(|note| set.insert(note));
        set
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Note::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_words_and_lead_back() {
        assert!(TABLE.len() <= 64, "a set has 64 bits");
        for (index, note) in Note::all().enumerate() {
            assert_eq!(note as usize, index);
            assert_eq!(Note::from_name(note.as_str()), Some(note));
            assert!(note.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            assert!(!note.text().is_empty());
        }
    }
}
