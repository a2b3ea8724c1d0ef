//! Imports over HTTP: what a file may do beside what persons said here, from the preview to the last row applied.

use kernel::authz::{Actor, Authorized};
use kernel::clock::Clock as _;
use kernel::policy::document::PolicySources;
use serde_json::json;

use crate::erasure::expect_no_trace;
use crate::harness::{Backend, Line, MARK, Person, Recipient, TestGateway, policy_with};

on_both!(
    a_preview_changes_nothing_and_its_application_is_done_once,
    cap_18_a_partners_row_without_evidence_or_without_our_name_is_quarantined,
    cap_18_a_consent_that_a_partner_collected_seven_months_ago_is_stale,
    an_imported_consent_is_never_as_sure_as_a_form,
    v17_the_partners_row_of_a_person_who_objected_is_left_out,
    eml_09_who_was_erased_is_not_brought_back,
    eml_10_a_spelling_variant_does_not_defeat_suppression,
    what_the_person_said_here_is_never_overridden,
    what_the_person_did_since_the_preview_wins,
    a_value_that_is_newer_here_is_kept,
    a_no_in_a_file_is_taken,
    sta_10_a_soft_opt_in_needs_all_that_it_rests_on,
    sta_17_and_m05_an_implied_consent_lapses,
    not_02_the_person_is_told_within_a_month_and_no_later_than_the_first_disclosure,
    two_applications_at_once_have_one_effect,
    what_waits_is_sealed_and_goes_with_an_erasure,
    a_discarded_import_is_gone_and_an_expired_one_is_purged,
    an_import_is_its_sources_alone,
    an_import_is_not_begun_under_another_policy,
    the_same_file_with_the_same_key_is_one_import,
    the_ledger_and_the_figures_count_it_without_naming_anybody,
);

/// The shipped policy where an imported consent is enough for emails.
fn lenient() -> PolicySources {
    let heading = "id = \"email_marketing\"\n";
    policy_with(&[("purposes.toml", heading, &format!("{heading}assurance = \"imported\"\n"))])
}

fn address(name: &str) -> String {
    format!("{name}.{MARK}@example.org")
}

/// Rows that give consent to emails, under the newsletter's notice.
fn consents(gateway: &TestGateway, captured_at: &str, people: &[&str]) -> String {
    let notice = gateway.notice("newsletter", "en");
    let mut file = "email,first_name,region,captured_at,notice,purpose:email_marketing\n".to_owned();
    for name in people {
        file.push_str(&format!("{},{MARK} {name},DE,{captured_at},{notice},given\n", address(name)));
    }
    file
}

