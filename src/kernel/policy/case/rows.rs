//! Rows of the law that the shipped policy has no occasion for, decided under a policy that has.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::validate::tests::shipped;
use super::*;

/// Purposes of every kind, one recipient bound to them all, and a notice that explains them and names it.
fn policy() -> ValidPolicy {
    ValidPolicy::from_sources(&sources()).unwrap()
}

const MODES: &str = "EU_GDPR = \"opt_in\"\nUK_GDPR = \"opt_in\"\nUS_CA = \"opt_out\"\nUS_OTHER = \"opt_out\"\n\
                     CA_CASL = \"opt_in\"\nUNKNOWN = \"opt_in\"\n";

const PURPOSES: [(&str, &str, &str); 10] = [
    (
        "credit_offer",
        "bases = [\"consent\"]\nsignificant_effect = true\nhuman_review = \"By telephone.\"\n",
        MODES,
    ),
    ("contract_check", "bases = [\"contract\"]\nsignificant_effect = true\nhuman_review = \"By letter.\"\n", ""),
    ("political_ads", "bases = [\"consent\"]\npolitical = true\ndirect_marketing = true\n", "explicit_opt_in"),
    ("platform_ads", "bases = [\"consent\"]\nminimum_age = 18\n", MODES),
    ("shop_analysis", "bases = [\"legitimate_interest\"]\nbalancing_test = \"LIA-1\"\n", "legitimate_interest"),
    (
        "partner_offers",
        "bases = [\"consent\", \"soft_opt_in\"]\nproduct_families = [\"insurance\"]\n",
        "opt_in_or_soft",
    ),
    ("postal_marketing", "bases = [\"consent\"]\ndirect_marketing = true\n", MODES),
    ("financial_incentive", "bases = [\"consent\"]\n", MODES),
    ("staged", "version = 2\nbases = [\"consent\"]\n", MODES),
    (
        "company_mail",
        "bases = [\"consent\"]\nlegal_persons = { \"EU_GDPR:FR\" = \"opt_out\", UK_GDPR = \"opt_out\" }\n",
        "opt_in",
    ),
];

const STAGED: &str = "[[purpose.change]]\nversion = 2\nkind = \"breaking\"\nsummary = \"Topics, and the other desk.\"\n\
                      attributes = [\"row_topic\"]\nrecipients = [\"other_desk\"]\n";

