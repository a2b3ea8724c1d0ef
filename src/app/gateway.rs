//! The facade: what the edges call, and what holds the pieces together.

use std::sync::{Arc, OnceLock, RwLock};

use kernel::authn::{HashCost, SecretHash};
use kernel::clock::Clock;
use kernel::entropy::Entropy;
use kernel::policy::ValidPolicy;
use kernel::policy::document::{PolicyFault, PolicySources};
use kernel::regime::Regime;
use kernel::seal::Keyring;
use kernel::time::Timestamp;
use store::change::{ApplyPolicy, Capture, Captured, OnceClaim};
use store::query::StoredNotice;
use store::{Backend, Store, StoreError, StoreSettings};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access::{KnownTokens, once_writers, revision_readers};
use crate::batcher::{BatchSize, Batcher, Gathered};
use crate::confirmation::ConfirmationSettings;
use crate::denied::DeniedAttempts;
use crate::error::AppError;
use crate::figures::{Counters, Figures};
use crate::keys::{KeySource, KeysInUse, RootKeyError, Signers, take_keys};
use crate::ledger::Witnessing;
use crate::limit::{Quota, Throttle};
use crate::mail::Post;
use crate::profile::{Answer, Counts, Lookup, ReadyAsks};
use crate::staff::{Sso, SsoSettings};

/// What the gateway needs to know of its surroundings.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// The gateway's own address, without a slash at the end: the issuer of its tokens.
    pub issuer: String,
    /// The audience of its tokens.
    pub audience: String,
    /// The name of its ledger: a URL without scheme, without a slash at the end.
    pub ledger_origin: String,
    /// How long an access token is good, in seconds.
    pub token_seconds: u32,
    /// Whether proofs of possession must name a nonce of ours (RFC 9449 §8).
    pub dpop_nonces: bool,
    /// The regime of persons who declare no region where the form sets none either; `None`: unknown, the strictest.
    pub default_regime: Option<Regime>,
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: String,
    /// The most database connections.
    pub max_connections: u32,
    /// Whether to bring the schema up to date when opening.
    pub migrate_on_start: bool,
    /// Whether to put the policy into force when opening; who only looks does not.
    pub apply_policy: bool,
    /// What hashing a client's secret costs.
    pub hash_cost: HashCost,
    /// How confirmations are asked for.
    pub confirmation: ConfirmationSettings,
    /// How often somebody without a login may cause something for one address.
    pub address_quota: Quota,
    /// The most rows of one imported file.
    pub most_import_rows: u64,
    /// The identity provider that staff sign in with; `None`: none.
    pub sso: Option<SsoSettings>,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:8080".to_owned(),
            audience: "http://127.0.0.1:8080".to_owned(),
            ledger_origin: "consentry.example/ledger".to_owned(),
            token_seconds: 900,
            dpop_nonces: false,
            default_regime: None,
            database_url: "sqlite:consentry.db".to_owned(),
            max_connections: 8,
            migrate_on_start: true,
            apply_policy: true,
            hash_cost: HashCost::OWASP,
            confirmation: ConfirmationSettings::default(),
            address_quota: Quota { per_minute: 1, burst: 60 },
            most_import_rows: 1_000_000,
            sso: None,
        }
    }
}

/// Why the gateway does not start. It never starts half.
#[derive(Debug, Error)]
pub enum OpenGatewayError {
    /// The database cannot be opened or reached.
    #[error("the database cannot be used: {0}")]
    Database(String),
    /// The schema is older than this program and may not be changed now.
    #[error("the database needs {0} migrations: run `consentry migrate`, or set database.migrate_on_start")]
    PendingMigrations(usize),
    /// The policy has faults.
    #[error("the policy has {} faults", .0.len())]
    Policy(Vec<PolicyFault>),
    /// The keys do not open what the database holds.
    #[error("the keys do not belong to this database: a stored person does not open with them")]
    WrongKeys,
    /// The root key cannot be used, or does not open the store's keys.
    #[error(transparent)]
    Keys(#[from] RootKeyError),
    /// There is a store, and its keys are nowhere.
    #[error(
        "the database holds a store, but no keys of it: neither a sealed key set in the database nor a key file with \
         its keys. Put the key file back, or restore database and keys of one time. No new keys are made, because \
         they could not open what is stored"
    )]
    NoKeySet,
    /// There is no store yet, and the command makes none.
    #[error("the database holds no store yet: `consentry serve` makes one")]
    NotBegun,
    /// A signing key or name is unusable.
    #[error("the signing keys or the ledger's name are unusable: {0}")]
    Signing(String),
    /// There is no runtime to work on.
    #[error("the gateway must be opened inside a tokio runtime")]
    NoRuntime,
}

impl From<StoreError> for OpenGatewayError {
    fn from(error: StoreError) -> Self {
        Self::Database(error.to_string())
    }
}

