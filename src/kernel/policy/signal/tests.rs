//! What signals take away, and that they never give.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::consent::EventKind;
use crate::policy::ValidPolicy;
use crate::policy::document::{PolicyFault, PolicySources};
use crate::policy::validate::tests::{self as shop, valid};
use crate::regime::Regime;
use crate::signal::{GppString, ReadSignal, ReceivedSignal, Section, SectionId, UsField, UsSection, UsValue};

fn under(rules: &str) -> Result<ValidPolicy, Vec<PolicyFault>> {
    let mut sources: PolicySources = shop::DOCUMENTS.into_iter().collect();
    sources.push("signals.toml", rules);
    ValidPolicy::from_sources(&sources)
}

fn gpp(text: &str, sid: Option<&[u32]>) -> ReadSignal {
    let received = ReceivedSignal { gpp: Some(text.to_owned()), gpp_sid: sid.map(<[u32]>::to_vec), tc: None };
    ReadSignal::read(false, received).unwrap()
}

fn tc(text: &str) -> ReadSignal {
    ReadSignal::read(false, ReceivedSignal { tc: Some(text.to_owned()), ..ReceivedSignal::default() }).unwrap()
}

/// The events that a signal means, as text.
fn means(policy: &ValidPolicy, signal: &ReadSignal, regime: &str) -> Vec<String> {
    let regimes: Vec<Regime> = vec![regime.parse().unwrap()];
    let consequences = policy.consequences(signal, &regimes);
    consequences
        .iter()
        .map(|one| match &one.purpose {
            Some(purpose) => format!("{:?} {purpose}", one.kind),
            None => format!("{:?}", one.kind),
        })
        .collect()
}

const OPT_OUT: &str = r#"
[[signal]]
id = "out"
source = "gpp"
says = ["sale_opted_out"]
effect = "opt_out"
purposes = ["sharing"]
because = "CCPA"
"#;

#[test]
fn a_policy_that_says_nothing_of_signals_reads_them_strictly() {
    let policy = valid();
    // California: opted out, sensitive data limited, GPC recorded besides.
    let signal = gpp("DBABBg~BVWSSSVY.YA", None);
    assert!(signal.is_gpc());
    assert_eq!(means(&policy, &signal, "US_CA"), ["OptOutSaleShare sharing", "LimitSpi"]);
    // Nothing opted out.
    assert!(means(&policy, &gpp("DBABBg~BAAAAABA.QA", None), "US_CA").is_empty());
    // US Privacy opts out with its third character.
    assert_eq!(means(&policy, &gpp("DBABTA~1YYN", None), "US_CA"), ["OptOutSaleShare sharing"]);
    assert!(means(&policy, &gpp("DBABTA~1YNN", None), "US_CA").is_empty());
    // A TC string without consent to purposes 3 and 4 refuses; it is no sale opt-out.
    let none = tc("CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA");
    assert_eq!(means(&policy, &none, "EU_GDPR:DE"), ["Refused sharing"]);
}

#[test]
fn what_applies_and_cannot_be_relied_on_opts_out() {
    let policy = valid();
    let closed = ["OptOutSaleShare sharing", "LimitSpi"];
    // Disputed layouts (24 to 27), a section of which nothing is known, and one that applies and is missing.
    for (text, sid) in [("DBABBg~BAAAAABA.QA", Some(&[24_u32][..])), ("DBABBg~BAAAAABA.QA", Some(&[8, 99][..]))] {
        assert_eq!(means(&policy, &gpp(text, sid), "US_CA"), closed, "{sid:?}");
    }
    // What does not apply is not counted, and `GPP_SID=-1` says that nothing does.
    assert!(means(&policy, &gpp("DBABBg~BVWSSSVY", Some(&[])), "US_CA").is_empty());
    // A TC section that applies and is missing.
    assert_eq!(means(&policy, &gpp("DBABBg~BAAAAABA.QA", Some(&[2])), "EU_GDPR"), ["Refused sharing"]);
}

#[test]
fn a_rule_looks_at_its_own_sections_words_and_regimes() {
    let ruled = |rule: &str| under(&format!("{OPT_OUT}{rule}")).unwrap();
    let rule = |more: &str| {
        ruled(&format!(
            "[[signal]]\nid = \"more\"\neffect = \"refuse\"\npurposes = [\"offers\"]\nbecause = \"x\"\n{more}\n"
        ))
    };
    let california = gpp("DBABBg~BVWSSSVY.YA", None);
    let says = "source = \"gpp\"\nsays = [\"additional_processing_refused\"]";
    assert!(means(&rule(says), &california, "US_CA").contains(&"Refused offers".to_owned()));
    let elsewhere = format!("{says}\nsections = [\"usco\"]");
    assert!(!means(&rule(&elsewhere), &california, "US_CA").contains(&"Refused offers".to_owned()));
    let european = format!("{says}\nregimes = [\"EU_GDPR\"]");
    assert!(!means(&rule(&european), &california, "US_CA").contains(&"Refused offers".to_owned()));
    assert!(means(&rule(&european), &california, "EU_GDPR:FR").contains(&"Refused offers".to_owned()));
    // Of whom no regime is known, every rule is.
    assert!(means(&rule(&european), &california, "UNKNOWN").contains(&"Refused offers".to_owned()));
    // One vendor, which the string does not disclose.
    let vendor = rule("source = \"tcf\"\nwithout_consent = [1]\nvendor = 755");
    let tc = tc("CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA");
    assert_eq!(means(&vendor, &tc, "EU_GDPR"), ["Refused offers"]);
}