/// How often persons were refused for a reason so far.
async fn refusals(gateway: &TestGateway, reason: &str) -> u64 {
    let text = gateway.get("/metrics").await.expect(200).text();
    let line = format!("consentry_refusals_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|known| known.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
}

/// That nobody is disclosed, for this reason.
async fn expect_refused(gateway: &TestGateway, recipient: &Recipient<'_>, person: &Person<'_>, reason: &str) {
    let before = refusals(gateway, reason).await;
    assert!(!recipient.may_know(person).await);
    assert_eq!(refusals(gateway, reason).await, before + 1, "{reason}");
}

async fn a_preview_changes_nothing_and_its_application_is_done_once(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, berta, mailer) = (gateway.person("anna"), gateway.person("berta"), gateway.mailer().await);
    let (shop, importer) = (gateway.shop().await, gateway.importer().await);
    shop.sends(&[Line::of(&berta, json!({ "city": "q7canary-old" })).observed_at("2026-01-01T00:00:00Z")]).await;
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna", "berta"]);
    let before = gateway.database().stored().await;
    let preview = importer.previews("?controllers=example_shop", file.clone()).await;
    assert_eq!(gateway.database().stored().await, before);
    assert!(!mailer.may_know(&anna).await);
    assert_eq!((&preview["rows"], &preview["source"]), (&json!(2), &json!("shop")));
    let counts = &preview["preview"];
    assert_eq!((&counts["new"], &counts["changed"], &counts["unchanged"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(importer.shows(&preview).await, preview);

    let applied = importer.applies(&preview).await;
    assert_eq!((&applied["applied"]["new"], &applied["applied"]["changed"]), (&json!(1), &json!(1)));
    assert!(mailer.may_know(&anna).await && mailer.may_know(&berta).await);
    let served = mailer.looks_up_persons(&[&anna]).await.profiles()[0].clone();
    assert_eq!(served["attributes"]["first_name"], "q7canary anna");
    assert_eq!(served["attributes"]["email"], anna.email);
    let stored = gateway.database().stored().await;
    let again = importer.applies(&preview).await;
    assert_eq!((&again["applied"], &again["ended_at"]), (&applied["applied"], &applied["ended_at"]));
    assert_eq!(gateway.database().stored().await, stored);
    assert_eq!(gateway.database().number("SELECT count(*) FROM import_row").await, 0);
    // The same file again says nothing new.
    let same = importer.previews("?controllers=example_shop", file).await;
    assert_eq!((&same["preview"]["unchanged"], &same["preview"]["new"]), (&json!(2), &json!(0)));
    importer.applies(&same).await;
    let after = gateway.database().stored().await;
    assert_eq!((after["consent_event"], after["subject"]), (stored["consent_event"], stored["subject"]));
    gateway.expect_sound_ledger().await;
}

async fn cap_18_a_partners_row_without_evidence_or_without_our_name_is_quarantined(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, mailer, importer) = (gateway.person("anna"), gateway.mailer().await, gateway.importer().await);
    let notice = gateway.notice("newsletter", "en");
    let stored = gateway.database().stored().await;
    for (evidence, controllers, reason) in [
        ("", "example_shop", "partner_evidence_missing"),
        ("lead-17", "", "controller_not_named"),
        ("lead-17", "example_ads", "controller_not_named"),
        ("lead-17", "somebody_else", "controller_not_named"),
    ] {
        let file = format!(
            "email,partner,evidence_id,controllers,captured_at,purpose:email_marketing\n\
             {},lead_house,{evidence},{controllers},2026-11-01T08:00:00Z,given\n",
            anna.email
        );
        let preview = importer.previews("", file).await;
        let quarantined = &preview["preview"]["quarantined"];
        assert_eq!(
            (&quarantined["total"], &quarantined["by_reason"][reason]),
            (&json!(1), &json!(1)),
            "{preview}"
        );
        assert_eq!(quarantined["lines"], json!([{ "line": 2, "errors": [{ "code": reason }] }]));
        let applied = importer.applies(&preview).await;
        assert_eq!((&applied["applied"]["new"], &applied["applied"]["changed"]), (&json!(0), &json!(0)));
        assert_eq!(gateway.database().stored().await, stored);
    }
    assert!(!mailer.may_know(&anna).await);
    // With evidence, our name and the notice it counts; the parameters do for a whole file.
    let file = format!("email,captured_at,purpose:email_marketing\n{},2026-11-01T08:00:00Z,given\n", anna.email);
    let query = format!("?partner=lead_house&evidence=batch-7&controllers=example_shop&region=DE&notice={notice}");
    let applied = importer.imports(&query, file).await;
    assert_eq!(applied["applied"]["new"], 1);
    assert!(mailer.may_know(&anna).await);
    let copy = gateway.officer().await.copy(&anna).await;
    let events = copy["events"].as_array().unwrap();
    let given = events.iter().find(|event| event["event"] == "GRANT_CONFIRMED").unwrap();
    assert_eq!((&given["assurance"], &given["third_party"]), (&json!("imported"), &json!(true)));
    assert_eq!(
        (&given["imported"]["partner"], &given["imported"]["evidence"], &given["imported"]["import"]),
        (&json!("lead_house"), &json!("batch-7"), &applied["id"])
    );
    let email = copy["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "email").unwrap();
    assert_eq!(email["source"], "lead_house");
}

async fn cap_18_a_consent_that_a_partner_collected_seven_months_ago_is_stale(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (mailer, importer) = (gateway.mailer().await, gateway.importer().await);
    let query = format!(
        "?partner=lead_house&evidence=batch-7&controllers=example_shop&region=DE&notice={}",
        gateway.notice("newsletter", "en")
    );
    for (name, captured_at, fresh) in
        [("old", "2026-04-20T08:00:00Z", false), ("new", "2026-06-20T08:00:00Z", true)]
    {
        let person = gateway.person(name);
        let file = format!("email,captured_at,purpose:email_marketing\n{},{captured_at},given\n", person.email);
        importer.imports(&query, file).await;
        if fresh {
            assert!(mailer.may_know(&person).await);
        } else {
            expect_refused(&gateway, &mailer, &person, "stale_third_party").await;
        }
    }
    // It becomes stale by itself, at the read.
    gateway.clock().set("2026-12-20T08:00:00Z".parse().unwrap());
    expect_refused(&gateway, &mailer, &gateway.person("new"), "stale_third_party").await;
}

async fn an_imported_consent_is_never_as_sure_as_a_form(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, importer) = (gateway.person("anna"), gateway.mailer().await, gateway.importer().await);
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna"]);
    assert_eq!(importer.imports("?controllers=example_shop", file).await["applied"]["new"], 1);
    expect_refused(&gateway, &mailer, &anna, "assurance").await;
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
    // And no import lowers what she gave herself.
    let now = gateway.later();
    let file = consents(&gateway, &now.to_string(), &["anna"]);
    importer.imports("?controllers=example_shop", file).await;
    assert!(mailer.may_know(&anna).await);
}

async fn v17_the_partners_row_of_a_person_who_objected_is_left_out(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, mailer, importer) = (gateway.person("anna"), gateway.mailer().await, gateway.importer().await);
    anna.asks("object_direct_marketing").await;
    let stored = gateway.database().stored().await;
    let query = format!(
        "?partner=lead_house&evidence=batch-7&controllers=example_shop&notice={}",
        gateway.notice("newsletter", "en")
    );
    for column in ["purpose:email_marketing", "first_name"] {
        let cell = if column == "first_name" { "q7canary" } else { "given" };
        let file = format!("email,captured_at,{column}\n{},2026-11-22T12:00:00Z,{cell}\n", anna.email);
        let preview = importer.previews(&query, file).await;
        assert_eq!(preview["preview"]["suppressed"], json!({ "total": 1, "by_reason": { "objected": 1 } }));
        importer.applies(&preview).await;
    }
    assert_eq!(gateway.database().stored().await, stored);
    expect_refused(&gateway, &mailer, &anna, "objected").await;
}

async fn eml_09_who_was_erased_is_not_brought_back(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, officer, importer) = (gateway.person("anna"), gateway.officer().await, gateway.importer().await);
    anna.gives(&["email_marketing"]).await;
    officer.erases(&anna).await;
    gateway.later();
    let file = consents(&gateway, &gateway.clock().now().to_string(), &["anna", "berta"]);
    let preview = importer.previews("?controllers=example_shop", file).await;
    assert_eq!(preview["preview"]["suppressed"], json!({ "total": 1, "by_reason": { "erased": 1 } }));
    assert_eq!(preview["preview"]["new"], 1);
    importer.applies(&preview).await;
    assert!(!officer.holds(&anna).await && officer.holds(&gateway.person("berta")).await);
}

