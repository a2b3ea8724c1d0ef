//! `POST /v1/statements`: a source reports what a person did elsewhere: a sale, an inquiry, a parent's word, a no.

use actix_web::{HttpResponse, web};
use app::{Code, Gateway, PlainStatement, Relationship, Statement, StatementPost, StatementReceipt};
use kernel::authz::IngestRecords;
use kernel::consent::{EventKind, ParentMethod};
use kernel::notice::NoticeDigest;
use kernel::subject::SubscriberType;
use kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// What a source reports of one person.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Statement, example = json!({
    "subject": {"email": "anna@example.org"},
    "statement": "soft_opt_in",
    "purpose": "email_marketing",
    "captured_at": "2026-11-22T18:30:00Z",
    "notice": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sale_ref": "2026-10042",
    "product_family": "clothing",
    "objection_offered_at_collection": true
}))]
pub struct StatementBody {
    /// The person.
    #[validate(nested)]
    #[schema(value_type = Subject)]
    subject: Object<Subject>,
    /// What happened.
    statement: StatementName,
    /// The purpose it is about. Needed for `soft_opt_in`, `implied_consent` and `legitimate_interest`; `withdrawn` and
    /// `parent_authorised` without one concern all, `objected` without one concerns all direct marketing.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64, example = "email_marketing")]
    purpose: Option<String>,
    /// When it happened; now, if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    /// The person's region (ISO 3166).
    #[validate(length(max = 6, code = "too_long"))]
    #[schema(max_length = 6)]
    region: Option<String>,
    /// The digest of the notice that was shown: needed for `soft_opt_in` and `implied_consent`.
    #[schema(value_type = Option<String>, pattern = "^sha256:[0-9a-f]{64}$")]
    notice: Option<NoticeDigest>,
    /// Of `soft_opt_in`: the order in which the address was collected.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    sale_ref: Option<String>,
    /// Of `soft_opt_in`: the family of products that was sold.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64, example = "clothing")]
    product_family: Option<String>,
    /// Of `soft_opt_in`: whether a free and easy way to object was offered when the address was collected. It must be
    /// there, and true.
    objection_offered_at_collection: Option<bool>,
    /// Of `implied_consent`: what it rests on.
    relationship: Option<RelationshipBody>,
    /// Of `implied_consent`: the order or message.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    reference: Option<String>,
    /// Of `parent_authorised`: how it was made sure that a parent acts.
    #[schema(value_type = Option<ParentMethodBody>)]
    method: Option<ParentMethod>,
    /// Of `subscriber_declared`: which kind.
    #[schema(value_type = Option<SubscriberTypeBody>)]
    subscriber_type: Option<SubscriberType>,
}

impl std::fmt::Debug for StatementBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StatementBody(..)")
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatementName {
    /// A sale of own products, in which the address was collected (Directive 2002/58 Art. 13(2)).
    SoftOptIn,
    /// A purchase or an inquiry (CASL s.10(9)).
    ImpliedConsent,
    /// Always refused: a legitimate interest is the policy's to declare, not one person's.
    LegitimateInterest,
    /// A holder of parental responsibility authorised (GDPR Art. 8).
    ParentAuthorised,
    /// It became known whether the subscriber is a natural or a legal person.
    SubscriberDeclared,
    /// Consent was taken back.
    Withdrawn,
    /// An objection was made (GDPR Art. 21).
    Objected,
    /// Opt-out of sale and sharing (CCPA 1798.120).
    OptOutSaleShare,
    /// Limit the use of sensitive information (CCPA 1798.121).
    LimitSensitive,
    /// Opt-out of decisions by computer alone (11 CCR §7221).
    OptOutAutomatedDecisions,
    /// The person logged in, ordered or wrote. Opening an email is no such act.
    Interacted,
}

/// What an implied consent rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Relationship)]
pub enum RelationshipBody {
    /// A purchase or a contract: 24 months.
    Purchase,
    /// An inquiry: 6 months.
    Inquiry,
}

/// How it was made sure that a parent acts.
#[derive(ToSchema)]
#[schema(as = ParentMethod, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the kernel's enum in the API document")]
pub(crate) enum ParentMethodBody {
    SignedForm,
    PaymentCard,
    Telephone,
    VideoCall,
    IdentityDocument,
    ParentAccount,
}

/// Which kind of subscriber.
#[derive(ToSchema)]
#[schema(as = SubscriberType, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the kernel's enum in the API document")]
pub(crate) enum SubscriberTypeBody {
    Natural,
    Legal,
}

