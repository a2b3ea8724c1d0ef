//! Finding and reading persons: by fingerprint, by id, by ranges of ordinals, and by what changed.

use std::collections::{HashMap, HashSet};
use std::fmt;

use futures_util::TryStreamExt as _;
use kernel::id::LedgerRef;
use kernel::identifier::{Fingerprint, IdentifierKind, IndexPrint};
use kernel::seal::{Keyring, SealedSubject};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::{PgPoolCopyExt as _, PgRow};

use crate::error::{StoreError, from_sqlx};
use crate::statement::{Row, signed, sql, unsigned};
use crate::{Backend, Store};

/// Everything a disclosure needs of one person, and what the ledger calls them.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectRow {
    /// Whose.
    pub id: SubjectId,
    /// The place in disclosure bitmaps, from 1.
    pub ordinal: u64,
    /// The wrapped data key.
    pub wrapped_key: Vec<u8>,
    /// The sealed standing.
    pub standing: Vec<u8>,
    /// The packed record.
    pub record: Vec<u8>,
    /// What the ledger calls the person.
    pub ledger_ref: LedgerRef,
}

impl fmt::Debug for SubjectRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectRow(..)")
    }
}

impl SubjectRow {
    /// The row as the kernel takes it.
    #[must_use]
    pub fn sealed(&self) -> SealedSubject<'_> {
        SealedSubject {
            id: self.id,
            ordinal: self.ordinal,
            wrapped_key: &self.wrapped_key,
            standing: &self.standing,
            record: &self.record,
        }
    }

    /// The same six columns of a row that was read below sea-orm.
    fn read_hot(row: &PgRow, at: usize) -> Result<Self, StoreError> {
        let bytes = |column: usize| row.try_get::<&[u8], _>(at + column).map_err(|error| from_sqlx(&error));
        Ok(Self {
            id: SubjectId::from_slice(bytes(0)?).ok_or(StoreError::Tampered)?,
            ordinal: unsigned(row.try_get(at + 1).map_err(|error| from_sqlx(&error))?)?,
            wrapped_key: bytes(2)?.to_vec(),
            standing: bytes(3)?.to_vec(),
            record: bytes(4)?.to_vec(),
            ledger_ref: LedgerRef::from_slice(bytes(5)?).ok_or(StoreError::Tampered)?,
        })
    }

    /// Reads the six columns that begin at `at`.
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(Self {
            id: SubjectId::from_bytes(row.bytes(at)?),
            ordinal: row.unsigned(at + 1)?,
            wrapped_key: row.get(at + 2)?,
            standing: row.get(at + 3)?,
            record: row.get(at + 4)?,
            ledger_ref: LedgerRef::from_bytes(row.bytes(at + 5)?),
        })
    }
}

/// A place in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangePosition {
    /// The sequence of the transaction that changed the person last.
    pub sequence: i64,
    /// The person's ordinal.
    pub ordinal: u64,
}

