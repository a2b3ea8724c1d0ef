//! The codec against the specifications' examples, against what the official encoders make, and against noise.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::us_privacy::Answer;
use super::*;
use crate::signal::tcf::{Letters, PublisherTc, Restriction, RestrictionType, TcInvalidity, TcRefusal};
use crate::time::Timestamp;

#[derive(Deserialize)]
struct Vector {
    encoder: String,
    string: String,
    sections: Value,
}

/// Made by the official encoders with random values; see `vectors/README.md`.
fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/official.json")).unwrap()
}

fn shown(signal: &Signal) -> Value {
    serde_json::to_value(signal).unwrap()
}

fn gpp(text: &str) -> GppString {
    GppString::decode(text).unwrap()
}

fn fault(text: &str) -> (SignalFault, usize) {
    let error = Signal::decode(text).and_then(|signal| signal.check()).unwrap_err();
    (error.fault(), error.position())
}

fn id(name: &str) -> SectionId {
    SectionId::of_name(name).unwrap()
}

fn us(name: &str, text: &str) -> Result<UsSection, SignalError> {
    UsSection::decode(id(name), text, 0)
}

#[test]
fn every_string_of_the_official_encoders_reads_as_the_official_decoders_read_it() {
    for vector in vectors() {
        let signal = Signal::decode(&vector.string).unwrap();
        signal.check().unwrap();
        assert_eq!(signal.raw(), vector.string);
        assert_eq!(shown(&signal), vector.sections, "{}", vector.string);
        match &signal {
            Signal::Gpp(gpp) => {
                assert_eq!(gpp.encode().unwrap(), vector.string);
                assert_eq!(GppString::of_sections(gpp.sections().to_vec()).unwrap(), *gpp);
            }
            Signal::Tc { tc, .. } => {
                assert_eq!(vector.encoder, "@iabtcf/core");
                assert_eq!(TcString::decode(&tc.encode().unwrap()).unwrap(), *tc);
            }
        }
    }
}

#[test]
fn the_vectors_cover_every_section_and_every_version() {
    let texts: Vec<Value> = vectors().into_iter().map(|vector| vector.sections).collect();
    let seen = |name: &str, version: u8| texts.iter().any(|sections| sections[name]["Version"] == version);
    assert!(UsSection::known().all(|(id, version)| seen(id.name().unwrap(), version)));
    assert!(seen("tcfeuv2", 2) && seen("uspv1", 1));
    assert!(texts.iter().filter(|sections| sections.as_object().unwrap().len() > 2).count() > 20);
}

#[test]
fn headers_of_the_specification_name_their_sections() {
    // With sections that are not looked into; the library pads to bytes, the specification to characters.
    for (header, sections) in [
        ("DBABM", "[2]"),
        ("DBACNY", "[2, 6]"),
        ("DBACNYA", "[2, 6]"),
        ("DBACNYAAAA", "[2, 6]"),
        ("DBABjw", "[5, 6]"),
        ("DBADQwxg", "[14, 19, 22]"),
        ("DBAA", "[]"),
    ] {
        let count = sections.split(", ").filter(|id| *id != "[]").count();
        let gpp = gpp(&format!("{header}{}", "~A".repeat(count)));
        let ids: Vec<u32> = gpp.sections().iter().map(|section| section.id().get()).collect();
        assert_eq!(format!("{ids:?}"), sections, "{header}");
    }
}

#[test]
fn the_example_of_the_specification_is_kept_byte_for_byte() {
    let text = "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN";
    let gpp = gpp(text);
    assert_eq!(gpp.raw(), text);
    assert_eq!(gpp.encode().unwrap(), text.replace("DBACNY", "DBACNYA"));
    assert_eq!(shown(&Signal::Gpp(gpp))["uspv1"]["OptOutSale"], "N");
}

