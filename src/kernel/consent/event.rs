//! One event of a person's consent history. Events are only ever added.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::controller::ControllerId;
use crate::id::{ImportId, ReceiptId};
use crate::notice::NoticeDigest;
use crate::purpose::{ProductFamily, Purpose};
use crate::regime::{Regime, RegimeSource};
use crate::signal::{ReceivedSignal, SignalScope};
use crate::source::SourceId;
use crate::subject::{Birth, SubscriberType};
use crate::time::Timestamp;

/// What happened. The codes are stored: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum EventKind {
    /// A grant that waits for its confirmation.
    #[n(1)]
    GrantRequested = 1,
    /// A grant in force.
    #[n(2)]
    GrantConfirmed = 2,
    /// The person said no when asked.
    #[n(3)]
    Refused = 3,
    /// The person took a grant back (GDPR Art. 7(3)).
    #[n(4)]
    Withdrawn = 4,
    /// Objection to direct marketing (GDPR Art. 21(2)).
    #[n(5)]
    Objected = 5,
    /// Opt-out of sale and sharing (CCPA 1798.120).
    #[n(6)]
    OptOutSaleShare = 6,
    /// A Global Privacy Control signal (11 CCR §7025).
    #[n(7)]
    SignalGpc = 7,
    /// Limit the use of sensitive personal information (CCPA 1798.121).
    #[n(8)]
    LimitSpi = 8,
    /// The first step of an opt-in after an opt-out (11 CCR §7028).
    #[n(9)]
    OptInStep1 = 9,
    /// The second step, which alone takes effect.
    #[n(10)]
    OptInStep2 = 10,
    /// An existing customer's soft opt-in (Directive 2002/58 Art. 13(2)).
    #[n(11)]
    SoftOptInBasis = 11,
    /// A grant ran out. Recorded for the history; the decision computes expiry itself.
    #[n(12)]
    Expired = 12,
    /// Processing is restricted (GDPR Art. 18).
    #[n(13)]
    Restricted = 13,
    /// The restriction ended.
    #[n(14)]
    RestrictionLifted = 14,
    /// The person was erased.
    #[n(15)]
    Erased = 15,
    /// A holder of parental responsibility authorised (GDPR Art. 8).
    #[n(16)]
    ParentAuthorised = 16,
    /// A child reached the age of consent.
    #[n(17)]
    AgeAttained = 17,
    /// Consent implied by a purchase or inquiry (CASL s.10(9)); `grant.valid_until` says when it lapses.
    #[n(18)]
    ImpliedBasis = 18,
    /// A grant that was given in a form the law does not accept: kept as evidence, never in force.
    #[n(19)]
    GrantInvalid = 19,
    /// A regime became known.
    #[n(20)]
    RegimeDeclared = 20,
    /// A birth year or date became known.
    #[n(21)]
    BirthDeclared = 21,
    /// A GPP or TC string arrived. Kept as it was sent; what it takes away are events of their own.
    #[n(30)]
    SignalReceived = 30,
    /// Opt-out of decisions by computer alone (11 CCR §7221).
    #[n(40)]
    AdmtOptOut = 40,
    /// The person did something of their own accord: logged in, ordered, wrote. Opening an email is no such thing.
    #[n(41)]
    Interacted = 41,
    /// It became known whether the subscriber is a natural or a legal person.
    #[n(42)]
    SubscriberDeclared = 42,
}

impl EventKind {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether it is a fact that forms and sources repeat with every post, and not a statement of the person: the
    /// evidence of an act is not about it.
    #[must_use]
    pub const fn is_fact(self) -> bool {
        matches!(self, Self::RegimeDeclared | Self::BirthDeclared)
    }
}

/// How sure it is that the person acted, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// Taken over from another system.
    #[n(0)]
    Imported,
    /// A form was posted.
    #[n(1)]
    Form,
    /// The mailbox owner confirmed (double opt-in).
    #[n(2)]
    ConfirmedMailbox,
    /// The person was authenticated, or signed.
    #[n(3)]
    Authenticated,
}

impl Assurance {
    /// Every level, from the least sure to the surest.
    pub const ALL: [Self; 4] = [Self::Imported, Self::Form, Self::ConfirmedMailbox, Self::Authenticated];

    /// Its stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Form => "form",
            Self::ConfirmedMailbox => "confirmed_mailbox",
            Self::Authenticated => "authenticated",
        }
    }
}

/// The basis a grant stands for (GDPR Art. 6(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Consent.
    #[n(0)]
    Consent,
    /// Soft opt-in.
    #[n(1)]
    SoftOptIn,
    /// Implied consent.
    #[n(2)]
    Implied,
    /// Legitimate interest with a recorded balancing test.
    #[n(3)]
    LegitimateInterest,
    /// Contract.
    #[n(4)]
    Contract,
}

/// What a grant rests on. Kept with the event, and for the latest grant in the standing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    /// What was shown.
    #[n(0)]
    pub notice: Option<NoticeDigest>,
    /// The version of the purpose that was asked for.
    #[n(1)]
    pub purpose_version: u16,
    /// How sure it is that the person acted.
    #[n(2)]
    pub assurance: Assurance,
    /// Whether the consent was explicit (GDPR Art. 9(2)(a)).
    #[n(3)]
    pub explicit: bool,
    /// The controllers the notice named.
    #[n(4)]
    pub controllers: Vec<ControllerId>,
    /// The end that was fixed at capture, if any; the policy's validity applies besides.
    #[n(5)]
    pub valid_until: Option<Timestamp>,
    /// Whether another organisation collected it and passed it on: then it is good for a short time only (CAP-18).
    #[n(6)]
    #[cbor(default)]
    pub third_party: bool,
    /// Of a soft opt-in: the family of products that the sale was about.
    #[n(7)]
    pub product_family: Option<ProductFamily>,
}

