//! `consentry ledger verify`: recomputes the whole ledger, where it lies or over HTTP, and names what does not fit.

mod remote;

use std::path::PathBuf;

use anyhow::Context as _;
use app::LedgerReport;
use clap::{Args, Subcommand};
use kernel::authz::{Actor, Authorized};
use kernel::id::hex;
use kernel::ledger::Checkpoint;
use kernel::ledger::note::NoteVerifier;

use super::output::{Progress, note, say, thousands};
use super::{Outcome, StoreArgs};
use crate::config::Missing;
use crate::server;

/// `ledger …`
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Recompute the ledger and compare it with every checkpoint
    Verify(VerifyArgs),
}

/// Arguments of `ledger verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry ledger verify --data ./data                       The ledger of a folder, the gateway running or not
  consentry ledger verify --config production.toml            The ledger in PostgreSQL
  consentry ledger verify --url https://consent.example.com --vkey KEY --checkpoint old.txt
                                                              As a stranger, over HTTP, against a checkpoint kept
  consentry ledger verify --database postgres://… --vkey KEY  A database without its key file

An older checkpoint that you kept (curl …/ledger/checkpoint) is what finds a tail that was cut off and a ledger that was
written anew. Exit code 1, and the entry, if anything does not fit.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Verify over HTTP: the address of the gateway, https:// unless it is on this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "config", "database"])]
    url: Option<String>,
    /// Verify a database without the gateway's keys; needs --vkey
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "config"], requires = "vkey")]
    database: Option<String>,
    /// The verifier key, as GET /ledger/vkey tells it; over HTTP fetched if not given, which proves less.
    /// After a rotation once for each key
    #[arg(long, value_name = "KEY")]
    vkey: Vec<String>,
    /// A file with a checkpoint that was kept: the ledger must begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl VerifyArgs {
    /// The checkpoint that was kept, if there is one. It must be of this ledger.
    fn older(&self, verifiers: &[NoteVerifier]) -> anyhow::Result<Option<Checkpoint>> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let checkpoint = Checkpoint::open(&text, verifiers.first().map_or("", NoteVerifier::name), verifiers)
            .with_context(|| format!("{} is no checkpoint of this ledger", path.display()))?;
        Ok(Some(checkpoint))
    }

    /// The keys that are trusted; none: nobody said.
    fn verifiers(&self) -> anyhow::Result<Option<Vec<NoteVerifier>>> {
        let keys: Result<Vec<_>, _> = self.vkey.iter().map(|key| NoteVerifier::from_vkey(key.trim())).collect();
        Ok(Some(keys.context("--vkey is no verifier key")?).filter(|keys| !keys.is_empty()))
    }
}

pub(super) async fn run(command: &LedgerCommand) -> anyhow::Result<Outcome> {
    let LedgerCommand::Verify(args) = command;
    let progress = Progress::new("ledger entries", 0);
    let verified = verify(args, &progress).await;
    progress.clear();
    let report = verified?;
    say(format_args!("entries      {}", thousands(report.entries)));
    if report.checkpoints > 0 {
        say(format_args!("checkpoints  {}", thousands(report.checkpoints)));
    }
    say(format_args!("size         {}", thousands(report.size)));
    say(format_args!("root         {}", hex(&report.root)));
    if report.pending > 0 {
        say(format_args!("pending      {} (no checkpoint covers them yet)", thousands(report.pending)));
    }
    Ok(match report.fault {
        None => {
            say("the ledger verifies");
            Outcome::Done
        }
        Some(fault) => {
            say(format_args!("THE LEDGER DOES NOT VERIFY: {fault}"));
            Outcome::Failed
        }
    })
}

async fn verify(args: &VerifyArgs, progress: &Progress) -> anyhow::Result<LedgerReport> {
    let tell = |done, all| progress.set(done, all);
    if let Some(url) = &args.url {
        let log = remote::Log::at(url)?;
        let verifiers = match args.verifiers()? {
            Some(verifiers) => verifiers,
            None => {
                let verifiers = log.vkeys().await?;
                for key in &verifiers {
                    note(format_args!("taking a key that the ledger names itself: {}", key.vkey()));
                }
                verifiers
            }
        };
        return log.verify(&verifiers, args.older(&verifiers)?.as_ref(), tell).await;
    }
    if let (Some(url), Some(verifiers)) = (&args.database, args.verifiers()?) {
        return Ok(app::verify_database(url, &verifiers, args.older(&verifiers)?.as_ref(), tell).await?);
    }
    let settings = args.store.settings(Missing::Refuse, None)?;
    let gateway = server::open_as_it_is(&settings).await?;
    let own: Result<Vec<_>, _> = gateway.ledger_vkeys().iter().map(|key| NoteVerifier::from_vkey(key)).collect();
    let own = own.context("the ledger's own key is unusable")?;
    if args.verifiers()?.is_some_and(|expected| expected.iter().any(|key| !own.contains(key))) {
        anyhow::bail!("--vkey is the key of another ledger");
    }
    let by = Authorized::prove(Actor::Operator)?;
    Ok(gateway.verify_ledger(&by, args.older(&own)?.as_ref(), tell).await?)
}
