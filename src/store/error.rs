//! What can go wrong in the store, in six words that show no stored value.
//!
//! Messages of databases quote values ("Key (email)=(…) already exists"), so none of their text passes this module:
//! only the kind of failure and its code do.

use std::borrow::Cow;
use std::fmt;

use sea_orm::{DbErr, RuntimeErr, TryGetError};
use thiserror::Error;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A name or key is taken. Trying again does not help.
    #[error("it is there already")]
    Conflict,
    /// The second step of an opt-in names no first one that waits for it (11 CCR §7028(a)).
    #[error("there is no first step to confirm")]
    NoFirstStep,
    /// Other writers were first, again and again. It may be tried later.
    #[error("the store is busy")]
    Busy,
    /// The database cannot be reached, or the connection broke: whether a commit took place is not known then.
    #[error("the database is unavailable")]
    Unavailable,
    /// Something stored does not open or does not read: altered, moved, or sealed under a key that is not here.
    #[error("something stored was tampered with or cannot be read")]
    Tampered,
    /// The database has migrations that this version does not know.
    #[error("the database was migrated by a newer version of this program; run that version, or restore a backup")]
    UnknownSchema,
    /// Everything else: a defect or a misconfiguration.
    #[error("unexpected store error: {0}")]
    Unexpected(Unexpected),
}

impl StoreError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable)
    }

    pub(crate) const fn defect(what: &'static str) -> Self {
        Self::Unexpected(Unexpected { what, code: None })
    }
}

/// What an unexpected error may say: a fixed text and the database's code for it.
#[derive(Debug)]
pub struct Unexpected {
    what: &'static str,
    code: Option<String>,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        match &self.code {
            Some(code) => write!(f, " (code `{code}`)"),
            None => Ok(()),
        }
    }
}

/// The one way from the database's errors to ours.
pub(crate) fn from_db(error: DbErr) -> StoreError {
    match error {
        DbErr::ConnectionAcquire(_) => StoreError::Unavailable,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => from_sqlx(&error),
        DbErr::Conn(_) => StoreError::Unavailable,
        DbErr::Exec(_) | DbErr::Query(_) => StoreError::defect("a statement failed"),
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => StoreError::Tampered,
        DbErr::RecordNotInserted => StoreError::Conflict,
        DbErr::Migration(_) => StoreError::defect("a migration failed"),
        _ => StoreError::defect("the database layer failed"),
    }
}

/// The same for statements that run below sea-orm.
pub(crate) fn from_sqlx(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => from_code(error.code(), error.is_unique_violation()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable,
        sqlx::Error::Configuration(_) => StoreError::defect("the database address cannot be used"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Tampered,
        sqlx::Error::Protocol(_) => StoreError::defect("the database spoke out of turn"),
        _ => StoreError::defect("a statement failed"),
    }
}

fn from_code(code: Option<Cow<'_, str>>, is_unique_violation: bool) -> StoreError {
    if is_unique_violation {
        return StoreError::Conflict;
    }
    let code = code.unwrap_or_default();
    // SQLite writes its result codes in decimal; the low byte is the primary one (sqlite.org/rescode.html).
    let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xff);
    match (&*code, sqlite) {
        // BUSY and LOCKED; serialization failure, deadlock, lock not available.
        (_, Some(5 | 6)) | ("40001" | "40P01" | "55P03", None) => StoreError::Busy,
        // READONLY, IOERR, FULL, CANTOPEN; left idle in a transaction, shutdown, disk full, too many connections.
        (_, Some(8 | 10 | 13 | 14)) | ("25P03" | "57P01" | "57P02" | "57P03" | "53100" | "53300", None) => {
            StoreError::Unavailable
        }
        (code, None) if code.starts_with("08") || code.starts_with("28") => StoreError::Unavailable,
        // CORRUPT and NOTADB; data corrupted, index corrupted.
        (_, Some(11 | 26)) | ("XX001" | "XX002", None) => StoreError::Tampered,
        _ => StoreError::Unexpected(Unexpected {
            what: "the database refused a statement",
            code: Some(code.into_owned()),
        }),
    }
}

impl From<TryGetError> for StoreError {
    fn from(_: TryGetError) -> Self {
        Self::Tampered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_have_one_meaning() {
        for busy in ["5", "517", "6", "262", "40001", "40P01"] {
            assert!(matches!(from_code(Some(busy.into()), false), StoreError::Busy), "{busy}");
        }
        for gone in ["08006", "57P01", "10", "13"] {
            assert!(matches!(from_code(Some(gone.into()), false), StoreError::Unavailable), "{gone}");
        }
        assert!(matches!(from_code(Some("23505".into()), true), StoreError::Conflict));
        let other = from_code(Some("42P01".into()), false);
        assert_eq!(other.to_string(), "unexpected store error: the database refused a statement (code `42P01`)");
    }
}
