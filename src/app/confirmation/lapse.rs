//! What was never confirmed does not stay (GDPR Art. 5(1)(e), CAP-15). Of somebody of whom nothing else is held nothing
//! stays at all; of somebody else, nothing that only an unconfirmed post said.

use std::collections::BTreeSet;

use kernel::authz::{Authorized, RunJobs};
use kernel::consent::{ConsentEvent, EventKind, Standing};
use kernel::policy::{Mode, ValidPolicy};
use kernel::seal::SealedRecord;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use store::change::{PurgeUnconfirmed, SweepMail, Unconfirmed};
use store::query::ConfirmationRow;

use crate::error::AppError;
use crate::figures::count;
use crate::gateway::Gateway;
use crate::subject::open_acts;

/// Persons looked at together.
const BATCH: u32 = 100;

impl Gateway {
    /// Removes what was asked to be confirmed too long ago and never was. Tells of how many persons.
    ///
    /// # Errors
    /// When the store does not answer, or something stored does not open.
    pub async fn purge_unconfirmed_once(&self, _by: &Authorized<RunJobs>) -> Result<u64, AppError> {
        let store = &self.inner.store;
        let before = self.inner.settings.confirmation.lapsed_at(self.now());
        let (mut after, mut purged) = (None, 0);
        loop {
            let subjects = store.unconfirmed_before(before, after, BATCH).await?;
            let Some(last) = subjects.last() else { break };
            after = Some(*last);
            for subject in subjects {
                // A person that does not read must not keep the others.
                match self.purge_unconfirmed(subject, before).await {
                    Ok(done) => purged += u64::from(done),
                    Err(error @ AppError::Unavailable) => return Err(error),
                    Err(error) => {
                        tracing::error!(error = ?error, "what somebody never confirmed cannot be removed")
                    }
                }
            }
        }
        store.perform(&SweepMail { before, at: self.now() }).await?;
        Ok(purged)
    }

    async fn purge_unconfirmed(&self, subject: SubjectId, before: Timestamp) -> Result<bool, AppError> {
        let store = &self.inner.store;
        let Some(version) = store.version_of(subject).await? else { return Ok(false) };
        let requests = store.confirmations_of(subject).await?;
        let Some(what) = self.lapsed_of(subject, &requests, before).await? else { return Ok(false) };
        let purge = PurgeUnconfirmed { subject, version, what, before, at: self.now() };
        let done = store.perform(&purge).await?.0.is_some();
        if done {
            count(&self.inner.counters.unconfirmed_purged);
        }
        Ok(done)
    }

    /// What is to be removed of somebody; `None`: a younger request still waits, and needs what the older ones said.
    async fn lapsed_of(
        &self,
        subject: SubjectId,
        requests: &[ConfirmationRow],
        before: Timestamp,
    ) -> Result<Option<Unconfirmed>, AppError> {
        let mut open = requests.iter().filter(|request| request.confirmed_at.is_none());
        if open.any(|request| request.requested_at > before) {
            return Ok(None);
        }
        // The mailbox was confirmed by another request: the address is the person's, whatever became of the rest.
        if requests.iter().any(|request| request.confirmed_at.is_some()) {
            return Ok(Some(Unconfirmed::Observed(Vec::new())));
        }
        let store = &self.inner.store;
        let Some(row) = store.rows_by_ids(&[subject]).await?.pop() else { return Ok(None) };
        let tampered = |_| AppError::internal("a stored person does not open");
        let key = self.inner.keyring.unwrap_key(row.id, &row.wrapped_key).map_err(tampered)?;
        let standing = key.open_standing(&row.standing).map_err(tampered)?;
        let receipts: BTreeSet<_> = requests.iter().map(|request| request.receipt).collect();
        let instants: Vec<_> = requests.iter().map(|request| request.requested_at).collect();
        let mut observed = Vec::new();
        for entry in SealedRecord::new(&row.record).entries() {
            observed.push(entry.map_err(tampered)?.observed_at());
        }
        let policy = self.policy();
        let events = open_acts(&key, &store.consent_acts(subject).await?)?;
        let is_nothing_else = observed.iter().all(|at| instants.contains(at))
            && events.iter().all(|(receipt, event, _)| {
                receipts.contains(receipt) && is_requested(event) && !is_protective(event, &policy, &standing)
            });
        Ok(Some(if is_nothing_else { Unconfirmed::Everything } else { Unconfirmed::Observed(instants) }))
    }
}

/// Whether an event says no more than what a post says that waits to be confirmed.
const fn is_requested(event: &ConsentEvent) -> bool {
    matches!(event.kind, EventKind::GrantRequested | EventKind::Refused) || event.kind.is_fact()
}

/// Whether forgetting an event would permit what is not permitted now: a no where silence means yes.
fn is_protective(event: &ConsentEvent, policy: &ValidPolicy, standing: &Standing) -> bool {
    event.kind == EventKind::Refused
        && event.purpose.as_ref().and_then(|purpose| policy.purpose(purpose)).is_none_or(|rule| {
            standing.regimes().iter().any(|regime| matches!(rule.mode(*regime), Mode::OptOut | Mode::Allowed))
        })
}
