//! The calls of a program (RFC 9293 §3.9.1, §3.10.1 to §3.10.6).

use core::net::SocketAddr;

use super::Connection;
use super::types::{CallError, Held};
use crate::rules::{Event, Failure};
use crate::{FourTuple, Instant, State};

impl Connection {
    /// OPEN, active: sends a SYN to `pair`'s remote socket.
    ///
    /// # Errors
    /// If there is a connection already, or the remote socket is unspecified.
    pub fn connect(&mut self, now: Instant, pair: FourTuple) -> Result<(), CallError> {
        self.steps.clear();
        let opens = matches!(self.state, State::Closed | State::Listen);
        let before = self.pair;
        if opens {
            self.pair = pair;
        }
        let result = self.step(now, Event::ActiveOpen, self.call_facts(), None);
        if result.is_err() && opens {
            self.pair = before;
        }
        result
    }

    /// OPEN, passive: waits for any peer's SYN to `local`, as RFC 9293 has it: this connection
    /// itself will be the one that is opened. A [`crate::listener::Listener`] serves many.
    ///
    /// # Errors
    /// If there is a connection already.
    pub fn listen(&mut self, now: Instant, local: SocketAddr) -> Result<(), CallError> {
        self.steps.clear();
        if self.state == State::Closed {
            self.pair =
                FourTuple { local_address: local.ip(), local_port: local.port(), ..FourTuple::UNSPECIFIED };
        }
        self.step(now, Event::PassiveOpen, self.call_facts(), None)
    }

    /// Names the remote socket of a connection in LISTEN, to which SEND would open it (§3.10.2).
    pub fn set_remote(&mut self, remote: SocketAddr) {
        if self.state == State::Listen {
            self.pair.remote_address = remote.ip();
            self.pair.remote_port = remote.port();
        }
    }

    /// SEND: takes as much of `text` as there is room for, and says how much. Before the
    /// connection is open, text waits.
    ///
    /// # Errors
    /// [`CallError::WouldBlock`] if there is no room; otherwise if the state takes no text any more.
    pub fn send(&mut self, now: Instant, text: &[u8]) -> Result<usize, CallError> {
        self.steps.clear();
        let result = self.step(now, Event::Send, self.call_facts(), None);
        if matches!(self.state, State::Listen | State::Closed) {
            return Err(self.failure_of_call(result));
        }
        result?;
        let taken = self.text_out.write(text, self.send_limit());
        if taken > 0 {
            self.push_at_end();
        }
        if taken < text.len() {
            self.program.wants_room = true;
        }
        if taken == 0 && !text.is_empty() { Err(CallError::WouldBlock) } else { Ok(taken) }
    }

