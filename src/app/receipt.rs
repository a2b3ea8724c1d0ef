//! Consent records and receipts in the two shapes that others read: ISO/IEC TS 27560 as JSON-LD through the W3C Data Privacy
//! Vocabulary, and the Kantara Consent Receipt 1.1.
//!
//! A receipt is of one post: it shows what that post said and what its maker was told, and nothing that happened before or
//! after, for a post proves nobody's identity. The records of a person's whole history are for officers, for the person's
//! own copy, and for whoever holds the link of a mail. Nothing of it holds an address.

mod kantara;
mod portrait;
mod record;
mod signed;

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::authz::{Authorized, InspectSubjects, ReadReceipts};
use kernel::consent::{ConsentEvent, EventKind, Evidence, Standing, takes_back};
use kernel::decision::expiry::expiries;
use kernel::id::{ReceiptId, SubjectId};
use kernel::ledger::Inspection;
use kernel::notice::NoticeDigest;
use kernel::policy::{PurposeRule, ValidPolicy};
use kernel::regime::Regime;
use kernel::time::Timestamp;
use serde_json::Value as Json;
use store::StoreError;
use store::query::StoredNotice;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::subject::History;
use signed::Reader;

/// A shape of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptFormat {
    /// ISO/IEC TS 27560 through DPV 2.3, JSON-LD.
    Dpv,
    /// Kantara Consent Receipt 1.1, JSON.
    Kantara,
    /// The former, signed (RFC 7515).
    Jws,
    /// The former, signed, in parts that can be left out (RFC 9901).
    SdJwt,
    /// Everything that proves it, to be checked offline.
    Evidence,
}

/// A document to keep. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct ReceiptDocument {
    /// Its shape.
    pub format: ReceiptFormat,
    /// What it is called when it is kept: without a personal value.
    pub name: String,
    /// The document; of the signed forms the token, a text.
    pub document: Json,
}

impl std::fmt::Debug for ReceiptDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiptDocument").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What a document tells of: a person or a post, under the policy of its time.
pub(crate) struct Telling {
    issuer: String,
    /// What the document calls the person.
    person: String,
    /// What the document itself is called: one name or several.
    names: Vec<String>,
    subject: SubjectId,
    /// The events with the ends of what ran out, in order of receipt.
    events: Vec<ConsentEvent>,
    evidence: BTreeMap<u32, Evidence>,
    regimes: Vec<Regime>,
    notices: BTreeMap<NoticeDigest, StoredNotice>,
    policy: Arc<ValidPolicy>,
    /// Whether the events are the person's whole history.
    whole: bool,
    at: Timestamp,
}

impl Telling {
    /// The purposes that the events concern, each with what is known of its consent.
    fn purposes(&self) -> impl Iterator<Item = &PurposeRule> {
        self.policy.purposes().map(|rule| &**rule).filter(|rule| self.concerns(rule))
    }

    fn concerns(&self, rule: &PurposeRule) -> bool {
        let by_name = self.events.iter().any(|event| event.purpose.as_ref() == Some(&rule.id));
        // What concerns the person as a whole concerns the purposes that it stops.
        let stopped = |event: &ConsentEvent| event.purpose.is_none() && takes_back(event.kind, rule);
        by_name || !self.whole && rests_on_consent(rule) && self.events.iter().any(stopped)
    }

    /// The latest grant of a purpose in these events.
    fn grant_of(&self, rule: &PurposeRule) -> Option<&ConsentEvent> {
        self.events.iter().rev().find(|event| {
            event.purpose.as_ref() == Some(&rule.id)
                && matches!(event.kind, EventKind::GrantConfirmed | EventKind::GrantRequested)
        })
    }
}

/// Whether a purpose may rest on consent at all.
fn rests_on_consent(rule: &PurposeRule) -> bool {
    use kernel::policy::Mode;
    rule.modes.values().any(|mode| !matches!(mode, Mode::Allowed | Mode::Forbidden))
}

