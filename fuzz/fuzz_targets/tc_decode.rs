//! TC strings: whatever reads, reads the same when written again; whatever is invalid permits nothing.
#![no_main]

use kernel::signal::TcString;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(tc) = TcString::decode(text) else { return };
    assert!(serde_json::to_string(&tc).is_ok());
    let written = tc.encode().expect("what was read can be written");
    assert_eq!(TcString::decode(&written).as_ref(), Ok(&tc));
    for vendor in tc.vendor_consent.iter().take(8).chain([0, 1, u16::MAX]) {
        for purpose in 0..=25 {
            let permitted = tc.permits(vendor, purpose);
            assert!(!permitted || (tc.is_valid() && tc.purposes_consent.contains(purpose)));
            assert!(!permitted || tc.disclosed_vendors.as_ref().is_some_and(|known| known.contains(vendor)));
        }
    }
});
