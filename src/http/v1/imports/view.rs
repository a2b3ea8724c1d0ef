//! An import as its source sees it.

use std::collections::BTreeMap;

use app::ImportView;
use kernel::import::{BadLine, ImportStatus, Tally};
use serde::Serialize;
use utoipa::ToSchema;

/// An import: counts, codes and lines, never a value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Import, example = json!({
    "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "source": "shop", "status": "previewed",
    "created_at": "2026-11-22T18:30:00Z", "expires_at": "2026-11-23T18:30:00Z", "rows": 4,
    "preview": {
        "new": 1, "changed": 1, "unchanged": 0,
        "suppressed": {"total": 1, "by_reason": {"objected": 1}},
        "quarantined": {"total": 0, "by_reason": {}, "lines": []},
        "invalid": {"total": 1, "lines": [{"line": 5, "errors": [{"column": "email", "code": "invalid_identifier"}]}]}
    }
}))]
pub struct ImportBody {
    /// Its name.
    id: String,
    /// Who delivers.
    source: String,
    /// `receiving`, `previewed`, `applying`, `applied`, `discarded` or `expired`.
    #[schema(value_type = String)]
    status: &'static str,
    /// When it was received.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it may be applied.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    ended_at: Option<String>,
    /// How many rows its file has.
    rows: u64,
    /// What they would do, as of the preview.
    preview: PreviewBody,
    /// What they did, so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AppliedBody, required = false)]
    applied: Option<AppliedBody>,
    /// By when the persons have to be told where their data came from (GDPR Art. 14).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Art14Body, required = false)]
    art14: Option<Art14Body>,
}

/// What the rows of a file would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportPreview)]
pub struct PreviewBody {
    /// Rows of persons who are not held.
    new: u64,
    /// Rows that change something of persons who are.
    changed: u64,
    /// Rows that say nothing new.
    unchanged: u64,
    /// Rows left out because of what the person said or had done here.
    suppressed: LeftOutBody,
    /// Rows that lack what would make them lawful.
    quarantined: QuarantinedBody,
    /// Rows that cannot be read.
    invalid: InvalidBody,
}

/// What the rows of a file did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportApplied)]
pub struct AppliedBody {
    /// Persons who were not held before.
    new: u64,
    /// Persons of whom something changed.
    changed: u64,
    /// Rows that had become known since the preview.
    unchanged: u64,
    /// Rows left out because of what the person said since the preview.
    suppressed: LeftOutBody,
}

/// Rows that are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportSuppressed)]
pub struct LeftOutBody {
    /// How many.
    total: u64,
    /// How many for each reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_reason: BTreeMap<&'static str, u64>,
}

/// Rows that are quarantined.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportQuarantined)]
pub struct QuarantinedBody {
    /// How many.
    total: u64,
    /// How many for each reason.
    by_reason: BTreeMap<String, u64>,
    /// The first 1,000 lines.
    lines: Vec<LineBody>,
}

/// Rows that cannot be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportInvalid)]
pub struct InvalidBody {
    /// How many.
    total: u64,
    /// The first 1,000 lines.
    lines: Vec<LineBody>,
}

/// A line that is not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportLine)]
pub struct LineBody {
    /// Its number, counted from 1 with the header.
    line: u64,
    /// What is wrong.
    errors: Vec<CellBody>,
}

/// What is wrong with a cell, or with the line as a whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportCell)]
pub struct CellBody {
    /// The column, if it is one cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    column: Option<String>,
    /// The stable code of the fault.
    code: String,
}

/// By when persons have to be told where their data came from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportArt14)]
pub struct Art14Body {
    /// How many persons.
    persons: u64,
    /// By when at the latest.
    #[schema(format = DateTime)]
    due_at: String,
    /// `one_month`, or `first_disclosure`: whichever comes first.
    #[schema(value_type = String)]
    because: &'static str,
}

impl From<BadLine> for LineBody {
    fn from(bad: BadLine) -> Self {
        let errors = bad.errors.into_iter().map(|cell| CellBody { column: cell.column, code: cell.code });
        Self { line: bad.line, errors: errors.collect() }
    }
}

impl From<&Tally> for LeftOutBody {
    fn from(tally: &Tally) -> Self {
        let by_reason = tally.left_out.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        Self { total: tally.left_out_in_all(), by_reason }
    }
}

impl From<Tally> for PreviewBody {
    fn from(tally: Tally) -> Self {
        let lines = |lines: Vec<BadLine>| lines.into_iter().map(LineBody::from).collect();
        Self {
            new: tally.created,
            changed: tally.changed,
            unchanged: tally.unchanged,
            suppressed: LeftOutBody::from(&tally),
            quarantined: QuarantinedBody {
                total: tally.quarantined.values().sum(),
                by_reason: tally.quarantined,
                lines: lines(tally.quarantined_lines),
            },
            invalid: InvalidBody { total: tally.invalid, lines: lines(tally.invalid_lines) },
        }
    }
}

impl From<ImportView> for ImportBody {
    fn from(view: ImportView) -> Self {
        Self {
            id: view.id.to_string(),
            source: view.source.to_string(),
            status: view.status.as_str(),
            created_at: view.created_at.to_string(),
            expires_at: view.expires_at.to_string(),
            ended_at: view.ended_at.map(|at| at.to_string()),
            rows: view.rows,
            preview: view.preview.into(),
            applied: view.applied.map(|tally| AppliedBody {
                new: tally.created,
                changed: tally.changed,
                unchanged: tally.unchanged,
                suppressed: LeftOutBody::from(&tally),
            }),
            art14: view.art14.map(|art14| Art14Body {
                persons: art14.persons,
                due_at: art14.due_at.to_string(),
                because: art14.because,
            }),
        }
    }
}

/// Whether nothing more will come of it.
pub(super) const fn is_done(view: &ImportView) -> bool {
    matches!(view.status, ImportStatus::Applied)
}
