//! Background jobs: leased, idempotent, one loop each. Whichever gateway holds the lease does the work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::authz::{Actor, Authorized, RunJobs};
use kernel::ledger::BatchSecret;
use store::change::{PurgeAccess, PurgeExpiredKeys};
use tokio_util::sync::CancellationToken;

use crate::error::AppError;
use crate::figures::count;
use crate::gateway::Gateway;

/// How many entries one checkpoint takes in at the most.
const ENTRIES: u32 = 256;
/// How long the sequencer rests when there is nothing to do.
const REST: Duration = Duration::from_millis(250);
/// How often expired idempotency keys, and what was never confirmed, are purged.
const PURGE_EVERY_MS: i64 = 600_000;
/// How often imports are looked after.
const TEND_EVERY_MS: i64 = 30_000;
/// How long a lease is held without being renewed.
const LEASE_MS: i64 = 3_000;

impl Gateway {
    /// Runs the jobs until told to stop. Mail has a loop of its own: a mail server that is slow holds up nothing else.
    pub async fn run_jobs(&self, stop: CancellationToken) {
        tokio::join!(
            self.run_upkeep(stop.clone()),
            self.run_courier(stop.clone()),
            self.run_key_watch(stop.clone()),
            self.run_witnessing(stop)
        );
    }

    async fn run_upkeep(&self, stop: CancellationToken) {
        let Ok(by) = Authorized::<RunJobs>::prove(Actor::Job("jobs")) else { return };
        let holder = self.inner.entropy.bytes_16();
        let mut purge_at = self.now();
        while !stop.is_cancelled() {
            let more = match self.work(&by, holder, &mut purge_at).await {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(error = ?error, "a job failed and will be tried again");
                    false
                }
            };
            if !more {
                let _elapsed = tokio::time::timeout(REST, stop.cancelled()).await;
            }
        }
        // Let another gateway go on at once.
        if let Err(error) = self.inner.store.release("jobs", holder).await {
            tracing::warn!(error = %error, "the lease could not be released");
        }
    }

    async fn work(
        &self,
        by: &Authorized<RunJobs>,
        holder: [u8; 16],
        purge_at: &mut kernel::time::Timestamp,
    ) -> Result<bool, AppError> {
        let now = self.now();
        if !self.inner.store.try_acquire("jobs", holder, now, LEASE_MS).await? {
            return Ok(false);
        }
        // A ledger that its witness contradicts was reported once, and waits.
        let more = !self.inner.witnessing.was_contradicted() && self.sequence_ledger_once(by).await?;
        if now >= *purge_at {
            self.inner.store.perform(&PurgeExpiredKeys { at: now }).await?;
            self.inner.store.perform(&PurgeAccess { at: now }).await?;
            self.purge_unconfirmed_once(by).await?;
            *purge_at = now.plus_ms(PURGE_EVERY_MS);
        }
        // One that takes long does so beside the ledger's sequencing, and one at a time.
        if let Ok(place) = self.inner.tending.clone().try_acquire_owned()
            && self.tending_is_due(now)
        {
            let gateway = self.clone();
            self.inner.runtime.spawn(async move {
                let _place = place;
                if let Err(error) = gateway.look_after_imports().await {
                    tracing::warn!(error = ?error, "imports could not be looked after and will be again");
                }
            });
        }
        Ok(more)
    }

    /// Whether it is time to look after the imports, and from now on not for a while.
    fn tending_is_due(&self, now: kernel::time::Timestamp) -> bool {
        let last = &self.inner.tended_at;
        let due = now.as_millis().saturating_sub(last.load(Ordering::Relaxed)) >= TEND_EVERY_MS;
        if due {
            last.store(now.as_millis(), Ordering::Relaxed);
        }
        due
    }

    /// Takes committed entries into the ledger's tree and signs a checkpoint. Says whether more may be waiting.
    ///
    /// # Errors
    /// When the store does not answer, or the stored tree does not read.
    pub async fn sequence_ledger_once(&self, _by: &Authorized<RunJobs>) -> Result<bool, AppError> {
        let inner = &self.inner;
        let origin = &inner.settings.ledger_origin;
        if inner.witnessing.was_contradicted() {
            return Err(AppError::internal("a witness contradicts this ledger: nothing more is signed"));
        }
        if inner.witnessing.is_awaited() {
            return Ok(false);
        }
        let secret = BatchSecret::from_bytes(inner.entropy.bytes_32());
        let Some(checkpoint) =
            inner.store.extend_ledger(origin, &self.signers().ledger, secret, self.now(), ENTRIES).await?
        else {
            return Ok(false);
        };
        count(&inner.counters.checkpoints);
        inner.counters.ledger_size.store(checkpoint.size, Ordering::Relaxed);
        // It stops at the end of a tile: beyond it there may be more.
        Ok(checkpoint.completes_tile())
    }
}
