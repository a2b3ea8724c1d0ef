//! `POST /oauth/introspect`: what a token says and whether it is good now (RFC 7662). To whom it is none of their business
//! every token is inactive.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authn::TokenClaims;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credentials;
use super::denial::{Denial, TokenErrorBody};
use crate::http::problem::Problem;

/// A question about a token, with the proof of a client as at `/oauth/token`.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenQuestion, example = json!({"token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2ln"}))]
#[expect(dead_code, reason = "describes the form in the API document")]
pub(crate) struct TokenQuestionBody {
    /// The token.
    token: String,
    /// `access_token`: there are no others.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
    /// The client, where it does not use Basic.
    #[schema(nullable = false, max_length = 64)]
    client_id: Option<String>,
    /// Its secret, where it does not use Basic.
    #[schema(nullable = false, max_length = 256)]
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, where the client signs.
    #[schema(nullable = false, max_length = 128)]
    client_assertion_type: Option<String>,
    /// What it signed.
    #[schema(nullable = false, max_length = 8192)]
    client_assertion: Option<String>,
}

/// What is known of a token (RFC 7662 §2.2). Of one that is not active nothing but that.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenStatus, example = json!({"active": false}))]
pub struct TokenStatusBody {
    /// Whether it is good now.
    active: bool,
    /// What it says.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    claims: Option<ActiveTokenBody>,
}

/// What an active token says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActiveTokenBody {
    /// Its scopes, parted by spaces.
    scope: String,
    /// The client it was issued to.
    client_id: String,
    /// The same.
    sub: String,
    /// `Bearer` or `DPoP`.
    #[schema(value_type = String)]
    token_type: &'static str,
    /// When it ends, in seconds since 1970.
    exp: i64,
    /// When it was issued.
    iat: i64,
    /// For whom it is.
    aud: String,
    /// Who issued it.
    iss: String,
    /// Its identifier.
    jti: String,
    /// The key that it is bound to (RFC 9449 §6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cnf: Option<ConfirmationBody>,
}

/// The key that a token is bound to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmationBody {
    /// Its SHA-256 thumbprint (RFC 7638).
    jkt: String,
}

impl From<TokenClaims> for TokenStatusBody {
    fn from(claims: TokenClaims) -> Self {
        let client = claims.client.to_string();
        let claims = ActiveTokenBody {
            scope: claims.scope,
            sub: client.clone(),
            client_id: client,
            token_type: if claims.key.is_some() { "DPoP" } else { "Bearer" },
            exp: claims.expires_at.as_seconds(),
            iat: claims.issued_at.as_seconds(),
            aud: claims.audience,
            iss: claims.issuer,
            jti: claims.id.to_string(),
            cnf: claims.key.map(|key| ConfirmationBody { jkt: key.to_string() }),
        };
        Self { active: true, claims: Some(claims) }
    }
}

/// Tells about a token.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "introspect_token",
    tag = "access",
    description = "Whether a token is good now and what it says. A client sees its own tokens; one that is registered with the scope \
        `tokens:introspect` sees all. Everything else is answered `{\"active\": false}`.",
    params(("Authorization" = Option<String>, Header, description = "`Basic`, with client id and secret form-urlencoded")),
    request_body(content = TokenQuestionBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is known of it", body = TokenStatusBody),
        (status = 400, description = "The form cannot be read", body = TokenErrorBody),
        (status = 401, description = "The client is not known or its proof is wrong", body = TokenErrorBody, headers(("WWW-Authenticate" = Option<String>))),
    ),
)]
pub async fn handler(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = match credentials::read_token(&request, payload).await? {
        Ok(form) => form,
        Err(denial) => return Ok(denial.respond()),
    };
    Ok(match gateway.introspect(&form.proof, &form.token).await {
        Ok(claims) => {
            let body = claims.map_or(TokenStatusBody { active: false, claims: None }, TokenStatusBody::from);
            HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body)
        }
        Err(denial) => Denial::of(denial).respond(),
    })
}
