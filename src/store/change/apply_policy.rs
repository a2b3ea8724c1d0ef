//! Puts a policy into force, with the exact documents it was made of and the notices that persons are shown under it.

use std::collections::BTreeMap;

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::PolicyVersion;
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::OnConflict;

use super::{Change, sealed};
use crate::entity::{notice, policy_current, policy_version};
use crate::error::{StoreError, from_db};
use crate::query::StoredNotice;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A policy that passed validation.
#[derive(Debug, Clone)]
pub struct ApplyPolicy {
    /// The digest of its documents.
    pub version: PolicyVersion,
    /// Its documents: path and text.
    pub documents: BTreeMap<String, String>,
    /// Its notices, old versions included.
    pub notices: Vec<StoredNotice>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for ApplyPolicy {}

impl Change for ApplyPolicy {
    /// Whether it came into force now: one that is in force already is left as it is.
    type Output = bool;
    const NAME: &'static str = "apply_policy";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let version = self.version.as_bytes().to_vec();
        let current =
            policy_current::Entity::find_by_id(policy_current::SLOT).one(conn.raw()).await.map_err(from_db)?;
        if current.is_some_and(|current| current.version == version) {
            return Ok(false);
        }
        let documents = minicbor::to_vec(&self.documents)
            .map_err(|_| StoreError::defect("the documents of a policy could not be encoded"))?;
        let row = policy_version::ActiveModel {
            version: Set(version.clone()),
            applied_at: Set(self.at.as_millis()),
            documents: Set(documents),
        };
        policy_version::Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(conn.raw())
            .await
            .map_err(from_db)?;
        let row = policy_current::ActiveModel {
            slot: Set(policy_current::SLOT),
            version: Set(version),
            applied_at: Set(self.at.as_millis()),
        };
        let columns = [policy_current::Column::Version, policy_current::Column::AppliedAt];
        policy_current::Entity::insert(row)
            .on_conflict(OnConflict::column(policy_current::Column::Slot).update_columns(columns).to_owned())
            .exec_without_returning(conn.raw())
            .await
            .map_err(from_db)?;
        // After the row of the policy in force, which whoever applies another one at this moment waits for.
        sql("INSERT INTO policy_history (place, version, applied_at) \
             VALUES ((SELECT coalesce(max(place), 0) + 1 FROM policy_history), $1, $2)")
        .with_bytes(self.version.as_bytes())
        .with(self.at.as_millis())
        .execute(conn.raw())
        .await?;
        for notice in &self.notices {
            self.keep_notice(conn, notice).await?;
        }
        Ok(true)
    }

    fn entries(&self, applied: &bool) -> Entries {
        if *applied {
            let event = LedgerEvent::PolicyApplied { policy: self.version };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}

impl ApplyPolicy {
    async fn keep_notice(&self, conn: &Conn<'_>, notice: &StoredNotice) -> Result<(), StoreError> {
        let row = notice::ActiveModel {
            digest: Set(notice.digest.as_bytes().to_vec()),
            notice_id: Set(notice.id.as_str().to_owned()),
            version: Set(i32::from(notice.version)),
            locale: Set(notice.locale.clone()),
            text: Set(notice.text.clone()),
            first_used_at: Set(self.at.as_millis()),
        };
        // The digest names the text, so what is there is the same.
        notice::Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(conn.raw())
            .await
            .map_err(from_db)?;
        Ok(())
    }
}
