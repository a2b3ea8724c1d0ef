//! A keeper of root keys that can be replaced, robbed and unplugged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use app::{RootKey, RootKeyError, Rooted, Wrapped};
use kernel::seal::{RootProvider, RootSet};
use zeroize::Zeroizing;

use super::SeededEntropy;

pub(crate) struct TestRoot {
    set: Mutex<RootSet>,
    is_out: AtomicBool,
}

impl TestRoot {
    pub(crate) fn new(seed: u64) -> Self {
        let set = RootSet::generate(&SeededEntropy::new(seed));
        Self { set: Mutex::new(set), is_out: AtomicBool::new(false) }
    }

    /// Whether nobody answers.
    pub(crate) fn goes_out(&self, is_out: bool) {
        self.is_out.store(is_out, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<std::sync::MutexGuard<'_, RootSet>, RootKeyError> {
        if self.is_out.load(Ordering::SeqCst) {
            return Err(RootKeyError::Unreachable("nobody answers".to_owned()));
        }
        Ok(self.set.lock().unwrap())
    }
}

impl RootKey for TestRoot {
    fn provider(&self) -> RootProvider {
        RootProvider::File
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        Box::pin(async move {
            let (root, bytes) = self.reach()?.wrap(key).unwrap();
            Ok(Wrapped { root, bytes })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        Box::pin(async move {
            let unwrapped = self.reach()?.unwrap(&wrapped.root, &wrapped.bytes);
            unwrapped.map_err(|_| RootKeyError::Wrong("another root key".to_owned()))
        })
    }

    fn renew(&self) -> Rooted<'_, ()> {
        Box::pin(async move {
            self.reach()?.renew(&SeededEntropy::new(77));
            Ok(())
        })
    }
}
