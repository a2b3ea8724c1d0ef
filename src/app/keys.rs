//! Keys: the working keys are sealed in the store under a root key that somebody else keeps ([`RootKey`]); every gateway
//! of the store opens them when it starts and looks for a newer set all the time, so that keys are rotated while
//! everything runs.
//!
//! A new key counts from a time on ([`KNOWN_AFTER_MS`] later at the earliest): whoever looks knows it by then.

mod capability;
mod open;
mod rotate;
mod watch;
mod work;

pub use capability::EndingCapabilities;
pub use rotate::{KeyChangeError, KeyOverview, Rotation};
pub use work::KeyProgress;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::authn::TokenRing;
use kernel::ledger::note::{NoteSigner, NoteVerifier};
use kernel::receipt::{ReceiptSigner, ReceiptVerifier};
use kernel::seal::{INDEX_OVERLAP_MS, KeyFacts, KeySet, Keyring, REMEMBERED_MS, RootProvider, TimedSeed};
use kernel::time::Timestamp;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::gateway::OpenGatewayError;
pub(crate) use open::take_keys;

/// How long a new key is known before it is used: every gateway looks twice a second, and a root key far away takes its
/// time.
pub const KNOWN_AFTER_MS: i64 = 10_000;
/// How long after a key's beginning the one before it is needed, because gateways' clocks differ.
pub const KEY_OVERLAP_MS: i64 = INDEX_OVERLAP_MS;

/// Why a root key cannot be used. The words say what and where, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RootKeyError {
    /// It is not where it should be.
    #[error("{0}")]
    Missing(String),
    /// It is there, and is not the one that the keys are sealed under.
    #[error("{0}")]
    Wrong(String),
    /// Whoever keeps it does not let us use it.
    #[error("{0}")]
    Denied(String),
    /// Whoever keeps it does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// Everything else.
    #[error("{0}")]
    Unusable(String),
}

/// The answer of a [`RootKey`], when it comes.
pub type Rooted<'a, T> = Pin<Box<dyn Future<Output = Result<T, RootKeyError>> + Send + 'a>>;

/// What a root key wrapped.
#[derive(Clone)]
pub struct Wrapped {
    /// The name of the root key, which is no secret: it says at the next start whether it is the same.
    pub root: String,
    /// The wrapped key.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Whoever keeps the root key: it wraps one key of 32 bytes, and the root key itself never leaves it where that is its
/// nature.
pub trait RootKey: Send + Sync {
    /// Which kind of keeper it is.
    fn provider(&self) -> RootProvider;

    /// Wraps a key under the newest root key.
    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped>;

    /// Unwraps a key that the root key of this name wrapped.
    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>>;

    /// Makes a newer root key, beside the one that there is. Where others do that, nothing.
    fn renew(&self) -> Rooted<'_, ()>;

    /// The working keys, where they lie beside the root key as they did before there was one.
    fn plain(&self) -> Result<Option<KeySet>, RootKeyError> {
        Ok(None)
    }
}

/// Where a gateway gets its keys from.
pub enum KeySource {
    /// These, as they are: they are not rotated.
    Given(Box<Keyring>),
    /// Sealed in the store, under this root key.
    Root(Arc<dyn RootKey>),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(..)"),
            Self::Root(root) => write!(f, "Root({})", root.provider().as_str()),
        }
    }
}

impl From<Keyring> for KeySource {
    fn from(keyring: Keyring) -> Self {
        Self::Given(Box::new(keyring))
    }
}

impl From<Arc<dyn RootKey>> for KeySource {
    fn from(root: Arc<dyn RootKey>) -> Self {
        Self::Root(root)
    }
}

/// The keys of a running gateway.
pub(crate) struct KeysInUse {
    pub(crate) root: Option<Arc<dyn RootKey>>,
    /// The set in use; none: the keys were given and stay.
    pub(crate) set: std::sync::Mutex<Option<HeldSet>>,
    /// Whether the store has a newer set that could not be opened.
    behind: AtomicBool,
    /// The version of a set that the HSM did not let us open: a wrong PIN is not tried until the HSM locks itself.
    denied: AtomicU64,
}

/// A set with what tells when to look at it again.
pub(crate) struct HeldSet {
    pub(crate) version: u64,
    pub(crate) keys: KeySet,
    /// The next time at which a key begins or ends.
    pub(crate) next: Option<Timestamp>,
}

