//! Nobody stands alone and no name lasts: epochs of pseudonyms, groups of at least k, statistics, and what recipients are
//! told when a person goes (rows PSE and REG of the law).

use kernel::ledger::{LedgerEntry, LedgerEvent};
use serde_json::{Value, json};

use crate::harness::{Backend, Line, Officer, Person, Recipient, TestGateway, policy_with};

on_both!(
    pse_04_a_name_of_an_old_epoch_is_refused_after_its_grace,
    pse_05_a_combination_that_fewer_than_k_share_is_served_coarser,
    pse_05_several_answers_put_together_tell_no_more_than_one,
    pse_06_an_erased_persons_name_leads_nowhere_and_its_recipients_are_told_by_it,
    pse_06_a_recipient_is_told_that_a_permission_changed_and_nobody_else_is,
    pse_07_a_recipient_that_cannot_identify_persons_is_recorded_and_told_all_the_same,
    pse_12_denied_unknown_and_small_cell_look_alike,
    pse_13_counts_before_and_after_one_withdrawal_look_alike,
    pse_16_an_address_is_not_released_after_a_withdrawal_between_segment_and_send,
    pse_17_statistics_have_no_small_group_and_nobodys_name,
    reg_05_a_recipient_without_a_contract_or_after_its_end_receives_nothing,
    reg_06_a_third_party_without_a_contract_receives_nothing,
    reg_03_a_decision_can_be_replayed_as_it_came_out,
    cap_06_the_ledgers_entry_names_the_notice_that_was_shown,
);

const PROFILING: &str = "profiling_segmentation";
const QUASI: &str = "&attributes=age_band,region,household_band";
const DAY: i64 = 86_400_000;

/// Persons who agreed to profiling, and of whom the shop sent attributes.
async fn persons<'a>(gateway: &'a TestGateway, names: &str, count: usize, attributes: Value) -> Vec<Person<'a>> {
    let mut persons = Vec::new();
    let mut lines = Vec::new();
    for number in 0..count {
        let person = gateway.person(&format!("{names}{number}"));
        person.gives(&[PROFILING]).await;
        let mut attributes = attributes.clone();
        attributes["region"] = json!("DE-BY");
        lines.push(Line::of(&person, attributes));
        persons.push(person);
    }
    gateway.shop().await.sends(&lines).await;
    persons
}

fn quasi(row: &Value) -> (&Value, &Value, &Value) {
    (&row["age_band"], &row["region"], &row["household_band"])
}

async fn pse_04_a_name_of_an_old_epoch_is_refused_after_its_grace(backend: Backend) {
    let turning = "\"propensity_model\", \"health_interest\",\n]\nepoch = 1";
    let policy = policy_with(&[(
        "recipients.toml",
        turning,
        &format!("{turning}\nepoch_began = 2026-11-01\nepoch_lasts = \"P1M\"\ngrace_days = 10"),
    )]);
    let gateway = TestGateway::start_under(backend, policy).await;
    let (anna, segmentation, officer) =
        (gateway.person("anna"), gateway.segmentation().await, gateway.officer().await);
    anna.gives(&[PROFILING]).await;
    let old = segmentation.knows().await.into_iter().next().unwrap();
    assert!(old.starts_with("p1-"));
    let known = async |name: &str| segmentation.looks_up_names(&[name]).await.profiles();
    let set = |at: &str| gateway.clock().set(at.parse().unwrap());
    set("2026-11-30T23:59:59Z");
    assert_eq!(known(&old).await[0]["pseudonym"], old);
    // In its grace the old name is understood, and answered with the new one.
    set("2026-12-10T23:59:59Z");
    let new = known(&old).await[0]["pseudonym"].as_str().unwrap().to_owned();
    assert!(new.starts_with("p2-") && new[3..] != old[3..]);
    set("2026-12-11T00:00:00Z");
    assert_eq!(known(&old).await, Vec::<Value>::new());
    assert_eq!(known(&new).await[0]["pseudonym"], new);
    assert_eq!(segmentation.knows().await.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&new));
    // Not even an officer gets back from it.
    let of =
        |name: &str| json!({ "pseudonym": { "recipient": "segmentation", "purpose": PROFILING, "name": name } });
    officer.client.post("/v1/subjects/lookup", &of(&old)).await.expect_problem(404, "subject_not_found");
    let found = officer.client.post("/v1/subjects/lookup", &of(&new)).await.expect(200).json();
    assert_eq!(found["id"], officer.finds(&anna).await);
    // The account tells each disclosure with the name that was used then.
    let told = officer.file(&anna, "disclosures").await.expect(200).json();
    let names: Vec<_> =
        told["disclosures"].as_array().unwrap().iter().map(|one| one["pseudonym"].as_str().unwrap()).collect();
    assert!(names.contains(&old.as_str()) && names.contains(&new.as_str()), "{names:?}");
}

