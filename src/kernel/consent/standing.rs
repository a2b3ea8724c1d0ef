//! The standing: everything a decision needs of a person, folded from the events and never edited by hand.
//!
//! Each fact is a maximum (or, for the first signal, a minimum) over events, so the fold does not depend on the
//! order in which equal-aged events were applied, and a late or replayed post cannot bring a consent back: a grant
//! counts only if it was *captured* after every denial was *received* (CAP-19, STA-12).

use minicbor::{Decode, Encode};

use super::event::{Assurance, ConsentEvent, EventKind, Grant};
use super::steps::Steps;
use crate::controller::ControllerId;
use crate::purpose::Purpose;
use crate::regime::{Regime, RegimeSource};
use crate::signal::{SignalDigest, SignalScope};
use crate::source::SourceId;
use crate::subject::{Birth, SubjectId, SubscriberType};
use crate::time::Timestamp;

/// The latest grant of one kind for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GrantStanding {
    /// When the person acted.
    #[n(0)]
    pub captured_at: Timestamp,
    /// When the gateway received it.
    #[n(1)]
    pub received_at: Timestamp,
    /// Its place in the history.
    #[n(2)]
    pub sequence: u32,
    /// What it rests on.
    #[n(3)]
    pub grant: Grant,
    /// Whether a parent acted in the person's place.
    #[n(4)]
    #[cbor(default)]
    pub by_parent: bool,
    /// The form or source that collected it.
    #[n(5)]
    pub source: Option<SourceId>,
}

/// What is known of one purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct PurposeStanding {
    /// The latest confirmed grant.
    #[n(0)]
    pub confirmed: Option<GrantStanding>,
    /// The latest soft opt-in.
    #[n(1)]
    pub soft: Option<GrantStanding>,
    /// The latest implied consent.
    #[n(2)]
    pub implied: Option<GrantStanding>,
    /// When the latest unconfirmed request was captured.
    #[n(3)]
    pub requested_at: Option<Timestamp>,
    /// When the latest void grant was received.
    #[n(4)]
    pub invalid_at: Option<Timestamp>,
    /// When the latest refusal was received.
    #[n(5)]
    pub refused_at: Option<Timestamp>,
    /// When the latest withdrawal was received.
    #[n(6)]
    pub withdrawn_at: Option<Timestamp>,
    /// When a parent last authorised.
    #[n(7)]
    pub parent_authorised_at: Option<Timestamp>,
    /// When the latest objection to this purpose alone was received (GDPR Art. 21(1)).
    #[n(12)]
    pub objected_at: Option<Timestamp>,
    /// When the latest opt-out of this purpose alone was received.
    #[n(13)]
    pub opted_out_at: Option<Timestamp>,
    /// The opt-ins in two steps to this purpose alone.
    #[n(14)]
    pub steps: Option<Steps>,
    /// When it was last decided that compelling grounds outweigh such objections.
    #[n(15)]
    pub outweighed_at: Option<Timestamp>,
}

impl PurposeStanding {
    /// When the latest denial of this purpose, a refusal or a withdrawal, was received.
    #[must_use]
    pub fn denied_at(&self) -> Option<Timestamp> {
        self.refused_at.max(self.withdrawn_at)
    }
}

/// The fold of one subject's consent events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    subject: SubjectId,
    facts: Facts,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
