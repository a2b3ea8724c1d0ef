//! Every write there is. A [`Change`] says what it does to the data and what the ledger says of it; without the
//! second it does not compile.
//!
//! Locks are taken in one order everywhere, so that no two changes wait for each other: fingerprints (sorted), then
//! subjects (sorted by id), then idempotency keys (sorted), then mail quotas (sorted), then everything else. An import that
//! is applied is locked before all of them; nothing else waits for it while it holds one. The access revision is the last.

mod access_revision;
mod aftermath;
pub mod apply_import;
pub mod apply_policy;
pub mod capture_consents;
pub mod change_incident;
pub mod claim_idempotency_key;
pub mod claim_letters;
pub mod claim_once;
pub mod complete_rights_request;
pub mod confirm_grants;
pub mod confirmation;
mod crowd;
pub mod deliver_notices;
pub mod discard_import;
pub mod erase_subject;
pub mod ingest_records;
pub mod keep_key_set;
pub mod open_incident;
pub mod open_rights_request;
pub mod purge_access;
pub mod purge_expired_keys;
pub mod purge_unconfirmed;
pub mod record_audit;
pub mod record_campaign;
pub mod record_count;
pub mod record_disclosures;
pub mod record_inspection;
pub mod record_ledger_read;
pub mod record_prompts;
pub mod record_refused_attempt;
pub mod record_signal;
pub mod register_client;
pub mod replace_credentials;
pub mod requeue_letters;
pub mod restrict_subject;
pub mod revoke_client;
pub mod revoke_token;
pub mod settle_letter;
pub mod staff;
pub mod stage_import;
pub mod sweep_mail;
pub mod take_back;
pub mod take_over_capability;
pub mod take_over_index;
pub mod take_over_keys;

pub use apply_import::{AppliedImport, ApplyImport, ImportStep};
pub use apply_policy::ApplyPolicy;
pub use capture_consents::{Capture, CaptureConsents, CaptureSubject, Captured, IdempotencyClaim, Recorded};
pub use change_incident::ChangeIncident;
pub use claim_idempotency_key::ClaimIdempotencyKey;
pub use claim_letters::{ClaimLetters, ClaimedLetter};
pub use claim_once::{ClaimOnce, OnceClaim};
pub use complete_rights_request::{CompleteRightsRequest, RightsOutcome};
pub use confirm_grants::{ConfirmGrants, Confirmed};
pub use confirmation::{ConfirmationRequest, Quota};
pub use crowd::Identified;
pub use deliver_notices::{DeliverNotices, Farewell, Notice, SayFarewell};
pub use discard_import::{DiscardImport, SweepImport};
pub use erase_subject::{EraseSubject, Erasure};
pub use ingest_records::{Ingest, IngestRecords, Ingested};
pub use keep_key_set::{KeepKeySet, Kept, KeyAct};
pub use open_incident::OpenIncident;
pub use open_rights_request::OpenRightsRequest;
pub use purge_access::PurgeAccess;
pub use purge_expired_keys::PurgeExpiredKeys;
pub use purge_unconfirmed::{PurgeUnconfirmed, Unconfirmed};
pub use record_audit::RecordAudit;
pub use record_campaign::RecordCampaign;
pub use record_count::RecordCount;
pub use record_disclosures::RecordDisclosures;
pub use record_inspection::RecordInspection;
pub use record_ledger_read::RecordLedgerRead;
pub use record_prompts::RecordPrompts;
pub use record_refused_attempt::RecordRefusedAttempt;
pub use record_signal::{RecordSignal, SignalParty, Signalled, SignalledParty};
pub use register_client::RegisterClient;
pub use replace_credentials::ReplaceCredentials;
pub use requeue_letters::RequeueLetters;
pub use restrict_subject::{RestrictSubject, Restriction};
pub use revoke_client::RevokeClient;
pub use revoke_token::RevokeToken;
pub use settle_letter::{Attempt, SettleLetter};
pub use stage_import::{FinishPreview, OpenImport, SealedRow, StageRows};
pub use sweep_mail::SweepMail;
pub use take_back::{TakeBack, TakenBack};
pub use take_over_capability::{IdentityTakenOver, Replaced, StaffTakenOver, TakeOverCapability};
pub use take_over_index::TakeOverIndex;
pub use take_over_keys::{FinishKeyWork, TakeOverKeys};

use crate::error::StoreError;
use crate::unit_of_work::{AtOnce, Conn, Entries};

mod sealed {
    pub trait Sealed {}
}

/// A write. Sealed: the modules beside this one are all there are.
///
/// ```compile_fail
/// struct Silent;
///
/// impl consentry_store::Change for Silent {
///     type Output = ();
///     const NAME: &'static str = "silent";
/// }
/// ```
pub trait Change: sealed::Sealed + Sync {
    /// What it tells its caller.
    type Output: Send;
    /// Its name, for logs.
    const NAME: &'static str;
    /// Whether it destroys data that must not survive in a log of the database.
    const DESTROYS: bool = false;

    /// Does it.
    ///
    /// # Errors
    /// Those of the change: then nothing of the unit remains.
    fn apply(&self, conn: &Conn<'_>) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;

    /// Does it, with its ledger entries, as one statement: a unit by itself, in one round trip. `None`: not this one,
    /// and nothing was written. Only for PostgreSQL and for the writes that everything waits for.
    ///
    /// # Errors
    /// Those of the statement: then nothing of it remains, and the change is applied in the ordinary way.
    fn at_once(
        &self,
        _once: &AtOnce<'_>,
    ) -> impl Future<Output = Result<Option<Self::Output>, StoreError>> + Send {
        async { Ok(None) }
    }

    /// What the ledger says of it.
    fn entries(&self, output: &Self::Output) -> Entries;
}

impl<A: Change, B: Change> sealed::Sealed for (A, B) {}

/// Two changes in one unit, the first one first.
impl<A: Change, B: Change> Change for (A, B) {
    type Output = (A::Output, B::Output);
    const NAME: &'static str = A::NAME;
    const DESTROYS: bool = A::DESTROYS || B::DESTROYS;

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let first = self.0.apply(conn).await?;
        Ok((first, self.1.apply(conn).await?))
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        self.0.entries(&output.0).and(self.1.entries(&output.1))
    }
}
