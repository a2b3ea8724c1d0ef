//! The documents of a policy as they are written: every value keeps its place, so that every fault has a
//! line.
//!
//! Reading is done table by table: a fault in one does not hide the faults of the others. Nothing here says
//! whether a policy makes sense; [`validate`](super::validate) does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::value::Datetime;

use super::Audience;
use crate::attribute::{AttributeName, AttributeType, Measure};
use crate::consent::{Assurance, Basis, Presentation};
use crate::controller::ControllerId;
use crate::form::FormId;
use crate::notice::NoticeId;
use crate::purpose::{ProductFamily, Purpose};
use crate::recipient::{ContractKind, RecipientId, RecipientRole};
use crate::regime::Regime;
use crate::title::Title;

use super::signal::{SignalEffect, SignalRuleId, SignalSource, SignalWord};

/// The most bytes one document may have.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// The most documents a policy may have.
pub const MAX_DOCUMENTS: usize = 1_000;
/// The most tables of one kind a document may have.
pub const MAX_TABLES: usize = 1_000;

/// What is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{file}:{line}:{column}: {message} [{code}]")]
pub struct PolicyFault {
    /// The document, by its path within the policy.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The stable name of the rule that is broken.
    pub code: &'static str,
    /// The reason, for the person who writes the policy.
    pub message: String,
}

/// One document: its path within the policy, with `/` between the parts, and its text.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicySource {
    path: String,
    text: String,
}

impl PolicySource {
    /// Its path within the policy.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicySource({}, {} bytes)", self.path, self.text.len())
    }
}

/// The documents of a policy, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySources {
    documents: Vec<PolicySource>,
}

impl PolicySources {
    /// No documents yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document.
    pub fn push(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.documents.push(PolicySource { path: path.into(), text: text.into() });
    }

    /// Whether a file at this path belongs to a policy; a loader leaves out the others, such as a
    /// `README.md`.
    #[must_use]
    pub fn accepts(path: &str) -> bool {
        Kind::of(path).is_some()
    }

    /// The documents, in order.
    pub fn iter(&self) -> impl Iterator<Item = &PolicySource> {
        self.documents.iter()
    }
}

impl<P: Into<String>, T: Into<String>> FromIterator<(P, T)> for PolicySources {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(documents: I) -> Self {
        let mut sources = Self::new();
        for (path, text) in documents {
            sources.push(path, text);
        }
        sources
    }
}

/// What a document declares, told by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Controllers,
    Purposes,
    Attributes,
    Recipients,
    Forms,
    Signals,
    Notice,
    Cases,
}

impl Kind {
    const REQUIRED: [(Self, &str); 5] = [
        (Self::Controllers, "controllers.toml"),
        (Self::Purposes, "purposes.toml"),
        (Self::Attributes, "attributes.toml"),
        (Self::Recipients, "recipients.toml"),
        (Self::Forms, "forms.toml"),
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        if let Some((kind, _)) = Self::REQUIRED.iter().find(|(_, required)| *required == path) {
            return Some(*kind);
        }
        if path == "signals.toml" {
            return Some(Self::Signals);
        }
        let (folder, file) = path.split_once('/')?;
        let stem = file.strip_suffix(".toml")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if stem.is_empty() || stem.starts_with('.') || !stem.bytes().all(plain) {
            return None;
        }
        match folder {
            "notices" => Some(Self::Notice),
            "cases" => Some(Self::Cases),
            _ => None,
        }
    }
}

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    source: &'a PolicySource,
    offset: usize,
}

impl<'a> Place<'a> {
    /// The beginning of a document.
    pub(super) const fn start(source: &'a PolicySource) -> Self {
        Self { source, offset: 0 }
    }

    /// Another place in the same document.
    pub(super) const fn at(self, span: &Range<usize>) -> Self {
        Self { source: self.source, offset: span.start }
    }

