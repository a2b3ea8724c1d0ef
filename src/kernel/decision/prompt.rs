//! Whether a form may ask a person for a purpose, or ask again: a no is respected, and nobody is asked until they give
//! in (EDPB 03/2022).

use serde::Serialize;

use super::explain::notice_naming;
use super::objection::not_objected;
use super::{Ask, Decision, Refusal, decide};
use crate::consent::{Assurance, ConsentEvent, EventKind, Grant, Standing};
use crate::policy::{PurposeRule, RecipientRule, ValidPolicy};
use crate::regime::{Regime, RegimeFamily};
use crate::subject::SubjectId;
use crate::time::{Months, Timestamp};

/// The wait before asking again to allow sale, sharing or sensitive use (CCPA 1798.135(c)(4), 11 CCR §7026(k)).
const CALIFORNIA_WAIT: Months = Months(12);
/// The age at which the wait of a minor who declined ends, unless it ends sooner (CCPA 1798.135(c)(5)).
const CALIFORNIA_AGE: i16 = 16;
/// So many questions without an answer are an answer.
const UNANSWERED: u32 = 3;

/// Why a form may or may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptReason {
    /// Nothing stands against it.
    NotAskedYet,
    /// The wait is over.
    WaitOver,
    /// The person began a transaction that needs it (11 CCR §7028(b)).
    TransactionRequires,
    /// A consent is in force: there is nothing to ask.
    AlreadyGiven,
    /// The purpose needs no consent of this person.
    NotNeeded,
    /// The person said no, took consent back or opted out, and the wait is not over.
    Waiting,
    /// A form asked a short time ago.
    AskedRecently,
    /// The person objected to direct marketing (GDPR Art. 21(3)).
    Objected,
    /// Processing is restricted (GDPR Art. 18).
    Restricted,
    /// The person is too young to consent alone (GDPR Art. 8).
    Minor,
    /// The policy forbids the purpose under the person's law.
    Forbidden,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptAnswer {
    /// Whether the form may ask.
    pub may_prompt: bool,
    /// Why.
    pub reason: PromptReason,
    /// From when on it may, where a wait runs.
    pub not_before: Option<Timestamp>,
}

impl PromptAnswer {
    const fn yes(reason: PromptReason) -> Self {
        Self { may_prompt: true, reason, not_before: None }
    }

    const fn no(reason: PromptReason) -> Self {
        Self { may_prompt: false, reason, not_before: None }
    }
}

/// The questions that forms put to a person for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompts {
    /// How many since the last answer.
    pub count: u32,
    /// When the latest was.
    pub last_at: Timestamp,
}

/// What is asked about one person and one purpose.
#[derive(Debug, Clone, Copy)]
pub struct PromptQuestion<'a> {
    /// The policy in force.
    pub policy: &'a ValidPolicy,
    /// The purpose.
    pub purpose: &'a PurposeRule,
    /// The person.
    pub subject: SubjectId,
    /// The person's history; nobody's is empty.
    pub events: &'a [ConsentEvent],
    /// The questions before this one.
    pub prompts: Option<Prompts>,
    /// Whether the person began a transaction that cannot be completed without it (11 CCR §7028(b)).
    pub transaction_requires: bool,
    /// Now.
    pub now: Timestamp,
}

