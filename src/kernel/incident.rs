//! Incidents: what is on record of one, and by when whom has to be told (GDPR Arts. 33, 34; Cal. Civ. Code 1798.82).
//!
//! Periods in hours are elapsed hours: no weekend, holiday or change of the clocks makes one longer (Regulation 1182/71
//! Art. 3(4)). Where a law can be read in two ways, the earlier end counts.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::IncidentId;
use crate::ledger::IncidentKind;
use crate::recipient::RecipientId;
use crate::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// California is never further from UTC, so that the day there is this one or the next.
const BEHIND_UTC_MS: i64 = 8 * HOUR_MS;

/// How many hours there are to tell the authority (GDPR Art. 33(1)).
const AUTHORITY_HOURS: i64 = 72;
/// How many calendar days there are to tell residents of California (SB 446).
const RESIDENTS_DAYS: i64 = 30;
/// How many more there are to tell the attorney general.
const ATTORNEY_GENERAL_DAYS: i64 = 15;
/// More residents than this make it necessary to tell the attorney general.
const MANY_RESIDENTS: u64 = 500;

/// How likely it is that persons come to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Unlikely: nobody has to be told (GDPR Art. 33(1)).
    Unlikely,
    /// Possible.
    Possible,
    /// High: the persons are told, too (GDPR Art. 34).
    High,
}

/// Something that was done and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Why not in time, if it was not.
    pub late_reason: Option<String>,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// When.
    pub at: Timestamp,
    /// Why: what was decided, and on what grounds.
    pub reason: String,
}

/// What is on record of an incident. Free texts of officers: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When the controller became aware.
    pub aware_at: Timestamp,
    /// When it was discovered, by whomever.
    pub discovered_at: Timestamp,
    /// What happened.
    pub facts: String,
    /// What came, or may come, of it.
    pub effects: Option<String>,
    /// What was done about it.
    pub measures: Option<String>,
    /// How likely harm is.
    pub risk: Option<Risk>,
    /// Whether it touches persons under the GDPR of the Union or the United Kingdom.
    pub touches_europe: bool,
    /// How many residents of California it touches, if any.
    pub california_residents: Option<u64>,
    /// Whether the data were unintelligible to whoever got them (GDPR Art. 34(3)(a)).
    pub data_encrypted: Option<bool>,
    /// The recipient at which it happened.
    pub recipient: Option<RecipientId>,
    /// The authority was told.
    pub authority_told: Option<Told>,
    /// The persons were told.
    pub persons_told: Option<Told>,
    /// California's attorney general was told.
    pub attorney_general_told: Option<Told>,
    /// It is closed.
    pub closed: Option<Closure>,
}

impl std::fmt::Debug for Incident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incident").field("aware_at", &self.aware_at).finish_non_exhaustive()
    }
}

/// An incident with its name and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedIncident {
    /// Its name.
    pub id: IncidentId,
    /// Its kind.
    pub kind: IncidentKind,
    /// When it was put on record.
    pub opened_at: Timestamp,
    /// What is on record.
    pub incident: Incident,
}

impl Incident {
    /// By when the authority has to be told, unless harm is unlikely (GDPR Art. 33(1)).
    #[must_use]
    pub fn authority_due(&self) -> Option<Timestamp> {
        let needed = self.touches_europe && self.risk != Some(Risk::Unlikely);
        needed.then(|| self.aware_at.plus_ms(AUTHORITY_HOURS * HOUR_MS))
    }

    /// On which day residents of California have to have been told (SB 446).
    #[must_use]
    pub fn residents_due(&self) -> Option<Date> {
        self.california_residents.filter(|residents| *residents > 0)?;
        Some(self.discovered_at.plus_ms(RESIDENTS_DAYS * DAY_MS - BEHIND_UTC_MS).date())
    }

