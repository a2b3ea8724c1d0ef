//! Takes one access token back before its time (RFC 7009).

use kernel::client::ClientId;
use kernel::id::TokenId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A token to take back.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// Its identifier.
    pub token: TokenId,
    /// The client it was issued to.
    pub client: ClientId,
    /// When it would have ended.
    pub expires_at: Timestamp,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RevokeToken {}

impl Change for RevokeToken {
    /// Whether it was taken back now.
    type Output = bool;
    const NAME: &'static str = "revoke_token";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let inserted = sql(
            "INSERT INTO revoked_token (token_id, client, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .with_bytes(self.token.as_bytes())
        .with(self.client.as_str())
        .with(self.expires_at.as_millis())
        .execute(conn.raw())
        .await?;
        if inserted == 1 {
            access_revision::advance(conn).await?;
        }
        Ok(inserted == 1)
    }

    fn entries(&self, revoked: &bool) -> Entries {
        if *revoked {
            let event = LedgerEvent::TokenRevoked { client: self.client.clone() };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}
