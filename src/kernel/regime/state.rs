//! What the other US states ask for, state by state, as far as it differs.
//!
//! A table of data: the acts in force or signed by November 2026, from the attorneys general's and law firms'
//! overviews. Where a state asks for less than its neighbours, this product gives what the neighbours ask for: an
//! opt-out signal is honoured for everybody, sensitive data needs an explicit consent everywhere.

use super::Territory;

/// What a state's act asks for before sensitive data is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensitiveRule {
    /// Consent beforehand.
    OptIn,
    /// Only what is strictly necessary for what the person asked for, whatever was consented; never a sale.
    StrictlyNecessary,
    /// Notice, and a way out.
    OptOut,
}

/// One state's act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLaw {
    /// The state, two letters (ISO 3166-2:US).
    pub state: &'static str,
    /// Whether a universal opt-out signal must be honoured.
    pub universal_opt_out: bool,
    /// Before sensitive data is used.
    pub sensitive: SensitiveRule,
    /// Days to answer a request.
    pub answer_days: u16,
    /// By how many days an answer may be put off.
    pub extension_days: u16,
    /// After how many months without contact a consent to sensitive use must be asked for anew.
    pub refresh_months: Option<u16>,
    /// The first day on which it applies, ISO 8601; `None`: it applies already.
    pub from: Option<&'static str>,
}

impl StateLaw {
    const fn of(state: &'static str, universal_opt_out: bool) -> Self {
        Self {
            state,
            universal_opt_out,
            sensitive: SensitiveRule::OptIn,
            answer_days: 45,
            extension_days: 45,
            refresh_months: None,
            from: None,
        }
    }

    const fn from(self, day: &'static str) -> Self {
        Self { from: Some(day), ..self }
    }

    /// Every act, by state.
    pub const ALL: [Self; 22] = [
        Self::of("AL", true).from("2027-05-01"),
        // 4 CCR 904-3, Rule 7.08: consent to sensitive use is asked for anew after 24 months without contact.
        Self { refresh_months: Some(24), ..Self::of("CO", true) },
        Self::of("CT", true),
        Self::of("DE", true),
        Self { extension_days: 15, ..Self::of("FL", false) },
        Self { sensitive: SensitiveRule::OptOut, answer_days: 90, ..Self::of("IA", false) },
        Self::of("IN", false),
        Self::of("KY", false),
        Self::of("LA", false).from("2027-01-01"),
        Self { sensitive: SensitiveRule::StrictlyNecessary, ..Self::of("MD", true) },
        Self::of("MN", true),
        Self::of("MT", true),
        Self::of("NE", true),
        Self::of("NH", true),
        Self::of("NJ", true),
        Self::of("OK", false).from("2027-01-01"),
        Self::of("OR", true),
        Self::of("RI", false),
        Self::of("TN", false),
        Self::of("TX", true),
        Self { sensitive: SensitiveRule::OptOut, ..Self::of("UT", false) },
        Self::of("VA", false),
    ];

    /// The act of a state, if it has one.
    #[must_use]
    pub fn in_state(state: Territory) -> Option<&'static Self> {
        Self::ALL.iter().find(|act| state.is(act.state))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::regime::Regime;

    fn act(state: &str) -> Option<&'static StateLaw> {
        let Regime::UsOther(Some(state)) = Regime::of_region(&format!("US-{state}")).unwrap() else { return None };
        StateLaw::in_state(state)
    }

    #[test]
    fn sta_45_the_states_that_know_a_universal_opt_out_signal() {
        for state in ["CO", "CT", "DE", "MD", "MN", "MT", "NE", "NH", "NJ", "OR", "TX"] {
            assert!(act(state).unwrap().universal_opt_out, "{state}");
        }
        for state in ["VA", "IN", "KY", "RI", "TN", "UT", "IA", "FL", "OK"] {
            assert!(!act(state).unwrap().universal_opt_out, "{state}");
        }
        assert_eq!((act("CA"), act("WY")), (None, None));
    }

    #[test]
    fn sta_46_maryland_alone_asks_for_strict_necessity() {
        let strict: Vec<_> =
            StateLaw::ALL.iter().filter(|act| act.sensitive == SensitiveRule::StrictlyNecessary).collect();
        assert_eq!(strict, [act("MD").unwrap()]);
        assert!(StateLaw::ALL.is_sorted_by_key(|act| act.state));
        assert_eq!((act("IA").unwrap().answer_days, act("FL").unwrap().extension_days), (90, 15));
    }
}