async fn pse_05_a_combination_that_fewer_than_k_share_is_served_coarser(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    persons(&gateway, "many", 10, json!({ "birth_date": "1985-05-05", "household_size": 2 })).await;
    let one = persons(&gateway, "one", 1, json!({ "birth_date": "1985-05-05", "household_size": 5 })).await;
    let old = persons(&gateway, "old", 9, json!({ "birth_date": "1950-05-05", "household_size": 2 })).await;
    let segmentation = gateway.segmentation().await;
    let rows = segmentation.pulls_as("*/*", QUASI).await.expect(200).lines();
    let count = |of: (Value, Value, Value)| rows.iter().filter(|row| quasi(row) == (&of.0, &of.1, &of.2)).count();
    assert_eq!(count((json!("35-44"), json!("DE"), json!("2"))), 10);
    // One alone has nobody of the same household size; nine of an age are not ten.
    assert_eq!(count((Value::Null, Value::Null, Value::Null)), 10, "{rows:?}");
    assert_eq!(rows.len(), 20);
    // What is no quasi-identifier is not touched, and the others are in no group by themselves either.
    let all = segmentation.pulls().await.rows;
    assert!(all.iter().filter(|row| quasi(row) == (&json!("35-44"), &json!("DE"), &json!("2"))).count() == 10);
    // A tenth comes: within minutes they are a group.
    persons(&gateway, "tenth", 1, json!({ "birth_date": "1951-05-05", "household_size": 2 })).await;
    gateway.clock().advance_ms(300_000);
    let rows = segmentation.pulls_as("*/*", QUASI).await.expect(200).lines();
    let of_old = rows.iter().filter(|row| quasi(row) == (&json!("65+"), &json!("DE"), &json!("2"))).count();
    assert_eq!(of_old, 10);
    // And one goes.
    old[0].withdraws(&[PROFILING]).await;
    gateway.clock().advance_ms(300_000);
    let rows = segmentation.pulls_as("*/*", QUASI).await.expect(200).lines();
    assert!(rows.iter().all(|row| row["age_band"] != "65+"), "{rows:?}");
    drop(one);
}

async fn pse_05_several_answers_put_together_tell_no_more_than_one(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    // Ten of each age, ten of each size, and one of this age with this size.
    persons(&gateway, "a", 10, json!({ "birth_date": "1985-05-05", "household_size": 2 })).await;
    persons(&gateway, "b", 10, json!({ "birth_date": "1950-05-05", "household_size": 5 })).await;
    persons(&gateway, "c", 1, json!({ "birth_date": "1985-05-05", "household_size": 5 })).await;
    let segmentation = gateway.segmentation().await;
    let mut put_together: std::collections::BTreeMap<String, Vec<Value>> = std::collections::BTreeMap::new();
    for attribute in ["age_band", "household_band", "region"] {
        let rows = segmentation.pulls_as("*/*", &format!("&attributes={attribute}")).await.expect(200).lines();
        for row in rows {
            let name = row["pseudonym"].as_str().unwrap().to_owned();
            put_together.entry(name).or_default().push(row[attribute].clone());
        }
    }
    let mut groups: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for values in put_together.values() {
        *groups.entry(json!(values).to_string()).or_default() += 1;
    }
    let nothing = json!([null, null, null]).to_string();
    assert!(groups.iter().all(|(values, count)| *count >= 10 || *values == nothing), "{groups:?}");
    assert_eq!(groups.values().sum::<usize>(), 21);
    // One by one they tell no more than in bulk.
    for (name, values) in &put_together {
        let ask = json!({ "purpose": PROFILING, "attributes": ["household_band"], "pseudonyms": [name] });
        assert_eq!(segmentation.looks_up(&ask).await.profiles()[0]["attributes"]["household_band"], values[1]);
    }
}

