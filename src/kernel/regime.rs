//! Which law a person is under. Several may apply at once; then every one of them must permit.

mod state;

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use state::{SensitiveRule, StateLaw};

use crate::time::Months;

/// A member state of the European Economic Area or a US state: two upper-case letters of ISO 3166.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Territory(#[n(0)] u16);

impl Territory {
    fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self(u16::from_be_bytes([*a, *b]))),
            _ => None,
        }
    }

    /// Whether this is the territory with these two letters.
    #[must_use]
    pub fn is(self, letters: &str) -> bool {
        Self::parse(letters) == Some(self)
    }
}

impl fmt::Display for Territory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.to_be_bytes();
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

/// A body of privacy law that applies to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Regime {
    /// GDPR and ePrivacy, with the member state (EEA) where it is known.
    #[n(0)]
    EuGdpr(#[n(0)] Option<Territory>),
    /// UK GDPR and PECR.
    #[n(1)]
    UkGdpr,
    /// California: CCPA.
    #[n(2)]
    UsCa,
    /// Another US state.
    #[n(3)]
    UsOther(#[n(0)] Option<Territory>),
    /// Canada: CASL.
    #[n(4)]
    CaCasl,
    /// Not known: treated as the strictest.
    #[n(5)]
    Unknown,
}

/// How it is known that a regime applies to a person. The codes are stored: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum RegimeSource {
    /// The person, or a source that knows the person, declared a region.
    #[n(0)]
    Declared,
    /// The form is made for persons of that regime.
    #[n(1)]
    Form,
    /// Nobody said anything: the configured assumption.
    #[n(2)]
    Default,
}

impl RegimeSource {
    /// Whether it is assumed and not declared.
    #[must_use]
    pub const fn is_assumed(self) -> bool {
        matches!(self, Self::Form | Self::Default)
    }
}

/// A regime without its territory: the key of a policy's mode table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegimeFamily {
    /// `EU_GDPR`
    EuGdpr,
    /// `UK_GDPR`
    UkGdpr,
    /// `US_CA`
    UsCa,
    /// `US_OTHER`
    UsOther,
    /// `CA_CASL`
    CaCasl,
    /// `UNKNOWN`
    Unknown,
}

impl RegimeFamily {
    /// Every family, in the order of policies and reports.
    pub const ALL: [Self; 6] =
        [Self::EuGdpr, Self::UkGdpr, Self::UsCa, Self::UsOther, Self::CaCasl, Self::Unknown];

    /// Its name in policies and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EuGdpr => "EU_GDPR",
            Self::UkGdpr => "UK_GDPR",
            Self::UsCa => "US_CA",
            Self::UsOther => "US_OTHER",
            Self::CaCasl => "CA_CASL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Text that names no regime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a regime is EU_GDPR, EU_GDPR:<state>, UK_GDPR, US_CA, US_OTHER, US_OTHER:<state>, CA_CASL or UNKNOWN")]
pub struct RegimeError;

/// Text that is not a region code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a region is an ISO 3166 code such as `DE`, `GB` or `US-CA`")]
pub struct RegionError;

impl Regime {
    /// The family this regime belongs to.
    #[must_use]
    pub const fn family(self) -> RegimeFamily {
        match self {
            Self::EuGdpr(_) => RegimeFamily::EuGdpr,
            Self::UkGdpr => RegimeFamily::UkGdpr,
            Self::UsCa => RegimeFamily::UsCa,
            Self::UsOther(_) => RegimeFamily::UsOther,
            Self::CaCasl => RegimeFamily::CaCasl,
            Self::Unknown => RegimeFamily::Unknown,
        }
    }

    /// The regime of the whole family: without its member state or state.
    #[must_use]
    pub const fn without_territory(self) -> Self {
        match self {
            Self::EuGdpr(_) => Self::EuGdpr(None),
            Self::UsOther(_) => Self::UsOther(None),
            other => other,
        }
    }

    /// The regime of a declared region: an ISO 3166-1 country, or an ISO 3166-2 subdivision. A well-formed code of
    /// a place whose law this product does not model is [`Regime::Unknown`], the strictest.
    ///
    /// # Errors
    /// When the text is not of the form `AA` or `AA-X…` (one to three letters or digits).
    pub fn of_region(region: &str) -> Result<Self, RegionError> {
        const EEA: &[&str] = &[
            "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
            "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
        ];
        let (country, part) = match region.split_once('-') {
            Some((country, part)) => (country, Some(part)),
            None => (region, None),
        };
        let state = Territory::parse(country).ok_or(RegionError)?;
        if let Some(part) = part {
            let good = (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            if !good {
                return Err(RegionError);
            }
        }
        Ok(match (country, part) {
            (country, _) if EEA.contains(&country) => Self::EuGdpr(Some(state)),
            ("GB", _) => Self::UkGdpr,
            ("US", Some("CA")) => Self::UsCa,
            ("US", Some(part)) => Self::UsOther(Territory::parse(part)),
            ("CA", _) => Self::CaCasl,
            // A US resident of an unknown state may be under any of the states' laws.
            _ => Self::Unknown,
        })
    }

    /// The age below which a person cannot consent alone to an online service (GDPR Art. 8(1); law of the member
    /// state). An unknown state takes the highest, 16.
    #[must_use]
    pub fn age_of_digital_consent(self) -> i16 {
        const AGES: &[(i16, &[&str])] = &[
            (13, &["BE", "EE", "FI", "LV", "MT", "PT", "SE", "NO", "IS"]),
            (14, &["AT", "BG", "CY", "ES", "IT", "LT"]),
            (15, &["CZ", "DK", "FR", "GR", "SI"]),
        ];
        match self {
            Self::EuGdpr(Some(state)) => AGES
                .iter()
                .find(|(_, states)| states.iter().any(|letters| state.is(letters)))
                .map_or(16, |(age, _)| *age),
            Self::EuGdpr(None) | Self::Unknown => 16,
            // UK GDPR Art. 8; COPPA and the states' laws below 13; Canada has no fixed age, the OPC takes 13.
            Self::UkGdpr | Self::UsCa | Self::UsOther(_) | Self::CaCasl => 13,
        }
    }
}

impl Regime {
    /// Whether a child below the age consents together with its parent, not the parent in its place
    /// (Loi n° 78-17, Art. 45).
    #[must_use]
    pub fn asks_for_joint_consent(self) -> bool {
        matches!(self, Self::EuGdpr(Some(state)) if state.is("FR"))
    }

