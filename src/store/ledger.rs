//! The ledger in order, and the tree over it.
//!
//! Changes append entries in their own transactions; [`Store::extend_ledger`] takes those below the commit horizon
//! into the tree, in the one order (sequence, id) that they will always have, and stores the signed checkpoint in the
//! same transaction. It runs under a row lock, so the tree has one right edge however many gateways try.

use kernel::ledger::Checkpoint;
use kernel::ledger::note::NoteSigner;
use kernel::ledger::tree::{Frontier, TreeHash, leaf_hash};
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};

use crate::entity::ledger_checkpoint::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, from_db};
use crate::statement::{exactly, signed, sql, unsigned};
use crate::{Backend, Store};

/// A place in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerPosition {
    /// The sequence of the transaction that wrote the entry.
    pub sequence: i64,
    /// The entry's number, which orders those of one transaction.
    pub id: i64,
}

impl LedgerPosition {
    /// Before every entry.
    const START: Self = Self { sequence: i64::MIN, id: i64::MIN };
}

/// An entry as it is stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its place.
    pub position: LedgerPosition,
    /// Its bytes.
    pub entry: Vec<u8>,
}

/// The tree at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// How many entries it covers.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
    /// The signed note.
    pub note: String,
    /// The last entry it covers.
    pub last: LedgerPosition,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Store {
    /// Takes at most `limit` new entries into the tree and stores the checkpoint, signed. `None`: there are none.
    ///
    /// Any number of processes may call it at once; one extends, the others wait for it.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when the last checkpoint does not read.
    pub async fn extend_ledger(
        &self,
        origin: &str,
        signer: &NoteSigner,
        now: Timestamp,
        limit: u32,
    ) -> Result<Option<CheckpointRow>, StoreError> {
        let base = self.sequence_base().await?;
        let writer = self.writer().clone();
        let _writer = match self.backend() {
            Backend::Postgres => None,
            Backend::Sqlite => Some(writer.acquire_owned().await.map_err(|_| StoreError::Unavailable)?),
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.db().begin_with_options(options).await.map_err(from_db)?;
        if self.backend() == Backend::Postgres {
            sql("SELECT value FROM store_meta WHERE key = 'ledger' FOR UPDATE").only_row(&transaction).await?;
        }
        let latest = latest(&transaction).await?;
        let (frontier, last) = match &latest {
            None => (Frontier::default(), LedgerPosition::START),
            Some(model) => (Frontier::from_bytes(&model.frontier).ok_or(StoreError::Tampered)?, position(model)),
        };
        if latest.as_ref().is_some_and(|model| signed(frontier.size()).ok() != Some(model.size)) {
            return Err(StoreError::Tampered);
        }
        let entries = entries_after(&transaction, self.backend(), base, last, limit).await?;
        let Some(checkpoint) = extend(frontier, &entries, origin, signer, now)? else {
            return Ok(None);
        };
        Entity::insert(checkpoint.clone().into_active())
            .exec_without_returning(&transaction)
            .await
            .map_err(from_db)?;
        transaction.commit().await.map_err(from_db)?;
        read(checkpoint.0).map(Some)
    }

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

    /// At most `count` entries from index `start` on, of those that a checkpoint covers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ledger_entries(&self, start: u64, count: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(latest) = latest(self.db()).await? else { return Ok(Vec::new()) };
        let count = u64::from(count).min(unsigned(latest.size)?.saturating_sub(start));
        // An entry has no index of its own: the nearest checkpoint before it says where to count from.
        let before = Entity::find()
            .filter(Column::Size.lte(signed(start)?))
            .order_by_desc(Column::Size)
            .one(self.db())
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
        .rows(self.db())
        .await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The latest checkpoint, if there is one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn latest_checkpoint(&self) -> Result<Option<CheckpointRow>, StoreError> {
        latest(self.db()).await?.map(read).transpose()
    }

    /// The checkpoint of one size, if one was made.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoint_at(&self, size: u64) -> Result<Option<CheckpointRow>, StoreError> {
        let model = Entity::find_by_id(signed(size)?).one(self.db()).await.map_err(from_db)?;
        model.map(read).transpose()
    }

    /// Checkpoints of more than `after_size` entries, the smallest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoints(&self, after_size: u64, limit: u32) -> Result<Vec<CheckpointRow>, StoreError> {
        let models = Entity::find()
            .filter(Column::Size.gt(signed(after_size)?))
            .order_by_asc(Column::Size)
            .limit(u64::from(limit))
            .all(self.db())
            .await
            .map_err(from_db)?;
        models.into_iter().map(read).collect()
    }
}

/// A checkpoint that is not stored yet.
#[derive(Clone)]
struct Fresh(Model);

impl Fresh {
    fn into_active(self) -> ActiveModel {
        let Model { size, root, frontier, last_sequence, last_id, note, created_at } = self.0;
        ActiveModel {
            size: Set(size),
            root: Set(root),
            frontier: Set(frontier),
            last_sequence: Set(last_sequence),
            last_id: Set(last_id),
            note: Set(note),
            created_at: Set(created_at),
        }
    }
}

fn extend(
    mut frontier: Frontier,
    entries: &[LedgerRow],
    origin: &str,
    signer: &NoteSigner,
    now: Timestamp,
) -> Result<Option<Fresh>, StoreError> {
    let Some(last) = entries.last() else { return Ok(None) };
    for row in entries {
        frontier.push(leaf_hash(&row.entry));
    }
    let root = frontier.root();
    let checkpoint = Checkpoint::new(origin, frontier.size(), root)
        .and_then(|checkpoint| checkpoint.sign(signer))
        .map_err(|_| StoreError::defect("the checkpoint could not be signed"))?;
    Ok(Some(Fresh(Model {
        size: signed(frontier.size())?,
        root: root.to_vec(),
        frontier: frontier.to_bytes(),
        last_sequence: last.position.sequence,
        last_id: last.position.id,
        note: checkpoint,
        created_at: now.as_millis(),
    })))
}

async fn entries_after<C: ConnectionTrait>(
    connection: &C,
    backend: Backend,
    base: i64,
    after: LedgerPosition,
    limit: u32,
) -> Result<Vec<LedgerRow>, StoreError> {
    let statement = match backend {
        Backend::Postgres => sql("SELECT sequence, id, entry FROM ledger_entry WHERE (sequence, id) > ($1, $2) \
             AND sequence < $4::bigint + pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
             ORDER BY sequence, id LIMIT $3"),
        Backend::Sqlite => sql("SELECT sequence, id, entry FROM ledger_entry WHERE (sequence, id) > ($1, $2) \
             AND $4 = 0 ORDER BY sequence, id LIMIT $3"),
    };
    let rows =
        statement.with(after.sequence).with(after.id).with(i64::from(limit)).with(base).rows(connection).await?;
    rows.iter()
        .map(|row| {
            let position = LedgerPosition { sequence: row.get(0)?, id: row.get(1)? };
            Ok(LedgerRow { position, entry: row.get(2)? })
        })
        .collect()
}

async fn latest<C: ConnectionTrait>(connection: &C) -> Result<Option<Model>, StoreError> {
    Entity::find().order_by_desc(Column::Size).one(connection).await.map_err(from_db)
}

const fn position(model: &Model) -> LedgerPosition {
    LedgerPosition { sequence: model.last_sequence, id: model.last_id }
}

fn read(model: Model) -> Result<CheckpointRow, StoreError> {
    Ok(CheckpointRow {
        size: unsigned(model.size)?,
        last: position(&model),
        root: exactly(model.root)?,
        note: model.note,
        created_at: Timestamp::from_millis(model.created_at),
    })
}
