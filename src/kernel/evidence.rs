//! Evidence: everything that proves one consent, in one file that is checked without asking anybody.
//!
//! A file is `open` when it says what was recorded, and `closed` when it shows only that something was: for a person who
//! was erased, or for a reader who may not know what else is under the person's reference. What is opened fits what is
//! published, what is published is in the ledger, and the ledger's checkpoint is signed.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

use crate::id::ReceiptId;
use crate::ledger::note::NoteVerifier;
use crate::ledger::proof::InclusionProof;
use crate::ledger::{Checkpoint, EntryKey, LedgerEntry, LedgerEvent, PublishedEntry};
use crate::notice::NoticeDigest;
use crate::receipt::ReceiptVerifier;
use crate::time::Timestamp;

/// The form of the file.
pub const EVIDENCE_FORMAT: &str = "consentry-evidence/1";

/// How much a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceState {
    /// What was recorded.
    Open,
    /// That something was recorded, not what.
    Closed,
}

/// Everything that proves one consent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`EVIDENCE_FORMAT`].
    pub format: String,
    /// How much it says.
    pub state: EvidenceState,
    /// The receipt of the post that it is about.
    pub receipt: ReceiptId,
    /// When the file was made.
    pub generated_at: Timestamp,
    /// The receipt, as JSON-LD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Json>,
    /// The receipt, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedReceipt>,
    /// The texts that were shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<ShownNotice>,
    /// The entries of the ledger, the consent's own first.
    pub chain: Vec<EvidenceLink>,
    /// The checkpoint that covers them.
    pub checkpoint: String,
    /// What checks the signatures.
    pub keys: EvidenceKeys,
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A receipt in its two signed forms.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// Whole (RFC 7515).
    pub jws: String,
    /// In parts that can be left out (RFC 9901).
    pub sd_jwt: String,
}

impl std::fmt::Debug for SignedReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedReceipt(..)")
    }
}

/// A text that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownNotice {
    /// The digest of text and language.
    pub digest: NoticeDigest,
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u16,
    /// Its language.
    pub locale: String,
    /// The text.
    pub text: String,
}

/// An entry of the ledger.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLink {
    /// Its index.
    pub index: u64,
    /// What is published of it, in base64.
    pub published: String,
    /// The proof that it is in the ledger (c2sp.org/tlog-proof).
    pub proof: String,
    /// What it says, where the reader may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
}

impl std::fmt::Debug for EvidenceLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceLink").field("index", &self.index).finish_non_exhaustive()
    }
}

/// What a published entry hides.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The entry, in base64.
    pub entry: String,
    /// Its key, in base64.
    pub key: String,
    /// The entry, readable.
    pub reads: Json,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(..)")
    }
}

/// The public keys of a file. They prove what somebody who has them from elsewhere finds the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceKeys {
    /// The ledger's.
    pub ledger_vkey: String,
    /// The receipts' (RFC 7517).
    pub jwks: Json,
}

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvidenceFault {
    /// Not a file of evidence.
    #[error("this is no file of evidence")]
    Malformed,
    /// A key in the file is none, or not the one that was expected.
    #[error("the file's keys are not those that were expected")]
    Keys,
    /// The checkpoint does not open.
    #[error("the checkpoint is not signed by the ledger's key")]
    Checkpoint,
    /// The text of a notice is not the one that was shown.
    #[error("the text of the notice {0} is not the one that its digest names")]
    Notice(NoticeDigest),
    /// The receipt names a notice whose text is not in the file.
    #[error("the receipt names a notice whose text is not here")]
    NoticeMissing,
    /// An entry is not in the ledger.
    #[error("entry {0} is not under the checkpoint")]
    Inclusion(u64),
    /// What an entry is said to be is not what was published of it.
    #[error("entry {0} does not say what was published of it")]
    Opening(u64),
    /// No entry is about this receipt.
    #[error("none of the entries is about this receipt")]
    Unrelated,
    /// A signed receipt does not hold, or says something else.
    #[error("the signed receipt does not hold, or says something else than the file")]
    Receipt,
}

/// What a file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceReport {
    /// How much it says.
    pub state: EvidenceState,
    /// The entries, by index.
    pub entries: Vec<u64>,
    /// The size of the ledger that they are in.
    pub size: u64,
    /// When the consent's own entry says that it was recorded, if it is opened.
    pub recorded_at: Option<Timestamp>,
}

impl Evidence {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, EvidenceFault> {
        let evidence: Self = serde_json::from_str(text).map_err(|_| EvidenceFault::Malformed)?;
        let is_whole = evidence.format == EVIDENCE_FORMAT && !evidence.chain.is_empty();
        if is_whole { Ok(evidence) } else { Err(EvidenceFault::Malformed) }
    }

