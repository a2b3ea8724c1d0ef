//! What a client is told when it gets no token, in the words of RFC 6749 §5.2.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use app::TokenDenial;
use serde::Serialize;
use utoipa::ToSchema;

/// The nonce that the next proof must name (RFC 9449 §8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why no token is issued (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = TokenError, example = json!({"error": "invalid_client", "error_description": "the client is not known or its proof is wrong"}))]
pub(crate) struct TokenErrorBody {
    /// The code.
    #[schema(value_type = String, example = "invalid_client")]
    error: &'static str,
    /// In words.
    #[schema(value_type = String)]
    error_description: &'static str,
}

/// A denial on its way to the client.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) error: &'static str,
    detail: &'static str,
    status: StatusCode,
    nonce: Option<String>,
}

impl Denial {
    const fn new(status: StatusCode, error: &'static str, detail: &'static str) -> Self {
        Self { error, detail, status, nonce: None }
    }

    pub(super) const fn invalid_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(super) const fn unsupported_grant_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", "only `client_credentials` is granted")
    }

    pub(super) const fn invalid_client() -> Self {
        let detail = "the client is not known or its proof is wrong";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", detail)
    }

    pub(super) const fn invalid_possession() -> Self {
        let detail = "the proof of possession is missing or not good for this request";
        Self::new(StatusCode::BAD_REQUEST, "invalid_dpop_proof", detail)
    }

    pub(super) fn of(denial: TokenDenial) -> Self {
        let (bad, busy) = (StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE);
        match denial {
            TokenDenial::InvalidClient => Self::invalid_client(),
            TokenDenial::InvalidScope => {
                Self::new(bad, "invalid_scope", "the client does not have the scope or purpose")
            }
            TokenDenial::InvalidTarget => Self::new(bad, "invalid_target", "this gateway is not that resource"),
            TokenDenial::InvalidPossession => Self::invalid_possession(),
            TokenDenial::UseNonce(nonce) => {
                let denial = Self::new(bad, "use_dpop_nonce", "the proof of possession must name the nonce given");
                Self { nonce: Some(nonce), ..denial }
            }
            TokenDenial::NotYours => Self::new(bad, "unauthorized_client", "the token is another client's"),
            TokenDenial::Unavailable => {
                Self::new(busy, "temporarily_unavailable", "the service is not available now")
            }
        }
    }

    pub(super) fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"));
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 always challenges.
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"consentry\", charset=\"UTF-8\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        if let Some(nonce) = self.nonce.as_ref().and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
            response.insert_header((DPOP_NONCE, nonce));
        }
        response.json(TokenErrorBody { error: self.error, error_description: self.detail })
    }
}
