//! Bulk pulls: ranges of ordinals in a keyed order, each read, decided, recorded and handed over as one page.
//!
//! Reading and deciding run ahead on other cores, but a page is recorded only when the consumer takes it, and one that
//! waited too long is read again: a withdrawal is honoured from the next page on, however slowly pages are taken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::Stream;
use kernel::authz::{Authorized, ReadProfiles};
use kernel::disclosure::{Disclosure, Gathering, PermittedBatch};
use kernel::id::PullId;
use kernel::pseudonym::VisitingOrder;
use serde::{Deserialize, Serialize};
use store::query::SubjectPage;
use tokio::task::JoinHandle;

use super::ReadyAsk;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// How many ordinals a range has at the most: bounds the memory of a page and how long a decision can wait.
const RANGE: u32 = 8_192;
/// How many ranges are in work at once.
const AHEAD: usize = 3;
/// How old a decision may be when its page is recorded.
const FRESH_MS: i64 = 500;

/// One page.
#[derive(Debug)]
pub struct PulledPage {
    /// The rows.
    pub batch: PermittedBatch,
    /// To go on after this page, if it is not the last.
    pub cursor: Option<String>,
}

/// A bulk pull in progress. Nothing is read while nobody takes pages.
pub struct Pull {
    gateway: Gateway,
    ready: ReadyAsk,
    caller: String,
    pull: PullId,
    state: CursorState,
    order: VisitingOrder,
    /// The next page to begin reading.
    started: u32,
    ahead: VecDeque<(u32, JoinHandle<Result<Disclosure, AppError>>)>,
    spent: SpentPages,
}

/// Pages that were decided: their memory is read into again.
type SpentPages = Arc<Mutex<Vec<SubjectPage>>>;

impl std::fmt::Debug for Pull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("page", &self.state.page).finish_non_exhaustive()
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        for (_, task) in &self.ahead {
            task.abort();
        }
    }
}

/// Where a pull stands: sealed into its cursor.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CursorState {
    /// What the visiting order was drawn with. Every call of the gateway is a pull of its own in the record, so that
    /// going on twice from one cursor is two disclosures.
    order: PullId,
    /// Under which version of the key of capabilities; 0: the first.
    #[serde(default)]
    version: u32,
    /// The first ordinal beyond the pull, fixed when it began.
    end: u64,
    /// How many ordinals a range has.
    range: u32,
    /// The next page.
    page: u32,
    policy: kernel::policy::PolicyVersion,
    purpose: kernel::purpose::Purpose,
    attributes: Vec<kernel::attribute::AttributeName>,
}

impl Gateway {
    /// Begins a bulk pull, or goes on where a cursor stands. `most` bounds the rows of a page; a pull keeps the bound it
    /// began with.
    ///
    /// # Errors
    /// When the cursor is not this client's and ask's, or the policy has changed since.
    pub async fn pull(
        &self,
        by: &Authorized<ReadProfiles>,
        ready: ReadyAsk,
        from: Option<&str>,
        most: Option<u32>,
    ) -> Result<Pull, AppError> {
        let caller = by.actor().client().map(|client| client.client.to_string()).unwrap_or_default();
        let state = match from {
            Some(cursor) => self.resume(&caller, &ready, cursor)?,
            None => CursorState {
                order: PullId::generate(&*self.inner.entropy),
                version: self.inner.keyring.makes_capabilities_by(),
                end: self.inner.store.max_ordinal().await?.map_or(0, |last| last.saturating_add(1)),
                range: most.map_or(RANGE, |most| most.clamp(1, RANGE)),
                page: 0,
                policy: ready.policy_version(),
                purpose: ready.purpose().clone(),
                attributes: ready.ask.attributes().cloned().collect(),
            },
        };
        let ranges = u32::try_from(state.end.div_ceil(u64::from(state.range))).map_err(AppError::internal)?;
        let order = self.inner.keyring.visiting_order(state.order, ready.recipient(), ranges, state.version);
        let order = order.ok_or_else(|| AppError::invalid(Fault::at("/cursor", Code::CursorInvalid)))?;
        let started = state.page;
        let pull = PullId::at(self.now(), &*self.inner.entropy);
        Ok(Pull {
            gateway: self.clone(),
            ready,
            caller,
            pull,
            state,
            order,
            started,
            ahead: VecDeque::new(),
            spent: SpentPages::default(),
        })
    }

