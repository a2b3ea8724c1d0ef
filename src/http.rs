//! The HTTP edge. [`routes`] is the one table of everything that can be called; what is not in it does not exist, and
//! every path answers every other method with 405 and its exact `Allow`.
//!
//! A handler extracts, calls one use case and presents: it cannot query, because nothing here knows the store.

pub mod authenticate;
pub mod body;
pub mod bounded;
pub mod confirm;
pub mod console;
mod denied;
pub mod figures;
pub mod form_body;
pub mod forms;
pub mod gpc;
pub mod health;
pub mod idempotency;
pub mod json;
mod layer;
pub mod ledger;
mod limit;
pub mod lines;
pub mod listing;
pub mod metrics;
pub mod negotiate;
pub mod oauth;
pub mod object;
pub mod openapi;
pub mod origin;
mod pace;
mod page;
pub mod preferences;
pub mod problem;
pub mod query;
pub mod unsubscribe;
pub mod urlencoded;
pub mod v1;
pub mod well_known;

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::{Next, from_fn};
use actix_web::web;
use app::{Code, Gateway};
use kernel::authz::Scope;

use figures::HttpMetrics;
use limit::address::Proxies;
use limit::{Kind, Limits};
use problem::Problem;

use crate::config::{LimitSettings, Settings};
use crate::server::Patience;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// A client whose token has the scope, and staff whose role fits.
    Scope(Scope),
    /// Staff, by the cookie of a session; what is shown before there is one, everybody.
    Staff,
}

/// One method of a path.
pub struct Endpoint {
    /// The method.
    pub method: &'static str,
    /// Who may call.
    pub access: Access,
    make: fn() -> actix_web::Route,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.method, self.access)
    }
}

/// One path with its methods.
#[derive(Debug)]
pub struct Route {
    /// The path, a template.
    pub path: &'static str,
    /// Its methods. `HEAD` comes with `GET`.
    pub endpoints: &'static [Endpoint],
    /// The value of `Allow`.
    pub allow: &'static str,
    /// Whether web pages of other origins may call.
    pub is_cross_origin: bool,
    /// Whether the handler itself finds out if what is remembered of a caller's rights still holds.
    pub is_checked_by_its_read: bool,
}

impl Route {
    /// The path as the server matches it: the address of a tile goes on over slashes.
    fn pattern(&self) -> String {
        self.path.replace("{tile}", "{tile:.*}")
    }

    /// Who may call a method; `None`: the path does not have it.
    #[must_use]
    pub fn access(&self, method: &str) -> Option<Access> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.endpoints.iter().find(|endpoint| endpoint.method == method).map(|endpoint| endpoint.access)
    }
}

const fn get(access: Access, make: fn() -> actix_web::Route) -> Endpoint {
    Endpoint { method: "GET", access, make }
}

const fn post(access: Access, make: fn() -> actix_web::Route) -> Endpoint {
    Endpoint { method: "POST", access, make }
}

const fn delete(access: Access, make: fn() -> actix_web::Route) -> Endpoint {
    Endpoint { method: "DELETE", access, make }
}

const fn options(access: Access, make: fn() -> actix_web::Route) -> Endpoint {
    Endpoint { method: "OPTIONS", access, make }
}

const fn at(path: &'static str, allow: &'static str, endpoints: &'static [Endpoint]) -> Route {
    Route { path, endpoints, allow, is_cross_origin: false, is_checked_by_its_read: false }
}

const READ_PROFILES: Access = Access::Scope(Scope::ProfilesRead);
const READ_RIGHTS: Access = Access::Scope(Scope::RightsRead);
const WRITE_RIGHTS: Access = Access::Scope(Scope::RightsWrite);
const IMPORT: Access = Access::Scope(Scope::ImportsWrite);
const PUBLIC: Access = Access::Public;
const STAFF: Access = Access::Staff;

