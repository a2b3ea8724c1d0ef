//! What happened to a data subject's request.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rights_event")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) request: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sequence: i32,
    pub(crate) at: i64,
    pub(crate) event: String,
}

impl ActiveModelBehavior for ActiveModel {}
