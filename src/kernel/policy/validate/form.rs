//! Forms: each asks only what its notice explains, sends only what its purposes need, and leaves every box
//! empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::super::document::{DefaultState, FormDocument, Place, Table};
use super::super::{AttributeRule, Audience, FormRule, NoticeText, PurposeRule};
use super::{Check, declared};
use crate::attribute::AttributeName;
use crate::consent::{Assurance, Presentation};
use crate::form::FormId;
use crate::notice::NoticeDigest;
use crate::purpose::Purpose;

/// The purposes and attributes that a form may name.
type Known<'a> = (&'a BTreeMap<Purpose, Arc<PurposeRule>>, &'a BTreeMap<AttributeName, Arc<AttributeRule>>);

impl Check<'_> {
    pub(super) fn forms(
        &mut self,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
        attributes: &BTreeMap<AttributeName, Arc<AttributeRule>>,
        notices: &BTreeMap<NoticeDigest, Arc<NoticeText>>,
    ) -> BTreeMap<FormId, Arc<FormRule>> {
        let documents = self.documents;
        let mut rules = BTreeMap::new();
        for table in &documents.forms.items {
            let id = self.need(table.place, &table.document.id, "id");
            let id = self.new_key(table.place, id, &rules);
            let rule = self.form(table);
            self.presentation(table);
            let texts = current_texts(table, notices);
            self.fields(table, attributes, &texts);
            self.explained(table, &texts);
            self.child_friendly(table, &texts);
            if let (Some(id), Some(rule)) = (id, rule) {
                self.sufficient(table, &rule, purposes);
                self.readable(table, &rule, (purposes, attributes), &texts);
                rules.insert(id, Arc::new(rule));
            }
        }
        rules
    }

    fn form(&mut self, table: &Table<'_, FormDocument>) -> Option<FormRule> {
        let (place, document) = (table.place, &table.document);
        let documents = self.documents;
        let title = self.title(place, &document.title);
        let fields = self.known_some(place, &document.fields, "fields", declared(&documents.attributes));
        let purposes = self.known_some(place, &document.purposes, "purposes", declared(&documents.purposes));
        let notice = self.need(place, &document.notice, "notice");
        if let Some(notice) = notice {
            self.known(place, std::slice::from_ref(notice), "notice", declared(&documents.notices));
        }
        for origin in &document.origins {
            if !is_origin(origin.get_ref()) {
                let message = "an origin is `https://host` or, of this machine only, `http://localhost:port`; no path; \
                               the port may be `*`";
                self.fault(place.at(&origin.span()), "origin", message);
            }
        }
        let assurance = match &document.assurance {
            Some(assurance) => *assurance.get_ref(),
            None if document.double_opt_in => Assurance::ConfirmedMailbox,
            None => Assurance::Form,
        };
        let return_url = document.return_url.as_ref();
        if let Some(url) = return_url {
            self.return_url(place, url, &document.origins);
        }
        Some(FormRule {
            id: document.id.as_ref()?.get_ref().clone(),
            title: title?,
            fields: fields?,
            purposes: purposes?,
            notice: notice?.get_ref().clone(),
            origins: document.origins.iter().map(|origin| origin.get_ref().clone()).collect(),
            audience: document.audience,
            double_opt_in: document.double_opt_in,
            assurance,
            default_regime: document.default_regime,
            return_url: return_url.map(|url| url.get_ref().clone()),
        })
    }

    /// CAP-01, CAP-04, CAP-05: declared once, so that no post has to be believed.
    fn presentation(&mut self, table: &Table<'_, FormDocument>) {
        let (place, document) = (table.place, &table.document);
        if let Some(shown) = self.need_as(place, &document.presentation, "presentation", "cap_04", " (`separate`)")
            && *shown.get_ref() != Presentation::Separate
        {
            let message = "a consent hidden in other terms does not bind (GDPR Art. 7(2))";
            self.fault(place.at(&shown.span()), "cap_04", message);
        }
        if let Some(state) =
            self.need_as(place, &document.default_state, "default_state", "cap_01", " (`unchecked`)")
            && *state.get_ref() != DefaultState::Unchecked
        {
            self.fault(place.at(&state.span()), "cap_01", "a box ticked beforehand is no consent (C-673/17)");
        }
        if let Some(conditional) = &document.conditional_on_service
            && *conditional.get_ref()
        {
            let message = "a service may not depend on a consent that it does not need (GDPR Art. 7(4))";
            self.fault(place.at(&conditional.span()), "cap_05", message);
        }
    }

    /// CAP-20: fields are stored attributes, each for a purpose that the notice explains.
    fn fields(
        &mut self,
        table: &Table<'_, FormDocument>,
        attributes: &BTreeMap<AttributeName, Arc<AttributeRule>>,
        texts: &[&NoticeText],
    ) {
        for field in table.document.fields.iter().flatten() {
            let Some(rule) = attributes.get(field.get_ref()) else { continue };
            let place = table.place.at(&field.span());
            if rule.input != rule.name {
                let message = format!("`{}` is derived: a form sends stored attributes", field.get_ref());
                self.fault(place, "form_field", message);
                continue;
            }
            let explains =
                |text: &&NoticeText| rule.purposes.iter().any(|purpose| text.purposes.contains(purpose));
            if !texts.iter().all(explains) && self.knows_purposes_of(rule) {
                let message = format!("the form's notice explains no purpose of `{}`", field.get_ref());
                self.fault(place, "form_field", message);
            }
        }
    }

    /// NOT-03, CAP-09: a form for children speaks to them, and knows their age.
    fn child_friendly(&mut self, table: &Table<'_, FormDocument>, texts: &[&NoticeText]) {
        if table.document.audience != Audience::Child {
            return;
        }
        for text in texts.iter().filter(|text| text.child.is_none()) {
            let message =
                format!("the notice `{}` has no `child` layer in `{}` (GDPR Art. 12(1))", text.id, text.locale);
            self.fault(table.place, "not_03", message);
        }
        let asks_birth =
            |field: &Spanned<AttributeName>| matches!(field.get_ref().as_str(), "birth_date" | "birth_year");
        if !table.document.fields.iter().flatten().any(asks_birth) {
            let message = "a form for children has the field `birth_date` or `birth_year` (GDPR Art. 8)";
            self.fault(table.place, "cap_09", message);
        }
    }

    /// CAP-06: whatever a form asks, its current notice explains in every locale.
    fn explained(&mut self, table: &Table<'_, FormDocument>, texts: &[&NoticeText]) {
        for purpose in table.document.purposes.iter().flatten() {
            if let Some(text) = texts.iter().find(|text| !text.purposes.contains(purpose.get_ref())) {
                let message = format!(
                    "version {} of the notice `{}` does not explain `{}`",
                    text.version,
                    text.id,
                    purpose.get_ref()
                );
                self.fault(table.place.at(&purpose.span()), "cap_06", message);
            }
        }
    }

    /// CAP-17: whoever reads the notice in a language reads the whole form in it.
    fn readable(
        &mut self,
        table: &Table<'_, FormDocument>,
        rule: &FormRule,
        (purposes, attributes): Known<'_>,
        texts: &[&NoticeText],
    ) {
        let asked =
            rule.purposes.iter().filter_map(|id| purposes.get(id)).map(|known| (known.id.as_str(), &known.title));
        let fields = rule
            .fields
            .iter()
            .filter_map(|id| attributes.get(id))
            .map(|known| (known.name.as_str(), &known.title));
        let titles: Vec<_> = [(rule.id.as_str(), &rule.title)].into_iter().chain(asked).chain(fields).collect();
        for text in texts {
            for (name, _) in titles.iter().filter(|(_, title)| !title.speaks(&text.locale)) {
                let message =
                    format!("the form's notice is there in `{}`, the title of `{name}` is not", text.locale);
                self.fault(table.place, "cap_17", message);
            }
        }
    }

    /// A form whose grants could never be in force only looks like a choice.
    fn sufficient(
        &mut self,
        table: &Table<'_, FormDocument>,
        rule: &FormRule,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) {
        let document = &table.document;
        let place = document.assurance.as_ref().map_or(table.place, |at| table.place.at(&at.span()));
        match rule.assurance {
            Assurance::Imported => self.fault(place, "assurance", "a form's grants are not imported"),
            Assurance::ConfirmedMailbox if !rule.double_opt_in => {
                self.fault(place, "assurance", "only double opt-in confirms a mailbox: set `double_opt_in`");
            }
            _ => {}
        }
        let reached =
            if rule.double_opt_in { rule.assurance.max(Assurance::ConfirmedMailbox) } else { rule.assurance };
        for purpose in document.purposes.iter().flatten() {
            let needed = |known: &Arc<PurposeRule>| match document.default_regime {
                Some(regime) => known.assurance_needed(regime),
                None => known.least_assurance(),
            };
            if purposes.get(purpose.get_ref()).is_some_and(|known| needed(known) > reached) {
                let message = format!("`{}` needs more assurance than this form gives", purpose.get_ref());
                self.fault(table.place.at(&purpose.span()), "assurance", message);
            }
        }
    }

    fn return_url(&mut self, place: Place<'_>, url: &Spanned<String>, origins: &[Spanned<String>]) {
        let origin = origin_of(url.get_ref());
        let listed = |origin: &str| {
            origins.is_empty() || origins.iter().any(|known| matches_origin(known.get_ref(), origin))
        };
        let is_clean = !url.get_ref().chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
        if !is_clean || !origin.is_some_and(|origin| is_origin(origin) && listed(origin)) {
            let message = "a return URL is absolute and lies on one of the form's origins";
            self.fault(place.at(&url.span()), "origin", message);
        }
    }
}

