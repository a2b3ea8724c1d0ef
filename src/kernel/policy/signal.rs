//! What the signals of browsers and consent platforms mean for the purposes: the policy's table, and its reading.
//!
//! There is no effect that permits anything. A rule turns a signal into an opt-out, an objection, a refusal or a limit;
//! what a signal allows is the person's own consent to give, at a form, with its evidence.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{PurposeRule, ValidPolicy};
use crate::consent::EventKind;
use crate::purpose::Purpose;
use crate::regime::{Regime, RegimeFamily};
use crate::signal::{ReadSignal, SectionId, SignalMeaning, TcString};
use crate::slug::slug;

slug! {
    /// The name of a rule about signals.
    SignalRuleId
}

/// The kind of signal a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalSource {
    /// The Global Privacy Control.
    Gpc,
    /// The sections of a GPP string, but for its TC string.
    Gpp,
    /// A TC string, by itself or as a section.
    Tcf,
}

/// What a section may ask for: the words of [`SignalMeaning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalWord {
    /// No sale.
    SaleOptedOut,
    /// No sharing for cross-context advertising.
    SharingOptedOut,
    /// No targeted advertising.
    TargetedAdsOptedOut,
    /// Sensitive data are limited or not consented to.
    SensitiveLimited,
    /// The person is a known child.
    KnownChild,
    /// Consent for a known child is refused.
    ChildConsentRefused,
    /// Processing beyond what was disclosed is refused.
    AdditionalProcessingRefused,
    /// A notice that applies was not given.
    NoticeMissing,
}

impl SignalWord {
    /// Those that end a sale or sharing.
    pub const OF_SALE: [Self; 3] = [Self::SaleOptedOut, Self::SharingOptedOut, Self::TargetedAdsOptedOut];

    /// Whether a section says so. One that cannot be relied on says everything.
    const fn is_said(self, meaning: &SignalMeaning) -> bool {
        meaning.fail_closed
            || match self {
                Self::SaleOptedOut => meaning.sale_opted_out,
                Self::SharingOptedOut => meaning.sharing_opted_out,
                Self::TargetedAdsOptedOut => meaning.targeted_ads_opted_out,
                Self::SensitiveLimited => meaning.sensitive_limited,
                Self::KnownChild => meaning.known_child,
                Self::ChildConsentRefused => meaning.child_consent_refused,
                Self::AdditionalProcessingRefused => meaning.additional_processing_refused,
                Self::NoticeMissing => meaning.notice_missing,
            }
    }
}

/// What a rule does. Every one of them takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalEffect {
    /// An opt-out of the purposes (CCPA 1798.120).
    OptOut,
    /// An objection to the purposes (GDPR Art. 21(5)).
    Object,
    /// A refusal of the purposes, as if the person had said no when asked.
    Refuse,
    /// A limit of the use of sensitive information (CCPA 1798.121).
    Limit,
}

impl SignalEffect {
    const fn kind(self) -> EventKind {
        match self {
            Self::OptOut => EventKind::OptOutSaleShare,
            Self::Object => EventKind::Objected,
            Self::Refuse => EventKind::Refused,
            Self::Limit => EventKind::LimitSpi,
        }
    }
}

/// When a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTrigger {
    /// A Global Privacy Control signal.
    Gpc,
    /// One of the sections says one of the words.
    Gpp {
        /// The words.
        says: Vec<SignalWord>,
        /// The sections it looks at; empty: all.
        sections: Vec<SectionId>,
    },
    /// The TC string lacks consent to one of the TCF's purposes.
    Tcf {
        /// The TCF's purposes, all of which need consent.
        without_consent: Vec<u8>,
        /// The vendor that must be disclosed and consented to besides, if the rule is about one.
        vendor: Option<u16>,
    },
}

/// What the policy says of one kind of signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalRule {
    /// Its name.
    pub id: SignalRuleId,
    /// When it applies.
    pub trigger: SignalTrigger,
    /// Under which regimes; empty: all. It applies to a person of an unknown regime whatever it lists.
    pub regimes: Vec<RegimeFamily>,
    /// What it does.
    pub effect: SignalEffect,
    /// To which purposes; none for a limit.
    pub purposes: Vec<Purpose>,
    /// Why: the law, or the controller's choice.
    pub because: String,
}

