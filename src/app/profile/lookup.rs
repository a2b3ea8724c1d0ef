//! Look-ups: a few named persons, by pseudonym, or by identifier for a sender.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel::authz::{Authorized, ReadProfiles};
use kernel::clock::Clock;
use kernel::decision::{Ask, Refusal};
use kernel::disclosure::{Crowds, Disclosure, Gathering, Outcome, PermittedBatch};
use kernel::entropy::Entropy;
use kernel::id::PullId;
use kernel::identifier::Identifier;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::policy::ValidPolicy;
use kernel::pseudonym::Pseudonym;
use kernel::recipient::RecipientRole;
use kernel::seal::Keyring;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use store::Store;
use store::query::SubjectRow;

use super::{ProfileAsk, ReadyAsk, SharedJournal, failed};
use crate::access::RememberedReader;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// The most persons one look-up names.
pub const MAX_LOOKUP: usize = 500;
/// The most persons of a look-up that is answered together with others: who asks for many keeps nobody waiting.
const SHARED: usize = 16;

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

/// A look-up that may be answered: what was asked, and of whom.
pub(crate) struct Lookup {
    policy: Arc<ValidPolicy>,
    ask: Ask,
    /// The subjects behind the keys, each with its first place in the list.
    subjects: BTreeMap<SubjectId, u32>,
    /// How many keys there were.
    keys: usize,
    /// The access revision up to which the caller's rights are known, where that was not asked before.
    as_of: Option<u64>,
    /// Among whom they are.
    crowds: Option<Arc<Crowds>>,
}

/// What came of a look-up.
pub(crate) enum Answer {
    /// What may be known.
    LookedUp(LookedUp),
    /// Nothing was disclosed, and nothing recorded: rights were taken away since the caller's were looked at.
    Outdated,
}

/// What may be known of the persons of a look-up.
pub(crate) struct LookedUp {
    batch: PermittedBatch,
    outcome: Outcome,
}

impl Lookup {
    /// Whether the same recipient asks for the same attributes for the same purpose, by the same rules: then both are
    /// one disclosure to it, of the persons of both (`docs/adr/0026-look-ups-disclosed-together.md`).
    fn is_one_with(&self, other: &Self) -> bool {
        let crowds = match (&self.crowds, &other.crowds) {
            (Some(these), Some(those)) => Arc::ptr_eq(these, those),
            (these, those) => these.is_none() && those.is_none(),
        };
        crowds && Arc::ptr_eq(&self.policy, &other.policy) && self.ask.is_same_as(&other.ask)
    }
}

/// Look-ups that are one disclosure.
struct Together<'a> {
    page: Gathering<'a>,
    /// Their places among all that were asked, and what came of each.
    places: Vec<(usize, Outcome)>,
}

/// Answers several look-ups in two round trips: one reads all of their persons, one records what is disclosed. A person
/// whom two of them name is read once, and those that are one disclosure are recorded once.
pub(crate) async fn look_up(
    store: &Store,
    keyring: &Keyring,
    (clock, entropy): (&dyn Clock, &dyn Entropy),
    asked: Vec<Lookup>,
) -> Vec<Result<Answer, AppError>> {
    let ids: BTreeSet<SubjectId> = asked.iter().flat_map(|lookup| lookup.subjects.keys()).copied().collect();
    let ids: Vec<SubjectId> = ids.into_iter().collect();
    let (revision, mut rows) = match store.rows_as_of(&ids).await {
        Ok(read) => read,
        Err(error) => return asked.iter().map(|_| Err(failed(&error))).collect(),
    };
    rows.sort_unstable_by_key(|row| row.id);
    let stands = |lookup: &Lookup| lookup.as_of.is_none_or(|known| known == revision);
    let gathered = gather(&asked, stands, &rows, keyring, &|| (PullId::at(clock.now(), entropy), clock.now()));
    let (pages, places): (Vec<_>, Vec<_>) =
        gathered.into_iter().map(|together| (together.page.finish_lookups(), together.places)).unzip();
    let released = Disclosure::release_each(pages, &SharedJournal(store)).await;

    let mut answers: Vec<Result<Answer, AppError>> = asked
        .iter()
        .map(|lookup| if stands(lookup) { Err(AppError::Unavailable) } else { Ok(Answer::Outdated) })
        .collect();
    for (released, places) in released.into_iter().zip(places) {
        let (mut batches, fault) = match released {
            Ok(batches) => (batches.into_iter(), AppError::Unavailable),
            Err(fault) => (Vec::new().into_iter(), fault),
        };
        for (place, outcome) in places {
            let answer = match batches.next() {
                Some(batch) => Ok(Answer::LookedUp(LookedUp { batch, outcome })),
                None => Err(told_to_each(&fault)),
            };
            if let Some(place) = answers.get_mut(place) {
                *place = answer;
            }
        }
    }
    answers
}