/// The sale behind a soft opt-in, or the contact behind an implied consent. Sealed at rest with the event.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    /// Under which name it is kept at the source: an order or a message number.
    #[n(0)]
    pub reference: String,
    /// Whether a free and easy way to object was offered when the address was collected.
    #[n(1)]
    pub objection_offered: bool,
}

impl std::fmt::Debug for Contact {
    /// Without the reference: it may name a person elsewhere.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("objection_offered", &self.objection_offered).finish_non_exhaustive()
    }
}

/// How it was made sure that a parent acts (GDPR Art. 8(2), 11 CCR §7070).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum ParentMethod {
    /// A form signed by hand came back.
    #[n(0)]
    SignedForm,
    /// A payment card was charged and its holder told.
    #[n(1)]
    PaymentCard,
    /// Trained staff spoke with the parent by telephone.
    #[n(2)]
    Telephone,
    /// Trained staff saw the parent.
    #[n(3)]
    VideoCall,
    /// An identity document was checked and not kept.
    #[n(4)]
    IdentityDocument,
    /// The parent signed in to an account that was verified before.
    #[n(5)]
    ParentAccount,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ConsentEvent {
    /// Position in the subject's history, from 0.
    #[n(0)]
    pub sequence: u32,
    /// What happened.
    #[n(1)]
    pub kind: EventKind,
    /// The purpose concerned; `None` where the event concerns the person as a whole.
    #[n(2)]
    pub purpose: Option<Purpose>,
    /// When the person acted.
    #[n(3)]
    pub captured_at: Timestamp,
    /// When the gateway received it: the order that counts.
    #[n(4)]
    pub received_at: Timestamp,
    /// What a grant rests on.
    #[n(5)]
    pub grant: Option<Grant>,
    /// The regime, of [`EventKind::RegimeDeclared`].
    #[n(6)]
    pub regime: Option<Regime>,
    /// The birth fact, of [`EventKind::BirthDeclared`].
    #[n(7)]
    pub birth: Option<Birth>,
    /// Whether a parent acted and not the person.
    #[n(8)]
    pub by_parent: bool,
    /// Of [`EventKind::OptInStep2`]: the person was told of the conflict with its signal (11 CCR §7025(c)(3)).
    #[n(9)]
    pub conflict_notice: bool,
    /// Where it came from: the form or the source.
    #[n(10)]
    pub source: Option<SourceId>,
    /// What proves it elsewhere, where it was taken over from another system.
    #[n(11)]
    pub imported: Option<ImportedProof>,
    /// Of [`EventKind::RegimeDeclared`]: how the regime is known. Histories of old do not say.
    #[n(12)]
    pub regime_source: Option<RegimeSource>,
    /// Of the two steps of an opt-in: the receipt of the first one, which the second one confirms (11 CCR §7028(a)).
    #[n(16)]
    pub step: Option<ReceiptId>,
    /// Of an event that comes of a signal: what the signal was tied to. `None`: the person said it.
    #[n(17)]
    pub scope: Option<SignalScope>,
    /// Of [`EventKind::SignalReceived`]: what was received, byte for byte.
    #[n(18)]
    pub signal: Option<ReceivedSignal>,
    /// Of [`EventKind::SubscriberDeclared`]: which.
    #[n(13)]
    pub subscriber: Option<SubscriberType>,
    /// Of [`EventKind::SoftOptInBasis`] and [`EventKind::ImpliedBasis`]: what it rests on.
    #[n(14)]
    pub contact: Option<Contact>,
    /// Of [`EventKind::ParentAuthorised`]: how it was made sure.
    #[n(15)]
    pub parent_method: Option<ParentMethod>,
}

/// What proves an event that was recorded elsewhere and imported (GDPR Art. 7(1)). Sealed at rest with the event.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct ImportedProof {
    /// The import that brought it.
    #[n(0)]
    pub import: ImportId,
    /// The organisation that collected it, if it was another one.
    #[n(1)]
    pub partner: Option<SourceId>,
    /// Under which name the evidence is kept there.
    #[n(2)]
    pub evidence: Option<String>,
    /// The language that was shown, BCP 47.
    #[n(3)]
    pub locale: Option<String>,
    /// The sale in which the address was obtained, of [`EventKind::SoftOptInBasis`] (Directive 2002/58 Art. 13(2)).
    #[n(4)]
    pub sale: Option<String>,
    /// The family of own products that the sale was about.
    #[n(5)]
    pub product_family: Option<String>,
}

impl std::fmt::Debug for ImportedProof {
    /// Without the references: they may name a person elsewhere.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportedProof")
            .field("import", &self.import)
            .field("partner", &self.partner)
            .finish_non_exhaustive()
    }
}

impl ConsentEvent {
    /// An event with nothing but what every event has; the caller fills in the rest.
    #[must_use]
    pub fn new(kind: EventKind, purpose: Option<Purpose>, captured_at: Timestamp, received_at: Timestamp) -> Self {
        Self {
            sequence: 0,
            kind,
            purpose,
            captured_at,
            received_at,
            grant: None,
            regime: None,
            birth: None,
            by_parent: false,
            conflict_notice: false,
            source: None,
            imported: None,
            regime_source: None,
            step: None,
            scope: None,
            signal: None,
            subscriber: None,
            contact: None,
            parent_method: None,
        }
    }

    /// The notice that was shown with it, if it is about one.
    #[must_use]
    pub fn notice(&self) -> Option<NoticeDigest> {
        self.grant.as_ref().and_then(|grant| grant.notice)
    }
}
