//! Why a decision came out as it did: at any time, from the events that were known then.
//!
//! There is no second decision here. Every finding is an answer of [`decide`] itself: to the question as it was
//! asked, to the same question under one regime alone, and to the same question after one more event. So what is
//! explained cannot differ from what was decided.

use std::cmp::Reverse;

use serde::Serialize;

use super::expiry::end_of;
use super::{Ask, Decision, Refusal, decide};
use crate::attribute::AttributeName;
use crate::consent::{Assurance, Basis, ConsentEvent, EventKind, Grant, GrantStanding, Standing};
use crate::notice::NoticeDigest;
use crate::policy::{Mode, ValidPolicy};
use crate::recipient::RecipientId;
use crate::regime::Regime;
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// A question about one person at one time.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The policy that was in force.
    pub policy: &'a ValidPolicy,
    /// The person.
    pub subject: SubjectId,
    /// The person's history, in the order of its sequence. What was received after `at` has no influence.
    pub events: &'a [ConsentEvent],
    /// What was asked.
    pub ask: &'a Ask,
    /// When.
    pub at: Timestamp,
}

/// What was decided, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Why it was refused; `None`: it was permitted.
    pub refusal: Option<Refusal>,
    /// The attributes that were permitted.
    pub permitted: Vec<AttributeName>,
    /// The attributes that were asked for and withheld, with the reason of each.
    pub withheld: Vec<(AttributeName, Refusal)>,
    /// The event that decided, by its place in the history; `None` where nothing that happened decided.
    pub event: Option<u32>,
    /// What each regime that applied said by itself. All must permit.
    pub regimes: Vec<RegimeFinding>,
    /// The shortest ways to another result.
    pub changes: Vec<Vec<Step>>,
    /// When the result changes by itself: a consent that runs out, or a birthday.
    pub changes_at: Option<Timestamp>,
}

/// What one regime said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegimeFinding {
    /// Which.
    pub regime: Regime,
    /// How the purpose becomes lawful under it; `None`: the policy does not know the purpose.
    pub mode: Option<Mode>,
    /// Why it refused; `None`: it permitted.
    pub refusal: Option<Refusal>,
    /// The basis a permission rests on; `None` where none is needed until the person opts out.
    pub basis: Option<Basis>,
    /// The event that decided.
    pub event: Option<u32>,
}

/// One thing that could happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The person consents, under a notice that names the recipient's controller, with the assurance that is needed.
    Give,
    /// The person consents explicitly (GDPR Art. 9(2)(a)).
    GiveExplicitly,
    /// The person opts in again in two steps, told of the signal if there is one (11 CCR §7028).
    OptInInTwoSteps,
    /// A holder of parental responsibility authorises (GDPR Art. 8).
    ParentAuthorises,
    /// A holder of parental responsibility opts in for a child below 13 (CCPA 1798.120(c)).
    ParentOptsIn,
    /// The controller lifts the restriction (GDPR Art. 18(3)).
    LiftRestriction,
    /// The person takes consent back.
    Withdraw,
    /// The person objects to direct marketing.
    Object,
    /// The person opts out of sale and sharing.
    OptOut,
    /// The person limits the use of sensitive information.
    Limit,
    /// Processing is restricted.
    Restrict,
}

impl Step {
    const OPENING: [Self; 6] = [
        Self::Give,
        Self::GiveExplicitly,
        Self::OptInInTwoSteps,
        Self::ParentAuthorises,
        Self::ParentOptsIn,
        Self::LiftRestriction,
    ];
    const CLOSING: [Self; 5] = [Self::Withdraw, Self::Object, Self::OptOut, Self::Limit, Self::Restrict];