    /// The path of the document.
    pub(super) fn file(self) -> &'a str {
        &self.source.path
    }

    /// Line and column, from 1.
    pub(super) fn line_and_column(self) -> (usize, usize) {
        let before = self.source.text.get(..self.offset).unwrap_or(&self.source.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// A fault at this place.
    pub(super) fn fault(self, code: &'static str, message: impl Into<String>) -> PolicyFault {
        let (line, column) = self.line_and_column();
        PolicyFault { file: self.source.path.clone(), line, column, code, message: message.into() }
    }
}

/// One table and where it begins.
#[derive(Debug)]
pub(super) struct Table<'a, T> {
    pub(super) place: Place<'a>,
    pub(super) document: T,
}

/// The tables of one kind, and the names of all of them, those included that could not be read: a fault in a
/// table is no reason to call its name unknown elsewhere.
#[derive(Debug)]
pub(super) struct Tables<'a, T> {
    pub(super) items: Vec<Table<'a, T>>,
    pub(super) declared: BTreeSet<String>,
}

impl<T> Default for Tables<'_, T> {
    fn default() -> Self {
        Self { items: Vec::new(), declared: BTreeSet::new() }
    }
}

/// A value with its place.
pub(super) type Placed<T> = Option<Spanned<T>>;
/// Names with their places; `None`: the key is missing.
pub(super) type Names<T> = Option<Vec<Spanned<T>>>;

/// `[[controller]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControllerDocument {
    pub(super) id: Placed<ControllerId>,
    pub(super) name: Placed<String>,
    pub(super) address: Placed<String>,
    pub(super) contact: Placed<String>,
    pub(super) officer: Placed<String>,
    pub(super) stop_address: Placed<String>,
    pub(super) objection_notice: Placed<Title>,
    #[serde(default)]
    pub(super) plus_tags_are_one_mailbox: bool,
}

/// `[[purpose]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurposeDocument {
    pub(super) id: Placed<Purpose>,
    pub(super) title: Placed<Title>,
    pub(super) version: Placed<u16>,
    pub(super) mode: Placed<BTreeMap<Spanned<String>, Spanned<String>>>,
    pub(super) validity: Placed<String>,
    pub(super) third_party_validity: Placed<String>,
    pub(super) reask_after: Placed<String>,
    pub(super) prompt_gap: Placed<String>,
    #[serde(default)]
    pub(super) direct_marketing: bool,
    #[serde(default)]
    pub(super) sale_or_share: bool,
    #[serde(default)]
    pub(super) sensitive: bool,
    #[serde(default)]
    pub(super) spi_necessary: bool,
    pub(super) assurance: Placed<AssuranceDocument>,
    pub(super) fideslang: Placed<String>,
    pub(super) dpv: Placed<String>,
    #[serde(default)]
    pub(super) bases: Vec<Spanned<Basis>>,
    pub(super) balancing_test: Placed<String>,
    #[serde(default)]
    pub(super) product_families: Vec<Spanned<ProductFamily>>,
    pub(super) legal_persons: Placed<BTreeMap<Spanned<String>, Spanned<String>>>,
    #[serde(default)]
    pub(super) significant_effect: bool,
    pub(super) human_review: Placed<String>,
    #[serde(default)]
    pub(super) political: bool,
    pub(super) minimum_age: Placed<i16>,
    pub(super) risk_assessment_ref: Placed<String>,
    pub(super) risk_assessment_review: Placed<Datetime>,
    #[serde(default)]
    pub(super) needs_dpia: bool,
    pub(super) dpia_ref: Placed<String>,
    pub(super) dpia_review: Placed<Datetime>,
    #[serde(default)]
    pub(super) change: Vec<Spanned<ChangeDocument>>,
}

/// `assurance = "form"`, or `assurance = { default = "form", "EU_GDPR:DE" = "confirmed_mailbox" }`.
#[derive(Debug, Default)]
pub(super) struct AssuranceDocument {
    pub(super) default: Option<Assurance>,
    /// By regime, as written.
    pub(super) exceptions: BTreeMap<String, Assurance>,
}

