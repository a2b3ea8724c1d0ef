//! `POST /v1/records`: a source sends what it knows of persons, line by line; every line has its own result, and a broken
//! one does not lose the others.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, LineOutcome, RecordLine};
use kernel::authz::{Authorized, IngestRecords};
use kernel::source::SourceId;
use kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::lines::{self, JSON, LineProblem, LineProblemBody, NDJSON};
use crate::http::object::Object;
use crate::http::problem::Problem;

/// How many lines are stored together.
const CHUNK: usize = 500;

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
    #[schema(value_type = RecordSubject)]
    subject: Object<RecordSubject>,
    /// The person's region (ISO 3166).
    #[validate(length(max = 6, code = "too_long"))]
    #[schema(max_length = 6)]
    region: Option<String>,
    /// When the source observed the values; now, if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
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

/// Identifiers of one person, or the key of a pseudonymous profile by itself.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSubject {
    /// Email address.
    #[validate(length(max = 254, code = "too_long"))]
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// The number under which a shop or CRM knows the person.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    customer_id: Option<String>,
    /// The key of a pseudonymous profile, as in `POST /v1/signals`: its opt-outs stop its attributes, too.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128, pattern = "^[!-~]+$")]
    profile: Option<String>,
}

impl std::fmt::Debug for RecordSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordSubject(..)")
    }
}

impl From<RecordBody> for RecordLine {
    fn from(body: RecordBody) -> Self {
        Self {
            email: body.subject.0.email,
            customer_id: body.subject.0.customer_id,
            profile: body.subject.0.profile,
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
    let (is_lines, answer) = lines::formats(&request)?;
    let mut ingestion = Ingestion::new(&gateway, &by.0, source, answer);
    lines::read::<RecordBody>(&request, payload, is_lines, async |number, line| {
        ingestion.take(number, line.map(RecordLine::from)).await
    })
    .await?;
    ingestion.store().await?;
    Ok(ingestion.finish())
}

/// One line, read or found wrong.
type Line = Result<RecordLine, LineProblem>;

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

    async fn take(&mut self, number: u32, line: Line) -> Result<(), Problem> {
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
            Err(problem) => {
                self.rejected += 1;
                let problem = LineProblemBody::from(&problem);
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
