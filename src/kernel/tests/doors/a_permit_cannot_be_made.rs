//! A permit comes from a decision and from nowhere else.

fn main() {
    let _permit = consentry_kernel::decision::Permit {
        subject: todo!(),
        plan: todo!(),
        granted: u64::MAX,
        reconsent: 0,
        now: todo!(),
    };
}
