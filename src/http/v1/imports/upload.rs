//! `POST /v1/imports`: a source sends a file (CSV) and gets a preview of what it would do. Nothing is in force before it
//! is applied.
//!
//! The body is read line by line with back-pressure: the next bytes are asked for when what came before is stored.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Fault, Gateway, ImportLine, ImportParameters, Importing};
use bytes::Bytes;
use futures_util::StreamExt as _;
use kernel::authz::{Authorized, ImportRecords};
use kernel::source::SourceId;
use sha2::{Digest as _, Sha256};

use super::cells::cells;
use super::view::ImportBody;
use crate::http::authenticate::Allowed;
use crate::http::lines::Lines;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{body, idempotency};

/// The most bytes of a file.
const MOST_BYTES: usize = 1024 * 1024 * 1024;
/// The most bytes of a line.
const MOST_LINE_BYTES: usize = 64 * 1024;
/// How many lines are compared and stored together.
const CHUNK: usize = 1_000;
/// The most bytes of them.
const MOST_CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How many more bytes are read and thrown away after a fault, so that the answer reaches who is still sending.
const MOST_DRAINED: usize = 64 * 1024 * 1024;

const CSV: &str = "text/csv";
/// The byte order mark that some programs put first.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Imports a file.
#[utoipa::path(
    post,
    path = "/v1/imports",
    operation_id = "create_import",
    tag = "sources",
    description = "Takes a file of the client's own source and answers with a preview: how many rows are new, changed, unchanged, left out by reason, \
        quarantined by reason, or invalid, with line numbers and codes. Nothing is in force until `POST /v1/imports/{id}/apply`. UTF-8, commas, one line a \
        row, at most 64 KiB; a first line that names columns of a closed set; at most 1,000,000 rows and 1 GiB. The parameters hold for every row that does \
        not say otherwise.",
    params(
        ("partner" = Option<String>, Query, description = "The organisation that collected the data, if it was another one", max_length = 64),
        ("evidence" = Option<String>, Query, description = "Under which name the evidence of the consents is kept", max_length = 128),
        ("controllers" = Option<String>, Query, description = "The controllers that the persons were told of, parted by spaces", max_length = 4096),
        ("notice" = Option<String>, Query, description = "The digest of the notice that was shown", pattern = "^sha256:[0-9a-f]{64}$"),
        ("region" = Option<String>, Query, description = "The region of persons without one (ISO 3166)", max_length = 6),
        ("captured_at" = Option<String>, Query, description = "When rows were captured that do not say", format = DateTime),
        ("informed" = Option<bool>, Query, description = "Whether the persons were informed already (GDPR Art. 14(5)(a))"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same file with the same key again is answered again", max_length = 257),
    ),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 201, description = "The preview", body = ImportBody, headers(
        ("Location" = String, description = "The import"),
        ("Idempotency-Replayed" = Option<String>, description = "`true` when this repeats an earlier answer"),
    ))),
)]
pub async fn handler(
    by: Allowed<ImportRecords>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let source = by.0.actor().client().and_then(|client| client.source.clone());
    let source = source.ok_or_else(|| Problem::of(Code::SourceMismatch))?;
    if body::media_type(&request).as_deref() != Some(CSV) {
        return Err(Problem::of(Code::UnsupportedMediaType).saying("send `text/csv` in UTF-8"));
    }
    body::refuse_encoded(&request)?;
    if body::declared_bytes(&request).is_some_and(|declared| declared > MOST_BYTES) {
        return Err(Problem::of(Code::PayloadTooLarge));
    }
    let parameters = parameters(&request)?;
    // Only to refuse a malformed key before the file is read.
    idempotency::of(&request, &gateway, "", &[])?;
    let mut upload = Upload::new(&gateway, &by.0, source, parameters);
    if let Err(problem) = upload.read(&mut payload).await {
        upload.give_up().await;
        drain(&mut payload).await;
        return Err(problem);
    }
    upload.finish(&request).await
}

fn parameters(request: &HttpRequest) -> Result<ImportParameters, Problem> {
    const KNOWN: [&str; 7] = ["partner", "evidence", "controllers", "notice", "region", "captured_at", "informed"];
    let query = Query::of(request, &KNOWN)?;
    let controllers = query.get("controllers").unwrap_or_default();
    let controllers = controllers.split(' ').filter(|name| !name.is_empty()).map(str::parse);
    let region = query.get("region").map(kernel::regime::Regime::of_region).transpose();
    Ok(ImportParameters {
        partner: query.parse("partner")?,
        evidence: query.get("evidence").map(str::to_owned),
        controllers: controllers
            .collect::<Result<_, _>>()
            .map_err(|_| Problem::fault("/controllers", Code::InvalidField))?,
        notice: query.parse("notice")?,
        regime: region.map_err(|_| Problem::fault("/region", Code::InvalidRegion))?,
        captured_at: query.parse("captured_at")?,
        informed: query.parse("informed")?.unwrap_or(false),
    })
}

