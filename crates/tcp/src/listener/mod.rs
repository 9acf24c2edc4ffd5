//! A listening socket: the SYN queue, the accept queue and what happens when they are full.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use crate::connection::{Request, Steps};
use crate::cookie;
use crate::demux::registry::{Key, Paired, Registry};
use crate::fast_open::{FastOpenCookie, FastOpenSecret};
use crate::rules::ResetForm;
use crate::{Connection, Envelope, Flags, FourTuple, IcmpError, Instant, Policy, Segment, State};

mod answer;

pub(crate) use answer::{Answers, Outcome};

/// When a SYN is answered without keeping a request (RFC 4987 §3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SynCookies {
    /// Never: what does not fit the SYN queue is dropped.
    Off,
    /// When the SYN queue is full (`tcp_syncookies` = 1).
    #[default]
    OnOverflow,
    /// Always (`tcp_syncookies` = 2).
    Always,
}

/// The choices of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Open connections that wait to be accepted, at the most.
    pub backlog: u32,
    /// Half-open connections, at the most.
    pub syn_backlog: u32,
    /// What is done about more.
    pub cookies: SynCookies,
    /// Whether a connection that finds the accept queue full is reset. Otherwise the peer's ACK is
    /// overlooked, and it may come again (`tcp_abort_on_overflow`).
    pub abort_on_overflow: bool,
    /// Whether a connection is open only when it has brought text, or after this time
    /// (`TCP_DEFER_ACCEPT`).
    pub defer_accept: Option<Duration>,
    /// Connections opened with text in the SYN whose handshake is not over, at the most; `None`: no Fast Open here
    /// (`TCP_FASTOPEN`, RFC 7413 §5.1).
    pub fast_open: Option<u32>,
}

impl Default for ListenerOptions {
    /// Linux's defaults for a generous `listen()`.
    fn default() -> Self {
        Self {
            backlog: 4_096,
            syn_backlog: 4_096,
            cookies: SynCookies::OnOverflow,
            abort_on_overflow: false,
            defer_accept: None,
            fast_open: None,
        }
    }
}

/// What is made of a SYN with text or a Fast Open option.
enum FastOpening {
    /// An ordinary handshake.
    Ordinary,
    /// An ordinary handshake, and a cookie for the next time; whether by the option of the experiment.
    Give(FastOpenCookie, bool),
    /// The text is taken at once.
    Trust,
}

/// What has happened to a listener, as `nstat` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounters {
    /// SYNs dropped: both queues full, or no cookies allowed (`ListenDrops`).
    pub dropped: u64,
    /// The accept queue was full (`ListenOverflows`).
    pub overflows: u64,
    /// Cookies sent (`SyncookiesSent`).
    pub cookies_sent: u64,
    /// Connections opened by a cookie (`SyncookiesRecv`).
    pub cookies_received: u64,
    /// ACKs whose cookie was none (`SyncookiesFailed`).
    pub cookies_failed: u64,
    /// Requests that timed out without an ACK.
    pub timeouts: u64,
}

/// A listening socket without I/O. It keeps requests small and gives the connection away when
/// the handshake is over; a [`crate::Demux`] keeps listeners and connections together.
pub struct Listener {
    local: SocketAddr,
    policy: Arc<Policy>,
    options: ListenerOptions,
    requests: Registry<Request>,
    /// Open connections nobody has accepted yet.
    accept_queue: VecDeque<Key>,
    counters: ListenerCounters,
    /// A cookie was sent not long ago: an ACK out of the blue may carry one back.
    cookie_sent_at: Option<Instant>,
    /// Connections given away before their handshake was over.
    fast_opening: u32,
}

impl Paired for Request {
    fn pair(&self) -> &FourTuple {
        &self.pair
    }
}

impl Listener {
    pub(crate) fn new(local: SocketAddr, policy: Arc<Policy>, options: ListenerOptions) -> Self {
        Self {
            local,
            requests: Registry::new(policy.secret),
            policy,
            options,
            accept_queue: VecDeque::new(),
            counters: ListenerCounters::default(),
            cookie_sent_at: None,
            fast_opening: 0,
        }
    }

