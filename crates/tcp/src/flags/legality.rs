//! Which combinations of flags a segment may carry.
//!
//! RFC 9293 forbids few of the 512 combinations in so many words; most are ruled out
//! because no rule of the protocol ever sends them. So the table below is ordered: the
//! first row that fits a combination is its class.

use core::fmt;

use super::Flags;

/// How a combination of flags is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Every TCP sends it in ordinary life.
    Legal,
    /// Allowed, but no ordinary sender has a reason for it.
    Unusual,
    /// No TCP sends it: a scan, an attack, a broken middlebox or a broken sender.
    Illegal,
}

impl Verdict {
    /// All three, from harmless to harmful.
    pub const ALL: [Self; 3] = [Self::Legal, Self::Unusual, Self::Illegal];

    /// The word that is printed, and the key of its text: `legal`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legal => "legal",
            Self::Unusual => "unusual",
            Self::Illegal => "illegal",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a combination of flags is: the reason for its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlagsClass {
    /// SYN with FIN: opens and closes in one segment.
    SynFin,
    /// SYN with RST: opens and resets in one segment.
    SynRst,
    /// RST with FIN: a reset is not followed by an orderly close.
    RstFin,
    /// No flag of the classic six: the null scan.
    Null,
    /// FIN, PSH and URG without ACK: the Christmas tree scan.
    Xmas,
    /// FIN without ACK: whoever can close has something to acknowledge.
    FinWithoutAck,
    /// PSH or URG without ACK, SYN or RST: text outside a connection.
    NoAck,
    /// A reset with PSH, URG or a flag of congestion notification.
    ResetWithExtras,
    /// A reset that answers a segment that had an ACK, or that gives up a connection.
    Reset,
    /// A reset that acknowledges what it answers.
    ResetAck,
    /// SYN with PSH or URG, with or without ACK.
    SynWithExtras,
    /// Asks for a connection.
    Syn,
    /// Asks for a connection and offers ECN.
    EcnSetupSyn,
    /// Asks for a connection and offers accurate ECN.
    AccEcnSetupSyn,
    /// SYN with some of ECE, CWR and AE that offer nothing.
    SynWithOddEcn,
    /// Grants a connection.
    SynAck,
    /// Grants a connection and ECN.
    EcnSetupSynAck,
    /// Grants a connection and accurate ECN, and tells how the SYN's IP header arrived.
    AccEcnSetupSynAck,
    /// SYN+ACK with some of ECE, CWR and AE that grant nothing.
    SynAckWithOddEcn,
    /// Urgent data, which RFC 9293 advises new programs against.
    Urgent,
    /// ACK in a connection with accurate ECN: AE, CWR and ECE are a counter.
    AccEcnCounter,
    /// ACK that reports congestion (ECE) or the reaction to it (CWR).
    EcnSignal,
    /// Closes the sender's direction.
    FinAck,
    /// Text the receiver should pass on at once.
    PushAck,
    /// Text or a plain acknowledgment.
    Ack,
}

impl FlagsClass {
    /// The word that is printed: `syn-fin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynFin => "syn-fin",
            Self::SynRst => "syn-rst",
            Self::RstFin => "rst-fin",
            Self::Null => "null",
            Self::Xmas => "xmas",
            Self::FinWithoutAck => "fin-without-ack",
            Self::NoAck => "no-ack",
            Self::ResetWithExtras => "reset-with-extras",
            Self::Reset => "reset",
            Self::ResetAck => "reset-ack",
            Self::SynWithExtras => "syn-with-extras",
            Self::Syn => "syn",
            Self::EcnSetupSyn => "ecn-setup-syn",
            Self::AccEcnSetupSyn => "accecn-setup-syn",
            Self::SynWithOddEcn => "syn-with-odd-ecn",
            Self::SynAck => "syn-ack",
            Self::EcnSetupSynAck => "ecn-setup-syn-ack",
            Self::AccEcnSetupSynAck => "accecn-setup-syn-ack",
            Self::SynAckWithOddEcn => "syn-ack-with-odd-ecn",
            Self::Urgent => "urgent",
            Self::AccEcnCounter => "accecn-counter",
            Self::EcnSignal => "ecn-signal",
            Self::FinAck => "fin-ack",
            Self::PushAck => "push-ack",
            Self::Ack => "ack",
        }
    }
}

