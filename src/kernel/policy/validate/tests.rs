//! Every fault of a policy, found at its line.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]

use super::*;
use crate::attribute::{Measure, ServedForm};
use crate::consent::Assurance;
use crate::policy::Mode;
use crate::regime::Regime;

const CONTROLLERS: &str = r#"
[[controller]]
id = "shop"
name = "Shop GmbH"
address = "Berlin"
contact = "privacy@shop.example"
officer = "dpo@shop.example"
"#;

const PURPOSES: &str = r#"
[[purpose]]
id = "offers"
title = "Offers"
validity = "P24M"
reask_after = "P6M"
direct_marketing = true
fideslang = "marketing.communications.email"
dpv = "DirectMarketing"
bases = ["consent", "soft_opt_in"]
product_families = ["shoes"]
[purpose.mode]
EU_GDPR = "opt_in_or_soft"
UK_GDPR = "opt_in"
US_CA = "opt_out"
US_OTHER = "opt_out"
"US_OTHER:MD" = "forbidden"
CA_CASL = "opt_in"
UNKNOWN = "opt_in"

[[purpose]]
id = "sharing"
title = "Sharing"
validity = "P12M"
reask_after = "P12M"
sale_or_share = true
fideslang = "third_party_sharing"
dpv = "SellDataToThirdParties"
risk_assessment_ref = "RA-1"
risk_assessment_review = 2028-01-01
mode = { EU_GDPR = "opt_in", UK_GDPR = "opt_in", US_CA = "opt_out", US_OTHER = "opt_out", CA_CASL = "opt_in", UNKNOWN = "opt_in" }
"#;

const ATTRIBUTES: &str = r#"
[[attribute]]
name = "email"
title = "Email"
type = "email"
served = { form = "plain" }
fideslang = "user.contact.email"
ccpa = "A"
retention = "P36M"
tag = "none"
purposes = ["offers"]
k = 1

[[attribute]]
name = "age_band"
title = "Age band"
input = "birth_date"
served = { form = "band", measure = "age_years", minimum = 18, edges = [25, 35], labels = ["18-24", "25-34", "35+"] }
fideslang = "user.demographic.age_range"
ccpa = "C"
retention = "P24M"
tag = "none"
purposes = ["offers", "sharing"]
k = 10

[[attribute]]
name = "birth_date"
title = "Birth date"
type = "date"
fideslang = "user.demographic.date_of_birth"
ccpa = "C"
retention = "P36M"
tag = "none"
purposes = ["offers", "sharing"]
k = 10

[[attribute]]
name = "topic"
title = "Topic"
type = "text"
served = { form = "one_of", labels = ["music", "books"] }
fideslang = "user.behavior"
ccpa = "K"
retention = "P12M"
tag = "none"
purposes = ["offers"]
k = 10
"#;

const RECIPIENTS: &str = r#"
[[recipient]]
id = "engine"
name = "Engine"
role = "own"
controller = "shop"
country = "DE"
purposes = ["offers"]
attributes = ["age_band", "topic"]

[[recipient]]
id = "mailer"
name = "Mailer"
role = "sender"
controller = "shop"
country = "SE"
purposes = ["offers"]
attributes = ["email"]
epoch = 3
previous_epoch = 2
epoch_began = 2026-01-01
grace_days = 30
contract = { reference = "DPA-1", kind = "service_provider", ends = 2027-12-31 }

[[recipient]]
id = "network"
name = "Network"
role = "third_party"
controller = "shop"
country = "US"
purposes = ["sharing"]
attributes = ["age_band"]
"#;

const FORMS: &str = r#"
[[form]]
id = "newsletter"
title = "Newsletter"
fields = ["email"]
purposes = ["offers"]
notice = "newsletter"
origins = ["https://www.example.com", "http://127.0.0.1:*"]
return_url = "https://www.example.com/thanks"
presentation = "separate"
default_state = "unchecked"
"#;

const NOTICE: &str = r#"
id = "newsletter"
version = 1
controllers = ["shop"]
purposes = ["offers"]
recipients = ["engine", "mailer"]
[[text]]
locale = "en"
title = "Newsletter"
controller = "Shop GmbH"
purposes = "Offers"
data_types = "Address"
legal_basis = "Consent"
recipients = "Mailer"
transfers = "None"
retention = "24 months"
rights = "Access"
withdrawal_info = "Any time"
complaint = "Authority"
statutory_duty = "None"
automated_decisions = "None"
"#;

pub(crate) const DOCUMENTS: [(&str, &str); 6] = [
    ("controllers.toml", CONTROLLERS),
    ("purposes.toml", PURPOSES),
    ("attributes.toml", ATTRIBUTES),
    ("recipients.toml", RECIPIENTS),
    ("forms.toml", FORMS),
    ("notices/newsletter-1.toml", NOTICE),
];

pub(crate) fn valid() -> ValidPolicy {
    ValidPolicy::from_sources(&DOCUMENTS.into_iter().collect()).unwrap()
}

fn edited(file: &str, from: &str, to: &str) -> PolicySources {
    let mut done = false;
    let documents = DOCUMENTS.map(|(path, text)| {
        done |= path == file && text.contains(from);
        (path, if path == file { text.replacen(from, to, 1) } else { text.to_owned() })
    });
    assert!(done, "`{from}` is in {file}");
    documents.into_iter().collect()
}

