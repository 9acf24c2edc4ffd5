//! The scoreboard and the whole of loss recovery against models that remember every byte.

use proptest::prelude::*;

use super::super::scoreboard::{Delivered, Scoreboard};
use super::*;

/// What the model knows of one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Byte {
    acked: bool,
    sacked: bool,
    lost: bool,
    resent: bool,
    sent_at: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    Resend(u16, u16),
    Acknowledge(u16),
    Sack(u16, u16),
    DetectLoss { left: u8, window: u8 },
    LoseAll(u8),
    LoseFirst(u8),
    FindAll,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..200_u8).prop_map(Step::Send),
        3 => (any::<u16>(), 1..300_u16).prop_map(|(start, length)| Step::Resend(start, length)),
        3 => any::<u16>().prop_map(Step::Acknowledge),
        6 => (any::<u16>(), 1..300_u16).prop_map(|(start, length)| Step::Sack(start, length)),
        4 => (any::<u8>(), 0..20_u8).prop_map(|(left, window)| Step::DetectLoss { left, window }),
        1 => any::<u8>().prop_map(Step::LoseAll),
        1 => any::<u8>().prop_map(Step::LoseFirst),
        1 => Just(Step::FindAll),
        4 => (0..10_u8).prop_map(Step::Wait),
    ]
}

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

/// Everything the scoreboard counts, counted byte by byte.
fn check(board: &Scoreboard, bytes: &[Byte]) {
    let count =
        |predicate: &dyn Fn(&Byte) -> bool| bytes.iter().filter(|byte| predicate(byte)).count() as u32;
    let outstanding = count(&|byte| !byte.acked);
    assert_eq!(board.outstanding(), outstanding);
    assert_eq!(board.sacked(), count(&|byte| !byte.acked && byte.sacked), "sacked");
    assert_eq!(board.lost(), count(&|byte| !byte.acked && byte.lost), "lost");
    assert_eq!(board.resent(), count(&|byte| !byte.acked && byte.resent), "resent");
    assert_eq!(board.due(), count(&|byte| !byte.acked && byte.lost && !byte.resent), "due");
    assert!(board.pipe() <= 2 * outstanding);
    board.check();

    let first = bytes.iter().position(|byte| !byte.acked && byte.lost && !byte.resent);
    let due = board.first_due(50);
    assert_eq!(due.map(|(start, _)| start), first.map(|first| START + first as u32), "first due");
    if let (Some((start, end)), Some(first)) = (due, first) {
        let run = bytes[first..].iter().take_while(|byte| byte.lost && !byte.resent).count();
        assert_eq!(end.offset_from(start), run.min(50) as u32);
    }
}

