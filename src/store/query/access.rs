//! Reading which rights were taken away.

use kernel::id::TokenId;

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

impl Store {
    /// The count of everything that took a right away so far.
    ///
    /// # Errors
    /// Those of the database: then nothing that is remembered may be relied on.
    pub async fn access_revision(&self) -> Result<u64, StoreError> {
        sql("SELECT revision FROM access_revision WHERE id = 1").only_row(self.db()).await?.unsigned(0)
    }

    /// Whether a token was taken back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_token_revoked(&self, token: TokenId) -> Result<bool, StoreError> {
        let found = sql("SELECT 1 FROM revoked_token WHERE token_id = $1")
            .with_bytes(token.as_bytes())
            .row(self.db())
            .await?;
        Ok(found.is_some())
    }
}
