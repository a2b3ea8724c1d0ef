//! Captures posts of consent: many in one unit, each folded into its person's standing, none without its receipt in
//! the ledger.
//!
//! This is the write that everything waits for, so its cost is a fixed number of statements a batch. What concerns
//! one capture alone (a repeated key, a person who is gone) is an outcome of that capture; an error undoes the batch,
//! and the caller may try its captures one by one.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use kernel::attribute::{AttributeName, Value};
use kernel::consent::{ConsentEvent, EventKind, Evidence};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::identifier::SuppressionFingerprint;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::ValidPolicy;
use kernel::purpose::Purpose;
use kernel::seal::Keyring;
use kernel::source::SourceId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::aftermath::forgotten;
use super::confirmation::{self, ConfirmationRequest};
use super::crowd::{Crowd, find_suppressed};
use super::{Change, Identified, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{Row, sql};
use crate::unit_of_work::{AtOnce, Conn, Entries, Unchanged};

/// A batch of posts.
pub struct CaptureConsents {
    /// The posts, in the order in which they were received.
    pub captures: Vec<Capture>,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where the keys of new persons are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for CaptureConsents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureConsents").field("captures", &self.captures.len()).finish_non_exhaustive()
    }
}

/// One post.
#[derive(Clone)]
pub struct Capture {
    /// Whose.
    pub who: CaptureSubject,
    /// The receipt it is given.
    pub receipt: ReceiptId,
    /// What was stated, in order. Their sequence numbers are assigned here.
    pub events: Vec<ConsentEvent>,
    /// How it was stated: sealed with each event that is a statement.
    pub evidence: Option<Evidence>,
    /// What else the post says of the person.
    pub attributes: Vec<(AttributeName, Value)>,
    /// The form or source it came through.
    pub source: SourceId,
    /// When the attributes were observed.
    pub observed_at: Timestamp,
    /// The key under which a repetition is recognised.
    pub idempotency: Option<IdempotencyClaim>,
    /// What the owner of the mailbox is asked to confirm. Until then nothing that the post says replaces what is
    /// stored: anybody may have sent it.
    pub confirmation: Option<ConfirmationRequest>,
    /// The policy by which attributes lose their ground and others are told of it.
    pub policy: Arc<ValidPolicy>,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// Whose a post is.
#[derive(Debug, Clone)]
pub enum CaptureSubject {
    /// Known by identifiers, and new if they are.
    Identified(Identified),
    /// Known already, by a token.
    Known(SubjectId),
}

/// A claim to be the only post under a key.
#[derive(Clone)]
pub struct IdempotencyClaim {
    /// Whose keys they are.
    pub scope: String,
    /// A digest of the key.
    pub key: [u8; 32],
    /// A keyed digest of the request.
    pub request: [u8; 32],
    /// What a repetition is answered with. It is stored in the clear, so it holds no personal value.
    pub outcome: Vec<u8>,
    /// Until when repetitions are recognised.
    pub expires_at: Timestamp,
}

impl fmt::Debug for IdempotencyClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyClaim(..)")
    }
}

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Captured {
    /// It was recorded.
    Recorded(Recorded),
    /// The same post was recorded before under the same key.
    Replayed {
        /// Whose it was, unless erased.
        subject: Option<SubjectId>,
        /// What was kept to answer it.
        outcome: Vec<u8>,
    },
    /// Another post was recorded before under the same key. Nothing was stored.
    KeyReused,
    /// The person it named is not here. Nothing was stored.
    NoSuchSubject,
    /// It was captured before its person was erased, and came late or again. Nothing was stored.
    Outdated,
    /// Its identifiers belong to two persons. Nothing was stored.
    Ambiguous,
}

/// A post that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whose.
    pub subject: SubjectId,
    /// What the ledger calls the person.
    pub ledger_ref: LedgerRef,
    /// Whether the person was new.
    pub created: bool,
    /// Its receipt.
    pub receipt: ReceiptId,
    /// The codes and purposes of the events that were added.
    pub events: Vec<(u8, Option<Purpose>)>,
    /// Whether a letter was due and none was written, because somebody was written to enough. The poster is not told.
    pub held_back: bool,
    /// The attributes that lost their ground and were forgotten.
    pub forgotten: Vec<AttributeName>,
}

/// What is to be done with a capture.
enum Plan {
    Record(SubjectId),
    Done(Captured),
    /// It repeats the key of an earlier capture of this batch.
    Repeats {
        first: usize,
        same_request: bool,
    },
}

