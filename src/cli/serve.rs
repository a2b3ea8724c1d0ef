//! `consentry serve`: makes what is missing, serves, and stops without dropping a request.

use std::net::SocketAddr;

use clap::Args;
use kernel::authz::{Actor, Authorized, ManageStaff};

use super::{Outcome, StoreArgs, output};
use crate::config::Missing;
use crate::{server, telemetry};

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry serve --data ./data                                Everything in ./data, on 127.0.0.1:8080
  consentry serve --data ./data --listen 127.0.0.1:0           On a free port; the log's `ready` line names it
  consentry serve --config production.toml                     PostgreSQL, behind a proxy that terminates TLS
  CONSENTRY__LOG__LEVEL=debug consentry serve --data ./data    Any setting from the environment

SIGTERM or Ctrl-C stops it: it accepts nothing more, finishes the requests in flight, then ends.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) async fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    let settings = args.store.settings(Missing::Make, args.listen)?;
    telemetry::start(&settings.log);
    // Asked for before the start: a stop that comes meanwhile is not missed.
    let signal = tokio::spawn(server::stop_signal());
    let running = server::start(&settings).await?;
    output::say(format_args!("consentry is ready: {} on {}", running.public_url(), running.address()));
    let by = Authorized::<ManageStaff>::prove(Actor::Operator)?;
    if let Some(link) = running.gateway().invite_first_administrator(&by).await? {
        output::say(format_args!(
            "there are no staff yet; the first administrator joins here, once, within a day: {}",
            link.expose()
        ));
    }
    let stop = async {
        if !matches!(signal.await, Ok(Ok(()))) {
            tracing::error!("the system hands out no signals");
            std::future::pending::<()>().await;
        }
    };
    running.until(stop).await?;
    Ok(Outcome::Done)
}