fn sources() -> PolicySources {
    let mut purposes = String::new();
    for (id, keys, modes) in PURPOSES {
        let modes = match modes {
            "" => MODES.replace("opt_in", "allowed").replace("opt_out", "allowed"),
            word if !word.contains('=') => MODES.replace("opt_in", word).replace("opt_out", word),
            table => table.to_owned(),
        };
        let assessed = if keys.contains("significant") {
            "risk_assessment_ref = \"RA\"\nrisk_assessment_review = 2030-01-01\ndpia_ref = \"D\"\ndpia_review = 2030-01-01\n"
        } else {
            ""
        };
        purposes.push_str(&format!(
            "\n[[purpose]]\nid = \"{id}\"\ntitle = \"{id}\"\nvalidity = \"P36M\"\nreask_after = \"P6M\"\n{keys}{assessed}\
             fideslang = \"personalize\"\ndpv = \"Personalisation\"\n[purpose.mode]\n{modes}"
        ));
        if id == "staged" {
            purposes.push_str(STAGED);
        }
    }
    let names: Vec<_> = PURPOSES.iter().map(|(id, ..)| format!("\"{id}\"")).collect();
    let names = names.join(", ");
    let attributes: String = [("row_band", "none"), ("row_topic", "none"), ("row_illness", "health")]
        .into_iter()
        .map(|(name, tag)| {
            format!(
                "\n[[attribute]]\nname = \"{name}\"\ntitle = \"{name}\"\ntype = \"boolean\"\nserved = {{ form = \"flag\" }}\n\
                 fideslang = \"user.behavior\"\nccpa = \"F\"\nretention = \"P24M\"\ntag = \"{tag}\"\npurposes = [{names}]\nk = 10\n"
            )
        })
        .collect();
    let recipients: String = ["desk", "other_desk"]
        .into_iter()
        .map(|id| {
            format!(
                "\n[[recipient]]\nid = \"{id}\"\nname = \"{id}\"\nrole = \"own\"\ncontroller = \"example_shop\"\ncountry = \"DE\"\n\
                 purposes = [{names}]\nattributes = [\"row_band\", \"row_topic\", \"row_illness\"]\n"
            )
        })
        .collect();
    let mut sources = PolicySources::new();
    for source in shipped().iter().filter(|source| Kind::of(source.path()) != Some(Kind::Cases)) {
        let text = source.text();
        match source.path() {
            "purposes.toml" => sources.push("purposes.toml", format!("{text}{purposes}")),
            "attributes.toml" => sources.push("attributes.toml", format!("{text}{attributes}")),
            "recipients.toml" => sources.push("recipients.toml", format!("{text}{recipients}")),
            "notices/newsletter-1.toml" => {
                let from_id = text.split_once("id = \"newsletter\"").unwrap().1;
                let texts = from_id.split_once("[[text]]").unwrap().1.replace("Our newsletter", "Our rows");
                let texts = texts.replace("Unser Newsletter", "Unsere Zeilen");
                sources.push(
                    "notices/rows-1.toml",
                    format!(
                        "id = \"rows\"\nversion = 1\ncontrollers = [\"example_shop\"]\npurposes = [{names}]\n\
                         recipients = [\"desk\", \"other_desk\"]\n[[text]]{texts}"
                    ),
                );
                sources.push(source.path(), text);
            }
            path => sources.push(path, text),
        }
    }
    sources
}

/// A case in short: regimes and birth, events (kind, purpose, further keys), and what is expected of whom for what.
struct Short<'a> {
    facts: &'a str,
    events: &'a [(&'a str, &'a str, &'a str)],
    expect: &'a [(&'a str, &'a str, &'a str)],
}

#[track_caller]
fn holds(short: &Short<'_>) {
    let mut text = format!("[[case]]\nname = \"row\"\n{}\n", short.facts);
    for (kind, purpose, keys) in short.events {
        text.push_str(&format!("[[case.event]]\nkind = \"{kind}\"\n{keys}\n"));
        if !purpose.is_empty() {
            text.push_str(&format!("purpose = \"{purpose}\"\n"));
        }
    }
    for (recipient, purpose, outcome) in short.expect {
        text.push_str(&format!("[[case.expect]]\nrecipient = \"{recipient}\"\npurpose = \"{purpose}\"\n"));
        match outcome.split_once(' ') {
            Some(("permit", attributes)) => text.push_str(&format!(
                "decision = \"permit\"\nattributes = [\"row_band\", \"row_topic\", \"row_illness\"]\npermitted = [{attributes}]\n"
            )),
            _ if *outcome == "permit" => text.push_str("decision = \"permit\"\n"),
            Some((reason, attributes)) => {
                text.push_str(&format!("decision = \"refuse\"\nreason = \"{reason}\"\nattributes = [{attributes}]\n"));
            }
            None => text.push_str(&format!("decision = \"refuse\"\nreason = \"{outcome}\"\n")),
        }
    }
    let cases: PolicySources = [("cases/rows.toml", text.clone())].into_iter().collect();
    for outcome in run_cases(&policy(), &cases) {
        assert_eq!(outcome.verdict, Ok(()), "{text}");
    }
}

const GERMAN: &str = "regimes = [\"EU_GDPR:DE\"]";
const BRITISH: &str = "regimes = [\"UK_GDPR\"]";
const CALIFORNIAN: &str = "regimes = [\"US_CA\"]";

