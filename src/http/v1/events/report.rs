//! `POST /v1/events`: a program reports how persons answered mails, line by line: spam complaints and replies. The types
//! are a closed list.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{AppError, Code, Fault, Feedback, FeedbackKind, FeedbackSubject, Gateway};
use kernel::authz::ReportFeedback;
use kernel::identifier::{Identifier, IdentifierKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::lines::{self, JSON, LineProblem, LineProblemBody, NDJSON};
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// How a person answered a mail.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Event, example = json!({"type": "complaint", "subject": {"email": "anna@example.org"}}))]
pub struct EventBody {
    /// What happened.
    #[serde(rename = "type")]
    kind: EventType,
    /// The person, by exactly one identifier; or `token`.
    #[validate(nested)]
    #[schema(value_type = Option<Subject>)]
    subject: Option<Object<Subject>>,
    /// The token of the mail's unsubscribe link, in place of `subject`; it also names the list.
    #[validate(length(max = 259, code = "too_long"))]
    #[schema(max_length = 259)]
    token: Option<String>,
    /// What a reply says; needed with `mail_reply`.
    #[schema(value_type = Option<ReplyBody>)]
    text_class: Option<ReplyBody>,
}

impl std::fmt::Debug for EventBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventBody(..)")
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventType)]
pub enum EventType {
    /// The person reported the mail as spam (RFC 5965): an objection to marketing.
    Complaint,
    /// The person wrote back; see `text_class`.
    MailReply,
}

/// What a reply says.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TextClass)]
pub enum ReplyBody {
    /// To leave this list: with the token of a list its consent is withdrawn, without one all marketing stops.
    UnsubscribeList,
    /// To stop all of it.
    StopAll,
    /// Something like it: all marketing stops.
    Unclear,
}

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventResult, example = json!({"line": 1, "status": "accepted"}))]
pub struct EventResultBody {
    /// The line, counted from 1.
    #[schema(minimum = 1)]
    line: u32,
    /// `accepted` or `rejected`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LineProblemBody, required = false)]
    problem: Option<LineProblemBody>,
}

/// What became of all lines.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = EventsResult)]
pub(crate) struct EventsResultBody {
    /// How many lines were accepted.
    accepted: u32,
    /// How many were rejected.
    rejected: u32,
    /// One result a line, in order.
    results: Vec<EventResultBody>,
}

/// Reports how persons answered mails.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "report_events",
    tag = "sources",
    description = "Takes spam complaints and replies to mails: a JSON array (at most 8 MiB) or NDJSON (at most 64 MiB, streamed), at most 100,000 lines of at \
        most 256 KiB each. Every line is accepted or rejected by itself, and takes effect at once. Whether a person is known is not told. The answer \
        has the form that `Accept` likes best, else that of the request.",
    request_body(content((Vec<EventBody> = "application/json"), (EventBody = "application/x-ndjson"))),
    responses((status = 200, description = "One result a line", content(
        (EventsResultBody = "application/json"), (EventResultBody = "application/x-ndjson"),
    ))),
)]
pub async fn handler(
    by: Allowed<ReportFeedback>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (is_lines, answer) = lines::formats(&request)?;
    let mut all = EventsResultBody::default();
    lines::read::<EventBody>(&request, payload, is_lines, async |number, line| {
        let outcome = match line.and_then(EventBody::into_feedback) {
            Ok(feedback) => match gateway.report_feedback(&by.0, &feedback).await {
                Ok(()) => Ok(()),
                // A fault of the line is the line's; anything else ends the request.
                Err(AppError::Invalid(faults)) => Err(LineProblem::from(faults)),
                Err(error) => return Err(error.into()),
            },
            Err(problem) => Err(problem),
        };
        all.put(number, outcome);
        Ok(())
    })
    .await?;
    Ok(all.respond(answer))
}

impl EventsResultBody {
    fn put(&mut self, line: u32, outcome: Result<(), LineProblem>) {
        let (count, status) = match outcome {
            Ok(()) => (&mut self.accepted, "accepted"),
            Err(_) => (&mut self.rejected, "rejected"),
        };
        *count += 1;
        let problem = outcome.err().as_ref().map(LineProblemBody::from);
        self.results.push(EventResultBody { line, status, problem });
    }

    fn respond(&self, answer: &'static str) -> HttpResponse {
        let body = if answer == NDJSON {
            let lines = self.results.iter().filter_map(|result| serde_json::to_string(result).ok());
            lines.map(|line| line + "\n").collect()
        } else {
            serde_json::to_string(self).unwrap_or_default()
        };
        debug_assert!(answer == NDJSON || answer == JSON);
        HttpResponse::Ok().insert_header((CONTENT_TYPE, answer)).body(body)
    }
}

impl EventBody {
    fn into_feedback(self) -> Result<Feedback, LineProblem> {
        let mut faults = Vec::new();
        let says = match (self.kind, self.text_class) {
            (EventType::Complaint, None) => Some(FeedbackKind::Complaint),
            (EventType::Complaint, Some(_)) => {
                faults.push(Fault::at("/text_class", Code::UnknownField));
                None
            }
            (EventType::MailReply, Some(ReplyBody::UnsubscribeList)) => Some(FeedbackKind::UnsubscribeList),
            (EventType::MailReply, Some(ReplyBody::StopAll)) => Some(FeedbackKind::StopAll),
            (EventType::MailReply, Some(ReplyBody::Unclear)) => Some(FeedbackKind::Unclear),
            (EventType::MailReply, None) => {
                faults.push(Fault::at("/text_class", Code::MissingField));
                None
            }
        };
        let who = match (self.subject, self.token) {
            (Some(Object(subject)), None) => {
                identifier(&subject).map(FeedbackSubject::Identifier).map_err(|fault| faults.push(fault)).ok()
            }
            (None, Some(token)) => Some(FeedbackSubject::Token(token)),
            (None, None) => {
                faults.push(Fault::at("/subject", Code::MissingField));
                None
            }
            (Some(_), Some(_)) => {
                let detail = "name the person by `subject` or by `token`, not by both";
                faults.push(Fault::saying("/token", Code::InvalidField, detail));
                None
            }
        };
        match (who, says) {
            (Some(who), Some(says)) if faults.is_empty() => Ok(Feedback { who, says }),
            _ => Err(faults.into()),
        }
    }
}

/// The one identifier of a subject.
fn identifier(subject: &Subject) -> Result<Identifier, Fault> {
    let (kind, text) = match (&subject.email, &subject.customer_id) {
        (Some(email), None) => (IdentifierKind::Email, email),
        (None, Some(customer)) => (IdentifierKind::CustomerId, customer),
        _ => return Err(Fault::at("/subject", Code::InvalidIdentifier)),
    };
    Identifier::parse(kind, text)
        .map_err(|_| Fault::at(format!("/subject/{}", kind.as_str()), Code::InvalidIdentifier))
}
