//! Reading imports, and by which of them a person's data came.

use std::fmt;

use kernel::client::ClientId;
use kernel::id::ImportId;
use kernel::import::{ImportStatus, Tally};
use kernel::policy::PolicyVersion;
use kernel::source::SourceId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use roaring::RoaringTreemap;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, name, sql};

/// An import.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Its id.
    pub id: ImportId,
    /// Who delivers.
    pub source: SourceId,
    /// The program that sent it.
    pub client: Option<ClientId>,
    /// Where it stands.
    pub status: ImportStatus,
    /// The policy that its rows were checked against.
    pub policy: PolicyVersion,
    /// Whether the persons were informed already (GDPR Art. 14(5)(a)).
    pub informed: bool,
    /// When it was received.
    pub created_at: Timestamp,
    /// When something happened to it last.
    pub touched_at: Timestamp,
    /// Until when it may be applied.
    pub expires_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How many rows its file has.
    pub rows: u64,
    /// The last line that was applied.
    pub last_line: u64,
    /// What its rows would do, as of the preview.
    pub preview: Tally,
    /// What they did.
    pub applied: Tally,
}

impl fmt::Debug for ImportRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportRow").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// By which import a source's data of a person came first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedFrom {
    /// The source: the partner, if one collected the data.
    pub source: SourceId,
    /// The import.
    pub import: ImportId,
    /// When its file was received.
    pub received_at: Timestamp,
    /// By when the person has to be told at the latest (GDPR Art. 14(3)(a)).
    pub due_at: Timestamp,
}

/// The columns that [`read`] reads.
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, source, client, status, policy, informed, created_at, touched_at, expires_at, ended_at, ",
            "row_count, last_line, preview, applied FROM import ",
            $rest
        )
    };
}

pub(crate) use columns;

pub(crate) fn read(row: &Row) -> Result<ImportRow, StoreError> {
    let client: Option<String> = row.get(2)?;
    let ended: Option<i64> = row.get(9)?;
    let tally = |at| Tally::from_text(&row.get::<String>(at)?).ok_or(StoreError::Tampered);
    Ok(ImportRow {
        id: ImportId::from_bytes(row.bytes(0)?),
        source: name(&row.get::<String>(1)?)?,
        client: client.as_deref().map(name).transpose()?,
        status: name(&row.get::<String>(3)?)?,
        policy: PolicyVersion::from_bytes(row.bytes(4)?),
        informed: row.get::<i16>(5)? != 0,
        created_at: Timestamp::from_millis(row.get(6)?),
        touched_at: Timestamp::from_millis(row.get(7)?),
        expires_at: Timestamp::from_millis(row.get(8)?),
        ended_at: ended.map(Timestamp::from_millis),
        rows: row.unsigned(10)?,
        last_line: row.unsigned(11)?,
        preview: tally(12)?,
        applied: tally(13)?,
    })
}

