//! The binary: hands the command line over and passes its exit code on.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A capture makes hundreds of small allocations on one thread and frees them on another: the system's allocator took
/// a sixth of its time. Huge pages are left out: they double what an idle gateway holds.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything holds a key.
    if let Err(error) = consentry::core_dump::forbid() {
        return consentry::cli::fail(&format!("cannot turn core dumps off: {error}"));
    }
    consentry::cli::main()
}
