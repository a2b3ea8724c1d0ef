//! `GET /v1/profiles`: everybody whom a recipient may know for a purpose, page by page. A page is decided and recorded
//! when the client's reading makes room for it, so what is withdrawn meanwhile is not sent.

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LINK, VARY};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use app::{AppError, Code, Gateway, Pull, PulledPage, ReadyAsk};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use kernel::authz::ReadProfiles;
use kernel::ledger::RefusedAttempt;
use thiserror::Error;

use super::lookup::ask;
use crate::encode::{self, EncodeError, Encoder, Format, Outline};
use crate::http::authenticate::Allowed;
use crate::http::negotiate;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most rows of one bounded answer.
const MOST_ROWS: u32 = 8_192;
/// How many pages in which nobody is permitted one bounded answer passes over.
const MOST_EMPTY_PAGES: u32 = 16;

/// Pulls profiles.
#[utoipa::path(
    get,
    path = "/v1/profiles",
    operation_id = "pull_profiles",
    tag = "recipients",
    description = "Everybody whom the recipient may know for the purpose now, as a stream, in the format that `Accept` likes best (NDJSON if it has no \
        preference). Every page is recorded before its bytes leave; an answer that breaks off is not whole. With `limit` the answer is one bounded \
        part, and `Link` leads to the next; a part may be small or empty while there is a next one.",
    params(
        ("purpose" = String, Query, description = "What for", max_length = 64, example = "profiling_segmentation"),
        ("attributes" = Option<String>, Query, description = "Which attributes, parted by commas; all of the contract that the purpose allows, if absent", example = "age_band,stage"),
        ("cursor" = Option<String>, Query, description = "To go on where a `Link` leads", max_length = 5120, pattern = "^[A-Za-z0-9_-]+$"),
        ("limit" = Option<u32>, Query, description = "How many rows to answer with at once", minimum = 1, maximum = 8192),
    ),
    responses((status = 200, description = "One row a permitted person, the pseudonym first", content(
        (String = "application/x-ndjson"),
        (String = "text/csv"),
        (String = "application/vnd.apache.arrow.stream"),
        (String = "application/vnd.apache.parquet"),
    ), headers(("Link" = Option<String>, description = "`rel=\"next\"`, while there is more")))),
)]
pub async fn handler(
    by: Allowed<ReadProfiles>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["purpose", "attributes", "cursor", "limit"])?;
    let format = format(&request)?;
    let limit = query.limit(MOST_ROWS)?;
    let purpose = query.get("purpose").ok_or_else(|| Problem::fault("/purpose", Code::MissingField))?;
    let names = query.get("attributes").into_iter().flat_map(|names| names.split(','));
    let ready = gateway.ask(&by.0, ask(purpose, names)?, RefusedAttempt::PullProfiles).await?;
    if request.method() == Method::HEAD {
        // The headers of the stream, and nothing read or recorded.
        return Ok(head(format).streaming(stream::empty::<Result<Bytes, BrokenOff>>()));
    }
    let pull = gateway.pull(&by.0, ready.clone(), query.get("cursor"), limit).await?;
    match limit {
        Some(limit) => bounded(pull, &ready, format, limit, &query).await,
        None => streamed(pull, &ready, format).await,
    }
}

fn format(request: &HttpRequest) -> Result<Format, Problem> {
    let chosen = negotiate::media_type(request, &Format::ALL.map(Format::media_type));
    let format = chosen.and_then(|chosen| Format::ALL.into_iter().find(|format| format.media_type() == chosen));
    format.ok_or_else(|| Problem::of(Code::NotAcceptable))
}

fn head(format: Format) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, format.content_type())).insert_header((VARY, "Accept"));
    let name = match format {
        Format::Csv => Some("profiles.csv"),
        Format::Parquet => Some("profiles.parquet"),
        _ => None,
    };
    if let Some(name) = name {
        response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    }
    response
}

