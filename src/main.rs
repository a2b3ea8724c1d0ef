//! The binary: hands the command line over and passes its exit code on.

use std::process::ExitCode;

fn main() -> ExitCode {
    consentry::cli::main()
}
