//! The shipped policy travels inside the program, so that a copied binary needs nothing beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kernel::policy::document::{MAX_DOCUMENT_BYTES, MAX_DOCUMENTS, PolicySources};
use rust_embed::RustEmbed;
use thiserror::Error;

#[derive(RustEmbed)]
#[folder = "policies"]
struct ShippedPolicy;

/// Why a policy folder cannot be read or written.
#[derive(Debug, Error)]
pub enum PolicyFolderError {
    /// The system refused.
    #[error("cannot use the policy folder {}: {reason}", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There is nothing of a policy in it.
    #[error("{} holds no policy documents", .0.display())]
    Empty(PathBuf),
    /// It holds more, or larger, documents than a policy may have.
    #[error("{} is larger than a policy may be", .0.display())]
    TooLarge(PathBuf),
}

/// The policy inside the program.
#[must_use]
pub fn shipped_policy() -> PolicySources {
    shipped_files().into_iter().filter(|(path, _)| PolicySources::accepts(path)).collect()
}

/// Writes the shipped policy, its notes for readers included, to a folder that is not there yet. The folder appears
/// whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_shipped_policy(folder: &Path) -> Result<(), PolicyFolderError> {
    let unusable = |error: io::Error| unusable(folder, &error);
    let parent = folder.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".policies-").tempdir_in(parent).map_err(unusable)?;
    for (path, text) in shipped_files() {
        let file = made.path().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(unusable)?;
        }
        fs::write(file, text).map_err(unusable)?;
    }
    fs::rename(made.path(), folder).map_err(unusable)?;
    // It has its name now; there is nothing temporary left to remove.
    let _kept = made.keep();
    Ok(())
}

/// Reads the documents of a policy folder, in the order of their paths. Files that no policy has are left out.
///
/// # Errors
/// When the folder or a document cannot be read, or is too large.
pub fn read_policy(folder: &Path) -> Result<PolicySources, PolicyFolderError> {
    let mut paths = Vec::new();
    for part in ["", "notices", "cases"] {
        let within = folder.join(part);
        if !part.is_empty() && !within.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&within).map_err(|error| unusable(&within, &error))? {
            let entry = entry.map_err(|error| unusable(&within, &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if part.is_empty() { name } else { format!("{part}/{name}") };
            if PolicySources::accepts(&path) && entry.path().is_file() {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        return Err(PolicyFolderError::Empty(folder.to_owned()));
    }
    if paths.len() > MAX_DOCUMENTS {
        return Err(PolicyFolderError::TooLarge(folder.to_owned()));
    }
    paths.sort();
    let mut sources = PolicySources::new();
    for path in paths {
        let file = folder.join(&path);
        let size = fs::metadata(&file).map_err(|error| unusable(&file, &error))?.len();
        if size > MAX_DOCUMENT_BYTES as u64 {
            return Err(PolicyFolderError::TooLarge(file));
        }
        let text = fs::read_to_string(&file).map_err(|error| unusable(&file, &error))?;
        sources.push(path, text);
    }
    Ok(sources)
}

fn shipped_files() -> Vec<(String, String)> {
    let mut paths: Vec<_> = ShippedPolicy::iter().map(std::borrow::Cow::into_owned).collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let file = ShippedPolicy::get(&path)?;
            let text = String::from_utf8(file.data.into_owned()).ok()?;
            Some((path, text))
        })
        .collect()
}

fn unusable(path: &Path, error: &io::Error) -> PolicyFolderError {
    PolicyFolderError::Unusable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use kernel::policy::ValidPolicy;
    use kernel::policy::case::run_cases;

    #[test]
    fn the_shipped_policy_is_valid_and_its_cases_pass() {
        let sources = shipped_policy();
        let policy = ValidPolicy::from_sources(&sources).unwrap();
        let outcomes = run_cases(&policy, &sources);
        assert!(!outcomes.is_empty());
        let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn the_example_form_shows_the_notice_in_force() {
        let policy = ValidPolicy::from_sources(&shipped_policy()).unwrap();
        let form = policy.form(&"newsletter".parse().unwrap()).unwrap();
        let notice = policy.current_notice(&form.notice, "en").unwrap();
        let page = include_str!("../examples/newsletter.html");
        assert!(page.contains(&format!("value=\"{}\"", notice.digest)), "the notice is now {}", notice.digest);
        for purpose in &form.purposes {
            assert!(page.contains(&format!("name=\"purpose.{purpose}\"")), "{purpose}");
        }
        assert!(!page.contains("checked"), "no box is ticked beforehand");
    }

    #[test]
    fn a_written_policy_is_read_back_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("policies");
        write_shipped_policy(&folder).unwrap();
        assert_eq!(read_policy(&folder).unwrap(), shipped_policy());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_without_a_policy_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("notes.txt"), "nothing").unwrap();
        assert!(matches!(read_policy(temp.path()), Err(PolicyFolderError::Empty(_))));
        assert!(matches!(read_policy(&temp.path().join("no")), Err(PolicyFolderError::Unusable { .. })));
    }
}
