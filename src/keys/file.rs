//! The root key in a file that only its owner reads. It is read again at every use, so a newer one is known at once.

use std::path::PathBuf;

use app::{RootKey, RootKeyError, Rooted, SystemEntropy, Wrapped};
use kernel::seal::{KeySet, RootProvider, RootSet};
use zeroize::Zeroizing;

use super::{change, read, wrong};

pub(super) struct FileRoot {
    path: PathBuf,
}

impl FileRoot {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn unwrapped(&self, wrapped: &Wrapped) -> Result<Zeroizing<[u8; 32]>, RootKeyError> {
        let (roots, _) = read(&self.path)?;
        let place = format!("the key file {}", self.path.display());
        roots.unwrap(&wrapped.root, &wrapped.bytes).map_err(|_| wrong(&place, &wrapped.root, &roots.names()))
    }

    fn wrapped(&self, key: &[u8; 32]) -> Result<Wrapped, RootKeyError> {
        let (roots, _) = read(&self.path)?;
        let (root, bytes) = roots.wrap(key).map_err(|_| {
            let path = self.path.display();
            RootKeyError::Unusable(format!(
                "the key file {path} has no root key yet: run `consentry keys migrate`"
            ))
        })?;
        Ok(Wrapped { root, bytes })
    }
}

impl RootKey for FileRoot {
    fn provider(&self) -> RootProvider {
        RootProvider::File
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        Box::pin(async move { self.wrapped(key) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        Box::pin(async move { self.unwrapped(wrapped) })
    }

    fn renew(&self) -> Rooted<'_, ()> {
        let renew = |roots: &mut RootSet, _: &mut Option<KeySet>| {
            roots.renew(&SystemEntropy);
            Ok(())
        };
        Box::pin(async move { Ok(change(&self.path, renew)?) })
    }

    fn plain(&self) -> Result<Option<KeySet>, RootKeyError> {
        Ok(read(&self.path)?.1)
    }
}
