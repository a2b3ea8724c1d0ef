//! Rows as JSON: a line each, labels quoted once a page, nothing allocated a row.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use kernel::disclosure::{Cell, Column, PermittedBatch};

use super::pseudonym::PseudonymWriter;
use super::{EncodeError, Encoder, Outline, column};

pub(super) struct NdjsonEncoder {
    /// `,"name":` of each column.
    keys: Vec<Vec<u8>>,
    outline: Outline,
    /// How long the last page was: the next one will be about as long.
    expected_bytes: usize,
}

impl NdjsonEncoder {
    pub(super) fn new(outline: Outline) -> Self {
        let keys = outline.columns.iter().map(|spec| key(spec.name.as_str())).collect();
        Self { keys, outline, expected_bytes: 0 }
    }
}

/// A name is of `a-z0-9_-` and needs no escape.
fn key(name: &str) -> Vec<u8> {
    [b",\"", name.as_bytes(), b"\":"].concat()
}

impl Encoder for NdjsonEncoder {
    fn page(&mut self, batch: &PermittedBatch) -> Result<Bytes, EncodeError> {
        let columns: Vec<(&[u8], Source<'_>)> = self
            .outline
            .columns
            .iter()
            .zip(&self.keys)
            .enumerate()
            .map(|(near, (spec, key))| (key.as_slice(), Source::new(column(batch, &spec.name, near))))
            .collect();
        let mut names = PseudonymWriter::new();
        let mut out = BytesMut::with_capacity(self.expected_bytes.max(1024) + 1024);
        for (row, name) in batch.pseudonyms().iter().enumerate() {
            out.put_slice(b"{\"pseudonym\":\"");
            out.put_slice(names.write(*name));
            out.put_u8(b'"');
            for (key, source) in &columns {
                out.put_slice(key);
                source.write(row, &mut out);
            }
            out.put_slice(b"}\n");
        }
        self.expected_bytes = out.len();
        Ok(out.freeze())
    }

    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError> {
        Ok(Bytes::new())
    }
}

/// A column with its labels already quoted.
enum Source<'a> {
    Absent,
    Labels(Vec<Vec<u8>>, &'a [Option<u16>]),
    LabelLists(Vec<Vec<u8>>, &'a [Option<Box<[u16]>>]),
    Other(&'a Column),
}

impl<'a> Source<'a> {
    fn new(column: Option<&'a Column>) -> Self {
        match column {
            None => Self::Absent,
            Some(Column::Labels { labels, codes }) => Self::Labels(quoted(labels), codes),
            Some(Column::LabelLists { labels, codes }) => Self::LabelLists(quoted(labels), codes),
            Some(other) => Self::Other(other),
        }
    }

    fn write(&self, row: usize, out: &mut BytesMut) {
        match self {
            Self::Absent => out.put_slice(b"null"),
            Self::Labels(labels, codes) => {
                let label = codes.get(row).copied().flatten().and_then(|code| labels.get(usize::from(code)));
                out.put_slice(label.map_or(b"null".as_slice(), Vec::as_slice));
            }
            Self::LabelLists(labels, codes) => match codes.get(row).and_then(Option::as_deref) {
                None => out.put_slice(b"null"),
                Some(codes) => {
                    list(codes.iter().filter_map(|code| labels.get(usize::from(*code))), out, |label, out| {
                        out.put_slice(label);
                    });
                }
            },
            Self::Other(column) => write_cell(column.cell(row), out),
        }
    }
}

fn quoted(labels: &Arc<[Arc<str>]>) -> Vec<Vec<u8>> {
    labels
        .iter()
        .map(|label| {
            let mut text = BytesMut::with_capacity(label.len() + 2);
            write_text(label, &mut text);
            text.to_vec()
        })
        .collect()
}

fn list<T>(items: impl Iterator<Item = T>, out: &mut BytesMut, write: impl Fn(T, &mut BytesMut)) {
    out.put_u8(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        write(item, out);
    }
    out.put_u8(b']');
}

/// Writes a value as JSON.
pub fn write_cell(cell: Cell<'_>, out: &mut BytesMut) {
    match cell {
        Cell::Null => out.put_slice(b"null"),
        Cell::Label(text) | Cell::Text(text) => write_text(text, out),
        Cell::Score(score) => write_score(score, out),
        Cell::Flag(true) => out.put_slice(b"true"),
        Cell::Flag(false) => out.put_slice(b"false"),
        Cell::Labels { labels, codes } => {
            let labels = codes.iter().filter_map(|code| labels.get(usize::from(*code)));
            list(labels, out, |label, out| write_text(label, out));
        }
    }
}

fn write_score(score: u8, out: &mut BytesMut) {
    let (hundreds, tens, ones) = (score / 100, score / 10 % 10, score % 10);
    if hundreds > 0 {
        out.put_u8(b'0' + hundreds);
    }
    if score >= 10 {
        out.put_u8(b'0' + tens);
    }
    out.put_u8(b'0' + ones);
}

/// Writes a text as a JSON string (RFC 8259 §7).
pub fn write_text(text: &str, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.put_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        match byte {
            b'"' | b'\\' => out.put_slice(&[b'\\', *byte]),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control => {
                out.put_slice(b"\\u00");
                for nibble in [control >> 4, control & 15] {
                    out.put_u8(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
        }
        rest = after;
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_text_reads_back_as_itself() {
        for text in
            ["", "plain", "a\"b\\c", "line\nfeed\r\ttab", "\u{0}\u{1f}\u{7f}", "Grüße 🌍", "\\u0000", "\u{2028}"]
        {
            let mut out = BytesMut::new();
            write_text(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn every_score_is_written_as_its_number() {
        for score in 0..=u8::MAX {
            let mut out = BytesMut::new();
            write_cell(Cell::Score(score), &mut out);
            assert_eq!(out, score.to_string().as_bytes());
        }
    }

    #[test]
    fn values_are_json() {
        let labels: Vec<Arc<str>> = vec!["a".into(), "b\"".into()];
        for (cell, json) in [
            (Cell::Null, "null"),
            (Cell::Flag(true), "true"),
            (Cell::Label("x"), "\"x\""),
            (Cell::Labels { labels: &labels, codes: &[1, 0, 7] }, "[\"b\\\"\",\"a\"]"),
            (Cell::Labels { labels: &labels, codes: &[] }, "[]"),
        ] {
            let mut out = BytesMut::new();
            write_cell(cell, &mut out);
            assert_eq!(out, json.as_bytes());
        }
    }
}
