//! Whether a person's no was said before: mail programs post an unsubscribe link more than once, and once is enough.

use super::event::{ConsentEvent, EventKind};
use super::standing::Standing;
use crate::purpose::Purpose;
use crate::time::Timestamp;

impl Standing {
    /// Whether a withdrawal, objection, opt-out or limit changes nothing, for it holds already and nothing was given
    /// or asked for since. Of any other event: no.
    #[must_use]
    pub fn already_says(&self, event: &ConsentEvent) -> bool {
        match (event.kind, &event.purpose) {
            (EventKind::Withdrawn, Some(purpose)) => {
                self.denied_at(purpose).is_some_and(|denied| self.is_quiet_since(purpose, denied))
            }
            (EventKind::Withdrawn, None) => self.withdrawn_all_at().is_some_and(|all| self.all_quiet_since(all)),
            (EventKind::AdmtOptOut, _) => self.opted_out_of_automation().is_some(),
            (EventKind::Objected, None) => {
                self.objected_at().is_some_and(|objected| self.all_quiet_since(objected))
            }
            // A signal opts out, too; a request of the person's own is more than that and is kept.
            (EventKind::OptOutSaleShare, None) => {
                self.opted_out_of_sale().is_some()
                    && self.gpc_at().is_none()
                    && self.purposes().all(|(purpose, _)| self.opted_out_of(purpose).is_some())
            }
            (EventKind::LimitSpi, _) => {
                self.limited_at().is_some()
                    && self.purposes().all(|(purpose, _)| self.limited_for(purpose).is_some())
            }
            _ => false,
        }
    }

    fn all_quiet_since(&self, at: Timestamp) -> bool {
        self.purposes().all(|(purpose, _)| self.is_quiet_since(purpose, at))
    }

    /// Whether no grant and no request for one was captured after an instant.
    fn is_quiet_since(&self, purpose: &Purpose, at: Timestamp) -> bool {
        let Some(known) = self.purpose(purpose) else { return true };
        let grants = [&known.confirmed, &known.soft, &known.implied];
        let given = grants.into_iter().flatten().map(|grant| grant.captured_at).max();
        given.max(known.requested_at).is_none_or(|last| last <= at)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::subject::SubjectId;

    fn event(kind: EventKind, purpose: Option<&str>, at: i64) -> ConsentEvent {
        let at = Timestamp::from_millis(at);
        ConsentEvent::new(kind, purpose.map(|purpose| purpose.parse().unwrap()), at, at)
    }

    fn said(history: &[ConsentEvent], next: &ConsentEvent) -> bool {
        Standing::fold(SubjectId::from_bytes([1; 16]), history).already_says(next)
    }

    #[test]
    fn a_withdrawal_counts_once_until_something_is_asked_for_again() {
        let mail = Some("email_marketing");
        let withdrawal = event(EventKind::Withdrawn, mail, 20);
        assert!(!said(&[], &withdrawal));
        assert!(said(&[event(EventKind::Withdrawn, mail, 10)], &withdrawal));
        assert!(said(&[event(EventKind::Refused, mail, 10)], &withdrawal));
        assert!(!said(&[event(EventKind::Withdrawn, Some("other"), 10)], &withdrawal));
        let again = [event(EventKind::Withdrawn, mail, 10), event(EventKind::GrantRequested, mail, 11)];
        assert!(!said(&again, &withdrawal));
        // Everything was withdrawn, this list with it.
        assert!(said(&[event(EventKind::Withdrawn, None, 10)], &withdrawal));
        assert!(!said(&[event(EventKind::Withdrawn, mail, 10)], &event(EventKind::Withdrawn, None, 20)));
    }

    #[test]
    fn obj_06_an_unsubscribe_is_not_the_objection_and_neither_stands_for_the_other() {
        let mail = Some("email_marketing");
        assert!(!said(&[event(EventKind::Withdrawn, mail, 10)], &event(EventKind::Objected, None, 20)));
        assert!(!said(&[event(EventKind::Objected, None, 10)], &event(EventKind::Withdrawn, mail, 20)));
        assert!(said(&[event(EventKind::Objected, None, 10)], &event(EventKind::Objected, None, 20)));
    }

    #[test]
    fn a_request_of_ones_own_is_kept_beside_a_signal() {
        let request = event(EventKind::OptOutSaleShare, None, 20);
        assert!(!said(&[event(EventKind::SignalGpc, None, 10)], &request));
        assert!(said(&[event(EventKind::OptOutSaleShare, None, 10)], &request));
        assert!(said(&[event(EventKind::LimitSpi, None, 10)], &event(EventKind::LimitSpi, None, 20)));
        assert!(!said(
            &[event(EventKind::GrantConfirmed, Some("a"), 10)],
            &event(EventKind::GrantConfirmed, Some("a"), 20)
        ));
    }
}
