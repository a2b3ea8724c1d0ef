//! One person's file, as officers of the controller see it: found by an identifier, explained, and shown as it grew.
//!
//! Every look is recorded in the ledger before anything is shown (GDPR Art. 32(1)), and somebody who was erased cannot be
//! told from somebody who never was.

mod accounting;
mod explanation;

use kernel::attribute::AttributeName;
use kernel::authz::{Authorized, InspectSubjects};
use kernel::consent::{ConsentEvent, Evidence};
use kernel::id::{PullId, ReceiptId, SubjectId};
use kernel::ledger::Inspection;
use kernel::policy::document::PolicySources;
use kernel::policy::{PolicyVersion, ValidPolicy};
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::seal::SubjectKey;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use store::StoreError;
use store::change::RecordInspection;
use store::query::{ActRow, DisclosurePosition, SubjectRow};

use crate::denied::Author;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::rights::{RightsSubject, document};

/// What an officer wants explained.
#[derive(Debug, Clone)]
pub struct ExplainAsk {
    /// The purpose.
    pub purpose: Purpose,
    /// Who would receive; `None`: the only recipient that the purpose has.
    pub recipient: Option<RecipientId>,
    /// Which attribute; `None`: all of the recipient's contract for the purpose.
    pub attribute: Option<AttributeName>,
    /// At which time in the past; `None`: now.
    pub as_of: Option<Timestamp>,
}

/// A place in the list of a person's disclosures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisclosurePlace {
    /// The time of the last one seen.
    pub at: Timestamp,
    /// Its pull.
    pub pull: PullId,
    /// Its page.
    pub page: u32,
}

/// A part of what a person's file holds. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct FileView {
    /// The part, as one JSON document.
    pub document: Json,
    /// Where the list goes on, if it does.
    pub next: Option<DisclosurePlace>,
}

impl std::fmt::Debug for FileView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileView(..)")
    }
}

/// An event of a history, with the receipt it was recorded under and how it was stated.
pub(crate) type OpenedEvent = (ReceiptId, ConsentEvent, Option<Evidence>);

/// Opens the acts of a history, in order.
pub(crate) fn open_acts(key: &SubjectKey, acts: &[ActRow]) -> Result<Vec<OpenedEvent>, StoreError> {
    let mut events = Vec::with_capacity(acts.len());
    for act in acts {
        let (opened, evidence) = key.open_act(act.first, &act.sealed).map_err(|_| StoreError::Tampered)?;
        events.extend(opened.into_iter().map(|event| {
            // How somebody acted is told of what they stated, not of the facts that came with it.
            let evidence = evidence.clone().filter(|_| !event.kind.is_fact());
            (act.receipt, event, evidence)
        }));
    }
    Ok(events)
}

/// A person's history, opened.
pub(crate) struct History {
    pub(crate) row: SubjectRow,
    pub(crate) known_since: Timestamp,
    pub(crate) entries: Vec<OpenedEvent>,
}

impl History {
    pub(crate) fn events(&self) -> Vec<ConsentEvent> {
        self.entries.iter().map(|(_, event, _)| event.clone()).collect()
    }

    /// The receipts of what was stated before and after one receipt, about the purposes that it is about.
    pub(crate) fn around(&self, receipt: ReceiptId) -> Vec<ReceiptId> {
        let purposes: Vec<_> = self
            .entries
            .iter()
            .filter(|(under, ..)| *under == receipt)
            .filter_map(|(_, event, _)| event.purpose.as_ref())
            .collect();
        let mut receipts = Vec::new();
        for (under, event, _) in &self.entries {
            let concerns = event.purpose.as_ref().is_none_or(|purpose| purposes.contains(&purpose));
            if concerns && !event.kind.is_fact() && *under != receipt && !receipts.contains(under) {
                receipts.push(*under);
            }
        }
        receipts
    }

    /// What was stated under one receipt. The facts that a post declares are not among it: they are recorded only where
    /// they are new, which would tell whether the person was known.
    pub(crate) fn under(self, receipt: ReceiptId) -> Self {
        let stated = |(under, event, _): &OpenedEvent| *under == receipt && !event.kind.is_fact();
        let entries = self.entries.into_iter().filter(stated).collect();
        Self { entries, ..self }
    }
}

