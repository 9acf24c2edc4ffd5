//! What somebody who looks at the host sees: a row for each socket, as `ss` and `netstat` show them.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Kind, Sockets};
use crate::connection::RunningTimer;
use crate::{Connection, FourTuple, Instant, State};

/// A socket as it is seen from outside. Queues count as Linux counts them: a FIN is one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// The two sockets; the remote one is unspecified where there is none.
    pub pair: FourTuple,
    /// The state; CLOSED for one that is only bound.
    pub state: State,
    /// Bytes received that the program has not read, the end of file counted; of a listener, connections that wait.
    pub receive_queue: u32,
    /// Bytes written that are not acknowledged, SYN and FIN counted; of a listener, how many may wait.
    pub send_queue: u32,
    /// The timer that runs, and when it expires.
    pub timer: Option<(RunningTimer, Instant)>,
    /// How often it has expired without an answer.
    pub retransmits: u8,
    /// Whether a program has a descriptor for it.
    pub owned: bool,
}

impl Sockets {
    /// All sockets of the host, in no order. Those that no program has any more are among them, and those that were
    /// made and not even bound are not.
    pub fn rows(&self) -> Vec<SocketRow> {
        let demux = self.demux();
        let plain = |pair, state| SocketRow {
            pair,
            state,
            receive_queue: 0,
            send_queue: 0,
            timer: None,
            retransmits: 0,
            owned: false,
        };
        let mut rows = Vec::new();
        for (_, listener) in demux.listeners() {
            rows.push(SocketRow {
                receive_queue: listener.waiting() as u32,
                // The queue holds one more than it was told (see `listen`).
                send_queue: listener.options().backlog.saturating_sub(1),
                owned: true,
                ..plain(local_only(listener.local()), State::Listen)
            });
            rows.extend(listener.half_open_connections().map(|(pair, retransmits, deadline)| SocketRow {
                timer: deadline.map(|deadline| (RunningTimer::Retransmission, deadline)),
                retransmits,
                ..plain(pair, State::SynReceived)
            }));
        }
        let open = demux.connections().filter(|(_, connection)| connection.state() != State::Closed);
        rows.extend(open.map(|(id, connection)| SocketRow {
            owned: self.owners.contains_key(&super::number_of(id)),
            ..row_of(connection)
        }));
        rows.extend(demux.time_waits().map(|(pair, deadline)| SocketRow {
            timer: deadline.map(|deadline| (RunningTimer::State, deadline)),
            ..plain(pair, State::TimeWait)
        }));
        let bound = self.table.values().filter(|socket| socket.kind == Kind::New);
        rows.extend(
            bound
                .filter_map(|socket| socket.bound)
                .map(|local| SocketRow { owned: true, ..plain(local_only(local), State::Closed) }),
        );
        rows
    }
}

fn local_only(local: SocketAddr) -> FourTuple {
    let unspecified = if local.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    FourTuple::new(local, SocketAddr::new(unspecified, 0))
}

fn row_of(connection: &Connection) -> SocketRow {
    let info = connection.info();
    let state = connection.state();
    // A SYN that is not acknowledged counts as a byte too, unless a listener sent it: that is no socket yet.
    let syn = matches!(state, State::SynSent | State::SynReceived);
    let timer = connection.running_timer();
    SocketRow {
        pair: connection.pair(),
        state,
        receive_queue: connection.readable() + u32::from(connection.has_unread_end()),
        send_queue: connection.unacknowledged() + u32::from(connection.has_pending_fin()) + u32::from(syn),
        timer,
        retransmits: match timer {
            Some((RunningTimer::Retransmission, _)) => info.backoffs,
            Some((RunningTimer::Persist | RunningTimer::Keepalive, _)) => info.probes,
            Some((RunningTimer::State, _)) | None => 0,
        },
        owned: true,
    }
}
