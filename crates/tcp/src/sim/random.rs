//! Random numbers that are the same everywhere: a run is replayed from its seed.

use core::time::Duration;

/// A source of random numbers: xoshiro256++ (Blackman and Vigna, 2019), whose 256 bits of state
/// are filled from a seed by SplitMix64, as its authors recommend. Not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

/// The next number of SplitMix64 (Steele, Lea and Flood, 2014).
const fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Random {
    /// The numbers that belong to a seed.
    pub const fn new(mut seed: u64) -> Self {
        let state = [split_mix(&mut seed), split_mix(&mut seed), split_mix(&mut seed), split_mix(&mut seed)];
        Self { state }
    }

    /// The numbers that belong to a seed, one of many independent strings of them.
    ///
    /// What is drawn for one purpose then does not depend on how much was drawn for others.
    pub const fn stream(seed: u64, stream: u64, index: u64) -> Self {
        let mut stream = stream;
        let mut index = index ^ split_mix(&mut stream);
        Self::new(seed ^ split_mix(&mut index))
    }

    /// Any 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let number = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        number
    }

    /// A number below `limit`, each as likely as any other to within one part in 2⁶⁴ / `limit`; 0 for a limit of 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product; a remainder would be as uneven and slower.
        ((self.next_u64() as u128 * limit as u128) >> 64) as u64
    }

    /// `true` with the given probability: never for 0 and less, always for 1 and more.
    ///
    /// One number is drawn in any case.
    pub const fn chance(&mut self, probability: f64) -> bool {
        /// As many steps as the significand of an `f64` has.
        const STEPS: f64 = (1_u64 << 53) as f64;
        self.next_u64() >> 11 < (probability * STEPS) as u64
    }

    /// Any duration up to and including the longest, in whole microseconds.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that other implementations of both are tested with.
    #[test]
    fn the_numbers_are_those_of_the_authors() {
        let mut seed = 1_234_567;
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([split_mix(&mut seed), split_mix(&mut seed), split_mix(&mut seed)], expected);

        let mut random = Random { state: [1, 2, 3, 4] };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!([(); 4].map(|()| random.next_u64()), expected);
    }

    #[test]
    fn chances_are_kept() {
        let mut random = Random::new(1);
        let mut hits = |probability| (0..100_000).filter(|_| random.chance(probability)).count();
        assert_eq!((hits(0.0), hits(-1.0), hits(f64::NAN)), (0, 0, 0));
        assert_eq!((hits(1.0), hits(2.0)), (100_000, 100_000));
        assert!((24_000..26_000).contains(&hits(0.25)));
        assert!((800..1_200).contains(&hits(0.01)));
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut random = Random::new(2);
        let mut seen = [0; 6];
        for _ in 0..6_000 {
            seen[random.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        let longest = Duration::from_micros(2);
        assert!((0..100).any(|_| random.up_to(longest) == longest));
        assert!((0..100).all(|_| random.up_to(longest) <= longest));
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn streams_differ_from_each_other() {
        let mut first = Vec::new();
        for stream in 0..30 {
            for index in 0..30 {
                first.push(Random::stream(7, stream, index).next_u64());
            }
        }
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 900);
    }
}
