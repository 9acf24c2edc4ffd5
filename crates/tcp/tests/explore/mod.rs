//! Breadth-first search over two connections and what is on the way between them.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use eleven_tcp::policy::{Keepalive, RetransmissionTimeout, Secret};
use eleven_tcp::rules::Failure;
use eleven_tcp::{
    CallError, Connection, Ecn, Envelope, FourTuple, Instant, Policy, Segment, SeqNumber, State,
};

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Distinct states.
    pub(crate) states: usize,
    /// Packets the network may drop, in all.
    pub(crate) drops: u8,
    /// Packets it may repeat.
    pub(crate) copies: u8,
    /// Packets on their way in one direction; more push out the oldest.
    pub(crate) capacity: usize,
    /// Bytes each program sends.
    pub(crate) bytes: u8,
    /// Every so many states, one is run to its end.
    pub(crate) sample: usize,
}

/// What is explored, by name: the policies of both ends, each on a network that does much and on one that does
/// little, where the search gets deeper.
pub(crate) fn configurations(states: usize) -> Vec<(String, [Policy; 2], Limits)> {
    let small = |policy: Policy, number: u8| Policy {
        secret: Secret([number; 16]),
        timestamps: false,
        window_scaling: false,
        // Two bytes fit.
        receive_buffer: 2,
        receive_buffer_max: 2,
        syn_retries: 2,
        syn_ack_retries: 2,
        retries: 2,
        orphan_retries: 2,
        user_timeout: None,
        fin_wait_2_timeout: Some(Duration::from_secs(60)),
        rto: RetransmissionTimeout {
            initial: Duration::from_secs(1),
            min: Duration::from_secs(1),
            max: Duration::from_secs(8),
        },
        ..policy
    };
    let asking =
        Some(Keepalive { time: Duration::from_secs(9), interval: Duration::from_secs(9), probes: 1 });
    let (rfc, linux) = (Policy::rfc9293(), Policy::linux());
    let policies = [
        ("RFC 9293", [small(rfc.clone(), 1), small(Policy { sack: false, ..rfc.clone() }, 2)]),
        ("Linux", [small(Policy { keepalive: asking, ..linux.clone() }, 1), small(linux.clone(), 2)]),
        ("one of each", [small(rfc, 1), small(Policy { nagle: false, ..linux }, 2)]),
    ];
    let bad = Limits { states, drops: 2, copies: 1, capacity: 3, bytes: 2, sample: 8 };
    let good = Limits { drops: 0, copies: 0, capacity: 2, bytes: 1, ..bad };
    let networks = [("a bad network", bad), ("one that only reorders", good)];
    let both = policies.into_iter().flat_map(|(name, policies)| {
        networks.map(|(network, limits)| (format!("{name} on {network}"), policies.clone(), limits))
    });
    both.collect()
}

/// A segment on its way.
#[derive(Clone)]
struct Packet {
    segment: Segment<'static>,
    text: Vec<u8>,
    envelope: Envelope,
}

impl Packet {
    /// The same for the same segment whatever the initial numbers.
    fn fingerprint(&self, initial: [SeqNumber; 2], from: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        let segment = &self.segment;
        let relative = |number: SeqNumber, whose: usize| number.offset_from(initial[whose]);
        (from, relative(segment.seq, from), segment.flags.bits(), segment.window).hash(&mut hasher);
        if segment.ack != SeqNumber(0) {
            relative(segment.ack, 1 - from).hash(&mut hasher);
        }
        for block in segment.options.sack().iter() {
            (relative(block.start, 1 - from), relative(block.end, 1 - from)).hash(&mut hasher);
        }
        self.text.hash(&mut hasher);
        hasher.finish()
    }
}

/// One end with its program and its own clock.
#[derive(Clone)]
struct Side {
    connection: Connection,
    now: Instant,
    opened: bool,
    sent: u8,
    received: u8,
    /// The program sends no more.
    shut: bool,
    /// It has closed or aborted.
    gone: bool,
    end_of_file: bool,
    failed: bool,
}

#[derive(Clone)]
struct World {
    ends: [Arc<Side>; 2],
    /// What each end has sent and the other has not got.
    channel: [Vec<Arc<Packet>>; 2],
    initial: [SeqNumber; 2],
    drops: u8,
    copies: u8,
    depth: u16,
    trail: Option<Arc<Trail>>,
}

