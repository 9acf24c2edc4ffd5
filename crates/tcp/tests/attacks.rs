//! Attacks by somebody who can send what he likes, and what they come to.

use std::sync::Arc;
use std::time::Duration;

use eleven_tcp::sim::Random;
use eleven_tcp::{
    Connection, Ecn, Envelope, Flags, FourTuple, IcmpError, Instant, Options, Policy, SackBlock, Segment,
    SeqNumber, State, TcpOption,
};

const NOW: Instant = Instant::from_secs(10);

fn pair() -> FourTuple {
    FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
}

/// A server whose client is in the attacker's hands, or believed to be.
struct Victim {
    now: Instant,
    server: Connection,
    /// The next number of the client.
    seq: SeqNumber,
    /// The next number of the server.
    ack: SeqNumber,
}

impl Victim {
    fn with_options(policy: &Policy, options: &[TcpOption<'_>]) -> Self {
        let mut server = Connection::new(Arc::new(policy.clone()));
        server.listen(NOW, pair().remote()).unwrap();
        let mut victim = Self { now: NOW, server, seq: SeqNumber(1_000), ack: SeqNumber(0) };
        let mut all = Options::EMPTY;
        for option in options {
            all.push(*option).unwrap();
        }
        victim.send(&Segment { flags: Flags::SYN, options: all, window: 60_000, ..Segment::default() });
        let answers = victim.answers();
        assert_eq!(answers[0].0, Flags::SYN | Flags::ACK);
        victim.seq += 1;
        victim.ack = answers[0].1 + 1;
        victim.send(&victim.ack());
        assert_eq!(victim.server.state(), State::Established);
        assert_eq!(victim.answers(), []);
        victim
    }

    /// An open connection without timestamps and scaling.
    fn new(policy: &Policy) -> Self {
        Self::with_options(policy, &[TcpOption::MaximumSegmentSize(1_460), TcpOption::SackPermitted])
    }

    /// What the client would send next, without text.
    fn ack(&self) -> Segment<'static> {
        Segment { seq: self.seq, ack: self.ack, flags: Flags::ACK, window: 60_000, ..Segment::default() }
    }

    fn send(&mut self, segment: &Segment<'_>) {
        let envelope =
            Envelope { source: pair().local_address, destination: pair().remote_address, ecn: Ecn::NotEct };
        let seq =
            if segment.flags == Flags::SYN && segment.seq == SeqNumber(0) { self.seq } else { segment.seq };
        let segment = Segment { source_port: 40_000, destination_port: 80, seq, ..*segment };
        self.server.handle_segment(self.now, &envelope, &segment);
    }

    /// What the server has to say: flags, number, acknowledgment and length.
    fn answers(&mut self) -> Vec<(Flags, SeqNumber, SeqNumber, usize)> {
        let mut answers = Vec::new();
        while let Some(out) = self.server.poll_transmit(self.now) {
            let segment = &out.segment;
            answers.push((segment.flags, segment.seq, segment.ack, segment.text.len()));
        }
        answers
    }

    /// Lets time pass; counts what is sent meanwhile.
    fn pass(&mut self, time: Duration) -> usize {
        let end = self.now + time;
        let mut sent = 0;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            sent += self.answers().len();
        }
        self.now = end;
        sent
    }

    fn read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut chunk = [0; 4_096];
        while let Ok(count @ 1..) = self.server.recv(self.now, &mut chunk) {
            all.extend_from_slice(&chunk[..count]);
        }
        all
    }
}

fn policies() -> [Policy; 2] {
    [Policy::rfc9293(), Policy::linux()]
}

/// RFC 5961 §3: only the exact number resets; in the window the peer is asked; outside nothing happens.
#[test]
fn a_blind_reset_has_to_guess_one_number_of_four_billion() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let window = victim.server.info().receive_window;
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let offset = random.next_u64() as u32;
            if offset == 0 {
                continue;
            }
            victim.now += Duration::from_secs(1);
            victim.send(&Segment { seq: victim.seq + offset, flags: Flags::RST, ..Segment::default() });
            let answers = victim.answers();
            assert_eq!(victim.server.state(), State::Established);
            let asked = answers.iter().filter(|answer| answer.0 == Flags::ACK).count();
            assert_eq!((answers.len(), asked), if offset < window { (1, 1) } else { (0, 0) });
        }
        for offset in [1, 2, window - 1] {
            victim.now += Duration::from_secs(1);
            victim.send(&Segment { seq: victim.seq + offset, flags: Flags::RST, ..Segment::default() });
            assert_eq!((victim.server.state(), victim.answers().len()), (State::Established, 1));
        }
        victim.send(&Segment { seq: victim.seq, flags: Flags::RST, ..Segment::default() });
        assert_eq!(victim.server.state(), State::Closed);
    }
}

