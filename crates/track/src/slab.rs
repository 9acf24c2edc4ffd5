//! Flows side by side, in pieces that never move.

/// So many in a piece.
const PIECE: usize = 512;

/// A growing list whose elements stay where they are: growing copies nothing, and leaves little room unused.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }

    pub(crate) fn push(&mut self, element: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(element),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(element);
                self.pieces.push(piece);
            }
        }
    }

    /// Takes one out; the last one moves to its place.
    pub(crate) fn swap_remove(&mut self, place: usize) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let moved = last.pop()?;
        if last.is_empty() {
            self.pieces.pop();
        }
        match self.get_mut(place) {
            Some(element) => Some(core::mem::replace(element, moved)),
            None => Some(moved),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// How many more there is room for.
    pub(crate) fn spare(&self) -> usize {
        self.pieces.last().map_or(0, |last| last.capacity() - last.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_shrinks() {
        let mut slab = Slab::new();
        (0..2_000).for_each(|number| slab.push(number));
        assert_eq!((slab.len(), slab.get(1_500), slab.get(2_000)), (2_000, Some(&1_500), None));
        assert_eq!((slab.swap_remove(3), slab.get(3), slab.len()), (Some(3), Some(&1_999), 1_999));
        assert_eq!(slab.swap_remove(1_998), Some(1_998));
        while slab.len() > 0 {
            slab.swap_remove(slab.len() / 2);
        }
        assert_eq!((slab.swap_remove(0), slab.iter().count()), (None, 0));
    }
}
