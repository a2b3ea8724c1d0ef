//! The batch cannot be taken out of a disclosure that was not released.

use consentry_kernel::disclosure::{Disclosure, PermittedBatch};

fn take(disclosure: Disclosure) -> PermittedBatch {
    disclosure.permitted
}

fn main() {}
