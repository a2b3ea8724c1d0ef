//! The policy: purposes, attributes, recipients, forms and notices, checked as a whole before anything is decided.
//!
//! [`document`] reads the TOML files with the position of every fault, [`validate`] turns them into a
//! [`ValidPolicy`], and only that is evaluated. [`case`] runs the given/when/then tests that a policy carries.

pub mod case;
pub mod document;
mod epochs;
pub mod signal;
pub mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;

use crate::attribute::{AttributeName, AttributeType, SensitiveTag, ServedForm};
use crate::consent::{Assurance, Basis};
use crate::controller::ControllerId;
use crate::form::FormId;
use crate::id::bytes_newtype;
use crate::notice::{NoticeDigest, NoticeId};
use crate::purpose::{ProductFamily, Purpose};
use crate::recipient::{ContractKind, RecipientId, RecipientRole};
use crate::regime::{Regime, RegimeFamily};
use crate::time::{Months, Timestamp};
use crate::title::Title;

pub use epochs::Epochs;

bytes_newtype! {
    /// SHA-256 over the names and bytes of all documents of a policy.
    PolicyVersion, 32, "sha256:"
}

/// A policy that passed validation. Immutable; shared by reference.
#[derive(Debug, Clone)]
pub struct ValidPolicy {
    pub(crate) version: PolicyVersion,
    pub(crate) controllers: BTreeMap<ControllerId, ControllerRule>,
    pub(crate) purposes: BTreeMap<Purpose, Arc<PurposeRule>>,
    pub(crate) attributes: BTreeMap<AttributeName, Arc<AttributeRule>>,
    pub(crate) recipients: BTreeMap<RecipientId, Arc<RecipientRule>>,
    pub(crate) forms: BTreeMap<FormId, Arc<FormRule>>,
    pub(crate) notices: BTreeMap<NoticeDigest, Arc<NoticeText>>,
    pub(crate) signals: Vec<signal::SignalRule>,
}

/// A controller: who answers for the processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRule {
    /// Legal name.
    pub name: String,
    /// Postal address.
    pub address: String,
    /// Contact of the controller.
    pub contact: String,
    /// Contact of the data protection officer.
    pub officer: String,
    /// Where a person may write to ask that mails stop (Directive 2002/58 Art. 13(4)); needed to send marketing.
    pub stop_address: Option<String>,
    /// What a first message says, apart from everything else, of the right to object (GDPR Art. 21(4)).
    pub objection_notice: Option<Title>,
    /// Whether `anna+shop@example.org` and `anna@example.org` count as one mailbox when it is suppressed.
    pub plus_tags_are_one_mailbox: bool,
}

/// How a purpose becomes lawful under one regime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Needs a given consent.
    OptIn,
    /// Needs a given consent, or the soft opt-in of an existing customer (Directive 2002/58 Art. 13(2)).
    OptInOrSoft,
    /// Needs a given consent, or CASL's implied consent before it lapses (CASL s.10(9)).
    OptInOrImplied,
    /// Needs an explicit consent (GDPR Art. 9(2)(a)).
    ExplicitOptIn,
    /// Rests on a legitimate interest with a recorded balancing test (GDPR Art. 6(1)(f)), until the person says no.
    LegitimateInterest,
    /// Permitted until the person opts out.
    OptOut,
    /// Permitted by contract, law or notice; objection and restriction still stop it where they apply.
    Allowed,
    /// Never permitted.
    Forbidden,
}