async fn pse_12_denied_unknown_and_small_cell_look_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let small = persons(&gateway, "small", 1, json!({ "birth_date": "1985-05-05", "household_size": 2 })).await;
    let unknown = persons(&gateway, "unknown", 1, json!({ "visits_30d": 5 })).await;
    let denied = persons(&gateway, "denied", 1, json!({ "birth_date": "1985-05-05" })).await;
    let segmentation = gateway.segmentation().await;
    let rows = segmentation.pulls_as("*/*", QUASI).await.expect(200).lines();
    let mut shapes: Vec<String> = Vec::new();
    for row in &rows {
        let name = row["pseudonym"].as_str().unwrap();
        shapes.push(row.to_string().replace(name, ""));
    }
    assert_eq!(rows.len(), 3);
    // Of a value that nine others lack and of one that is not known the same is told.
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
    // Who denies, who is erased and who never was are absent alike.
    let names = rows.iter().map(|row| row["pseudonym"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    denied[0].withdraws(&[PROFILING]).await;
    gateway.officer().await.erases(&unknown[0]).await;
    let nobody = "p1-00112233445566778899aabbccddeeff";
    let mut answers = std::collections::BTreeSet::new();
    for name in names.iter().map(String::as_str).chain([nobody]) {
        answers.insert(segmentation.looks_up_names(&[name]).await.without_pull_id().replace(name, ""));
    }
    // One is there still, the other three are one answer.
    assert_eq!(answers.len(), 2, "{answers:?}");
    drop(small);
}

async fn count(recipient: &Recipient<'_>, attributes: &[&str]) -> Value {
    let ask = json!({ "purpose": recipient.purpose, "attributes": attributes });
    recipient.client.post("/v1/segments/count", &ask).await.expect(200).json()
}

async fn pse_13_counts_before_and_after_one_withdrawal_look_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let known = persons(&gateway, "p", 12, json!({ "birth_date": "1985-05-05" })).await;
    let segmentation = gateway.segmentation().await;
    let before = count(&segmentation, &["age_band"]).await;
    assert_eq!(
        (&before["persons"], &before["groups"]),
        (&json!(10), &json!([{ "attributes": { "age_band": "35-44" }, "persons": 10 }]))
    );
    known[0].withdraws(&[PROFILING]).await;
    // At once the numbers are the same ones, counted at the same time.
    assert_eq!(count(&segmentation, &["age_band"]).await, before);
    // And a new count differs by one person, which the rounding hides.
    gateway.clock().advance_ms(3_600_000);
    let mut after = count(&segmentation, &["age_band"]).await;
    assert_ne!(after["counted_at"], before["counted_at"]);
    after["counted_at"] = before["counted_at"].clone();
    assert_eq!(after, before);
    // From ten to nine the group is gone as a whole.
    for one in &known[1..3] {
        one.withdraws(&[PROFILING]).await;
    }
    gateway.clock().advance_ms(3_600_000);
    let gone = count(&segmentation, &["age_band"]).await;
    assert_eq!(
        (&gone["persons"], &gone["groups"], &gone["groups_withheld"]),
        (&Value::Null, &json!([]), &json!(1))
    );
}