fn outline(ready: &ReadyAsk, first: Option<&PulledPage>) -> Outline {
    Outline {
        columns: ready.columns().to_vec(),
        purpose: ready.purpose().clone(),
        policy: ready.policy_version(),
        pull: first.map(|page| page.batch.pull()),
    }
}

fn unwritable(error: EncodeError) -> Problem {
    tracing::error!(%error, "rows could not be written");
    Problem::of(Code::Internal)
}

/// One bounded answer: the first page that is not empty, and where the next one begins.
async fn bounded(
    mut pull: Pull,
    ready: &ReadyAsk,
    format: Format,
    limit: u32,
    query: &Query,
) -> Result<HttpResponse, Problem> {
    let mut page = pull.next().await.transpose()?;
    let mut encoder = encode::encoder(format, outline(ready, page.as_ref())).map_err(unwritable)?;
    let (mut body, mut next) = (BytesMut::new(), None);
    for _ in 0..MOST_EMPTY_PAGES {
        let Some(PulledPage { batch, cursor }) = page.take() else { break };
        body.extend_from_slice(&encoder.page(&batch).map_err(unwritable)?);
        next = cursor;
        if !batch.is_empty() || next.is_none() {
            break;
        }
        page = pull.next().await.transpose()?;
    }
    body.extend_from_slice(&encoder.finish().map_err(unwritable)?);
    let mut response = head(format);
    if let Some(cursor) = next {
        response.insert_header((LINK, next_link(query, &cursor, limit)));
    }
    Ok(response.body(body.freeze()))
}

/// The way to the next part (RFC 8288). Purpose and attribute names need no escape, nor does a cursor.
fn next_link(query: &Query, cursor: &str, limit: u32) -> String {
    let attributes = query.get("attributes").map(|names| format!("&attributes={names}")).unwrap_or_default();
    let purpose = query.get("purpose").unwrap_or_default();
    format!("</v1/profiles?purpose={purpose}{attributes}&limit={limit}&cursor={cursor}>; rel=\"next\"")
}

/// The whole as a stream. The first page comes before the status, so that a pull that cannot begin is a plain error.
async fn streamed(mut pull: Pull, ready: &ReadyAsk, format: Format) -> Result<HttpResponse, Problem> {
    let first = pull.next().await.transpose()?;
    let encoder = encode::encoder(format, outline(ready, first.as_ref())).map_err(unwritable)?;
    Ok(head(format).streaming(bytes(pull, first, encoder)))
}

/// Why a stream breaks off. The client sees a body without an end.
#[derive(Debug, Error)]
enum BrokenOff {
    #[error("the next page could not be read")]
    Page(#[source] AppError),
    #[error("the next page could not be written")]
    Encode(#[source] EncodeError),
}

struct Streaming {
    pull: Pull,
    page: Option<PulledPage>,
    encoder: Box<dyn Encoder>,
}

impl Streaming {
    /// The next bytes, and what is left to stream. Pages that give no bytes yet are passed over: an empty chunk would
    /// end the body.
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, BrokenOff> {
        loop {
            let page = match self.page.take() {
                Some(page) => Some(page),
                None => self.pull.next().await.transpose().map_err(BrokenOff::Page)?,
            };
            let Some(page) = page else {
                let end = self.encoder.finish().map_err(BrokenOff::Encode)?;
                return Ok((!end.is_empty()).then_some((end, None)));
            };
            let bytes = self.encoder.page(&page.batch).map_err(BrokenOff::Encode)?;
            if !bytes.is_empty() {
                return Ok(Some((bytes, Some(self))));
            }
        }
    }
}

fn bytes(
    pull: Pull,
    first: Option<PulledPage>,
    encoder: Box<dyn Encoder>,
) -> impl Stream<Item = Result<Bytes, BrokenOff>> + 'static {
    stream::try_unfold(Some(Streaming { pull, page: first, encoder }), |state| async move {
        let Some(state) = state else { return Ok(None) };
        state.next().await.inspect_err(|error| tracing::error!(%error, "a pull broke off"))
    })
}