impl fmt::Display for FlagsClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One row of the table: combinations with all of `required` and none of `excluded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagRule {
    /// What the combination is.
    pub class: FlagsClass,
    /// How it is to be taken.
    pub verdict: Verdict,
    /// Flags that have to be set.
    pub required: Flags,
    /// Flags that must not be set.
    pub excluded: Flags,
    /// Where it is written.
    pub clause: &'static str,
}

const fn row(
    class: FlagsClass,
    verdict: Verdict,
    required: Flags,
    excluded: Flags,
    clause: &'static str,
) -> FlagRule {
    FlagRule { class, verdict, required, excluded, clause }
}

const NONE: Flags = Flags::NONE;
const SYN: Flags = Flags::SYN;
const FIN: Flags = Flags::FIN;
const RST: Flags = Flags::RST;
const PSH: Flags = Flags::PSH;
const ACK: Flags = Flags::ACK;
const URG: Flags = Flags::URG;
const ECE: Flags = Flags::ECE;
const CWR: Flags = Flags::CWR;
const AE: Flags = Flags::AE;
const SYN_ACK: Flags = SYN.union(ACK);

use FlagsClass as Class;
use Verdict::{Illegal, Legal, Unusual};

/// The table. The first row that fits decides; the last fits everything that is left.
pub(super) const TABLE: &[FlagRule] = &[
    row(Class::SynFin, Illegal, SYN.union(FIN), NONE, "RFC 9293 §3.10.7.4 (fourth, eighth)"),
    row(Class::SynRst, Illegal, SYN.union(RST), NONE, "RFC 9293 §3.5.2"),
    row(Class::RstFin, Illegal, RST.union(FIN), NONE, "RFC 9293 §3.5.2"),
    row(Class::Null, Illegal, NONE, Flags::CLASSIC, "RFC 9293 §3.10.7.4 (fifth)"),
    row(Class::Xmas, Illegal, Flags::XMAS, ACK, "RFC 9293 §3.10.7.4 (fifth)"),
    row(Class::FinWithoutAck, Illegal, FIN, ACK, "RFC 9293 §3.10.7.4 (fifth)"),
    row(Class::NoAck, Illegal, NONE, ACK.union(SYN).union(RST), "RFC 9293 §3.1, §3.10.7.4 (fifth)"),
    // Resets. What a reset means is all in RST and ACK.
    row(Class::Reset, Legal, RST, Flags::ALL.difference(RST), "RFC 9293 §3.5.2"),
    row(
        Class::ResetAck,
        Legal,
        RST.union(ACK),
        Flags::ALL.difference(RST).difference(ACK),
        "RFC 9293 §3.5.2",
    ),
    row(Class::ResetWithExtras, Unusual, RST, NONE, "RFC 9293 §3.5.2"),
    // Opening. PSH and URG speak about text, which a SYN carries only with Fast Open.
    row(Class::SynWithExtras, Unusual, SYN.union(PSH), NONE, "RFC 9293 §3.4, RFC 7413 §4.2"),
    row(Class::SynWithExtras, Unusual, SYN.union(URG), NONE, "RFC 9293 §3.4, RFC 7413 §4.2"),
    row(Class::Syn, Legal, SYN, ACK.union(Flags::ECN), "RFC 9293 §3.5"),
    row(Class::EcnSetupSyn, Legal, SYN.union(ECE).union(CWR), ACK.union(AE), "RFC 3168 §6.1.1"),
    row(Class::AccEcnSetupSyn, Legal, SYN.union(Flags::ECN), ACK, "RFC 9768 §3.1.1"),
    row(Class::SynWithOddEcn, Unusual, SYN, ACK, "RFC 3168 §6.1.1"),
    row(Class::SynAck, Legal, SYN_ACK, Flags::ECN, "RFC 9293 §3.5"),
    row(Class::EcnSetupSynAck, Legal, SYN_ACK.union(ECE), CWR.union(AE), "RFC 3168 §6.1.1"),
    // (AE, CWR, ECE) = 010, 011, 100 and 110 mirror the four codepoints of the SYN's IP header.
    row(Class::AccEcnSetupSynAck, Legal, SYN_ACK.union(CWR), AE, "RFC 9768 §3.1.1"),
    row(Class::AccEcnSetupSynAck, Legal, SYN_ACK.union(AE), ECE, "RFC 9768 §3.1.1"),
    row(Class::SynAckWithOddEcn, Unusual, SYN_ACK, NONE, "RFC 3168 §6.1.1, RFC 9768 §3.1.2"),
    // Everything below has ACK and neither SYN nor RST.
    row(Class::Urgent, Unusual, URG, NONE, "RFC 9293 §3.8.5 (SHLD-13)"),
    row(Class::AccEcnCounter, Legal, AE, NONE, "RFC 9768 §3.2.2"),
    row(Class::EcnSignal, Legal, ECE, NONE, "RFC 3168 §6.1"),
    row(Class::EcnSignal, Legal, CWR, NONE, "RFC 3168 §6.1"),
    row(Class::FinAck, Legal, FIN, NONE, "RFC 9293 §3.6"),
    row(Class::PushAck, Legal, PSH, NONE, "RFC 9293 §3.9.1.2"),
    row(Class::Ack, Legal, NONE, NONE, "RFC 9293 §3.4"),
];

/// The verdict on a combination, and the rule it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legality {
    /// How the combination is to be taken.
    pub verdict: Verdict,
    /// What it is.
    pub class: FlagsClass,
    /// Where it is written.
    pub clause: &'static str,
}

impl FlagRule {
    /// The whole table, in order.
    pub const ALL: &[Self] = TABLE;

    /// Whether `flags` has what the row requires and nothing it excludes.
    pub const fn fits(&self, flags: Flags) -> bool {
        flags.contains(self.required) && !flags.intersects(self.excluded)
    }
}

/// The first row that fits, for every combination there is.
static ROW_OF: [u8; Flags::ALL.bits() as usize + 1] = {
    let mut rows = [0; Flags::ALL.bits() as usize + 1];
    let mut bits = 0;
    while bits < rows.len() {
        let mut row = 0;
        while row + 1 < TABLE.len() && !TABLE[row].fits(Flags::from_bits(bits as u16)) {
            row += 1;
        }
        rows[bits] = row as u8;
        bits += 1;
    }
    rows
};

impl Flags {
    /// Whether a segment may carry these flags, and why.
    pub fn legality(self) -> Legality {
        let row = &TABLE[usize::from(ROW_OF[usize::from(self.bits()) % ROW_OF.len()])];
        Legality { verdict: row.verdict, class: row.class, clause: row.clause }
    }
}
