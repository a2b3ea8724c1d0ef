//! A folder that holds everything of one gateway: `consentry.db`, `keys/keyring.toml` and `policies/`.
//!
//! What is missing is made, with one exception: keys are never made beside a database that is already there, for new
//! keys cannot open what old ones sealed.

use std::io;
use std::path::{Path, PathBuf};

use kernel::entropy::Entropy;
use kernel::seal::RootProvider;
use thiserror::Error;

use super::{DatabaseUrl, Settings};
use crate::assets::{self, PolicyFolderError};
use crate::keys::{self, KeyFileError};

/// What to do about parts that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make them.
    Make,
    /// Refuse: the command is about a store that exists.
    Refuse,
}

/// The folder of `--data`.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Why a data folder cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// It cannot be made or read.
    #[error("cannot use the data folder {}: {reason}", path.display())]
    Unusable {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There is no store in it.
    #[error("there is no store in {}: `consentry serve --data {}` makes one", .0.display(), .0.display())]
    NoStore(PathBuf),
    /// There is a database, and the keys that open it are gone.
    #[error(
        "{} holds a store whose keys are missing: put the key file back at {}. No new keys are made, because they \
         could not open what is stored", root.display(), file.display()
    )]
    KeysLost {
        /// The data folder.
        root: PathBuf,
        /// Where the key file belongs.
        file: PathBuf,
    },
    /// The key file cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The policy cannot be written.
    #[error(transparent)]
    Policy(#[from] PolicyFolderError),
}

impl DataDir {
    /// Opens a data folder, making what is missing if it may.
    ///
    /// # Errors
    /// When it cannot be made or read, holds no store though one is needed, or has lost its keys.
    pub fn open(
        path: &Path,
        missing: Missing,
        provider: RootProvider,
        entropy: &dyn Entropy,
    ) -> Result<Self, DataDirError> {
        let unusable =
            |error: io::Error| DataDirError::Unusable { path: path.to_owned(), reason: error.to_string() };
        if missing == Missing::Make {
            make_private_folder(path).map_err(unusable)?;
        }
        if missing == Missing::Refuse && !path.is_dir() {
            return Err(DataDirError::NoStore(path.to_owned()));
        }
        let dir = Self { root: path.canonicalize().map_err(unusable)? };
        if dir.root.to_str().is_none() {
            return Err(unusable(io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8")));
        }
        let has_store = dir.database().exists();
        if missing == Missing::Refuse && !has_store {
            return Err(DataDirError::NoStore(dir.root));
        }
        if provider == RootProvider::File && !dir.key_file().exists() {
            if has_store {
                return Err(DataDirError::KeysLost { file: dir.key_file(), root: dir.root });
            }
            make_private_folder(&dir.root.join("keys")).map_err(unusable)?;
            keys::make(&dir.key_file(), entropy)?;
        }
        if !dir.policies().exists() {
            assets::write_shipped_policy(&dir.policies())?;
        }
        Ok(dir)
    }

    /// Points settings to this folder.
    pub fn apply(&self, settings: &mut Settings) {
        settings.database.url = DatabaseUrl::new(format!("sqlite:{}", self.database().display()));
        settings.keys.file = self.key_file();
        settings.policies.dir = self.policies();
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("consentry.db")
    }

    fn key_file(&self) -> PathBuf {
        self.root.join("keys").join("keyring.toml")
    }

    fn policies(&self) -> PathBuf {
        self.root.join("policies")
    }
}

/// Makes a folder that only its owner may enter. One that is there already stays as it is.
fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use app::SystemEntropy;

    #[test]
    fn what_is_missing_is_made_once() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        let dir = DataDir::open(&root, Missing::Make, RootProvider::File, &SystemEntropy).unwrap();
        let keys = std::fs::read(dir.key_file()).unwrap();
        assert!(dir.policies().join("purposes.toml").is_file());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&dir.key_file()), 0o600);
            assert_eq!(mode(dir.key_file().parent().unwrap()), 0o700);
            assert_eq!(mode(&root), 0o700);
        }
        std::fs::write(dir.policies().join("purposes.toml"), "# changed").unwrap();
        let again = DataDir::open(&root, Missing::Make, RootProvider::File, &SystemEntropy).unwrap();
        assert_eq!(std::fs::read(again.key_file()).unwrap(), keys);
        assert_eq!(std::fs::read_to_string(again.policies().join("purposes.toml")).unwrap(), "# changed");
    }

    #[test]
    fn lost_keys_are_not_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path(), Missing::Make, RootProvider::File, &SystemEntropy).unwrap();
        std::fs::write(dir.database(), b"a store").unwrap();
        std::fs::remove_file(dir.key_file()).unwrap();
        let error = DataDir::open(temp.path(), Missing::Make, RootProvider::File, &SystemEntropy).unwrap_err();
        assert!(matches!(error, DataDirError::KeysLost { .. }), "{error}");
        assert!(!dir.key_file().exists());
    }

    #[test]
    fn a_command_about_a_store_makes_none() {
        let temp = tempfile::tempdir().unwrap();
        for path in [temp.path().to_owned(), temp.path().join("absent")] {
            let error = DataDir::open(&path, Missing::Refuse, RootProvider::File, &SystemEntropy).unwrap_err();
            assert!(matches!(error, DataDirError::NoStore(_)), "{error}");
        }
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
