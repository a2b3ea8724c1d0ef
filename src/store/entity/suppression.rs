//! A fingerprint that imports must not bring back.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppression")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) fingerprint: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) scope: String,
    pub(crate) reason: String,
    pub(crate) since: i64,
}

impl ActiveModelBehavior for ActiveModel {}
