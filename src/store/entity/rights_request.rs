//! A data subject's request.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rights_request")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Vec<u8>,
    pub(crate) kind: i16,
    pub(crate) subject_id: Option<Vec<u8>>,
    pub(crate) received_at: i64,
    pub(crate) completed_at: Option<i64>,
    pub(crate) outcome: Option<String>,
    pub(crate) client: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
