//! Which programs hold a socket.

use eleven_linux::{OwnerReader, Owners};
use eleven_snapshot::Owner;
use eleven_testbed::sockets::{LOOPBACK, pair};
use eleven_testbed::{skipped, wait_for};

use crate::support::gallery::Gallery;

/// The owners that stay. Other tests start programs meanwhile: between fork and exec such a
/// child is a copy of this process with all its descriptors. It may have got another name
/// when that was read, but it does not hold a socket of the gallery any more.
fn lasting(owners: &[Owner], gallery: &Gallery) -> Vec<Owner> {
    let pids = [std::process::id(), gallery.sharer.id()];
    let (lasting, passing): (Vec<_>, Vec<_>) =
        owners.iter().cloned().partition(|owner| pids.contains(&owner.pid));
    for owner in passing {
        wait_for("a copy of this process to exec or end", || {
            match std::fs::read_link(format!("/proc/{}/fd/{}", owner.pid, owner.fd)) {
                Ok(target) if target.to_string_lossy().starts_with("socket:") => Err(&owner),
                _ => Ok(()),
            }
        });
    }
    lasting
}

fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").expect("/proc is mounted").trim_end().to_owned()
}

#[test]
fn a_socket_this_process_holds_shows_its_pid_its_name_and_the_descriptor() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, witness) in gallery.witnesses().filter(|(name, _)| *name != "shared") {
        let mut rows = vec![gallery.row(name)];
        if name != "bound" {
            rows.push(gallery.row_of_proc(name));
        }
        for row in rows {
            let owners = lasting(&row.owners, gallery);
            let expected: Vec<Owner> = witness
                .fd
                .map(|fd| Owner { pid: std::process::id(), process: own_name().into(), fd })
                .into_iter()
                .collect();
            assert_eq!(owners, expected, "{name}");
            assert_eq!(row.no_owner.is_none(), witness.fd.is_some(), "{name}");
        }
    }
}

#[test]
fn a_socket_that_a_child_inherited_shows_both_holders() {
    let Some(gallery) = Gallery::open() else { return };
    for row in [gallery.row("shared"), gallery.row_of_proc("shared")] {
        let mut holders: Vec<(u32, String)> = lasting(&row.owners, gallery)
            .iter()
            .map(|owner| (owner.pid, owner.process.to_string()))
            .collect();
        holders.sort();
        let mut expected = vec![(std::process::id(), own_name()), (gallery.sharer.id(), "cat".to_owned())];
        expected.sort();
        assert_eq!(holders, expected);
    }
}

#[test]
fn bpf_and_proc_find_the_same_owners() {
    let Some(gallery) = Gallery::open() else { return };
    let inodes: Vec<u64> = gallery.witnesses().filter_map(|(_, witness)| witness.inode).collect();
    let owners_by = |reader| {
        let (owners, why_not) = Owners::read(reader);
        let found: Vec<Vec<Owner>> = inodes
            .iter()
            .map(|inode| {
                let mut found = Vec::new();
                owners.append(*inode, &mut found);
                lasting(&found, gallery)
            })
            .collect();
        (found, why_not)
    };
    let (by_bpf, why_not) = owners_by(OwnerReader::Bpf);
    if let Some(why) = why_not {
        return skipped(&why);
    }
    let (by_proc, _) = owners_by(OwnerReader::Proc);
    assert_eq!(by_bpf, by_proc);
    assert!(by_bpf.iter().all(|owners| !owners.is_empty()));
}

#[test]
fn an_owner_that_closes_is_no_owner_any_more() {
    let (first, second) = pair(LOOPBACK);
    let inode = rustix::fs::fstat(&first).expect("an open descriptor").st_ino;
    let copy = first.try_clone().expect("a free descriptor");
    let held_by_us = || {
        let mut found = Vec::new();
        Owners::read(OwnerReader::Auto).0.append(inode, &mut found);
        found.iter().filter(|owner| owner.pid == std::process::id()).count()
    };
    assert_eq!(held_by_us(), 2);
    drop(copy);
    assert_eq!(held_by_us(), 1);
    drop((first, second));
    wait_for("the last copy to go", || match held_by_us() {
        0 => Ok(()),
        others => Err(others),
    });
}
