//! One text of a table for both databases: the few words they differ in are written in braces.
//!
//! | Word | SQLite | PostgreSQL |
//! |---|---|---|
//! | `{blob}` | `BLOB` | `bytea` |
//! | `{big}`, `{int}`, `{small}` | `INTEGER` | `bigint`, `integer`, `smallint` |
//! | `{end}` | `STRICT` | |
//! | `{end_keyed}` | `STRICT, WITHOUT ROWID` | |

use sea_orm_migration::prelude::{DbErr, SchemaManager};
use sea_orm_migration::sea_orm::{ConnectionTrait as _, DbBackend};

const WORDS: [(&str, &str, &str); 6] = [
    ("{blob}", "BLOB", "bytea"),
    ("{big}", "INTEGER", "bigint"),
    ("{int}", "INTEGER", "integer"),
    ("{small}", "INTEGER", "smallint"),
    // STRICT: SQLite otherwise stores a text in an integer column without a word.
    ("{end}", "STRICT", ""),
    // Rows as short as their key are kept in the key's own tree.
    ("{end_keyed}", "STRICT, WITHOUT ROWID", ""),
];

/// Runs statements on both databases.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let postgres = is_postgres(manager);
    for statement in statements {
        let text = WORDS.iter().fold((*statement).to_owned(), |text, (word, sqlite, other)| {
            text.replace(word, if postgres { other } else { sqlite })
        });
        manager.get_connection().execute_unprepared(&text).await?;
    }
    Ok(())
}

/// Runs statements on PostgreSQL alone.
pub(crate) async fn run_on_postgres(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if is_postgres(manager) { run(manager, statements).await } else { Ok(()) }
}

/// Runs statements on SQLite alone.
pub(crate) async fn run_on_sqlite(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if is_postgres(manager) { Ok(()) } else { run(manager, statements).await }
}

/// Makes a table append-only: its rows cannot be changed and, unless `deletable`, not removed either.
///
/// The triggers stop slips and applications. Whoever owns the database can drop them; the published checkpoints
/// are what shows that.
pub(crate) async fn append_only(manager: &SchemaManager<'_>, table: &str, deletable: bool) -> Result<(), DbErr> {
    let mut statements = Vec::new();
    if is_postgres(manager) {
        let events = if deletable { "UPDATE" } else { "UPDATE OR DELETE" };
        statements.push(format!(
            "CREATE TRIGGER {table}_append_only BEFORE {events} ON {table} \
             FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        ));
        statements.push(format!(
            "CREATE TRIGGER {table}_keeps_rows BEFORE TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        ));
    } else {
        let events: &[&str] = if deletable { &["UPDATE"] } else { &["UPDATE", "DELETE"] };
        for event in events {
            statements.push(format!(
                "CREATE TRIGGER {table}_refuses_{} BEFORE {event} ON {table} \
                 BEGIN SELECT RAISE(ABORT, 'append-only'); END",
                event.to_lowercase()
            ));
        }
    }
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    run(manager, &statements).await
}

fn is_postgres(manager: &SchemaManager<'_>) -> bool {
    manager.get_database_backend() == DbBackend::Postgres
}
