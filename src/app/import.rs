//! Imports: a file is read, checked and shown first, then applied as a whole or given up (CAP-18, NOT-02, EML-09).
//!
//! Between preview and application the rows lie sealed under a key of the import's own. What is applied is what was
//! shown, except where the person said something since: then the person wins.

mod apply;
mod columns;
mod receive;
mod row;

use kernel::authz::{Actor, Authorized, ImportRecords};
use kernel::controller::ControllerId;
use kernel::id::ImportId;
use kernel::import::{ImportStatus, Tally};
use kernel::notice::NoticeDigest;
use kernel::regime::Regime;
use kernel::source::SourceId;
use kernel::time::{Months, Timestamp};
use store::change::{DiscardImport, SweepImport};
use store::query::ImportRow;

use crate::error::{AppError, Code};
use crate::gateway::Gateway;

pub use receive::{ImportLine, Importing};

/// How long an import waits to be applied.
const WAITS_MS: i64 = 24 * 3_600_000;
/// How many rows one sweep removes.
const SWEEP: u32 = 10_000;

/// What holds for every row of a file that does not say otherwise. No personal data: it comes in the address.
#[derive(Debug, Clone, Default)]
pub struct ImportParameters {
    /// The organisation that collected the data, if it was another one.
    pub partner: Option<SourceId>,
    /// Under which name the evidence of the consents is kept.
    pub evidence: Option<String>,
    /// The controllers that the persons were told of.
    pub controllers: Vec<ControllerId>,
    /// The notice that was shown.
    pub notice: Option<NoticeDigest>,
    /// The regime of persons without a region.
    pub regime: Option<Regime>,
    /// When the rows were captured that do not say.
    pub captured_at: Option<Timestamp>,
    /// Whether the persons were informed already (GDPR Art. 14(5)(a)).
    pub informed: bool,
}

/// An import as its source sees it: counts, codes and lines, never a value.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportView {
    /// Its id.
    pub id: ImportId,
    /// Who delivers.
    pub source: SourceId,
    /// Where it stands.
    pub status: ImportStatus,
    /// When it was received.
    pub created_at: Timestamp,
    /// Until when it may be applied.
    pub expires_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How many rows its file has.
    pub rows: u64,
    /// What they would do, as of the preview.
    pub preview: Tally,
    /// What they did; `None` before the first.
    pub applied: Option<Tally>,
    /// When the persons have to be told where their data came from.
    pub art14: Option<Art14View>,
}

/// When persons have to be told where their data came from (GDPR Art. 14(3)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Art14View {
    /// How many.
    pub persons: u64,
    /// By when at the latest.
    pub due_at: Timestamp,
    /// `one_month` or `first_disclosure`.
    pub because: &'static str,
}

/// The earlier of one month and the first disclosure, and which of them it is.
pub(crate) fn art14_due(month: Timestamp, disclosed: Option<Timestamp>) -> (Timestamp, &'static str) {
    match disclosed {
        Some(disclosed) if disclosed < month => (disclosed, "first_disclosure"),
        _ => (month, "one_month"),
    }
}

impl Gateway {
    /// An import of the client's own source.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub async fn import(&self, by: &Authorized<ImportRecords>, id: ImportId) -> Result<ImportView, AppError> {
        let row = self.own_import(by, id).await?;
        self.view_import(row).await
    }

    /// Gives an import up: its key is destroyed, its rows go.
    ///
    /// # Errors
    /// [`AppError::Conflict`] when it was begun to be applied, [`AppError::NotFound`] when there is none.
    pub async fn discard_import(&self, by: &Authorized<ImportRecords>, id: ImportId) -> Result<(), AppError> {
        let row = self.own_import(by, id).await?;
        match row.status {
            ImportStatus::Discarded | ImportStatus::Expired => return Ok(()),
            ImportStatus::Applying | ImportStatus::Applied => return Err(AppError::Conflict(Code::ImportBegun)),
            ImportStatus::Receiving | ImportStatus::Previewed => {}
        }
        if self.end_import(id, false).await? { Ok(()) } else { Err(AppError::Conflict(Code::ImportBegun)) }
    }

    /// Gives an import up, if nothing of it was applied.
    pub(crate) async fn end_import(&self, id: ImportId, expired: bool) -> Result<bool, AppError> {
        let discard = DiscardImport { import: id, expired, at: self.now() };
        let (ended, _committed) = self.inner.store.perform(&discard).await?;
        if ended {
            self.sweep_import(id).await?;
        }
        Ok(ended)
    }

    /// Removes the rows that are left of an import that is over, in bounded steps.
    pub(crate) async fn sweep_import(&self, import: ImportId) -> Result<(), AppError> {
        loop {
            let (swept, _committed) = self.inner.store.perform(&SweepImport { import, most: SWEEP }).await?;
            if swept == 0 {
                return Ok(());
            }
        }
    }

    /// An import, if the caller may see it: to everybody else there is none.
    async fn own_import(&self, by: &Authorized<ImportRecords>, id: ImportId) -> Result<ImportRow, AppError> {
        let row = self.inner.store.import(id).await?;
        let is_own = |row: &ImportRow| match by.actor() {
            Actor::Client(client) => client.source.as_ref() == Some(&row.source),
            _ => true,
        };
        row.filter(is_own).ok_or(AppError::NotFound(Code::ImportNotFound))
    }

    async fn view_import(&self, row: ImportRow) -> Result<ImportView, AppError> {
        let art14 = self.art14_of(&row).await?;
        let begun = matches!(row.status, ImportStatus::Applying | ImportStatus::Applied);
        let late = row.status == ImportStatus::Previewed && row.expires_at <= self.now();
        Ok(ImportView {
            id: row.id,
            source: row.source,
            status: if late { ImportStatus::Expired } else { row.status },
            created_at: row.created_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
            rows: row.rows,
            preview: row.preview,
            applied: begun.then_some(row.applied),
            art14,
        })
    }

    async fn art14_of(&self, row: &ImportRow) -> Result<Option<Art14View>, AppError> {
        if row.status != ImportStatus::Applied || row.informed {
            return Ok(None);
        }
        let store = &self.inner.store;
        let persons = store.persons_of_import(row.id).await?;
        if persons == 0 {
            return Ok(None);
        }
        let month = Months(1).after(row.created_at);
        let disclosed = store.first_disclosure_of_import(row.id, row.created_at, month).await?;
        let (due_at, because) = art14_due(month, disclosed);
        Ok(Some(Art14View { persons, due_at, because }))
    }
}
