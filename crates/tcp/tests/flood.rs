//! A flood of SYNs. In a process of its own, because it looks at the memory of all of it.

use std::net::IpAddr;
use std::sync::Arc;

use eleven_tcp::demux::Demux;
use eleven_tcp::listener::{ListenerOptions, SynCookies};
use eleven_tcp::{Ecn, Envelope, Flags, FourTuple, Instant, Policy, Segment, SeqNumber, State};

const NOW: Instant = Instant::from_secs(10);

fn pair() -> FourTuple {
    FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
}

/// What this process has in memory, in bytes.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1_024)
}

/// A million SYNs from a million sources: the SYN queue fills, cookies answer, and memory stays flat. Between them,
/// an honest client gets through.
#[test]
fn a_flood_of_syns_costs_no_memory() {
    for policy in [Policy::rfc9293(), Policy::linux()] {
        let mut server = Demux::new(Arc::new(policy));
        let options =
            ListenerOptions { syn_backlog: 256, cookies: SynCookies::OnOverflow, ..Default::default() };
        let listener = server.listen(pair().remote(), options).unwrap();
        let server_address = pair().remote_address;
        let flood = |server: &mut Demux, from: u32, to: u32| {
            let mut answers = 0;
            for number in from..to {
                let source = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
                let envelope = Envelope { source, destination: server_address, ecn: Ecn::NotEct };
                let syn = Segment {
                    source_port: number as u16,
                    destination_port: 80,
                    seq: SeqNumber(number),
                    flags: Flags::SYN,
                    window: 1_000,
                    ..Segment::default()
                };
                server.handle_segment(NOW, &envelope, &syn);
                while server.poll_transmit(NOW).is_some() {
                    answers += 1;
                }
            }
            answers
        };
        // Whatever is allocated once.
        assert_eq!(flood(&mut server, 0, 50_000), 50_000);
        let before = resident();
        assert_eq!(flood(&mut server, 50_000, 1_000_000), 950_000);
        if let (Some(before), Some(after)) = (before, resident()) {
            assert!(after < before + (4 << 20), "{} bytes more", after - before);
        }
        let it = server.listener(listener).unwrap();
        assert!(it.half_open() <= 256 && it.counters().cookies_sent >= 999_000);

        let mut client = Demux::new(Arc::new(Policy::linux()));
        let id = client.connect(NOW, pair().local_address, pair().remote()).unwrap();
        for _ in 0..3 {
            while let Some(out) = client.poll_transmit(NOW) {
                server.handle_segment(NOW, &out.envelope, &out.segment);
            }
            while let Some(out) = server.poll_transmit(NOW) {
                client.handle_segment(NOW, &out.envelope, &out.segment);
            }
        }
        assert_eq!(client.connection(id).unwrap().state(), State::Established);
        assert!(server.accept(listener).is_some());
    }
}
