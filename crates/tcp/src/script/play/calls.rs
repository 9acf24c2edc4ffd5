//! Calls of a script: made with the arguments that are written, and their results compared.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{PORT, Pending, Player, Stage, differs};
use crate::Instant;
use crate::script::ast::{SystemCall, Value};
use crate::script::host::ScriptHost;
use crate::script::notation::{result_text, time_text};
use crate::script::report::Difference;
use crate::sockets::constants::message;
use crate::sockets::{Call, Descriptor, EpollChange, Errno, Outcome, PollEntry, Shutdown};

/// Nothing that a script calls gets more bytes.
const MOST_BYTES: i64 = 16 << 20;

impl<H: ScriptHost> Player<H> {
    pub(super) fn make(
        &mut self,
        call: &SystemCall,
        end: Option<Instant>,
        tolerance: i64,
        line: usize,
    ) -> Result<(), Difference> {
        let prepared = match self.prepare(call) {
            Ok(prepared) => prepared,
            Err(problem) => return differs(problem, call.name.as_str(), "nothing"),
        };
        match prepared {
            Prepared::Done(outcome) => self.compare(call, outcome),
            Prepared::Checked(result) => result,
            Prepared::Waits(mut waits) => match self.sockets.attempt(&mut waits) {
                Some(outcome) => {
                    if let Some(end) = end.filter(|end| {
                        *end > self.sockets.now() + Duration::from_micros(tolerance.unsigned_abs())
                    }) {
                        return differs(
                            "the call returned at once",
                            time_text(Self::micros(end)),
                            time_text(Self::micros(self.sockets.now())),
                        );
                    }
                    self.compare(call, outcome)
                }
                None if end.is_none() => differs("the call blocks", result_text(call), "nothing"),
                None if self.pending.is_some() => {
                    differs("another call blocks already", "one at a time", call.name.as_str())
                }
                None => {
                    self.pending =
                        Some(Pending { call: waits, expected: call.clone(), end, tolerance, line });
                    Ok(())
                }
            },
        }
    }

