//! State, kind, queues and timer of a socket in each of the eleven states.

use std::collections::BTreeSet;

use eleven_snapshot::{KernelOnly, Socket, SocketKind, TimerKind};
use eleven_tcp::State;

use crate::support::gallery::{Gallery, UNREAD, family_of};

fn timer(row: &Socket) -> Option<TimerKind> {
    row.timer.map(|timer| timer.kind)
}

fn queues(row: &Socket) -> (Option<u32>, Option<u32>) {
    (row.recv_queue, row.send_queue)
}

#[test]
fn all_eleven_states_and_all_kinds_are_seen() {
    let Some(gallery) = Gallery::open() else { return };
    let states: BTreeSet<State> = gallery.rows.iter().map(|row| row.state).collect();
    let kinds: BTreeSet<SocketKind> = gallery.rows.iter().map(|row| row.kind).collect();
    assert_eq!(states, BTreeSet::from(State::ALL));
    assert_eq!(kinds, BTreeSet::from(SocketKind::ALL));
}

#[test]
fn every_row_has_the_kind_the_family_and_the_identity_of_its_socket() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, witness) in gallery.witnesses() {
        let row = gallery.row(name);
        assert_eq!(row.kind, witness.kind, "{name}");
        assert_eq!(row.family, family_of(witness), "{name}");
        assert_eq!(row.inode, witness.inode, "{name}");
        assert!(row.cookie.is_some(), "{name}");
        if witness.cookie.is_some() {
            assert_eq!(row.cookie, witness.cookie, "{name}");
        }
        assert_eq!(row.netns.as_deref(), Some(&*gallery.wire.here.inode().to_string()), "{name}");
    }
}

#[test]
fn listeners_have_an_accept_queue_and_all_others_have_two_byte_queues() {
    let Some(gallery) = Gallery::open() else { return };
    for row in gallery.rows.iter().chain(&gallery.rows_of_proc) {
        let is_listener = row.state == State::Listen;
        assert_eq!(row.backlog.is_some(), is_listener, "{row:?}");
        assert_eq!(row.recv_queue.is_some(), !is_listener, "{row:?}");
        assert_eq!(row.send_queue.is_some(), !is_listener, "{row:?}");
    }
}

#[test]
fn a_listener_shows_how_many_wait_and_how_many_may() {
    let Some(gallery) = Gallery::open() else { return };
    let row = gallery.row("listener");
    assert_eq!((row.backlog, row.backlog_limit), (Some(2), Some(5)));
    assert_eq!((row.remote_port, timer(row)), (None, None));
    let row = gallery.row("on an interface");
    assert_eq!((row.backlog, row.backlog_limit), (Some(0), Some(1)));
    // The table shows only how many wait.
    let row = gallery.row_of_proc("listener");
    assert_eq!((row.backlog, row.backlog_limit), (Some(2), None));
}

#[test]
fn a_connection_waiting_for_accept_is_labelled_so_in_whatever_state_it_waits() {
    let Some(gallery) = Gallery::open() else { return };
    for name in ["not accepted 1", "not accepted 2", "not accepted of nobody", "not accepted and closed"] {
        for row in [gallery.row(name), gallery.row_of_proc(name)] {
            assert_eq!(row.no_owner, Some(KernelOnly::NotAccepted), "{name}");
            assert!(row.owners.is_empty(), "{name}");
            assert_eq!(row.inode, None, "{name}");
        }
    }
    assert_eq!(queues(gallery.row("not accepted and closed")), (Some(1), Some(0)));
}

#[test]
fn syn_sent_waits_for_one_acknowledgement_under_the_retransmission_timer() {
    let Some(gallery) = Gallery::open() else { return };
    let row = gallery.row("syn sent");
    assert_eq!(queues(row), (Some(0), Some(1)));
    assert_eq!(timer(row), Some(TimerKind::Retransmit));
    assert_eq!(row.age_ms, None);
}

#[test]
fn a_passive_open_is_a_request_and_never_a_full_socket() {
    let Some(gallery) = Gallery::open() else { return };
    for name in ["request", "request to both families"] {
        for row in [gallery.row(name), gallery.row_of_proc(name)] {
            assert_eq!(row.kind, SocketKind::Request, "{name}");
            assert_eq!(row.no_owner, Some(KernelOnly::MiniSocket), "{name}");
            assert_eq!(timer(row), Some(TimerKind::Retransmit), "{name}");
            assert_eq!(row.tcp_info, None, "{name}");
        }
    }
    let mapped = gallery.row("request to both families");
    assert_eq!(mapped.remote_address.to_string(), "::ffff:10.77.0.99");
}

#[test]
fn a_simultaneous_open_is_a_full_socket_in_syn_recv() {
    let Some(gallery) = Gallery::open() else { return };
    for row in [gallery.row("simultaneous open"), gallery.row_of_proc("simultaneous open")] {
        assert_eq!(row.kind, SocketKind::Full);
        assert_eq!(queues(row), (Some(0), Some(1)));
        assert_eq!(row.no_owner, None);
    }
}