impl<'de> Deserialize<'de> for AssuranceDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AssuranceVisitor)
    }
}

struct AssuranceVisitor;

impl<'de> Visitor<'de> for AssuranceVisitor {
    type Value = AssuranceDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an assurance such as `form`, or a table of them by regime, with a `default`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AssuranceDocument, E> {
        let default = Assurance::deserialize(text.into_deserializer())?;
        Ok(AssuranceDocument { default: Some(default), exceptions: BTreeMap::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AssuranceDocument, A::Error> {
        let mut exceptions = BTreeMap::<String, Assurance>::deserialize(MapAccessDeserializer::new(map))?;
        let default = exceptions.remove("default");
        Ok(AssuranceDocument { default, exceptions })
    }
}

/// `[[purpose.change]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeDocument {
    pub(super) version: Placed<u16>,
    pub(super) kind: Option<ChangeKind>,
    pub(super) summary: Placed<String>,
    pub(super) compatibility_record: Placed<String>,
    pub(super) attributes: Names<AttributeName>,
    pub(super) recipients: Names<RecipientId>,
}

/// Whether consents to earlier versions cover a new one (GDPR Art. 6(4)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeKind {
    Compatible,
    Breaking,
}

/// `[[attribute]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeDocument {
    pub(super) name: Placed<AttributeName>,
    pub(super) title: Placed<Title>,
    #[serde(rename = "type")]
    pub(super) stored: Placed<AttributeType>,
    pub(super) input: Placed<AttributeName>,
    pub(super) served: Placed<ServedDocument>,
    pub(super) fideslang: Placed<String>,
    pub(super) ccpa: Placed<String>,
    pub(super) retention: Placed<String>,
    pub(super) tag: Placed<String>,
    pub(super) purposes: Names<Purpose>,
    pub(super) k: Placed<u32>,
    #[serde(default)]
    pub(super) quasi_identifier: Placed<bool>,
    #[serde(default)]
    pub(super) predictive: bool,
    pub(super) model: Placed<String>,
}

/// `served = { form = "…", … }`. One struct for all forms, so that a key that does not belong keeps its
/// place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServedDocument {
    pub(super) form: Placed<FormName>,
    pub(super) measure: Placed<Measure>,
    pub(super) minimum: Placed<i64>,
    pub(super) edges: Placed<Vec<i64>>,
    pub(super) labels: Option<Vec<Spanned<String>>>,
    pub(super) descending: Placed<bool>,
    pub(super) characters: Placed<usize>,
    pub(super) new_days: Placed<i64>,
    pub(super) at_risk_days: Placed<i64>,
    pub(super) lapsed_days: Placed<i64>,
}

/// The name of a served form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FormName {
    Band,
    Score,
    Prefix,
    OneOf,
    ManyOf,
    Flag,
    Lifecycle,
    Plain,
}

/// `[[recipient]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipientDocument {
    pub(super) id: Placed<RecipientId>,
    pub(super) name: Placed<String>,
    pub(super) role: Placed<RecipientRole>,
    pub(super) controller: Placed<ControllerId>,
    pub(super) country: Placed<String>,
    pub(super) purposes: Names<Purpose>,
    pub(super) attributes: Names<AttributeName>,
    pub(super) epoch: Placed<u16>,
    pub(super) previous_epoch: Placed<u16>,
    pub(super) epoch_began: Placed<Datetime>,
    pub(super) epoch_lasts: Placed<String>,
    pub(super) grace_days: Placed<u16>,
    pub(super) no_reid: Placed<String>,
    pub(super) deidentified: Placed<DeidentifiedDocument>,
    pub(super) contract: Placed<ContractDocument>,
}

/// `deidentified = { … }` of a recipient.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeidentifiedDocument {
    pub(super) public_commitment: Placed<String>,
    pub(super) no_reidentification: Placed<String>,
    pub(super) flow_down: Placed<String>,
}