struct Facts {
    #[n(0)]
    events: u32,
    #[n(1)]
    regimes: Vec<Regime>,
    #[n(2)]
    purposes: Vec<NamedPurpose>,
    #[n(3)]
    objected_at: Option<Timestamp>,
    #[n(4)]
    restricted_at: Option<Timestamp>,
    #[n(5)]
    lifted_at: Option<Timestamp>,
    #[n(6)]
    opted_out_at: Option<Timestamp>,
    #[n(7)]
    gpc_first_at: Option<Timestamp>,
    #[n(8)]
    limited_at: Option<Timestamp>,
    // 9 to 12 were the steps of an opt-in, without their receipts.
    #[n(13)]
    birth: Option<Birth>,
    #[n(14)]
    birth_at: Option<Timestamp>,
    #[n(15)]
    parent_authorised_at: Option<Timestamp>,
    #[n(16)]
    erased_at: Option<Timestamp>,
    #[n(17)]
    withdrawn_all_at: Option<Timestamp>,
    /// The regimes that were assumed and never declared.
    #[n(18)]
    assumed: Option<Vec<Regime>>,
    /// The opt-ins in two steps to sale and sharing as a whole.
    #[n(24)]
    steps: Option<Steps>,
    /// The latest signal string, to recognise it when it is only sent again.
    #[n(25)]
    last_signal: Option<SignalDigest>,
    /// When a device became known that no person is known of.
    #[n(26)]
    device_since: Option<Timestamp>,
    #[n(19)]
    automated_out_at: Option<Timestamp>,
    #[n(20)]
    interacted_at: Option<Timestamp>,
    #[n(21)]
    subscriber: Option<SubscriberType>,
    #[n(22)]
    subscriber_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct NamedPurpose {
    #[n(0)]
    purpose: Purpose,
    #[n(1)]
    standing: PurposeStanding,
}

fn later(fact: &mut Option<Timestamp>, at: Timestamp) {
    *fact = Some(fact.map_or(at, |known| known.max(at)));
}

fn earlier(fact: &mut Option<Timestamp>, at: Timestamp) {
    *fact = Some(fact.map_or(at, |known| known.min(at)));
}

impl Standing {
    /// Bytes of a sealed standing's plain form that this version reads.
    pub(crate) const FORMAT: u8 = 1;

    /// A person of whom nothing is known: nothing is permitted in opt-in regimes (GDPR Art. 25(2)).
    #[must_use]
    pub fn of(subject: SubjectId) -> Self {
        Self { subject, facts: Facts::default() }
    }

    /// The fold of a whole history, in the order of its sequence.
    #[must_use]
    pub fn fold<'a>(subject: SubjectId, events: impl IntoIterator<Item = &'a ConsentEvent>) -> Self {
        let mut standing = Self::of(subject);
        for event in events {
            standing.apply(event);
        }
        standing
    }

    /// Takes one more event into account.
    pub fn apply(&mut self, event: &ConsentEvent) {
        let received = event.received_at;
        self.facts.events = self.facts.events.max(event.sequence.saturating_add(1));
        if event.scope == Some(SignalScope::Device) {
            earlier(&mut self.facts.device_since, received);
        }
        if let Some(signal) = &event.signal {
            self.facts.last_signal = Some(signal.digest());
        }
        if is_own_act(event) {
            later(&mut self.facts.interacted_at, event.captured_at);
        }
        match event.kind {
            EventKind::RestrictionLifted if event.purpose.is_some() => self.apply_to_purpose(event),
            EventKind::AdmtOptOut => later(&mut self.facts.automated_out_at, received),
            EventKind::SubscriberDeclared => self.apply_subscriber(event),
            EventKind::Objected if event.purpose.is_none() => later(&mut self.facts.objected_at, received),
            EventKind::Restricted => later(&mut self.facts.restricted_at, received),
            EventKind::RestrictionLifted => later(&mut self.facts.lifted_at, received),
            EventKind::OptOutSaleShare if event.purpose.is_none() => later(&mut self.facts.opted_out_at, received),
            EventKind::SignalGpc => earlier(&mut self.facts.gpc_first_at, received),
            EventKind::LimitSpi => later(&mut self.facts.limited_at, received),
            EventKind::Erased => later(&mut self.facts.erased_at, received),
            EventKind::OptInStep1 if event.purpose.is_none() => {
                self.facts.steps.get_or_insert_default().begin(event);
            }
            EventKind::OptInStep2 if event.purpose.is_none() => {
                self.facts.steps.get_or_insert_default().confirm(event);
            }
            EventKind::RegimeDeclared => self.apply_regime(event),
            EventKind::BirthDeclared => self.apply_birth(event),
            EventKind::ParentAuthorised if event.purpose.is_none() => {
                later(&mut self.facts.parent_authorised_at, received);
            }
            // The decision computes both at the read; the events are history.
            EventKind::Expired | EventKind::AgeAttained | EventKind::Interacted => {}
            // What a string takes away are events of their own.
            EventKind::SignalReceived => {}
            EventKind::GrantRequested
            | EventKind::GrantConfirmed
            | EventKind::GrantInvalid
            | EventKind::SoftOptInBasis
            | EventKind::ImpliedBasis
            | EventKind::Refused
            | EventKind::Withdrawn
            | EventKind::Objected
            | EventKind::OptOutSaleShare
            | EventKind::OptInStep1
            | EventKind::OptInStep2
            | EventKind::ParentAuthorised => self.apply_to_purpose(event),
        }
    }

