//! Receipts under our signature, and evidence: what proves a consent to somebody who does not trust us.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use kernel::attribute::{AttributeType, Value};
use kernel::authz::{Authorized, InspectSubjects};
use kernel::decision::permit_access;
use kernel::disclosure::PersonalCopy;
use kernel::evidence::{
    EVIDENCE_FORMAT, Evidence as EvidenceFile, EvidenceKeys, EvidenceLink, EvidenceState, Opening, ShownNotice,
    SignedReceipt,
};
use kernel::id::ReceiptId;
use kernel::ledger::LedgerEntry;
use kernel::receipt::selective::SelectiveClaims;
use serde_json::{Map, Value as Json, json};
use store::ledger::CheckpointRow;

use super::{ReceiptDocument, ReceiptFormat, Telling, record};
use crate::error::{AppError, Code};
use crate::gateway::Gateway;
use crate::subject::History;

/// The most entries of a person that one file of evidence shows.
const MOST_LINKS: usize = 64;

/// Who reads: how much of the ledger is opened.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// Whoever made the post: nothing, for an entry holds the reference that all entries of the person share.
    Bearer,
    /// An officer: the entry of the post, and those of these receipts, which came before or after it.
    Officer(Vec<ReceiptId>),
}

impl Gateway {
    /// That something was recorded under a receipt, not what, for officers: of persons who were erased, and of others.
    ///
    /// # Errors
    /// [`Code::ReceiptNotFound`] when the ledger has no such receipt (yet).
    pub async fn closed_evidence(
        &self,
        _by: &Authorized<InspectSubjects>,
        receipt: ReceiptId,
    ) -> Result<ReceiptDocument, AppError> {
        let not_found = || AppError::NotFound(Code::ReceiptNotFound);
        let index = self.inner.store.find_receipt(receipt).await?.ok_or_else(not_found)?;
        let checkpoint = self.inner.store.latest_checkpoint().await?.ok_or_else(not_found)?;
        let file = EvidenceFile {
            format: EVIDENCE_FORMAT.to_owned(),
            state: EvidenceState::Closed,
            receipt,
            generated_at: self.now(),
            document: None,
            signed: None,
            notices: Vec::new(),
            chain: vec![self.link(index, &checkpoint, false).await?],
            keys: self.evidence_keys(&checkpoint.note),
            checkpoint: checkpoint.note,
        };
        file_of(&file)
    }

    /// A receipt in one of its signed forms.
    pub(super) async fn signed(
        &self,
        telling: &Telling,
        receipt: ReceiptId,
        reader: Reader,
        format: ReceiptFormat,
    ) -> Result<ReceiptDocument, AppError> {
        let document = record::receipt(telling);
        match format {
            ReceiptFormat::SdJwt => {
                let token = self.sign_selective(telling, &document, Some(receipt), None)?;
                Ok(text_of(format, format!("consent-receipt-{receipt}"), token))
            }
            ReceiptFormat::Evidence => self.evidence(telling, document, receipt, reader).await,
            _ => {
                let token = self.sign_whole(telling, &document, receipt, None)?;
                Ok(text_of(ReceiptFormat::Jws, format!("consent-receipt-{receipt}"), token))
            }
        }
    }

    /// All records of a person who proved the mailbox, signed: whole, or in parts, with the address among them.
    pub(super) async fn signed_records(
        &self,
        history: &History,
        telling: &Telling,
        format: ReceiptFormat,
    ) -> Result<ReceiptDocument, AppError> {
        let document = record::records(telling);
        let token = match format {
            ReceiptFormat::SdJwt => {
                let email = self.address_of(history)?;
                self.sign_selective(telling, &document, None, email)?
            }
            _ => {
                let claims = json!({
                    "iss": telling.issuer, "iat": self.now().as_seconds(), "sub": telling.person, "receipt": document,
                });
                self.signers().receipt.sign(&claims).map_err(|_| unsigned())?
            }
        };
        Ok(text_of(format, "consent-record".to_owned(), token))
    }

