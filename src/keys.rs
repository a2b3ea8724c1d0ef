//! Where the root key is: in a file, in the environment, in a hardware security module, or with AWS KMS. And the key file:
//! written whole, for its owner's eyes only, and refused when others can read it.

#[cfg(feature = "kms-aws")]
mod aws_kms;
mod environment;
mod file;
#[cfg(feature = "kms-pkcs11")]
mod pkcs11;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::{RootKey, RootKeyError};
use kernel::entropy::Entropy;
use kernel::seal::{KeyError, KeySet, RootProvider, RootSet};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::KeySettings;

/// The most bytes a key file has.
const MAX_BYTES: u64 = 1 << 20;

/// Why a key file cannot be used or made. Its content is never part of the error.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("cannot use the key file {}: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is not there.
    #[error(
        "the key file {} is missing: put it back from its copy. No new keys are made where a store is; for a new store \
         `consentry keys new {}` makes them", .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// Others can read it.
    #[error(
        "the key file {} is open to other users (mode {mode:o}): run `chmod 600 {}`, and take the keys for known if \
         others were on this machine", path.display(), path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no usable keys.
    #[error("the key file {} is not usable: {reason}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// There is a file already.
    #[error("{} exists already, and keys are never overwritten", .0.display())]
    Exists(PathBuf),
}

impl From<KeyFileError> for RootKeyError {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Missing(_) => Self::Missing(error.to_string()),
            error => Self::Unusable(error.to_string()),
        }
    }
}

/// The keeper of the root key that the settings name. It is asked for nothing yet.
///
/// # Errors
/// When this program was built without it, or what it needs is not set.
pub fn root_of(settings: &KeySettings) -> Result<Arc<dyn RootKey>, RootKeyError> {
    Ok(match settings.provider {
        RootProvider::File => Arc::new(file::FileRoot::new(settings.file.clone())),
        RootProvider::Env => Arc::new(environment::EnvironmentRoot::of(&settings.variable)?),
        #[cfg(feature = "kms-pkcs11")]
        RootProvider::Pkcs11 => Arc::new(pkcs11::Pkcs11Root::of(&settings.pkcs11)?),
        #[cfg(feature = "kms-aws")]
        RootProvider::AwsKms => Arc::new(aws_kms::AwsKmsRoot::of(&settings.aws_kms)),
        #[cfg(not(all(feature = "kms-pkcs11", feature = "kms-aws")))]
        provider => {
            let provider = provider.as_str();
            return Err(RootKeyError::Unusable(format!(
                "this program was built without keys.provider = `{provider}`"
            )));
        }
    })
}

/// A key that is not one: it does not unwrap what it should.
fn wrong(place: &str, expected: &str, held: &[String]) -> RootKeyError {
    RootKeyError::Wrong(format!(
        "{place} is not the root key of this store: its keys are sealed under root key {expected}, and here is {}. Put \
         the right one back",
        if held.is_empty() { "none".to_owned() } else { held.join(", ") }
    ))
}

/// Reads a key file: the root keys, and the working keys where they still lie beside them.
///
/// # Errors
/// When it is not there, cannot be read, others can read it, or it holds no usable keys.
pub fn read(path: &Path) -> Result<(RootSet, Option<KeySet>), KeyFileError> {
    let unusable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Unusable { path: path.to_owned(), reason: error.to_string() },
    };
    let metadata = fs::metadata(path).map_err(unusable)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open { path: path.to_owned(), mode });
        }
    }
    if metadata.len() > MAX_BYTES {
        return Err(KeyFileError::Wrong { path: path.to_owned(), reason: KeyError::Malformed });
    }
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(unusable)?;
    RootSet::from_toml(&text).map_err(|reason| KeyFileError::Wrong { path: path.to_owned(), reason })
}

/// Changes a key file: it is the old one or the new one at any time, and readable by its owner alone.
///
/// # Errors
/// When it cannot be read or written, others can read it, or it holds no usable keys.
pub fn change(
    path: &Path,
    change: impl FnOnce(&mut RootSet, &mut Option<KeySet>) -> Result<(), KeyFileError>,
) -> Result<(), KeyFileError> {
    let unusable = |error: io::Error| KeyFileError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let (mut roots, mut plain) = read(path)?;
    change(&mut roots, &mut plain)?;
    let text = roots.to_toml(plain.as_ref());
    // What was written must be of use before it takes the old one's place.
    RootSet::from_toml(&text).map_err(|reason| KeyFileError::Wrong { path: path.to_owned(), reason })?;
    let folder = folder_of(path);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unusable)?;
    file.write_all(text.as_bytes()).map_err(unusable)?;
    file.as_file().sync_all().map_err(unusable)?;
    file.persist(path).map_err(|error| unusable(error.error))?;
    #[cfg(unix)]
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Draws a fresh root key and writes it, readable by the owner alone. The file appears whole or not at all.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn make(path: &Path, entropy: &dyn Entropy) -> Result<(), KeyFileError> {
    let unusable = |error: io::Error| KeyFileError::Unusable { path: path.to_owned(), reason: error.to_string() };
    if path.exists() {
        return Err(KeyFileError::Exists(path.to_owned()));
    }
    let folder = folder_of(path);
    // A temporary file has mode 600 from the start: the keys are never readable by others, not for a moment.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unusable)?;
    file.write_all(RootSet::generate(entropy).to_toml(None).as_bytes()).map_err(unusable)?;
    file.as_file().sync_all().map_err(unusable)?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => unusable(error.error),
    })?;
    #[cfg(unix)]
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use app::SystemEntropy;

    #[test]
    fn a_made_file_is_read_again_and_never_overwritten() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        assert!(matches!(read(&path), Err(KeyFileError::Missing(_))));
        make(&path, &SystemEntropy).unwrap();
        let first = read(&path).unwrap().0.names();
        assert!(matches!(make(&path, &SystemEntropy), Err(KeyFileError::Exists(_))));
        assert_eq!(read(&path).unwrap().0.names(), first);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_changed_file_keeps_the_other_keys_and_stays_its_owners() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        make(&path, &SystemEntropy).unwrap();
        let before = read(&path).unwrap().0.names();
        let renew = |roots: &mut RootSet, _: &mut Option<KeySet>| {
            roots.renew(&SystemEntropy);
            Ok(())
        };
        change(&path, renew).unwrap();
        let after = read(&path).unwrap().0.names();
        assert_eq!((after.len(), &after[1..]), (2, &before[..]));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        make(&path, &SystemEntropy).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(KeyFileError::Open { .. })), "{mode:o}");
        }
    }

    #[test]
    fn an_error_never_shows_what_the_file_holds() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        make(&path, &SystemEntropy).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let secret = text.lines().find_map(|line| line.strip_prefix("secret = \"")).unwrap().to_owned();
        fs::write(&path, text.replacen("id = 1", "id = one", 1)).unwrap();
        let error = read(&path).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, KeyFileError::Wrong { .. }) && !shown.contains(&secret[..20]), "{shown}");
    }
}
