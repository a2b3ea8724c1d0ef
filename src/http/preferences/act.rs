//! `POST /preferences/{token}`: one button, one act, at once and without a login (11 CCR §7026(c)-(d), §7027(d)-(e)).

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Fault, Gateway, PreferenceAct};
use kernel::authz::{CaptureConsent, ReadPreferences};

use super::PreferencesBody;
use crate::http::authenticate::Anyone;
use crate::http::problem::Problem;
use crate::http::unsubscribe::token;
use crate::http::{body, form_body};

/// The most bytes of a body.
const MOST_BYTES: usize = 4 * 1024;

/// Does what a button says.
#[utoipa::path(
    post,
    path = "/preferences/{token}",
    operation_id = "change_preferences",
    tag = "persons",
    description = "Takes one input: `withdraw=<purpose>`, `withdraw_all=yes`, `object=yes` (all direct marketing), `opt_out=yes` (sale and sharing) or \
        `limit=yes` (sensitive information). Nothing can be given here. Again, it changes nothing.",
    params(("token" = String, Path, description = "From the link; good for 400 days", max_length = 259, pattern = "^r1_[A-Za-z0-9_-]+$")),
    request_body(
        description = "One button",
        content(
            (BTreeMap<String, String> = "application/x-www-form-urlencoded"),
            (BTreeMap<String, String> = "multipart/form-data"),
        ),
    ),
    responses((status = 200, description = "The choices as they stand now", content(
        (String = "text/html"), (PreferencesBody = "application/json"),
    ))),
)]
pub async fn handler(
    by: (Anyone<CaptureConsent>, Anyone<ReadPreferences>),
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (changes, reads) = by;
    // A forged link is a forged link, whatever is posted to it.
    gateway.preferences(&reads.0, token(&request)).await?;
    let mut payload = payload.into_inner();
    let bytes = body::read(&request, &mut payload, MOST_BYTES).await?;
    let act = act(&form_body::pairs(&request, bytes).await?)?;
    gateway.change_preferences(&changes.0, token(&request), &act).await?;
    let preferences = gateway.preferences(&reads.0, token(&request)).await?;
    Ok(super::respond(&request, &gateway, preferences.as_ref(), true))
}

fn act(pairs: &[(String, String)]) -> Result<PreferenceAct, Problem> {
    let [(name, value)] = pairs else {
        let detail = "press exactly one button";
        return Err(Problem::invalid(vec![Fault::saying("", Code::InvalidField, detail)]));
    };
    match (name.as_str(), value.as_str()) {
        ("withdraw", purpose) => Ok(PreferenceAct::Withdraw(purpose.to_owned())),
        ("withdraw_all", "yes") => Ok(PreferenceAct::WithdrawAll),
        ("object", "yes") => Ok(PreferenceAct::ObjectDirectMarketing),
        ("opt_out", "yes") => Ok(PreferenceAct::OptOutSaleShare),
        ("limit", "yes") => Ok(PreferenceAct::LimitSensitive),
        (name @ ("withdraw_all" | "object" | "opt_out" | "limit"), _) => {
            Err(Problem::fault(format!("/{name}"), Code::InvalidField))
        }
        (name, _) => Err(Problem::fault(form_body::pointer(name), Code::UnknownField)),
    }
}
