//! Witnesses (c2sp.org/tlog-witness): somebody else who looks at every checkpoint and vouches that the ledger only
//! grew. Optional. A witness that saw a longer or another ledger stops ours: whoever restored an old database must not
//! sign on from there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kernel::authz::{Actor, Authorized, RunJobs};
use kernel::ledger::Checkpoint;
use kernel::ledger::cosign::WitnessKey;
use kernel::ledger::tree::empty_root;
use tokio_util::sync::CancellationToken;

use crate::error::AppError;
use crate::gateway::Gateway;

/// How often a witness is asked.
const EVERY: Duration = Duration::from_secs(5);
const LEASE_MS: i64 = 30_000;

/// What a witness answers to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// 200: its cosignature lines.
    Cosigned(String),
    /// 409: it knows another size than the proof begins with.
    Knows(u64),
    /// 422: the proof does not hold for what it saw.
    Contradicts,
    /// Anything else, in fixed words.
    Unable(&'static str),
}

/// The answer, when it comes.
pub type Witnessed<'a> = Pin<Box<dyn Future<Output = WitnessAnswer> + Send + 'a>>;

/// Brings a checkpoint with its proof to a witness (`POST …/add-checkpoint`).
pub trait Witness: Send + Sync {
    /// Asks it.
    fn add_checkpoint(&self, body: String) -> Witnessed<'_>;
}

/// How the witness stands to this ledger.
#[derive(Default)]
pub(crate) struct Witnessing {
    witness: OnceLock<(Arc<dyn Witness>, WitnessKey)>,
    /// The size that it is known to know.
    known: AtomicU64,
    /// Whether it answered since this process started.
    has_answered: AtomicBool,
    was_contradicted: AtomicBool,
}

impl fmt::Debug for Witnessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witnessing").field("was_contradicted", &self.was_contradicted()).finish_non_exhaustive()
    }
}

impl Witnessing {
    /// Whether there is a witness that has not said yet what it knows: until then nothing is signed, for the database
    /// may be one of yesterday.
    pub(crate) fn is_awaited(&self) -> bool {
        self.witness.get().is_some() && !self.has_answered.load(Ordering::Acquire)
    }

    /// Whether the witness saw a ledger that this one does not continue.
    pub(crate) fn was_contradicted(&self) -> bool {
        self.was_contradicted.load(Ordering::Acquire)
    }
}

impl Gateway {
    /// Says who witnesses the ledger. Only the first one counts.
    pub fn witnessed_by(&self, witness: Arc<dyn Witness>, key: WitnessKey) {
        if self.inner.witnessing.witness.set((witness, key)).is_err() {
            tracing::warn!("there is a witness already");
        }
    }

    pub(crate) async fn run_witnessing(&self, stop: CancellationToken) {
        let Ok(by) = Authorized::<RunJobs>::prove(Actor::Job("witness")) else { return };
        if self.inner.witnessing.witness.get().is_none() {
            return;
        }
        let holder = self.inner.entropy.bytes_16();
        while !stop.is_cancelled() {
            let turn = async {
                if self.inner.store.try_acquire("witness", holder, self.now(), LEASE_MS).await? {
                    self.witness_ledger_once(&by).await?;
                }
                Ok::<_, AppError>(())
            };
            if let Err(error) = turn.await {
                tracing::warn!(error = ?error, "the ledger was not witnessed and will be later");
            }
            let _elapsed = tokio::time::timeout(EVERY, stop.cancelled()).await;
        }
    }

    /// Brings the latest checkpoint to the witness, if there is a witness and it has not cosigned it yet. Says whether
    /// the latest checkpoint is cosigned now.
    ///
    /// # Errors
    /// When the store does not answer; when the witness contradicts this ledger.
    pub async fn witness_ledger_once(&self, _by: &Authorized<RunJobs>) -> Result<bool, AppError> {
        let (store, witnessing) = (&self.inner.store, &self.inner.witnessing);
        let Some((witness, key)) = witnessing.witness.get() else { return Ok(false) };
        let latest = store.latest_checkpoint().await?;
        let (size, root) = latest.map_or((0, empty_root()), |latest| (latest.size, latest.root));
        let cosigned = store.largest_cosigned().await?.unwrap_or(0);
        if cosigned == size && !witnessing.is_awaited() {
            return Ok(true);
        }
        let mut known = witnessing.known.load(Ordering::Acquire).max(cosigned);
        // Once more when it knows another size than we thought.
        for _ in 0..2 {
            let Some(proof) = self.ledger_consistency(known, Some(size)).await? else {
                return self.contradicted();
            };
            let answer = witness.add_checkpoint(proof.to_text()).await;
            if !matches!(answer, WitnessAnswer::Unable(_)) {
                witnessing.has_answered.store(true, Ordering::Release);
            }
            match answer {
                WitnessAnswer::Cosigned(lines) => {
                    let body = Checkpoint::new(&self.settings().ledger_origin, size, root)
                        .map(|checkpoint| checkpoint.body())
                        .map_err(|_| AppError::internal("the checkpoint has no text"))?;
                    let Ok(cosignature) = key.find(&body, &lines) else {
                        tracing::warn!("the witness answered without its cosignature");
                        return Ok(false);
                    };
                    store.keep_cosignature(size, key.name(), &cosignature).await?;
                    witnessing.known.store(size, Ordering::Release);
                    return Ok(true);
                }
                WitnessAnswer::Knows(theirs) if theirs > size => {
                    // Another gateway of ours may have brought a later one meanwhile.
                    let newest = store.latest_checkpoint().await?.map_or(0, |newest| newest.size);
                    return if theirs > newest { self.contradicted() } else { Ok(false) };
                }
                WitnessAnswer::Knows(theirs) => known = theirs,
                WitnessAnswer::Contradicts => return self.contradicted(),
                WitnessAnswer::Unable(reason) => {
                    tracing::warn!(reason, "the witness did not cosign");
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    fn contradicted(&self) -> Result<bool, AppError> {
        self.inner.witnessing.was_contradicted.store(true, Ordering::Release);
        tracing::error!(
            "the witness saw a ledger that this one does not continue: the database was rolled back or replaced. \
             Nothing more is signed"
        );
        Err(AppError::internal("the witness contradicts this ledger"))
    }
}
