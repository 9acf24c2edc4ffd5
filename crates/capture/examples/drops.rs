//! How many small packets a live capture takes without a drop: two namespaces, a wire between, and a sender that keeps a rate.
//!
//! `cargo run --release -p eleven-capture --example drops -- [PACKETS A SECOND] [SECONDS]`, as root.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eleven_capture::Dissector;
use eleven_capture::live::{Live, LiveOptions};
use eleven_testbed::wire::{INTERFACE, THERE, Wire};

const PORT: u16 = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rate: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let wire = Wire::new()?;
    // Whose queue is soon full, so that the kernel drops without a report.
    let _receiver = wire.there.run(|| UdpSocket::bind((THERE, PORT)))?;
    let options = LiveOptions {
        interface: Some(INTERFACE.to_owned()),
        namespace: Some(wire.here.path().into()),
        ..LiveOptions::default()
    };
    let mut live = Live::open(&options)?;
    let sending = AtomicBool::new(true);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = wire.here.run(|| send(rate, Duration::from_secs(seconds)));
            sending.store(false, Ordering::Release);
            sent
        });
        let mut dissector = Dissector::default();
        let mut seen = 0_u64;
        loop {
            // Asked before the ring: what was sent until then is in it, or will be after a moment's patience.
            let last = !sending.load(Ordering::Acquire);
            while let Some(packet) = live.next_packet()? {
                let _ = dissector.dissect(&packet);
                seen += 1;
            }
            if !live.wait(Duration::from_millis(200))? && last {
                break;
            }
        }
        let sent = sender.join().map_err(|_| "the sender panicked")??;
        Ok::<_, Box<dyn std::error::Error>>((sent, seen))
    })?;
    let counters = live.counters()?;
    let (sent, seen) = sent;
    println!(
        "{sent} packets sent in {seconds} s, {seen} seen, {} dropped, ring full {} times",
        counters.dropped, counters.freezes
    );
    Ok(())
}

/// Sends small packets at a rate, in bursts of a millisecond; how many.
fn send(rate: u64, time: Duration) -> std::io::Result<u64> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((THERE, PORT))?;
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < time {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        for _ in sent..due {
            socket.send(&[0; 22])?;
        }
        sent = sent.max(due);
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(sent)
}