/// Decides about everybody who was asked for, and puts the look-ups together that are one disclosure.
fn gather<'a>(
    asked: &'a [Lookup],
    stands: impl Fn(&Lookup) -> bool,
    rows: &[SubjectRow],
    keyring: &'a Keyring,
    begin: &dyn Fn() -> (PullId, Timestamp),
) -> Vec<Together<'a>> {
    let row_of = |id: &SubjectId| rows.binary_search_by_key(id, |row| row.id).ok().and_then(|at| rows.get(at));
    let mut gathered: Vec<Together<'_>> = Vec::with_capacity(1);
    for (place, lookup) in asked.iter().enumerate().filter(|(_, lookup)| stands(lookup)) {
        let is_one = |together: &Together<'_>| {
            let first = together.places.first().and_then(|(place, _)| asked.get(*place));
            first.is_some_and(|first| first.is_one_with(lookup))
        };
        let at = gathered.iter().position(is_one).unwrap_or_else(|| {
            let (pull, now) = begin();
            let page = Gathering::new(&lookup.policy, keyring, &lookup.ask, (pull, 0), now);
            gathered.push(Together { page: page.among(lookup.crowds.clone()), places: Vec::new() });
            gathered.len().saturating_sub(1)
        });
        let Some(Together { page, places }) = gathered.get_mut(at) else { continue };
        let mut found = 0;
        for (id, position) in &lookup.subjects {
            if let Some(row) = row_of(id) {
                page.consider(&row.sealed(), *position);
                found += 1;
            }
        }
        for _ in found..lookup.keys {
            page.refuse(Refusal::NotFound);
        }
        places.push((place, page.end_lookup()));
    }
    gathered
}

/// One fault, as it is told to each of those whom it concerns.
fn told_to_each(fault: &AppError) -> AppError {
    match fault {
        AppError::Internal(cause) => AppError::internal(cause),
        _ => AppError::Unavailable,
    }
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
        self.answer(ready, &keys, None).await?.ok_or(AppError::Unavailable)
    }

    /// Looks persons up for a recipient who is remembered, and finds out in the same read whether its rights still
    /// stand. `None`: they may not, or the look-up is not an ordinary one; then the caller is to be authenticated and
    /// [`Gateway::lookup`] asked, which says what is wrong.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn lookup_remembered(
        &self,
        reader: &RememberedReader,
        ask: ProfileAsk,
        keys: &LookupKeys,
    ) -> Result<Option<(ReadyAsk, PermittedBatch)>, AppError> {
        let is_ordinary = matches!(keys, LookupKeys::Pseudonyms(_)) && (1..=SHARED).contains(&keys.len());
        let client = reader.by().and_then(|by| by.actor().client()).filter(|_| is_ordinary);
        let Some(ready) = client.and_then(|client| self.resolve_ask(client, ask).ok()) else { return Ok(None) };
        let answer = self.answer(&ready, keys, Some(reader.as_of())).await?;
        Ok(answer.map(|batch| (ready, batch)))
    }

    /// What may be known; `None` if rights were taken away after `as_of`.
    async fn answer(
        &self,
        ready: &ReadyAsk,
        keys: &LookupKeys,
        as_of: Option<u64>,
    ) -> Result<Option<PermittedBatch>, AppError> {
        let inner = &self.inner;
        let lookup = Lookup {
            policy: self.policy(),
            ask: ready.ask.clone(),
            subjects: self.subjects_of(ready, keys).await?,
            keys: keys.len(),
            as_of,
            crowds: self.crowds_at_hand(ready).await,
        };
        let answer = if lookup.keys <= SHARED {
            inner.lookups.submit(lookup).await?
        } else {
            let alone =
                look_up(&inner.store, &inner.keyring, (&*inner.clock, &*inner.entropy), vec![lookup]).await.pop();
            alone.ok_or(AppError::Unavailable)??
        };
        let Answer::LookedUp(looked_up) = answer else { return Ok(None) };
        inner.counters.disclosed(looked_up.outcome.persons, &looked_up.outcome.refused);
        Ok(Some(looked_up.batch))
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
                let of = |epoch| self.inner.keyring.pseudonymisers(ready.recipient(), ready.purpose(), epoch);
                let epochs: Vec<_> = ready.epochs.understood_at(self.now()).flat_map(of).collect();
                for (at, pseudonym) in pseudonyms.iter().enumerate() {
                    // While a key is exchanged a pseudonym has a reading under each: at most one is anybody.
                    for subject in epochs.iter().filter_map(|epoch| epoch.resolve(*pseudonym)) {
                        subjects.entry(subject).or_insert(position(at));
                    }
                }
            }
            LookupKeys::Identifiers(identifiers) => {
                let prints: Vec<_> =
                    identifiers.iter().map(|identifier| self.inner.keyring.fingerprint(identifier)).collect();
                for (print, row) in self.inner.store.rows_by_fingerprints(&self.inner.keyring, &prints).await? {
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