impl HeldSet {
    pub(crate) fn new(version: u64, keys: KeySet, now: Timestamp) -> Self {
        let facts = keys.facts();
        // The layer of fingerprints before a new one is written for a while beside it.
        let overlap = |key: &KeyFacts| key.from.map(|from| from.plus_ms(INDEX_OVERLAP_MS));
        // What is remembered for a day is looked for in the layer before for that long.
        let remembered = |key: &KeyFacts| key.from.map(|from| from.plus_ms(REMEMBERED_MS));
        let times = facts.iter().flat_map(|key| [key.from, key.until, overlap(key), remembered(key)]).flatten();
        let next = times.filter(|at| *at > now).min();
        Self { version, keys, next }
    }
}

impl KeysInUse {
    pub(crate) fn new(root: Option<Arc<dyn RootKey>>, set: Option<HeldSet>) -> Self {
        let (behind, denied) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { root, set: std::sync::Mutex::new(set), behind, denied }
    }

    pub(crate) fn held(&self) -> std::sync::MutexGuard<'_, Option<HeldSet>> {
        // Whoever panicked left the old set whole.
        self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the store has a newer set that could not be opened: what others write with it is not readable here.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Whether this version was denied to us by an HSM: then only a restart asks it again.
    pub(crate) fn was_denied(&self, version: u64) -> bool {
        self.denied.load(Ordering::Acquire) == version
    }

    pub(crate) fn note_denied(&self, version: u64, error: &RootKeyError) {
        let is_hsm = self.root.as_ref().is_some_and(|root| root.provider() == RootProvider::Pkcs11);
        if is_hsm && matches!(error, RootKeyError::Denied(_)) {
            self.denied.store(version, Ordering::Release);
        }
    }

    pub(crate) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Release);
    }
}

/// What signs, made of the keys in use.
pub(crate) struct Signers {
    pub(crate) tokens: TokenRing,
    pub(crate) ledger: NoteSigner,
    /// Every key that ever signed checkpoints, or will: the one that signs now first.
    pub(crate) ledger_keys: Vec<NoteVerifier>,
    pub(crate) receipt: ReceiptSigner,
}

impl Signers {
    pub(crate) fn new(keyring: &Keyring, origin: &str, now: Timestamp) -> Result<Self, OpenGatewayError> {
        let signing = |error: &dyn fmt::Display| OpenGatewayError::Signing(error.to_string());
        let none = || OpenGatewayError::Signing("no key signs now".to_owned());
        let tokens = TokenRing::new(&keyring.token_seeds()).map_err(|error| signing(&error))?;

        let note = |seed: &TimedSeed| NoteSigner::new(origin, *seed.seed).map_err(|error| signing(&error));
        let seeds = in_order(keyring.ledger_seeds(), now);
        let mut ledger_keys = seeds
            .iter()
            .map(|seed| note(seed).map(|signer| signer.verifier().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut retired = keyring.ledger_retired();
        retired.sort_by_key(|key| std::cmp::Reverse(key.id));
        for key in retired {
            ledger_keys.push(NoteVerifier::from_public(origin, &key.public).map_err(|error| signing(&error))?);
        }
        let mut signing_now =
            seeds.iter().filter(|seed| signs(seed, now)).map(note).collect::<Result<Vec<_>, _>>()?.into_iter();
        let ledger = signing_now.next().ok_or_else(none)?.beside(signing_now.collect());

        let seeds = in_order(keyring.receipt_seeds(), now);
        let mut signers = seeds
            .iter()
            .map(|seed| ReceiptSigner::from_seed(*seed.seed).map_err(|error| signing(&error)))
            .collect::<Result<Vec<_>, _>>()?;
        if signers.is_empty() {
            return Err(none());
        }
        let first = signers.remove(0);
        let mut others: Vec<ReceiptVerifier> = signers.iter().map(|signer| signer.verifier().clone()).collect();
        let mut retired = keyring.receipt_retired();
        retired.sort_by_key(|key| std::cmp::Reverse(key.id));
        for key in retired {
            others.push(ReceiptVerifier::from_public(&key.public).map_err(|error| signing(&error))?);
        }
        let receipt = first.beside(&others);
        Ok(Self { tokens, ledger, ledger_keys, receipt })
    }
}

fn signs(seed: &TimedSeed, now: Timestamp) -> bool {
    seed.from.is_none_or(|from| from <= now) && seed.until.is_none_or(|until| now < until)
}

/// What signs now before what does not, and in each the newest first.
fn in_order(mut seeds: Vec<TimedSeed>, now: Timestamp) -> Vec<TimedSeed> {
    seeds.sort_by_key(|seed| (!signs(seed, now), std::cmp::Reverse(seed.id)));
    seeds
}
