//! How fast text goes from one end to the other: MTU 1500, copies in and out of both buffers,
//! checksums made and verified, no delay, no loss.

use std::time::Instant as Clock;

use eleven_tcp::{Instant, Policy};

use crate::{median, ours, smol};

const BUFFER: usize = 256 * 1024;

pub(crate) fn run(quick: bool) {
    let (rounds, bytes) = if quick { (1, 4 << 20) } else { (7, 4_usize << 30) };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        mine.push(gigabits(bytes, || our_transfer(bytes)));
        theirs.push(gigabits(bytes, || smol::transfer(bytes, BUFFER)));
    }
    let ((mine, low, high), (theirs, ..)) = (median(mine), median(theirs));
    println!("throughput, one thread, both ends, MTU 1500, {} MiB", bytes >> 20);
    println!("  eleven-tcp {mine:6.1} Gbit/s ({low:.1} to {high:.1})");
    println!("  smoltcp    {theirs:6.1} Gbit/s");
    println!("  ratio      {:6.2}", mine / theirs);
}

fn gigabits(bytes: usize, transfer: impl FnOnce()) -> f64 {
    let start = Clock::now();
    transfer();
    bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
}

fn our_transfer(bytes: usize) {
    let policy = Policy {
        send_buffer: BUFFER as u32,
        receive_buffer: BUFFER as u32,
        receive_buffer_max: BUFFER as u32,
        ..Policy::linux()
    };
    let (mut client, mut server) = ours::open(&policy);
    let text = vec![0x5a; 64 * 1024];
    let mut out = vec![0; 64 * 1024];
    let mut packet = Vec::with_capacity(2_000);
    let (mut sent, mut received) = (0, 0);
    let mut now = Instant::from_secs(2);
    while received < bytes {
        let want = text.len().min(bytes - sent);
        sent += client.send(now, &text[..want]).unwrap_or(0);
        let carried = ours::carry(now, &mut client, &mut server, &mut packet);
        while let Ok(count) = server.recv(now, &mut out) {
            received += count;
        }
        let answered = ours::carry(now, &mut server, &mut client, &mut packet);
        now = now.plus_micros(100);
        if carried + answered == 0 {
            client.handle_timeout(now);
            server.handle_timeout(now);
        }
    }
}
