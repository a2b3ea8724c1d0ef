//! Records which campaign a look-up of addresses was for, in the unit that records the look-up itself.

use kernel::campaign::CampaignId;
use kernel::id::PullId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A campaign whose addresses are about to be handed out.
#[derive(Debug)]
pub struct RecordCampaign {
    /// The look-up.
    pub pull: PullId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Whether it tells of the right to object (GDPR Art. 21(4)).
    pub first_contact: bool,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordCampaign {}

impl Change for RecordCampaign {
    type Output = ();
    const NAME: &'static str = "record_campaign";

    async fn apply(&self, _: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::CampaignResolved {
            pull: self.pull,
            campaign: self.campaign.clone(),
            first_contact: self.first_contact,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