async fn eml_10_a_spelling_variant_does_not_defeat_suppression(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (officer, importer) = (gateway.officer().await, gateway.importer().await);
    let anna = gateway.person("anna").spelled(&format!("{MARK}.A.B+x@Example.ORG"));
    anna.gives(&["email_marketing"]).await;
    officer.erases(&anna).await;
    gateway.later();
    let spellings = [
        format!("{MARK}.a.b+x@example.org"),
        format!(" {}.A.B+X@EXAMPLE.org ", MARK.to_uppercase()),
        format!("\"{MARK}.A.b+x@example.ORG\""),
    ];
    for spelling in spellings {
        let file = format!("email,captured_at,first_name\n{spelling},2026-11-22T12:00:00Z,{MARK}\n");
        let preview = importer.previews("", file).await;
        assert_eq!(preview["preview"]["suppressed"]["by_reason"], json!({ "erased": 1 }), "{spelling}");
    }
    // Nor does leaving the tag out, or adding one.
    let file = format!("email,captured_at,first_name\n{MARK}.a.b@example.org,2026-11-22T12:00:00Z,{MARK}\n");
    let preview = importer.previews("", file).await;
    assert_eq!(preview["preview"]["suppressed"]["total"], 1, "{preview}");
    let berta = gateway.person("berta");
    berta.gives(&["email_marketing"]).await;
    officer.erases(&berta).await;
    let tagged = berta.email.replace('@', "+shop@");
    let file = format!("email,captured_at,first_name\n{tagged},2026-11-22T12:00:00Z,{MARK}\n");
    let preview = importer.previews("", file).await;
    assert_eq!(preview["preview"]["suppressed"]["by_reason"], json!({ "erased": 1 }));
    importer.applies(&preview).await;
    assert!(!officer.holds(&berta.spelled(&tagged)).await);
}