#[test]
fn adm_01_a_significant_decision_needs_an_explicit_consent_or_a_contract() {
    let events = [("GRANT_CONFIRMED", "credit_offer", "")];
    holds(&Short { facts: GERMAN, events: &events, expect: &[("desk", "credit_offer", "automated_decision")] });
    let events = [("GRANT_CONFIRMED", "credit_offer", "explicit = true")];
    holds(&Short { facts: GERMAN, events: &events, expect: &[("desk", "credit_offer", "permit")] });
    holds(&Short { facts: GERMAN, events: &[], expect: &[("desk", "credit_offer", "no_consent")] });
    holds(&Short { facts: GERMAN, events: &[], expect: &[("desk", "contract_check", "permit")] });
    holds(&Short {
        facts: "",
        events: &[("GRANT_CONFIRMED", "credit_offer", "")],
        expect: &[("desk", "credit_offer", "automated_decision")],
    });
}

#[test]
fn adm_03_special_categories_do_not_feed_a_significant_decision_without_explicit_consent() {
    let all = "sensitive \"row_band\", \"row_illness\"";
    let ordinary = [("GRANT_CONFIRMED", "credit_offer", "")];
    let expect = [("desk", "credit_offer", all), ("desk", "contract_check", all)];
    holds(&Short { facts: GERMAN, events: &ordinary, expect: &expect });
    let explicit = [("GRANT_CONFIRMED", "credit_offer", "explicit = true")];
    let everything = "permit \"row_band\", \"row_topic\", \"row_illness\"";
    holds(&Short { facts: GERMAN, events: &explicit, expect: &[("desk", "credit_offer", everything)] });
}

#[test]
fn adm_04_no_significant_decision_about_a_known_minor() {
    let explicit = [("GRANT_CONFIRMED", "credit_offer", "explicit = true\nat = 2026-06-01T09:00:00Z")];
    for (birth, outcome) in [("2009-01-02", "minor"), ("2008-01-02", "permit")] {
        let facts = format!("{GERMAN}\nbirth = {birth}");
        let facts = facts.as_str();
        holds(&Short { facts, events: &explicit, expect: &[("desk", "credit_offer", outcome)] });
        holds(&Short { facts, events: &explicit, expect: &[("desk", "contract_check", outcome)] });
    }
}

#[test]
fn adm_06_an_opt_out_of_automated_decisions_is_heard() {
    for facts in [CALIFORNIAN, GERMAN] {
        let events = [("GRANT_CONFIRMED", "credit_offer", "explicit = true"), ("ADMT_OPT_OUT", "", "")];
        let expect = [
            ("desk", "credit_offer", "opted_out"),
            ("desk", "contract_check", "opted_out"),
            // Ordinary advertising is no significant decision.
            ("desk", "financial_incentive", if facts == GERMAN { "no_consent" } else { "permit" }),
        ];
        holds(&Short { facts, events: &events, expect: &expect });
    }
}

#[test]
fn adm_09_the_united_kingdom_permits_with_safeguards_what_is_not_special() {
    let events = [("GRANT_CONFIRMED", "credit_offer", "")];
    let expect = [("desk", "credit_offer", "permit"), ("desk", "credit_offer", "sensitive \"row_illness\"")];
    holds(&Short { facts: BRITISH, events: &events, expect: &expect });
}

