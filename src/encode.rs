//! How permitted rows become bytes: one encoder a format, and the only input is a
//! [`PermittedBatch`], so nothing that was not permitted and recorded can be written.

mod arrow;
mod csv;
mod ndjson;
mod parquet;
mod pseudonym;

use app::ColumnSpec;
use bytes::Bytes;
use kernel::attribute::AttributeName;
use kernel::disclosure::{Column, PermittedBatch};
use kernel::id::PullId;
use kernel::policy::PolicyVersion;
use kernel::purpose::Purpose;
use thiserror::Error;

pub use ndjson::{write_cell, write_text};

/// A format in which rows leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// Arrow IPC, the streaming format.
    Arrow,
    /// Parquet.
    Parquet,
}

impl Format {
    /// Every format; the first is the default.
    pub const ALL: [Self; 4] = [Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet];

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// What an answer in it says of its content.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson | Self::Arrow | Self::Parquet => self.media_type(),
        }
    }
}

/// What a whole pull has in common: written once, where the format has a place for it.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The columns, in the order asked for.
    pub columns: Vec<ColumnSpec>,
    /// What the rows are for.
    pub purpose: Purpose,
    /// The policy they were decided under.
    pub policy: PolicyVersion,
    /// The pull, as the ledger knows it; unknown when not even one page came.
    pub pull: Option<PullId>,
}

/// Rows that a format cannot hold. The reason is told to nobody: the answer is cut off.
#[derive(Debug, Error)]
#[error("rows could not be written as {format}")]
pub struct EncodeError {
    format: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl EncodeError {
    fn new(format: Format, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { format: format.media_type(), source: Box::new(source) }
    }
}

/// Writes the pages of one pull, in order.
pub trait Encoder {
    /// The bytes of a page; empty where the format holds them back.
    ///
    /// # Errors
    /// When the format cannot hold the rows.
    fn page(&mut self, batch: &PermittedBatch) -> Result<Bytes, EncodeError>;

    /// The bytes after the last page.
    ///
    /// # Errors
    /// When the format cannot be ended.
    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError>;
}

/// The encoder of a format.
///
/// # Errors
/// When the format has no place for the columns.
pub fn encoder(format: Format, outline: Outline) -> Result<Box<dyn Encoder>, EncodeError> {
    Ok(match format {
        Format::Ndjson => Box::new(ndjson::NdjsonEncoder::new(outline)),
        Format::Csv => Box::new(csv::CsvEncoder::new(outline)),
        Format::Arrow => Box::new(arrow::ArrowEncoder::new(&outline)?),
        Format::Parquet => Box::new(parquet::ParquetEncoder::new(&outline)?),
    })
}

/// The batch's column of a name. An attribute that policy withholds has a column in no batch.
fn column<'a>(batch: &'a PermittedBatch, name: &AttributeName, near: usize) -> Option<&'a Column> {
    let found = batch.columns().nth(near).filter(|(there, _)| *there == name);
    found.or_else(|| batch.columns().find(|(there, _)| *there == name)).map(|(_, column)| column)
}
