//! Nobody authorises themself.

use consentry_kernel::authz::{Actor, Authorized, ReadProfiles};

fn main() {
    let _by = Authorized::<ReadProfiles> { actor: Actor::Person, action: std::marker::PhantomData };
}