impl Gateway {
    /// The gateway's own name of a person, by identifiers.
    ///
    /// # Errors
    /// When the identifiers are none, or of two persons; [`Code::SubjectNotFound`] when nobody has them.
    pub async fn find_subject(
        &self,
        by: &Authorized<InspectSubjects>,
        email: Option<String>,
        customer_id: Option<String>,
    ) -> Result<SubjectId, AppError> {
        let found = self.find(RightsSubject::Identified { email, customer_id }).await?;
        let subject = found.ok_or(AppError::NotFound(Code::SubjectNotFound))?;
        let row = self.inner.store.rows_by_ids(&[subject]).await?.pop();
        let row = row.ok_or(AppError::NotFound(Code::SubjectNotFound))?;
        self.note_inspection(by, &row, Inspection::Lookup).await?;
        Ok(subject)
    }

    /// The gateway's own name of the person behind a recipient's name: an officer alone finds the way back (GDPR Art. 4(5)).
    ///
    /// # Errors
    /// [`Code::SubjectNotFound`] when the name is of nobody, or of an epoch that is over.
    pub async fn find_pseudonym(
        &self,
        by: &Authorized<InspectSubjects>,
        recipient: &RecipientId,
        purpose: &Purpose,
        name: Pseudonym,
    ) -> Result<SubjectId, AppError> {
        let policy = self.policy();
        let rule = policy
            .recipient(recipient)
            .ok_or_else(|| AppError::invalid(Fault::at("/pseudonym/recipient", Code::UnknownRecipient)))?;
        if policy.purpose(purpose).is_none() {
            return Err(AppError::invalid(Fault::at("/pseudonym/purpose", Code::UnknownPurpose)));
        }
        // While a key is exchanged a name has a reading under each: at most one is anybody.
        let found: Vec<_> = rule
            .epochs
            .understood_at(self.now())
            .flat_map(|epoch| self.inner.keyring.pseudonymisers(recipient, purpose, epoch))
            .filter_map(|names| names.resolve(name))
            .collect();
        let row = self.inner.store.rows_by_ids(&found).await?.pop();
        let row = row.ok_or(AppError::NotFound(Code::SubjectNotFound))?;
        self.note_inspection(by, &row, Inspection::Lookup).await?;
        Ok(row.id)
    }

    /// Why a recipient may have an attribute of a person for a purpose, or may not: now, or at a time in the past with what
    /// was known and in force then.
    ///
    /// # Errors
    /// When the question is not well put; [`Code::SubjectNotFound`] for who is unknown or erased.
    pub async fn explain(
        &self,
        by: &Authorized<InspectSubjects>,
        subject: SubjectId,
        ask: &ExplainAsk,
    ) -> Result<Json, AppError> {
        let now = self.now();
        if ask.as_of.is_some_and(|at| at > now) {
            let detail = "what will be decided is not known yet";
            return Err(AppError::invalid(Fault::saying("/as_of", Code::InvalidField, detail)));
        }
        let history = self.history_or_not_found(subject).await?;
        let policy = match ask.as_of {
            None => Some(self.policy()),
            Some(at) => self.policy_at(at).await?,
        };
        let explained = self.explanation(&history, policy.as_deref(), ask, now).await?;
        self.note_inspection(by, &history.row, Inspection::Explanation).await?;
        Ok(explained)
    }

    /// The history of a person's consents, with the ends of those that ran out.
    ///
    /// # Errors
    /// [`Code::SubjectNotFound`] for who is unknown or erased.
    pub async fn subject_consents(
        &self,
        by: &Authorized<InspectSubjects>,
        subject: SubjectId,
    ) -> Result<FileView, AppError> {
        let at = self.now();
        let history = self.history_or_not_found(subject).await?;
        let notices = self.notices_of(&history.entries).await?;
        let wordings = self.wordings_of(&history.entries).await?;
        let policy = self.policy();
        let standing = kernel::consent::Standing::fold(subject, &history.events());
        let document = json!({
            "subject": subject,
            "generated_at": at,
            "known_since": history.known_since,
            "standing": document::standing(&standing, &policy, at),
            "events": document::shown_history(subject, &history.entries, (&notices, &wordings), &policy, at),
            "prompts": self.shown_prompts(subject).await?,
        });
        self.note_inspection(by, &history.row, Inspection::Consents).await?;
        Ok(FileView { document, next: None })
    }