/// Reads on for a while without keeping anything.
async fn drain(payload: &mut web::Payload) {
    let mut drained = 0_usize;
    while let Some(Ok(chunk)) = payload.next().await {
        drained = drained.saturating_add(chunk.len());
        if drained > MOST_DRAINED {
            return;
        }
    }
}

/// A file on its way in.
struct Upload<'a> {
    gateway: &'a Gateway,
    by: &'a Authorized<ImportRecords>,
    source: SourceId,
    parameters: ImportParameters,
    /// Since the header was read.
    importing: Option<Importing>,
    waiting: Vec<ImportLine>,
    waiting_bytes: usize,
    rows: u64,
    digest: Sha256,
}

impl<'a> Upload<'a> {
    fn new(
        gateway: &'a Gateway,
        by: &'a Authorized<ImportRecords>,
        source: SourceId,
        parameters: ImportParameters,
    ) -> Self {
        let digest = Sha256::new();
        Self {
            gateway,
            by,
            source,
            parameters,
            importing: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            rows: 0,
            digest,
        }
    }

    async fn read(&mut self, payload: &mut web::Payload) -> Result<(), Problem> {
        let (mut total, mut lines) = (0_usize, Lines::of_at_most(MOST_LINE_BYTES));
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| body::broken(&error))?;
            total = total.saturating_add(chunk.len());
            if total > MOST_BYTES {
                return Err(Problem::of(Code::PayloadTooLarge));
            }
            self.digest.update(&chunk);
            lines.add(&chunk);
            while let Some((number, line)) = lines.next() {
                self.line(u64::from(number), line).await?;
            }
            if lines.is_too_long() {
                return Err(too_long());
            }
        }
        if let Some((number, line)) = lines.rest() {
            self.line(u64::from(number), line).await?;
        }
        if self.importing.is_none() {
            let fault = Fault::saying("", Code::Empty, "the file is empty");
            return Err(Problem::invalid(vec![fault]));
        }
        self.store().await
    }

    async fn line(&mut self, number: u64, line: Option<Bytes>) -> Result<(), Problem> {
        let line = line.ok_or_else(too_long)?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if number == 1 {
            return self.header(line.strip_prefix(BOM).unwrap_or(line)).await;
        }
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.rows = self.rows.saturating_add(1);
        let most = self.gateway.settings().most_import_rows;
        if self.rows > most {
            return Err(Problem::of(Code::PayloadTooLarge).saying(format!("send at most {most} rows at once")));
        }
        let text = std::str::from_utf8(line).map_err(|_| Code::InvalidUtf8);
        self.waiting.push(ImportLine { number, cells: text.and_then(cells) });
        self.waiting_bytes = self.waiting_bytes.saturating_add(line.len());
        let is_full = self.waiting.len() >= CHUNK || self.waiting_bytes > MOST_CHUNK_BYTES;
        if is_full { self.store().await } else { Ok(()) }
    }

    async fn header(&mut self, line: &[u8]) -> Result<(), Problem> {
        let invalid = |code| Problem::fault("/header", code);
        if line.trim_ascii().is_empty() {
            return Err(invalid(Code::Empty));
        }
        let text = std::str::from_utf8(line).map_err(|_| invalid(Code::InvalidUtf8))?;
        let header = cells(text).map_err(invalid)?;
        let parameters = self.parameters.clone();
        self.importing = Some(self.gateway.begin_import(self.by, &self.source, parameters, &header).await?);
        Ok(())
    }

    async fn store(&mut self) -> Result<(), Problem> {
        let lines = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        match &mut self.importing {
            Some(importing) if !lines.is_empty() => Ok(importing.take(lines).await?),
            _ => Ok(()),
        }
    }

    async fn give_up(self) {
        if let Some(importing) = self.importing {
            importing.give_up().await;
        }
    }

    async fn finish(self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let digest: [u8; 32] = self.digest.finalize().into();
        let client = self.by.actor().client().map(|client| client.client.to_string()).unwrap_or_default();
        let parts: [&[u8]; 2] = [request.query_string().as_bytes(), &digest];
        let idempotency = idempotency::of(request, self.gateway, &client, &parts)?;
        let importing = self.importing.ok_or_else(|| Problem::of(Code::Internal))?;
        let (view, replayed) = importing.finish(self.by, &digest, idempotency.as_ref()).await?;
        let mut response = HttpResponse::Created();
        response.insert_header((LOCATION, format!("/v1/imports/{}", view.id)));
        if replayed {
            response.insert_header((idempotency::REPLAYED, "true"));
        }
        Ok(response.json(ImportBody::from(view)))
    }
}

fn too_long() -> Problem {
    let fault = Fault::saying("", Code::TooLong, "a line is longer than 64 KiB");
    Problem::invalid(vec![fault])
}
