//! The decision against a naive reference, and rules one by one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::attribute::{AttributeType, SensitiveTag};
use crate::consent::{Assurance, ConsentEvent, EventKind, Grant};
use crate::id::ReceiptId;
use crate::policy::{AttributeRule, NoticeText, PolicyVersion};
use crate::signal::SignalScope;
use crate::subject::Birth;
use crate::time::Months;
use crate::title::Title;

const DAY: i64 = 86_400_000;

/// A small generator: the same cases on every run and machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap();
        from[at].clone()
    }
}

pub(crate) fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

pub(crate) const PURPOSES: [&str; 6] = ["mail", "profiling", "sharing", "health", "service", "fraud"];
pub(crate) const ATTRIBUTES: [&str; 5] = ["band", "score", "illness", "hidden", "address"];
pub(crate) const RECIPIENTS: [&str; 3] = ["own", "sender", "network"];

/// A policy with everything that the rules distinguish, drawn anew for each seed.
pub(crate) fn policy(random: &mut Random) -> ValidPolicy {
    let modes = [
        Mode::OptIn,
        Mode::OptInOrSoft,
        Mode::OptInOrImplied,
        Mode::ExplicitOptIn,
        Mode::OptOut,
        Mode::Allowed,
        Mode::Forbidden,
    ];
    let purposes = PURPOSES
        .iter()
        .map(|id| {
            let version = u16::try_from(1 + random.below(3)).unwrap();
            let rule = PurposeRule {
                id: name(id),
                title: Title::of(*id),
                version,
                last_breaking_version: u16::try_from(1 + random.below(u64::from(version))).unwrap(),
                modes: RegimeFamily::ALL.into_iter().map(|family| (family, random.pick(&modes))).collect(),
                mode_exceptions: BTreeMap::from([("US_OTHER:MD".parse().unwrap(), random.pick(&modes))]),
                validity: Months(u16::try_from(1 + random.below(24)).unwrap()),
                third_party_validity: Months(u16::try_from(1 + random.below(4)).unwrap()),
                reask_after: Months(6),
                prompt_gap: Months(1),
                direct_marketing: random.one_in(2),
                sale_or_share: *id == "sharing" || random.one_in(5),
                sensitive: *id == "health" || random.one_in(6),
                spi_necessary: *id == "fraud",
                assurance: random.pick(&[Assurance::Imported, Assurance::Form, Assurance::ConfirmedMailbox]),
                assurance_exceptions: ["EU_GDPR", "EU_GDPR:DE", "US_OTHER"]
                    .into_iter()
                    .filter(|_| random.0.is_multiple_of(3))
                    .map(|regime| (regime.parse().unwrap(), Assurance::ConfirmedMailbox))
                    .collect(),
                fideslang: String::new(),
                dpv: String::new(),
                bases: Vec::new(),
            };
            (rule.id.clone(), Arc::new(rule))
        })
        .collect();
    let attributes = ATTRIBUTES
        .iter()
        .map(|id| {
            let served = match *id {
                "hidden" => None,
                "address" => Some(ServedForm::Plain),
                _ => Some(ServedForm::Flag),
            };
            let rule = AttributeRule {
                name: name(id),
                title: Title::of(""),
                stored: Some(AttributeType::Boolean),
                input: name(id),
                served,
                fideslang: String::new(),
                ccpa: 'A',
                retention: Months(24),
                tag: (*id == "illness").then_some(SensitiveTag::Health),
                purposes: PURPOSES.iter().filter(|_| !random.one_in(4)).map(|p| name(p)).collect(),
                k: 10,
            };
            (rule.name.clone(), Arc::new(rule))
        })
        .collect();
    let recipients = RECIPIENTS
        .iter()
        .map(|id| {
            let rule = RecipientRule {
                id: name(id),
                name: String::new(),
                role: match *id {
                    "own" => RecipientRole::Own,
                    "sender" => RecipientRole::Sender,
                    _ => RecipientRole::ThirdParty,
                },
                controller: name(if *id == "network" { "network" } else { "shop" }),
                country: "DE".to_owned(),
                purposes: PURPOSES.iter().filter(|_| !random.one_in(4)).map(|p| name(p)).collect(),
                attributes: ATTRIBUTES.iter().filter(|_| !random.one_in(5)).map(|a| name(a)).collect(),
                epoch: 1,
                previous_epoch: None,
            };
            (rule.id.clone(), Arc::new(rule))
        })
        .collect();
    ValidPolicy {
        version: PolicyVersion::from_bytes([1; 32]),
        controllers: BTreeMap::new(),
        purposes,
        attributes,
        recipients,
        forms: BTreeMap::new(),
        notices: NOTICES.iter().map(|(text, recipients)| notice(text, recipients)).collect(),
        signals: Vec::new(),
    }
}