    fn sign_whole(
        &self,
        telling: &Telling,
        document: &Json,
        receipt: ReceiptId,
        link: Option<&EvidenceLink>,
    ) -> Result<String, AppError> {
        let mut claims = json!({
            "iss": telling.issuer,
            "iat": self.now().as_seconds(),
            "jti": receipt,
            "sub": telling.person,
            "receipt": document,
        });
        if let (Some(link), Some(members)) = (link, claims.as_object_mut()) {
            let origin = &self.settings().ledger_origin;
            let place = json!({ "origin": origin, "index": link.index, "published": link.published });
            members.insert("ledger".to_owned(), place);
        }
        self.signers().receipt.sign(&claims).map_err(|_| unsigned())
    }

    fn sign_selective(
        &self,
        telling: &Telling,
        document: &Json,
        receipt: Option<ReceiptId>,
        email: Option<String>,
    ) -> Result<String, AppError> {
        let mut open = Map::new();
        open.insert("iss".to_owned(), telling.issuer.clone().into());
        open.insert("iat".to_owned(), self.now().as_seconds().into());
        if let Some(receipt) = receipt {
            open.insert("jti".to_owned(), receipt.to_string().into());
        }
        let mut members = vec![("sub".to_owned(), Json::from(telling.person.clone()))];
        for (name, member) in [("created", "dct:created"), ("conforms_to", "dct:conformsTo")] {
            if let Some(value) = document.get(member) {
                members.push((name.to_owned(), value.clone()));
            }
        }
        members.extend(email.map(|email| ("email".to_owned(), email.into())));
        let records = document.get("dpv:hasRecordOfActivity").or_else(|| document.get("@graph"));
        let records = records.and_then(Json::as_array).cloned().unwrap_or_default();
        let claims = SelectiveClaims { open, members, lists: vec![("records".to_owned(), records)] };
        self.signers().receipt.sign_selective(claims, &*self.inner.entropy).map_err(|_| unsigned())
    }

    /// The address in a person's own copy.
    fn address_of(&self, history: &History) -> Result<Option<String>, AppError> {
        let tampered = |_| AppError::from(store::StoreError::Tampered);
        let row = &history.row;
        let key = self.inner.keyring.unwrap_key(row.id, &row.wrapped_key).map_err(tampered)?;
        let standing = key.open_standing(&row.standing).map_err(tampered)?;
        let copy =
            PersonalCopy::open(permit_access(&standing, self.now()), &key, &row.sealed()).map_err(tampered)?;
        let policy = self.policy();
        let address = copy.attributes().iter().find_map(|attribute| {
            let rule = attribute.name.parse().ok().and_then(|name| policy.attribute(&name))?;
            let is_address = rule.stored == Some(AttributeType::Email);
            match &attribute.value {
                Value::Text(text) if is_address => Some(text.clone()),
                _ => None,
            }
        });
        Ok(address)
    }

    async fn evidence(
        &self,
        telling: &Telling,
        document: Json,
        receipt: ReceiptId,
        reader: Reader,
    ) -> Result<ReceiptDocument, AppError> {
        // A moment after the post the ledger has no checkpoint over it yet.
        let pending = || AppError::Conflict(Code::EvidencePending);
        let store = &self.inner.store;
        let index = store.find_receipt(receipt).await?.ok_or_else(pending)?;
        let checkpoint = store.latest_checkpoint().await?.ok_or_else(pending)?;
        let mut indices = Vec::new();
        let opens = match reader {
            Reader::Bearer => false,
            Reader::Officer(others) => {
                for other in others.into_iter().filter(|other| *other != receipt).take(MOST_LINKS) {
                    indices.extend(store.find_receipt(other).await?);
                }
                true
            }
        };
        indices.sort_unstable();
        let mut chain = vec![self.link(index, &checkpoint, opens).await?];
        for index in indices {
            chain.push(self.link(index, &checkpoint, opens).await?);
        }
        let signed = SignedReceipt {
            jws: self.sign_whole(telling, &document, receipt, chain.first())?,
            sd_jwt: self.sign_selective(telling, &document, Some(receipt), None)?,
        };
        let file = EvidenceFile {
            format: EVIDENCE_FORMAT.to_owned(),
            state: EvidenceState::Open,
            receipt,
            generated_at: self.now(),
            notices: self.texts_of(telling, &document).await?,
            document: Some(document),
            signed: Some(signed),
            chain,
            keys: self.evidence_keys(&checkpoint.note),
            checkpoint: checkpoint.note,
        };
        file_of(&file)
    }

