//! The register of incidents: every breach is on record with its facts, effects and measures, whether somebody was told or
//! not, and the clocks of the law run from it (GDPR Arts. 33, 34; Cal. Civ. Code 1798.82).

mod affected;
mod noticed;

use kernel::authz::{Authorized, HandleIncidents, ReadIncidents};
use kernel::id::IncidentId;
use kernel::incident::{Closure, Incident, Risk, Told};
use kernel::ledger::{IncidentAct, IncidentKind};
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use store::StoreError;
use store::change::{ChangeIncident, ClaimIdempotencyKey, IdempotencyClaim, OpenIncident};
use store::query::IncidentRow;

use crate::consent::{IDEMPOTENCY_MS, Idempotency};
use crate::denied::Author;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

pub use affected::{Affected, AffectedAsk};

/// An incident that somebody reports. Free texts: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewIncident {
    /// Its kind.
    pub kind: IncidentKind,
    /// When the controller became aware; the clock of the authority runs from it.
    pub aware_at: Timestamp,
    /// When it was discovered; the same, if not said.
    pub discovered_at: Option<Timestamp>,
    /// What happened.
    pub facts: String,
    /// Whether it touches persons in Europe; yes, if not said.
    pub touches_europe: Option<bool>,
    /// What more is known.
    pub more: IncidentNotes,
}

impl std::fmt::Debug for NewIncident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewIncident").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is added to an incident. Free texts: shown by no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IncidentNotes {
    /// What came, or may come, of it.
    pub effects: Option<String>,
    /// What was done about it.
    pub measures: Option<String>,
    /// How likely harm is.
    pub risk: Option<Risk>,
    /// How many residents of California it touches.
    pub california_residents: Option<u64>,
    /// Whether the data were unintelligible to whoever got them.
    pub data_encrypted: Option<bool>,
    /// The recipient at which it happened.
    pub recipient: Option<RecipientId>,
    /// When the authority was told.
    pub authority_told_at: Option<Timestamp>,
    /// When the persons were told.
    pub persons_told_at: Option<Timestamp>,
    /// When California's attorney general was told.
    pub attorney_general_told_at: Option<Timestamp>,
    /// Why somebody was told late.
    pub late_reason: Option<String>,
}

impl std::fmt::Debug for IncidentNotes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IncidentNotes(..)")
    }
}

/// An incident as officers see it. Free texts: shown by no `Debug`.
#[derive(Clone, PartialEq)]
pub struct IncidentView {
    /// Its name.
    pub id: IncidentId,
    /// When it was put on record.
    pub opened_at: Timestamp,
    /// All of it, as one JSON document.
    pub document: Json,
}

