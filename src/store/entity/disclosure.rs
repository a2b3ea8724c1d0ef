//! One page of one pull. The bitmap names persons by ordinal.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "disclosure")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) pull: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) page: i64,
    pub(crate) recipient: String,
    pub(crate) purpose: String,
    pub(crate) attributes: String,
    pub(crate) policy: Vec<u8>,
    pub(crate) at: i64,
    pub(crate) first_ordinal: Option<i64>,
    pub(crate) last_ordinal: Option<i64>,
    pub(crate) subjects: i64,
    pub(crate) bitmap: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