    /// The address and port it listens on.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Its choices.
    pub const fn options(&self) -> &ListenerOptions {
        &self.options
    }

    /// Changes them, for what comes from now on.
    pub(crate) const fn options_mut(&mut self) -> &mut ListenerOptions {
        &mut self.options
    }

    /// Changes the choices of the connections that begin from now on.
    pub(crate) fn set_policy(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// A connection that was opened with text in the SYN is out of the handshake.
    pub(crate) const fn fast_opened(&mut self) {
        self.fast_opening = self.fast_opening.saturating_sub(1);
    }

    /// What has happened to it.
    pub const fn counters(&self) -> ListenerCounters {
        self.counters
    }

    /// Connections in SYN_RECV.
    pub fn half_open(&self) -> usize {
        self.requests.len()
    }

    /// Open connections that wait to be accepted: the Recv-Q of a listener.
    pub fn waiting(&self) -> usize {
        self.accept_queue.len()
    }

    fn is_full(&self) -> bool {
        self.accept_queue.len() >= self.options.backlog as usize
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = FourTuple> {
        self.requests.iter().map(|(_, request)| request.pair)
    }

    /// Half-open connections: how often the SYN+ACK of each was sent again, and when it will be the next time.
    pub fn half_open_connections(&self) -> impl Iterator<Item = (FourTuple, u8, Option<Instant>)> {
        self.requests
            .iter()
            .map(|(key, request)| (request.pair, request.retries, self.requests.deadline(key)))
    }

    pub(crate) fn has_request(&self, pair: &FourTuple) -> bool {
        self.requests.find(pair).is_some()
    }

    pub(crate) fn queue(&mut self, key: Key) {
        self.accept_queue.push_back(key);
    }

    pub(crate) fn take_accepted(&mut self) -> Option<Key> {
        self.accept_queue.pop_front()
    }

    /// Everything that waits to be accepted, to be reset when the listener closes.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Key> {
        core::mem::take(&mut self.accept_queue)
    }

    /// A segment for this listener that belongs to no connection. `hash` is the pair's.
    pub(crate) fn handle_segment(
        &mut self,
        now: Instant,
        pair: FourTuple,
        hash: u32,
        envelope: &Envelope,
        segment: &Segment<'_>,
        answers: &mut Answers,
    ) -> Outcome {
        if let Some(key) = self.requests.find_hashed(&pair, hash) {
            return self.continue_request(now, key, hash, envelope, segment, answers);
        }
        let handshake = segment.flags.intersection(Flags::SYN | Flags::ACK | Flags::RST);
        if handshake == Flags::SYN {
            return self.begin_request(now, hash, envelope, segment, answers);
        }
        if handshake == Flags::ACK
            && let Some(outcome) = self.open_by_cookie(now, pair, hash, envelope, segment, answers)
        {
            return outcome;
        }
        // The rules of LISTEN say what strangers get.
        let mut connection = self.listening(now);
        connection.handle_segment(now, envelope, segment);
        Outcome::of(now, &mut connection, answers)
    }

    /// A connection in LISTEN, as RFC 9293 has it: for one segment.
    fn listening(&self, now: Instant) -> Connection {
        let mut connection = Connection::new(self.policy.clone());
        let opened = connection.listen(now, self.local);
        debug_assert!(opened.is_ok());
        connection
    }

    fn begin_request(
        &mut self,
        now: Instant,
        hash: u32,
        envelope: &Envelope,
        segment: &Segment<'_>,
        answers: &mut Answers,
    ) -> Outcome {
        // Linux takes SYN+FIN for an attack or an error (`tcp_rcv_state_process`).
        if segment.flags.contains(Flags::FIN) && self.policy.is_linux() {
            return Outcome::default();
        }
        if self.is_full() {
            self.counters.overflows += 1;
            self.counters.dropped += 1;
            return Outcome::default();
        }
        let full = self.requests.len() >= self.options.syn_backlog as usize;
        let cookie = match self.options.cookies {
            SynCookies::Always => true,
            SynCookies::OnOverflow => full,
            SynCookies::Off if full => {
                self.counters.dropped += 1;
                return Outcome::default();
            }
            SynCookies::Off => false,
        };
        let mut connection = self.listening(now);
        match self.fast_open(envelope, segment) {
            FastOpening::Ordinary => {}
            FastOpening::Give(cookie, experiment) => connection.give_cookie(cookie, experiment),
            FastOpening::Trust => {
                return self.open_at_once(now, connection, hash, envelope, segment, answers);
            }
        }
        connection.handle_segment(now, envelope, segment);
        if connection.state() != State::SynReceived {
            return Outcome::of(now, &mut connection, answers);
        }
        if cookie {
            self.counters.cookies_sent += 1;
            self.cookie_sent_at = Some(now);
            connection.use_cookie(now, segment.seq);
            return Outcome::of(now, &mut connection, answers);
        }
        let outcome = Outcome::of(now, &mut connection, answers);
        self.keep(now, &connection, hash);
        outcome
    }

    /// What a SYN has to say about Fast Open, and what is made of it (RFC 7413 §4.2.2).
    fn fast_open(&self, envelope: &Envelope, segment: &Segment<'_>) -> FastOpening {
        let choices = self.policy.fast_open;
        let Some(most) = self.options.fast_open.filter(|_| choices.server) else {
            return FastOpening::Ordinary;
        };
        let has_room = self.fast_opening < most;
        if choices.server_without_cookie && !segment.text.is_empty() && has_room {
            return FastOpening::Trust;
        }
        let Some((said, experiment)) = segment.options.fast_open_request() else {
            return FastOpening::Ordinary;
        };
        let pair = FourTuple {
            local_address: envelope.destination,
            remote_address: envelope.source,
            ..FourTuple::UNSPECIFIED
        };
        let secret = choices.secret.unwrap_or_else(|| FastOpenSecret::of_host(&self.policy.secret));
        if !FastOpenCookie::is_valid(said, &pair, &secret) {
            return FastOpening::Give(FastOpenCookie::make(&pair, &secret), experiment);
        }
        if has_room { FastOpening::Trust } else { FastOpening::Ordinary }
    }

    /// A SYN with a good cookie: the connection is the program's before the handshake is over.
    fn open_at_once(
        &mut self,
        now: Instant,
        mut connection: Connection,
        hash: u32,
        envelope: &Envelope,
        segment: &Segment<'_>,
        answers: &mut Answers,
    ) -> Outcome {
        connection.trust_next_syn();
        connection.handle_segment(now, envelope, segment);
        let steps = *connection.steps();
        if connection.state() != State::SynReceived {
            return Outcome::of(now, &mut connection, answers);
        }
        self.fast_opening += 1;
        Outcome { opened: Some((Box::new(connection), hash)), steps }
    }

    /// An ICMP error ends what is not open yet.
    pub(crate) fn handle_icmp(&mut self, now: Instant, pair: &FourTuple, error: IcmpError) -> Steps {
        let Some(key) = self.requests.find(pair) else { return Steps::default() };
        let Some(request) = self.requests.get(key) else { return Steps::default() };
        let mut connection = request.expand(&self.policy);
        connection.handle_icmp(now, error);
        if connection.state() != State::SynReceived {
            self.requests.remove(key);
        }
        *connection.steps()
    }

    /// Takes over a connection in SYN_RECV that came out of TIME_WAIT (RFC 6191).
    pub(crate) fn adopt(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        hash: u32,
        answers: &mut Answers,
    ) {
        if self.is_full() || self.requests.len() >= self.options.syn_backlog as usize {
            self.counters.dropped += 1;
            return;
        }
        answers.take_from(now, connection);
        self.keep(now, connection, hash);
    }

    fn keep(&mut self, now: Instant, connection: &Connection, hash: u32) {
        let deadline = connection.poll_timeout();
        let key = self.requests.insert(Request::of(connection, now), hash);
        self.requests.arm(key, Some(deadline.unwrap_or(now)));
    }

    /// A segment for a half-open connection.
    fn continue_request(
        &mut self,
        now: Instant,
        key: Key,
        hash: u32,
        envelope: &Envelope,
        segment: &Segment<'_>,
        answers: &mut Answers,
    ) -> Outcome {
        let Some(request) = self.requests.get(key).copied() else { return Outcome::default() };
        let mut connection = Box::new(request.expand(&self.policy));
        let choosy = self.is_full() || self.options.defer_accept.is_some();
        let opens = choosy && connection.would_open(now, segment);
        if opens && self.overlooks(now, &request, segment) {
            return Outcome::default();
        }
        if opens && self.is_full() {
            self.counters.overflows += 1;
            if !self.options.abort_on_overflow {
                return Outcome::default();
            }
            self.requests.remove(key);
            answers.reset(envelope, segment, ResetForm::AtTheirAck);
            return Outcome::default();
        }
        connection.handle_segment(now, envelope, segment);
        let mut outcome = Outcome::of(now, &mut connection, answers);
        match connection.state() {
            State::SynReceived => {}
            State::Listen | State::Closed => drop(self.requests.remove(key)),
            _ => {
                self.requests.remove(key);
                outcome.opened = Some((connection, hash));
            }
        }
        outcome
    }

    /// `TCP_DEFER_ACCEPT`: an ACK without text is overlooked while the time lasts.
    fn overlooks(&self, now: Instant, request: &Request, segment: &Segment<'_>) -> bool {
        self.options.defer_accept.is_some_and(|time| segment.is_empty() && request.age(now) < time)
    }

    /// An ACK that brings a cookie back opens a connection no request was kept for.
    fn open_by_cookie(
        &mut self,
        now: Instant,
        pair: FourTuple,
        hash: u32,
        envelope: &Envelope,
        segment: &Segment<'_>,
        answers: &mut Answers,
    ) -> Option<Outcome> {
        // Cookies are good for two minutes; without one out there, no ACK is worth the hash.
        let sent_at = self.cookie_sent_at?;
        if now.duration_since(sent_at) > cookie::LIFETIME {
            return None;
        }
        let Some(request) = Request::from_cookie(&self.policy, now, pair, segment) else {
            self.counters.cookies_failed += 1;
            return None;
        };
        if self.is_full() {
            self.counters.overflows += 1;
            // Overlooked, the ACK may come again with the client's text. Linux does so whatever tcp_abort_on_overflow says
            // (`tcp_get_cookie_sock`).
            if self.options.abort_on_overflow && !self.policy.is_linux() {
                answers.reset(envelope, segment, ResetForm::AtTheirAck);
            }
            return Some(Outcome::default());
        }
        let mut connection = Box::new(request.expand(&self.policy));
        connection.handle_segment(now, envelope, segment);
        self.counters.cookies_received += 1;
        let mut outcome = Outcome::of(now, &mut connection, answers);
        if connection.state().is_synchronized() {
            outcome.opened = Some((connection, hash));
        }
        Some(outcome)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.requests.next_deadline()
    }

    /// The next request whose time has come, and whose it is; `None` when there is none any more.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        answers: &mut Answers,
    ) -> Option<(FourTuple, Outcome)> {
        let key = self.requests.expired(now)?;
        let request = *self.requests.get(key)?;
        let mut connection = request.expand(&self.policy);
        connection.handle_timeout(now);
        let outcome = Outcome::of(now, &mut connection, answers);
        if connection.state() == State::SynReceived {
            if let Some(kept) = self.requests.get_mut(key) {
                *kept = Request::of(&connection, request.since);
            }
            self.requests.arm(key, connection.poll_timeout());
        } else {
            self.counters.timeouts += 1;
            self.requests.remove(key);
        }
        Some((request.pair, outcome))
    }
}
