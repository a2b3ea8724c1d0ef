//! Reading what is and was in force.

use std::collections::BTreeMap;

use kernel::policy::PolicyVersion;
use kernel::time::Timestamp;
use sea_orm::EntityTrait as _;

use crate::Store;
use crate::entity::{policy_current, policy_version};
use crate::error::{StoreError, from_db};
use crate::statement::{exactly, sql};

/// A policy as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The digest of its documents.
    pub version: PolicyVersion,
    /// When it first came into force.
    pub applied_at: Timestamp,
    /// Its documents: path and text.
    pub documents: BTreeMap<String, String>,
}

impl Store {
    /// Which policy is in force, if one was applied: cheap enough to ask often.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn current_policy_version(&self) -> Result<Option<PolicyVersion>, StoreError> {
        let current =
            policy_current::Entity::find_by_id(policy_current::SLOT).one(self.db()).await.map_err(from_db)?;
        current.map(|current| exactly(current.version).map(PolicyVersion::from_bytes)).transpose()
    }

    /// The policy in force, if one was applied.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn current_policy(&self) -> Result<Option<StoredPolicy>, StoreError> {
        match self.current_policy_version().await? {
            Some(version) => self.policy(&version).await,
            None => Ok(None),
        }
    }

    /// Which policy was in force at a time, if one was.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn policy_version_at(&self, at: Timestamp) -> Result<Option<PolicyVersion>, StoreError> {
        let row = sql("SELECT version FROM policy_history WHERE applied_at <= $1 ORDER BY place DESC LIMIT 1")
            .with(at.as_millis())
            .row(self.db())
            .await?;
        row.map(|row| row.bytes(0).map(PolicyVersion::from_bytes)).transpose()
    }

    /// A policy that is or was in force.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn policy(&self, version: &PolicyVersion) -> Result<Option<StoredPolicy>, StoreError> {
        let model = policy_version::Entity::find_by_id(version.as_bytes().to_vec())
            .one(self.db())
            .await
            .map_err(from_db)?;
        model.map(read).transpose()
    }
}

fn read(model: policy_version::Model) -> Result<StoredPolicy, StoreError> {
    Ok(StoredPolicy {
        version: PolicyVersion::from_bytes(exactly(model.version)?),
        applied_at: Timestamp::from_millis(model.applied_at),
        documents: minicbor::decode(&model.documents).map_err(|_| StoreError::Tampered)?,
    })
}
