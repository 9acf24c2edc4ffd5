//! Data that waits: for a reader, for a peer that is gone, for a path that carries it.

use std::io::{Read, Write};

use eleven_testbed::sockets::stuff;
use eleven_testbed::wire::Wire;

use super::{incoming, outgoing, pause};
use crate::children::Meanwhile;
use crate::row::{Fault, Row, Skip, Who};

const PEER: Who = Who::Remote("10.77.0.2");

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::fault("reader-asleep-here", "local-reader-slow", "local-program", Who::Process, |_| {
            let wire = Wire::new()?;
            let mut pairs = incoming(&wire, 1);
            stuff(&mut pairs[0].0);
            Ok(Fault::of(pairs).by(std::process::id()).at(wire.here.path()).with(wire))
        }),
        Row::fault("reader-asleep-there", "peer-reader-slow", "peer", PEER, |_| {
            let wire = Wire::new()?;
            let mut pairs = outgoing(&wire, 1);
            stuff(&mut pairs[0].0);
            Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
        }),
        Row::healthy("bulk-sent", |_| bulk(true)),
        Row::healthy("bulk-received", |_| bulk(false)),
        Row::fault("peer-vanished", "half-open-peer", "peer", PEER, |_| vanished()),
        Row::fault("large-segments-lost", "mtu-blackhole", "network", PEER, |_| narrow(true)),
        Row::fault("path-that-narrows", "mtu-blackhole", "network", PEER, |_| narrows()),
        Row::fault("device-down", "half-open-peer", "configuration", PEER, |_| device_down()),
        Row::healthy("small-mtu-known", |_| narrow(false)),
    ]
}

/// As much as goes through, read as fast as it comes.
fn bulk(is_sent: bool) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let mut pairs = if is_sent { outgoing(&wire, 1) } else { incoming(&wire, 1) };
    let (mut from, mut to) = pairs.remove(0);
    from.set_nonblocking(true).expect("an open descriptor");
    let mut buffer = vec![0; 1 << 18];
    let piece = vec![0; 65_536];
    let sends = Meanwhile::start(&wire.here, move || {
        if from.write(&piece).is_err() {
            pause(1);
        }
    })?;
    to.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("an open descriptor");
    let reads = Meanwhile::start(&wire.there, move || {
        let _ = to.read(&mut buffer);
    })?;
    Ok(Fault::of(sends).at(wire.here.path()).with(reads).with(wire))
}

fn vanished() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let mut pairs = outgoing(&wire, 1);
    wire.cut_outgoing();
    pairs[0].0.write_all(b"hello?").expect("there is room");
    // Three repeats take 0.2 + 0.4 + 0.8 s, and the look wants some silence before it.
    pause(2_500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// The other end takes frames of 900 bytes; whoever sends knows of that, or does not.
fn narrow(is_secret: bool) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    wire.here.ip("link set wire0 gso_max_segs 1")?;
    if !is_secret {
        wire.here.ip("link set wire0 mtu 900")?;
    }
    let mut pairs = outgoing(&wire, 1);
    let (here, there) = &mut pairs[0];
    here.write_all(b"small").expect("there is room");
    assert_eq!(there.read(&mut [0; 8]).expect("it passes"), 5);
    // A frame that is larger than the other end's MTU is dropped without a word.
    wire.there.ip("link set wire1 mtu 900")?;
    here.write_all(&vec![0; 30_000]).expect("there is room");
    pause(1_500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// Much has passed before the path becomes narrow; small messages still do.
fn narrows() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    wire.here.ip("link set wire0 gso_max_segs 1")?;
    let mut pairs = outgoing(&wire, 1);
    let (here, there) = &mut pairs[0];
    here.set_nodelay(true).expect("an open descriptor");
    here.write_all(&[0; 10_000]).expect("there is room");
    there.read_exact(&mut [0; 10_000]).expect("it passes");
    wire.there.ip("link set wire1 mtu 900")?;
    here.write_all(&[0; 14_480]).expect("there is room");
    here.write_all(b"small").expect("there is room");
    pause(2_500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// Nothing leaves this host any more.
fn device_down() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let mut pairs = outgoing(&wire, 1);
    wire.here.ip("link set wire0 down")?;
    pairs[0].0.write_all(b"hello?").expect("there is room");
    pause(2_500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}
