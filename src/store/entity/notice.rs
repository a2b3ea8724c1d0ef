//! What was shown, by the digest of its text.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notice")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) digest: Vec<u8>,
    pub(crate) notice_id: String,
    pub(crate) version: i32,
    pub(crate) locale: String,
    pub(crate) text: String,
    pub(crate) first_used_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
