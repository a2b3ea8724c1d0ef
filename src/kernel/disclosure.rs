//! The only door for personal data.
//!
//! [`Gathering`] takes one permit a person, opens what the permit names and nothing else, minimises it and puts a
//! pseudonym on it. [`Disclosure::release`] records the whole page and only then hands over the [`PermittedBatch`],
//! the only type that encoders take. "Recorded before released" is an ordering in one function.

mod batch;
mod copy;
mod crowd;
mod gather;
mod minimise;
mod reach;
mod record;

pub use batch::{Cell, Column, PermittedBatch, PermittedRow};
pub use copy::{CopiedAttribute, PersonalCopy};
pub use crowd::{
    Census, Crowds, Group, GroupValue, MAX_TOGETHER, ROUNDED_TO, Statistics, Tally, quasi_identifiers,
};
pub use gather::{Gathering, Outcome};
pub use reach::Reach;
pub use record::{DisclosureJournal, DisclosureLog, DisclosureRecord, Whereabouts};

/// Gathered data that nobody may see yet: a page of a pull, or (a batch each) several look-ups of one recipient.
#[must_use]
#[derive(Debug)]
pub struct Disclosure<B = PermittedBatch> {
    record: DisclosureRecord,
    permitted: B,
}

impl<B> Disclosure<B> {
    pub(crate) const fn new(record: DisclosureRecord, permitted: B) -> Self {
        Self { record, permitted }
    }

    /// What will be recorded.
    #[must_use]
    pub const fn record(&self) -> &DisclosureRecord {
        &self.record
    }

    /// Records the disclosure, and only when that is durable hands the attributes over.
    ///
    /// # Errors
    /// Those of the log: then nothing is handed over.
    pub async fn release<L: DisclosureLog>(self, log: &L) -> Result<B, L::Error> {
        log.record(self.record).await?;
        Ok(self.permitted)
    }

    /// Records several disclosures together, and only then hands the attributes of each over that was recorded. What
    /// the journal does not tell of is not handed over.
    pub async fn release_each<J: DisclosureJournal>(
        disclosures: Vec<Self>,
        journal: &J,
    ) -> Vec<Result<B, J::Error>> {
        let (records, permitted): (Vec<_>, Vec<_>) =
            disclosures.into_iter().map(|disclosure| (disclosure.record, disclosure.permitted)).unzip();
        let recorded = journal.record_each(records).await;
        recorded.into_iter().zip(permitted).map(|(recorded, permitted)| recorded.map(|()| permitted)).collect()
    }
}
