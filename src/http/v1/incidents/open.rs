//! `POST /v1/incidents`: an officer puts an incident on record.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, NewIncident};
use kernel::authz::HandleIncidents;
use kernel::ledger::IncidentKind;
use kernel::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::notes::NotesBody;
use crate::http::authenticate::Allowed;
use crate::http::idempotency;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;

/// An incident.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewIncident, example = json!({
    "kind": "unauthorised_access", "aware_at": "2026-11-20T15:20:00Z", "facts": "A laptop with an export was lost."
}))]
pub struct OpenBody {
    /// What kind it is.
    kind: KindBody,
    /// When the controller became aware of it: the clock of the authority runs from then.
    #[schema(value_type = String, format = DateTime)]
    aware_at: Timestamp,
    /// When it was discovered, by whomever; the same, if not said.
    #[schema(value_type = Option<String>, format = DateTime)]
    discovered_at: Option<Timestamp>,
    /// What happened.
    #[validate(length(min = 1, max = 4000, code = "too_long"))]
    #[schema(min_length = 1, max_length = 4000)]
    facts: String,
    /// Whether it touches persons under the GDPR of the Union or the United Kingdom; yes, if not said.
    touches_europe: Option<bool>,
    /// What more is known.
    #[validate(nested)]
    #[schema(value_type = Option<NotesBody>)]
    notes: Option<Object<NotesBody>>,
}

impl std::fmt::Debug for OpenBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenBody(..)")
    }
}

/// Kinds of incidents.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IncidentKind)]
pub enum KindBody {
    /// Pseudonyms were led back to persons by somebody who may not.
    PseudonymReversal,
    /// Somebody saw what they may not.
    UnauthorisedAccess,
    /// Data went to somebody who may not have it.
    UnauthorisedDisclosure,
    /// Data was lost or destroyed.
    Loss,
    /// Data was changed by somebody who may not.
    Alteration,
    /// Data cannot be had.
    Unavailability,
}

impl From<KindBody> for IncidentKind {
    fn from(kind: KindBody) -> Self {
        match kind {
            KindBody::PseudonymReversal => Self::PseudonymReversal,
            KindBody::UnauthorisedAccess => Self::UnauthorisedAccess,
            KindBody::UnauthorisedDisclosure => Self::UnauthorisedDisclosure,
            KindBody::Loss => Self::Loss,
            KindBody::Alteration => Self::Alteration,
            KindBody::Unavailability => Self::Unavailability,
        }
    }
}

/// Opens an incident.
#[utoipa::path(
    post,
    path = "/v1/incidents",
    operation_id = "open_incident",
    tag = "officers",
    description = "Puts an incident on record (GDPR Art. 33(5)). `due` says by when whom has to be told: the authority within 72 elapsed hours, residents of \
        California within 30 calendar days, its attorney general within 15 more if they are over 500.",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again is answered again and done once", max_length = 257)),
    request_body = OpenBody,
    responses((status = 201, description = "On record", body = Object, headers(
        ("Location" = String, description = "The incident"),
        ("Idempotency-Replayed" = Option<String>, description = "`true` when this repeats an earlier answer"),
    ))),
)]
pub async fn handler(
    by: Allowed<HandleIncidents>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<OpenBody>,
) -> Result<HttpResponse, Problem> {
    let scope = by.0.actor().key_space();
    let idempotency = idempotency::of(&request, &gateway, &scope, &[&body.bytes])?;
    let body = body.value;
    let new = NewIncident {
        kind: body.kind.into(),
        aware_at: body.aware_at,
        discovered_at: body.discovered_at,
        facts: body.facts,
        touches_europe: body.touches_europe,
        more: body.notes.map(|Object(notes)| notes.into_notes()).transpose()?.unwrap_or_default(),
    };
    let (view, replayed) = gateway.open_incident(&by.0, new, idempotency).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/v1/incidents/{}", view.id)));
    if replayed {
        response.insert_header((idempotency::REPLAYED, "true"));
    }
    Ok(response.json(view.document))
}
