//! What an acknowledgment changes.

use core::time::Duration;

use super::flight::{Flight, Phase, Undo};
use super::prr::Delivery;
use super::scoreboard::{REPEATED, SACKED};
use super::{AckOutcome, Acknowledgment, LossRecovery, RecoveryTimer, Trial};
use crate::congestion::{Congestion, Progress};
use crate::segment::SackBlock;
use crate::{Instant, Policy, SeqNumber};

/// So many duplicates are a loss (DupThresh of RFC 5681 and RFC 6675).
const DUPLICATES: u8 = 3;

/// Ranges are divided by blocks as long as there are not more of them than this and twice the segments outstanding.
const FEW_RANGES: usize = 64;

/// What one acknowledgment has told.
#[derive(Debug, Default)]
struct News {
    /// SND.UNA advanced.
    advanced: bool,
    /// Bytes that are now known to have arrived and were not before (DeliveredData of RFC 6937).
    delivered: u32,
    /// When the first and the last of what was sent once left: acknowledged by number …
    first: Option<Instant>,
    last: Option<Instant>,
    /// … and by blocks.
    first_sacked: Option<Instant>,
    last_sacked: Option<Instant>,
    /// Something that had been sent again was acknowledged by number.
    repeated: bool,
    /// Something from before the phase that never was sent again has arrived.
    original: bool,
    /// Something arrived after what was sent behind it.
    reordered: bool,
    /// A duplicate acknowledgment without blocks.
    duplicate: bool,
    /// The block of RFC 2883.
    dsack: Option<SackBlock>,
    /// It tells that a tail loss probe arrived as well as what it repeated.
    dsack_of_probe: bool,
    /// When the segment left whose timestamp came back, in milliseconds: the timestamp clock's tick, so that
    /// both sides of a comparison are rounded alike.
    echo_sent_ms: Option<u64>,
    /// The round trip of what was sent last, in microseconds: nearest to that of the path.
    shortest: Option<u32>,
    /// What [`Flight::left`] was before.
    left: u32,
    /// The timer for reordering was set.
    armed: bool,
}

impl LossRecovery {
    /// An acceptable acknowledgment arrived.
    pub fn on_ack(&mut self, now: Instant, ack: &Acknowledgment<'_>, policy: &Policy) -> AckOutcome {
        let Some(mut flight) = self.flight.take() else {
            return self.on_unexpected_ack(ack, policy);
        };
        let outcome = self.process(&mut flight, now, ack, policy);
        self.flight = Some(flight);
        outcome
    }

    /// Nothing is known to be in flight. A handshake by cookie measures its round trip by timestamps alone.
    fn on_unexpected_ack(&mut self, ack: &Acknowledgment<'_>, policy: &Policy) -> AckOutcome {
        let mut outcome =
            AckOutcome { dsack: find_duplicate(ack, ack.next).is_some(), ..AckOutcome::default() };
        if let (false, Some(echoed)) = (self.established, ack.echoed) {
            let rtt = believable(echoed);
            self.rtt.sample(rtt, ack.ack, ack.next, policy);
            outcome.rtt = Some(Duration::from_micros(u64::from(rtt)));
        }
        outcome
    }

    fn process(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        ack: &Acknowledgment<'_>,
        policy: &Policy,
    ) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        let una = flight.board.una();
        if ack.ack.gt(flight.board.next()) {
            return outcome;
        }
        let mut news = News { advanced: ack.ack.gt(una), left: flight.left, ..News::default() };
        news.echo_sent_ms =
            ack.echoed.map(|echoed| now.as_millis().saturating_sub(u64::from(echoed) / 1_000));

        if news.advanced {
            self.take_number(flight, now, ack, &mut news);
            outcome.newly_acked = ack.ack.offset_from(una);
            self.timeouts = 0;
            flight.stalled_since = None;
            if let Some(trial) = &mut flight.trial
                && trial.fate == Trial::UnderWay
                && ack.ack.ge(trial.end)
            {
                trial.fate = Trial::Arrived;
            }
        }
        if self.sack && !ack.sack.is_empty() {
            self.take_blocks(flight, now, ack, &mut news, &mut outcome);
        }
        if news.reordered {
            self.reordering.see();
        }
        outcome.rtt = self.measure(flight, now, ack, &mut news, policy);
        self.count_duplicates(flight, ack, una, &mut news, &outcome);
        self.reordering.on_ack(
            news.dsack.is_some() && !news.dsack_of_probe,
            flight.board.una(),
            flight.board.next(),
        );
        outcome.dsack = news.dsack.is_some();

