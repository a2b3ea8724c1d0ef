//! Counting: how many permitted persons share their values, so that nobody is singled out (PSE-05) and so that groups can
//! be told of without their members (PSE-17).
//!
//! A count reads everybody once. It is kept for a while: what is told before and after one person's withdrawal is the same
//! then, and a pull does not pay for it each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kernel::attribute::AttributeName;
use kernel::decision::Ask;
use kernel::disclosure::{Census, Crowds, Tally, quasi_identifiers};
use kernel::policy::{PolicyVersion, ValidPolicy};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;

use super::ReadyAsk;
use crate::error::AppError;
use crate::gateway::Gateway;

/// How many persons are counted at a time.
const RANGE: u64 = 8_192;
/// How many ranges are counted at once.
const AT_ONCE: usize = 2;
/// How old the count may be that a pull goes by.
const FRESH_MS: i64 = 300_000;
/// How long one look-up waits for the first count. Until there is one, no quasi-identifier is served.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most counts that are kept.
const MOST_KEPT: usize = 256;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CountKey {
    policy: PolicyVersion,
    recipient: RecipientId,
    purpose: Purpose,
    attributes: Vec<AttributeName>,
}

/// One count.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) at: Timestamp,
    pub(crate) tally: Tally,
    pub(crate) crowds: Arc<Crowds>,
}

/// A count that is kept, and the right to make the next one.
#[derive(Debug, Default)]
pub(super) struct Kept {
    count: Mutex<Option<Arc<Counted>>>,
    counting: tokio::sync::Mutex<()>,
}

impl Kept {
    fn get(&self) -> Option<Arc<Counted>> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn no_older(&self, now: Timestamp, than_ms: i64) -> Option<Arc<Counted>> {
        self.get().filter(|count| (0..than_ms).contains(&now.since_ms(count.at)))
    }
}

/// The counts that are kept.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<CountKey, Arc<Kept>>>);

impl Counts {
    fn of(&self, ask: &Ask) -> Arc<Kept> {
        let key = CountKey {
            policy: ask.policy_version(),
            recipient: ask.recipient().clone(),
            purpose: ask.purpose().clone(),
            attributes: ask.attributes().cloned().collect(),
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KEPT {
            counts.clear();
        }
        Arc::clone(counts.entry(key).or_default())
    }
}

/// What has to be counted before an ask is answered, and where the count is kept.
#[derive(Debug, Clone)]
pub(super) struct ToCount {
    ask: Ask,
    kept: Arc<Kept>,
}

impl Counts {
    /// What has to be counted before an ask is answered: nothing, unless it names a quasi-identifier.
    pub(super) fn needed(&self, policy: &ValidPolicy, ask: &Ask) -> Option<ToCount> {
        let recipient = policy.recipient(ask.recipient())?;
        let together = quasi_identifiers(policy, recipient, ask.purpose());
        if !ask.attributes().any(|name| together.contains(name)) {
            return None;
        }
        let ask = Ask::new(policy, ask.recipient().clone(), ask.purpose().clone(), together);
        Some(ToCount { kept: self.of(&ask), ask })
    }
}

impl Gateway {
    /// The crowds that a pull goes by, if it needs any.
    pub(super) async fn crowds_of(&self, ready: &ReadyAsk) -> Result<Option<Arc<Crowds>>, AppError> {
        let Some(ToCount { ask, kept }) = &ready.to_count else { return Ok(None) };
        Ok(Some(Arc::clone(&self.count_into(kept, ask, FRESH_MS).await?.crowds)))
    }

    /// The crowds that a look-up goes by: it does not wait long, and what is a little old will do while somebody counts.
    pub(super) async fn crowds_at_hand(&self, ready: &ReadyAsk) -> Option<Arc<Crowds>> {
        let to_count = ready.to_count.as_ref()?;
        let now = self.now();
        if let Some(count) = to_count.kept.no_older(now, 2 * FRESH_MS) {
            if to_count.kept.no_older(now, FRESH_MS).is_none() && to_count.kept.counting.try_lock().is_ok() {
                drop(self.count_apart(to_count.clone()));
            }
            return Some(Arc::clone(&count.crowds));
        }
        let counting = self.count_apart(to_count.clone());
        let counted = tokio::time::timeout(PATIENCE, counting).await.ok()?.ok()??;
        Some(Arc::clone(&counted.crowds))
    }

    /// Counts beside the caller, who may go on without.
    fn count_apart(&self, to_count: ToCount) -> tokio::task::JoinHandle<Option<Arc<Counted>>> {
        let gateway = self.clone();
        self.inner.runtime.spawn(async move {
            let counted = gateway.count_into(&to_count.kept, &to_count.ask, FRESH_MS).await;
            counted.inspect_err(|error| tracing::warn!(%error, "groups could not be counted")).ok()
        })
    }

    /// A count of those who are permitted for an ask, no older than some milliseconds.
    pub(crate) async fn count(&self, ask: &Ask, no_older_than_ms: i64) -> Result<Arc<Counted>, AppError> {
        self.count_into(&self.inner.counts.of(ask), ask, no_older_than_ms).await
    }

    /// As [`Self::count`], where it is kept. Whoever comes while one is made waits for it.
    async fn count_into(&self, kept: &Kept, ask: &Ask, no_older_than_ms: i64) -> Result<Arc<Counted>, AppError> {
        if let Some(count) = kept.no_older(self.now(), no_older_than_ms) {
            return Ok(count);
        }
        let _counting = kept.counting.lock().await;
        if let Some(count) = kept.no_older(self.now(), no_older_than_ms) {
            return Ok(count);
        }
        let at = self.now();
        let tally = self.tally(ask).await?;
        let crowds = Arc::new(Crowds::of(ask.clone(), &tally));
        let counted = Arc::new(Counted { at, tally, crowds });
        *kept.count.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&counted));
        Ok(counted)
    }

    /// Reads and decides about everybody, and keeps numbers alone.
    async fn tally(&self, ask: &Ask) -> Result<Tally, AppError> {
        let end = self.inner.store.max_ordinal().await?.map_or(0, |last| last.saturating_add(1));
        let ranges = (0..end.div_ceil(RANGE)).map(|range| range * RANGE..(range + 1) * RANGE);
        stream::iter(ranges)
            .map(|range| self.tally_range(ask, range))
            .buffer_unordered(AT_ONCE)
            .try_fold(Tally::default(), |mut all, one| async move {
                all.add(&one);
                Ok(all)
            })
            .await
    }

    async fn tally_range(&self, ask: &Ask, ordinals: std::ops::Range<u64>) -> Result<Tally, AppError> {
        let rows = self.inner.store.scan_range(ordinals.start, ordinals.end).await?;
        let (gateway, ask) = (self.clone(), ask.clone());
        let counted = tokio::task::spawn_blocking(move || {
            let policy = gateway.policy();
            let mut census = Census::new(&policy, &gateway.inner.keyring, &ask, gateway.now());
            for row in rows.rows() {
                census.consider(&row?);
            }
            Ok(census.tally())
        });
        counted.await.map_err(AppError::internal)?
    }
}