/// How a state was reached.
struct Trail {
    step: Move,
    before: Option<Arc<Trail>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Connect(usize),
    Listen(usize),
    Send(usize),
    Receive(usize),
    Shutdown(usize),
    Close(usize),
    Abort(usize),
    Timer(usize),
    Deliver(usize, usize),
    Copy(usize, usize),
    Drop(usize, usize),
}

fn pair(end: usize) -> FourTuple {
    let pair = FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
    if end == 0 { pair } else { pair.reversed() }
}

const START: Instant = Instant::from_secs(100);

/// The byte each end sends at a place.
const fn byte(end: usize, place: u8) -> u8 {
    b'A' + 16 * end as u8 + place
}

pub(crate) struct Exploration {
    limits: Limits,
    queue: VecDeque<World>,
    known: HashSet<u64>,
    pub(crate) states_seen: BTreeSet<&'static str>,
    pub(crate) rules: BTreeSet<&'static str>,
    transitions: u64,
    ended: u64,
    depth: u16,
    exhausted: bool,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} distinct states, {} transitions, {} steps deep{}, {} of the states run to their end, {} rules, {} of \
             the eleven states",
            self.known.len(),
            self.transitions,
            self.depth,
            if self.exhausted { " (all there are)" } else { "" },
            self.ended,
            self.rules.len(),
            self.states_seen.len(),
        )
    }
}

impl Exploration {
    pub(crate) fn new(policies: [Policy; 2], limits: Limits) -> Self {
        let ends = policies.map(|policy| {
            Arc::new(Side {
                connection: Connection::new(Arc::new(policy)),
                now: START,
                opened: false,
                sent: 0,
                received: 0,
                shut: false,
                gone: false,
                end_of_file: false,
                failed: false,
            })
        });
        let world = World {
            ends,
            channel: [Vec::new(), Vec::new()],
            initial: [SeqNumber(0); 2],
            drops: limits.drops,
            copies: limits.copies,
            depth: 0,
            trail: None,
        };
        let mut exploration = Self {
            limits,
            queue: VecDeque::new(),
            known: HashSet::new(),
            states_seen: BTreeSet::new(),
            rules: BTreeSet::new(),
            transitions: 0,
            ended: 0,
            depth: 0,
            exhausted: false,
        };
        exploration.meet(world);
        exploration
    }

    pub(crate) fn visited(&self) -> usize {
        self.known.len()
    }

    /// Puts a state down if it is new.
    fn meet(&mut self, world: World) {
        if self.known.insert(world.fingerprint()) {
            for end in &world.ends {
                self.states_seen.insert(end.connection.state().as_str());
            }
            if self.known.len().is_multiple_of(self.limits.sample) {
                self.run_to_the_end(world.clone());
            }
            self.queue.push_back(world);
        }
    }

    pub(crate) fn run(&mut self) {
        while let Some(world) = self.queue.pop_front() {
            self.depth = world.depth;
            for step in world.moves(&self.limits) {
                let mut next = world.clone();
                next.depth += 1;
                next.trail = Some(Arc::new(Trail { step, before: world.trail.clone() }));
                self.transitions += 1;
                self.make(&mut next, step);
                self.meet(next);
            }
            if self.known.len() >= self.limits.states {
                break;
            }
        }
        self.exhausted = self.queue.is_empty();
    }

