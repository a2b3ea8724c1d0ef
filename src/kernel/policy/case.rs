//! Given/when/then cases: what a policy's authors expect of it, decided by the same code that serves.
//!
//! A case tells a person's history and says what a recipient must and must not get at an instant. It runs on
//! the real [`Standing`] and the real [`decide`]; nothing is imitated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::document::{self, Kind, Names, Place, Placed, PolicyFault, PolicySource, PolicySources, Table, Tables};
use super::{NoticeText, PurposeRule, RecipientRule, ValidPolicy};
use crate::attribute::AttributeName;
use crate::consent::{Assurance, ConsentEvent, EventKind, Grant, Standing};
use crate::controller::ControllerId;
use crate::decision::{Ask, Decision, Refusal, decide};
use crate::notice::NoticeId;
use crate::purpose::{ProductFamily, Purpose};
use crate::recipient::RecipientId;
use crate::regime::Regime;
use crate::subject::{Birth, SubjectId, SubscriberType};
use crate::time::Timestamp;

/// When the first event of a case happens that says no time: 2026-01-01T09:00:00Z.
const FIRST: Timestamp = Timestamp::from_millis(1_767_258_000_000);
const DAY_MS: i64 = 86_400_000;

/// The result of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseOutcome {
    /// The name of the case, or of the document where that could not be read.
    pub name: String,
    /// The document.
    pub file: String,
    /// The line at which the case begins, from 1.
    pub line: usize,
    /// Passed, or what differs: one line for each difference.
    pub verdict: Result<(), String>,
}

impl CaseOutcome {
    /// Whether everything was as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.verdict.is_ok()
    }
}

/// Runs all cases, in the order of the documents.
#[must_use]
pub fn run_cases(policy: &ValidPolicy, sources: &PolicySources) -> Vec<CaseOutcome> {
    let mut outcomes = Vec::new();
    for source in sources.iter().filter(|source| Kind::of(source.path()) == Some(Kind::Cases)) {
        let mut faults = Vec::new();
        let cases = read(source, &mut faults);
        // A table that cannot be read is a case that fails.
        outcomes.extend(faults.iter().map(|fault| CaseOutcome {
            name: source.path().to_owned(),
            file: fault.file.clone(),
            line: fault.line,
            verdict: Err(fault.to_string()),
        }));
        outcomes.extend(cases.items.iter().map(|case| run(policy, case)));
    }
    outcomes
}

/// Finds everything that is wrong with the cases themselves, without running them.
pub(super) fn check_shape(sources: &PolicySources, faults: &mut Vec<PolicyFault>) {
    for source in sources.iter().filter(|source| Kind::of(source.path()) == Some(Kind::Cases)) {
        let mut names = BTreeSet::new();
        for case in &read(source, faults).items {
            if let Err(found) = Script::of(case) {
                faults.extend(found);
            }
            if let Some(name) = &case.document.name
                && !names.insert(name.get_ref())
            {
                let message = format!("the case `{}` is there twice", name.get_ref());
                faults.push(case.place.at(&name.span()).fault("duplicate", message));
            }
        }
    }
}

fn read<'a>(source: &'a PolicySource, faults: &mut Vec<PolicyFault>) -> Tables<'a, CaseDocument> {
    match document::parse(source, faults) {
        Some(root) => document::tables(source, root, "case", "name", faults),
        None => Tables::default(),
    }
}

fn run(policy: &ValidPolicy, case: &Table<'_, CaseDocument>) -> CaseOutcome {
    let (line, _) = case.place.line_and_column();
    let verdict = match Script::of(case).and_then(|script| script.play(policy)) {
        Ok(differences) if differences.is_empty() => Ok(()),
        Ok(differences) => Err(differences.join("\n")),
        Err(faults) => Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    CaseOutcome {
        name: case.document.name.as_ref().map_or_else(|| "unnamed".to_owned(), |name| name.get_ref().clone()),
        file: case.place.file().to_owned(),
        line,
        verdict,
    }
}

/// `[[case]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseDocument {
    name: Placed<String>,
    #[serde(default)]
    regimes: Vec<Regime>,
    birth: Placed<Written>,
    #[serde(default)]
    event: Vec<Spanned<EventDocument>>,
    #[serde(default)]
    expect: Vec<Spanned<ExpectDocument>>,
}

