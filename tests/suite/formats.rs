//! The formats say the same: CSV, Arrow and Parquet, read by other libraries, cell by cell what NDJSON says.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int16Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use crate::harness::{Backend, Line, Recipient, TestGateway};

on_both!(
    every_format_says_the_same,
    a_pull_of_many_pages_is_whole_in_every_format,
    nobody_gives_an_empty_but_readable_answer,
    a_format_is_chosen_by_accept
);

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

async fn every_format_says_the_same(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(33, &["profiling_segmentation", "email_marketing"]).await;
    // A text that a spreadsheet would run, and one that needs quotes.
    for (number, name) in [(1, "=1+1"), (2, "a \"b\", c; d"), (3, "ünïcödé")] {
        let mut post = gateway.person(&format!("person-{number}")).post(&[("email_marketing", "give")]);
        post["fields"] = json!({ "first_name": name });
        gateway.post("/v1/consents", &post).await.expect(201);
    }
    for recipient in [gateway.segmentation().await, gateway.mailer().await] {
        let expected = sorted(recipient.pulls().await.rows);
        assert_eq!(expected.len(), 33);
        assert_eq!(sorted(arrow(&recipient, "").await), expected);
        assert_eq!(sorted(parquet(&recipient).await), expected);
        compare_csv(&recipient, &expected).await;
    }
    let segmentation = gateway.segmentation().await;
    let narrow = arrow(&segmentation, "&attributes=rfm_monetary,age_band").await;
    let columns: Vec<_> = narrow[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(columns.len(), 3, "{columns:?}");
}

/// A streamed pull has pages of some thousands of persons; this one has three of them.
async fn a_pull_of_many_pages_is_whole_in_every_format(backend: Backend) {
    const PERSONS: usize = 17_000;
    let gateway = TestGateway::start(backend).await;
    let shop = gateway.shop().await;
    let topics = ["books", "garden", "music", "travel", "unlisted"];
    let line = |number: usize| {
        let person = gateway.person(&format!("person-{number}"));
        // In California nobody needs to have said anything for this purpose.
        let attributes = json!({ "interest_topic": topics[number % 5], "household_size": 1 + number % 6 });
        Line::of(&person, attributes).of_region("US-CA").0.to_string()
    };
    let lines: Vec<_> = (0..PERSONS).map(line).collect();
    let result = shop.sends_bytes("application/x-ndjson", lines.join("\n")).await.expect(200);
    assert_eq!(result.lines().iter().filter(|line| line["status"] == "stored").count(), PERSONS);
    let adnetwork = gateway.adnetwork().await;
    let expected = sorted(adnetwork.pulls().await.rows);
    assert_eq!(expected.len(), PERSONS);
    let of_books = expected.iter().filter(|row| row["interest_topic"] == "books").count();
    assert_eq!(of_books, PERSONS / 5);
    let names: BTreeSet<_> = expected.iter().map(|row| row["pseudonym"].as_str().unwrap()).collect();
    assert_eq!(names.len(), PERSONS);
    assert!(sorted(arrow(&adnetwork, "").await) == expected);
    assert!(sorted(parquet(&adnetwork).await) == expected);
    compare_csv(&adnetwork, &expected).await;
    // Every page is on record by itself.
    assert_eq!(gateway.database().stored().await["disclosure"], 4 * 3);
    gateway.expect_sound_ledger().await;
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| row["pseudonym"].as_str().unwrap().to_owned());
    rows
}

async fn arrow(recipient: &Recipient<'_>, query: &str) -> Vec<Value> {
    let answer = recipient.pulls_as(ARROW, query).await.expect(200);
    assert_eq!(answer.content_type(), ARROW);
    let reader = StreamReader::try_new(answer.body.as_slice(), None).unwrap();
    assert_eq!(reader.schema().metadata()["purpose"], recipient.purpose);
    reader.flat_map(|batch| rows(&batch.unwrap())).collect()
}

async fn parquet(recipient: &Recipient<'_>) -> Vec<Value> {
    let answer = recipient.pulls_as(PARQUET, "").await.expect(200);
    assert_eq!(answer.content_type(), PARQUET);
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(answer.body)).unwrap();
    // Statistics would tell the extremes of a column in the clear.
    for group in builder.metadata().row_groups() {
        assert!(group.columns().iter().all(|column| column.statistics().is_none()));
    }
    builder.build().unwrap().flat_map(|batch| rows(&batch.unwrap())).collect()
}

/// Rows of a record batch as NDJSON would write them.
fn rows(batch: &RecordBatch) -> Vec<Value> {
    (0..batch.num_rows())
        .map(|row| {
            let cells: Map<_, _> = batch
                .schema()
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, column)| (field.name().clone(), cell(column, row)))
                .collect();
            Value::Object(cells)
        })
        .collect()
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::UInt8 => column.as_primitive::<arrow_array::types::UInt8Type>().value(row).into(),
        DataType::Dictionary(..) => {
            let labels = column.as_dictionary::<Int16Type>();
            let key = usize::try_from(labels.keys().value(row)).unwrap();
            labels.values().as_string::<i32>().value(key).into()
        }
        DataType::List(_) => {
            let labels = column.as_list::<i32>().value(row);
            labels.as_string::<i32>().iter().map(|label| Value::from(label.unwrap())).collect()
        }
        other => panic!("an unexpected column type: {other}"),
    }
}

async fn compare_csv(recipient: &Recipient<'_>, expected: &[Value]) {
    let answer = recipient.pulls_as("text/csv", "").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"profiles.csv\""));
    let mut reader = csv::ReaderBuilder::new().from_reader(answer.body.as_slice());
    let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    rows.sort_by_key(|row| row[0].to_owned());
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(header.len(), expected.as_object().unwrap().len());
        for (name, text) in header.iter().zip(row) {
            let shown = match &expected[name] {
                Value::Null => String::new(),
                Value::String(value) if value.starts_with('=') => format!("'{value}"),
                Value::String(value) => value.clone(),
                Value::Array(labels) => {
                    labels.iter().map(|label| label.as_str().unwrap()).collect::<Vec<_>>().join("|")
                }
                other => other.to_string(),
            };
            assert_eq!(text, shown, "{name}");
        }
    }
}

async fn nobody_gives_an_empty_but_readable_answer(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let segmentation = gateway.segmentation().await;
    for known in [false, true] {
        if known {
            gateway.person("anna").refuses(&["profiling_segmentation"]).await;
        }
        assert!(segmentation.pulls().await.bytes.is_empty());
        assert!(arrow(&segmentation, "").await.is_empty());
        assert!(parquet(&segmentation).await.is_empty());
        let csv = segmentation.pulls_as("text/csv", "").await.expect(200).text();
        assert!(csv.starts_with("pseudonym,age_band,") && csv.lines().count() == 1, "{csv}");
    }
}

async fn a_format_is_chosen_by_accept(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    for (accept, kind) in [
        ("*/*", "application/x-ndjson"),
        ("text/csv;q=0.5, application/vnd.apache.arrow.stream", ARROW),
        ("application/x-ndjson;q=0, text/csv;q=0.1", "text/csv"),
        (PARQUET, PARQUET),
    ] {
        let answer = segmentation.pulls_as(accept, "").await.expect(200);
        assert_eq!((answer.content_type(), answer.header("vary")), (kind, Some("Accept")), "{accept}");
    }
    let before = gateway.database().stored().await;
    segmentation.pulls_as("image/png", "").await.expect_problem(406, "not_acceptable");
    assert_eq!(gateway.database().stored().await, before);
}