    /// From here on the network is good and the programs read all, close and are patient.
    fn run_to_the_end(&mut self, mut world: World) {
        self.ended += 1;
        world.drops = 0;
        world.copies = 0;
        let capacity = std::mem::replace(&mut self.limits.capacity, usize::MAX);
        let mut path = Vec::new();
        for _ in 0..2_000 {
            let is_over = |end: &Arc<Side>| end.connection.state() == State::Closed;
            if world.ends.iter().all(is_over) && world.channel.iter().all(Vec::is_empty) {
                self.limits.capacity = capacity;
                return;
            }
            let moves = world.moves(&self.limits);
            let wanted =
                |step: &&Move| matches!(step, Move::Deliver(_, 0) | Move::Receive(_) | Move::Close(_));
            let step = moves.iter().find(wanted).or_else(|| {
                // The end whose timer is due first, so that the two clocks do not run apart.
                let due = |end: usize| world.wait_of(end);
                moves.iter().filter(|step| matches!(step, Move::Timer(_))).min_by_key(|step| match step {
                    Move::Timer(end) => due(*end),
                    _ => Duration::MAX,
                })
            });
            let Some(step) = step.copied() else { break };
            let packet = match step {
                Move::Deliver(from, index) => world.channel[from].get(index).map(|packet| packet.segment),
                _ => None,
            };
            let told = packet
                .map(|it| format!("[{} seq={} ack={} win={}]", it.flags, it.seq.0, it.ack.0, it.window));
            path.push(format!("{step:?}{}", told.unwrap_or_default()));
            self.make(&mut world, step);
        }
        path.truncate(40);
        let mut trail = Vec::new();
        let mut at = world.trail.as_deref();
        while let Some(step) = at {
            trail.push(step.step);
            at = step.before.as_deref();
        }
        trail.reverse();
        let states = [0, 1].map(|end| world.ends[end].connection.state());
        panic!("the two stay in {states:?} for ever: after {trail:?}: {}", path.join(" "));
    }

    fn make(&mut self, world: &mut World, step: Move) {
        let end = step.end();
        let packet = match step {
            Move::Deliver(from, index) => Some(world.channel[from].remove(index)),
            Move::Copy(from, index) => {
                world.copies -= 1;
                Some(world.channel[from][index].clone())
            }
            Move::Drop(from, index) => {
                world.drops -= 1;
                world.channel[from].remove(index);
                return;
            }
            _ => None,
        };
        let initial_known = world.ends[end].connection.info().send_next != SeqNumber(0);
        let other_sent = world.ends[1 - end].sent;
        let this = Arc::make_mut(&mut world.ends[end]);
        let before = this.connection.state();
        this.act(step, end, packet.as_deref(), other_sent);
        this.note_events();
        self.check_steps(&this.connection, before, step);
        let now = this.now;
        let mut out = Vec::new();
        while let Some(transmit) = this.connection.poll_transmit(now) {
            let text = transmit.segment.text.to_vec();
            let segment = Segment { text: eleven_tcp::Text::default(), ..transmit.segment };
            if segment.flags.contains(eleven_tcp::Flags::SYN) && !initial_known {
                world.initial[end] = segment.seq;
            }
            out.push(Arc::new(Packet { segment, text, envelope: transmit.envelope }));
        }
        let channel = &mut world.channel[end];
        channel.extend(out);
        let surplus = channel.len().saturating_sub(self.limits.capacity);
        channel.drain(..surplus);
    }

    /// Only listed transitions are used.
    fn check_steps(&mut self, connection: &Connection, before: State, step: Move) {
        let rules: Vec<_> = connection.steps().iter().collect();
        if matches!(step, Move::Receive(_) | Move::Timer(_)) && rules.is_empty() {
            assert_eq!(before, connection.state(), "{step:?}");
        }
        let mut state = before;
        for (index, rule) in rules.iter().enumerate() {
            assert_eq!(rule.from, state, "{} after {step:?}", rule.id);
            state = rules.get(index + 1).map_or(connection.state(), |next| next.from);
            assert!(state == rule.to || state == rule.to_on_linux(), "{} leads to {state}", rule.id);
            self.rules.insert(rule.id);
        }
        assert_eq!(state, connection.state(), "{step:?}");
    }
}

impl Move {
    /// The end that does it; for packets, the one that gets it.
    const fn end(self) -> usize {
        match self {
            Self::Connect(end)
            | Self::Listen(end)
            | Self::Send(end)
            | Self::Receive(end)
            | Self::Shutdown(end)
            | Self::Close(end)
            | Self::Abort(end)
            | Self::Timer(end) => end,
            Self::Deliver(from, _) | Self::Copy(from, _) | Self::Drop(from, _) => 1 - from,
        }
    }
}

