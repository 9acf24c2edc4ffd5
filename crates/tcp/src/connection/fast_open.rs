//! TCP Fast Open (RFC 7413): text in the SYN, and what is said about cookies.

use super::Connection;
use super::types::CallError;
use crate::fast_open::{FastOpenCookie, Remembered};
use crate::segment::{NoRoom, Options, TcpOption};
use crate::{Flags, FourTuple, Instant, Segment, SeqNumber, State};

/// Room left for options in a SYN with text: routers on the way may add some (RFC 7413 §4.2.1).
const OPTION_SPACE: u16 = 40;

/// One end's part in a Fast Open, kept only while the handshake lasts.
#[derive(Clone)]
pub(super) struct FastOpen {
    /// What the option says; `None`: there is none. Without a cookie it asks for one.
    option: Option<Say>,
    /// Text may go with the SYN.
    carries_text: bool,
    /// The largest segment the server is known to take.
    mss: Option<u16>,
    /// So much went with the SYN.
    text: u32,
    /// The SYN that is being sent is the first: only that one has option and text.
    first: bool,
    /// The peer's SYN+ACK has come.
    answered: bool,
    /// The server was asked by the option of the experiment before.
    tried_experiment: bool,
    /// What came of it, for whoever remembers it.
    news: Option<Remembered>,
}

#[derive(Clone, Copy)]
struct Say {
    cookie: Option<FastOpenCookie>,
    experiment: bool,
}

