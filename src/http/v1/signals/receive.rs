//! `POST /v1/signals`: a Global Privacy Control header, a GPP string, a TC string, together or alone. An empty body is
//! enough (11 CCR §7025(c)(2)), and the answer asks for nothing.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Fault, Gateway, OptOutStatus, SignalPost, Who};
use kernel::authz::CaptureConsent;
use kernel::signal::{MAX_SIGNAL_BYTES, ReceivedSignal};
use kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Anyone;
use crate::http::bounded::Bounded;
use crate::http::object::Object;
use crate::http::page::Language;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;
use crate::http::{body, gpc, json, origin};

/// The most bytes of a body: two strings of the longest kind, and what stands around them.
const MOST_BYTES: usize = 2 * MAX_SIGNAL_BYTES + 8 * 1024;

/// A signal and what it is tied to. All of it may be left out where the header says it.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Signal, example = json!({
    "device": "b1946ac92492d2347c6235b4d2611184",
    "gpp": "DBABBg~BVWSSSVY.YA",
    "gpp_sid": [8],
    "region": "US-CA"
}))]
pub struct SignalBody {
    /// The person, where the site knows whom it is showing itself to.
    #[validate(nested)]
    #[schema(value_type = Option<Subject>)]
    subject: Option<Object<Subject>>,
    /// The withdrawal token of a receipt or the token of a preference link, in place of `subject`. The latter, which
    /// was mailed to the person, is answered with how their opt-out stands.
    #[validate(length(max = 256, code = "too_long"))]
    #[schema(max_length = 256)]
    token: Option<String>,
    /// The key that the site gave this browser or device: opaque, and only kept as a keyed fingerprint.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128, pattern = "^[!-~]+$")]
    device: Option<String>,
    /// The key of a pseudonymous profile.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128, pattern = "^[!-~]+$")]
    profile: Option<String>,
    /// The value of `navigator.globalPrivacyControl`, where the page sends it. Only `true` says something.
    #[serde(default)]
    #[schema(required = false)]
    gpc: bool,
    /// A GPP string (IAB GPP 1.0), kept byte for byte.
    #[schema(max_length = 65536)]
    gpp: Option<String>,
    /// The sections of it that apply (`GPP_SID`); `[-1]`: none does. Without it all do.
    #[schema(value_type = Option<Vec<i32>>, min_items = 1, max_items = 32)]
    gpp_sid: Option<Bounded<i32, 1, 32>>,
    /// A TC string (IAB TCF 2.3), kept byte for byte.
    #[schema(max_length = 65536)]
    tc: Option<String>,
    /// The region by whose law the signal is read (ISO 3166). It declares nothing of the person.
    #[validate(length(max = 6, code = "too_long"))]
    #[schema(max_length = 6)]
    region: Option<String>,
    /// When it was sent; now, if it is not said.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// The language of the words to be shown (BCP 47); else what `Accept-Language` likes best.
    #[validate(length(max = 35, code = "too_long"))]
    #[schema(max_length = 35)]
    locale: Option<String>,
    /// The token of an earlier answer, by itself: tells how that opt-out stands, and records nothing.
    #[validate(length(max = 256, code = "too_long"))]
    #[schema(max_length = 256)]
    status_token: Option<String>,
}

impl std::fmt::Debug for SignalBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalBody(..)")
    }
}

