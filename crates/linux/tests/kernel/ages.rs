//! A bound of an age must hold: no socket is older than that.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use eleven_tcp::{State, StateSet};
use eleven_testbed::sockets::{address, listen};
use eleven_testbed::wire::{HERE, NOWHERE, Wire};
use eleven_testbed::{or_skip, wait_for};

use crate::support::gallery::Gallery;
use crate::support::rows::bare;
use crate::support::segment;

/// The kernel's clocks for this tick every 10 ms at the coarsest.
const TICK: Duration = Duration::from_millis(10);

#[test]
fn no_row_claims_to_be_older_than_the_test() {
    let Some(gallery) = Gallery::open() else { return };
    let mut known = 0;
    for (rows, elapsed) in
        [(&gallery.rows, gallery.elapsed), (&gallery.rows_of_proc, gallery.elapsed_of_proc)]
    {
        for row in rows {
            let Some(age) = row.age() else { continue };
            assert!(Duration::from_millis(age.ms) <= elapsed + TICK, "{elapsed:?} at most: {row:?}");
            assert!(age.is_lower_bound);
            known += 1;
        }
    }
    assert!(known > 0);
}

#[test]
fn repeated_syns_do_not_make_a_request_older() {
    let wire = or_skip!(Wire::new());
    wire.here.run(|| {
        let listener = listen(SocketAddr::from((HERE, 0)), 5);
        let target = SocketAddrV4::new(HERE, address(&listener).port());
        let begin = Instant::now();
        // Each repetition is answered, and each answer counts as one.
        let (row, elapsed) = wait_for("three answers to a repeated SYN", || {
            wire.there.run(|| segment::send_syn(SocketAddrV4::new(NOWHERE, 4000), target));
            let rows = bare(StateSet::EMPTY.with(State::SynReceived));
            let elapsed = begin.elapsed();
            match rows.first() {
                Some(row) if row.timer.is_some_and(|timer| timer.retransmits >= 3) => {
                    Ok((row.clone(), elapsed))
                }
                _ => Err(rows),
            }
        });
        let age = Duration::from_millis(row.age_ms.expect("its timer runs"));
        assert!(age <= elapsed + TICK, "{age:?} claimed after {elapsed:?}: {row:?}");
    });
}

#[test]
fn a_simultaneous_open_is_not_as_old_as_the_host() {
    let wire = or_skip!(Wire::new());
    wire.here.run(|| {
        let begin = Instant::now();
        // A socket that connects to itself opens from both sides at once.
        let both =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        both.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        both.connect(&address(&both).into()).expect("it answers itself");
        let rows = bare(StateSet::EMPTY.with(State::Established));
        let elapsed = begin.elapsed();
        let age = Duration::from_millis(rows[0].age_ms.expect("its clock of sent data is set"));
        assert!(age <= elapsed + TICK, "{age:?} claimed after {elapsed:?}: {:?}", rows[0]);
    });
}
