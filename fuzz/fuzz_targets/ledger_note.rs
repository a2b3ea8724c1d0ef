//! Signed notes and checkpoints, as a witness or an auditor hands them back.
#![no_main]

use kernel::ledger::Checkpoint;
use kernel::ledger::note::{NoteVerifier, OpenedNote};
use libfuzzer_sys::fuzz_target;

/// The verification key of the signed-note specification's example.
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|text: &str| {
    let _verifier = NoteVerifier::from_vkey(text);
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert!(text.starts_with(&checkpoint.body()));
    }
    let known = [NoteVerifier::from_vkey(VKEY).expect("the example's key")];
    if let Ok(note) = OpenedNote::open(text, &known) {
        assert!(!note.signed_by().is_empty() && text.starts_with(note.text()));
    }
});
