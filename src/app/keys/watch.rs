//! Looking for a newer key set, and taking keys into use when their time comes.

use std::sync::PoisonError;
use std::time::Duration;

use kernel::authz::{Actor, Authorized, RunJobs};
use kernel::seal::{KeySet, KeyUse};
use tokio_util::sync::CancellationToken;

use super::open::open_set;
use super::work::KeyProgress;
use super::{HeldSet, Signers};
use crate::error::AppError;
use crate::gateway::Gateway;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long it rests when that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(3);
/// How long the work of a rotation is leased.
const LEASE_MS: i64 = 5_000;
const LEASE: &str = "keys";

impl Gateway {
    pub(crate) async fn run_key_watch(&self, stop: CancellationToken) {
        let Ok(by) = Authorized::<RunJobs>::prove(Actor::Job("keys")) else { return };
        if self.inner.keys.root.is_none() {
            return;
        }
        let holder = self.inner.entropy.bytes_16();
        while !stop.is_cancelled() {
            match self.tend_keys_once(&by, holder).await {
                Ok(KeyProgress::Working(_)) => tokio::task::yield_now().await,
                Ok(_) => {
                    let _elapsed = tokio::time::timeout(EVERY, stop.cancelled()).await;
                }
                Err(error) => {
                    tracing::warn!(error = ?error, "the keys could not be looked after and will be again");
                    let _elapsed = tokio::time::timeout(AFTER_FAILURE, stop.cancelled()).await;
                }
            }
        }
        if let Err(error) = self.stop_tending_keys(holder).await {
            tracing::warn!(error = ?error, "the lease of the keys could not be released");
        }
    }

    /// Lets another process go on with a rotation's work at once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn stop_tending_keys(&self, holder: [u8; 16]) -> Result<(), AppError> {
        Ok(self.inner.store.release(LEASE, holder).await?)
    }

    /// Looks for a newer key set and does one step of a rotation's work, if there is some and nobody else does it.
    ///
    /// # Errors
    /// When the store or the root key does not answer.
    pub async fn tend_keys_once(
        &self,
        by: &Authorized<RunJobs>,
        holder: [u8; 16],
    ) -> Result<KeyProgress, AppError> {
        self.refresh_keys(by).await?;
        let works = self.inner.store.key_works().await?;
        let Some(work) = works.into_iter().find(|work| work.finished_at.is_none()) else {
            self.keys_left(0);
            return Ok(KeyProgress::Idle);
        };
        self.keys_left(work.total.saturating_sub(work.done).max(1));
        let is_in_use = match work.key_use {
            KeyUse::Fingerprint => self.inner.keyring.indexes_by(work.key_id),
            KeyUse::Capability => self.inner.keyring.makes_capabilities_by() == work.key_id,
            _ => self.inner.keyring.wraps_by() == work.key_id,
        };
        if !is_in_use {
            return Ok(KeyProgress::Waiting(work));
        }
        if !self.inner.store.try_acquire(LEASE, holder, self.now(), LEASE_MS).await? {
            return Ok(KeyProgress::Elsewhere(work));
        }
        match work.key_use {
            KeyUse::Fingerprint => self.take_over_index_once(work).await,
            KeyUse::Capability => self.take_over_capability_once(work).await,
            _ => self.take_over_once(work).await,
        }
    }

    /// Takes the store's newest key set into use, if it is not yet, and the keys whose time has come.
    ///
    /// # Errors
    /// When the store or the root key does not answer, or the set does not open: the keys in use stay.
    pub async fn refresh_keys(&self, _by: &Authorized<RunJobs>) -> Result<(), AppError> {
        let keys = &self.inner.keys;
        let Some(root) = &keys.root else { return Ok(()) };
        let version = self.inner.store.key_set_version().await?;
        let (known, next) = keys.held().as_ref().map_or((0, None), |held| (held.version, held.next));
        if version == known {
            return if next.is_some_and(|next| next <= self.now()) { self.take_held() } else { Ok(()) };
        }
        if keys.was_denied(version) {
            return Err(AppError::Unavailable);
        }
        let row = self.inner.store.key_set().await?;
        let row = row.ok_or_else(|| AppError::internal("the key set is gone"))?;
        match open_set(&**root, &row).await {
            Ok(set) => {
                self.take_set(row.version, set)?;
                keys.set_behind(false);
                tracing::info!(version = row.version, "took a newer key set into use");
                Ok(())
            }
            Err(error) => {
                keys.set_behind(true);
                keys.note_denied(version, &error);
                tracing::error!(%error, version = row.version, "the newer key set does not open here");
                Err(AppError::Unavailable)
            }
        }
    }

    /// Takes the set that is held into use as of now.
    fn take_held(&self) -> Result<(), AppError> {
        let held = self.inner.keys.held().take();
        match held {
            Some(held) => self.take_set(held.version, held.keys),
            None => Ok(()),
        }
    }

    pub(super) fn take_set(&self, version: u64, set: KeySet) -> Result<(), AppError> {
        let (inner, now) = (&self.inner, self.now());
        inner.keyring.exchange(&set, now).map_err(AppError::internal)?;
        *inner.keys.held() = Some(HeldSet::new(version, set, now));
        let signers =
            Signers::new(&inner.keyring, &inner.settings.ledger_origin, now).map_err(AppError::internal)?;
        *inner.signers.write().unwrap_or_else(PoisonError::into_inner) = std::sync::Arc::new(signers);
        Ok(())
    }
}
