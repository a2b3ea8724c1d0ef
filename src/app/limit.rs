//! How often somebody may do something: a bucket that fills at a steady rate (the generic cell rate algorithm), for each
//! of many keys, in memory that does not grow.
//!
//! Keys are spread over a fixed number of places by a hash that nobody outside can compute. Two keys may meet in one
//! place and then share it; nothing is ever stored of a key. What is counted here is counted in this process alone.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock as RateClock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use kernel::clock::Clock;
use kernel::identifier::Fingerprint;

use crate::error::AppError;
use crate::gateway::Gateway;

/// How often something may be done: `burst` times at once, and `per_minute` times a minute in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// How many a minute; 0: unbounded.
    pub per_minute: u32,
    /// How many at once.
    pub burst: u32,
}

impl Quota {
    /// No bound.
    pub const UNBOUNDED: Self = Self { per_minute: 0, burst: 0 };

    /// For how many seconds `count` of them are enough, rounded up.
    #[must_use]
    pub fn seconds_of(self, count: u32) -> u64 {
        (u64::from(count) * 60).div_ceil(u64::from(self.per_minute.max(1)))
    }
}

/// What is left after something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How often it may be done again at once.
    pub count: u32,
}

/// It was done too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften {
    /// After how many seconds it may be done again, at least 1.
    pub seconds: u64,
}

/// Time that never goes back, told by a clock that may.
struct Steady {
    clock: Arc<dyn Clock>,
    last: AtomicI64,
    lag: AtomicI64,
}

impl RateClock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        // A clock that is set back would otherwise lock everybody out for as long.
        let told = self.clock.now().as_millis();
        let last = self.last.load(Ordering::Relaxed);
        let now = told.saturating_add(self.lag.load(Ordering::Relaxed));
        if now < last {
            self.lag.store(last.saturating_sub(told), Ordering::Relaxed);
        } else if now > last {
            self.last.store(now, Ordering::Relaxed);
        }
        Duration::from_millis(u64::try_from(now.max(last)).unwrap_or_default())
    }
}

/// The places: each tells until when its bucket is being refilled.
struct Places(Box<[AtomicU64]>);

impl Places {
    fn of(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| AtomicU64::new(0)).collect())
    }
}

impl StateStore for Places {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let at = usize::try_from(*key % self.0.len() as u64).unwrap_or_default();
        let Some(place) = self.0.get(at) else { return measure(None).map(|(outcome, _)| outcome) };
        let mut held = place.load(Ordering::Acquire);
        loop {
            let (outcome, next) = measure((held != 0).then(|| held.into()))?;
            match place.compare_exchange_weak(held, next.as_u64(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(outcome),
                Err(other) => held = other,
            }
        }
    }
}

/// How many places a [`Throttle`] for many keys has: 256 KiB.
const PLACES: usize = 32_768;

/// Holds whoever does something too often off.
pub struct Throttle {
    quota: Quota,
    hasher: RandomState,
    limiter: Option<RateLimiter<u64, Places, Steady, StateInformationMiddleware>>,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("quota", &self.quota).finish_non_exhaustive()
    }
}

impl Throttle {
    /// One for many keys.
    #[must_use]
    pub fn keyed(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        Self::with_places(quota, clock, PLACES)
    }

    /// One that counts everything together.
    #[must_use]
    pub fn single(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        Self::with_places(quota, clock, 1)
    }

    fn with_places(quota: Quota, clock: Arc<dyn Clock>, places: usize) -> Self {
        let bounds = (NonZeroU32::new(quota.per_minute), NonZeroU32::new(quota.burst));
        let limiter = if let (Some(rate), Some(burst)) = bounds {
            let steady = Steady { clock, last: AtomicI64::new(0), lag: AtomicI64::new(0) };
            let gcra = governor::Quota::per_minute(rate).allow_burst(burst);
            Some(RateLimiter::new(gcra, Places::of(places), steady))
        } else {
            None
        };
        Self { quota, hasher: RandomState::new(), limiter }
    }

