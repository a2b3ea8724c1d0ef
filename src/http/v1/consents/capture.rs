//! `POST /v1/consents`: a person gives, refuses, takes back or objects; nothing is acknowledged before it is durable.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use app::{
    Choice, ChoiceKind, Code, ConsentPost, Fault, Gateway, Idempotency, OptInStep, PersonRequest, Receipt, Who,
};
use kernel::authz::CaptureConsent;
use kernel::consent::{Action, EventKind, Evidence, Presentation};
use kernel::form::FormId;
use kernel::id::ReceiptId;
use kernel::notice::NoticeDigest;
use kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use crate::http::authenticate::Anyone;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::origin::peer;
use crate::http::page::Language;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;
use crate::http::{gpc, idempotency, origin};

/// What a person chose, and how.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "form": "newsletter",
    "subject": {"email": "anna@example.org"},
    "notice": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "locale": "en",
    "region": "DE",
    "captured_at": "2026-11-22T18:30:00Z",
    "evidence": {"action": "checkbox_ticked", "default_state": "unchecked", "presentation": "separate"},
    "choices": [{"purpose": "email_marketing", "choice": "give"}]
}))]
pub struct ConsentBody {
    /// The form; needed to give or refuse.
    #[schema(value_type = Option<String>, max_length = 64, pattern = "^[a-z][a-z0-9_-]*$")]
    form: Option<FormId>,
    /// The person; or `token`.
    #[validate(nested)]
    #[schema(value_type = Option<Subject>)]
    subject: Option<Object<Subject>>,
    /// The withdrawal token of a receipt, in place of `subject`: it only takes back.
    #[validate(length(max = 256, code = "too_long"))]
    #[schema(max_length = 256)]
    token: Option<String>,
    /// The digest of the notice that was shown; needed to give or refuse.
    #[schema(value_type = Option<String>, pattern = "^sha256:[0-9a-f]{64}$")]
    notice: Option<NoticeDigest>,
    /// The language it was shown in (BCP 47).
    #[validate(length(max = 35, code = "too_long"))]
    #[schema(max_length = 35)]
    locale: Option<String>,
    /// The region the person declared (ISO 3166).
    #[validate(length(max = 6, code = "too_long"))]
    #[schema(max_length = 6)]
    region: Option<String>,
    /// When the person acted; needed to give.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// How the person acted; needed to give.
    #[validate(nested)]
    #[schema(value_type = Option<EvidenceBody>)]
    evidence: Option<Object<EvidenceBody>>,
    /// One choice a purpose.
    #[serde(default)]
    #[validate(nested)]
    #[schema(value_type = Vec<ChoiceBody>, max_items = 64, required = false)]
    choices: Bounded<Object<ChoiceBody>, 0, 64>,
    /// What the person asks for as a whole.
    #[serde(default)]
    #[schema(value_type = Vec<RequestBody>, max_items = 8, required = false)]
    requests: Bounded<RequestBody, 0, 8>,
    /// The form's further fields, by attribute.
    #[serde(default)]
    #[validate(length(max = 32, code = "too_many"), custom(function = "are_short"))]
    #[schema(required = false)]
    fields: BTreeMap<String, String>,
    /// The birth year or date, `YYYY` or `YYYY-MM-DD`.
    #[validate(length(max = 10, code = "too_long"))]
    #[schema(max_length = 10, pattern = "^[0-9]{4}(-[0-9]{2}-[0-9]{2})?$")]
    birth: Option<String>,
}

impl std::fmt::Debug for ConsentBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsentBody(..)")
    }
}

