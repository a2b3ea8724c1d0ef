//! The work of a rotation: everything that an older key-encryption key wraps is wrapped by the new one, in batches.
//! Each batch and how far it came are committed together, so whoever goes on begins where the last one ended.

use store::StoreError;
use store::change::{FinishKeyWork, TakeOverIndex, TakeOverKeys};
use store::query::KeyWork;

use crate::error::AppError;
use crate::gateway::Gateway;

/// How many keys one batch wraps anew.
const BATCH: u32 = 1_000;

/// How far the work of a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProgress {
    /// There is none.
    Idle,
    /// The new key's time has not come.
    Waiting(KeyWork),
    /// Another process does it.
    Elsewhere(KeyWork),
    /// A step was done.
    Working(KeyWork),
    /// It is finished.
    Finished(KeyWork),
}

impl Gateway {
    /// Wraps one batch of data keys anew, or ends the work.
    pub(super) async fn take_over_once(&self, work: KeyWork) -> Result<KeyProgress, AppError> {
        let (store, keyring) = (&self.inner.store, &self.inner.keyring);
        let tampered = |_| AppError::from(StoreError::Tampered);
        let rows = store.wrapped_keys(work.reached, BATCH).await?;
        if let Some(last) = rows.last() {
            let reached = last.ordinal;
            let mut subjects = Vec::with_capacity(rows.len());
            for row in rows {
                if let Some(fresh) = keyring.rewrap_key(row.subject, &row.wrapped_key).map_err(tampered)? {
                    subjects.push((row.subject, row.wrapped_key, fresh));
                }
            }
            let change = TakeOverKeys { key_id: work.key_id, subjects, imports: Vec::new(), reached };
            let (done, _) = store.perform(&change).await?;
            return Ok(KeyProgress::Working(KeyWork { reached, done: work.done + done, ..work }));
        }
        let mut imports = Vec::new();
        for (import, wrapped) in store.wrapped_import_keys().await? {
            if let Some(fresh) = keyring.rewrap_import_key(import, &wrapped).map_err(tampered)? {
                imports.push((import, wrapped, fresh));
            }
        }
        // Somebody's unit that began with the older key may have been committed behind the place that was reached.
        let left = store.wrapped_by().await?.into_iter().filter(|(id, _)| *id != work.key_id);
        let left = left.map(|(_, count)| count).sum::<u64>().saturating_sub(imports.len() as u64);
        let reached = if left > 0 { 0 } else { work.reached };
        if left > 0 || !imports.is_empty() {
            let change = TakeOverKeys { key_id: work.key_id, subjects: Vec::new(), imports, reached };
            let (done, _) = store.perform(&change).await?;
            return Ok(KeyProgress::Working(KeyWork { reached, done: work.done + done, ..work }));
        }
        self.end_work(work).await
    }

    pub(super) async fn end_work(&self, work: KeyWork) -> Result<KeyProgress, AppError> {
        let (at, key_use) = (self.now(), work.key_use);
        self.inner.store.perform(&FinishKeyWork { key_use, key_id: work.key_id, at }).await?;
        tracing::info!(key = work.key_id, taken_over = work.done, "nothing is under an older key any more");
        self.keys_left(0);
        Ok(KeyProgress::Finished(KeyWork { finished_at: Some(at), ..work }))
    }

    /// Moves one batch of fingerprints to the layer of the new key, or ends the work. Rows of imports first: an erasure
    /// knows the later layers of what it finds, not the earlier ones.
    pub(super) async fn take_over_index_once(&self, work: KeyWork) -> Result<KeyProgress, AppError> {
        let store = &self.inner.store;
        let change = |subjects, reached| TakeOverIndex {
            keyring: std::sync::Arc::clone(&self.inner.keyring),
            key_id: work.key_id,
            subjects,
            reached,
        };
        if store.has_older_import_rows(work.key_id).await? {
            store.perform(&change(Vec::new(), work.reached)).await?;
            return Ok(KeyProgress::Working(work));
        }
        let rows = store.wrapped_keys(work.reached, BATCH).await?;
        if let Some(last) = rows.last() {
            let reached = last.ordinal;
            let (done, _) = store.perform(&change(rows.iter().map(|row| row.subject).collect(), reached)).await?;
            return Ok(KeyProgress::Working(KeyWork { reached, done: work.done + done, ..work }));
        }
        if store.has_older_fingerprints(work.key_id).await? {
            // Somebody's unit that began before was committed behind the place that was reached.
            store.perform(&change(Vec::new(), 0)).await?;
            return Ok(KeyProgress::Working(KeyWork { reached: 0, ..work }));
        }
        self.end_work(work).await
    }

    /// How many keys each key-encryption key wraps.
    pub(super) async fn wrapped_by(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        self.inner.store.wrapped_by().await
    }
}