/// The notices that persons were shown, and whom each named.
const NOTICES: [(&str, &[&str]); 3] =
    [("all", &["own", "sender", "network"]), ("house", &["own", "sender"]), ("nobody", &[])];

fn notice(text: &str, recipients: &[&str]) -> (NoticeDigest, Arc<NoticeText>) {
    let digest = NoticeDigest::of("en", text);
    let text = NoticeText {
        id: name(text),
        version: 1,
        locale: "en".to_owned(),
        digest,
        text: text.to_owned(),
        controllers: Vec::new(),
        purposes: Vec::new(),
        recipients: recipients.iter().map(|id| name(id)).collect(),
        current: true,
    };
    (digest, Arc::new(text))
}

pub(crate) fn history(random: &mut Random) -> Vec<ConsentEvent> {
    let kinds = [
        EventKind::GrantRequested,
        EventKind::GrantConfirmed,
        EventKind::GrantConfirmed,
        EventKind::GrantConfirmed,
        EventKind::GrantConfirmed,
        EventKind::Refused,
        EventKind::Withdrawn,
        EventKind::SoftOptInBasis,
        EventKind::ImpliedBasis,
        EventKind::GrantInvalid,
        EventKind::ParentAuthorised,
        EventKind::Objected,
        EventKind::OptOutSaleShare,
        EventKind::SignalGpc,
        EventKind::LimitSpi,
        EventKind::OptInStep1,
        EventKind::OptInStep2,
        EventKind::Restricted,
        EventKind::RestrictionLifted,
        EventKind::Expired,
        EventKind::AgeAttained,
    ];
    let count = random.below(9);
    let mut received = 1_000 * DAY;
    let mut events = Vec::new();
    let regimes =
        ["EU_GDPR:DE", "EU_GDPR:AT", "UK_GDPR", "US_CA", "US_OTHER:MD", "US_OTHER:CO", "CA_CASL", "UNKNOWN"];
    for _ in 0..random.below(3) {
        let mut event = ConsentEvent::new(EventKind::RegimeDeclared, None, at(received), at(received));
        event.regime = Some(random.pick(&regimes).parse().unwrap());
        events.push(event);
    }
    if random.one_in(3) {
        let mut event = ConsentEvent::new(EventKind::BirthDeclared, None, at(received), at(received));
        // The present of these cases lies in the years 1972 to 1975.
        event.birth = Some(Birth::Year(1950 + i16::try_from(random.below(18)).unwrap()));
        events.push(event);
    }
    for _ in 0..count {
        // Equal times happen on purpose.
        received += i64::try_from(random.below(4)).unwrap() * 20 * DAY;
        let kind = random.pick(&kinds);
        let personal = matches!(
            kind,
            EventKind::Objected
                | EventKind::OptOutSaleShare
                | EventKind::SignalGpc
                | EventKind::LimitSpi
                | EventKind::OptInStep1
                | EventKind::OptInStep2
                | EventKind::Restricted
                | EventKind::RestrictionLifted
                | EventKind::Expired
                | EventKind::AgeAttained
        );
        let none_named = kind == EventKind::Withdrawn && random.one_in(6);
        let of_one = matches!(
            kind,
            EventKind::Objected | EventKind::OptOutSaleShare | EventKind::OptInStep1 | EventKind::OptInStep2
        );
        let named = if of_one { random.one_in(2) } else { !personal && !none_named };
        let purpose = named.then(|| name(random.pick(&PURPOSES[..4])));
        let late = if random.one_in(5) { i64::try_from(random.below(60)).unwrap() * DAY } else { 0 };
        let mut event = ConsentEvent::new(kind, purpose, at(received - late), at(received));
        event.by_parent = random.one_in(3);
        event.conflict_notice = random.one_in(2);
        if matches!(kind, EventKind::OptInStep1 | EventKind::OptInStep2) && random.one_in(4) {
            event.step = Some(ReceiptId::from_bytes([1; 16]));
        }
        if random.one_in(60) {
            event.scope = Some(random.pick(&[SignalScope::Device, SignalScope::Profile, SignalScope::Consumer]));
        }
        if matches!(kind, EventKind::GrantConfirmed | EventKind::SoftOptInBasis | EventKind::ImpliedBasis) {
            // Mostly a notice that names everybody; at times another, one that nobody knows any more, or none.
            let shown = random.pick(&["all", "all", "all", "all", "all", "all", "house", "nobody", "lost", ""]);
            event.grant = Some(Grant {
                notice: (!shown.is_empty()).then(|| NoticeDigest::of("en", shown)),
                purpose_version: u16::try_from(1 + random.below(3)).unwrap(),
                assurance: random.pick(&[
                    Assurance::Imported,
                    Assurance::Form,
                    Assurance::ConfirmedMailbox,
                    Assurance::Authenticated,
                ]),
                explicit: random.one_in(2),
                controllers: if random.one_in(5) {
                    vec![name("network")]
                } else {
                    vec![name("shop"), name("network")]
                },
                valid_until: random.one_in(5).then(|| at(received + 90 * DAY)),
                third_party: random.one_in(2),
            });
        }
        events.push(event);
    }
    for (sequence, event) in events.iter_mut().enumerate() {
        event.sequence = u32::try_from(sequence).unwrap();
    }
    events
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The reference: the law's order again, straight from the list of events, slow and plain. It shares no code with the
/// fold or the decision but the policy's own lookup of a mode.
mod naive {
    use super::*;

    pub(super) struct Question<'a> {
        pub(super) policy: &'a ValidPolicy,
        pub(super) events: &'a [ConsentEvent],
        pub(super) recipient: &'a str,
        pub(super) purpose: &'a str,
        pub(super) attributes: &'a [&'a str],
        pub(super) now: Timestamp,
    }

    fn max(times: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
        times.max()
    }

    impl Question<'_> {
        fn of(&self, kind: EventKind) -> impl Iterator<Item = &ConsentEvent> {
            self.events.iter().filter(move |event| event.kind == kind)
        }

        fn about(&self, kind: EventKind) -> impl Iterator<Item = &ConsentEvent> {
            self.of(kind).filter(|event| event.purpose.as_ref().is_some_and(|p| p.as_str() == self.purpose))
        }

        fn denied(&self) -> Option<Timestamp> {
            let kinds = [EventKind::Refused, EventKind::Withdrawn];
            max(self
                .events
                .iter()
                .filter(|event| kinds.contains(&event.kind))
                .filter(|event| event.purpose.as_ref().is_none_or(|p| p.as_str() == self.purpose))
                .map(|event| event.received_at))
        }

        /// The grant captured last; among equals the one that allows least.
        fn latest(&self, kind: EventKind) -> Option<&ConsentEvent> {
            let mut grants: Vec<_> = self.about(kind).filter(|event| event.grant.is_some()).collect();
            grants.sort_by_key(|event| {
                let grant = event.grant.as_ref().unwrap();
                let end = grant.valid_until.unwrap_or(at(i64::MAX));
                (
                    event.captured_at,
                    std::cmp::Reverse((
                        grant.assurance,
                        !grant.third_party,
                        grant.explicit,
                        grant.purpose_version,
                        end,
                    )),
                )
            });
            grants.pop()
        }

        fn effective(&self) -> Option<&ConsentEvent> {
            let grant = self.latest(EventKind::GrantConfirmed)?;
            let imported = grant.grant.as_ref().unwrap().assurance == Assurance::Imported;
            let undone = self.denied().is_some_and(|denied| imported || denied >= grant.captured_at);
            if undone { None } else { Some(grant) }
        }

        fn regimes(&self) -> Vec<Regime> {
            let mut regimes: Vec<_> =
                self.of(EventKind::RegimeDeclared).filter_map(|event| event.regime).collect();
            regimes.sort_unstable();
            regimes.dedup();
            if regimes.len() > 1 {
                regimes.retain(|regime| *regime != Regime::Unknown);
            }
            if regimes.is_empty() {
                regimes.push(Regime::Unknown);
            }
            regimes
        }

        /// Second steps to a purpose, or to sale and sharing as a whole, that had their first, in order: when, by a
        /// parent, with a notice of the conflict.
        fn second_steps_of(&self, purpose: Option<&str>) -> Vec<(Timestamp, bool, bool)> {
            let mut open: Option<(Timestamp, Option<ReceiptId>)> = None;
            let mut steps = Vec::new();
            for event in self.events.iter().filter(|event| event.purpose.as_ref().map(Purpose::as_str) == purpose)
            {
                match event.kind {
                    EventKind::OptInStep1 if open.is_none_or(|(known, _)| known <= event.captured_at) => {
                        open = Some((event.captured_at, event.step));
                    }
                    EventKind::OptInStep2
                        if open.is_some_and(|(first, receipt)| {
                            first <= event.captured_at && receipt == event.step
                        }) =>
                    {
                        steps.push((event.captured_at, event.by_parent, event.conflict_notice));
                        open = None;
                    }
                    _ => {}
                }
            }
            steps
        }

        fn second_steps(&self) -> Vec<(Timestamp, bool, bool)> {
            [None, Some(self.purpose)].into_iter().flat_map(|purpose| self.second_steps_of(purpose)).collect()
        }

        /// Events of a kind that name this purpose or none.
        fn reaching(&self, kind: EventKind) -> impl Iterator<Item = &ConsentEvent> {
            self.of(kind).filter(|event| event.purpose.as_ref().is_none_or(|p| p.as_str() == self.purpose))
        }

        fn out_of_sale(&self) -> bool {
            let steps = self.second_steps();
            let asked = max(self.reaching(EventKind::OptOutSaleShare).map(|event| event.received_at));
            let by_request = asked.is_some_and(|out| !steps.iter().any(|(step, _, _)| *step > out));
            let signal = self.of(EventKind::SignalGpc).map(|event| event.received_at).min();
            let by_signal = signal.is_some_and(|gpc| {
                !steps.iter().any(|(step, _, told)| *told && *step > gpc && asked.is_none_or(|out| *step > out))
            });
            by_request || by_signal
        }

        fn in_to_sale(&self, parent: bool) -> bool {
            !self.out_of_sale() && self.second_steps().iter().any(|(_, by_parent, _)| *by_parent == parent)
        }

        fn is_limited(&self) -> bool {
            let limited = max(self.of(EventKind::LimitSpi).map(|event| event.received_at));
            let steps = self.second_steps_of(Some(self.purpose));
            limited.is_some_and(|limited| !steps.iter().any(|(step, _, _)| *step > limited))
        }

        /// Whether the notice of a grant named who asks now.
        fn told(&self, grant: &Grant, without_notice: bool) -> bool {
            let Some(shown) = grant.notice else { return without_notice };
            NOTICES
                .iter()
                .any(|(text, named)| NoticeDigest::of("en", text) == shown && named.contains(&self.recipient))
        }

        fn assurance(&self, regime: Regime) -> Assurance {
            let rule = self.policy.purpose(&name(self.purpose)).unwrap();
            let listed = |text: &str| rule.assurance_exceptions.get(&text.parse::<Regime>().unwrap()).copied();
            match regime.to_string().as_str() {
                "UNKNOWN" => rule.assurance_exceptions.values().copied().chain([rule.assurance]).max().unwrap(),
                text => {
                    let family = text.split(':').next().unwrap();
                    listed(text).or_else(|| listed(family)).unwrap_or(rule.assurance)
                }
            }
        }

        fn holds(&self, event: &ConsentEvent, consent: Option<Regime>) -> Result<(), Refusal> {
            let grant = event.grant.as_ref().unwrap();
            let rule = self.policy.purpose(&name(self.purpose)).unwrap();
            let controller = &self.policy.recipient(&name(self.recipient)).unwrap().controller;
            if !grant.controllers.iter().any(|known| known == controller) {
                Err(Refusal::Controller)
            } else if !self.told(grant, consent.is_none()) {
                Err(Refusal::RecipientNotDisclosed)
            } else if !(rule.last_breaking_version..=rule.version).contains(&grant.purpose_version) {
                Err(Refusal::Reconsent)
            } else if grant.valid_until.is_some_and(|end| end <= self.now)
                || rule.validity.after(event.captured_at) <= self.now
            {
                Err(Refusal::Expired)
            } else if grant.third_party && rule.third_party_validity.after(event.captured_at) <= self.now {
                Err(Refusal::StaleThirdParty)
            } else if consent.is_some_and(|regime| grant.assurance < self.assurance(regime)) {
                Err(Refusal::Assurance)
            } else {
                Ok(())
            }
        }

        fn given(&self, regime: Regime) -> Result<&Grant, Refusal> {
            if let Some(event) = self.effective() {
                self.holds(event, Some(regime))?;
                return Ok(event.grant.as_ref().unwrap());
            }
            let denied = self.denied();
            let withdrawn = max(self
                .of(EventKind::Withdrawn)
                .filter(|event| event.purpose.as_ref().is_none_or(|p| p.as_str() == self.purpose))
                .map(|event| event.received_at));
            let refused = max(self.about(EventKind::Refused).map(|event| event.received_at));
            let requested = max(self.about(EventKind::GrantRequested).map(|event| event.captured_at));
            Err(if requested.is_some_and(|at| denied.is_none_or(|denied| at > denied)) {
                Refusal::Pending
            } else if withdrawn.is_some() && withdrawn >= refused {
                Refusal::Withdrawn
            } else if refused.is_some() {
                Refusal::Refused
            } else if self.about(EventKind::GrantInvalid).next().is_some() {
                Refusal::Invalid
            } else {
                Refusal::NoConsent
            })
        }

        pub(super) fn answer(&self) -> Result<Vec<String>, Refusal> {
            let rule = self.policy.purpose(&name(self.purpose)).ok_or(Refusal::UnknownPurpose)?;
            let restricted = max(self.of(EventKind::Restricted).map(|event| event.received_at));
            let lifted = max(self.of(EventKind::RestrictionLifted).map(|event| event.received_at));
            if restricted.is_some() && lifted <= restricted {
                return Err(Refusal::Restricted);
            }
            if self.events.iter().any(|event| event.scope == Some(SignalScope::Device)) {
                return Err(Refusal::NotFound);
            }
            let steps = self.second_steps();
            let taken_back = |at: Timestamp| steps.iter().any(|(step, _, _)| *step > at);
            let objections = self
                .reaching(EventKind::Objected)
                .filter(|event| match event.purpose {
                    Some(_) => !taken_back(event.received_at),
                    None => rule.direct_marketing,
                })
                .map(|event| event.received_at);
            if let Some(objected) = max(objections) {
                let reopened = self.effective().is_some_and(|grant| {
                    grant.captured_at > objected && grant.grant.as_ref().unwrap().assurance != Assurance::Imported
                });
                if !reopened {
                    return Err(Refusal::Objected);
                }
            }
            let recipient = self.policy.recipient(&name(self.recipient)).ok_or(Refusal::Recipient)?;
            let mut allowed: Vec<_> = self
                .attributes
                .iter()
                .filter_map(|asked| self.policy.attribute(&name(asked)))
                .filter(|attribute| attribute.purposes.iter().any(|p| p.as_str() == self.purpose))
                .filter(|attribute| recipient.attributes.contains(&attribute.name))
                .filter(|attribute| match &attribute.served {
                    None => false,
                    Some(ServedForm::Plain) => recipient.role == RecipientRole::Sender,
                    Some(_) => true,
                })
                .collect();
            if allowed.is_empty() {
                return Err(Refusal::Minimisation);
            }
            if !recipient.purposes.iter().any(|p| p.as_str() == self.purpose) {
                return Err(Refusal::Recipient);
            }
            let regimes = self.regimes();
            self.minors(rule, &regimes)?;
            if rule.sensitive || allowed.iter().any(|attribute| attribute.tag.is_some()) {
                let fine = regimes.iter().all(|regime| match regime {
                    Regime::UsCa => rule.spi_necessary || !self.is_limited(),
                    _ if rule.spi_necessary && rule.mode(*regime) == Mode::Allowed => true,
                    _ => self.given(*regime).is_ok_and(|grant| grant.explicit),
                });
                if !fine {
                    allowed.retain(|attribute| attribute.tag.is_none() && !rule.sensitive);
                }
                if allowed.is_empty() {
                    return Err(Refusal::Sensitive);
                }
            }
            for regime in &regimes {
                self.mode(rule, *regime)?;
            }
            Ok(allowed.iter().map(|attribute| attribute.name.to_string()).collect())
        }

        fn minors(&self, rule: &PurposeRule, regimes: &[Regime]) -> Result<(), Refusal> {
            let birth = self
                .of(EventKind::BirthDeclared)
                .max_by_key(|event| (event.received_at, event.sequence))
                .and_then(|event| event.birth);
            let Some(birth) = birth else { return Ok(()) };
            let age = birth.age_at(self.now);
            let authorised = self.about(EventKind::ParentAuthorised).next().is_some();
            for regime in regimes {
                if rule.mode(*regime) == Mode::Allowed && !rule.sale_or_share {
                    continue;
                }
                let american = matches!(regime, Regime::UsCa | Regime::UsOther(_));
                if rule.sale_or_share && american {
                    if age < 13 && !self.in_to_sale(true) || (13..16).contains(&age) && !self.in_to_sale(false) {
                        return Err(Refusal::Minor);
                    }
                } else if age < regime.age_of_digital_consent() && !authorised {
                    return Err(Refusal::Minor);
                }
            }
            Ok(())
        }

        fn mode(&self, rule: &PurposeRule, regime: Regime) -> Result<(), Refusal> {
            let weaker = |kind| match self.latest(kind) {
                Some(basis) if self.denied().is_none() => Some(self.holds(basis, None)),
                _ => None,
            };
            let out = rule.sale_or_share && self.out_of_sale();
            match rule.mode(regime) {
                Mode::Forbidden => Err(Refusal::Forbidden),
                Mode::Allowed if !rule.direct_marketing => Ok(()),
                Mode::Allowed | Mode::OptOut => {
                    let limited = rule.sensitive && !rule.spi_necessary && self.is_limited();
                    let denied = self.denied().is_some_and(|denied| {
                        if rule.sale_or_share {
                            !self.second_steps().iter().any(|(step, _, _)| *step > denied)
                        } else {
                            self.effective().is_none()
                        }
                    });
                    if out || limited || denied { Err(Refusal::OptedOut) } else { Ok(()) }
                }
                _ if out => Err(Refusal::OptedOut),
                Mode::OptIn => self.given(regime).map(drop),
                Mode::ExplicitOptIn => {
                    if self.given(regime)?.explicit {
                        Ok(())
                    } else {
                        Err(Refusal::Sensitive)
                    }
                }
                Mode::OptInOrSoft => match (self.given(regime), weaker(EventKind::SoftOptInBasis)) {
                    (Ok(_), _) => Ok(()),
                    (Err(_), Some(basis)) => basis,
                    (Err(refusal), None) => Err(refusal),
                },
                Mode::OptInOrImplied => match (self.given(regime), weaker(EventKind::ImpliedBasis)) {
                    (Ok(_), _) => Ok(()),
                    (Err(_), Some(basis)) => basis,
                    (Err(refusal), None) => Err(refusal),
                },
            }
        }
    }
}