impl Mode {
    /// Its name in policies and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptIn => "opt_in",
            Self::OptInOrSoft => "opt_in_or_soft",
            Self::OptInOrImplied => "opt_in_or_implied",
            Self::ExplicitOptIn => "explicit_opt_in",
            Self::LegitimateInterest => "legitimate_interest",
            Self::OptOut => "opt_out",
            Self::Allowed => "allowed",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What the policy says of one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurposeRule {
    /// Its key.
    pub id: Purpose,
    /// What a person reads.
    pub title: Title,
    /// The current version, counted from 1.
    pub version: u16,
    /// The latest version that broke with the ones before it: consents to older ones do not cover it.
    pub last_breaking_version: u16,
    /// The mode by regime family; every family has one.
    pub modes: BTreeMap<RegimeFamily, Mode>,
    /// Exceptions by exact regime, for example `US_OTHER:MD`.
    pub mode_exceptions: BTreeMap<Regime, Mode>,
    /// How long a consent is good.
    pub validity: Months,
    /// How long a consent is good that another organisation collected and passed on.
    pub third_party_validity: Months,
    /// How long not to ask again after a refusal.
    pub reask_after: Months,
    /// How long not to ask again after a question that was not answered (EDPB 03/2022).
    pub prompt_gap: Months,
    /// Direct marketing: an objection stops it absolutely (GDPR Art. 21(3)).
    pub direct_marketing: bool,
    /// A sale, sharing or cross-context advertising: opt-outs and GPC stop it (CCPA 1798.120).
    pub sale_or_share: bool,
    /// Uses special-category or sensitive data as such: explicit consent, or the right to limit (CCPA 1798.121).
    pub sensitive: bool,
    /// Necessary even when sensitive use is limited (11 CCR §7027(m)).
    pub spi_necessary: bool,
    /// The assurance a consent needs, at the least, where no regime asks for another.
    pub assurance: Assurance,
    /// The assurance that single regimes ask for: by exact regime, or by family.
    pub assurance_exceptions: BTreeMap<Regime, Assurance>,
    /// The fideslang `data_use` key.
    pub fideslang: String,
    /// The DPV purpose IRI suffix, for example `DirectMarketing`.
    pub dpv: String,
    /// The bases on which it may rest beside consent.
    pub bases: Vec<Basis>,
    /// Modes for subscribers that are legal persons, where a regime asks for less before they are written to
    /// (Directive 2002/58 Art. 13(5)): by exact regime, or by family.
    pub legal_person_modes: BTreeMap<Regime, Mode>,
    /// Breaking versions that break with a part only: consents to older ones cover what did not change.
    pub partial_breaks: Vec<PartialBreak>,
    /// The families of own products for which a soft opt-in is good (Directive 2002/58 Art. 13(2)).
    pub product_families: Vec<ProductFamily>,
    /// A decision by computer alone with legal or similarly significant effects (GDPR Art. 22).
    pub significant_effect: bool,
    /// How a human being hears the person and can decide otherwise (GDPR Art. 22(3), UK GDPR Art. 22C).
    pub human_review: Option<String>,
    /// Political advertising: its own explicit consent, no special categories, nobody young (Regulation 2024/900).
    pub political: bool,
    /// No use of persons known to be younger than this.
    pub minimum_age: Option<i16>,
    /// The risk assessment (11 CCR §7150).
    pub risk_assessment: Option<Assessment>,
    /// The data protection impact assessment (GDPR Art. 35).
    pub dpia: Option<Assessment>,
}

/// A breaking version whose break concerns only some attributes or recipients (EDPB 05/2020 ¶110).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialBreak {
    /// The version that came with it.
    pub version: u16,
    /// The attributes that are new in it.
    pub attributes: Vec<AttributeName>,
    /// The recipients that are new in it.
    pub recipients: Vec<RecipientId>,
}

/// An assessment on record, and when it must be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// Under which name it is kept.
    pub reference: String,
    /// The day of its next review.
    pub review_on: Date,
}

/// An assessment whose review is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueReview {
    /// Of which purpose.
    pub purpose: Purpose,
    /// Of which kind: `risk_assessment` or `dpia`.
    pub kind: &'static str,
    /// The day on which it was due.
    pub due_on: Date,
}

