//! `POST /v1/prompts/ask`: whether a form may ask the bearer of a receipt again. It tells nothing but what the bearer posted.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, PromptView};
use kernel::authz::AskPrompts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{TriggerBody, ask_of};
use crate::http::authenticate::Anyone;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::origin;
use crate::http::problem::Problem;

/// What a form wants to know.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PromptQuestion, example = json!({"token": "q1_5f2b8a3c9d1e4f60718293a4b5c6d7e80f1e2d3c4b5a69788796a5b4c3d2e1f0000102030405060708090a0b0c0d0e0f", "purposes": ["email_marketing"]}))]
pub struct AskBody {
    /// The `receipt_token` of a post: the form's own memory of what was chosen in it.
    #[validate(length(max = 256, code = "too_long"))]
    #[schema(max_length = 256)]
    token: String,
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

impl std::fmt::Debug for AskBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskBody(..)")
    }
}

/// What the form may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromptAnswers, example = json!({"purposes": [{"purpose": "email_marketing", "may_prompt": false}]}))]
pub struct AnswerBody {
    /// One answer a purpose.
    purposes: Vec<MayBody>,
}

/// The answer for one purpose.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MayPrompt)]
pub struct MayBody {
    /// The purpose.
    purpose: String,
    /// Whether the form may ask for it.
    may_prompt: bool,
}

/// Asks whether a form may ask.
#[utoipa::path(
    post,
    path = "/v1/prompts/ask",
    operation_id = "ask_prompts",
    tag = "persons",
    description = "Whether a form may ask again, judged by what was posted under the receipt of the token and by nothing else: the answer tells nobody \
        whether an address is known or what its owner chose elsewhere.",
    params(("Origin" = Option<String>, Header, description = "Sent by browsers; a form must allow it", example = "https://shop.example")),
    request_body = AskBody,
    responses((status = 200, description = "The answers", body = AnswerBody, headers(("Vary" = String)))),
)]
pub async fn handler(
    by: Anyone<AskPrompts>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<AskBody>,
) -> Result<HttpResponse, Problem> {
    origin::admit(&request, &gateway, None)?;
    let AskBody { token, purposes, trigger, prompting } = body.value;
    let ask = ask_of(purposes.into_iter().collect(), trigger.is_some(), prompting);
    let views = gateway.ask_prompts(&by.0, &token, &ask).await?;
    let may = |view: PromptView| MayBody { purpose: view.purpose.to_string(), may_prompt: view.may_prompt };
    Ok(HttpResponse::Ok().json(AnswerBody { purposes: views.into_iter().map(may).collect() }))
}