impl sealed::Sealed for CaptureConsents {}

impl Change for CaptureConsents {
    type Output = Vec<Captured>;
    const NAME: &'static str = "capture_consents";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let used = self.find_used_keys(conn).await?;
        let who = self.captures.iter().filter_map(|capture| match &capture.who {
            CaptureSubject::Identified(who) => Some(who),
            CaptureSubject::Known(_) => None,
        });
        let mut crowd = Crowd::find(conn, (&self.keyring, &*self.entropy), self.at, who).await?;
        let erased = self.find_erased(conn, &crowd).await?;
        let (plans, identified, named) = self.plan(&mut crowd, &used, &erased);
        crowd.lock(conn, &identified, &named).await?;

        let mut outcomes: Vec<Captured> = Vec::with_capacity(plans.len());
        let mut claims = Vec::new();
        let mut confirmations = Vec::new();
        for (capture, plan) in self.captures.iter().zip(plans) {
            let outcome = match plan {
                Plan::Done(outcome) => outcome,
                Plan::Repeats { first, same_request } => {
                    repetition(&self.captures, &outcomes, first, same_request)
                }
                Plan::Record(subject) if !crowd.has(subject) => Captured::NoSuchSubject,
                Plan::Record(subject) => {
                    let recorded = record(&mut crowd, subject, capture)?;
                    let told = (subject, capture.receipt);
                    crowd.tell_buyers(conn, told, || capture.policy.buyers(), &capture.events).await?;
                    claims.extend(capture.idempotency.as_ref().map(|claim| (claim, subject)));
                    confirmations.extend(sealed_confirmation(&crowd, subject, capture)?);
                    Captured::Recorded(recorded)
                }
            };
            outcomes.push(outcome);
        }
        crowd.write(conn).await?;
        self.claim(conn, claims).await?;
        let held_back = confirmation::write(conn, self.at, confirmations).await?;
        for outcome in &mut outcomes {
            if let Captured::Recorded(recorded) = outcome {
                recorded.held_back = held_back.contains(&recorded.receipt);
            }
        }
        Ok(outcomes)
    }

    /// New persons only, no keys to claim and nothing to confirm: the common case of a form, and the one that is worth a statement.
    async fn at_once(&self, once: &AtOnce<'_>) -> Result<Option<Self::Output>, StoreError> {
        let mut strangers = Vec::with_capacity(self.captures.len());
        for capture in &self.captures {
            match &capture.who {
                CaptureSubject::Identified(who)
                    if capture.idempotency.is_none() && capture.confirmation.is_none() =>
                {
                    strangers.push(who);
                }
                _ => return Ok(None),
            }
        }
        let marks: Vec<_> = strangers.iter().flat_map(|who| self.marks(who)).collect();
        // The statement finds out by itself whether somebody is known, and then it was in vain: while that happens,
        // it is cheaper to ask first.
        if !once.store().expects_strangers() {
            let known = self.any_known(once, &strangers, &marks).await?;
            once.store().expect_strangers(!known);
            if known {
                return Ok(None);
            }
        }
        let mut crowd = Crowd::of_strangers((&self.keyring, &*self.entropy), self.at);
        let subjects: Option<Vec<_>> = strangers.iter().map(|who| crowd.resolve(who)).collect();
        let Some(subjects) = subjects else { return Ok(None) };
        crowd.welcome()?;
        let outcomes = self
            .captures
            .iter()
            .zip(subjects)
            .map(|(capture, subject)| Ok(Captured::Recorded(record(&mut crowd, subject, capture)?)));
        let outcomes: Vec<_> = outcomes.collect::<Result<_, StoreError>>()?;
        // Somebody is to be told, which takes statements of its own.
        if !crowd.tellings.is_empty() {
            return Ok(None);
        }
        let written = crowd.write_at_once(once, &marks, self.entries(&outcomes)).await;
        once.store().expect_strangers(written.is_ok());
        written.map(|()| Some(outcomes))
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        let recorded = self.captures.iter().zip(output).filter_map(|(capture, outcome)| match outcome {
            Captured::Recorded(recorded) => Some((capture, recorded)),
            _ => None,
        });
        let events = recorded.flat_map(|(capture, recorded)| {
            let names = || capture.attributes.iter().map(|(name, _)| name.clone()).collect();
            let brought = !capture.attributes.is_empty();
            let captured = LedgerEvent::ConsentCaptured {
                subject: recorded.ledger_ref,
                receipt: recorded.receipt,
                events: recorded.events.clone(),
                source: brought.then(|| capture.source.clone()),
                attributes: brought.then(names),
                notice: capture.events.iter().find_map(ConsentEvent::notice),
            };
            [Some(captured), forgotten(recorded.ledger_ref, &recorded.forgotten)].into_iter().flatten()
        });
        let reason = if output.iter().any(|outcome| matches!(outcome, Captured::Replayed { .. })) {
            Unchanged::AlreadyDone
        } else if output.contains(&Captured::NoSuchSubject) {
            Unchanged::NoSuchSubject
        } else {
            Unchanged::TurnedAway
        };
        Entries::each(events.map(|event| LedgerEntry { at: self.at, event }), reason)
    }
}