impl PurposeRule {
    /// The mode under a regime: the exception for exactly that regime, else its family's.
    #[must_use]
    pub fn mode(&self, regime: Regime) -> Mode {
        self.mode_exceptions
            .get(&regime)
            .or_else(|| self.modes.get(&regime.family()))
            .copied()
            // INVARIANT: validation gives every family a mode; without one nothing is permitted.
            .unwrap_or(Mode::Forbidden)
    }

    /// The mode under a regime for a subscriber that is a legal person: what is listed for them, else what natural
    /// persons are owed.
    #[must_use]
    pub fn mode_for_legal_persons(&self, regime: Regime) -> Mode {
        let listed = &self.legal_person_modes;
        let own = listed.get(&regime).or_else(|| listed.get(&regime.without_territory()));
        own.copied().unwrap_or_else(|| self.mode(regime))
    }

    /// The age below which nobody's data is used for it, whoever agreed: its own, 18 for decisions with significant
    /// effects (GDPR rec. 71), 17 for political advertising (Regulation 2024/900 Art. 18(1)(c): a year below the
    /// voting age).
    #[must_use]
    pub fn least_age(&self) -> Option<i16> {
        let by_law = [(self.significant_effect, 18), (self.political, 17)];
        by_law.into_iter().filter(|(applies, _)| *applies).map(|(_, age)| age).chain(self.minimum_age).max()
    }

    /// The assurance a consent needs under a regime: what exactly that regime asks for, else its family, else all.
    /// A person whose regime is not known is owed the strictest.
    #[must_use]
    pub fn assurance_needed(&self, regime: Regime) -> Assurance {
        let exceptions = &self.assurance_exceptions;
        if exceptions.is_empty() {
            return self.assurance;
        }
        if regime == Regime::Unknown {
            return exceptions.values().copied().fold(self.assurance, Assurance::max);
        }
        exceptions
            .get(&regime)
            .or_else(|| exceptions.get(&regime.without_territory()))
            .copied()
            .unwrap_or(self.assurance)
    }

    /// The least assurance with which a consent is good anywhere.
    #[must_use]
    pub fn least_assurance(&self) -> Assurance {
        self.assurance_exceptions.values().copied().fold(self.assurance, Assurance::min)
    }
}

/// What the policy says of one attribute, stored or derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRule {
    /// Its key.
    pub name: AttributeName,
    /// What a person reads.
    pub title: Title,
    /// The type, of a stored attribute; a derived one has none.
    pub stored: Option<AttributeType>,
    /// For a derived attribute the stored one it is computed from; for a stored one itself.
    pub input: AttributeName,
    /// How it is served; `None`: never.
    pub served: Option<ServedForm>,
    /// The fideslang `data_category` key.
    pub fideslang: String,
    /// The CCPA category, `1798.140(v)(1)(A)` to `(L)`, by its letter.
    pub ccpa: char,
    /// How long a value is kept and served after it was observed.
    pub retention: Months,
    /// The sensitive tag, its inputs' included.
    pub tag: Option<SensitiveTag>,
    /// The purposes it may serve.
    pub purposes: Vec<Purpose>,
    /// No cell of fewer persons than this is served (PSE-05).
    pub k: u32,
    /// Whether it helps to single persons out when it is put together with others (EDPB 01/2025): what is served of
    /// all of these together is shared by at least k persons.
    pub quasi_identifier: bool,
    /// Of a predicted value: how the model works and what follows from it, in words for the person (GDPR Art.
    /// 15(1)(h)).
    pub model: Option<String>,
}