/// Failures are to be mended and become tests of their own; no files of seeds.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn the_scoreboard_agrees_with_one_that_remembers_every_byte(steps in prop::collection::vec(step(), 1..60)) {
        let mut board = Scoreboard::new(START);
        let mut bytes: Vec<Byte> = Vec::new();
        let mut una = 0_usize;
        let mut now = 1_000_000_u64;
        for step in steps {
            match step {
                Step::Send(length) => {
                    let start = START + bytes.len() as u32;
                    board.send(at(now), start, start + u32::from(length), true);
                    bytes.extend((0..length).map(|_| Byte { sent_at: now, ..Byte::default() }));
                }
                Step::Resend(start, length) => {
                    let start = usize::from(start) % (bytes.len() + 1);
                    let end = start + usize::from(length);
                    let told = board.resend(at(now), START + start as u32, START + end as u32);
                    let mut count = 0;
                    for byte in bytes.iter_mut().take(end).skip(start) {
                        if !byte.acked && !byte.sacked {
                            byte.resent = true;
                            byte.sent_at = now;
                            count += 1;
                        }
                    }
                    prop_assert_eq!(told, count);
                }
                Step::Acknowledge(to) => {
                    let to = una + usize::from(to) % (bytes.len() - una + 1) / 3;
                    let mut seen = 0;
                    board.acknowledge(START + to as u32, |piece| seen += piece.length());
                    prop_assert_eq!(seen as usize, to - una);
                    for byte in &mut bytes[..to] {
                        *byte = Byte { acked: true, ..Byte::default() };
                    }
                    una = to;
                }
                Step::Sack(start, length) => {
                    if bytes.len() - una < 2 {
                        continue;
                    }
                    let start = una + 1 + usize::from(start) % (bytes.len() - una - 1);
                    let end = (start + usize::from(length)).min(bytes.len());
                    let told = board.sack(START + start as u32, START + end as u32, usize::MAX, |_| {});
                    let mut count = 0;
                    for byte in &mut bytes[start..end] {
                        if !byte.sacked {
                            byte.sacked = true;
                            byte.lost = false;
                            byte.resent = false;
                            count += 1;
                        }
                    }
                    prop_assert_eq!(told, count);
                }
                Step::DetectLoss { left, window } => {
                    let delivered = Delivered {
                        sent_at: at(now - u64::from(left)),
                        end: START + bytes.len() as u32,
                        rtt: 5,
                        news: true,
                    };
                    board.detect_loss(at(now), &delivered, u32::from(window));
                    for byte in &mut bytes[una..] {
                        let before = byte.sent_at < now - u64::from(left);
                        let late = now - byte.sent_at >= 5 + u64::from(window);
                        // What was lost and found again without being sent is looked at like an original.
                        if !byte.sacked && (!byte.lost || byte.resent) && before && late {
                            byte.lost = true;
                            byte.resent = false;
                        }
                    }
                    if bytes.iter().any(|byte| byte.sent_at == now - u64::from(left)) {
                        // What left in the same microsecond is decided by its number, of which the model knows
                        // nothing: take over what the scoreboard says.
                        board.each(|start, end, lost, resent| {
                            let range = start.offset_from(START) as usize..end.offset_from(START) as usize;
                            for byte in &mut bytes[range] {
                                if byte.sent_at == now - u64::from(left) {
                                    (byte.lost, byte.resent) = (lost, resent);
                                }
                            }
                        });
                    }
                }
                Step::LoseAll(age) => {
                    board.lose_all(|range| now - range.sent_at().as_micros() < u64::from(age));
                    let mut head = None;
                    board.each(|start, end, _, _| {
                        head.get_or_insert((start.offset_from(START) as usize, end.offset_from(START) as usize));
                    });
                    for (index, byte) in bytes.iter_mut().enumerate().skip(una) {
                        let first = head.is_some_and(|(start, end)| (start..end).contains(&index));
                        if !byte.sacked && (first || now - byte.sent_at >= u64::from(age)) {
                            byte.lost = true;
                            byte.resent = false;
                        }
                    }
                }
                Step::LoseFirst(length) => {
                    let length = usize::from(length).max(1);
                    let mut head = None;
                    board.each(|_, end, _, _| {
                        head.get_or_insert(end.offset_from(START) as usize);
                    });
                    board.lose_first(length as u32);
                    let end = head.unwrap_or(una).min(una + length);
                    for byte in &mut bytes[una..end] {
                        if !byte.sacked {
                            byte.lost = true;
                            byte.resent = false;
                        }
                    }
                }
                Step::FindAll => {
                    board.find_all();
                    for byte in &mut bytes {
                        byte.lost = false;
                    }
                }
                Step::Wait(micros) => now += u64::from(micros),
            }
            check(&board, &bytes);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Send(u8),
    /// Any acknowledgment with any blocks.
    Ack {
        to: u16,
        blocks: Vec<(u16, u16)>,
        echoed: Option<u16>,
        ece: bool,
        duplicate: bool,
    },
    Pump,
    Timer,
    Wait(u16),
    TooLarge(u8),
    Idle,
}

