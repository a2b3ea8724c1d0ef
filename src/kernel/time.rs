//! Instants to the millisecond, and the calendar arithmetic that law needs.
//!
//! Milliseconds survive both databases unchanged, so whatever is signed or folded reads back the same.

use std::fmt;
use std::str::FromStr;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An instant in UTC, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] i64);

/// Text that is not an RFC 3339 date and time between the years 1900 and 9998.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a time is written as RFC 3339, for example `2026-11-22T18:30:00Z`")]
pub struct TimestampError;

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Later by `millis`, saturating.
    #[must_use]
    pub const fn plus_ms(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant (negative when it lies before).
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The civil date in UTC.
    #[must_use]
    pub fn date(self) -> Date {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or(Date::MAX, |instant| instant.to_zoned(TimeZone::UTC).date())
    }

    /// Midnight UTC of a civil date.
    #[must_use]
    pub fn from_date(date: Date) -> Self {
        date.to_zoned(TimeZone::UTC).map_or(Self(i64::MAX), |zoned| Self(zoned.timestamp().as_millisecond()))
    }

    /// Days since 1970-01-01 of the civil date in UTC.
    #[must_use]
    pub const fn day_number(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }
}

/// A period in whole calendar months: how long a consent or a value stays good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Months(#[n(0)] pub u16);

impl Months {
    /// The instant at which a period that began at `from` has run out. A day that the last month does not have
    /// becomes its last day: expiries round down (GDPR Art. 5(1)(e)).
    #[must_use]
    pub fn after(self, from: Timestamp) -> Timestamp {
        self.shifted(from, 1)
    }

    /// The instant from which a wait that began at `from` is over. A day that the last month does not have becomes the
    /// first of the next month: waits round up (CCPA 1798.135(c)(4)).
    #[must_use]
    pub fn wait_from(self, from: Timestamp) -> Timestamp {
        const DAY_MS: i64 = 86_400_000;
        let end = self.after(from);
        if end.date().day() == from.date().day() { end } else { end.plus_ms(DAY_MS) }
    }

    /// The earliest start of a period of this length that has not run out at `now`: whatever began before it has.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        self.shifted(now, -1)
    }

    /// Whether a period of this length that began at `from` has run out at `now`.
    #[must_use]
    pub fn are_over(self, from: Timestamp, now: Timestamp) -> bool {
        // 28 days are never more than a month: nearly every call ends here, without a calendar.
        const DAY_MS: i64 = 86_400_000;
        let sure = i64::from(self.0).saturating_mul(28 * DAY_MS);
        now.since_ms(from) >= sure && now >= self.after(from)
    }

    fn shifted(self, from: Timestamp, sign: i64) -> Timestamp {
        let edge = if sign > 0 { i64::MAX } else { i64::MIN };
        let Ok(instant) = jiff::Timestamp::from_millisecond(from.0) else { return Timestamp(edge) };
        Span::new()
            .try_months(sign * i64::from(self.0))
            .and_then(|span| instant.to_zoned(TimeZone::UTC).checked_add(span))
            .map_or(Timestamp(edge), |zoned| Timestamp(zoned.timestamp().as_millisecond()))
    }
}

impl FromStr for Months {
    type Err = TimestampError;

    /// Reads an ISO 8601 period in months or years: `P24M`, `P2Y`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let period = text.strip_prefix('P').ok_or(TimestampError)?;
        let (digits, factor) = match (period.strip_suffix('M'), period.strip_suffix('Y')) {
            (Some(months), _) => (months, 1),
            (_, Some(years)) => (years, 12),
            _ => return Err(TimestampError),
        };
        let count: u16 = digits.parse().map_err(|_| TimestampError)?;
        match count.checked_mul(factor) {
            Some(months @ 1..=1200) => Ok(Self(months)),
            _ => Err(TimestampError),
        }
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}M", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // INVARIANT: every instant that enters lies in years that all formats and databases can write.
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        let millis = instant.as_millisecond();
        if (-2_208_988_800_000..253_370_764_800_000).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(TimestampError)
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_expiry_rounds_down_to_the_last_day_of_a_short_month() {
        let purchase = at("2024-02-29T12:00:00Z");
        assert_eq!(Months(24).after(purchase), at("2026-02-28T12:00:00Z"));
    }

    #[test]
    fn a_wait_rounds_up_to_the_first_of_the_next_month() {
        for (from, months, over) in [
            ("2024-02-29T12:00:00Z", 12, "2025-03-01T12:00:00Z"),
            ("2026-11-22T12:00:00Z", 12, "2027-11-22T12:00:00Z"),
            ("2026-08-31T00:00:00Z", 6, "2027-03-01T00:00:00Z"),
            ("2026-10-31T23:59:59Z", 1, "2026-12-01T23:59:59Z"),
        ] {
            assert_eq!(Months(months).wait_from(at(from)), at(over), "{from}");
        }
    }

    #[test]
    fn a_time_is_written_with_milliseconds() {
        assert_eq!(at("2026-11-22T18:30:00+01:00").to_string(), "2026-11-22T17:30:00.000Z");
        assert!("2026-11-22".parse::<Timestamp>().is_err());
        assert!("-009999-01-01T00:00:00Z".parse::<Timestamp>().is_err());
    }

    proptest! {
        #[test]
        fn the_shortcut_agrees_with_the_calendar(
            from in 0_i64..4_000_000_000_000, millis in 0_i64..200_000_000_000, months in 1_u16..40
        ) {
            let (from, now) = (Timestamp(from), Timestamp(from + millis));
            prop_assert_eq!(Months(months).are_over(from, now), now >= Months(months).after(from));
        }

        #[test]
        fn a_time_survives_its_text_form(millis in -2_208_988_800_000_i64..253_370_764_800_000) {
            let at = Timestamp(millis);
            prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }
    }
}
