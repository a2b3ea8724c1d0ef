//! The command line: reads arguments, calls, prints. Exit code 0: done; 1: a check failed; 2: it could not be tried.

mod client;
mod evidence;
mod keys;
mod ledger;
mod migrate;
mod openapi;
pub mod output;
mod policy;
mod self_test;
mod serve;
mod signal;
mod staff;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use app::SystemEntropy;
use clap::{Args, Parser, Subcommand};

use crate::config::{DataDir, Missing, Settings};

/// Privacy-first consent gateway: records what people allow, lets out only what is permitted now, and proves it.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, after_help = EXAMPLES, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  consentry demo                                  See it work on real purchase histories
  consentry serve --data ./data                   Serve on 127.0.0.1:8080; make store, keys and policy if missing
  consentry client add --data ./data --id segmentation --recipient segmentation --scope profiles:read
  consentry policy check ./data/policies          Check the policy and run its cases
  consentry ledger verify --data ./data           Recompute the whole ledger

Exit codes: 0 done, 1 a check failed, 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gateway
    Serve(serve::ServeArgs),
    /// Bring the database's schema up to date
    Migrate(migrate::MigrateArgs),
    /// Check policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Try whether what protects the data works
    SelfTest(self_test::SelfTestArgs),
    /// Verify the ledger
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Check files of evidence
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Register, list and revoke the programs that may call
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Invite, list and end the controller's own people
    #[command(subcommand)]
    Staff(staff::StaffCommand),
    /// Make, rotate and retire keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Read the signals that browsers and consent platforms send
    #[command(subcommand)]
    Signal(signal::SignalCommand),
    /// Take a tour on real purchase histories, then keep serving
    Demo(crate::demo::DemoArgs),
    /// Print the API's OpenAPI document
    #[command(after_help = "\
Examples:
  consentry openapi > openapi.json    What a running gateway serves at /openapi.json")]
    Openapi,
}

/// Which gateway a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// A folder that holds everything: SQLite store, keys and policy
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A configuration file; the environment (CONSENTRY__SECTION__KEY) overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// The settings of the file and the environment, of a store that need not be there.
    fn layers(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(self.config.as_deref())?)
    }

    /// The settings of these arguments, from all layers, checked. Nothing is made before the address is.
    fn settings(&self, missing: Missing, listen: Option<SocketAddr>) -> anyhow::Result<Settings> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(listen) = listen {
            settings.server.listen = listen;
        }
        settings.check_address()?;
        if let Some(data) = &self.data {
            DataDir::open(data, missing, settings.keys.provider, &SystemEntropy)?.apply(&mut settings);
        }
        settings.check()?;
        Ok(settings)
    }
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it is for.
    Done,
    /// It checked something, and that is not as it should be.
    Failed,
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => fail(&format!("{error:#}")),
    }
}

/// Says why it could not be tried.
#[must_use]
pub fn fail(reason: &str) -> ExitCode {
    eprintln!("error: {reason}");
    ExitCode::from(2)
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("consentry")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(&args).await,
            Command::Migrate(args) => migrate::run(&args).await,
            Command::Policy(command) => policy::run(&command),
            Command::SelfTest(args) => self_test::run(&args).await,
            Command::Ledger(command) => ledger::run(&command).await,
            Command::Evidence(command) => evidence::run(&command),
            Command::Client(command) => client::run(command).await,
            Command::Staff(command) => staff::run(command).await,
            Command::Keys(command) => keys::run(command).await,
            Command::Signal(command) => signal::run(&command),
            Command::Demo(args) => crate::demo::run(&args).await,
            Command::Openapi => openapi::run(),
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn visit(command: &clap::Command, path: &str) {
            let leaves: Vec<_> = command.get_subcommands().collect();
            assert!(command.get_after_help().is_some() || !leaves.is_empty(), "{path} has no examples");
            for leaf in leaves {
                visit(leaf, &format!("{path} {}", leaf.get_name()));
            }
        }
        visit(&CommandLine::command(), "consentry");
    }

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "consentry serve --data d --listen 127.0.0.1:0",
            "consentry migrate --dry-run --config c.toml",
            "consentry policy check",
            "consentry policy check dir",
            "consentry ledger verify --data d",
            "consentry ledger verify --url http://127.0.0.1:1 --vkey k --checkpoint f",
            "consentry ledger verify --database sqlite:f --vkey k",
            "consentry evidence verify f --vkey k",
            "consentry client add --data d --id x --recipient r --scope profiles:read --purpose a --purpose b",
            "consentry client revoke --data d --id x",
            "consentry client create --data d --id x --scope profiles:read --recipient r --jwks f --dpop",
            "consentry client renew --data d --id x",
            "consentry staff invite --data d --name anna --role officer",
            "consentry staff end --data d --name anna",
            "consentry keys rotate data --data d",
            "consentry keys rotate token --config c.toml --after-seconds 3600 --detach",
            "consentry keys rotate root --config c.toml --to d.toml",
            "consentry keys retire data 1 --data d",
            "consentry keys status --data d",
            "consentry keys migrate --data d",
            "consentry keys new-hsm-key --config c.toml",
            "consentry demo --once --limit 100 --data d --listen 127.0.0.1:0",
            "consentry self-test --data d --restored sqlite:f",
            "consentry openapi",
        ] {
            CommandLine::try_parse_from(line.split(' ')).unwrap();
        }
        for line in ["consentry serve --listen here", "consentry client add --id x --scope nothing", "consentry"] {
            assert!(CommandLine::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
