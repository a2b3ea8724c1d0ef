//! The proof of one action does not stand for another.

use consentry_kernel::authz::{Authorized, HandleRights, ReadLedger};

fn erase(_by: &Authorized<HandleRights>) {}

fn read(by: &Authorized<ReadLedger>) {
    erase(by);
}

fn main() {}
