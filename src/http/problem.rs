//! Errors as RFC 9457 problem documents. The only place where an error meets a status code; no answer repeats what
//! the caller sent, and none tells the cause of a fault of ours.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use app::{AppError, AuthenticateError, Code, Fault, InternalError};
use kernel::authn::SIGNING_ALGORITHMS;
use kernel::authz::{Denied, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use super::oauth::DPOP_NONCE;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// After how many seconds to try again when the service is not available.
const RETRY_SECONDS: u64 = 1;

/// An error on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Code,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    challenge: Option<Challenge>,
    allow: Option<&'static str>,
    nonce: Option<String>,
    retry_after: Option<u64>,
    cause: Option<Arc<InternalError>>,
}

/// What a 401 or 403 says in `WWW-Authenticate` (RFC 6750 §3).
#[derive(Debug, Clone, Copy)]
enum Challenge {
    Missing,
    InvalidToken,
    InsufficientScope(Option<Scope>),
    /// Said of the proof of possession, under its own scheme (RFC 9449 §7.1).
    InvalidPossession,
    UseNonce,
}

impl Challenge {
    /// The scheme that bound tokens come under, with the algorithms of proofs.
    fn dpop() -> String {
        format!("DPoP realm=\"consentry\", algs=\"{}\"", SIGNING_ALGORITHMS.join(" "))
    }

    /// The challenges of an answer: one of them says what is wrong.
    fn lines(self) -> Vec<String> {
        match self {
            Self::InvalidPossession => vec![format!("{}, error=\"invalid_dpop_proof\"", Self::dpop())],
            Self::UseNonce => vec![format!("{}, error=\"use_dpop_nonce\"", Self::dpop())],
            Self::InsufficientScope(_) => vec![self.to_string()],
            Self::Missing | Self::InvalidToken => vec![self.to_string(), Self::dpop()],
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer realm=\"consentry\"")?;
        match self {
            Self::InvalidPossession | Self::UseNonce => Ok(()),
            Self::Missing => Ok(()),
            Self::InvalidToken => f.write_str(", error=\"invalid_token\""),
            Self::InsufficientScope(None) => f.write_str(", error=\"insufficient_scope\""),
            Self::InsufficientScope(Some(scope)) => write!(f, ", error=\"insufficient_scope\", scope=\"{scope}\""),
        }
    }
}

