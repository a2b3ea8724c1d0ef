//! Units of work: a change and its ledger entry are committed together, or neither is.
//!
//! A [`Change`] is a value, so a unit that lost against another writer is simply run again, whole. [`Committed`] is
//! made by a commit alone: whatever changes memory after a write takes one, so that it cannot run too early.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use kernel::ledger::LedgerEntry;
use sea_orm::{DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait as _};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

use crate::change::Change;
use crate::error::{StoreError, from_db};
use crate::statement::sql;
use crate::{Backend, Store};

/// How often a unit that lost against other writers is run again.
const RETRIES: u32 = 5;

/// What a change writes into the ledger. There is no way to write nothing without saying why.
#[derive(Debug)]
pub struct Entries(Kind);

#[derive(Debug)]
enum Kind {
    Recorded(Vec<LedgerEntry>),
    Unchanged(Unchanged),
}

/// Why a change that was applied changed nothing that the ledger tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// It was done before, and is answered as it was then.
    AlreadyDone,
    /// The person it is about is not here.
    NoSuchSubject,
    /// It was turned away as a whole: suppressed, ambiguous, or under a used key.
    TurnedAway,
    /// Its entry is written by another change of the same unit.
    ToldElsewhere,
    /// It swept up what had expired, which says nothing of anybody.
    Housekeeping,
    /// It is about how far a letter got; what the letter is about was told when it was written.
    Delivery,
    /// It prepares what a later change carries out and tells of.
    Prepared,
}

impl Entries {
    /// One entry.
    pub(crate) fn one(entry: LedgerEntry) -> Self {
        Self(Kind::Recorded(vec![entry]))
    }

    /// As many as there are, and a reason in case there are none.
    pub(crate) fn each(entries: impl IntoIterator<Item = LedgerEntry>, if_none: Unchanged) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        if entries.is_empty() { Self(Kind::Unchanged(if_none)) } else { Self(Kind::Recorded(entries)) }
    }

    /// None, for a reason.
    pub(crate) const fn unchanged(reason: Unchanged) -> Self {
        Self(Kind::Unchanged(reason))
    }

    /// Those of two changes of one unit.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Kind::Recorded(mut entries), Kind::Recorded(more)) => {
                entries.extend(more);
                Self(Kind::Recorded(entries))
            }
            (Kind::Recorded(entries), Kind::Unchanged(_)) | (Kind::Unchanged(_), Kind::Recorded(entries)) => {
                Self(Kind::Recorded(entries))
            }
            (Kind::Unchanged(reason), Kind::Unchanged(_)) => Self(Kind::Unchanged(reason)),
        }
    }
}

/// What a change writes through. Only a [`Transaction`] has one to lend.
pub struct Conn<'t> {
    transaction: &'t DatabaseTransaction,
    backend: Backend,
    base: i64,
    sequence: &'t OnceCell<i64>,
}

impl fmt::Debug for Conn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Conn<'_> {
    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) const fn raw(&self) -> &DatabaseTransaction {
        self.transaction
    }

    /// The `$1` of statements that write a sequence: on PostgreSQL the base to which the statement adds the
    /// transaction's number, on SQLite the number of this transaction.
    pub(crate) async fn sequence(&self) -> Result<i64, StoreError> {
        match self.backend {
            Backend::Postgres => Ok(self.base),
            Backend::Sqlite => {
                let next = || async {
                    sql("UPDATE counter SET value = value + 1 WHERE name = 'transaction' RETURNING value")
                        .only_row(self.transaction)
                        .await?
                        .get(0)
                };
                self.sequence.get_or_try_init(next).await.copied()
            }
        }
    }
}

/// The text of a statement that is a unit by itself. It begins with the ledger entries: `$1` is the base of sequences,
/// `$2` the entries; the rest counts on from `$3`.
macro_rules! at_once {
    ($rest:literal) => {
        concat!(
            "WITH ledger AS (INSERT INTO ledger_entry (sequence, entry) ",
            "SELECT $1 + pg_current_xact_id()::text::bigint, unnest($2::bytea[])), ",
            $rest
        )
    };
}

