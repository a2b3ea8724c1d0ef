//! Capture: what a person gave, refused, took back or objected to becomes events, durable before it is acknowledged.
//!
//! [`plan`] checks the whole post against the policy first; a post with any fault stores nothing. The write is one
//! `Change`, committed together with others that wait.

mod plan;
mod showing;
mod write;

use std::collections::BTreeMap;

use kernel::authz::{Authorized, CaptureConsent};
use kernel::consent::{EventKind, Evidence};
use kernel::form::FormId;
use kernel::id::ReceiptId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::notice::NoticeDigest;
use kernel::purpose::Purpose;
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{CaptureSubject, Captured, RecordRefusedAttempt};

use crate::denied::Author;
use crate::error::{AppError, Code};
use crate::figures::{RecordedGrant, count};
use crate::gateway::Gateway;

pub(crate) use plan::{CLOCK_SKEW_MS, IDEMPOTENCY_MS, escape, identified, identifiers};
pub(crate) use write::write_captures;

/// What one post says. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct ConsentPost {
    /// The form it comes from; needed to give or refuse.
    pub form: Option<FormId>,
    /// Whom it concerns.
    pub who: Who,
    /// The digest of the notice that was shown; needed to give or refuse.
    pub notice: Option<NoticeDigest>,
    /// The language it was shown in, BCP 47.
    pub locale: Option<String>,
    /// The region the person declared, ISO 3166.
    pub region: Option<String>,
    /// When the person acted; needed to give.
    pub captured_at: Option<Timestamp>,
    /// How the person acted; needed to give.
    pub evidence: Option<Evidence>,
    /// One choice a purpose.
    pub choices: Vec<Choice>,
    /// What the person asks for as a whole.
    pub requests: Vec<PersonRequest>,
    /// The form's further fields, by attribute.
    pub fields: BTreeMap<String, String>,
    /// Whether the request carried a valid Global Privacy Control signal.
    pub gpc: bool,
    /// The birth year or date.
    pub birth: Option<String>,
    /// The machine that posts: only to bound how many mails it can cause, and never stored.
    pub peer: Option<std::net::IpAddr>,
    /// To recognise a repetition.
    pub idempotency: Option<Idempotency>,
}

impl std::fmt::Debug for ConsentPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsentPost").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Whom a post concerns. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub enum Who {
    /// By identifiers.
    Identified {
        /// Email address.
        email: Option<String>,
        /// Customer number.
        customer_id: Option<String>,
    },
    /// By the token of a receipt: only to take back.
    Token(String),
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identified { .. } => "Identified(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

/// The choice for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The purpose, as written.
    pub purpose: String,
    /// What the person chose.
    pub choice: ChoiceKind,
    /// Whether a grant is explicit (GDPR Art. 9(2)(a)).
    pub explicit: bool,
    /// Which step of an opt-in after an opt-out it is, if it is one.
    pub step: Option<OptInStep>,
}

/// A step of an opt-in after an opt-out (11 CCR §7028(a)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptInStep {
    /// The clear request. It changes nothing yet.
    First,
    /// The separate confirmation.
    Second {
        /// The receipt of the first step.
        of: ReceiptId,
        /// Whether the person was told that their browser signals the contrary (§7025(c)(3)).
        conflict_notice: bool,
    },
}

/// What a person chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceKind {
    /// Yes.
    Give,
    /// No.
    Refuse,
    /// No longer.
    Withdraw,
    /// Not on a basis that needs no consent either (GDPR Art. 21(1)).
    Object,
}

impl ChoiceKind {
    /// Whether it only takes away: nothing has to be shown or proven for it.
    #[must_use]
    pub const fn only_takes_back(self) -> bool {
        matches!(self, Self::Withdraw | Self::Object)
    }
}

/// What a person asks for as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonRequest {
    /// Object to direct marketing (GDPR Art. 21(2)).
    ObjectDirectMarketing,
    /// Opt out of sale and sharing (CCPA 1798.120).
    OptOutSaleShare,
    /// Limit the use of sensitive information (CCPA 1798.121).
    LimitSensitive,
    /// Opt out of decisions by computer alone (11 CCR §7221).
    OptOutAutomatedDecisions,
    /// Take every consent back.
    WithdrawAll,
}

