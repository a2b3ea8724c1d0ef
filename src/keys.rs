//! The key file: written once, whole, for its owner's eyes only, and refused when others can read it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kernel::entropy::Entropy;
use kernel::seal::{KeyError, KeySet, Keyring};
use thiserror::Error;

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

/// Reads a key file.
///
/// # Errors
/// When it cannot be read, others can read it, or it holds no usable keys.
pub fn load(path: &Path) -> Result<Keyring, KeyFileError> {
    let wrong = |reason| KeyFileError::Wrong { path: path.to_owned(), reason };
    read(path).and_then(|keys| Keyring::new(&keys).map_err(wrong))
}

/// Changes a key file: it is the old one or the new one at any time, and readable by its owner alone.
///
/// # Errors
/// When it cannot be read or written, others can read it, or it holds no usable keys.
pub fn change(path: &Path, change: impl FnOnce(&mut KeySet)) -> Result<(), KeyFileError> {
    let unusable = |error: io::Error| KeyFileError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let mut keys = read(path)?;
    change(&mut keys);
    let text = keys.to_toml();
    // What was written must be of use before it takes the old one's place.
    KeySet::from_toml(&text)
        .and_then(|keys| Keyring::new(&keys))
        .map_err(|reason| KeyFileError::Wrong { path: path.to_owned(), reason })?;
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

fn read(path: &Path) -> Result<KeySet, KeyFileError> {
    let unusable = |error: io::Error| KeyFileError::Unusable { path: path.to_owned(), reason: error.to_string() };
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
    let text = fs::read_to_string(path).map_err(unusable)?;
    KeySet::from_toml(&text).map_err(|reason| KeyFileError::Wrong { path: path.to_owned(), reason })
}

/// Draws fresh keys and writes them, readable by the owner alone. The file appears whole or not at all.
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
    file.write_all(KeySet::generate(entropy).to_toml().as_bytes()).map_err(unusable)?;
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
        make(&path, &SystemEntropy).unwrap();
        let first = load(&path).unwrap();
        assert!(matches!(make(&path, &SystemEntropy), Err(KeyFileError::Exists(_))));
        assert_eq!(load(&path).unwrap().ledger_seed(), first.ledger_seed());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_changed_file_keeps_the_other_keys_and_stays_its_owners() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        make(&path, &SystemEntropy).unwrap();
        let before = load(&path).unwrap();
        let at = |seconds: i64| kernel::time::Timestamp::from_millis(seconds * 1000);
        change(&path, |keys| keys.rotate_tokens(&SystemEntropy, at(0), at(100), at(200))).unwrap();
        let after = load(&path).unwrap();
        assert_eq!(after.ledger_seed(), before.ledger_seed());
        assert_eq!(after.token_seeds().len(), 2);
        assert_eq!(*after.token_seeds()[0].seed, *before.token_seeds()[0].seed);
        assert_eq!((after.token_seeds()[0].until, after.token_seeds()[1].from), (Some(at(200)), Some(at(100))));
        // What has ended is dropped, and the last one never has an end.
        change(&path, |keys| keys.rotate_tokens(&SystemEntropy, at(200), at(300), at(400))).unwrap();
        let ids: Vec<_> = load(&path).unwrap().token_seeds().iter().map(|seed| (seed.id, seed.until)).collect();
        assert_eq!(ids, [(2, Some(at(400))), (3, None)]);
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
            assert!(matches!(load(&path), Err(KeyFileError::Open { .. })), "{mode:o}");
        }
    }

    #[test]
    fn an_error_never_shows_what_the_file_holds() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("keyring.toml");
        make(&path, &SystemEntropy).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let secret = text.lines().find_map(|line| line.strip_prefix("secret = \"")).unwrap().to_owned();
        fs::write(&path, text.replacen("use = \"token\"", "use = \"tokens\"", 1)).unwrap();
        let error = load(&path).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, KeyFileError::Wrong { .. }) && !shown.contains(&secret[..20]), "{shown}");
    }
}