    /// The quota; `None`: there is no bound.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.limiter.as_ref().map(|_| self.quota)
    }

    /// Counts one for a key; `None`: there is no bound.
    ///
    /// # Errors
    /// When it was too often; then it is not counted.
    pub fn take(&self, key: impl Hash) -> Result<Option<Left>, TooOften> {
        let Some(limiter) = &self.limiter else { return Ok(None) };
        match limiter.check_key(&self.hasher.hash_one(key)) {
            Ok(state) => Ok(Some(Left { count: state.remaining_burst_capacity() })),
            Err(refused) => {
                let wait = refused.wait_time_from(limiter.clock().now());
                Err(TooOften { seconds: wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX) })
            }
        }
    }
}

/// The network that counts as one machine: an IPv4 address, or the /64 that an IPv6 host has to itself.
#[must_use]
pub fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
    }
}

impl Gateway {
    /// Counts what somebody who need not own an address causes for it. The person's own no is never counted: it must
    /// get through however often others used the address.
    ///
    /// # Errors
    /// [`AppError::TooOften`] when it was too much.
    pub(crate) fn may_trigger(&self, addresses: impl Iterator<Item = Fingerprint>) -> Result<(), AppError> {
        for address in addresses {
            self.inner.addresses.take(address.as_bytes()).map_err(|wait| AppError::TooOften(wait.seconds))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use kernel::clock::FixedClock;

    use super::*;

    fn clock() -> Arc<FixedClock> {
        Arc::new(FixedClock::at("2026-11-22T12:00:00Z".parse().unwrap()))
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let clock = clock();
        let throttle = Throttle::keyed(Quota { per_minute: 60, burst: 3 }, clock.clone());
        let left: Vec<_> = (0..3).map(|_| throttle.take("a").unwrap().unwrap().count).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(throttle.take("a"), Err(TooOften { seconds: 1 }));
        // Another key has a bucket of its own.
        assert_eq!(throttle.take("b"), Ok(Some(Left { count: 2 })));
        clock.advance_ms(1_000);
        assert_eq!(throttle.take("a"), Ok(Some(Left { count: 0 })));
        assert!(throttle.take("a").is_err());
        clock.advance_ms(60_000);
        assert_eq!(throttle.take("a"), Ok(Some(Left { count: 2 })));
    }

    #[test]
    fn how_long_to_wait_is_told_in_whole_seconds_and_is_enough() {
        let clock = clock();
        let throttle = Throttle::single(Quota { per_minute: 1, burst: 1 }, clock.clone());
        throttle.take(()).unwrap();
        assert_eq!(throttle.take(()), Err(TooOften { seconds: 60 }));
        clock.advance_ms(59_500);
        assert_eq!(throttle.take(()), Err(TooOften { seconds: 1 }));
        clock.advance_ms(1_000);
        throttle.take(()).unwrap();
        assert_eq!(Quota { per_minute: 7, burst: 1 }.seconds_of(3), 26);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let clock = clock();
        let throttle = Throttle::single(Quota { per_minute: 60, burst: 1 }, clock.clone());
        throttle.take(()).unwrap();
        clock.advance_ms(-3_600_000);
        assert_eq!(throttle.take(()), Err(TooOften { seconds: 1 }));
        clock.advance_ms(1_000);
        throttle.take(()).unwrap();
    }

    #[test]
    fn an_ipv6_customer_is_one_machine_and_an_ipv4_address_is_another() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }

    #[test]
    fn without_a_rate_there_is_no_bound() {
        let throttle = Throttle::keyed(Quota::UNBOUNDED, clock());
        assert!((0..10_000).all(|_| throttle.take(1_u8) == Ok(None)));
        assert_eq!(throttle.quota(), None);
    }

    #[test]
    fn many_keys_take_no_more_room_than_few() {
        let throttle = Throttle::keyed(Quota { per_minute: 1, burst: 1 }, clock());
        let refused = (0..PLACES).filter(|key| throttle.take(key).is_err()).count();
        // As many keys as places: about a third of them meet another one.
        assert!((PLACES / 4..PLACES / 2).contains(&refused), "{refused}");
    }
}