    fn prepare(&mut self, call: &SystemCall) -> Result<Prepared, String> {
        let arguments = &call.arguments;
        let number = |place: usize| match arguments.get(place) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(format!("argument {} of {} should be a number", place + 1, call.name)),
        };
        let int = |place: usize| number(place).map(|number| number as i32);
        let bytes = |place: usize| {
            number(place).and_then(|count| {
                let fits = (0..=MOST_BYTES).contains(&count);
                if fits { Ok(count as usize) } else { Err(format!("{count} bytes are not played")) }
            })
        };
        let is_null = |place: usize| matches!(arguments.get(place), Some(Value::Number(0)));
        let name = call.name.as_str();
        let descriptor = match name {
            "socket" | "epoll_create" | "poll" => 0,
            _ => self.descriptors.get(&number(0)?).copied().unwrap_or(-1),
        };
        let done = |result: Result<(), Errno>| Prepared::Done(result.map(|()| Outcome::Done));
        let taken = |result: Result<usize, Errno>| Prepared::Done(result.map(Outcome::Taken));
        let faulty = |place: usize, count: usize| is_null(place) && count > 0;
        Ok(match name {
            "socket" => Prepared::Checked(self.opened(call, ScriptHost::socket)),
            "epoll_create" => Prepared::Checked(self.opened(call, ScriptHost::epoll_create)),
            "bind" => {
                let local = SocketAddr::new(self.flow.local.ip(), PORT);
                done(self.sockets.bind(descriptor, local))
            }
            "listen" => {
                self.stage = Stage::Listening;
                done(self.sockets.listen(descriptor, int(1)?))
            }
            "accept" => Prepared::Waits(Call::Accept { descriptor }),
            "connect" => {
                self.begin_connecting(descriptor);
                Prepared::Waits(Call::Connect { descriptor, remote: self.server(), begun: false })
            }
            "read" | "recv" | "recvfrom" => {
                let length = bytes(2)?;
                let flags = if name == "read" { 0 } else { int(3)? };
                if faulty(1, length) {
                    taken(Err(Errno::BadAddress))
                } else {
                    Prepared::Waits(Call::Receive { descriptor, length, flags })
                }
            }
            "write" | "send" | "sendto" => {
                let length = bytes(2)?;
                let flags = if name == "write" { 0 } else { int(3)? };
                if faulty(1, length) {
                    taken(Err(Errno::BadAddress))
                } else {
                    let unspecified = name == "sendto" && is_null(4);
                    self.sending(descriptor, length, flags, unspecified)
                }
            }
            "readv" | "recvmsg" => {
                let message = arguments.get(1).ok_or("a message is missing")?;
                let flags = if name == "readv" { 0 } else { int(2)? };
                if flags & message::MSG_ERRQUEUE != 0 {
                    return Ok(Prepared::Checked(self.take_errors(descriptor, call, message)));
                }
                Prepared::Waits(Call::Receive { descriptor, length: vector_length(message)?, flags })
            }
            "writev" | "sendmsg" => {
                let message = arguments.get(1).ok_or("a message is missing")?;
                let flags = if name == "writev" { 0 } else { int(2)? };
                self.sending(descriptor, vector_length(message)?, flags, false)
            }
            "fcntl" => match (number(1)?, arguments.get(2)) {
                (3, _) => {
                    let flags = if self.sockets.is_blocking(descriptor) { 2 } else { 0o4002 };
                    taken(Ok(flags))
                }
                (4, Some(Value::Number(flags))) => {
                    done(self.sockets.set_nonblocking(descriptor, flags & 0o4000 != 0))
                }
                _ => return Err("of fcntl there is F_GETFL and F_SETFL".into()),
            },
            "ioctl" => {
                let count = match number(1)? {
                    0x541b => self.sockets.unread(descriptor),
                    0x5411 => self.sockets.unacknowledged(descriptor),
                    _ => return Err("of ioctl there is SIOCINQ and SIOCOUTQ".into()),
                };
                let wanted = arguments.get(2).and_then(single);
                Prepared::Checked(match (count, wanted) {
                    (Ok(count), Some(wanted)) if i64::from(count) != wanted => {
                        differs("another number of bytes", wanted.to_string(), count.to_string())
                    }
                    (Ok(_), _) => self.compare(call, Ok(Outcome::Done)),
                    (Err(errno), _) => self.compare(call, Err(errno)),
                })
            }
            "close" => done(self.sockets.close(descriptor)),
            "shutdown" => done(match int(1)? {
                0 => self.sockets.shutdown(descriptor, Shutdown::Read),
                1 => self.sockets.shutdown(descriptor, Shutdown::Write),
                _ => self.sockets.shutdown(descriptor, Shutdown::Both),
            }),
            "setsockopt" => {
                let value = arguments.get(3).map(option_bytes).unwrap_or_default();
                let length = value.len().min(bytes(4)?);
                done(self.sockets.set_option(descriptor, int(1)?, int(2)?, &value[..length]))
            }
            "getsockopt" => {
                let value = self.sockets.option(descriptor, int(1)?, int(2)?);
                let wanted = arguments.get(3).map(option_bytes).unwrap_or_default();
                Prepared::Checked(match value {
                    Ok(value) if value != wanted => {
                        differs("another value", format!("{wanted:?}"), format!("{value:?}"))
                    }
                    Ok(_) => self.compare(call, Ok(Outcome::Done)),
                    Err(errno) => self.compare(call, Err(errno)),
                })
            }
            "poll" => {
                let Some(Value::List(list)) = arguments.first() else {
                    return Err("poll wants a list".into());
                };
                let entries = list
                    .iter()
                    .map(|entry| {
                        let fd = field(entry, "fd").ok_or("fd is missing")?;
                        let descriptor = self.descriptors.get(&fd).copied().unwrap_or(-1);
                        Ok(PollEntry { descriptor, events: field(entry, "events").unwrap_or(0) as u32 })
                    })
                    .collect::<Result<_, String>>()?;
                Prepared::Waits(Call::Poll { entries, deadline: self.deadline(number(2)?) })
            }
            "epoll_ctl" => {
                let change = match int(1)? {
                    1 => EpollChange::Add,
                    2 => EpollChange::Delete,
                    _ => EpollChange::Modify,
                };
                let watched = self.descriptors.get(&number(2)?).copied().unwrap_or(-1);
                let events = arguments.get(3).and_then(|event| field(event, "events")).unwrap_or(0) as u32;
                let data = number(2)?.cast_unsigned();
                done(self.sockets.epoll_change(descriptor, change, watched, events, data))
            }
            "epoll_wait" => {
                let count = arguments.len();
                let (most, timeout) = (bytes(count.saturating_sub(2))?, number(count.saturating_sub(1))?);
                Prepared::Waits(Call::EpollWait { descriptor, most, deadline: self.deadline(timeout) })
            }
            other => return Err(format!("{other} is a call that is not played here")),
        })
    }

    fn deadline(&self, milliseconds: i64) -> Option<Instant> {
        let milliseconds = u64::try_from(milliseconds).ok()?;
        Some(self.sockets.now() + Duration::from_millis(milliseconds))
    }

    fn server(&self) -> SocketAddr {
        SocketAddr::new(self.flow.remote.ip(), PORT)
    }

    fn begin_connecting(&mut self, descriptor: Descriptor) {
        let fresh = !self.sockets.has_connection(descriptor);
        if fresh {
            self.stage = Stage::Connecting;
            self.latest = Some(descriptor);
        }
    }

    fn sending(&mut self, descriptor: Descriptor, length: usize, flags: i32, unspecified: bool) -> Prepared {
        let opens = flags & message::MSG_FASTOPEN != 0;
        if opens && unspecified {
            return Prepared::Done(Err(Errno::NotSupported));
        }
        if !self.sockets.has_connection(descriptor) && (opens || self.stage != Stage::Listening) {
            self.begin_connecting(descriptor);
        }
        let to = opens.then(|| self.server());
        Prepared::Waits(Call::Send { descriptor, text: alloc::vec![0; length], done: 0, flags, to })
    }

    /// `recvmsg(MSG_ERRQUEUE)`: what zero-copy sends have come to.
    fn take_errors(
        &mut self,
        descriptor: Descriptor,
        call: &SystemCall,
        message: &Value,
    ) -> Result<(), Difference> {
        match self.sockets.take_zero_copied(descriptor) {
            Ok((first, last)) => {
                let wanted = deep_field(message, "ee_info").zip(deep_field(message, "ee_data"));
                if wanted != Some((first.into(), last.into())) {
                    return differs(
                        "other sends are done",
                        format!("{wanted:?}"),
                        format!("{first} to {last}"),
                    );
                }
                self.compare(call, Ok(Outcome::Done))
            }
            Err(errno) => self.compare(call, Err(errno)),
        }
    }

    fn opened(
        &mut self,
        call: &SystemCall,
        open: impl FnOnce(&mut H) -> Result<Descriptor, Errno>,
    ) -> Result<(), Difference> {
        match open(&mut self.sockets) {
            Ok(new) => {
                self.learn(call, new);
                Ok(())
            }
            Err(errno) => self.compare(call, Err(errno)),
        }
    }

    fn learn(&mut self, call: &SystemCall, new: Descriptor) {
        if let Value::Number(number) = call.result {
            self.descriptors.insert(number, new);
        }
    }

    /// Whether a call has brought what it should.
    pub(super) fn compare(
        &mut self,
        call: &SystemCall,
        outcome: Result<Outcome, Errno>,
    ) -> Result<(), Difference> {
        let (value, errno) = match &outcome {
            Ok(Outcome::Done) => (0, None),
            Ok(Outcome::Taken(count)) => ((*count).cast_signed() as i64, None),
            Ok(Outcome::Text(text)) => (text.len().cast_signed() as i64, None),
            Ok(Outcome::Accepted(new, _)) => {
                self.learn(call, *new);
                self.latest = Some(*new);
                // The number is the script's to choose.
                (if let Value::Number(number) = call.result { number.max(0) } else { 0 }, None)
            }
            Ok(Outcome::Ready(ready)) => {
                (ready.iter().filter(|ready| **ready != 0).count().cast_signed() as i64, None)
            }
            Ok(Outcome::Events(events)) => (events.len().cast_signed() as i64, None),
            Err(errno) => (-1, Some(*errno)),
        };
        let got = errno.map_or_else(|| value.to_string(), |errno| format!("-1 {errno}"));
        let as_wanted = match call.result {
            Value::Number(wanted) => wanted == value,
            _ => true,
        };
        let right_error = match (&call.errno, errno) {
            (Some(wanted), Some(errno)) => Errno::from_name(wanted) == Some(errno),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !as_wanted || !right_error {
            return differs("the call returned something else", result_text(call), got);
        }
        match outcome {
            Ok(Outcome::Ready(ready)) => {
                let Some(Value::List(list)) = call.arguments.first() else { return Ok(()) };
                for (entry, ready) in list.iter().zip(ready) {
                    let wanted = field(entry, "revents").unwrap_or(0);
                    if wanted != i64::from(ready) {
                        return differs("other events", format!("{wanted:#x}"), format!("{ready:#x}"));
                    }
                }
            }
            Ok(Outcome::Events(events)) => {
                for (entry, (ready, _)) in call.arguments.iter().skip(1).zip(events) {
                    let wanted = field(entry, "events").unwrap_or(0);
                    if wanted != i64::from(ready) {
                        return differs("other events", format!("{wanted:#x}"), format!("{ready:#x}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

enum Prepared {
    /// It has happened.
    Done(Result<Outcome, Errno>),
    /// It has happened and was as it should, or not.
    Checked(Result<(), Difference>),
    /// It may have to wait.
    Waits(Call),
}

/// `[1]`: the number in it.
fn single(value: &Value) -> Option<i64> {
    match value {
        Value::List(list) => match list.as_slice() {
            [Value::Number(number)] => Some(*number),
            _ => None,
        },
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

fn field(value: &Value, name: &str) -> Option<i64> {
    let Value::Record(fields) = value else { return None };
    fields.iter().find(|(known, _)| known == name).and_then(|(_, value)| single(value))
}

/// A field wherever it stands.
fn deep_field(value: &Value, name: &str) -> Option<i64> {
    match value {
        Value::Record(fields) => {
            field(value, name).or_else(|| fields.iter().find_map(|(_, inner)| deep_field(inner, name)))
        }
        Value::List(list) => list.iter().find_map(|inner| deep_field(inner, name)),
        _ => None,
    }
}

fn option_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone(),
        Value::Record(fields) => {
            fields.iter().flat_map(|(_, value)| (single(value).unwrap_or(0) as i32).to_ne_bytes()).collect()
        }
        value => (single(value).unwrap_or(0) as i32).to_ne_bytes().to_vec(),
    }
}

/// The bytes that the vectors of a message have in all.
fn vector_length(message: &Value) -> Result<usize, String> {
    let list = match message {
        Value::Record(fields) => fields.iter().find(|(name, _)| name == "msg_iov").map(|(_, value)| value),
        other => Some(other),
    };
    let Some(Value::List(list)) = list else { return Err("msg_iov is missing".into()) };
    let mut total = 0_i64;
    for vector in list {
        let Value::Record(fields) = vector else { return Err("a vector is {..., LENGTH}".into()) };
        total = total.saturating_add(fields.last().and_then(|(_, value)| single(value)).unwrap_or(0).max(0));
    }
    if total > MOST_BYTES {
        return Err(format!("{total} bytes are not played"));
    }
    Ok(total as usize)
}
