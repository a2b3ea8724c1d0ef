//! Campaigns of a sender: by name alone. The name is of the sender's making and stands in the ledger, so it is a short
//! plain one that can hold no address.

use crate::slug::slug;

slug! {
    /// The name of a campaign.
    CampaignId
}
