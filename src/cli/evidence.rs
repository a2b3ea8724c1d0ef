//! `consentry evidence verify`: checks a file of evidence without asking anybody.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kernel::evidence::{Evidence, EvidenceState};
use kernel::ledger::note::NoteVerifier;

use super::Outcome;
use super::output::{note, say};

/// `evidence …`
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Check a file of evidence offline
    Verify(VerifyArgs),
}

/// Arguments of `evidence verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry evidence verify consent-evidence-….json --vkey KEY    Check everything in the file against a ledger's key

Exit code 1 when anything does not hold.")]
pub(crate) struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The ledger's verifier key, from elsewhere (GET /ledger/vkey); without it the file's own is taken
    #[arg(long, value_name = "KEY")]
    vkey: Option<String>,
}

pub(super) fn run(command: &EvidenceCommand) -> anyhow::Result<Outcome> {
    let EvidenceCommand::Verify(args) = command;
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let trusted = args.vkey.as_deref().map(|key| NoteVerifier::from_vkey(key.trim()));
    let trusted = trusted.transpose().context("--vkey is no verifier key")?;
    if trusted.is_none() {
        note("taking the key that is in the file itself");
    }
    let report = match Evidence::parse(&text).and_then(|evidence| evidence.verify(trusted.as_ref())) {
        Ok(report) => report,
        Err(fault) => {
            say(format_args!("THE EVIDENCE DOES NOT HOLD: {fault}"));
            return Ok(Outcome::Failed);
        }
    };
    say(match report.state {
        EvidenceState::Open => "shows        what was recorded",
        EvidenceState::Closed => "shows        that something was recorded, not what",
    });
    let entries: Vec<_> = report.entries.iter().map(ToString::to_string).collect();
    say(format_args!("entries      {}", entries.join(", ")));
    say(format_args!("ledger size  {}", report.size));
    if let Some(at) = report.recorded_at {
        say(format_args!("recorded at  {at}"));
    }
    say("the evidence holds");
    Ok(Outcome::Done)
}
