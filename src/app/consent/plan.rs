//! From a post to the events it means: every check, and all faults at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::attribute::{AttributeName, Value};
use kernel::consent::{Assurance, ConsentEvent, EventKind, Evidence, EvidenceFault, Grant};
use kernel::form::FormId;
use kernel::id::{LedgerRef, ReceiptId, SubjectId};
use kernel::identifier::{Identifier, IdentifierKind};
use kernel::policy::{Audience, FormRule, NoticeText, PurposeRule, ValidPolicy};
use kernel::purpose::Purpose;
use kernel::regime::{Regime, RegimeSource};
use kernel::signal::{ReadSignal, SignalScope};
use kernel::source::SourceId;
use kernel::subject::Birth;
use kernel::time::Timestamp;
use store::change::{Capture, CaptureSubject, IdempotencyClaim, Identified};

use super::write::Outcome;
use super::{Choice, ChoiceKind, ConsentPost, Idempotency, OptInStep, PersonRequest, Who};
use crate::confirmation::ToConfirm;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::plain;

/// How far a person's clock may run ahead of ours.
pub(crate) const CLOCK_SKEW_MS: i64 = 5_000;
/// How long a repetition is recognised.
pub(crate) const IDEMPOTENCY_MS: i64 = 24 * 3_600_000;
const MAX_CHOICES: usize = 64;

/// A post that passed: what to write and what to answer.
pub(super) struct Planned {
    pub(super) capture: Capture,
    pub(super) receipt: ReceiptId,
    pub(super) recorded_at: Timestamp,
    pub(super) events: Vec<(EventKind, Option<Purpose>)>,
}

impl Gateway {
    pub(super) fn plan_capture(&self, post: &ConsentPost) -> Result<Planned, AppError> {
        let policy = self.policy();
        let now = self.now();
        let receipt = ReceiptId::generate(&*self.inner.entropy);
        let mut reading = Reading { policy: &policy, now, receipt, faults: Vec::new() };
        let form = reading.form(post.form.as_ref());
        let withdrawals_known = reading.purposes_of_withdrawals_exist(&post.choices);
        let statements = reading.statements(post, form);
        let identity = match &post.who {
            Who::Identified { email, customer_id } => {
                reading.identity(self, email.as_deref(), customer_id.as_deref())
            }
            Who::Token(token) => reading.bearer(self, token, post),
        };
        let declared = reading.regime(post.region.as_deref()).map(|regime| (regime, RegimeSource::Declared));
        let regime = declared
            .or_else(|| form?.default_regime.map(|regime| (regime, RegimeSource::Form)))
            .or_else(|| self.settings().default_regime.map(|regime| (regime, RegimeSource::Default)));
        let mut statements = statements;
        if let Some((regime, _)) = regime.filter(|_| post.gpc) {
            statements.extend(reading.meaning_of_gpc(regime, post));
        }
        let to_confirm = reading.asked_to_confirm(post, form, &statements, identity.as_ref());
        let attributes = reading.fields(post, form);
        let birth = reading.birth(post, &attributes);
        if birth.is_none() && form.is_some_and(|form| form.audience == Audience::Child) {
            reading.fault("/birth", Code::MissingField);
        }
        if !reading.faults.is_empty() {
            return Err(AppError::Invalid(reading.faults));
        }
        if !withdrawals_known {
            return Err(AppError::NotFound(Code::UnknownPurpose));
        }
        let Some(identity) = identity else { return Err(AppError::internal("an identity without a fault")) };
        let source = source_of(form.map(|form| &form.id))?;
        let events: Vec<_> = statements.iter().map(|event| (event.kind, event.purpose.clone())).collect();
        let confirmation = to_confirm.map(|asked| self.confirmation_request(&policy, &asked, now));
        let outcome = Outcome { receipt, recorded_at: now, events: events.clone() };
        let capture = Capture {
            receipt,
            events: with_facts(statements, regime.filter(|_| identity.is_named()), birth, now, &source),
            evidence: post.evidence.clone(),
            attributes: identity.attributes(&policy, form, attributes),
            who: identity.into_subject(),
            source,
            observed_at: now,
            idempotency: post.idempotency.as_ref().and_then(|key| claim(self, key, &outcome, now)),
            confirmation,
            policy: Arc::clone(&policy),
        };
        Ok(Planned { capture, receipt, recorded_at: now, events })
    }
}

fn source_of(form: Option<&FormId>) -> Result<SourceId, AppError> {
    form.map_or("withdrawal", FormId::as_str).parse().map_err(AppError::internal)
}