impl Connection {
    /// OPEN, active, with text that goes with the SYN if what is `known` of the server allows it (RFC 7413 §4.2.1).
    /// Otherwise a cookie is asked for. How much of the text was taken is returned; none where it has to wait.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub fn connect_fast_open(
        &mut self,
        now: Instant,
        pair: FourTuple,
        known: Option<Remembered>,
        text: &[u8],
    ) -> Result<usize, CallError> {
        self.connect(now, pair)?;
        let choices = self.policy.fast_open;
        let (option, mss) = match known {
            Some(Remembered::Cookie { cookie, mss, experiment }) => {
                (Some(Say { cookie: Some(cookie), experiment }), Some(mss))
            }
            // Middleboxes and old servers know the option of the experiment only; it is tried once.
            Some(Remembered::Refused { mss, experiment }) => {
                (Some(Say { cookie: None, experiment: !experiment }), Some(mss))
            }
            None => (Some(Say { cookie: None, experiment: false }), None),
        };
        let tried_experiment = matches!(known, Some(Remembered::Refused { experiment: true, .. }));
        let has_cookie = option.is_some_and(|say| say.cookie.is_some());
        let trusting = choices.client_without_cookie && !has_cookie;
        let state = FastOpen {
            option: option.filter(|_| !trusting),
            carries_text: has_cookie || trusting,
            mss,
            text: 0,
            first: false,
            answered: false,
            tried_experiment,
            news: None,
        };
        let carries = state.carries_text && choices.client;
        self.set_fast_open(choices.client.then_some(state));
        if !carries {
            return Ok(0);
        }
        let room = usize::from(self.room_in_syn());
        let taken = self.text_out.write(&text[..text.len().min(room)], self.send_limit());
        self.push_at_end();
        Ok(taken)
    }

    /// How much text goes with a SYN: what fits the server's segments as far as they are known.
    fn room_in_syn(&self) -> u16 {
        let path = self.pair.largest_text(self.send.path_mtu);
        let own = self.policy.mss.unwrap_or(path).min(path);
        let known = self.fast_open().and_then(|state| state.mss).unwrap_or(own);
        known.min(own).saturating_sub(OPTION_SPACE)
    }

    /// The SYN is about to be sent: how much text goes along. Only the first time: if it is lost, a middlebox may have
    /// dropped it for what is new in it (RFC 7413 §4.1.3).
    pub(super) fn text_of_syn(&mut self, again: bool) -> u32 {
        let waiting = self.text_out.len().min(u32::from(self.room_in_syn()));
        let opening = self.state == State::SynSent;
        let Some(state) = self.fast_open_mut() else { return 0 };
        state.first = !again;
        if again || !state.carries_text || !opening {
            return 0;
        }
        state.text = waiting;
        waiting
    }

    /// Adds the Fast Open option to a SYN or SYN+ACK, where there is something to say.
    pub(super) fn push_fast_open(&self, options: &mut Options) -> Result<(), NoRoom> {
        let Some(say) = self.fast_open().filter(|state| state.first).and_then(|state| state.option) else {
            return Ok(());
        };
        let cookie = say.cookie.as_ref().map_or(&[][..], FastOpenCookie::as_bytes);
        options.push(if say.experiment {
            TcpOption::FastOpenExperiment(cookie)
        } else {
            TcpOption::FastOpen(cookie)
        })?;
        while !options.len().is_multiple_of(4) {
            options.push(TcpOption::NoOperation)?;
        }
        Ok(())
    }

    /// The last number that loss recovery may hear acknowledged: the text of a SYN of ours is none of its affairs.
    pub(super) fn heard_by_recovery(&self, ack: SeqNumber) -> SeqNumber {
        match self.fast_open() {
            Some(state) if state.text > 0 && !self.send.syn_acknowledged => {
                ack.earlier(self.send.initial + 1)
            }
            _ => ack,
        }
    }

    /// The peer has acknowledged our SYN: with its text or without (RFC 7413 §4.2.2). Text that it has not taken
    /// counts as never sent.
    pub(super) fn settle_syn_text(&mut self, ack: SeqNumber) {
        let Some(state) = self.fast_open() else { return };
        if state.text == 0 {
            return;
        }
        let whole = ack == self.send.next;
        self.agreed.fast_open = whole;
        self.count(|counters| counters.syn_text = whole);
        self.send.next = ack;
    }

    /// What the SYN+ACK says about cookies.
    pub(super) fn hear_fast_open(&mut self, segment: &Segment<'_>, mss: u16) {
        let lost = self.recovery.backoffs() > 0;
        let Some(state) = self.fast_open_mut() else { return };
        if !segment.flags.contains(Flags::ACK) || state.answered {
            return;
        }
        state.answered = true;
        let Some(say) = state.option else {
            // It was not asked: a cookie that comes all the same is not for us. The size is worth knowing.
            state.news = Some(Remembered::Refused { mss, experiment: true });
            return;
        };
        let cookie = segment.options.fast_open_cookie();
        state.news = match (cookie, say.cookie) {
            (Some((cookie, experiment)), _) => Some(Remembered::Cookie { cookie, mss, experiment }),
            (None, Some(cookie)) => Some(Remembered::Cookie { cookie, mss, experiment: say.experiment }),
            // Whether the server was asked at all is not known.
            (None, None) if lost => None,
            (None, None) => {
                Some(Remembered::Refused { mss, experiment: say.experiment || state.tried_experiment })
            }
        };
    }

    /// What this connection has learnt about its server's cookies, once.
    pub(crate) fn take_fast_open_news(&mut self) -> Option<Remembered> {
        let news = self.fast_open_mut()?.news.take();
        if self.state.is_synchronized() {
            self.set_fast_open(None);
        }
        news
    }

    /// In LISTEN: the SYN that comes now brings a good cookie, so its text is taken at once (RFC 7413 §4.2.2).
    pub(crate) fn trust_next_syn(&mut self) {
        self.agreed.fast_open = true;
    }

    /// In LISTEN or SYN_RECV: the SYN+ACK gives the client a cookie.
    pub(crate) fn give_cookie(&mut self, cookie: FastOpenCookie, experiment: bool) {
        self.set_fast_open(Some(FastOpen {
            option: Some(Say { cookie: Some(cookie), experiment }),
            carries_text: false,
            mss: None,
            text: 0,
            first: false,
            answered: false,
            tried_experiment: false,
            news: None,
        }));
    }

    /// In SYN_RECV with a trusted SYN: text may be sent before the handshake is over.
    pub(super) fn is_fast_opened(&self) -> bool {
        self.agreed.fast_open && self.agreed.passive
    }

    /// Whether text came with the SYN and was taken, here or at the peer's.
    pub const fn is_fast_open(&self) -> bool {
        self.agreed.fast_open
    }
}
