//! Look-ups: a few named persons, by pseudonym, or by identifier for a sender.

use std::collections::{BTreeMap, BTreeSet};

use kernel::authz::{Authorized, ReadProfiles};
use kernel::decision::Refusal;
use kernel::disclosure::{Gathering, PermittedBatch};
use kernel::id::PullId;
use kernel::identifier::Identifier;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::pseudonym::Pseudonym;
use kernel::recipient::RecipientRole;
use kernel::subject::SubjectId;
use store::Store;
use store::query::SubjectRow;

use super::{ReadyAsk, SharedLog};
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// The most persons one look-up names.
pub const MAX_LOOKUP: usize = 500;

/// Whom to look up. A row's `position` is the place in this list.
#[derive(Debug, Clone)]
pub enum LookupKeys {
    /// By the recipient's own pseudonyms.
    Pseudonyms(Vec<Pseudonym>),
    /// By identifier: for senders only.
    Identifiers(Vec<Identifier>),
}

impl LookupKeys {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Pseudonyms(keys) => keys.len(),
            Self::Identifiers(keys) => keys.len(),
        }
    }

    pub(crate) const fn pointer(&self) -> &'static str {
        match self {
            Self::Pseudonyms(_) => "/pseudonyms",
            Self::Identifiers(_) => "/identifiers",
        }
    }
}

/// Reads the rows of several look-ups in one round trip. A person whom two of them name is read once and given to
/// both.
pub(crate) async fn read_rows(
    store: &Store,
    asked: Vec<Vec<SubjectId>>,
) -> Vec<Result<Vec<SubjectRow>, AppError>> {
    let ids: BTreeSet<SubjectId> = asked.iter().flatten().copied().collect();
    let ids: Vec<SubjectId> = ids.into_iter().collect();
    let rows = match store.rows_by_ids(&ids).await {
        Ok(rows) => rows,
        Err(error) => {
            let failed =
                |_| Err(if error.is_transient() { AppError::Unavailable } else { AppError::internal(&error) });
            return (0..asked.len()).map(failed).collect();
        }
    };
    let rows: BTreeMap<SubjectId, SubjectRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    asked.iter().map(|ids| Ok(ids.iter().filter_map(|id| rows.get(id).cloned()).collect())).collect()
}

impl Gateway {
    /// Looks persons up. Who is unknown, erased, refused or withheld is absent from the answer, all alike.
    ///
    /// # Errors
    /// When there are none or too many keys, or a recipient that is no sender names identifiers.
    pub async fn lookup(
        &self,
        by: &Authorized<ReadProfiles>,
        ready: &ReadyAsk,
        keys: LookupKeys,
    ) -> Result<PermittedBatch, AppError> {
        match keys.len() {
            0 => return Err(AppError::invalid(Fault::at(keys.pointer(), Code::Empty))),
            1..=MAX_LOOKUP => {}
            _ => return Err(AppError::invalid(Fault::at(keys.pointer(), Code::TooMany))),
        }
        if matches!(keys, LookupKeys::Identifiers(_)) && ready.role != RecipientRole::Sender {
            let client = by.actor().client().map(|client| client.client.clone());
            let reason = AttemptRefusal::TamperedParameter;
            self.note_refusal(client, RefusedAttempt::LookUpProfiles, reason).await?;
            return Err(AppError::Forbidden(Fault::at(keys.pointer(), Code::IdentifierLookupNotAllowed)));
        }
        let inner = &self.inner;
        let policy = self.policy();
        let pull = PullId::generate(&*inner.entropy);
        let subjects = self.subjects_of(ready, &keys).await?;
        let ids: Vec<SubjectId> = subjects.keys().copied().collect();
        let rows = inner.rows.submit(ids).await?;
        let disclosure = {
            let mut page = Gathering::new(&policy, &inner.keyring, &ready.ask, (pull, 0), self.now());
            for row in &rows {
                page.consider(&row.sealed(), subjects.get(&row.id).copied().unwrap_or_default());
            }
            for _ in rows.len()..keys.len() {
                page.refuse(Refusal::NotFound);
            }
            page.finish()
        };
        let (persons, refused) = (disclosure.record().subjects, disclosure.record().refused.clone());
        let batch = disclosure.release(&SharedLog(&inner.disclosures)).await?;
        inner.counters.disclosed(persons, &refused);
        Ok(batch)
    }

    /// The subjects behind the keys, each with its first place in the list.
    pub(crate) async fn subjects_of(
        &self,
        ready: &ReadyAsk,
        keys: &LookupKeys,
    ) -> Result<BTreeMap<SubjectId, u32>, AppError> {
        let mut subjects = BTreeMap::new();
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        match keys {
            LookupKeys::Pseudonyms(pseudonyms) => {
                let (current, previous) = ready.epochs;
                let of = |epoch| self.inner.keyring.pseudonymiser(ready.recipient(), ready.purpose(), epoch);
                let epochs: Vec<_> = std::iter::once(current).chain(previous).map(of).collect();
                for (at, pseudonym) in pseudonyms.iter().enumerate() {
                    if let Some(subject) = epochs.iter().find_map(|epoch| epoch.resolve(*pseudonym)) {
                        subjects.entry(subject).or_insert(position(at));
                    }
                }
            }
            LookupKeys::Identifiers(identifiers) => {
                let prints: Vec<_> =
                    identifiers.iter().map(|identifier| self.inner.keyring.fingerprint(identifier)).collect();
                for (print, row) in self.inner.store.rows_by_fingerprints(&prints).await? {
                    if let Some(at) = prints.iter().position(|known| *known == print) {
                        let first = subjects.entry(row.id).or_insert(position(at));
                        *first = (*first).min(position(at));
                    }
                }
            }
        }
        Ok(subjects)
    }
}