/// How a repetition of a request is recognised. The key is the caller's own text: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose keys they are: the client's name, or `public`.
    pub scope: String,
    /// The key.
    pub key: String,
    /// The keyed digest of the request, from [`Gateway::request_fingerprint`].
    pub request: [u8; 32],
}

impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What the poster gets back. It holds a bearer token: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The receipt.
    pub receipt: ReceiptId,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The events that were recorded for choices and requests.
    pub events: Vec<(EventKind, Option<Purpose>)>,
    /// With which the person takes consent back, without a login.
    pub withdrawal_token: String,
    /// With which the poster reads what was posted, and nothing else.
    pub receipt_token: String,
    /// Whether a signal was processed (11 CCR §7025(c)(6)).
    pub gpc_processed: bool,
    /// With which the person sees that an opt-out they asked for was processed (11 CCR §7026(g)).
    pub status_token: Option<String>,
    /// Whether this answers a repetition.
    pub replayed: bool,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("receipt", &self.receipt)
            .field("recorded_at", &self.recorded_at)
            .field("events", &self.events)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

/// One version of a notice in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeView {
    /// Its digest.
    pub digest: NoticeDigest,
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u16,
    /// Its language.
    pub locale: String,
    /// Its exact text.
    pub text: String,
    /// Whether forms show it now.
    pub current: bool,
}

/// The digests of an idempotency key and of its request.
type Claim = ([u8; 32], [u8; 32]);

/// What the digest of an idempotency key is of.
fn key_parts(idempotency: &Idempotency) -> [&[u8]; 2] {
    [b"idempotency", idempotency.key.as_bytes()]
}

impl Gateway {
    /// Records what a person gave, refused, took back or objected to.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every fault of the post, [`AppError::NotFound`] for the withdrawal of an unknown
    /// purpose, [`AppError::Conflict`] for a reused idempotency key. Nothing is stored then.
    pub async fn capture(&self, _by: &Authorized<CaptureConsent>, post: ConsentPost) -> Result<Receipt, AppError> {
        let mut planned = match self.plan_capture(&post) {
            Ok(planned) => planned,
            Err(error) => {
                if matches!(error, AppError::NotFound(Code::UnknownPurpose)) {
                    // Nobody's state changes, and it is known that somebody tried (law: V40).
                    self.note_refusal(None, RefusedAttempt::CaptureConsent, AttemptRefusal::TamperedParameter)
                        .await?;
                }
                return Err(error);
            }
        };
        let regime = planned.capture.events.iter().find_map(|event| event.regime);
        let (named, known) = match &planned.capture.who {
            CaptureSubject::Known(subject) => (*subject, Some(*subject)),
            CaptureSubject::Identified(who) => (who.new_subject, None),
        };
        // Whoever types an address need not own it. What takes back is let through whoever sends it.
        if let CaptureSubject::Identified(who) = &planned.capture.who
            && post.choices.iter().any(|choice| choice.choice == ChoiceKind::Give)
        {
            self.may_trigger(who.fingerprints.iter().map(|(_, fingerprint)| *fingerprint))?;
        }
        let grants = RecordedGrant::of(&planned.capture.events);
        if let Some((claim, idempotency)) = planned.capture.idempotency.as_mut().zip(post.idempotency.as_ref())
            && let Some((key, request)) = self.earlier_claim(idempotency).await?
        {
            (claim.key, claim.request) = (key, request);
        }
        let captured = self.inner.captures.submit(planned.capture).await?;
        let gpc_processed = post.gpc;
        let (subject, receipt, recorded_at, events, replayed) = match captured {
            Captured::Recorded(recorded) => {
                count(&self.inner.counters.captures);
                self.inner.counters.granted(&grants);
                if recorded.held_back {
                    count(&self.inner.counters.letters_held_back);
                }
                (recorded.subject, planned.receipt, planned.recorded_at, planned.events, false)
            }
            Captured::Replayed { subject, outcome } => {
                count(&self.inner.counters.captures_replayed);
                let outcome =
                    write::Outcome::from_bytes(&outcome).ok_or_else(|| AppError::internal("stored outcome"))?;
                let subject = subject.or(known).ok_or(AppError::Gone(Code::SubjectNotFound))?;
                (subject, outcome.receipt, outcome.recorded_at, outcome.events, true)
            }
            Captured::KeyReused => return Err(AppError::Conflict(Code::IdempotencyKeyReused)),
            Captured::Ambiguous => return Err(AppError::Conflict(Code::IdentifierConflict)),
            // The person was erased meanwhile: there is nothing left to take back, or what was given before the
            // erasure came after it. The answer tells nobody that somebody was erased.
            Captured::NoSuchSubject | Captured::Outdated => {
                (named, planned.receipt, planned.recorded_at, planned.events, false)
            }
        };
        let withdrawal_token = self.inner.keyring.withdrawal_token(subject);
        let receipt_token = self.inner.keyring.receipt_token(subject, receipt, regime);
        let opted_out = events.iter().any(|(kind, _)| *kind == EventKind::OptOutSaleShare);
        let status_token = opted_out.then(|| self.status_token(subject, Some(recorded_at))).transpose()?;
        Ok(Receipt {
            receipt,
            recorded_at,
            events,
            withdrawal_token,
            receipt_token,
            gpc_processed,
            status_token,
            replayed,
        })
    }

