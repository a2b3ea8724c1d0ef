//! Only a policy that passed validation is evaluated.

use consentry_kernel::consent::Standing;
use consentry_kernel::decision::{Ask, decide};
use consentry_kernel::policy::document::PolicySources;
use consentry_kernel::time::Timestamp;

fn ask(sources: &PolicySources, standing: &Standing, ask: &Ask) {
    let _decision = decide(sources, standing, ask, Timestamp::from_millis(0));
}

fn main() {}