/// `[[case.event]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventDocument {
    kind: Placed<EventKind>,
    purpose: Placed<Purpose>,
    at: Placed<Written>,
    captured_at: Placed<Written>,
    received_at: Placed<Written>,
    notice: Placed<NoticeId>,
    notice_version: Placed<u16>,
    controllers: Names<ControllerId>,
    purpose_version: Placed<u16>,
    assurance: Placed<Assurance>,
    explicit: Placed<bool>,
    valid_until: Placed<Written>,
    third_party: Placed<bool>,
    by: Option<Actor>,
    conflict_notice: Placed<bool>,
    regime: Placed<Regime>,
    birth: Placed<Written>,
    product_family: Placed<ProductFamily>,
    subscriber: Placed<SubscriberType>,
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Actor {
    Person,
    Parent,
}

/// `[[case.expect]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectDocument {
    at: Placed<Written>,
    recipient: Placed<RecipientId>,
    purpose: Placed<Purpose>,
    attributes: Option<Vec<AttributeName>>,
    decision: Placed<ExpectedDecision>,
    reason: Placed<Refusal>,
    permitted: Names<AttributeName>,
    withheld: Placed<BTreeMap<AttributeName, Refusal>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpectedDecision {
    Permit,
    Refuse,
}

/// A date or time, as text, as a TOML date, or (a year) as a number.
#[derive(Debug)]
struct Written(String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date or a time")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, year: i64) -> Result<Written, E> {
        Ok(Written(year.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        toml::value::Datetime::deserialize(MapAccessDeserializer::new(map))
            .map(|written| Written(written.to_string()))
            .map_err(|_| A::Error::custom("a date or a time is expected, not a table"))
    }
}

/// A case whose shape is right: events in order of receipt, expectations with their instants.
struct Script<'a> {
    facts: Vec<ConsentEvent>,
    events: Vec<ScriptedEvent<'a>>,
    expectations: Vec<Expectation<'a>>,
}

struct ScriptedEvent<'a> {
    place: Place<'a>,
    document: &'a EventDocument,
    kind: EventKind,
    captured_at: Timestamp,
    received_at: Timestamp,
    valid_until: Option<Timestamp>,
    birth: Option<Birth>,
}

struct Expectation<'a> {
    place: Place<'a>,
    document: &'a ExpectDocument,
    recipient: RecipientId,
    purpose: Purpose,
    at: Timestamp,
    reason: Option<Refusal>,
}

/// Collects faults of shape.
struct Reader {
    faults: Vec<PolicyFault>,
}

impl<'a> Script<'a> {
    fn of(case: &'a Table<'_, CaseDocument>) -> Result<Self, Vec<PolicyFault>> {
        let (place, document) = (case.place, &case.document);
        let mut reader = Reader { faults: Vec::new() };
        if document.name.as_ref().is_none_or(|name| name.get_ref().trim().is_empty()) {
            reader.fault(place, "a case has a `name`");
        }
        if document.expect.is_empty() {
            reader.fault(place, "a case has at least one `[[case.expect]]`");
        }
        let mut events = Vec::new();
        let mut next = FIRST;
        for event in &document.event {
            if let Some(event) = reader.event(place.at(&event.span()), event.get_ref(), next) {
                next = event.received_at.plus_ms(DAY_MS);
                events.push(event);
            }
        }
        let latest = events.iter().map(|event| event.received_at).max();
        let default = latest.map_or(FIRST, |latest| latest.plus_ms(DAY_MS));
        let expectations: Vec<_> = document
            .expect
            .iter()
            .filter_map(|expect| reader.expectation(place.at(&expect.span()), expect.get_ref(), default))
            .collect();
        let instants = events.iter().map(|event| event.captured_at).chain(expectations.iter().map(|e| e.at));
        let before_all = instants.min().unwrap_or(FIRST).plus_ms(-DAY_MS);
        let facts = reader.facts(place, document, before_all);
        // The order that counts is the order of receipt; together means as written.
        events.sort_by_key(|event| event.received_at);
        if reader.faults.is_empty() { Ok(Self { facts, events, expectations }) } else { Err(reader.faults) }
    }
}

