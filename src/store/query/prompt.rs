//! The questions that forms put to a person.

use kernel::id::ReceiptId;
use kernel::purpose::Purpose;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{name, sql};

/// The questions put to one person for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptRow {
    /// The purpose.
    pub purpose: Purpose,
    /// The receipt whose bearer was asked; `None` where the person was named.
    pub receipt: Option<ReceiptId>,
    /// How many since the last answer.
    pub count: u32,
    /// When the latest was.
    pub last_at: Timestamp,
}

/// A receipt as a part of the key, which cannot be null.
pub(crate) fn key_of(receipt: Option<ReceiptId>) -> Vec<u8> {
    receipt.map(|receipt| receipt.as_bytes().to_vec()).unwrap_or_default()
}

impl Store {
    /// Every question put to a person.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prompts_of(&self, subject: SubjectId) -> Result<Vec<PromptRow>, StoreError> {
        let rows = sql("SELECT purpose, receipt, count, last_at FROM prompt WHERE subject_id = $1 \
             ORDER BY purpose, receipt")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter()
            .map(|row| {
                let (purpose, receipt): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
                let receipt = match receipt.as_slice() {
                    [] => None,
                    bytes => Some(ReceiptId::from_slice(bytes).ok_or(StoreError::Tampered)?),
                };
                Ok(PromptRow {
                    purpose: name(&purpose)?,
                    receipt,
                    count: row.get::<i32>(2)?.try_into().map_err(|_| StoreError::Tampered)?,
                    last_at: Timestamp::from_millis(row.get(3)?),
                })
            })
            .collect()
    }
}
