//! What happens to every request, whatever it asks for: it gets an id, a span without personal data, it is bounded and
//! counted, its caller is authenticated, a panic becomes a plain 500, and the answer gets its security headers.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap,
    HeaderName, HeaderValue, PERMISSIONS_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use app::Code;
use bytes::Bytes;
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::authenticate::{self, authenticate};
use super::limit::{Class, HeldOff, Kind, Place, Standing, class_of};
use super::problem::Problem;
use super::{Access, Edge, Route, console, denied, negotiate, origin, pace, page};
use crate::server::{About, Working};

/// The most bytes of a request's target. The longest that anybody needs is a cursor.
const MOST_TARGET_BYTES: usize = 8_192;
/// The most bytes of all header fields.
const MOST_HEADER_BYTES: usize = 32_768;
/// The most header fields.
const MOST_HEADERS: usize = 64;

/// What a page of another origin may read of an answer, besides what every page may.
const EXPOSED: &str = "Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids: unguessable, and without a meaning of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestIds {
    key: RandomState,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    fn draw(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let half = |half: u8| self.key.hash_one((number, half));
        RequestId(format!("{:016x}{:016x}", half(0), half(1)).into())
    }
}

/// The id of a request, as answers and the log tell it.
#[derive(Debug, Clone)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Takes a request through its route.
pub(super) async fn through(
    edge: Edge,
    (route, kind): (&'static Route, Kind),
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (id, begin) = (edge.ids.draw(), Instant::now());
    let working = request.conn_data::<Rc<About>>().map(About::begin);
    let method = known(request.method());
    let span = tracing::info_span!(
        "request",
        method,
        route = route.path,
        request_id = id.as_str(),
        status = tracing::field::Empty,
    );
    request.extensions_mut().insert(id.clone());
    let (mut response, place) = answer(&edge, (route, kind), request, next).instrument(span.clone()).await;
    finish(edge.doors.hsts.as_ref(), route, &id, &mut response);
    let status = response.status();
    span.record("status", status.as_u16());
    span.in_scope(|| log(&response));
    edge.metrics.count(method, route.path, status, begin.elapsed());
    // What is streamed is still being worked on, and keeps its place until its end.
    if matches!(response.response().body().size(), BodySize::Stream) {
        return Ok(response.map_body(|_, body| BoxBody::new(Held { body, _working: working, _place: place })));
    }
    Ok(response)
}

async fn answer(
    edge: &Edge,
    (route, kind): (&'static Route, Kind),
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> (ServiceResponse<BoxBody>, Place) {
    // Routing is over: a second handle on the request does no harm, and survives a panic.
    let handle = request.request().clone();
    let access = route.access(request.method().as_str());
    let class = class_of(kind, access, request.method().is_safe());
    let (standing, place) = match admit(edge, access, class, &request).await {
        Ok(admitted) => admitted,
        Err(held_off) => return (refuse(handle, &held_off), Place::default()),
    };
    pace::watch(&mut request, edge.doors.patience);
    let mut response = contained(handle, next.call(request)).await;
    if let Some(Access::Scope(scope)) = access {
        denied::note(&edge.gateway, route, scope, &response).await;
    }
    if let Some(standing) = standing {
        response.response_mut().extensions_mut().insert(standing);
    }
    (response, place)
}

/// Whether a request may go on: bounded in itself, and not one too many of its machine or its caller. Its caller is
/// known then.
async fn admit(
    edge: &Edge,
    access: Option<Access>,
    class: Class,
    request: &ServiceRequest,
) -> Result<(Option<Standing>, Place), HeldOff> {
    let machine = || edge.doors.proxies.machine(request.peer_addr(), request.headers());
    let mut standing = None;
    // Of a program only its own name counts.
    if !matches!(access, Some(Access::Scope(_))) {
        let machine = machine();
        if let Some(machine) = machine {
            request.extensions_mut().insert(machine);
        }
        standing = edge.limits.machine(class, machine)?;
    }
    let just = |problem| HeldOff { problem, standing: None };
    bounded(request).map_err(just)?;
    if class == Class::Tokens && !has_certificate(edge, request) {
        return Err(just(Problem::of(Code::CertificateNeeded)));
    }
    match access {
        Some(Access::Scope(_)) => {
            if request.headers().contains_key(AUTHORIZATION) && !has_certificate(edge, request) {
                return Err(just(Problem::of(Code::CertificateNeeded)));
            }
            authenticate(&edge.gateway, request).await;
            match authenticate::actor(request.request()) {
                Some(actor) => return edge.limits.caller(class, &actor),
                // Whoever tries credentials is counted by their machine.
                None => standing = edge.limits.machine(Class::Tokens, machine())?,
            }
        }
        Some(Access::Staff) => console::take_seat(&edge.gateway, request).await,
        Some(Access::Public) | None => {}
    }
    Ok((standing, Place::default()))
}

/// Whether the client proved itself by a certificate, where programs must.
fn has_certificate(edge: &Edge, request: &ServiceRequest) -> bool {
    let about = request.conn_data::<Rc<About>>();
    !edge.doors.needs_certificate || about.is_some_and(|about| about.has_certificate())
}

/// Refuses a head that is larger than any that means something. Much larger ones the parser refuses by itself.
fn bounded(request: &ServiceRequest) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MOST_TARGET_BYTES {
        return Err(Problem::of(Code::UriTooLong));
    }
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in request.headers() {
        count += 1;
        bytes += name.as_str().len() + value.len();
    }
    if count > MOST_HEADERS || bytes > MOST_HEADER_BYTES {
        return Err(Problem::of(Code::HeadersTooLarge));
    }
    Ok(())
}

/// The answer to whoever is held off: a page for whoever reads pages.
fn refuse(handle: HttpRequest, held_off: &HeldOff) -> ServiceResponse<BoxBody> {
    let mut response = if negotiate::prefers_html(&handle) {
        let language = page::Language::asked(None, &handle);
        page::problem(&held_off.problem, language.tag())
    } else {
        held_off.problem.response(None)
    };
    if let Some(standing) = &held_off.standing {
        response.extensions_mut().insert(standing.clone());
    }
    ServiceResponse::new(handle, response)
}

/// A body that keeps something until it has been sent or given up.
struct Held {
    body: BoxBody,
    _working: Option<Working>,
    _place: Place,
}

impl MessageBody for Held {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// The answer of a handler, even if it panics: one request is lost, not the connection, and the caller learns no more
/// than that it was our fault.
async fn contained(
    handle: HttpRequest,
    answer: impl Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
) -> ServiceResponse<BoxBody> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => ServiceResponse::from_err(error, handle),
        Err(_) => ServiceResponse::new(handle, Problem::of(Code::Internal).response(None)),
    }
}

/// A method's name, if it is one of those that exist: whatever else is sent is not repeated in log and metrics.
fn known(method: &Method) -> &'static str {
    const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    NAMES.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}

