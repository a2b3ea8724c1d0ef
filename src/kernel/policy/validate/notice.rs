//! Notices: every locale fills all twelve slots, and the text shown is one fixed rendering of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::Spanned;

use super::super::document::{NoticeDocument, Place, Placed, Table, TextDocument};
use super::super::{NoticeText, RecipientRule};
use super::{Check, declared, is_language_tag, vocabulary};
use crate::notice::{NoticeDigest, NoticeId};
use crate::recipient::RecipientId;

type Texts = BTreeMap<NoticeDigest, Arc<NoticeText>>;

/// The most characters of one slot.
const MAX_SLOT: usize = 10_000;

impl Check<'_> {
    pub(super) fn notices(&mut self, recipients: &BTreeMap<RecipientId, Arc<RecipientRule>>) -> Texts {
        let documents = self.documents;
        let mut latest: BTreeMap<&NoticeId, u16> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for table in &documents.notices.items {
            let document = &table.document;
            let (Some(id), Some(version)) = (&document.id, &document.version) else { continue };
            let highest = latest.entry(id.get_ref()).or_default();
            *highest = (*highest).max(*version.get_ref());
            if !seen.insert((id.get_ref(), *version.get_ref())) {
                let message = format!("version {} of `{}` is declared twice", version.get_ref(), id.get_ref());
                self.fault(table.place.at(&version.span()), "duplicate", message);
            }
        }
        let mut texts = Texts::new();
        for table in &documents.notices.items {
            let version = table.document.version.as_ref().map(|version| *version.get_ref());
            let id = table.document.id.as_ref().map(Spanned::get_ref);
            let current = id.and_then(|id| latest.get(id).copied()) == version;
            self.notice(table, current, &mut texts);
            if current {
                self.named_recipients(table, recipients);
            }
        }
        texts
    }

    fn notice(&mut self, table: &Table<'_, NoticeDocument>, current: bool, texts: &mut Texts) {
        let (place, document) = (table.place, &table.document);
        let documents = self.documents;
        let id = self.need(place, &document.id, "id");
        let version = self.need(place, &document.version, "version");
        if let Some(version) = version
            && *version.get_ref() == 0
        {
            self.fault(place.at(&version.span()), "value", "versions are counted from 1");
        }
        if current {
            self.known_some(place, &document.controllers, "controllers", declared(&documents.controllers));
            self.known_some(place, &document.purposes, "purposes", declared(&documents.purposes));
            if let Some(named) = self.need_as(place, &document.recipients, "recipients", "missing_key", "") {
                self.known(place, named, "recipient", declared(&documents.recipients));
            }
        }
        if document.text.is_empty() {
            self.fault(place, "cap_17", "a notice has a `[[text]]` in at least one locale");
        }
        let mut locales = BTreeSet::new();
        for text in &document.text {
            let place = place.at(&text.span());
            let rendered = self.text(place, text.get_ref());
            let Some(locale) = self.locale(place, &text.get_ref().locale) else { continue };
            if !locales.insert(locale.clone()) {
                self.fault(place, "duplicate", format!("the locale `{locale}` is there twice"));
            }
            let (Some(rendered), Some(id), Some(version)) = (rendered, id, version) else { continue };
            let digest = NoticeDigest::of(&locale, &rendered);
            let text = NoticeText {
                id: id.get_ref().clone(),
                version: *version.get_ref(),
                locale,
                digest,
                text: rendered,
                child: layer(&text.get_ref().child),
                short: layer(&text.get_ref().short),
                objection: layer(&text.get_ref().objection_notice),
                controllers: plain(document.controllers.as_deref()),
                purposes: plain(document.purposes.as_deref()),
                recipients: plain(document.recipients.as_deref()),
                current,
            };
            if texts.insert(digest, Arc::new(text)).is_some() {
                self.fault(place, "duplicate", "another notice has exactly this text: a digest must name one");
            }
        }
    }

    /// NOT-05 (C-413/23 P): whoever receives for a purpose is named where the purpose is explained.
    fn named_recipients(
        &mut self,
        table: &Table<'_, NoticeDocument>,
        recipients: &BTreeMap<RecipientId, Arc<RecipientRule>>,
    ) {
        let named: Vec<_> = table.document.recipients.iter().flatten().map(Spanned::get_ref).collect();
        for purpose in table.document.purposes.iter().flatten() {
            for recipient in recipients.values().filter(|rule| rule.purposes.contains(purpose.get_ref())) {
                if !named.contains(&&recipient.id) {
                    let message = format!(
                        "`{}` receives data for `{}` and is not among the `recipients`",
                        recipient.id,
                        purpose.get_ref()
                    );
                    self.fault(table.place.at(&purpose.span()), "not_05", message);
                }
            }
        }
    }

    fn locale(&mut self, place: Place<'_>, value: &Placed<String>) -> Option<String> {
        let locale = self.need(place, value, "locale")?;
        if is_language_tag(locale.get_ref()) {
            return Some(locale.get_ref().clone());
        }
        self.fault(place.at(&locale.span()), "value", "a locale is a BCP 47 tag such as `en` or `de-AT`");
        None
    }

    /// The text that is shown, parted by empty lines: the title, the layers for children and for the hasty where there
    /// are such, the twelve slots in this order, and apart from them, at the end, the right to object.
    fn text(&mut self, place: Place<'_>, document: &TextDocument) -> Option<String> {
        let title = self.line(place, &document.title, "title");
        let slots = [
            ("controller", &document.controller, "cap_06"),
            ("purposes", &document.purposes, "cap_06"),
            ("data_types", &document.data_types, "cap_06"),
            ("legal_basis", &document.legal_basis, "not_01"),
            ("recipients", &document.recipients, "not_01"),
            ("transfers", &document.transfers, "cap_06"),
            ("retention", &document.retention, "not_01"),
            ("rights", &document.rights, "not_01"),
            ("withdrawal_info", &document.withdrawal_info, "cap_06"),
            ("complaint", &document.complaint, "not_01"),
            ("statutory_duty", &document.statutory_duty, "not_01"),
            ("automated_decisions", &document.automated_decisions, "cap_06"),
        ];
        let slots = slots.map(|(key, value, code)| self.slot(place, key, value, code));
        let layers = [
            ("child", &document.child),
            ("short", &document.short),
            ("objection_notice", &document.objection_notice),
        ];
        let [child, short, objection] = layers.map(|(key, value)| match value {
            Some(_) => self.slot(place, key, value, "notice_text").map(Some),
            None => Some(None),
        });
        let mut text = title?.trim().to_owned();
        let slots = slots.into_iter().map(|slot| slot.map(Some));
        for part in [child, short].into_iter().chain(slots).chain([objection]) {
            if let Some(part) = part? {
                text.push_str("\n\n");
                text.push_str(part.trim());
            }
        }
        Some(text)
    }

    fn slot<'d>(
        &mut self,
        place: Place<'_>,
        key: &str,
        value: &'d Placed<String>,
        code: &'static str,
    ) -> Option<&'d str> {
        let text = self.need_as(place, value, key, code, ": without it the consent is not informed")?;
        let place = place.at(&text.span());
        let text = text.get_ref();
        if text.trim().is_empty() {
            self.fault(place, code, format!("`{key}` is empty: without it the consent is not informed"));
            return None;
        }
        if text.chars().count() > MAX_SLOT {
            self.fault(place, "notice_text", format!("`{key}` has more than {MAX_SLOT} characters"));
            return None;
        }
        if text.chars().any(|character| character != '\n' && vocabulary::is_unprintable(character)) {
            self.fault(place, "notice_text", format!("`{key}` holds a control character other than a line feed"));
            return None;
        }
        Some(text)
    }
}

/// A layer as it stands in the text.
fn layer(value: &Placed<String>) -> Option<String> {
    value.as_ref().map(|text| text.get_ref().trim().to_owned())
}

fn plain<T: Clone>(names: Option<&[Spanned<T>]>) -> Vec<T> {
    names.unwrap_or_default().iter().map(|name| name.get_ref().clone()).collect()
}
