//! `POST /v1/records`: a source sends what it knows of persons, line by line; every line has its own result, and a broken
//! one does not lose the others.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Fault, Gateway, LineOutcome, RecordLine};
use bytes::Bytes;
use futures_util::StreamExt as _;
use kernel::authz::{Authorized, IngestRecords};
use kernel::source::SourceId;
use kernel::time::Timestamp;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::json::{self, Rejection};
use crate::http::lines::Lines;
use crate::http::object::Object;
use crate::http::problem::{FaultDocument, Problem};
use crate::http::v1::subject::Subject;
use crate::http::{body, negotiate};

/// The most bytes of a body of lines.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of a body that is one array: it is held whole.
const MOST_ARRAY_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes of one line.
const MOST_LINE_BYTES: usize = 256 * 1024;
/// The most lines of a body.
const MOST_LINES: u32 = 100_000;
/// How many lines are stored together.
const CHUNK: usize = 500;

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// What a source says of one person.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Record, example = json!({
    "subject": {"customer_id": "10042", "email": "anna@example.org"},
    "region": "DE",
    "observed_at": "2026-11-22T18:30:00Z",
    "attributes": {"first_name": "Anna", "interests": ["shoes"]}
}))]
pub struct RecordBody {
    /// The person.
    #[validate(nested)]
    #[schema(value_type = Subject)]
    subject: Object<Subject>,
    /// The person's region (ISO 3166).
    #[validate(length(max = 6, code = "too_long"))]
    #[schema(max_length = 6, nullable = false)]
    region: Option<String>,
    /// When the source observed the values; now, if absent.
    #[schema(value_type = String, format = DateTime, required = false)]
    observed_at: Option<Timestamp>,
    /// The values, by attribute of the policy.
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    attributes: Map<String, Value>,
}

impl std::fmt::Debug for RecordBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordBody(..)")
    }
}

impl From<RecordBody> for RecordLine {
    fn from(body: RecordBody) -> Self {
        Self {
            email: body.subject.0.email,
            customer_id: body.subject.0.customer_id,
            region: body.region,
            observed_at: body.observed_at,
            attributes: body.attributes,
        }
    }
}

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineResult, example = json!({"line": 1, "status": "stored", "created": true}))]
pub struct LineResultBody {
    /// The line, counted from 1.
    #[schema(minimum = 1)]
    line: u32,
    /// `stored` or `rejected`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Whether the person was not held before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    created: Option<bool>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LineProblemBody, required = false)]
    problem: Option<LineProblemBody>,
}

/// Why a line was rejected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineProblem)]
pub struct LineProblemBody {
    /// The stable code of the problem.
    #[schema(value_type = String)]
    code: &'static str,
    /// What is wrong, fault by fault.
    errors: Vec<FaultDocument>,
}

/// What became of all lines.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestResult)]
pub(crate) struct IngestResultBody {
    /// How many lines were stored.
    stored: u32,
    /// How many were rejected.
    rejected: u32,
    /// One result a line, in order.
    results: Vec<LineResultBody>,
}

/// Stores records.
#[utoipa::path(
    post,
    path = "/v1/records",
    operation_id = "ingest_records",
    tag = "sources",
    description = "Takes records of the client's own source: a JSON array (at most 8 MiB) or NDJSON (at most 64 MiB, streamed), at most 100,000 records \
        of at most 256 KiB each. Every record is stored or rejected by itself. The answer has the form that `Accept` likes best, else that of the request.",
    request_body(content((Vec<RecordBody> = "application/json"), (RecordBody = "application/x-ndjson"))),
    responses((status = 200, description = "One result a record", content(
        (IngestResultBody = "application/json"), (LineResultBody = "application/x-ndjson"),
    ))),
)]
pub async fn handler(
    by: Allowed<IngestRecords>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let source = by.0.actor().client().and_then(|client| client.source.clone());
    let source = source.ok_or_else(|| Problem::of(Code::SourceMismatch))?;
    let (is_lines, answer) = formats(&request)?;
    let mut ingestion = Ingestion::new(&gateway, &by.0, source, answer);
    if is_lines {
        ingestion.take_lines(&request, payload).await?
    } else {
        ingestion.take_array(&request, payload).await?
    }
    Ok(ingestion.finish())
}

/// Whether the body is lines, and the media type of the answer.
fn formats(request: &HttpRequest) -> Result<(bool, &'static str), Problem> {
    let (is_lines, offers) = match body::media_type(request).as_deref() {
        Some(NDJSON | "application/ndjson") => (true, [NDJSON, JSON]),
        Some(JSON) => (false, [JSON, NDJSON]),
        _ => {
            return Err(Problem::of(Code::UnsupportedMediaType)
                .saying("send `application/json` or `application/x-ndjson`"));
        }
    };
    let answer = negotiate::media_type(request, &offers).ok_or_else(|| Problem::of(Code::NotAcceptable))?;
    let answer = if answer == NDJSON { NDJSON } else { JSON };
    Ok((is_lines, answer))
}

/// One line, read or found wrong.
type Line = Result<RecordLine, LineProblem>;

struct LineProblem {
    code: Code,
    faults: Vec<Fault>,
}

impl From<Vec<Fault>> for LineProblem {
    fn from(faults: Vec<Fault>) -> Self {
        Self { code: faults.first().map_or(Code::InvalidField, |fault| fault.code), faults }
    }
}

/// A body on its way in.
struct Ingestion<'a> {
    gateway: &'a Gateway,
    by: &'a Authorized<IngestRecords>,
    source: SourceId,
    answer: &'static str,
    waiting: Vec<(u32, Line)>,
    results: Vec<u8>,
    stored: u32,
    rejected: u32,
}