fn claim(gateway: &Gateway, key: &Idempotency, outcome: &Outcome, now: Timestamp) -> Option<IdempotencyClaim> {
    Some(IdempotencyClaim {
        scope: key.scope.clone(),
        key: gateway.request_fingerprint(&[b"idempotency", key.key.as_bytes()]),
        request: key.request,
        outcome: outcome.to_bytes()?,
        expires_at: now.plus_ms(IDEMPOTENCY_MS),
    })
}

/// Puts the facts that the person declared before the statements that are judged by them.
fn with_facts(
    statements: Vec<ConsentEvent>,
    regime: Option<(Regime, RegimeSource)>,
    birth: Option<Birth>,
    now: Timestamp,
    source: &SourceId,
) -> Vec<ConsentEvent> {
    let regime = regime.map(|(regime, known_by)| ConsentEvent {
        regime: Some(regime),
        regime_source: Some(known_by),
        ..ConsentEvent::new(EventKind::RegimeDeclared, None, now, now)
    });
    let birth = birth.map(|birth| ConsentEvent {
        birth: Some(birth),
        ..ConsentEvent::new(EventKind::BirthDeclared, None, now, now)
    });
    let mut events: Vec<_> = regime.into_iter().chain(birth).chain(statements).collect();
    for event in &mut events {
        event.source = Some(source.clone());
    }
    events
}

/// An event that comes of a signal which is tied to a known person.
fn signalled(kind: EventKind, purpose: Option<Purpose>, captured_at: Timestamp, now: Timestamp) -> ConsentEvent {
    ConsentEvent { scope: Some(SignalScope::Consumer), ..ConsentEvent::new(kind, purpose, captured_at, now) }
}

/// Who a post turned out to concern.
enum Identity {
    Named { who: Identified, email: Option<Identifier> },
    Bearer(SubjectId),
}

impl Identity {
    const fn is_named(&self) -> bool {
        matches!(self, Self::Named { .. })
    }

    fn into_subject(self) -> CaptureSubject {
        match self {
            Self::Named { who, .. } => CaptureSubject::Identified(who),
            Self::Bearer(subject) => CaptureSubject::Known(subject),
        }
    }

    /// The fields, and the address itself where the form collects it: only in the sealed record.
    fn attributes(
        &self,
        policy: &ValidPolicy,
        form: Option<&FormRule>,
        mut fields: Vec<(AttributeName, Value)>,
    ) -> Vec<(AttributeName, Value)> {
        let Self::Named { email: Some(email), .. } = self else { return fields };
        let name = IdentifierKind::Email.as_str();
        let collected = form.and_then(|form| form.fields.iter().find(|field| field.as_str() == name));
        if let Some(name) = collected.filter(|name| policy.attribute(name).is_some()) {
            fields.retain(|(known, _)| known != name);
            fields.push((name.clone(), Value::Text(email.expose().to_owned())));
        }
        fields
    }
}

/// Reads a post and collects what is wrong with it.
struct Reading<'a> {
    policy: &'a ValidPolicy,
    now: Timestamp,
    receipt: ReceiptId,
    faults: Vec<Fault>,
}

impl<'a> Reading<'a> {
    fn fault(&mut self, pointer: impl Into<String>, code: Code) {
        self.faults.push(Fault::at(pointer, code));
    }