    fn apply_to_purpose(&mut self, event: &ConsentEvent) {
        let Some(purpose) = &event.purpose else {
            // A withdrawal or refusal that names no purpose concerns them all (STA-14); a grant must name its own.
            if matches!(event.kind, EventKind::Withdrawn | EventKind::Refused) {
                later(&mut self.facts.withdrawn_all_at, event.received_at);
            }
            return;
        };
        match self.facts.purposes.binary_search_by(|named| named.purpose.cmp(purpose)) {
            Ok(at) => {
                if let Some(named) = self.facts.purposes.get_mut(at) {
                    apply_purpose_event(&mut named.standing, event);
                }
            }
            Err(at) => {
                let mut standing = PurposeStanding::default();
                apply_purpose_event(&mut standing, event);
                self.facts.purposes.insert(at, NamedPurpose { purpose: purpose.clone(), standing });
            }
        }
    }

    fn apply_regime(&mut self, event: &ConsentEvent) {
        let Some(regime) = event.regime else { return };
        let is_assumed = event.regime_source.is_some_and(RegimeSource::is_assumed);
        // Regimes add up: a person who moves keeps the protection of both laws.
        if let Err(at) = self.facts.regimes.binary_search(&regime) {
            self.facts.regimes.insert(at, regime);
            if is_assumed {
                let assumed = self.facts.assumed.get_or_insert_default();
                assumed.push(regime);
                assumed.sort_unstable();
            }
        }
        // A known regime replaces the assumption of the strictest.
        if self.facts.regimes.len() > 1 {
            self.facts.regimes.retain(|known| *known != Regime::Unknown);
        }
        if let Some(assumed) = &mut self.facts.assumed {
            // A declaration outweighs an assumption, whichever came first.
            assumed.retain(|known| {
                (is_assumed || *known != regime) && self.facts.regimes.binary_search(known).is_ok()
            });
            if assumed.is_empty() {
                self.facts.assumed = None;
            }
        }
    }

    fn apply_subscriber(&mut self, event: &ConsentEvent) {
        // Of two declarations at one instant, the one that protects more.
        let at = self.facts.subscriber_at;
        if at.is_none_or(|known| {
            event.received_at > known
                || event.received_at == known && event.subscriber == Some(SubscriberType::Natural)
        }) {
            self.facts.subscriber = event.subscriber.or(self.facts.subscriber);
            self.facts.subscriber_at = Some(event.received_at);
        }
    }

    fn apply_birth(&mut self, event: &ConsentEvent) {
        if self.facts.birth_at.is_none_or(|known| event.received_at >= known) {
            self.facts.birth = event.birth.or(self.facts.birth);
            self.facts.birth_at = Some(event.received_at);
        }
    }

    /// Whose standing it is.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// How many events it folds; the sequence of the next one.
    #[must_use]
    pub const fn next_sequence(&self) -> u32 {
        self.facts.events
    }

    /// The regimes that apply, the strictest where none is known.
    #[must_use]
    pub fn regimes(&self) -> &[Regime] {
        if self.facts.regimes.is_empty() { &[Regime::Unknown] } else { &self.facts.regimes }
    }

    /// Whether this regime applies only because it was assumed: by a form or by the configured default.
    #[must_use]
    pub fn assumes(&self, regime: Regime) -> bool {
        self.facts.assumed.as_ref().is_some_and(|assumed| assumed.contains(&regime))
    }

    /// Whether this regime was declared or assumed.
    #[must_use]
    pub fn has_regime(&self, regime: Regime) -> bool {
        self.facts.regimes.binary_search(&regime).is_ok()
    }

    /// What is known of a purpose.
    #[must_use]
    pub fn purpose(&self, purpose: &Purpose) -> Option<&PurposeStanding> {
        let at = self.facts.purposes.binary_search_by(|named| named.purpose.cmp(purpose)).ok()?;
        self.facts.purposes.get(at).map(|named| &named.standing)
    }

    /// Every purpose of which something is known.
    pub fn purposes(&self) -> impl Iterator<Item = (&Purpose, &PurposeStanding)> {
        self.facts.purposes.iter().map(|named| (&named.purpose, &named.standing))
    }

    /// When a withdrawal of everything was received (STA-14).
    #[must_use]
    pub const fn withdrawn_all_at(&self) -> Option<Timestamp> {
        self.facts.withdrawn_all_at
    }

