//! Round-trip times in bounded memory.

/// Round-trip times as they are told: nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrips {
    /// The shortest.
    pub min_ns: u64,
    /// The one in the middle: exact up to 64 of them, behind that of a random sample of 64.
    pub median_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// How many there were.
    pub count: u32,
}

const INLINE: usize = 4;
const KEPT: usize = 64;

/// A few samples in place, more of them elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    more: Option<Box<More>>,
    /// In units of 100 ns: up to seven minutes.
    inline: [u32; INLINE],
}

/// No sample yet.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct More {
    count: u32,
    kept: [u32; KEPT],
    min: u32,
    max: u32,
    random: u32,
}

impl Default for Samples {
    fn default() -> Self {
        Self { more: None, inline: [NONE; INLINE] }
    }
}

impl Samples {
    fn count(&self) -> u32 {
        match &self.more {
            Some(more) => more.count,
            None => self.inline.iter().filter(|sample| **sample != NONE).count() as u32,
        }
    }

    /// Takes one, in nanoseconds; one below zero counts as zero.
    pub(crate) fn add(&mut self, nanoseconds: i64) {
        let sample = u32::try_from(nanoseconds.max(0) / 100).unwrap_or(NONE).min(NONE - 1);
        if let Some(free) = self.inline.iter_mut().find(|slot| **slot == NONE) {
            *free = sample;
            return;
        }
        self.add_more(sample);
    }

    #[inline(never)]
    fn add_more(&mut self, sample: u32) {
        let inline = self.inline;
        let more = self.more.get_or_insert_with(|| {
            let mut kept = [0; KEPT];
            kept[..INLINE].copy_from_slice(&inline);
            let (min, max) = (inline.iter().min(), inline.iter().max());
            Box::new(More {
                count: INLINE as u32,
                kept,
                min: min.copied().unwrap_or(0),
                max: max.copied().unwrap_or(0),
                random: 0x9e37_79b9,
            })
        });
        let index = more.count as usize;
        more.count = more.count.saturating_add(1);
        more.min = more.min.min(sample);
        more.max = more.max.max(sample);
        let place = if index < KEPT {
            index
        } else {
            // Each sample is kept with the same probability (Vitter's algorithm R).
            more.random ^= more.random << 13;
            more.random ^= more.random >> 17;
            more.random ^= more.random << 5;
            more.random as usize % (index + 1)
        };
        if let Some(kept) = more.kept.get_mut(place) {
            *kept = sample;
        }
    }

    pub(crate) fn told(&self) -> Option<RoundTrips> {
        let count = self.count() as usize;
        let nanoseconds = |sample: u32| u64::from(sample) * 100;
        let mut kept = [0; KEPT];
        let told = match &self.more {
            None => &self.inline[..count.min(INLINE)],
            Some(more) => &more.kept[..count.min(KEPT)],
        };
        let sorted = &mut kept[..told.len()];
        sorted.copy_from_slice(told);
        sorted.sort_unstable();
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let median = *sorted.get((sorted.len() - 1) / 2)?;
        let (min, max) = self.more.as_ref().map_or((first, last), |more| (more.min, more.max));
        Some(RoundTrips {
            min_ns: nanoseconds(min),
            median_ns: nanoseconds(median),
            max_ns: nanoseconds(max),
            count: self.count(),
        })
    }

    pub(crate) fn max_ns(&self) -> i64 {
        let most = match &self.more {
            None => self.inline.iter().filter(|sample| **sample != NONE).max().copied().unwrap_or(0),
            Some(more) => more.max,
        };
        i64::from(most) * 100
    }

    pub(crate) fn heap(&self) -> usize {
        self.more.as_ref().map_or(0, |_| size_of::<More>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_exact_and_many_are_bounded() {
        let mut samples = Samples::default();
        assert_eq!(samples.told(), None);
        for nanoseconds in [3_000, 1_000, -5] {
            samples.add(nanoseconds);
        }
        let told = samples.told().unwrap();
        assert_eq!((told.min_ns, told.median_ns, told.max_ns, told.count), (0, 1_000, 3_000, 3));
        for nanoseconds in 0..100_000 {
            samples.add(nanoseconds * 1_000);
        }
        let told = samples.told().unwrap();
        assert_eq!((told.min_ns, told.max_ns, told.count), (0, 99_999_000, 100_003));
        assert!((20_000_000..80_000_000).contains(&told.median_ns), "{told:?}");
        samples.add(i64::MAX);
        assert_eq!(samples.told().unwrap().max_ns, u64::from(u32::MAX - 1) * 100);
    }
}