    fn form(&mut self, id: Option<&FormId>) -> Option<&'a FormRule> {
        let id = id?;
        let form = self.policy.form(id);
        if form.is_none() {
            self.fault("/form", Code::UnknownForm);
        }
        form.map(|form| &**form)
    }

    /// A withdrawal of a purpose that does not exist is answered apart: there is no such thing to withdraw.
    fn purposes_of_withdrawals_exist(&self, choices: &[Choice]) -> bool {
        choices
            .iter()
            .filter(|choice| choice.choice.only_takes_back())
            .all(|choice| self.purpose(&choice.purpose).is_some())
    }

    fn purpose(&self, name: &str) -> Option<&'a PurposeRule> {
        name.parse().ok().and_then(|id| self.policy.purpose(&id)).map(|rule| &**rule)
    }

    /// The events that the choices, requests and the signal mean.
    fn statements(&mut self, post: &ConsentPost, form: Option<&FormRule>) -> Vec<ConsentEvent> {
        if post.choices.is_empty() && post.requests.is_empty() && !post.gpc {
            self.fault("/choices", Code::Empty);
        }
        if post.choices.len() > MAX_CHOICES {
            self.fault("/choices", Code::TooMany);
            return Vec::new();
        }
        let captured_at = self.captured_at(post);
        let asks = post.choices.iter().any(|choice| !choice.choice.only_takes_back());
        let notice = if asks { self.notice(post, form) } else { None };
        if asks && post.form.is_none() {
            self.fault("/form", Code::MissingField);
        }
        let void = self.evidence(post);
        let mut seen = BTreeSet::new();
        let mut events = Vec::new();
        for (at, choice) in post.choices.iter().enumerate() {
            let pointer = format!("/choices/{at}/purpose");
            if !seen.insert(choice.purpose.as_str()) {
                self.fault(pointer, Code::Duplicate);
                continue;
            }
            let Some(rule) = self.purpose(&choice.purpose) else {
                if !choice.choice.only_takes_back() {
                    self.fault(pointer, Code::UnknownPurpose);
                }
                continue;
            };
            let asked = choice.choice.only_takes_back()
                || form.is_none_or(|form| form.purposes.contains(&rule.id))
                    && notice.is_none_or(|notice| notice.purposes.contains(&rule.id));
            if !asked {
                self.fault(pointer, Code::PurposeNotOnForm);
                continue;
            }
            let kind = match choice.choice {
                ChoiceKind::Refuse => EventKind::Refused,
                ChoiceKind::Withdraw => EventKind::Withdrawn,
                ChoiceKind::Object => EventKind::Objected,
                ChoiceKind::Give if void => EventKind::GrantInvalid,
                ChoiceKind::Give if form.is_some_and(|form| form.double_opt_in) => EventKind::GrantRequested,
                ChoiceKind::Give => EventKind::GrantConfirmed,
            };
            if let Some(step) = self.step((at, choice), &rule.id, captured_at) {
                let is_first = step.kind == EventKind::OptInStep1;
                events.push(step);
                if is_first {
                    // 11 CCR §7028(a): the request alone gives nothing.
                    continue;
                }
            }
            let mut event = ConsentEvent::new(kind, Some(rule.id.clone()), captured_at, self.now);
            if choice.choice == ChoiceKind::Give {
                event.grant = Some(self.grant((at, choice), post, rule, (form, notice)));
            }
            events.push(event);
        }
        let mut requests = post.requests.clone();
        requests.sort_unstable();
        requests.dedup();
        events.extend(requests.into_iter().map(|request| {
            let kind = match request {
                PersonRequest::ObjectDirectMarketing => EventKind::Objected,
                PersonRequest::OptOutSaleShare => EventKind::OptOutSaleShare,
                PersonRequest::LimitSensitive => EventKind::LimitSpi,
                PersonRequest::OptOutAutomatedDecisions => EventKind::AdmtOptOut,
                PersonRequest::WithdrawAll => EventKind::Withdrawn,
            };
            ConsentEvent::new(kind, None, captured_at, self.now)
        }));
        if post.gpc {
            events.push(signalled(EventKind::SignalGpc, None, captured_at, self.now));
        }
        events
    }

    /// What the Global Privacy Control means besides an opt-out of sale and sharing, under a regime (STA-44).
    fn meaning_of_gpc(&mut self, regime: Regime, post: &ConsentPost) -> Vec<ConsentEvent> {
        let at = post.captured_at.map_or(self.now, |at| at.min(self.now));
        let consequences = self.policy.consequences(&ReadSignal::gpc(), &[regime]);
        consequences.into_iter().map(|one| signalled(one.kind, one.purpose, at, self.now)).collect()
    }

    /// The step of an opt-in after an opt-out that a choice takes.
    fn step(
        &mut self,
        (at, choice): (usize, &Choice),
        purpose: &Purpose,
        captured_at: Timestamp,
    ) -> Option<ConsentEvent> {
        let step = choice.step?;
        if choice.choice != ChoiceKind::Give {
            let detail = "only giving has steps: a no takes effect at once";
            self.faults.push(Fault::saying(format!("/choices/{at}/step"), Code::InvalidField, detail));
            return None;
        }
        let (kind, of, conflict_notice) = match step {
            OptInStep::First => (EventKind::OptInStep1, self.receipt, false),
            OptInStep::Second { of, conflict_notice } => (EventKind::OptInStep2, of, conflict_notice),
        };
        Some(ConsentEvent {
            step: Some(of),
            conflict_notice,
            ..ConsentEvent::new(kind, Some(purpose.clone()), captured_at, self.now)
        })
    }

    fn captured_at(&mut self, post: &ConsentPost) -> Timestamp {
        let gives = post.choices.iter().any(|choice| choice.choice == ChoiceKind::Give);
        match post.captured_at {
            Some(at) if at > self.now.plus_ms(CLOCK_SKEW_MS) => {
                self.fault("/captured_at", Code::CapturedInFuture);
                self.now
            }
            // INVARIANT: nothing is captured after it was received.
            Some(at) => at.min(self.now),
            None => {
                if gives {
                    self.fault("/captured_at", Code::GrantWithoutCapturedAt);
                }
                self.now
            }
        }
    }

    /// The notice shown: known, the form's own, current, and in the language the person used (CAP-03, CAP-17).
    fn notice(&mut self, post: &ConsentPost, form: Option<&FormRule>) -> Option<&'a NoticeText> {
        let Some(digest) = &post.notice else {
            self.fault("/notice", Code::MissingField);
            return None;
        };
        if let (Some(form), Some(locale)) = (form, &post.locale)
            && self.policy.current_notice(&form.notice, locale).is_none()
        {
            self.fault("/locale", Code::NoticeLocale);
            return None;
        }
        let Some(notice) = self.policy.notice(digest) else {
            self.fault("/notice", Code::NoticeUnknown);
            return None;
        };
        let of_form = form.is_none_or(|form| form.notice == notice.id);
        if !of_form {
            self.fault("/notice", Code::NoticeUnknown);
        } else if !notice.current {
            self.fault("/notice", Code::NoticeStale);
        } else if post.locale.as_ref().is_some_and(|locale| *locale != notice.locale) {
            self.fault("/locale", Code::NoticeLocale);
        }
        Some(notice)
    }

    /// Checks the evidence of a grant; says whether it voids the grant.
    fn evidence(&mut self, post: &ConsentPost) -> bool {
        if !post.choices.iter().any(|choice| choice.choice == ChoiceKind::Give) {
            return false;
        }
        let Some(evidence) = &post.evidence else {
            self.fault("/evidence", Code::EvidenceMissing);
            return false;
        };
        if let Err(fault) = evidence.check() {
            let (pointer, code) = match fault {
                EvidenceFault::Preselected => ("/evidence/default_state", Code::EvidencePreselected),
                EvidenceFault::NotAffirmative => ("/evidence/action", Code::EvidenceNotAffirmative),
                EvidenceFault::NoDeclineOption => ("/evidence/options", Code::EvidenceNoDecline),
                EvidenceFault::Asymmetric => ("/evidence/steps_decline", Code::EvidenceAsymmetric),
            };
            self.fault(pointer, code);
        }
        evidence.voids_grant()
    }

    fn grant(
        &mut self,
        (at, choice): (usize, &Choice),
        post: &ConsentPost,
        rule: &PurposeRule,
        (form, notice): (Option<&FormRule>, Option<&NoticeText>),
    ) -> Grant {
        let stated = |evidence: &Evidence| evidence.statement.as_ref().is_some_and(|text| !text.trim().is_empty());
        if choice.explicit && !post.evidence.as_ref().is_some_and(stated) {
            let detail = "an explicit grant needs the express statement in `evidence.statement`";
            self.faults.push(Fault::saying(format!("/choices/{at}/explicit"), Code::EvidenceMissing, detail));
        }
        // Before the owner of the mailbox confirmed it, a post is a post.
        let assurance = match form {
            Some(form) if form.double_opt_in && form.assurance == Assurance::ConfirmedMailbox => Assurance::Form,
            form => form.map_or(Assurance::Form, |form| form.assurance),
        };
        Grant {
            notice: post.notice,
            purpose_version: rule.version,
            assurance,
            explicit: choice.explicit,
            controllers: notice.map(|notice| notice.controllers.clone()).unwrap_or_default(),
            valid_until: None,
            third_party: false,
            product_family: None,
        }
    }

    fn identity(&mut self, gateway: &Gateway, email: Option<&str>, customer_id: Option<&str>) -> Option<Identity> {
        let identifiers = identifiers(email, customer_id, "/subject", &mut self.faults)?;
        let who = identified(gateway, &identifiers);
        let email = identifiers.into_iter().find(|identifier| identifier.kind() == IdentifierKind::Email);
        Some(Identity::Named { who, email })
    }

    /// What the owner of the mailbox is to confirm, if anything: then there must be a mailbox.
    fn asked_to_confirm<'i>(
        &mut self,
        post: &ConsentPost,
        form: Option<&'i FormRule>,
        statements: &'i [ConsentEvent],
        identity: Option<&Identity>,
    ) -> Option<ToConfirm<'i>>
    where
        'a: 'i,
    {
        if !statements.iter().any(|event| event.kind == EventKind::GrantRequested) {
            return None;
        }
        let Some(Identity::Named { email: Some(address), .. }) = identity else {
            if identity.is_some() {
                let detail = "this form writes to the owner of the mailbox, so it needs the address";
                self.faults.push(Fault::saying("/subject/email", Code::MissingField, detail));
            }
            return None;
        };
        let notice = post.notice.as_ref().and_then(|digest| self.policy.notice(digest))?;
        Some(ToConfirm { form: form?, notice, address: address.clone(), events: statements, peer: post.peer })
    }

    /// A token only takes back (GDPR Art. 7(3)): it gives nothing, and changes no field.
    fn bearer(&mut self, gateway: &Gateway, token: &str, post: &ConsentPost) -> Option<Identity> {
        for (at, choice) in post.choices.iter().enumerate() {
            if !choice.choice.only_takes_back() {
                let detail = "with a token consent can only be withdrawn";
                self.faults.push(Fault::saying(format!("/choices/{at}/choice"), Code::InvalidField, detail));
            }
        }
        if !post.fields.is_empty() {
            self.fault("/fields", Code::InvalidField);
        }
        if post.birth.is_some() {
            self.fault("/birth", Code::InvalidField);
        }
        if post.region.is_some() {
            self.fault("/region", Code::InvalidField);
        }
        match gateway.inner.keyring.open_withdrawal_token(token) {
            Ok(subject) => Some(Identity::Bearer(subject)),
            Err(_) => {
                self.fault("/token", Code::InvalidToken);
                None
            }
        }
    }

    fn regime(&mut self, region: Option<&str>) -> Option<Regime> {
        let region = region?;
        let regime = Regime::of_region(region).ok();
        if regime.is_none() {
            self.fault("/region", Code::InvalidRegion);
        }
        regime
    }

    /// The form's fields, and no others (CAP-20).
    fn fields(&mut self, post: &ConsentPost, form: Option<&FormRule>) -> Vec<(AttributeName, Value)> {
        let mut values = Vec::new();
        for (name, text) in &post.fields {
            let pointer = format!("/fields/{}", escape(name));
            let rule = form
                .and_then(|form| form.fields.iter().find(|field| field.as_str() == name))
                .and_then(|field| self.policy.attribute(field));
            let Some((rule, kind)) = rule.and_then(|rule| rule.stored.map(|kind| (rule, kind))) else {
                self.fault(pointer, Code::FieldNotOnForm);
                continue;
            };
            match plain::field(kind, text, &pointer) {
                Ok(value) => values.push((rule.name.clone(), value)),
                Err(fault) => self.faults.push(fault),
            }
        }
        values
    }

    /// The birth fact, as declared or from the form's field `birth_date`.
    fn birth(&mut self, post: &ConsentPost, fields: &[(AttributeName, Value)]) -> Option<Birth> {
        if let Some(text) = &post.birth {
            return plain::birth(text, self.now, "/birth").map_err(|fault| self.faults.push(fault)).ok();
        }
        crate::record::birth_of(fields)
    }
}

