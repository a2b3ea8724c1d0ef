//! Which law applies to a person, how that is known, and how sure a consent must be under it.

use kernel::policy::document::PolicySources;
use serde_json::json;

use crate::harness::{Backend, Line, TestGateway, policy_with};

on_both!(
    a_regime_is_stored_with_how_it_is_known,
    several_regimes_each_must_permit,
    a_regime_may_ask_for_more_assurance_than_the_others,
    cap_04_and_05_void_grants_are_counted_for_the_officer,
);

/// The shipped policy with forms that are made for one country.
fn made_for_germany() -> PolicySources {
    let state = "default_state = \"unchecked\"\n";
    policy_with(&[("forms.toml", state, &format!("{state}default_regime = \"EU_GDPR:DE\"\n"))])
}

async fn a_regime_is_stored_with_how_it_is_known(backend: Backend) {
    let gateway = TestGateway::start_under(backend, made_for_germany()).await;
    let officer = gateway.officer().await;
    let known = async |name: &str| {
        let copy = officer.copy(&gateway.person(name)).await;
        let events = copy["events"].as_array().unwrap().clone();
        let declared = events.into_iter().filter(|event| event["event"] == "REGIME_DECLARED");
        let sources: Vec<_> =
            declared.map(|event| (event["regime"].clone(), event["regime_source"].clone())).collect();
        (copy["standing"]["regimes"].clone(), copy["standing"]["assumed_regimes"].clone(), sources)
    };
    gateway.person("declared").gives(&["email_marketing"]).await;
    let of_form = (json!("EU_GDPR:DE"), json!("form"));
    let declared = (json!("EU_GDPR:DE"), json!("declared"));
    assert_eq!(known("declared").await, (json!(["EU_GDPR:DE"]), json!([]), vec![declared.clone()]));
    gateway.person("silent").of_region(None).gives(&["email_marketing"]).await;
    assert_eq!(known("silent").await, (json!(["EU_GDPR:DE"]), json!(["EU_GDPR:DE"]), vec![of_form.clone()]));
    // A declaration outweighs the assumption, and neither is written down twice.
    gateway.person("silent").gives(&["email_marketing"]).await;
    gateway.person("silent").of_region(None).gives(&["email_marketing"]).await;
    assert_eq!(known("silent").await, (json!(["EU_GDPR:DE"]), json!([]), vec![of_form, declared]));
}

async fn several_regimes_each_must_permit(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, adnetwork) = (gateway.shop().await, gateway.adnetwork().await);
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let line = |region| Line::of(&carla, json!({ "birth_date": "1990-05-05" })).of_region(region);
    shop.sends(&[line("US-CA")]).await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    // In Virginia, too, nobody has to ask; in Germany one has.
    shop.sends(&[line("US-VA")]).await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    shop.sends(&[line("DE")]).await;
    assert_eq!(adnetwork.knows().await.len(), 0);
    carla.gives(&["share_third_party"]).await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    carla.asks("opt_out_sale_share").await;
    assert_eq!(adnetwork.knows().await.len(), 0);
}

/// The shipped policy, in which Germany asks for a confirmed mailbox.
fn confirmed_in_germany() -> PolicySources {
    let id = "id = \"email_marketing\"\n";
    let assurance = "assurance = { default = \"form\", \"EU_GDPR:DE\" = \"confirmed_mailbox\" }\n";
    policy_with(&[("purposes.toml", id, &format!("{id}{assurance}"))])
}

async fn a_regime_may_ask_for_more_assurance_than_the_others(backend: Backend) {
    let gateway = TestGateway::start_under(backend, confirmed_in_germany()).await;
    let mailer = gateway.mailer().await;
    for (name, region, permitted) in
        [("anna", Some("DE"), false), ("aude", Some("FR"), true), ("ada", Some("GB"), true), ("ann", None, false)]
    {
        let person = gateway.person(name).of_region(region);
        person.gives(&["email_marketing"]).await;
        assert_eq!(mailer.may_know(&person).await, permitted, "{region:?}");
    }
    let metrics = gateway.get("/metrics").await.expect(200).text();
    for line in [
        "consentry_refusals_total{reason=\"assurance\"} 2",
        "consentry_grants_total{assurance=\"form\"} 4",
        "consentry_grants_total{assurance=\"confirmed_mailbox\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

async fn cap_04_and_05_void_grants_are_counted_for_the_officer(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let void = async |count: u64| {
        let metrics = gateway.get("/metrics").await.expect(200).text();
        assert!(metrics.contains(&format!("consentry_grants_void_total {count}\n")), "{metrics}");
    };
    void(0).await;
    for (count, (member, value)) in
        [("conditional_on_service", json!(true)), ("presentation", json!("bundled_with_terms"))]
            .into_iter()
            .enumerate()
    {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["evidence"][member] = value;
        anna.sends(&post).await.expect(201);
        assert!(!mailer.may_know(&anna).await, "{member}");
        void(u64::try_from(count).unwrap() + 1).await;
    }
}
