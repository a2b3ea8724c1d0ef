//! Gives a program other credentials: the ones before, and every token that was issued for them, end with this commit.

use kernel::client::ClientId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::query::ClientCredentials;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Other credentials for a client that is not revoked.
#[derive(Debug, Clone)]
pub struct ReplaceCredentials {
    /// Which.
    pub client: ClientId,
    /// How it proves itself from now on.
    pub credentials: ClientCredentials,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for ReplaceCredentials {}

impl Change for ReplaceCredentials {
    /// Whether there is such a client.
    type Output = bool;
    const NAME: &'static str = "replace_credentials";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let (secret_hash, jwks) = self.credentials.columns();
        let replaced = sql("UPDATE client SET secret_hash = $2, jwks = $3, generation = generation + 1 \
             WHERE id = $1 AND revoked_at IS NULL")
        .with(self.client.as_str())
        .with(secret_hash)
        .with(jwks)
        .execute(conn.raw())
        .await?;
        if replaced == 1 {
            access_revision::advance(conn).await?;
        }
        Ok(replaced == 1)
    }

    fn entries(&self, replaced: &bool) -> Entries {
        if *replaced {
            let event = LedgerEvent::ClientCredentialsReplaced { client: self.client.clone() };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}