impl Store {
    /// An import by its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn import(&self, id: ImportId) -> Result<Option<ImportRow>, StoreError> {
        let row = sql(columns!("WHERE id = $1")).with_bytes(id.as_bytes()).row(self.db()).await?;
        row.as_ref().map(read).transpose()
    }

    /// The imports that need attention: whose time is over before they were applied, whose upload broke off before
    /// `abandoned`, or which nobody went on applying since `stalled`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn imports_to_tend(
        &self,
        now: Timestamp,
        abandoned: Timestamp,
        stalled: Timestamp,
        limit: u32,
    ) -> Result<Vec<ImportRow>, StoreError> {
        let rows = sql(columns!(
            "WHERE (status = 'previewed' AND expires_at <= $1) OR (status = 'receiving' AND touched_at <= $2) \
             OR (status = 'applying' AND touched_at <= $3) ORDER BY touched_at LIMIT $4"
        ))
        .with(now.as_millis())
        .with(abandoned.as_millis())
        .with(stalled.as_millis())
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter().map(read).collect()
    }

    /// The imports that are over and still have rows to be swept.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn imports_to_sweep(&self, limit: u32) -> Result<Vec<ImportId>, StoreError> {
        let rows = sql("SELECT id FROM import i WHERE status IN ('applied', 'discarded', 'expired') \
             AND EXISTS (SELECT 1 FROM import_row r WHERE r.import_id = i.id) LIMIT $1")
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter().map(|row| row.bytes(0).map(ImportId::from_bytes)).collect()
    }

    /// By which imports a person's data came.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn imports_of(&self, subject: SubjectId) -> Result<Vec<ImportedFrom>, StoreError> {
        let rows = sql("SELECT source, import_id, received_at, due_at FROM import_subject WHERE subject_id = $1 \
             ORDER BY received_at, source")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ImportedFrom {
                    source: name(&row.get::<String>(0)?)?,
                    import: ImportId::from_bytes(row.bytes(1)?),
                    received_at: Timestamp::from_millis(row.get(2)?),
                    due_at: Timestamp::from_millis(row.get(3)?),
                })
            })
            .collect()
    }

    /// How many persons an import brought something of, of whom they have to be told.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn persons_of_import(&self, import: ImportId) -> Result<u64, StoreError> {
        sql("SELECT count(*) FROM import_subject WHERE import_id = $1")
            .with_bytes(import.as_bytes())
            .only_row(self.db())
            .await?
            .unsigned(0)
    }

    /// When data of somebody of an import were first disclosed, between two instants.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when a bitmap does not read.
    pub async fn first_disclosure_of_import(
        &self,
        import: ImportId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let rows = sql("SELECT s.ordinal FROM import_subject i JOIN subject s ON s.id = i.subject_id \
             WHERE i.import_id = $1")
        .with_bytes(import.as_bytes())
        .rows(self.db())
        .await?;
        let persons: RoaringTreemap = rows.iter().map(|row| row.unsigned(0)).collect::<Result<_, _>>()?;
        let (Some(first), Some(last)) = (persons.min(), persons.max()) else { return Ok(None) };
        let named = self.first_named_of_import(import, (from, until)).await?;
        // What came later than somebody's look-up is no first any more.
        let until = named.unwrap_or(until);
        let mut from = from.as_millis();
        let mut seen = 0_i64;
        loop {
            let rows = sql("SELECT at, bitmap FROM disclosure WHERE at >= $1 AND at < $2 \
                 AND last_ordinal >= $3 AND first_ordinal <= $4 ORDER BY at, pull, page LIMIT 256 OFFSET $5")
            .with(from)
            .with(until.as_millis())
            .with(crate::statement::signed(first)?)
            .with(crate::statement::signed(last)?)
            .with(seen)
            .rows(self.db())
            .await?;
            for row in &rows {
                let bitmap = RoaringTreemap::deserialize_from(row.get::<Vec<u8>>(1)?.as_slice());
                if !bitmap.map_err(|_| StoreError::Tampered)?.is_disjoint(&persons) {
                    return Ok(Some(Timestamp::from_millis(row.get(0)?)));
                }
            }
            let Some(row) = rows.last().filter(|_| rows.len() == 256) else { return Ok(named) };
            // On from the last instant, over those of it that were seen.
            let at: i64 = row.get(0)?;
            let times: Vec<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
            let again = times.iter().rev().take_while(|known| **known == at).count();
            let again = i64::try_from(again).map_err(|_| StoreError::Tampered)?;
            seen = if at == from { seen.saturating_add(again) } else { again };
            from = at;
        }
    }

    /// When somebody of an import was first disclosed in a look-up.
    async fn first_named_of_import(
        &self,
        import: ImportId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = sql("SELECT min(d.at) FROM import_subject i JOIN subject s ON s.id = i.subject_id \
             JOIN disclosed_person p ON p.ordinal = s.ordinal \
             JOIN disclosure d ON d.pull = p.pull AND d.page = p.page \
             WHERE i.import_id = $1 AND d.at >= $2 AND d.at < $3")
        .with_bytes(import.as_bytes())
        .with(from.as_millis())
        .with(until.as_millis())
        .only_row(self.db())
        .await?;
        Ok(row.get::<Option<i64>>(0)?.map(Timestamp::from_millis))
    }
}
