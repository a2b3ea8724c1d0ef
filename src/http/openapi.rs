//! The API document (OpenAPI 3.1). What every operation has in common, security and problems, is taken from the route
//! table, so the document cannot say something else than the server does.

mod refine;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use kernel::authz::Scope;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
};

use super::limit::{Class, Kind, class_of};
use super::{Access, Route, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Consentry",
        description = "Privacy-first consent gateway: records what persons allow, and lets out only what is permitted now.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        super::v1::consents::capture::handler,
        super::v1::consents::preflight::handler,
        super::v1::signals::receive::handler,
        super::v1::signals::preflight::handler,
        super::forms::show::handler,
        super::forms::submit::handler,
        super::unsubscribe::show::handler,
        super::unsubscribe::act::handler,
        super::preferences::show::handler,
        super::preferences::act::handler,
        super::confirm::show::handler,
        super::confirm::submit::handler,
        super::v1::notices::show::handler,
        super::v1::records::ingest::handler,
        super::v1::events::report::handler,
        super::v1::deliveries::resolve::handler,
        super::v1::imports::upload::handler,
        super::v1::imports::show::handler,
        super::v1::imports::discard::handler,
        super::v1::imports::apply::handler,
        super::v1::statements::record::handler,
        super::v1::profiles::lookup::handler,
        super::v1::profiles::pull::handler,
        super::v1::recipient_notices::fetch::handler,
        super::v1::recipient_notices::acknowledge::handler,
        super::v1::segments::count::handler,
        super::v1::incidents::affected::handler,
        super::v1::incidents::list::handler,
        super::v1::incidents::open::handler,
        super::v1::incidents::show::handler,
        super::v1::incidents::add::handler,
        super::v1::incidents::close::handler,
        super::v1::receipts::read::handler,
        super::v1::receipts::show::handler,
        super::v1::receipts::record::handler,
        super::v1::evidence::show::handler,
        super::v1::ledger::entries::handler,
        super::v1::prompts::ask::handler,
        super::v1::prompts::preflight::handler,
        super::v1::prompts::lookup::handler,
        super::v1::subjects::lookup::handler,
        super::v1::subjects::explain::handler,
        super::v1::subjects::consents::handler,
        super::v1::subjects::disclosures::handler,
        super::v1::rights_requests::list::handler,
        super::v1::rights_requests::open::handler,
        super::v1::rights_requests::show::handler,
        super::ledger::checkpoint::handler,
        super::ledger::vkey::handler,
        super::ledger::tile::handler,
        super::ledger::inclusion::handler,
        super::ledger::consistency::handler,
        super::console::home::handler,
        super::console::login::show,
        super::console::login::submit,
        super::console::second_factor::show,
        super::console::second_factor::submit,
        super::console::join::show,
        super::console::join::submit,
        super::console::authenticator::show,
        super::console::authenticator::submit,
        super::console::account::show,
        super::console::account::submit,
        super::console::staff::show,
        super::console::staff::submit,
        super::console::sso::begin,
        super::console::sso::finish,
        super::console::sign_out::handler,
        super::oauth::token::handler,
        super::oauth::introspect::handler,
        super::oauth::revoke::handler,
        super::well_known::gpc::handler,
        super::well_known::jwks::handler,
        super::well_known::authorization_server::handler,
        super::well_known::protected_resource::handler,
        handler,
        super::health::live::handler,
        super::health::ready::handler,
        super::metrics::handler,
    ),
    components(schemas(super::problem::ProblemDocument)),
    tags(
        (name = "persons", description = "Forms and persons: no login"),
        (name = "sources", description = "Sources of personal data"),
        (name = "recipients", description = "Recipients: segmentation, personalization, senders"),
        (name = "officers", description = "Data protection officers"),
        (name = "ledger", description = "The public ledger: blinded entries, tiles, proofs"),
        (name = "staff", description = "Pages of the controller's own people: signing in, sessions, who is staff"),
        (name = "access", description = "Access tokens"),
        (name = "operations", description = "Running the gateway"),
    ),
)]
struct Described;

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut described = Described::openapi();
    let flow = ClientCredentials::new(
        "/oauth/token",
        Scopes::from_iter(Scope::ALL.map(|scope| (scope.as_str(), about(scope)))),
    );
    let components = described.components.get_or_insert_default();
    let oauth2 = SecurityScheme::OAuth2(OAuth2::new([Flow::ClientCredentials(flow)]));
    components.add_security_scheme("oauth2", oauth2);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("at+jwt").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let about = "A staff session; what is not merely read needs the secret of its forms in `X-CSRF-Token` as well";
    let session = ApiKeyValue::with_description("__Host-consentry-session", about);
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    let mut document = serde_json::to_value(described).unwrap_or_default();
    for route in routes() {
        complete(&mut document, route);
    }
    if let Some(components) = document.pointer_mut("/components").and_then(Value::as_object_mut) {
        let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
        let headers = json!({
            "RateLimit": text("What is left of a quota: `r` requests now, all of it in `t` seconds (draft-ietf-httpapi-ratelimit-headers-10)"),
            "RateLimit-Policy": text("The quota: `q` requests in `w` seconds"),
        });
        components.insert("headers".to_owned(), headers);
    }
    refine::schemas(&mut document);
    document
}

