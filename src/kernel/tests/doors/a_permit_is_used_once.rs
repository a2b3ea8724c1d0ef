//! Opening consumes the permit: one decision, one disclosure.

use consentry_kernel::decision::Permit;
use consentry_kernel::disclosure::Gathering;
use consentry_kernel::seal::{SealedSubject, SubjectKey};

fn twice(page: &mut Gathering<'_>, permit: Permit, key: &SubjectKey, row: &SealedSubject<'_>) {
    let _first = page.disclose(permit, key, row, 0);
    let _second = page.disclose(permit, key, row, 0);
}

fn main() {}