impl Reader {
    fn fault(&mut self, place: Place<'_>, message: impl Into<String>) {
        self.faults.push(place.fault("case", message));
    }

    /// What is known of the person before anything happens.
    fn facts(&mut self, place: Place<'_>, document: &CaseDocument, at: Timestamp) -> Vec<ConsentEvent> {
        let regimes = document.regimes.iter().map(|regime| {
            let mut event = ConsentEvent::new(EventKind::RegimeDeclared, None, at, at);
            event.regime = Some(*regime);
            event
        });
        let mut facts: Vec<_> = regimes.collect();
        if let Some(birth) = self.birth(place, &document.birth) {
            let mut event = ConsentEvent::new(EventKind::BirthDeclared, None, at, at);
            event.birth = Some(birth);
            facts.push(event);
        }
        facts
    }

    fn event<'a>(
        &mut self,
        place: Place<'a>,
        document: &'a EventDocument,
        default: Timestamp,
    ) -> Option<ScriptedEvent<'a>> {
        let Some(kind) = &document.kind else {
            self.fault(place, "an event has a `kind`");
            return None;
        };
        let kind = *kind.get_ref();
        self.keys_of(place, document, kind);
        let at = self.time(place, &document.at, "at");
        let captured = self.time(place, &document.captured_at, "captured_at");
        let received = self.time(place, &document.received_at, "received_at");
        if document.at.is_some() && (document.captured_at.is_some() || document.received_at.is_some()) {
            self.fault(place, "an event has `at`, or `captured_at` and `received_at`");
        }
        let (captured_at, received_at) = match (at, captured, received) {
            (Some(at), ..) => (at, at),
            (None, Some(captured), Some(received)) => (captured, received),
            (None, Some(at), None) | (None, None, Some(at)) => {
                self.fault(place, "`captured_at` and `received_at` go together");
                (at, at)
            }
            (None, None, None) => (default, default),
        };
        if captured_at > received_at {
            self.fault(place, "an event is received when or after it is captured");
        }
        Some(ScriptedEvent {
            place,
            document,
            kind,
            captured_at,
            received_at,
            valid_until: self.time(place, &document.valid_until, "valid_until"),
            birth: self.birth(place, &document.birth),
        })
    }

    /// Which keys a kind needs, and which it has no use for.
    fn keys_of(&mut self, place: Place<'_>, document: &EventDocument, kind: EventKind) {
        let needs_purpose = carries_grant(kind) || kind == EventKind::Refused;
        if needs_purpose && document.purpose.is_none() {
            self.fault(place, "this kind of event has a `purpose`");
        }
        let needs = |wanted, given: bool| (kind == wanted) == given;
        if !needs(EventKind::RegimeDeclared, document.regime.is_some()) {
            self.fault(place, "`regime` belongs to REGIME_DECLARED, which needs it");
        }
        if !needs(EventKind::BirthDeclared, document.birth.is_some()) {
            self.fault(place, "`birth` belongs to BIRTH_DECLARED, which needs it");
        }
        if !needs(EventKind::SubscriberDeclared, document.subscriber.is_some()) {
            self.fault(place, "`subscriber` belongs to SUBSCRIBER_DECLARED, which needs it");
        }
        if document.conflict_notice.is_some() && kind != EventKind::OptInStep2 {
            self.fault(place, "`conflict_notice` belongs to OPT_IN_STEP2");
        }
        let of_grant = [
            ("notice", document.notice.is_some()),
            ("notice_version", document.notice_version.is_some()),
            ("controllers", document.controllers.is_some()),
            ("purpose_version", document.purpose_version.is_some()),
            ("assurance", document.assurance.is_some()),
            ("explicit", document.explicit.is_some()),
            ("valid_until", document.valid_until.is_some()),
            ("third_party", document.third_party.is_some()),
            ("product_family", document.product_family.is_some()),
        ];
        for (key, _) in of_grant.iter().filter(|(_, given)| *given && !carries_grant(kind)) {
            self.fault(place, format!("`{key}` belongs to a grant, which this kind of event is not"));
        }
    }

    fn expectation<'a>(
        &mut self,
        place: Place<'a>,
        document: &'a ExpectDocument,
        default: Timestamp,
    ) -> Option<Expectation<'a>> {
        let at = self.time(place, &document.at, "at").unwrap_or(default);
        if document.recipient.is_none() || document.purpose.is_none() {
            self.fault(place, "an expectation has a `recipient` and a `purpose`");
        }
        let reason = document.reason.as_ref().map(|reason| *reason.get_ref());
        match document.decision.as_ref().map(|decision| *decision.get_ref()) {
            None => self.fault(place, "an expectation has a `decision`: \"permit\" or \"refuse\""),
            Some(ExpectedDecision::Permit) if reason.is_some() => {
                self.fault(place, "a permit has no `reason`");
            }
            Some(ExpectedDecision::Refuse) if reason.is_none() => {
                self.fault(place, "a refusal is expected with its `reason`");
            }
            Some(ExpectedDecision::Refuse) if document.permitted.is_some() || document.withheld.is_some() => {
                self.fault(place, "a refusal has neither `permitted` nor `withheld`");
            }
            _ => {}
        }
        Some(Expectation {
            place,
            document,
            recipient: document.recipient.as_ref()?.get_ref().clone(),
            purpose: document.purpose.as_ref()?.get_ref().clone(),
            at,
            reason,
        })
    }

    fn time(&mut self, place: Place<'_>, value: &Placed<Written>, key: &str) -> Option<Timestamp> {
        let written = value.as_ref()?;
        match written.get_ref().0.parse() {
            Ok(at) => Some(at),
            Err(_) => {
                let message = format!("`{key}` is a time with its zone, such as 2026-01-31T09:00:00Z");
                self.fault(place.at(&written.span()), message);
                None
            }
        }
    }

    fn birth(&mut self, place: Place<'_>, value: &Placed<Written>) -> Option<Birth> {
        let written = value.as_ref()?;
        let text = &written.get_ref().0;
        let year = text.parse::<i16>().ok().filter(|year| (1900..2100).contains(year)).map(Birth::Year);
        let birth = year.or_else(|| text.parse::<Date>().ok().map(Birth::from_date));
        if birth.is_none() {
            self.fault(place.at(&written.span()), "a birth is a date such as 2011-05-01 or a year such as 2011");
        }
        birth
    }
}