static ROUTES: [Route; 64] = [
    // Persons and forms: no login.
    Route {
        is_cross_origin: true,
        ..at(
            "/v1/consents",
            "POST, OPTIONS",
            &[
                post(PUBLIC, || web::to(v1::consents::capture::handler)),
                options(PUBLIC, || web::to(v1::consents::preflight::handler)),
            ],
        )
    },
    Route {
        is_cross_origin: true,
        ..at(
            "/v1/signals",
            "POST, OPTIONS",
            &[
                post(PUBLIC, || web::to(v1::signals::receive::handler)),
                options(PUBLIC, || web::to(v1::signals::preflight::handler)),
            ],
        )
    },
    at(
        "/forms/{form}",
        "GET, HEAD, POST",
        &[get(PUBLIC, || web::to(forms::show::handler)), post(PUBLIC, || web::to(forms::submit::handler))],
    ),
    at(
        "/unsubscribe/{token}",
        "GET, HEAD, POST",
        &[
            get(PUBLIC, || web::to(unsubscribe::show::handler)),
            post(PUBLIC, || web::to(unsubscribe::act::handler)),
        ],
    ),
    at(
        "/preferences/{token}",
        "GET, HEAD, POST",
        &[
            get(PUBLIC, || web::to(preferences::show::handler)),
            post(PUBLIC, || web::to(preferences::act::handler)),
        ],
    ),
    at(
        "/confirm/{token}",
        "GET, HEAD, POST",
        &[get(PUBLIC, || web::to(confirm::show::handler)), post(PUBLIC, || web::to(confirm::submit::handler))],
    ),
    at("/v1/notices/{digest}", "GET, HEAD", &[get(PUBLIC, || web::to(v1::notices::show::handler))]),
    Route {
        is_cross_origin: true,
        ..at(
            "/v1/prompts/ask",
            "POST, OPTIONS",
            &[
                post(PUBLIC, || web::to(v1::prompts::ask::handler)),
                options(PUBLIC, || web::to(v1::prompts::preflight::handler)),
            ],
        )
    },
    at("/v1/receipts", "POST", &[post(PUBLIC, || web::to(v1::receipts::read::handler))]),
    // Sources.
    at(
        "/v1/prompts/lookup",
        "POST",
        &[post(Access::Scope(Scope::RecordsWrite), || web::to(v1::prompts::lookup::handler))],
    ),
    at(
        "/v1/records",
        "POST",
        &[post(Access::Scope(Scope::RecordsWrite), || web::to(v1::records::ingest::handler))],
    ),
    at("/v1/events", "POST", &[post(Access::Scope(Scope::EventsWrite), || web::to(v1::events::report::handler))]),
    at("/v1/imports", "POST", &[post(IMPORT, || web::to(v1::imports::upload::handler))]),
    at(
        "/v1/imports/{id}",
        "GET, HEAD, DELETE",
        &[
            get(IMPORT, || web::to(v1::imports::show::handler)),
            delete(IMPORT, || web::to(v1::imports::discard::handler)),
        ],
    ),
    at("/v1/imports/{id}/apply", "POST", &[post(IMPORT, || web::to(v1::imports::apply::handler))]),
    at(
        "/v1/statements",
        "POST",
        &[post(Access::Scope(Scope::RecordsWrite), || web::to(v1::statements::record::handler))],
    ),
    // Recipients.
    Route {
        is_checked_by_its_read: true,
        ..at("/v1/profiles/lookup", "POST", &[post(READ_PROFILES, || web::to(v1::profiles::lookup::handler))])
    },
    at("/v1/deliveries/resolve", "POST", &[post(READ_PROFILES, || web::to(v1::deliveries::resolve::handler))]),
    at("/v1/profiles", "GET, HEAD", &[get(READ_PROFILES, || web::to(v1::profiles::pull::handler))]),
    at(
        "/v1/profiles/changes",
        "GET, HEAD",
        &[get(READ_PROFILES, || web::to(v1::recipient_notices::fetch::handler))],
    ),
    at(
        "/v1/profiles/changes/ack",
        "POST",
        &[post(READ_PROFILES, || web::to(v1::recipient_notices::acknowledge::handler))],
    ),
    at("/v1/segments/count", "POST", &[post(READ_PROFILES, || web::to(v1::segments::count::handler))]),
    // Officers.
    at("/v1/subjects/lookup", "POST", &[post(READ_RIGHTS, || web::to(v1::subjects::lookup::handler))]),
    at("/v1/subjects/{id}/explain", "GET, HEAD", &[get(READ_RIGHTS, || web::to(v1::subjects::explain::handler))]),
    at(
        "/v1/subjects/{id}/consents",
        "GET, HEAD",
        &[get(READ_RIGHTS, || web::to(v1::subjects::consents::handler))],
    ),
    at("/v1/subjects/{id}/record", "GET, HEAD", &[get(READ_RIGHTS, || web::to(v1::receipts::record::handler))]),
    at(
        "/v1/subjects/{id}/receipts/{receipt}",
        "GET, HEAD",
        &[get(READ_RIGHTS, || web::to(v1::receipts::show::handler))],
    ),
    at("/v1/evidence/{receipt}", "GET, HEAD", &[get(READ_RIGHTS, || web::to(v1::evidence::show::handler))]),
    at(
        "/v1/subjects/{id}/disclosures",
        "GET, HEAD",
        &[get(READ_RIGHTS, || web::to(v1::subjects::disclosures::handler))],
    ),
    at(
        "/v1/rights-requests",
        "GET, HEAD, POST",
        &[
            get(Access::Scope(Scope::RightsRead), || web::to(v1::rights_requests::list::handler)),
            post(Access::Scope(Scope::RightsWrite), || web::to(v1::rights_requests::open::handler)),
        ],
    ),
    at(
        "/v1/rights-requests/{id}",
        "GET, HEAD",
        &[get(Access::Scope(Scope::RightsRead), || web::to(v1::rights_requests::show::handler))],
    ),
    at(
        "/v1/ledger/entries",
        "GET, HEAD",
        &[get(Access::Scope(Scope::LedgerRead), || web::to(v1::ledger::entries::handler))],
    ),
    at("/v1/disclosures", "GET, HEAD", &[get(READ_RIGHTS, || web::to(v1::incidents::affected::handler))]),
    at(
        "/v1/incidents",
        "GET, HEAD, POST",
        &[
            get(READ_RIGHTS, || web::to(v1::incidents::list::handler)),
            post(WRITE_RIGHTS, || web::to(v1::incidents::open::handler)),
        ],
    ),
    at("/v1/incidents/{id}", "GET, HEAD", &[get(READ_RIGHTS, || web::to(v1::incidents::show::handler))]),
    at("/v1/incidents/{id}/notes", "POST", &[post(WRITE_RIGHTS, || web::to(v1::incidents::add::handler))]),
    at("/v1/incidents/{id}/close", "POST", &[post(WRITE_RIGHTS, || web::to(v1::incidents::close::handler))]),
    // Staff.
    at("/console", "GET, HEAD", &[get(STAFF, || web::to(console::home::handler))]),
    at(
        "/console/login",
        "GET, HEAD, POST",
        &[get(STAFF, || web::to(console::login::show)), post(STAFF, || web::to(console::login::submit))],
    ),
    at(
        "/console/second-factor",
        "GET, HEAD, POST",
        &[
            get(STAFF, || web::to(console::second_factor::show)),
            post(STAFF, || web::to(console::second_factor::submit)),
        ],
    ),
    at(
        "/console/join/{token}",
        "GET, HEAD, POST",
        &[get(STAFF, || web::to(console::join::show)), post(STAFF, || web::to(console::join::submit))],
    ),
    at(
        "/console/authenticator",
        "GET, HEAD, POST",
        &[
            get(STAFF, || web::to(console::authenticator::show)),
            post(STAFF, || web::to(console::authenticator::submit)),
        ],
    ),
    at(
        "/console/account",
        "GET, HEAD, POST",
        &[get(STAFF, || web::to(console::account::show)), post(STAFF, || web::to(console::account::submit))],
    ),
    at(
        "/console/staff",
        "GET, HEAD, POST",
        &[get(STAFF, || web::to(console::staff::show)), post(STAFF, || web::to(console::staff::submit))],
    ),
    at("/console/sso", "POST", &[post(STAFF, || web::to(console::sso::begin))]),
    at("/console/sso/callback", "GET, HEAD", &[get(STAFF, || web::to(console::sso::finish))]),
    at("/console/sign-out", "POST", &[post(STAFF, || web::to(console::sign_out::handler))]),
    // Everybody.
    at("/ledger/checkpoint", "GET, HEAD", &[get(PUBLIC, || web::to(ledger::checkpoint::handler))]),
    at("/ledger/vkey", "GET, HEAD", &[get(PUBLIC, || web::to(ledger::vkey::handler))]),
    at("/ledger/tile/{tile}", "GET, HEAD", &[get(PUBLIC, || web::to(ledger::tile::handler))]),
    at("/ledger/inclusion", "GET, HEAD", &[get(PUBLIC, || web::to(ledger::inclusion::handler))]),
    at("/ledger/consistency", "GET, HEAD", &[get(PUBLIC, || web::to(ledger::consistency::handler))]),
    at("/oauth/token", "POST", &[post(PUBLIC, || web::to(oauth::token::handler))]),
    at("/oauth/introspect", "POST", &[post(PUBLIC, || web::to(oauth::introspect::handler))]),
    at("/oauth/revoke", "POST", &[post(PUBLIC, || web::to(oauth::revoke::handler))]),
    at("/.well-known/gpc.json", "GET, HEAD", &[get(PUBLIC, || web::to(well_known::gpc::handler))]),
    at("/.well-known/jwks.json", "GET, HEAD", &[get(PUBLIC, || web::to(well_known::jwks::handler))]),
    at(
        "/.well-known/oauth-authorization-server",
        "GET, HEAD",
        &[get(PUBLIC, || web::to(well_known::authorization_server::handler))],
    ),
    at(
        "/.well-known/oauth-protected-resource",
        "GET, HEAD",
        &[get(PUBLIC, || web::to(well_known::protected_resource::handler))],
    ),
    at("/openapi.json", "GET, HEAD", &[get(PUBLIC, || web::to(openapi::handler))]),
    at("/health/live", "GET, HEAD", &[get(PUBLIC, || web::to(health::live::handler))]),
    at("/health/ready", "GET, HEAD", &[get(PUBLIC, || web::to(health::ready::handler))]),
    at("/metrics", "GET, HEAD", &[get(PUBLIC, || web::to(metrics::handler))]),
    // What answers for every path that is not above. No client can name it: `{` is always escaped in a path.
    at("{unknown}", "", &[]),
];