/// Consentry, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway(..)")
    }
}

pub(crate) struct Inner {
    pub(crate) settings: GatewaySettings,
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    policy: RwLock<Arc<ValidPolicy>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) runtime: Handle,
    pub(crate) captures: Batcher<Capture, Captured>,
    /// What strangers cause for an address.
    pub(crate) addresses: Throttle,
    /// Look-ups that wait at the same time share their round trips.
    pub(crate) lookups: Batcher<Lookup, Answer>,
    pub(crate) asks: ReadyAsks,
    /// How many persons share what they are served.
    pub(crate) counts: Counts,
    /// How far rights were taken away: read before what is remembered of them is relied on.
    pub(crate) revisions: Batcher<(), u64>,
    /// What may be used once.
    pub(crate) once: Batcher<OnceClaim, bool>,
    pub(crate) keys: KeysInUse,
    pub(crate) signers: RwLock<Arc<Signers>>,
    pub(crate) witnessing: Witnessing,
    pub(crate) known_tokens: KnownTokens,
    pub(crate) denied: DeniedAttempts,
    /// Bounds the memory and the threads that hashing secrets takes.
    pub(crate) hashing: Semaphore,
    pub(crate) dummy_hash: SecretHash,
    pub(crate) counters: Counters,
    /// Who delivers letters, once somebody does.
    pub(crate) post: OnceLock<Arc<dyn Post>>,
    /// Held by the one task that looks after imports.
    pub(crate) tending: Arc<Semaphore>,
    pub(crate) tended_at: std::sync::atomic::AtomicI64,
    /// What is known of the identity provider.
    pub(crate) sso: Sso,
}

/// Captures: on PostgreSQL the commit of one batch overlaps the statements of another. SQLite has one writer, and the
/// store queues for it.
const CAPTURES: BatchSize = BatchSize { at_once: 4, worthwhile: 6, most: 64 };
/// Look-ups: a batch reads, decides and records, and waits for its commit while others do.
const LOOKUPS: BatchSize = BatchSize { at_once: 4, worthwhile: 6, most: 64 };