impl SignalBody {
    /// A body, or nothing at all: then the header says what there is to say.
    async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Problem> {
        let mut payload = payload.into_inner();
        let bytes = body::read(request, &mut payload, MOST_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        if body::media_type(request).as_deref() != Some("application/json") {
            return Err(Problem::of(Code::UnsupportedMediaType).saying("send `application/json`, or no body"));
        }
        json::parse(&bytes).map_err(json::Rejection::into_problem)
    }

    const fn is_only_status(&self) -> bool {
        self.subject.is_none()
            && self.token.is_none()
            && self.device.is_none()
            && self.profile.is_none()
            && !self.gpc
            && self.gpp.is_none()
            && self.gpp_sid.is_none()
            && self.tc.is_none()
            && self.region.is_none()
            && self.captured_at.is_none()
    }

    fn into_post(self, header: bool) -> Result<SignalPost, Problem> {
        let who = match (self.subject, self.token) {
            (Some(Object(subject)), None) => {
                Some(Who::Identified { email: subject.email, customer_id: subject.customer_id })
            }
            (None, Some(token)) => Some(Who::Token(token)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                let detail = "name the person by `subject` or by `token`, not by both";
                return Err(Problem::invalid(vec![Fault::saying("/token", Code::InvalidField, detail)]));
            }
        };
        Ok(SignalPost {
            who,
            device: self.device,
            profile: self.profile,
            gpc: self.gpc || header,
            received: ReceivedSignal { gpp: self.gpp, gpp_sid: sections(self.gpp_sid)?, tc: self.tc },
            region: self.region,
            captured_at: self.captured_at,
        })
    }
}

/// `GPP_SID` as numbers of sections: `-1` stands for none, and alone.
fn sections(listed: Option<Bounded<i32, 1, 32>>) -> Result<Option<Vec<u32>>, Problem> {
    let Some(listed) = listed else { return Ok(None) };
    let listed: Vec<i32> = listed.into_iter().collect();
    if listed == [-1] {
        return Ok(Some(Vec::new()));
    }
    let mut sections = Vec::with_capacity(listed.len());
    for (at, id) in listed.into_iter().enumerate() {
        match u32::try_from(id) {
            Ok(id) if id > 0 => sections.push(id),
            _ => return Err(Problem::fault(format!("/gpp_sid/{at}"), Code::SignalMalformed)),
        }
    }
    Ok(Some(sections))
}

/// What became of a signal.
#[derive(Serialize, ToSchema)]
#[schema(as = SignalAnswer, example = json!({
    "processed_at": "2026-11-22T18:30:01.250Z",
    "gpc_processed": true,
    "gpc_display": "Opt-Out Request Honored",
    "scopes": ["device"],
    "status": {"opted_out": true, "since": "2026-11-22T18:30:01.250Z"}
}))]
pub struct SignalAnswerBody {
    /// When it was processed.
    #[schema(format = DateTime)]
    processed_at: String,
    /// Whether a Global Privacy Control signal was processed.
    gpc_processed: bool,
    /// What to show the person then (11 CCR §7025(c)(6)).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    gpc_display: Option<&'static str>,
    /// What it was tied to: `device`, `profile`, `consumer`.
    scopes: Vec<&'static str>,
    /// The key of a device that was made because the signal was tied to nothing: keep it, and send it with the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    device: Option<String>,
    /// How the opt-out of the device or profile stands, or the one that `status_token` is about. Of a person who is
    /// merely named nothing is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = StatusBody, required = false)]
    status: Option<StatusBody>,
    /// With which `status` can be asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    status_token: Option<String>,
}

/// How an opt-out of sale and sharing stands (11 CCR §7026(g)).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OptOutStatus)]
pub struct StatusBody {
    /// Whether every sale and sharing is opted out of.
    opted_out: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    since: Option<String>,
    /// What to show the person.
    display: &'static str,
}

impl std::fmt::Debug for SignalAnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalAnswerBody(..)")
    }
}

impl StatusBody {
    fn of(status: OptOutStatus, language: Language) -> Self {
        let display = match status.since {
            Some(_) => gpc::display(language),
            None => {
                language.say("Not opted out of sale and sharing", "Kein Widerspruch gegen Verkauf und Weitergabe")
            }
        };
        Self { opted_out: status.since.is_some(), since: status.since.map(|since| since.to_string()), display }
    }
}

/// Takes a signal.
#[utoipa::path(
    post,
    path = "/v1/signals",
    operation_id = "receive_signal",
    tag = "persons",
    description = "Records an opt-out preference signal for the browser or device, the pseudonymous profile and the person it is tied to, as far as they \
        are named. The header alone, without a body, is enough. A signal never permits anything; what it takes away is the policy's to say, but that \
        `Sec-GPC: 1` ends sale and sharing. Sent again, it adds nothing, so it needs no idempotency key. With `device` and `subject` together, what the \
        device signalled before reaches the person: send both when somebody signs in.",
    params(
        ("Sec-GPC" = Option<String>, Header, description = "Global Privacy Control: `1` opts out of sale and sharing", example = "1"),
        ("Origin" = Option<String>, Header, description = "Sent by browsers; a form must allow it", example = "https://shop.example"),
        ("Accept-Language" = Option<String>, Header, description = "The language of the words to be shown", example = "en"),
    ),
    request_body(content = Option<SignalBody>, content_type = "application/json"),
    responses((status = 200, description = "Processed", body = SignalAnswerBody, headers(("Vary" = String)))),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    origin::admit(&request, &gateway, None)?;
    let header = gpc::is_signalled(request.headers());
    let body = SignalBody::read(&request, payload).await?;
    let language = Language::asked(body.locale.as_deref(), &request);
    if let Some(token) = &body.status_token {
        if !body.is_only_status() {
            let detail = "a status is asked for by itself";
            return Err(Problem::invalid(vec![Fault::saying("/status_token", Code::InvalidField, detail)]));
        }
        let status = gateway.opt_out_status(&by.0, token).await?;
        return Ok(HttpResponse::Ok().json(SignalAnswerBody {
            processed_at: gateway.now().to_string(),
            gpc_processed: false,
            gpc_display: None,
            scopes: Vec::new(),
            device: None,
            status: Some(StatusBody::of(status, language)),
            status_token: None,
        }));
    }
    let answer = gateway.receive_signal(&by.0, body.into_post(header)?).await?;
    Ok(HttpResponse::Ok().json(SignalAnswerBody {
        processed_at: answer.processed_at.to_string(),
        gpc_processed: answer.gpc_processed,
        gpc_display: answer.gpc_processed.then_some(gpc::display(language)),
        scopes: answer.scopes.iter().map(|scope| scope.as_str()).collect(),
        device: answer.device,
        status: answer.status.map(|status| StatusBody::of(status, language)),
        status_token: answer.status_token,
    }))
}
