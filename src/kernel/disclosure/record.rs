//! What is remembered of a disclosure: who received which attributes of whom, for what, when, under which policy.

use crate::attribute::AttributeName;
use crate::decision::Refusal;
use crate::id::PullId;
use crate::policy::PolicyVersion;
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::time::Timestamp;

/// Where to look for the persons of a record, when one of them asks who received their data. Ordinals as in the bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// One by one: they were named in look-ups, and may be anywhere among all.
    Each(Vec<u64>),
    /// From the lowest to the highest: a page of a pull, which walks everybody in order.
    Between(u64, u64),
}

impl Whereabouts {
    /// Those of nobody.
    pub const NOBODY: Self = Self::Each(Vec::new());
}

/// One page of one pull, or some look-ups that were answered together, as it is recorded. Persons are bits in a bitmap:
/// constant bytes each, and erasing a person leaves a bit that names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosureRecord {
    /// The pull, or the look-ups that were answered together.
    pub pull: PullId,
    /// Its page, from 0.
    pub page: u32,
    /// Who received.
    pub recipient: RecipientId,
    /// What for.
    pub purpose: Purpose,
    /// The attributes that left.
    pub attributes: Vec<AttributeName>,
    /// The asked attributes that the policy withheld.
    pub withheld: Vec<AttributeName>,
    /// The policy that decided.
    pub policy: PolicyVersion,
    /// When it was decided.
    pub at: Timestamp,
    /// How many persons.
    pub subjects: u64,
    /// How many were refused, by reason, in code order.
    pub refused: Vec<(Refusal, u64)>,
    /// Where its persons are found.
    pub whereabouts: Whereabouts,
    /// The ordinals of the persons: a 64-bit roaring bitmap in its portable serialization.
    pub bitmap: Vec<u8>,
    /// Keyed digest of the bitmap, which the ledger keeps.
    pub bitmap_digest: [u8; 32],
}

/// Where disclosures are recorded. One production implementation, in the store.
pub trait DisclosureLog {
    /// Why recording failed.
    type Error;

    /// Makes a record durable, with its ledger entry.
    ///
    /// # Errors
    /// When it is not durable.
    fn record(&self, record: DisclosureRecord) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Where several disclosures are recorded together, each as one of its own.
pub trait DisclosureJournal {
    /// Why recording failed.
    type Error;

    /// Makes records durable, with a ledger entry each, and tells for each whether it is, in their order.
    fn record_each(
        &self,
        records: Vec<DisclosureRecord>,
    ) -> impl Future<Output = Vec<Result<(), Self::Error>>> + Send;
}