    /// Whether sensitive data is used only where that is strictly necessary, whatever was consented (Maryland). So it
    /// is in a US state that is not known.
    #[must_use]
    pub fn asks_for_strict_necessity(self) -> bool {
        match self {
            Self::UsOther(Some(state)) => {
                StateLaw::in_state(state).is_some_and(|act| act.sensitive == SensitiveRule::StrictlyNecessary)
            }
            Self::UsOther(None) => true,
            _ => false,
        }
    }

    /// After how long without contact a consent to sensitive use must be asked for anew (4 CCR 904-3, Rule 7.08).
    #[must_use]
    pub fn refreshes_sensitive_after(self) -> Option<Months> {
        let Self::UsOther(Some(state)) = self else { return None };
        StateLaw::in_state(state)?.refresh_months.map(Months)
    }
}

impl FromStr for Regime {
    type Err = RegimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (family, state) = match text.split_once(':') {
            Some((family, state)) => (family, Some(Territory::parse(state).ok_or(RegimeError)?)),
            None => (text, None),
        };
        match (family, state) {
            ("EU_GDPR", state) => Ok(Self::EuGdpr(state)),
            ("UK_GDPR", None) => Ok(Self::UkGdpr),
            ("US_CA", None) => Ok(Self::UsCa),
            ("US_OTHER", state) => Ok(Self::UsOther(state)),
            ("CA_CASL", None) => Ok(Self::CaCasl),
            ("UNKNOWN", None) => Ok(Self::Unknown),
            _ => Err(RegimeError),
        }
    }
}

impl TryFrom<String> for Regime {
    type Error = RegimeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Regime> for String {
    fn from(regime: Regime) -> Self {
        regime.to_string()
    }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family().as_str())?;
        match self {
            Self::EuGdpr(Some(state)) | Self::UsOther(Some(state)) => write!(f, ":{state}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_region_names_its_regime() {
        for (region, regime) in [
            ("DE", "EU_GDPR:DE"),
            ("DE-BY", "EU_GDPR:DE"),
            ("NO", "EU_GDPR:NO"),
            ("GB", "UK_GDPR"),
            ("US-CA", "US_CA"),
            ("US-CO", "US_OTHER:CO"),
            ("CA-QC", "CA_CASL"),
            ("CA", "CA_CASL"),
            ("US", "UNKNOWN"),
            ("CH", "UNKNOWN"),
        ] {
            assert_eq!(Regime::of_region(region).unwrap().to_string(), regime, "{region}");
        }
        for bad in ["", "de", "DEU", "D", "DE-", "DE-ABCD", "DE-b"] {
            assert!(Regime::of_region(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_regime_survives_its_text_form() {
        for text in ["EU_GDPR", "EU_GDPR:FR", "UK_GDPR", "US_CA", "US_OTHER:MD", "CA_CASL", "UNKNOWN"] {
            assert_eq!(text.parse::<Regime>().unwrap().to_string(), text);
        }
        assert!("US_CA:LA".parse::<Regime>().is_err());
    }

    #[test]
    fn the_age_of_digital_consent_is_the_states() {
        for (age, states) in [
            (13, "BE EE FI LV MT PT SE NO IS"),
            (14, "AT BG CY ES IT LT"),
            (15, "CZ DK FR GR SI"),
            (16, "DE HR HU IE LI LU NL PL RO SK"),
        ] {
            for state in states.split(' ') {
                let regime: Regime = format!("EU_GDPR:{state}").parse().unwrap();
                assert_eq!(regime.age_of_digital_consent(), age, "{state}");
                assert_eq!(regime.asks_for_joint_consent(), state == "FR", "{state}");
            }
        }
        for (regime, age) in [("EU_GDPR", 16), ("UNKNOWN", 16), ("UK_GDPR", 13), ("US_CA", 13), ("CA_CASL", 13)] {
            assert_eq!(regime.parse::<Regime>().unwrap().age_of_digital_consent(), age, "{regime}");
        }
    }
}