pub(crate) use at_once;

/// What a change writes through that is one statement. The statement is begun with the ledger entries or not at all.
pub struct AtOnce<'s> {
    store: &'s Store,
    base: i64,
}

impl fmt::Debug for AtOnce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtOnce(..)")
    }
}

impl<'s> AtOnce<'s> {
    pub(crate) fn store(&self) -> &'s Store {
        self.store
    }

    /// Begins a statement made with [`at_once!`] and binds its first two arguments. Arguments are written into the
    /// message to the server as they are bound, without the copies that a list of values would need: what concerns
    /// every capture and every look-up is worth that.
    pub(crate) fn begin(
        &self,
        text: &'static str,
        entries: Entries,
    ) -> Result<Query<'static, Postgres, PgArguments>, StoreError> {
        let entries = match entries.0 {
            Kind::Recorded(entries) => encode(&entries)?,
            Kind::Unchanged(_) => Vec::new(),
        };
        Ok(sqlx::query(text).bind(self.base).bind(entries))
    }

    /// Runs it: durable when it returns.
    pub(crate) async fn finish(&self, statement: Query<'_, Postgres, PgArguments>) -> Result<(), StoreError> {
        self.store.fetch_hot(statement).await.map(drop)
    }
}

/// Proof that a unit was committed.
#[derive(Debug)]
pub struct Committed(());

/// A unit of work. Dropping it without [`Transaction::commit`] undoes it.
#[must_use = "a unit that is not committed is undone"]
pub struct Transaction {
    inner: DatabaseTransaction,
    store: Store,
    base: i64,
    sequence: OnceCell<i64>,
    /// Whether a change failed or was abandoned halfway: such a unit never commits.
    broken: bool,
    destroys: bool,
    // INVARIANT: declared after `inner`, so that the next writer starts only when this one is rolled back.
    _writer: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Transaction {
    /// Applies a change and writes its ledger entries.
    ///
    /// # Errors
    /// Those of the change. After one, the unit can only be undone.
    pub async fn perform<C: Change>(&mut self, change: &C) -> Result<C::Output, StoreError> {
        // Also when this future is dropped halfway.
        self.broken = true;
        let conn = Conn {
            transaction: &self.inner,
            backend: self.store.backend(),
            base: self.base,
            sequence: &self.sequence,
        };
        let output = change.apply(&conn).await?;
        if let Kind::Recorded(entries) = change.entries(&output).0 {
            record(&conn, &entries).await?;
        }
        self.broken = false;
        self.destroys |= C::DESTROYS;
        Ok(output)
    }

    /// Makes the unit durable.
    ///
    /// # Errors
    /// Those of the database. [`StoreError::Unavailable`] leaves open whether the commit took place.
    pub async fn commit(self) -> Result<Committed, StoreError> {
        if self.broken {
            self.inner.rollback().await.map_err(from_db)?;
            return Err(StoreError::defect("a unit in which a change failed cannot be committed"));
        }
        self.inner.commit().await.map_err(from_db)?;
        // The unit is durable: from here on nothing may turn it into an error.
        if self.destroys && !self.store.scrub().await.unwrap_or(false) {
            tracing::warn!(
                "what was erased is still in the write-ahead log; the next erasure or scrub removes it"
            );
        }
        Ok(Committed(()))
    }
}

impl Store {
    /// Begins a unit of work.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let base = self.sequence_base().await?;
        let writer = match self.backend() {
            Backend::Postgres => None,
            Backend::Sqlite => {
                let permit = self.writer().clone().acquire_owned().await;
                Some(permit.map_err(|_| StoreError::Unavailable)?)
            }
        };
        // SQLite: a transaction that reads and only then writes fails when another one wrote in between, whatever the
        // timeout. IMMEDIATE takes the write lock at the start.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.db().begin_with_options(options).await.map_err(from_db)?;
        Ok(Transaction {
            inner,
            store: self.clone(),
            base,
            sequence: OnceCell::new(),
            broken: false,
            destroys: false,
            _writer: writer,
        })
    }