/// RFC 5961 §4: a SYN is answered by an ACK whatever its number.
#[test]
fn a_blind_syn_ends_nothing() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let next = victim.ack;
        for offset in [0, 1, 1_000, 65_535, 1 << 31, u32::MAX] {
            victim.now += Duration::from_secs(1);
            victim.send(&Segment { seq: victim.seq + offset, flags: Flags::SYN, ..Segment::default() });
            assert_eq!(victim.answers(), [(Flags::ACK, next, victim.seq, 0)]);
            assert_eq!(victim.server.state(), State::Established);
        }
    }
}

/// RFC 5961 §5: text comes in only with an acknowledgment that the server could have been sent.
#[test]
fn blind_text_needs_a_likely_acknowledgment_too() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let mut random = Random::new(2);
        for _ in 0..10_000 {
            let offset = random.next_u64() as u32;
            // Not ahead of what was sent, nor behind the largest window there ever was.
            if offset == 0 || offset > u32::MAX - 60_000 {
                continue;
            }
            victim.now += Duration::from_secs(1);
            let forged = Segment { ack: victim.ack + offset, text: (&b"forged"[..]).into(), ..victim.ack() };
            victim.send(&forged);
            victim.answers();
        }
        assert_eq!((victim.read(), victim.server.state()), (Vec::new(), State::Established));
        let genuine = Segment { text: (&b"genuine"[..]).into(), ..victim.ack() };
        victim.send(&genuine);
        assert_eq!(victim.read(), b"genuine");
    }
}

/// RFC 5961 §7: however many segments ask for an answer, few get one.
#[test]
fn a_storm_of_bad_segments_is_answered_by_a_breeze() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let mut answers = 0;
        for number in 0..100_000_u32 {
            victim.now = NOW + Duration::from_micros(u64::from(number) * 10);
            let bad = match number % 3 {
                0 => Segment { seq: victim.seq - 1, ..victim.ack() },
                1 => Segment { ack: victim.ack + 10, ..victim.ack() },
                _ => Segment { flags: Flags::SYN, seq: victim.seq + 7, ..Segment::default() },
            };
            victim.send(&bad);
            answers += victim.answers().len();
        }
        let most = if policy.is_linux() { 3 } else { policy.challenge_ack_limit as usize + 1 };
        assert!((1..=most).contains(&answers), "{answers} answers in a second");
        assert_eq!(victim.server.state(), State::Established);
    }
}

/// A receiver that acknowledges what it has not got to be sent faster (RFC 5681 §6 (Savage)).
#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        victim.server.send(victim.now, &vec![1; 100_000]).unwrap();
        let sent: usize = victim.answers().iter().map(|answer| answer.3).sum();
        let before = victim.server.info();
        for ahead in [1, 1_460, 50_000, 1 << 30] {
            let optimistic = Segment { ack: victim.ack + sent as u32 + ahead, ..victim.ack() };
            victim.send(&optimistic);
            victim.answers();
        }
        let after = victim.server.info();
        assert_eq!(after.send_unacknowledged, before.send_unacknowledged);
        assert_eq!(after.congestion_window, before.congestion_window);
        assert_eq!(victim.server.unacknowledged(), 100_000);
    }
}

/// RFC 9293 §3.8.6 (MUST-34): a window taken back is nothing to fall over.
#[test]
fn a_window_that_shrinks_is_kept_to() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        victim.server.send(victim.now, &vec![1; 200_000]).unwrap();
        let mut acked = victim.ack;
        let mut highest = victim.ack;
        for window in [60_000, 30_000, 5_000, 1, 0, 100, 0, 60_000, 7] {
            for (_, seq, _, length) in victim.answers() {
                highest = highest.later(seq + length as u32);
            }
            acked = acked.later(highest - 500);
            victim.send(&Segment { ack: acked, window, ..victim.ack() });
            let edge = acked + u32::from(window);
            for (_, seq, _, length) in victim.answers() {
                // Text beyond is never new text.
                let end = seq + length as u32;
                assert!(end.le(edge) || end.le(highest), "{} beyond", end.distance(edge));
                highest = highest.later(end);
            }
            victim.pass(Duration::from_secs(3));
        }
        assert_eq!(victim.server.state(), State::Established);
    }
}

/// A peer that asks for one byte a segment costs forty for each.
#[test]
fn a_tiny_maximum_segment_size_has_a_floor() {
    for policy in policies() {
        for size in [0, 1, 8, 40] {
            let mut victim = Victim::with_options(&policy, &[TcpOption::MaximumSegmentSize(size)]);
            victim.server.send(victim.now, &[1; 1_000]).unwrap();
            let answers = victim.answers();
            assert!(answers[0].3 >= usize::from(policy.min_mss), "{answers:?}");
        }
    }
}

/// Whoever sends two texts for the same numbers: the first counts, whatever the order.
#[test]
fn overlapping_text_that_differs_is_read_as_it_came_first() {
    for policy in policies() {
        let mut random = Random::new(3);
        for _ in 0..300 {
            let mut victim = Victim::new(&policy);
            let mut expected = [None; 64];
            for number in 0..40_u8 {
                let start = random.below(64) as usize;
                let length = 1 + random.below(64 - start as u64) as usize;
                let text = vec![number; length];
                victim.send(&Segment {
                    seq: victim.seq + start as u32,
                    text: text.as_slice().into(),
                    ..victim.ack()
                });
                for place in &mut expected[start..start + length] {
                    place.get_or_insert(number);
                }
            }
            let expected: Vec<u8> = expected.into_iter().map_while(|place| place).collect();
            assert_eq!(victim.read(), expected);
        }
    }
}