impl Problem {
    /// A problem of a code, in the words of the code.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self::new(status_of(code), code)
    }

    fn new(status: StatusCode, code: Code) -> Self {
        let detail = Cow::Borrowed(code.title());
        Self(Box::new(Parts {
            status,
            code,
            detail,
            faults: Vec::new(),
            challenge: None,
            allow: None,
            nonce: None,
            retry_after: None,
            cause: None,
        }))
    }

    /// The same, said in other words. They must not hold anything that the caller sent.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The same, with the time in seconds after which it is worth to try again.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// What is wrong with a request's content, fault by fault.
    #[must_use]
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let code = faults.first().map_or(Code::InvalidField, |fault| fault.code);
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code);
        problem.0.detail = match faults.as_slice() {
            [one] => Cow::Owned(one.detail.clone()),
            _ => Cow::Borrowed("several fields are not acceptable"),
        };
        problem.0.faults = faults;
        problem
    }

    /// One thing is wrong with a request's content.
    #[must_use]
    pub fn fault(pointer: impl Into<String>, code: Code) -> Self {
        Self::invalid(vec![Fault::at(pointer, code)])
    }

    /// Nobody is known to be asking.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let mut problem = Self::of(Code::Unauthenticated);
        problem.0.challenge = Some(Challenge::Missing);
        problem
    }

    /// The credentials are not good.
    #[must_use]
    pub fn invalid_access_token() -> Self {
        let mut problem = Self::of(Code::InvalidAccessToken);
        problem.0.challenge = Some(Challenge::InvalidToken);
        problem
    }

    /// The token is bound to a key, and whoever presents it does not show that they hold it.
    #[must_use]
    pub fn invalid_possession() -> Self {
        let mut problem = Self::of(Code::InvalidDpopProof);
        problem.0.challenge = Some(Challenge::InvalidPossession);
        problem
    }

    /// The proof of possession must name a nonce.
    #[must_use]
    pub fn use_nonce(nonce: String) -> Self {
        let mut problem = Self::of(Code::UseDpopNonce);
        problem.0.challenge = Some(Challenge::UseNonce);
        problem.0.nonce = Some(nonce);
        problem
    }

    /// Another method than the path has.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::of(Code::MethodNotAllowed);
        problem.0.allow = Some(allow);
        problem
    }

    /// Its status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Its faults.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Its cause, for the log alone.
    #[must_use]
    pub fn cause(&self) -> Option<&InternalError> {
        self.0.cause.as_deref()
    }

    /// The document, with the request it answers.
    #[must_use]
    pub fn document(&self, request_id: Option<&str>) -> ProblemDocument {
        let Parts { status, code, detail, faults, .. } = &*self.0;
        ProblemDocument {
            kind: format!("/problems/{}", code.as_str()),
            title: code.title().to_owned(),
            status: status.as_u16(),
            detail: detail.clone().into_owned(),
            code: code.as_str().to_owned(),
            errors: faults.iter().map(FaultDocument::from).collect(),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// The answer, with the request it answers. The problem stays with it until the answer leaves.
    #[must_use]
    pub fn response(&self, request_id: Option<&str>) -> HttpResponse {
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = HttpResponse::build(self.0.status).body(body);
        self.put_headers(&mut response);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.extensions_mut().insert(self.clone());
        response
    }

    /// The headers that belong to the status, whatever the body is.
    pub(crate) fn put_headers(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for challenge in self.0.challenge.map(Challenge::lines).unwrap_or_default() {
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(nonce) = self.0.nonce.as_deref().and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
            headers.insert(DPOP_NONCE, nonce);
        }
        if let Some(allow) = self.0.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        let is_unavailable = self.0.status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.0.retry_after.or(is_unavailable.then_some(RETRY_SECONDS)) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/unknown_field",
    "title": "A field is not known",
    "status": 422,
    "detail": "A field is not known",
    "code": "unknown_field",
    "errors": [{"pointer": "/subject/mail", "code": "unknown_field", "detail": "A field is not known"}],
    "request_id": "5f2b8a3c9d1e4f60718293a4b5c6d7e8"
}))]
pub struct ProblemDocument {
    /// What kind of problem this is.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status code of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// This occurrence in words. Never holds what was sent.
    pub detail: String,
    /// The stable code of the problem, for programs.
    pub code: String,
    /// What is wrong, fault by fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FaultDocument>,
    /// The request, as the log knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub request_id: Option<String>,
}

/// One fault of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultDocument {
    /// Where: a JSON pointer (RFC 6901) into the body, or `/` and the name of a parameter. Empty: the whole.
    pub pointer: String,
    /// The stable code of the fault.
    pub code: String,
    /// In words, without the offending value.
    pub detail: String,
}

impl From<&Fault> for FaultDocument {
    fn from(fault: &Fault) -> Self {
        Self { pointer: fault.pointer.clone(), code: fault.code.as_str().to_owned(), detail: fault.detail.clone() }
    }
}

