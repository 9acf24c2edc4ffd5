//! The names on rows: user, interface, mark, congestion control, control group.

use eleven_linux::Cgroups;
use eleven_testbed::skipped;
use eleven_testbed::wire::INTERFACE;

use crate::support::gallery::{Gallery, MARK, NOBODY};

#[test]
fn the_user_is_the_one_who_owns_the_socket() {
    let Some(gallery) = Gallery::open() else { return };
    for name in ["listener", "bound", "syn sent", "established", "close wait", "fin wait 1 held"] {
        assert_eq!(gallery.row(name).uid, Some(0), "{name}");
        assert_eq!(gallery.row(name).user.as_deref(), Some("root"), "{name}");
    }
    let row = gallery.row("listener of nobody");
    assert_eq!(row.uid, Some(NOBODY));
}

#[test]
fn a_socket_without_a_file_is_never_roots() {
    let Some(gallery) = Gallery::open() else { return };
    for row in gallery.rows.iter().chain(&gallery.rows_of_proc).filter(|row| row.inode.is_none()) {
        assert_ne!(row.uid, Some(0), "{row:?}");
        assert_ne!(row.user.as_deref(), Some("root"), "{row:?}");
    }
    // Whose it was is shown where the kernel still knows (since 6.17), else nothing is.
    for name in ["not accepted of nobody", "fin wait 1 closed by nobody"] {
        assert!(matches!(gallery.row(name).uid, None | Some(NOBODY)), "{name}");
    }
}

#[test]
fn a_socket_bound_to_an_interface_shows_its_name() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, _) in gallery.witnesses() {
        let expected = (name == "on an interface").then_some(INTERFACE);
        assert_eq!(gallery.row(name).interface.as_deref(), expected, "{name}");
    }
}

#[test]
fn a_mark_is_on_the_socket_that_was_marked_and_on_no_other() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, _) in gallery.witnesses() {
        let expected = if name == "established" { MARK } else { 0 };
        assert_eq!(gallery.row(name).mark, Some(expected), "{name}");
    }
}

#[test]
fn the_congestion_control_is_the_one_that_was_chosen() {
    let Some(gallery) = Gallery::open() else { return };
    assert_eq!(gallery.row("established").congestion.as_deref(), Some("reno"));
    let default =
        gallery.wire.here.run(|| eleven_linux::proc::sysctl::read("net.ipv4.tcp_congestion_control"));
    assert_eq!(gallery.row("peer of established").congestion.as_deref(), default.as_deref());
    assert_eq!(gallery.row("time wait").congestion, None, "a mini-socket has none");
}

#[test]
fn the_control_group_of_a_socket_is_that_of_the_program_that_made_it() {
    let Some(gallery) = Gallery::open() else { return };
    let Some(own) = Cgroups::default().of_process(std::process::id()) else {
        return skipped("no control groups are mounted");
    };
    // On hosts with both versions too: there the socket's own group is the unified root.
    for name in ["listener", "established", "close wait", "shared"] {
        assert_eq!(gallery.row(name).cgroup, Some(own.path.clone()), "{name}");
        assert_eq!(gallery.row_of_proc(name).cgroup, Some(own.path.clone()), "{name} by /proc");
    }
}
