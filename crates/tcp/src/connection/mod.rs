//! One end of one connection: RFC 9293's machine, driven by the [rules](crate::rules).
//!
//! A [`Connection`] does no I/O and has no clock. It has four families of methods:
//!
//! - *getters* tell what is the case: [`Connection::state`], [`Connection::info`];
//! - *commands* are the calls of a program: [`Connection::connect`], [`Connection::send`],
//!   [`Connection::close`] and the others;
//! - `handle_*` take what happens: a segment, the passing of time, an ICMP message;
//! - `poll_*` hand out what follows: segments to send, the time to come back at, events for the
//!   program.
//!
//! Whoever runs it calls `handle_*` or a command, then [`Connection::poll_transmit`] until it
//! returns `None`, then [`Connection::poll_event`] likewise, and comes back at
//! [`Connection::poll_timeout`] at the latest.
//!
//! Every event is answered by exactly one rule of the table. The endpoint works out the
//! [facts](crate::rules::Facts), looks the rule up and carries out its actions; it has no second
//! list of states and transitions. [`Connection::steps`] tells which rules the latest call
//! applied.
//!
//! ```
//! use std::sync::Arc;
//! use eleven_tcp::{Connection, Envelope, FourTuple, Instant, Policy, State};
//!
//! let policy = Arc::new(Policy::linux());
//! let now = Instant::ZERO;
//! let pair = FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
//!
//! let mut server = Connection::new(policy.clone());
//! server.listen(now, pair.reversed().local()).unwrap();
//! let mut client = Connection::new(policy);
//! client.connect(now, pair).unwrap();
//!
//! // A network that loses nothing and takes no time.
//! loop {
//!     let mut quiet = true;
//!     while let Some(out) = client.poll_transmit(now) {
//!         server.handle_segment(now, &out.envelope, &out.segment);
//!         quiet = false;
//!     }
//!     while let Some(out) = server.poll_transmit(now) {
//!         client.handle_segment(now, &out.envelope, &out.segment);
//!         quiet = false;
//!     }
//!     if quiet {
//!         break;
//!     }
//! }
//! assert_eq!((client.state(), server.state()), (State::Established, State::Established));
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::buffer::{ReceiveBuffer, SendBuffer};
use crate::recovery::LossRecovery;
use crate::rules::Failure;
use crate::{Deadline, FourTuple, Instant, Policy, SeqNumber, State};

mod acknowledgment;
mod aside;
mod calls;
mod compact;
mod facts;
mod fast_open;
mod fingerprint;
mod fuzz;
mod handshake;
mod icmp;
mod info;
mod path_mtu;
mod receive;
mod reply;
mod step;
mod steps;
mod timers;
mod transmit;
mod types;

pub use aside::Counters;
pub(crate) use compact::{Request, TimeWaitRecord};
#[doc(hidden)]
pub use fuzz::try_any_events;
pub use icmp::IcmpError;
pub use info::{Info, Phase};
pub(crate) use reply::Reply;
pub use steps::Steps;
pub use timers::RunningTimer;
pub use types::{CallError, ConnectionEvent, Envelope, Transmit};

use types::{Events, Held};

/// One end of a connection. See the [module](self) for how to drive it.
///
/// It keeps no memory for text or for what is in flight unless there is some, so that a host
/// can have a great many that are idle.
#[derive(Clone)]
pub struct Connection {
    policy: Arc<Policy>,
    pair: FourTuple,
    state: State,
    steps: Steps,
    /// What the program has to be told.
    events: Events,
    /// Why the connection ended, if it ended badly.
    failure: Option<Failure>,

    send: SendVariables,
    receive: ReceiveVariables,
    text_out: SendBuffer,
    text_in: ReceiveBuffer,
    recovery: LossRecovery,
    /// What was agreed on in the handshake, as far as the peer has spoken.
    agreed: Agreed,
    due: Due,
    timers: Timers,
    program: Program,
    aside: Option<Box<aside::Aside>>,
}

