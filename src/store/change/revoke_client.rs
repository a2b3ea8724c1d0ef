//! Takes a program's credentials back. The row stays, so that its name is never given to another.

use kernel::client::ClientId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{Change, access_revision, sealed};
use crate::entity::client;
use crate::error::{StoreError, from_db};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A client to revoke.
#[derive(Debug, Clone)]
pub struct RevokeClient {
    /// Which.
    pub client: ClientId,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RevokeClient {}

impl Change for RevokeClient {
    /// Whether it was revoked now: one that is unknown or revoked already is left as it is.
    type Output = bool;
    const NAME: &'static str = "revoke_client";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let updated = client::Entity::update_many()
            .col_expr(client::Column::RevokedAt, Expr::value(self.at.as_millis()))
            .filter(client::Column::Id.eq(self.client.as_str()))
            .filter(client::Column::RevokedAt.is_null())
            .exec(conn.raw())
            .await
            .map_err(from_db)?;
        let revoked = updated.rows_affected > 0;
        if revoked {
            access_revision::advance(conn).await?;
        }
        Ok(revoked)
    }

    fn entries(&self, revoked: &bool) -> Entries {
        if *revoked {
            let event = LedgerEvent::ClientRevoked { client: self.client.clone() };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}
