//! Rows as an Arrow IPC stream (media type `application/vnd.apache.arrow.stream`): labels leave as dictionary codes, each
//! dictionary once a stream.

use std::sync::Arc;

use app::ColumnKind;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int16Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int16Array, RecordBatch, StringArray, UInt8Array, new_null_array,
};
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_schema::{ArrowError, DataType, Field, Metadata, Schema, SchemaRef};
use bytes::{BufMut as _, Bytes, BytesMut};
use kernel::disclosure::{Column, PermittedBatch};

use super::pseudonym::{self, PseudonymWriter};
use super::{EncodeError, Encoder, Format, Outline, column};

pub(super) struct ArrowEncoder {
    table: Table,
    stream: StreamEncoder,
}

impl ArrowEncoder {
    pub(super) fn new(outline: &Outline) -> Result<Self, EncodeError> {
        let table = Table::new(outline);
        let stream =
            StreamEncoder::try_new_with_options(&table.schema, IpcWriteOptions::default()).map_err(failed)?;
        Ok(Self { table, stream })
    }
}

impl Encoder for ArrowEncoder {
    fn page(&mut self, batch: &PermittedBatch) -> Result<Bytes, EncodeError> {
        let batch = self.table.batch(batch).map_err(failed)?;
        Ok(joined(&self.stream.encode(&batch).map_err(failed)?))
    }

    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError> {
        Ok(joined(&self.stream.finish().map_err(failed)?))
    }
}

fn failed(error: ArrowError) -> EncodeError {
    EncodeError::new(Format::Arrow, error)
}

fn joined<B: std::ops::Deref<Target = [u8]>>(buffers: &[B]) -> Bytes {
    let mut joined = BytesMut::with_capacity(buffers.iter().map(|buffer| buffer.len()).sum());
    for buffer in buffers {
        joined.put_slice(buffer);
    }
    joined.freeze()
}

/// Turns permitted batches into record batches of one schema.
pub(super) struct Table {
    schema: SchemaRef,
    columns: Vec<TableColumn>,
}

struct TableColumn {
    name: kernel::attribute::AttributeName,
    kind: ColumnKind,
    /// The dictionary as it was last written: the same array again is not sent again.
    dictionary: Option<(Arc<[Arc<str>]>, ArrayRef)>,
}

impl Table {
    pub(super) fn new(outline: &Outline) -> Self {
        let pseudonym = Field::new("pseudonym", DataType::Utf8, false);
        let others = outline.columns.iter().map(|spec| Field::new(spec.name.as_str(), data_type(spec.kind), true));
        let metadata: Metadata = [
            ("purpose", Some(outline.purpose.to_string())),
            ("policy", Some(outline.policy.to_string())),
            ("pull", outline.pull.map(|pull| pull.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        let fields: Vec<Field> = std::iter::once(pseudonym).chain(others).collect();
        let schema = Schema::new(fields).with_metadata(metadata);
        let columns = outline
            .columns
            .iter()
            .map(|spec| TableColumn { name: spec.name.clone(), kind: spec.kind, dictionary: None })
            .collect();
        Self { schema: Arc::new(schema), columns }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn batch(&mut self, batch: &PermittedBatch) -> Result<RecordBatch, ArrowError> {
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        arrays.push(pseudonyms(batch));
        for (near, to) in self.columns.iter_mut().enumerate() {
            let from = column(batch, &to.name, near);
            arrays.push(
                from.and_then(|from| to.array(from))
                    .unwrap_or_else(|| new_null_array(&data_type(to.kind), batch.len())),
            );
        }
        RecordBatch::try_new(self.schema(), arrays)
    }
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Label => DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8)),
        ColumnKind::Score => DataType::UInt8,
        ColumnKind::Flag => DataType::Boolean,
        ColumnKind::LabelList => DataType::new_list(DataType::Utf8, true),
        ColumnKind::Text => DataType::Utf8,
    }
}

fn pseudonyms(batch: &PermittedBatch) -> ArrayRef {
    let rows = batch.len();
    let mut texts = StringBuilder::with_capacity(rows, rows.saturating_mul(pseudonym::MAX_BYTES));
    let mut names = PseudonymWriter::new();
    for name in batch.pseudonyms() {
        // INVARIANT: a written pseudonym is ASCII.
        texts.append_value(std::str::from_utf8(names.write(*name)).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

impl TableColumn {
    /// The column as an array; `None` when it is not of the kind the schema promised.
    fn array(&mut self, column: &Column) -> Option<ArrayRef> {
        match (self.kind, column) {
            (ColumnKind::Label, Column::Labels { labels, codes }) => self.labelled(labels, codes),
            (ColumnKind::Score, Column::Scores(scores)) => {
                Some(Arc::new(UInt8Array::from_iter(scores.iter().copied())))
            }
            (ColumnKind::Flag, Column::Flags(flags)) => {
                Some(Arc::new(BooleanArray::from_iter(flags.iter().copied())))
            }
            (ColumnKind::LabelList, Column::LabelLists { labels, codes }) => Some(listed(labels, codes)),
            (ColumnKind::Text, Column::Texts(texts)) => {
                Some(Arc::new(StringArray::from_iter(texts.iter().map(Option::as_deref))))
            }
            _ => None,
        }
    }

    fn labelled(&mut self, labels: &Arc<[Arc<str>]>, codes: &[Option<u16>]) -> Option<ArrayRef> {
        let known = self.dictionary.as_ref().filter(|(known, _)| known == labels);
        let values = match known {
            Some((_, values)) => Arc::clone(values),
            None => {
                let values: ArrayRef = Arc::new(StringArray::from_iter_values(labels.iter()));
                self.dictionary = Some((Arc::clone(labels), Arc::clone(&values)));
                values
            }
        };
        let count = i16::try_from(labels.len()).ok()?;
        let key = |code: Option<u16>| code.and_then(|code| i16::try_from(code).ok()).filter(|code| *code < count);
        let keys: Int16Array = codes.iter().map(|code| key(*code)).collect();
        let array = DictionaryArray::<Int16Type>::try_new(keys, values).ok()?;
        Some(Arc::new(array))
    }
}

fn listed(labels: &[Arc<str>], codes: &[Option<Box<[u16]>>]) -> ArrayRef {
    let mut lists = ListBuilder::with_capacity(StringBuilder::new(), codes.len());
    for codes in codes {
        for code in codes.as_deref().unwrap_or_default() {
            if let Some(label) = labels.get(usize::from(*code)) {
                lists.values().append_value(label);
            }
        }
        lists.append(codes.is_some());
    }
    Arc::new(lists.finish())
}
