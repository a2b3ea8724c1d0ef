//! From documents to a [`ValidPolicy`]: all faults are found at once, and a policy with one of them is not
//! evaluated.
//!
//! Each noun is checked by itself in its own module, then against the others: names must be known, a notice
//! must say what its forms ask and who receives, a contract must fit its recipient's role.

mod attribute;
mod form;
mod notice;
mod purpose;
mod recipient;
mod served;
mod signal;
pub mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use sha2::{Digest as _, Sha256};
use toml::Spanned;

pub use super::document::{PolicyFault, PolicySource, PolicySources};

use super::document::{ControllerDocument, Documents, Kind, Names, Place, Placed, Tables};
use super::{ControllerRule, PolicyVersion, ValidPolicy, case};
use crate::controller::ControllerId;
use crate::identifier::Identifier;
use crate::time::Months;
use crate::title::Title;

/// The most characters of a one-line text.
const MAX_LINE: usize = 300;
/// The most characters of a text of some sentences.
const MAX_PARAGRAPH: usize = 4_000;

impl ValidPolicy {
    /// Reads and checks a policy. Its version covers every document but the cases.
    ///
    /// # Errors All faults, in the order of the documents. After a fault of syntax, or with a document
    /// missing, references between documents are not judged.
    pub fn from_sources(sources: &PolicySources) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = Vec::new();
        let documents = Documents::read(sources, &mut faults);
        case::check_shape(sources, &mut faults);
        let policy = if documents.is_torn {
            None
        } else {
            let check = Check { documents: &documents, faults: &mut faults };
            Some(check.policy(version_of(sources)))
        };
        let order: BTreeMap<&str, usize> =
            sources.iter().enumerate().map(|(at, source)| (source.path(), at)).collect();
        faults.sort_by_cached_key(|fault| (order.get(fault.file.as_str()).copied(), fault.clone()));
        faults.dedup();
        match policy {
            Some(policy) if faults.is_empty() => Ok(policy),
            _ => Err(faults),
        }
    }
}

/// SHA-256 over the sorted documents, each path and text preceded by its length, so that no two sets
/// coincide.
fn version_of(sources: &PolicySources) -> PolicyVersion {
    let mut documents: Vec<_> =
        sources.iter().filter(|source| Kind::of(source.path()) != Some(Kind::Cases)).collect();
    documents.sort_by_key(|source| source.path());
    let mut hash = Sha256::new();
    hash.update(b"consentry policy v1\0");
    for part in documents.iter().flat_map(|source| [source.path(), source.text()]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    PolicyVersion::from_bytes(hash.finalize().into())
}

/// The documents being checked and the faults found so far.
struct Check<'a> {
    documents: &'a Documents<'a>,
    faults: &'a mut Vec<PolicyFault>,
}

