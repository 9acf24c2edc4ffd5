//! One host, called by two threads: packetdrill's main thread and the one that makes the calls that block.
//!
//! A call that has to wait does so on a condition variable. Time moves only when the main thread asks it to, and never
//! while a call that can return has not returned: what packetdrill then takes for the time of the return is right.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use eleven_tcp::Instant;
use eleven_tcp::sockets::{Call, Errno, Outcome, Sockets};

/// Beyond this nothing is waited for: a script that expects something then has waited in vain.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// A thread of ours that does not come back within this, in real time, is not waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// packetdrill's clock is not to stand at zero.
const EPOCH: u64 = 1_000_000_000_000_000;

/// The host and who waits for it.
pub(crate) struct Host {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    sockets: Sockets,
    /// A call that waits. There is one thread that makes such calls.
    waiting: Option<Call>,
    /// What it has come to; the thread has not yet taken it.
    outcome: Option<Result<Outcome, Errno>>,
    /// The thread has it and is on its way back to packetdrill.
    returning: Option<ThreadId>,
    /// It has told packetdrill when, and waits for packetdrill's own lock to tell what.
    returned: bool,
}

impl Host {
    pub(crate) fn new(sockets: Sockets) -> Self {
        let state = State { sockets, waiting: None, outcome: None, returning: None, returned: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the sockets.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Sockets) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state.sockets);
        drop(self.settle(state));
        result
    }

    /// Makes a call, and waits if it has to.
    pub(crate) fn call(&self, mut call: Call) -> Result<Outcome, Errno> {
        let mut state = self.lock();
        if let Some(result) = state.sockets.attempt(&mut call) {
            drop(self.settle(state));
            return result;
        }
        state.waiting = Some(call);
        loop {
            if let Some(outcome) = state.outcome.take() {
                state.returning = Some(std::thread::current().id());
                self.changed.notify_all();
                return outcome;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// If the waiting call can return, lets it, and waits until it has.
    fn settle<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.finish_waiting() {
            self.changed.notify_all();
        }
        while state.outcome.is_some() || state.returning.is_some() {
            let (back, late) =
                self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            if late.timed_out() {
                state.returning = None;
                break;
            }
        }
        state
    }

    /// The time, in microseconds. It moves a little with each look.
    pub(crate) fn look_at_clock(&self) -> u64 {
        let mut state = self.lock();
        let now = state.sockets.now();
        if state.returning == Some(std::thread::current().id()) {
            state.returning = None;
            state.returned = true;
            self.changed.notify_all();
        } else {
            let next = now + Duration::from_micros(1);
            while !state.advance(next) {
                state = self.settle(state);
            }
        }
        EPOCH + now.as_micros()
    }

    /// Lets time pass.
    pub(crate) fn sleep(&self, micros: u64) {
        let mut state = self.lock();
        if std::mem::take(&mut state.returned) {
            // packetdrill's lock is free while it sleeps: the other thread can have it.
            drop(state);
            std::thread::sleep(Duration::from_millis(2));
            state = self.lock();
        }
        let until = state.sockets.now() + Duration::from_micros(micros);
        while !state.advance(until) {
            state = self.settle(state);
        }
        drop(self.settle(state));
    }

    /// The next packet that leaves, and when; lets time pass until there is one. `None`: there will be none.
    pub(crate) fn sniff(&self) -> Option<(Vec<u8>, u64)> {
        let mut state = self.lock();
        let limit = state.sockets.now() + LONGEST_WAIT;
        loop {
            if let Some(departure) = state.sockets.take_packet() {
                return Some((departure.packet, EPOCH + departure.at.as_micros()));
            }
            let next = state.next_event().filter(|next| *next <= limit)?;
            state.advance(next);
            state = self.settle(state);
        }
    }
}

impl State {
    /// When something happens by itself: a timer, or the end of a call's patience.
    fn next_event(&self) -> Option<Instant> {
        let deadline = self.waiting.as_ref().and_then(Call::deadline);
        self.sockets.next_timer().into_iter().chain(deadline).min()
    }

    /// Lets time pass; false if it stopped because the waiting call can return.
    fn advance(&mut self, until: Instant) -> bool {
        let deadline = self.waiting.as_ref().and_then(Call::deadline).filter(|deadline| *deadline <= until);
        let to = deadline.unwrap_or(until);
        let (waiting, outcome) = (&mut self.waiting, &mut self.outcome);
        let whole = self.sockets.advance(to, |sockets| {
            let Some(result) = waiting.as_mut().and_then(|call| sockets.attempt(call)) else { return false };
            *waiting = None;
            *outcome = Some(result);
            true
        });
        whole && deadline.is_none()
    }

    fn finish_waiting(&mut self) -> bool {
        if let Some(call) = &mut self.waiting
            && let Some(result) = self.sockets.attempt(call)
        {
            self.waiting = None;
            self.outcome = Some(result);
        }
        self.outcome.is_some()
    }
}
