//! The courier: takes due letters, hands them over, and tries again with growing pauses. Several gateways may run one
//! each. A letter is delivered at least once; a repetition has the same `Message-ID`.

use std::time::Duration;

use futures_util::future::join_all;
use kernel::authz::{Actor, Authorized, RunJobs};
use kernel::consent::EventKind;
use kernel::letter::Letter;
use store::change::{Attempt, ClaimLetters, ClaimedLetter, RequeueLetters, SettleLetter};
use tokio_util::sync::CancellationToken;

use super::{Outgoing, Post};
use crate::error::AppError;
use crate::figures::count;
use crate::gateway::Gateway;
use crate::subject::open_acts;

/// Letters in work at once.
const AT_ONCE: u32 = 8;
/// How long they are ours: longer than any attempt takes.
const LEASE_MS: i64 = 300_000;
/// How long the courier rests when nothing is due.
const REST: Duration = Duration::from_secs(1);
/// The pause after the first attempt; each one after is twice as long.
const FIRST_PAUSE_MS: i64 = 60_000;
/// The longest pause.
const LONGEST_PAUSE_MS: i64 = 6 * 3_600_000;

/// How an attempt went, before it is settled.
enum Outcome {
    Sent,
    Unwanted,
    NotNow(Option<u16>),
    Never(Option<u16>),
}

impl Gateway {
    /// Delivers letters until told to stop. Without anybody to deliver them they wait.
    pub(crate) async fn run_courier(&self, stop: CancellationToken) {
        let Ok(by) = Authorized::<RunJobs>::prove(Actor::Job("courier")) else { return };
        // Whoever set the mail server right has started the gateway anew.
        if let Err(error) = self.requeue_failed_letters(&by).await {
            tracing::warn!(error = ?error, "the letters that were refused could not be looked at");
        }
        while !stop.is_cancelled() {
            let more = match self.deliver_letters_once(&by).await {
                Ok(handled) => handled > 0,
                Err(error) => {
                    tracing::warn!(error = ?error, "the letters that are due could not be looked at");
                    false
                }
            };
            if !more {
                let _elapsed = tokio::time::timeout(REST, stop.cancelled()).await;
            }
        }
    }

    /// Puts letters that were refused for good back into the queue, as long as their links are good. Tells how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn requeue_failed_letters(&self, _by: &Authorized<RunJobs>) -> Result<u64, AppError> {
        if !self.delivers_mail() || self.inner.store.mail_queue().await?.failed == 0 {
            return Ok(0);
        }
        Ok(self.inner.store.perform(&RequeueLetters { at: self.now() }).await?.0)
    }

    /// Takes the letters that are due and tries to deliver each once. Tells how many there were.
    ///
    /// # Errors
    /// When the store does not answer. What was taken is due again later.
    pub async fn deliver_letters_once(&self, _by: &Authorized<RunJobs>) -> Result<usize, AppError> {
        let Some(post) = self.inner.post.get() else { return Ok(0) };
        let store = &self.inner.store;
        // A look first: claiming is a write even where nothing is due.
        if !store.is_letter_due(self.now()).await? {
            return Ok(0);
        }
        let claim = ClaimLetters { at: self.now(), most: AT_ONCE, lease_ms: LEASE_MS };
        let (claimed, _committed) = store.perform(&claim).await?;
        let settled = join_all(claimed.iter().map(|letter| async {
            let outcome = self.attempt(&**post, letter).await?;
            self.settle(letter, outcome).await
        }))
        .await;
        settled.into_iter().collect::<Result<Vec<()>, AppError>>()?;
        Ok(claimed.len())
    }

    async fn attempt(&self, post: &dyn Post, claimed: &ClaimedLetter) -> Result<Outcome, AppError> {
        if self.now() >= claimed.expires_at {
            return Ok(Outcome::Never(None));
        }
        let Some(letter) = self.open_if_wanted(claimed).await? else { return Ok(Outcome::Unwanted) };
        let outgoing = Outgoing { id: claimed.id, at: claimed.created_at, letter };
        Ok(match post.deliver(&outgoing).await {
            Ok(()) => Outcome::Sent,
            Err(error) => {
                let (code, attempts) = (error.code, claimed.attempts);
                tracing::warn!(reason = error.reason, code, attempts, letter = %claimed.id, "a letter was not taken");
                if error.is_permanent { Outcome::Never(code) } else { Outcome::NotNow(code) }
            }
        })
    }

    /// The letter, unless it is of no use: its person is gone, or has answered, or has said no since.
    async fn open_if_wanted(&self, claimed: &ClaimedLetter) -> Result<Option<Letter>, AppError> {
        let store = &self.inner.store;
        let Some(request) = claimed.request else { return Ok(None) };
        let Some(row) = store.rows_by_ids(&[claimed.subject]).await?.pop() else { return Ok(None) };
        let tampered = |_| AppError::internal("a letter does not open");
        let key = self.inner.keyring.unwrap_key(row.id, &row.wrapped_key).map_err(tampered)?;
        let standing = key.open_standing(&row.standing).map_err(tampered)?;
        let mut acts = store.consent_acts(row.id).await?;
        acts.retain(|act| act.receipt == request);
        let is_wanted = open_acts(&key, &acts)?.iter().any(|(_, event, _)| {
            let denied = event.purpose.as_ref().and_then(|purpose| standing.denied_at(purpose));
            event.kind == EventKind::GrantRequested
                && denied.max(standing.objected_at()).is_none_or(|denied| denied < event.received_at)
        });
        if !is_wanted {
            return Ok(None);
        }
        key.open_letter(claimed.id, &claimed.sealed).map(Some).map_err(tampered)
    }

    async fn settle(&self, letter: &ClaimedLetter, outcome: Outcome) -> Result<(), AppError> {
        let (at, counters) = (self.now(), &self.inner.counters);
        let attempt = match outcome {
            Outcome::Sent => Attempt::Sent,
            Outcome::Unwanted => Attempt::Dropped,
            Outcome::Never(code) => Attempt::Failed { code },
            Outcome::NotNow(code) => {
                let next = at.plus_ms(self.pause_after(letter.attempts));
                // What could only arrive too late is not tried again.
                if next >= letter.expires_at { Attempt::Failed { code } } else { Attempt::Later { next, code } }
            }
        };
        let settle = SettleLetter { subject: letter.subject, id: letter.id, attempt, at };
        self.inner.store.perform(&settle).await?;
        match attempt {
            Attempt::Sent => count(&counters.letters_sent),
            Attempt::Later { .. } => count(&counters.letters_deferred),
            Attempt::Failed { code } => {
                count(&counters.letters_failed);
                tracing::error!(code, letter = %letter.id, "a letter cannot be delivered");
            }
            Attempt::Dropped => {}
        }
        Ok(())
    }

    /// A minute after the first attempt, then twice as long each time, and up to a quarter more, so that letters that
    /// failed together do not come back together.
    fn pause_after(&self, attempts: u32) -> i64 {
        let doublings = attempts.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << doublings).min(LONGEST_PAUSE_MS);
        let [high, low, ..] = self.inner.entropy.bytes_16();
        let draw = i64::from(u16::from_be_bytes([high, low]));
        pause + pause / 4 * draw / i64::from(u16::MAX)
    }
}