fn faults(file: &str, from: &str, to: &str) -> Vec<PolicyFault> {
    ValidPolicy::from_sources(&edited(file, from, to)).err().unwrap_or_default()
}

/// Replacing `from` by `to` gives exactly one fault, on the line that begins with `at` in the edited
/// document.
#[track_caller]
fn one_fault(file: &str, from: &str, to: &str, code: &str, at: &str) {
    let found = faults(file, from, to);
    let sources = edited(file, from, to);
    let text = sources.iter().find(|source| source.path() == file).unwrap().text().to_owned();
    let line = text.lines().position(|line| line.starts_with(at)).unwrap() + 1;
    match found.as_slice() {
        [fault] if fault.code == code && fault.line == line && fault.file == file => {}
        other => panic!("expected {code} at line {line}, found {other:#?}"),
    }
}

#[test]
fn a_policy_without_faults_is_what_it_says() {
    let policy = valid();
    let offers = policy.purpose(&"offers".parse().unwrap()).unwrap();
    assert_eq!(offers.mode(Regime::EuGdpr(None)), Mode::OptInOrSoft);
    assert_eq!(offers.mode("US_OTHER:MD".parse().unwrap()), Mode::Forbidden);
    assert_eq!(offers.mode("US_OTHER:CO".parse().unwrap()), Mode::OptOut);
    assert_eq!((offers.version, offers.last_breaking_version), (1, 1));
    let age = policy.attribute(&"age_band".parse().unwrap()).unwrap();
    assert_eq!(age.input.as_str(), "birth_date");
    assert!(matches!(
        &age.served,
        Some(ServedForm::Band { measure: Measure::AgeYears, minimum: Some(18), edges, labels })
            if **edges == [25, 35] && labels.len() == 3
    ));
    let topic = policy.attribute(&"topic".parse().unwrap()).unwrap();
    let Some(ServedForm::OneOf { labels }) = &topic.served else { panic!("a closed list") };
    assert!(labels.is_sorted(), "the search needs them sorted");
    let mailer = policy.recipient(&"mailer".parse().unwrap()).unwrap();
    assert_eq!((mailer.epochs.number, mailer.epochs.previous, mailer.epochs.grace_days), (3, Some(2), 30));
    let contract = mailer.contract.as_ref().unwrap();
    assert_eq!(
        (contract.reference.as_str(), contract.ends.unwrap().to_string().as_str()),
        ("DPA-1", "2028-01-01T00:00:00.000Z")
    );
}

#[test]
fn all_faults_are_found_at_once_and_in_order() {
    let mut documents = DOCUMENTS.map(|(path, text)| (path, text.to_owned()));
    documents[0].1 = CONTROLLERS.replace("officer", "chief");
    documents[1].1 = PURPOSES.replace("\"P24M\"", "\"two years\"");
    documents[4].1 = FORMS.replace("[\"email\"]", "[\"phone\"]");
    let found = ValidPolicy::from_sources(&documents.into_iter().collect()).unwrap_err();
    let codes: Vec<_> = found.iter().map(|fault| (fault.file.as_str(), fault.code)).collect();
    assert_eq!(
        codes,
        [("controllers.toml", "shape"), ("purposes.toml", "value"), ("forms.toml", "unknown_reference")],
        "{found:#?}"
    );
}

#[test]
fn a_fault_in_a_table_does_not_make_its_name_unknown() {
    one_fault("purposes.toml", "title = \"Sharing\"", "titel = \"Sharing\"", "shape", "titel");
}

#[test]
fn the_version_covers_every_document_but_the_cases() {
    let version = |sources: PolicySources| ValidPolicy::from_sources(&sources).unwrap().version();
    let plain = version(DOCUMENTS.into_iter().collect());
    assert_eq!(version(DOCUMENTS.into_iter().rev().collect()), plain, "order does not count");
    assert_ne!(version(edited("forms.toml", "\"Newsletter\"", "\"Newsletters\"")), plain);
    assert_ne!(version(edited("forms.toml", "\n", "\n\n")), plain, "every byte counts");
    let mut with_cases: PolicySources = DOCUMENTS.into_iter().collect();
    with_cases.push("cases/a.toml", "");
    assert_eq!(version(with_cases), plain);
}

#[test]
fn a_name_is_declared_once() {
    let second = "\n[[controller]]\nid = \"shop\" # again\nname = \"S\"\naddress = \"B\"\ncontact = \"c\"\nofficer = \"o\"\n";
    let officer = "officer = \"dpo@shop.example\"\n";
    one_fault("controllers.toml", officer, &format!("{officer}{second}"), "duplicate", "id = \"shop\" # again");
}

