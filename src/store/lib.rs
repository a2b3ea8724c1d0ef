//! The only crate that speaks SQL: sea-orm and sqlx end here, and no type of theirs is in a public signature.
//!
//! - [`change`]: every write there is, one file each. What is not in that folder cannot happen to data.
//! - [`query`]: every read, as methods of [`Store`].
//! - [`unit_of_work`]: a write and its ledger entry are committed together, or not at all.
//! - [`ledger`]: reading the ledger in order and extending its tree.
//!
//! SQLite (a file) and PostgreSQL hold the same tables and pass the same tests. The store opens standings and events
//! to fold them; attributes it only carries, sealed.

pub mod change;
mod connect;
mod entity;
mod error;
mod examine;
mod hot;
mod lease;
pub mod ledger;
pub mod query;
mod schema;
mod sequence;
mod statement;
pub mod unit_of_work;

use sea_orm::DatabaseConnection;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{OnceCell, Semaphore};

pub use change::Change;
pub use connect::StoreSettings;
pub use error::{StoreError, Unexpected};
pub use unit_of_work::{Committed, Transaction};

use error::from_db;
use hot::HotConnections;

/// How often a connection that others kept from opening the store is tried again.
const CONNECTS: u32 = 8;

/// Which database holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file: one machine, one writer at a time.
    Sqlite,
    /// PostgreSQL: many gateways.
    Postgres,
}

/// The store. Cheap to clone; all clones share one pool of connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    db: DatabaseConnection,
    backend: Backend,
    base: OnceCell<i64>,
    /// SQLite lets one connection write. Waiting for it here is fair and keeps the other connections for readers.
    writer: Arc<Semaphore>,
    /// Whether the last captures were of persons who were new.
    strangers: AtomicBool,
    /// The size of the largest checkpoint that this process signed.
    signed: AtomicU64,
    hot: HotConnections,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.shared.backend).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. A new database is empty until [`Store::migrate`] was called.
    ///
    /// # Errors
    /// [`StoreError::UnknownSchema`] when a newer version migrated the database; [`StoreError::Unavailable`] or
    /// [`StoreError::Unexpected`] when it cannot be reached or used.
    pub async fn connect(settings: &StoreSettings) -> Result<Self, StoreError> {
        let mut attempt = 0;
        loop {
            match Self::try_connect(settings).await {
                // A new SQLite file is switched to its journal by whoever comes first; the others come again.
                Err(StoreError::Busy) if attempt < CONNECTS => {
                    tokio::time::sleep(unit_of_work::pause(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_connect(settings: &StoreSettings) -> Result<Self, StoreError> {
        let shared = Shared {
            db: connect::connect(settings).await?,
            backend: settings.backend()?,
            base: OnceCell::new(),
            writer: Arc::new(Semaphore::new(1)),
            strangers: AtomicBool::new(true),
            signed: AtomicU64::new(0),
            hot: HotConnections::new(connect::hot_options(settings)?, hot::share_of(settings.max_connections)),
        };
        let store = Self { shared: Arc::new(shared) };
        store.pending_migrations().await?;
        Ok(store)
    }

    /// Which database it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.shared.backend
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db().ping().await.map_err(from_db)
    }

    /// Closes all connections, of every clone.
    pub async fn close(self) {
        self.shared.hot.clear();
        // A pool that does not close in order is closed by the end of the process.
        if self.db().close_by_ref().await.is_err() {
            tracing::debug!("the pool of connections did not close in order");
        }
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.shared.db
    }

    /// Asks PostgreSQL through a connection at hand: for what every capture and every look-up needs.
    pub(crate) async fn fetch_hot(
        &self,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
        let mut connection = self.hot().take(self.db().get_postgres_connection_pool()).await?;
        let rows = statement.fetch_all(&mut *connection).await.map_err(|error| error::from_sqlx(&error))?;
        self.hot().put_back(connection);
        Ok(rows)
    }

    /// PostgreSQL's connections that are used over and over.
    pub(crate) fn hot(&self) -> &HotConnections {
        &self.shared.hot
    }

    pub(crate) fn base_cell(&self) -> &OnceCell<i64> {
        &self.shared.base
    }

    /// Whether captures are tried as if of new persons only. A guess: it decides how, never what is written.
    pub(crate) fn expects_strangers(&self) -> bool {
        self.shared.strangers.load(Ordering::Relaxed)
    }

    pub(crate) fn expect_strangers(&self, expected: bool) {
        self.shared.strangers.store(expected, Ordering::Relaxed);
    }

    pub(crate) fn largest_signed(&self) -> u64 {
        self.shared.signed.load(Ordering::Acquire)
    }

    pub(crate) fn note_signed(&self, size: u64) {
        self.shared.signed.fetch_max(size, Ordering::AcqRel);
    }

    pub(crate) fn writer(&self) -> &Arc<Semaphore> {
        &self.shared.writer
    }
}
