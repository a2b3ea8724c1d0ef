//! Data subjects' requests, first form: access gives everything held, erasure ends everything held, restriction stops
//! every use of it.
//!
//! An erasure destroys the person's key and rows in the same transaction that records it: from its commit on no read
//! discloses, and what remains is a keyed suppression fingerprint and a ledger entry that names nobody.

pub(crate) mod document;
mod restriction;

use kernel::attribute::{AttributeType, Value};
use kernel::authz::{Authorized, HandleRights, ReadRights};
use kernel::consent::RestrictionGround;
use kernel::decision::permit_access;
use kernel::disclosure::PersonalCopy;
use kernel::id::{RightsRequestId, SubjectId};
use kernel::identifier::{Identifier, IdentifierKind, SuppressionFingerprint};
use kernel::time::Timestamp;
use store::change::{
    ClaimIdempotencyKey, CompleteRightsRequest, EraseSubject, IdempotencyClaim, OpenRightsRequest, RightsOutcome,
    SayFarewell,
};
use store::query::RightsRequestRow;
use store::{Change, StoreError};

use crate::consent::{IDEMPOTENCY_MS, Idempotency, identifiers};
use crate::denied::Author;
use crate::error::{AppError, Code, Fault};
use crate::figures::count;
use crate::gateway::Gateway;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsKind {
    /// A copy of everything held (GDPR Art. 15).
    Access,
    /// Erasure (GDPR Art. 17).
    Erasure,
    /// Restriction of the processing (GDPR Art. 18(1)).
    Restriction,
    /// The end of a restriction (GDPR Art. 18(3)).
    RestrictionLift,
}

impl RightsKind {
    const fn code(self) -> u8 {
        match self {
            Self::Access => 1,
            Self::Erasure => 2,
            Self::Restriction => 3,
            Self::RestrictionLift => 4,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Access),
            2 => Some(Self::Erasure),
            3 => Some(Self::Restriction),
            4 => Some(Self::RestrictionLift),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Erasure => "erasure",
            Self::Restriction => "restriction",
            Self::RestrictionLift => "restriction_lift",
        }
    }
}

/// What a person asks for, with all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsAsk {
    /// A copy.
    Access,
    /// Erasure.
    Erasure,
    /// Restriction, on one of the four grounds.
    Restriction(RestrictionGround),
    /// The end of the restriction.
    RestrictionLift {
        /// When the person was told of it.
        informed_at: Option<Timestamp>,
    },
}

impl RightsAsk {
    const fn kind(self) -> RightsKind {
        match self {
            Self::Access => RightsKind::Access,
            Self::Erasure => RightsKind::Erasure,
            Self::Restriction(_) => RightsKind::Restriction,
            Self::RestrictionLift { .. } => RightsKind::RestrictionLift,
        }
    }
}

/// Whom a request concerns. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub enum RightsSubject {
    /// By identifiers.
    Identified {
        /// Email address.
        email: Option<String>,
        /// Customer number.
        customer_id: Option<String>,
    },
    /// A device or a pseudonymous profile, by the key that a site gave it.
    Keyed(IdentifierKind, String),
    /// By the gateway's own id.
    Id(SubjectId),
}

impl std::fmt::Debug for RightsSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RightsSubject(..)")
    }
}

/// A request and what became of it. The document is personal data: shown by no `Debug`.
#[derive(Clone, PartialEq)]
pub struct RightsRequestView {
    /// Its id.
    pub id: RightsRequestId,
    /// What was asked for.
    pub kind: RightsKind,
    /// `open` or `completed`.
    pub status: &'static str,
    /// `provided`, `erased`, `restricted`, `lifted` or `not_held`, once it is completed.
    pub outcome: Option<&'static str>,
    /// The ground of a restriction.
    pub ground: Option<RestrictionGround>,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// The copy, of an access request, in the answer to the request itself.
    pub document: Option<serde_json::Value>,
}