/// How a person acted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBody {
    /// What the person did.
    #[schema(value_type = ActionBody)]
    action: Action,
    /// How the choice stood before the person acted.
    default_state: DefaultState,
    /// Whether the question stood by itself.
    #[schema(value_type = PresentationBody)]
    presentation: Presentation,
    /// Whether a service was made to depend on it.
    #[serde(default)]
    #[schema(required = false)]
    conditional_on_service: bool,
    /// The labels of the options offered.
    #[serde(default)]
    #[validate(length(max = 20, code = "too_many"), custom(function = "are_labels"))]
    #[schema(max_items = 20, required = false)]
    options: Vec<String>,
    /// Steps to accept.
    steps_accept: Option<u8>,
    /// Steps to decline.
    steps_decline: Option<u8>,
    /// The page, without query and fragment.
    #[validate(length(max = 2048, code = "too_long"))]
    #[schema(max_length = 2048)]
    page: Option<String>,
    /// The express statement of an explicit consent.
    #[validate(length(max = 2000, code = "too_long"))]
    #[schema(max_length = 2000)]
    statement: Option<String>,
}

/// How a choice stood before the person acted.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefaultState {
    /// Empty.
    Unchecked,
    /// Made beforehand: never consent.
    Checked,
}

/// What a person did. Only the first four are clear affirmative acts.
#[derive(ToSchema)]
#[schema(as = Action, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the kernel's enum in the API document")]
pub(crate) enum ActionBody {
    CheckboxTicked,
    Button,
    Signed,
    OralRecorded,
    CloseBanner,
    Hover,
    Scroll,
    Mute,
    ContinueBrowsing,
    AcceptTerms,
    NavigateAway,
}

/// Whether a question stood by itself.
#[derive(ToSchema)]
#[schema(as = Presentation, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the kernel's enum in the API document")]
pub(crate) enum PresentationBody {
    Separate,
    BundledWithTerms,
}

/// The choice for one purpose.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceBody {
    /// The purpose.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64, example = "email_marketing")]
    purpose: String,
    /// What the person chose.
    choice: ChoiceKindBody,
    /// Whether a grant is explicit (GDPR Art. 9(2)(a)).
    #[serde(default)]
    #[schema(required = false)]
    explicit: bool,
    /// Which step of an opt-in after an opt-out of sale, sharing or a limit this is (11 CCR §7028(a)): 1 asks and
    /// changes nothing, 2 confirms. Without it a grant does not undo such an opt-out.
    #[validate(range(min = 1, max = 2, code = "invalid_field"))]
    #[schema(minimum = 1, maximum = 2)]
    step: Option<u8>,
    /// Of step 2: the receipt of step 1.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    of: Option<ReceiptId>,
    /// Of step 2: whether the person was told that their browser signals the contrary (11 CCR §7025(c)(3)).
    /// Without it an opt-in does not outweigh the signal.
    #[serde(default)]
    #[schema(required = false)]
    conflict_notice: bool,
}

/// What a person chooses.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChoiceKind)]
pub enum ChoiceKindBody {
    /// Yes.
    Give,
    /// No.
    Refuse,
    /// No longer.
    Withdraw,
    /// Not on a basis that needs no consent either (GDPR Art. 21(1)).
    Object,
}

/// What a person asks for as a whole.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PersonRequest)]
pub enum RequestBody {
    /// Object to direct marketing (GDPR Art. 21(2)).
    ObjectDirectMarketing,
    /// Opt out of all sale and sharing (CCPA 1798.120), whatever single purposes are chosen besides (11 CCR §7026(h)).
    OptOutSaleShare,
    /// Limit the use of sensitive information (CCPA 1798.121).
    LimitSensitive,
    /// Opt out of decisions by computer alone (11 CCR §7221).
    OptOutAutomatedDecisions,
    /// Take every consent back.
    WithdrawAll,
}

fn are_short(fields: &BTreeMap<String, String>) -> Result<(), ValidationError> {
    let is_short = |(name, value): (&String, &String)| name.len() <= 64 && value.chars().count() <= 256;
    if fields.iter().all(is_short) { Ok(()) } else { Err(ValidationError::new("too_long")) }
}

fn are_labels(labels: &[String]) -> Result<(), ValidationError> {
    if labels.iter().all(|label| label.chars().count() <= 200) {
        Ok(())
    } else {
        Err(ValidationError::new("too_long"))
    }
}