#[test]
fn sta_27_a_recorded_gpc_is_the_signal_and_not_a_choice_of_the_persons() {
    // SaleOptOut and SharingOptOut are 2 (did not opt out) while the browser goes on sending the signal.
    let not_out = |us: UsSection, field| us.with(field, UsValue::One(2)).unwrap();
    let us = UsSection::new(SectionId::of_name("usca").unwrap(), 1).unwrap();
    let us = not_out(not_out(us, UsField::SaleOptOut), UsField::SharingOptOut).with_gpc(Some(true)).unwrap();
    let text = GppString::of_sections(vec![Section::of_us(us).unwrap()]).unwrap();
    let signal = gpp(text.raw(), None);
    assert!(signal.is_gpc() && means(&valid(), &signal, "US_CA").is_empty());
}

#[test]
fn sta_44_the_signal_is_an_objection_where_the_policy_says_so() {
    let objection = "[[signal]]\nid = \"eu\"\nsource = \"gpc\"\nregimes = [\"EU_GDPR\"]\neffect = \"object\"\n\
                     purposes = [\"sharing\"]\nbecause = \"GDPR Art. 21(5)\"\n";
    let policy = under(&format!("{OPT_OUT}{objection}")).unwrap();
    let signal = ReadSignal::read(true, ReceivedSignal::default()).unwrap();
    assert_eq!(means(&policy, &signal, "EU_GDPR:DE"), ["Objected sharing"]);
    assert!(means(&policy, &signal, "US_CA").is_empty());
    let consequence = policy.consequences(&signal, &["EU_GDPR".parse().unwrap()]).pop().unwrap();
    assert_eq!((consequence.kind, consequence.by_gpc), (EventKind::Objected, true));
}

#[test]
fn a_rule_that_makes_no_sense_is_a_fault_at_its_line() {
    let rule = |edit: &dyn Fn(String) -> String| edit(OPT_OUT.to_owned());
    for (text, code, line) in [
        (rule(&|text| text.replace("\"gpp\"", "\"cookie\"")), "shape", 4),
        (rule(&|text| text.replace("\"opt_out\"", "\"grant\"")), "shape", 6),
        (rule(&|text| text.replace("[\"sharing\"]", "[\"offers\"]")), "signal", 7),
        (rule(&|text| text.replace("[\"sharing\"]", "[\"nothing\"]")), "unknown_reference", 7),
        (rule(&|text| text.replace("[\"sale_opted_out\"]", "[]")), "signal", 2),
        (rule(&|text| text.replace("says", "vendor = 1\nsays")), "signal", 2),
        (rule(&|text| text.replace("says", "sections = [\"usxx\"]\nsays")), "signal", 5),
        (rule(&|text| text.replace("says", "sections = [\"tcfeuv2\"]\nsays")), "signal", 5),
        (rule(&|text| text.replace("because", "regimes = [\"EU\"]\nbecause")), "signal", 8),
        (rule(&|text| text.replace("because = \"CCPA\"", "")), "missing_key", 2),
        (rule(&|text| format!("{text}{text}")), "duplicate", 11),
    ] {
        let faults = under(&text).unwrap_err();
        assert!(
            faults.iter().any(|fault| (fault.code, fault.line, &*fault.file) == (code, line, "signals.toml")),
            "{code} at {line}: {faults:?}"
        );
    }
    // The signal speaks of sales: it is no withdrawal of a newsletter.
    let gpc = "[[signal]]\nid = \"gpc\"\nsource = \"gpc\"\neffect = \"object\"\npurposes = [\"offers\"]\nbecause = \"x\"\n";
    assert!(under(&format!("{OPT_OUT}{gpc}")).unwrap_err().iter().any(|fault| fault.code == "sta_44"));
    let tcf = "[[signal]]\nid = \"tcf\"\nsource = \"tcf\"\nwithout_consent = [0]\neffect = \"refuse\"\n\
               purposes = [\"offers\"]\nbecause = \"x\"\n";
    assert!(under(&format!("{OPT_OUT}{tcf}")).unwrap_err().iter().any(|fault| fault.code == "signal"));
}

#[test]
fn sta_24_a_policy_whose_sale_no_signal_ends_is_no_policy() {
    for lacking in [
        String::new(),
        OPT_OUT.replace("because", "regimes = [\"US_CA\"]\nbecause"),
        OPT_OUT.replace("because", "sections = [\"usca\"]\nbecause"),
        OPT_OUT.replace("sale_opted_out", "notice_missing"),
        OPT_OUT.replace("\"opt_out\"", "\"object\""),
    ] {
        assert!(under(&lacking).unwrap_err().iter().any(|fault| fault.code == "sta_24"), "{lacking}");
    }
    assert!(under(OPT_OUT).is_ok());
}
