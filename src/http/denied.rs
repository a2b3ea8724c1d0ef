//! Who was turned away at the door is told to the ledger, in its own closed words: what was tried comes from the route,
//! never from what was sent.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use app::{Code, Gateway};
use kernel::authz::Scope;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};

use super::Route;
use super::authenticate::actor;
use super::problem::Problem;

/// The way from identifiers and recipients' names to persons.
const MAPPING: &str = "/v1/subjects/lookup";

/// Tells the ledger if the answer turns somebody away for want of a token or of its scope.
pub(super) async fn note(gateway: &Gateway, route: &Route, scope: Scope, response: &ServiceResponse<BoxBody>) {
    let code = response.response().extensions().get::<Problem>().map(Problem::code);
    let reason = match code {
        Some(Code::Unauthenticated) => AttemptRefusal::NoCredentials,
        Some(Code::InvalidAccessToken) => AttemptRefusal::InvalidToken,
        Some(Code::InvalidDpopProof) => AttemptRefusal::NoPossession,
        Some(Code::InsufficientScope) => AttemptRefusal::InsufficientScope,
        _ => return,
    };
    let by = actor(response.request());
    gateway.note_denied(by.as_ref(), attempt(route.path, scope), reason).await;
    if let (MAPPING, AttemptRefusal::InsufficientScope, Some(by)) = (route.path, reason, &by) {
        gateway.note_reversal(by).await;
    }
}

/// What somebody tries who calls a path that needs a scope.
fn attempt(path: &str, scope: Scope) -> RefusedAttempt {
    match scope {
        Scope::RecordsWrite | Scope::EventsWrite | Scope::ImportsWrite => RefusedAttempt::IngestRecords,
        Scope::ProfilesRead => match path {
            "/v1/profiles/lookup" => RefusedAttempt::LookUpProfiles,
            "/v1/deliveries/resolve" => RefusedAttempt::ResolveDelivery,
            "/v1/segments/count" => RefusedAttempt::CountSegment,
            _ if path.starts_with("/v1/profiles/changes") => RefusedAttempt::ReadChanges,
            _ => RefusedAttempt::PullProfiles,
        },
        Scope::RightsRead | Scope::RightsWrite if path.starts_with("/v1/subjects") => RefusedAttempt::ReadSubject,
        Scope::RightsRead | Scope::RightsWrite => RefusedAttempt::HandleRightsRequest,
        Scope::LedgerRead | Scope::MetricsRead => RefusedAttempt::ReadLedger,
        Scope::TokensIntrospect => RefusedAttempt::InspectToken,
    }
}
