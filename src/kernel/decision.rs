//! The decision: may this recipient have these attributes of this person for this purpose, now?
//!
//! [`decide`] is pure and total. It walks a fixed order and the first reason to refuse wins; whatever is unknown,
//! contradictory or of another policy version is refused. Expiry, age and purpose versions are judged here, at the
//! read, never by a job alone.

pub mod expiry;
pub mod explain;
pub mod prompt;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::attribute::{AttributeName, ServedForm};
use crate::consent::{GrantStanding, Standing};
use crate::notice::NoticeDigest;
use crate::policy::{AttributeRule, Mode, PolicyVersion, PurposeRule, RecipientRule, ValidPolicy};
use crate::purpose::Purpose;
use crate::recipient::{RecipientId, RecipientRole};
use crate::regime::{Regime, RegimeFamily};
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// The most attributes one ask may name.
pub const MAX_ASKED: usize = 64;

/// Why a disclosure is refused. Closed: reports count it, the ledger holds its code. Never told to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Refusal {
    /// Unknown or erased: the same answer for both.
    #[n(1)]
    NotFound = 1,
    /// Processing is restricted (GDPR Art. 18).
    #[n(2)]
    Restricted = 2,
    /// The person objected to direct marketing (GDPR Art. 21).
    #[n(3)]
    Objected = 3,
    /// The attribute is not on the purpose's list, or is never served.
    #[n(4)]
    Minimisation = 4,
    /// The recipient is not bound to the purpose or the attribute.
    #[n(5)]
    Recipient = 5,
    /// A rule that protects minors fails.
    #[n(6)]
    Minor = 6,
    /// A rule for special categories or sensitive information fails.
    #[n(7)]
    Sensitive = 7,
    /// Nothing was given.
    #[n(8)]
    NoConsent = 8,
    /// Asked for and not yet confirmed.
    #[n(9)]
    Pending = 9,
    /// Taken back.
    #[n(10)]
    Withdrawn = 10,
    /// Declined when asked.
    #[n(11)]
    Refused = 11,
    /// Ran out.
    #[n(12)]
    Expired = 12,
    /// Given to an older version that a breaking one replaced.
    #[n(13)]
    Reconsent = 13,
    /// Given in a form the law does not accept.
    #[n(14)]
    Invalid = 14,
    /// Given to another controller.
    #[n(15)]
    Controller = 15,
    /// Given with less assurance than the purpose needs.
    #[n(16)]
    Assurance = 16,
    /// Opted out, by request, signal or limit.
    #[n(17)]
    OptedOut = 17,
    /// Older than its retention period.
    #[n(18)]
    Retention = 18,
    /// The policy has no such purpose.
    #[n(19)]
    UnknownPurpose = 19,
    /// The policy forbids it under this regime.
    #[n(20)]
    Forbidden = 20,
    /// The row cannot be read or verified.
    #[n(21)]
    Unreadable = 21,
    /// Collected by another organisation, and too long ago (CAP-18).
    #[n(22)]
    StaleThirdParty = 22,
    /// The notice that was shown did not name the recipient (C-413/23 P).
    #[n(30)]
    RecipientNotDisclosed = 30,
    /// A decision by computer alone with a significant effect, without what the law asks for it (GDPR Art. 22).
    #[n(31)]
    AutomatedDecision = 31,
}

impl Refusal {
    /// Every reason, in code order.
    pub const ALL: [Self; 24] = [
        Self::NotFound,
        Self::Restricted,
        Self::Objected,
        Self::Minimisation,
        Self::Recipient,
        Self::Minor,
        Self::Sensitive,
        Self::NoConsent,
        Self::Pending,
        Self::Withdrawn,
        Self::Refused,
        Self::Expired,
        Self::Reconsent,
        Self::Invalid,
        Self::Controller,
        Self::Assurance,
        Self::OptedOut,
        Self::Retention,
        Self::UnknownPurpose,
        Self::Forbidden,
        Self::Unreadable,
        Self::StaleThirdParty,
        Self::RecipientNotDisclosed,
        Self::AutomatedDecision,
    ];

