//! What an auditor, a witness or the holder of a receipt hands over: addresses of tiles, proofs, cosignatures, evidence,
//! signed receipts.
#![no_main]

use kernel::evidence::Evidence;
use kernel::ledger::cosign::WitnessKey;
use kernel::ledger::proof::{ConsistencyProof, InclusionProof};
use kernel::ledger::tile::TilePath;
use kernel::receipt::ReceiptSigner;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
    if let Ok(proof) = InclusionProof::parse(text) {
        assert_eq!(InclusionProof::parse(&proof.to_text()), Ok(proof));
    }
    if let Ok(proof) = ConsistencyProof::parse(text) {
        assert_eq!(ConsistencyProof::parse(&proof.to_text()), Ok(proof));
    }
    if let Ok(key) = WitnessKey::from_vkey(text) {
        assert!(key.find("a\n1\nAA==\n", text).is_err());
    }
    if let Ok(evidence) = Evidence::parse(text) {
        let _report = evidence.verify(None);
    }
    let signer = ReceiptSigner::from_seed([7; 32]).expect("a seed");
    // Nobody has this key.
    assert!(signer.verifier().verify(text).is_err());
    assert!(signer.verifier().verify_selective(text).is_err());
});