/// What a signal takes away: an event of the person's history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consequence {
    /// What happens.
    pub kind: EventKind,
    /// To which purpose; `None`: to the person as a whole.
    pub purpose: Option<Purpose>,
    /// Whether the Global Privacy Control is the reason, and not a string.
    pub by_gpc: bool,
}

impl SignalRule {
    /// The rules of a policy that has no `signals.toml`: whatever opts out ends every sale and sharing, and whatever
    /// limits sensitive data limits them.
    pub(crate) fn defaults<'a>(purposes: impl Iterator<Item = &'a PurposeRule>) -> Vec<Self> {
        let sold: Vec<Purpose> = purposes.filter(|rule| rule.sale_or_share).map(|rule| rule.id.clone()).collect();
        let out = [SignalWord::KnownChild, SignalWord::ChildConsentRefused];
        let out = SignalWord::OF_SALE.into_iter().chain(out).collect();
        let gpp = |says| SignalTrigger::Gpp { says, sections: Vec::new() };
        let tcf = SignalTrigger::Tcf { without_consent: vec![3, 4], vendor: None };
        let limited = gpp(vec![SignalWord::SensitiveLimited]);
        [
            ("default_opt_out", gpp(out), SignalEffect::OptOut, sold.clone()),
            ("default_limit", limited, SignalEffect::Limit, Vec::new()),
            ("default_refusal", tcf, SignalEffect::Refuse, sold),
        ]
        .into_iter()
        .filter_map(|(id, trigger, effect, purposes)| {
            let because = "the policy says nothing of signals: the strictest reading".to_owned();
            Some(Self { id: id.parse().ok()?, trigger, regimes: Vec::new(), effect, purposes, because })
        })
        .collect()
    }

    /// Whether a signal calls for the rule, of a person under these regimes.
    #[must_use]
    pub fn applies(&self, signal: &ReadSignal, regimes: &[Regime]) -> bool {
        self.concerns(regimes)
            && match &self.trigger {
                SignalTrigger::Gpc => signal.is_gpc(),
                SignalTrigger::Gpp { says, sections } => signal.meanings().iter().any(|meaning| {
                    meaning.section != SectionId::TCF_EU_V2
                        && (sections.is_empty() || sections.contains(&meaning.section))
                        && says.iter().any(|word| word.is_said(meaning))
                }),
                SignalTrigger::Tcf { without_consent, vendor } => {
                    // A TC section that applies and is missing or unusable closes.
                    let is_closed =
                        |meaning: &SignalMeaning| meaning.section == SectionId::TCF_EU_V2 && meaning.fail_closed;
                    signal.meanings().iter().any(is_closed)
                        || signal.consents().iter().any(|tc| lacks(tc, without_consent, *vendor))
                }
            }
    }

    fn concerns(&self, regimes: &[Regime]) -> bool {
        self.regimes.is_empty()
            || regimes.is_empty()
            || regimes.iter().any(|regime| *regime == Regime::Unknown || self.regimes.contains(&regime.family()))
    }
}

/// Whether a TC string lacks consent to one of these purposes, for a vendor or at all.
fn lacks(tc: &TcString, purposes: &[u8], vendor: Option<u16>) -> bool {
    purposes.iter().any(|purpose| match vendor {
        Some(vendor) => !tc.permits(vendor, *purpose),
        None => !tc.is_valid() || !tc.purposes_consent.contains(*purpose),
    })
}

impl ValidPolicy {
    /// Its rules about signals.
    pub fn signals(&self) -> impl Iterator<Item = &SignalRule> {
        self.signals.iter()
    }

    /// What a signal takes away from a person under these regimes, each once. That a Global Privacy Control signal
    /// ends every sale and sharing is no matter of policy (11 CCR §7025): it is not listed here.
    #[must_use]
    pub fn consequences(&self, signal: &ReadSignal, regimes: &[Regime]) -> Vec<Consequence> {
        let rules = self.signals.iter().filter(|rule| rule.applies(signal, regimes));
        let each: BTreeSet<Consequence> = rules
            .flat_map(|rule| {
                let (kind, by_gpc) = (rule.effect.kind(), rule.trigger == SignalTrigger::Gpc);
                let whole =
                    (rule.effect == SignalEffect::Limit).then_some(Consequence { kind, purpose: None, by_gpc });
                let named =
                    rule.purposes.iter().map(move |id| Consequence { kind, purpose: Some(id.clone()), by_gpc });
                named.chain(whole)
            })
            .collect();
        each.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