/// An identifier in the form of a random UUID (RFC 9562 §5.4). Ours are random; six bits are set as the form asks.
fn uuid(bytes: &[u8; 16]) -> String {
    let mut bytes = *bytes;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let hex = kernel::id::hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

impl Gateway {
    /// The receipt of a post, for its bearer; or with the token of a mail's link all consent records of the person.
    ///
    /// # Errors
    /// [`Code::ReceiptNotFound`] for a token that is not one of ours and for a person who is gone: the same for both.
    /// [`Code::NothingConsented`] where the shape is for consents and none was given.
    pub async fn receipt_of_bearer(
        &self,
        _by: &Authorized<ReadReceipts>,
        token: &str,
        format: ReceiptFormat,
    ) -> Result<ReceiptDocument, AppError> {
        let not_found = || AppError::NotFound(Code::ReceiptNotFound);
        if let Ok((subject, receipt, regime)) = self.inner.keyring.open_receipt_token(token) {
            let history = self.history(subject).await?.ok_or_else(not_found)?;
            let regimes = vec![regime.unwrap_or(Regime::Unknown)];
            return self.receipt(history, receipt, regimes, format, Reader::Bearer).await;
        }
        let subject = self.inner.keyring.open_preference_token(token, self.now()).map_err(|_| not_found())?;
        let history = self.history(subject).await?.ok_or_else(not_found)?;
        match format {
            ReceiptFormat::Jws | ReceiptFormat::SdJwt => {
                let telling = self.telling_of_all(&history).await?;
                self.signed_records(&history, &telling, format).await
            }
            ReceiptFormat::Evidence => Err(AppError::invalid(Fault::at("/format", Code::InvalidField))),
            ReceiptFormat::Dpv | ReceiptFormat::Kantara => Ok(self.records(&history).await?),
        }
    }

    /// The receipt of a post, for officers.
    ///
    /// # Errors
    /// [`Code::SubjectNotFound`], [`Code::ReceiptNotFound`]; [`Code::NothingConsented`] as for the bearer.
    pub async fn subject_receipt(
        &self,
        by: &Authorized<InspectSubjects>,
        subject: SubjectId,
        receipt: ReceiptId,
        format: ReceiptFormat,
    ) -> Result<ReceiptDocument, AppError> {
        let history = self.history_or_not_found(subject).await?;
        let row = history.row.clone();
        let regimes = Standing::fold(subject, &history.events()).regimes().to_vec();
        let reader =
            Reader::Officer(if format == ReceiptFormat::Evidence { history.around(receipt) } else { Vec::new() });
        let document = self.receipt(history, receipt, regimes, format, reader).await?;
        let what = if format == ReceiptFormat::Evidence { Inspection::Evidence } else { Inspection::Receipt };
        self.note_inspection(by, &row, what).await?;
        Ok(document)
    }

    /// All consent records of a person, for officers.
    ///
    /// # Errors
    /// [`Code::SubjectNotFound`] for who is unknown or erased.
    pub async fn subject_records(
        &self,
        by: &Authorized<InspectSubjects>,
        subject: SubjectId,
    ) -> Result<ReceiptDocument, AppError> {
        let history = self.history_or_not_found(subject).await?;
        let document = self.records(&history).await?;
        self.note_inspection(by, &history.row, Inspection::Records).await?;
        Ok(document)
    }

    async fn receipt(
        &self,
        history: History,
        receipt: ReceiptId,
        regimes: Vec<Regime>,
        format: ReceiptFormat,
        reader: Reader,
    ) -> Result<ReceiptDocument, AppError> {
        let subject = history.row.id;
        let history = history.under(receipt);
        let received = history.entries.iter().map(|(_, event, _)| event.received_at).max();
        let received = received.ok_or(AppError::NotFound(Code::ReceiptNotFound))?;
        let person = uuid(&self.inner.keyring.receipt_pseudonym(subject, receipt, received));
        let names = vec![format!("urn:uuid:{}", uuid(receipt.as_bytes())), receipt.to_string()];
        let policy = self.policy_of_then(received).await?;
        let telling =
            self.telling(&history, (policy, received), format!("urn:uuid:{person}"), names, false).await?;
        let telling = Telling { regimes, ..telling };
        let document = match format {
            ReceiptFormat::Dpv => record::receipt(&telling),
            ReceiptFormat::Kantara => {
                kantara::receipt(&telling).ok_or(AppError::Conflict(Code::NothingConsented))?
            }
            ReceiptFormat::Jws | ReceiptFormat::SdJwt | ReceiptFormat::Evidence => {
                return self.signed(&telling, receipt, reader, format).await;
            }
        };
        Ok(ReceiptDocument { format, name: format!("consent-receipt-{receipt}"), document })
    }

    /// All consent records of a person.
    pub(crate) async fn records(&self, history: &History) -> Result<ReceiptDocument, StoreError> {
        let document = record::records(&self.telling_of_all(history).await?);
        Ok(ReceiptDocument { format: ReceiptFormat::Dpv, name: "consent-record".to_owned(), document })
    }

    async fn telling_of_all(&self, history: &History) -> Result<Telling, StoreError> {
        let subject = history.row.id;
        let names = vec![format!("urn:uuid:{}", uuid(subject.as_bytes()))];
        let person = format!("urn:uuid:{}", uuid(subject.as_bytes()));
        self.telling(history, (self.policy(), self.now()), person, names, true).await
    }

    async fn telling(
        &self,
        history: &History,
        (policy, at): (Arc<ValidPolicy>, Timestamp),
        person: String,
        names: Vec<String>,
        whole: bool,
    ) -> Result<Telling, StoreError> {
        let subject = history.row.id;
        let mut events = history.events();
        if whole {
            events.extend(expiries(&policy, subject, &events, at));
        }
        events.sort_by_key(|event| (event.received_at, event.kind == EventKind::Expired, event.sequence));
        let mut notices = BTreeMap::new();
        for digest in history.entries.iter().filter_map(|(_, event, _)| event.notice()) {
            if let Some(notice) = self.inner.store.notice(&digest).await? {
                notices.insert(digest, notice);
            }
        }
        let evidence = history
            .entries
            .iter()
            .filter_map(|(_, event, evidence)| evidence.clone().map(|evidence| (event.sequence, evidence)))
            .collect();
        let regimes = Standing::fold(subject, &events).regimes().to_vec();
        let issuer = self.settings().issuer.clone();
        Ok(Telling { issuer, person, names, subject, events, evidence, regimes, notices, policy, whole, at })
    }

    /// The policy that was in force at a time; the one now in force where the other cannot be had any more.
    async fn policy_of_then(&self, at: Timestamp) -> Result<Arc<ValidPolicy>, AppError> {
        match self.policy_at(at).await {
            Ok(policy) => Ok(policy.unwrap_or_else(|| self.policy())),
            Err(AppError::Conflict(Code::PolicyNotReproducible)) => Ok(self.policy()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn an_identifier_has_the_form_of_a_random_uuid() {
        assert_eq!(uuid(&[0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(&[0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
