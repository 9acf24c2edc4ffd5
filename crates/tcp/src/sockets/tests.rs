use super::constants::readiness::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use super::*;

/// Two hosts whose packets are carried between them.
struct Pair {
    client: Sockets,
    server: Sockets,
    listener: Descriptor,
}

const SERVER: &str = "192.168.0.1:8080";

impl Pair {
    fn new() -> Self {
        let mut server = Sockets::new(Settings::default());
        let mut client = Sockets::new(Settings::default());
        client.set_device(Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::LOCALHOST, 1500);
        let listener = server.socket(false);
        server.bind(listener, SERVER.parse().unwrap()).unwrap();
        server.listen(listener, 1).unwrap();
        Self { client, server, listener }
    }

    fn carry(&mut self) {
        loop {
            let (from_client, from_server) = (self.client.take_packet(), self.server.take_packet());
            if from_client.is_none() && from_server.is_none() {
                return;
            }
            if let Some(departure) = from_client {
                self.server.receive_packet(&departure.packet);
            }
            if let Some(departure) = from_server {
                self.client.receive_packet(&departure.packet);
            }
        }
    }

    fn open(&mut self) -> (Descriptor, Descriptor) {
        let ours = self.client.socket(false);
        assert_eq!(self.client.connect(ours, SERVER.parse().unwrap()), Err(Errno::InProgress));
        assert_eq!(self.client.connect(ours, SERVER.parse().unwrap()), Err(Errno::AlreadyInProgress));
        self.carry();
        assert_eq!(self.client.connect_result(ours), Some(Ok(())));
        (ours, self.server.accept(self.listener).unwrap().0)
    }
}

