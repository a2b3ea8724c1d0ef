//! The database under a gateway, as somebody sees it who has the files but not the keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::Backend;

/// A fresh database; a SQLite file goes with it.
pub(crate) enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(String),
}

/// Everything that grows with persons. The ledger is not in it: refused attempts are recorded there.
const PERSONAL_TABLES: [&str; 10] = [
    "subject",
    "subject_identifier",
    "consent_event",
    "suppression",
    "disclosure",
    "rights_request",
    "rights_event",
    "idempotency_key",
    "confirmation",
    "outbox",
];

impl Database {
    pub(super) fn fresh(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Backend::Postgres => Self::Postgres(test_postgres::database()),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite:{}", self.file().display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    fn file(&self) -> PathBuf {
        let Self::Sqlite(folder) = self else { panic!("only SQLite has a file") };
        folder.path().join("consentry.db")
    }

    /// Runs statements, past the gateway.
    pub(crate) async fn execute(&self, statements: &str) {
        self.try_execute(statements).await.unwrap();
    }

    /// Runs statements, past the gateway; the database's words if it refuses.
    pub(crate) async fn try_execute(&self, statements: &str) -> Result<(), String> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        let done = match self {
            Self::Sqlite(_) => self.sqlite().await.execute(statements).await.map(drop),
            Self::Postgres(_) => self.postgres().await.execute(statements).await.map(drop),
        };
        done.map_err(|error| error.to_string())
    }

    async fn sqlite(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url()).await.unwrap()
    }

    async fn postgres(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Sqlite(_) => self.sqlite().await.fetch_one(query).await.unwrap().get(0),
            Self::Postgres(_) => self.postgres().await.fetch_one(query).await.unwrap().get(0),
        }
    }

    /// The bytes in the first column of a query.
    pub(crate) async fn bytes(&self, query: &str) -> Vec<Vec<u8>> {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Sqlite(_) => {
                self.sqlite().await.fetch_all(query).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(_) => {
                self.postgres().await.fetch_all(query).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// The texts in the first column of a query.
    pub(crate) async fn texts(&self, query: &str) -> Vec<String> {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Sqlite(_) => {
                self.sqlite().await.fetch_all(query).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(_) => {
                self.postgres().await.fetch_all(query).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// How many rows each table that grows with persons has.
    pub(crate) async fn stored(&self) -> BTreeMap<&'static str, i64> {
        let mut stored = BTreeMap::new();
        for table in PERSONAL_TABLES {
            stored.insert(table, self.number(&format!("SELECT count(*) FROM {table}")).await);
        }
        stored
    }

    /// Everything that the database holds, as bytes: files and write-ahead log, or every row of every table.
    pub(crate) async fn everything(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(folder) => {
                let mut all = Vec::new();
                for entry in std::fs::read_dir(folder.path()).unwrap() {
                    all.extend(std::fs::read(entry.unwrap().path()).unwrap());
                }
                assert!(!all.is_empty());
                all
            }
            Self::Postgres(_) => self.rows_of_postgres().await,
        }
    }

    async fn rows_of_postgres(&self) -> Vec<u8> {
        let mut connection = self.postgres().await;
        let columns = connection
            .fetch_all(
                "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_schema = 'public'",
            )
            .await
            .unwrap();
        assert!(columns.len() > 20);
        let mut all = Vec::new();
        for column in &columns {
            let (table, name, kind): (String, String, String) = (column.get(0), column.get(1), column.get(2));
            let shown = if kind == "bytea" {
                format!("\"{name}\"")
            } else {
                format!("convert_to(\"{name}\"::text, 'UTF8')")
            };
            let query = format!("SELECT {shown} FROM \"{table}\" WHERE \"{name}\" IS NOT NULL");
            for row in connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(query))).await.unwrap() {
                all.extend(row.get::<Vec<u8>, _>(0));
                all.push(b'\n');
            }
        }
        all
    }
}