#[test]
fn adm_10_political_advertising_needs_its_own_explicit_consent_and_no_special_categories() {
    let marketing = [("GRANT_CONFIRMED", "email_marketing", "explicit = true")];
    holds(&Short { facts: GERMAN, events: &marketing, expect: &[("desk", "political_ads", "no_consent")] });
    let ordinary = [("GRANT_CONFIRMED", "political_ads", "")];
    holds(&Short { facts: GERMAN, events: &ordinary, expect: &[("desk", "political_ads", "sensitive")] });
    let own = [("GRANT_CONFIRMED", "political_ads", "explicit = true\nat = 2026-06-01T09:00:00Z")];
    let without = "permit \"row_band\", \"row_topic\"";
    let only_special = "sensitive \"row_illness\"";
    let expect = [("desk", "political_ads", without), ("desk", "political_ads", only_special)];
    holds(&Short { facts: GERMAN, events: &own, expect: &expect });
    for (birth, outcome) in [("2009-07-01", "minor"), ("2009-06-01", "permit")] {
        let facts = format!("{GERMAN}\nbirth = {birth}");
        holds(&Short { facts: &facts, events: &own, expect: &[("desk", "political_ads", outcome)] });
    }
    // Digital Services Act Art. 28(2): no advertising by profiling to known minors.
    let own = [("GRANT_CONFIRMED", "platform_ads", "at = 2026-06-01T09:00:00Z")];
    for (birth, outcome) in [("2009-01-01", "minor"), ("2008-01-01", "permit")] {
        let facts = format!("{GERMAN}\nbirth = {birth}");
        holds(&Short { facts: &facts, events: &own, expect: &[("desk", "platform_ads", outcome)] });
    }
}

#[test]
fn cap_22_a_refusal_is_not_swapped_for_a_legitimate_interest() {
    for facts in [GERMAN, ""] {
        holds(&Short { facts, events: &[], expect: &[("desk", "shop_analysis", "permit")] });
        for kind in ["REFUSED", "WITHDRAWN"] {
            let no = [(kind, "shop_analysis", "")];
            holds(&Short { facts, events: &no, expect: &[("desk", "shop_analysis", "opted_out")] });
        }
        // Nor for a contract or a notice: what was asked for as a consent and denied stays denied.
        let no = [("REFUSED", "contract_check", "")];
        holds(&Short { facts, events: &no, expect: &[("desk", "contract_check", "refused")] });
        let taken_back = [("GRANT_CONFIRMED", "contract_check", ""), ("WITHDRAWN", "contract_check", "")];
        holds(&Short { facts, events: &taken_back, expect: &[("desk", "contract_check", "withdrawn")] });
        // What never was a consent is not taken back as one.
        let idle = [("WITHDRAWN", "contract_check", ""), ("WITHDRAWN", "", "")];
        holds(&Short { facts, events: &idle, expect: &[("desk", "contract_check", "permit")] });
    }
}

#[test]
fn obj_02_an_objection_to_a_legitimate_interest_restricts_until_the_grounds_are_weighed() {
    let objected = [("OBJECTED", "shop_analysis", "")];
    let expect = [("desk", "shop_analysis", "restricted"), ("desk", "contract_check", "permit")];
    holds(&Short { facts: GERMAN, events: &objected, expect: &expect });
    let weighed = [("OBJECTED", "shop_analysis", ""), ("RESTRICTION_LIFTED", "shop_analysis", "")];
    holds(&Short { facts: GERMAN, events: &weighed, expect: &[("desk", "shop_analysis", "permit")] });
    let again = [weighed[0], weighed[1], ("OBJECTED", "shop_analysis", "")];
    holds(&Short { facts: GERMAN, events: &again, expect: &[("desk", "shop_analysis", "restricted")] });
    // Nothing outweighs an objection to direct marketing.
    let marketing = [
        ("GRANT_CONFIRMED", "political_ads", "explicit = true"),
        ("OBJECTED", "political_ads", ""),
        ("RESTRICTION_LIFTED", "political_ads", ""),
    ];
    holds(&Short { facts: GERMAN, events: &marketing, expect: &[("desk", "political_ads", "objected")] });
}

#[test]
fn sta_06_a_breaking_version_breaks_with_what_is_new_in_it_only() {
    let first = [("GRANT_CONFIRMED", "staged", "purpose_version = 1")];
    let expect = [
        ("desk", "staged", "permit \"row_band\""),
        ("desk", "staged", "reconsent \"row_topic\""),
        ("other_desk", "staged", "reconsent"),
    ];
    holds(&Short { facts: GERMAN, events: &first, expect: &expect });
    let second = [("GRANT_CONFIRMED", "staged", "purpose_version = 2")];
    let expect = [("desk", "staged", "permit \"row_band\", \"row_topic\""), ("other_desk", "staged", "permit")];
    holds(&Short { facts: GERMAN, events: &second, expect: &expect });
}

