//! `consentry signal decode`: what a GPP or TC string says, for support and for tests.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kernel::signal::{Content, Signal, TcString};

use super::Outcome;
use super::output::{note, say};

/// `signal …`
#[derive(Debug, Subcommand)]
pub(crate) enum SignalCommand {
    /// Print what a GPP or TC string says, as JSON
    Decode(DecodeArgs),
}

/// Arguments of `signal decode`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry signal decode 'DBABLA~CAAAVVVVVVRA.QA'                       A GPP string
  consentry signal decode CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA   A TC string by itself

Section and field names are those of the IAB's specifications. Sections whose layout is unknown or disputed are shown as
they were sent, and count as opted out; standard error says so. Exit code 2 when the string is malformed.")]
pub(crate) struct DecodeArgs {
    /// The string, as it was sent
    #[arg(value_name = "STRING", allow_hyphen_values = true)]
    string: String,
}

pub(super) fn run(command: &SignalCommand) -> anyhow::Result<Outcome> {
    let SignalCommand::Decode(args) = command;
    let signal = Signal::decode(&args.string).context("malformed signal")?;
    signal.check().context("malformed section")?;
    say(serde_json::to_string_pretty(&signal)?);
    match &signal {
        Signal::Gpp(gpp) => {
            for section in gpp.sections() {
                match section.content() {
                    Content::Opaque(why) => {
                        note(format_args!("{}: {} layout; it counts as opted out", section.id(), why.as_str()));
                    }
                    Content::Tcf(tc) => note_invalidities(tc),
                    _ => {}
                }
            }
        }
        Signal::Tc { tc, .. } => note_invalidities(tc),
    }
    Ok(Outcome::Done)
}

fn note_invalidities(tc: &TcString) {
    for invalidity in tc.invalidities() {
        note(format_args!("tcfeuv2: invalid, it permits nothing: {invalidity}"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn decode(string: &str) -> anyhow::Result<Outcome> {
        run(&SignalCommand::Decode(DecodeArgs { string: string.to_owned() }))
    }

    #[test]
    fn what_reads_is_done_even_if_it_is_invalid_or_unknown() {
        for string in
            ["DBABBg~BVWSSSVY.YA", "DBABLA~CAAAVVVVVVRA.QA", "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA"]
        {
            assert_eq!(decode(string).unwrap(), Outcome::Done);
        }
    }

    #[test]
    fn what_is_malformed_could_not_be_tried() {
        for (string, place) in [("z", 0), ("DBABTA~1YN+", 10), ("DBABBg~BwAAAABA", 8)] {
            let reason = format!("{:#}", decode(string).unwrap_err());
            assert!(reason.ends_with(&format!("at character {place}]")) && !reason.contains('\n'), "{reason}");
        }
    }
}
