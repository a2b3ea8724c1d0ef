//! The machine's clock and its source of randomness: the only ambient ones.

use kernel::clock::Clock;
use kernel::entropy::Entropy;
use kernel::time::Timestamp;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one that everybody is handed")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The operating system's randomness, through a generator that it seeds.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the one that everybody is handed")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}