async fn what_the_person_said_here_is_never_overridden(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (mailer, importer, officer) = (gateway.mailer().await, gateway.importer().await, gateway.officer().await);
    let people = ["withdrew", "refused", "objected", "restricted", "left"].map(|name| gateway.person(name));
    let [withdrew, refused, objected, restricted, left] = &people;
    withdrew.gives(&["email_marketing"]).await;
    withdrew.withdraws(&["email_marketing"]).await;
    refused.refuses(&["email_marketing"]).await;
    objected.asks("object_direct_marketing").await;
    restricted.gives(&["email_marketing"]).await;
    officer.restricts(restricted, "accuracy_contested").await.expect(201);
    left.gives(&["profiling_segmentation"]).await;
    left.asks("withdraw_all").await;
    let stored = gateway.database().stored().await;
    // Even a consent that the file says was captured after the no.
    gateway.clock().advance_ms(86_400_000);
    let captured_at = gateway.clock().now().to_string();
    let names = ["withdrew", "refused", "objected", "restricted", "left", "fresh"];
    let preview = importer.previews("?controllers=example_shop", consents(&gateway, &captured_at, &names)).await;
    assert_eq!(
        preview["preview"]["suppressed"],
        json!({ "total": 5, "by_reason": { "withdrawn": 2, "refused": 1, "objected": 1, "restricted": 1 } })
    );
    importer.applies(&preview).await;
    let after = gateway.database().stored().await;
    assert_eq!(after["subject"], stored["subject"] + 1);
    for (person, reason) in people.iter().zip(["withdrawn", "refused", "objected", "restricted", "withdrawn"]) {
        expect_refused(&gateway, &mailer, person, reason).await;
    }
    assert!(mailer.may_know(&gateway.person("fresh")).await);
}

async fn what_the_person_did_since_the_preview_wins(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (mailer, importer, officer) = (gateway.mailer().await, gateway.importer().await, gateway.officer().await);
    let [anna, berta, clara, dora] = ["anna", "berta", "clara", "dora"].map(|name| gateway.person(name));
    for person in [&anna, &berta, &clara] {
        person.gives(&["profiling_segmentation"]).await;
    }
    gateway.later();
    let captured_at = gateway.clock().now().to_string();
    let file = consents(&gateway, &captured_at, &["anna", "berta", "clara", "dora"]);
    let preview = importer.previews("?controllers=example_shop", file).await;
    assert_eq!((&preview["preview"]["changed"], &preview["preview"]["new"]), (&json!(3), &json!(1)));
    anna.withdraws(&["email_marketing"]).await;
    berta.asks("object_direct_marketing").await;
    officer.erases(&clara).await;
    let applied = importer.applies(&preview).await;
    assert_eq!(
        applied["applied"]["suppressed"],
        json!({ "total": 2, "by_reason": { "withdrawn": 1, "objected": 1 } })
    );
    assert_eq!((&applied["applied"]["new"], &applied["applied"]["changed"]), (&json!(1), &json!(0)));
    assert!(!mailer.may_know(&anna).await && !mailer.may_know(&berta).await && mailer.may_know(&dora).await);
    // Her row went with her.
    assert!(!officer.holds(&clara).await);
    assert_eq!(officer.events(&anna).await.iter().filter(|event| *event == "GRANT_CONFIRMED").count(), 1);
}

