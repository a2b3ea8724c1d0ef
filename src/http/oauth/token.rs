//! `POST /oauth/token`: a client's proof of itself for a short-lived access token (RFC 6749 §4.4), bound to a key where the
//! client shows one (RFC 9449 §5).

use actix_web::http::header::{CACHE_CONTROL, PRAGMA};
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, IssuedToken, PresentedProof, TokenAsk};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credentials::{self, Parameters};
use super::denial::{Denial, TokenErrorBody};
use crate::http::authenticate::dpop_proof;
use crate::http::problem::Problem;

/// A token request.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenRequest, example = json!({"grant_type": "client_credentials", "scope": "profiles:read"}))]
#[expect(dead_code, reason = "describes the form in the API document")]
pub(crate) struct TokenRequestBody {
    /// `client_credentials`
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Scopes and `purpose:<id>`, parted by spaces; all that the client may have, if absent.
    #[schema(nullable = false, max_length = 4096)]
    scope: Option<String>,
    /// Where the token will be used: this gateway's own address (RFC 8707).
    #[schema(nullable = false, format = "uri", max_length = 1024)]
    resource: Option<String>,
    /// The client, where it does not use Basic.
    #[schema(nullable = false, max_length = 64)]
    client_id: Option<String>,
    /// Its secret, where it does not use Basic.
    #[schema(nullable = false, max_length = 256)]
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, where the client signs (RFC 7523).
    #[schema(nullable = false, max_length = 128)]
    client_assertion_type: Option<String>,
    /// What it signed: by and about itself, for this gateway's issuer, for minutes, and used once.
    #[schema(nullable = false, max_length = 8192)]
    client_assertion: Option<String>,
}

/// An access token (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2ln", "token_type": "Bearer", "expires_in": 900,
    "scope": "profiles:read purpose:profiling_segmentation"
}))]
pub(crate) struct TokenBody {
    /// The token.
    access_token: String,
    /// `Bearer`, or `DPoP` when the request carried a proof: then every use of the token needs one too.
    #[schema(value_type = String)]
    token_type: &'static str,
    /// Its life in seconds.
    expires_in: u32,
    /// What was granted.
    scope: String,
}

/// Issues a token.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "issue_token",
    tag = "access",
    description = "The client credentials grant. The client proves itself by HTTP Basic, by `client_id` and `client_secret` in the \
        body, or by `client_assertion`, and never in two ways. With a `DPoP` header the token is bound to the key of that proof.",
    params(
        ("Authorization" = Option<String>, Header, description = "`Basic`, with client id and secret form-urlencoded"),
        ("DPoP" = Option<String>, Header, description = "A proof of possession (RFC 9449)", max_length = 8192),
    ),
    request_body(content = TokenRequestBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token", body = TokenBody, headers(("Cache-Control" = String))),
        (status = 400, description = "The request is not one that is granted", body = TokenErrorBody, headers(("DPoP-Nonce" = Option<String>))),
        (status = 401, description = "The client is not known or its proof is wrong", body = TokenErrorBody, headers(("WWW-Authenticate" = Option<String>))),
    ),
)]
pub async fn handler(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = match credentials::read(&request, payload).await? {
        Ok(form) => form,
        Err(denial) => return Ok(denial.respond()),
    };
    if let Err(denial) = grant_type(&form.parameters) {
        return Ok(denial.respond());
    }
    let Ok(proof) = dpop_proof(request.headers()) else {
        return Ok(Denial::invalid_possession().respond());
    };
    let present = |proof| PresentedProof { proof, method: request.method().as_str(), path: request.path() };
    let ask = TokenAsk {
        scope: form.parameters.get("scope"),
        resource: form.parameters.get("resource"),
        possession: proof.map(present),
    };
    let issued = gateway.issue_token(&form.proof, ask).await;
    Ok(issued.map_or_else(|denial| Denial::of(denial).respond(), answer))
}

fn grant_type(parameters: &Parameters) -> Result<(), Denial> {
    match parameters.get("grant_type") {
        Some("client_credentials") => Ok(()),
        Some(_) => Err(Denial::unsupported_grant_type()),
        None => Err(Denial::invalid_request("`grant_type` is missing")),
    }
}

fn answer(token: IssuedToken) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache")).json(
        TokenBody {
            access_token: token.access_token,
            token_type: if token.is_bound { "DPoP" } else { "Bearer" },
            expires_in: token.expires_in,
            scope: token.scope,
        },
    )
}