#[test]
fn a_reference_is_known() {
    one_fault("attributes.toml", "[\"offers\"]", "[\"offer\"]", "unknown_reference", "purposes = [\"offer\"]");
    one_fault("attributes.toml", "\"birth_date\"", "\"birthday\"", "unknown_reference", "input");
    one_fault("recipients.toml", "\"shop\"", "\"store\"", "unknown_reference", "controller = \"store\"");
    one_fault(
        "recipients.toml",
        "\"topic\"]",
        "\"topics\"]",
        "unknown_reference",
        "attributes = [\"age_band\", \"topics\"]",
    );
    one_fault("forms.toml", "[\"email\"]", "[\"phone\"]", "unknown_reference", "fields");
    one_fault("forms.toml", "notice = \"newsletter\"", "notice = \"letter\"", "unknown_reference", "notice");
    one_fault("notices/newsletter-1.toml", "[\"shop\"]", "[\"store\"]", "unknown_reference", "controllers");
    one_fault(
        "notices/newsletter-1.toml",
        "\"mailer\"]",
        "\"mailer\", \"postman\"]",
        "unknown_reference",
        "recipients",
    );
    one_fault("attributes.toml", "input = \"birth_date\"", "input = \"age_band\"", "unknown_reference", "input");
}

#[test]
fn a_purpose_has_a_mode_for_every_regime() {
    one_fault("purposes.toml", "UK_GDPR = \"opt_in\"\n", "", "mode", "[purpose.mode]");
    one_fault("purposes.toml", "US_CA = \"opt_out\"", "US_CA = \"maybe\"", "mode", "US_CA = \"maybe\"");
    one_fault("purposes.toml", "\"US_OTHER:MD\"", "\"US_OTHER:Maryland\"", "mode", "\"US_OTHER:Maryland\"");
    one_fault("purposes.toml", "\nUNKNOWN = \"opt_in\"", "\nUNKNOWN = \"opt_out\"", "mode", "[purpose.mode]");
    one_fault("purposes.toml", ", \"soft_opt_in\"]", "]", "mode", "[purpose.mode]");
}

#[test]
fn a_consent_ends_and_a_refusal_is_respected() {
    one_fault("purposes.toml", "validity = \"P24M\"\n", "", "validity", "[[purpose]]");
    one_fault("purposes.toml", "reask_after = \"P6M\"\n", "", "reask_after", "[[purpose]]");
    one_fault("purposes.toml", "\"P24M\"", "\"24 months\"", "value", "validity");
}

#[test]
fn a_legitimate_interest_was_weighed() {
    one_fault(
        "purposes.toml",
        "\"soft_opt_in\"]",
        "\"soft_opt_in\", \"legitimate_interest\"]",
        "balancing_test",
        "bases",
    );
}

#[test]
fn a_sensitive_purpose_is_explicit() {
    one_fault(
        "purposes.toml",
        "sale_or_share = true",
        "sale_or_share = true\nsensitive = true",
        "cap_08",
        "mode = {",
    );
}

#[test]
fn keys_of_the_vocabularies_exist() {
    one_fault("purposes.toml", "\"third_party_sharing\"", "\"spying\"", "vocabulary", "fideslang = \"spying\"");
    one_fault("purposes.toml", "\"DirectMarketing\"", "\"dpv:Direct\"", "vocabulary", "dpv = \"dpv:");
    one_fault(
        "attributes.toml",
        "\"user.contact.email\"",
        "\"user.mail\"",
        "vocabulary",
        "fideslang = \"user.mail\"",
    );
}

#[test]
fn not_10_a_changed_purpose_says_what_its_change_is() {
    let first = "title = \"Offers\"\n";
    one_fault("purposes.toml", first, "title = \"Offers\"\nversion = 2\n", "not_10", "version = 2");
    let change = |lines: &str| {
        format!("UNKNOWN = \"opt_in\"\n[[purpose.change]]\nversion = 2\nsummary = \"More\"\n{lines}")
    };
    let with = |lines: &str| {
        let text = PURPOSES.replacen(first, "title = \"Offers\"\nversion = 2\n", 1);
        let text = text.replacen("UNKNOWN = \"opt_in\"\n", &change(lines), 1);
        let documents = DOCUMENTS
            .map(|(path, old)| (path, if path == "purposes.toml" { text.clone() } else { old.to_owned() }));
        ValidPolicy::from_sources(&documents.into_iter().collect())
    };
    let versions = |policy: ValidPolicy| {
        let rule = policy.purpose(&"offers".parse().unwrap()).unwrap();
        (rule.version, rule.last_breaking_version)
    };
    assert_eq!(versions(with("kind = \"breaking\"\n").unwrap()), (2, 2));
    let recorded = "kind = \"compatible\"\ncompatibility_record = \"CT-7\"\n";
    assert_eq!(versions(with(recorded).unwrap()), (2, 1));
    for (lines, line) in [
        ("kind = \"compatible\"\n", 21),
        ("", 21),
        ("kind = \"breaking\"\n[[purpose.change]]\nversion = 3\nsummary = \"x\"\nkind = \"breaking\"\n", 26),
    ] {
        let found = with(lines).unwrap_err();
        assert_eq!(found.iter().map(|f| (f.code, f.line)).collect::<Vec<_>>(), [("not_10", line)], "{found:#?}");
    }
}

#[test]
fn seg_02_an_attribute_declares_everything() {
    for key in [
        "type = \"email\"\n",
        "purposes = [\"offers\"]\n",
        "fideslang = \"user.contact.email\"\n",
        "tag = \"none\"\n",
        "k = 1\n",
    ] {
        let found = faults("attributes.toml", key, "");
        assert_eq!(
            found.iter().map(|f| (f.code, f.line)).collect::<Vec<_>>(),
            [("seg_02", 2)],
            "{key}: {found:#?}"
        );
    }
    one_fault("attributes.toml", "purposes = [\"offers\"]", "purposes = []", "seg_02", "[[attribute]]");
    one_fault("attributes.toml", "input =", "type = \"date\"\ninput =", "seg_02", "input =");
    one_fault("attributes.toml", "k = 1\n", "k = 0\n", "value", "k = 0");
}