async fn a_value_that_is_newer_here_is_kept(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, shop, importer) = (gateway.person("anna"), gateway.shop().await, gateway.importer().await);
    anna.gives(&["email_marketing"]).await;
    shop.sends(&[Line::of(&anna, json!({ "city": "q7canary-corrected" })).observed_at("2026-11-10T00:00:00Z")])
        .await;
    let city = async || {
        let mailer = gateway.mailer().await;
        mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"]["city"].clone()
    };
    let file = |at: &str, city: &str| format!("email,captured_at,city\n{},{at},{city}\n", anna.email);
    let older = importer.previews("", file("2026-11-09T23:59:59Z", "q7canary-stale")).await;
    // Her address is in the row, too: the form's is newer as well.
    assert_eq!(older["preview"]["suppressed"]["by_reason"], json!({ "corrected": 1 }));
    importer.applies(&older).await;
    assert_eq!(city().await, "q7canary-corrected");
    // Newer than held at the preview, older than a correction that came before the application.
    let newer = importer.previews("", file("2026-11-15T00:00:00Z", "q7canary-file")).await;
    assert_eq!(newer["preview"]["changed"], 1);
    shop.sends(&[Line::of(&anna, json!({ "city": "q7canary-latest" })).observed_at("2026-11-16T00:00:00Z")]).await;
    let applied = importer.applies(&newer).await;
    assert_eq!(applied["applied"]["suppressed"]["by_reason"], json!({ "corrected": 1 }));
    assert_eq!(city().await, "q7canary-latest");
    importer.imports("", file("2026-11-20T00:00:00Z", "q7canary-file")).await;
    assert_eq!(city().await, "q7canary-file");
}

async fn a_no_in_a_file_is_taken(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (anna, berta, mailer) = (gateway.person("anna"), gateway.person("berta"), gateway.mailer().await);
    let importer = gateway.importer().await;
    anna.gives(&["email_marketing"]).await;
    let at = gateway.later().to_string();
    let file = format!(
        "email,captured_at,purpose:email_marketing,objected\n{},{at},withdrawn,\n{},{at},,yes\n",
        anna.email, berta.email
    );
    let applied = importer.imports("", file).await;
    assert_eq!((&applied["applied"]["changed"], &applied["applied"]["new"]), (&json!(1), &json!(1)));
    expect_refused(&gateway, &mailer, &anna, "withdrawn").await;
    expect_refused(&gateway, &mailer, &berta, "objected").await;
    // Of somebody who only said no not even the address is kept.
    let copy = gateway.officer().await.copy(&berta).await;
    assert_eq!(copy["attributes"], json!([]));
    // What she says herself after that is hers to say; an older no does not undo it.
    anna.gives(&["email_marketing"]).await;
    let older = format!("email,captured_at,purpose:email_marketing\n{},{at},withdrawn\n", anna.email);
    let preview = importer.previews("", older).await;
    assert_eq!(preview["preview"]["unchanged"], 1);
    importer.applies(&preview).await;
    assert!(mailer.may_know(&anna).await);
}

async fn sta_10_a_soft_opt_in_needs_all_that_it_rests_on(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, importer) = (gateway.person("anna"), gateway.mailer().await, gateway.importer().await);
    let header = "email,region,captured_at,purpose:email_marketing,sale_ref,product_family,objection_offered,partner,evidence_id,controllers";
    let row = |rest: &str| format!("{header}\n{},DE,2026-11-01T08:00:00Z,soft_opt_in,{rest}\n", anna.email);
    for incomplete in [",shoes,yes,,,", "order-1,,yes,,,", "order-1,shoes,,,,", "order-1,shoes,no,,,"] {
        let preview = importer.previews("", row(incomplete)).await;
        assert_eq!(
            preview["preview"]["invalid"]["lines"],
            json!([{ "line": 2, "errors": [{ "column": "purpose:email_marketing", "code": "soft_opt_in_incomplete" }] }])
        );
    }
    // A partner's sale is not ours, whatever its evidence says.
    let partners = importer.previews("", row("order-1,shoes,yes,lead_house,e-1,example_shop")).await;
    assert_eq!(partners["preview"]["quarantined"]["by_reason"], json!({ "basis_of_partner": 1 }));
    // Nor does a purpose rest on it that the policy does not let.
    let other = row("order-1,shoes,yes,,,").replace("purpose:email_marketing", "purpose:profiling_segmentation");
    let preview = importer.previews("", other).await;
    assert_eq!(preview["preview"]["invalid"]["lines"][0]["errors"][0]["code"], "basis_not_allowed");
    assert!(!mailer.may_know(&anna).await);
    importer.imports("", row("order-1,shoes,yes,,,")).await;
    assert!(mailer.may_know(&anna).await);
    let copy = gateway.officer().await.copy(&anna).await;
    let basis = copy["events"].as_array().unwrap().iter().find(|one| one["event"] == "SOFT_OPT_IN_BASIS").unwrap();
    assert_eq!(
        (&basis["imported"]["sale"], &basis["imported"]["product_family"]),
        (&json!("order-1"), &json!("shoes"))
    );
    // A no ends it, and no later file brings it back.
    anna.withdraws(&["email_marketing"]).await;
    let again = importer.previews("", row("order-2,shoes,yes,,,")).await;
    assert_eq!(again["preview"]["suppressed"]["by_reason"], json!({ "withdrawn": 1 }));
}

