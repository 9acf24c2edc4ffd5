//! How sure a statement about an end is.

use core::fmt;

/// Where a statement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The end showed it by what it sent: true whatever else was not captured.
    Observed,
    /// It follows from what was seen, if nothing else happened out of sight.
    Inferred(Inference),
    /// Nothing seen says so; it is what usually is the case.
    Assumed(Assumption),
}

/// Why something is inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Inference {
    /// A segment that causes it was seen on its way to this end, and nothing shows that it did not arrive.
    SeenTravelling,
    /// The end has acknowledged what causes it.
    Acknowledged,
    /// The end answers as only one does that has got there; what moved it was not captured.
    NotCaptured,
    /// It answered a SYN, so it was listening.
    AnsweredSyn,
    /// It sent a FIN that acknowledges the peer's; that it had sent none before is not sure.
    NoEarlierFin,
    /// It answers like an end that knows nothing of the connection.
    AnswersAsClosed,
    /// A router or the receiving host reported an error that ends the attempt.
    Reported,
}

/// Why something is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Assumption {
    /// Nothing has been heard from this end.
    NothingHeard,
    /// The connection was open before the capture began.
    Midstream,
    /// 2·MSL have passed since it entered TIME_WAIT.
    TimeWaitOver,
}

impl Inference {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeenTravelling => "the segment that causes it was seen on its way",
            Self::Acknowledged => "this end acknowledged what causes it",
            Self::NotCaptured => "this end answers as if it had got there; what moved it was not captured",
            Self::AnsweredSyn => "this end answered a SYN",
            Self::NoEarlierFin => "no earlier FIN of this end was captured",
            Self::AnswersAsClosed => "this end answers as if it knew nothing of the connection",
            Self::Reported => "an ICMP error ends the attempt",
        }
    }
}

impl Assumption {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingHeard => "nothing was heard from this end",
            Self::Midstream => "the connection was open before the capture began",
            Self::TimeWaitOver => "2·MSL have passed",
        }
    }
}

impl Provenance {
    /// The word that is printed: `observed`, `inferred` or `assumed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Inferred(_) => "inferred",
            Self::Assumed(_) => "assumed",
        }
    }

    /// The reason in words; empty where it was observed.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Observed => "",
            Self::Inferred(inference) => inference.as_str(),
            Self::Assumed(assumption) => assumption.as_str(),
        }
    }

    const ALL: [Self; 11] = [
        Self::Observed,
        Self::Inferred(Inference::SeenTravelling),
        Self::Inferred(Inference::Acknowledged),
        Self::Inferred(Inference::NotCaptured),
        Self::Inferred(Inference::AnsweredSyn),
        Self::Inferred(Inference::NoEarlierFin),
        Self::Inferred(Inference::AnswersAsClosed),
        Self::Inferred(Inference::Reported),
        Self::Assumed(Assumption::NothingHeard),
        Self::Assumed(Assumption::Midstream),
        Self::Assumed(Assumption::TimeWaitOver),
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Observed => 0,
            Self::Inferred(inference) => 1 + inference as u8,
            Self::Assumed(assumption) => 8 + assumption as u8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Assumed(Assumption::NothingHeard))
    }
}

/// `observed`, or the word with its reason: `inferred: this end answered a SYN`.
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if self.reason().is_empty() { Ok(()) } else { write!(f, ": {}", self.reason()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back() {
        for (code, provenance) in Provenance::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(provenance.code()), code);
            assert_eq!(Provenance::from_code(provenance.code()), provenance);
        }
    }
}