fn record(crowd: &mut Crowd<'_>, subject: SubjectId, capture: &Capture) -> Result<Recorded, StoreError> {
    // 11 CCR §7028(a): the second step confirms a first one. Nothing of the post remains if there is none.
    let second = |event: &&ConsentEvent| event.kind == EventKind::OptInStep2;
    let awaits = |event: &ConsentEvent| crowd.standing(subject).is_some_and(|standing| standing.awaits(event));
    if !capture.events.iter().filter(second).all(awaits) {
        return Err(StoreError::NoFirstStep);
    }
    let repeats = |event: &ConsentEvent| crowd.standing(subject).is_some_and(|known| known.repeats_signal(event));
    let news: Cow<'_, [ConsentEvent]> = if capture.events.iter().any(repeats) {
        capture.events.iter().filter(|event| !repeats(event)).cloned().collect()
    } else {
        Cow::Borrowed(&capture.events)
    };
    crowd.tell(subject, capture.receipt, &capture.policy, &news);
    let events = crowd.fold(subject, capture.receipt, &news, capture.evidence.as_ref())?;
    if capture.confirmation.is_some() {
        let news: Vec<_> =
            capture.attributes.iter().filter(|(name, _)| !crowd.holds(subject, name)).cloned().collect();
        crowd.merge(subject, &news, capture.observed_at, &capture.source)?;
    } else {
        crowd.merge(subject, &capture.attributes, capture.observed_at, &capture.source)?;
    }
    let forgotten = crowd.forget(subject, &capture.policy)?;
    let (ledger_ref, created) = crowd.reference(subject)?;
    Ok(Recorded { subject, ledger_ref, created, receipt: capture.receipt, events, held_back: false, forgotten })
}

fn sealed_confirmation<'a>(
    crowd: &Crowd<'_>,
    subject: SubjectId,
    capture: &'a Capture,
) -> Result<Option<confirmation::Sealed<'a>>, StoreError> {
    let Some(request) = &capture.confirmation else { return Ok(None) };
    let sealed = crowd
        .key(subject)?
        .seal_letter(request.id, &request.letter)
        .map_err(|_| StoreError::defect("a letter could not be sealed"))?;
    Ok(Some(confirmation::Sealed { request, subject, receipt: capture.receipt, sealed }))
}

/// The outcome of a capture whose key an earlier one of the same batch has: as if that one had been committed before.
fn repetition(captures: &[Capture], outcomes: &[Captured], first: usize, same_request: bool) -> Captured {
    let claim = captures.get(first).and_then(|capture| capture.idempotency.as_ref());
    match (outcomes.get(first), claim) {
        _ if !same_request => Captured::KeyReused,
        (Some(Captured::Recorded(recorded)), Some(claim)) => {
            Captured::Replayed { subject: Some(recorded.subject), outcome: claim.outcome.clone() }
        }
        (Some(other), _) => other.clone(),
        (None, _) => Captured::KeyReused,
    }
}

/// A key that is in use: the request it was used for, and what answered it.
struct UsedKey {
    request: [u8; 32],
    subject: Option<SubjectId>,
    outcome: Vec<u8>,
}