async fn pse_17_statistics_have_no_small_group_and_nobodys_name(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    persons(&gateway, "a", 12, json!({ "birth_date": "1985-05-05", "cart_abandoned": true })).await;
    persons(&gateway, "b", 14, json!({ "birth_date": "1970-05-05" })).await;
    persons(&gateway, "c", 9, json!({ "birth_date": "1950-05-05" })).await;
    gateway.person("dora").refuses(&[PROFILING]).await;
    let (segmentation, adnetwork) = (gateway.segmentation().await, gateway.adnetwork().await);
    let told = count(&segmentation, &["age_band"]).await;
    // The group of nine is not told of, and neither is the one that would give it away by subtraction.
    assert_eq!(told["groups"], json!([{ "attributes": { "age_band": "55-64" }, "persons": 15 }]));
    assert_eq!((&told["persons"], &told["groups_withheld"], &told["least"]), (&json!(35), &json!(2), &json!(10)));
    assert_eq!(adnetwork.purpose, "share_third_party");
    assert_eq!(count(&adnetwork, &["region"]).await["persons"], Value::Null);
    // Nobody's name is in it, nor in what it says it has.
    let text = told.to_string();
    for name in segmentation.knows().await {
        assert!(!text.contains(&name) && !text.contains(&name[3..]));
    }
    let document = consentry::http::openapi::document();
    let schemas = &document["components"]["schemas"];
    for schema in ["SegmentCount", "SegmentGroup"] {
        for member in schemas[schema]["properties"].as_object().unwrap().keys() {
            assert!(!member.contains("id") || member == "groups_withheld", "{member}");
            assert!(!member.contains("pseudonym") && !member.contains("subject"), "{member}");
        }
    }
    // On record as numbers, and no disclosure of anybody.
    let counted = events(&gateway)
        .await
        .into_iter()
        .filter(|event| matches!(event, LedgerEvent::SegmentCounted { groups: 1, withheld: 2, .. }));
    assert_eq!(counted.count(), 1);
    // Not by lists, not for another purpose, not beyond the contract, and not by everything at once.
    let ask = |purpose: &str, attributes: Value| json!({ "purpose": purpose, "attributes": attributes });
    for (body, status, code) in [
        (ask(PROFILING, json!(["interests"])), 422, "invalid_field"),
        (ask("email_marketing", json!(["age_band"])), 403, "purpose_outside_token"),
        (ask(PROFILING, json!(["email"])), 403, "attribute_outside_contract"),
        (ask(PROFILING, json!([])), 422, "empty"),
        (ask(PROFILING, json!(["age_band", "region", "stage", "rfm_recency", "rfm_monetary"])), 422, "too_many"),
    ] {
        segmentation.client.post("/v1/segments/count", &body).await.expect_problem(status, code);
    }
}

async fn events(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry").await;
    entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect()
}

async fn notices(recipient: &Recipient<'_>) -> Vec<Value> {
    let told = recipient.client.get("/v1/profiles/changes").await.expect(200).json();
    told["notices"].as_array().unwrap().clone()
}

async fn acknowledges(recipient: &Recipient<'_>, notices: &[Value]) -> u64 {
    let ids: Vec<_> = notices.iter().map(|notice| &notice["id"]).collect();
    let body = json!({ "notices": ids });
    let answer = recipient.client.post("/v1/profiles/changes/ack", &body).await.expect(200).json();
    answer["acknowledged"].as_u64().unwrap()
}

async fn finds(officer: &Officer<'_>, recipient: &str, purpose: &str, name: &str) -> u16 {
    let body = json!({ "pseudonym": { "recipient": recipient, "purpose": purpose, "name": name } });
    officer.client.post("/v1/subjects/lookup", &body).await.status
}

async fn pse_06_an_erased_persons_name_leads_nowhere_and_its_recipients_are_told_by_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[PROFILING, "share_third_party"]).await;
    let (segmentation, adnetwork, mailer) =
        (gateway.segmentation().await, gateway.adnetwork().await, gateway.mailer().await);
    let name = segmentation.knows().await.into_iter().next().unwrap();
    let sold = adnetwork.knows().await.into_iter().next().unwrap();
    assert_eq!(finds(&officer, "segmentation", PROFILING, &name).await, 200);
    assert_eq!(notices(&segmentation).await, Vec::<Value>::new());
    officer.erases(&anna).await;
    // The name leads nowhere: not for the recipient, not for the officer, not under another's key.
    assert!(segmentation.looks_up_names(&[&name]).await.profiles().is_empty());
    assert_eq!(finds(&officer, "segmentation", PROFILING, &name).await, 404);
    assert_eq!(finds(&officer, "adnetwork", "share_third_party", &name).await, 404);
    // Each recipient is told by its own name, and who received nothing is told nothing.
    for (recipient, name, purpose) in [(&segmentation, &name, PROFILING), (&adnetwork, &sold, "share_third_party")]
    {
        let told = notices(recipient).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0]["kind"], &told[0]["purpose"], &told[0]["pseudonyms"]),
            (&json!("erased"), &json!(purpose), &json!([name]))
        );
        // Until it is acknowledged it comes again.
        assert_eq!(notices(recipient).await, told);
        assert_eq!(acknowledges(recipient, &told).await, 1);
        assert_eq!((notices(recipient).await.len(), acknowledges(recipient, &told).await), (0, 0));
    }
    assert_eq!(notices(&mailer).await, Vec::<Value>::new());
    let acknowledged = events(&gateway).await.into_iter();
    let acknowledged = acknowledged.filter(|event| matches!(event, LedgerEvent::NoticesAcknowledged { .. }));
    assert_eq!(acknowledged.count(), 2);
    // Nothing is left of who was told of.
    assert_eq!(gateway.database().number("SELECT count(*) FROM recipient_message").await, 0);
}

