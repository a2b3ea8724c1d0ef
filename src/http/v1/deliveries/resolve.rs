//! `POST /v1/deliveries/resolve`: the addresses of a campaign at the moment of sending, with the links and limits of each
//! message.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use app::{
    BlockClass, Campaign, CampaignClass, Code, Deliveries, Extras, Fault, Gateway, LookupKeys, MAX_LOOKUP, Slot,
    StatedSender, StopKind,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use kernel::authz::ReadProfiles;
use kernel::campaign::CampaignId;
use kernel::disclosure::PermittedRow;
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::encode::{write_cell, write_text};
use crate::http::authenticate::Allowed;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// The value of `List-Unsubscribe-Post` (RFC 8058 §3.1).
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// A campaign and whom it is for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolve, example = json!({
    "purpose": "email_marketing",
    "campaign": {
        "id": "advent-2026",
        "class": "marketing",
        "first_contact": false,
        "template": {
            "slots": ["sender_name", "postal_address", "stop_address", "unsubscribe_link"],
            "blocks": ["marketing"]
        }
    },
    "pseudonyms": ["p1-00112233445566778899aabbccddeeff"]
}))]
pub struct ResolveBody {
    /// What the message is for.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    purpose: String,
    /// The message.
    #[validate(nested)]
    #[schema(value_type = CampaignBody)]
    campaign: Object<CampaignBody>,
    /// To whom, by the sender's own pseudonyms; or `identifiers`.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 500)]
    pseudonyms: Option<Bounded<String, 1, MAX_LOOKUP>>,
    /// To whom, by identifier, each of exactly one kind.
    #[validate(nested)]
    #[schema(value_type = Option<Vec<Subject>>, min_items = 1, max_items = 500)]
    identifiers: Option<Bounded<Object<Subject>, 1, MAX_LOOKUP>>,
}

/// A message that is sent to many.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Campaign)]
pub struct CampaignBody {
    /// Its name, without personal data: the ledger keeps it.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z][a-z0-9_-]*$")]
    id: CampaignId,
    /// What it is. It must be what the purpose is.
    class: ClassBody,
    /// Whether it is the first message to these persons: then the right to object is shown by itself (GDPR Art. 21(4)).
    #[serde(default)]
    #[schema(required = false)]
    first_contact: bool,
    /// What its unsubscribe link stops: the list (a withdrawal), or all marketing (an objection).
    #[serde(default)]
    #[schema(required = false)]
    unsubscribe: UnsubscribeBody,
    /// What its template shows.
    #[serde(default)]
    #[validate(nested)]
    #[schema(value_type = TemplateBody, required = false)]
    template: Template,
    /// Who it says sends it. The policy names the sender; what is said here must be the same.
    #[validate(nested)]
    #[schema(value_type = Option<SenderBody>)]
    sender: Option<Object<SenderBody>>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CampaignClass)]
pub enum ClassBody {
    /// Direct marketing.
    Marketing,
    /// What a contract or a service needs.
    Transactional,
}

/// What an unsubscribe link stops.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UnsubscribeKind)]
pub enum UnsubscribeBody {
    /// The list.
    #[default]
    List,
    /// All marketing.
    AllMarketing,
}

/// A template that may be left out.
type Template = Object<TemplateBody>;

impl Default for Template {
    fn default() -> Self {
        Self(TemplateBody::default())
    }
}

/// What a template shows.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Template)]
pub struct TemplateBody {
    /// Its places that the law asks for.
    #[serde(default)]
    #[schema(value_type = Vec<SlotBody>, max_items = 16, required = false)]
    slots: Bounded<SlotBody, 0, 16>,
    /// What its blocks are. A transactional message has no marketing block.
    #[serde(default)]
    #[schema(value_type = Vec<BlockBody>, max_items = 200, required = false)]
    blocks: Bounded<BlockBody, 0, 200>,
}

/// A place in a template that the law asks for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Slot)]
pub enum SlotBody {
    /// The sender's legal name.
    SenderName,
    /// The sender's postal address.
    PostalAddress,
    /// The address to ask that it stops.
    StopAddress,
    /// A visible unsubscribe link.
    UnsubscribeLink,
    /// The notice of the right to object, apart from everything else.
    ObjectionNotice,
}

/// What a block of a template is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BlockClass)]
pub enum BlockBody {
    /// Part of the service.
    Service,
    /// Marketing.
    Marketing,
}

