//! Reading which rights were taken away.

use kernel::id::TokenId;

use sqlx::Row as _;

use crate::error::{StoreError, from_sqlx};
use crate::statement::{sql, unsigned};
use crate::{Backend, Store};

impl Store {
    /// The count of everything that took a right away so far.
    ///
    /// # Errors
    /// Those of the database: then nothing that is remembered may be relied on.
    pub async fn access_revision(&self) -> Result<u64, StoreError> {
        const STATEMENT: &str = "SELECT revision FROM access_revision WHERE id = 1";
        if self.backend() == Backend::Sqlite {
            return sql(STATEMENT).only_row(self.db()).await?.unsigned(0);
        }
        let rows = self.fetch_hot(sqlx::query(STATEMENT)).await?;
        let row = rows.first().ok_or(StoreError::Tampered)?;
        unsigned(row.try_get(0).map_err(|error| from_sqlx(&error))?)
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
