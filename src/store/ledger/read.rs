//! Reading the ledger: entries as they lie, what is published of them, the tree above, and what witnesses said.

use kernel::id::ReceiptId;
use kernel::ledger::cosign::Cosignature;
use kernel::ledger::tile::WIDTH;
use kernel::ledger::{BatchSecret, PublishedEntry};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    BatchRow, CheckpointRow, LedgerPosition, LedgerRow, MARK, NodeRow, entries_after, latest, position,
    receipt_of, to_row,
};
use crate::entity::ledger_checkpoint::{Column, Entity, Model};
use crate::error::{StoreError, from_db};
use crate::statement::{Row, exactly, signed, sql, unsigned};
use crate::{Backend, Store};

impl Store {
    /// The entries after a position, in the order of the ledger, below the commit horizon.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn entries_after(
        &self,
        after: Option<LedgerPosition>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let base = self.sequence_base().await?;
        entries_after(self.db(), self.backend(), base, after.unwrap_or(LedgerPosition::START), limit).await
    }

    /// The entries after one position up to another, in order, at most `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn entries_between(
        &self,
        after: LedgerPosition,
        until: LedgerPosition,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let rows = sql("SELECT sequence, id, entry FROM ledger_entry WHERE (sequence, id) > ($1, $2) \
             AND (sequence, id) <= ($3, $4) ORDER BY sequence, id LIMIT $5")
        .with(after.sequence)
        .with(after.id)
        .with(until.sequence)
        .with(until.id)
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter().map(row).collect()
    }

    /// At most `count` entries from index `start` on, of those that a checkpoint covers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ledger_entries(&self, start: u64, count: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(latest) = latest(self.db()).await? else { return Ok(Vec::new()) };
        let count = u64::from(count).min(unsigned(latest.size)?.saturating_sub(start));
        clear_entries(self.db(), start, count).await
    }

    /// What is published of at most `count` entries from index `start` on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn published_entries(&self, start: u64, count: u64) -> Result<Vec<PublishedEntry>, StoreError> {
        published(self.db(), start, count).await
    }

    /// The roots of full tiles: `count` hashes of a level from 1 on, beginning with number `first`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ledger_nodes(&self, level: u8, first: u64, count: u64) -> Result<Vec<NodeRow>, StoreError> {
        nodes(self.db(), level, first, count).await
    }

    /// How many roots of full tiles are stored, of all levels.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count_ledger_nodes(&self) -> Result<u64, StoreError> {
        sql("SELECT count(*) FROM ledger_node").only_row(self.db()).await?.unsigned(0)
    }

    /// The latest checkpoint, if there is one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn latest_checkpoint(&self) -> Result<Option<CheckpointRow>, StoreError> {
        latest(self.db()).await?.as_ref().map(to_row).transpose()
    }

    /// The checkpoint of one size, if one was made.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoint_at(&self, size: u64) -> Result<Option<CheckpointRow>, StoreError> {
        let model = Entity::find_by_id(signed(size)?).one(self.db()).await.map_err(from_db)?;
        model.as_ref().map(to_row).transpose()
    }

    /// Checkpoints of more than `after_size` entries, the smallest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoints(&self, after_size: u64, limit: u32) -> Result<Vec<CheckpointRow>, StoreError> {
        models(self.db(), after_size, limit).await?.iter().map(to_row).collect()
    }

    /// What the checkpoints of more than `after_size` entries added, the smallest first.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when something has not the length it was stored with.
    pub async fn ledger_batches(&self, after_size: u64, limit: u32) -> Result<Vec<BatchRow>, StoreError> {
        models(self.db(), after_size, limit).await?.into_iter().map(batch).collect()
    }

    /// The batch that holds the entry of an index, if a checkpoint covers it.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] as for [`Store::ledger_batches`].
    pub async fn ledger_batch_of(&self, index: u64) -> Result<Option<BatchRow>, StoreError> {
        Ok(self.ledger_batches(index, 1).await?.pop())
    }

    /// The index of the entry that recorded a receipt, if a checkpoint covers it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find_receipt(&self, receipt: ReceiptId) -> Result<Option<u64>, StoreError> {
        let mark: Vec<u8> = receipt.as_bytes().iter().copied().take(MARK).collect();
        let marked = match self.backend() {
            Backend::Postgres => {
                sql("SELECT number FROM ledger_node WHERE level = 1 AND position($1 IN marks) > 0 ORDER BY number")
            }
            Backend::Sqlite => {
                sql("SELECT number FROM ledger_node WHERE level = 1 AND instr(marks, $1) > 0 ORDER BY number")
            }
        };
        let rows = marked.with(mark).rows(self.db()).await?;
        let mut tiles: Vec<u64> = rows.iter().map(|row| row.unsigned(0)).collect::<Result<_, _>>()?;
        // The last tile is not complete and has no marks.
        let size = self.latest_checkpoint().await?.map_or(0, |latest| latest.size);
        tiles.push(size / WIDTH);
        for tile in tiles {
            let start = tile.saturating_mul(WIDTH);
            let entries = clear_entries(self.db(), start, WIDTH.min(size.saturating_sub(start))).await?;
            if let Some(place) = entries.iter().position(|entry| receipt_of(entry) == Some(receipt)) {
                return Ok(Some(start.saturating_add(place as u64)));
            }
        }
        Ok(None)
    }

    /// Keeps a witness's cosignature of the checkpoint of a size. A second one by the same witness says nothing new.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep_cosignature(
        &self,
        size: u64,
        witness: &str,
        cosignature: &Cosignature,
    ) -> Result<(), StoreError> {
        let seconds = i64::try_from(cosignature.time).unwrap_or(i64::MAX);
        sql("INSERT INTO ledger_cosignature (size, witness, line, cosigned_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (size, witness) DO NOTHING")
        .with(signed(size)?)
        .with(witness)
        .with(cosignature.line.as_str())
        .with(seconds)
        .execute(self.db())
        .await?;
        Ok(())
    }

    /// The cosignature lines of the checkpoint of a size.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cosignatures(&self, size: u64) -> Result<Vec<String>, StoreError> {
        let rows = sql("SELECT line FROM ledger_cosignature WHERE size = $1 ORDER BY witness")
            .with(signed(size)?)
            .rows(self.db())
            .await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The largest size that a witness cosigned.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn largest_cosigned(&self) -> Result<Option<u64>, StoreError> {
        let row = sql("SELECT size FROM ledger_cosignature ORDER BY size DESC LIMIT 1").row(self.db()).await?;
        row.map(|row| row.unsigned(0)).transpose()
    }
}