impl Store {
    /// Whose fingerprint it is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find_by_fingerprint(
        &self,
        keyring: &Keyring,
        fingerprint: &Fingerprint,
    ) -> Result<Option<SubjectId>, StoreError> {
        for print in keyring.index_of(fingerprint) {
            let row = sql("SELECT subject_id FROM subject_identifier WHERE fingerprint = $1")
                .with_bytes(print.as_bytes())
                .row(self.db())
                .await?;
            if let Some(row) = row {
                return row.bytes(0).map(SubjectId::from_bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// The persons of some fingerprints, in one round trip and any order. Unknown ones are absent.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rows_by_fingerprints(
        &self,
        keyring: &Keyring,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<(Fingerprint, SubjectRow)>, StoreError> {
        let mut known = HashMap::new();
        let mut searched = Vec::with_capacity(fingerprints.len());
        for fingerprint in fingerprints {
            for print in keyring.index_of(fingerprint) {
                known.insert(print, *fingerprint);
                searched.push(print.as_bytes().to_vec());
            }
        }
        let rows = self
            .rows_by_keys(
                "SELECT i.fingerprint, s.id, s.ordinal, s.wrapped_key, s.standing, s.record, s.ledger_ref \
                 FROM subject_identifier i JOIN subject s ON s.id = i.subject_id \
                 WHERE i.fingerprint = ANY($1::bytea[])",
                "SELECT i.fingerprint, s.id, s.ordinal, s.wrapped_key, s.standing, s.record, s.ledger_ref \
                 FROM subject_identifier i JOIN subject s ON s.id = i.subject_id WHERE i.fingerprint = $1",
                searched.into_iter(),
            )
            .await?;
        // While a layer is exchanged somebody may be there twice.
        let mut found = HashMap::new();
        for row in &rows {
            let fingerprint = known.get(&IndexPrint::from_bytes(row.bytes(0)?));
            found.insert(*fingerprint.ok_or(StoreError::Tampered)?, SubjectRow::read(row, 1)?);
        }
        Ok(found.into_iter().collect())
    }

    /// Persons by id, in one round trip and any order. Unknown ones are absent.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rows_by_ids(&self, ids: &[SubjectId]) -> Result<Vec<SubjectRow>, StoreError> {
        match self.backend() {
            _ if ids.is_empty() => Ok(Vec::new()),
            Backend::Postgres => Ok(self.rows_as_of(ids).await?.1),
            Backend::Sqlite => self.rows_one_by_one(ids).await,
        }
    }

    /// SQLite has no lists for arguments, and no way to the server that would be saved.
    async fn rows_one_by_one(&self, ids: &[SubjectId]) -> Result<Vec<SubjectRow>, StoreError> {
        let mut subjects = Vec::with_capacity(ids.len());
        for id in ids {
            let found =
                sql("SELECT id, ordinal, wrapped_key, standing, record, ledger_ref FROM subject WHERE id = $1")
                    .with_bytes(id.as_bytes())
                    .row(self.db())
                    .await?;
            subjects.extend(found.map(|row| SubjectRow::read(&row, 0)).transpose()?);
        }
        Ok(subjects)
    }

    /// Persons by id as [`Store::rows_by_ids`], and the access revision that was in force when they were read: whoever
    /// relied on a right that they remembered finds out here whether it still stood.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rows_as_of(&self, ids: &[SubjectId]) -> Result<(u64, Vec<SubjectRow>), StoreError> {
        if self.backend() == Backend::Sqlite {
            return Ok((self.access_revision().await?, self.rows_one_by_one(ids).await?));
        }
        let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        // One row at least, for the revision.
        let statement = sqlx::query(
            "SELECT r.revision, s.id, s.ordinal, s.wrapped_key, s.standing, s.record, s.ledger_ref \
             FROM access_revision r LEFT JOIN subject s ON s.id = ANY($1::bytea[]) WHERE r.id = 1",
        )
        .bind(ids);
        let rows = self.fetch_hot(statement).await?;
        let first = rows.first().ok_or(StoreError::Tampered)?;
        let revision = unsigned(first.try_get(0).map_err(|error| from_sqlx(&error))?)?;
        let found = |row: &&PgRow| row.try_get::<Option<&[u8]>, _>(1).is_ok_and(|id| id.is_some());
        let subjects =
            rows.iter().filter(found).map(|row| SubjectRow::read_hot(row, 1)).collect::<Result<_, _>>()?;
        Ok((revision, subjects))
    }

    /// Since when a person is known.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_since(&self, subject: SubjectId) -> Result<Option<Timestamp>, StoreError> {
        let row = sql("SELECT created_at FROM subject WHERE id = $1")
            .with_bytes(subject.as_bytes())
            .row(self.db())
            .await?;
        row.map(|row| row.get(0).map(Timestamp::from_millis)).transpose()
    }

    /// The fingerprints under which a person is found.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fingerprints_of(
        &self,
        keyring: &Keyring,
        subject: SubjectId,
    ) -> Result<Vec<(IdentifierKind, IndexPrint)>, StoreError> {
        let rows = sql("SELECT kind, fingerprint, key_id FROM subject_identifier WHERE subject_id = $1 \
             ORDER BY key_id, kind, fingerprint")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        let (mut seen, mut prints) = (HashSet::new(), Vec::with_capacity(rows.len()));
        for row in &rows {
            let kind: String = row.get(0)?;
            let kind = IdentifierKind::ALL.into_iter().find(|known| known.as_str() == kind);
            let print = IndexPrint::from_bytes(row.bytes(1)?);
            let key_id = u32::try_from(row.get::<i64>(2)?).map_err(|_| StoreError::Tampered)?;
            // While a key is exchanged one identifier is there in two layers.
            if !seen.contains(&print) {
                prints.push((kind.ok_or(StoreError::Tampered)?, print));
            }
            seen.extend(keyring.index_from(&print, key_id).into_iter().map(|(_, print)| print));
        }
        Ok(prints)
    }

    /// The highest ordinal, if there is anybody.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn max_ordinal(&self) -> Result<Option<u64>, StoreError> {
        let row = sql("SELECT max(ordinal) FROM subject").only_row(self.db()).await?;
        row.get::<Option<i64>>(0)?.map(unsigned).transpose()
    }

    /// Everybody from ordinal `first` to before `end`, by ordinal: one page of a bulk pull.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn scan_range(&self, first: u64, end: u64) -> Result<SubjectPage, StoreError> {
        self.scan_range_into(SubjectPage::default(), first, end).await
    }

    /// The same, into the memory of a page that nobody needs any more: ten megabytes that need not be asked for, and
    /// cleared by the system, again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn scan_range_into(
        &self,
        mut page: SubjectPage,
        first: u64,
        end: u64,
    ) -> Result<SubjectPage, StoreError> {
        let (first, end) = (signed(first)?, signed(end)?);
        page.bytes.clear();
        match self.backend() {
            Backend::Postgres => self.copy_range(page, first, end).await,
            Backend::Sqlite => {
                let rows = sql("SELECT id, ordinal, wrapped_key, standing, record FROM subject \
                     WHERE ordinal >= $1 AND ordinal < $2 ORDER BY ordinal")
                .with(first)
                .with(end)
                .rows(self.db())
                .await?;
                for row in &rows {
                    page.push(row)?;
                }
                Ok(page)
            }
        }
    }

    /// A binary `COPY`: the server sends rows as they lie, and nothing is decoded until it is needed. Measured at
    /// more than twice the rate of a query's rows.
    async fn copy_range(&self, mut page: SubjectPage, first: i64, end: i64) -> Result<SubjectPage, StoreError> {
        // COPY takes no arguments; two numbers cannot carry anything else.
        let statement = format!(
            "COPY (SELECT id, ordinal, wrapped_key, standing, record FROM subject \
             WHERE ordinal >= {first} AND ordinal < {end} ORDER BY ordinal) TO STDOUT (FORMAT binary)"
        );
        let pool = self.db().get_postgres_connection_pool();
        let mut chunks = pool.copy_out_raw(&statement).await.map_err(|error| from_sqlx(&error))?;
        let mut header = true;
        while let Some(chunk) = chunks.try_next().await.map_err(|error| from_sqlx(&error))? {
            let body = if std::mem::take(&mut header) { strip_header(&chunk)? } else { &chunk[..] };
            page.bytes.extend_from_slice(body);
        }
        Ok(page)
    }

    /// Persons who changed after a position, below the commit horizon, so that nobody is missed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn changed_subjects(
        &self,
        after: Option<ChangePosition>,
        limit: u32,
    ) -> Result<Vec<(ChangePosition, SubjectRow)>, StoreError> {
        let after = after.unwrap_or(ChangePosition { sequence: i64::MIN, ordinal: 0 });
        let statement = match self.backend() {
            Backend::Postgres => {
                sql("SELECT change_sequence, id, ordinal, wrapped_key, standing, record, ledger_ref \
                 FROM subject WHERE (change_sequence, ordinal) > ($1, $2) \
                 AND change_sequence < $4::bigint + pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
                 ORDER BY change_sequence, ordinal LIMIT $3")
            }
            Backend::Sqlite => {
                sql("SELECT change_sequence, id, ordinal, wrapped_key, standing, record, ledger_ref \
                 FROM subject WHERE (change_sequence, ordinal) > ($1, $2) AND $4 = 0 \
                 ORDER BY change_sequence, ordinal LIMIT $3")
            }
        };
        let rows = statement
            .with(after.sequence)
            .with(signed(after.ordinal)?)
            .with(i64::from(limit))
            .with(self.sequence_base().await?)
            .rows(self.db())
            .await?;
        rows.iter()
            .map(|row| {
                let subject = SubjectRow::read(row, 1)?;
                Ok((ChangePosition { sequence: row.get(0)?, ordinal: subject.ordinal }, subject))
            })
            .collect()
    }

    /// One statement with all keys on PostgreSQL. SQLite has no network to save, and one plan for every count.
    pub(super) async fn rows_by_keys(
        &self,
        postgres: &'static str,
        sqlite: &'static str,
        keys: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Vec<Row>, StoreError> {
        match self.backend() {
            Backend::Postgres => {
                let keys: Vec<_> = keys.collect();
                if keys.is_empty() {
                    return Ok(Vec::new());
                }
                sql(postgres).with(keys).rows(self.db()).await
            }
            Backend::Sqlite => {
                let mut rows = Vec::new();
                for key in keys {
                    rows.extend(sql(sqlite).with(key).rows(self.db()).await?);
                }
                Ok(rows)
            }
        }
    }
}

/// A page of persons in one buffer, in the layout of PostgreSQL's binary `COPY` without its header.
#[derive(Default)]
pub struct SubjectPage {
    bytes: Vec<u8>,
}

impl fmt::Debug for SubjectPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectPage").field("bytes", &self.bytes.len()).finish()
    }
}

