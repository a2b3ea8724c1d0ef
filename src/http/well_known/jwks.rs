//! `GET /.well-known/jwks.json`: the public keys of access tokens and receipts (RFC 7517).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use app::Gateway;
use serde::Serialize;
use utoipa::ToSchema;

use super::CACHE;

/// A set of public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JwkSet)]
pub struct JwkSetBody {
    /// The keys.
    pub keys: Vec<JwkBody>,
}

/// A public Ed25519 key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwk)]
pub struct JwkBody {
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    pub crv: String,
    /// The key.
    pub x: String,
    /// `EdDSA`
    pub alg: String,
    /// `sig`
    #[serde(rename = "use")]
    pub usage: String,
    /// The key's name.
    pub kid: String,
}

/// Publishes the keys.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "access",
    responses((status = 200, description = "The public keys of access tokens and receipts", body = JwkSetBody)),
)]
pub async fn handler(gateway: web::Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(gateway.jwks())
}