impl ConsentBody {
    fn into_post(self, gpc: bool, idempotency: Option<Idempotency>) -> Result<ConsentPost, Problem> {
        let who = match (self.subject, self.token) {
            (Some(Object(subject)), None) => {
                Who::Identified { email: subject.email, customer_id: subject.customer_id }
            }
            (None, Some(token)) => Who::Token(token),
            (None, None) => return Err(Problem::fault("/subject", Code::MissingField)),
            (Some(_), Some(_)) => {
                let detail = "name the person by `subject` or by `token`, not by both";
                return Err(Problem::invalid(vec![Fault::saying("/token", Code::InvalidField, detail)]));
            }
        };
        let shown_in = self.locale.clone().unwrap_or_default();
        let mut choices = Vec::new();
        for (at, Object(choice)) in self.choices.into_iter().enumerate() {
            choices.push(choice.into_choice(at)?);
        }
        Ok(ConsentPost {
            form: self.form,
            who,
            notice: self.notice,
            locale: self.locale,
            region: self.region,
            captured_at: self.captured_at,
            evidence: self.evidence.map(|Object(evidence)| evidence.into_evidence(shown_in)),
            choices,
            requests: self.requests.into_iter().map(PersonRequest::from).collect(),
            fields: self.fields,
            gpc,
            birth: self.birth,
            peer: None,
            idempotency,
        })
    }
}

impl EvidenceBody {
    fn into_evidence(self, locale: String) -> Evidence {
        // A query or fragment of a page may hold personal data.
        let bare = |page: String| page.split(['?', '#']).next().unwrap_or_default().to_owned();
        Evidence {
            action: self.action,
            preselected: matches!(self.default_state, DefaultState::Checked),
            presentation: self.presentation,
            conditional_on_service: self.conditional_on_service,
            options: self.options,
            steps_accept: self.steps_accept,
            steps_decline: self.steps_decline,
            statement: self.statement,
            locale,
            page: self.page.map(bare),
            mailbox: None,
        }
    }
}

impl ChoiceBody {
    fn into_choice(self, at: usize) -> Result<Choice, Problem> {
        let choice = match self.choice {
            ChoiceKindBody::Give => ChoiceKind::Give,
            ChoiceKindBody::Refuse => ChoiceKind::Refuse,
            ChoiceKindBody::Withdraw => ChoiceKind::Withdraw,
            ChoiceKindBody::Object => ChoiceKind::Object,
        };
        let misplaced = |member: &str| Problem::fault(format!("/choices/{at}/{member}"), Code::InvalidField);
        let step = match (self.step, self.of) {
            (Some(2), Some(of)) => Some(OptInStep::Second { of, conflict_notice: self.conflict_notice }),
            (Some(2), None) => return Err(Problem::fault(format!("/choices/{at}/of"), Code::MissingField)),
            (_, Some(_)) => return Err(misplaced("of")),
            (_, None) if self.conflict_notice => return Err(misplaced("conflict_notice")),
            (Some(_), None) => Some(OptInStep::First),
            (None, None) => None,
        };
        Ok(Choice { purpose: self.purpose, choice, explicit: self.explicit, step })
    }
}

impl From<RequestBody> for PersonRequest {
    fn from(body: RequestBody) -> Self {
        match body {
            RequestBody::ObjectDirectMarketing => Self::ObjectDirectMarketing,
            RequestBody::OptOutSaleShare => Self::OptOutSaleShare,
            RequestBody::LimitSensitive => Self::LimitSensitive,
            RequestBody::OptOutAutomatedDecisions => Self::OptOutAutomatedDecisions,
            RequestBody::WithdrawAll => Self::WithdrawAll,
        }
    }
}