impl CaptureConsents {
    fn plan(
        &self,
        crowd: &mut Crowd<'_>,
        used: &HashMap<(String, [u8; 32]), UsedKey>,
        erased: &HashMap<SuppressionFingerprint, Timestamp>,
    ) -> (Vec<Plan>, BTreeSet<SubjectId>, BTreeSet<SubjectId>) {
        let (mut identified, mut named) = (BTreeSet::new(), BTreeSet::new());
        let mut claimed: HashMap<_, (usize, &[u8; 32])> = HashMap::new();
        let mut plans = Vec::with_capacity(self.captures.len());
        for (at, capture) in self.captures.iter().enumerate() {
            if let Some(claim) = &capture.idempotency {
                if let Some(key) = used.get(&(claim.scope.clone(), claim.key)) {
                    let same = key.request == claim.request;
                    let replayed = Captured::Replayed { subject: key.subject, outcome: key.outcome.clone() };
                    plans.push(Plan::Done(if same { replayed } else { Captured::KeyReused }));
                    continue;
                }
                if let Some((first, request)) = claimed.get(&(claim.scope.as_str(), claim.key)) {
                    let same_request = *request == &claim.request;
                    plans.push(Plan::Repeats { first: *first, same_request });
                    continue;
                }
                claimed.insert((claim.scope.as_str(), claim.key), (at, &claim.request));
            }
            plans.push(match &capture.who {
                CaptureSubject::Known(subject) => {
                    named.insert(*subject);
                    Plan::Record(*subject)
                }
                CaptureSubject::Identified(who) if !crowd.knows(who) && self.is_outdated(capture, who, erased) => {
                    Plan::Done(Captured::Outdated)
                }
                CaptureSubject::Identified(who) => match crowd.resolve(who) {
                    Some(subject) => {
                        identified.insert(subject);
                        Plan::Record(subject)
                    }
                    None => Plan::Done(Captured::Ambiguous),
                },
            });
        }
        (plans, identified, named)
    }

    /// Whether one of these is known, or was and is suppressed.
    async fn any_known(
        &self,
        once: &AtOnce<'_>,
        who: &[&Identified],
        marks: &[SuppressionFingerprint],
    ) -> Result<bool, StoreError> {
        let fingerprints =
            who.iter().flat_map(|who| &who.fingerprints).flat_map(|(_, print)| self.keyring.index_of(print));
        let fingerprints = fingerprints.map(|print| print.as_bytes().to_vec());
        let marks = marks.iter().map(|mark| mark.as_bytes().to_vec());
        let found = sql("SELECT EXISTS (SELECT FROM subject_identifier WHERE fingerprint = ANY($1::bytea[])) \
             OR EXISTS (SELECT FROM suppression WHERE fingerprint = ANY($2::bytea[]))")
        .with(fingerprints.collect::<Vec<_>>())
        .with(marks.collect::<Vec<_>>())
        .only_row(once.store().db())
        .await?;
        found.get(0)
    }

    /// When those were erased whom the batch would bring back.
    async fn find_erased(
        &self,
        conn: &Conn<'_>,
        crowd: &Crowd<'_>,
    ) -> Result<HashMap<SuppressionFingerprint, Timestamp>, StoreError> {
        let strangers = self.captures.iter().filter_map(|capture| match &capture.who {
            CaptureSubject::Identified(who) if !crowd.knows(who) => Some(who),
            _ => None,
        });
        let marks: BTreeSet<_> = strangers.flat_map(|who| self.marks(who)).collect();
        find_suppressed(conn, &marks).await
    }

    fn marks<'a>(&'a self, who: &'a Identified) -> impl Iterator<Item = SuppressionFingerprint> + 'a {
        who.fingerprints.iter().flat_map(|(_, fingerprint)| self.keyring.suppressions_of(fingerprint))
    }

    /// Whether everything a post says was captured before its person was erased: an erasure is not undone by a post
    /// that was on its way (CAP-19); a fresh act of the person's own is another matter (ERA-16).
    fn is_outdated(
        &self,
        capture: &Capture,
        who: &Identified,
        erased: &HashMap<SuppressionFingerprint, Timestamp>,
    ) -> bool {
        let since =
            (!erased.is_empty()).then(|| self.marks(who).filter_map(|mark| erased.get(&mark)).max()).flatten();
        let acted =
            capture.events.iter().filter(|event| !event.kind.is_fact()).map(|event| event.captured_at).max();
        since.is_some_and(|since| acted.is_none_or(|acted| acted <= *since))
    }