/// Escapes a name for a JSON pointer (RFC 6901 §3); a long one is not repeated.
pub(crate) fn escape(name: &str) -> String {
    let plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain { name.to_owned() } else { "?".to_owned() }
}

/// Reads the identifiers of a person: at least one.
pub(crate) fn identifiers(
    email: Option<&str>,
    customer_id: Option<&str>,
    pointer: &str,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Identifier>> {
    let given = [(IdentifierKind::Email, email), (IdentifierKind::CustomerId, customer_id)];
    let before = faults.len();
    let mut identifiers = Vec::new();
    for (kind, text) in given {
        let Some(text) = text else { continue };
        match Identifier::parse(kind, text) {
            Ok(identifier) => identifiers.push(identifier),
            Err(error) => {
                let at = format!("{pointer}/{}", kind.as_str());
                let control = text.chars().any(char::is_control);
                let code = if control { Code::ControlCharacter } else { Code::InvalidIdentifier };
                faults.push(Fault::saying(at, code, error.to_string()));
            }
        }
    }
    if identifiers.is_empty() && faults.len() == before {
        faults.push(Fault::saying(pointer, Code::MissingField, "an `email` or a `customer_id` is needed"));
    }
    (faults.len() == before).then_some(identifiers)
}

/// What the store needs to find a person or make a new one.
pub(crate) fn identified(gateway: &Gateway, identifiers: &[Identifier]) -> Identified {
    let keyring = &gateway.inner.keyring;
    let fingerprints =
        identifiers.iter().map(|identifier| (identifier.kind(), keyring.fingerprint(identifier))).collect();
    Identified {
        fingerprints,
        new_subject: SubjectId::generate(&*gateway.inner.entropy),
        ledger_ref: LedgerRef::generate(&*gateway.inner.entropy),
    }
}