/// Who sends.
#[derive(Debug, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sender)]
pub struct SenderBody {
    /// Legal name.
    #[validate(length(max = 300, code = "too_long"))]
    #[schema(max_length = 300)]
    legal_name: Option<String>,
    /// Postal address.
    #[validate(length(max = 300, code = "too_long"))]
    #[schema(max_length = 300)]
    postal_address: Option<String>,
    /// Where to ask that it stops.
    #[validate(length(max = 300, code = "too_long"))]
    #[schema(max_length = 300)]
    stop_address: Option<String>,
}

/// The deliveries that are permitted now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResolveResult)]
pub(crate) struct ResolveResultBody {
    /// The disclosure, as the ledger knows it.
    pull: String,
    /// What for.
    purpose: String,
    /// The policy that decided.
    policy: String,
    /// Who sends: to be shown in every message. Only of marketing.
    #[schema(required = false)]
    sender: Option<SenderBody>,
    /// By language, what a first message shows of the right to object, apart from everything else.
    #[schema(required = false)]
    objection_notice: Option<std::collections::BTreeMap<String, String>>,
    /// Permitted persons only. Who is unknown, erased, refused or suppressed is not there, all alike.
    deliveries: Vec<DeliveryBody>,
}

/// One message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryBody {
    /// The place in the list that was asked for, from 0.
    index: u32,
    /// The sender's name for the person.
    pseudonym: String,
    /// The address and the merge fields; null where there is none.
    attributes: std::collections::BTreeMap<String, serde_json::Value>,
    /// Header fields to set, and to sign with DKIM: `List-Unsubscribe` and `List-Unsubscribe-Post`. Only of marketing.
    headers: std::collections::BTreeMap<String, String>,
    /// The person's preference page.
    preferences_url: String,
    /// What the message may do.
    hints: HintsBody,
}

/// What a message may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hints)]
pub(crate) struct HintsBody {
    /// Carry a pixel that tells who opened it. If not: no pixel with an id.
    open_tracking: bool,
    /// Have links that tell who followed them. If not: the plain addresses.
    link_tracking: bool,
}

/// Resolves the addresses of a campaign.
#[utoipa::path(
    post,
    path = "/v1/deliveries/resolve",
    operation_id = "resolve_deliveries",
    tag = "recipients",
    description = "For senders: the addresses and merge fields of up to 500 persons, of those alone who may be written to at this moment, with their unsubscribe \
        header fields, preference page and tracking limits. Recorded before the answer is written. A marketing campaign must show who sends it and \
        how to stop it, and a first message the right to object; a transactional one carries no marketing.",
    request_body = ResolveBody,
    responses((status = 200, description = "The permitted deliveries", body = ResolveResultBody)),
)]
pub async fn handler(
    by: Allowed<ReadProfiles>,
    gateway: web::Data<Gateway>,
    body: Valid<ResolveBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.value;
    let purpose: Purpose = body.purpose.parse().map_err(|_| Problem::fault("/purpose", Code::UnknownPurpose))?;
    let keys = keys(body.pseudonyms.as_ref(), body.identifiers.as_ref())?;
    let campaign = Campaign::from(body.campaign.0);
    let deliveries = gateway.resolve_deliveries(&by.0, purpose, &campaign, keys).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(write(&deliveries)))
}

fn keys(
    pseudonyms: Option<&Bounded<String, 1, MAX_LOOKUP>>,
    identifiers: Option<&Bounded<Object<Subject>, 1, MAX_LOOKUP>>,
) -> Result<LookupKeys, Problem> {
    match (pseudonyms, identifiers) {
        (Some(names), None) => {
            let read = |(at, text): (usize, &String)| {
                let wrong = |_| Problem::fault(format!("/pseudonyms/{at}"), Code::InvalidField);
                text.parse::<Pseudonym>().map_err(wrong)
            };
            names.as_slice().iter().enumerate().map(read).collect::<Result<_, _>>().map(LookupKeys::Pseudonyms)
        }
        (None, Some(subjects)) => {
            let read = |(at, Object(subject)): (usize, &Object<Subject>)| {
                subject.identifier(&format!("/identifiers/{at}"))
            };
            let read: Result<_, _> = subjects.as_slice().iter().enumerate().map(read).collect();
            read.map(LookupKeys::Identifiers)
        }
        (None, None) => Err(Problem::fault("/pseudonyms", Code::MissingField)),
        (Some(_), Some(_)) => {
            let detail = "name persons by `pseudonyms` or by `identifiers`, not by both";
            Err(Problem::invalid(vec![Fault::saying("/identifiers", Code::InvalidField, detail)]))
        }
    }
}

