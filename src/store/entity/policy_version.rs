//! A policy that was in force, with its documents.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_version")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) version: Vec<u8>,
    pub(crate) applied_at: i64,
    pub(crate) documents: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
