//! The seeds of the fuzz targets, and what fuzzing found, replayed by an ordinary test:
//! every input calls what its target calls.

use std::ops::ControlFlow;
use std::path::Path;

/// Calls `target` with every seed of the target called `name`.
fn replay(name: &str, target: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut seeds = 0;
    for entry in std::fs::read_dir(directory).expect("the seeds are part of the source") {
        let path = entry.expect("the directory can be read").path();
        let bytes = std::fs::read(&path).expect("a seed can be read");
        // The harness shows this for a seed that fails.
        println!("{}", path.display());
        target(&bytes);
        seeds += 1;
    }
    assert!(seeds > 0, "{name} has no seeds");
}

#[test]
fn netlink_seeds_pass() {
    replay("netlink", |bytes| {
        let _ = eleven_linux::sock_diag::read_any_bytes(bytes, &mut |_| ControlFlow::Continue(()));
    });
}

#[test]
fn proc_net_tcp_seeds_pass() {
    replay("proc_net_tcp", |bytes| {
        let _ = eleven_linux::proc::sockets::read_any_bytes(bytes);
    });
}

#[test]
fn snapshot_file_seeds_pass() {
    replay("snapshot_file", |bytes| {
        let _ = eleven_snapshot::read(bytes);
    });
}
