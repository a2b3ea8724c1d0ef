//! `POST /oauth/revoke`: a client takes its own token back (RFC 7009). When this is answered, no replica accepts it.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::credentials;
use super::denial::{Denial, TokenErrorBody};
use super::introspect::TokenQuestionBody;
use crate::http::problem::Problem;

/// Takes a token back.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "revoke_token",
    tag = "access",
    description = "Takes one of the client's own tokens back: it is refused everywhere from this answer on. A token that is not good, or \
        never was, is answered alike. To end all tokens of a client, revoke or renew the client.",
    params(("Authorization" = Option<String>, Header, description = "`Basic`, with client id and secret form-urlencoded")),
    request_body(content = TokenQuestionBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is not good any more"),
        (status = 400, description = "The form cannot be read, or the token is another client's", body = TokenErrorBody),
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
    Ok(match gateway.revoke_token(&form.proof, &form.token).await {
        Ok(()) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish(),
        Err(denial) => Denial::of(denial).respond(),
    })
}