/// Whether an event of this kind says what a consent rests on.
const fn carries_grant(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::GrantRequested
            | EventKind::GrantConfirmed
            | EventKind::GrantInvalid
            | EventKind::SoftOptInBasis
            | EventKind::ImpliedBasis
    )
}

impl Script<'_> {
    /// The differences between what is expected and what is decided.
    fn play(&self, policy: &ValidPolicy) -> Result<Vec<String>, Vec<PolicyFault>> {
        let mut faults = Vec::new();
        let unsaid = self.unsaid(policy);
        let mut events = self.facts.clone();
        for event in &self.events {
            match event.resolve(policy, &unsaid) {
                Ok(event) => events.push(event),
                Err(fault) => faults.push(fault),
            }
        }
        let asks: Vec<_> = self.expectations.iter().map(|expected| (expected, expected.ask(policy))).collect();
        faults.extend(asks.iter().filter_map(|(_, ask)| ask.as_ref().err().cloned()));
        if !faults.is_empty() {
            return Err(faults);
        }
        for (sequence, event) in (0..).zip(&mut events) {
            event.sequence = sequence;
        }
        let differences = asks.into_iter().filter_map(|(expected, ask)| {
            let ask = ask.ok()?;
            let known = events.iter().filter(|event| event.received_at <= expected.at);
            let standing = Standing::fold(SubjectId::from_bytes([0xca; 16]), known);
            expected.difference(&ask, decide(policy, &standing, &ask, expected.at))
        });
        Ok(differences.collect())
    }

    /// What a grant rests on that says nothing of it: a notice that names whoever the case asks for.
    fn unsaid(&self, policy: &ValidPolicy) -> Unsaid {
        let asked = self.expectations.iter().filter_map(|expected| policy.recipient(&expected.recipient));
        let recipients: Vec<_> = asked.map(AsRef::as_ref).cloned().collect();
        let controllers: BTreeSet<_> = recipients.iter().map(|rule| rule.controller.clone()).collect();
        Unsaid { controllers: controllers.into_iter().collect(), recipients }
    }
}

