//! `consentry migrate`: brings the schema up to date, or says what it would do.

use clap::Args;

use super::output::say;
use super::{Outcome, StoreArgs};
use crate::config::Missing;
use crate::server;

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry migrate --config production.toml --dry-run    Say which migrations are missing
  consentry migrate --config production.toml              Apply them; safe to run twice, or from several machines")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Say what is missing and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &MigrateArgs) -> anyhow::Result<Outcome> {
    let missing = if args.dry_run { Missing::Refuse } else { Missing::Make };
    let settings = args.store.settings(missing, None)?;
    let (url, connections) = (settings.database.url.expose(), settings.database.max_connections);
    let (names, verb) = if args.dry_run {
        (app::pending_migrations(url, connections).await, "missing")
    } else {
        (app::migrate(url, connections).await, "applied")
    };
    let names = names.map_err(|error| server::from_database(&settings, error))?;
    for name in &names {
        say(format_args!("{verb}: {name}"));
    }
    if names.is_empty() {
        say("the schema is up to date");
    }
    Ok(Outcome::Done)
}
