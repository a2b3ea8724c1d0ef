//! The ledger in order, and the tree over it.
//!
//! Changes append entries in their own transactions; [`Store::extend_ledger`] takes those below the commit horizon
//! into the tree, in the one order (sequence, id) that they will always have, and stores what is published of them,
//! the hashes above and the signed checkpoint in the same transaction. It runs under a row lock, so the tree has one
//! right edge however many gateways try; what is not committed was never signed for anybody to see.

mod read;

use kernel::id::ReceiptId;
use kernel::ledger::note::NoteSigner;
use kernel::ledger::tile::WIDTH;
use kernel::ledger::tree::{Frontier, TreeHash, root_of};
use kernel::ledger::{BatchSecret, Checkpoint, LedgerEntry, LedgerEvent, PublishedEntry};
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ConnectionTrait, EntityTrait as _, QueryOrder as _, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
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
    pub const START: Self = Self { sequence: i64::MIN, id: i64::MIN };
    /// Behind every entry.
    pub const END: Self = Self { sequence: i64::MAX, id: i64::MAX };
}

/// An entry as it is stored.
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
    /// How many the one before covers.
    pub first: u64,
    /// The root over them.
    pub root: TreeHash,
    /// The signed note.
    pub note: String,
    /// The last entry it covers.
    pub last: LedgerPosition,
    /// When it was made.
    pub created_at: Timestamp,
}

impl CheckpointRow {
    /// Whether it completed a tile: there may be more to take in.
    #[must_use]
    pub const fn completes_tile(&self) -> bool {
        self.size.is_multiple_of(WIDTH)
    }
}

/// What one checkpoint added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// The checkpoint.
    pub checkpoint: CheckpointRow,
    /// The right edge of the tree.
    pub frontier: Vec<u8>,
    /// What its entries are blinded with.
    pub secret: BatchSecret,
    /// What is published of its entries.
    pub published: Vec<PublishedEntry>,
}

/// The root of a full tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// The root.
    pub hash: TreeHash,
    /// The beginnings of the receipts under it, at level 1.
    pub marks: Vec<u8>,
}

/// How many bytes of a receipt mark it.
const MARK: usize = 4;

impl Store {
    /// Takes at most `limit` new entries into the tree, never beyond the end of a tile, and stores the checkpoint,
    /// signed. `secret`: fresh random bytes that blind them. `None`: there are none.
    ///
    /// Any number of processes may call it at once; one extends, the others wait for it.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when the last checkpoint does not read, or is smaller than one
    /// that this process made: whoever signed on from there would fork the ledger.
    pub async fn extend_ledger(
        &self,
        origin: &str,
        signer: &NoteSigner,
        secret: BatchSecret,
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
            // A checkpoint that was seen and then lost in a crash would be signed again, differently.
            sql("SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'")
                .rows(&transaction)
                .await?;
            sql("SELECT value FROM store_meta WHERE key = 'ledger' FOR UPDATE").only_row(&transaction).await?;
        }
        let latest = latest(&transaction).await?;
        let (frontier, last) = match &latest {
            None => (Frontier::default(), LedgerPosition::START),
            Some(model) => (Frontier::from_bytes(&model.frontier).ok_or(StoreError::Tampered)?, position(model)),
        };
        if latest.as_ref().is_some_and(|model| signed(frontier.size()).ok() != Some(model.size))
            || frontier.size() < self.largest_signed()
        {
            return Err(StoreError::Tampered);
        }
        let room = u32::try_from(WIDTH - frontier.size() % WIDTH).unwrap_or(1);
        let entries = entries_after(&transaction, self.backend(), base, last, limit.min(room)).await?;
        let Some(fresh) = extend(frontier, &entries, origin, signer, &secret, now)? else {
            return Ok(None);
        };
        let (first, row) = (unsigned(fresh.first_entry)?, to_row(&fresh)?);
        Entity::insert(active(fresh)).exec_without_returning(&transaction).await.map_err(from_db)?;
        if row.completes_tile() {
            complete_tile(&transaction, first, row.size, &entries).await?;
        }
        transaction.commit().await.map_err(from_db)?;
        self.note_signed(row.size);
        Ok(Some(row))
    }
}