    /// One more than the highest code: codes need not be consecutive.
    pub(crate) const CODES: usize = 64;

    /// Its stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Restricted => "restricted",
            Self::Objected => "objected",
            Self::Minimisation => "minimisation",
            Self::Recipient => "recipient",
            Self::Minor => "minor",
            Self::Sensitive => "sensitive",
            Self::NoConsent => "no_consent",
            Self::Pending => "pending",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Reconsent => "reconsent",
            Self::Invalid => "invalid",
            Self::Controller => "controller",
            Self::Assurance => "assurance",
            Self::OptedOut => "opted_out",
            Self::Retention => "retention",
            Self::UnknownPurpose => "unknown_purpose",
            Self::Forbidden => "forbidden",
            Self::Unreadable => "unreadable",
            Self::StaleThirdParty => "stale_third_party",
            Self::RecipientNotDisclosed => "recipient_not_disclosed",
            Self::AutomatedDecision => "automated_decision",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a recipient asks for, resolved once against a policy so that deciding a row looks nothing up.
#[derive(Clone)]
pub struct Ask {
    pub(crate) plan: Arc<Plan>,
}

/// The resolved ask. Shared by every permit that comes of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) policy: PolicyVersion,
    pub(crate) recipient: RecipientId,
    pub(crate) purpose: Purpose,
    pub(crate) recipient_rule: Option<Arc<RecipientRule>>,
    purpose_rule: Option<Arc<PurposeRule>>,
    /// The notices that name the recipient, in order: who was shown another was not told of it.
    told_by: Vec<NoticeDigest>,
    pub(crate) attributes: Vec<PlannedAttribute>,
    /// Bits of the attributes that policy alone withholds from this recipient and purpose.
    minimised: u64,
    /// Bits of the attributes with a sensitive tag.
    tagged: u64,
    /// The stored attributes to open, in the order of a record's entries, each with the bits that it serves.
    pub(crate) inputs: Vec<(AttributeName, u64)>,
}

/// One asked attribute.
#[derive(Debug)]
pub(crate) struct PlannedAttribute {
    pub(crate) name: AttributeName,
    pub(crate) rule: Option<Arc<AttributeRule>>,
}

impl Ask {
    /// Resolves an ask. Names that the policy does not know stay in it and are refused.
    #[must_use]
    pub fn new(
        policy: &ValidPolicy,
        recipient: RecipientId,
        purpose: Purpose,
        attributes: Vec<AttributeName>,
    ) -> Self {
        let recipient_rule = policy.recipient(&recipient).cloned();
        let purpose_rule = policy.purpose(&purpose).cloned();
        let attributes: Vec<_> = attributes
            .into_iter()
            .map(|name| PlannedAttribute { rule: policy.attribute(&name).cloned(), name })
            .collect();
        let bits = |withheld: &dyn Fn(&PlannedAttribute) -> bool| {
            attributes
                .iter()
                .take(MAX_ASKED)
                .enumerate()
                .fold(0_u64, |bits, (at, attribute)| if withheld(attribute) { bits | 1 << at } else { bits })
        };
        let minimised = bits(&|asked| !serves(asked, &purpose, recipient_rule.as_deref()));
        let tagged = bits(&|asked| asked.rule.as_ref().is_some_and(|rule| rule.tag.is_some()));
        let mut inputs = BTreeMap::new();
        for (at, asked) in attributes.iter().take(MAX_ASKED).enumerate() {
            if let Some(rule) = asked.rule.as_ref().filter(|_| minimised >> at & 1 == 0) {
                *inputs.entry(rule.input.clone()).or_insert(0_u64) |= 1 << at;
            }
        }
        let version = policy.version();
        let told_by = policy
            .notices()
            .filter(|notice| notice.recipients.contains(&recipient))
            .map(|notice| notice.digest)
            .collect();
        let inputs = inputs.into_iter().collect();
        let plan = Plan {
            policy: version,
            recipient,
            purpose,
            recipient_rule,
            purpose_rule,
            told_by,
            attributes,
            minimised,
            tagged,
            inputs,
        };
        Self { plan: Arc::new(plan) }
    }