async fn sta_17_and_m05_an_implied_consent_lapses(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (mailer, importer) = (gateway.mailer().await, gateway.importer().await);
    let [buyer, asker] = ["buyer", "asker"].map(|name| gateway.person(name).of_region(Some("CA-ON")));
    gateway.clock().set("2026-02-01T00:00:00Z".parse().unwrap());
    let file = format!(
        "email,region,captured_at,purpose:email_marketing\n\
         {},CA-ON,2024-02-29T12:00:00Z,implied_purchase\n{},CA-ON,2025-08-31T12:00:00Z,implied_inquiry\n",
        buyer.email, asker.email
    );
    importer.imports("", file).await;
    let known = async |at: &str| {
        gateway.clock().set(at.parse().unwrap());
        (mailer.may_know(&buyer).await, mailer.may_know(&asker).await)
    };
    assert_eq!(known("2026-02-28T11:59:59Z").await, (true, true));
    // 24 months after 29 February, and six after 31 August: each on the last day of its February.
    assert_eq!(known("2026-02-28T12:00:00Z").await, (false, false));
    expect_refused(&gateway, &mailer, &buyer, "expired").await;
}

async fn not_02_the_person_is_told_within_a_month_and_no_later_than_the_first_disclosure(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (mailer, importer, officer) = (gateway.mailer().await, gateway.importer().await, gateway.officer().await);
    gateway.clock().set("2026-01-31T10:00:00Z".parse().unwrap());
    let query = "?controllers=example_shop";
    let file = consents(&gateway, "2026-01-30T08:00:00Z", &["anna", "berta"]);
    let import = importer.imports(query, file).await;
    // February has no 31st: the last day, and no weekend moves it (28 February 2026 is a Saturday).
    assert_eq!(
        import["art14"],
        json!({ "persons": 2, "due_at": "2026-02-28T10:00:00.000Z", "because": "one_month" })
    );
    let [anna, berta] = ["anna", "berta"].map(|name| gateway.person(name));
    let due = async |person: &Person<'_>| officer.copy(person).await["imports"].clone();
    assert_eq!(due(&anna).await[0]["art14_due_at"], "2026-02-28T10:00:00.000Z");
    assert_eq!((&due(&anna).await[0]["source"], &due(&anna).await[0]["import"]), (&json!("shop"), &import["id"]));
    // Anna's address is released to be mailed: then at the latest she has to be told.
    gateway.clock().set("2026-02-10T07:00:00Z".parse().unwrap());
    assert!(mailer.may_know(&anna).await);
    let shown = importer.shows(&import).await;
    assert_eq!(
        shown["art14"],
        json!({ "persons": 2, "due_at": "2026-02-10T07:00:00.000Z", "because": "first_disclosure" })
    );
    assert_eq!(
        (&due(&anna).await[0]["art14_due_at"], &due(&anna).await[0]["art14_because"]),
        (&json!("2026-02-10T07:00:00.000Z"), &json!("first_disclosure"))
    );
    assert_eq!(due(&berta).await[0]["art14_due_at"], "2026-02-28T10:00:00.000Z");
    // A later file of the same source does not put it off.
    let file = consents(&gateway, "2026-02-09T08:00:00Z", &["berta"]);
    importer.imports(query, file).await;
    assert_eq!(due(&berta).await.as_array().unwrap().len(), 1);
    assert_eq!(due(&berta).await[0]["art14_due_at"], "2026-02-28T10:00:00.000Z");
    // Who was informed already is not counted.
    let file = consents(&gateway, "2026-02-09T08:00:00Z", &["clara"]);
    let informed = importer.imports("?controllers=example_shop&informed=true", file).await;
    assert!(informed["art14"].is_null());
    assert_eq!(due(&gateway.person("clara")).await, json!([]));
    // And an erasure leaves nothing of it.
    officer.erases(&berta).await;
    assert_eq!(importer.shows(&import).await["art14"]["persons"], 1);
}