/// The recipients that a case asks for, and those for whom they receive.
struct Unsaid {
    controllers: Vec<ControllerId>,
    recipients: Vec<RecipientRule>,
}

impl Unsaid {
    /// A notice that explains the purpose to the person and names everybody asked for who receives for it.
    fn notice<'p>(&self, policy: &'p ValidPolicy, purpose: &Purpose) -> Option<&'p NoticeText> {
        let receives = |rule: &&RecipientRule| rule.purposes.contains(purpose);
        let names_all = |text: &&NoticeText| {
            self.recipients.iter().filter(receives).all(|rule| text.recipients.contains(&rule.id))
        };
        let explains = |text: &&NoticeText| text.current && text.purposes.contains(purpose) && names_all(text);
        policy.notices().map(AsRef::as_ref).find(explains)
    }
}

impl ScriptedEvent<'_> {
    fn resolve(&self, policy: &ValidPolicy, named: &Unsaid) -> Result<ConsentEvent, PolicyFault> {
        let document = self.document;
        let purpose = document.purpose.as_ref();
        let rule = match purpose {
            Some(purpose) => Some(policy.purpose(purpose.get_ref()).ok_or_else(|| {
                let message = format!("there is no purpose `{}`", purpose.get_ref());
                self.place.at(&purpose.span()).fault("unknown_reference", message)
            })?),
            None => None,
        };
        let purpose = purpose.map(|purpose| purpose.get_ref().clone());
        let mut event = ConsentEvent::new(self.kind, purpose, self.captured_at, self.received_at);
        if carries_grant(self.kind)
            && let Some(rule) = rule
        {
            event.grant = Some(self.grant(policy, rule, named)?);
        }
        event.regime = document.regime.as_ref().map(|regime| *regime.get_ref());
        event.birth = self.birth;
        event.subscriber = document.subscriber.as_ref().map(|subscriber| *subscriber.get_ref());
        event.by_parent = document.by == Some(Actor::Parent);
        event.conflict_notice = document.conflict_notice.as_ref().is_some_and(|told| *told.get_ref());
        Ok(event)
    }

    fn grant(&self, policy: &ValidPolicy, rule: &PurposeRule, unsaid: &Unsaid) -> Result<Grant, PolicyFault> {
        let document = self.document;
        let notice = match &document.notice {
            Some(id) => {
                let version = document.notice_version.as_ref().map(|version| *version.get_ref());
                let is_meant = |text: &&Arc<NoticeText>| {
                    &text.id == id.get_ref() && version.map_or(text.current, |version| text.version == version)
                };
                let shown = policy.notices().find(is_meant).map(AsRef::as_ref);
                Some(shown.ok_or_else(|| {
                    let message = format!("there is no notice `{}`", id.get_ref());
                    self.place.at(&id.span()).fault("unknown_reference", message)
                })?)
            }
            None => None,
        };
        let shown = notice.or_else(|| unsaid.notice(policy, &rule.id));
        let controllers = match (&document.controllers, notice) {
            (Some(listed), _) => listed.iter().map(|controller| controller.get_ref().clone()).collect(),
            (None, Some(notice)) => notice.controllers.clone(),
            (None, None) => unsaid.controllers.clone(),
        };
        Ok(Grant {
            notice: shown.map(|notice| notice.digest),
            purpose_version: document.purpose_version.as_ref().map_or(rule.version, |version| *version.get_ref()),
            assurance: match &document.assurance {
                Some(assurance) => *assurance.get_ref(),
                None => rule.assurance.max(Assurance::Form),
            },
            explicit: document.explicit.as_ref().is_some_and(|explicit| *explicit.get_ref()),
            controllers,
            valid_until: self.valid_until,
            product_family: match &document.product_family {
                Some(family) => Some(family.get_ref().clone()),
                // A sale of one's own, unless the case says of what.
                None if self.kind == EventKind::SoftOptInBasis => rule.product_families.first().cloned(),
                None => None,
            },
            third_party: document.third_party.as_ref().is_some_and(|third_party| *third_party.get_ref()),
        })
    }
}