    /// On which day the attorney general has to have been told: counted from the day on which residents were, or have to
    /// be.
    #[must_use]
    pub fn attorney_general_due(&self) -> Option<Date> {
        self.california_residents.filter(|residents| *residents > MANY_RESIDENTS)?;
        let told = self.persons_told.as_ref().map(|told| told.at.plus_ms(-BEHIND_UTC_MS).date());
        let from = match (told, self.residents_due()?) {
            (Some(told), due) => told.min(due),
            (None, due) => due,
        };
        Some(Timestamp::from_date(from).plus_ms(ATTORNEY_GENERAL_DAYS * DAY_MS).date())
    }

    /// Whether the persons have to be told: harm is likely to be high, and the data were not unintelligible (GDPR
    /// Art. 34).
    #[must_use]
    pub fn persons_to_be_told(&self) -> bool {
        let of_europe = self.touches_europe && self.risk == Some(Risk::High);
        let of_california = self.california_residents.is_some_and(|residents| residents > 0);
        (of_europe || of_california) && self.data_encrypted != Some(true)
    }

    /// Whether somebody is overdue to be told.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let today = now.plus_ms(-BEHIND_UTC_MS).date();
        self.closed.is_none()
            && (self.authority_told.is_none() && self.authority_due().is_some_and(|due| now > due)
                || self.persons_told.is_none() && self.residents_due().is_some_and(|due| today > due)
                || self.attorney_general_told.is_none()
                    && self.attorney_general_due().is_some_and(|due| today > due))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn incident(aware_at: &str, discovered_at: &str) -> Incident {
        Incident {
            aware_at: aware_at.parse().unwrap(),
            discovered_at: discovered_at.parse().unwrap(),
            facts: String::new(),
            effects: None,
            measures: None,
            risk: None,
            touches_europe: true,
            california_residents: None,
            data_encrypted: None,
            recipient: None,
            authority_told: None,
            persons_told: None,
            attorney_general_told: None,
            closed: None,
        }
    }

    #[test]
    fn sec_12_the_authority_is_told_within_72_elapsed_hours() {
        for (aware_at, due) in [
            // Over a weekend, and over Easter and the change of the clocks.
            ("2026-11-20T16:20:00+01:00", "2026-11-23T16:20:00+01:00"),
            ("2027-03-26T18:00:00+01:00", "2027-03-29T19:00:00+02:00"),
        ] {
            let incident = incident(aware_at, aware_at);
            assert_eq!(incident.authority_due(), Some(due.parse().unwrap()));
            let due: Timestamp = due.parse().unwrap();
            assert!(!incident.is_overdue(due) && incident.is_overdue(due.plus_ms(1)));
        }
        let unlikely = Incident { risk: Some(Risk::Unlikely), ..incident(START, START) };
        assert_eq!(unlikely.authority_due(), None);
    }

    const START: &str = "2026-11-22T12:00:00Z";

    #[test]
    fn sec_15_residents_are_told_within_30_days_and_the_attorney_general_15_days_later() {
        let of = |residents| Incident { california_residents: residents, ..incident(START, START) };
        assert_eq!(of(Some(500)).residents_due().unwrap().to_string(), "2026-12-22");
        assert_eq!((of(None).residents_due(), of(Some(0)).residents_due()), (None, None));
        assert_eq!(of(Some(500)).attorney_general_due(), None);
        assert_eq!(of(Some(501)).attorney_general_due().unwrap().to_string(), "2027-01-06");
        let told = Told { at: "2026-12-01T20:00:00Z".parse().unwrap(), late_reason: None };
        let early = Incident { persons_told: Some(told), ..of(Some(501)) };
        assert_eq!(early.attorney_general_due().unwrap().to_string(), "2026-12-16");
        // Early in UTC it is the day before in California.
        let early = Incident { california_residents: Some(1), ..incident(START, "2026-11-22T05:00:00Z") };
        assert_eq!(early.residents_due().unwrap().to_string(), "2026-12-21");
    }

    #[test]
    fn sec_14_who_cannot_be_read_is_not_to_be_told_of() {
        let high = Incident { risk: Some(Risk::High), ..incident(START, START) };
        assert!(high.persons_to_be_told());
        assert!(!Incident { data_encrypted: Some(true), ..high }.persons_to_be_told());
    }
}
