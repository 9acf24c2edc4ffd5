//! Why a socket is where it is: what it waits for, who must act, and which timer ends it when.

use std::time::Duration;

use eleven_snapshot::{KernelOnly, Socket, SocketKind, TcpInfo, TimerKind};
use eleven_tcp::{State, patience};

use crate::{Evidence, Responsible, Value};

/// What one socket waits for. The sentence stands in the texts under `key`, filled with `values`.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// Key of the sentence.
    pub key: &'static str,
    /// Who must act; `None`: nobody has to.
    pub responsible: Option<Responsible>,
    /// The sysctl that ends it.
    pub sysctl: Option<&'static str>,
    /// When that is, in milliseconds from now, at the soonest.
    pub ends_ms: Option<u64>,
    /// What the sentence is filled with.
    pub values: Vec<Evidence>,
}

impl Why {
    fn new(key: &'static str, responsible: Option<Responsible>) -> Self {
        Self { key, responsible, sysctl: None, ends_ms: None, values: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.values.push(Evidence { key, value: value.into(), unit: None });
        self
    }

    fn maybe(self, key: &'static str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Ends by itself, at the soonest then.
    fn ends(mut self, sysctl: Option<&'static str>, left: Option<Duration>) -> Self {
        self.sysctl = sysctl;
        self.ends_ms = left.map(ms);
        let left = self.ends_ms.map(Value::Ms);
        self.maybe("sysctl", sysctl.map(Value::from)).maybe("ends", left)
    }
}

const LOCAL: Option<Responsible> = Some(Responsible::LocalProgram);
const PEER: Option<Responsible> = Some(Responsible::Peer);
const NETWORK: Option<Responsible> = Some(Responsible::Network);

/// What a socket waits for, as far as its row tells; `sysctl` knows the values of its namespace by name.
pub fn why(socket: &Socket, sysctl: &dyn Fn(&str) -> Option<u64>) -> Why {
    let timer = socket.timer;
    let repeats = timer.map_or(0, |timer| u64::from(timer.retransmits));
    let next = timer.map(|timer| Duration::from_millis(timer.expires_ms));
    let is = |kind| timer.is_some_and(|timer| timer.kind == kind);
    let unread = u64::from(socket.recv_queue.unwrap_or(0));
    let unsent = u64::from(socket.send_queue.unwrap_or(0));
    let held = !socket.owners.is_empty() || socket.inode.is_some_and(|inode| inode != 0);
    match socket.state {
        State::Closed if socket.kind == SocketKind::Bound => Why::new("bound", LOCAL),
        State::Closed => Why::new("closed", None),
        State::Listen => {
            let (queue, limit) = (socket.backlog.unwrap_or(0), socket.backlog_limit.unwrap_or(0));
            let full = queue >= limit.max(1);
            Why::new(if full { "listen-full" } else { "listen" }, if full { LOCAL } else { None })
                .with("queue", u64::from(queue))
                .with("limit", u64::from(limit))
        }
        State::SynSent => {
            let name = "net.ipv4.tcp_syn_retries";
            let linear = sysctl("net.ipv4.tcp_syn_linear_timeouts").unwrap_or(0);
            let left =
                sysctl(name).zip(next).map(|(retries, next)| next + syns_left(repeats, retries, linear));
            Why::new("syn-sent", NETWORK).with("repeats", repeats).ends(Some(name), left)
        }
        State::SynReceived if socket.kind == SocketKind::Request => {
            let name = "net.ipv4.tcp_synack_retries";
            let left = sysctl(name).zip(next).map(|(retries, next)| next + syns_left(repeats, retries, 0));
            Why::new("syn-recv", PEER).with("repeats", repeats).ends(Some(name), left)
        }
        State::SynReceived => Why::new("syn-recv-full", PEER),
        State::Established if socket.no_owner == Some(KernelOnly::NotAccepted) => {
            Why::new("not-accepted", LOCAL)
        }
        State::Established if is(TimerKind::Persist) => window(socket, unsent, next),
        State::Established if repeats > 0 && unsent > 0 => {
            unacknowledged("unanswered", socket, true, sysctl).with("bytes", unsent).with("repeats", repeats)
        }
        State::Established if unread > 0 => Why::new("unread", LOCAL).with("bytes", unread),
        State::Established if unsent > 0 => Why::new("on-its-way", None).with("bytes", unsent),
        State::Established => idle(socket, next.filter(|_| is(TimerKind::Keepalive)), sysctl),
        State::FinWait1 | State::Closing | State::LastAck if is(TimerKind::Persist) => {
            window(socket, unsent, next)
        }
        State::FinWait1 => unacknowledged("fin-wait1", socket, held, sysctl).with("repeats", repeats),
        State::Closing => unacknowledged("closing", socket, held, sysctl).with("repeats", repeats),
        State::LastAck => unacknowledged("last-ack", socket, held, sysctl).with("repeats", repeats),
        State::FinWait2 if held => Why::new("fin-wait2-held", PEER),
        State::FinWait2 => Why::new("fin-wait2", PEER).ends(Some("net.ipv4.tcp_fin_timeout"), next),
        State::CloseWait => {
            let key = match unread {
                0 => "close-wait-read",
                1 => "close-wait-end",
                _ => "close-wait-data",
            };
            Why::new(key, LOCAL).with("bytes", unread.saturating_sub(1))
        }
        State::TimeWait => Why::new("time-wait", None).ends(None, next),
    }
}

fn window(socket: &Socket, unsent: u64, next: Option<Duration>) -> Why {
    let key = if socket.state == State::Established { "window" } else { "window-closing" };
    Why::new(key, PEER).with("bytes", unsent).maybe("next", next.map(|next| Value::Ms(ms(next))))
}

/// Something that is sent again and again until it is acknowledged, or given up.
fn unacknowledged(
    key: &'static str,
    socket: &Socket,
    held: bool,
    sysctl: &dyn Fn(&str) -> Option<u64>,
) -> Why {
    let name = if held { "net.ipv4.tcp_retries2" } else { "net.ipv4.tcp_orphan_retries" };
    // Of orphans 0 acts as 8 (tcp_orphan_retries in net/ipv4/tcp_timer.c).
    let retries = sysctl(name).map(|retries| if !held && retries == 0 { 8 } else { retries });
    let total = retries.map(|retries| patience::unacknowledged(u32::try_from(retries).unwrap_or(u32::MAX)));
    // As long as nothing came back.
    let gone = field(socket, "tcpi_last_ack_recv").map(Duration::from_millis).unwrap_or_default();
    let next = socket.timer.map(|timer| Duration::from_millis(timer.expires_ms)).unwrap_or_default();
    Why::new(key, PEER).ends(Some(name), total.map(|total| total.saturating_sub(gone).max(next)))
}

fn idle(socket: &Socket, asks: Option<Duration>, sysctl: &dyn Fn(&str) -> Option<u64>) -> Why {
    let silent = field(socket, "tcpi_last_data_recv")
        .zip(field(socket, "tcpi_last_data_sent"))
        .map(|(received, sent)| received.min(sent));
    let on = asks.is_some() || socket.keepalive.is_some_and(|keepalive| keepalive.enabled);
    let why = Why::new(if on { "idle-keepalive" } else { "idle" }, None)
        .maybe("idle", silent.map(Value::Ms))
        .maybe("next", asks.map(|asks| Value::Ms(ms(asks))));
    if !on {
        return why;
    }
    let own = |of: fn(&eleven_snapshot::Keepalive) -> Option<u32>| {
        socket.keepalive.as_ref().and_then(of).map(u64::from)
    };
    let interval = own(|keepalive| keepalive.interval_s).or_else(|| sysctl("net.ipv4.tcp_keepalive_intvl"));
    let probes = own(|keepalive| keepalive.probes).or_else(|| sysctl("net.ipv4.tcp_keepalive_probes"));
    // If the peer is gone: the first question, and all the others.
    let left = asks.zip(interval).zip(probes).map(|((asks, interval), probes)| {
        asks.saturating_add(Duration::from_secs(interval.saturating_mul(probes)))
    });
    why.ends(None, left)
}

/// From the next repeat of a SYN or SYN+ACK until the last is given up: a second between the first few, then doubling.
fn syns_left(repeated: u64, retries: u64, linear: u64) -> Duration {
    let all = retries.saturating_add(linear).min(255);
    let wait = |repeats: u64| {
        Duration::from_secs(1 << repeats.saturating_sub(linear).min(7)).min(Duration::from_secs(120))
    };
    (repeated + 1..=all).map(wait).sum()
}

fn field(socket: &Socket, name: &str) -> Option<u64> {
    let field = TcpInfo::fields().iter().find(|field| field.name == name)?;
    socket.tcp_info.as_ref()?.value(field)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use eleven_snapshot::{Owner, Timer};

    use super::*;

    fn defaults(name: &str) -> Option<u64> {
        Some(match name {
            "net.ipv4.tcp_syn_retries" => 6,
            "net.ipv4.tcp_syn_linear_timeouts" => 4,
            "net.ipv4.tcp_synack_retries" => 5,
            "net.ipv4.tcp_retries2" => 15,
            "net.ipv4.tcp_orphan_retries" => 0,
            "net.ipv4.tcp_keepalive_intvl" => 75,
            "net.ipv4.tcp_keepalive_probes" => 9,
            _ => return None,
        })
    }

    fn socket(state: State, timer: Option<(TimerKind, u64, u8)>) -> Socket {
        let mut socket = Socket::new(state);
        socket.timer = timer.map(|(kind, expires_ms, retransmits)| Timer { kind, expires_ms, retransmits });
        socket.recv_queue = Some(0);
        socket.send_queue = Some(0);
        socket.owners = vec![Owner { pid: 7, process: "orders".into(), fd: 3 }];
        socket
    }

    #[test]
    fn the_end_is_foretold() {
        let ends = |socket: &Socket| why(socket, &defaults).ends_ms;
        // A SYN that was just sent: 131 s in all with the defaults.
        assert_eq!(ends(&socket(State::SynSent, Some((TimerKind::Retransmit, 1_000, 0)))), Some(131_000));
        let mut request = socket(State::SynReceived, Some((TimerKind::Retransmit, 1_000, 0)));
        request.kind = SocketKind::Request;
        assert_eq!(ends(&request), Some(63_000));
        let mut sending = socket(State::Established, Some((TimerKind::Retransmit, 400, 1)));
        sending.send_queue = Some(10);
        assert_eq!(ends(&sending), Some(924_600));
        let mut orphan = socket(State::LastAck, Some((TimerKind::Retransmit, 400, 1)));
        orphan.owners.clear();
        let why_orphan = why(&orphan, &defaults);
        assert_eq!(
            (why_orphan.sysctl, why_orphan.ends_ms),
            (Some("net.ipv4.tcp_orphan_retries"), Some(102_200))
        );
        assert_eq!(ends(&socket(State::TimeWait, Some((TimerKind::TimeWait, 12_345, 0)))), Some(12_345));
        let idle = socket(State::Established, Some((TimerKind::Keepalive, 7_200_000, 0)));
        assert_eq!(ends(&idle), Some((2 * 3_600 + 11 * 60 + 15) * 1_000));
        assert_eq!(ends(&socket(State::CloseWait, None)), None, "nothing ends it");
    }

    #[test]
    fn who_must_act_is_named() {
        let told = |socket: &Socket| {
            let why = why(socket, &defaults);
            (why.key, why.responsible)
        };
        let mut reading = socket(State::Established, None);
        reading.recv_queue = Some(5);
        assert_eq!(told(&reading), ("unread", LOCAL));
        assert_eq!(told(&socket(State::Established, Some((TimerKind::Persist, 100, 3)))), ("window", PEER));
        assert_eq!(told(&socket(State::Established, None)), ("idle", None));
        assert_eq!(told(&socket(State::CloseWait, None)), ("close-wait-read", LOCAL));
        assert_eq!(told(&socket(State::FinWait2, None)), ("fin-wait2-held", PEER));
    }
}