    /// Checks everything in the file, against a ledger key from elsewhere if there is one.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, trusted: Option<&NoteVerifier>) -> Result<EvidenceReport, EvidenceFault> {
        let verifier = NoteVerifier::from_vkey(&self.keys.ledger_vkey).map_err(|_| EvidenceFault::Keys)?;
        if trusted.is_some_and(|trusted| *trusted != verifier) {
            return Err(EvidenceFault::Keys);
        }
        let known = [verifier];
        let [verifier] = &known;
        let checkpoint =
            Checkpoint::open(&self.checkpoint, verifier.name(), &known).map_err(|_| EvidenceFault::Checkpoint)?;
        for notice in &self.notices {
            if NoticeDigest::of(&notice.locale, &notice.text) != notice.digest {
                return Err(EvidenceFault::Notice(notice.digest));
            }
        }
        let mut opened = Vec::new();
        for link in &self.chain {
            opened.extend(self.check_link(link, &checkpoint, &known)?);
        }
        let about = opened.iter().find(|entry| self.is_about(entry));
        if self.state == EvidenceState::Open && !opened.is_empty() && about.is_none() {
            return Err(EvidenceFault::Unrelated);
        }
        self.check_receipt(verifier.name())?;
        Ok(EvidenceReport {
            state: self.state,
            entries: self.chain.iter().map(|link| link.index).collect(),
            size: checkpoint.size(),
            recorded_at: about.map(|entry| entry.at),
        })
    }

    fn check_link(
        &self,
        link: &EvidenceLink,
        checkpoint: &Checkpoint,
        known: &[NoteVerifier],
    ) -> Result<Option<LedgerEntry>, EvidenceFault> {
        let outside = || EvidenceFault::Inclusion(link.index);
        let published = BASE64_STANDARD.decode(&link.published).ok();
        let published = published.and_then(|bytes| PublishedEntry::from_slice(&bytes)).ok_or_else(outside)?;
        let proof = InclusionProof::parse(&link.proof).map_err(|_| outside())?;
        let proven = proof.verify(&published, checkpoint.origin(), known).map_err(|_| outside())?;
        if proven != *checkpoint || proof.index != link.index {
            return Err(outside());
        }
        let Some(opening) = &link.opening else { return Ok(None) };
        let fault = || EvidenceFault::Opening(link.index);
        let bytes = BASE64_STANDARD.decode(&opening.entry).map_err(|_| fault())?;
        let key: Option<[u8; 32]> = BASE64_STANDARD.decode(&opening.key).ok().and_then(|key| key.try_into().ok());
        let key = EntryKey::from_bytes(key.ok_or_else(fault)?);
        let entry = LedgerEntry::from_bytes(&bytes).map_err(|_| fault())?;
        let reads = serde_json::to_value(&entry).map_err(|_| fault())?;
        let holds = key.publish(&bytes) == published && reads == opening.reads;
        if holds { Ok(Some(entry)) } else { Err(fault()) }
    }

    fn is_about(&self, entry: &LedgerEntry) -> bool {
        matches!(&entry.event, LedgerEvent::ConsentCaptured { receipt, .. } if *receipt == self.receipt)
    }

    fn check_receipt(&self, origin: &str) -> Result<(), EvidenceFault> {
        let (Some(document), Some(signed)) = (&self.document, &self.signed) else {
            let is_closed = self.document.is_none() && self.signed.is_none() && self.notices.is_empty();
            return if is_closed && self.state == EvidenceState::Closed {
                Ok(())
            } else {
                Err(EvidenceFault::Receipt)
            };
        };
        let keys = ReceiptVerifier::from_jwks(&self.keys.jwks).map_err(|_| EvidenceFault::Keys)?;
        let claims = keys.verify(&signed.jws).map_err(|_| EvidenceFault::Receipt)?;
        keys.verify_selective(&signed.sd_jwt).map_err(|_| EvidenceFault::Receipt)?;
        // The signature ties the receipt to its entry, also where the entry stays closed.
        let first = self.chain.first().ok_or(EvidenceFault::Malformed)?;
        let holds = claims["receipt"] == *document
            && claims["jti"] == self.receipt.to_string()
            && claims["ledger"]["origin"] == origin
            && claims["ledger"]["index"] == first.index
            && claims["ledger"]["published"] == first.published;
        if !holds {
            return Err(EvidenceFault::Receipt);
        }
        let texts: Vec<String> = self.notices.iter().map(|notice| notice.digest.to_string()).collect();
        let records = document["dpv:hasRecordOfActivity"].as_array().into_iter().flatten();
        let mut named = records.flat_map(|record| record["dpv:hasNotice"].as_array().into_iter().flatten());
        let is_here = |notice: &Json| {
            notice["dct:identifier"].as_str().is_some_and(|name| texts.iter().any(|text| text == name))
        };
        if named.all(is_here) { Ok(()) } else { Err(EvidenceFault::NoticeMissing) }
    }
}
