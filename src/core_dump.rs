//! No core dumps: the memory of this process holds keys and what they open, and a dump would write both to a disk.

use std::io;

/// Forbids the system to write this process's memory into a file, and other processes of the same user to read it.
///
/// # Errors
/// When the system does not allow it.
#[cfg(target_os = "linux")]
pub fn forbid() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Forbids the system to write this process's memory into a file.
///
/// # Errors
/// When the system does not allow it.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn forbid() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Nothing where there is nothing to forbid.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn forbid() -> io::Result<()> {
    Ok(())
}
