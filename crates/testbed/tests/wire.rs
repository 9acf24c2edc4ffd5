//! A namespace is apart, and a cut wire loses one direction only.

use std::net::SocketAddr;

use eleven_testbed::namespace::{Inhabitant, Named, Net};
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, connect, fill, listen};
use eleven_testbed::wire::{THERE, Wire};

fn namespace_of_this_thread() -> u64 {
    rustix::fs::stat("/proc/thread-self/ns/net").expect("/proc is mounted").st_ino
}

#[test]
fn work_runs_inside_and_leaves_the_test_where_it_was() {
    let net = or_skip!(Net::new());
    let outside = namespace_of_this_thread();
    assert_eq!(net.run(namespace_of_this_thread), net.inode());
    assert_eq!(namespace_of_this_thread(), outside);
    assert_ne!(net.inode(), outside);
    let name = || std::thread::current().name().map(str::to_owned);
    assert_eq!(net.run(name), name(), "messages of skipped tests name the test");
    let listener = net.run(|| listen(LOOPBACK, 1));
    net.run(|| connect(address(&listener)));
}

#[test]
fn a_name_and_an_inhabitant_go_with_their_values() {
    let net = or_skip!(Net::new());
    let named = or_skip!(Named::new(&net, "testbed"));
    let path = std::path::Path::new("/run/netns").join(named.name());
    assert_eq!(rustix::fs::stat(&path).expect("it has a name").st_ino, net.inode());
    drop(named);
    assert!(!path.exists());

    let inhabitant = or_skip!(Inhabitant::new(&net));
    let process = format!("/proc/{}", inhabitant.pid());
    let link = format!("{process}/ns/net");
    assert_eq!(rustix::fs::stat(&link).expect("it runs").st_ino, net.inode());
    drop(inhabitant);
    assert!(rustix::fs::stat(&process).is_err());
}

#[test]
fn a_cut_wire_loses_what_goes_out_and_delivers_what_comes_in() {
    let wire = or_skip!(Wire::new());
    let listener = wire.there.run(|| listen(SocketAddr::from((THERE, 0)), 1));
    let here = wire.here.run(|| connect(address(&listener)));
    let (there, _) = listener.accept().expect("a client waits");
    fill(&here, &there, b"before");

    wire.cut_outgoing();
    here.send(b"after").expect("the kernel keeps it");
    // On a whole wire `after` would arrive before the answer that is sent later.
    fill(&there, &here, b"back");
    there.set_nonblocking(true).expect("an open descriptor");
    let mut buffer = [std::mem::MaybeUninit::uninit(); 32];
    assert_eq!(there.peek(&mut buffer).expect("`before` is unread"), b"before".len());
}