async fn pse_06_a_recipient_is_told_that_a_permission_changed_and_nobody_else_is(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[PROFILING, "share_third_party"]).await;
    let (segmentation, adnetwork) = (gateway.segmentation().await, gateway.adnetwork().await);
    let name = segmentation.knows().await.into_iter().next().unwrap();
    adnetwork.knows().await;
    officer.restricts(&anna, "accuracy_contested").await.expect(201);
    let told = notices(&segmentation).await;
    assert_eq!((told.len(), &told[0]["kind"], &told[0]["pseudonyms"]), (1, &json!("changed"), &json!([name])));
    // Another's acknowledgement is none.
    assert_eq!(acknowledges(&adnetwork, &told).await, 0);
    assert_eq!(acknowledges(&segmentation, &told).await, 1);
    assert_eq!((notices(&segmentation).await.len(), notices(&adnetwork).await.len()), (0, 1));
    // Lifted, it is told again, and the person is found again.
    officer.lifts(&anna).await.expect(201);
    assert_eq!(notices(&segmentation).await.len(), 1);
    assert_eq!(segmentation.looks_up_names(&[&name]).await.profiles().len(), 1);
    // The person reads it all in the copy, with when it was told.
    let copy = officer.copy(&anna).await;
    assert!(copy.to_string().contains("acknowledged_at"), "{copy}");
}

async fn pse_07_a_recipient_that_cannot_identify_persons_is_recorded_and_told_all_the_same(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let rule = gateway.gateway().policy().recipient(&"adnetwork".parse().unwrap()).unwrap().clone();
    assert!(rule.no_reid.is_some());
    let (anna, adnetwork, officer) = (gateway.person("anna"), gateway.adnetwork().await, gateway.officer().await);
    anna.gives(&["share_third_party"]).await;
    let entries = gateway.expect_sound_ledger().await.entries;
    let name = adnetwork.knows().await.into_iter().next().unwrap();
    // Recorded, exported, and erased with a notice.
    assert_eq!(gateway.expect_sound_ledger().await.entries, entries + 1);
    let copy = officer.copy(&anna).await;
    let received = copy["disclosures"].as_array().unwrap();
    assert!(
        received.iter().any(|one| one["recipient"] == "adnetwork" && one["pseudonym"] == name.as_str()),
        "{copy}"
    );
    officer.erases(&anna).await;
    assert_eq!(notices(&adnetwork).await[0]["pseudonyms"], json!([name]));
    assert!(adnetwork.looks_up_names(&[&name]).await.profiles().is_empty());
}

async fn pse_16_an_address_is_not_released_after_a_withdrawal_between_segment_and_send(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    for person in [&anna, &berta] {
        person.gives(&["email_marketing"]).await;
    }
    let mailer = gateway.mailer().await;
    // The segment is chosen by names alone.
    let segment = mailer.knows().await;
    let segment: Vec<&str> = segment.iter().map(String::as_str).collect();
    let resolved = async || {
        let body = json!({ "purpose": "email_marketing", "campaign": mailer.campaign(), "pseudonyms": segment });
        let answer = mailer.client.post("/v1/deliveries/resolve", &body).await.expect(200);
        (answer.json()["deliveries"].as_array().unwrap().len(), answer.text().contains(&anna.email))
    };
    assert_eq!(resolved().await, (2, true));
    anna.withdraws(&["email_marketing"]).await;
    assert_eq!(resolved().await, (1, false));
    // And who groups persons has no way to an address at all.
    let body = json!({ "purpose": PROFILING, "campaign": mailer.campaign(), "pseudonyms": segment });
    let segmentation = gateway.segmentation().await;
    segmentation.client.post("/v1/deliveries/resolve", &body).await.expect_problem(403, "not_a_sender");
}

