//! A subject's key does not open attributes from outside.

use consentry_kernel::seal::{RecordEntry, SubjectKey};

fn peek(key: &SubjectKey, entry: &RecordEntry<'_>) {
    let _value = key.open_value(entry);
    let _attribute = key.open_attribute(entry);
}

fn main() {}