/// What the policy says of one recipient: its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRule {
    /// Its key.
    pub id: RecipientId,
    /// Legal name, told to persons (GDPR Art. 15(1)(c)).
    pub name: String,
    /// Its role.
    pub role: RecipientRole,
    /// The controller for whom, or as which, it receives.
    pub controller: ControllerId,
    /// ISO 3166-1 country.
    pub country: String,
    /// The purposes it is bound to.
    pub purposes: Vec<Purpose>,
    /// The attributes of its contract.
    pub attributes: Vec<AttributeName>,
    /// The epochs of its pseudonyms.
    pub epochs: Epochs,
    /// What it receives under (GDPR Art. 28(3); CCPA 1798.100(d)).
    pub contract: Option<Contract>,
    /// By which contract and technical means it cannot identify persons (C-413/23 P). It documents, and changes
    /// nothing: records, notices and rights stay as they are.
    pub no_reid: Option<String>,
    /// The three attestations without which nothing is called deidentified (CCPA 1798.140(m)). It changes nothing
    /// either.
    pub deidentified: Option<Deidentified>,
}

impl RecipientRule {
    /// Whether a contract stands behind what it receives. The controller's own departments need none.
    #[must_use]
    pub fn is_under_contract(&self, now: Timestamp) -> bool {
        let Some(contract) = &self.contract else { return self.role == RecipientRole::Own };
        contract.ends.is_none_or(|end| now < end)
    }
}

/// A contract with a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Where it is filed.
    pub reference: String,
    /// What it makes of the recipient.
    pub kind: ContractKind,
    /// The instant at which it has ended.
    pub ends: Option<Timestamp>,
    /// Who else works for the recipient.
    pub sub_processors: Vec<String>,
}

/// What makes data deidentified in California's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deidentified {
    /// Where it was publicly committed to.
    pub public_commitment: String,
    /// How it is made sure that nobody is identified again.
    pub no_reidentification: String,
    /// Which contract binds whoever receives it next.
    pub flow_down: String,
}

/// To whom a form is directed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Everybody.
    #[default]
    General,
    /// Children: its notice has a layer for them, and it asks for the birth (GDPR Arts. 8, 12(1)).
    Child,
}

/// How a form presents its choices: what is declared once is not believed per post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormRule {
    /// Its key.
    pub id: FormId,
    /// What a person reads.
    pub title: Title,
    /// The attributes it may send, its identifiers (`email`) included.
    pub fields: Vec<AttributeName>,
    /// The purposes it may ask for.
    pub purposes: Vec<Purpose>,
    /// The notice it shows.
    pub notice: NoticeId,
    /// Web origins that may post to it; empty: any. `http://127.0.0.1:*` matches every port.
    pub origins: Vec<String>,
    /// To whom it is directed.
    pub audience: Audience,
    /// Whether a grant waits for the mailbox owner's confirmation.
    pub double_opt_in: bool,
    /// The assurance its grants have.
    pub assurance: Assurance,
    /// The regime of persons who declare no region.
    pub default_regime: Option<Regime>,
    /// Where a browser is sent after a plain post; `None`: a page of the gateway's own.
    pub return_url: Option<String>,
}

/// One version of a notice in one locale: what was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeText {
    /// Its name.
    pub id: NoticeId,
    /// Its version, counted from 1.
    pub version: u16,
    /// BCP 47 language tag.
    pub locale: String,
    /// Digest of the exact text.
    pub digest: NoticeDigest,
    /// The exact text, with all of its layers.
    pub text: String,
    /// The layer for children, part of the text.
    pub child: Option<String>,
    /// The short layer, part of the text (GDPR Art. 12(1)).
    pub short: Option<String>,
    /// The right to object to direct marketing, which is shown apart from everything else (GDPR Art. 21(4)): the end of
    /// the text.
    pub objection: Option<String>,
    /// Who relies on it: the only ones a consent under it is good for (EDPB 05/2020 ¶65).
    pub controllers: Vec<ControllerId>,
    /// The purposes it explains.
    pub purposes: Vec<Purpose>,
    /// The recipients it names.
    pub recipients: Vec<RecipientId>,
    /// Whether this version is the one forms show now.
    pub current: bool,
}

impl ValidPolicy {
    /// Its version: the digest of its documents.
    #[must_use]
    pub const fn version(&self) -> PolicyVersion {
        self.version
    }