/// What the form's notice says now, in each locale.
fn current_texts<'n>(
    table: &Table<'_, FormDocument>,
    notices: &'n BTreeMap<NoticeDigest, Arc<NoticeText>>,
) -> Vec<&'n NoticeText> {
    let id = table.document.notice.as_ref().map(Spanned::get_ref);
    notices.values().map(AsRef::as_ref).filter(|text| text.current && Some(&text.id) == id).collect()
}

/// `https://` with any host, `http://` with this machine only; the port may be `*`.
fn is_origin(origin: &str) -> bool {
    let (host, local) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(host), _) => (host, false),
        (_, Some(host)) => (host, true),
        _ => return false,
    };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let good_port = port.is_none_or(|port| port == "*" || port.parse::<u16>().is_ok_and(|port| port != 0));
    let is_local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    let good_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    good_port && (is_local || (!local && good_name))
}

/// Scheme, host and port of an absolute URL.
fn origin_of(url: &str) -> Option<&str> {
    let scheme = url.find("://")? + 3;
    let rest = url.get(scheme..)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..scheme + end)
}

fn matches_origin(pattern: &str, origin: &str) -> bool {
    match pattern.strip_suffix(":*") {
        Some(host) => origin == host || origin.strip_prefix(host).is_some_and(|rest| rest.starts_with(':')),
        None => pattern == origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path_and_is_encrypted_unless_local() {
        for good in [
            "https://www.example.com",
            "https://shop.example:8443",
            "http://127.0.0.1:*",
            "http://localhost:*",
            "http://localhost:8080",
            "http://[::1]:3000",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "https://",
            "http://www.example.com",
            "https://www.example.com/",
            "https://a@b",
            "https://*.example.com",
            "https://www.example.com:0",
            "https://WWW.example.com",
            "null",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn a_return_url_stays_on_the_forms_origins() {
        assert_eq!(origin_of("https://a.example/x?y#z"), Some("https://a.example"));
        assert!(matches_origin("http://127.0.0.1:*", "http://127.0.0.1:4000"));
        assert!(!matches_origin("http://127.0.0.1:*", "http://127.0.0.1.evil.example"));
        assert!(!matches_origin("https://a.example", "https://a.example.evil"));
    }
}