fn event() -> impl Strategy<Value = Event> {
    let block = (any::<u16>(), any::<u16>());
    let ack = (
        any::<u16>(),
        prop::collection::vec(block, 0..4),
        prop::option::of(any::<u16>()),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    prop_oneof![
        3 => (1..12_u8).prop_map(Event::Send),
        8 => ack.prop_map(|(to, blocks, echoed, ece, duplicate)| Event::Ack { to, blocks, echoed, ece, duplicate }),
        4 => Just(Event::Pump),
        3 => Just(Event::Timer),
        3 => any::<u16>().prop_map(Event::Wait),
        1 => (1..200_u8).prop_map(Event::TooLarge),
        1 => Just(Event::Idle),
    ]
}

/// What must hold whatever the peer says.
fn invariants(sender: &Sender) {
    let recovery = &sender.recovery;
    let outstanding = sender.next.offset_from(sender.una);
    assert_eq!(recovery.outstanding(), outstanding);
    assert!(recovery.pipe() <= 2 * outstanding);
    assert!(recovery.sacked() + recovery.lost() <= outstanding);
    assert!(recovery.allowance() <= recovery.cwnd());
    if let Some((start, end)) = recovery.retransmission() {
        assert!(start.ge(sender.una) && end.le(sender.next) && start.lt(end));
        assert!(end.offset_from(start) <= recovery.mss);
    }
    assert_eq!(recovery.deadline().is_some(), outstanding > 0, "a timer runs while something is outstanding");
    if let Some(flight) = &recovery.flight {
        flight.board.check();
    }
    assert!(recovery.rto() <= sender.policy.rto.max);
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn no_sequence_of_acknowledgments_confuses_it(
        events in prop::collection::vec(event(), 1..80),
        sack in any::<bool>(),
        linux in any::<bool>(),
        cubic in any::<bool>(),
        greedy in any::<bool>(),
    ) {
        let base = if linux { Policy::linux() } else { Policy::rfc9293() };
        let congestion = if cubic { CongestionAlgorithm::Cubic } else { CongestionAlgorithm::NewReno };
        let mut sender = Sender::new(Policy { congestion, ..base }, sack, 20 * MS);
        sender.greedy = greedy;
        for event in events {
            match event {
                Event::Send(segments) => sender.send(u32::from(segments)),
                Event::Ack { to, blocks, echoed, ece, duplicate } => {
                    let outstanding = sender.next.offset_from(sender.una);
                    // Often a segment's end, sometimes any number, sometimes an old one.
                    let to = u32::from(to);
                    let ack = match to % 8 {
                        0 => sender.una - to,
                        1 => sender.una + to % (outstanding + 1),
                        2 | 3 => sender.una,
                        _ => sender.una + (to % (outstanding / MSS + 1) * MSS),
                    };
                    let sack: Vec<SackBlock> = blocks
                        .iter()
                        .map(|&(start, length)| {
                            let (start, length) = (u32::from(start), u32::from(length));
                            let start = match start % 4 {
                                0 => sender.una - 2_000 + start,
                                _ => sender.una + start % (outstanding / MSS + 2) * MSS,
                            };
                            let length = match length % 4 {
                                0 => length,
                                _ => (length % 5 + 1) * MSS,
                            };
                            SackBlock { start, end: start + length }
                        })
                        .collect();
                    let before = sender.una;
                    let outcome = sender.recovery.on_ack(
                        sender.now,
                        &Acknowledgment {
                            ack,
                            una: sender.una,
                            next: sender.next,
                            sack: &sack,
                            echoed: echoed.map(u32::from),
                            ece,
                            duplicate_candidate: duplicate && ack == sender.una && outstanding > 0,
                        },
                        &sender.policy,
                    );
                    sender.una = sender.una.later(ack);
                    prop_assert_eq!(outcome.newly_acked, sender.una.offset_from(before));
                }
                Event::Pump => {
                    // Something always comes to an end here: each segment uses the allowance up.
                    let most = sender.recovery.cwnd() / sender.recovery.mss + 2;
                    for _ in 0..most.min(50) {
                        invariants(&sender);
                        let Some((start, end)) = sender.recovery.retransmission() else { break };
                        if sender.recovery.allowance() < end.offset_from(start) {
                            break;
                        }
                        sender.recovery.on_sent(sender.now, start, end, Sent::Retransmission);
                    }
                }
                Event::Timer => {
                    let Some((deadline, timer)) = sender.recovery.deadline() else { continue };
                    sender.now = sender.now.max(deadline);
                    match timer {
                        RecoveryTimer::Retransmission => {
                            sender.recovery.on_retransmission_timeout(sender.now, false, &sender.policy);
                            prop_assert!(sender.recovery.retransmission().is_some());
                            prop_assert!(sender.recovery.allowance() >= sender.recovery.mss);
                        }
                        RecoveryTimer::TailLossProbe => {
                            if let Probe::NewOr(start, end) = sender.recovery.on_tail_loss_timeout(sender.now) {
                                if greedy {
                                    let end = sender.next + MSS;
                                    sender.recovery.on_sent(sender.now, sender.next, end, Sent::TailLossProbe);
                                    sender.next = end;
                                } else {
                                    sender.recovery.on_sent(sender.now, start, end, Sent::TailLossProbe);
                                }
                            }
                        }
                        RecoveryTimer::Reordering => {
                            sender.recovery.on_reordering_timeout(sender.now);
                        }
                    }
                }
                Event::Wait(micros) => sender.wait(u64::from(micros)),
                Event::TooLarge(mss) => sender.recovery.on_too_large(u32::from(mss) * 10),
                Event::Idle => {
                    let policy = sender.policy.clone();
                    sender.recovery.restart_after_idle(sender.now, &policy);
                    sender.recovery.release();
                }
            }
            invariants(&sender);
        }
    }
}

/// A path that loses, reorders and repeats, with a receiver that keeps every byte: everything arrives, whatever is
/// lost, and in time.
mod path {
    use super::*;

    struct Receiver {
        got: Vec<bool>,
        next: usize,
        latest: Option<usize>,
        duplicate: Option<usize>,
    }

    impl Receiver {
        fn take(&mut self, segment: usize) {
            self.duplicate = self.got[segment].then_some(segment);
            self.got[segment] = true;
            self.latest = Some(segment);
            while self.got.get(self.next) == Some(&true) {
                self.next += 1;
            }
        }

        /// The duplicate first, then the block of the latest segment, then others.
        fn blocks(&self) -> Vec<(u32, u32)> {
            let mut blocks = Vec::new();
            if let Some(segment) = self.duplicate {
                blocks.push((segment as u32, segment as u32 + 1));
            }
            let block = |segment: usize| {
                let start = (self.next..=segment).rev().take_while(|&at| self.got[at]).last();
                let end = (segment..self.got.len()).take_while(|&at| self.got[at]).last();
                start.zip(end).map(|(start, end)| (start as u32, end as u32 + 1))
            };
            if let Some(latest) = self.latest.filter(|&latest| latest > self.next) {
                blocks.extend(block(latest));
            }
            let mut at = self.got.len();
            while blocks.len() < 3 && at > self.next {
                at -= 1;
                if self.got[at]
                    && let Some(found) = block(at)
                {
                    if !blocks.contains(&found) {
                        blocks.push(found);
                    }
                    at = found.0 as usize;
                }
            }
            blocks
        }
    }

    /// When it arrives, a tie breaker, the number, the blocks, and when what it answers left.
    type Answer = (Instant, usize, u32, Vec<(u32, u32)>, Instant);

    fn transfer(
        seed: u64,
        sack: bool,
        timestamps: bool,
        policy: Policy,
        loss: u64,
        jitter: u64,
    ) -> (u64, usize) {
        const SEGMENTS: usize = 400;
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut sender = Sender::new(policy, sack, 20 * MS);
        let begun = sender.now;
        let mut receiver = Receiver { got: vec![false; SEGMENTS], next: 0, latest: None, duplicate: None };
        // (when it arrives, a tie breaker, segment, when it left)
        let mut forward: Vec<(Instant, usize, usize, Instant)> = Vec::new();
        let mut back: Vec<Answer> = Vec::new();
        let mut count = 0;
        let mut transmissions = 0;
        while sender.una != START + SEGMENTS as u32 * MSS {
            assert!(count < 200_000, "it goes on for ever");
            // Send.
            loop {
                count += 1;
                let sent = sender.next.offset_from(START) as usize / MSS as usize;
                let more = sent < SEGMENTS;
                let again = sender.recovery.retransmission();
                if sender.recovery.allowance() < MSS {
                    break;
                }
                let segment = match again {
                    Some((start, end)) if !(more && sender.recovery.prefers_new()) => {
                        assert_eq!(end.offset_from(start), MSS);
                        sender.recovery.on_sent(sender.now, start, end, Sent::Retransmission);
                        start.offset_from(START) as usize / MSS as usize
                    }
                    _ if more => {
                        sender.send(1);
                        sent
                    }
                    _ => break,
                };
                transmissions += 1;
                if draw(100) >= loss {
                    let arrival = sender.now.plus_micros(10 * MS + draw(jitter + 1));
                    forward.push((arrival, count, segment, sender.now));
                }
            }
            // What is next.
            let segment = forward.iter().map(|entry| (entry.0, entry.1)).min();
            let ack = back.iter().map(|entry| (entry.0, entry.1)).min();
            let timer = sender.recovery.deadline().expect("something is outstanding");
            let first = segment.into_iter().chain(ack).min();
            if first.is_none_or(|(at, _)| timer.0 < at) {
                sender.now = sender.now.max(timer.0);
                match timer.1 {
                    RecoveryTimer::Retransmission => sender.timeout(),
                    RecoveryTimer::Reordering => {
                        sender.recovery.on_reordering_timeout(sender.now);
                    }
                    RecoveryTimer::TailLossProbe => {
                        if let Probe::NewOr(start, end) = sender.recovery.on_tail_loss_timeout(sender.now) {
                            sender.recovery.on_sent(sender.now, start, end, Sent::TailLossProbe);
                            transmissions += 1;
                            if draw(100) >= loss {
                                let segment = start.offset_from(START) as usize / MSS as usize;
                                forward.push((sender.now.plus_micros(10 * MS), count, segment, sender.now));
                            }
                        }
                    }
                }
                continue;
            }
            let (at, number) = first.expect("there is one");
            sender.now = sender.now.max(at);
            if segment == first {
                let index = forward.iter().position(|entry| entry.1 == number).expect("it is there");
                let (_, _, segment, left) = forward.swap_remove(index);
                receiver.take(segment);
                if draw(100) >= loss / 2 {
                    let arrival = sender.now.plus_micros(10 * MS);
                    count += 1;
                    back.push((arrival, count, receiver.next as u32, receiver.blocks(), left));
                }
            } else {
                let index = back.iter().position(|entry| entry.1 == number).expect("it is there");
                let (_, _, ack, blocks, left) = back.swap_remove(index);
                let blocks = if sack { blocks } else { vec![] };
                let echoed = timestamps.then(|| ((sender.now.as_millis() - left.as_millis()) * 1_000) as u32);
                sender.acknowledge(ack, &blocks, echoed, false);
            }
            invariants(&sender);
        }
        (sender.now.micros_since(begun) / MS, transmissions - SEGMENTS)
    }

    proptest! {
        #![proptest_config(cases(150))]

        #[test]
        fn everything_arrives(
            seed in any::<u64>(),
            sack in any::<bool>(),
            timestamps in any::<bool>(),
            cubic in any::<bool>(),
            loss in 0..30_u64,
            jitter in prop_oneof![Just(0), 0..30 * MS],
        ) {
            let congestion = if cubic { CongestionAlgorithm::Cubic } else { CongestionAlgorithm::NewReno };
            transfer(seed, sack, timestamps, Policy { congestion, ..Policy::linux() }, loss, jitter);
        }
    }

    #[test]
    fn nothing_is_sent_again_where_nothing_is_lost() {
        for seed in 0..20 {
            let (_, again) = transfer(seed, true, true, Policy::linux(), 0, 0);
            assert_eq!(again, 0);
        }
    }

    #[test]
    fn little_is_sent_again_on_a_path_that_only_reorders() {
        for seed in 0..20 {
            let (_, again) = transfer(seed, true, true, Policy::linux(), 0, 4 * MS);
            assert!(again <= 20, "{again}");
        }
    }

    #[test]
    fn little_more_than_what_was_lost_is_sent_again() {
        for seed in 0..20 {
            let (time, again) = transfer(seed, true, true, Policy::linux(), 5, 0);
            assert!(again <= 60, "{again}");
            assert!(time < 4_000, "{time} ms");
        }
    }
}