    /// Performs one change as a unit of its own; when it lost against other writers, again, up to five times.
    ///
    /// # Errors
    /// Those of the change and of the commit.
    pub async fn perform<C: Change>(&self, change: &C) -> Result<(C::Output, Committed), StoreError> {
        let mut attempt = 0;
        loop {
            match self.perform_once(change).await {
                Err(StoreError::Busy) if attempt < RETRIES => {
                    tracing::debug!(change = C::NAME, attempt, "lost against another writer");
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn perform_once<C: Change>(&self, change: &C) -> Result<(C::Output, Committed), StoreError> {
        if self.backend() == Backend::Postgres {
            let once = AtOnce { store: self, base: self.sequence_base().await? };
            match change.at_once(&once).await {
                Ok(Some(output)) => return Ok((output, Committed(()))),
                Ok(None) => {}
                // It may have been committed when the answer was lost: only the caller can know what to do.
                Err(StoreError::Unavailable) => return Err(StoreError::Unavailable),
                Err(error) => tracing::debug!(change = C::NAME, %error, "not possible as one statement"),
            }
        }
        let mut transaction = self.begin().await?;
        match transaction.perform(change).await {
            Ok(output) => Ok((output, transaction.commit().await?)),
            Err(error) => {
                // Undone now rather than when the connection is used again: its locks are awaited by others. A
                // connection that cannot even do that is gone, and its server undoes the unit.
                if transaction.inner.rollback().await.is_err() {
                    tracing::debug!(change = C::NAME, "the connection was lost before the unit was undone");
                }
                Err(error)
            }
        }
    }

    /// Removes from SQLite's write-ahead log what erasures left in it, and tells whether nothing is left. On
    /// PostgreSQL there is nothing that a client could do.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        if self.backend() == Backend::Postgres {
            return Ok(true);
        }
        // The first column says whether a reader of an older state stood in the way.
        let row = sql("PRAGMA wal_checkpoint(TRUNCATE)").only_row(self.db()).await?;
        Ok(row.get::<i64>(0)? == 0)
    }
}

/// 2, 4, 8 … milliseconds and up to as much again, so that those who collided do not meet again.
pub(crate) fn pause(attempt: u32) -> Duration {
    let bound = 2_u64 << attempt.min(8);
    // Spreading needs no secrecy: the hasher's seed will do.
    let spread = RandomState::new().hash_one(attempt) % (bound * 1000);
    Duration::from_micros(bound * 1000 + spread)
}

fn encode(entries: &[LedgerEntry]) -> Result<Vec<Vec<u8>>, StoreError> {
    let encoded: Result<_, _> = entries.iter().map(LedgerEntry::to_bytes).collect();
    encoded.map_err(|_| StoreError::defect("a ledger entry is too long"))
}

async fn record(conn: &Conn<'_>, entries: &[LedgerEntry]) -> Result<(), StoreError> {
    let encoded = encode(entries)?;
    let sequence = conn.sequence().await?;
    match conn.backend() {
        Backend::Postgres => {
            sql("INSERT INTO ledger_entry (sequence, entry) \
                 SELECT $1::bigint + pg_current_xact_id()::text::bigint, entry \
                 FROM unnest($2::bytea[]) WITH ORDINALITY AS t (entry, place) ORDER BY place")
            .with(sequence)
            .with(encoded)
            .execute(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            for entry in encoded {
                sql("INSERT INTO ledger_entry (sequence, entry) VALUES ($1, $2)")
                    .with(sequence)
                    .with(entry)
                    .execute(conn.raw())
                    .await?;
            }
        }
    }
    Ok(())
}