    /// Who asks.
    #[must_use]
    pub fn recipient(&self) -> &RecipientId {
        &self.plan.recipient
    }

    /// What for.
    #[must_use]
    pub fn purpose(&self) -> &Purpose {
        &self.plan.purpose
    }

    /// The policy version it was resolved against.
    #[must_use]
    pub fn policy_version(&self) -> PolicyVersion {
        self.plan.policy
    }

    /// The attributes asked for, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &AttributeName> {
        self.plan.attributes.iter().map(|asked| &asked.name)
    }

    /// The attributes that the policy withholds from this recipient and purpose, whoever the person is.
    pub fn minimised(&self) -> impl Iterator<Item = &AttributeName> {
        self.plan.names(self.plan.minimised)
    }

    /// Whether two asks ask for the same.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let (a, b) = (&*self.plan, &*other.plan);
        Arc::ptr_eq(&self.plan, &other.plan)
            || (a.policy == b.policy
                && a.recipient == b.recipient
                && a.purpose == b.purpose
                && self.attributes().eq(other.attributes()))
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("recipient", self.recipient())
            .field("purpose", self.purpose())
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Plan {
    fn all(&self) -> u64 {
        match self.attributes.len() {
            0 => 0,
            count @ 1..MAX_ASKED => (1 << count) - 1,
            _ => u64::MAX,
        }
    }

    fn names(&self, bits: u64) -> impl Iterator<Item = &AttributeName> {
        self.attributes
            .iter()
            .take(MAX_ASKED)
            .enumerate()
            .filter(move |(at, _)| bits >> at & 1 == 1)
            .map(|(_, asked)| &asked.name)
    }
}

/// Whether policy lets this attribute go to this recipient for this purpose at all.
fn serves(asked: &PlannedAttribute, purpose: &Purpose, recipient: Option<&RecipientRule>) -> bool {
    let (Some(rule), Some(recipient)) = (&asked.rule, recipient) else { return false };
    let form_fits = match &rule.served {
        None => false,
        Some(ServedForm::Plain) => recipient.role == RecipientRole::Sender,
        Some(_) => true,
    };
    form_fits && rule.purposes.contains(purpose) && recipient.attributes.contains(&asked.name)
}

/// The answer to an ask about one person.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Permitted, for the attributes that the permit names.
    Permit(Permit),
    /// Refused. A refusal is an answer, not an error.
    Refuse(Refusal),
}

/// Evidence of one permission: for one person, once. Opening sealed attributes consumes it.
#[must_use]
pub struct Permit {
    pub(crate) subject: SubjectId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) granted: u64,
    pub(crate) now: Timestamp,
}

impl Permit {
    /// Whom it concerns.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// The attributes it permits.
    pub fn attributes(&self) -> impl Iterator<Item = &AttributeName> {
        self.plan.names(self.granted)
    }