impl From<CampaignBody> for Campaign {
    fn from(body: CampaignBody) -> Self {
        let slot = |slot| match slot {
            SlotBody::SenderName => Slot::SenderName,
            SlotBody::PostalAddress => Slot::PostalAddress,
            SlotBody::StopAddress => Slot::StopAddress,
            SlotBody::UnsubscribeLink => Slot::UnsubscribeLink,
            SlotBody::ObjectionNotice => Slot::ObjectionNotice,
        };
        let block = |block| match block {
            BlockBody::Service => BlockClass::Service,
            BlockBody::Marketing => BlockClass::Marketing,
        };
        let stated = body.sender.map(|Object(sender)| StatedSender {
            legal_name: sender.legal_name,
            postal_address: sender.postal_address,
            stop_address: sender.stop_address,
        });
        Self {
            id: body.id,
            class: match body.class {
                ClassBody::Marketing => CampaignClass::Marketing,
                ClassBody::Transactional => CampaignClass::Transactional,
            },
            first_contact: body.first_contact,
            stop: match body.unsubscribe {
                UnsubscribeBody::List => StopKind::List,
                UnsubscribeBody::AllMarketing => StopKind::AllMarketing,
            },
            slots: body.template.0.slots.into_iter().map(slot).collect(),
            blocks: body.template.0.blocks.into_iter().map(block).collect(),
            sender: stated.unwrap_or_default(),
        }
    }
}

fn write(deliveries: &Deliveries) -> Bytes {
    let batch = &deliveries.batch;
    let mut out = BytesMut::with_capacity(1024 + batch.len() * 768);
    for (name, value) in [
        ("{\"pull\":", batch.pull().to_string()),
        (",\"purpose\":", batch.purpose().to_string()),
        (",\"policy\":", batch.policy().to_string()),
    ] {
        out.put_slice(name.as_bytes());
        write_text(&value, &mut out);
    }
    if let Some(sender) = &deliveries.sender {
        for (name, value) in [
            (",\"sender\":{\"legal_name\":", &sender.legal_name),
            (",\"postal_address\":", &sender.postal_address),
            (",\"stop_address\":", &sender.stop_address),
        ] {
            out.put_slice(name.as_bytes());
            write_text(value, &mut out);
        }
        out.put_u8(b'}');
    }
    if let Some(notice) = &deliveries.objection_notice {
        // One text for all is in no language that we know of (BCP 47: `und`).
        let notice: serde_json::Map<_, _> = notice
            .texts()
            .into_iter()
            .map(|(locale, text)| (locale.unwrap_or("und").to_owned(), text.into()))
            .collect();
        let notice = serde_json::Value::Object(notice);
        out.put_slice(format!(",\"objection_notice\":{notice}").as_bytes());
    }
    out.put_slice(b",\"deliveries\":[");
    let mut is_first = true;
    for row in batch.rows() {
        let position = row.position().unwrap_or_default();
        let Some(extras) = deliveries.extras(position) else { continue };
        if !std::mem::take(&mut is_first) {
            out.put_u8(b',');
        }
        write_delivery(row, position, extras, &mut out);
    }
    out.put_slice(b"]}");
    out.freeze()
}

fn write_delivery(row: PermittedRow<'_>, position: u32, extras: &Extras, out: &mut BytesMut) {
    let pseudonym = row.pseudonym().map(|name| name.to_string()).unwrap_or_default();
    out.put_slice(format!("{{\"index\":{position},\"pseudonym\":").as_bytes());
    write_text(&pseudonym, out);
    out.put_slice(b",\"attributes\":{");
    for (at, (name, cell)) in row.cells().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        write_text(name.as_str(), out);
        out.put_u8(b':');
        write_cell(cell, out);
    }
    out.put_slice(b"},\"headers\":{");
    if let Some(list_unsubscribe) = &extras.list_unsubscribe {
        out.put_slice(b"\"List-Unsubscribe\":");
        write_text(list_unsubscribe, out);
        out.put_slice(b",\"List-Unsubscribe-Post\":");
        write_text(ONE_CLICK, out);
    }
    out.put_slice(b"},\"preferences_url\":");
    write_text(&extras.preferences_url, out);
    let (opens, links) = (extras.open_tracking, extras.link_tracking);
    out.put_slice(format!(",\"hints\":{{\"open_tracking\":{opens},\"link_tracking\":{links}}}}}").as_bytes());
}