/// The send sequence variables of RFC 9293 §3.3.1.
#[derive(Clone)]
struct SendVariables {
    /// ISS.
    initial: SeqNumber,
    /// SND.UNA.
    unacknowledged: SeqNumber,
    /// SND.NXT: behind the last number ever sent.
    next: SeqNumber,
    /// SND.WND, scaled: as announced by the peer.
    window: u32,
    /// MAX.SND.WND: the largest the peer ever announced (RFC 5961 §5.2).
    largest_window: u32,
    /// SND.WL1: the sequence number of the segment the window came with.
    window_seq: SeqNumber,
    /// SND.WL2: its acknowledgment number.
    window_ack: SeqNumber,
    /// Behind the last segment sent that was smaller than the largest (Minshall's variant of Nagle).
    small_end: SeqNumber,
    /// Behind the last byte that is to be pushed at the receiver: the end of a SEND.
    pushed: SeqNumber,
    /// What the path is taken to carry: the largest IP packet.
    path_mtu: u16,
    /// The MSS option of the peer, or the default.
    peer_mss: u16,
    /// Our SYN is acknowledged.
    syn_acknowledged: bool,
    /// This side sends no more text behind what is queued: a FIN comes behind it.
    fin_queued: bool,
    /// The FIN has its number: SND.NXT − 1.
    fin_sent: bool,
    /// Why what does not fill a segment waits.
    held: Held,
}

/// The receive sequence variables of RFC 9293 §3.3.1.
#[derive(Clone)]
struct ReceiveVariables {
    /// IRS.
    initial: SeqNumber,
    /// RCV.NXT.
    next: SeqNumber,
    /// RCV.NXT + RCV.WND: the right edge announced; it never moves left (§3.8.6.2.2).
    edge: SeqNumber,
    /// RCV.NXT when the last ACK was sent (Last.ACK.sent of RFC 7323).
    acknowledged: SeqNumber,
    /// The number of a FIN that waits behind a gap.
    held_fin: Option<SeqNumber>,
    /// The peer's FIN has been consumed.
    fin_received: bool,
    /// TS.Recent (RFC 7323 §4.3).
    timestamp: u32,
    /// When it was taken, in seconds.
    timestamp_at: u32,
    /// The largest text the peer has sent in one segment: what it takes its MSS to be.
    segment_size: u16,
    /// So many more segments are acknowledged at once.
    quick_acks: u8,
    /// Bytes the program has read since then (dynamic right-sizing of the window).
    read_bytes: u32,
    /// In milliseconds.
    read_since: u32,
}

/// What the two ends have agreed on, or this side offers.
#[derive(Clone, Copy, Default)]
struct Agreed {
    timestamps: bool,
    /// Added to the clock so that it tells nothing about this host.
    timestamp_offset: u32,
    sack: bool,
    window_scaling: bool,
    /// Shift of the windows the peer announces.
    send_scale: u8,
    /// Shift of the windows we announce.
    receive_scale: u8,
    ecn: bool,
    /// The connection came from LISTEN.
    passive: bool,
    /// Text came with the SYN and a good cookie, or all of ours was taken by the peer (RFC 7413).
    fast_open: bool,
}

/// What has to be put on the wire.
#[derive(Clone, Default)]
struct Due {
    /// A SYN or SYN+ACK, for the first time or once more.
    handshake: bool,
    /// An ACK.
    ack: bool,
    /// Congestion was experienced: ECE on every ACK until the peer sends CWR (RFC 3168 §6.1.3).
    echo_congestion: bool,
    /// CWR on the next new text.
    window_reduced: bool,
    window_probe: bool,
    /// New text waits for its time.
    paced: bool,
    /// Text may leave although the segment is small (the override of RFC 9293 §3.8.6.2.1).
    small_text: bool,
    keepalive_probe: bool,
    tail_loss_probe: bool,
}