    /// The asked attributes it does not permit, with the reason.
    pub fn withheld(&self) -> impl Iterator<Item = (&AttributeName, Refusal)> {
        let minimised = self.plan.minimised;
        let sensitive = self.plan.all() & !self.granted & !minimised;
        self.plan
            .names(minimised)
            .map(|name| (name, Refusal::Minimisation))
            .chain(self.plan.names(sensitive).map(|name| (name, Refusal::Sensitive)))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Decides. First match wins; every applicable regime must permit.
///
/// The order: erased, restricted, objected, minimised, recipient, minor, sensitive, then the purpose's mode under
/// each regime. Retention is judged attribute by attribute when the permit is used.
pub fn decide(policy: &ValidPolicy, standing: &Standing, ask: &Ask, now: Timestamp) -> Decision {
    match granted(policy, standing, ask, now) {
        Ok(granted) => {
            Decision::Permit(Permit { subject: standing.subject(), plan: Arc::clone(&ask.plan), granted, now })
        }
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn granted(policy: &ValidPolicy, standing: &Standing, ask: &Ask, now: Timestamp) -> Result<u64, Refusal> {
    let plan = &*ask.plan;
    // An ask resolved against another policy says nothing about this one.
    if plan.policy != policy.version() || plan.attributes.len() > MAX_ASKED {
        return Err(Refusal::Forbidden);
    }
    let Some(purpose) = plan.purpose_rule.as_deref() else { return Err(Refusal::UnknownPurpose) };
    if standing.is_erased() {
        return Err(Refusal::NotFound);
    }
    if standing.restricted_at().is_some() {
        return Err(Refusal::Restricted);
    }
    // A device is nobody's profile: its signals are kept for those who are seen with it.
    if standing.is_of_device() {
        return Err(Refusal::NotFound);
    }
    if is_objected(standing, purpose) {
        return Err(Refusal::Objected);
    }
    let Some(recipient) = plan.recipient_rule.as_deref() else { return Err(Refusal::Recipient) };
    let allowed = plan.all() & !plan.minimised;
    if allowed == 0 {
        return Err(Refusal::Minimisation);
    }
    if !recipient.purposes.contains(&plan.purpose) {
        return Err(Refusal::Recipient);
    }
    let case = Case { standing, purpose, recipient, told_by: &plan.told_by, now };
    for regime in standing.regimes() {
        case.protect_minor(*regime)?;
    }
    let granted = case.without_sensitive(allowed, plan.tagged)?;
    for regime in standing.regimes() {
        case.mode_permits(*regime)?;
    }
    Ok(granted)
}

/// An objection stops all direct marketing, or the purpose it names; only the person's own later, specific grant of a
/// purpose reopens that purpose.
fn is_objected(standing: &Standing, purpose: &PurposeRule) -> bool {
    standing.objected_to(&purpose.id, purpose.direct_marketing).is_some_and(|objected| {
        standing.effective(&purpose.id).is_none_or(|grant| {
            grant.captured_at <= objected || grant.assurance() == crate::consent::Assurance::Imported
        })
    })
}

/// One question, seen regime by regime.
struct Case<'a> {
    standing: &'a Standing,
    purpose: &'a PurposeRule,
    recipient: &'a RecipientRule,
    told_by: &'a [NoticeDigest],
    now: Timestamp,
}

impl Case<'_> {
    /// GDPR Art. 8, CCPA 1798.120(c): children and the sale or sharing of minors' data.
    fn protect_minor(&self, regime: Regime) -> Result<(), Refusal> {
        let Some(age) = self.standing.birth().map(|birth| birth.age_at(self.now)) else { return Ok(()) };
        let mode = self.purpose.mode(regime);
        if matches!(mode, Mode::Allowed) && !self.purpose.sale_or_share {
            return Ok(());
        }
        let by_parent = self.standing.opted_in_to(&self.purpose.id, true);
        let sale_permitted = match (regime.family(), age) {
            (RegimeFamily::UsCa | RegimeFamily::UsOther, ..13) => by_parent,
            (RegimeFamily::UsCa | RegimeFamily::UsOther, 13..16) => {
                self.standing.opted_in_to(&self.purpose.id, false)
            }
            _ => true,
        };
        if self.purpose.sale_or_share && !sale_permitted {
            return Err(Refusal::Minor);
        }
        // An opt-in two-step by or for a Californian minor is that regime's consent; elsewhere the parent's word is.
        let settled =
            self.purpose.sale_or_share && matches!(regime.family(), RegimeFamily::UsCa | RegimeFamily::UsOther);
        let needs_parent = age < regime.age_of_digital_consent() && !settled;
        if needs_parent && !self.standing.parent_authorised(&self.purpose.id) {
            return Err(Refusal::Minor);
        }
        Ok(())
    }

    /// GDPR Art. 9, CCPA 1798.121: withholds the tagged attributes, and everything where the purpose itself is
    /// sensitive, unless the consent was explicit or use need not be limited.
    fn without_sensitive(&self, allowed: u64, tagged: u64) -> Result<u64, Refusal> {
        if !self.purpose.sensitive && allowed & tagged == 0 {
            return Ok(allowed);
        }
        if self.standing.regimes().iter().all(|regime| self.sensitive_use_permitted(*regime)) {
            return Ok(allowed);
        }
        let plain = if self.purpose.sensitive { 0 } else { allowed & !tagged };
        if plain == 0 { Err(Refusal::Sensitive) } else { Ok(plain) }
    }

    fn sensitive_use_permitted(&self, regime: Regime) -> bool {
        match regime.family() {
            RegimeFamily::UsCa => {
                self.purpose.spi_necessary || self.standing.limited_for(&self.purpose.id).is_none()
            }
            _ if self.purpose.mode(regime) == Mode::Allowed && self.purpose.spi_necessary => true,
            _ => self.grant_in_force(regime).is_ok_and(|grant| grant.grant.explicit),
        }
    }

    fn mode_permits(&self, regime: Regime) -> Result<(), Refusal> {
        match self.purpose.mode(regime) {
            Mode::Forbidden => Err(Refusal::Forbidden),
            // No consent is needed, but whoever unsubscribes from marketing is heard (GDPR Art. 21(3)).
            Mode::Allowed if self.purpose.direct_marketing => self.not_opted_out(),
            Mode::Allowed => Ok(()),
            Mode::OptOut => self.not_opted_out(),
            Mode::OptIn => self.opted_in(regime, None),
            Mode::ExplicitOptIn => {
                self.opted_in(regime, None)?;
                if self.grant_in_force(regime)?.grant.explicit { Ok(()) } else { Err(Refusal::Sensitive) }
            }
            Mode::OptInOrSoft => self.opted_in(regime, Some(Mode::OptInOrSoft)),
            Mode::OptInOrImplied => self.opted_in(regime, Some(Mode::OptInOrImplied)),
        }
    }

    /// A valid grant, or the weaker basis that the mode accepts in its place; and no opt-out of sale besides.
    fn opted_in(&self, regime: Regime, weaker: Option<Mode>) -> Result<(), Refusal> {
        if self.purpose.sale_or_share && self.standing.opted_out_of(&self.purpose.id).is_some() {
            return Err(Refusal::OptedOut);
        }
        let refusal = match self.grant_in_force(regime) {
            Ok(_) => return Ok(()),
            Err(refusal) => refusal,
        };
        let known = self.standing.purpose(&self.purpose.id);
        let fallback = match weaker {
            Some(Mode::OptInOrSoft) => known.and_then(|known| known.soft.as_ref()),
            Some(Mode::OptInOrImplied) => known.and_then(|known| known.implied.as_ref()),
            _ => None,
        };
        let denied = self.standing.denied_at(&self.purpose.id);
        match fallback {
            // A weaker basis never survives a no, whenever it was said (GDPR Art. 21(3), CAP-22).
            Some(basis) if denied.is_none() => self.holds_without_consent(basis),
            _ => Err(refusal),
        }
    }

    fn not_opted_out(&self) -> Result<(), Refusal> {
        let (standing, purpose) = (self.standing, &self.purpose.id);
        let out_of_sale = self.purpose.sale_or_share && standing.opted_out_of(purpose).is_some();
        let limited =
            self.purpose.sensitive && !self.purpose.spi_necessary && standing.limited_for(purpose).is_some();
        let denied = standing.denied_at(purpose).is_some_and(|denied| {
            if self.purpose.sale_or_share {
                // A no to a sale is an opt-out: only the two steps lift it (11 CCR §7028(a)).
                standing.opted_in_at(purpose).is_none_or(|step| step <= denied)
            } else {
                standing.effective(purpose).is_none()
            }
        });
        if out_of_sale || limited || denied { Err(Refusal::OptedOut) } else { Ok(()) }
    }

    /// The confirmed grant that is good now for this controller, recipient, version and assurance.
    fn grant_in_force(&self, regime: Regime) -> Result<&GrantStanding, Refusal> {
        let Some(grant) = self.standing.effective(&self.purpose.id) else { return Err(self.why_not_given()) };
        self.holds(regime, grant)?;
        Ok(grant)
    }

    fn holds(&self, regime: Regime, grant: &GrantStanding) -> Result<(), Refusal> {
        if !grant.names(&self.recipient.controller) {
            return Err(Refusal::Controller);
        }
        if !self.was_told_of_the_recipient(grant) {
            return Err(Refusal::RecipientNotDisclosed);
        }
        self.covers_now(grant)?;
        if grant.assurance() < self.purpose.assurance_needed(regime) {
            return Err(Refusal::Assurance);
        }
        Ok(())
    }

    /// Whether the basis that a sale or an inquiry left behind is good now. It may have been collected under no
    /// notice of ours, and says nothing of how surely a person consented: nobody did.
    fn holds_without_consent(&self, basis: &GrantStanding) -> Result<(), Refusal> {
        if !basis.names(&self.recipient.controller) {
            return Err(Refusal::Controller);
        }
        if basis.grant.notice.is_some() && !self.was_told_of_the_recipient(basis) {
            return Err(Refusal::RecipientNotDisclosed);
        }
        self.covers_now(basis)
    }

    fn covers_now(&self, grant: &GrantStanding) -> Result<(), Refusal> {
        if grant.grant.purpose_version < self.purpose.last_breaking_version
            || grant.grant.purpose_version > self.purpose.version
        {
            return Err(Refusal::Reconsent);
        }
        let ended = grant.grant.valid_until.is_some_and(|end| self.now >= end);
        if ended || self.purpose.validity.are_over(grant.captured_at, self.now) {
            return Err(Refusal::Expired);
        }
        let from_others = grant.grant.third_party;
        if from_others && self.purpose.third_party_validity.are_over(grant.captured_at, self.now) {
            return Err(Refusal::StaleThirdParty);
        }
        Ok(())
    }

    /// NOT-05 (C-413/23 P): judged at collection, by the notice that was shown then.
    fn was_told_of_the_recipient(&self, grant: &GrantStanding) -> bool {
        grant.grant.notice.is_some_and(|shown| self.told_by.binary_search(&shown).is_ok())
    }

    fn why_not_given(&self) -> Refusal {
        let denied = self.standing.denied_at(&self.purpose.id);
        let Some(known) = self.standing.purpose(&self.purpose.id) else {
            return if denied.is_some() { Refusal::Withdrawn } else { Refusal::NoConsent };
        };
        let after_denial = |at: Timestamp| denied.is_none_or(|denied| at > denied);
        let withdrawn = known.withdrawn_at.max(self.standing.withdrawn_all_at());
        if known.requested_at.is_some_and(after_denial) {
            Refusal::Pending
        } else if withdrawn.is_some() && withdrawn >= known.refused_at {
            Refusal::Withdrawn
        } else if known.refused_at.is_some() {
            Refusal::Refused
        } else if known.invalid_at.is_some() {
            Refusal::Invalid
        } else {
            Refusal::NoConsent
        }
    }
}

/// The right of access (GDPR Art. 15): a permit for everything stored, to the person and nobody else.
///
/// Restriction, objection and withdrawal do not stand in the way of the person's own copy.
pub fn permit_access(standing: &Standing, now: Timestamp) -> AccessPermit {
    AccessPermit { subject: standing.subject(), now }
}

/// Evidence that a person's right of access is being exercised. Consumed by opening the copy.
#[must_use]
#[derive(Debug)]
pub struct AccessPermit {
    pub(crate) subject: SubjectId,
    pub(crate) now: Timestamp,
}

impl AccessPermit {
    /// Whose copy it is.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// When the right was exercised.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.now
    }
}

#[cfg(test)]
pub(crate) mod tests;