/// Blocks that were never sent, that lie behind or are upside down.
#[test]
fn nonsense_in_sack_blocks_is_harmless() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let text: Vec<u8> = (0..20_000_u32).map(|place| place as u8).collect();
        victim.server.send(victim.now, &text).unwrap();
        let start = victim.ack;
        let mut got = vec![None; text.len()];
        let mut random = Random::new(4);
        let mut acked = start;
        for round in 0..5_000 {
            while let Some(out) = victim.server.poll_transmit(victim.now) {
                let offset = out.segment.seq.distance(start);
                assert!(offset >= -1 && offset as usize + out.segment.text.len() <= got.len());
                for (place, byte) in got.iter_mut().skip(offset.max(0) as usize).zip(out.segment.text.iter())
                {
                    *place = Some(byte);
                }
            }
            let mut options = Options::EMPTY;
            let mut number = || start + (random.next_u64() as u32 % 60_000) - 20_000;
            let blocks = (0..3).map(|_| SackBlock { start: number(), end: number() }).collect();
            options.push(TcpOption::Sack(blocks)).unwrap();
            let have = got.iter().take_while(|byte| byte.is_some()).count() as u32;
            if round % 3 == 0 {
                acked = acked.later(start + have);
            }
            victim.send(&Segment { ack: acked, options, ..victim.ack() });
            victim.now += Duration::from_millis(100);
            if victim.server.poll_timeout().is_some_and(|due| due <= victim.now) {
                victim.server.handle_timeout(victim.now);
            }
        }
        assert_eq!(victim.server.state(), State::Established);
        let got: Option<Vec<u8>> = got.into_iter().collect();
        assert_eq!(got, Some(text));
        assert_eq!(victim.server.unacknowledged(), 0);
    }
}

/// Every other byte: an entry for each would cost more than the window.
#[test]
fn a_reassembly_bomb_is_bounded() {
    for policy in policies() {
        let policy = Policy { receive_buffer: 1 << 20, receive_buffer_max: 1 << 20, ..policy };
        let mut victim =
            Victim::with_options(&policy, &[TcpOption::WindowScale(7), TcpOption::SackPermitted]);
        let window = victim.server.info().receive_window;
        for offset in (1..window).step_by(2) {
            victim.send(&Segment { seq: victim.seq + offset, text: (&b"x"[..]).into(), ..victim.ack() });
            if offset % 101 == 0 {
                victim.answers();
            }
        }
        assert!(victim.server.memory() <= (2 << 20) + 16_384, "{} bytes", victim.server.memory());
        assert_eq!(victim.server.state(), State::Established);
    }
}

/// A peer that never opens its window is asked again and again, at a growing distance, and costs no more.
#[test]
fn a_window_shut_for_ever_is_asked_for_now_and_then() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        victim.send(&Segment { window: 0, ..victim.ack() });
        victim.server.send(victim.now, &vec![1; 50_000]).unwrap();
        assert_eq!(victim.answers(), []);
        let mut probes = 0;
        let hours = 10;
        for _ in 0..hours * 360 {
            let sent = victim.pass(Duration::from_secs(10));
            probes += sent;
            if sent > 0 {
                victim.send(&Segment { window: 0, ..victim.ack() });
            }
        }
        assert_eq!(victim.server.state(), State::Established);
        assert!((100..=hours * 700).contains(&probes), "{probes} probes");
        assert!(victim.server.memory() <= 65_536);
        // Once it is silent as well, that has an end.
        victim.pass(Duration::from_secs(7_200));
        assert_eq!(victim.server.state(), State::Closed);
    }
}

/// RFC 5927: what ICMP quotes has to be in flight, and the smallest MTU is not believed.
#[test]
fn forged_icmp_does_nothing_or_little() {
    for policy in policies() {
        let mut victim = Victim::new(&policy);
        let seq = victim.ack;
        victim.server.handle_icmp(victim.now, IcmpError::Unreachable { seq });
        assert_eq!(victim.server.state(), State::Established);
        victim.server.send(victim.now, &[1; 5_000]).unwrap();
        victim.answers();
        let before = victim.server.info();
        for offset in [u32::MAX, 5_000, 1 << 20, 1 << 31] {
            for error in [
                IcmpError::Unreachable { seq: seq + offset },
                IcmpError::PacketTooBig { seq: seq + offset, mtu: 68 },
                IcmpError::Transient { seq: seq + offset },
            ] {
                victim.server.handle_icmp(victim.now, error);
                assert_eq!(victim.server.info(), before);
            }
        }
        victim.server.handle_icmp(victim.now, IcmpError::PacketTooBig { seq, mtu: 1 });
        assert!(victim.server.info().path_mtu >= 552);
        assert_eq!(victim.server.state(), State::Established);
    }
}