impl Side {
    fn act(&mut self, step: Move, end: usize, packet: Option<&Packet>, other_sent: u8) {
        let now = self.now;
        let connection = &mut self.connection;
        match step {
            Move::Connect(_) => {
                self.opened = true;
                connection.connect(now, pair(end)).unwrap();
            }
            Move::Listen(_) => {
                self.opened = true;
                connection.listen(now, pair(end).local()).unwrap();
            }
            Move::Send(_) => {
                if connection.send(now, &[byte(end, self.sent)]) == Ok(1) {
                    self.sent += 1;
                }
            }
            Move::Receive(_) => {
                let mut text = [0; 4];
                match connection.recv(now, &mut text) {
                    Ok(0) | Err(CallError::Failed(Failure::ConnectionClosing)) => {
                        self.end_of_file = true;
                        assert_eq!(self.received, other_sent, "the end of file came before all the text");
                    }
                    Ok(count) => {
                        for read in &text[..count] {
                            assert_eq!(*read, byte(1 - end, self.received), "in order and once");
                            self.received += 1;
                        }
                        assert!(self.received <= other_sent);
                    }
                    Err(CallError::WouldBlock) => panic!("there was something to read"),
                    Err(CallError::Failed(_)) => self.failed = true,
                }
            }
            Move::Shutdown(_) => {
                self.shut = true;
                let _ = connection.shutdown(now);
            }
            Move::Close(_) => {
                self.shut = true;
                self.gone = true;
                let _ = connection.close(now);
            }
            Move::Abort(_) => {
                self.shut = true;
                self.gone = true;
                let _ = connection.abort(now);
            }
            Move::Timer(_) => {
                let due = connection.poll_timeout().expect("a timer runs");
                self.now = now.max(due);
                connection.handle_timeout(self.now);
            }
            Move::Deliver(..) | Move::Copy(..) => {
                let packet = packet.expect("a packet");
                let segment = Segment { text: packet.text.as_slice().into(), ..packet.segment };
                let envelope = Envelope { ecn: Ecn::NotEct, ..packet.envelope };
                connection.handle_segment(now, &envelope, &segment);
            }
            Move::Drop(..) => {}
        }
    }

    fn note_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            if let eleven_tcp::ConnectionEvent::Failed(_) = event {
                self.failed = true;
            }
        }
    }

    fn can_read(&self) -> bool {
        let ended = self.connection.peer_has_closed() && !self.end_of_file && !self.failed;
        !self.gone && (self.connection.readable() > 0 || ended)
    }
}

impl World {
    fn wait_of(&self, end: usize) -> Duration {
        let end = &self.ends[end];
        end.connection.poll_timeout().map_or(Duration::MAX, |at| at.duration_since(end.now))
    }

    fn moves(&self, limits: &Limits) -> Vec<Move> {
        let mut moves = Vec::new();
        for (index, end) in self.ends.iter().enumerate() {
            if !end.opened {
                moves.extend([Move::Connect(index), Move::Listen(index)]);
                continue;
            }
            if end.can_read() {
                moves.push(Move::Receive(index));
            }
            if !end.gone {
                let state = end.connection.state();
                let open = state != State::Closed;
                if open && !end.shut && end.sent < limits.bytes && state != State::Listen {
                    moves.push(Move::Send(index));
                }
                if open && !end.shut && state != State::Listen {
                    moves.push(Move::Shutdown(index));
                }
                moves.push(Move::Close(index));
                if open {
                    moves.push(Move::Abort(index));
                }
            }
            if end.connection.poll_timeout().is_some() {
                moves.push(Move::Timer(index));
            }
        }
        for from in 0..2 {
            for index in 0..self.channel[from].len() {
                moves.push(Move::Deliver(from, index));
                if self.copies > 0 {
                    moves.push(Move::Copy(from, index));
                }
                if self.drops > 0 {
                    moves.push(Move::Drop(from, index));
                }
            }
        }
        moves
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for end in &self.ends {
            end.connection.feed_protocol_state(end.now, &mut hasher);
            (end.opened, end.sent, end.received, end.shut, end.gone, end.end_of_file, end.failed)
                .hash(&mut hasher);
        }
        for (from, packets) in self.channel.iter().enumerate() {
            // They may arrive in any order.
            let mut sum = 0_u64;
            for packet in packets {
                sum = sum.wrapping_add(packet.fingerprint(self.initial, from));
            }
            (packets.len(), sum).hash(&mut hasher);
        }
        (self.drops, self.copies).hash(&mut hasher);
        hasher.finish()
    }
}
