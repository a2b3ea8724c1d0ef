//! `consentry keys`: a fresh key file for a new store, and the next key of access tokens.

use std::path::PathBuf;

use app::{SystemClock, SystemEntropy};
use clap::{Args, Subcommand};
use kernel::clock::Clock as _;

use super::Outcome;
use super::output::say;

/// `keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Write a fresh key file, for a store that is new
    New(NewArgs),
    /// Add the next key of access tokens; the present one counts until its last token has ended
    RotateTokens(RotateArgs),
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

/// Arguments of `keys rotate-tokens`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys rotate-tokens /etc/consentry/keys/keyring.toml              The new key signs from tomorrow on
  consentry keys rotate-tokens --after-hours 1 --token-seconds 900 FILE

Give the file to every gateway and restart them one after the other before the new key's time: it is published at
/.well-known/jwks.json as soon as a gateway has it, and signs once all have. The old key is dropped by the next rotation.")]
pub(crate) struct RotateArgs {
    /// The key file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// After how many hours the new key begins to sign
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=2160))]
    after_hours: u32,
    /// How long tokens are good (tokens.seconds)
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    token_seconds: u32,
}

pub(super) fn run(command: &KeysCommand) -> anyhow::Result<Outcome> {
    match command {
        KeysCommand::New(args) => {
            crate::keys::make(&args.file, &SystemEntropy)?;
            say(format_args!("wrote {}, readable by its owner alone", args.file.display()));
        }
        KeysCommand::RotateTokens(args) => {
            let now = SystemClock.now();
            let from = now.plus_ms(i64::from(args.after_hours) * 3_600_000);
            // An hour more than the last token of the old key lives: clocks differ.
            let until = from.plus_ms(i64::from(args.token_seconds) * 1000 + 3_600_000);
            crate::keys::change(&args.file, |keys| keys.rotate_tokens(&SystemEntropy, now, from, until))?;
            say(format_args!("the next key signs tokens from {from} on; the present one counts until {until}"));
        }
    }
    Ok(Outcome::Done)
}