/// When something has to happen, whether or not anything arrives.
#[derive(Clone)]
struct Timers {
    /// The delayed ACK.
    ack: Deadline,
    /// The peer's window is closed.
    persist: Deadline,
    /// What the state itself waits for: 2·MSL, the end of FIN_WAIT2; and in the open states, the
    /// time to give unused memory back.
    state: Deadline,
    /// Pacing: nothing new before.
    pacing: Instant,
    /// When the peer was heard last.
    heard: Instant,
    /// When a segment that is not acceptable was answered last.
    invalid_answered: Deadline,
    /// Challenge ACKs sent in the second of that answer.
    challenges: u16,
    persist_probes: u8,
    /// How often the interval between window probes has doubled.
    persist_backoff: u8,
    keepalive_probes: u8,
}

/// What the program has done.
#[derive(Clone, Default)]
struct Program {
    /// It reads no more and has let go of the connection: close(), not shutdown().
    gone: bool,
    /// CLOSE waits until the connection is open.
    close_queued: bool,
    /// SHUTDOWN waits until the connection is open.
    shutdown_queued: bool,
    /// A listener waits for the next connection between the same sockets.
    may_reopen: bool,
    /// The keepalive timer runs.
    keepalive: bool,
    /// SEND or the buffer was full: tell when there is room.
    wants_room: bool,
    /// Text follows as soon as the connection is open.
    text_follows: bool,
    /// It has been told of the end of file.
    knows_end: bool,
}

impl Connection {
    /// A connection that does not exist yet: CLOSED.
    pub fn new(policy: Arc<Policy>) -> Self {
        let agreed = Agreed { receive_scale: policy.window_scale(), ..Agreed::default() };
        Self {
            pair: FourTuple::UNSPECIFIED,
            state: State::Closed,
            steps: Steps::default(),
            events: Events::default(),
            failure: None,
            send: SendVariables {
                initial: SeqNumber(0),
                unacknowledged: SeqNumber(0),
                next: SeqNumber(0),
                window: 0,
                largest_window: 0,
                window_seq: SeqNumber(0),
                window_ack: SeqNumber(0),
                small_end: SeqNumber(0),
                pushed: SeqNumber(0),
                path_mtu: policy.mtu,
                peer_mss: 536,
                syn_acknowledged: false,
                fin_queued: false,
                fin_sent: false,
                held: Held::default(),
            },
            receive: ReceiveVariables {
                initial: SeqNumber(0),
                next: SeqNumber(0),
                edge: SeqNumber(0),
                acknowledged: SeqNumber(0),
                held_fin: None,
                fin_received: false,
                timestamp: 0,
                timestamp_at: 0,
                segment_size: 0,
                quick_acks: policy.delayed_ack.quick,
                read_bytes: 0,
                read_since: 0,
            },
            text_out: SendBuffer::new(),
            // Less than one step of the scale could never be announced.
            text_in: ReceiveBuffer::new(policy.receive_buffer.max(1 << policy.window_scale())),
            recovery: LossRecovery::new(&policy),
            agreed,
            due: Due::default(),
            timers: Timers {
                ack: Deadline::NONE,
                persist: Deadline::NONE,
                state: Deadline::NONE,
                pacing: Instant::ZERO,
                heard: Instant::ZERO,
                invalid_answered: Deadline::NONE,
                challenges: 0,
                persist_probes: 0,
                persist_backoff: 0,
                keepalive_probes: 0,
            },
            program: Program { keepalive: policy.keepalive.is_some(), ..Program::default() },
            aside: None,
            policy,
        }
    }

    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The two sockets. What is not known yet is unspecified.
    pub const fn pair(&self) -> FourTuple {
        self.pair
    }

    /// The same without a copy, for tables.
    pub(crate) const fn pair_ref(&self) -> &FourTuple {
        &self.pair
    }

