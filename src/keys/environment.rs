//! The root key in an environment variable, as orchestrators hand out secrets. Several, the newest first, while one is
//! replaced by another.

use app::{RootKey, RootKeyError, Rooted, Wrapped};
use kernel::seal::{RootProvider, RootSet};
use zeroize::Zeroizing;

use super::wrong;

pub(super) struct EnvironmentRoot {
    variable: String,
    roots: RootSet,
}

impl EnvironmentRoot {
    pub(super) fn of(variable: &str) -> Result<Self, RootKeyError> {
        let text = std::env::var(variable).map(Zeroizing::new).map_err(|_| {
            RootKeyError::Missing(format!(
                "the environment variable {variable} holds no root key: give it 32 random bytes in base64 \
                 (`head -c 32 /dev/urandom | base64`), or put the old ones back"
            ))
        })?;
        let roots = RootSet::from_list(&text).map_err(|_| {
            RootKeyError::Unusable(format!(
                "the environment variable {variable} does not hold 32 bytes in base64, or several parted by commas"
            ))
        })?;
        Ok(Self { variable: variable.to_owned(), roots })
    }
}

impl RootKey for EnvironmentRoot {
    fn provider(&self) -> RootProvider {
        RootProvider::Env
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        Box::pin(async move {
            let wrapped = self.roots.wrap(key).map_err(|error| RootKeyError::Unusable(error.to_string()));
            wrapped.map(|(root, bytes)| Wrapped { root, bytes })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        Box::pin(async move {
            let place = format!("what the environment variable {} holds", self.variable);
            let unwrapped = self.roots.unwrap(&wrapped.root, &wrapped.bytes);
            unwrapped.map_err(|_| wrong(&place, &wrapped.root, &self.roots.names()))
        })
    }

    fn renew(&self) -> Rooted<'_, ()> {
        // Who starts us puts the newer one in front.
        Box::pin(async { Ok(()) })
    }
}
