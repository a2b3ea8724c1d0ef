//! Reading what persons asked for.

use kernel::client::ClientId;
use kernel::id::RightsRequestId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::Store;
use crate::entity::rights_request::{Column, Entity, Model};
use crate::error::{StoreError, from_db};
use crate::statement::{exactly, name};

/// A data subject's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsRequestRow {
    /// Its id.
    pub id: RightsRequestId,
    /// The code of its kind.
    pub kind: u8,
    /// Who asked, if known here and not erased.
    pub subject: Option<SubjectId>,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The program that passed it on, if one did.
    pub client: Option<ClientId>,
}

impl Store {
    /// A request by its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rights_request(&self, id: RightsRequestId) -> Result<Option<RightsRequestRow>, StoreError> {
        let model = Entity::find_by_id(id.as_bytes().to_vec()).one(self.db()).await.map_err(from_db)?;
        model.map(read).transpose()
    }

    /// Requests, the latest received first, after a position.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rights_requests(
        &self,
        after: Option<(Timestamp, RightsRequestId)>,
        limit: u32,
    ) -> Result<Vec<RightsRequestRow>, StoreError> {
        let mut query = Entity::find();
        if let Some((received, id)) = after {
            let same_time = Column::ReceivedAt.eq(received.as_millis()).and(Column::Id.lt(id.as_bytes().to_vec()));
            query = query.filter(Column::ReceivedAt.lt(received.as_millis()).or(same_time));
        }
        let models = query
            .order_by_desc(Column::ReceivedAt)
            .order_by_desc(Column::Id)
            .limit(u64::from(limit))
            .all(self.db())
            .await
            .map_err(from_db)?;
        models.into_iter().map(read).collect()
    }
}

fn read(model: Model) -> Result<RightsRequestRow, StoreError> {
    Ok(RightsRequestRow {
        id: RightsRequestId::from_bytes(exactly(model.id)?),
        kind: model.kind.try_into().map_err(|_| StoreError::Tampered)?,
        subject: model.subject_id.map(|id| exactly(id).map(SubjectId::from_bytes)).transpose()?,
        received_at: Timestamp::from_millis(model.received_at),
        completed_at: model.completed_at.map(Timestamp::from_millis),
        outcome: model.outcome,
        client: model.client.as_deref().map(name).transpose()?,
    })
}