    /// The digests of an idempotency key and of its request as they are stored, or are to be.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn claim_of(&self, idempotency: &Idempotency) -> Result<Claim, StoreError> {
        let earlier = self.earlier_claim(idempotency).await?;
        Ok(earlier.unwrap_or_else(|| (self.request_fingerprint(&key_parts(idempotency)), idempotency.request)))
    }

    /// The same, of a key that came in the day before the key of digests was rotated: under the version of then it is found,
    /// and the request compared.
    async fn earlier_claim(&self, idempotency: &Idempotency) -> Result<Option<Claim>, StoreError> {
        let (store, keyring) = (&self.inner.store, &self.inner.keyring);
        let keys = keyring.recent_request_fingerprints(&key_parts(idempotency));
        if keys.len() < 2 {
            return Ok(None);
        }
        for key in keys {
            if let Some(stored) = store.idempotency(&idempotency.scope, &key, self.now()).await? {
                let is_same = keyring.is_same_request(&stored.request, &idempotency.request);
                return Ok(Some((key, if is_same { stored.request } else { idempotency.request })));
            }
        }
        Ok(None)
    }

    /// A notice by its digest: any version that was ever in force (GDPR Art. 7(1)).
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn notice(&self, digest: &NoticeDigest) -> Result<Option<NoticeView>, AppError> {
        let current = self.policy().notice(digest).is_some_and(|notice| notice.current);
        let stored = self.inner.store.notice(digest).await?;
        Ok(stored.map(|notice| NoticeView {
            digest: notice.digest,
            id: notice.id.to_string(),
            version: notice.version,
            locale: notice.locale,
            text: notice.text,
            current,
        }))
    }

    /// Records that somebody tried what is not for them, before the answer is sent.
    pub(crate) async fn note_refusal(
        &self,
        client: Option<kernel::client::ClientId>,
        action: RefusedAttempt,
        reason: AttemptRefusal,
    ) -> Result<(), AppError> {
        self.note_refusal_by(Author::client(client), action, reason).await
    }

    pub(crate) async fn note_refusal_by(
        &self,
        Author { client, staff }: Author,
        action: RefusedAttempt,
        reason: AttemptRefusal,
    ) -> Result<(), AppError> {
        count(&self.inner.counters.attempts_refused);
        let at = self.now();
        self.inner.store.perform(&RecordRefusedAttempt { client, staff, action, reason, at }).await?;
        Ok(())
    }
}
