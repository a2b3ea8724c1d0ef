//! `POST /v1/prompts/lookup`: whether a form may ask a person whom a source names.

use actix_web::{HttpResponse, web};
use app::{Gateway, PromptView};
use kernel::authz::LookUpPrompts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{TriggerBody, ask_of};
use crate::http::authenticate::Allowed;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// What a form wants to know.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PromptLookup, example = json!({"subject": {"email": "anna@example.org"}, "purposes": ["email_marketing"], "prompting": true}))]
pub struct LookupBody {
    /// The person.
    #[validate(nested)]
    #[schema(value_type = Subject)]
    subject: Object<Subject>,
    /// The purposes it would ask for.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 64)]
    purposes: Bounded<String, 1, 64>,
    /// A transaction of the person's own that cannot be completed without them.
    #[validate(nested)]
    #[schema(value_type = Option<TriggerBody>)]
    trigger: Option<Object<TriggerBody>>,
    /// Whether the form will ask now for those that it may ask for: then the question is counted.
    #[serde(default)]
    #[schema(required = false)]
    prompting: bool,
}

/// What the form may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromptLookupAnswers, example = json!({
    "purposes": [{"purpose": "email_marketing", "may_prompt": false, "not_before": "2027-05-22T18:30:00.000Z"}]
}))]
pub struct AnswerBody {
    /// One answer a purpose.
    purposes: Vec<MayBody>,
}

/// The answer for one purpose.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MayPromptFrom)]
pub struct MayBody {
    /// The purpose.
    purpose: String,
    /// Whether the form may ask for it.
    may_prompt: bool,
    /// From when on it may, where a wait runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    not_before: Option<String>,
}

/// Looks up whether a form may ask.
#[utoipa::path(
    post,
    path = "/v1/prompts/lookup",
    operation_id = "lookup_prompts",
    tag = "sources",
    description = "Whether a source may ask a person for a purpose, and from when on, but not why. A person who is not known may be asked. With `prompting` \
        the questions that may be put are counted.",
    request_body = LookupBody,
    responses((status = 200, description = "The answers", body = AnswerBody)),
)]
pub async fn handler(
    by: Allowed<LookUpPrompts>,
    gateway: web::Data<Gateway>,
    body: Valid<LookupBody>,
) -> Result<HttpResponse, Problem> {
    let LookupBody { subject: Object(Subject { email, customer_id }), purposes, trigger, prompting } = body.value;
    let ask = ask_of(purposes.into_iter().collect(), trigger.is_some(), prompting);
    let views = gateway.look_up_prompts(&by.0, email, customer_id, &ask).await?;
    let may = |view: PromptView| MayBody {
        purpose: view.purpose.to_string(),
        may_prompt: view.may_prompt,
        not_before: view.not_before.map(|at| at.to_string()),
    };
    Ok(HttpResponse::Ok().json(AnswerBody { purposes: views.into_iter().map(may).collect() }))
}