/// Puts the last touches to an answer.
fn finish(hsts: Option<&HeaderValue>, route: &Route, id: &RequestId, response: &mut ServiceResponse<BoxBody>) {
    let standing = response.response_mut().extensions_mut().remove::<Standing>();
    rewrite_problem(id, response);
    let cross_origin = if route.is_cross_origin { allowed_origin(response) } else { None };
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(CACHE_CONTROL, "no-store");
    default(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    default(REFERRER_POLICY, "no-referrer");
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(X_FRAME_OPTIONS, "DENY");
    default(PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), browsing-topics=()");
    default(CROSS_ORIGIN_OPENER_POLICY, "same-origin");
    default(CROSS_ORIGIN_RESOURCE_POLICY, if route.is_cross_origin { "cross-origin" } else { "same-origin" });
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    if let Some(hsts) = hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    if let Some(standing) = standing {
        standing.put(headers);
    }
    if route.is_cross_origin {
        put_cross_origin(cross_origin, headers);
    }
}

/// Problems get the request's id; errors that the framework answered become problems.
fn rewrite_problem(id: &RequestId, response: &mut ServiceResponse<BoxBody>) {
    let known = response.response().extensions().get::<Problem>().cloned();
    let status = response.status();
    let problem = known.or_else(|| {
        let is_foreign = !response.headers().contains_key(CONTENT_TYPE)
            || response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        let is_error = status.is_client_error() || status.is_server_error();
        (is_error && is_foreign).then(|| Problem::of(foreign(status)))
    });
    let is_page =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if let Some(problem) = problem.filter(|_| !is_page) {
        let mut whole = problem.response(Some(id.as_str()));
        for (name, value) in response.headers() {
            if !whole.headers().contains_key(name) {
                whole.headers_mut().append(name.clone(), value.clone());
            }
        }
        *response.response_mut() = whole;
    }
}

/// The code of an error that the framework answered by itself.
fn foreign(status: StatusCode) -> Code {
    match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        406 => Code::NotAcceptable,
        413 => Code::PayloadTooLarge,
        415 => Code::UnsupportedMediaType,
        400..=499 => Code::MalformedJson,
        _ => Code::Internal,
    }
}

