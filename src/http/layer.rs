//! What happens to every request, whatever it asks for: it gets an id, a span without personal data, its caller is
//! authenticated, a panic becomes a plain 500, and the answer gets its security headers and is counted.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PERMISSIONS_POLICY, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use app::Code;
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::authenticate::{authenticate, remember};
use super::problem::Problem;
use super::{Access, Edge, Route, console, denied, idempotency, origin};

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
    route: &'static Route,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (id, begin) = (edge.ids.draw(), Instant::now());
    let method = known(request.method());
    let span = tracing::info_span!(
        "request",
        method,
        route = route.path,
        request_id = id.as_str(),
        status = tracing::field::Empty,
    );
    request.extensions_mut().insert(id.clone());
    let mut response = answer(&edge, route, request, next).instrument(span.clone()).await;
    finish(route, &id, &mut response);
    let status = response.status();
    span.record("status", status.as_u16());
    span.in_scope(|| log(&response));
    edge.metrics.count(method, route.path, status, begin.elapsed());
    Ok(response)
}

async fn answer(
    edge: &Edge,
    route: &'static Route,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let access = route.access(request.method().as_str());
    match access {
        Some(Access::Scope(_)) if route.is_checked_by_its_read && remember(&edge.gateway, &request) => {}
        Some(Access::Scope(_)) => authenticate(&edge.gateway, request.request()).await,
        Some(Access::Staff) => console::take_seat(&edge.gateway, &request).await,
        Some(Access::Public) | None => {}
    }
    // Routing is over: a second handle on the request does no harm, and survives a panic.
    let handle = request.request().clone();
    let response = contained(handle, next.call(request)).await;
    if let Some(Access::Scope(scope)) = access {
        denied::note(&edge.gateway, route, scope, &response).await;
    }
    response
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
fn finish(route: &Route, id: &RequestId, response: &mut ServiceResponse<BoxBody>) {
    rewrite_problem(id, response);
    let cross_origin = if route.is_cross_origin { allowed_origin(response) } else { None };
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(CACHE_CONTROL, "no-store");
    default(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    default(REFERRER_POLICY, "no-referrer");
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(X_FRAME_OPTIONS, "DENY");
    default(PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), browsing-topics=()");
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
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
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(idempotency::REPLAYED));
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
    use crate::http::routes;

    #[actix_web::test]
    async fn a_panic_is_one_plain_500() {
        let handle = TestRequest::default().to_http_request();
        let response = contained(handle, async { panic!("anna@example.org") }).await;
        assert_eq!(response.status(), 500);
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("anna"));
    }

    #[actix_web::test]
    async fn an_answer_of_the_framework_becomes_a_problem_with_the_requests_id() {
        let handle = TestRequest::default().to_http_request();
        let mut response = ServiceResponse::new(handle, HttpResponse::NotFound().finish());
        let id = RequestIds::default().draw();
        finish(routes().last().unwrap(), &id, &mut response);
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), "application/problem+json");
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert!(String::from_utf8(body.to_vec()).unwrap().contains(id.as_str()));
    }

    #[test]
    fn request_ids_differ() {
        let ids = RequestIds::default();
        assert_ne!(ids.draw().as_str(), ids.draw().as_str());
        assert_eq!(ids.draw().as_str().len(), 32);
    }
}