async fn models<C: ConnectionTrait>(
    connection: &C,
    after_size: u64,
    limit: u32,
) -> Result<Vec<Model>, StoreError> {
    Entity::find()
        .filter(Column::Size.gt(signed(after_size)?))
        .order_by_asc(Column::Size)
        .limit(u64::from(limit))
        .all(connection)
        .await
        .map_err(from_db)
}

pub(super) fn row(row: &Row) -> Result<LedgerRow, StoreError> {
    let position = LedgerPosition { sequence: row.get(0)?, id: row.get(1)? };
    Ok(LedgerRow { position, entry: row.get(2)? })
}

fn batch(model: Model) -> Result<BatchRow, StoreError> {
    let checkpoint = to_row(&model)?;
    let published = split(&model.published)?;
    Ok(BatchRow {
        checkpoint,
        frontier: model.frontier,
        secret: BatchSecret::from_bytes(exactly(model.secret)?),
        published,
    })
}

fn split(published: &[u8]) -> Result<Vec<PublishedEntry>, StoreError> {
    let (entries, rest) = published.as_chunks::<{ PublishedEntry::BYTES }>();
    if !rest.is_empty() {
        return Err(StoreError::Tampered);
    }
    Ok(entries.iter().map(|bytes| PublishedEntry::from_bytes(*bytes)).collect())
}

/// Entries by index: the nearest checkpoint before them says where to count from.
pub(super) async fn clear_entries<C: ConnectionTrait>(
    connection: &C,
    start: u64,
    count: u64,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let before = Entity::find()
        .filter(Column::Size.lte(signed(start)?))
        .order_by_desc(Column::Size)
        .one(connection)
        .await
        .map_err(from_db)?;
    let (size, from) = match &before {
        Some(model) => (unsigned(model.size)?, position(model)),
        None => (0, LedgerPosition::START),
    };
    let rows = sql("SELECT entry FROM ledger_entry WHERE (sequence, id) > ($1, $2) ORDER BY sequence, id \
         LIMIT $3 OFFSET $4")
    .with(from.sequence)
    .with(from.id)
    .with(signed(count)?)
    .with(signed(start.saturating_sub(size))?)
    .rows(connection)
    .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

pub(super) async fn published<C: ConnectionTrait>(
    connection: &C,
    start: u64,
    count: u64,
) -> Result<Vec<PublishedEntry>, StoreError> {
    let end = start.saturating_add(count);
    // A batch is within one tile, so the last one that is needed ends less than a tile behind the end.
    let rows =
        sql("SELECT first_entry, published FROM ledger_checkpoint WHERE size > $1 AND size <= $2 ORDER BY size")
            .with(signed(start)?)
            .with(signed(end.saturating_add(WIDTH))?)
            .rows(connection)
            .await?;
    let mut entries = Vec::new();
    for row in &rows {
        let bytes: Vec<u8> = row.get(1)?;
        let indices = row.unsigned(0)?..;
        let wanted = indices.zip(split(&bytes)?).filter(|(index, _)| (start..end).contains(index));
        entries.extend(wanted.map(|(_, entry)| entry));
    }
    Ok(entries)
}

pub(super) async fn nodes<C: ConnectionTrait>(
    connection: &C,
    level: u8,
    first: u64,
    count: u64,
) -> Result<Vec<NodeRow>, StoreError> {
    let rows = sql(
        "SELECT hash, marks FROM ledger_node WHERE level = $1 AND number >= $2 AND number < $3 ORDER BY number",
    )
    .with(i16::from(level))
    .with(signed(first)?)
    .with(signed(first.saturating_add(count))?)
    .rows(connection)
    .await?;
    rows.iter().map(|row| Ok(NodeRow { hash: row.bytes(0)?, marks: row.get(1)? })).collect()
}
