//! Who floods and who scans, counted in a table of fixed size.

/// Counts fade by half in so much time.
const HALF_LIFE_NS: i64 = 10_000_000_000;
const CELLS: usize = 4_096;
const ROWS: usize = 2;

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    count: u32,
    since: i64,
}

/// Counts by key: never less than there were lately, rarely more (a count-min sketch that fades).
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    cells: Vec<Cell>,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self { cells: vec![Cell::default(); CELLS * ROWS] }
    }

    fn places(hash: u64) -> [usize; ROWS] {
        [hash as usize % CELLS, CELLS + (hash >> 32) as usize % CELLS]
    }

    /// Counts one, and tells how many there were lately.
    pub(crate) fn add(&mut self, hash: u64, now_ns: i64) -> u32 {
        let mut least = u32::MAX;
        for place in Self::places(hash) {
            if let Some(cell) = self.cells.get_mut(place) {
                let passed = now_ns.saturating_sub(cell.since);
                if passed >= HALF_LIFE_NS {
                    let halvings = u32::try_from(passed / HALF_LIFE_NS).unwrap_or(u32::MAX);
                    cell.count = cell.count.checked_shr(halvings).unwrap_or(0);
                    cell.since = now_ns;
                }
                cell.count = cell.count.saturating_add(1);
                least = least.min(cell.count);
            }
        }
        least
    }

    /// Takes one back.
    pub(crate) fn remove(&mut self, hash: u64) {
        for place in Self::places(hash) {
            if let Some(cell) = self.cells.get_mut(place) {
                cell.count = cell.count.saturating_sub(1);
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_fades_and_takes_back() {
        let mut sketch = Sketch::new();
        let hash = 0x1234_5678_9abc_def0;
        assert_eq!((sketch.add(hash, 0), sketch.add(hash, 1), sketch.add(!hash, 1)), (1, 2, 1));
        sketch.remove(hash);
        assert_eq!(sketch.add(hash, 2), 2);
        assert_eq!(sketch.add(hash, HALF_LIFE_NS + 5), 2);
        assert_eq!(sketch.add(hash, HALF_LIFE_NS * 200), 1);
    }
}
