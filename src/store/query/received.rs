//! Whose data a recipient received: from the record of disclosures, person by person.

use std::collections::BTreeMap;

use kernel::attribute::AttributeName;
use kernel::id::SubjectId;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use roaring::RoaringTreemap;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{names, signed, sql};

/// How many disclosures are read at a time.
const BATCH: i64 = 256;

/// What a recipient received in some time.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Everybody who was in it, by ordinal: those who were erased since, too.
    pub everybody: RoaringTreemap,
    /// Of whom each attribute was received.
    pub by_attribute: BTreeMap<AttributeName, RoaringTreemap>,
    /// How many pages and look-ups it came in.
    pub disclosures: u64,
}

impl Store {
    /// What a recipient received from an instant on and before another.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when a bitmap does not read.
    pub async fn received(
        &self,
        recipient: &RecipientId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Received, StoreError> {
        let mut received = Received::default();
        let mut place = (Vec::<u8>::new(), -1_i64);
        loop {
            let rows = sql("SELECT pull, page, attributes, bitmap FROM disclosure \
                            WHERE recipient = $1 AND at >= $2 AND at < $3 AND (pull, page) > ($4, $5) \
                            ORDER BY pull, page LIMIT $6")
            .with(recipient.as_str())
            .with(from.as_millis())
            .with(until.as_millis())
            .with(place.0.clone())
            .with(place.1)
            .with(BATCH)
            .rows(self.db())
            .await?;
            for row in &rows {
                place = (row.get(0)?, row.get(1)?);
                let bitmap: Vec<u8> = row.get(3)?;
                let bitmap =
                    RoaringTreemap::deserialize_from(bitmap.as_slice()).map_err(|_| StoreError::Tampered)?;
                for attribute in names(&row.get::<String>(2)?)? {
                    *received.by_attribute.entry(attribute).or_default() |= &bitmap;
                }
                received.everybody |= bitmap;
                received.disclosures += 1;
            }
            if (rows.len() as u64) < BATCH.unsigned_abs() {
                return Ok(received);
            }
        }
    }

    /// Those who are here still, of some ordinals, each with its ordinal.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn subjects_at(&self, ordinals: &[u64]) -> Result<Vec<(u64, SubjectId)>, StoreError> {
        let mut found = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            let row =
                sql("SELECT id FROM subject WHERE ordinal = $1").with(signed(*ordinal)?).row(self.db()).await?;
            if let Some(row) = row {
                found.push((*ordinal, SubjectId::from_bytes(row.bytes(0)?)));
            }
        }
        Ok(found)
    }
}
