//! Any bytes as a snapshot; what can be read is written and read again.
#![no_main]

use std::io;

use eleven_snapshot::{Tail, read, write};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((snapshot, _)) = read(bytes) else { return };
    let mut file = Vec::new();
    let written = write(&mut file, &snapshot, |sink| {
        snapshot.sockets.iter().try_for_each(sink)?;
        let processes = snapshot.processes.clone();
        Ok::<_, io::Error>(Tail { reader: snapshot.reader, processes, notes: Vec::new() })
    });
    assert_eq!(written.expect("memory takes everything"), snapshot.socket_count);
    let (again, partial) = read(file.as_slice()).expect("it was just written");
    assert_eq!(partial, None);
    assert_eq!(again.sockets.len(), snapshot.sockets.len());
});
