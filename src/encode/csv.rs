//! Rows as comma-separated values with a header line; a text never becomes a formula in a spreadsheet.

use std::borrow::Cow;

use bytes::Bytes;
use csv::{Terminator, Writer, WriterBuilder};
use kernel::disclosure::{Cell, PermittedBatch};

use super::pseudonym::PseudonymWriter;
use super::{EncodeError, Encoder, Format, Outline, column};

pub(super) struct CsvEncoder {
    outline: Outline,
    is_begun: bool,
}

impl CsvEncoder {
    pub(super) const fn new(outline: Outline) -> Self {
        Self { outline, is_begun: false }
    }

    fn begin(&mut self) -> Result<Writer<Vec<u8>>, csv::Error> {
        // RFC 4180 §2: lines end in CRLF.
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
        if !std::mem::replace(&mut self.is_begun, true) {
            writer.write_field("pseudonym")?;
            for spec in &self.outline.columns {
                writer.write_field(spec.name.as_str())?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        Ok(writer)
    }

    fn write(&mut self, batch: &PermittedBatch) -> Result<Writer<Vec<u8>>, csv::Error> {
        let mut writer = self.begin()?;
        let columns: Vec<_> =
            self.outline.columns.iter().enumerate().map(|(near, spec)| column(batch, &spec.name, near)).collect();
        let mut names = PseudonymWriter::new();
        for (row, name) in batch.pseudonyms().iter().enumerate() {
            writer.write_field(names.write(*name))?;
            for column in &columns {
                field(column.map_or(Cell::Null, |column| column.cell(row)), &mut writer)?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        Ok(writer)
    }
}

impl Encoder for CsvEncoder {
    fn page(&mut self, batch: &PermittedBatch) -> Result<Bytes, EncodeError> {
        let written = self.write(batch).map_err(|error| EncodeError::new(Format::Csv, error))?;
        taken(written)
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, EncodeError> {
        let written = self.begin().map_err(|error| EncodeError::new(Format::Csv, error))?;
        taken(written)
    }
}

fn taken(writer: Writer<Vec<u8>>) -> Result<Bytes, EncodeError> {
    writer.into_inner().map(Bytes::from).map_err(|error| EncodeError::new(Format::Csv, error.into_error()))
}

fn field(cell: Cell<'_>, writer: &mut Writer<Vec<u8>>) -> Result<(), csv::Error> {
    match cell {
        Cell::Null => writer.write_field(""),
        Cell::Label(label) => writer.write_field(label),
        Cell::Score(score) => writer.write_field(score.to_string()),
        Cell::Flag(flag) => writer.write_field(if flag { "true" } else { "false" }),
        Cell::Labels { labels, codes } => {
            let labels: Vec<&str> =
                codes.iter().filter_map(|code| labels.get(usize::from(*code)).map(AsRef::as_ref)).collect();
            writer.write_field(labels.join("|"))
        }
        Cell::Text(text) => writer.write_field(guarded(text).as_bytes()),
    }
}

/// A spreadsheet takes a cell that begins like this for a formula, and runs it: a quote before it makes it a text.
fn guarded(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_text_that_looks_like_a_formula_is_made_harmless() {
        for formula in ["=1+1", "+4912345", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(guarded(formula), format!("'{formula}"), "{formula}");
        }
        for plain in ["", "Anna", "a=b", "10115", "'=1"] {
            assert_eq!(guarded(plain), plain);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
        let labels = ["shoes".into(), "books".into()];
        for cell in [
            Cell::Text("Doe, \"Jane\""),
            Cell::Null,
            Cell::Score(5),
            Cell::Flag(false),
            Cell::Labels { labels: &labels, codes: &[1, 0] },
        ] {
            field(cell, &mut writer).unwrap();
        }
        writer.write_record(None::<&[u8]>).unwrap();
        assert_eq!(taken(writer).unwrap(), "\"Doe, \"\"Jane\"\"\",,5,false,books|shoes\r\n");
    }
}