impl std::fmt::Debug for RightsRequestView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RightsRequestView")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Opens a request and carries it out. The flag says whether this answers a repetition.
    ///
    /// # Errors
    /// When the subject is not named rightly, the idempotency key was used otherwise, a restriction ends that is none or
    /// of which the person was not told, or the store does not answer.
    pub async fn open_rights_request(
        &self,
        by: &Authorized<HandleRights>,
        ask: RightsAsk,
        subject: RightsSubject,
        idempotency: Option<Idempotency>,
    ) -> Result<(RightsRequestView, bool), AppError> {
        if let Some(before) = self.repeated(idempotency.as_ref()).await? {
            return Ok((self.view_with_document(before).await?, true));
        }
        let asked_by = match &subject {
            RightsSubject::Identified { email, .. } => email.clone(),
            RightsSubject::Keyed(..) | RightsSubject::Id(_) => None,
        };
        let held = self.find(subject).await?;
        let id = RightsRequestId::generate(&*self.inner.entropy);
        let by = Author::of(by.actor());
        let opening = Opening { id, kind: ask.kind(), held, by, idempotency, now: self.now() };
        if let RightsAsk::RestrictionLift { informed_at } = ask {
            self.may_lift(&opening, informed_at).await?;
        }
        let done = match ask {
            RightsAsk::Access => self.give_copy(&opening).await,
            RightsAsk::Erasure => self.erase(&opening, asked_by.as_deref()).await,
            RightsAsk::Restriction(ground) => self.restrict(&opening, Some(ground)).await,
            RightsAsk::RestrictionLift { .. } => self.restrict(&opening, None).await,
        };
        match done {
            Ok(view) => Ok((view, false)),
            // Somebody was faster with the same key.
            Err(StoreError::Conflict) => match self.repeated(opening.idempotency.as_ref()).await? {
                Some(before) => Ok((self.view_with_document(before).await?, true)),
                None => Err(AppError::Unavailable),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The request that an idempotency key already stands for.
    async fn repeated(&self, idempotency: Option<&Idempotency>) -> Result<Option<RightsRequestId>, AppError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let (key, request) = self.claim_of(idempotency).await?;
        let Some(stored) = self.inner.store.idempotency(&idempotency.scope, &key, self.now()).await? else {
            return Ok(None);
        };
        if stored.request != request {
            return Err(AppError::Conflict(Code::IdempotencyKeyReused));
        }
        let id =
            RightsRequestId::from_slice(&stored.outcome).ok_or_else(|| AppError::internal("stored outcome"))?;
        Ok(Some(id))
    }

    pub(crate) async fn find(&self, subject: RightsSubject) -> Result<Option<SubjectId>, AppError> {
        let (email, customer_id) = match subject {
            RightsSubject::Id(id) => {
                return Ok(self.inner.store.rows_by_ids(&[id]).await?.first().map(|row| row.id));
            }
            RightsSubject::Keyed(kind, key) => {
                let pointer = format!("/subject/{}", kind.as_str());
                let key = Identifier::parse(kind, &key).map_err(|error| {
                    AppError::invalid(Fault::saying(pointer, Code::InvalidIdentifier, error.to_string()))
                })?;
                return Ok(self
                    .inner
                    .store
                    .find_by_fingerprint(&self.inner.keyring, &self.inner.keyring.fingerprint(&key))
                    .await?);
            }
            RightsSubject::Identified { email, customer_id } => (email, customer_id),
        };
        let mut faults = Vec::new();
        let Some(identifiers) = identifiers(email.as_deref(), customer_id.as_deref(), "/subject", &mut faults)
        else {
            return Err(AppError::Invalid(faults));
        };
        let mut found = Vec::new();
        for identifier in &identifiers {
            let print = self.inner.keyring.fingerprint(identifier);
            found.extend(self.inner.store.find_by_fingerprint(&self.inner.keyring, &print).await?);
        }
        found.dedup();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(AppError::Conflict(Code::IdentifierConflict)),
        }
    }

    async fn give_copy(&self, opening: &Opening) -> Result<RightsRequestView, StoreError> {
        let document = match opening.held {
            Some(subject) => self.copy_document(subject, opening.now).await?,
            None => None,
        };
        // The person may have been erased since: then nothing is held.
        let held = opening.held.filter(|_| document.is_some());
        let outcome = RightsOutcome::Accessed(held);
        let complete = CompleteRightsRequest { id: opening.id, outcome, at: opening.now };
        self.carry_out(opening, opening.change(), complete).await?;
        let outcome = if held.is_some() { "provided" } else { "not_held" };
        let document = document.unwrap_or_else(|| document::nothing_held(opening.now));
        Ok(opening.view(outcome, Some(document)))
    }

    async fn erase(&self, opening: &Opening, asked_by: Option<&str>) -> Result<RightsRequestView, StoreError> {
        let Some(subject) = opening.held else { return self.hold_nothing(opening).await };
        let also = self.marks_of(subject, asked_by).await?;
        let keyring = std::sync::Arc::clone(&self.inner.keyring);
        let erase = EraseSubject { subject, request: opening.id, also, keyring, at: opening.now };
        let outcome = RightsOutcome::Erased;
        let complete = CompleteRightsRequest { id: opening.id, outcome, at: opening.now };
        // The request must not keep pointing at the person whom it erases.
        let open = OpenRightsRequest { subject: None, ..opening.change() };
        let farewell = SayFarewell { farewells: self.farewells(subject).await?, at: opening.now };
        self.carry_out(opening, open, ((farewell, erase), complete)).await?;
        count(&self.inner.counters.erasures);
        Ok(opening.view("erased", None))
    }

    /// The marks of the addresses that are in a person's record or in the request: they stay suppressed, whoever holds
    /// them later.
    async fn marks_of(
        &self,
        subject: SubjectId,
        asked_by: Option<&str>,
    ) -> Result<Vec<SuppressionFingerprint>, StoreError> {
        let policy = self.policy();
        let is_email = |name: &str| {
            let rule = name.parse().ok().and_then(|name| policy.attribute(&name));
            rule.is_some_and(|rule| rule.stored == Some(AttributeType::Email))
        };
        let mut addresses: Vec<String> = asked_by.map(str::to_owned).into_iter().collect();
        if let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() {
            // A row that does not read is erased all the same.
            let copy = self.inner.keyring.unwrap_key(row.id, &row.wrapped_key).and_then(|key| {
                let standing = key.open_standing(&row.standing)?;
                PersonalCopy::open(permit_access(&standing, self.now()), &key, &row.sealed())
            });
            let held = copy.iter().flat_map(PersonalCopy::attributes).filter(|one| is_email(&one.name));
            addresses.extend(held.filter_map(|one| match &one.value {
                Value::Text(address) => Some(address.clone()),
                _ => None,
            }));
        }
        let one_mailbox = policy.suppresses_plus_tags();
        let identifiers = addresses.iter().filter_map(|address| Identifier::email(address).ok());
        Ok(identifiers.flat_map(|one| self.inner.keyring.suppression_marks(&one, one_mailbox)).collect())
    }

    /// Answers that nobody was found.
    async fn hold_nothing(&self, opening: &Opening) -> Result<RightsRequestView, StoreError> {
        let outcome = RightsOutcome::NothingHeld;
        let complete = CompleteRightsRequest { id: opening.id, outcome, at: opening.now };
        self.carry_out(opening, opening.change(), complete).await?;
        Ok(opening.view("not_held", None))
    }

    /// Opens the request and does what it asks for in one unit, under its idempotency key if it has one.
    async fn carry_out<C: Change>(
        &self,
        opening: &Opening,
        open: OpenRightsRequest,
        change: C,
    ) -> Result<(), StoreError> {
        let store = &self.inner.store;
        match opening.claim(self).await? {
            Some(claim) => {
                store.perform(&(claim, (open, change))).await?;
            }
            None => {
                store.perform(&(open, change)).await?;
            }
        }
        Ok(())
    }

    /// A request by its id.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub async fn rights_request(
        &self,
        _by: &Authorized<ReadRights>,
        id: RightsRequestId,
    ) -> Result<RightsRequestView, AppError> {
        let row = self.inner.store.rights_request(id).await?.ok_or(AppError::NotFound(Code::RequestNotFound))?;
        view(&row)
    }

    /// Requests, newest first, after a place in the list.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rights_requests(
        &self,
        _by: &Authorized<ReadRights>,
        after: Option<(Timestamp, RightsRequestId)>,
        limit: u32,
    ) -> Result<Vec<RightsRequestView>, AppError> {
        let rows = self.inner.store.rights_requests(after, limit).await?;
        rows.iter().map(view).collect()
    }

    /// A repeated request is answered from what is held now: copies are not stored.
    async fn view_with_document(&self, id: RightsRequestId) -> Result<RightsRequestView, AppError> {
        let row = self.inner.store.rights_request(id).await?.ok_or(AppError::Gone(Code::RequestNotFound))?;
        let mut view = view(&row)?;
        if view.kind == RightsKind::Access {
            let document = match row.subject {
                Some(subject) => self.copy_document(subject, self.now()).await?,
                None => None,
            };
            view.document = Some(document.unwrap_or_else(|| document::nothing_held(self.now())));
        }
        Ok(view)
    }
}