/// `contract = { … }` of a recipient.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractDocument {
    pub(super) reference: Placed<String>,
    pub(super) kind: Placed<ContractKind>,
    pub(super) ends: Placed<Datetime>,
    #[serde(default)]
    pub(super) sub_processors: Vec<Spanned<String>>,
}

/// `[[form]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FormDocument {
    pub(super) id: Placed<FormId>,
    pub(super) title: Placed<Title>,
    pub(super) fields: Names<AttributeName>,
    pub(super) purposes: Names<Purpose>,
    pub(super) notice: Placed<NoticeId>,
    #[serde(default)]
    pub(super) origins: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) audience: Audience,
    #[serde(default)]
    pub(super) double_opt_in: bool,
    pub(super) assurance: Placed<Assurance>,
    pub(super) default_regime: Option<Regime>,
    pub(super) return_url: Placed<String>,
    pub(super) presentation: Placed<Presentation>,
    pub(super) default_state: Placed<DefaultState>,
    #[serde(default)]
    pub(super) conditional_on_service: Placed<bool>,
}

/// How a form's boxes stand before the person acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefaultState {
    Unchecked,
    Checked,
}

/// `[[signal]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignalDocument {
    pub(super) id: Placed<SignalRuleId>,
    pub(super) source: Placed<SignalSource>,
    pub(super) says: Option<Vec<Spanned<SignalWord>>>,
    pub(super) sections: Option<Vec<Spanned<String>>>,
    pub(super) without_consent: Option<Vec<Spanned<u8>>>,
    pub(super) vendor: Placed<u16>,
    pub(super) regimes: Option<Vec<Spanned<String>>>,
    pub(super) effect: Placed<SignalEffect>,
    pub(super) purposes: Names<Purpose>,
    pub(super) because: Placed<String>,
}

/// A file under `notices/`: one version of one notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticeDocument {
    pub(super) id: Placed<NoticeId>,
    pub(super) version: Placed<u16>,
    pub(super) controllers: Names<ControllerId>,
    pub(super) purposes: Names<Purpose>,
    pub(super) recipients: Names<RecipientId>,
    #[serde(default)]
    pub(super) text: Vec<Spanned<TextDocument>>,
}

/// `[[text]]` of a notice: its title and its twelve slots in one locale.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextDocument {
    pub(super) locale: Placed<String>,
    pub(super) title: Placed<String>,
    pub(super) controller: Placed<String>,
    pub(super) purposes: Placed<String>,
    pub(super) data_types: Placed<String>,
    pub(super) legal_basis: Placed<String>,
    pub(super) recipients: Placed<String>,
    pub(super) transfers: Placed<String>,
    pub(super) retention: Placed<String>,
    pub(super) rights: Placed<String>,
    pub(super) withdrawal_info: Placed<String>,
    pub(super) complaint: Placed<String>,
    pub(super) statutory_duty: Placed<String>,
    pub(super) automated_decisions: Placed<String>,
    pub(super) child: Placed<String>,
    pub(super) short: Placed<String>,
    pub(super) objection_notice: Placed<String>,
}

/// All documents of a policy, read and not yet checked.
#[derive(Debug, Default)]
pub(super) struct Documents<'a> {
    pub(super) controllers: Tables<'a, ControllerDocument>,
    pub(super) purposes: Tables<'a, PurposeDocument>,
    pub(super) attributes: Tables<'a, AttributeDocument>,
    pub(super) recipients: Tables<'a, RecipientDocument>,
    pub(super) forms: Tables<'a, FormDocument>,
    pub(super) notices: Tables<'a, NoticeDocument>,
    pub(super) signals: Tables<'a, SignalDocument>,
    /// The document about signals; a policy may have none.
    pub(super) signal_source: Option<&'a PolicySource>,
    /// Whether a document could not be read at all: references into it cannot be judged.
    pub(super) is_torn: bool,
}

