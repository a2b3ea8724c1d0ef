//! Keeps a changed key set: of two who change it at once, the second begins anew.

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::seal::{KeyUse, RootProvider};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::query::KeySetRow;
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// What happened to the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAct {
    /// They were made, or sealed under another root key.
    Sealed {
        /// Who keeps the root key.
        provider: RootProvider,
        /// Whether they were made.
        made: bool,
    },
    /// One was added.
    Rotated {
        /// What it is for.
        key_use: KeyUse,
        /// Its number.
        id: u32,
        /// From when on it is used.
        from: Timestamp,
    },
    /// One was taken out of use.
    Retired {
        /// What it was for.
        key_use: KeyUse,
        /// Its number.
        id: u32,
    },
}

/// A changed key set. Its version follows on the one that was changed.
#[derive(Debug)]
pub struct KeepKeySet {
    /// The set.
    pub set: KeySetRow,
    /// What is different.
    pub act: KeyAct,
}

/// Whether a changed key set was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Kept,
    /// Somebody else changed it first: nothing was written.
    Overtaken,
    /// The key that was to be retired still wraps so many: nothing was written.
    InUse(u64),
}

impl sealed::Sealed for KeepKeySet {}

impl Change for KeepKeySet {
    type Output = Kept;
    const NAME: &'static str = "keep_key_set";
    // The set before, with the keys that are retired, must not stay in a log.
    const DESTROYS: bool = true;

    async fn apply(&self, conn: &Conn<'_>) -> Result<Kept, StoreError> {
        let set = &self.set;
        if let KeyAct::Retired { key_use: KeyUse::Data, id } = self.act {
            let wrapped = wrapped_by(conn, id).await?;
            if wrapped > 0 {
                return Ok(Kept::InUse(wrapped));
            }
        }
        if let KeyAct::Retired { key_use: KeyUse::Fingerprint, id } = self.act {
            let indexed = sql("SELECT (SELECT count(*) FROM subject_identifier WHERE key_id <= $1) \
                 + (SELECT count(*) FROM import_row WHERE key_id <= $1)")
            .with(i64::from(id))
            .only_row(conn.raw())
            .await?
            .unsigned(0)?;
            if indexed > 0 {
                return Ok(Kept::InUse(indexed));
            }
        }
        let first = sql("INSERT INTO key_set (id, version, provider, root, wrapped_key, sealed, changed_at) \
             VALUES (1, $1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING");
        let next =
            sql("UPDATE key_set SET version = $1, provider = $2, root = $3, wrapped_key = $4, sealed = $5, \
             changed_at = $6 WHERE id = 1 AND version = $1 - 1");
        let kept = if set.version == 1 { first } else { next }
            .with(signed(set.version)?)
            .with(set.provider.as_str())
            .with(set.root.clone())
            .with_bytes(&set.wrapped_key)
            .with_bytes(set.sealed.as_bytes())
            .with(set.changed_at.as_millis())
            .execute(conn.raw())
            .await?;
        if kept == 0 {
            return Ok(Kept::Overtaken);
        }
        if let KeyAct::Rotated {
            key_use: key_use @ (KeyUse::Data | KeyUse::Fingerprint | KeyUse::Capability),
            id,
            from,
        } = self.act
        {
            let begin = match key_use {
                KeyUse::Data => sql("INSERT INTO key_work (key_use, key_id, reached, total, done, started_at) \
                     VALUES ($1, $2, 0, (SELECT count(*) FROM subject), 0, $3)"),
                KeyUse::Fingerprint => {
                    sql("INSERT INTO key_work (key_use, key_id, reached, total, done, started_at) \
                     VALUES ($1, $2, 0, (SELECT count(*) FROM subject_identifier), 0, $3)")
                }
                _ => sql(
                    "INSERT INTO key_work (key_use, key_id, reached, total, done, started_at) VALUES ($1, $2, 0, \
                     (SELECT count(*) FROM staff) + (SELECT count(*) FROM staff_identity) \
                     + (SELECT count(*) FROM staff_recovery_code) + (SELECT count(*) FROM incident), 0, $3)",
                ),
            };
            begin.with(key_use.as_str()).with(i64::from(id)).with(from.as_millis()).execute(conn.raw()).await?;
        }
        Ok(Kept::Kept)
    }

    fn entries(&self, kept: &Kept) -> Entries {
        if *kept != Kept::Kept {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event = match self.act {
            KeyAct::Sealed { provider, made } => LedgerEvent::KeySetSealed { provider, made },
            KeyAct::Rotated { key_use, id, from } => LedgerEvent::KeyRotated { key_use, id, from },
            KeyAct::Retired { key_use, id } => LedgerEvent::KeyRetired { key_use, id },
        };
        Entries::one(LedgerEntry { at: self.set.changed_at, event })
    }
}

async fn wrapped_by(conn: &Conn<'_>, id: u32) -> Result<u64, StoreError> {
    sql("SELECT (SELECT count(*) FROM subject WHERE substr(wrapped_key, 1, 4) = $1) \
         + (SELECT count(*) FROM import WHERE substr(wrapped_key, 1, 4) = $1)")
    .with_bytes(&id.to_be_bytes())
    .only_row(conn.raw())
    .await?
    .unsigned(0)
}