/// The page's origin, if it may read the answer.
fn allowed_origin(response: &ServiceResponse<BoxBody>) -> Option<HeaderValue> {
    let request = response.request();
    let gateway = request.app_data::<actix_web::web::Data<app::Gateway>>()?;
    origin::admit(request, gateway, None).ok()?;
    origin::origin(request).ok()?.and_then(|origin| HeaderValue::from_str(origin).ok())
}

/// Lets the page read the answer (Fetch §3.2). No credentials: nothing here knows a person by a cookie.
fn put_cross_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(VARY, HeaderValue::from_static("Origin, Sec-GPC"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Says once how a request ended: faults of ours with their cause, everything else for those who want to see it.
fn log(response: &ServiceResponse<BoxBody>) {
    let status = response.status().as_u16();
    if !response.status().is_server_error() {
        tracing::debug!(status, "answered");
        return;
    }
    let extensions = response.response().extensions();
    match extensions.get::<Problem>().and_then(Problem::cause) {
        Some(cause) => tracing::error!(status, cause = %cause, "failed"),
        None => tracing::error!(status, "failed"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use actix_web::HttpResponse;
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::{idempotency, routes};

    #[actix_web::test]
    async fn a_panic_is_one_plain_500() {
        let handle = TestRequest::default().to_http_request();
        let mut response = contained(handle, async { panic!("anna@example.org") }).await;
        let hsts = HeaderValue::from_static("max-age=1");
        finish(Some(&hsts), routes().last().unwrap(), &RequestIds::default().draw(), &mut response);
        assert_eq!(response.status(), 500);
        for name in [
            CONTENT_SECURITY_POLICY,
            REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
            PERMISSIONS_POLICY,
            CROSS_ORIGIN_OPENER_POLICY,
            CROSS_ORIGIN_RESOURCE_POLICY,
            STRICT_TRANSPORT_SECURITY,
        ] {
            assert!(response.headers().contains_key(&name), "{name}");
        }
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("anna"));
    }

    #[actix_web::test]
    async fn an_answer_of_the_framework_becomes_a_problem_with_the_requests_id() {
        let handle = TestRequest::default().to_http_request();
        let mut response = ServiceResponse::new(handle, HttpResponse::NotFound().finish());
        let id = RequestIds::default().draw();
        finish(None, routes().last().unwrap(), &id, &mut response);
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), "application/problem+json");
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert!(String::from_utf8(body.to_vec()).unwrap().contains(id.as_str()));
    }

    #[test]
    fn other_pages_may_read_that_an_answer_is_a_repetition() {
        assert!(EXPOSED.to_ascii_lowercase().contains(idempotency::REPLAYED));
    }

    #[test]
    fn request_ids_differ() {
        let ids = RequestIds::default();
        assert_ne!(ids.draw().as_str(), ids.draw().as_str());
        assert_eq!(ids.draw().as_str().len(), 32);
    }
}