    /// Who received something of a person, newest first, after a place in the list.
    ///
    /// # Errors
    /// [`Code::SubjectNotFound`] for who is unknown or erased.
    pub async fn subject_disclosures(
        &self,
        by: &Authorized<InspectSubjects>,
        subject: SubjectId,
        after: Option<DisclosurePlace>,
        limit: u32,
    ) -> Result<FileView, AppError> {
        let history = self.history_or_not_found(subject).await?;
        let row = history.row.clone();
        let after = after.map(|place| DisclosurePosition { at: place.at, pull: place.pull, page: place.page });
        let page = self.inner.store.disclosures_of(row.ordinal, after, limit).await?;
        let disclosures = self.account_for(&history, &page.rows).await?;
        self.note_inspection(by, &row, Inspection::Disclosures).await?;
        let next = page.next.map(|place| DisclosurePlace { at: place.at, pull: place.pull, page: place.page });
        Ok(FileView { document: json!({ "subject": subject, "disclosures": disclosures }), next })
    }

    /// A person's history; `None`: unknown or erased.
    pub(crate) async fn history(&self, subject: SubjectId) -> Result<Option<History>, StoreError> {
        let store = &self.inner.store;
        let Some(row) = store.rows_by_ids(&[subject]).await?.pop() else { return Ok(None) };
        let acts = store.consent_acts(subject).await?;
        let Some(known_since) = store.known_since(subject).await? else { return Ok(None) };
        let key = self.inner.keyring.unwrap_key(row.id, &row.wrapped_key).map_err(|_| StoreError::Tampered)?;
        let entries = open_acts(&key, &acts)?;
        Ok(Some(History { row, known_since, entries }))
    }

    pub(crate) async fn history_or_not_found(&self, subject: SubjectId) -> Result<History, AppError> {
        self.history(subject).await?.ok_or(AppError::NotFound(Code::SubjectNotFound))
    }

    /// The policy that was in force at a time, compiled from its stored documents; `None`: none was.
    pub(crate) async fn policy_at(&self, at: Timestamp) -> Result<Option<Arc<ValidPolicy>>, AppError> {
        let Some(version) = self.inner.store.policy_version_at(at).await? else { return Ok(None) };
        let policy = self.policy_of_version(version).await?;
        policy.map(Some).ok_or(AppError::Conflict(Code::PolicyNotReproducible))
    }

    /// A policy that was in force, compiled from its stored documents; `None`: they do not make it any more.
    async fn policy_of_version(&self, version: PolicyVersion) -> Result<Option<Arc<ValidPolicy>>, AppError> {
        let current = self.policy();
        if current.version() == version {
            return Ok(Some(current));
        }
        let stored = self.inner.store.policy(&version).await?;
        let stored = stored.ok_or_else(|| AppError::internal("a policy of the history is not stored"))?;
        let sources: PolicySources = stored.documents.into_iter().collect();
        // What is compiled is what was in force, or nothing is.
        match ValidPolicy::from_sources(&sources) {
            Ok(policy) if policy.version() == version => Ok(Some(Arc::new(policy))),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Records that somebody looks, before anything is shown.
    pub(crate) async fn note_inspection(
        &self,
        by: &Authorized<InspectSubjects>,
        row: &SubjectRow,
        what: Inspection,
    ) -> Result<(), AppError> {
        let Author { client, staff } = Author::of(by.actor());
        let role = by.actor().staff().map(|staff| staff.role);
        let record = RecordInspection { subject: row.ledger_ref, client, staff, role, what, at: self.now() };
        self.inner.store.perform(&record).await?;
        Ok(())
    }
}
