//! A permit cannot be cloned.

fn copy(permit: &consentry_kernel::decision::Permit) -> consentry_kernel::decision::Permit {
    permit.clone()
}

fn main() {}
