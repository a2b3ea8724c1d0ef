//! `consentry ledger verify`: recomputes the whole ledger and compares it with every checkpoint.

use clap::{Args, Subcommand};
use kernel::authz::{Actor, Authorized};
use kernel::id::hex;

use super::output::{Progress, say, thousands};
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
  consentry ledger verify --data ./data              Verify the ledger of a folder, the gateway running or not
  consentry ledger verify --config production.toml   Verify the ledger in PostgreSQL

Exit code 1, and the fault, if anything does not fit.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(command: &LedgerCommand) -> anyhow::Result<Outcome> {
    let LedgerCommand::Verify(args) = command;
    let settings = args.store.settings(Missing::Refuse, None)?;
    let gateway = server::open_as_it_is(&settings).await?;
    let by = Authorized::prove(Actor::Operator)?;
    let progress = Progress::new("ledger entries", 0);
    let verified = gateway.verify_ledger(&by, |done, all| progress.set(done, all)).await;
    progress.clear();
    let report = verified?;
    say(format_args!("entries      {}", thousands(report.entries)));
    say(format_args!("checkpoints  {}", thousands(report.checkpoints)));
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