    /// Whether anything was ever withdrawn or objected to.
    #[must_use]
    pub fn took_anything_back(&self) -> bool {
        let of_one =
            |named: &NamedPurpose| named.standing.withdrawn_at.is_some() || named.standing.objected_at.is_some();
        self.facts.withdrawn_all_at.is_some()
            || self.facts.objected_at.is_some()
            || self.facts.purposes.iter().any(of_one)
    }

    /// When the latest denial of this purpose, by name or of everything, was received.
    #[must_use]
    pub fn denied_at(&self, purpose: &Purpose) -> Option<Timestamp> {
        self.purpose(purpose).and_then(PurposeStanding::denied_at).max(self.facts.withdrawn_all_at)
    }

    /// The latest confirmed grant of a purpose, if it was captured after every denial was received. What another
    /// system says it captured never undoes a denial: only the person's own act does.
    #[must_use]
    pub fn effective(&self, purpose: &Purpose) -> Option<&GrantStanding> {
        let denied = self.denied_at(purpose);
        let after = |grant: &GrantStanding, at| grant.captured_at > at && grant.assurance() != Assurance::Imported;
        self.purpose(purpose)?.confirmed.as_ref().filter(|grant| denied.is_none_or(|at| after(grant, at)))
    }

    /// When the person objected to direct marketing (GDPR Art. 21(2)).
    #[must_use]
    pub const fn objected_at(&self) -> Option<Timestamp> {
        self.facts.objected_at
    }

    /// Since when processing is restricted (GDPR Art. 18); at equal times the restriction holds.
    #[must_use]
    pub fn restricted_at(&self) -> Option<Timestamp> {
        self.facts.restricted_at.filter(|at| self.facts.lifted_at.is_none_or(|lifted| lifted <= *at))
    }

    /// Since when the use of sensitive information is limited (CCPA 1798.121).
    #[must_use]
    pub const fn limited_at(&self) -> Option<Timestamp> {
        self.facts.limited_at
    }

