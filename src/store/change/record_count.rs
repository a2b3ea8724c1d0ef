//! Records that a recipient was told how large some groups are: numbers, and nobody.

use kernel::attribute::AttributeName;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::PolicyVersion;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// Numbers that are about to be told.
#[derive(Debug)]
pub struct RecordCount {
    /// To whom.
    pub recipient: RecipientId,
    /// What for.
    pub purpose: Purpose,
    /// What persons were grouped by.
    pub attributes: Vec<AttributeName>,
    /// The policy that decided who counts.
    pub policy: PolicyVersion,
    /// How many groups are told of.
    pub groups: u64,
    /// How many are not.
    pub withheld: u64,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordCount {}

impl Change for RecordCount {
    type Output = ();
    const NAME: &'static str = "record_count";

    async fn apply(&self, _conn: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::SegmentCounted {
            recipient: self.recipient.clone(),
            purpose: self.purpose.clone(),
            attributes: self.attributes.clone(),
            policy: self.policy,
            groups: self.groups,
            withheld: self.withheld,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
