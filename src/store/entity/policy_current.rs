//! Which policy is in force: one row.

use sea_orm::entity::prelude::*;

/// The key of the one row.
pub(crate) const SLOT: i16 = 1;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_current")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) slot: i16,
    pub(crate) version: Vec<u8>,
    pub(crate) applied_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
