//! The entries in clear, for auditors: with the key of each, so that what is read can be compared with what everybody
//! sees. They name persons by random references, so that who reads them is on record.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use kernel::authz::{Authorized, ReadLedger};
use kernel::ledger::LedgerEntry;
use serde_json::{Value as Json, json};
use store::change::RecordLedgerRead;

use crate::error::AppError;
use crate::gateway::Gateway;

/// Some entries of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerPage {
    /// The page, as one JSON document.
    pub document: Json,
    /// The index to go on from, if there is more.
    pub next: Option<u64>,
}

impl Gateway {
    /// At most `limit` entries from `start` on, of those that a checkpoint covers.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ledger_entries(
        &self,
        by: &Authorized<ReadLedger>,
        start: u64,
        limit: u32,
    ) -> Result<LedgerPage, AppError> {
        let store = &self.inner.store;
        let size = store.latest_checkpoint().await?.map_or(0, |latest| latest.size);
        let entries = store.ledger_entries(start, limit).await?;
        let end = start.saturating_add(entries.len() as u64);
        let mut openings = Vec::with_capacity(entries.len());
        let mut index = start;
        while index < end {
            let broken = || AppError::internal("the batch of an entry of the ledger is missing");
            let batch = store.ledger_batch_of(index).await?.ok_or_else(broken)?;
            for (at, published) in (batch.checkpoint.first..).zip(&batch.published) {
                if (index..end).contains(&at) {
                    openings.push((at, batch.secret.key(at), *published));
                }
            }
            index = batch.checkpoint.size;
        }
        let shown: Vec<Json> = entries
            .iter()
            .zip(&openings)
            .map(|(bytes, (index, key, published))| {
                json!({
                    "index": index,
                    "reads": LedgerEntry::from_bytes(bytes).ok(),
                    "entry": BASE64_STANDARD.encode(bytes),
                    "key": BASE64_STANDARD.encode(key.as_bytes()),
                    "published": BASE64_STANDARD.encode(published.as_bytes()),
                })
            })
            .collect();
        let client = by.actor().client().map(|client| client.client.clone());
        let read = RecordLedgerRead { client, start, count: end.saturating_sub(start), at: self.now() };
        store.perform(&read).await?;
        let next = (end < size && end > start).then_some(end);
        Ok(LedgerPage { document: json!({ "size": size, "entries": shown }), next })
    }
}