impl<'a> Documents<'a> {
    /// Reads every document but the cases.
    pub(super) fn read(sources: &'a PolicySources, faults: &mut Vec<PolicyFault>) -> Self {
        let mut documents = Self::default();
        let mut seen: BTreeMap<&str, Option<Kind>> = BTreeMap::new();
        if sources.documents.len() > MAX_DOCUMENTS
            && let Some(source) = sources.documents.get(MAX_DOCUMENTS)
        {
            let message = format!("a policy has at most {MAX_DOCUMENTS} documents");
            faults.push(Place::start(source).fault("too_many", message));
        }
        for source in sources.iter().take(MAX_DOCUMENTS) {
            let kind = Kind::of(&source.path);
            let place = Place::start(source);
            if seen.insert(&source.path, kind).is_some() {
                faults.push(place.fault("duplicate", "this document is there twice"));
                continue;
            }
            match kind {
                None => faults.push(place.fault("unknown_document", "no document of a policy has this path")),
                Some(Kind::Cases) => {}
                Some(kind) => documents.add(kind, source, faults),
            }
        }
        for (kind, path) in Kind::REQUIRED {
            if !seen.values().any(|known| *known == Some(kind)) {
                documents.is_torn = true;
                faults.push(PolicyFault {
                    file: path.to_owned(),
                    line: 1,
                    column: 1,
                    code: "missing_document",
                    message: "a policy needs this document; it may be empty".to_owned(),
                });
            }
        }
        documents
    }

    fn add(&mut self, kind: Kind, source: &'a PolicySource, faults: &mut Vec<PolicyFault>) {
        let Some(root) = parse(source, faults) else {
            self.is_torn = true;
            return;
        };
        match kind {
            Kind::Controllers => self.controllers = tables(source, root, "controller", "id", faults),
            Kind::Purposes => self.purposes = tables(source, root, "purpose", "id", faults),
            Kind::Attributes => self.attributes = tables(source, root, "attribute", "name", faults),
            Kind::Recipients => self.recipients = tables(source, root, "recipient", "id", faults),
            Kind::Forms => self.forms = tables(source, root, "form", "id", faults),
            Kind::Signals => {
                self.signal_source = Some(source);
                self.signals = tables(source, root, "signal", "id", faults);
            }
            Kind::Notice => {
                let span = root.span();
                let value = Spanned::new(span, DeValue::Table(root.into_inner()));
                read_table(source, value, "id", &mut self.notices, faults);
            }
            Kind::Cases => {}
        }
    }
}

/// Parses a document; `None` after a syntax fault, of which all that can be told apart are reported.
pub(super) fn parse<'a>(source: &'a PolicySource, faults: &mut Vec<PolicyFault>) -> Option<Spanned<DeTable<'a>>> {
    let start = Place::start(source);
    if source.text.len() > MAX_DOCUMENT_BYTES {
        let message = format!("a document has at most {MAX_DOCUMENT_BYTES} bytes");
        faults.push(start.fault("too_large", message));
        return None;
    }
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        faults.push(toml_fault(start, error, "syntax"));
    }
    errors.is_empty().then_some(root)
}

/// Reads `[[key]]`, table by table.
pub(super) fn tables<'a, T: DeserializeOwned>(
    source: &'a PolicySource,
    root: Spanned<DeTable<'a>>,
    key: &str,
    name: &str,
    faults: &mut Vec<PolicyFault>,
) -> Tables<'a, T> {
    let start = Place::start(source);
    let mut read = Tables::default();
    for (found, value) in root.into_inner() {
        let place = start.at(&found.span());
        if found.get_ref() != key {
            let message = format!("unknown key `{}`; this document holds `[[{key}]]` only", found.get_ref());
            faults.push(place.fault("shape", message));
            continue;
        }
        let DeValue::Array(items) = value.into_inner() else {
            faults.push(place.fault("shape", format!("`{key}` is a list of tables: write `[[{key}]]`")));
            continue;
        };
        if items.len() > MAX_TABLES {
            faults.push(place.fault("too_many", format!("a document has at most {MAX_TABLES} `[[{key}]]`")));
        }
        for item in items.into_iter().take(MAX_TABLES) {
            read_table(source, item, name, &mut read, faults);
        }
    }
    read
}

