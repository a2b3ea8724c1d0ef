//! Connections: what is acknowledged is durable, what is deleted is overwritten, and no statement is logged.

use std::fmt;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::Backend;
use crate::error::{StoreError, from_db, from_sqlx};
use crate::hot;

/// Where the store is.
#[derive(Clone)]
pub struct StoreSettings {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full&sslrootcert=PATH`.
    ///
    /// Without `sslmode` the connection is encrypted only if the server offers it and the server is not verified;
    /// anything but a local socket wants `verify-full`.
    pub url: String,
    /// The most connections to hold. SQLite gets at least four: one writes, the others read.
    pub max_connections: u32,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings").field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

impl StoreSettings {
    pub(crate) fn backend(&self) -> Result<Backend, StoreError> {
        match self.url.split_once(':') {
            Some(("sqlite", _)) => Ok(Backend::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Backend::Postgres),
            _ => Err(StoreError::defect("the database address begins with neither `sqlite:` nor `postgres:`")),
        }
    }
}

pub(crate) async fn connect(settings: &StoreSettings) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        // Arguments are personal data: neither logs nor spans get a statement.
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(30))
        .acquire_timeout(Duration::from_secs(10));
    match settings.backend()? {
        Backend::Sqlite => {
            prepare_file(&settings.url)?;
            options.max_connections(settings.max_connections.max(4)).map_sqlx_sqlite_opts(sqlite_options);
        }
        Backend::Postgres => {
            // What is kept at hand beside the pool is of the same number.
            let pooled = settings.max_connections.saturating_sub(hot::share_of(settings.max_connections));
            options.max_connections(pooled.max(1)).map_sqlx_postgres_opts(postgres_options);
        }
    }
    Database::connect(options).await.map_err(from_db)
}

/// How connections are opened that are kept beside the pool: as those of the pool. SQLite has none.
pub(crate) fn hot_options(settings: &StoreSettings) -> Result<Option<PgConnectOptions>, StoreError> {
    match settings.backend()? {
        Backend::Sqlite => Ok(None),
        Backend::Postgres => {
            let options = PgConnectOptions::from_str(&settings.url).map_err(|error| from_sqlx(&error))?;
            // The same few statements again and again, each with the index it is written for. Planned for its arguments,
            // a list of three would look cheaper than the list of ten that a plan for all lists expects: they would be
            // planned every time, which takes as long as reading ten persons.
            let options = postgres_options(options).options([("plan_cache_mode", "force_generic_plan")]);
            Ok(Some(options.disable_statement_logging()))
        }
    }
}

fn sqlite_options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL also syncs the WAL at every commit: an acknowledged withdrawal survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        // Freed space is overwritten with zeros (GDPR Art. 17).
        .pragma("secure_delete", "ON")
        // Sorting of large results stays out of temporary files.
        .pragma("temp_store", "MEMORY")
}

fn postgres_options(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("consentry").options([
        // The order of locks in `change` is written for this level, whatever the server's default is.
        ("default_transaction_isolation", "read committed"),
        // A gateway that stops in the middle of a unit holds locks and the commit horizon: not for long.
        ("idle_in_transaction_session_timeout", "30s"),
        // Plans are kept while tables grow from nothing: a scan that was right for a new table is ruinous a minute
        // later, and every statement has its index. (Measured: 16 ms instead of 0.3 ms a batch.)
        ("enable_seqscan", "off"),
        // What must scan nevertheless looks infinitely costly now, which is no reason to compile it.
        ("jit", "off"),
    ])
}

/// Sees to it that the file exists and only its owner can read it; the files beside it inherit its mode.
fn prepare_file(url: &str) -> Result<(), StoreError> {
    let unusable = || StoreError::defect("the database file cannot be used");
    let options = SqliteConnectOptions::from_str(url).map_err(|_| unusable())?;
    let path: &Path = options.get_filename();
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(StoreError::defect("a store in memory would forget what it acknowledged"));
    }
    let mut open = std::fs::OpenOptions::new();
    open.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let file = open.open(path).map_err(|_| unusable())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(|_| unusable())?;
    }
    drop(file);
    Ok(())
}
