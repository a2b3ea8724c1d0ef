//! What somebody types or brings along who wants to be staff: names, passwords, codes, and the word of an identity provider.
//! Nobody's word counts whose key is not known.
#![no_main]

use std::sync::LazyLock;

use kernel::authn::{Authenticator, ExpectedIdToken, IdToken, ProviderKeys, RecoveryCode, SecretHash};
use kernel::staff::{StaffName, new_password, password_form};
use kernel::time::Timestamp;
use libfuzzer_sys::fuzz_target;

/// A key that nobody has the other half of.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty":"EC","crv":"P-256","kid":"two","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

static PROVIDER: LazyLock<ProviderKeys> = LazyLock::new(|| ProviderKeys::from_json(KEYS).expect("two keys"));

fuzz_target!(|text: &str| {
    let now = Timestamp::from_millis(1_800_000_000_000);
    if let Ok(name) = text.parse::<StaffName>() {
        assert_eq!(name.as_str(), text);
        if let Ok(form) = new_password(text, &name) {
            assert_eq!(form, password_form(&form), "a password has one form");
        }
    }
    let anna: StaffName = "anna".parse().expect("a name");
    if let Ok(form) = new_password(text, &anna) {
        assert!(form.chars().count() >= 12 && text.len() <= 256);
    }
    if let Some(code) = RecoveryCode::parse(text) {
        let again = RecoveryCode::parse(&code.text()).expect("what was read can be written");
        assert_eq!(again.as_bytes(), code.as_bytes());
    }
    let authenticator = Authenticator::from_bytes(&[7; 20]).expect("twenty bytes");
    if authenticator.check(text, now, 0).is_some() {
        assert_eq!(text.chars().filter(char::is_ascii_digit).count(), 6);
    }
    let _hash = text.parse::<SecretHash>();
    let _keys = ProviderKeys::from_json(text);
    let expected =
        ExpectedIdToken { issuer: "https://id.example", client_id: "consentry", nonce: "n", max_age_ms: None };
    assert!(IdToken::verify(text, &PROVIDER, expected, now).is_err());
});
