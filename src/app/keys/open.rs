//! Taking the keys at the start: the store's own, or new ones for a store that nothing was ever written to. Everything
//! else is refused, for a gateway without the keys would answer that nobody consents, and write what nobody can read.

use kernel::clock::Clock;
use kernel::entropy::Entropy;
use kernel::seal::{KeySet, Keyring};
use kernel::time::Timestamp;
use store::Store;
use store::change::{KeepKeySet, Kept, KeyAct};
use store::query::KeySetRow;
use zeroize::Zeroizing;

use super::{HeldSet, KeySource, KeysInUse, RootKey, RootKeyError, Wrapped};
use crate::gateway::OpenGatewayError;

/// The keys of a store, and what keeps them up to date.
pub(crate) async fn take_keys(
    store: &Store,
    source: KeySource,
    (clock, entropy): (&dyn Clock, &dyn Entropy),
    may_make: bool,
) -> Result<(Keyring, KeysInUse), OpenGatewayError> {
    let root = match source {
        KeySource::Given(keyring) => return Ok((*keyring, KeysInUse::new(None, None))),
        KeySource::Root(root) => root,
    };
    loop {
        if let Some(row) = store.key_set().await? {
            let keys = open_set(&*root, &row).await?;
            let held = HeldSet::new(row.version, keys, clock.now());
            let keyring = Keyring::at(&held.keys, clock.now()).map_err(unusable)?;
            return Ok((keyring, KeysInUse::new(Some(root), Some(held))));
        }
        // A store from before there were root keys goes on with its file, until `consentry keys migrate`.
        if let Some(keys) = root.plain()? {
            return Ok((Keyring::new(&keys).map_err(unusable)?, KeysInUse::new(Some(root), None)));
        }
        if !store.is_pristine().await? {
            return Err(OpenGatewayError::NoKeySet);
        }
        if !may_make {
            return Err(OpenGatewayError::NotBegun);
        }
        // Of two gateways that begin at once one makes the keys, and both take them.
        let keys = KeySet::generate(entropy);
        let act = KeyAct::Sealed { provider: root.provider(), made: true };
        let set = seal_set(&*root, &keys, 1, clock.now(), entropy).await?;
        let (Kept::Kept | Kept::Overtaken | Kept::InUse(_), _) = store.perform(&KeepKeySet { set, act }).await?;
    }
}

fn unusable(error: kernel::seal::KeyError) -> OpenGatewayError {
    OpenGatewayError::Keys(RootKeyError::Unusable(error.to_string()))
}

/// Opens the store's key set.
pub(super) async fn open_set(root: &dyn RootKey, row: &KeySetRow) -> Result<KeySet, RootKeyError> {
    if row.provider != root.provider() {
        return Err(RootKeyError::Wrong(format!(
            "the keys of this store are sealed under a root key of the provider `{}` ({}), but keys.provider is `{}`",
            row.provider.as_str(),
            row.root,
            root.provider().as_str()
        )));
    }
    let wrapped = Wrapped { root: row.root.clone(), bytes: row.wrapped_key.clone() };
    let key = root.unwrap(&wrapped).await?;
    KeySet::open(&row.sealed, &key, row.version).map_err(|_| {
        RootKeyError::Wrong(
            "the store's key set does not open with what the root key unwrapped: it was altered, or is not this \
             store's. Restore the database and the root key of one time"
                .to_owned(),
        )
    })
}

/// Seals a key set under a fresh key, and that under the root key.
pub(super) async fn seal_set(
    root: &dyn RootKey,
    keys: &KeySet,
    version: u64,
    at: Timestamp,
    entropy: &dyn Entropy,
) -> Result<KeySetRow, RootKeyError> {
    let key = Zeroizing::new(entropy.bytes_32());
    let wrapped = root.wrap(&key).await?;
    let sealed = keys.seal(&key, version).map_err(|error| RootKeyError::Unusable(error.to_string()))?;
    // What cannot be opened again is not kept.
    let again = root.unwrap(&wrapped).await?;
    if *again != *key {
        return Err(RootKeyError::Unusable("the root key does not unwrap what it wraps".to_owned()));
    }
    Ok(KeySetRow {
        version,
        provider: root.provider(),
        root: wrapped.root,
        wrapped_key: wrapped.bytes,
        sealed,
        changed_at: at,
    })
}
