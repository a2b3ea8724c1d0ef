//! What a withdrawal leaves to be done: data without a ground goes, and whoever relied on the consent is put down to be
//! told.

use serde_json::{Value, json};

use crate::harness::{Backend, Line, Person, TestGateway};

on_both!(
    sta_04_what_was_held_on_a_withdrawn_consent_only_is_erased,
    sta_04_a_feed_does_not_bring_back_what_was_forgotten,
    sta_04_and_05_a_withdrawal_in_a_file_forgets_and_tells_as_well,
    sta_05_a_withdrawal_is_passed_on_to_every_recipient_and_to_the_source,
);

/// The names of a person's stored attributes.
async fn stored(gateway: &TestGateway, person: &Person<'_>) -> Vec<String> {
    let copy = gateway.officer().await.copy(person).await;
    let attributes = copy["attributes"].as_array().unwrap().clone();
    attributes.iter().map(|attribute| attribute["name"].as_str().unwrap().to_owned()).collect()
}

/// Visits serve groups alone; the topic groups and the network; the region the prevention of fraud as well.
fn facts() -> Value {
    json!({ "visits_30d": 3, "interest_topic": "books", "region": "DE-BY" })
}

async fn sta_04_what_was_held_on_a_withdrawn_consent_only_is_erased(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    anna.gives(&["email_marketing", "profiling_segmentation", "share_third_party"]).await;
    shop.sends(&[Line::of(&anna, facts()).of_region("DE")]).await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "interest_topic", "region", "visits_30d"]);
    anna.withdraws(&["profiling_segmentation"]).await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "interest_topic", "region"]);
    anna.withdraws(&["share_third_party"]).await;
    // The address is needed for orders, the region against fraud.
    assert_eq!(stored(&gateway, &anna).await, ["email", "region"]);
    // The proof of what was given stays.
    let events = gateway.officer().await.events(&anna).await;
    assert!(events.contains(&"GRANT_CONFIRMED".to_owned()), "{events:?}");
    gateway.expect_sound_ledger().await;
    // A Californian's data was not held on a consent.
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    shop.sends(&[Line::of(&carla, facts()).of_region("US-CA")]).await;
    carla.withdraws(&["profiling_segmentation"]).await;
    assert_eq!(stored(&gateway, &carla).await, ["interest_topic", "region", "visits_30d"]);
}

async fn sta_04_a_feed_does_not_bring_back_what_was_forgotten(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    anna.gives(&["profiling_segmentation"]).await;
    shop.sends(&[Line::of(&anna, facts()).of_region("DE")]).await;
    anna.asks("object_direct_marketing").await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "region"]);
    shop.sends(&[Line::of(&anna, facts())]).await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "region"]);
    // The person's own new consent lets it in again.
    anna.gives(&["profiling_segmentation"]).await;
    shop.sends(&[Line::of(&anna, facts())]).await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "interest_topic", "region", "visits_30d"]);
}

async fn sta_05_a_withdrawal_is_passed_on_to_every_recipient_and_to_the_source(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, adnetwork) = (gateway.person("anna"), gateway.adnetwork().await);
    anna.gives(&["email_marketing", "share_third_party"]).await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    let told = async || {
        let copy = gateway.officer().await.copy(&anna).await;
        let notices = copy["withdrawal_notices"].as_array().unwrap().clone();
        let of = |notice: &Value| {
            assert!(notice["sent_at"].is_null() && notice["acknowledged_at"].is_null(), "{notice}");
            let part = |key: &str| notice[key].as_str().unwrap().to_owned();
            [part("purpose"), part("party"), part("name")].join(" ")
        };
        notices.iter().map(of).collect::<Vec<_>>()
    };
    assert!(told().await.is_empty());
    // Taken back from the shop, it is taken back from the network, which is another controller.
    anna.withdraws(&["share_third_party"]).await;
    assert!(adnetwork.knows().await.is_empty());
    let share = ["share_third_party recipient adnetwork", "share_third_party source checkout"];
    assert_eq!(told().await, share);
    // Said again, it is no news.
    anna.withdraws(&["share_third_party"]).await;
    assert_eq!(told().await, share);
    anna.asks("withdraw_all").await;
    let mail = ["email_marketing recipient mailer", "email_marketing source checkout"];
    assert_eq!(told().await, [share, mail].concat());
    // What is written down goes with the person.
    gateway.officer().await.erases(&anna).await;
    assert_eq!(gateway.database().number("SELECT count(*) FROM recipient_notice").await, 0);
}

async fn sta_04_and_05_a_withdrawal_in_a_file_forgets_and_tells_as_well(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    anna.gives(&["profiling_segmentation", "share_third_party"]).await;
    shop.sends(&[Line::of(&anna, facts()).of_region("DE")]).await;
    let at = gateway.later();
    let file = format!("email,captured_at,purpose:share_third_party\n{},{at},withdrawn\n", anna.email);
    let applied = gateway.importer().await.imports("", file).await;
    assert_eq!(applied["applied"]["changed"], 1);
    let copy = gateway.officer().await.copy(&anna).await;
    let notices = copy["withdrawal_notices"].as_array().unwrap();
    let told: Vec<_> = notices.iter().map(|notice| &notice["name"]).collect();
    assert_eq!(told, ["adnetwork", "checkout"]);
    // The topic is still held for the groups.
    assert_eq!(stored(&gateway, &anna).await, ["email", "interest_topic", "region", "visits_30d"]);
    let at = gateway.later();
    let file = format!("email,captured_at,purpose:profiling_segmentation\n{},{at},withdrawn\n", anna.email);
    gateway.importer().await.imports("", file).await;
    assert_eq!(stored(&gateway, &anna).await, ["email", "region"]);
    gateway.expect_sound_ledger().await;
}
