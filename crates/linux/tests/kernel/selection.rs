//! What is not asked for does not come.

use std::ops::ControlFlow;

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::Request;
use eleven_linux::{Labelling, ReaderChoice, read_sockets};
use eleven_snapshot::{Family, Socket};
use eleven_tcp::{State, StateSet};

use crate::support::gallery::Gallery;
use crate::support::rows::{bare, read};

fn identities<'a>(rows: impl IntoIterator<Item = &'a Socket>) -> Vec<(State, Option<u64>)> {
    let mut identities: Vec<_> = rows.into_iter().map(|row| (row.state, row.cookie)).collect();
    identities.sort_unstable();
    identities
}

#[test]
fn each_state_asked_for_gives_exactly_its_rows() {
    let Some(gallery) = Gallery::fresh() else { return };
    gallery.wire.here.run(|| {
        let sets: Vec<StateSet> = State::ALL
            .into_iter()
            .map(|state| StateSet::EMPTY.with(state))
            .chain([StateSet::EMPTY.with(State::Established).with(State::TimeWait), StateSet::EMPTY])
            .collect();
        let before = bare(StateSet::ALL);
        let selected: Vec<Vec<Socket>> = sets.iter().map(|states| bare(*states)).collect();
        let after = identities(&bare(StateSet::ALL));
        for (states, rows) in sets.into_iter().zip(&selected) {
            assert!(rows.iter().all(|row| states.contains(row.state)), "{states:?}");
            // What left meanwhile (TIME_WAIT ends) may or may not have been seen.
            let lasting = |row: &&Socket| after.binary_search(&(row.state, row.cookie)).is_ok();
            let expected = before.iter().filter(|row| states.contains(row.state)).filter(lasting);
            assert_eq!(identities(rows.iter().filter(lasting)), identities(expected), "{states:?}");
        }
    });
}

#[test]
fn each_family_asked_for_gives_exactly_its_rows() {
    let Some(gallery) = Gallery::open() else { return };
    gallery.wire.here.run(|| {
        let states = StateSet::EMPTY.with(State::Listen).with(State::Established);
        for choice in [ReaderChoice::Netlink, ReaderChoice::Proc] {
            let (all, _) = read(&NamespaceChoice::This, choice, states, Labelling::default());
            for family in [Family::Inet, Family::Inet6] {
                let request = Request { states, family: Some(family), ..Request::default() };
                let mut inodes = Vec::new();
                let mut keep = |row: &Socket| {
                    inodes.push((row.family, row.inode));
                    ControlFlow::Continue(())
                };
                let report =
                    read_sockets(&NamespaceChoice::This, choice, &request, Labelling::default(), &mut keep)
                        .expect("sockets can be read");
                let mut expected: Vec<_> = all
                    .iter()
                    .filter(|row| row.family == family)
                    .map(|row| (row.family, row.inode))
                    .collect();
                assert_eq!(report.end.rows, inodes.len() as u64, "{choice:?} {family:?}");
                inodes.sort_unstable();
                expected.sort_unstable();
                assert_eq!(inodes, expected, "{choice:?} {family:?}");
            }
        }
    });
}

#[test]
fn a_visitor_that_has_enough_gets_no_more() {
    let Some(gallery) = Gallery::open() else { return };
    gallery.wire.here.run(|| {
        for choice in [ReaderChoice::Netlink, ReaderChoice::Proc] {
            let mut rows = 0;
            let request = Request { states: StateSet::EMPTY.with(State::Listen), ..Request::default() };
            let mut stop = |_: &Socket| {
                rows += 1;
                ControlFlow::Break(())
            };
            let report =
                read_sockets(&NamespaceChoice::This, choice, &request, Labelling::default(), &mut stop)
                    .expect("sockets can be read");
            assert!(report.end.stopped, "{choice:?}");
            assert_eq!((rows, report.end.rows), (1, 1), "{choice:?}");
        }
    });
}