    /// The texts of the notices that a receipt names.
    async fn texts_of(&self, telling: &Telling, document: &Json) -> Result<Vec<ShownNotice>, AppError> {
        let records = document["dpv:hasRecordOfActivity"].as_array().into_iter().flatten();
        let named = records.flat_map(|record| record["dpv:hasNotice"].as_array().into_iter().flatten());
        let mut notices: Vec<ShownNotice> = Vec::new();
        for name in named.filter_map(|notice| notice["dct:identifier"].as_str()) {
            let Ok(digest) = name.parse() else { continue };
            if notices.iter().any(|known| known.digest == digest) {
                continue;
            }
            let stored = match telling.notices.get(&digest) {
                Some(notice) => Some(notice.clone()),
                None => self.inner.store.notice(&digest).await?,
            };
            let stored = stored.ok_or_else(|| AppError::internal("a notice of a receipt is not stored"))?;
            notices.push(ShownNotice {
                digest,
                id: stored.id.to_string(),
                version: stored.version,
                locale: stored.locale,
                text: stored.text,
            });
        }
        Ok(notices)
    }

    /// An entry of the ledger with its proof.
    async fn link(&self, index: u64, checkpoint: &CheckpointRow, opens: bool) -> Result<EvidenceLink, AppError> {
        let broken = || AppError::internal("an entry of the ledger is not where it was found");
        let proof = self.ledger_inclusion(index, Some(checkpoint.size)).await?.ok_or_else(broken)?;
        let batch = self.inner.store.ledger_batch_of(index).await?.ok_or_else(broken)?;
        let place = usize::try_from(index.saturating_sub(batch.checkpoint.first)).unwrap_or(usize::MAX);
        let published = batch.published.get(place).ok_or_else(broken)?;
        let opening = if opens {
            let entry = self.inner.store.ledger_entries(index, 1).await?.pop().ok_or_else(broken)?;
            let reads = LedgerEntry::from_bytes(&entry).ok().and_then(|entry| serde_json::to_value(entry).ok());
            Some(Opening {
                entry: BASE64_STANDARD.encode(&entry),
                key: BASE64_STANDARD.encode(batch.secret.key(index).as_bytes()),
                reads: reads.ok_or_else(broken)?,
            })
        } else {
            None
        };
        Ok(EvidenceLink {
            index,
            published: BASE64_STANDARD.encode(published.as_bytes()),
            proof: proof.to_text(),
            opening,
        })
    }

    fn evidence_keys(&self, checkpoint: &str) -> EvidenceKeys {
        EvidenceKeys { ledger_vkey: self.vkey_of(checkpoint), jwks: self.signers().receipt.verifier().jwks() }
    }
}

fn unsigned() -> AppError {
    AppError::internal("the receipt could not be signed")
}

fn text_of(format: ReceiptFormat, name: String, token: String) -> ReceiptDocument {
    ReceiptDocument { format, name, document: Json::from(token) }
}

fn file_of(file: &EvidenceFile) -> Result<ReceiptDocument, AppError> {
    let document = serde_json::to_value(file).map_err(|_| AppError::internal("the evidence has no text"))?;
    Ok(ReceiptDocument {
        format: ReceiptFormat::Evidence,
        name: format!("consent-evidence-{}", file.receipt),
        document,
    })
}