/// A request on its way.
struct Opening {
    id: RightsRequestId,
    kind: RightsKind,
    held: Option<SubjectId>,
    by: Author,
    idempotency: Option<Idempotency>,
    now: Timestamp,
}

impl Opening {
    fn change(&self) -> OpenRightsRequest {
        OpenRightsRequest {
            id: self.id,
            kind: self.kind.code(),
            subject: self.held,
            received_at: self.now,
            client: self.by.client.clone(),
            staff: self.by.staff,
            at: self.now,
        }
    }

    async fn claim(&self, gateway: &Gateway) -> Result<Option<ClaimIdempotencyKey>, StoreError> {
        let Some(idempotency) = &self.idempotency else { return Ok(None) };
        let (key, request) = gateway.claim_of(idempotency).await?;
        let claim = IdempotencyClaim {
            scope: idempotency.scope.clone(),
            key,
            request,
            outcome: self.id.as_bytes().to_vec(),
            expires_at: self.now.plus_ms(IDEMPOTENCY_MS),
        };
        Ok(Some(ClaimIdempotencyKey { claim, at: self.now }))
    }

    fn view(&self, outcome: &'static str, document: Option<serde_json::Value>) -> RightsRequestView {
        RightsRequestView {
            id: self.id,
            kind: self.kind,
            status: "completed",
            outcome: Some(outcome),
            ground: None,
            received_at: self.now,
            completed_at: Some(self.now),
            document,
        }
    }
}

fn view(row: &RightsRequestRow) -> Result<RightsRequestView, AppError> {
    let kind = RightsKind::of_code(row.kind).ok_or_else(|| AppError::internal("stored kind of request"))?;
    let (outcome, ground) =
        match row.outcome.as_deref().map(|outcome| outcome.split_once(':').unwrap_or((outcome, ""))) {
            None => (None, None),
            Some(("erased", _)) => (Some("erased"), None),
            Some(("accessed", _)) => (Some("provided"), None),
            Some(("restricted", ground)) => (Some("restricted"), RestrictionGround::parse(ground)),
            Some(("restriction_lifted", _)) => (Some("lifted"), None),
            Some(_) => (Some("not_held"), None),
        };
    Ok(RightsRequestView {
        id: row.id,
        kind,
        status: if row.completed_at.is_some() { "completed" } else { "open" },
        outcome,
        ground,
        received_at: row.received_at,
        completed_at: row.completed_at,
        document: None,
    })
}