#[test]
fn not_06_an_attribute_has_its_ccpa_category_and_retention() {
    one_fault("attributes.toml", "ccpa = \"A\"\n", "", "not_06", "[[attribute]]");
    one_fault("attributes.toml", "ccpa = \"A\"", "ccpa = \"Z\"", "not_06", "ccpa = \"Z\"");
    one_fault("attributes.toml", "retention = \"P36M\"\n", "", "not_06", "[[attribute]]");
}

#[test]
fn seg_01_what_is_derived_inherits_tag_purposes_and_retention() {
    let birth =
        "fideslang = \"user.demographic.date_of_birth\"\nccpa = \"C\"\nretention = \"P36M\"\ntag = \"none\"\n";
    let found = faults("attributes.toml", birth, &birth.replace("none", "health"));
    assert_eq!(found.iter().map(|f| (f.code, f.line)).collect::<Vec<_>>(), [("tag", 22)], "{found:#?}");
}

#[test]
fn a_derived_attribute_is_no_freer_than_its_input() {
    let birth = ATTRIBUTES.split_once("name = \"birth_date\"\n").unwrap().1;
    let birth = birth.split_once("\nk = ").unwrap().0;
    let narrow = &birth.replace(", \"sharing\"]", "]");
    one_fault("attributes.toml", birth, narrow, "wider_purpose", "purposes = [\"offers\", \"sharing\"]");
    one_fault("attributes.toml", "\"P24M\"", "\"P48M\"", "retention", "retention = \"P48M\"");
    one_fault("attributes.toml", "tag = \"none\"", "tag = \"secret\"", "tag", "tag = \"secret\"");
}

#[test]
fn a_served_form_fits_its_input() {
    let band = "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [25, 35], labels = [\"18-24\", \"25-34\", \"35+\"] }";
    for (served, code) in [
        (
            "{ form = \"band\", measure = \"number\", minimum = 18, edges = [25], labels = [\"a\", \"b\"] }",
            "served_form",
        ),
        ("{ form = \"flag\" }", "served_form"),
        ("{ form = \"lifecycle\", new_days = 1, at_risk_days = 2, lapsed_days = 3 }", "served_form"),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [35, 25], labels = [\"a\", \"b\", \"c\"] }",
            "band_edges",
        ),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [25, 25], labels = [\"a\", \"b\", \"c\"] }",
            "band_edges",
        ),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [25], labels = [\"a\"] }",
            "band_edges",
        ),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 30, edges = [25], labels = [\"a\", \"b\"] }",
            "band_edges",
        ),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [25], labels = [\"a\", \"a\"] }",
            "duplicate",
        ),
        (
            "{ form = \"band\", measure = \"age_years\", minimum = 18, edges = [25], labels = [\"a\", \" b\"] }",
            "served_form",
        ),
        ("{ form = \"band\", minimum = 18, edges = [25], labels = [\"a\", \"b\"] }", "served_form"),
        ("{ measure = \"age_years\" }", "served_form"),
        ("{ form = \"plain\" }", "plain_form"),
    ] {
        let found = faults("attributes.toml", band, served);
        // What else is wrong with such a form (an age below 18, an input that is a birth date) is said
        // besides.
        assert!(found.iter().any(|f| f.code == code && f.line == 18), "{served}: {found:#?}");
    }
    one_fault(
        "attributes.toml",
        "{ form = \"one_of\", labels",
        "{ form = \"one_of\", minimum = 3, labels",
        "served_form",
        "served = { form = \"one_of\"",
    );
    let found =
        faults("attributes.toml", "{ form = \"one_of\", labels", "{ form = \"prefix\", characters = 2, labels");
    assert_eq!(found.iter().map(|f| (f.code, f.line)).collect::<Vec<_>>(), [("served_form", 41); 2], "{found:#?}");
}

#[test]
fn an_address_is_plain_or_nothing() {
    let found = faults(
        "attributes.toml",
        "{ form = \"plain\" }",
        "{ form = \"prefix\", characters = 2, labels = [\"ab\"] }",
    );
    assert!(found.iter().any(|f| f.code == "plain_form" && f.line == 6), "{found:#?}");
    let found = faults(
        "attributes.toml",
        "fideslang = \"user.behavior\"",
        "fideslang = \"user.authorization.credentials\"",
    );
    assert!(found.iter().any(|f| f.code == "plain_form"), "{found:#?}");
}

#[test]
fn seg_05_no_age_below_18_is_served_for_marketing() {
    one_fault("attributes.toml", "minimum = 18, ", "", "minor_band", "served = { form = \"band\"");
    one_fault("attributes.toml", "minimum = 18", "minimum = 16", "minor_band", "served = { form = \"band\"");
    one_fault(
        "attributes.toml",
        "measure = \"age_years\"",
        "measure = \"months_since\"",
        "minor_band",
        "served = { form = \"band\"",
    );
}