async fn two_applications_at_once_have_one_effect(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let twin = gateway.twin_under(lenient()).await;
    let importer = gateway.importer().await;
    let names: Vec<String> = (0..1_200).map(|number| format!("person-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &names);
    let preview = importer.previews("?controllers=example_shop", file).await;
    assert_eq!(preview["preview"]["new"], 1_200);
    let path = format!("/v1/imports/{}/apply", preview["id"].as_str().unwrap());
    let token = importer.client.token().await;
    let apply = async |at: &TestGateway| at.send(at.request("POST", &path).bearer_auth(&token)).await.expect(200);
    let (one, two, three) = tokio::join!(apply(&gateway), apply(&twin), apply(&gateway));
    for answer in [one, two, three] {
        assert_eq!(answer.json()["status"], "applied");
    }
    let shown = importer.shows(&preview).await;
    assert_eq!((&shown["applied"]["new"], &shown["applied"]["changed"]), (&json!(1_200), &json!(0)));
    let database = gateway.database();
    assert_eq!(database.number("SELECT count(*) FROM subject").await, 1_200);
    assert_eq!(database.number("SELECT count(*) FROM consent_event").await, 1_200);
    gateway.expect_sound_ledger().await;
}

async fn what_waits_is_sealed_and_goes_with_an_erasure(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (importer, officer, anna) = (gateway.importer().await, gateway.officer().await, gateway.person("anna"));
    anna.gives(&["profiling_segmentation"]).await;
    let file = format!(
        "email,customer_id,city,captured_at,evidence_id\n{},{MARK}-1,{MARK}-city,2026-11-22T12:00:00Z,{MARK}-evidence\n\
         {},{MARK}-2,{MARK}-town,2026-11-22T12:00:00Z,\n",
        anna.email,
        address("berta")
    );
    importer.previews("", file).await;
    let database = gateway.database();
    assert_eq!(database.number("SELECT count(*) FROM import_row").await, 2);
    let everything = database.everything().await;
    for text in [MARK, "q7canary-city", "q7canary-evidence", "q7canary-1"] {
        expect_no_trace(&everything, text);
    }
    let sealed = database.bytes("SELECT sealed FROM import_row ORDER BY line").await;
    officer.erases(&anna).await;
    assert_eq!(database.number("SELECT count(*) FROM import_row").await, 1);
    let everything = database.everything().await;
    assert!(!everything.windows(sealed[0].len()).any(|window| window == sealed[0]));
}

async fn a_discarded_import_is_gone_and_an_expired_one_is_purged(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let importer = gateway.importer().await;
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna", "berta"]);
    let rows = async || gateway.database().number("SELECT count(*) FROM import_row").await;
    let keys = async || gateway.database().number("SELECT count(wrapped_key) FROM import").await;
    let discarded = importer.previews("?controllers=example_shop", file.clone()).await;
    for _ in 0..2 {
        importer.discards(&discarded).await.expect(204);
        assert_eq!((rows().await, keys().await), (0, 0));
    }
    importer.tries_to_apply(&discarded).await.expect_problem(410, "import_gone");
    assert_eq!(importer.shows(&discarded).await["status"], "discarded");

    let applied = importer.imports("?controllers=example_shop", file.clone()).await;
    importer.discards(&applied).await.expect_problem(409, "import_begun");

    let late = importer
        .previews("?controllers=example_shop", consents(&gateway, "2026-11-01T08:00:00Z", &["clara"]))
        .await;
    let job = Authorized::prove(Actor::Job("suite")).unwrap();
    gateway.clock().advance_ms(86_399_999);
    gateway.gateway().tend_imports(&job).await.unwrap();
    assert_eq!((rows().await, importer.shows(&late).await["status"].clone()), (1, json!("previewed")));
    gateway.clock().advance_ms(1);
    importer.tries_to_apply(&late).await.expect_problem(410, "import_gone");
    assert_eq!(importer.shows(&late).await["status"], "expired");
    gateway.gateway().tend_imports(&job).await.unwrap();
    assert_eq!((rows().await, keys().await), (0, 0));
    assert!(!gateway.officer().await.holds(&gateway.person("clara")).await);
    gateway.expect_sound_ledger().await;
}

async fn an_import_is_its_sources_alone(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let (importer, other) = (gateway.importer().await, gateway.importer_of("crm").await);
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna"]);
    let preview = importer.previews("?controllers=example_shop", file).await;
    let path = format!("/v1/imports/{}", preview["id"].as_str().unwrap());
    other.client.get(&path).await.expect_problem(404, "import_not_found");
    other.tries_to_apply(&preview).await.expect_problem(404, "import_not_found");
    other.discards(&preview).await.expect_problem(404, "import_not_found");
    importer.client.get("/v1/imports/nothing").await.expect_problem(404, "import_not_found");
    importer.client.get(&format!("/v1/imports/{}", "0".repeat(32))).await.expect_problem(404, "import_not_found");
    assert_eq!(importer.shows(&preview).await["status"], "previewed");
    let role = crate::harness::Role { scopes: vec![kernel::authz::Scope::ImportsWrite], ..Default::default() };
    let nobody = crate::harness::Client::registered(&gateway, role).await;
    let request = nobody.request("POST", "/v1/imports").await.header("content-type", "text/csv").body("email\n");
    gateway.send(request).await.expect_problem(403, "source_mismatch");
}

async fn an_import_is_not_begun_under_another_policy(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let importer = gateway.importer().await;
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna"]);
    let preview = importer.previews("?controllers=example_shop", file).await;
    let (id, secret) = (importer.client.id.clone(), importer.client.secret.clone());
    drop(importer);
    let gateway = gateway.under(consentry::assets::shipped_policy()).await;
    let client = crate::harness::Client::known(&gateway, id, secret);
    let importer = crate::harness::Importer { client };
    importer.tries_to_apply(&preview).await.expect_problem(409, "policy_changed");
    assert!(!gateway.officer().await.holds(&gateway.person("anna")).await);
}

async fn the_same_file_with_the_same_key_is_one_import(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let importer = gateway.importer().await;
    let send = async |file: &str, key: &str| {
        let request = importer.client.request("POST", "/v1/imports?controllers=example_shop").await;
        let request = request.header("content-type", "text/csv").header("idempotency-key", key);
        gateway.send(request.body(file.to_owned())).await
    };
    let file = consents(&gateway, "2026-11-01T08:00:00Z", &["anna"]);
    let first = send(&file, "one").await.expect(201);
    let again = send(&file, "one").await.expect(201);
    assert_eq!((first.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
    assert_eq!(first.header("idempotency-replayed"), None);
    send(&format!("{file}\n"), "one").await.expect_problem(422, "idempotency_key_reused");
    send(&file, "").await.expect_problem(400, "idempotency_key_malformed");
    assert_ne!(send(&file, "two").await.expect(201).json()["id"], first.json()["id"]);
    assert_eq!(gateway.database().number("SELECT count(*) FROM import WHERE status = 'previewed'").await, 2);
    assert_eq!(gateway.database().number("SELECT count(*) FROM import_row").await, 2);
}

async fn the_ledger_and_the_figures_count_it_without_naming_anybody(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lenient()).await;
    let importer = gateway.importer().await;
    gateway.person("berta").refuses(&["email_marketing"]).await;
    let before = gateway.expect_sound_ledger().await.entries;
    let file = consents(&gateway, "2026-11-22T12:00:00Z", &["anna", "berta", "clara"]);
    let preview = importer.previews("?controllers=example_shop", file).await;
    importer.applies(&preview).await;
    // One entry for the preview and one for the rows applied.
    assert_eq!(gateway.expect_sound_ledger().await.entries, before + 2);
    let ledger = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await.concat();
    for text in [MARK, "anna", "example.org"] {
        expect_no_trace(&ledger, text);
    }
    let figures = gateway.gateway().figures();
    assert_eq!((figures.imports_previewed, figures.import_rows_applied), (1, 2));
    let text = gateway.get("/metrics").await.expect(200).text();
    assert!(text.contains("consentry_import_rows_applied_total 2"), "{text}");
}