impl Check<'_> {
    fn policy(mut self, version: PolicyVersion) -> ValidPolicy {
        let controllers = self.controllers();
        let purposes = self.purposes();
        let attributes = self.attributes(&purposes);
        let recipients = self.recipients(&purposes, &attributes);
        let notices = self.notices(&recipients);
        let forms = self.forms(&purposes, &attributes, &notices);
        let signals = self.signals(&purposes);
        ValidPolicy { version, controllers, purposes, attributes, recipients, forms, notices, signals }
    }

    fn controllers(&mut self) -> BTreeMap<ControllerId, ControllerRule> {
        let documents = self.documents;
        let mut rules = BTreeMap::new();
        for table in &documents.controllers.items {
            let ControllerDocument { id, name, address, contact, officer, .. } = &table.document;
            let id = self.need(table.place, id, "id");
            let name = self.line(table.place, name, "name");
            let address = self.line(table.place, address, "address");
            let contact = self.line(table.place, contact, "contact");
            let officer = self.line(table.place, officer, "officer");
            let of_mails = self.of_mails(table.place, &table.document);
            let Some(id) = self.new_key(table.place, id, &rules) else { continue };
            if let (Some(name), Some(address), Some(contact), Some(officer)) = (name, address, contact, officer) {
                let (stop_address, objection_notice) = of_mails;
                let plus_tags_are_one_mailbox = table.document.plus_tags_are_one_mailbox;
                let rule = ControllerRule {
                    name,
                    address,
                    contact,
                    officer,
                    stop_address,
                    objection_notice,
                    plus_tags_are_one_mailbox,
                };
                rules.insert(id, rule);
            }
        }
        rules
    }

    /// What only a controller that sends marketing needs.
    fn of_mails(&mut self, place: Place<'_>, document: &ControllerDocument) -> (Option<String>, Option<Title>) {
        let stop_address = document.stop_address.as_ref().and_then(|stop| {
            let address = Identifier::email(stop.get_ref()).ok();
            if address.is_none() {
                self.fault(place.at(&stop.span()), "value", "`stop_address` is an email address");
            }
            address.map(|address| address.expose().to_owned())
        });
        let notice = &document.objection_notice;
        let objection_notice = if notice.is_some() { self.title(place, notice) } else { None };
        (stop_address, objection_notice)
    }

    fn fault(&mut self, place: Place<'_>, code: &'static str, message: impl Into<String>) {
        self.faults.push(place.fault(code, message));
    }

    /// A key that every table of its kind has.
    fn need<'d, T>(&mut self, place: Place<'_>, value: &'d Placed<T>, key: &str) -> Option<&'d Spanned<T>> {
        self.need_as(place, value, key, "missing_key", "")
    }

    /// As [`Self::need`], for a key that a rule of law asks for.
    fn need_as<'d, T>(
        &mut self,
        place: Place<'_>,
        value: &'d Option<T>,
        key: &str,
        code: &'static str,
        why: &str,
    ) -> Option<&'d T> {
        if value.is_none() {
            self.fault(place, code, format!("`{key}` is missing{why}"));
        }
        value.as_ref()
    }

    /// A name that no earlier table has.
    fn new_key<K: Ord + Clone + Display, V>(
        &mut self,
        place: Place<'_>,
        key: Option<&Spanned<K>>,
        known: &BTreeMap<K, V>,
    ) -> Option<K> {
        let key = key?;
        if known.contains_key(key.get_ref()) {
            self.fault(place.at(&key.span()), "duplicate", format!("`{}` is declared twice", key.get_ref()));
            return None;
        }
        Some(key.get_ref().clone())
    }

    /// A text of one line that says something.
    fn line(&mut self, place: Place<'_>, value: &Placed<String>, key: &str) -> Option<String> {
        let text = self.need(place, value, key)?;
        let place = place.at(&text.span());
        self.is_line(place, text.get_ref(), key).then(|| text.get_ref().clone())
    }

    /// Whether a text is of one line and says something.
    fn is_line(&mut self, place: Place<'_>, text: &str, key: &str) -> bool {
        if text.trim().is_empty() {
            self.fault(place, "value", format!("`{key}` is empty"));
        } else if text.chars().count() > MAX_LINE {
            self.fault(place, "value", format!("`{key}` has more than {MAX_LINE} characters"));
        } else if text.chars().any(vocabulary::is_unprintable) {
            self.fault(place, "value", format!("`{key}` holds a control character"));
        } else {
            return true;
        }
        false
    }

    /// A text of some sentences.
    fn paragraph(&mut self, place: Place<'_>, value: &Placed<String>, key: &str) -> Option<String> {
        let text = value.as_ref()?;
        let place = place.at(&text.span());
        let text = text.get_ref().trim();
        let is_plain = !text.chars().any(|character| character != '\n' && vocabulary::is_unprintable(character));
        if text.is_empty() || text.chars().count() > MAX_PARAGRAPH || !is_plain {
            let message = format!("`{key}` is a text of 1 to {MAX_PARAGRAPH} printable characters");
            self.fault(place, "value", message);
            return None;
        }
        Some(text.to_owned())
    }

    /// What a person reads: one line, or one for each locale.
    fn title(&mut self, place: Place<'_>, value: &Placed<Title>) -> Option<Title> {
        let title = self.need(place, value, "title")?;
        let place = place.at(&title.span());
        let title = title.get_ref();
        let texts = title.texts();
        let before = self.faults.len();
        if texts.is_empty() {
            self.fault(place, "value", "`title` is empty");
        }
        for (locale, text) in texts {
            self.is_line(place, text, "title");
            if locale.is_some_and(|locale| !is_language_tag(locale)) {
                self.fault(place, "value", "a locale is a BCP 47 tag such as `en` or `de-AT`");
            }
        }
        (self.faults.len() == before).then(|| title.clone())
    }

    /// A period such as `P24M`.
    fn months(&mut self, place: Place<'_>, value: Option<&Spanned<String>>, key: &str) -> Option<Months> {
        let text = value?;
        match text.get_ref().parse() {
            Ok(months) => Some(months),
            Err(_) => {
                let message = format!("`{key}` is a period of 1 to 1200 months such as `P24M` or `P2Y`");
                self.fault(place.at(&text.span()), "value", message);
                None
            }
        }
    }

    /// Names that are declared in another document, each once.
    fn known<T: Ord + Clone + Display>(
        &mut self,
        place: Place<'_>,
        names: &[Spanned<T>],
        kind: &str,
        declared: &BTreeSet<String>,
    ) -> Vec<T> {
        let mut seen = BTreeSet::new();
        for name in names {
            let place = place.at(&name.span());
            let name = name.get_ref();
            if !declared.contains(&name.to_string()) {
                self.fault(place, "unknown_reference", format!("there is no {kind} `{name}`"));
            } else if !seen.insert(name.clone()) {
                self.fault(place, "duplicate", format!("`{name}` is listed twice"));
            }
        }
        names.iter().map(|name| name.get_ref().clone()).collect()
    }

    /// As [`Self::known`], for a list that must be there and not be empty.
    fn known_some<T: Ord + Clone + Display>(
        &mut self,
        place: Place<'_>,
        names: &Names<T>,
        key: &str,
        declared: &BTreeSet<String>,
    ) -> Option<Vec<T>> {
        let listed = self.need_as(place, names, key, "missing_key", "")?;
        if listed.is_empty() {
            self.fault(place, "value", format!("`{key}` is empty"));
            return None;
        }
        let kind = key.strip_suffix('s').unwrap_or(key);
        Some(self.known(place, listed, if kind == "field" { "attribute" } else { kind }, declared))
    }
}

/// A language of two or three letters, then subtags of two to eight letters or digits.
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    tag.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The names of a section, with those whose tables have faults.
fn declared<'d, T>(tables: &'d Tables<'_, T>) -> &'d BTreeSet<String> {
    &tables.declared
}

#[cfg(test)]
pub(crate) mod tests;
