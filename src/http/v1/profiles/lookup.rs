//! `POST /v1/profiles/lookup`: a few named persons, decided and recorded before anything of them is written.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Fault, Gateway, LookupKeys, MAX_LOOKUP, ProfileAsk, ReadyAsk};
use bytes::{BufMut as _, Bytes, BytesMut};
use kernel::attribute::AttributeName;
use kernel::disclosure::PermittedBatch;
use kernel::ledger::RefusedAttempt;
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::encode::{write_cell, write_text};
use crate::http::authenticate::Reader;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// Whom to look up, and for what.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Lookup, example = json!({
    "purpose": "profiling_segmentation",
    "attributes": ["age_band", "stage"],
    "pseudonyms": ["p1-00112233445566778899aabbccddeeff"]
}))]
pub struct LookupBody {
    /// What for.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    purpose: String,
    /// Which attributes; all of the contract that the purpose allows, if absent.
    #[serde(default)]
    #[validate(length(max = 64, code = "too_many"))]
    #[schema(max_items = 64, required = false)]
    attributes: Vec<String>,
    /// By the recipient's own pseudonyms; or `identifiers`.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 500)]
    pseudonyms: Option<Bounded<String, 1, MAX_LOOKUP>>,
    /// By identifier, each of exactly one kind: for senders only.
    #[validate(nested)]
    #[schema(value_type = Option<Vec<Subject>>, min_items = 1, max_items = 500)]
    identifiers: Option<Bounded<Object<Subject>, 1, MAX_LOOKUP>>,
}

/// What may be known of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LookupResult)]
pub(crate) struct LookupResultBody {
    /// The disclosure, as the ledger knows it. Look-ups of one recipient that are answered together share it.
    pull: String,
    /// What for.
    purpose: String,
    /// The policy that decided.
    policy: String,
    /// Permitted persons only. Who is unknown, erased or refused is not there, all alike.
    profiles: Vec<ProfileBody>,
}

/// What may be known of one person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profile)]
pub(crate) struct ProfileBody {
    /// The place in the list that was asked for, from 0.
    index: u32,
    /// The recipient's name for the person.
    pseudonym: String,
    /// The values; null where there is none or it may not be served.
    attributes: std::collections::BTreeMap<String, serde_json::Value>,
}

/// Looks persons up.
#[utoipa::path(
    post,
    path = "/v1/profiles/lookup",
    operation_id = "lookup_profiles",
    tag = "recipients",
    description = "Looks up to 500 persons up for a purpose of the token. Consent is evaluated now; the disclosure is recorded before the answer is written.",
    request_body = LookupBody,
    responses((status = 200, description = "The permitted persons", body = LookupResultBody)),
)]
pub async fn handler(
    reader: Reader,
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    body: Result<Valid<LookupBody>, Problem>,
) -> Result<HttpResponse, Problem> {
    if let (Reader::Remembered(reader), Ok(body)) = (&reader, &body)
        && let (Ok(keys), Ok(ask)) = (body.value.keys(), body.value.ask())
        && let Some((ready, batch)) = gateway.lookup_remembered(reader, ask, &keys).await?
    {
        return Ok(present(&ready, &batch));
    }
    // Before anything is said about the body.
    let by = reader.proven(&gateway, &request).await?;
    let body = body?.value;
    let keys = body.keys()?;
    let ready = gateway.ask(&by, body.ask()?, RefusedAttempt::LookUpProfiles).await?;
    let batch = gateway.lookup(&by, &ready, keys).await?;
    Ok(present(&ready, &batch))
}

fn present(ready: &ReadyAsk, batch: &PermittedBatch) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(write(ready, batch))
}

/// What a recipient asks for, by names that may be none.
pub(super) fn ask<'a>(purpose: &str, attributes: impl Iterator<Item = &'a str>) -> Result<ProfileAsk, Problem> {
    let purpose: Purpose = purpose.parse().map_err(|_| Problem::fault("/purpose", Code::UnknownPurpose))?;
    let mut faults = Vec::new();
    let attributes = attributes
        .enumerate()
        .filter_map(|(at, name)| {
            let unknown = |_| faults.push(Fault::at(format!("/attributes/{at}"), Code::UnknownAttribute));
            name.parse::<AttributeName>().map_err(unknown).ok()
        })
        .collect();
    if faults.is_empty() { Ok(ProfileAsk { purpose, attributes }) } else { Err(Problem::invalid(faults)) }
}

impl LookupBody {
    fn ask(&self) -> Result<ProfileAsk, Problem> {
        ask(&self.purpose, self.attributes.iter().map(String::as_str))
    }

    fn keys(&self) -> Result<LookupKeys, Problem> {
        match (&self.pseudonyms, &self.identifiers) {
            (Some(pseudonyms), None) => {
                let read = |(at, text): (usize, &String)| {
                    text.parse::<Pseudonym>()
                        .map_err(|_| Problem::fault(format!("/pseudonyms/{at}"), Code::InvalidField))
                };
                pseudonyms
                    .as_slice()
                    .iter()
                    .enumerate()
                    .map(read)
                    .collect::<Result<_, _>>()
                    .map(LookupKeys::Pseudonyms)
            }
            (None, Some(subjects)) => {
                let read = |(at, Object(subject)): (usize, &Object<Subject>)| {
                    subject.identifier(&format!("/identifiers/{at}"))
                };
                subjects
                    .as_slice()
                    .iter()
                    .enumerate()
                    .map(read)
                    .collect::<Result<_, _>>()
                    .map(LookupKeys::Identifiers)
            }
            (None, None) => Err(Problem::fault("/pseudonyms", Code::MissingField)),
            (Some(_), Some(_)) => {
                let detail = "name persons by `pseudonyms` or by `identifiers`, not by both";
                Err(Problem::invalid(vec![Fault::saying("/identifiers", Code::InvalidField, detail)]))
            }
        }
    }
}

fn write(ready: &ReadyAsk, batch: &PermittedBatch) -> Bytes {
    let mut out = BytesMut::with_capacity(256 + batch.len() * 256);
    for (name, value) in [
        ("{\"pull\":", batch.pull().to_string()),
        (",\"purpose\":", ready.purpose().to_string()),
        (",\"policy\":", batch.policy().to_string()),
    ] {
        out.put_slice(name.as_bytes());
        write_text(&value, &mut out);
    }
    out.put_slice(b",\"profiles\":[");
    for (at, row) in batch.rows().enumerate() {
        let (index, pseudonym) =
            (row.position().unwrap_or_default(), row.pseudonym().map(|name| name.to_string()));
        let comma = if at > 0 { "," } else { "" };
        out.put_slice(format!("{comma}{{\"index\":{index},\"pseudonym\":").as_bytes());
        write_text(&pseudonym.unwrap_or_default(), &mut out);
        out.put_slice(b",\"attributes\":{");
        for (at, (name, cell)) in row.cells().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            write_text(name.as_str(), &mut out);
            out.put_u8(b':');
            write_cell(cell, &mut out);
        }
        out.put_slice(b"}}");
    }
    out.put_slice(b"]}");
    out.freeze()
}
