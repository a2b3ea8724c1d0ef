//! Which rule of law is proven by which test: makes `docs/law-coverage.md` from `docs/law-rows.toml`, the tests and the
//! policy's cases.
//!
//! ```console
//! $ cargo run -p consentry-law-coverage                # writes the document
//! $ cargo run -p consentry-law-coverage -- --check     # 1 and what differs, if something is out of step
//! $ cargo run -p consentry-law-coverage -- --missing   # the rows that are neither proven nor given up with a reason
//! ```

mod catalogue;
mod coverage;
mod document;
mod tests_of;
mod token;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use catalogue::Catalogue;
use coverage::Coverage;

const DOCUMENT: &str = "docs/law-coverage.md";
const USAGE: &str = "usage: consentry-law-coverage [--check | --missing]\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => write(),
        ["--check"] => check(&root()),
        ["--missing"] => missing(),
        _ => Err(USAGE.to_owned()),
    };
    let (text, code) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

/// The workspace that this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(root: &Path) -> Result<Coverage, String> {
    let catalogue = Catalogue::read(root)?;
    let proofs = tests_of::workspace(root)?;
    Ok(Coverage::of(catalogue, &proofs))
}

fn write() -> Result<String, String> {
    let coverage = read(&root())?;
    fs::write(root().join(DOCUMENT), document::render(&coverage))
        .map_err(|error| format!("{DOCUMENT}: {error}\n"))?;
    // What is wrong is in the document as well; this says it at once.
    Ok(lines(&coverage.faults))
}

/// That the document says what the tests prove, and that no row is left without a proof or a reason.
fn check(root: &Path) -> Result<String, String> {
    let coverage = read(root)?;
    let stored = fs::read_to_string(root.join(DOCUMENT)).map_err(|error| format!("{DOCUMENT}: {error}\n"))?;
    let mut wrong = coverage.faults.clone();
    wrong.extend(coverage.missing());
    let made = document::render(&coverage);
    wrong.extend(document::differences(&stored, &made).into_iter().map(|line| format!("{DOCUMENT}: {line}")));
    if wrong.is_empty() {
        return Ok(coverage.summary() + "\n");
    }
    Err(lines(&wrong) + "run `cargo run -p consentry-law-coverage` after a change of tests or rows\n")
}

fn missing() -> Result<String, String> {
    Ok(lines(&read(&root())?.missing()))
}

fn lines(of: &[String]) -> String {
    of.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_proven_or_reasoned_and_the_document_says_so() {
        assert_eq!(check(&root()).err(), None);
    }
}
