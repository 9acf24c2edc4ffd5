//! What Zeek would write about a flow, as an observer beside our own states.
//!
//! It sees what Zeek sees, in Zeek's terms (originator and responder, six states a side), and makes `conn_state` and
//! `history` by Zeek's meaning of them. Flows begin and end as the tracker says; Zeek's timers are not imitated.
//!
//! As long as a flow is ordinary ([`Zeek::Plain`]), its numbers are those the tracker keeps anyway, and the observer is
//! only the letters. With the first segment that is not, it gets numbers of its own ([`Zeek::Full`]).

mod endpoint;
pub(crate) mod observer;
mod plain;

use eleven_tcp::Flags;

use self::observer::Observer;
use self::plain::Plain;
use crate::Sighting;
use crate::half::Half;
use crate::seen::Seen;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ZeekState {
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    Partial,
    Established,
    Closed,
    Reset,
}

/// Letters that are written only once a side.
mod once {
    pub(super) const SYN: u16 = 1;
    pub(super) const FIN: u16 = 2;
    pub(super) const RST: u16 = 4;
    pub(super) const FIN_RST: u16 = 8;
    pub(super) const DATA: u16 = 16;
    pub(super) const ACK: u16 = 32;
    pub(super) const MULTI: u16 = 64;
}

/// The observer of a flow.
#[derive(Clone, Debug)]
pub(crate) enum Zeek {
    /// Nobody asks.
    Off,
    /// A flow that began with a SYN, in which every segment so far was the next in order.
    Plain(Plain),
    /// Any other.
    Full(Box<Observer>),
}

impl Zeek {
    /// The observer of a flow that begins with this segment.
    pub(crate) fn begin(sighting: &Sighting<'_>, reversed: bool) -> Self {
        let syn_or_ack = sighting.segment.flags.intersection(Flags::SYN | Flags::ACK);
        if syn_or_ack == Flags::SYN && !sighting.checksum_bad {
            Self::Plain(Plain::default())
        } else {
            Self::Full(Box::new(Observer::new(sighting, reversed)))
        }
    }

    /// Takes in a segment. The halves are those of client and server as before it; `client` tells whether the client
    /// sent it, `reversed` which way it goes.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        sighting: &Sighting<'_>,
        seen: &Seen<'_>,
        reversed: bool,
        client: bool,
        halves: &[Half; 2],
        drops: bool,
    ) {
        match self {
            Self::Off => {}
            Self::Full(observer) => observer.observe(sighting, reversed, drops),
            Self::Plain(plain) => {
                let who = usize::from(!client);
                if (!sighting.checksum_bad || !drops)
                    && plain.observe(sighting, seen, who, &halves[who], &halves[1 - who])
                {
                    return;
                }
                // The originator is the client: it sent the SYN the flow began with.
                let originator = usize::from(reversed == client);
                let mut observer = plain.unfold(originator, [&halves[0], &halves[1]]);
                observer.observe(sighting, reversed, drops);
                *self = Self::Full(Box::new(observer));
            }
        }
    }

    /// What Zeek would write: `conn_state`, `history`, and whether the originator is the second socket of the key, where
    /// the client is the second if `reversed`.
    pub(crate) fn tell(&self, reversed: bool) -> Option<(&'static str, String, bool)> {
        match self {
            Self::Off => None,
            Self::Full(observer) => {
                Some((observer.conn_state(), observer.history(), observer.originator_is_second()))
            }
            Self::Plain(plain) => {
                let originator = usize::from(reversed);
                let zero = Half::default();
                let observer = plain.unfold(originator, [&zero, &zero]);
                Some((observer.conn_state(), observer.history(), observer.originator_is_second()))
            }
        }
    }

    /// Bytes it takes besides itself.
    pub(crate) fn heap(&self) -> usize {
        if let Self::Full(observer) = self { observer.memory() } else { 0 }
    }
}