#[test]
fn the_library_vectors_of_california() {
    let default = us("usca", "BAAAAABA.QA").unwrap();
    assert_eq!(default, UsSection::new(id("usca"), 1).unwrap().with_gpc(Some(false)).unwrap());
    let full = us("usca", "BVWSSSVY.YA").unwrap();
    assert_eq!(
        serde_json::to_value(&full).unwrap(),
        json!({
            "Version": 1, "SaleOptOutNotice": 1, "SharingOptOutNotice": 1, "SensitiveDataLimitUseNotice": 1,
            "SaleOptOut": 1, "SharingOptOut": 1, "SensitiveDataProcessing": [2, 1, 0, 2, 1, 0, 2, 1, 0],
            "KnownChildSensitiveDataConsents": [2, 1], "PersonalDataConsents": 1, "MspaCoveredTransaction": 1,
            "MspaOptOutOptionMode": 1, "MspaServiceProviderMode": 2, "Gpc": true,
        })
    );
    for text in ["BAAAAABA.QA", "BVWSSSVY.YA", "BVWSSSVY"] {
        assert_eq!(us("usca", text).unwrap().encode().unwrap(), text);
    }
    assert_eq!(us("usca", "BVWSSSVY").unwrap().gpc(), None);
    assert_eq!(us("usca", "BVWSSSVY.Y").unwrap().gpc(), Some(true));
}

#[test]
fn the_version_of_usnat_decides_its_layout() {
    for (text, sensitive, children) in [("DBABLA~BAAAVVVVUQA.QA", 12, 2), ("DBABLA~CAAAVVVVVVRA.QA", 16, 3)] {
        let gpp = gpp(text);
        let Content::Us(us) = gpp.sections()[0].content() else { panic!("{text}") };
        assert_eq!(us.value(UsField::SensitiveDataProcessing), Some(&UsValue::List(vec![1; sensitive])));
        assert_eq!(us.value(UsField::KnownChildSensitiveDataConsents), Some(&UsValue::List(vec![1; children])));
        assert_eq!(gpp.encode().unwrap(), text);
    }
    assert_eq!(fault("DBABLA~DAAAVVVVVVRA.QA"), (SignalFault::Version, 7));
    // The long layout under version 1, which a transitional release wrote, is not taken for the short one.
    assert!(gpp("DBABLA~BAAAVVVVVVRA.QA").check().is_err());
}

#[test]
fn the_library_vector_with_two_sections() {
    let text = "DBACNYA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA~1YNN";
    assert_eq!(gpp(text).encode().unwrap(), text);
    assert_eq!(gpp("DBABTA~1YNN").encode().unwrap(), "DBABTA~1YNN");
}

#[test]
fn the_tc_vector_that_all_decoders_agree_on() {
    let text = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";
    let tc = TcString::decode(text).unwrap();
    assert_eq!(tc.cmp_id, 27);
    assert_eq!(tc.purposes_consent, [1, 2, 3].into_iter().collect());
    assert_eq!(tc.vendor_consent, [2, 6, 8].into_iter().collect());
    assert_eq!(tc.created, "2020-02-20T23:57:39.3Z".parse().unwrap());
    assert_eq!(TcString::decode(&tc.encode().unwrap()).unwrap(), tc);
    assert_eq!(tc.invalidities(), [TcInvalidity::NotServiceSpecific, TcInvalidity::PolicyVersion]);
    assert_eq!(tc.decide(2, 1), Err(TcRefusal::Invalid));
}