/// Decides whether a form may ask. First match wins; under several regimes every one of them must allow it.
#[must_use]
pub fn may_prompt(question: &PromptQuestion<'_>) -> PromptAnswer {
    let standing = Standing::fold(question.subject, question.events);
    if standing.restricted_at().is_some() {
        return PromptAnswer::no(PromptReason::Restricted);
    }
    if not_objected(&standing, question.purpose).is_err() {
        return PromptAnswer::no(PromptReason::Objected);
    }
    let (law, transaction) = question.wait_of_law(&standing);
    let running = |until: &Timestamp| *until > question.now;
    let excepted = question.transaction_requires && question.is_californias();
    let waits = law.filter(running).max(transaction.filter(running).filter(|_| !excepted));
    if let Some(until) = waits {
        return PromptAnswer { not_before: Some(until), ..PromptAnswer::no(PromptReason::Waiting) };
    }
    if let Some(reason) = question.why_not_worth_asking(&standing) {
        return PromptAnswer::no(reason);
    }
    if excepted && transaction.is_some_and(|until| running(&until)) {
        return PromptAnswer::yes(PromptReason::TransactionRequires);
    }
    let gap = question.unanswered().map(|prompts| {
        // Somebody who keeps not answering has answered.
        let gap = if prompts.count >= UNANSWERED {
            question.purpose.reask_after.max(question.purpose.prompt_gap)
        } else {
            question.purpose.prompt_gap
        };
        gap.wait_from(prompts.last_at)
    });
    if let Some(until) = gap.filter(running) {
        return if excepted {
            PromptAnswer::yes(PromptReason::TransactionRequires)
        } else {
            PromptAnswer { not_before: Some(until), ..PromptAnswer::no(PromptReason::AskedRecently) }
        };
    }
    let answered = answered_at(question.events, question.purpose).is_some();
    let asked_before = answered || law.is_some() || transaction.is_some() || gap.is_some();
    PromptAnswer::yes(if asked_before { PromptReason::WaitOver } else { PromptReason::NotAskedYet })
}

