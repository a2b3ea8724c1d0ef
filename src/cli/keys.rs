//! `consentry keys new`: a fresh key file for a new store.

use std::path::PathBuf;

use app::SystemEntropy;
use clap::{Args, Subcommand};

use super::Outcome;
use super::output::say;

/// `keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Write a fresh key file, for a store that is new
    New(NewArgs),
}

/// Arguments of `keys new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys new /etc/consentry/keys/keyring.toml    For a new PostgreSQL store; `serve --data` makes its own

Keep a copy apart from the database's backups: without the keys nobody can read the store, and with both anybody can.")]
pub(crate) struct NewArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(command: &KeysCommand) -> anyhow::Result<Outcome> {
    let KeysCommand::New(args) = command;
    crate::keys::make(&args.file, &SystemEntropy)?;
    say(format_args!("wrote {}, readable by its owner alone", args.file.display()));
    Ok(Outcome::Done)
}