    /// The rule of a purpose.
    #[must_use]
    pub fn purpose(&self, id: &Purpose) -> Option<&Arc<PurposeRule>> {
        self.purposes.get(id)
    }

    /// The rule of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &AttributeName) -> Option<&Arc<AttributeRule>> {
        self.attributes.get(name)
    }

    /// The rule of a recipient.
    #[must_use]
    pub fn recipient(&self, id: &RecipientId) -> Option<&Arc<RecipientRule>> {
        self.recipients.get(id)
    }

    /// The rule of a form.
    #[must_use]
    pub fn form(&self, id: &FormId) -> Option<&Arc<FormRule>> {
        self.forms.get(id)
    }

    /// A notice by the digest of its text, old versions included.
    #[must_use]
    pub fn notice(&self, digest: &NoticeDigest) -> Option<&Arc<NoticeText>> {
        self.notices.get(digest)
    }

    /// The current text of a notice in a locale.
    #[must_use]
    pub fn current_notice(&self, id: &NoticeId, locale: &str) -> Option<&Arc<NoticeText>> {
        self.notices.values().find(|n| n.current && &n.id == id && n.locale == locale)
    }

    /// All purposes, by key.
    pub fn purposes(&self) -> impl Iterator<Item = &Arc<PurposeRule>> {
        self.purposes.values()
    }

    /// All attributes, by key.
    pub fn attributes(&self) -> impl Iterator<Item = &Arc<AttributeRule>> {
        self.attributes.values()
    }

    /// All recipients, by key.
    pub fn recipients(&self) -> impl Iterator<Item = &Arc<RecipientRule>> {
        self.recipients.values()
    }

    /// To whom data are sold or shared, and for what (CCPA 1798.140(ad), (ah)).
    #[must_use]
    pub fn buyers(&self) -> Vec<(Purpose, RecipientId)> {
        let third = self.recipients().filter(|rule| rule.role == RecipientRole::ThirdParty);
        let sold = |purpose: &&Purpose| self.purpose(purpose).is_some_and(|rule| rule.sale_or_share);
        third
            .flat_map(|rule| rule.purposes.iter().filter(sold).map(|purpose| (purpose.clone(), rule.id.clone())))
            .collect()
    }

    /// All forms, by key.
    pub fn forms(&self) -> impl Iterator<Item = &Arc<FormRule>> {
        self.forms.values()
    }

    /// All notices, old versions included.
    pub fn notices(&self) -> impl Iterator<Item = &Arc<NoticeText>> {
        self.notices.values()
    }

    /// The rule of a controller.
    #[must_use]
    pub fn controller(&self, id: &ControllerId) -> Option<&ControllerRule> {
        self.controllers.get(id)
    }

    /// Whether suppressing an address suppresses its mailbox without the plus-tag, too: where one controller wants it.
    #[must_use]
    pub fn suppresses_plus_tags(&self) -> bool {
        self.controllers.values().any(|rule| rule.plus_tags_are_one_mailbox)
    }

    /// The assessments whose review is due on a day (GDPR Art. 35(11), 11 CCR §7155).
    #[must_use]
    pub fn reviews_due(&self, today: Date) -> Vec<DueReview> {
        let of = |rule: &Arc<PurposeRule>| {
            [("risk_assessment", &rule.risk_assessment), ("dpia", &rule.dpia)].map(|(kind, assessment)| {
                assessment.as_ref().filter(|known| known.review_on <= today).map(|known| DueReview {
                    purpose: rule.id.clone(),
                    kind,
                    due_on: known.review_on,
                })
            })
        };
        self.purposes.values().flat_map(of).flatten().collect()
    }

    /// All controllers, by key.
    pub fn controllers(&self) -> impl Iterator<Item = (&ControllerId, &ControllerRule)> {
        self.controllers.iter()
    }
}
