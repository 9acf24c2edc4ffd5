//! `setsockopt()` and `getsockopt()`.

use alloc::vec::Vec;
use core::time::Duration;

use super::constants::{level, socket as so, tcp};
use super::{Descriptor, Errno, Kind, Sockets};
use crate::policy::{CongestionAlgorithm, FastOpenSecret, Keepalive};
use crate::{Connection, Policy, State};

fn number(value: &[u8]) -> Result<i32, Errno> {
    value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::Invalid)
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

impl Sockets {
    /// `setsockopt()`, with the numbers and values of Linux.
    ///
    /// # Errors
    /// If the descriptor is none, the option unknown or the value makes no sense.
    pub fn set_option(
        &mut self,
        descriptor: Descriptor,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        self.socket_of(descriptor)?;
        match level {
            level::SOCKET => self.set_socket_option(descriptor, name, value),
            level::TCP => self.set_tcp_option(descriptor, name, value),
            level::IP | level::IPV6 => self.keep_option(descriptor, level, name, value),
            _ => Err(Errno::NoSuchOption),
        }
    }

    /// An option that changes nothing here.
    fn keep_option(
        &mut self,
        descriptor: Descriptor,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        self.socket_mut(descriptor)?.choices.plain.insert((level, name), value.to_vec());
        Ok(())
    }

    fn set_socket_option(&mut self, descriptor: Descriptor, name: i32, value: &[u8]) -> Result<(), Errno> {
        match name {
            so::SO_SNDBUF | so::SO_SNDBUFFORCE => {
                let size = number(value)?.max(2_304) as u32;
                let socket = self.socket_mut(descriptor)?;
                socket.policy.send_buffer = size.saturating_mul(2);
                Ok(())
            }
            so::SO_RCVBUF | so::SO_RCVBUFFORCE => {
                let size = number(value)?.max(1_152) as u32;
                self.socket_mut(descriptor)?.choices.receive_buffer = Some(size);
                self.change_policy(descriptor, |policy| {
                    policy.receive_buffer = size;
                    policy.receive_buffer_max = size;
                })
            }
            so::SO_LINGER => {
                let (on, time) = (number(value)?, number(value.get(4..).unwrap_or_default())?);
                self.socket_mut(descriptor)?.choices.linger = (on != 0).then(|| seconds(time));
                Ok(())
            }
            so::SO_KEEPALIVE => {
                let on = number(value)? != 0;
                self.socket_mut(descriptor)?.choices.keepalive = on;
                self.change_policy(descriptor, |policy| {
                    policy.keepalive.get_or_insert(Keepalive::DEFAULT);
                })?;
                let now = self.now();
                self.with_connection(descriptor, |connection| connection.set_keepalive(now, on));
                Ok(())
            }
            so::SO_ZEROCOPY => {
                self.socket_mut(descriptor)?.choices.zero_copy = number(value)? != 0;
                Ok(())
            }
            so::SO_ERROR => Err(Errno::NoSuchOption),
            _ => self.keep_option(descriptor, level::SOCKET, name, value),
        }
    }