fn extend(
    mut frontier: Frontier,
    entries: &[LedgerRow],
    origin: &str,
    signer: &NoteSigner,
    secret: &BatchSecret,
    now: Timestamp,
) -> Result<Option<Model>, StoreError> {
    let Some(last) = entries.last() else { return Ok(None) };
    let first = frontier.size();
    let mut published = Vec::with_capacity(entries.len() * PublishedEntry::BYTES);
    for row in entries {
        let entry = secret.key(frontier.size()).publish(&row.entry);
        published.extend_from_slice(entry.as_bytes());
        frontier.push(entry.leaf());
    }
    let root = frontier.root();
    let note = Checkpoint::new(origin, frontier.size(), root)
        .and_then(|checkpoint| checkpoint.sign(signer))
        .map_err(|_| StoreError::defect("the checkpoint could not be signed"))?;
    Ok(Some(Model {
        size: signed(frontier.size())?,
        first_entry: signed(first)?,
        root: root.to_vec(),
        frontier: frontier.to_bytes(),
        last_sequence: last.position.sequence,
        last_id: last.position.id,
        created_at: now.as_millis(),
        note,
        secret: secret.as_bytes().to_vec(),
        published,
    }))
}

/// Stores the roots of the tiles that end with the tree of `size` leaves.
async fn complete_tile<C: ConnectionTrait>(
    connection: &C,
    first: u64,
    size: u64,
    added: &[LedgerRow],
) -> Result<(), StoreError> {
    let start = size.saturating_sub(WIDTH);
    let marks = if first == start {
        marks_of(added.iter().map(|row| row.entry.as_slice()))
    } else {
        let earlier = read::clear_entries(connection, start, first.saturating_sub(start)).await?;
        marks_of(earlier.iter().map(Vec::as_slice).chain(added.iter().map(|row| row.entry.as_slice())))
    };
    let leaves: Vec<_> =
        read::published(connection, start, WIDTH).await?.iter().map(PublishedEntry::leaf).collect();
    let (mut level, mut number, mut hashes, mut marks) = (1_u8, size / WIDTH - 1, leaves, marks);
    loop {
        if hashes.len() as u64 != WIDTH {
            return Err(StoreError::Tampered);
        }
        sql("INSERT INTO ledger_node (level, number, hash, marks) VALUES ($1, $2, $3, $4)")
            .with(i16::from(level))
            .with(signed(number)?)
            .with_bytes(&root_of(&hashes))
            .with(std::mem::take(&mut marks))
            .execute(connection)
            .await?;
        if !number.saturating_add(1).is_multiple_of(WIDTH) {
            return Ok(());
        }
        number /= WIDTH;
        hashes = read::nodes(connection, level, number * WIDTH, WIDTH)
            .await?
            .into_iter()
            .map(|node| node.hash)
            .collect();
        level += 1;
    }
}

/// The marks of the receipts among entries.
#[must_use]
pub fn marks_of<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    entries
        .filter_map(receipt_of)
        .flat_map(|receipt| receipt.as_bytes().iter().copied().take(MARK).collect::<Vec<_>>())
        .collect()
}

fn receipt_of(entry: &[u8]) -> Option<ReceiptId> {
    match LedgerEntry::from_bytes(entry) {
        Ok(LedgerEntry { event: LedgerEvent::ConsentCaptured { receipt, .. }, .. }) => Some(receipt),
        _ => None,
    }
}

fn active(model: Model) -> ActiveModel {
    let Model { size, first_entry, root, frontier, last_sequence, last_id, created_at, note, secret, published } =
        model;
    ActiveModel {
        size: Set(size),
        first_entry: Set(first_entry),
        root: Set(root),
        frontier: Set(frontier),
        last_sequence: Set(last_sequence),
        last_id: Set(last_id),
        created_at: Set(created_at),
        note: Set(note),
        secret: Set(secret),
        published: Set(published),
    }
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
    rows.iter().map(read::row).collect()
}

async fn latest<C: ConnectionTrait>(connection: &C) -> Result<Option<Model>, StoreError> {
    Entity::find().order_by_desc(Column::Size).one(connection).await.map_err(from_db)
}

const fn position(model: &Model) -> LedgerPosition {
    LedgerPosition { sequence: model.last_sequence, id: model.last_id }
}

fn to_row(model: &Model) -> Result<CheckpointRow, StoreError> {
    Ok(CheckpointRow {
        size: unsigned(model.size)?,
        first: unsigned(model.first_entry)?,
        last: position(model),
        root: exactly(model.root.clone())?,
        note: model.note.clone(),
        created_at: Timestamp::from_millis(model.created_at),
    })
}