#[test]
fn sta_10_a_soft_opt_in_is_good_for_similar_products_of_ones_own_by_the_same_channel() {
    for (family, mail, partner) in [
        ("clothing", "permit", "no_consent"),
        ("insurance", "no_consent", "permit"),
        ("yachts", "no_consent", "no_consent"),
    ] {
        let keys = format!("product_family = \"{family}\"");
        for (purpose, recipient, outcome) in
            [("email_marketing", "mailer", mail), ("partner_offers", "desk", partner)]
        {
            let events = [("SOFT_OPT_IN_BASIS", purpose, keys.as_str())];
            let expect = [(recipient, purpose, outcome), ("desk", "postal_marketing", "no_consent")];
            holds(&Short { facts: GERMAN, events: &events, expect: &expect });
        }
    }
    // Not initially refused, and not later.
    for events in [
        [("REFUSED", "email_marketing", ""), ("SOFT_OPT_IN_BASIS", "email_marketing", "")],
        [("SOFT_OPT_IN_BASIS", "email_marketing", ""), ("REFUSED", "email_marketing", "")],
    ] {
        holds(&Short { facts: GERMAN, events: &events, expect: &[("mailer", "email_marketing", "refused")] });
    }
}

#[test]
fn sta_11_some_states_ask_less_before_they_write_to_companies() {
    let company = [("SUBSCRIBER_DECLARED", "", "subscriber = \"legal\"")];
    let human = [("SUBSCRIBER_DECLARED", "", "subscriber = \"natural\"")];
    for (regime, of_company) in
        [("EU_GDPR:FR", "permit"), ("UK_GDPR", "permit"), ("EU_GDPR:DE", "no_consent"), ("UNKNOWN", "no_consent")]
    {
        let facts = format!("regimes = [\"{regime}\"]");
        let facts = facts.as_str();
        holds(&Short { facts, events: &company, expect: &[("desk", "company_mail", of_company)] });
        holds(&Short { facts, events: &human, expect: &[("desk", "company_mail", "no_consent")] });
        holds(&Short { facts, events: &[], expect: &[("desk", "company_mail", "no_consent")] });
    }
}

#[test]
fn sta_18_colorado_asks_anew_after_two_years_of_silence() {
    let colorado = "regimes = [\"US_OTHER:CO\"]";
    let given = ("GRANT_CONFIRMED", "postal_marketing", "explicit = true\nat = 2024-11-22T09:00:00Z");
    // The consent itself lasts three years.
    for (contact, now, permitted) in [
        (None, "2026-11-22T08:59:59Z", true),
        (None, "2026-11-22T09:00:00Z", false),
        (Some("2025-02-28T09:00:00Z"), "2026-11-23T09:00:00Z", true),
        (Some("2025-02-28T09:00:00Z"), "2027-02-28T09:00:00Z", false),
    ] {
        let heard = contact.map(|contact| format!("at = {contact}"));
        let mut text = format!("[[case]]\nname = \"row\"\n{colorado}\n");
        let contact = heard.as_deref().map(|keys| ("INTERACTED", "", keys));
        for (kind, purpose, keys) in [Some(given), contact].into_iter().flatten() {
            text.push_str(&format!("[[case.event]]\nkind = \"{kind}\"\n{keys}\n"));
            if !purpose.is_empty() {
                text.push_str(&format!("purpose = \"{purpose}\"\n"));
            }
        }
        let outcome =
            if permitted { "decision = \"permit\"" } else { "decision = \"refuse\"\nreason = \"expired\"" };
        text.push_str(&format!(
            "[[case.expect]]\nat = {now}\nrecipient = \"desk\"\npurpose = \"postal_marketing\"\n\
             attributes = [\"row_illness\"]\n{outcome}\n"
        ));
        let cases: PolicySources = [("cases/rows.toml", text.clone())].into_iter().collect();
        assert_eq!(run_cases(&policy(), &cases)[0].verdict, Ok(()), "{text}");
    }
}

