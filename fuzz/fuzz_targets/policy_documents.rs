//! Policy documents: each of the shipped ones replaced by the input. Faults are found or none, never a panic.
#![no_main]

use kernel::policy::ValidPolicy;
use kernel::policy::case::run_cases;
use kernel::policy::document::PolicySources;
use libfuzzer_sys::fuzz_target;

const SHIPPED: [(&str, &str); 5] = [
    ("attributes.toml", include_str!("../../policies/attributes.toml")),
    ("controllers.toml", include_str!("../../policies/controllers.toml")),
    ("forms.toml", include_str!("../../policies/forms.toml")),
    ("purposes.toml", include_str!("../../policies/purposes.toml")),
    ("recipients.toml", include_str!("../../policies/recipients.toml")),
];

fuzz_target!(|text: &str| {
    let replaceable =
        SHIPPED.map(|(path, _)| path).into_iter().chain(["signals.toml", "notices/fuzz.toml", "cases/fuzz.toml"]);
    for replaced in replaceable {
        let mut sources = PolicySources::new();
        for (path, shipped) in SHIPPED {
            if path != replaced {
                sources.push(path, shipped);
            }
        }
        sources.push(replaced, text);
        match ValidPolicy::from_sources(&sources) {
            Ok(policy) => drop(run_cases(&policy, &sources)),
            Err(faults) => assert!(!faults.is_empty()),
        }
    }
});
