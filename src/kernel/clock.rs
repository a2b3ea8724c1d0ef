//! Time as a parameter: whoever needs "now" is handed a clock, so that tests own it.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present instant, to the millisecond.
    fn now(&self) -> Timestamp;
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_millis()))
    }

    /// Moves the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock on by `millis` (negative: back).
    pub fn advance_ms(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