    fn set_tcp_option(&mut self, descriptor: Descriptor, name: i32, value: &[u8]) -> Result<(), Errno> {
        match name {
            tcp::TCP_CONGESTION => {
                let algorithm = match value.split(|byte| *byte == 0).next() {
                    Some(b"reno") => CongestionAlgorithm::NewReno,
                    Some(b"cubic") => CongestionAlgorithm::Cubic,
                    _ => return Err(Errno::Invalid),
                };
                return self.change_policy(descriptor, |policy| policy.congestion = algorithm);
            }
            tcp::TCP_FASTOPEN_KEY => {
                let key = value.first_chunk::<16>().filter(|_| matches!(value.len(), 16 | 32));
                let secret = FastOpenSecret(*key.ok_or(Errno::Invalid)?);
                return self.change_policy(descriptor, |policy| policy.fast_open.secret = Some(secret));
            }
            _ => {}
        }
        let number = number(value)?;
        let on = number != 0;
        match name {
            tcp::TCP_NODELAY => {
                self.change_policy(descriptor, |policy| policy.nagle = !on)?;
                if on {
                    self.with_connection(descriptor, Connection::push);
                }
                Ok(())
            }
            tcp::TCP_CORK => {
                self.socket_mut(descriptor)?.choices.cork = on;
                self.with_connection(descriptor, |connection| connection.set_cork(on));
                Ok(())
            }
            tcp::TCP_MAXSEG => {
                if !(88..=32_767).contains(&number) {
                    return Err(Errno::Invalid);
                }
                self.change_policy(descriptor, |policy| policy.mss = Some(number as u16))
            }
            tcp::TCP_KEEPIDLE | tcp::TCP_KEEPINTVL | tcp::TCP_KEEPCNT => {
                if number < 1 {
                    return Err(Errno::Invalid);
                }
                self.change_policy(descriptor, |policy| {
                    let keepalive = policy.keepalive.get_or_insert(Keepalive::DEFAULT);
                    match name {
                        tcp::TCP_KEEPIDLE => keepalive.time = seconds(number),
                        tcp::TCP_KEEPINTVL => keepalive.interval = seconds(number),
                        _ => keepalive.probes = number.min(255) as u8,
                    }
                })?;
                let (now, on) = (self.now(), self.socket_of(descriptor)?.choices.keepalive);
                self.with_connection(descriptor, |connection| connection.set_keepalive(now, on));
                Ok(())
            }
            tcp::TCP_SYNCNT => {
                if !(1..=127).contains(&number) {
                    return Err(Errno::Invalid);
                }
                // So many, then, and none at a steady pace.
                self.change_policy(descriptor, |policy| {
                    policy.syn_retries = number as u8;
                    policy.syn_linear_timeouts = 0;
                })
            }
            tcp::TCP_DEFER_ACCEPT => {
                self.socket_mut(descriptor)?.choices.defer_accept = (number > 0).then(|| seconds(number));
                self.change_policy(descriptor, |_| {})
            }
            tcp::TCP_USER_TIMEOUT => {
                let timeout = u64::try_from(number).map_err(|_| Errno::Invalid)?;
                self.change_policy(descriptor, |policy| {
                    policy.user_timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
                })
            }
            tcp::TCP_FASTOPEN => {
                let most = u32::try_from(number).map_err(|_| Errno::Invalid)?;
                self.socket_mut(descriptor)?.choices.fast_open = Some(most);
                self.change_policy(descriptor, |_| {})
            }
            tcp::TCP_FASTOPEN_CONNECT => {
                if self.settings.fast_open & 1 == 0 {
                    return Err(Errno::NotSupported);
                }
                let socket = self.socket_mut(descriptor)?;
                if socket.kind != Kind::New {
                    return Err(Errno::Invalid);
                }
                socket.choices.fast_open_connect = on;
                Ok(())
            }
            tcp::TCP_FASTOPEN_NO_COOKIE => {
                self.socket_mut(descriptor)?.choices.fast_open_no_cookie = on;
                self.change_policy(descriptor, |policy| policy.fast_open.server_without_cookie = on)
            }
            tcp::TCP_NOTSENT_LOWAT => {
                self.socket_mut(descriptor)?.choices.unsent_low = number as u32;
                Ok(())
            }
            tcp::TCP_INQ => {
                self.socket_mut(descriptor)?.choices.tell_unread = on;
                Ok(())
            }
            _ => self.keep_option(descriptor, level::TCP, name, value),
        }
    }

    /// Changes the choices of a socket: those of its connection or listener too, if there is one.
    fn change_policy(&mut self, descriptor: Descriptor, change: impl Fn(&mut Policy)) -> Result<(), Errno> {
        let socket = self.socket_mut(descriptor)?;
        change(&mut socket.policy);
        match socket.kind {
            Kind::New | Kind::Deferred(_) => {}
            Kind::Listening(id) => {
                let (policy, choices) = (super::opening::of_listener(socket), socket.choices.clone());
                self.demux.change_listener(id, &policy, |options| {
                    options.fast_open = choices.fast_open.or(options.fast_open);
                    options.defer_accept = choices.defer_accept;
                });
            }
            Kind::Connection(_) => {
                self.with_connection(descriptor, |connection| change(connection.policy_mut()))
            }
        }
        Ok(())
    }

    pub(super) fn with_connection(&mut self, descriptor: Descriptor, act: impl FnOnce(&mut Connection)) {
        if let Some(Kind::Connection(id)) = self.table.get(&descriptor).map(|socket| socket.kind) {
            let _ = self.demux.call(id, |connection| {
                act(connection);
                Ok(())
            });
            self.work();
        }
    }