    /// The step in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Give => {
                "The person consents to this purpose under the current notice, with the assurance it needs."
            }
            Self::GiveExplicitly => "The person consents explicitly, with an express statement.",
            Self::OptInInTwoSteps => {
                "The person opts in again in two steps, told of the conflict with the signal if one was received."
            }
            Self::ParentAuthorises => "A holder of parental responsibility authorises the consent.",
            Self::ParentOptsIn => "A holder of parental responsibility opts in for the child in two steps.",
            Self::LiftRestriction => "The controller lifts the restriction.",
            Self::Withdraw => "The person takes consent back.",
            Self::Object => "The person objects to direct marketing.",
            Self::OptOut => "The person opts out of sale and sharing.",
            Self::Limit => "The person limits the use of sensitive information.",
            Self::Restrict => "Processing is restricted.",
        }
    }

    /// The events that the step would add.
    fn events(self, question: &Question<'_>, at: Timestamp) -> Vec<ConsentEvent> {
        let purpose = || Some(question.ask.purpose().clone());
        let of = |kind, purpose| ConsentEvent::new(kind, purpose, at, at);
        let given = |explicit| ConsentEvent {
            grant: Some(question.full_grant(explicit)),
            ..of(EventKind::GrantConfirmed, purpose())
        };
        let steps = |by_parent| {
            [EventKind::OptInStep1, EventKind::OptInStep2].map(|kind| ConsentEvent {
                by_parent,
                conflict_notice: true,
                ..of(kind, None)
            })
        };
        match self {
            Self::Give => vec![given(false)],
            Self::GiveExplicitly => vec![given(true)],
            Self::OptInInTwoSteps => steps(false).to_vec(),
            Self::ParentOptsIn => steps(true).to_vec(),
            Self::ParentAuthorises => {
                vec![ConsentEvent { by_parent: true, ..of(EventKind::ParentAuthorised, purpose()) }]
            }
            Self::LiftRestriction => vec![of(EventKind::RestrictionLifted, None)],
            Self::Withdraw => vec![of(EventKind::Withdrawn, purpose())],
            Self::Object => vec![of(EventKind::Objected, None)],
            Self::OptOut => vec![of(EventKind::OptOutSaleShare, None)],
            Self::Limit => vec![of(EventKind::LimitSpi, None)],
            Self::Restrict => vec![of(EventKind::Restricted, None)],
        }
    }
}

/// Explains a decision.
#[must_use]
pub fn explain(question: &Question<'_>) -> Explanation {
    let known: Vec<_> = question.events.iter().filter(|event| event.received_at <= question.at).cloned().collect();
    let question = &Question { events: &known, ..*question };
    let standing = question.standing();
    let (refusal, permitted, withheld) = match decide(question.policy, &standing, question.ask, question.at) {
        Decision::Refuse(refusal) => (Some(refusal), Vec::new(), Vec::new()),
        Decision::Permit(permit) => (
            None,
            permit.attributes().cloned().collect(),
            permit.withheld().map(|(name, reason)| (name.clone(), reason)).collect(),
        ),
    };
    let regimes: Vec<_> = standing.regimes().iter().map(|regime| question.finding(*regime)).collect();
    let event = match refusal {
        Some(refusal) => question.event_behind(refusal, &standing),
        None => regimes.iter().find_map(|finding| finding.event),
    };
    Explanation {
        refusal,
        permitted,
        withheld,
        event,
        regimes,
        changes: question.changes(refusal),
        changes_at: question.changes_at(refusal, &standing),
    }
}

