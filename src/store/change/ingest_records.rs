//! Takes in what a source knows of persons: sealed into their records, except of those who were erased and did not
//! come back by themselves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kernel::attribute::{AttributeName, Value};
use kernel::consent::{ConsentEvent, EventKind};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::ValidPolicy;
use kernel::purpose::Purpose;
use kernel::regime::{Regime, RegimeSource};
use kernel::seal::Keyring;
use kernel::source::SourceId;
use kernel::subject::{Birth, SubjectId};
use kernel::time::Timestamp;

use super::aftermath::forgotten;
use super::crowd::{Crowd, find_suppressed};
use super::{Change, Identified, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A batch of records.
pub struct IngestRecords {
    /// The records, in the order in which they were received.
    pub records: Vec<Ingest>,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where the keys of new persons are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for IngestRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestRecords").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

/// One record.
#[derive(Clone)]
pub struct Ingest {
    /// Of whom.
    pub who: Identified,
    /// The receipt of the facts below, where they are new.
    pub receipt: ReceiptId,
    /// What is known.
    pub attributes: Vec<(AttributeName, Value)>,
    /// Who delivers it.
    pub source: SourceId,
    /// When it was observed.
    pub observed_at: Timestamp,
    /// The regime the person is under, if the source knows.
    pub regime: Option<Regime>,
    /// What the source knows of the person's birth.
    pub birth: Option<Birth>,
    /// The policy by which attributes have no ground any more.
    pub policy: Arc<ValidPolicy>,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    /// It was stored.
    Recorded {
        /// Of whom.
        subject: SubjectId,
        /// What the ledger calls the person.
        ledger_ref: LedgerRef,
        /// Whether the person was new.
        created: bool,
        /// The facts that became events, by code.
        events: Vec<(u8, Option<Purpose>)>,
        /// The attributes that nothing permits to keep: what a person took back, a feed does not bring back.
        forgotten: Vec<AttributeName>,
    },
    /// The person was erased and is suppressed. Nothing was stored.
    Suppressed,
    /// Its identifiers belong to two persons. Nothing was stored.
    Ambiguous,
}

impl sealed::Sealed for IngestRecords {}

impl Change for IngestRecords {
    type Output = Vec<Ingested>;
    const NAME: &'static str = "ingest_records";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let who = self.records.iter().map(|record| &record.who);
        let mut crowd = Crowd::find(conn, (&self.keyring, &*self.entropy), self.at, who).await?;
        let suppressions = self
            .records
            .iter()
            .filter(|record| !crowd.knows(&record.who))
            .flat_map(|record| &record.who.fingerprints)
            .flat_map(|(_, fingerprint)| self.keyring.suppressions_of(fingerprint))
            .collect();
        let suppressed = find_suppressed(conn, &suppressions).await?;

        let plans: Vec<Result<SubjectId, Ingested>> = self
            .records
            .iter()
            .map(|record| {
                let is_suppressed = || {
                    let mut marks =
                        record.who.fingerprints.iter().flat_map(|(_, one)| self.keyring.suppressions_of(one));
                    !suppressed.is_empty() && marks.any(|mark| suppressed.contains_key(&mark))
                };
                // Whoever is here came by their own act, or was never erased.
                if !crowd.knows(&record.who) && is_suppressed() {
                    return Err(Ingested::Suppressed);
                }
                crowd.resolve(&record.who).ok_or(Ingested::Ambiguous)
            })
            .collect();
        let subjects: BTreeSet<SubjectId> = plans.iter().filter_map(|plan| plan.as_ref().ok()).copied().collect();
        crowd.lock(conn, &subjects, &BTreeSet::new()).await?;

        let mut outcomes = Vec::with_capacity(plans.len());
        for (record, plan) in self.records.iter().zip(plans) {
            outcomes.push(match plan {
                Err(outcome) => outcome,
                Ok(subject) => {
                    let events = crowd.fold(subject, record.receipt, &self.facts(record), None)?;
                    crowd.merge(subject, &record.attributes, record.observed_at, &record.source)?;
                    let forgotten = crowd.forget(subject, &record.policy)?;
                    let (ledger_ref, created) = crowd.reference(subject)?;
                    Ingested::Recorded { subject, ledger_ref, created, events, forgotten }
                }
            });
        }
        crowd.write(conn).await?;
        Ok(outcomes)
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        let events = self.records.iter().zip(output).flat_map(|(record, outcome)| {
            let Ingested::Recorded { ledger_ref, events, forgotten: names, .. } = outcome else {
                return [None, None];
            };
            let (source, attributes) =
                (record.source.clone(), record.attributes.iter().map(|(name, _)| name.clone()).collect());
            let ingested = if events.is_empty() {
                LedgerEvent::RecordIngested { subject: *ledger_ref, source, attributes }
            } else {
                LedgerEvent::ConsentCaptured {
                    subject: *ledger_ref,
                    receipt: record.receipt,
                    events: events.clone(),
                    source: Some(source),
                    attributes: Some(attributes),
                    notice: None,
                }
            };
            [Some(ingested), forgotten(*ledger_ref, names)]
        });
        let entries = events.flatten().map(|event| LedgerEntry { at: self.at, event });
        Entries::each(entries, Unchanged::TurnedAway)
    }
}

impl IngestRecords {
    fn facts(&self, record: &Ingest) -> Vec<ConsentEvent> {
        let fact = |kind| {
            let mut event = ConsentEvent::new(kind, None, record.observed_at, self.at);
            event.source = Some(record.source.clone());
            event
        };
        let regime = record.regime.map(|regime| {
            let mut event = fact(EventKind::RegimeDeclared);
            event.regime = Some(regime);
            event.regime_source = Some(RegimeSource::Declared);
            event
        });
        let birth = record.birth.map(|birth| {
            let mut event = fact(EventKind::BirthDeclared);
            event.birth = Some(birth);
            event
        });
        regime.into_iter().chain(birth).collect()
    }
}