impl std::fmt::Debug for IncidentView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncidentView").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Puts an incident on record. The flag says whether this answers a repetition.
    ///
    /// # Errors
    /// When a time lies in the future, something that was told late has no reason, or the idempotency key was used
    /// otherwise.
    pub async fn open_incident(
        &self,
        by: &Authorized<HandleIncidents>,
        new: NewIncident,
        idempotency: Option<Idempotency>,
    ) -> Result<(IncidentView, bool), AppError> {
        if let Some(before) = self.repeated_incident(idempotency.as_ref()).await? {
            return Ok((self.shown_incident(before).await?, true));
        }
        let now = self.now();
        let discovered_at = new.discovered_at.unwrap_or(new.aware_at);
        for (at, pointer) in [(new.aware_at, "/aware_at"), (discovered_at, "/discovered_at")] {
            if at > now {
                return Err(AppError::invalid(Fault::at(pointer, Code::InvalidField)));
            }
        }
        let mut incident = Incident {
            touches_europe: new.touches_europe.unwrap_or(true),
            ..of_facts(new.aware_at, discovered_at, new.facts)
        };
        self.add_notes(&mut incident, new.more, now)?;
        let id = IncidentId::generate(&*self.inner.entropy);
        let open = self.opening(id, new.kind, &incident, (Author::of(by.actor()), None))?;
        let store = &self.inner.store;
        let done = match &idempotency {
            Some(idempotency) => {
                let (key, request) = self.claim_of(idempotency).await?;
                let claim = IdempotencyClaim {
                    scope: idempotency.scope.clone(),
                    key,
                    request,
                    outcome: id.as_bytes().to_vec(),
                    expires_at: now.plus_ms(IDEMPOTENCY_MS),
                };
                store.perform(&(ClaimIdempotencyKey { claim, at: now }, open)).await.map(drop)
            }
            None => store.perform(&open).await.map(drop),
        };
        match done {
            Ok(()) => Ok((self.shown_incident(id).await?, false)),
            Err(StoreError::Conflict) => match self.repeated_incident(idempotency.as_ref()).await? {
                Some(before) => Ok((self.shown_incident(before).await?, true)),
                None => Err(AppError::Unavailable),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// An incident.
    ///
    /// # Errors
    /// [`Code::IncidentNotFound`] when there is none.
    pub async fn incident(
        &self,
        _by: &Authorized<ReadIncidents>,
        id: IncidentId,
    ) -> Result<IncidentView, AppError> {
        self.shown_incident(id).await
    }

    /// Incidents, the latest first, after a place in the list.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn incidents(
        &self,
        _by: &Authorized<ReadIncidents>,
        after: Option<(Timestamp, IncidentId)>,
        limit: u32,
    ) -> Result<Vec<IncidentView>, AppError> {
        let rows = self.inner.store.incidents(after, limit).await?;
        rows.iter().map(|row| self.view_incident(row)).collect()
    }

    /// Adds to what is on record of an incident.
    ///
    /// # Errors
    /// As for a new one; [`Code::IncidentClosed`] for one that is closed.
    pub async fn add_to_incident(
        &self,
        by: &Authorized<HandleIncidents>,
        id: IncidentId,
        notes: IncidentNotes,
    ) -> Result<IncidentView, AppError> {
        let (row, mut incident) = self.open_row(id).await?;
        let now = self.now();
        let acts = self.add_notes(&mut incident, notes, now)?;
        self.write_incident(&row, &incident, acts, Author::of(by.actor())).await?;
        self.shown_incident(id).await
    }

    /// Closes an incident. Every one is documented first: facts, effects, what was done, and why it ends (GDPR Art. 33(5)).
    ///
    /// # Errors
    /// [`Code::MissingField`] without a reason, or where effects or measures were never written down.
    pub async fn close_incident(
        &self,
        by: &Authorized<HandleIncidents>,
        id: IncidentId,
        reason: Option<String>,
    ) -> Result<IncidentView, AppError> {
        let (row, mut incident) = self.open_row(id).await?;
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        let missing = [
            (reason.is_none(), "/reason"),
            (incident.effects.is_none(), "/effects"),
            (incident.measures.is_none(), "/measures"),
        ];
        let faults: Vec<_> = missing
            .into_iter()
            .filter(|(missing, _)| *missing)
            .map(|(_, pointer)| Fault::at(pointer, Code::MissingField))
            .collect();
        let (true, Some(reason)) = (faults.is_empty(), reason) else { return Err(AppError::Invalid(faults)) };
        incident.closed = Some(Closure { at: self.now(), reason });
        self.write_incident(&row, &incident, vec![IncidentAct::Closed], Author::of(by.actor())).await?;
        self.shown_incident(id).await
    }

    /// Adds notes and tells what was done.
    fn add_notes(
        &self,
        incident: &mut Incident,
        notes: IncidentNotes,
        now: Timestamp,
    ) -> Result<Vec<IncidentAct>, AppError> {
        let policy = self.policy();
        if notes.recipient.as_ref().is_some_and(|recipient| policy.recipient(recipient).is_none()) {
            return Err(AppError::invalid(Fault::at("/recipient", Code::UnknownRecipient)));
        }
        let before = incident.clone();
        incident.effects = notes.effects.or_else(|| incident.effects.take());
        incident.measures = notes.measures.or_else(|| incident.measures.take());
        incident.risk = notes.risk.or(incident.risk);
        incident.california_residents = notes.california_residents.or(incident.california_residents);
        incident.data_encrypted = notes.data_encrypted.or(incident.data_encrypted);
        incident.recipient = notes.recipient.or_else(|| incident.recipient.take());
        let mut acts = if *incident == before { Vec::new() } else { vec![IncidentAct::Documented] };
        // Midnight that ends the last day in California.
        let end_of = |day| Timestamp::from_date(day).plus_ms(32 * 3_600_000);
        let told = [
            (
                notes.authority_told_at,
                "/authority_told_at",
                incident.authority_due(),
                &mut incident.authority_told,
                IncidentAct::AuthorityNotified,
            ),
            (
                notes.persons_told_at,
                "/persons_told_at",
                before.residents_due().map(end_of),
                &mut incident.persons_told,
                IncidentAct::PersonsNotified,
            ),
            (
                notes.attorney_general_told_at,
                "/attorney_general_told_at",
                before.attorney_general_due().map(end_of),
                &mut incident.attorney_general_told,
                IncidentAct::AttorneyGeneralNotified,
            ),
        ];
        for (at, pointer, due, place, act) in told {
            let Some(at) = at else { continue };
            if at > now || at < before.aware_at.min(before.discovered_at) {
                return Err(AppError::invalid(Fault::at(pointer, Code::InvalidField)));
            }
            // What comes late comes with its reasons (GDPR Art. 33(1)).
            if due.is_some_and(|due| at > due) && notes.late_reason.is_none() {
                let detail = "what was told late needs its reason";
                return Err(AppError::invalid(Fault::saying("/late_reason", Code::MissingField, detail)));
            }
            *place = Some(Told { at, late_reason: notes.late_reason.clone() });
            acts.push(act);
        }
        Ok(acts)
    }

    async fn open_row(&self, id: IncidentId) -> Result<(IncidentRow, Incident), AppError> {
        let row = self.inner.store.incident(id).await?.ok_or(AppError::NotFound(Code::IncidentNotFound))?;
        let incident = self.read_incident(&row)?;
        if incident.closed.is_some() {
            return Err(AppError::Conflict(Code::IncidentClosed));
        }
        Ok((row, incident))
    }

    async fn write_incident(
        &self,
        row: &IncidentRow,
        incident: &Incident,
        acts: Vec<IncidentAct>,
        by: Author,
    ) -> Result<(), AppError> {
        if acts.is_empty() {
            return Ok(());
        }
        let (sealed, digest) = self.seal_incident(row.id, incident)?;
        let Author { client, staff } = by;
        let (id, version, at) = (row.id, row.version, self.now());
        let change = ChangeIncident { id, version, acts, sealed, digest, client, staff, at };
        match self.inner.store.perform(&change).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::IncidentChanged)),
            Err(error) => Err(error.into()),
        }
    }

    fn opening(
        &self,
        id: IncidentId,
        kind: IncidentKind,
        incident: &Incident,
        (by, caller): (Author, Option<String>),
    ) -> Result<OpenIncident, AppError> {
        let (sealed, _) = self.seal_incident(id, incident)?;
        let Author { client, staff } = by;
        Ok(OpenIncident { id, kind, caller, sealed, client, staff, at: self.now() })
    }

    fn seal_incident(&self, id: IncidentId, incident: &Incident) -> Result<(Vec<u8>, [u8; 32]), AppError> {
        let plain = serde_json::to_vec(incident).map_err(AppError::internal)?;
        let keyring = &self.inner.keyring;
        let sealed = keyring.seal_incident(id, &plain).map_err(AppError::internal)?;
        Ok((sealed, keyring.request_fingerprint(&[b"incident v1", id.as_bytes(), &plain])))
    }

    fn read_incident(&self, row: &IncidentRow) -> Result<Incident, AppError> {
        let plain = self.inner.keyring.open_incident(row.id, &row.sealed).map_err(|_| StoreError::Tampered)?;
        serde_json::from_slice(&plain).map_err(AppError::internal)
    }

    async fn shown_incident(&self, id: IncidentId) -> Result<IncidentView, AppError> {
        let row = self.inner.store.incident(id).await?.ok_or(AppError::NotFound(Code::IncidentNotFound))?;
        self.view_incident(&row)
    }

    fn view_incident(&self, row: &IncidentRow) -> Result<IncidentView, AppError> {
        let incident = self.read_incident(row)?;
        let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string());
        let document = json!({
            "id": row.id,
            "kind": row.kind,
            "status": if incident.closed.is_some() { "closed" } else { "open" },
            "opened_at": row.opened_at,
            "aware_at": incident.aware_at,
            "discovered_at": incident.discovered_at,
            "facts": incident.facts,
            "effects": incident.effects,
            "measures": incident.measures,
            "risk": incident.risk,
            "touches_europe": incident.touches_europe,
            "california_residents": incident.california_residents,
            "data_encrypted": incident.data_encrypted,
            "recipient": incident.recipient,
            "persons_to_be_told": incident.persons_to_be_told(),
            "overdue": incident.is_overdue(self.now()),
            "due": {
                "authority": incident.authority_due(),
                "california_residents": day(incident.residents_due()),
                "california_attorney_general": day(incident.attorney_general_due()),
            },
            "authority_told": incident.authority_told,
            "persons_told": incident.persons_told,
            "attorney_general_told": incident.attorney_general_told,
            "closed": incident.closed,
        });
        Ok(IncidentView { id: row.id, opened_at: row.opened_at, document })
    }

    /// The incident that an idempotency key already stands for.
    async fn repeated_incident(&self, idempotency: Option<&Idempotency>) -> Result<Option<IncidentId>, AppError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let (key, request) = self.claim_of(idempotency).await?;
        let Some(stored) = self.inner.store.idempotency(&idempotency.scope, &key, self.now()).await? else {
            return Ok(None);
        };
        if stored.request != request {
            return Err(AppError::Conflict(Code::IdempotencyKeyReused));
        }
        IncidentId::from_slice(&stored.outcome).map(Some).ok_or_else(|| AppError::internal("stored outcome"))
    }
}

/// An incident of which nothing but the facts is known.
const fn of_facts(aware_at: Timestamp, discovered_at: Timestamp, facts: String) -> Incident {
    Incident {
        aware_at,
        discovered_at,
        facts,
        effects: None,
        measures: None,
        risk: None,
        touches_europe: true,
        california_residents: None,
        data_encrypted: None,
        recipient: None,
        authority_told: None,
        persons_told: None,
        attorney_general_told: None,
        closed: None,
    }
}