#[test]
fn sta_16_a_sensitive_word_needs_a_tag() {
    one_fault("attributes.toml", "\"music\"", "\"pregnancy\"", "sensitive_word", "served = { form = \"one_of\"");
    one_fault("attributes.toml", "\"music\"", "\"trade_union\"", "sensitive_word", "served = { form = \"one_of\"");
    assert_eq!(faults("attributes.toml", "[\"music\", \"books\"]", "[\"public transport\"]"), []);
}

#[test]
fn plain_goes_to_a_sender_only() {
    one_fault(
        "recipients.toml",
        "\"topic\"]",
        "\"email\"]",
        "plain_form",
        "attributes = [\"age_band\", \"email\"]",
    );
    one_fault(
        "recipients.toml",
        "role = \"sender\"",
        "role = \"processor\"",
        "plain_form",
        "attributes = [\"email\"]",
    );
}

#[test]
fn a_contract_holds_what_can_be_served() {
    one_fault(
        "recipients.toml",
        "\"topic\"]",
        "\"birth_date\"]",
        "never_served",
        "attributes = [\"age_band\", \"birth_date\"]",
    );
    one_fault(
        "recipients.toml",
        "attributes = [\"age_band\"]",
        "attributes = [\"age_band\", \"topic\"] #",
        "idle_attribute",
        "attributes = [\"age_band\", \"topic\"] #",
    );
    one_fault("recipients.toml", "\"DE\"", "\"Germany\"", "country", "country = \"Germany\"");
    one_fault("recipients.toml", "previous_epoch = 2", "previous_epoch = 3", "epoch", "previous_epoch");
}

#[test]
fn sta_40_only_a_third_party_receives_a_sale_and_nothing_else() {
    let found = faults("recipients.toml", "purposes = [\"sharing\"]", "purposes = [\"sharing\", \"offers\"]");
    assert!(found.iter().any(|f| f.code == "recipient_role" && f.line == 31), "{found:#?}");
    one_fault(
        "recipients.toml",
        "role = \"third_party\"",
        "role = \"processor\"",
        "recipient_role",
        "purposes = [\"sharing\"]",
    );
}

#[test]
fn cap_06_a_notice_fills_all_twelve_slots() {
    let slots = [
        "controller",
        "purposes",
        "data_types",
        "legal_basis",
        "recipients",
        "transfers",
        "retention",
        "rights",
        "withdrawal_info",
        "complaint",
        "statutory_duty",
        "automated_decisions",
    ];
    let (head, body) = NOTICE.split_once("[[text]]").unwrap();
    for slot in slots {
        let line = body.lines().find(|line| line.starts_with(&format!("{slot} ="))).unwrap();
        let number = NOTICE.lines().collect::<Vec<_>>().iter().rposition(|known| *known == line).unwrap() + 1;
        for (new, at) in [(String::new(), 7), (format!("{slot} = \" \""), number)] {
            let text = format!("{head}[[text]]{}", body.replacen(line, &new, 1));
            let documents = DOCUMENTS.map(|(path, old)| {
                (path, if path.starts_with("notices") { text.clone() } else { old.to_owned() })
            });
            let found = ValidPolicy::from_sources(&documents.into_iter().collect()).unwrap_err();
            assert!(
                matches!(found.as_slice(), [fault] if matches!(fault.code, "cap_06" | "not_01") && fault.line == at),
                "{slot}: {found:#?}"
            );
        }
    }
}

#[test]
fn cap_06_the_digest_is_that_of_the_rendered_text() {
    let policy = valid();
    let shown = policy.current_notice(&"newsletter".parse().unwrap(), "en").unwrap();
    assert_eq!(
        shown.text,
        "Newsletter\n\nShop GmbH\n\nOffers\n\nAddress\n\nConsent\n\nMailer\n\nNone\n\n24 months\n\nAccess\n\nAny time\n\n\
         Authority\n\nNone\n\nNone"
    );
    assert_eq!(shown.digest, crate::notice::NoticeDigest::of("en", &shown.text));
    assert!(policy.notice(&shown.digest).is_some());
}

#[test]
fn a_notice_is_what_it_looks_like() {
    let file = "notices/newsletter-1.toml";
    one_fault(file, "\"Any time\"", "\"Any\\ttime\"", "notice_text", "withdrawal_info");
    one_fault(file, "\"Any time\"", "\"Any \\u202etime\"", "notice_text", "withdrawal_info");
    one_fault(file, "locale = \"en\"", "locale = \"English\"", "value", "locale");
    let (head, _) = NOTICE.split_once("[[text]]").unwrap();
    let found = faults(file, NOTICE, head);
    assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), ["cap_17"], "{found:#?}");
}

