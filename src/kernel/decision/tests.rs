//! The decision against a naive reference, and rules one by one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::attribute::{AttributeType, SensitiveTag};
use crate::consent::{Assurance, Basis, ConsentEvent, EventKind, Grant};
use crate::id::ReceiptId;
use crate::policy::{AttributeRule, Contract, Epochs, Mode, NoticeText, PartialBreak, PolicyVersion};
use crate::purpose::ProductFamily;
use crate::recipient::ContractKind;
use crate::regime::{Regime, RegimeFamily};
use crate::signal::SignalScope;
use crate::subject::{Birth, SubscriberType};
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
        Mode::LegitimateInterest,
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
                bases: if random.one_in(2) { vec![Basis::Contract] } else { Vec::new() },
                legal_person_modes: if random.one_in(2) {
                    BTreeMap::from([
                        ("EU_GDPR".parse().unwrap(), random.pick(&modes)),
                        ("EU_GDPR:AT".parse().unwrap(), random.pick(&modes)),
                    ])
                } else {
                    BTreeMap::new()
                },
                partial_breaks: if random.one_in(2) { vec![partial_break(random, version)] } else { Vec::new() },
                product_families: if random.one_in(4) { Vec::new() } else { vec![name("shoes")] },
                significant_effect: random.one_in(5),
                human_review: None,
                political: random.one_in(8),
                minimum_age: random.one_in(8).then_some(15),
                risk_assessment: None,
                dpia: None,
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
                quasi_identifier: false,
                model: None,
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
                epochs: Epochs::only(1),
                contract: Some(Contract {
                    reference: "C-1".to_owned(),
                    kind: ContractKind::ServiceProvider,
                    // One of them has ended.
                    ends: random.one_in(8).then(|| Timestamp::from_millis(0)),
                    sub_processors: Vec::new(),
                }),
                no_reid: None,
                deidentified: None,
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