    /// Whether the person was erased.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        self.facts.erased_at.is_some()
    }

    /// When the first Global Privacy Control signal was received.
    #[must_use]
    pub const fn gpc_at(&self) -> Option<Timestamp> {
        self.facts.gpc_first_at
    }

    /// Since when sale and sharing as a whole are opted out of: by an opt-out that no later two-step opt-in lifted, or
    /// by a signal that no later two-step opt-in with a notice of the conflict overrides. A signal that merely stops
    /// being sent changes nothing (11 CCR §7025(c)(3), (5), §7028).
    #[must_use]
    pub fn opted_out_of_sale(&self) -> Option<Timestamp> {
        self.opted_out(self.facts.opted_out_at, &[self.facts.steps])
    }

    /// As [`Standing::opted_out_of_sale`], for one purpose: what was said of it alone counts besides.
    #[must_use]
    pub fn opted_out_of(&self, purpose: &Purpose) -> Option<Timestamp> {
        let known = self.purpose(purpose);
        let out = self.facts.opted_out_at.max(known.and_then(|known| known.opted_out_at));
        self.opted_out(out, &self.steps_to(purpose))
    }

    fn opted_out(&self, out: Option<Timestamp>, steps: &[Option<Steps>]) -> Option<Timestamp> {
        let steps = || steps.iter().flatten();
        let opted_in = steps().filter_map(Steps::latest_at).max();
        let told = steps().filter_map(Steps::told_of_conflict_at).max();
        let by_request = out.filter(|out| opted_in.is_none_or(|step| step <= *out));
        // Whoever opts out again has taken the opt-in back that overrode the signal.
        let overridden = |gpc: Timestamp| told.is_some_and(|told| told > gpc && out.is_none_or(|out| told > out));
        let by_signal = self.facts.gpc_first_at.filter(|gpc| !overridden(*gpc));
        match (by_request, by_signal) {
            (Some(request), Some(signal)) => Some(request.min(signal)),
            (request, signal) => request.or(signal),
        }
    }

    fn steps_to(&self, purpose: &Purpose) -> [Option<Steps>; 2] {
        [self.facts.steps, self.purpose(purpose).and_then(|known| known.steps)]
    }

    /// When the person opted in to a purpose in two steps, themself or by a parent.
    #[must_use]
    pub fn opted_in_at(&self, purpose: &Purpose) -> Option<Timestamp> {
        self.steps_to(purpose).iter().flatten().filter_map(Steps::latest_at).max()
    }

    /// Whether the person opted in to a purpose in two steps, by themself or by a parent, after any opt-out.
    #[must_use]
    pub fn opted_in_to(&self, purpose: &Purpose, by_parent: bool) -> bool {
        self.steps_to(purpose).iter().flatten().any(|steps| steps.opted_in_at(by_parent).is_some())
            && self.opted_out_of(purpose).is_none()
    }

    /// Whether a second step confirms the first one that waits for it.
    #[must_use]
    pub fn awaits(&self, second: &ConsentEvent) -> bool {
        let steps = match &second.purpose {
            Some(purpose) => self.purpose(purpose).and_then(|known| known.steps),
            None => self.facts.steps,
        };
        steps.is_some_and(|steps| steps.is_confirmed_by(second))
    }

    /// Since when the use of sensitive information is limited for a purpose: an opt-in in two steps to that purpose
    /// lifts the limit for it alone.
    #[must_use]
    pub fn limited_for(&self, purpose: &Purpose) -> Option<Timestamp> {
        let opted_in = self.purpose(purpose).and_then(|known| known.steps).and_then(|steps| steps.latest_at());
        self.facts.limited_at.filter(|limited| opted_in.is_none_or(|step| step <= *limited))
    }

    /// When the person objected to a purpose, by its name or as direct marketing. Only a purpose that is direct
    /// marketing is concerned by the latter; a later opt-in in two steps takes the former back.
    #[must_use]
    pub fn objected_to(&self, purpose: &Purpose, direct_marketing: bool) -> Option<Timestamp> {
        let opted_in = self.opted_in_at(purpose);
        let by_name = self.purpose(purpose).and_then(|known| known.objected_at);
        let by_name = by_name.filter(|objected| opted_in.is_none_or(|step| step <= *objected));
        // Nothing outweighs an objection to direct marketing (GDPR Art. 21(3)).
        let outweighed = self.purpose(purpose).and_then(|known| known.outweighed_at).filter(|_| !direct_marketing);
        let by_name = by_name.filter(|objected| outweighed.is_none_or(|since| since <= *objected));
        by_name.max(self.facts.objected_at.filter(|_| direct_marketing))
    }

    /// When sale and sharing as a whole were last opted out of by request, whether or not it still holds.
    #[must_use]
    pub(super) const fn opt_out_at(&self) -> Option<Timestamp> {
        self.facts.opted_out_at
    }

    /// When the person last opted in to sale and sharing as a whole.
    #[must_use]
    pub(super) fn opted_in_as_a_whole_at(&self) -> Option<Timestamp> {
        self.facts.steps.and_then(|steps| steps.latest_at())
    }

    /// The latest signal string that was received.
    #[must_use]
    pub const fn last_signal(&self) -> Option<SignalDigest> {
        self.facts.last_signal
    }

    /// Whether this is a device's standing, of which no person is known: nothing is ever disclosed of it.
    #[must_use]
    pub const fn is_of_device(&self) -> bool {
        self.facts.device_since.is_some()
    }

    /// When the person opted out of decisions by computer alone (11 CCR §7221).
    #[must_use]
    pub const fn opted_out_of_automation(&self) -> Option<Timestamp> {
        self.facts.automated_out_at
    }

    /// When the person last did something of their own accord.
    #[must_use]
    pub const fn interacted_at(&self) -> Option<Timestamp> {
        self.facts.interacted_at
    }

    /// Whether the subscriber is a legal person: only if somebody said so.
    #[must_use]
    pub fn is_legal_person(&self) -> bool {
        self.facts.subscriber == Some(SubscriberType::Legal)
    }

    /// What is known of the birth date.
    #[must_use]
    pub const fn birth(&self) -> Option<Birth> {
        self.facts.birth
    }

    /// Whether a holder of parental responsibility authorised anything.
    #[must_use]
    pub fn has_parental_authority(&self) -> bool {
        let of_one = |named: &NamedPurpose| named.standing.parent_authorised_at.is_some();
        self.facts.parent_authorised_at.is_some() || self.facts.purposes.iter().any(of_one)
    }

    /// When the person decides alone under every law that applies (GDPR Art. 8(1)); `None` where the birth is not known.
    #[must_use]
    pub fn comes_of_age(&self) -> Option<Timestamp> {
        let age = self.regimes().iter().map(|regime| regime.age_of_digital_consent()).max()?;
        Some(self.facts.birth?.reaches(age))
    }

    /// Whether a holder of parental responsibility authorised this purpose or all.
    #[must_use]
    pub fn parent_authorised(&self, purpose: &Purpose) -> bool {
        self.facts.parent_authorised_at.is_some()
            || self.purpose(purpose).is_some_and(|known| known.parent_authorised_at.is_some())
    }

    /// The compact form that is sealed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![Self::FORMAT];
        // INVARIANT: writing to a Vec cannot fail; an empty result would not open again and refuse.
        if minicbor::encode(&self.facts, &mut bytes).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// Reads the compact form back for its subject.
    pub(crate) fn from_bytes(subject: SubjectId, bytes: &[u8]) -> Option<Self> {
        let (format, body) = bytes.split_first()?;
        if *format != Self::FORMAT {
            return None;
        }
        minicbor::decode(body).ok().map(|facts| Self { subject, facts })
    }
}