impl Question<'_> {
    fn standing(&self) -> Standing {
        Standing::fold(self.subject, self.events)
    }

    fn rule(&self) -> Option<&crate::policy::PurposeRule> {
        self.policy.purpose(self.ask.purpose()).map(|rule| &**rule)
    }

    /// The answer to the question over other events and at another time.
    fn refusal_after(&self, events: &[ConsentEvent], at: Timestamp) -> Option<Refusal> {
        match decide(self.policy, &Standing::fold(self.subject, events), self.ask, at) {
            Decision::Permit(_) => None,
            Decision::Refuse(refusal) => Some(refusal),
        }
    }

    /// What one regime says by itself: the decision as if no other had been declared.
    fn finding(&self, regime: Regime) -> RegimeFinding {
        let of_regime = |event: &&ConsentEvent| {
            event.kind != EventKind::RegimeDeclared || event.regime.is_none_or(|declared| declared == regime)
        };
        let events: Vec<_> = self.events.iter().filter(of_regime).cloned().collect();
        let refusal = self.refusal_after(&events, self.at);
        let mode = self.rule().map(|rule| rule.mode(regime));
        let standing = Standing::fold(self.subject, &events);
        let (basis, event) = match refusal {
            Some(refusal) => (None, self.event_behind(refusal, &standing)),
            None => self.basis(mode, &events, &standing),
        };
        RegimeFinding { regime, mode, refusal, basis, event }
    }

    /// What a permission rests on: the strongest basis without which it would not be given.
    fn basis(
        &self,
        mode: Option<Mode>,
        events: &[ConsentEvent],
        standing: &Standing,
    ) -> (Option<Basis>, Option<u32>) {
        let purpose = self.ask.purpose();
        match mode {
            None | Some(Mode::Forbidden | Mode::OptOut) => (None, None),
            Some(Mode::LegitimateInterest) => (Some(Basis::LegitimateInterest), None),
            Some(Mode::Allowed) => (self.rule().and_then(|rule| rule.bases.first().copied()), None),
            Some(Mode::OptIn | Mode::ExplicitOptIn | Mode::OptInOrSoft | Mode::OptInOrImplied) => {
                let weaker =
                    [(EventKind::SoftOptInBasis, Basis::SoftOptIn), (EventKind::ImpliedBasis, Basis::Implied)];
                for (kind, basis) in weaker {
                    let without: Vec<_> = events.iter().filter(|event| event.kind != kind).cloned().collect();
                    if self.refusal_after(&without, self.at).is_some() {
                        let known = standing.purpose(purpose);
                        let held = known.and_then(|known| match basis {
                            Basis::SoftOptIn => known.soft.as_ref(),
                            _ => known.implied.as_ref(),
                        });
                        return (Some(basis), held.map(|held| held.sequence));
                    }
                }
                (Some(Basis::Consent), standing.effective(purpose).map(|grant| grant.sequence))
            }
        }
    }

    /// The event that a refusal goes back to: the latest of the kinds that can bring it about.
    fn event_behind(&self, refusal: Refusal, standing: &Standing) -> Option<u32> {
        let kinds: &[EventKind] = match refusal {
            Refusal::Restricted => &[EventKind::Restricted, EventKind::Objected],
            Refusal::Objected => &[EventKind::Objected],
            Refusal::Minor => &[EventKind::BirthDeclared],
            Refusal::Pending => &[EventKind::GrantRequested],
            Refusal::Withdrawn => &[EventKind::Withdrawn],
            Refusal::Refused => &[EventKind::Refused],
            Refusal::Invalid => &[EventKind::GrantInvalid],
            Refusal::OptedOut => &[
                EventKind::OptOutSaleShare,
                EventKind::SignalGpc,
                EventKind::LimitSpi,
                EventKind::AdmtOptOut,
                EventKind::Withdrawn,
                EventKind::Refused,
            ],
            Refusal::Sensitive if standing.limited_at().is_some() => &[EventKind::LimitSpi],
            Refusal::Sensitive
            | Refusal::Expired
            | Refusal::StaleThirdParty
            | Refusal::Reconsent
            | Refusal::Controller
            | Refusal::RecipientNotDisclosed
            | Refusal::AutomatedDecision
            | Refusal::Assurance => return self.grant(standing).map(|grant| grant.sequence),
            _ => &[],
        };
        let purpose = self.ask.purpose();
        self.events
            .iter()
            .filter(|event| kinds.contains(&event.kind))
            .filter(|event| event.purpose.as_ref().is_none_or(|concerned| concerned == purpose))
            .max_by_key(|event| (event.received_at, event.sequence))
            .map(|event| event.sequence)
    }

    /// The grant that is looked at: the consent, or else a weaker basis.
    fn grant<'s>(&self, standing: &'s Standing) -> Option<&'s GrantStanding> {
        let purpose = self.ask.purpose();
        let weaker = || {
            let known = standing.purpose(purpose)?;
            known.soft.as_ref().or(known.implied.as_ref())
        };
        standing.effective(purpose).or_else(weaker)
    }

    /// A consent with nothing to wish for.
    fn full_grant(&self, explicit: bool) -> Grant {
        let recipient = self.policy.recipient(self.ask.recipient());
        Grant {
            notice: notice_naming(self.policy, self.ask.recipient()),
            purpose_version: self.rule().map_or(1, |rule| rule.version),
            assurance: Assurance::Authenticated,
            explicit,
            controllers: recipient.map(|rule| rule.controller.clone()).into_iter().collect(),
            valid_until: None,
            third_party: false,
            product_family: None,
        }
    }

    /// The fewest steps that lead to another result, each way tried on the decision itself.
    fn changes(&self, refusal: Option<Refusal>) -> Vec<Vec<Step>> {
        let steps: &[Step] = if refusal.is_some() { &Step::OPENING } else { &Step::CLOSING };
        let at = self.next_instant();
        let leads_elsewhere = |way: &Vec<Step>| {
            let added = way.iter().flat_map(|step| step.events(self, at));
            let events: Vec<_> = self.events.iter().cloned().chain(self.numbered(added)).collect();
            self.refusal_after(&events, at).is_some() != refusal.is_some()
        };
        let single: Vec<_> = steps.iter().map(|step| vec![*step]).filter(leads_elsewhere).collect();
        if !single.is_empty() || refusal.is_none() {
            return plainest(single);
        }
        let pairs = steps.iter().enumerate().flat_map(|(at, first)| {
            let rest = steps.get(at + 1..).unwrap_or_default();
            rest.iter().map(move |second| vec![*first, *second])
        });
        plainest(pairs.filter(leads_elsewhere).collect())
    }

    fn numbered(&self, added: impl Iterator<Item = ConsentEvent>) -> impl Iterator<Item = ConsentEvent> {
        let next = self.events.iter().map(|event| event.sequence.saturating_add(1)).max().unwrap_or(0);
        (next..).zip(added).map(|(sequence, event)| ConsentEvent { sequence, ..event })
    }

    /// An instant after everything that happened: what comes next does not tie with it.
    fn next_instant(&self) -> Timestamp {
        self.events.iter().map(|event| event.received_at).max().unwrap_or(self.at).max(self.at).plus_ms(1)
    }

    /// When the result changes although nothing happens.
    fn changes_at(&self, refusal: Option<Refusal>, standing: &Standing) -> Option<Timestamp> {
        let candidates = match refusal {
            None => {
                let rule = self.rule()?;
                let known = standing.purpose(self.ask.purpose());
                let weaker = known.into_iter().flat_map(|known| [known.soft.as_ref(), known.implied.as_ref()]);
                let held = weaker.chain([standing.effective(self.ask.purpose())]).flatten();
                held.map(|grant| end_of(grant, rule)).collect()
            }
            Some(Refusal::Minor) => standing.birth().map(birthdays).unwrap_or_default(),
            Some(_) => Vec::new(),
        };
        let other =
            |at: &Timestamp| *at > self.at && self.refusal_after(self.events, *at).is_some() != refusal.is_some();
        candidates.into_iter().filter(other).min()
    }
}