#[test]
fn established_shows_unread_bytes_keepalive_and_tcp_info() {
    let Some(gallery) = Gallery::open() else { return };
    let row = gallery.row("established");
    assert_eq!(queues(row), (Some(UNREAD.len() as u32), Some(0)));
    assert_eq!(timer(row), Some(TimerKind::Keepalive));
    assert!(row.keepalive.is_some_and(|keepalive| keepalive.enabled));
    let info = row.tcp_info.as_ref().expect("it was asked for");
    assert_eq!(info.get("tcpi_state"), Some(1));
    assert_eq!(info.get("tcpi_bytes_received"), Some(UNREAD.len() as u64));
    let peer = gallery.row("peer of established");
    assert_eq!(queues(peer), (Some(0), Some(0)));
    assert_eq!(peer.keepalive, None);
}

#[test]
fn close_wait_holds_one_unread_end_of_file_and_runs_no_timer() {
    let Some(gallery) = Gallery::open() else { return };
    let row = gallery.row("close wait");
    assert_eq!(queues(row), (Some(1), Some(0)));
    assert_eq!(timer(row), None);
    assert_eq!(row.no_owner, None);
}

#[test]
fn an_unacknowledged_fin_is_one_byte_to_send_under_the_retransmission_timer() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, recv_queue) in [
        ("fin wait 1 held", 0),
        ("fin wait 1 closed", 0),
        ("fin wait 1 closed by nobody", 0),
        ("closing", 1),
        ("last ack held", 1),
        ("last ack closed", 1),
    ] {
        let row = gallery.row(name);
        assert_eq!(row.kind, SocketKind::Full, "{name}");
        assert_eq!(queues(row), (Some(recv_queue), Some(1)), "{name}");
        assert_eq!(timer(row), Some(TimerKind::Retransmit), "{name}");
    }
}

#[test]
fn a_closed_socket_that_still_sends_is_an_orphan_and_a_held_one_is_not() {
    let Some(gallery) = Gallery::open() else { return };
    for name in ["fin wait 1 closed", "fin wait 1 closed by nobody", "last ack closed"] {
        for row in [gallery.row(name), gallery.row_of_proc(name)] {
            assert_eq!(row.no_owner, Some(KernelOnly::Orphan), "{name}");
            assert!(row.owners.is_empty(), "{name}");
        }
    }
    for name in ["fin wait 1 held", "fin wait 2 held", "closing", "last ack held"] {
        for row in [gallery.row(name), gallery.row_of_proc(name)] {
            assert_eq!(row.no_owner, None, "{name}");
        }
    }
}

#[test]
fn fin_wait2_is_a_full_socket_without_a_timer_when_held_and_a_mini_socket_when_closed() {
    let Some(gallery) = Gallery::open() else { return };
    let held = gallery.row("fin wait 2 held");
    assert_eq!((held.kind, timer(held)), (SocketKind::Full, None));
    for row in [gallery.row("fin wait 2 closed"), gallery.row_of_proc("fin wait 2 closed")] {
        assert_eq!(row.kind, SocketKind::TimeWait);
        assert_eq!(timer(row), Some(TimerKind::TimeWait));
        // Its timer is that of tcp_fin_timeout: it says nothing about when it began.
        assert_eq!(row.age_ms, None);
    }
}

#[test]
fn time_wait_shows_how_much_of_its_minute_is_over() {
    let Some(gallery) = Gallery::open() else { return };
    for row in [gallery.row("time wait"), gallery.row_of_proc("time wait")] {
        assert_eq!(row.kind, SocketKind::TimeWait);
        let timer = row.timer.expect("it always runs");
        assert_eq!(timer.kind, TimerKind::TimeWait);
        assert_eq!(row.age_ms, Some(60_000 - timer.expires_ms));
    }
}

#[test]
fn nobody_owns_a_mini_socket() {
    let Some(gallery) = Gallery::open() else { return };
    for row in gallery.rows.iter().chain(&gallery.rows_of_proc).filter(|row| row.kind.is_mini()) {
        assert_eq!((row.uid, &row.user, row.inode), (None, &None, None), "{row:?}");
        assert!(row.owners.is_empty(), "{row:?}");
        assert_eq!(row.no_owner, Some(KernelOnly::MiniSocket), "{row:?}");
        assert_eq!((&row.cgroup, &row.container), (&None, &None), "{row:?}");
    }
}

#[test]
fn a_bound_socket_is_closed_and_belongs_to_its_program() {
    let Some(gallery) = Gallery::open() else { return };
    let row = gallery.row("bound");
    assert_eq!((row.kind, row.remote_port, timer(row)), (SocketKind::Bound, None, None));
    assert_eq!(row.no_owner, None);
    assert!(gallery.rows_of_proc.iter().all(|row| row.kind != SocketKind::Bound), "/proc cannot show it");
}

#[test]
fn an_ipv4_peer_of_an_ipv6_socket_keeps_its_mapped_address() {
    let Some(gallery) = Gallery::open() else { return };
    for row in [gallery.row("v4-mapped"), gallery.row_of_proc("v4-mapped")] {
        assert_eq!(row.local_address.to_string(), "::ffff:127.0.0.1");
        assert_eq!(row.remote_address.to_string(), "::ffff:127.0.0.1");
    }
    assert_eq!(gallery.row("established v6").local_address.to_string(), "::1");
}
