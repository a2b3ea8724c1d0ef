//! Rows as Parquet: a row group a page, so that memory stays bounded and no page waits for another, and without
//! statistics, which would tell the extremes of a column in the clear.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kernel::disclosure::PermittedBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::arrow::Table;
use super::{EncodeError, Encoder, Format, Outline};

pub(super) struct ParquetEncoder {
    table: Table,
    writer: ArrowWriter<Drain>,
    drain: Drain,
}

impl ParquetEncoder {
    pub(super) fn new(outline: &Outline) -> Result<Self, EncodeError> {
        let table = Table::new(outline);
        let level = ZstdLevel::try_new(1).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by("consentry".to_owned())
            .build();
        let drain = Drain::default();
        let writer = ArrowWriter::try_new(drain.clone(), table.schema(), Some(properties)).map_err(failed)?;
        Ok(Self { table, writer, drain })
    }
}

impl Encoder for ParquetEncoder {
    fn page(&mut self, batch: &PermittedBatch) -> Result<Bytes, EncodeError> {
        let batch = self.table.batch(batch).map_err(|error| EncodeError::new(Format::Parquet, error))?;
        self.writer.write(&batch).map_err(failed)?;
        // A group a page: what was decided and recorded leaves now, and waits for no other page.
        if self.writer.in_progress_rows() > 0 {
            self.writer.flush().map_err(failed)?;
        }
        Ok(self.drain.take())
    }

    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError> {
        let Self { writer, drain, .. } = *self;
        writer.close().map_err(failed)?;
        Ok(drain.take())
    }
}

fn failed(error: ParquetError) -> EncodeError {
    EncodeError::new(Format::Parquet, error)
}

/// What the writer has written and nobody has taken yet.
#[derive(Clone, Default)]
struct Drain(Arc<Mutex<Vec<u8>>>);

impl Drain {
    fn take(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Write for Drain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
