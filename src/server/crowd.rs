//! How many connections a machine has: counted in a fixed number of places, by a hash that nobody outside can compute.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many places there are.
const PLACES: u64 = 16_384;

/// The connections of all machines.
pub(super) struct Crowd {
    most: u32,
    hasher: RandomState,
    places: Box<[AtomicU32]>,
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("most", &self.most).finish_non_exhaustive()
    }
}

/// A connection that is counted until this is dropped.
pub(super) struct Counted {
    crowd: Arc<Crowd>,
    at: usize,
}

impl Crowd {
    /// At most so many of one machine; 0: as many as it likes.
    pub(super) fn of(most: u32) -> Arc<Self> {
        let places = if most == 0 { 0 } else { PLACES };
        let places = (0..places).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { most, hasher: RandomState::new(), places })
    }

    /// Counts a connection; `None`: it is one too many.
    pub(super) fn admit(self: &Arc<Self>, network: u64) -> Option<Option<Counted>> {
        if self.places.is_empty() {
            return Some(None);
        }
        let at = usize::try_from(self.hasher.hash_one(network) % PLACES).ok()?;
        let counted = Counted { crowd: Arc::clone(self), at };
        let before = self.places.get(at)?.fetch_add(1, Ordering::AcqRel);
        (before < self.most).then_some(Some(counted))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(place) = self.crowd.places.get(self.at) {
            place.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_no_more_connections_than_it_may() {
        let crowd = Crowd::of(2);
        let (first, second) = (crowd.admit(7), crowd.admit(7));
        assert!(first.is_some() && second.is_some() && crowd.admit(7).is_none() && crowd.admit(7).is_none());
        drop(first);
        assert!(crowd.admit(7).is_some());
        let unbounded = Crowd::of(0);
        assert!((0..10_000).all(|_| unbounded.admit(7).is_some()));
    }
}