#[test]
fn the_example_of_tcf_2_3_is_written_as_it_was_read() {
    let text = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";
    let tc = TcString::decode(text).unwrap();
    assert_eq!(tc.encode().unwrap(), text);
    assert_eq!(tc.vendor_consent.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(tc.disclosed_vendors, Some([1, 2, 3, 4, 5, 100, 404].into_iter().collect()));
    let turned = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.YAAAAAAAAAAA.IDKQA4AAgAKAGQAygAAA";
    assert_eq!(TcString::decode(turned).unwrap(), tc);
    assert_eq!(TcString::decode(&format!("{text}.QAAA")).unwrap(), tc);
}

#[test]
fn malformed_strings_say_where() {
    use SignalFault as F;
    let core = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA";
    for (text, expected) in [
        ("", (F::Unrecognised, 0)),
        ("z", (F::Unrecognised, 0)),
        ("BAAAAABA.QA", (F::Unrecognised, 0)),
        ("D", (F::Truncated, 1)),
        ("DBA", (F::Truncated, 3)),
        ("DBAB", (F::Truncated, 4)),
        ("DBABIA~1YNN", (F::Truncated, 6)),
        ("DCABTA~1YNN", (F::HeaderVersion, 1)),
        ("DBABTA", (F::SectionCount, 4)),
        ("DBABTA~1YNN~1YNN", (F::SectionCount, 12)),
        ("DBAA~1YNN", (F::SectionCount, 5)),
        ("DBABTA~", (F::EmptySection, 7)),
        ("DBABTAB~1YNN", (F::Trailing, 6)),
        ("DBABTA~1YN", (F::Truncated, 10)),
        ("DBABTA~1YNNN", (F::Trailing, 11)),
        ("DBABTA~1YnN", (F::Value, 9)),
        ("DBABTA~2YNN", (F::Version, 7)),
        ("DBABTA~1YN+", (F::Alphabet, 10)),
        ("DBABTA~1YN=", (F::Alphabet, 10)),
        ("DBABTA ~1YNN", (F::Alphabet, 6)),
        ("DBABTA~1YN\u{e9}", (F::Alphabet, 10)),
        ("DBABBg~BAAAAAB", (F::Truncated, 14)),
        ("DBABBg~BAAAAABB", (F::Trailing, 14)),
        ("DBABBg~BAAAAAAA", (F::Value, 13)),
        ("DBABBg~BwAAAABA", (F::Value, 8)),
        ("DBABBg~CAAAAABA", (F::Version, 7)),
        ("DBABBg~BAAAAABA.gA", (F::Subsection, 16)),
        ("DBABBg~BAAAAABA.QA.QA", (F::Subsection, 19)),
        ("DBABBg~BAAAAABA.", (F::Truncated, 16)),
        ("DBABBg~BAAAAABA.Z", (F::Trailing, 16)),
        ("DBABRg~BAAAABA.QA", (F::Subsection, 15)),
        ("CA", (F::Truncated, 2)),
        (&core[..40], (F::Truncated, 40)),
        (&format!("{core}="), (F::Alphabet, 44)),
        (&format!("{core}B"), (F::Trailing, 44)),
        (&format!("{core}.IAAA.IAAA"), (F::Subsection, 50)),
        (&format!("{core}.YAAAAAAAAAAA.YAAAAAAAAAAA"), (F::Subsection, 58)),
        (&format!("{core}.gAAA"), (F::Subsection, 45)),
        (&format!("{core}.AAAA"), (F::Subsection, 45)),
        (&format!("{core}."), (F::Truncated, 45)),
        (&format!("{core}.I~AA"), (F::Alphabet, 46)),
        (&core.replace("AAAENAw", "AAAcNAw"), (F::Value, 18)),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
    assert_eq!(GppString::decode("BBABTA~1YNN").unwrap_err().fault(), F::HeaderType);
    assert_eq!(TcString::decode("BQSbk4AQSbk4").unwrap_err().fault(), F::Version);
}

#[test]
fn over_long_strings_are_not_looked_at() {
    for start in ["DBABTA~1YNN", "C"] {
        let text = format!("{start}{}", "A".repeat(MAX_SIGNAL_BYTES));
        assert_eq!(fault(&text).0, SignalFault::TooLong);
    }
    assert!(fault(&format!("D{}", "A".repeat(MAX_SIGNAL_BYTES - 1))).0 != SignalFault::TooLong);
}

#[test]
fn a_header_cannot_announce_more_sections_than_there_are() {
    let mut writer = bits::BitWriter::default();
    writer.integer(3_u8, 6).unwrap();
    writer.integer(1_u8, 6).unwrap();
    writer.integer(1_u8, 12).unwrap();
    writer.flag(true);
    writer.fibonacci(1).unwrap();
    writer.fibonacci(u32::MAX - 1).unwrap();
    let header = writer.finish(bits::Padding::Compressed);
    assert_eq!(fault(&format!("{header}~A~A")).0, SignalFault::SectionCount);
}

#[test]
fn a_malformed_section_leaves_the_others_and_closes() {
    let mixed = gpp("DBACTMA~1YNN~BwAAAABA");
    assert_eq!(mixed.check().unwrap_err().fault(), SignalFault::Value);
    let meanings = mixed.meanings();
    assert_eq!(meanings.iter().map(|meaning| meaning.fail_closed).collect::<Vec<_>>(), [false, true]);
    assert!(!meanings[0].sale_opted_out && meanings[1].sale_opted_out && meanings[1].sensitive_limited);
    assert_eq!(mixed.encode().unwrap(), mixed.raw());
    assert_eq!(
        shown(&Signal::Gpp(mixed))["usca"],
        json!({"Raw": "BwAAAABA", "Status": "malformed", "Reason": "value"})
    );
}

#[test]
fn disputed_and_unknown_sections_are_kept_and_close() {
    // 5, 24 to 27, and 40.
    let ids = [5, 24, 25, 26, 27, 40];
    let header = {
        let mut writer = bits::BitWriter::default();
        for (value, width) in [(3_u32, 6), (1, 6), (3, 12)] {
            writer.integer(value, width).unwrap();
        }
        for (flag, fibonacci) in [(false, &[5][..]), (true, &[19, 3]), (false, &[13])] {
            writer.flag(flag);
            fibonacci.iter().for_each(|value| writer.fibonacci(*value).unwrap());
        }
        writer.finish(bits::Padding::Compressed)
    };
    let text = format!("{header}{}", "~BQBA.AAA".repeat(6));
    let gpp = gpp(&text);
    gpp.check().unwrap();
    assert_eq!(gpp.sections().iter().map(|section| section.id().get()).collect::<Vec<_>>(), ids);
    assert_eq!(gpp.encode().unwrap(), text);
    for meaning in gpp.meanings() {
        assert_eq!(meaning, SignalMeaning::closed(meaning.section));
        assert!(meaning.fail_closed && meaning.sale_opted_out && meaning.targeted_ads_opted_out);
        assert!(!meaning.known_child);
    }
    let shown = shown(&Signal::Gpp(gpp));
    assert_eq!(shown["usmd"], json!({"Raw": "BQBA.AAA", "Status": "disputed"}));
    assert_eq!(shown["40"]["Status"], "unknown");
    assert_eq!(shown["tcfcav1"]["Status"], "unknown");
}

#[test]
fn meanings_follow_the_fields() {
    let base = |name: &str| UsSection::new(id(name), 1).unwrap();
    let one = UsValue::One(1);
    let calm = SignalMeaning::of_us(&base("usca"));
    assert!(!calm.sale_opted_out && !calm.sharing_opted_out && !calm.targeted_ads_opted_out && !calm.fail_closed);
    assert_eq!(calm.regime.unwrap().to_string(), "US_CA");

    let sharing = SignalMeaning::of_us(&base("usca").with(UsField::SharingOptOut, one.clone()).unwrap());
    assert!(sharing.sharing_opted_out && sharing.targeted_ads_opted_out && !sharing.sale_opted_out);

    let targeted = base("usva").with(UsField::TargetedAdvertisingOptOut, one.clone()).unwrap();
    let targeted = SignalMeaning::of_us(&targeted);
    assert!(targeted.sharing_opted_out && targeted.targeted_ads_opted_out && !targeted.sale_opted_out);
    assert_eq!(targeted.regime.unwrap().to_string(), "US_OTHER:VA");

    // Where both have fields, neither speaks for the other.
    let national = base("usnat").with(UsField::TargetedAdvertisingOptOut, one.clone()).unwrap();
    let national = SignalMeaning::of_us(&national);
    assert!(!national.sharing_opted_out && national.targeted_ads_opted_out);
    assert_eq!(national.regime.unwrap().to_string(), "US_OTHER");

    let sensitive =
        base("ustx").with(UsField::SensitiveDataProcessing, UsValue::List(vec![0, 2, 0, 0, 0, 1, 0, 0]));
    assert!(SignalMeaning::of_us(&sensitive.unwrap()).sensitive_limited);
    let child = base("usde").with(UsField::KnownChildSensitiveDataConsents, UsValue::List(vec![0, 2, 0, 0, 0]));
    let child = SignalMeaning::of_us(&child.unwrap());
    assert!(child.known_child && !child.child_consent_refused);
    let more = base("usfl").with(UsField::AdditionalDataProcessingConsent, one.clone()).unwrap();
    assert!(SignalMeaning::of_us(&more).additional_processing_refused);
    let notice = base("usor").with(UsField::ProcessingNotice, UsValue::One(2)).unwrap();
    assert!(SignalMeaning::of_us(&notice).notice_missing);

    let gpc = SignalMeaning::of_us(&base("usco").with_gpc(Some(true)).unwrap());
    assert!(gpc.gpc && gpc.sale_opted_out && gpc.sharing_opted_out && gpc.targeted_ads_opted_out);
    assert!(!SignalMeaning::of_us(&base("usco").with_gpc(Some(false)).unwrap()).sale_opted_out);
}

#[test]
fn us_privacy_opts_out_with_its_third_character() {
    let meaning = |text: &str| gpp(&format!("DBABTA~{text}")).meanings()[0];
    assert!(meaning("1YYN").sale_opted_out && meaning("1YYN").targeted_ads_opted_out);
    assert!(!meaning("1YNN").sale_opted_out && !meaning("1---").sale_opted_out);
    assert!(meaning("1NNN").notice_missing);
    assert_eq!(meaning("1YYN").regime.unwrap().to_string(), "US_CA");
}

#[test]
fn a_section_that_applies_and_is_missing_closes() {
    let gpp = gpp("DBABTA~1YNN");
    let meanings = gpp.meanings_of(&SectionId::parse_list("6,8").unwrap());
    assert!(!meanings[0].fail_closed && meanings[1].fail_closed && meanings[1].section == id("usca"));
    assert_eq!(SectionId::parse_list("-1").unwrap(), []);
    for bad in ["", "0", "6,", "+6", "6, 8", "-2", "six", "4294967296"] {
        assert_eq!(SectionId::parse_list(bad).unwrap_err().fault(), SignalFault::SectionIds, "{bad}");
    }
}

fn tc() -> TcString {
    TcString {
        created: Timestamp::from_millis(1_748_908_800_000),
        last_updated: Timestamp::from_millis(1_748_908_800_000),
        cmp_id: 880,
        cmp_version: 1,
        consent_screen: 1,
        consent_language: Letters::new("EN").unwrap(),
        vendor_list_version: 48,
        tcf_policy_version: 5,
        is_service_specific: true,
        use_non_standard_texts: false,
        special_feature_opt_ins: SmallSet::default(),
        purposes_consent: [1, 3, 4, 7].into_iter().collect(),
        purposes_li_transparency: [2, 7, 9].into_iter().collect(),
        purpose_one_treatment: false,
        publisher_cc: Letters::new("DE").unwrap(),
        vendor_consent: [10, 20, 30].into_iter().collect(),
        vendor_li: [10].into_iter().collect(),
        publisher_restrictions: Vec::new(),
        disclosed_vendors: Some([10, 20, 40].into_iter().collect()),
        publisher_tc: None,
    }
}

#[test]
fn a_vendor_needs_the_purpose_the_vendor_bit_and_disclosure() {
    let tc = tc();
    assert!(tc.permits(10, 1) && tc.permits(20, 7));
    assert_eq!(tc.decide(10, 2), Err(TcRefusal::PurposeWithoutConsent));
    for purpose in [0, 25, 64, 255] {
        assert_eq!(tc.decide(10, purpose), Err(TcRefusal::PurposeWithoutConsent));
    }
    assert_eq!(tc.decide(30, 1), Err(TcRefusal::NotDisclosed));
    assert_eq!(tc.decide(40, 1), Err(TcRefusal::VendorWithoutConsent));
    assert_eq!(tc.decide(0, 1), Err(TcRefusal::NotDisclosed));
    let undisclosed = TcString { disclosed_vendors: None, ..tc };
    assert_eq!(undisclosed.decide(10, 1), Err(TcRefusal::NotDisclosed));
    assert!(undisclosed.is_valid());
}

#[test]
fn the_publisher_may_restrict_a_vendor() {
    let restricted = |kind| {
        let vendors: IdSet = [10].into_iter().collect();
        TcString { publisher_restrictions: vec![Restriction { purpose: 7, kind, vendors }], ..tc() }
    };
    for (kind, permitted) in [
        (RestrictionType::NotAllowed, false),
        (RestrictionType::RequireConsent, true),
        (RestrictionType::RequireLegitimateInterest, false),
        (RestrictionType::Undefined, false),
    ] {
        let tc = restricted(kind);
        assert_eq!(tc.permits(10, 7), permitted, "{kind:?}");
        assert!(tc.permits(10, 1) && tc.permits(20, 7));
    }
}

#[test]
fn what_the_framework_calls_invalid_permits_nothing() {
    let interest =
        |purposes: &[u8]| TcString { purposes_li_transparency: purposes.iter().copied().collect(), ..tc() };
    for (tc, invalidity) in [
        (TcString { is_service_specific: false, ..tc() }, TcInvalidity::NotServiceSpecific),
        (TcString { tcf_policy_version: 3, ..tc() }, TcInvalidity::PolicyVersion),
        (interest(&[1, 2]), TcInvalidity::StorageByInterest),
        (interest(&[3]), TcInvalidity::ProfilingByInterest),
        (interest(&[6, 9]), TcInvalidity::ProfilingByInterest),
    ] {
        assert_eq!(tc.invalidities(), [invalidity]);
        assert!(!tc.permits(10, 1) && !tc.is_valid());
        assert!(SignalMeaning::of_tc(&tc).fail_closed);
        assert_eq!(TcString::decode(&tc.encode().unwrap()).unwrap(), tc);
    }
    assert!(TcString { tcf_policy_version: 4, ..tc() }.is_valid());
    let meaning = SignalMeaning::of_tc(&tc());
    assert!(!meaning.fail_closed && !meaning.targeted_ads_opted_out);
    assert!(
        SignalMeaning::of_tc(&TcString { purposes_consent: [3].into_iter().collect(), ..tc() })
            .targeted_ads_opted_out
    );
}

#[test]
fn the_publisher_reads_its_own_segment() {
    let publisher = PublisherTc { purposes_consent: [1, 6].into_iter().collect(), ..PublisherTc::default() };
    let own = TcString { publisher_tc: Some(publisher), ..tc() };
    assert!(own.permits_publisher(6) && !own.permits_publisher(3));
    assert!(!tc().permits_publisher(1));
    assert!(!TcString { tcf_policy_version: 2, ..own }.permits_publisher(6));
}

#[test]
fn restrictions_cannot_grow_without_bound() {
    let all: IdSet = (1..=u16::MAX).collect();
    let restriction = Restriction { purpose: 2, kind: RestrictionType::NotAllowed, vendors: all };
    let text =
        |count| TcString { publisher_restrictions: vec![restriction.clone(); count], ..tc() }.encode().unwrap();
    assert!(TcString::decode(&text(4)).is_ok());
    assert_eq!(TcString::decode(&text(5)).unwrap_err().fault(), SignalFault::VendorIds);
}

#[test]
fn values_that_do_not_fit_are_not_written() {
    for tc in [
        TcString { cmp_id: 4096, ..tc() },
        TcString { consent_screen: 64, ..tc() },
        TcString { created: Timestamp::from_millis(-1), ..tc() },
        TcString { purposes_consent: [25].into_iter().collect(), ..tc() },
        TcString { special_feature_opt_ins: [13].into_iter().collect(), ..tc() },
        TcString { publisher_tc: Some(PublisherTc { num_custom_purposes: 64, ..PublisherTc::default() }), ..tc() },
    ] {
        assert_eq!(tc.encode().unwrap_err().fault(), SignalFault::OutOfRange);
    }
    let usva = UsSection::new(id("usva"), 1).unwrap();
    assert!(usva.clone().with_gpc(Some(true)).is_err());
    assert!(usva.clone().with(UsField::SharingOptOut, UsValue::One(1)).is_err());
    assert!(usva.clone().with(UsField::SaleOptOut, UsValue::One(3)).is_err());
    assert!(usva.clone().with(UsField::MspaCoveredTransaction, UsValue::One(0)).is_err());
    assert!(usva.with(UsField::SensitiveDataProcessing, UsValue::List(vec![0; 7])).is_err());
    let twice = vec![Section::of_tc(tc()).unwrap(), Section::of_tc(tc()).unwrap()];
    assert!(GppString::of_sections(twice).is_err());
}

#[test]
fn an_error_says_why_and_where_and_never_quotes() {
    let error = Signal::decode("DBABTA~1YN+").unwrap_err();
    assert_eq!(error.to_string(), "a character is not of the base64url alphabet [alphabet, at character 10]");
}

fn any_us() -> impl Strategy<Value = Section> {
    let known: Vec<_> = UsSection::known().collect();
    (prop::sample::select(known), prop::collection::vec(0_u8..3, 40), any::<Option<bool>>()).prop_map(
        |((id, version), values, gpc)| {
            let mut values = values.into_iter();
            let empty = UsSection::new(id, version).unwrap();
            let fields: Vec<_> = empty.fields().map(|(field, value)| (field, value.clone())).collect();
            let mut us = empty;
            for (field, value) in fields {
                let least = u8::from(field == UsField::MspaCoveredTransaction);
                let mut next = || values.next().unwrap().max(least);
                let value = match value {
                    UsValue::One(_) => UsValue::One(next()),
                    UsValue::List(list) => UsValue::List(list.iter().map(|_| next()).collect()),
                };
                us = us.with(field, value).unwrap();
            }
            Section::of_us(us.clone().with_gpc(gpc).unwrap_or(us)).unwrap()
        },
    )
}

fn any_vendors() -> impl Strategy<Value = IdSet> {
    prop_oneof![prop::collection::vec(1_u16..100, 0..60), prop::collection::vec(1_u16.., 0..30)]
        .prop_map(|ids| ids.into_iter().collect())
}

fn any_set(most: u8) -> impl Strategy<Value = SmallSet> {
    prop::collection::vec(1..=most.max(1), 0..20)
        .prop_map(move |numbers| numbers.into_iter().filter(|number| *number <= most).collect())
}

fn any_publisher() -> impl Strategy<Value = PublisherTc> {
    (0_u8..64).prop_flat_map(|own| (any_set(24), any_set(24), any_set(own), any_set(own), Just(own))).prop_map(
        |(purposes_consent, purposes_li, custom_purposes_consent, custom_purposes_li, num_custom_purposes)| {
            PublisherTc {
                purposes_consent,
                purposes_li,
                num_custom_purposes,
                custom_purposes_consent,
                custom_purposes_li,
            }
        },
    )
}

fn any_restriction() -> impl Strategy<Value = Restriction> {
    let kinds = [
        RestrictionType::NotAllowed,
        RestrictionType::RequireConsent,
        RestrictionType::RequireLegitimateInterest,
        RestrictionType::Undefined,
    ];
    (0_u8..64, prop::sample::select(kinds.to_vec()), any_vendors())
        .prop_map(|(purpose, kind, vendors)| Restriction { purpose, kind, vendors })
}

pub(crate) fn any_tc() -> impl Strategy<Value = TcString> {
    let letters = || "[A-Z]{2}".prop_map(|text| Letters::new(&text).unwrap());
    let time = || (0_i64..1 << 36).prop_map(|tenths| Timestamp::from_millis(tenths * 100));
    let numbers = (0_u16..4096, 0_u16..4096, 0_u16..4096, 0_u8..64, 0_u8..64);
    let sets = (any_set(12), any_set(24), any_set(24));
    let vendors = (any_vendors(), any_vendors(), prop::option::of(any_vendors()));
    let rest = (prop::collection::vec(any_restriction(), 0..4), prop::option::of(any_publisher()));
    (time(), time(), letters(), letters(), any::<(bool, bool, bool)>(), numbers, sets, vendors, rest).prop_map(
        |(created, last_updated, consent_language, publisher_cc, flags, numbers, sets, vendors, rest)| TcString {
            created,
            last_updated,
            cmp_id: numbers.0,
            cmp_version: numbers.1,
            consent_screen: numbers.3,
            consent_language,
            vendor_list_version: numbers.2,
            tcf_policy_version: numbers.4,
            is_service_specific: flags.0,
            use_non_standard_texts: flags.1,
            special_feature_opt_ins: sets.0,
            purposes_consent: sets.1,
            purposes_li_transparency: sets.2,
            purpose_one_treatment: flags.2,
            publisher_cc,
            vendor_consent: vendors.0,
            vendor_li: vendors.1,
            publisher_restrictions: rest.0,
            disclosed_vendors: vendors.2,
            publisher_tc: rest.1,
        },
    )
}

pub(crate) fn any_section() -> impl Strategy<Value = Section> {
    let answer = || prop::sample::select(Answer::ALL.to_vec());
    prop_oneof![
        6 => any_us(),
        1 => any_tc().prop_map(|tc| Section::of_tc(tc).unwrap()),
        1 => (answer(), answer(), answer()).prop_map(|(notice, opt_out_sale, lspa_covered)| {
            Section::of_us_privacy(UsPrivacy { notice, opt_out_sale, lspa_covered })
        }),
    ]
}

/// Nothing that can be read may say less than it says, whatever it is read from.
fn read_all(text: &str) {
    if let Ok(signal) = Signal::decode(text) {
        assert_eq!(signal.raw(), text);
        let _meanings = signal.meanings();
        let _shown = shown(&signal);
        match &signal {
            Signal::Gpp(gpp) => {
                let again = GppString::decode(&gpp.encode().unwrap()).unwrap();
                let contents = |gpp: &GppString| {
                    gpp.sections()
                        .iter()
                        .map(|section| (section.id(), section.content().clone()))
                        .collect::<Vec<_>>()
                };
                if gpp.check().is_ok() {
                    assert_eq!(contents(&again), contents(gpp));
                }
            }
            Signal::Tc { tc, .. } => assert_eq!(TcString::decode(&tc.encode().unwrap()).unwrap(), *tc),
        }
    }
}

proptest! {
    #[test]
    fn tc_strings_survive(tc in any_tc()) {
        prop_assert_eq!(TcString::decode(&tc.encode().unwrap()).unwrap(), tc);
    }

    #[test]
    fn gpp_strings_survive(sections in prop::collection::vec(any_section(), 0..12)) {
        let mut sections = sections;
        sections.sort_by_key(Section::id);
        sections.dedup_by_key(|section| section.id());
        let written = GppString::of_sections(sections.clone()).unwrap();
        let read = GppString::decode(written.raw()).unwrap();
        prop_assert!(read.check().is_ok());
        prop_assert_eq!(read.sections(), &sections[..]);
        prop_assert_eq!(read, written);
    }

    #[test]
    fn section_ids_survive_a_header(ids in prop::collection::btree_set(1_u32..5000, 0..60)) {
        let unread = |id: &u32| format!("~{}", if *id == 6 { "1YNN" } else { "A" });
        let ids: Vec<u32> = ids.into_iter().collect();
        let text = format!("{}{}", gpp::write_header(&ids).unwrap(), ids.iter().map(unread).collect::<String>());
        let read = GppString::decode(&text).unwrap();
        prop_assert_eq!(read.sections().iter().map(|section| section.id().get()).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn noise_never_panics(text in "\\PC{0,80}") {
        read_all(&text);
        let _ids = SectionId::parse_list(&text);
    }

    #[test]
    fn noise_of_the_right_characters_never_panics(text in "(C|DB|DBA[A-D]|DBAB[LTBR]A?~)[A-Za-z0-9_~.-]{0,120}") {
        read_all(&text);
    }

    #[test]
    fn altered_strings_never_panic(sections in prop::collection::vec(any_section(), 1..5), at: usize, with in "[A-Za-z0-9_~.-]") {
        let mut sections = sections;
        sections.sort_by_key(Section::id);
        sections.dedup_by_key(|section| section.id());
        let raw = GppString::of_sections(sections).unwrap().raw().to_owned();
        let at = at % raw.len();
        read_all(&format!("{}{with}{}", &raw[..at], &raw[at + 1..]));
        read_all(&raw[..at]);
    }
}