fn read_table<'a, T: DeserializeOwned>(
    source: &'a PolicySource,
    item: Spanned<DeValue<'a>>,
    name: &str,
    into: &mut Tables<'a, T>,
    faults: &mut Vec<PolicyFault>,
) {
    let place = Place::start(source).at(&item.span());
    if let Some(declared) = item.get_ref().get(name).and_then(|value| value.get_ref().as_str()) {
        into.declared.insert(declared.to_owned());
    }
    match T::deserialize(ValueDeserializer::from(item)) {
        Ok(document) => into.items.push(Table { place, document }),
        Err(error) => faults.push(toml_fault(place, &error, "shape")),
    }
}

fn toml_fault(place: Place<'_>, error: &toml::de::Error, code: &'static str) -> PolicyFault {
    let place = error.span().map_or(place, |span| place.at(&span));
    // A fault is one line.
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    place.fault(code, message)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(path: &str, text: &str) -> Vec<PolicyFault> {
        let sources: PolicySources = [(path, text)].into_iter().collect();
        let mut faults = Vec::new();
        Documents::read(&sources, &mut faults);
        faults.retain(|fault| fault.code != "missing_document");
        faults
    }

    #[test]
    fn a_syntax_fault_has_its_line_and_column() {
        let faults = read("controllers.toml", "\n[[controller]]\nid = \"shop\nname = \"Shop\"\n");
        let first = faults.first().unwrap();
        assert_eq!((first.line, first.code), (3, "syntax"), "{faults:?}");
    }

    #[test]
    fn an_unknown_key_has_its_line_and_does_not_hide_the_next_table() {
        let text = "[[controller]]\nid = \"shop\"\n  colour = 1\n[[controller]]\nid = \"Two\"\n";
        let faults = read("controllers.toml", text);
        let places: Vec<_> = faults.iter().map(|f| (f.line, f.column, f.code)).collect();
        assert_eq!(places, [(3, 3, "shape"), (5, 6, "shape")], "{faults:?}");
        assert!(faults[0].message.contains("colour"), "{faults:?}");
    }

    #[test]
    fn a_table_of_another_kind_is_a_fault() {
        let faults = read("purposes.toml", "[[purpose]]\n[[attribute]]\n");
        assert_eq!((faults[0].line, faults[0].code), (2, "shape"));
    }

    #[test]
    fn a_document_that_no_policy_has_is_a_fault() {
        for path in ["rules.toml", "notices/../x.toml", "notices/a/b.toml", "cases/.toml", "notices/a.txt"] {
            assert_eq!(read(path, "")[0].code, "unknown_document", "{path}");
            assert!(!PolicySources::accepts(path));
        }
        for path in ["purposes.toml", "notices/newsletter-1.toml", "cases/a.b.toml"] {
            assert!(PolicySources::accepts(path), "{path}");
        }
    }

    #[test]
    fn a_document_has_bounds() {
        let large = "#".repeat(MAX_DOCUMENT_BYTES + 1);
        assert_eq!(read("forms.toml", &large)[0].code, "too_large");
        let many = "[[controller]]\n".repeat(MAX_TABLES + 1);
        assert!(read("controllers.toml", &many).iter().any(|fault| fault.code == "too_many"));
    }

    #[test]
    fn every_document_but_notices_and_cases_is_needed_once() {
        let mut faults = Vec::new();
        Documents::read(&PolicySources::new(), &mut faults);
        assert_eq!(faults.len(), 5);
        assert_eq!(
            faults[0].to_string(),
            format!("controllers.toml:1:1: {} [missing_document]", faults[0].message)
        );
        let twice: PolicySources = [("forms.toml", ""), ("forms.toml", "")].into_iter().collect();
        let mut faults = Vec::new();
        Documents::read(&twice, &mut faults);
        assert!(faults.iter().any(|fault| fault.code == "duplicate"));
    }
}