/// Leaves out what asks for more than another way does: an explicit consent where an ordinary one is enough.
fn plainest(mut ways: Vec<Vec<Step>>) -> Vec<Vec<Step>> {
    let plain: Vec<Vec<Step>> = ways
        .iter()
        .filter(|way| way.contains(&Step::Give))
        .map(|way| way.iter().map(|step| if *step == Step::Give { Step::GiveExplicitly } else { *step }).collect())
        .collect();
    ways.retain(|way| !(plain.contains(way) || way.contains(&Step::Give) && way.contains(&Step::GiveExplicitly)));
    ways.sort_by_key(|way| (way.len(), Reverse(way.contains(&Step::Give))));
    ways
}

/// A notice that names the recipient: one that forms show now, if there is one.
pub(super) fn notice_naming(policy: &ValidPolicy, recipient: &RecipientId) -> Option<NoticeDigest> {
    let naming = policy.notices().filter(|notice| notice.recipients.contains(recipient));
    naming.max_by_key(|notice| notice.current).map(|notice| notice.digest)
}

/// The birthdays that laws on minors look at.
fn birthdays(birth: crate::subject::Birth) -> Vec<Timestamp> {
    (13..=18).map(|age| birth.reaches(age)).collect()
}

#[cfg(test)]
mod tests;