const fn about(scope: Scope) -> &'static str {
    match scope {
        Scope::RecordsWrite => "Send records of the client's source",
        Scope::EventsWrite => "Report complaints and replies to mails",
        Scope::ImportsWrite => "Import files of the client's source",
        Scope::ProfilesRead => "Read permitted attributes as the client's recipient",
        Scope::RightsWrite => "Carry out data subjects' requests",
        Scope::RightsRead => "See data subjects' requests",
        Scope::LedgerRead => "Read the ledger",
        Scope::MetricsRead => "Read operational figures",
        Scope::TokensIntrospect => "Ask about tokens of other clients",
    }
}

/// Adds to the operations of a route what follows from the table: who may call, and how it may fail.
fn complete(document: &mut Value, route: &Route) {
    for endpoint in route.endpoints {
        let method = endpoint.method.to_ascii_lowercase();
        let at = format!("/paths/{}/{method}", route.path.replace('~', "~0").replace('/', "~1"));
        let Some(operation) = document.pointer_mut(&at).and_then(Value::as_object_mut) else { continue };
        let security = match endpoint.access {
            Access::Public => json!([]),
            Access::Scope(scope) if scope.is_for_staff() => {
                json!([{"oauth2": [scope.as_str()]}, {"bearer": []}, {"session": []}])
            }
            Access::Scope(scope) => json!([{"oauth2": [scope.as_str()]}, {"bearer": []}]),
            Access::Staff => json!([{}, {"session": []}]),
        };
        let has_body = operation.contains_key("requestBody");
        let statuses = failures(route, &method, endpoint.access, has_body);
        operation.insert("security".to_owned(), security);
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for status in statuses {
            responses.entry(status.to_string()).or_insert_with(|| failure(status));
        }
        let is_counted = class_of(Kind::of(route.path), Some(endpoint.access), method != "post") != Class::Probes;
        for (_, response) in responses.iter_mut().filter(|_| is_counted) {
            put_rate_limits(response);
        }
        refine::operation(route.path, operation);
    }
}

