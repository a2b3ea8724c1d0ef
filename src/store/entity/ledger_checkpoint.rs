//! The tree over the ledger at one size.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_checkpoint")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) size: i64,
    pub(crate) first_entry: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) frontier: Vec<u8>,
    pub(crate) last_sequence: i64,
    pub(crate) last_id: i64,
    pub(crate) created_at: i64,
    pub(crate) note: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) published: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