#[test]
fn not_11_old_versions_of_a_notice_stay() {
    let second = NOTICE.replace("version = 1", "version = 2").replace("Any time", "At any time");
    let mut sources: PolicySources = DOCUMENTS.into_iter().collect();
    sources.push("notices/newsletter-2.toml", second.as_str());
    let policy = ValidPolicy::from_sources(&sources).unwrap();
    assert_eq!(policy.notices().count(), 2);
    assert_eq!(policy.current_notice(&"newsletter".parse().unwrap(), "en").unwrap().version, 2);
    // What an old version names need no longer exist.
    let old = NOTICE.replace("[\"shop\"]", "[\"former\"]");
    let documents = DOCUMENTS
        .map(|(path, text)| (path, if path.starts_with("notices") { old.clone() } else { text.to_owned() }));
    let mut sources: PolicySources = documents.into_iter().collect();
    sources.push("notices/newsletter-2.toml", second.as_str());
    assert!(ValidPolicy::from_sources(&sources).is_ok());
    // The same version twice, and a new version with the old text, are faults.
    for (text, count) in
        [(second.replace("version = 2", "version = 1"), 1), (NOTICE.replace("version = 1", "version = 2"), 1)]
    {
        let mut sources: PolicySources = DOCUMENTS.into_iter().collect();
        sources.push("notices/newsletter-2.toml", text);
        let found = ValidPolicy::from_sources(&sources).unwrap_err();
        assert_eq!(found.iter().filter(|f| f.code == "duplicate").count(), count, "{found:#?}");
    }
}

#[test]
fn not_05_a_notice_names_every_recipient() {
    one_fault(
        "notices/newsletter-1.toml",
        "[\"engine\", \"mailer\"]",
        "[\"mailer\"]",
        "not_05",
        "purposes = [\"offers\"]",
    );
}

#[test]
fn cap_06_a_form_asks_what_its_notice_explains() {
    one_fault(
        "forms.toml",
        "purposes = [\"offers\"]",
        "purposes = [\"offers\", \"sharing\"]",
        "cap_06",
        "purposes",
    );
}

#[test]
fn cap_01_and_04_a_form_presents_a_free_choice() {
    one_fault("forms.toml", "\"unchecked\"", "\"checked\"", "cap_01", "default_state");
    one_fault("forms.toml", "default_state = \"unchecked\"\n", "", "cap_01", "[[form]]");
    one_fault("forms.toml", "\"separate\"", "\"bundled_with_terms\"", "cap_04", "presentation");
    one_fault("forms.toml", "presentation = \"separate\"\n", "", "cap_04", "[[form]]");
    one_fault("forms.toml", "title =", "conditional_on_service = true\ntitle =", "cap_05", "conditional");
}

#[test]
fn cap_20_a_form_sends_stored_attributes_that_it_needs() {
    one_fault("forms.toml", "[\"email\"]", "[\"email\", \"age_band\"]", "form_field", "fields");
    let found = faults("attributes.toml", "purposes = [\"offers\"]", "purposes = [\"sharing\"]");
    assert!(found.iter().any(|f| f.code == "form_field" && f.file == "forms.toml"), "{found:#?}");
}

#[test]
fn a_form_gives_the_assurance_that_its_purposes_need() {
    one_fault("forms.toml", "title =", "assurance = \"confirmed_mailbox\"\ntitle =", "assurance", "assurance");
    let found = faults("forms.toml", "title =", "assurance = \"imported\"\ntitle =");
    assert_eq!(found.iter().map(|f| (f.code, f.line)).collect::<Vec<_>>(), [("assurance", 4), ("assurance", 7)]);
}

#[test]
fn a_form_belongs_to_its_origins() {
    let plain = "\"http://www.example.com\", \"https://www.example.com\"";
    one_fault("forms.toml", "\"https://www.example.com\"", plain, "origin", "origins");
    one_fault(
        "forms.toml",
        "\"https://www.example.com/thanks\"",
        "\"https://evil.example/\"",
        "origin",
        "return_url",
    );
}

#[test]
fn the_shipped_policy_has_no_fault() {
    let sources = shipped();
    let policy = ValidPolicy::from_sources(&sources)
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(|f| format!("{f}\n")).collect::<String>()));
    for name in ["age_band", "region", "stage", "rfm_recency", "rfm_frequency", "rfm_monetary", "propensity_band"]
    {
        assert!(policy.attribute(&name.parse().unwrap()).is_some(), "{name}");
    }
    for locale in ["en", "de"] {
        assert!(policy.current_notice(&"newsletter".parse().unwrap(), locale).is_some(), "{locale}");
    }
}

#[test]
fn pse_15_nothing_is_called_deidentified_without_the_three_attestations() {
    let id = "id = \"engine\"\n";
    let label = |attested: &str| format!("{id}deidentified = {{ {attested} }}\n");
    let all = ["public_commitment = \"P-1\"", "no_reidentification = \"N-1\"", "flow_down = \"F-1\""];
    let passed = ValidPolicy::from_sources(&edited("recipients.toml", id, &label(&all.join(", ")))).unwrap();
    assert!(passed.recipient(&"engine".parse().unwrap()).unwrap().deidentified.is_some());
    for missing in 0..3 {
        let rest: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, one)| *one).collect();
        let found = faults("recipients.toml", id, &label(&rest.join(", ")));
        assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["pse_15"], "{found:#?}");
    }
    assert!(!faults("recipients.toml", id, &label("")).is_empty());
}

#[test]
fn sec_09_no_attribute_is_declared_unencrypted_and_no_password_is_stored() {
    for (from, to) in
        [("type = \"email\"", "type = \"email\"\nencrypted = false"), ("type = \"email\"", "type = \"password\"")]
    {
        let found = faults("attributes.toml", from, to);
        assert!(found.iter().any(|fault| fault.file == "attributes.toml"), "{to}: {found:#?}");
    }
}