impl SubjectPage {
    /// The persons, read in place: no allocation a row. A row that does not read is one error, and the last.
    #[must_use]
    pub fn rows(&self) -> SubjectRows<'_> {
        SubjectRows { rest: &self.bytes }
    }

    /// How much memory the page takes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a row of SQLite's.
    fn push(&mut self, row: &Row) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(&FIELDS.to_be_bytes());
        self.push_field(&row.get::<Vec<u8>>(0)?)?;
        self.push_field(&row.get::<i64>(1)?.to_be_bytes())?;
        for at in 2..5 {
            self.push_field(&row.get::<Vec<u8>>(at)?)?;
        }
        Ok(())
    }

    fn push_field(&mut self, field: &[u8]) -> Result<(), StoreError> {
        let length = i32::try_from(field.len()).map_err(|_| StoreError::Tampered)?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(field);
        Ok(())
    }
}

const FIELDS: i16 = 5;
const END: i16 = -1;

/// The rows of a [`SubjectPage`].
pub struct SubjectRows<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for SubjectRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectRows").field("bytes_left", &self.rest.len()).finish()
    }
}

impl<'a> Iterator for SubjectRows<'a> {
    type Item = Result<SealedSubject<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rest.split_first_chunk::<2>() {
            None if self.rest.is_empty() => None,
            Some((fields, [])) if i16::from_be_bytes(*fields) == END => None,
            Some((fields, rest)) if i16::from_be_bytes(*fields) == FIELDS => {
                self.rest = rest;
                let row = self.row();
                if row.is_none() {
                    self.rest = &[];
                }
                Some(row.ok_or(StoreError::Tampered))
            }
            _ => {
                self.rest = &[];
                Some(Err(StoreError::Tampered))
            }
        }
    }
}