/// At least 10^5 random cases; `CONSENTRY_DECISION_CASES` sets another number, for example 1000000.
#[test]
fn the_decision_agrees_with_a_naive_reading_of_the_law() {
    let cases: u64 =
        std::env::var("CONSENTRY_DECISION_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000);
    let mut random = Random(20_261_122);
    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut rules = policy(&mut random);
    for case in 0..cases {
        if case % 50 == 0 {
            rules = policy(&mut random);
        }
        let events = history(&mut random);
        let recipient = random.pick(&RECIPIENTS);
        let purpose = random.pick(&PURPOSES);
        let asked: Vec<&str> = ATTRIBUTES.iter().copied().filter(|_| !random.one_in(3)).collect();
        let now = at((1_000 + i64::try_from(random.below(900)).unwrap()) * DAY);
        let standing = Standing::fold(SubjectId::from_bytes([3; 16]), &events);
        let ask = Ask::new(&rules, name(recipient), name(purpose), asked.iter().map(|a| name(a)).collect());
        let decided = match decide(&rules, &standing, &ask, now) {
            Decision::Permit(permit) => Ok(permit.attributes().map(ToString::to_string).collect::<Vec<_>>()),
            Decision::Refuse(refusal) => Err(refusal),
        };
        let question =
            naive::Question { policy: &rules, events: &events, recipient, purpose, attributes: &asked, now };
        let expected = question.answer();
        assert_eq!(decided, expected, "case {case}: {purpose} for {recipient}, {asked:?}, {events:#?}");
        *outcomes.entry(expected.as_ref().err().map_or("permit", |refusal| refusal.code())).or_default() += 1;
    }
    // A generator that never reaches a rule tests nothing.
    for outcome in [
        "permit",
        "not_found",
        "restricted",
        "objected",
        "minimisation",
        "recipient",
        "minor",
        "sensitive",
        "no_consent",
        "pending",
        "withdrawn",
        "refused",
        "expired",
        "reconsent",
        "invalid",
        "controller",
        "assurance",
        "recipient_not_disclosed",
        "opted_out",
        "forbidden",
        "stale_third_party",
    ] {
        assert!(outcomes.get(outcome).copied().unwrap_or_default() > cases / 10_000, "{outcome}: {outcomes:?}");
    }
}

#[test]
fn an_ask_of_another_policy_version_is_refused() {
    let mut random = Random(1);
    let mut rules = policy(&mut random);
    let ask = Ask::new(&rules, name("own"), name("service"), vec![name("band")]);
    rules.version = PolicyVersion::from_bytes([2; 32]);
    let standing = Standing::of(SubjectId::from_bytes([3; 16]));
    assert!(matches!(decide(&rules, &standing, &ask, at(0)), Decision::Refuse(Refusal::Forbidden)));
}

#[test]
fn cap_21_nothing_is_permitted_of_a_person_of_whom_nothing_is_known() {
    let mut random = Random(7);
    let mut rules = policy(&mut random);
    for rule in rules.purposes.values_mut() {
        let rule = Arc::make_mut(rule);
        rule.modes = RegimeFamily::ALL.into_iter().map(|family| (family, Mode::OptIn)).collect();
    }
    let standing = Standing::of(SubjectId::from_bytes([3; 16]));
    for (recipient, purpose) in RECIPIENTS.iter().flat_map(|r| PURPOSES.iter().map(move |p| (r, p))) {
        let ask = Ask::new(&rules, name(recipient), name(purpose), ATTRIBUTES.iter().map(|a| name(a)).collect());
        assert!(matches!(decide(&rules, &standing, &ask, at(0)), Decision::Refuse(_)));
    }
}