    /// SEND of text that more will follow: what does not fill a segment may wait for it (`MSG_MORE`).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_more(&mut self, now: Instant, text: &[u8]) -> Result<usize, CallError> {
        let pushed = self.send.pushed;
        let taken = self.send(now, text)?;
        self.send.held.set(Held::MORE, true);
        self.send.pushed = pushed;
        Ok(taken)
    }

    /// SEND of a record: text that comes later does not share a segment with its end (`MSG_EOR`).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_record(&mut self, now: Instant, text: &[u8]) -> Result<usize, CallError> {
        let taken = self.send(now, text)?;
        if taken == text.len() {
            self.end_record();
        }
        Ok(taken)
    }

    /// RECEIVE: copies received text to `out`. Zero bytes are the end of file, with the policy of
    /// Linux; RFC 9293 says it by an error.
    ///
    /// # Errors
    /// [`CallError::WouldBlock`] if there is nothing yet; otherwise if there never will be.
    pub fn recv(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, CallError> {
        self.steps.clear();
        let result = self.step(now, Event::Receive, self.call_facts(), None);
        if self.text_in.readable() == 0 {
            if self.state == State::Closed && self.receive.fin_received && self.failure.is_none() {
                // It ended well: the end of file is there however late the program comes for it.
                let closing = Err(CallError::Failed(Failure::ConnectionClosing));
                return if self.policy.is_linux() { Ok(0) } else { closing };
            }
            if matches!(self.state, State::Listen | State::Closed)
                && (result.is_err() || self.failure.is_some())
            {
                return Err(self.failure_of_call(result));
            }
            result?;
            return match self.state {
                _ if self.receive.fin_received => Ok(0),
                _ => Err(CallError::WouldBlock),
            };
        }
        let count = self.text_in.read(out);
        self.after_reading(now, count as u32);
        Ok(count)
    }

    /// The text that can be read, without reading it.
    pub fn peek(&self) -> crate::Text<'_> {
        self.text_in.peek()
    }

    /// CLOSE of the sending direction only: the half-close. Text handed over before is sent first.
    ///
    /// # Errors
    /// If the connection is closing already or does not exist.
    pub fn shutdown(&mut self, now: Instant) -> Result<(), CallError> {
        self.steps.clear();
        let waits = self.state == State::SynReceived;
        self.step(now, Event::Shutdown, self.call_facts(), None)?;
        self.program.shutdown_queued |= waits && self.state == State::SynReceived;
        Ok(())
    }

    /// CLOSE: the program neither sends nor reads any more and lets go of the connection. Text
    /// handed over before is still sent; text it has not read makes this a reset.
    ///
    /// # Errors
    /// If the connection is closing already or does not exist. The program is gone all the same.
    pub fn close(&mut self, now: Instant) -> Result<(), CallError> {
        self.steps.clear();
        let waits = self.state == State::SynReceived;
        if waits && self.is_fast_opened() && self.text_in.readable() > 0 {
            // Text has arrived already, and nobody will read it: as in the synchronized states.
            return self.abort(now);
        }
        let result = self.step(now, Event::Close, self.call_facts(), None);
        self.program.close_queued |= waits && self.state == State::SynReceived;
        self.let_go(now);
        result
    }

    /// Nobody reads any more: the end of CLOSE in every state.
    pub(super) fn let_go(&mut self, now: Instant) {
        if self.program.close_queued {
            return;
        }
        self.program.gone = true;
        self.text_in.clear();
        if self.state == State::FinWait2 {
            self.limit_fin_wait_2(now);
        }
    }

    /// ABORT: gives up everything at once, with a reset where the peer may still believe in the
    /// connection.
    ///
    /// # Errors
    /// If the connection does not exist.
    pub fn abort(&mut self, now: Instant) -> Result<(), CallError> {
        self.steps.clear();
        let result = self.step(now, Event::Abort, self.call_facts(), None);
        self.program.gone = true;
        self.text_in.clear();
        result
    }

    /// STATUS: the state, as a call that a rule answers.
    ///
    /// # Errors
    /// If the connection does not exist.
    pub fn status(&mut self, now: Instant) -> Result<State, CallError> {
        self.steps.clear();
        self.step(now, Event::Status, self.call_facts(), None)?;
        Ok(self.state)
    }

    /// A queued CLOSE or SHUTDOWN that the connection can carry out: it is open, or is back in LISTEN.
    pub(super) fn carry_out_queued_calls(&mut self, now: Instant) {
        if !self.state.is_synchronized() && self.state != State::Listen {
            return;
        }
        if core::mem::take(&mut self.program.close_queued) {
            let _ = self.step(now, Event::Close, self.call_facts(), None);
            self.let_go(now);
        } else if core::mem::take(&mut self.program.shutdown_queued) {
            let _ = self.step(now, Event::Shutdown, self.call_facts(), None);
        }
    }

    /// What ended the connection, or what the rule says.
    fn failure_of_call(&self, result: Result<(), CallError>) -> CallError {
        let rule = result.err().unwrap_or(CallError::Failed(Failure::ConnectionDoesNotExist));
        self.failure.filter(|_| self.state == State::Closed).map_or(rule, CallError::Failed)
    }

    /// The program has read: the window may open, and grow where the program keeps up.
    fn after_reading(&mut self, now: Instant, count: u32) {
        self.receive.read_bytes = self.receive.read_bytes.saturating_add(count);
        let round = self.recovery.srtt().map_or(u32::MAX, |srtt| srtt.as_millis() as u32);
        let clock = now.as_millis() as u32;
        if clock.wrapping_sub(self.receive.read_since) > round {
            // A buffer's worth a round trip: the window holds the peer back (dynamic right-sizing).
            if self.receive.read_bytes >= self.text_in.limit() / 2 {
                let grown = self.text_in.limit().saturating_mul(2).min(self.policy.receive_buffer_max);
                self.text_in.set_limit(grown.max(self.text_in.limit()));
            }
            self.receive.read_bytes = 0;
            self.receive.read_since = clock;
        }
        if self.state.is_synchronized() && !self.receive.fin_received {
            let announced = self.receive.edge.offset_from(self.receive.next);
            let offered = self.window_to_offer();
            // Worth a segment of its own: the window had been small and opens (RFC 9293 §3.8.6.2.2).
            if offered >= announced.saturating_mul(2) && offered > announced {
                self.due.ack = true;
            }
        }
        self.text_in.release_if_small();
        self.plan_release(now);
    }
}
