//! The end of a version of the key of capabilities. What stays and hangs on it is moved to the newest version, a batch at a
//! time; what bearers hold and what waits for days ends with it.

use kernel::authz::{Authorized, ManageKeys};
use kernel::seal::{KeyUse, StaffSecret};
use kernel::time::Timestamp;
use store::change::{IdentityTakenOver, Replaced, StaffTakenOver, TakeOverCapability};
use store::query::{IdentityRow, KeyWork, StaffRow};

use super::open::open_set;
use super::rotate::KeyChangeError;
use super::work::KeyProgress;
use crate::error::AppError;
use crate::gateway::Gateway;
use crate::staff::LINK_MS;

/// How many rows one batch moves.
const BATCH: usize = 100;
/// How many incidents are read at once.
const PAGE: u32 = 200;

/// What ends to work when a version of the key of capabilities is retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndingCapabilities {
    /// From when on it made what ends; `None`: from the beginning.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Timestamp,
    /// How many requests to confirm wait that were mailed meanwhile.
    pub confirmations: u64,
    /// How many sessions of staff.
    pub sessions: u64,
    /// How many one-time links for staff.
    pub links: u64,
}

impl Gateway {
    /// What ends to work when a version of the key of capabilities is retired: every link and token that was made under it,
    /// of which nobody keeps a list, and what waits here.
    ///
    /// # Errors
    /// When there is no such version, it is the newest, or the root key or the store does not answer.
    pub async fn ending_capabilities(
        &self,
        _by: &Authorized<ManageKeys>,
        id: u32,
    ) -> Result<EndingCapabilities, KeyChangeError> {
        let root = self.inner.keys.root.clone().ok_or(KeyChangeError::Plain)?;
        let row = self.inner.store.key_set().await?.ok_or(KeyChangeError::Plain)?;
        let facts = open_set(&*root, &row).await?.facts();
        let key_use = KeyUse::Capability;
        let mut versions = facts.into_iter().filter(|key| key.key_use == key_use).skip_while(|key| key.id != id);
        let from = versions.next().ok_or(kernel::seal::KeyError::NoSuchKey { key_use, id })?.from;
        let newest = || kernel::seal::KeyError::Newest { key_use, id };
        let until = versions.next().and_then(|next| next.from).ok_or_else(newest)?;
        let between = (from.unwrap_or(Timestamp::from_millis(0)), until);
        let waiting = self.inner.store.waiting_capabilities(between, LINK_MS, self.now()).await?;
        Ok(EndingCapabilities {
            from,
            until,
            confirmations: waiting.confirmations,
            sessions: waiting.sessions,
            links: waiting.links,
        })
    }

    /// Moves one batch to the newest version, or ends the work.
    pub(super) async fn take_over_capability_once(&self, work: KeyWork) -> Result<KeyProgress, AppError> {
        match self.move_capability_batch(work.key_id).await? {
            None => self.end_work(work).await,
            Some(done) => Ok(KeyProgress::Working(KeyWork { done: work.done + done, ..work })),
        }
    }

    /// Moves what was written under an older version while the work was ending.
    pub(super) async fn take_over_stragglers(&self) -> Result<(), KeyChangeError> {
        let key_id = self.inner.keyring.makes_capabilities_by();
        while self.move_capability_batch(key_id).await?.is_some() {}
        Ok(())
    }

    /// Moves one batch and says how much; `None`: there is nothing to move.
    async fn move_capability_batch(&self, key_id: u32) -> Result<Option<u64>, AppError> {
        let batch = self.capability_batch(key_id).await?;
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.inner.store.perform(&batch).await?.0))
    }

    /// The next rows that hang on an older version. A row that none of them made lets nobody in and stays as it is.
    async fn capability_batch(&self, key_id: u32) -> Result<TakeOverCapability, AppError> {
        let (store, keyring) = (&self.inner.store, &self.inner.keyring);
        let mut batch = TakeOverCapability { key_id, ..TakeOverCapability::default() };
        for row in store.staff().await? {
            batch.staff.extend(self.member_anew(&row, key_id));
        }
        batch.staff.truncate(BATCH);
        for row in store.staff_identities().await? {
            batch.identities.extend(self.identity_anew(&row, key_id));
        }
        batch.identities.truncate(BATCH.saturating_sub(batch.staff.len()));
        for version in keyring.capabilities_before(key_id) {
            let room = u32::try_from(BATCH.saturating_sub(batch.len())).unwrap_or_default();
            for row in store.recovery_codes_under(version, room).await? {
                if let Some(to) = keyring.lift_fingerprint(&row.code_hash, row.key_id) {
                    batch.codes.push((row.staff, Replaced { from: row.code_hash, to }));
                }
            }
        }
        let mut after = None;
        while batch.len() < BATCH {
            let page = store.incidents(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.opened_at, last.id));
            for row in page {
                if let Ok(Some(to)) = keyring.reseal_incident(row.id, &row.sealed) {
                    batch.incidents.push((row.id, Replaced { from: row.sealed, to }));
                }
            }
        }
        batch.incidents.truncate(BATCH.saturating_sub(batch.len() - batch.incidents.len()));
        Ok(batch)
    }

    /// What changes in a member's row, if something does.
    fn member_anew(&self, row: &StaffRow, key_id: u32) -> Option<StaffTakenOver> {
        let keyring = &self.inner.keyring;
        let is_older = self.version_of_member(row).is_some_and(|version| version < key_id);
        let seal = is_older.then(|| Replaced { from: row.seal.clone(), to: self.seal_member_anew(row).to_vec() });
        let password_hash = row.password_hash.clone().and_then(|from| {
            let to = self.seal_password_anew(row.id, &from)?;
            Some(Replaced { from, to })
        });
        let authenticator = row.authenticator.clone().and_then(|from| {
            let anew = keyring.reseal_staff_secret(row.id, StaffSecret::Authenticator, &from);
            Some(Replaced { to: anew.ok()??, from })
        });
        let is_something = seal.is_some() || password_hash.is_some() || authenticator.is_some();
        is_something.then_some(StaffTakenOver { staff: row.id, seal, password_hash, authenticator })
    }

    /// What changes in the row of a linked account, if something does.
    fn identity_anew(&self, row: &IdentityRow, key_id: u32) -> Option<IdentityTakenOver> {
        let version = self.version_of_identity(&row.identity_hash, row.staff, &row.binding)?;
        if version >= key_id {
            return None;
        }
        let identity_hash = self.inner.keyring.lift_fingerprint(&row.identity_hash, version)?;
        let binding = self.bind_identity_anew(&identity_hash, row.staff);
        Some(IdentityTakenOver {
            staff: row.staff,
            identity_hash: Replaced { from: row.identity_hash, to: identity_hash },
            binding: Replaced { from: row.binding, to: binding },
        })
    }
}