/// The status that a code has by itself. What a use case says of the circumstances comes first.
const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::MalformedJson | Code::InvalidUtf8 | Code::IdempotencyKeyMalformed | Code::NotOneClick => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated
        | Code::InvalidAccessToken
        | Code::InvalidClient
        | Code::InvalidDpopProof
        | Code::UseDpopNonce => StatusCode::UNAUTHORIZED,
        Code::OriginNotAllowed
        | Code::InsufficientScope
        | Code::PurposeOutsideToken
        | Code::RecipientMismatch
        | Code::SourceMismatch
        | Code::AttributeOutsideContract
        | Code::IdentifierLookupNotAllowed
        | Code::CertificateNeeded
        | Code::FormNotOurs
        | Code::SignInFailed
        | Code::NotASender => StatusCode::FORBIDDEN,
        Code::NotFound
        | Code::UnknownForm
        | Code::NoticeUnknown
        | Code::SubjectNotFound
        | Code::ReceiptNotFound
        | Code::ImportNotFound
        | Code::RequestNotFound
        | Code::IncidentNotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::ConfirmationExpired => StatusCode::GONE,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::IdempotencyInProgress
        | Code::PolicyChanged
        | Code::PolicyNotReproducible
        | Code::EvidencePending
        | Code::NothingConsented
        | Code::NameTaken
        | Code::StaffAltered
        | Code::LastAdministrator
        | Code::PersonNotInformed
        | Code::NotRestricted
        | Code::IncidentClosed
        | Code::IncidentChanged => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UriTooLong => StatusCode::URI_TOO_LONG,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::TooManyRequests | Code::TooManyAtOnce => StatusCode::TOO_MANY_REQUESTS,
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unavailable | Code::Busy | Code::ProviderUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Invalid(faults) => Self::invalid(faults),
            AppError::NotFound(code) => Self::new(StatusCode::NOT_FOUND, code),
            AppError::Gone(code) => Self::new(StatusCode::GONE, code),
            // draft-ietf-httpapi-idempotency-key-header §2.7: another payload under a known key.
            AppError::Conflict(Code::IdempotencyKeyReused) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::IdempotencyKeyReused)
            }
            AppError::Conflict(code) => Self::new(StatusCode::CONFLICT, code),
            AppError::Forbidden(fault) => {
                let mut problem = Self::new(StatusCode::FORBIDDEN, fault.code);
                problem.0.detail = Cow::Owned(fault.detail.clone());
                if fault.code == Code::InsufficientScope {
                    problem.0.challenge = Some(Challenge::InsufficientScope(None));
                }
                problem.0.faults = vec![fault];
                problem
            }
            AppError::TooOften(seconds) => Self::of(Code::TooManyRequests).after(seconds),
            AppError::Unavailable => Self::of(Code::Unavailable),
            AppError::Internal(cause) => {
                let mut problem = Self::of(Code::Internal);
                problem.0.cause = Some(Arc::new(cause));
                problem
            }
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let mut problem = Self::from(AppError::from(denied));
        problem.0.challenge = Some(Challenge::InsufficientScope(denied.scope));
        problem
    }
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Invalid => Self::invalid_access_token(),
            AuthenticateError::InvalidPossession => Self::invalid_possession(),
            AuthenticateError::UseNonce(nonce) => Self::use_nonce(nonce),
            AuthenticateError::Unavailable => Self::of(Code::Unavailable),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.response(None)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_denied_client_is_told_the_scope_it_lacks() {
        let problem = Problem::from(Denied { action: "read_profiles", scope: Some(Scope::ProfilesRead) });
        let response = problem.response(Some("r1"));
        assert_eq!(response.status(), 403);
        assert_eq!(
            response.headers().get(WWW_AUTHENTICATE).unwrap(),
            "Bearer realm=\"consentry\", error=\"insufficient_scope\", scope=\"profiles:read\""
        );
    }

    #[test]
    fn a_fault_of_ours_tells_nothing() {
        let document = serde_json::to_value(Problem::of(Code::Internal).document(Some("r1"))).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "/problems/internal", "title": Code::Internal.title(), "status": 500,
                "detail": Code::Internal.title(), "code": "internal", "request_id": "r1",
            })
        );
    }

    #[test]
    fn every_code_has_an_error_status() {
        for code in Code::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{}", code.as_str());
        }
    }
}