async fn reg_05_a_recipient_without_a_contract_or_after_its_end_receives_nothing(backend: Backend) {
    let contract = "contract = { reference = \"DPA-2026-07\", kind = \"service_provider\" }\n";
    let ends = contract.replace(" }", ", ends = 2026-11-30 }");
    let gateway = TestGateway::start_under(backend, policy_with(&[("recipients.toml", contract, &ends)])).await;
    gateway.person("anna").gives(&["profiling_segmentation"]).await;
    gateway.shop().await.sends(&[Line::of(&gateway.person("anna"), json!({ "visits_30d": 1 }))]).await;
    let risk_check = gateway.risk_check().await;
    let set = |at: &str| gateway.clock().set(at.parse().unwrap());
    set("2026-11-30T23:59:59Z");
    assert_eq!(risk_check.knows().await.len(), 1);
    set("2026-12-01T00:00:00Z");
    assert_eq!(risk_check.pulls_on_record().await, (0, [("recipient", 1)].into()));
    let gateway = gateway.under(policy_with(&[("recipients.toml", contract, "")])).await;
    set_back(&gateway);
    assert_eq!(gateway.risk_check().await.pulls_on_record().await, (0, [("recipient", 1)].into()));
}

fn set_back(gateway: &TestGateway) {
    gateway.clock().set(crate::harness::START.parse().unwrap());
    gateway.clock().advance_ms(DAY);
}

async fn reg_06_a_third_party_without_a_contract_receives_nothing(backend: Backend) {
    let contract = "contract = { reference = \"SHARE-2026-02\", kind = \"third_party\" }\n";
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    carla.gives(&["share_third_party"]).await;
    assert_eq!(gateway.adnetwork().await.knows().await.len(), 1);
    let gateway = gateway.under(policy_with(&[("recipients.toml", contract, "")])).await;
    assert_eq!(gateway.adnetwork().await.pulls_on_record().await, (0, [("recipient", 1)].into()));
}

async fn reg_03_a_decision_can_be_replayed_as_it_came_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, segmentation) =
        (gateway.person("anna"), gateway.officer().await, gateway.segmentation().await);
    let ask = "purpose=profiling_segmentation&attribute=age_band";
    // Each step changes the outcome; afterwards each is replayed with what was known and in force then.
    let mut outcomes = Vec::new();
    anna.refuses(&[PROFILING]).await;
    for step in 0..4 {
        gateway.later();
        let known = segmentation.knows().await.len();
        let at = gateway.later();
        let told = officer.explains(&anna, ask).await;
        outcomes.push((at, known, told["result"].clone(), told["reason"].clone(), told["policy"].clone()));
        gateway.later();
        match step {
            0 => drop(anna.gives(&[PROFILING]).await),
            1 => drop(officer.restricts(&anna, "unlawful").await.expect(201)),
            2 => drop(officer.lifts(&anna).await.expect(201)),
            _ => drop(anna.withdraws(&[PROFILING]).await),
        }
    }
    assert_eq!(outcomes.iter().map(|(_, known, ..)| *known).collect::<Vec<_>>(), [0, 1, 0, 1]);
    gateway.clock().advance_ms(DAY);
    for (at, known, outcome, reason, policy) in outcomes {
        let again = officer.explains(&anna, &format!("{ask}&as_of={at}")).await;
        assert_eq!(
            (&again["result"], &again["reason"], &again["policy"]),
            (&outcome, &reason, &policy),
            "{known}"
        );
        assert_eq!(outcome == "permit", known == 1, "{outcome}");
    }
}

async fn cap_06_the_ledgers_entry_names_the_notice_that_was_shown(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&[PROFILING]).await;
    gateway.person("anna").withdraws(&[PROFILING]).await;
    let notices: Vec<_> = events(&gateway)
        .await
        .into_iter()
        .filter_map(|event| match event {
            LedgerEvent::ConsentCaptured { notice, .. } => Some(notice.map(|digest| digest.to_string())),
            _ => None,
        })
        .collect();
    // A withdrawal needs none.
    assert_eq!(notices, [Some(gateway.notice("checkout", "en")), None]);
}
