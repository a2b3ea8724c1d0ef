//! The decision: may this recipient have these attributes of this person for this purpose, now?
//!
//! [`decide`] is pure and total. It walks a fixed order and the first reason to refuse wins; whatever is unknown,
//! contradictory or of another policy version is refused. Expiry, age and purpose versions are judged here, at the
//! read, never by a job alone.

mod case;
pub mod expiry;
pub mod explain;
mod ground;
mod objection;
pub mod prompt;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::attribute::{AttributeName, ServedForm};
use crate::consent::Standing;
use crate::notice::NoticeDigest;
use crate::policy::{AttributeRule, PolicyVersion, PurposeRule, RecipientRule, ValidPolicy};
use crate::purpose::Purpose;
use crate::recipient::{RecipientId, RecipientRole};
use crate::subject::SubjectId;
use crate::time::Timestamp;

use case::Case;
pub use ground::{Concerned, concerned, unfounded};

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
    /// Versions of the purpose that brought something new, with the bits of the attributes that are new in them.
    partial_breaks: Vec<(u16, u64)>,
    /// The version that brought the recipient; consents to older ones do not cover it.
    recipient_since: u16,
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
    /// Whether both are one ask, resolved once. Two that were resolved apart are not, even if they ask for the same.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }

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
        let breaks = purpose_rule.as_ref().map(|rule| rule.partial_breaks.as_slice()).unwrap_or_default();
        let partial_breaks =
            breaks.iter().map(|part| (part.version, bits(&|asked| is_new(asked, &part.attributes)))).collect();
        let recipient_since = breaks
            .iter()
            .filter(|part| part.recipients.contains(&recipient))
            .map(|part| part.version)
            .max()
            .unwrap_or_default();
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
            partial_breaks,
            recipient_since,
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

    /// Bits of the attributes that came with versions newer than this one.
    fn newer_than(&self, version: u16) -> u64 {
        self.partial_breaks.iter().filter(|(since, _)| version < *since).fold(0, |bits, (_, new)| bits | new)
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

/// Whether an attribute, or what it is computed from, is among these.
fn is_new(asked: &PlannedAttribute, names: &[AttributeName]) -> bool {
    let of_input = asked.rule.as_ref().is_some_and(|rule| names.contains(&rule.input));
    of_input || names.contains(&asked.name)
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
    reconsent: u64,
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
        let reconsent = self.reconsent & !self.granted & !minimised;
        let sensitive = self.plan.all() & !self.granted & !minimised & !reconsent;
        self.plan
            .names(minimised)
            .map(|name| (name, Refusal::Minimisation))
            .chain(self.plan.names(reconsent).map(|name| (name, Refusal::Reconsent)))
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
/// each regime, and what only a newer version of the purpose covers. Retention is judged attribute by attribute when
/// the permit is used.
pub fn decide(policy: &ValidPolicy, standing: &Standing, ask: &Ask, now: Timestamp) -> Decision {
    match granted(policy, standing, ask, now) {
        Ok(Granted { granted, reconsent }) => Decision::Permit(Permit {
            subject: standing.subject(),
            plan: Arc::clone(&ask.plan),
            granted,
            reconsent,
            now,
        }),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// The bits of the attributes that are permitted, and of those that wait for a consent to a newer version.
struct Granted {
    granted: u64,
    reconsent: u64,
}

fn granted(policy: &ValidPolicy, standing: &Standing, ask: &Ask, now: Timestamp) -> Result<Granted, Refusal> {
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
    objection::not_objected(standing, purpose)?;
    let Some(recipient) = plan.recipient_rule.as_deref() else { return Err(Refusal::Recipient) };
    let allowed = plan.all() & !plan.minimised;
    if allowed == 0 {
        return Err(Refusal::Minimisation);
    }
    if !recipient.purposes.contains(&plan.purpose) || !recipient.is_under_contract(now) {
        return Err(Refusal::Recipient);
    }
    let case = Case { standing, purpose, recipient, plan, now };
    case.protect_minors()?;
    let granted = case.without_sensitive(allowed, plan.tagged)?;
    let mut reconsent = 0;
    for regime in standing.regimes() {
        if let Some(relied_on) = case.mode_permits(*regime)? {
            reconsent |= plan.newer_than(relied_on.grant.purpose_version);
        }
        case.automated_decision_permitted(*regime)?;
    }
    match granted & !reconsent {
        0 => Err(Refusal::Reconsent),
        granted => Ok(Granted { granted, reconsent: allowed & reconsent }),
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