/// An answer that was counted may say what is left.
fn put_rate_limits(response: &mut Value) {
    let Some(response) = response.as_object_mut() else { return };
    let headers = response.entry("headers").or_insert_with(|| json!({}));
    for name in ["RateLimit", "RateLimit-Policy"] {
        if let Some(headers) = headers.as_object_mut() {
            headers.insert(name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
        }
    }
}

fn failures(route: &Route, method: &str, access: Access, has_body: bool) -> Vec<u16> {
    let mut statuses = vec![405, 414, 431, 500, 503];
    if class_of(Kind::of(route.path), Some(access), method != "post") != Class::Probes {
        statuses.push(429);
    }
    if route.path.starts_with("/oauth/") {
        statuses.push(403);
    }
    if has_body {
        statuses.extend([400, 408, 413, 415, 422]);
    }
    if method == "get" && !matches!(route.path, "/health/live" | "/health/ready" | "/metrics" | "/openapi.json") {
        statuses.extend([400, 422]);
    }
    if matches!(access, Access::Scope(_)) {
        statuses.extend([401, 403]);
    }
    if route.path.contains('{') || route.path == "/v1/consents" {
        statuses.push(404);
    }
    match (route.path, method) {
        ("/v1/consents", "post") | ("/forms/{form}", "post") => statuses.extend([403, 409, 410]),
        ("/v1/signals", "post") => statuses.extend([403, 409]),
        ("/v1/consents" | "/v1/signals" | "/v1/prompts/ask", "options") => statuses.push(403),
        ("/v1/receipts", "post") => statuses.extend([404, 406, 409]),
        ("/v1/subjects/{id}/receipts/{receipt}", "get") => statuses.extend([406, 409]),
        ("/v1/prompts/ask", "post") => statuses.extend([403, 404]),
        ("/v1/prompts/lookup", "post") => statuses.push(409),
        ("/v1/subjects/lookup", "post") => statuses.extend([404, 409]),
        ("/v1/subjects/{id}/explain", "get") => statuses.push(409),
        ("/v1/rights-requests", "post") => statuses.extend([404, 409, 410]),
        ("/v1/profiles", "get") => statuses.extend([404, 406, 409]),
        ("/v1/profiles/lookup" | "/v1/deliveries/resolve", "post") => statuses.extend([404, 409]),
        ("/v1/incidents", "post") => statuses.extend([404, 409]),
        ("/v1/incidents/{id}/notes" | "/v1/incidents/{id}/close", "post") => statuses.push(409),
        ("/v1/segments/count", "post") => statuses.push(404),
        ("/v1/profiles/changes", "get") | ("/v1/profiles/changes/ack", "post") => statuses.push(404),
        ("/v1/records" | "/v1/events", "post") => statuses.push(406),
        ("/v1/imports", "post") | ("/v1/imports/{id}", "delete") => statuses.push(409),
        ("/v1/imports/{id}/apply", "post") => statuses.extend([409, 410]),
        ("/ledger/inclusion" | "/ledger/consistency", "get") => statuses.push(404),
        _ => {}
    }
    statuses
}

fn failure(status: u16) -> Value {
    let about = match status {
        400 => "The request cannot be read",
        401 => "No access token, or not a valid one",
        403 => "This caller may not",
        404 => "There is nothing here",
        405 => "The method is not allowed here",
        406 => "No offered content type is accepted",
        409 => "It contradicts what is there",
        408 => "The body came too slowly",
        410 => "It was there and is no more",
        413 => "The body is too large",
        414 => "The address is too long",
        415 => "The content type is not supported here",
        422 => "The content is not acceptable",
        429 => "Too many requests, or too many at once",
        431 => "The header fields are too large",
        503 => "The service is not available now",
        _ => "Something went wrong here",
    };
    let text =
        |description: &str| json!({"description": description, "schema": {"type": "string"}, "required": true});
    let mut headers = json!({"X-Request-Id": text("The request, as the log knows it")});
    let special = match status {
        401 | 403 => Some(("WWW-Authenticate", "What is lacking (RFC 6750)")),
        405 => Some(("Allow", "The methods that are allowed")),
        429 | 503 => Some(("Retry-After", "After how many seconds to try again")),
        _ => None,
    };
    if let (Some((name, description)), Some(headers)) = (special, headers.as_object_mut()) {
        let mut header = text(description);
        // Not every 403 is for want of a scope.
        if let (403, Some(header)) = (status, header.as_object_mut()) {
            header.insert("required".to_owned(), json!(false));
        }
        headers.insert(name.to_owned(), header);
    }
    json!({
        "description": about,
        "headers": headers,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

/// The document as it is served, rendered once.
#[derive(Debug, Clone)]
pub struct Document(Bytes);

impl Document {
    pub(super) fn new() -> Self {
        Self(Bytes::from(document().to_string()))
    }
}

/// Serves this document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses((status = 200, description = "This document", body = Object)),
)]
pub async fn handler(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .body(document.0.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let live: BTreeSet<(String, String)> = routes()
            .iter()
            .flat_map(|route| {
                route.endpoints.iter().map(|endpoint| (route.path.to_owned(), endpoint.method.to_owned()))
            })
            .collect();
        assert_eq!(described, live);
    }

    #[test]
    fn operation_ids_are_unique_and_failures_are_problems() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = BTreeSet::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
                for status in ["405", "500", "503"] {
                    assert!(operation["responses"][status]["content"]["application/problem+json"].is_object());
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let pointer = reference.split('"').next().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