impl<'a> Ingestion<'a> {
    const fn new(
        gateway: &'a Gateway,
        by: &'a Authorized<IngestRecords>,
        source: SourceId,
        answer: &'static str,
    ) -> Self {
        Self { gateway, by, source, answer, waiting: Vec::new(), results: Vec::new(), stored: 0, rejected: 0 }
    }

    async fn take_lines(&mut self, request: &HttpRequest, mut payload: web::Payload) -> Result<(), Problem> {
        body::refuse_encoded(request)?;
        if body::declared_bytes(request).is_some_and(|declared| declared > MOST_BYTES) {
            return Err(Problem::of(Code::PayloadTooLarge));
        }
        let (mut total, mut lines) = (0_usize, Lines::of_at_most(MOST_LINE_BYTES));
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| body::broken())?;
            total = total.saturating_add(chunk.len());
            if total > MOST_BYTES {
                return Err(Problem::of(Code::PayloadTooLarge));
            }
            lines.add(&chunk);
            while let Some(line) = lines.next() {
                self.take_line(&line).await?;
            }
        }
        if let Some(line) = lines.rest() {
            self.take_line(&line).await?;
        }
        self.store().await
    }

    async fn take_line(&mut self, (number, line): &(u32, Option<Bytes>)) -> Result<(), Problem> {
        let read = match line {
            None => Err(LineProblem::from(vec![Fault::at("", Code::TooLong)])),
            Some(line) if line.trim_ascii().is_empty() => return Ok(()),
            Some(line) => {
                json::parse::<RecordBody>(line).map(RecordLine::from).map_err(|rejection| match rejection {
                    Rejection::Unreadable(code) => LineProblem { code, faults: vec![Fault::at("", code)] },
                    Rejection::Invalid(faults) => faults.into(),
                })
            }
        };
        self.take(*number, read).await
    }

    /// An array is one document: if it is not well-formed, nothing of it is stored.
    async fn take_array(&mut self, request: &HttpRequest, payload: web::Payload) -> Result<(), Problem> {
        let bytes = body::read(request, &mut payload.into_inner(), MOST_ARRAY_BYTES).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::of(Code::InvalidUtf8))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let lines = reader.deserialize_seq(Elements).and_then(|lines| reader.end().map(|()| lines));
        let lines = lines.map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::fault("", Code::InvalidField),
            _ => Problem::of(Code::MalformedJson),
        })?;
        for (number, line) in (1..).zip(lines) {
            self.take(number, line).await?;
        }
        self.store().await
    }

    async fn take(&mut self, number: u32, line: Line) -> Result<(), Problem> {
        if number > MOST_LINES {
            return Err(Problem::of(Code::PayloadTooLarge).saying("send at most 100,000 records at once"));
        }
        self.waiting.push((number, line));
        if self.waiting.len() >= CHUNK { self.store().await } else { Ok(()) }
    }

    /// Stores what waits and writes its results.
    async fn store(&mut self) -> Result<(), Problem> {
        let mut numbers = Vec::with_capacity(self.waiting.len());
        let mut good = Vec::with_capacity(self.waiting.len());
        for (number, line) in self.waiting.drain(..) {
            match line {
                Ok(line) => {
                    good.push(line);
                    numbers.push((number, None));
                }
                Err(problem) => numbers.push((number, Some(problem))),
            }
        }
        let outcomes =
            if good.is_empty() { Vec::new() } else { self.gateway.ingest(self.by, &self.source, good).await? };
        let mut outcomes = outcomes.into_iter();
        for (number, problem) in numbers {
            let result = match problem {
                Some(problem) => Err(problem),
                None => match outcomes.next() {
                    Some(LineOutcome::Stored { created }) => Ok(created),
                    Some(LineOutcome::Rejected(faults)) => Err(faults.into()),
                    None => Err(LineProblem { code: Code::Internal, faults: Vec::new() }),
                },
            };
            self.write(number, result);
        }
        Ok(())
    }

    fn write(&mut self, line: u32, result: Result<bool, LineProblem>) {
        let body = match result {
            Ok(created) => {
                self.stored += 1;
                LineResultBody { line, status: "stored", created: Some(created), problem: None }
            }
            Err(LineProblem { code, faults }) => {
                self.rejected += 1;
                let errors = faults.iter().map(FaultDocument::from).collect();
                let problem = LineProblemBody { code: code.as_str(), errors };
                LineResultBody { line, status: "rejected", created: None, problem: Some(problem) }
            }
        };
        if self.answer == JSON && !self.results.is_empty() {
            self.results.push(b',');
        }
        // Writing plain values to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.results, &body);
        if self.answer == NDJSON {
            self.results.push(b'\n');
        }
    }

    fn finish(self) -> HttpResponse {
        let body = if self.answer == JSON {
            let head = format!("{{\"stored\":{},\"rejected\":{},\"results\":[", self.stored, self.rejected);
            [head.as_bytes(), &self.results, b"]}"].concat()
        } else {
            self.results
        };
        HttpResponse::Ok().insert_header((CONTENT_TYPE, self.answer)).body(body)
    }
}

/// Reads an array element by element, so that one of a wrong shape does not lose the others.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Line>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Line>, A::Error> {
        let mut lines = Vec::new();
        while let Some(element) = elements.next_element::<Value>()? {
            // One more than allowed is kept, so that the excess is seen.
            if u32::try_from(lines.len()).is_ok_and(|count| count <= MOST_LINES) {
                lines.push(json::convert::<RecordBody>(element).map(RecordLine::from).map_err(LineProblem::from));
            }
        }
        Ok(lines)
    }
}