        outcome.delivered = news.delivered;

        self.end_probe(flight, now, ack, &news, &mut outcome);
        if ack.ece {
            // The network itself has said that it is congested: there is nothing to take back.
            flight.undo = None;
        }
        self.react(flight, now, ack.ece, &mut news, &mut outcome);
        self.grow(flight, now, &news, &outcome);
        self.after_ack(flight, now, &news);
        outcome
    }

    /// SND.UNA advances.
    fn take_number(&self, flight: &mut Flight, now: Instant, ack: &Acknowledgment<'_>, news: &mut News) {
        let (highest, recover) = (flight.highest.later(flight.board.una()), flight.recover);
        let shortest = self.rtt.shortest();
        let delivered = &mut flight.delivered;
        flight.board.acknowledge(ack.ack, |piece| {
            let repeated = piece.is(REPEATED);
            if repeated {
                news.repeated = true;
            }
            if piece.is(SACKED) {
                return;
            }
            news.delivered += piece.length();
            if !repeated {
                let sent_at = piece.sent_at();
                news.first.get_or_insert(sent_at);
                news.last = Some(sent_at);
                news.original |= piece.end.le(recover);
                news.reordered |= piece.start.lt(highest);
            }
            delivered.arrived(piece, now, shortest, news.echo_sent_ms);
        });
        if !self.sack && news.repeated {
            // Without blocks, a jump of SND.UNA over text sent once proves nothing: it may have been waiting for what
            // was sent again.
            news.original = false;
        }
        flight.highest = highest.later(ack.ack);
    }

    /// Blocks that lie between SND.UNA and SND.NXT are marked; any other is no business of the scoreboard.
    fn take_blocks(
        &self,
        flight: &mut Flight,
        now: Instant,
        ack: &Acknowledgment<'_>,
        news: &mut News,
        outcome: &mut AckOutcome,
    ) {
        let (una, next) = (flight.board.una(), flight.board.next());
        news.dsack = find_duplicate(ack, next);
        if let Some(block) = news.dsack {
            take_duplicate(flight, block, news);
        }
        let (highest, recover) = (flight.highest, flight.recover);
        let shortest = self.rtt.shortest();
        let most = FEW_RANGES + 2 * (flight.board.outstanding() / self.mss) as usize;
        let outstanding = next.offset_from(una);
        let delivered = &mut flight.delivered;
        let mut new_highest = highest;
        for block in ack.sack.iter().skip(usize::from(news.dsack.is_some())) {
            let (start, end) = (block.start.offset_from(una), block.end.offset_from(una));
            // A block at SND.UNA would have advanced it; Linux calls that nonsense, too.
            if start == 0 || start >= end || end > outstanding {
                continue;
            }
            outcome.newly_sacked += flight.board.sack(block.start, block.end, most, |piece| {
                news.delivered += piece.length();
                if !piece.is(REPEATED) {
                    let sent_at = piece.sent_at();
                    news.first_sacked =
                        Some(news.first_sacked.map_or(sent_at, |first: Instant| first.min(sent_at)));
                    news.last_sacked =
                        Some(news.last_sacked.map_or(sent_at, |last: Instant| last.max(sent_at)));
                    news.original |= piece.end.le(recover);
                    news.reordered |= piece.start.lt(highest);
                }
                delivered.arrived(piece, now, shortest, news.echo_sent_ms);
            });
            new_highest = new_highest.later(block.end);
        }
        flight.highest = new_highest;
    }

    /// One sample of the round trip for an acknowledgment (RFC 6298 §3): of text sent once (Karn), else by the
    /// timestamp where SND.UNA advanced (RFC 7323 §4.1).
    fn measure(
        &mut self,
        flight: &Flight,
        now: Instant,
        ack: &Acknowledgment<'_>,
        news: &mut News,
        policy: &Policy,
    ) -> Option<Duration> {
        let since = |sent_at: Instant| now.micros_since(sent_at).min(u64::from(u32::MAX)) as u32;
        let numbered = if news.repeated { None } else { news.first.zip(news.last) };
        let (longest, shortest) = match (numbered, news.first_sacked.zip(news.last_sacked), ack.echoed) {
            (Some((first, last)), _, _) | (None, Some((first, last)), _) => (since(first), since(last)),
            (None, None, Some(echoed)) if news.advanced => (believable(echoed), believable(echoed)),
            _ => return None,
        };
        self.rtt.observe(now, shortest);
        self.rtt.sample(longest, flight.board.una(), flight.board.next(), policy);
        news.shortest = Some(shortest);
        Some(Duration::from_micros(u64::from(longest)))
    }

    /// Where there are no blocks each duplicate stands for a segment that has left the network (RFC 5681 §3.2); where
    /// there are, only their number is of interest.
    fn count_duplicates(
        &self,
        flight: &mut Flight,
        ack: &Acknowledgment<'_>,
        una: SeqNumber,
        news: &mut News,
        outcome: &AckOutcome,
    ) {
        if self.sack {
            if news.advanced && flight.board.sacked() == 0 {
                flight.duplicates = 0;
            }
            if outcome.newly_sacked > 0 {
                flight.duplicates = flight.duplicates.saturating_add(1);
            }
        } else if !news.advanced && ack.ack == una && ack.duplicate_candidate && !flight.board.is_empty() {
            news.duplicate = true;
        }
        if flight.deaf && flight.board.una().gt(flight.recover) {
            flight.deaf = false;
            flight.duplicates = 0;
        }
    }

    /// The outcome of a tail loss probe (RFC 8985 §7.4.2).
    fn end_probe(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        ack: &Acknowledgment<'_>,
        news: &News,
        outcome: &mut AckOutcome,
    ) {
        let Some(probe) = flight.probe.filter(|probe| ack.ack.ge(probe.end)) else { return };
        if !probe.repeated || news.dsack_of_probe {
            // New text has arrived, or both copies have: nothing was lost.
            flight.probe = None;
        } else if ack.ack.gt(probe.end) {
            // Something behind the probe was acknowledged without a word about a duplicate: the probe has
            // repaired a loss, which is congestion like any other.
            flight.probe = None;
            if flight.phase == Phase::Open {
                self.congestion.on_congestion(now, Congestion::Loss, self.in_use(flight));
                flight.undo = None;
                outcome.send_cwr = true;
            }
        } else if !news.advanced && ack.duplicate_candidate && outcome.newly_sacked == 0 {
            // A duplicate without blocks: the probe found its text arrived already.
            flight.probe = None;
        }
    }

    /// The state machine of recovery.
    fn react(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        ece: bool,
        news: &mut News,
        outcome: &mut AckOutcome,
    ) {
        if is_uneventful(flight, ece, news) {
            return;
        }
        self.leave(flight, now, news, outcome);
        match flight.phase {
            Phase::Recovery => {
                if news.advanced {
                    self.remove_duplicates(flight, outcome.newly_acked);
                    if self.undo_partially(flight, now, news, outcome) {
                        return;
                    }
                } else {
                    self.add_duplicate(flight, news);
                }
                if undone_by_duplicates(flight) {
                    self.undo(flight, now, false, outcome);
                    flight.open();
                }
                self.find_losses(flight, now, news, outcome);
                if flight.phase != Phase::Recovery && flight.board.lost() > 0 {
                    self.enter_recovery(flight, now, ece, outcome);
                }
            }
            Phase::Loss => {
                self.repair_after_timeout(flight, now, news, outcome);
                let copies_lost = self.find_losses(flight, now, news, outcome);
                // Linux and RFC 8985 agree that a lost retransmission is a new sign of congestion.
                if (flight.phase == Phase::Open && flight.board.lost() > 0) || copies_lost {
                    self.enter_recovery(flight, now, ece, outcome);
                }
            }
            Phase::Open | Phase::Reducing => {
                if news.advanced {
                    self.forget_duplicates(flight);
                }
                self.add_duplicate(flight, news);
                if flight.phase == Phase::Open && undone_by_duplicates(flight) {
                    self.undo(flight, now, false, outcome);
                }
                self.find_losses(flight, now, news, outcome);
                if flight.board.lost() > 0 && (ece || !self.is_lost_trial(flight)) {
                    self.enter_recovery(flight, now, ece, outcome);
                } else if ece && flight.phase == Phase::Open {
                    self.enter_reducing(flight, now, outcome);
                }
                if flight.phase == Phase::Open {
                    if flight.board.resent() == 0 {
                        flight.first_repeat = None;
                    }
                    if flight.board.una().gt(flight.recover) {
                        flight.undo = None;
                    }
                }
            }
        }
    }

    /// A phase ends when everything is acknowledged that was outstanding when it began.
    fn leave(&mut self, flight: &mut Flight, now: Instant, news: &News, outcome: &mut AckOutcome) {
        let una = flight.board.una();
        match flight.phase {
            // Something beyond has to arrive, so that the peer has seen CWR.
            Phase::Reducing if una.gt(flight.recover) => flight.open(),
            Phase::Recovery if una.ge(flight.recover) => self.finish(flight, now, news, outcome),
            _ => {}
        }
    }

    /// Fast recovery, or that after a timeout, is over.
    fn finish(&mut self, flight: &mut Flight, now: Instant, news: &News, outcome: &mut AckOutcome) {
        if may_undo(flight, news) {
            self.undo(flight, now, false, outcome);
        } else {
            self.reordering.on_recovered();
        }
        self.forget_duplicates(flight);
        if self.sack {
            // Duplicates of what was sent up to now may still be told of.
            flight.recover = flight.board.next();
        } else {
            flight.deaf = true;
        }
        flight.open();
        outcome.left_recovery = true;
    }

    /// After a timeout: slow start through what was lost, unless it turns out not to have been.
    fn repair_after_timeout(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        news: &News,
        outcome: &mut AckOutcome,
    ) {
        let recovered = flight.board.una().ge(flight.recover);
        // Eifel (RFC 3522): the acknowledgment is one of an original.
        // F-RTO (RFC 5682 §3.1 step 3b): so is one of something that never was sent again.
        if (news.advanced && may_undo(flight, news)) || (flight.frto && news.original) {
            self.undo(flight, now, true, outcome);
            self.timeouts = 0;
            self.forget_duplicates(flight);
            flight.deaf = !self.sack;
            flight.open();
            outcome.left_recovery = true;
            return;
        }
        if flight.frto {
            if flight.board.next().gt(flight.recover) {
                // Step 3a: new text arrived behind a hole: the loss was real.
                if outcome.newly_sacked > 0 || news.duplicate {
                    flight.frto = false;
                    flight.new_first = 0;
                }
            } else if news.advanced && !recovered {
                // Step 2b: up to two segments of new text show by their fate what happened.
                flight.recover = flight.board.next();
                flight.new_first = self.mss.saturating_mul(2);
                return;
            }
        }
        if recovered {
            self.finish(flight, now, news, outcome);
        } else if news.advanced {
            self.forget_duplicates(flight);
        } else if flight.board.next().gt(flight.recover) {
            self.add_duplicate(flight, news);
        }
    }

    /// Marks what has to be taken for lost now. Says whether copies are among it.
    fn find_losses(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        news: &mut News,
        outcome: &mut AckOutcome,
    ) -> bool {
        let (due, resent) = (flight.board.due(), flight.board.resent());
        if !self.sack {
            // Three duplicates (RFC 5681 §3.2), or a partial acknowledgment: the next hole (RFC 6582 §3.2 step 5).
            let three =
                !matches!(flight.phase, Phase::Recovery | Phase::Loss) && flight.duplicates >= DUPLICATES;
            if (three && !flight.deaf) || (flight.phase == Phase::Recovery && news.advanced) {
                flight.board.lose_first(self.mss);
            }
        } else if core::mem::take(&mut flight.delivered.news) {
            news.armed = self.detect_loss(flight, now);
        }
        outcome.newly_lost += flight.board.due().saturating_sub(due);
        flight.board.resent() < resent
    }

    /// RFC 8985 §6.2: what left well before something that has arrived is lost; for the rest there is a timer.
    /// Says whether it was set.
    pub(super) fn detect_loss(&mut self, flight: &mut Flight, now: Instant) -> bool {
        let three = flight.duplicates >= DUPLICATES || flight.board.sacked() > 2 * self.mss;
        let repairing = matches!(flight.phase, Phase::Recovery | Phase::Loss);
        let window = self.reordering.window(self.rtt.shortest(), self.rtt.srtt(), repairing || three);
        let timeout = flight.board.detect_loss(now, &flight.delivered, window);
        if timeout > 0 {
            self.arm(now.plus_micros(u64::from(timeout.min(self.rtt.rto()))), RecoveryTimer::Reordering);
        }
        timeout > 0
    }

    /// Fast recovery begins (RFC 5681 §3.2 step 2, RFC 6675 §5 step 4).
    pub(super) fn enter_recovery(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        ece: bool,
        outcome: &mut AckOutcome,
    ) {
        let resent = flight.board.resent();
        let undo = Undo { from: flight.board.una(), repeated: (resent > 0).then_some(resent) };
        // A window that is being reduced already for what the network has said is not reduced once more.
        if flight.phase == Phase::Reducing {
            flight.undo = None;
        } else {
            flight.undo = (!ece).then_some(undo);
            self.reduce(flight, now, Congestion::Loss, outcome);
        }
        flight.phase = Phase::Recovery;
        flight.first_repeat = None;
        flight.frto = false;
        flight.new_first = 0;
        flight.probe = None;
        outcome.entered_recovery = true;
    }

    /// The network has told of congestion (RFC 3168 §6.1.2): as for a loss, once a window.
    fn enter_reducing(&mut self, flight: &mut Flight, now: Instant, outcome: &mut AckOutcome) {
        flight.undo = None;
        self.reduce(flight, now, Congestion::Ecn, outcome);
        flight.phase = Phase::Reducing;
    }

    fn reduce(&mut self, flight: &mut Flight, now: Instant, cause: Congestion, outcome: &mut AckOutcome) {
        self.congestion.on_congestion(now, cause, self.in_use(flight));
        flight.prr.start(flight.board.outstanding(), flight.pipe());
        flight.recover = flight.board.next();
        outcome.send_cwr = true;
    }

    /// FlightSize for the new threshold: what limited transmit sent beyond the window does not count (RFC 3042 §2).
    fn in_use(&self, flight: &Flight) -> u32 {
        flight.board.outstanding().min(self.congestion.window())
    }

    /// Takes the reduction of the window back (RFC 4015 §3.2; Linux `tcp_undo_cwnd_reduction`).
    fn undo(&mut self, flight: &mut Flight, now: Instant, found: bool, outcome: &mut AckOutcome) {
        if found {
            flight.board.find_all();
        }
        if flight.undo.take().is_some() {
            self.congestion.undo(now);
            outcome.undone = true;
        }
        self.reordering.on_undone();
        // What RACK decides now may be something else.
        flight.delivered.news = true;
    }

    /// A partial acknowledgment of an original: it was late, not lost. Says whether nothing is to be marked now.
    fn undo_partially(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        news: &News,
        outcome: &mut AckOutcome,
    ) -> bool {
        if flight.undo.is_none() || !is_echo_of_original(flight, news) {
            return false;
        }
        self.reordering.see();
        // While copies are under way their acknowledgments are ambiguous; wait, and mark nothing.
        if flight.board.resent() == 0 {
            self.undo(flight, now, true, outcome);
            flight.open();
        }
        true
    }

    fn add_duplicate(&self, flight: &mut Flight, news: &News) {
        if !news.duplicate {
            return;
        }
        flight.duplicates = flight.duplicates.saturating_add(1);
        // At least the hole itself is still missing.
        let most = (flight.board.outstanding() - flight.board.lost()).saturating_sub(self.mss);
        flight.left = flight.left.saturating_add(self.mss).min(most);
    }

    /// A partial acknowledgment fills one hole; the rest of what it acknowledges are segments that duplicates had
    /// told of (RFC 6582 §3.2 step 5).
    fn remove_duplicates(&self, flight: &mut Flight, acked: u32) {
        flight.left = flight.left.saturating_sub(acked.saturating_sub(self.mss));
        flight.left = flight.left.min(flight.board.pipe());
    }

    fn forget_duplicates(&self, flight: &mut Flight) {
        if !self.sack {
            flight.duplicates = 0;
            flight.left = 0;
        }
    }

    /// The window follows: by proportional rate reduction while something is being repaired, else as the algorithm
    /// has it.
    fn grow(&mut self, flight: &mut Flight, now: Instant, news: &News, outcome: &AckOutcome) {
        if flight.reducing() {
            // Where there are no blocks, duplicates have told of some of it before.
            let told = news.left.saturating_sub(flight.left);
            let bytes = if news.duplicate { self.mss } else { news.delivered.saturating_sub(told) };
            if bytes > 0 || outcome.entered_recovery {
                flight.prr.on_ack(&Delivery {
                    bytes,
                    pipe: flight.pipe(),
                    threshold: self.congestion.threshold(),
                    mss: self.mss,
                    safe: news.advanced && outcome.newly_lost == 0,
                    urgent: !self.sack && news.advanced && outcome.newly_lost > 0,
                });
            }
        } else if news.advanced && news.delivered > 0 && self.established && !outcome.left_recovery {
            let window = self.congestion.window();
            let window_limited =
                flight.window_limited || (self.congestion.in_slow_start() && window / 2 < flight.largest);
            self.congestion.on_ack(&Progress {
                now,
                bytes: news.delivered,
                window_limited,
                rtt: news.shortest,
                srtt: self.rtt.srtt(),
                una: flight.board.una(),
                next: flight.board.next(),
            });
        }
    }

    /// Something was found lost without an acknowledgment: the window follows as if nothing had been delivered.
    pub(super) fn after_loss(&self, flight: &mut Flight) {
        flight.prr.on_ack(&Delivery {
            bytes: 0,
            pipe: flight.pipe(),
            threshold: self.congestion.threshold(),
            mss: self.mss,
            safe: false,
            urgent: false,
        });
    }

    /// The timer after an acknowledgment.
    fn after_ack(&mut self, flight: &mut Flight, now: Instant, news: &News) {
        let Some(first) = flight.board.first() else {
            // RFC 6298 §5.2: all is acknowledged.
            self.timer = None;
            return;
        };
        if first.is(SACKED) && news.advanced {
            // The peer has what it does not acknowledge: it has thrown it away (RFC 2018 §8), or is about to
            // acknowledge it. Not much patience is needed to tell.
            let patience = (self.rtt.srtt() / 2).max(10_000);
            self.arm(now.plus_micros(u64::from(patience)), RecoveryTimer::Retransmission);
            return;
        }
        // RFC 6298 §5.3. Blocks restart it as well, but only if what they tell of left before the first hole was last
        // sent: else the timer would not expire while they keep coming.
        let sacked_before = news.first_sacked.is_some_and(|sent_at| sent_at < first.sent_at());
        if !news.armed && (news.advanced || sacked_before) {
            self.schedule(flight, now, true);
        }
    }
}

