//! `consentry policy check`: every fault of a policy with its place, and every case it carries.

use std::path::PathBuf;

use app::SystemClock;
use clap::{Args, Subcommand};
use kernel::clock::Clock as _;
use kernel::policy::ValidPolicy;
use kernel::policy::case::run_cases;

use super::Outcome;
use super::output::say;
use crate::assets;

/// `policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy and run its given/when/then cases
    Check(CheckArgs),
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry policy check ./policies       Check the policy in a folder
  consentry policy check --data ./data    Check the policy of a gateway
  consentry policy check                  Check the policy shipped inside the program

Prints `file:line:column: reason` for every fault and every case that fails. Exit code 1 if there is one.")]
pub(crate) struct CheckArgs {
    /// The policy's folder; without it the policy shipped inside the program
    #[arg(value_name = "DIR", conflicts_with = "data")]
    dir: Option<PathBuf>,
    /// A gateway's folder: its policy is checked
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn run(command: &PolicyCommand) -> anyhow::Result<Outcome> {
    let PolicyCommand::Check(args) = command;
    let dir = args.dir.clone().or_else(|| args.data.as_ref().map(|data| data.join("policies")));
    let sources = match &dir {
        Some(dir) => assets::read_policy(dir)?,
        None => assets::shipped_policy(),
    };
    let place =
        |file: &str| dir.as_ref().map_or_else(|| file.to_owned(), |dir| dir.join(file).display().to_string());
    let policy = match ValidPolicy::from_sources(&sources) {
        Ok(policy) => policy,
        Err(faults) => {
            for fault in &faults {
                let (line, column) = (fault.line, fault.column);
                say(format_args!("{}:{line}:{column}: {} [{}]", place(&fault.file), fault.message, fault.code));
            }
            let count = faults.len();
            say(format_args!("{count} fault{}; no case was run", if count == 1 { "" } else { "s" }));
            return Ok(Outcome::Failed);
        }
    };
    let outcomes = run_cases(&policy, &sources);
    let mut failed = 0_usize;
    for outcome in &outcomes {
        if let Err(differences) = &outcome.verdict {
            failed += 1;
            for difference in differences.lines() {
                let located = located(difference, &outcome.file);
                let (line, column, reason) = located.unwrap_or((outcome.line, 1, difference));
                say(format_args!("{}:{line}:{column}: case `{}`: {reason}", place(&outcome.file), outcome.name));
            }
        }
    }
    say(format_args!(
        "policy {}: {} purposes, {} attributes, {} recipients, {} forms, {} notices",
        policy.version(),
        policy.purposes().count(),
        policy.attributes().count(),
        policy.recipients().count(),
        policy.forms().count(),
        policy.notices().count(),
    ));
    for review in policy.reviews_due(SystemClock.now().date()) {
        say(format_args!(
            "warning: the review of the {} of `{}` was due on {}",
            review.kind, review.purpose, review.due_on
        ));
    }
    say(format_args!("{} of {} cases passed", outcomes.len() - failed, outcomes.len()));
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Failed })
}

/// Splits `file:line: reason` or `file:line:column: reason` of a known file.
fn located<'a>(difference: &'a str, file: &str) -> Option<(usize, usize, &'a str)> {
    let (line, rest) = difference.strip_prefix(file)?.strip_prefix(':')?.split_once(':')?;
    let column = rest.split_once(':').and_then(|(column, reason)| Some((column.parse().ok()?, reason)));
    let (column, reason) = column.unwrap_or((1, rest));
    Some((line.parse().ok()?, column, reason.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_keeps_its_own_place() {
        assert_eq!(located("cases/a.toml:7: at noon: no", "cases/a.toml"), Some((7, 1, "at noon: no")));
        assert_eq!(located("cases/a.toml:7:3: unknown key", "cases/a.toml"), Some((7, 3, "unknown key")));
        assert_eq!(located("expected permit", "cases/a.toml"), None);
    }
}