    async fn find_used_keys(&self, conn: &Conn<'_>) -> Result<HashMap<(String, [u8; 32]), UsedKey>, StoreError> {
        let claims: Vec<_> = self.captures.iter().filter_map(|capture| capture.idempotency.as_ref()).collect();
        let mut rows = Vec::new();
        match conn.backend() {
            _ if claims.is_empty() => {}
            Backend::Postgres => {
                let scopes: Vec<_> = claims.iter().map(|claim| claim.scope.clone()).collect();
                let keys: Vec<_> = claims.iter().map(|claim| claim.key.to_vec()).collect();
                rows = sql("SELECT scope, key, request, subject_id, outcome FROM idempotency_key \
                     WHERE (scope, key) IN (SELECT * FROM unnest($1::text[], $2::bytea[])) AND expires_at > $3")
                .with(scopes)
                .with(keys)
                .with(self.at.as_millis())
                .rows(conn.raw())
                .await?;
            }
            Backend::Sqlite => {
                for claim in claims {
                    let found = sql("SELECT scope, key, request, subject_id, outcome FROM idempotency_key \
                         WHERE scope = $1 AND key = $2 AND expires_at > $3")
                    .with(claim.scope.as_str())
                    .with_bytes(&claim.key)
                    .with(self.at.as_millis())
                    .row(conn.raw())
                    .await?;
                    rows.extend(found);
                }
            }
        }
        rows.iter().map(used_key).collect()
    }

    /// Claims the keys. When another unit claimed one since it was looked for, everything is begun anew and finds it.
    async fn claim(
        &self,
        conn: &Conn<'_>,
        mut claims: Vec<(&IdempotencyClaim, SubjectId)>,
    ) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        claims.sort_by(|(a, _), (b, _)| (&a.scope, &a.key).cmp(&(&b.scope, &b.key)));
        let count = claims.len() as u64;
        let claimed = match conn.backend() {
            Backend::Postgres => {
                let (mut scopes, mut keys, mut requests) = (Vec::new(), Vec::new(), Vec::new());
                let (mut subjects, mut outcomes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
                for (claim, subject) in claims {
                    scopes.push(claim.scope.clone());
                    keys.push(claim.key.to_vec());
                    requests.push(claim.request.to_vec());
                    subjects.push(subject.as_bytes().to_vec());
                    outcomes.push(claim.outcome.clone());
                    ends.push(claim.expires_at.as_millis());
                }
                sql("INSERT INTO idempotency_key AS k \
                         (scope, key, request, subject_id, outcome, created_at, expires_at) \
                     SELECT scope, key, request, subject_id, outcome, $1::bigint, expires_at \
                     FROM unnest($2::text[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[]) \
                         AS t (scope, key, request, subject_id, outcome, expires_at) \
                     ON CONFLICT (scope, key) DO UPDATE SET request = excluded.request, \
                         subject_id = excluded.subject_id, outcome = excluded.outcome, \
                         created_at = excluded.created_at, expires_at = excluded.expires_at \
                     WHERE k.expires_at <= $1")
                .with(self.at.as_millis())
                .with(scopes)
                .with(keys)
                .with(requests)
                .with(subjects)
                .with(outcomes)
                .with(ends)
                .execute(conn.raw())
                .await?
            }
            Backend::Sqlite => {
                let mut claimed = 0;
                for (claim, subject) in claims {
                    claimed += sql("INSERT INTO idempotency_key AS k \
                             (scope, key, request, subject_id, outcome, created_at, expires_at) \
                         VALUES ($2, $3, $4, $5, $6, $1, $7) \
                         ON CONFLICT (scope, key) DO UPDATE SET request = excluded.request, \
                             subject_id = excluded.subject_id, outcome = excluded.outcome, \
                             created_at = excluded.created_at, expires_at = excluded.expires_at \
                         WHERE k.expires_at <= $1")
                    .with(self.at.as_millis())
                    .with(claim.scope.as_str())
                    .with_bytes(&claim.key)
                    .with_bytes(&claim.request)
                    .with_bytes(subject.as_bytes())
                    .with(claim.outcome.clone())
                    .with(claim.expires_at.as_millis())
                    .execute(conn.raw())
                    .await?;
                }
                claimed
            }
        };
        if claimed == count { Ok(()) } else { Err(StoreError::Busy) }
    }
}

fn used_key(row: &Row) -> Result<((String, [u8; 32]), UsedKey), StoreError> {
    let subject: Option<Vec<u8>> = row.get(3)?;
    let subject = subject.map(|bytes| SubjectId::from_slice(&bytes).ok_or(StoreError::Tampered)).transpose()?;
    let used = UsedKey { request: row.bytes(2)?, subject, outcome: row.get(4)? };
    Ok(((row.get(0)?, row.bytes(1)?), used))
}