impl PromptQuestion<'_> {
    /// Why there is nothing to ask for: tried on the decision itself, for every recipient of the purpose, as it is now
    /// and after a yes.
    fn why_not_worth_asking(&self, standing: &Standing) -> Option<PromptReason> {
        let granted = standing.effective(&self.purpose.id).is_some();
        let recipients: Vec<_> =
            self.policy.recipients().filter(|rule| rule.purposes.contains(&self.purpose.id)).collect();
        if recipients.is_empty() {
            return granted.then_some(PromptReason::AlreadyGiven);
        }
        if recipients.iter().all(|rule| self.refusal(rule, standing).is_none()) {
            return Some(if granted { PromptReason::AlreadyGiven } else { PromptReason::NotNeeded });
        }
        let after: Vec<_> =
            recipients.iter().filter_map(|rule| self.refusal(rule, &self.after_a_yes(rule, standing))).collect();
        if after.len() < recipients.len() {
            return None;
        }
        match after.first()? {
            Refusal::Minor => Some(PromptReason::Minor),
            Refusal::Restricted => Some(PromptReason::Restricted),
            Refusal::Objected => Some(PromptReason::Objected),
            // That yes had everything a yes can have: what is too sensitive even then, no consent permits.
            Refusal::Forbidden | Refusal::Sensitive => Some(PromptReason::Forbidden),
            // What else is lacking is not for the person to be told by not being asked.
            _ => None,
        }
    }

    fn refusal(&self, recipient: &RecipientRule, standing: &Standing) -> Option<Refusal> {
        let attributes = recipient.attributes.clone();
        let ask = Ask::new(self.policy, recipient.id.clone(), self.purpose.id.clone(), attributes);
        match decide(self.policy, standing, &ask, self.after_now()) {
            Decision::Permit(_) => None,
            Decision::Refuse(refusal) => Some(refusal),
        }
    }

    /// How the person stands after a yes that has everything a yes can have.
    fn after_a_yes(&self, recipient: &RecipientRule, standing: &Standing) -> Standing {
        let at = self.after_now();
        let grant = Grant {
            notice: notice_naming(self.policy, &recipient.id),
            purpose_version: self.purpose.version,
            assurance: Assurance::Authenticated,
            explicit: true,
            controllers: vec![recipient.controller.clone()],
            valid_until: None,
            third_party: false,
            product_family: None,
        };
        let purpose = Some(self.purpose.id.clone());
        let step = |kind, of| ConsentEvent { conflict_notice: true, ..ConsentEvent::new(kind, of, at, at) };
        let mut events = self.events.to_vec();
        events.push(ConsentEvent {
            grant: Some(grant),
            ..ConsentEvent::new(EventKind::GrantConfirmed, purpose.clone(), at, at)
        });
        if self.purpose.sale_or_share {
            events.extend([step(EventKind::OptInStep1, None), step(EventKind::OptInStep2, None)]);
        }
        if standing.limited_for(&self.purpose.id).is_some() {
            let of = || purpose.clone();
            events.extend([step(EventKind::OptInStep1, of()), step(EventKind::OptInStep2, of())]);
        }
        Standing::fold(self.subject, &events)
    }

    /// An instant after everything that is known, so that nothing ties with it.
    fn after_now(&self) -> Timestamp {
        self.events
            .iter()
            .map(|event| event.received_at)
            .max()
            .map_or(self.now, |last| last.max(self.now))
            .plus_ms(1)
    }

    /// Until when the person's no is respected: the part that nothing shortens, and the part of US law that a
    /// transaction of the person's own may (11 CCR §7028(b)).
    fn wait_of_law(&self, standing: &Standing) -> (Option<Timestamp>, Option<Timestamp>) {
        let (mut firm, mut transaction) = (None, None);
        for regime in standing.regimes() {
            let until = self.wait_under(*regime, standing);
            if self.is_californias() && is_us(*regime) {
                transaction = transaction.max(until);
            } else {
                firm = firm.max(until);
            }
        }
        (firm, transaction)
    }

    fn wait_under(&self, regime: Regime, standing: &Standing) -> Option<Timestamp> {
        // A later yes of the person's own ends the wait, even when that has run out since.
        let denied =
            standing.denied_at(&self.purpose.id).filter(|_| standing.effective(&self.purpose.id).is_none());
        let denied = denied.map(|at| {
            let usual = self.purpose.reask_after.wait_from(at);
            if self.is_californias() && is_us(regime) { self.californian(at, usual, standing) } else { usual }
        });
        let opted_out = self.opted_out_at(standing).map(|at| {
            let usual = self.purpose.reask_after.wait_from(at);
            if is_us(regime) {
                self.californian(at, usual, standing)
            } else {
                usual.max(CALIFORNIA_WAIT.wait_from(at))
            }
        });
        denied.max(opted_out)
    }

    /// Twelve months, or what the policy says if that is longer; for a minor until the birthday if that is sooner.
    fn californian(&self, at: Timestamp, usual: Timestamp, standing: &Standing) -> Timestamp {
        let wait = usual.max(CALIFORNIA_WAIT.wait_from(at));
        let minor = standing.birth().filter(|birth| birth.age_at(at) < CALIFORNIA_AGE);
        match minor {
            Some(birth) => CALIFORNIA_WAIT.wait_from(at).min(birth.reaches(CALIFORNIA_AGE)),
            None => wait,
        }
    }

    /// When the person opted out last, of what this purpose is, unless that was lifted.
    fn opted_out_at(&self, standing: &Standing) -> Option<Timestamp> {
        let latest = |kinds: &[EventKind]| {
            let of_kind = self.events.iter().filter(|event| kinds.contains(&event.kind));
            of_kind.map(|event| event.received_at).max()
        };
        let of_sale = standing.opted_out_of_sale().filter(|_| self.purpose.sale_or_share).map(|first| {
            latest(&[EventKind::OptOutSaleShare, EventKind::SignalGpc]).map_or(first, |at| at.max(first))
        });
        let limited = standing.limited_at().filter(|_| self.purpose.sensitive && !self.purpose.spi_necessary);
        of_sale.max(limited)
    }

    /// Whether the purpose is one that CCPA 1798.135(c)(4) speaks of.
    const fn is_californias(&self) -> bool {
        self.purpose.sale_or_share || self.purpose.sensitive
    }

    /// The questions that were not answered since.
    fn unanswered(&self) -> Option<Prompts> {
        let answered = answered_at(self.events, self.purpose);
        self.prompts.filter(|prompts| answered.is_none_or(|at| at < prompts.last_at))
    }
}

/// When the person last answered a question for a purpose, with yes or no.
#[must_use]
pub fn answered_at(events: &[ConsentEvent], purpose: &PurposeRule) -> Option<Timestamp> {
    let is_answer = |event: &&ConsentEvent| {
        matches!(
            event.kind,
            EventKind::GrantRequested
                | EventKind::GrantConfirmed
                | EventKind::GrantInvalid
                | EventKind::Refused
                | EventKind::Withdrawn
        ) && event.purpose.as_ref().is_none_or(|concerned| *concerned == purpose.id)
    };
    events.iter().filter(is_answer).map(|event| event.received_at).max()
}

fn is_us(regime: Regime) -> bool {
    matches!(regime.family(), RegimeFamily::UsCa | RegimeFamily::UsOther)
}

#[cfg(test)]
mod tests;