/// What the person gets back.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt, example = json!({
    "receipt": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "recorded_at": "2026-11-22T18:30:01.250Z",
    "events": [{"event": "GRANT_CONFIRMED", "purpose": "email_marketing"}],
    "withdrawal_token": "w1_5f2b8a3c9d1e4f60718293a4b5c6d7e8000102030405060708090a0b0c0d0e0f",
    "receipt_token": "q1_5f2b8a3c9d1e4f60718293a4b5c6d7e80f1e2d3c4b5a69788796a5b4c3d2e1f0000102030405060708090a0b0c0d0e0f",
    "gpc_processed": false
}))]
pub struct ReceiptBody {
    /// The receipt.
    receipt: String,
    /// When it was recorded.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// What was recorded.
    events: Vec<EventBody>,
    /// With it the person takes consent back, without a login.
    withdrawal_token: String,
    /// With it the form asks whether it may ask again, and the person reads the receipt. It opens what was posted here
    /// and nothing else of the person.
    receipt_token: String,
    /// Whether a Global Privacy Control signal was processed.
    gpc_processed: bool,
    /// What to show the person then (11 CCR §7025(c)(6)).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    gpc_display: Option<&'static str>,
    /// Of an opt-out of sale and sharing: with it `POST /v1/signals` tells that it was processed and still stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    status_token: Option<String>,
}

/// One recorded event.
#[derive(Serialize, ToSchema)]
#[schema(as = RecordedEvent)]
pub struct EventBody {
    /// What happened.
    #[schema(value_type = String, example = "GRANT_CONFIRMED")]
    event: EventKind,
    /// For which purpose, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "email_marketing")]
    purpose: Option<String>,
}

impl std::fmt::Debug for ReceiptBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReceiptBody(..)")
    }
}

impl std::fmt::Debug for EventBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventBody(..)")
    }
}

impl ReceiptBody {
    /// The answer to a post that was recorded.
    pub(crate) fn respond(receipt: Receipt, language: Language) -> HttpResponse {
        let mut response = HttpResponse::Created();
        if receipt.replayed {
            response.insert_header((idempotency::REPLAYED, "true"));
        }
        response.json(Self {
            receipt: receipt.receipt.to_string(),
            recorded_at: receipt.recorded_at.to_string(),
            events: receipt
                .events
                .into_iter()
                .map(|(event, purpose)| EventBody { event, purpose: purpose.map(String::from) })
                .collect(),
            withdrawal_token: receipt.withdrawal_token,
            receipt_token: receipt.receipt_token,
            gpc_processed: receipt.gpc_processed,
            gpc_display: receipt.gpc_processed.then_some(gpc::display(language)),
            status_token: receipt.status_token,
        })
    }
}

/// Records what a person chose.
#[utoipa::path(
    post,
    path = "/v1/consents",
    operation_id = "capture_consents",
    tag = "persons",
    description = "Records what a person gives, refuses, takes back or objects to. A post with any fault stores nothing. No login: a person acts \
        for themself; with the token of a receipt only taking back is possible.",
    params(
        ("Sec-GPC" = Option<String>, Header, description = "Global Privacy Control: `1` opts out of sale and sharing", example = "1"),
        ("Origin" = Option<String>, Header, description = "Sent by browsers; the form must allow it", example = "https://shop.example"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again is answered again and done once", max_length = 257),
    ),
    request_body = ConsentBody,
    responses((status = 201, description = "Recorded", body = ReceiptBody, headers(
        ("Idempotency-Replayed" = Option<String>, description = "`true` when this repeats an earlier answer"),
        ("Vary" = String),
    ))),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<ConsentBody>,
) -> Result<HttpResponse, Problem> {
    origin::admit(&request, &gateway, body.value.form.as_ref())?;
    let gpc = gpc::is_signalled(request.headers());
    let idempotency = idempotency::of(&request, &gateway, "public", &[&body.bytes, &[u8::from(gpc)]])?;
    let language = Language::asked(body.value.locale.as_deref(), &request);
    let mut post = body.value.into_post(gpc, idempotency)?;
    post.peer = peer(&request);
    Ok(ReceiptBody::respond(gateway.capture(&by.0, post).await?, language))
}
