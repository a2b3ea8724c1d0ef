//! The preferences as data.

use app::{Preference, PreferenceState, Preferences};
use kernel::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::gpc;
use crate::http::page::Language;

/// How a person's choices stand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preferences)]
pub(crate) struct PreferencesBody {
    /// Whether anybody is held under this link; if not, nothing else is said.
    held: bool,
    /// Every purpose of the policy.
    purposes: Vec<PreferenceBody>,
    /// Whether the person objects to direct marketing (GDPR Art. 21(2)).
    objected: SinceBody,
    /// Whether sale and sharing are opted out of (CCPA 1798.120, 11 CCR §7026(g)).
    opted_out: SinceBody,
    /// Whether the use of sensitive information is limited (CCPA 1798.121).
    limited: SinceBody,
    /// Whether a Global Privacy Control signal was processed (11 CCR §7025(c)(6)).
    gpc_processed: SinceBody,
    /// What to show the person then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    gpc_display: Option<&'static str>,
}

/// One purpose.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preference)]
pub(crate) struct PreferenceBody {
    /// Its key.
    purpose: String,
    /// What a person reads.
    title: String,
    /// `on`, `off`, or `necessary`: on, and not for the person to choose here.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<&'static str>,
    /// Since when it was given, or taken back or refused, if the person ever said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = false, nullable = false)]
    since: Option<String>,
}

/// Whether something holds, and since when.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Since)]
pub(crate) struct SinceBody {
    /// Whether it holds.
    value: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = false, nullable = false)]
    since: Option<String>,
}

impl From<Option<Timestamp>> for SinceBody {
    fn from(since: Option<Timestamp>) -> Self {
        Self { value: since.is_some(), since: since.map(|at| at.to_string()) }
    }
}

impl PreferencesBody {
    pub(super) fn of(preferences: Option<&Preferences>, language: Language) -> Self {
        let Some(preferences) = preferences else {
            return Self {
                held: false,
                purposes: Vec::new(),
                objected: SinceBody::default(),
                opted_out: SinceBody::default(),
                limited: SinceBody::default(),
                gpc_processed: SinceBody::default(),
                gpc_display: None,
            };
        };
        Self {
            held: true,
            purposes: preferences
                .purposes
                .iter()
                .map(|preference| PreferenceBody::of(preference, language))
                .collect(),
            objected: preferences.objected_at.into(),
            opted_out: preferences.opted_out_at.into(),
            limited: preferences.limited_at.into(),
            gpc_processed: preferences.signal_at.into(),
            gpc_display: honoured(preferences).then_some(gpc::display(language)),
        }
    }
}

/// Whether a signal was processed and its opt-out holds.
pub(super) const fn honoured(preferences: &Preferences) -> bool {
    preferences.signal_at.is_some() && preferences.opted_out_at.is_some()
}

impl PreferenceBody {
    fn of(preference: &Preference, language: Language) -> Self {
        let (state, reason) = match preference.state {
            PreferenceState::On => ("on", None),
            PreferenceState::Necessary => ("necessary", None),
            PreferenceState::Off(refusal) => ("off", Some(refusal.code())),
        };
        Self {
            purpose: preference.purpose.to_string(),
            title: preference.title.in_locale(language.tag()).to_owned(),
            state,
            reason,
            since: preference.since.map(|at| at.to_string()),
        }
    }
}