/// A version that brought a part of what there is.
fn partial_break(random: &mut Random, version: u16) -> PartialBreak {
    PartialBreak {
        version,
        attributes: ATTRIBUTES.iter().filter(|_| random.one_in(3)).map(|id| name(id)).collect(),
        recipients: RECIPIENTS.iter().filter(|_| random.one_in(3)).map(|id| name(id)).collect(),
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
        child: None,
        short: None,
        objection: None,
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
        EventKind::AdmtOptOut,
        EventKind::Interacted,
    ];
    let count = random.below(9);
    let mut received = 1_000 * DAY;
    let mut events = Vec::new();
    let regimes = [
        "EU_GDPR:DE",
        "EU_GDPR:AT",
        "EU_GDPR:FR",
        "UK_GDPR",
        "US_CA",
        "US_OTHER:MD",
        "US_OTHER:CO",
        "US_OTHER",
        "CA_CASL",
        "UNKNOWN",
    ];
    if random.one_in(6) {
        let mut event = ConsentEvent::new(EventKind::SubscriberDeclared, None, at(received), at(received));
        event.subscriber = Some(random.pick(&[SubscriberType::Natural, SubscriberType::Legal]));
        events.push(event);
    }
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
                | EventKind::AdmtOptOut
                | EventKind::Interacted
        );
        let none_named = kind == EventKind::Withdrawn && random.one_in(6);
        let of_one = matches!(
            kind,
            EventKind::Objected
                | EventKind::RestrictionLifted
                | EventKind::OptOutSaleShare
                | EventKind::OptInStep1
                | EventKind::OptInStep2
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
                product_family: match random.below(4) {
                    0 => None,
                    1 => Some(name("insurance")),
                    _ => Some(name("shoes")),
                },
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
        fn rule(&self) -> &PurposeRule {
            self.policy.purpose(&name(self.purpose)).unwrap()
        }

        /// The last to say which kind of subscriber it is; of two at once, the one who says a natural person.
        fn is_legal_person(&self) -> bool {
            let said: Vec<_> = self.of(EventKind::SubscriberDeclared).collect();
            let last = max(said.iter().map(|event| event.received_at));
            let mut last = said.iter().filter(|event| Some(event.received_at) == last);
            !said.is_empty() && last.all(|event| event.subscriber == Some(SubscriberType::Legal))
        }

        fn mode_of(&self, regime: Regime) -> Mode {
            let rule = self.rule();
            if self.is_legal_person() {
                let exact = regime.to_string();
                for listed in [exact.as_str(), exact.split(':').next().unwrap()] {
                    if let Some(mode) = rule.legal_person_modes.get(&listed.parse::<Regime>().unwrap()) {
                        return *mode;
                    }
                }
            }
            rule.mode(regime)
        }

        /// An objection at `at` is undone by the person's own later consent to this very purpose.
        fn reopened(&self, at: Timestamp) -> bool {
            self.effective().is_some_and(|grant| {
                grant.captured_at > at && grant.grant.as_ref().unwrap().assurance != Assurance::Imported
            })
        }

        fn objections(&self) -> Result<(), Refusal> {
            let marketing = self.rule().direct_marketing;
            let steps = self.second_steps();
            let outweighed = max(self.about(EventKind::RestrictionLifted).map(|event| event.received_at));
            let standing = self.reaching(EventKind::Objected).filter(|event| {
                let at = event.received_at;
                match event.purpose {
                    None => marketing,
                    Some(_) if steps.iter().any(|(step, _, _)| *step > at) => false,
                    Some(_) => marketing || outweighed.is_none_or(|since| since <= at),
                }
            });
            match max(standing.map(|event| event.received_at)) {
                Some(at) if !self.reopened(at) && marketing => Err(Refusal::Objected),
                Some(at) if !self.reopened(at) => Err(Refusal::Restricted),
                _ => Ok(()),
            }
        }

        /// When the person was last heard of, by an act of their own.
        fn heard_of(&self) -> Option<Timestamp> {
            let acts = |event: &&ConsentEvent| match event.kind {
                EventKind::GrantRequested | EventKind::GrantConfirmed => {
                    !event.by_parent && event.grant.as_ref().is_none_or(|g| g.assurance != Assurance::Imported)
                }
                EventKind::SoftOptInBasis | EventKind::ImpliedBasis | EventKind::Interacted => true,
                EventKind::Refused
                | EventKind::Withdrawn
                | EventKind::Objected
                | EventKind::OptOutSaleShare
                | EventKind::LimitSpi
                | EventKind::AdmtOptOut
                | EventKind::OptInStep1
                | EventKind::OptInStep2 => !event.by_parent,
                _ => false,
            };
            max(self
                .events
                .iter()
                .filter(|event| event.scope.is_none())
                .filter(acts)
                .map(|event| event.captured_at))
        }

        fn age(&self) -> Option<i16> {
            let birth = self.of(EventKind::BirthDeclared).max_by_key(|event| (event.received_at, event.sequence));
            birth.and_then(|event| event.birth).map(|birth| birth.age_at(self.now))
        }

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
            } else if !(rule.last_breaking_version..=rule.version).contains(&grant.purpose_version)
                || rule.partial_breaks.iter().any(|part| {
                    part.version > grant.purpose_version && part.recipients.contains(&name(self.recipient))
                })
            {
                Err(Refusal::Reconsent)
            } else if grant.valid_until.is_some_and(|end| end <= self.now)
                || rule.validity.after(event.captured_at) <= self.now
                    && (consent.is_some() || grant.valid_until.is_none())
            {
                Err(Refusal::Expired)
            } else if consent.is_some()
                && grant.third_party
                && rule.third_party_validity.after(event.captured_at) <= self.now
            {
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
            let lifted = self.of(EventKind::RestrictionLifted).filter(|event| event.purpose.is_none());
            let lifted = max(lifted.map(|event| event.received_at));
            if restricted.is_some() && lifted <= restricted {
                return Err(Refusal::Restricted);
            }
            if self.events.iter().any(|event| event.scope == Some(SignalScope::Device)) {
                return Err(Refusal::NotFound);
            }
            self.objections()?;
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
            let contract_ended = recipient.contract.as_ref().and_then(|contract| contract.ends);
            if !recipient.purposes.iter().any(|p| p.as_str() == self.purpose)
                || (recipient.contract.is_none() && recipient.role != RecipientRole::Own)
                || contract_ended.is_some_and(|end| end <= self.now)
            {
                return Err(Refusal::Recipient);
            }
            let regimes = self.regimes();
            self.minors(rule, &regimes)?;
            let young = self.age().is_some_and(|age| age < 16);
            let before = allowed.len();
            let mut why = Refusal::Sensitive;
            for regime in &regimes {
                let all = rule.sensitive || young && *regime == Regime::UsCa;
                if !all && allowed.iter().all(|attribute| attribute.tag.is_none()) {
                    continue;
                }
                match self.sensitive(rule, *regime) {
                    Ok(()) => continue,
                    Err(Refusal::Expired) => why = Refusal::Expired,
                    Err(_) => {}
                }
                allowed.retain(|attribute| !all && attribute.tag.is_none());
            }
            if rule.political {
                allowed.retain(|attribute| attribute.tag.is_none());
            }
            if allowed.is_empty() || rule.significant_effect && allowed.len() < before {
                return Err(why);
            }
            for regime in &regimes {
                let relied_on = self.mode(rule, *regime)?;
                if rule.significant_effect {
                    self.automated(rule, *regime)?;
                }
                let parts = rule.partial_breaks.iter().filter(|part| relied_on.is_some_and(|v| v < part.version));
                let new: Vec<_> = parts.flat_map(|part| &part.attributes).collect();
                allowed.retain(|attribute| !new.contains(&&attribute.name));
            }
            if allowed.is_empty() {
                return Err(Refusal::Reconsent);
            }
            Ok(allowed.iter().map(|attribute| attribute.name.to_string()).collect())
        }

        fn sensitive(&self, rule: &PurposeRule, regime: Regime) -> Result<(), Refusal> {
            let fine = match regime.to_string().as_str() {
                "US_CA" => rule.spi_necessary || !self.is_limited(),
                _ if rule.spi_necessary && self.mode_of(regime) == Mode::Allowed => true,
                "US_OTHER:MD" | "US_OTHER" => false,
                "US_OTHER:CO" => {
                    let grant = self.effective().filter(|_| self.given(regime).is_ok_and(|grant| grant.explicit));
                    let Some(grant) = grant else { return Err(Refusal::Sensitive) };
                    let last = self.heard_of().into_iter().chain([grant.captured_at]).max().unwrap();
                    return if Months(24).after(last) <= self.now { Err(Refusal::Expired) } else { Ok(()) };
                }
                _ => self.given(regime).is_ok_and(|grant| grant.explicit),
            };
            if fine { Ok(()) } else { Err(Refusal::Sensitive) }
        }

        fn automated(&self, rule: &PurposeRule, regime: Regime) -> Result<(), Refusal> {
            if self.of(EventKind::AdmtOptOut).next().is_some() {
                return Err(Refusal::OptedOut);
            }
            let european = matches!(regime, Regime::EuGdpr(_) | Regime::Unknown);
            let contract = rule.bases.contains(&Basis::Contract) && self.mode_of(regime) == Mode::Allowed;
            let explicit = self.given(regime).is_ok_and(|grant| grant.explicit);
            if european && !contract && !explicit { Err(Refusal::AutomatedDecision) } else { Ok(()) }
        }

        fn minors(&self, rule: &PurposeRule, regimes: &[Regime]) -> Result<(), Refusal> {
            let Some(age) = self.age() else { return Ok(()) };
            let too_young = [
                rule.minimum_age.is_some_and(|least| age < least),
                rule.significant_effect && age < 18,
                rule.political && age < 17,
            ];
            if too_young.contains(&true) {
                return Err(Refusal::Minor);
            }
            let parents_word_alone = self.effective().is_some_and(|grant| grant.by_parent);
            let authorised = self.about(EventKind::ParentAuthorised).next().is_some();
            for regime in regimes {
                if self.mode_of(*regime) == Mode::Allowed && !rule.sale_or_share {
                    continue;
                }
                let american = matches!(regime, Regime::UsCa | Regime::UsOther(_));
                if rule.sale_or_share && american {
                    if age < 13 && !self.in_to_sale(true) || (13..16).contains(&age) && !self.in_to_sale(false) {
                        return Err(Refusal::Minor);
                    }
                } else if age < regime.age_of_digital_consent() {
                    let joint = regime.to_string() == "EU_GDPR:FR";
                    if !authorised || joint && parents_word_alone {
                        return Err(Refusal::Minor);
                    }
                }
            }
            Ok(())
        }

        /// The version of the consent, or weaker basis, that is relied on.
        fn mode(&self, rule: &PurposeRule, regime: Regime) -> Result<Option<u16>, Refusal> {
            let version = |event: &ConsentEvent| Some(event.grant.as_ref().unwrap().purpose_version);
            let weaker = |kind| match self.latest(kind) {
                Some(basis) if self.denied().is_none() => Some(self.holds(basis, None).map(|()| version(basis))),
                _ => None,
            };
            let own = |family: &Option<ProductFamily>| {
                family.as_ref().is_some_and(|family| rule.product_families.contains(family))
            };
            let given = || self.given(regime).map(|grant| Some(grant.purpose_version));
            let out = rule.sale_or_share && self.out_of_sale();
            match self.mode_of(regime) {
                Mode::Forbidden => Err(Refusal::Forbidden),
                Mode::Allowed if !rule.direct_marketing => {
                    let asked = self.about(EventKind::GrantConfirmed).any(|event| event.grant.is_some())
                        || self.about(EventKind::GrantRequested).next().is_some();
                    let refused = self.about(EventKind::Refused).next().is_some();
                    let withdrawn = self.about(EventKind::Withdrawn).next().is_some();
                    if self.effective().is_none() && (refused || withdrawn && asked) {
                        return Err(self.given(regime).unwrap_err());
                    }
                    Ok(None)
                }
                Mode::Allowed | Mode::OptOut | Mode::LegitimateInterest => {
                    let limited = rule.sensitive && !rule.spi_necessary && self.is_limited();
                    let denied = self.denied().is_some_and(|denied| {
                        if rule.sale_or_share {
                            !self.second_steps().iter().any(|(step, _, _)| *step > denied)
                        } else {
                            self.effective().is_none()
                        }
                    });
                    if out || limited || denied { Err(Refusal::OptedOut) } else { Ok(None) }
                }
                _ if out => Err(Refusal::OptedOut),
                Mode::OptIn => given(),
                Mode::ExplicitOptIn => {
                    if self.given(regime)?.explicit {
                        given()
                    } else {
                        Err(Refusal::Sensitive)
                    }
                }
                Mode::OptInOrSoft => {
                    let soft = self.latest(EventKind::SoftOptInBasis);
                    let is_own = soft.is_some_and(|soft| own(&soft.grant.as_ref().unwrap().product_family));
                    match (given(), weaker(EventKind::SoftOptInBasis).filter(|_| is_own)) {
                        (Ok(version), _) => Ok(version),
                        (Err(_), Some(basis)) => basis,
                        (Err(refusal), None) => Err(refusal),
                    }
                }
                Mode::OptInOrImplied => match (given(), weaker(EventKind::ImpliedBasis)) {
                    (Ok(version), _) => Ok(version),
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
        "automated_decision",
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