impl Gateway {
    /// Connects, brings the schema and the policy up to date and starts the writers.
    ///
    /// # Errors
    /// When anything is missing or does not fit: see [`OpenGatewayError`].
    pub async fn open(
        settings: GatewaySettings,
        keys: impl Into<KeySource>,
        sources: PolicySources,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenGatewayError> {
        let runtime = Handle::try_current().map_err(|_| OpenGatewayError::NoRuntime)?;
        let policy = ValidPolicy::from_sources(&sources).map_err(OpenGatewayError::Policy)?;
        let store = connect(&settings.database_url, settings.max_connections).await?;
        let pending = store.pending_migrations().await?;
        if settings.migrate_on_start {
            store.migrate().await?;
        } else if !pending.is_empty() {
            return Err(OpenGatewayError::PendingMigrations(pending.len()));
        }
        // Who only looks makes nothing.
        let taken = take_keys(&store, keys.into(), (&*clock, &*entropy), settings.apply_policy).await?;
        let (keyring, keys) = (Arc::new(taken.0), taken.1);
        check_keys(&store, &keyring).await?;
        if settings.apply_policy {
            apply_policy(&store, &policy, &sources, clock.now()).await?;
        }
        let signers = Signers::new(&keyring, &settings.ledger_origin, clock.now())?;
        let inner = Inner {
            captures: capture_writers(&runtime, &store, &keyring, &clock, &entropy),
            addresses: Throttle::keyed(settings.address_quota, Arc::clone(&clock)),
            asks: ReadyAsks::default(),
            counts: Counts::default(),
            lookups: lookup_answerers(&runtime, &store, &keyring, &clock, &entropy),
            revisions: revision_readers(&runtime, &store),
            once: once_writers(&runtime, &store),
            dummy_hash: SecretHash::dummy(settings.hash_cost),
            settings,
            store,
            keyring,
            policy: RwLock::new(Arc::new(policy)),
            clock,
            entropy,
            runtime,
            keys,
            signers: RwLock::new(Arc::new(signers)),
            witnessing: Witnessing::default(),
            known_tokens: KnownTokens::default(),
            denied: DeniedAttempts::default(),
            hashing: Semaphore::new(2),
            counters: Counters::new(),
            post: OnceLock::new(),
            tending: Arc::new(Semaphore::new(1)),
            tended_at: std::sync::atomic::AtomicI64::new(0),
            sso: Sso::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<ValidPolicy> {
        // A writer that panicked left the old policy whole: it is still the one in force.
        Arc::clone(&self.inner.policy.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What signs now.
    pub(crate) fn signers(&self) -> Arc<Signers> {
        Arc::clone(&self.inner.signers.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn keys_left(&self, left: u64) {
        self.inner.counters.keys_left.store(left, std::sync::atomic::Ordering::Relaxed);
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.clock)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &GatewaySettings {
        &self.inner.settings
    }

    /// A keyed digest of a request, to recognise its repetition.
    #[must_use]
    pub fn request_fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.inner.keyring.request_fingerprint(parts)
    }

    /// Whether the gateway can serve: the database answers, and what is written there can be read.
    ///
    /// # Errors
    /// When it does not, or its newest keys do not open here.
    pub async fn ready(&self) -> Result<(), AppError> {
        if self.inner.keys.is_behind() {
            return Err(AppError::Unavailable);
        }
        self.inner.store.ping().await.map_err(|_| AppError::Unavailable)
    }

    /// What it did since it started.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let reviews_due = self.policy().reviews_due(self.now().date()).len() as u64;
        Figures { reviews_due, keys_behind: self.inner.keys.is_behind(), ..self.inner.counters.snapshot() }
    }
}

pub(crate) async fn connect(url: &str, max_connections: u32) -> Result<Store, OpenGatewayError> {
    Ok(Store::connect(&StoreSettings { url: url.to_owned(), max_connections }).await?)
}

/// Brings a database's schema up to date and names the migrations that were applied.
///
/// # Errors
/// When the database cannot be reached, or has a schema newer than this program.
pub async fn migrate(url: &str, max_connections: u32) -> Result<Vec<String>, OpenGatewayError> {
    let store = connect(url, max_connections).await?;
    let applied = store.migrate().await?;
    store.close().await;
    Ok(applied)
}

/// The migrations that a database still needs.
///
/// # Errors
/// When the database cannot be reached, or has a schema newer than this program.
pub async fn pending_migrations(url: &str, max_connections: u32) -> Result<Vec<String>, OpenGatewayError> {
    let store = connect(url, max_connections).await?;
    let pending = store.pending_migrations().await?;
    store.close().await;
    Ok(pending)
}

/// A key ring that does not open the database's newest person is not this database's: refuse to start, for a gateway
/// that cannot read would answer that nobody consents, and would write what nobody else can read.
async fn check_keys(store: &Store, keyring: &Keyring) -> Result<(), OpenGatewayError> {
    let Some(newest) = store.max_ordinal().await? else { return Ok(()) };
    let page = store.scan_range(newest, newest.saturating_add(1)).await?;
    for row in page.rows() {
        let row = row?;
        let key = keyring.unwrap_key(row.id, row.wrapped_key).map_err(|_| OpenGatewayError::WrongKeys)?;
        key.open_standing(row.standing).map_err(|_| OpenGatewayError::WrongKeys)?;
    }
    Ok(())
}

async fn apply_policy(
    store: &Store,
    policy: &ValidPolicy,
    sources: &PolicySources,
    at: Timestamp,
) -> Result<(), OpenGatewayError> {
    let notices = policy
        .notices()
        .map(|notice| StoredNotice {
            digest: notice.digest,
            id: notice.id.clone(),
            version: notice.version,
            locale: notice.locale.clone(),
            text: notice.text.clone(),
        })
        .collect();
    let documents = sources.iter().map(|source| (source.path().to_owned(), source.text().to_owned())).collect();
    store.perform(&ApplyPolicy { version: policy.version(), documents, notices, at }).await?;
    Ok(())
}

/// Where what is written together is gathered: SQLite has one writer, who commits as much as possible at once.
pub(crate) fn gathered(runtime: &Handle, store: &Store) -> Gathered {
    match store.backend() {
        Backend::Sqlite => Gathered::Together(runtime.clone()),
        Backend::Postgres => Gathered::Apart,
    }
}

fn capture_writers(
    runtime: &Handle,
    store: &Store,
    keyring: &Arc<Keyring>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Batcher<Capture, Captured> {
    let (store, keyring, clock, entropy) =
        (store.clone(), Arc::clone(keyring), Arc::clone(clock), Arc::clone(entropy));
    Batcher::new(gathered(runtime, &store), CAPTURES, move |captures| {
        let (store, keyring, entropy) = (store.clone(), Arc::clone(&keyring), Arc::clone(&entropy));
        let at = clock.now();
        async move { crate::consent::write_captures(&store, &keyring, &entropy, captures, at).await }
    })
}

fn lookup_answerers(
    runtime: &Handle,
    store: &Store,
    keyring: &Arc<Keyring>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Batcher<Lookup, Answer> {
    let (store, keyring, clock, entropy) =
        (store.clone(), Arc::clone(keyring), Arc::clone(clock), Arc::clone(entropy));
    Batcher::new(gathered(runtime, &store), LOOKUPS, move |asked| {
        let (store, keyring, clock, entropy) =
            (store.clone(), Arc::clone(&keyring), Arc::clone(&clock), Arc::clone(&entropy));
        async move { crate::profile::look_up(&store, &keyring, (&*clock, &*entropy), asked).await }
    })
}
