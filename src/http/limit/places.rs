//! How many at once: places that are taken and given back, by caller and for all.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use app::{Quota, Throttle};
use kernel::clock::Clock;

use super::Named;
use crate::config::{ClientLimits, LimitSettings};

/// A number of places.
#[derive(Debug)]
pub(super) struct Places {
    most: u32,
    taken: AtomicU32,
}

/// None is left.
#[derive(Debug)]
pub(super) struct Full;

impl Places {
    /// So many places; 0: as many as are asked for.
    pub(super) const fn of(most: u32) -> Self {
        Self { most, taken: AtomicU32::new(0) }
    }

    fn take(self: &Arc<Self>) -> Result<Held, Full> {
        let before = self.taken.fetch_add(1, Ordering::AcqRel);
        let held = Held(Arc::clone(self));
        if self.most > 0 && before >= self.most { Err(Full) } else { Ok(held) }
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
struct Held(Arc<Places>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The places that one request has taken. They are free again when this is dropped.
#[derive(Debug, Default)]
pub(in crate::http) struct Place([Option<Held>; 3]);

impl Place {
    pub(super) fn enter(&mut self, places: &Arc<Places>) -> Result<(), Full> {
        let held = places.take()?;
        if let Some(free) = self.0.iter_mut().find(|held| held.is_none()) {
            *free = Some(held);
        }
        Ok(())
    }
}

/// What one caller may.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    lookups: Quota,
    pulls: Quota,
    writes: Quota,
    at_once: u32,
    pulls_at_once: u32,
}

impl Bounds {
    pub(super) fn of(settings: &LimitSettings, own: ClientLimits) -> Self {
        Self {
            lookups: own.lookups.unwrap_or(settings.lookups).into(),
            pulls: own.pulls.unwrap_or(settings.pulls).into(),
            writes: own.writes.unwrap_or(settings.writes).into(),
            at_once: own.at_once.unwrap_or(settings.client_at_once),
            pulls_at_once: own.pulls_at_once.unwrap_or(settings.client_pulls_at_once),
        }
    }
}

/// Where one caller goes in.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) lookups: Named,
    pub(super) pulls: Named,
    pub(super) writes: Named,
    pub(super) at_once: Arc<Places>,
    pub(super) pulls_at_once: Arc<Places>,
}

/// The gates of callers who proved who they are: as many as there are callers, and no stranger can add one.
pub(super) struct Gates<K> {
    everybody: Bounds,
    own: HashMap<K, Bounds>,
    clock: Arc<dyn Clock>,
    gates: RwLock<HashMap<K, Arc<Gate>>>,
}

impl<K> fmt::Debug for Gates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gates(..)")
    }
}

impl<K: Eq + Hash + Clone> Gates<K> {
    pub(super) fn new(everybody: Bounds, own: HashMap<K, Bounds>, clock: Arc<dyn Clock>) -> Self {
        Self { everybody, own, clock, gates: RwLock::default() }
    }

    pub(super) fn of(&self, caller: &K) -> Arc<Gate> {
        // Whoever panicked left the map whole.
        if let Some(gate) = self.gates.read().unwrap_or_else(PoisonError::into_inner).get(caller) {
            return Arc::clone(gate);
        }
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(caller.clone()).or_insert_with(|| Arc::new(self.gate(caller))))
    }

    fn gate(&self, caller: &K) -> Gate {
        let bounds = self.own.get(caller).unwrap_or(&self.everybody);
        let named = |name, quota| Named { name, throttle: Throttle::single(quota, Arc::clone(&self.clock)) };
        Gate {
            lookups: named("lookups", bounds.lookups),
            pulls: named("pulls", bounds.pulls),
            writes: named("writes", bounds.writes),
            at_once: Arc::new(Places::of(bounds.at_once)),
            pulls_at_once: Arc::new(Places::of(bounds.pulls_at_once)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_given_back() {
        let places = Arc::new(Places::of(2));
        let mut held: Vec<_> = (0..2).map(|_| places.take().unwrap()).collect();
        assert!(places.take().is_err() && places.take().is_err());
        held.pop();
        let _again = places.take().unwrap();
        assert!(places.take().is_err());
        let unbounded = Arc::new(Places::of(0));
        assert!((0..100).map(|_| unbounded.take()).collect::<Result<Vec<_>, _>>().is_ok());
    }

    #[test]
    fn what_could_not_be_entered_gives_back_what_was() {
        let (wide, narrow) = (Arc::new(Places::of(1)), Arc::new(Places::of(1)));
        let _inside = narrow.take().unwrap();
        {
            let mut place = Place::default();
            place.enter(&wide).unwrap();
            assert!(place.enter(&narrow).is_err());
        }
        assert!(wide.take().is_ok());
    }
}
