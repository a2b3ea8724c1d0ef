//! Attempts that end at the door, without a token or without its scope: on record, and bounded. Whoever floods the
//! gateway with them fills neither the ledger nor the database.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kernel::authz::Actor;
use kernel::client::ClientId;
use kernel::id::StaffId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::time::Timestamp;

use crate::figures::count;
use crate::gateway::Gateway;

/// How long the same attempt, by the same client and for the same reason, is one entry.
const WINDOW_MS: i64 = 60_000;
/// The most entries of a window. Only registered clients and staff are told apart, so it is hardly ever reached.
const MOST: usize = 256;

/// Who did something, as far as credentials told: a program, or a member of staff.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Author {
    pub(crate) client: Option<ClientId>,
    pub(crate) staff: Option<StaffId>,
}

impl Author {
    pub(crate) fn of(actor: &Actor) -> Self {
        Self {
            client: actor.client().map(|client| client.client.clone()),
            staff: actor.staff().map(|staff| staff.staff),
        }
    }

    pub(crate) const fn client(client: Option<ClientId>) -> Self {
        Self { client, staff: None }
    }

    pub(crate) const fn staff(staff: Option<StaffId>) -> Self {
        Self { client: None, staff }
    }
}

/// What was recorded in this window.
#[derive(Debug, Default)]
pub(crate) struct DeniedAttempts {
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    seen: BTreeSet<(Author, RefusedAttempt, AttemptRefusal)>,
}

impl DeniedAttempts {
    /// Whether an attempt is the first of its kind in this window.
    fn is_new(&self, attempt: (Author, RefusedAttempt, AttemptRefusal), now: Timestamp) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match &mut *window {
            Some(window) if (0..WINDOW_MS).contains(&now.since_ms(window.since)) => window,
            ended => ended.insert(Window { since: now, seen: BTreeSet::new() }),
        };
        window.seen.len() < MOST && window.seen.insert(attempt)
    }
}

impl Gateway {
    /// Records that somebody was turned away at the door. The same attempt by the same client for the same reason is one
    /// entry a minute; every one is counted. A store that does not answer does not let anybody in.
    pub async fn note_denied(&self, by: Option<&Actor>, action: RefusedAttempt, reason: AttemptRefusal) {
        self.note_denied_by(by.map(Author::of).unwrap_or_default(), action, reason).await;
    }

    pub(crate) async fn note_denied_by(&self, by: Author, action: RefusedAttempt, reason: AttemptRefusal) {
        if !self.inner.denied.is_new((by.clone(), action, reason), self.now()) {
            count(&self.inner.counters.attempts_refused);
            return;
        }
        if let Err(error) = self.note_refusal_by(by, action, reason).await {
            tracing::warn!(error = %error, "a refused attempt was not recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_attempt_is_new_once_a_window() {
        let (denied, begin) = (DeniedAttempts::default(), Timestamp::from_millis(1_000_000));
        let attempt = |reason| (Author::default(), RefusedAttempt::PullProfiles, reason);
        assert!(denied.is_new(attempt(AttemptRefusal::NoCredentials), begin));
        assert!(!denied.is_new(attempt(AttemptRefusal::NoCredentials), begin.plus_ms(WINDOW_MS - 1)));
        assert!(denied.is_new(attempt(AttemptRefusal::InvalidToken), begin.plus_ms(1)));
        assert!(denied.is_new(attempt(AttemptRefusal::NoCredentials), begin.plus_ms(WINDOW_MS)));
        // A clock that was set back begins anew rather than never.
        assert!(denied.is_new(attempt(AttemptRefusal::NoCredentials), begin));
    }

    #[test]
    fn a_window_has_an_end() {
        let (denied, now) = (DeniedAttempts::default(), Timestamp::from_millis(0));
        let new = (0..2 * MOST).filter(|number| {
            let client = format!("client-{number}").parse().ok();
            denied.is_new(
                (Author::client(client), RefusedAttempt::ReadLedger, AttemptRefusal::InsufficientScope),
                now,
            )
        });
        assert_eq!(new.count(), MOST);
    }
}
