//! What is sealed has no serial form but the packed record.

fn write(sealed: &consentry_kernel::seal::SealedAttribute) -> String {
    serde_json::to_string(sealed).unwrap()
}

fn main() {}
