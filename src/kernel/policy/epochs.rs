//! The epochs of a recipient's pseudonyms: how long one lasts, and how long the names of the one before are understood.

use crate::time::{Months, Timestamp};

const DAY_MS: i64 = 86_400_000;

/// When which epoch is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epochs {
    /// The number of the epoch that the policy names.
    pub number: u16,
    /// The number of the one before, if its names were given out.
    pub previous: Option<u16>,
    /// When the named epoch began; without it, it is simply the current one.
    pub began: Option<Timestamp>,
    /// After how long the next one begins, by itself.
    pub lasts: Option<Months>,
    /// For how many days of an epoch the names of the one before are still understood.
    pub grace_days: u16,
}

impl Epochs {
    /// One epoch without an end.
    #[must_use]
    pub const fn only(number: u16) -> Self {
        Self { number, previous: None, began: None, lasts: None, grace_days: 0 }
    }

    /// The epoch of an instant. Before the named one began it is the one before.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> u16 {
        match self.began {
            Some(began) if now < began => self.previous.unwrap_or(self.number),
            Some(_) => self.number.saturating_add(self.turns(now)),
            None => self.number,
        }
    }

    /// The epochs whose names are understood at an instant, the current one first.
    pub fn understood_at(&self, now: Timestamp) -> impl Iterator<Item = u16> {
        let current = self.at(now);
        let before = match self.turns(now) {
            0 if current == self.number => self.previous,
            0 => None,
            _ => Some(current.saturating_sub(1)),
        };
        let in_grace = self
            .start(now)
            .is_some_and(|start| now.since_ms(start) < i64::from(self.grace_days).saturating_mul(DAY_MS));
        std::iter::once(current).chain(before.filter(|_| in_grace))
    }

    /// How often the epoch has turned by itself.
    fn turns(&self, now: Timestamp) -> u16 {
        let (Some(began), Some(lasts)) = (self.began, self.lasts) else { return 0 };
        let mut turns = 0_u16;
        while turns < u16::MAX && now >= end_of(began, lasts, turns) {
            turns += 1;
        }
        turns
    }

    /// When the current epoch began.
    fn start(&self, now: Timestamp) -> Option<Timestamp> {
        let began = self.began.filter(|began| now >= *began)?;
        match (self.turns(now), self.lasts) {
            (turns @ 1.., Some(lasts)) => Some(end_of(began, lasts, turns - 1)),
            _ => Some(began),
        }
    }
}

/// When the epoch that is the named one's successor by `turns` ends.
fn end_of(began: Timestamp, lasts: Months, turns: u16) -> Timestamp {
    Months(lasts.0.saturating_mul(turns.saturating_add(1))).after(began)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn understood(epochs: &Epochs, now: &str) -> Vec<u16> {
        epochs.understood_at(at(now)).collect()
    }

    #[test]
    fn pse_04_an_epoch_turns_by_itself_and_the_one_before_is_understood_for_its_grace() {
        let epochs = Epochs {
            number: 3,
            previous: Some(2),
            began: Some(at("2026-01-01T00:00:00Z")),
            lasts: Some(Months(6)),
            grace_days: 30,
        };
        for (now, expected) in [
            ("2025-12-31T23:59:59.999Z", vec![2]),
            ("2026-01-01T00:00:00Z", vec![3, 2]),
            ("2026-01-30T23:59:59.999Z", vec![3, 2]),
            ("2026-01-31T00:00:00Z", vec![3]),
            ("2026-07-01T00:00:00Z", vec![4, 3]),
            ("2026-07-31T00:00:00Z", vec![4]),
            ("2027-01-01T00:00:00Z", vec![5, 4]),
            ("2036-01-01T00:00:00Z", vec![23, 22]),
        ] {
            assert_eq!(understood(&epochs, now), expected, "{now}");
        }
    }

    #[test]
    fn an_epoch_without_an_end_has_no_other() {
        assert_eq!(understood(&Epochs::only(1), "2036-01-01T00:00:00Z"), [1]);
    }
}