    fn resume(&self, caller: &str, ready: &ReadyAsk, cursor: &str) -> Result<CursorState, AppError> {
        let invalid = || AppError::invalid(Fault::at("/cursor", Code::CursorInvalid));
        let bytes = self.inner.keyring.open_cursor(caller, cursor).map_err(|_| invalid())?;
        let state: CursorState = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        if state.purpose != *ready.purpose() || !ready.ask.attributes().eq(&state.attributes) {
            return Err(invalid());
        }
        if state.policy != ready.policy_version() {
            return Err(AppError::Conflict(Code::PolicyChanged));
        }
        Ok(state)
    }

    /// Reads and decides one range.
    async fn gather(
        &self,
        ready: &ReadyAsk,
        (pull, page): (PullId, u32),
        ordinals: std::ops::Range<u64>,
        spent: SpentPages,
    ) -> Result<Disclosure, AppError> {
        let crowds = self.crowds_of(ready).await?;
        let memory = spent.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let rows = self.inner.store.scan_range_into(memory, ordinals.start, ordinals.end).await?;
        let (gateway, ready) = (self.clone(), ready.clone());
        let decided = tokio::task::spawn_blocking(move || {
            let policy = gateway.policy();
            if policy.version() != ready.policy_version() {
                return Err(AppError::Conflict(Code::PolicyChanged));
            }
            let now = gateway.now();
            let mut page =
                Gathering::new(&policy, &gateway.inner.keyring, &ready.ask, (pull, page), now).among(crowds);
            page.reserve(usize::try_from(ordinals.end.saturating_sub(ordinals.start)).unwrap_or_default());
            for row in rows.rows() {
                page.consider(&row?, 0);
            }
            spent.lock().unwrap_or_else(PoisonError::into_inner).push(rows);
            Ok(page.finish())
        });
        decided.await.map_err(AppError::internal)?
    }
}

impl Pull {
    /// The next page, recorded; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<PulledPage, AppError>> {
        self.read_ahead();
        let (page, task) = self.ahead.pop_front()?;
        if self.state.range >= RANGE {
            self.read_ahead();
        }
        Some(self.take(page, task).await)
    }

    /// The ordinals of a page.
    fn ordinals(&self, page: u32) -> Option<std::ops::Range<u64>> {
        let first = u64::from(self.order.at(page)?).saturating_mul(u64::from(self.state.range));
        Some(first..first.saturating_add(u64::from(self.state.range)))
    }

    /// Starts reading further ranges, as many as may be in work.
    fn read_ahead(&mut self) {
        // Who takes small pages takes them one by one: what was read ahead would mostly be thrown away.
        let most = if self.state.range < RANGE { 1 } else { AHEAD };
        while self.ahead.len() < most {
            let page = self.started;
            let Some(range) = self.ordinals(page) else { return };
            let (gateway, ready, pull) = (self.gateway.clone(), self.ready.clone(), self.pull);
            let spent = Arc::clone(&self.spent);
            let task = async move { gateway.gather(&ready, (pull, page), range, spent).await };
            self.ahead.push_back((page, self.gateway.inner.runtime.spawn(task)));
            self.started = self.started.saturating_add(1);
        }
    }

    async fn take(
        &mut self,
        page: u32,
        task: JoinHandle<Result<Disclosure, AppError>>,
    ) -> Result<PulledPage, AppError> {
        let gateway = self.gateway.clone();
        let mut disclosure = task.await.map_err(AppError::internal)??;
        if gateway.now().since_ms(disclosure.record().at) > FRESH_MS {
            let range = self.ordinals(page).ok_or_else(|| AppError::internal("a page without ordinals"))?;
            disclosure = gateway.gather(&self.ready, (self.pull, page), range, Arc::clone(&self.spent)).await?;
        }
        let (persons, refused) = (disclosure.record().subjects, disclosure.record().refused.clone());
        let batch = disclosure.release(&gateway.inner.store).await?;
        gateway.inner.counters.disclosed(persons, &refused);
        self.state.page = page.saturating_add(1);
        let last = self.state.page >= self.order.count();
        let cursor = if last { None } else { Some(self.seal_cursor()?) };
        Ok(PulledPage { batch, cursor })
    }

    fn seal_cursor(&self) -> Result<String, AppError> {
        let state = serde_json::to_vec(&self.state).map_err(AppError::internal)?;
        self.gateway.inner.keyring.seal_cursor(&self.caller, &state).map_err(AppError::internal)
    }

    /// The pages as a stream: one is taken whenever it is polled.
    pub fn into_stream(self) -> impl Stream<Item = Result<PulledPage, AppError>> + Send + 'static {
        futures_util::stream::unfold(Some(self), |pull| async move {
            let mut pull = pull?;
            let page = pull.next().await?;
            // After a fault nothing follows: the consumer must not take the rest for the whole.
            let rest = if page.is_ok() { Some(pull) } else { None };
            Some((page, rest))
        })
    }
}
