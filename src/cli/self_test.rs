//! `consentry self-test`: tries the measures that protect what is held, and fails when one does not work.

use app::{SelfTestReport, Tried};
use clap::Args;
use kernel::authz::{Actor, Authorized};

use super::output::say;
use super::{Outcome, StoreArgs};
use crate::config::Missing;
use crate::server;

/// Arguments of `self-test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry self-test --data ./data                            The gateway may be running meanwhile
  consentry self-test --config production.toml --restored postgres://…/restored
                                                               With a database restored from a backup

Recomputes the ledger, opens every person with the keys, makes and opens a copy (SQLite) or verifies the restored one, and
writes a person, looks for them in clear in all of the database, and erases them: one erasure request a run stays on record.
It reads everything: run it when little else runs. Exit code 1 if anything is broken.")]
pub(crate) struct SelfTestArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// A database that was restored from a backup: it is verified in place of a copy
    #[arg(long, value_name = "URL")]
    restored: Option<String>,
}

pub(super) async fn run(args: &SelfTestArgs) -> anyhow::Result<Outcome> {
    let settings = args.store.settings(Missing::Refuse, None)?;
    let gateway = server::open_as_it_is(&settings).await?;
    let by = Authorized::prove(Actor::Operator)?;
    let report: SelfTestReport = gateway.self_test(&by, args.restored.as_deref()).await;
    for (measure, tried) in &report.measures {
        let name = measure.as_str();
        match tried {
            Tried::Sound(how) => say(format_args!("{name:8}  ok          {how}")),
            Tried::NotTried(why) => say(format_args!("{name:8}  NOT TRIED   {why}")),
            Tried::Broken(how) => say(format_args!("{name:8}  BROKEN      {how}")),
        }
    }
    Ok(if report.is_sound() { Outcome::Done } else { Outcome::Failed })
}
