//! The data subject and the small facts about a person that decisions need: birth and age.

use jiff::civil::Date;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

pub use crate::id::SubjectId;
use crate::time::Timestamp;

/// What is known of a birth date: shown by no `Debug`. A year alone is enough for most uses (GDPR Art. 5(1)(c)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Birth {
    /// Only the year.
    #[n(0)]
    Year(#[n(0)] i16),
    /// Year, month (1–12) and day (1–31).
    #[n(1)]
    Date(#[n(0)] i16, #[n(1)] u8, #[n(2)] u8),
}

/// Whether a message reaches a natural or a legal person (Directive 2002/58 Art. 13(5)): some states ask for less
/// before they write to companies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum SubscriberType {
    /// A human being.
    #[n(0)]
    Natural,
    /// A company, an association, an office.
    #[n(1)]
    Legal,
}

impl std::fmt::Debug for Birth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Birth(..)")
    }
}

impl Birth {
    /// From a civil date.
    #[must_use]
    pub fn from_date(date: Date) -> Self {
        Self::Date(date.year(), date.month().unsigned_abs(), date.day().unsigned_abs())
    }

    /// The age in whole years at `at` (UTC date), on the cautious side.
    ///
    /// A year alone counts as born on 31 December. Someone born on 29 February has the birthday on 1 March in
    /// common years, so is still a year younger on 28 February.
    #[must_use]
    pub fn age_at(self, at: Timestamp) -> i16 {
        let today = at.date();
        let (year, month, day) = match self {
            Self::Year(year) => (year, 12, 31),
            Self::Date(year, month, day) => (year, month, day),
        };
        let had_birthday = (today.month().unsigned_abs(), today.day().unsigned_abs()) >= (month, day);
        today.year().saturating_sub(year).saturating_sub(i16::from(!had_birthday))
    }

    /// The first instant (UTC) at which [`Birth::age_at`] is `age`.
    #[must_use]
    pub fn reaches(self, age: i16) -> Timestamp {
        let (year, month, day) = match self {
            Self::Year(year) => (year, 12, 31),
            Self::Date(year, month, day) => (year, month, day),
        };
        let year = year.saturating_add(age);
        let (month, day) = (month.cast_signed(), day.cast_signed());
        // The only day that not every year has is 29 February.
        let birthday = Date::new(year, month, day).or_else(|_| Date::new(year, 3, 1)).unwrap_or(Date::MAX);
        Timestamp::from_date(birthday)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}T00:00:00Z").parse().unwrap()
    }

    #[test]
    fn a_leap_day_birthday_comes_on_the_first_of_march_in_common_years() {
        let birth = Birth::Date(2012, 2, 29);
        assert_eq!(birth.age_at(at("2026-02-28")), 13);
        assert_eq!(birth.age_at(at("2026-03-01")), 14);
    }

    #[test]
    fn seg_05_the_birthday_itself_counts() {
        let birth = Birth::Date(2008, 11, 23);
        assert_eq!(birth.age_at(at("2026-11-22")), 17);
        assert_eq!(birth.age_at(at("2026-11-23")), 18);
    }

    #[test]
    fn an_age_is_reached_on_the_day_it_counts_from() {
        for birth in [Birth::Date(2012, 2, 29), Birth::Date(2011, 8, 1), Birth::Year(2010)] {
            for age in [13, 16, 18] {
                let day = birth.reaches(age);
                assert_eq!((birth.age_at(day.plus_ms(-1)), birth.age_at(day)), (age - 1, age), "{birth:?}");
            }
        }
    }

    #[test]
    fn a_year_alone_counts_from_its_last_day() {
        assert_eq!(Birth::Year(2008).age_at(at("2026-12-30")), 17);
        assert_eq!(Birth::Year(2008).age_at(at("2026-12-31")), 18);
    }
}