    /// `getsockopt()`, with the numbers and values of Linux.
    ///
    /// # Errors
    /// If the descriptor is none, or the option unknown.
    pub fn option(&mut self, descriptor: Descriptor, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        let info = self.connection_of(descriptor).map(Connection::info);
        let socket = self.socket_mut(descriptor)?;
        let policy = &socket.policy;
        let keepalive = policy.keepalive.unwrap_or(Keepalive::DEFAULT);
        let number = match (level, name) {
            (level::SOCKET, so::SO_ERROR) => socket.error.take().map_or(0, Errno::number),
            // Linux keeps as much again for its own books.
            (level::SOCKET, so::SO_SNDBUF) => policy.send_buffer.cast_signed(),
            (level::SOCKET, so::SO_RCVBUF) => {
                socket.choices.receive_buffer.map_or(policy.receive_buffer, |size| size * 2).cast_signed()
            }
            (level::SOCKET, so::SO_KEEPALIVE) => socket.choices.keepalive.into(),
            (level::SOCKET, so::SO_ZEROCOPY) => socket.choices.zero_copy.into(),
            (level::SOCKET, so::SO_LINGER) => {
                let linger = socket.choices.linger;
                let time = linger.map_or(0, |time| time.as_secs() as i32);
                let mut value = i32::from(linger.is_some()).to_ne_bytes().to_vec();
                value.extend_from_slice(&time.to_ne_bytes());
                return Ok(value);
            }
            (level::TCP, tcp::TCP_INFO) => {
                return self.tcp_info(descriptor).map(|info| info.to_bytes());
            }
            // The congestion controls have nothing more to tell.
            (level::TCP, tcp::TCP_CC_INFO) => return Ok(Vec::new()),
            (level::SOCKET, so::SO_MEMINFO) => return Ok(alloc::vec![0; 36]),
            (level::TCP, tcp::TCP_NODELAY) => (!policy.nagle).into(),
            (level::TCP, tcp::TCP_CORK) => socket.choices.cork.into(),
            (level::TCP, tcp::TCP_MAXSEG) => match info {
                Some(info) if info.state != State::Closed => i32::from(info.send_mss),
                _ => i32::from(policy.mss.unwrap_or(536)),
            },
            (level::TCP, tcp::TCP_KEEPIDLE) => keepalive.time.as_secs() as i32,
            (level::TCP, tcp::TCP_KEEPINTVL) => keepalive.interval.as_secs() as i32,
            (level::TCP, tcp::TCP_KEEPCNT) => keepalive.probes.into(),
            (level::TCP, tcp::TCP_SYNCNT) => policy.syn_retries.into(),
            (level::TCP, tcp::TCP_DEFER_ACCEPT) => {
                socket.choices.defer_accept.map_or(0, |time| time.as_secs() as i32)
            }
            (level::TCP, tcp::TCP_USER_TIMEOUT) => {
                policy.user_timeout.map_or(0, |timeout| timeout.as_millis() as i32)
            }
            (level::TCP, tcp::TCP_FASTOPEN) => socket.choices.fast_open.unwrap_or(0).cast_signed(),
            (level::TCP, tcp::TCP_FASTOPEN_CONNECT) => socket.choices.fast_open_connect.into(),
            (level::TCP, tcp::TCP_FASTOPEN_NO_COOKIE) => socket.choices.fast_open_no_cookie.into(),
            (level::TCP, tcp::TCP_FASTOPEN_KEY) => {
                return Ok(policy.fast_open.secret.map_or_else(Vec::new, |secret| secret.0.to_vec()));
            }
            (level::TCP, tcp::TCP_CONGESTION) => {
                let mut name = alloc::vec![0; 16];
                let written: &[u8] =
                    if policy.congestion == CongestionAlgorithm::Cubic { b"cubic" } else { b"reno" };
                name[..written.len()].copy_from_slice(written);
                return Ok(name);
            }
            (level::TCP, tcp::TCP_NOTSENT_LOWAT) => socket.choices.unsent_low.cast_signed(),
            (level::TCP, tcp::TCP_INQ) => socket.choices.tell_unread.into(),
            (level, name) => {
                return socket.choices.plain.get(&(level, name)).cloned().ok_or(Errno::NoSuchOption);
            }
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
