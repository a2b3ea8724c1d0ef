//! Single values as sources, forms and recipients send them: identifiers, times, regions, pseudonyms, names.
#![no_main]

use kernel::confirmation::ConfirmationToken;
use kernel::identifier::{Identifier, IdentifierKind};
use kernel::import::Tally;
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use kernel::regime::Regime;
use kernel::time::{Months, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for kind in [IdentifierKind::Email, IdentifierKind::CustomerId] {
        let Ok(identifier) = Identifier::parse(kind, text) else { continue };
        // What is normalised once stays as it is, so that one person has one fingerprint.
        let again = Identifier::parse(kind, identifier.expose()).expect("what was read can be read again");
        assert_eq!(again.expose(), identifier.expose());
        assert!(!identifier.expose().chars().any(char::is_control));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        assert_eq!(at.to_string().parse::<Timestamp>().ok(), Some(at));
    }
    if let Ok(regime) = text.parse::<Regime>() {
        assert_eq!(regime.to_string().parse::<Regime>().ok(), Some(regime));
    }
    if let Ok(pseudonym) = text.parse::<Pseudonym>() {
        assert_eq!(pseudonym.to_string(), text, "a pseudonym has one form");
    }
    if let Ok(purpose) = text.parse::<Purpose>() {
        assert_eq!(purpose.as_str(), text);
    }
    let _region = Regime::of_region(text);
    let _months = text.parse::<Months>();
    let _token = text.parse::<ConfirmationToken>();
    let _tally = Tally::from_text(text);
});