#[test]
fn pse_04_an_epoch_that_turns_says_when_and_for_how_long_the_old_one_is_understood() {
    for (from, to) in
        [("grace_days = 30\n", ""), ("epoch_began = 2026-01-01\n", ""), ("grace_days = 30", "grace_days = 367")]
    {
        let found = faults("recipients.toml", from, to);
        assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["epoch"], "{to}: {found:#?}");
    }
    assert!(
        !faults("recipients.toml", "epoch_began = 2026-01-01", "epoch_began = 2026-01-01T00:00:00Z").is_empty()
    );
}

#[test]
fn reg_06_a_contract_is_of_the_kind_that_its_recipient_is() {
    let found = faults("recipients.toml", "kind = \"service_provider\"", "kind = \"third_party\"");
    assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["reg_06"], "{found:#?}");
    let of_network = "id = \"network\"\n";
    let wrong = format!("{of_network}contract = {{ reference = \"C\", kind = \"contractor\" }}\n");
    let found = faults("recipients.toml", of_network, &wrong);
    assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["reg_06"], "{found:#?}");
}

#[test]
fn pse_05_a_quasi_identifier_is_one_value_of_a_closed_list() {
    let found = faults("attributes.toml", "type = \"email\"", "type = \"email\"\nquasi_identifier = true");
    assert_eq!(found.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["pse_05"], "{found:#?}");
}

/// The policy that ships with the product.
pub(crate) fn shipped() -> PolicySources {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut sources = PolicySources::new();
    for folder in ["", "notices/", "cases/"] {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        for file in files {
            let path = format!("{folder}{}", file.to_str().unwrap());
            if PolicySources::accepts(&path) {
                sources.push(path.clone(), std::fs::read_to_string(root.join(&path)).unwrap());
            }
        }
    }
    sources
}

#[test]
fn cap_17_a_title_is_there_in_every_language_of_the_notice() {
    let german = NOTICE.replace("[[text]]\nlocale = \"en\"", "[[text]]\nlocale = \"de\"");
    let (_, german) = german.split_once("[[text]]").unwrap();
    let notice = format!("{NOTICE}[[text]]{}", german.replace("Newsletter", "Rundbrief"));
    let with = |title: &str| {
        let documents = DOCUMENTS.map(|(path, text)| match path {
            "purposes.toml" => (path, text.replace("title = \"Offers\"", title)),
            "notices/newsletter-1.toml" => (path, notice.clone()),
            _ => (path, text.to_owned()),
        });
        ValidPolicy::from_sources(&documents.into_iter().collect())
    };
    let both = with("title = { en = \"Offers\", de = \"Angebote\" }").unwrap();
    let offers = both.purpose(&"offers".parse().unwrap()).unwrap();
    assert_eq!((offers.title.in_locale("de-AT"), offers.title.as_str()), ("Angebote", "Offers"));
    assert!(with("title = \"Offers\"").is_ok(), "one text is for all");
    let found = with("title = { en = \"Offers\" }").unwrap_err();
    assert_eq!((found.len(), found[0].code, found[0].file.as_str()), (1, "cap_17", "forms.toml"), "{found:#?}");
    for bad in ["title = {}", "title = { german = \"Angebote\" }", "title = { en = \" \" }"] {
        let found = with(bad).unwrap_err();
        assert!(found.iter().any(|fault| fault.code == "value"), "{bad}: {found:#?}");
    }
}

#[test]
fn an_assurance_is_one_for_all_or_one_for_each_regime() {
    let with = |assurance: &str| {
        let to = format!("dpv = \"DirectMarketing\"\nassurance = {assurance}");
        ValidPolicy::from_sources(&edited("purposes.toml", "dpv = \"DirectMarketing\"", &to))
    };
    let needed = |policy: &ValidPolicy, regime: &str| {
        policy.purpose(&"offers".parse().unwrap()).unwrap().assurance_needed(regime.parse().unwrap())
    };
    let plain = with("\"form\"").unwrap();
    assert_eq!(needed(&plain, "UNKNOWN"), Assurance::Form);
    let table =
        with("{ default = \"form\", EU_GDPR = \"confirmed_mailbox\", \"EU_GDPR:FR\" = \"imported\" }").unwrap();
    for (regime, assurance) in [
        ("EU_GDPR:DE", Assurance::ConfirmedMailbox),
        ("EU_GDPR", Assurance::ConfirmedMailbox),
        ("EU_GDPR:FR", Assurance::Imported),
        ("US_CA", Assurance::Form),
        ("UNKNOWN", Assurance::ConfirmedMailbox),
    ] {
        assert_eq!(needed(&table, regime), assurance, "{regime}");
    }
    for bad in ["{ GERMANY = \"form\" }", "{ UNKNOWN = \"form\" }"] {
        assert!(with(bad).unwrap_err().iter().any(|fault| fault.code == "assurance"), "{bad}");
    }
    // No regime takes what the form gives.
    assert!(with("\"confirmed_mailbox\"").unwrap_err().iter().any(|fault| fault.code == "assurance"));
}

