//! Live capture in private namespaces: what the kernel sends is seen once, and what becomes of interfaces is told.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use eleven_capture::filter::Expression;
use eleven_capture::live::{Live, LiveError, LiveOptions};
use eleven_capture::{Capture, Checksum, Dissected, Dissector, LinkType, Writer};
use eleven_tcp::Flags;
use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::wire::{INTERFACE, THERE, Wire};

const BYTES: usize = 4 << 20;

/// What was seen of a transfer.
#[derive(Debug, Default)]
struct Seen {
    syns: u64,
    fins: u64,
    /// Up to the client's FIN, by its numbers: what is sent again does not count.
    text: u64,
    first: u32,
    packets: u64,
    /// Packets that were seen before.
    repeated: u64,
    known: HashSet<(Option<u16>, u16, u32, u32, u32)>,
    ports: Vec<u16>,
    interfaces: Vec<String>,
    bad: u64,
    cut: u64,
}

impl Seen {
    fn add(&mut self, dissected: &Dissected<'_>) {
        let Dissected::Tcp(tcp) = dissected else { return };
        self.packets += 1;
        self.syns += u64::from(tcp.segment.flags.contains(Flags::SYN));
        self.fins += u64::from(tcp.segment.flags.contains(Flags::FIN));
        let segment = &tcp.segment;
        if segment.flags == Flags::SYN {
            self.first = segment.seq.0;
        }
        let end = u64::from(segment.seq.0.wrapping_sub(self.first).wrapping_add(tcp.text_length));
        if tcp.text_length > 0 {
            self.text = self.text.max(end - 1);
        }
        // What is sent again has another identification.
        let key = (tcp.identification, segment.source_port, segment.seq.0, segment.ack.0, tcp.text_length);
        self.repeated += u64::from(!self.known.insert(key));
        self.bad += u64::from(tcp.checksum == Checksum::Bad);
        self.cut += u64::from(tcp.checksum == Checksum::NotCaptured);
        for port in [tcp.segment.source_port, tcp.segment.destination_port] {
            if !self.ports.contains(&port) {
                self.ports.push(port);
            }
        }
    }
}

/// Reads until both ends have closed.
fn watch(live: &mut Live) -> Seen {
    let mut seen = Seen::default();
    let mut dissector = Dissector::default();
    while seen.fins < 2 {
        while let Some(packet) = live.next_packet().expect("the interface stays") {
            seen.add(&dissector.dissect(&packet));
        }
        if seen.fins < 2 {
            live.wait(Duration::from_secs(5)).expect("a socket can be waited for");
        }
    }
    seen.interfaces =
        live.interfaces().iter().filter_map(|it| Some(it.name.as_deref()?.to_owned())).collect();
    seen
}

/// Sends text to somebody who reads it, each in a namespace of its own.
fn transfer(from: &Net, to: &Net, address: Ipv4Addr) -> u16 {
    let listener = to.run(|| TcpListener::bind((address, 0)).expect("the address is its own"));
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut server, _) = listener.accept().expect("a client comes");
            let mut text = Vec::new();
            server.read_to_end(&mut text).expect("the client sends");
            assert_eq!(text.len(), BYTES);
        });
        let mut client = from.run(|| TcpStream::connect((address, port)).expect("somebody listens"));
        client.write_all(&vec![7; BYTES]).expect("somebody reads");
    });
    port
}

fn options(net: &Net, interface: Option<&str>) -> LiveOptions {
    LiveOptions {
        interface: interface.map(str::to_owned),
        namespace: Some(net.path().into()),
        ..LiveOptions::default()
    }
}

#[test]
fn a_transfer_over_the_loopback_is_seen_once() {
    let net = or_skip!(Net::new());
    for interface in [Some("lo"), None] {
        let mut live = Live::open(&options(&net, interface)).expect("root may capture");
        let expected = if interface.is_some() { LinkType::ETHERNET } else { LinkType::LINUX_SLL2 };
        assert_eq!(live.link(), expected);
        let port = transfer(&net, &net, Ipv4Addr::LOCALHOST);
        let seen = watch(&mut live);
        let counters = live.counters().expect("the kernel counts");
        assert_eq!(counters.dropped, 0);
        assert_eq!((seen.syns, seen.fins, seen.bad, seen.repeated), (2, 2, 0, 0), "{seen:?}");
        assert!(seen.ports.contains(&port) && seen.interfaces == ["lo"], "{seen:?}");
        assert_eq!(seen.text, BYTES as u64);
        assert!(counters.passed >= seen.packets);
    }
}