/// Everything that can be called: the live table, from which the server is built.
#[must_use]
pub fn routes() -> &'static [Route] {
    ROUTES.split_last().map_or(&[], |(_, routes)| routes)
}

/// The edge: the gateway, and what belongs to HTTP alone. Cheap to clone; made once.
#[derive(Clone)]
pub struct Edge {
    gateway: web::Data<Gateway>,
    metrics: web::Data<HttpMetrics>,
    document: web::Data<openapi::Document>,
    ids: layer::RequestIds,
    limits: std::sync::Arc<Limits>,
    doors: std::sync::Arc<Doors>,
}

/// What the edge needs to know of its surroundings.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// How often, and how many at once.
    pub limits: LimitSettings,
    doors: Doors,
}

/// What holds of every request and answer.
#[derive(Debug, Clone)]
struct Doors {
    proxies: Proxies,
    /// `Strict-Transport-Security`, where the gateway is reached by TLS.
    hsts: Option<HeaderValue>,
    /// Whether programs show a certificate besides their token.
    needs_certificate: bool,
    patience: Patience,
}

impl EdgeSettings {
    /// Those of a configuration.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let server = &settings.server;
        let is_reached_by_tls = server.tls.is_set() || server.public_url.starts_with("https://");
        let hsts = Some(&server.hsts).filter(|hsts| is_reached_by_tls && !hsts.is_empty());
        let doors = Doors {
            proxies: Proxies {
                trusted: server.trusted_proxies.clone(),
                header: server.proxy_header,
                is_behind_one: server.behind_tls_proxy,
            },
            hsts: hsts.and_then(|hsts| HeaderValue::from_str(hsts).ok()),
            needs_certificate: !server.tls.client_ca.as_os_str().is_empty(),
            patience: Patience::of(server),
        };
        Self { limits: settings.limits.clone(), doors }
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge(..)")
    }
}

