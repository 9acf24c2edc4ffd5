//! What our side's connections do.

use eleven_tcp::demux::{ConnectionId, Demux};
use eleven_tcp::rules::Failure;
use eleven_tcp::{CallError, Instant, State};

/// What a program does with its connection.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// Sends so many bytes, then waits for the end.
    Send(u64),
    /// Reads and compares until the end.
    Receive,
    /// Waits for a request, answers with so many bytes.
    Http(u64),
}

pub(crate) struct Program {
    id: ConnectionId,
    role: Role,
    sent: u64,
    received: u64,
    request: Vec<u8>,
    shut: bool,
}

/// So much is read or written at a time.
const CHUNK: usize = 64 * 1024;

/// The text that everybody sends: byte n is n modulo this prime.
pub(crate) const PERIOD: u64 = 251;

/// Fills `out` with the text from `position` on.
pub(crate) fn fill(out: &mut [u8], position: u64) {
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = ((position + index as u64) % PERIOD) as u8;
    }
}

/// Whether `text` is what comes at `position`.
pub(crate) fn is_right(text: &[u8], position: u64) -> bool {
    // The pattern repeats, so the second period on is compared with the first.
    let mut at = position % PERIOD;
    text.iter().all(|byte| {
        let right = u64::from(*byte) == at;
        at = if at + 1 == PERIOD { 0 } else { at + 1 };
        right
    })
}

impl Program {
    pub(crate) fn new(id: ConnectionId, role: Role) -> Self {
        Self { id, role, sent: 0, received: 0, request: Vec::new(), shut: false }
    }

    /// Does what can be done. False when the connection has ended.
    pub(crate) fn work(&mut self, now: Instant, demux: &mut Demux) -> Result<bool, String> {
        match demux.connection(self.id) {
            None => return Ok(false),
            Some(connection) => {
                if let Some(failure) = connection.failure() {
                    return Err(format!("{}: {failure}", connection.pair()));
                }
                if matches!(connection.state(), State::SynSent | State::SynReceived) {
                    return Ok(true);
                }
            }
        }
        let ended = self.read(now, demux)?;
        match self.role {
            Role::Send(bytes) => self.send(now, demux, bytes)?,
            Role::Http(bytes) if self.request.windows(4).any(|end| end == b"\r\n\r\n") => {
                if self.sent == 0 && !self.shut {
                    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
                    call(demux.send(now, self.id, head.as_bytes()))?;
                }
                self.send(now, demux, bytes)?;
            }
            Role::Receive | Role::Http(_) => {}
        }
        if ended {
            call(demux.close(now, self.id))?;
            return Ok(false);
        }
        Ok(true)
    }

    fn read(&mut self, now: Instant, demux: &mut Demux) -> Result<bool, String> {
        let mut text = vec![0; CHUNK];
        loop {
            match demux.recv(now, self.id, &mut text) {
                Ok(0) | Err(CallError::Failed(_)) => return Ok(true),
                Ok(count) if matches!(self.role, Role::Http(_)) => {
                    self.request.extend_from_slice(&text[..count])
                }
                Ok(count) => {
                    if !is_right(&text[..count], self.received) {
                        return Err(format!("wrong text behind byte {}", self.received));
                    }
                    self.received += count as u64;
                }
                Err(CallError::WouldBlock) => return Ok(false),
            }
        }
    }

    fn send(&mut self, now: Instant, demux: &mut Demux, bytes: u64) -> Result<(), String> {
        let mut text = vec![0; CHUNK];
        while self.sent < bytes {
            let length = (bytes - self.sent).min(text.len() as u64) as usize;
            // Room for all of it is awaited: the text is made only once.
            if demux.connection(self.id).is_none_or(|connection| (connection.writable() as usize) < length) {
                return Ok(());
            }
            fill(&mut text[..length], self.sent);
            self.sent += call(demux.send(now, self.id, &text[..length]))? as u64;
        }
        if !self.shut {
            self.shut = true;
            call(demux.shutdown(now, self.id))?;
        }
        Ok(())
    }
}

fn call<T: Default>(result: Result<T, CallError>) -> Result<T, String> {
    match result {
        Ok(value) => Ok(value),
        Err(
            CallError::WouldBlock
            | CallError::Failed(Failure::ConnectionClosing | Failure::ConnectionDoesNotExist),
        ) => Ok(T::default()),
        Err(error) => Err(error.to_string()),
    }
}