impl Expectation<'_> {
    fn ask(&self, policy: &ValidPolicy) -> Result<Ask, PolicyFault> {
        let attributes = match &self.document.attributes {
            Some(attributes) => attributes.clone(),
            None => self.contract(policy),
        };
        if attributes.is_empty() {
            let message =
                "the contract of this recipient has nothing for this purpose: list the `attributes` asked";
            return Err(self.place.fault("case", message));
        }
        Ok(Ask::new(policy, self.recipient.clone(), self.purpose.clone(), attributes))
    }

    /// What is asked where the case lists nothing: all that the contract holds for the purpose; tagged
    /// attributes only where the purpose is itself sensitive.
    fn contract(&self, policy: &ValidPolicy) -> Vec<AttributeName> {
        let (Some(recipient), Some(purpose)) = (policy.recipient(&self.recipient), policy.purpose(&self.purpose))
        else {
            return Vec::new();
        };
        let serves = |name: &&AttributeName| {
            policy.attribute(name).is_some_and(|rule| {
                rule.purposes.contains(&self.purpose) && (purpose.sensitive || rule.tag.is_none())
            })
        };
        recipient.attributes.iter().filter(serves).cloned().collect()
    }

    fn difference(&self, ask: &Ask, decision: Decision) -> Option<String> {
        let (wanted, found) = match (self.reason, decision) {
            (Some(reason), Decision::Refuse(refusal)) if reason == refusal => return None,
            (Some(reason), Decision::Refuse(refusal)) => {
                (format!("refuse ({reason})"), format!("refuse ({refusal})"))
            }
            (Some(reason), Decision::Permit(permit)) => {
                (format!("refuse ({reason})"), format!("permit of {}", list(permit.attributes())))
            }
            (None, Decision::Refuse(refusal)) => ("permit".to_owned(), format!("refuse ({refusal})")),
            (None, Decision::Permit(permit)) => {
                let permitted: BTreeSet<_> = permit.attributes().collect();
                let withheld: BTreeMap<_, _> = permit.withheld().collect();
                let wanted = self.wanted(ask);
                let reasons = self.document.withheld.as_ref().map(|names| names.get_ref());
                let agrees = reasons.into_iter().flatten().all(|(name, why)| withheld.get(name) == Some(why));
                if permitted == wanted && agrees {
                    return None;
                }
                let reasons: Vec<_> = withheld.iter().map(|(name, why)| format!("{name} ({why})")).collect();
                let found = format!("permit of {}; withheld: {}", list(permitted), reasons.join(", "));
                (format!("permit of {}", list(wanted)), found)
            }
        };
        let (line, _) = self.place.line_and_column();
        let file = self.place.file();
        Some(format!("{file}:{line}: at {}: expected {wanted}, found {found}", self.at))
    }

    /// The attributes that a permit must name: those listed, else all that were asked and not said to be
    /// withheld.
    fn wanted<'e>(&'e self, ask: &'e Ask) -> BTreeSet<&'e AttributeName> {
        if let Some(permitted) = &self.document.permitted {
            return permitted.iter().map(|name| name.get_ref()).collect();
        }
        let withheld = self.document.withheld.as_ref().map(|names| names.get_ref());
        ask.attributes().filter(|name| withheld.is_none_or(|names| !names.contains_key(*name))).collect()
    }
}

fn list<'n>(names: impl IntoIterator<Item = &'n AttributeName>) -> String {
    let names: Vec<_> = names.into_iter().map(AttributeName::as_str).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
