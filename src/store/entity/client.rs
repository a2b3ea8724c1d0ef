//! Who may call.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) secret_hash: String,
    pub(crate) recipient: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) scopes: String,
    pub(crate) purposes: String,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) jwks: Option<String>,
    pub(crate) generation: i32,
    pub(crate) bound_tokens: i16,
}

impl ActiveModelBehavior for ActiveModel {}
