//! Imports: what a row of a file says of a person, and what may come of it beside what the person said here.
//!
//! A file tells what another system believed at some time. It never overrides what a person did since: [`judge`] is
//! asked when the file is previewed and again, under the person's lock, when it is applied.

mod judge;
mod row;
mod status;
mod tally;

pub use judge::{Held, LeftOut, Suppression, Taken, Verdict, judge};
pub use row::{StagedRow, StagedStatement};
pub use status::{ImportStatus, ImportStatusError};
pub use tally::{BadCell, BadLine, Tally};
