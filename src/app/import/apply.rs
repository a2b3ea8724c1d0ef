//! Applying an import: chunk after chunk, each with its progress in one commit, until all of it is done. Who asks may go
//! away: it goes on, and after a crash a job goes on with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::authz::{Authorized, ImportRecords, RunJobs};
use kernel::id::ImportId;
use kernel::import::ImportStatus;
use store::change::{ApplyImport, ImportStep};

use super::ImportView;
use crate::error::{AppError, Code};
use crate::gateway::Gateway;

/// How many rows one commit takes.
const CHUNK: u32 = 500;
/// How long a caller waits for the end; whoever has more patience asks again.
const PATIENCE: Duration = Duration::from_secs(25);
/// After how long without progress a job goes on with an import.
const STALLED_MS: i64 = 60_000;
/// After how long without a byte an upload is given up.
const ABANDONED_MS: i64 = 15 * 60_000;
/// How many imports a round of the job looks after.
const MOST: u32 = 16;

impl Gateway {
    /// Applies an import that was previewed, or goes on applying it. The view says whether it is done: a large one may
    /// take longer than a caller waits.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is none, [`AppError::Gone`] when it was given up or is too old,
    /// [`AppError::Conflict`] when it is still received, or the policy changed since its preview.
    pub async fn apply_import(
        &self,
        by: &Authorized<ImportRecords>,
        id: ImportId,
    ) -> Result<ImportView, AppError> {
        self.own_import(by, id).await?;
        let gateway = self.clone();
        let applying = self.inner.runtime.spawn(async move { gateway.apply_whole_import(id).await });
        match tokio::time::timeout(PATIENCE, applying).await {
            Ok(done) => done.map_err(AppError::internal)??,
            // It goes on without the caller.
            Err(_elapsed) => {}
        }
        self.import(by, id).await
    }

    async fn apply_whole_import(&self, id: ImportId) -> Result<(), AppError> {
        loop {
            let apply = ApplyImport {
                import: id,
                policy: self.policy(),
                most: CHUNK,
                keyring: Arc::clone(&self.inner.keyring),
                entropy: Arc::clone(&self.inner.entropy),
                at: self.now(),
            };
            let (step, _committed) = self.inner.store.perform(&apply).await?;
            match step {
                ImportStep::Applied(applied) => {
                    let counters = &self.inner.counters;
                    counters.import_rows_applied.fetch_add(applied.tally.ready(), Ordering::Relaxed);
                    let left_out = applied.tally.left_out_in_all();
                    counters.import_rows_left_out.fetch_add(left_out, Ordering::Relaxed);
                    if applied.is_last {
                        return self.sweep_import(id).await;
                    }
                }
                ImportStep::Done => return Ok(()),
                ImportStep::NotFound => return Err(AppError::NotFound(Code::ImportNotFound)),
                ImportStep::Not(ImportStatus::Receiving) => return Err(AppError::Conflict(Code::ImportNotReady)),
                ImportStep::Not(_) => return Err(AppError::Gone(Code::ImportGone)),
                ImportStep::PolicyChanged => return Err(AppError::Conflict(Code::PolicyChanged)),
            }
        }
    }

    /// Looks after imports: ends those whose time is over or whose upload broke off, goes on with those that nobody
    /// goes on with, and removes what is left of those that are over.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tend_imports(&self, _by: &Authorized<RunJobs>) -> Result<(), AppError> {
        self.look_after_imports().await
    }

    pub(crate) async fn look_after_imports(&self) -> Result<(), AppError> {
        let (store, now) = (&self.inner.store, self.now());
        let (abandoned, stalled) = (now.plus_ms(-ABANDONED_MS), now.plus_ms(-STALLED_MS));
        for row in store.imports_to_tend(now, abandoned, stalled, MOST).await? {
            if row.status == ImportStatus::Applying {
                self.apply_whole_import(row.id).await?;
            } else {
                self.end_import(row.id, true).await?;
            }
        }
        for id in store.imports_to_sweep(MOST).await? {
            self.sweep_import(id).await?;
        }
        Ok(())
    }
}