/// The common case: everything in order, nothing to look at.
fn is_uneventful(flight: &mut Flight, ece: bool, news: &News) -> bool {
    let calm = flight.phase == Phase::Open
        && !ece
        && !news.duplicate
        && flight.undo.is_none()
        && flight.board.sacked() == 0
        && flight.board.lost() == 0
        && flight.board.resent() == 0;
    if calm {
        flight.duplicates = 0;
        flight.left = 0;
        flight.delivered.news = false;
    }
    calm
}

/// Every repetition arrived beside its original (RFC 3708, Linux `tcp_try_undo_dsack`).
fn undone_by_duplicates(flight: &Flight) -> bool {
    flight.undo.is_some_and(|undo| undo.repeated == Some(0))
}

/// The acknowledgment echoes the timestamp of something sent before the first repetition (RFC 3522 §3.2).
fn is_echo_of_original(flight: &Flight, news: &News) -> bool {
    match (flight.first_repeat, news.echo_sent_ms) {
        (Some(repeat), Some(sent)) => news.advanced && sent < repeat.as_millis(),
        _ => false,
    }
}

fn may_undo(flight: &Flight, news: &News) -> bool {
    flight.undo.is_some() && (undone_by_duplicates(flight) || is_echo_of_original(flight, news))
}

/// A round trip told by a timestamp. Within a tick of the clock it shows as nothing, and is taken for a millisecond.
fn believable(echoed: u32) -> u32 {
    if echoed == 0 { 1_000 } else { echoed }
}

/// The first block tells of a duplicate if it lies before SEG.ACK or inside of the second (RFC 2883 §4).
fn find_duplicate(ack: &Acknowledgment<'_>, next: SeqNumber) -> Option<SackBlock> {
    let &first = ack.sack.first()?;
    if first.end.le(first.start) || first.end.gt(next) {
        return None;
    }
    let inside = |outer: &SackBlock| outer.start.le(first.start) && first.end.le(outer.end);
    (first.end.le(ack.ack) || (first.start.ge(ack.ack) && ack.sack.get(1).is_some_and(inside)))
        .then_some(first)
}

/// Counts what arrived twice off what was sent twice.
fn take_duplicate(flight: &mut Flight, block: SackBlock, news: &mut News) {
    news.dsack_of_probe = flight.probe.is_some_and(|probe| probe.repeated && block.end == probe.end);
    if let Some(undo) = &mut flight.undo
        && let Some(repeated) = &mut undo.repeated
    {
        let start = block.start.later(undo.from);
        if block.end.gt(start) {
            *repeated = repeated.saturating_sub(block.end.offset_from(start));
        }
    }
}