impl<'a> SubjectRows<'a> {
    fn row(&mut self) -> Option<SealedSubject<'a>> {
        Some(SealedSubject {
            id: SubjectId::from_slice(self.field()?)?,
            ordinal: u64::from_be_bytes(self.field()?.try_into().ok()?),
            wrapped_key: self.field()?,
            standing: self.field()?,
            record: self.field()?,
        })
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(field)
    }
}

/// postgresql.org/docs/current/sql-copy.html, "Binary Format": a signature, flags, and an extension to skip.
fn strip_header(chunk: &[u8]) -> Result<&[u8], StoreError> {
    let header = || {
        let rest = chunk.strip_prefix(b"PGCOPY\n\xff\r\n\0")?;
        let (_flags, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        rest.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)
    };
    header().ok_or(StoreError::defect("the server's COPY has another format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_cut_or_altered_ends_in_one_error() {
        let mut page = SubjectPage { bytes: Vec::new() };
        for field in [&[7; 16][..], &3_u64.to_be_bytes(), b"key", b"standing", b""] {
            if page.bytes.is_empty() {
                page.bytes.extend_from_slice(&FIELDS.to_be_bytes());
            }
            assert!(page.push_field(field).is_ok());
        }
        let whole = page.bytes.clone();
        page.bytes.extend_from_slice(&END.to_be_bytes());
        let rows: Vec<_> = page.rows().filter_map(Result::ok).collect();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            rows.first().map(|row| (row.ordinal, row.wrapped_key, row.record)),
            Some((3, &b"key"[..], &b""[..]))
        );
        for cut in 1..whole.len() {
            let cut = SubjectPage { bytes: whole.iter().take(cut).copied().collect() };
            let rows: Vec<_> = cut.rows().collect();
            assert!(matches!(rows.as_slice(), [Err(StoreError::Tampered)]), "{rows:?}");
        }
    }
}