impl StatementBody {
    /// What belongs to another event is a fault, not something to pass over.
    fn stray(&self) -> Option<&'static str> {
        let soft = self.statement == StatementName::SoftOptIn;
        let implied = self.statement == StatementName::ImpliedConsent;
        [
            ("/sale_ref", self.sale_ref.is_some(), soft),
            ("/product_family", self.product_family.is_some(), soft),
            ("/objection_offered_at_collection", self.objection_offered_at_collection.is_some(), soft),
            ("/relationship", self.relationship.is_some(), implied),
            ("/reference", self.reference.is_some(), implied),
            ("/notice", self.notice.is_some(), soft || implied),
            ("/method", self.method.is_some(), self.statement == StatementName::ParentAuthorised),
            (
                "/subscriber_type",
                self.subscriber_type.is_some(),
                self.statement == StatementName::SubscriberDeclared,
            ),
        ]
        .into_iter()
        .find_map(|(pointer, given, belongs)| (given && !belongs).then_some(pointer))
    }

    fn into_post(self) -> Result<StatementPost, Problem> {
        if let Some(pointer) = self.stray() {
            return Err(Problem::fault(pointer, Code::InvalidField));
        }
        let statement = match self.statement {
            StatementName::SoftOptIn => Statement::SoftOptIn {
                sale_ref: self.sale_ref,
                product_family: self.product_family,
                objection_offered: self.objection_offered_at_collection,
            },
            StatementName::ImpliedConsent => {
                let relationship = self.relationship.map(|relationship| match relationship {
                    RelationshipBody::Purchase => Relationship::Purchase,
                    RelationshipBody::Inquiry => Relationship::Inquiry,
                });
                Statement::Implied { relationship, reference: self.reference }
            }
            StatementName::LegitimateInterest => Statement::LegitimateInterest,
            StatementName::ParentAuthorised => Statement::ParentAuthorised { method: self.method },
            StatementName::SubscriberDeclared => Statement::Subscriber { kind: self.subscriber_type },
            StatementName::Withdrawn => Statement::Plain(PlainStatement::Withdrawn),
            StatementName::Objected => Statement::Plain(PlainStatement::Objected),
            StatementName::OptOutSaleShare => Statement::Plain(PlainStatement::OptOutSaleShare),
            StatementName::LimitSensitive => Statement::Plain(PlainStatement::LimitSensitive),
            StatementName::OptOutAutomatedDecisions => Statement::Plain(PlainStatement::OptOutAutomatedDecisions),
            StatementName::Interacted => Statement::Plain(PlainStatement::Interacted),
        };
        Ok(StatementPost {
            email: self.subject.0.email,
            customer_id: self.subject.0.customer_id,
            statement,
            purpose: self.purpose,
            captured_at: self.captured_at,
            region: self.region,
            notice: self.notice,
        })
    }
}

/// What the source gets back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatementReceipt, example = json!({
    "receipt": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "recorded_at": "2026-11-22T18:30:01.250Z",
    "event": "SOFT_OPT_IN_BASIS"
}))]
pub struct StatementReceiptBody {
    /// The receipt.
    receipt: String,
    /// When it was recorded.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// What was recorded.
    #[schema(value_type = String, example = "SOFT_OPT_IN_BASIS")]
    event: EventKind,
}

impl From<StatementReceipt> for StatementReceiptBody {
    fn from(receipt: StatementReceipt) -> Self {
        Self {
            receipt: receipt.receipt.to_string(),
            recorded_at: receipt.recorded_at.to_string(),
            event: receipt.event,
        }
    }
}

/// Records what a source reports.
#[utoipa::path(
    post,
    path = "/v1/statements",
    operation_id = "record_statement",
    tag = "sources",
    description = "Records one thing that the client's source knows of a person. What forbids is always taken. What permits is taken only where \
        the policy rests the purpose on it and the person never said no to it: otherwise 409 `legal_basis_fixed`.",
    request_body = StatementBody,
    responses((status = 201, description = "Recorded", body = StatementReceiptBody)),
)]
pub async fn handler(
    by: Allowed<IngestRecords>,
    gateway: web::Data<Gateway>,
    body: Valid<StatementBody>,
) -> Result<HttpResponse, Problem> {
    let source = by.0.actor().client().and_then(|client| client.source.clone());
    let source = source.ok_or_else(|| Problem::of(Code::SourceMismatch))?;
    let receipt = gateway.record_statement(&by.0, &source, body.value.into_post()?).await?;
    Ok(HttpResponse::Created().json(StatementReceiptBody::from(receipt)))
}
