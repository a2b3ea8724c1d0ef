//! The lifecycle of one consent as ISO/IEC TS 27560 and the Data Privacy Vocabulary tell it: a closed list of states, and
//! the steps between them that there are.

use super::{ConsentEvent, EventKind, Standing};
use crate::policy::PurposeRule;
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// A state of a consent. The names are those of DPV 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsentState {
    /// Nothing is known.
    Unknown,
    /// The person was asked.
    Requested,
    /// The person put the answer off.
    RequestDeferred,
    /// The person said no.
    Refused,
    /// The person said yes.
    Given,
    /// The person said yes again.
    RenewedGiven,
    /// It ran out.
    Expired,
    /// The person took it back.
    Withdrawn,
    /// The controller ended it.
    Revoked,
    /// An authority found that it was none.
    Invalidated,
}

impl ConsentState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Unknown,
        Self::Requested,
        Self::RequestDeferred,
        Self::Refused,
        Self::Given,
        Self::RenewedGiven,
        Self::Expired,
        Self::Withdrawn,
        Self::Revoked,
        Self::Invalidated,
    ];

    /// The name of its DPV concept.
    #[must_use]
    pub const fn dpv(self) -> &'static str {
        match self {
            Self::Unknown => "ConsentUnknown",
            Self::Requested => "ConsentRequested",
            Self::RequestDeferred => "ConsentRequestDeferred",
            Self::Refused => "ConsentRefused",
            Self::Given => "ConsentGiven",
            Self::RenewedGiven => "RenewedConsentGiven",
            Self::Expired => "ConsentExpired",
            Self::Withdrawn => "ConsentWithdrawn",
            Self::Revoked => "ConsentRevoked",
            Self::Invalidated => "ConsentInvalidated",
        }
    }

    /// Whether processing may rest on it.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::Given | Self::RenewedGiven)
    }

    /// Whether the lifecycle has a step from this state to another.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Unknown => matches!(next, Self::Requested),
            Self::Requested => matches!(next, Self::Given | Self::Refused | Self::RequestDeferred),
            Self::Given | Self::RenewedGiven => matches!(
                next,
                Self::RenewedGiven | Self::Withdrawn | Self::Expired | Self::Revoked | Self::Invalidated
            ),
            Self::RequestDeferred
            | Self::Refused
            | Self::Withdrawn
            | Self::Expired
            | Self::Revoked
            | Self::Invalidated => matches!(next, Self::Requested),
        }
    }
}

/// One step of a lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indication {
    /// The state that was entered.
    pub state: ConsentState,
    /// When it was indicated.
    pub at: Timestamp,
    /// The event behind it, by its place in the history.
    pub event: u32,
    /// Whether the person said so, and not the controller or the clock.
    pub by_person: bool,
}

/// The lifecycle of the consent to one purpose, over a history with the ends of what ran out, in order of receipt.
///
/// With `whole` the history is the person's own from the beginning. Otherwise it is a part of it, such as one post: then a
/// withdrawal stands for itself, whatever it took back.
#[must_use]
pub fn lifecycle(
    subject: SubjectId,
    events: &[ConsentEvent],
    purpose: &PurposeRule,
    whole: bool,
) -> Vec<Indication> {
    let mut walk = Walk { state: ConsentState::Unknown, steps: Vec::new() };
    let mut standing = Standing::of(subject);
    for event in events {
        standing.apply(event);
        let concerned = event.purpose.as_ref().is_none_or(|id| *id == purpose.id);
        if !concerned {
            continue;
        }
        match event.kind {
            EventKind::GrantRequested | EventKind::GrantInvalid => walk.request(event),
            EventKind::GrantConfirmed => {
                let counts = standing.effective(&purpose.id).is_some_and(|grant| grant.sequence == event.sequence);
                if counts && walk.state.permits() {
                    walk.enter(ConsentState::RenewedGiven, event, true);
                } else if counts {
                    walk.request(event);
                    walk.enter(ConsentState::Given, event, true);
                }
            }
            EventKind::Refused if !walk.state.permits() => {
                walk.request(event);
                walk.enter(ConsentState::Refused, event, true);
            }
            EventKind::Expired => walk.enter(ConsentState::Expired, event, false),
            kind if takes_back(kind, purpose) => walk.take_back(event, whole),
            _ => {}
        }
    }
    walk.steps
}

/// Whether an event ends a consent to a purpose by the person's will.
#[must_use]
pub const fn takes_back(kind: EventKind, purpose: &PurposeRule) -> bool {
    match kind {
        EventKind::Withdrawn | EventKind::Refused => true,
        EventKind::Objected => purpose.direct_marketing,
        EventKind::OptOutSaleShare | EventKind::SignalGpc => purpose.sale_or_share,
        EventKind::LimitSpi => purpose.sensitive && !purpose.spi_necessary,
        _ => false,
    }
}

struct Walk {
    state: ConsentState,
    steps: Vec<Indication>,
}

impl Walk {
    /// Takes a step, if there is one.
    fn enter(&mut self, state: ConsentState, event: &ConsentEvent, by_person: bool) {
        if self.state.may_become(state) {
            self.state = state;
            self.steps.push(Indication { state, at: event.captured_at, event: event.sequence, by_person });
        }
    }

    /// The form asked; a running request, and a consent in force, stay as they are.
    fn request(&mut self, event: &ConsentEvent) {
        self.enter(ConsentState::Requested, event, false);
    }

    fn take_back(&mut self, event: &ConsentEvent, whole: bool) {
        match self.state {
            ConsentState::Requested => self.enter(ConsentState::Refused, event, true),
            ConsentState::Unknown if !whole => {
                self.state = ConsentState::Given;
                self.enter(ConsentState::Withdrawn, event, true);
            }
            _ => self.enter(ConsentState::Withdrawn, event, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::expiry::expiries;
    use crate::decision::tests::{Random, history, policy};

    #[test]
    fn every_lifecycle_takes_only_steps_that_there_are() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..5_000 {
            let mut random = Random(seed);
            let policy = policy(&mut random);
            let subject = SubjectId::from_bytes([7; 16]);
            let mut events = history(&mut random);
            events.retain(|event| event.kind != EventKind::Expired);
            events.extend(expiries(&policy, subject, &events, Timestamp::from_millis(i64::MAX / 2)));
            events.sort_by_key(|event| event.received_at);
            for purpose in policy.purposes() {
                let mut state = ConsentState::Unknown;
                for step in lifecycle(subject, &events, purpose, true) {
                    assert!(state.may_become(step.state), "{state:?} to {:?}", step.state);
                    state = step.state;
                    seen.insert(state);
                }
            }
        }
        for state in
            [ConsentState::Given, ConsentState::RenewedGiven, ConsentState::Expired, ConsentState::Withdrawn]
        {
            assert!(seen.contains(&state), "{state:?}");
        }
    }

    #[test]
    fn only_a_given_consent_permits_and_every_end_can_be_asked_again() {
        for state in ConsentState::ALL {
            assert_eq!(state.permits(), matches!(state, ConsentState::Given | ConsentState::RenewedGiven));
            let may_ask = state.may_become(ConsentState::Requested);
            assert_eq!(may_ask, !state.permits() && state != ConsentState::Requested, "{state:?}");
        }
    }
}