fn apply_purpose_event(standing: &mut PurposeStanding, event: &ConsentEvent) {
    let received = event.received_at;
    match event.kind {
        EventKind::GrantConfirmed => keep_latest(&mut standing.confirmed, event),
        EventKind::SoftOptInBasis => keep_latest(&mut standing.soft, event),
        EventKind::ImpliedBasis => keep_latest(&mut standing.implied, event),
        EventKind::GrantRequested => later(&mut standing.requested_at, event.captured_at),
        EventKind::GrantInvalid => later(&mut standing.invalid_at, received),
        EventKind::Refused => later(&mut standing.refused_at, received),
        EventKind::Withdrawn => later(&mut standing.withdrawn_at, received),
        EventKind::ParentAuthorised => later(&mut standing.parent_authorised_at, received),
        EventKind::Objected => later(&mut standing.objected_at, received),
        EventKind::OptOutSaleShare => later(&mut standing.opted_out_at, received),
        EventKind::OptInStep1 => standing.steps.get_or_insert_default().begin(event),
        EventKind::OptInStep2 => standing.steps.get_or_insert_default().confirm(event),
        EventKind::RestrictionLifted => later(&mut standing.outweighed_at, received),
        _ => {}
    }
}

/// Whether the person did this, of their own accord. A signal that a browser sends by itself is no such act, nor is what
/// another system imported.
fn is_own_act(event: &ConsentEvent) -> bool {
    if event.scope.is_some() {
        return false;
    }
    let is_imported = event.grant.as_ref().is_some_and(|grant| grant.assurance == Assurance::Imported);
    match event.kind {
        EventKind::GrantRequested | EventKind::GrantConfirmed => !is_imported && !event.by_parent,
        EventKind::Refused
        | EventKind::Withdrawn
        | EventKind::Objected
        | EventKind::OptOutSaleShare
        | EventKind::LimitSpi
        | EventKind::AdmtOptOut
        | EventKind::OptInStep1
        | EventKind::OptInStep2 => !event.by_parent,
        EventKind::SoftOptInBasis | EventKind::ImpliedBasis | EventKind::Interacted => true,
        _ => false,
    }
}

/// Keeps the grant that was captured last; of two captured together, the one that allows less.
fn keep_latest(known: &mut Option<GrantStanding>, event: &ConsentEvent) {
    let Some(grant) = &event.grant else { return };
    let candidate = GrantStanding {
        captured_at: event.captured_at,
        received_at: event.received_at,
        sequence: event.sequence,
        grant: grant.clone(),
        by_parent: event.by_parent,
        source: event.source.clone(),
    };
    let newer = known.as_ref().is_none_or(|known| rank(&candidate) >= rank(known));
    if newer {
        *known = Some(candidate);
    }
}

/// Later capture first; then the protective side: lower assurance, passed on by others, not explicit, older version, sooner end.
fn rank(standing: &GrantStanding) -> impl Ord + use<> {
    let grant = &standing.grant;
    (
        standing.captured_at,
        std::cmp::Reverse((
            grant.assurance,
            !grant.third_party,
            grant.explicit,
            grant.purpose_version,
            grant.valid_until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        )),
    )
}

impl GrantStanding {
    /// Whether the notice named this controller.
    #[must_use]
    pub fn names(&self, controller: &ControllerId) -> bool {
        self.grant.controllers.contains(controller)
    }

    /// How sure it is that the person acted.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.grant.assurance
    }
}