#[test]
fn sta_46_maryland_uses_sensitive_data_only_where_strictly_necessary() {
    let explicit = [("GRANT_CONFIRMED", "postal_marketing", "explicit = true")];
    for regime in ["US_OTHER:MD", "US_OTHER"] {
        let facts = format!("regimes = [\"{regime}\"]");
        let expect = [
            ("desk", "postal_marketing", "sensitive \"row_illness\""),
            ("desk", "postal_marketing", "permit \"row_band\", \"row_topic\""),
        ];
        holds(&Short { facts: &facts, events: &explicit, expect: &expect });
    }
    let facts = "regimes = [\"US_OTHER:VA\"]";
    holds(&Short {
        facts,
        events: &explicit,
        expect: &[("desk", "postal_marketing", "permit \"row_band\", \"row_topic\", \"row_illness\"")],
    });
}

#[test]
fn sta_37_everything_that_is_known_of_those_under_16_is_sensitive_in_california() {
    let limited = [("LIMIT_SPI", "", "at = 2026-06-01T09:00:00Z")];
    for (birth, outcome) in [("2011-01-15", "sensitive"), ("2010-01-15", "permit")] {
        let facts = format!("{CALIFORNIAN}\nbirth = {birth}");
        let expect = [("desk", "financial_incentive", outcome), ("mailer", "service_transactional", "permit")];
        holds(&Short { facts: &facts, events: &limited, expect: &expect });
        holds(&Short {
            facts: &facts,
            events: &[("INTERACTED", "", "at = 2026-06-01T09:00:00Z")],
            expect: &[("desk", "financial_incentive", "permit")],
        });
    }
}

#[test]
fn cap_09_in_france_child_and_parent_consent_together() {
    let facts = "regimes = [\"EU_GDPR:FR\"]\nbirth = 2012-01-15";
    let at = "at = 2026-06-01T09:00:00Z";
    let by_parent = format!("{at}\nby = \"parent\"");
    let authorised = ("PARENT_AUTHORISED", "postal_marketing", by_parent.as_str());
    let expect = |outcome| [("desk", "postal_marketing", outcome)];
    let own = ("GRANT_CONFIRMED", "postal_marketing", at);
    let in_its_place = ("GRANT_CONFIRMED", "postal_marketing", by_parent.as_str());
    holds(&Short { facts, events: &[own], expect: &expect("minor") });
    holds(&Short { facts, events: &[authorised, in_its_place], expect: &expect("minor") });
    holds(&Short { facts, events: &[authorised, own], expect: &expect("permit") });
    // In Germany the parent may consent in the child's place.
    let facts = "regimes = [\"EU_GDPR:DE\"]\nbirth = 2012-01-15";
    holds(&Short { facts, events: &[authorised, in_its_place], expect: &expect("permit") });
}

#[test]
fn not_09_a_financial_incentive_is_asked_for_by_itself() {
    let mail = [("GRANT_CONFIRMED", "email_marketing", "")];
    let expect = [("desk", "financial_incentive", "no_consent"), ("mailer", "email_marketing", "permit")];
    holds(&Short { facts: GERMAN, events: &mail, expect: &expect });
    let joins = [("GRANT_CONFIRMED", "financial_incentive", "")];
    let expect = [("desk", "financial_incentive", "permit"), ("mailer", "email_marketing", "no_consent")];
    holds(&Short { facts: GERMAN, events: &joins, expect: &expect });
    let leaves = [joins[0], ("WITHDRAWN", "financial_incentive", "")];
    let expect = [("desk", "financial_incentive", "withdrawn"), ("mailer", "service_transactional", "permit")];
    holds(&Short { facts: GERMAN, events: &leaves, expect: &expect });
}
