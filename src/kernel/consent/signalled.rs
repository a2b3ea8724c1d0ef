//! What a signal adds to a history, and what is carried over when a device, a profile and a person turn out to belong
//! together (11 CCR §7025(c)).
//!
//! A signal is sent with every page view. One that says nothing new adds nothing: otherwise a browser that goes on
//! sending it would undo the opt-in of somebody who was told of the conflict (§7025(c)(3)), and histories would grow
//! without end. Nothing here ever adds an event that permits.

use super::event::{ConsentEvent, EventKind};
use super::standing::Standing;
use crate::policy::ValidPolicy;
use crate::policy::signal::Consequence;
use crate::purpose::Purpose;
use crate::regime::Regime;
use crate::signal::{ReadSignal, SignalScope};
use crate::source::SourceId;
use crate::time::Timestamp;

/// How and when a signal came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When the browser sent it.
    pub captured_at: Timestamp,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// Through what.
    pub source: SourceId,
}

impl Arrival {
    fn event(&self, kind: EventKind, purpose: Option<Purpose>, scope: SignalScope) -> ConsentEvent {
        let mut event = ConsentEvent::new(kind, purpose, self.captured_at, self.received_at);
        event.source = Some(self.source.clone());
        event.scope = Some(scope);
        event
    }
}

impl Standing {
    /// The events that a signal means for whom this is the standing of, under these regimes; those known if there
    /// are none.
    #[must_use]
    pub fn signalled(
        &self,
        policy: &ValidPolicy,
        signal: &ReadSignal,
        (scope, regimes): (SignalScope, &[Regime]),
        arrival: &Arrival,
    ) -> Vec<ConsentEvent> {
        let mut events = Vec::new();
        let received = signal.received();
        let is_new_string = !received.is_empty() && self.last_signal() != Some(received.digest());
        if is_new_string {
            let mut event = arrival.event(EventKind::SignalReceived, None, scope);
            event.signal = Some(received.clone());
            events.push(event);
        }
        let is_new_gpc = signal.is_gpc() && self.gpc_at().is_none();
        if is_new_gpc {
            events.push(arrival.event(EventKind::SignalGpc, None, scope));
        }
        // Of a device no law is known: what the Global Privacy Control means besides is said of whom it is carried to.
        let of_nowhere = scope == SignalScope::Device && regimes.is_empty();
        let regimes = if regimes.is_empty() { self.regimes() } else { regimes };
        for consequence in policy.consequences(signal, regimes) {
            if consequence.by_gpc && of_nowhere {
                continue;
            }
            let is_new = if consequence.by_gpc { is_new_gpc } else { is_new_string };
            if self.holds_already(&consequence) || (!is_new && self.ever_held(&consequence)) {
                continue;
            }
            events.push(arrival.event(consequence.kind, consequence.purpose, scope));
        }
        events
    }

    /// What another standing denies and this one has not heard of: opt-outs, objections, limits and the signal; with
    /// refusals where `from` knows no others than those of signals. Whoever opted in later than that keeps it.
    #[must_use]
    pub fn carried_from(&self, from: &Self, scope: SignalScope, arrival: &Arrival) -> Vec<ConsentEvent> {
        let mut events = Vec::new();
        let mut carry = |kind, purpose: Option<&Purpose>, at: Option<Timestamp>, known: Option<Timestamp>| {
            if let Some(at) = at.filter(|at| known.is_none_or(|known| *at > known)) {
                let mut event = arrival.event(kind, purpose.cloned(), scope);
                event.captured_at = at.min(arrival.received_at);
                events.push(event);
            }
        };
        carry(EventKind::SignalGpc, None, from.gpc_at().filter(|_| self.gpc_at().is_none()), None);
        let whole = self.opt_out_at().max(self.opted_in_as_a_whole_at());
        carry(EventKind::OptOutSaleShare, None, from.opt_out_at(), whole);
        carry(EventKind::LimitSpi, None, from.limited_at(), self.limited_at());
        let is_of_signals = from.is_of_device();
        for (purpose, theirs) in from.purposes() {
            let ours = self.purpose(purpose);
            let opted_in = self.opted_in_at(purpose);
            let given = self.effective(purpose).map(|grant| grant.captured_at);
            let out = ours.and_then(|ours| ours.opted_out_at).max(opted_in);
            carry(EventKind::OptOutSaleShare, Some(purpose), theirs.opted_out_at, out);
            let objected = ours.and_then(|ours| ours.objected_at).max(given).max(opted_in);
            carry(EventKind::Objected, Some(purpose), theirs.objected_at, objected);
            let refused = ours.and_then(|ours| ours.refused_at).max(given).max(opted_in);
            carry(EventKind::Refused, Some(purpose), theirs.refused_at.filter(|_| is_of_signals), refused);
        }
        events
    }

    /// Whether an event that the Global Privacy Control means says nothing new: the signal is known, and what it meant
    /// then was said.
    #[must_use]
    pub fn repeats_signal(&self, event: &ConsentEvent) -> bool {
        event.scope.is_some()
            && self.gpc_at().is_some()
            && (event.kind == EventKind::SignalGpc
                || self.ever_held(&Consequence { kind: event.kind, purpose: event.purpose.clone(), by_gpc: true }))
    }

    /// Whether a consequence is in force: said, and not taken back since.
    fn holds_already(&self, consequence: &Consequence) -> bool {
        let Some(purpose) = &consequence.purpose else {
            let lifted = || self.purposes().any(|(purpose, _)| self.limited_for(purpose).is_none());
            return self.limited_at().is_some() && !lifted();
        };
        let said = self.said_at(consequence);
        let opted_in = self.opted_in_at(purpose);
        let given = self.effective(purpose).map(|grant| grant.captured_at);
        let since = match consequence.kind {
            EventKind::OptOutSaleShare => opted_in,
            _ => given.max(opted_in),
        };
        said.is_some_and(|said| since.is_none_or(|since| said >= since))
    }

    fn ever_held(&self, consequence: &Consequence) -> bool {
        self.said_at(consequence).is_some()
    }

    /// When what a consequence says was last said.
    fn said_at(&self, consequence: &Consequence) -> Option<Timestamp> {
        let Some(purpose) = &consequence.purpose else { return self.limited_at() };
        let known = self.purpose(purpose)?;
        match consequence.kind {
            EventKind::OptOutSaleShare => known.opted_out_at,
            EventKind::Objected => known.objected_at,
            _ => known.refused_at,
        }
    }
}

#[cfg(test)]
mod tests;