#[test]
fn text_goes_both_ways_and_ends() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.open();
    assert_eq!(pair.client.send(ours, b"hello", 0, None), Ok(5));
    pair.carry();
    assert_eq!(pair.server.readiness(theirs) & (POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_eq!(pair.server.unread(theirs), Ok(5));
    assert_eq!(pair.server.recv(theirs, 3, true), Ok(b"hel".to_vec()));
    assert_eq!(pair.server.recv(theirs, 10, false), Ok(b"hello".to_vec()));
    assert_eq!(pair.server.recv(theirs, 10, false), Err(Errno::WouldBlock));
    pair.client.shutdown(ours, Shutdown::Write).unwrap();
    pair.carry();
    assert_eq!(pair.server.recv(theirs, 10, false), Ok(Vec::new()));
    assert_eq!(pair.client.send(ours, b"more", 0, None), Err(Errno::BrokenPipe));
    assert_eq!(pair.client.tcp_info(ours).unwrap().field("tcpi_state"), Some(5));
    pair.server.close(theirs).unwrap();
    pair.carry();
    assert_eq!(pair.server.close(theirs), Err(Errno::BadDescriptor));
}

#[test]
fn a_refused_connection_says_so_once() {
    let mut pair = Pair::new();
    let ours = pair.client.socket(false);
    assert_eq!(pair.client.connect(ours, "192.168.0.1:1".parse().unwrap()), Err(Errno::InProgress));
    pair.carry();
    assert_eq!(pair.client.readiness(ours) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
    let error = pair.client.option(ours, constants::level::SOCKET, constants::socket::SO_ERROR).unwrap();
    assert_eq!(error, Errno::ConnectionRefused.number().to_ne_bytes());
    assert_eq!(pair.client.send(ours, b"x", 0, None), Err(Errno::BrokenPipe));
}

#[test]
fn calls_wait_until_they_can_return() {
    let mut pair = Pair::new();
    let mut accept = Call::Accept { descriptor: pair.listener };
    assert_eq!(pair.server.attempt(&mut accept), None);
    let ours = pair.client.socket(false);
    let mut connect = Call::Connect { descriptor: ours, remote: SERVER.parse().unwrap(), begun: false };
    assert_eq!(pair.client.attempt(&mut connect), None);
    pair.carry();
    assert_eq!(pair.client.attempt(&mut connect), Some(Ok(Outcome::Done)));
    let Some(Ok(Outcome::Accepted(theirs, _))) = pair.server.attempt(&mut accept) else { panic!() };

    // More than fits the buffers goes piece by piece.
    let text = alloc::vec![7; 1 << 20];
    let mut send = Call::Send { descriptor: ours, text, done: 0, flags: 0, to: None };
    let mut received = 0;
    let mut returned = None;
    for _ in 0..100_000 {
        returned = returned.or_else(|| pair.client.attempt(&mut send));
        pair.carry();
        while let Ok(text) = pair.server.recv(theirs, 1 << 16, false) {
            received += text.len();
        }
        pair.carry();
        if received == 1 << 20 {
            break;
        }
        let later = pair.client.now() + Duration::from_millis(10);
        pair.client.advance(later, |_| false);
        pair.server.advance(later, |_| false);
    }
    assert_eq!((returned, received), (Some(Ok(Outcome::Taken(1 << 20))), 1 << 20));
}

#[test]
fn the_kernels_structure_has_its_fields_in_place() {
    let info =
        TcpInfo { state: 1, snd_wscale: 7, rcv_wscale: 8, rto: 204_000, rtt: 1_000, ..TcpInfo::default() };
    let bytes = info.to_bytes();
    assert_eq!((bytes[0], bytes[6]), (1, 0x87));
    assert_eq!(bytes[8..12], 204_000_u32.to_ne_bytes());
    assert_eq!(bytes[68..72], 1_000_u32.to_ne_bytes());
    assert_eq!(info.field("tcpi_rtt"), Some(1_000));
    assert_eq!(info.field("rtt"), None);
}

#[test]
fn settings_are_those_of_linux() {
    let mut settings = Settings::default();
    for (name, value) in [
        ("tcp_timestamps", "0"),
        ("tcp_rmem", "4096 540000 15728640"),
        ("tcp_wmem", "4096\t50000\t4194304"),
        ("tcp_fastopen", "0x70403"),
        ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"),
        ("tcp_congestion_control", "reno"),
        ("tcp_something_else", "?"),
    ] {
        settings.set(name, value).unwrap();
    }
    let policy = &settings.policy;
    assert_eq!((policy.timestamps, policy.window_scale(), policy.send_buffer), (false, 8, 50_000));
    assert_eq!(settings.fast_open, 0x70403);
    let error = settings.set("tcp_sack", "yes").unwrap_err();
    assert_eq!(
        error.to_string(),
        "tcp_sack cannot be \"yes\": a number is expected, three for tcp_rmem and tcp_wmem, two for ip_local_port_range"
    );
    assert!(settings.set("tcp_rmem", "4096").is_err());
}

#[test]
fn sysctls_alone_turn_no_keepalive_on() {
    use crate::State;
    use crate::connection::RunningTimer;

    for on in [false, true] {
        let mut settings = Settings::default();
        settings.set("tcp_keepalive_time", "5").unwrap();
        let mut sockets = Sockets::new(settings);
        let listener = sockets.socket(false);
        sockets.bind(listener, "192.168.0.1:80".parse().unwrap()).unwrap();
        sockets.listen(listener, 1).unwrap();
        let client = sockets.socket(false);
        let value = i32::from(on).to_ne_bytes();
        sockets
            .set_option(client, constants::level::SOCKET, constants::socket::SO_KEEPALIVE, &value)
            .unwrap();
        assert_eq!(sockets.connect(client, "192.168.0.1:80".parse().unwrap()), Err(Errno::InProgress));
        while let Some(departure) = sockets.take_packet() {
            sockets.receive_packet(&departure.packet);
        }
        let timer = sockets.connection_of(client).unwrap().running_timer().map(|(timer, _)| timer);
        assert_eq!(timer, on.then_some(RunningTimer::Keepalive));
        let mut states: Vec<State> = sockets.rows().iter().map(|row| row.state).collect();
        states.sort_unstable();
        assert_eq!(states, [State::Established, State::Established, State::Listen]);
    }
}

/// Linux 6.18: a call that reads all there is takes the end of file along.
#[test]
fn the_end_of_file_leaves_the_queue_with_the_last_text() {
    for (length, left) in [(4, 2), (5, 0), (6, 0)] {
        let mut pair = Pair::new();
        let (ours, theirs) = pair.open();
        pair.client.send(ours, b"hello", 0, None).unwrap();
        pair.client.shutdown(ours, Shutdown::Write).unwrap();
        pair.carry();
        let queue = |pair: &Pair| {
            let rows = pair.server.rows();
            rows.iter().find(|row| row.state == crate::State::CloseWait).unwrap().receive_queue
        };
        assert_eq!(queue(&pair), 6);
        assert_eq!(pair.server.recv(theirs, length, false), Ok(b"hello"[..length.min(5)].to_vec()));
        assert_eq!(queue(&pair), left);
    }
}

mod ports {
    use super::*;
    use crate::sockets::constants::{level, socket as so};

    fn bound(sockets: &mut Sockets, reuse: bool) -> Result<Descriptor, Errno> {
        let socket = sockets.socket(false);
        sockets.set_option(socket, level::SOCKET, so::SO_REUSEADDR, &i32::from(reuse).to_ne_bytes()).unwrap();
        sockets.bind(socket, SERVER.parse().unwrap()).map(|()| socket)
    }

    /// Linux 6.18: both the old socket and the new one must have `SO_REUSEADDR`.
    #[test]
    fn time_wait_keeps_a_port_unless_both_share_it() {
        for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut pair = Pair::new();
            pair.server.close(pair.listener).unwrap();
            pair.listener = bound(&mut pair.server, before).unwrap();
            pair.server.listen(pair.listener, 1).unwrap();
            let (ours, theirs) = pair.open();
            pair.server.close(theirs).unwrap();
            pair.carry();
            pair.client.close(ours).unwrap();
            pair.carry();
            pair.server.close(pair.listener).unwrap();
            assert_eq!(pair.server.demux().time_wait_count(), 1);
            let expected = if before && after { Ok(()) } else { Err(Errno::AddressInUse) };
            assert_eq!(bound(&mut pair.server, after).map(drop), expected, "{before} {after}");
        }
    }

    #[test]
    fn nobody_shares_a_port_with_a_listener() {
        let mut pair = Pair::new();
        assert_eq!(bound(&mut pair.server, true), Err(Errno::AddressInUse));
        pair.server.close(pair.listener).unwrap();
        let first = bound(&mut pair.server, true).unwrap();
        bound(&mut pair.server, true).unwrap();
        pair.server.listen(first, 1).unwrap();
    }

    #[test]
    fn a_narrow_range_is_soon_exhausted() {
        let mut settings = Settings::default();
        settings.set("ip_local_port_range", "40000\t40001").unwrap();
        assert!(settings.set("ip_local_port_range", "40000").is_err());
        let mut client = Sockets::new(settings);
        for expected in [Errno::InProgress, Errno::InProgress, Errno::AddressNotAvailable] {
            let socket = client.socket(false);
            assert_eq!(client.connect(socket, "192.0.2.9:80".parse().unwrap()), Err(expected));
        }
    }
}