impl Edge {
    /// The edge of a gateway.
    #[must_use]
    pub fn new(gateway: Gateway, settings: &EdgeSettings) -> Self {
        Self {
            limits: std::sync::Arc::new(Limits::new(&settings.limits, &gateway.clock())),
            doors: std::sync::Arc::new(settings.doors.clone()),
            gateway: web::Data::new(gateway),
            metrics: web::Data::new(HttpMetrics::default()),
            document: web::Data::new(openapi::Document::new()),
            ids: layer::RequestIds::default(),
        }
    }

    /// Registers every route, and the answer to everything else.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(self.gateway.clone()).app_data(self.metrics.clone()).app_data(self.document.clone());
        // Fixed paths first: one is found by comparing, a template by a regular expression.
        let (templates, fixed): (Vec<_>, Vec<_>) = routes().iter().partition(|route| route.path.contains('{'));
        for route in fixed.into_iter().chain(templates) {
            config.service(self.resource(route));
        }
        if let Some(unknown) = ROUTES.last() {
            config.default_service(web::to(not_found).wrap(from_fn(self.layer(unknown))));
        }
    }

    fn resource(&self, route: &'static Route) -> impl actix_web::dev::HttpServiceFactory + use<> {
        let mut resource = web::resource(route.pattern());
        for endpoint in route.endpoints {
            if let Ok(method) = Method::from_bytes(endpoint.method.as_bytes()) {
                resource = resource.route((endpoint.make)().method(method));
            }
            if endpoint.method == "GET" {
                resource = resource.route((endpoint.make)().method(Method::HEAD));
            }
        }
        let allow = route.allow;
        resource
            .default_service(web::to(move || {
                std::future::ready(Problem::method_not_allowed(allow).response(None))
            }))
            .wrap(from_fn(self.layer(route)))
    }

    fn layer(&self, route: &'static Route) -> impl Fn(ServiceRequest, Next<BoxBody>) -> Layered + Clone + use<> {
        let (edge, kind) = (self.clone(), Kind::of(route.path));
        move |request, next| Box::pin(layer::through(edge.clone(), (route, kind), request, next))
    }
}

type Layered = futures_util::future::LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, actix_web::Error>>;

async fn not_found() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::of(Code::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_exactly_the_methods_of_a_path() {
        for route in routes() {
            let mut methods = Vec::new();
            for endpoint in route.endpoints {
                methods.push(endpoint.method);
                if endpoint.method == "GET" {
                    methods.push("HEAD");
                }
            }
            assert_eq!(route.allow, methods.join(", "), "{}", route.path);
        }
    }

    #[test]
    fn no_path_is_there_twice() {
        for (at, route) in routes().iter().enumerate() {
            assert!(routes().iter().skip(at + 1).all(|other| other.path != route.path), "{}", route.path);
        }
    }
}