#[test]
fn not_03_a_form_for_children_speaks_to_them_and_knows_their_age() {
    let for_children = |notice: &str, fields: &str| {
        let documents = DOCUMENTS.map(|(path, text)| match path {
            "forms.toml" => {
                let text = text.replace("presentation", "audience = \"child\"\npresentation");
                (path, text.replace("[\"email\"]", fields))
            }
            "notices/newsletter-1.toml" => (path, format!("{text}{notice}")),
            _ => (path, text.to_owned()),
        });
        let found = ValidPolicy::from_sources(&documents.into_iter().collect()).err().unwrap_or_default();
        found.into_iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    let (layer, fields) =
        ("child = \"We write to you about toys. You can say stop.\"\n", "[\"email\", \"birth_date\"]");
    assert_eq!(for_children("", fields), ["not_03"]);
    assert_eq!(for_children("child = \" \"\n", fields).first(), Some(&"notice_text"));
    assert_eq!(for_children(layer, "[\"email\"]"), ["cap_09"]);
    assert_eq!(for_children(layer, fields), [""; 0]);
}

#[test]
fn not_04_the_right_to_object_stands_apart_at_the_end_of_the_text() {
    let notice = "short = \"In short: offers.\"\nobjection_notice = \"You may object at any time.\"\n";
    let to = format!("title = \"Newsletter\"\n{notice}");
    let sources = edited("notices/newsletter-1.toml", "title = \"Newsletter\"\n", &to);
    let policy = ValidPolicy::from_sources(&sources).unwrap();
    let text = policy.notices().next().unwrap();
    assert!(text.text.starts_with("Newsletter\n\nIn short: offers.\n\nShop GmbH\n\n"), "{}", text.text);
    assert!(text.text.ends_with("\n\nYou may object at any time."), "{}", text.text);
    assert_eq!(text.objection.as_deref(), Some("You may object at any time."));
    let without = valid();
    assert_ne!(without.notices().next().unwrap().digest, text.digest, "the digest covers every layer");
}

/// The faults of the purpose of offers with further keys.
fn faults_of_offers(keys: &str) -> Vec<&'static str> {
    let to = format!("dpv = \"DirectMarketing\"\n{keys}");
    faults("purposes.toml", "dpv = \"DirectMarketing\"\n", &to).into_iter().map(|fault| fault.code).collect()
}

#[test]
fn adm_07_and_08_what_is_risky_is_assessed_before_it_begins() {
    let risk = "risk_assessment_ref = \"RA-1\"\n";
    let with = |from: &str, to: &str| {
        faults("purposes.toml", from, to).into_iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(with(risk, ""), ["adm_07"], "a sale");
    assert_eq!(with("risk_assessment_review = 2028-01-01\n", ""), ["adm_07"]);
    assert_eq!(with("2028-01-01", "2028-01-01T00:00:00Z"), ["value"]);
    assert_eq!(faults_of_offers("needs_dpia = true\n"), ["adm_08"]);
    assert_eq!(faults_of_offers("needs_dpia = true\ndpia_ref = \"D\"\n"), ["adm_08"]);
    assert_eq!(faults_of_offers("needs_dpia = true\ndpia_ref = \"D\"\ndpia_review = 2027-01-01\n"), [""; 0]);
    assert_eq!(faults_of_offers("dpia_ref = \"D\"\n"), ["assessment"]);
    let due = |day: &str| {
        let due = valid().reviews_due(day.parse().unwrap());
        due.iter().map(|review| (review.purpose.to_string(), review.kind)).collect::<Vec<_>>()
    };
    assert_eq!(due("2027-12-31"), []);
    assert_eq!(due("2028-01-01"), [("sharing".to_owned(), "risk_assessment")]);
}

#[test]
fn adm_05_a_predicted_value_explains_its_model() {
    let to = |keys: &str| format!("k = 10\n{keys}");
    let found = |keys: &str| {
        faults("attributes.toml", "k = 10\n", &to(keys)).into_iter().map(|f| f.code).collect::<Vec<_>>()
    };
    assert_eq!(found("predictive = true\n"), ["adm_05"]);
    assert_eq!(found("predictive = true\nmodel = \"A sum of orders.\"\n"), [""; 0]);
    assert_eq!(found("predictive = true\nmodel = \" \"\n"), ["value"]);
}

#[test]
fn adm_01_and_10_what_significant_decisions_and_political_advertising_rest_on() {
    let assessed = "risk_assessment_ref = \"R\"\nrisk_assessment_review = 2028-01-01\ndpia_ref = \"D\"\ndpia_review = 2028-01-01\n";
    let significant = format!("significant_effect = true\n{assessed}");
    assert_eq!(faults_of_offers(&significant), ["adm_01"]);
    assert_eq!(faults_of_offers(&format!("{significant}human_review = \"By telephone.\"\n")), [""; 0]);
    assert_eq!(faults_of_offers("significant_effect = true\nhuman_review = \"x\"\n"), ["adm_07", "adm_08"]);
    assert_eq!(faults_of_offers("political = true\n"), ["adm_10"]);
    assert_eq!(faults_of_offers("minimum_age = 0\n"), ["value"]);
}

#[test]
fn sta_39_the_use_of_a_right_is_no_attribute() {
    let found = faults("attributes.toml", "name = \"topic\"", "name = \"has_opted_out\"");
    assert!(found.iter().any(|fault| fault.code == "sta_39"), "{found:#?}");
}

#[test]
fn sta_10_a_soft_opt_in_says_for_which_products_it_is_good() {
    one_fault("purposes.toml", "product_families = [\"shoes\"]\n", "", "sta_10", "[purpose.mode]");
}
