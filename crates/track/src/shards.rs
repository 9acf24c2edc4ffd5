//! Flows that several trackers share, told as if one had seen them all.

use crate::{Flow, Tracker};

/// Trackers that each saw the flows of their own hashes.
#[derive(Debug)]
pub struct Shards(Vec<Tracker>);

impl From<Tracker> for Shards {
    fn from(tracker: Tracker) -> Self {
        Self(vec![tracker])
    }
}

impl Shards {
    /// What they have seen, once each knows what the [census](crate::Census) says about its flows.
    pub fn new(mut trackers: Vec<Tracker>) -> Self {
        let now = trackers.iter().map(Tracker::now_ns).max().unwrap_or(i64::MIN);
        // TIME_WAIT ends alike in all of them.
        for tracker in &mut trackers {
            tracker.advance(now);
        }
        Self(trackers)
    }

    /// As [`Tracker::flows`].
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        Merged::new(self.0.iter().map(Tracker::flows))
    }

    /// As [`Tracker::outlines`].
    pub fn outlines(&self) -> impl Iterator<Item = Flow> {
        Merged::new(self.0.iter().map(Tracker::outlines))
    }

    /// As [`Tracker::finish`].
    pub fn finish(self) -> impl Iterator<Item = Flow> {
        Merged::new(self.0.into_iter().map(Tracker::finish))
    }
}

/// Flows of several iterators, each in order, in order.
struct Merged<I: Iterator> {
    heads: Vec<(u64, Option<Flow>, I)>,
}

impl<I: Iterator<Item = Flow>> Merged<I> {
    fn new(iterators: impl Iterator<Item = I>) -> Self {
        let heads = iterators.map(|mut iterator| {
            let head = iterator.next();
            (head.as_ref().map_or(u64::MAX, |flow| flow.ordinal), head, iterator)
        });
        Self { heads: heads.collect() }
    }
}

impl<I: Iterator<Item = Flow>> Iterator for Merged<I> {
    type Item = Flow;

    fn next(&mut self) -> Option<Flow> {
        let (ordinal, head, iterator) = self.heads.iter_mut().min_by_key(|(ordinal, _, _)| *ordinal)?;
        let next = iterator.next();
        *ordinal = next.as_ref().map_or(u64::MAX, |flow| flow.ordinal);
        std::mem::replace(head, next)
    }
}