#[test]
fn a_transfer_over_a_wire_is_seen_and_filtered() {
    let wire = or_skip!(Wire::new());
    // What is on neither port is none of ours.
    let filter = Expression::Protocol(6).and(Expression::Host(THERE.into()));
    let with_filter = LiveOptions { filter: Some(filter), ..options(&wire.here, Some(INTERFACE)) };
    let without = !Expression::Net(Ipv4Addr::new(10, 77, 0, 0).into(), 24);
    let nothing = LiveOptions { filter: Some(without), ..options(&wire.here, Some(INTERFACE)) };
    let short = LiveOptions { snap_length: 80, ..options(&wire.here, Some(INTERFACE)) };
    let mut live = Live::open(&with_filter).expect("root may capture");
    let mut empty = Live::open(&nothing).expect("root may capture");
    let mut cut = Live::open(&short).expect("root may capture");
    let port = transfer(&wire.here, &wire.there, THERE);
    let seen = watch(&mut live);
    assert_eq!((seen.syns, seen.fins, seen.bad), (2, 2, 0), "{seen:?}");
    assert!(seen.text == BYTES as u64 && seen.ports.contains(&port), "{seen:?}");
    let seen_cut = watch(&mut cut);
    assert_eq!((seen_cut.text, seen_cut.packets), (seen.text, seen.packets));
    assert!(seen_cut.cut > 0);
    while let Some(packet) = empty.next_packet().expect("the interface stays") {
        let mut dissector = Dissector::default();
        let is_tcp = matches!(dissector.dissect(&packet), Dissected::Tcp(_));
        assert!(!is_tcp, "all TCP is of that network");
    }
}

#[test]
fn what_was_captured_can_be_written_and_read() {
    let net = or_skip!(Net::new());
    let mut live = Live::open(&options(&net, None)).expect("root may capture");
    transfer(&net, &net, Ipv4Addr::LOCALHOST);
    let mut writer = Writer::new(Vec::new(), "test").expect("a vector takes all");
    let mut written = 0;
    while written < 10 {
        // The numbers and names of interfaces are known when a packet is.
        let interfaces = live.interfaces().to_vec();
        match live.next_packet().expect("the interface stays") {
            Some(packet) => {
                writer.write(&packet, &interfaces, &["seen"]).expect("a vector takes all");
                written += 1;
            }
            None => {
                live.wait(Duration::from_secs(5)).expect("a socket can be waited for");
            }
        }
    }
    let mut capture =
        Capture::from_reader("written", std::io::Cursor::new(writer.into_inner())).expect("it reads");
    while let Some(packet) = capture.next_packet().expect("it is sound") {
        assert_eq!(packet.comments.iter().collect::<Vec<_>>(), ["seen"]);
        assert_eq!(packet.link, LinkType::LINUX_SLL2);
        written -= 1;
    }
    assert_eq!(written, 0);
}

#[test]
fn an_interface_that_goes_is_told() {
    let wire = or_skip!(Wire::new());
    let mut live = Live::open(&options(&wire.here, Some(INTERFACE))).expect("root may capture");
    wire.here.ip(&format!("link set {INTERFACE} down")).expect("it is there");
    let error = loop {
        match live.next_packet() {
            Ok(Some(_)) => {}
            Ok(None) => assert!(live.wait(Duration::from_secs(30)).expect("it can be waited for")),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LiveError::Down { name } if name == INTERFACE), "{error}");
    assert!(error.can_continue() && !live.is_finished());
    wire.here.ip(&format!("link set {INTERFACE} up\nlink delete {INTERFACE}")).expect("it is there");
    let error = loop {
        match live.next_packet() {
            Ok(Some(_)) | Err(LiveError::Down { .. }) => {}
            Ok(None) => assert!(live.wait(Duration::from_secs(30)).expect("it can be waited for")),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LiveError::Vanished { name } if name == INTERFACE), "{error}");
    assert!(live.is_finished());
}

#[test]
fn what_cannot_be_captured_says_why() {
    let net = or_skip!(Net::new());
    let error = Live::open(&options(&net, Some("eth7"))).unwrap_err();
    assert_eq!(error.to_string(), "there is no interface eth7; there are lo and any");
    let nowhere = LiveOptions { namespace: Some("/nonexistent".into()), ..LiveOptions::default() };
    assert!(matches!(Live::open(&nowhere).unwrap_err(), LiveError::Namespace { .. }));
    let filter = Some(Expression::Net(Ipv4Addr::LOCALHOST.into(), 99));
    let error = Live::open(&LiveOptions { filter, ..LiveOptions::default() }).unwrap_err();
    assert!(matches!(error, LiveError::Filter(_)));
}
