//! Faults between two namespaces.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eleven_testbed::sockets::stuff;
use eleven_testbed::sockets::{address, connecting, listen};
use eleven_testbed::wire::{HERE, NOWHERE, THERE, Wire};
use socket2::Socket;

use super::{LOOKS, Played, set};
use crate::fixes::play::{Play, Tally};
use crate::fixes::program::Program;
use crate::support::program::RunInside;

pub(super) fn syn_flood() -> Played {
    let wire = Wire::new_cut()?;
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 4096));
    let at = wire.here.run(|| address(&listener));
    let flood: Vec<Socket> = wire.there.run(|| (0..200).map(|_| connecting(at)).collect());
    let play = Play::of("syn-flood", &wire.here, LOOKS).look().change().change_as_told();
    drop(flood);
    wire.here.eleven(&["kill", "state syn-recv", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

/// While somebody goes on with calls from there that nobody answers.
fn under_syns<T>(wire: &Wire, at: SocketAddr, work: impl FnOnce() -> T) -> T {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            wire.there.run(|| {
                let mut held = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    held.push(connecting(at));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        ends.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(super) fn syn_backlog_full() -> Played {
    let wire = Wire::new_cut()?;
    set(&wire.here, "net.ipv4.tcp_syncookies", "0");
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 8));
    let at = wire.here.run(|| address(&listener));
    Ok(under_syns(&wire, at, || {
        let play = Play::of("syn-backlog-full", &wire.here, LOOKS).look();
        // The calls go on: with cookies nothing is thrown away any more.
        play.change().gone(LOOKS).verified().change_as_told().tally
    }))
}

pub(super) fn syn_sent_unanswered() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.here, &format!("connecting-again {NOWHERE}:443 3"));
    let play = Play::of("syn-sent-unanswered", &wire.here, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.set("PORT", &443).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn syn_sent_scan() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.here, &format!("connecting {NOWHERE}:1 150"));
    let play = Play::of("syn-sent-scan", &wire.here, LOOKS).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn half_open_peer() -> Played {
    let mut all = Tally::default();
    // As the finding has it, and as the texts have it.
    for proposed in [true, false] {
        let wire = Wire::new()?;
        let _listener = wire.there.run(|| TcpListener::bind((THERE, 8080))).expect("bound");
        let _program = Program::start(&wire.here, &format!("talks {THERE}:8080 2 5"));
        wire.cut_outgoing();
        let play = Play::of("half-open-peer", &wire.here, &["--for", "5s"]).set("PORT", &8080).look();
        let play = if proposed { play.change() } else { play.change_as_told() };
        all.add(play.gone(LOOKS).verified().tally);
    }
    Ok(all)
}

/// Data does not even leave this host.
pub(super) fn half_open_behind_a_device_that_is_down() -> Played {
    let wire = Wire::new()?;
    let _listener = wire.there.run(|| TcpListener::bind((THERE, 8080))).expect("bound");
    let _program = Program::start(&wire.here, &format!("talks {THERE}:8080 1 5"));
    wire.here.ip("link set wire0 down")?;
    let play = Play::of("half-open-peer", &wire.here, &["--for", "5s"]).set("PORT", &8080).look();
    Ok(play.change().gone(LOOKS).verified().tally)
}

pub(super) fn fin_wait1_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, _there) = wire.connections(3);
    wire.cut_outgoing();
    drop(here);
    let play = Play::of("fin-wait1-stuck", &wire.here, LOOKS).look().change().change_as_told();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn last_ack_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, there) = wire.connections(3);
    drop(there);
    for connection in &here {
        assert_eq!(connection.peek(&mut [0; 1]).expect("an end of file"), 0);
    }
    wire.cut_outgoing();
    drop(here);
    let play = Play::of("last-ack-stuck", &wire.here, LOOKS).look().change().change_as_told();
    wire.here.eleven(&["kill", "state last-ack", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn closing_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, there) = wire.connections(3);
    wire.cut_outgoing();
    // Our FIN is lost, the peer's arrives.
    drop(here);
    drop(there);
    let play = Play::of("closing-stuck", &wire.here, LOOKS).look().change().change_as_told();
    wire.here.eleven(&["kill", "state closing", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn peer_reader_slow() -> Played {
    let wire = Wire::new()?;
    let peer = wire.there.run(|| TcpListener::bind((THERE, 8080))).expect("bound");
    let program = Program::start(&wire.here, &format!("talks {THERE}:8080 1 65536"));
    let play = Play::of("peer-reader-slow", &wire.here, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    drop(peer);
    drop(program);
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn local_reader_slow() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.there, &format!("reads-nothing {THERE}:8080"));
    let mut here = wire.here.run(|| TcpStream::connect((THERE, 8080))).expect("it listens");
    stuff(&mut here);
    let play = Play::of("local-reader-slow", &wire.there, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    program.mend();
    drop(here);
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn mtu_blackhole() -> Played {
    let wire = Wire::new()?;
    wire.here.ip("link set wire0 gso_max_segs 1")?;
    let (mut here, _there) = wire.connections(1);
    here[0].write_all(b"small").expect("there is room");
    // A frame that is larger than the other end's MTU is dropped without a word.
    wire.there.ip("link set wire1 mtu 900")?;
    here[0].write_all(&vec![0; 30_000]).expect("there is room");
    let options = &["--for", "4s"];
    let play = Play::of("mtu-blackhole", &wire.here, options).look().change().change_as_told();
    wire.there.ip("link set wire1 mtu 1500")?;
    drop(here);
    wire.here.eleven(&["kill", "state fin-wait-1", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}