    /// The choices it makes.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes the choices for this connection alone: Nagle, keepalive, timeouts, retries.
    ///
    /// What is agreed on in the handshake (scaling, timestamps, SACK) stays as it was agreed, and
    /// buffers keep their sizes.
    pub fn policy_mut(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.policy)
    }

    /// Turns the keepalive of the policy on or off, counting from `now`.
    pub fn set_keepalive(&mut self, now: Instant, on: bool) {
        self.program.keepalive = on;
        self.timers.heard = now;
        self.timers.keepalive_probes = 0;
    }

    /// Says whether a listener waits for the next connection between the same sockets. Only then a
    /// SYN ends TIME_WAIT (RFC 6191).
    pub const fn set_may_reopen(&mut self, may: bool) {
        self.program.may_reopen = may;
    }

    /// The rules that the latest command or `handle_*` applied, in order.
    pub const fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Why the connection ended, if it ended badly.
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// At most so many bytes are kept to be sent: more would not fit the space of numbers.
    fn send_limit(&self) -> u32 {
        self.policy.send_buffer.min(1 << 30)
    }

    /// How many bytes the program can read.
    pub const fn readable(&self) -> u32 {
        self.text_in.readable()
    }

    /// How many bytes [`Connection::send`] would take now.
    pub fn writable(&self) -> u32 {
        self.text_out.free(self.send_limit())
    }

    /// Bytes handed over by the program that the peer has not acknowledged.
    pub const fn unacknowledged(&self) -> u32 {
        self.text_out.len()
    }

    /// Bytes handed over by the program that were not sent yet.
    pub fn unsent(&self) -> u32 {
        self.unsent_text()
    }

    /// Behind the last byte handed over by the program.
    pub fn text_end(&self) -> SeqNumber {
        self.text_start() + self.text_out.len()
    }

    /// Tells when there is room for text again, as after a SEND that found too little.
    pub const fn want_room(&mut self) {
        self.program.wants_room = true;
    }

    /// Whether segments that are not full wait until they are (`TCP_CORK`). Taken back, they leave.
    pub fn set_cork(&mut self, corked: bool) {
        self.send.held.set(Held::CORKED, corked);
        if !corked {
            self.push();
        }
    }

    /// What waits for company leaves at once.
    pub fn push(&mut self) {
        self.send.held.set(Held::MORE, false);
        self.due.small_text |= self.unsent_text() > 0;
    }

    /// Text follows as soon as the connection is open: the last ACK of the handshake may go along with it (Linux's
    /// `sk_write_pending`).
    pub const fn expect_text(&mut self) {
        self.program.text_follows = true;
    }

    /// Pushes what was handed over so far, if that is more than half of the largest window since the last push: the
    /// peer's program shall not wait for a long write to end (Linux's `forced_push`).
    pub fn push_if_much(&mut self) {
        let end = self.text_end();
        if self.policy.is_linux() && end.gt(self.send.pushed + self.send.largest_window / 2) {
            self.send.pushed = end;
        }
    }

    /// Nothing more follows what was handed over last: it is not to wait.
    pub fn push_at_end(&mut self) {
        self.send.held.set(Held::MORE, false);
        self.send.pushed = self.text_end();
    }

    /// Whether the peer has sent its FIN, with everything before it.
    pub const fn peer_has_closed(&self) -> bool {
        self.receive.fin_received
    }

    /// The program has been told of the end of file.
    pub(crate) const fn note_end_read(&mut self) {
        self.program.knows_end = true;
    }

    /// Whether the peer has closed and the program has not been told: the last byte in Linux's receive queue.
    pub const fn has_unread_end(&self) -> bool {
        self.receive.fin_received && !self.program.knows_end
    }

    /// Whether a FIN of this side is not acknowledged: it was sent, or stands in line behind text.
    pub const fn has_pending_fin(&self) -> bool {
        self.send.fin_queued && !matches!(self.state, State::FinWait2 | State::TimeWait | State::Closed)
    }

    /// Whether the program has let go of it by [`Connection::close`].
    pub const fn is_orphaned(&self) -> bool {
        self.program.gone
    }

    /// The next thing the program should hear of.
    pub const fn poll_event(&mut self) -> Option<ConnectionEvent> {
        self.events.poll(self.failure)
    }

    /// Whether [`Connection::poll_event`] has something to tell.
    pub(crate) const fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Bytes of memory it holds besides itself.
    pub fn memory(&self) -> usize {
        self.text_out.memory() + self.text_in.memory()
    }
}

#[cfg(test)]
mod tests;
