//! Writes the seeds of the fuzz targets `netlink` and `snapshot_file`.

use std::fs;
use std::path::PathBuf;

use eleven_snapshot::{ReaderKind, Snapshot, Socket, Tail, write};

use crate::build::{
    DONE, ERROR, INFO, INTERRUPTED, OVERRUN, SOCKET, attribute, done, errno, established, message,
};
use crate::hex;
use crate::walk::{portable, walk};

fn directory(target: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    fs::create_dir_all(&directory).expect("the source can be written");
    directory
}

fn netlink_seeds() -> Vec<(String, Vec<u8>)> {
    let socket = |flags| message(SOCKET, flags, &established(1));
    let mut broken_attribute = message(SOCKET, 0, &[established(1), attribute(4, b"bbr\0")].concat());
    broken_attribute[88] = 200;
    let mut seeds = hex::recorded();
    seeds.extend(
        [
            ("interrupted", [socket(INTERRUPTED), done()].concat()),
            ("repeated", [socket(0), socket(0), done()].concat()),
            ("overrun", [message(OVERRUN, 0, &[]), socket(0)].concat()),
            ("error_enoent", message(ERROR, 0, &errno(2))),
            ("done_enomem", message(DONE, 0, &errno(12))),
            ("length_zero", vec![0; 32]),
            ("short_header", socket(0)[..9].to_vec()),
            ("broken_attribute", broken_attribute),
            ("long_tcp_info", message(SOCKET, 0, &[established(1), attribute(INFO, &[1; 512])].concat())),
            ("odd", message(SOCKET, 0, &[established(1), vec![5, 0, 8, 0, 3]].concat())),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes)),
    );
    seeds
}

fn snapshot_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let sockets: Vec<Socket> =
        hex::recorded().iter().map(|(_, bytes)| portable(&walk(bytes).0[0])).take(4).collect();
    let head = Snapshot { host: "host".to_owned(), kernel: "6.18".to_owned(), ..Snapshot::empty() };
    let mut whole = Vec::new();
    write(&mut whole, &head, |sink| {
        sockets.iter().try_for_each(sink)?;
        Ok::<_, std::io::Error>(Tail { reader: Some(ReaderKind::Netlink), ..Tail::default() })
    })
    .expect("memory takes everything");
    let cut = whole[..whole.len() / 2].to_vec();
    vec![("whole", whole), ("cut", cut), ("newer", b"{\"eleven_snapshot\":2,\"sockets\":17}".to_vec())]
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_fuzz_seeds() {
    for (name, bytes) in netlink_seeds() {
        fs::write(directory("netlink").join(name), bytes).expect("the source can be written");
    }
    for (name, bytes) in snapshot_seeds() {
        fs::write(directory("snapshot_file").join(name), bytes).expect("the source can be written");
    }
}
