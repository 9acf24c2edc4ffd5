//! How a link loses packets.

use super::Random;

/// The share and the pattern of the packets a link loses. Probabilities go from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet with the same probability, whatever became of those before it.
    Random(f64),
    /// In bursts.
    Burst(GilbertElliott),
}

/// The model of Gilbert and Elliott: a link is in a good or in a bad state, and moves between
/// them from packet to packet.
///
/// It is in the bad state for `become_bad / (become_bad + become_good)` of the time, and for
/// `1 / become_good` packets in a row on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GilbertElliott {
    /// The probability of going from good to bad before a packet.
    pub become_bad: f64,
    /// The probability of going from bad to good before a packet.
    pub become_good: f64,
    /// The probability of losing a packet in the good state.
    pub loss_in_good: f64,
    /// The probability of losing a packet in the bad state.
    pub loss_in_bad: f64,
}

impl GilbertElliott {
    /// Gilbert's simple case: nothing is lost in the good state and everything in the bad one. Of all packets,
    /// `loss` are lost, in bursts of `length` packets on average.
    ///
    /// A loss of 1 or more loses everything once the first burst has begun; a length below 1 counts as 1.
    pub fn bursts(loss: f64, length: f64) -> Self {
        let become_good = 1.0 / length.max(1.0);
        let become_bad = if loss < 1.0 { (loss * become_good / (1.0 - loss)).clamp(0.0, 1.0) } else { 1.0 };
        let become_good = if loss < 1.0 { become_good } else { 0.0 };
        Self { become_bad, become_good, loss_in_good: 0.0, loss_in_bad: 1.0 }
    }
}

/// What a link remembers of its losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct LossState {
    bad: bool,
}

impl LossState {
    /// Whether the next packet is lost. Draws two numbers whatever the pattern, so that the rest of
    /// a packet's fate does not depend on it.
    pub(super) fn loses(&mut self, loss: Loss, random: &mut Random) -> bool {
        let GilbertElliott { become_bad, become_good, loss_in_good, loss_in_bad } = match loss {
            Loss::None => GilbertElliott::bursts(0.0, 1.0),
            Loss::Random(loss) => {
                GilbertElliott { become_bad: 0.0, become_good: 1.0, loss_in_good: loss, loss_in_bad: loss }
            }
            Loss::Burst(model) => model,
        };
        let turns = random.chance(if self.bad { become_good } else { become_bad });
        self.bad ^= turns;
        random.chance(if self.bad { loss_in_bad } else { loss_in_good })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: Loss) -> Vec<bool> {
        let (mut state, mut random) = (LossState::default(), Random::new(3));
        (0..200_000).map(|_| state.loses(loss, &mut random)).collect()
    }

    /// The share of the packets that is lost, and the mean length of the bursts.
    fn measured(loss: Loss) -> (f64, f64) {
        let lost = lost(loss);
        let total = lost.iter().filter(|lost| **lost).count() as f64;
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (total / lost.len() as f64, total / bursts)
    }

    #[test]
    fn losses_have_the_share_and_the_pattern_asked_for() {
        assert!(!lost(Loss::None).contains(&true));
        let (share, length) = measured(Loss::Random(0.1));
        assert!((0.095..0.105).contains(&share) && (1.0..1.2).contains(&length), "{share} {length}");
        let (share, length) = measured(Loss::Burst(GilbertElliott::bursts(0.1, 5.0)));
        assert!((0.09..0.11).contains(&share) && (4.7..5.3).contains(&length), "{share} {length}");
        let model =
            GilbertElliott { become_bad: 0.1, become_good: 0.3, loss_in_good: 0.01, loss_in_bad: 0.5 };
        let (share, _) = measured(Loss::Burst(model));
        // A quarter of the time in the bad state.
        assert!((0.75 * 0.01 + 0.25 * 0.5 - share).abs() < 0.01, "{share}");
        assert!(!lost(Loss::Burst(GilbertElliott::bursts(1.0, 3.0))).contains(&false));
        assert!(!lost(Loss::Burst(GilbertElliott::bursts(0.0, 0.0))).contains(&true));
    }
}
