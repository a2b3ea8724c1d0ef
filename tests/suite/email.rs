//! Marketing by email (rows EML of the law), as far as it is decided by who is told what: a sender that asks the gateway
//! before it sends.

use kernel::clock::Clock as _;
use serde_json::json;

use crate::harness::{Backend, Line, Person, TestGateway};

on_both!(
    eml_07_consent_to_emails_is_none_to_watching_who_opens_them,
    eml_08_without_a_consent_no_link_tells_who_followed_it,
    eml_11_whoever_withdraws_between_the_list_and_the_mail_is_not_written_to,
    eml_14_whoever_gave_no_consent_is_not_asked_for_it_by_email,
    eml_15_and_sta_42_an_unsubscribed_address_goes_to_nobody,
    sta_05_a_withdrawal_holds_for_every_controller_of_the_notice,
    sta_21_an_opt_out_holds_from_the_next_page_on_and_those_who_got_the_data_are_known,
    sta_21_who_bought_between_an_opt_out_and_its_arrival_is_put_down_to_be_told,
    sta_21_an_imported_opt_out_tells_who_bought_since,
    sta_44_and_41_a_browser_with_the_signal_is_not_sold_and_gets_its_newsletter,
);

/// Consent to emails says nothing of a purpose of its own, and its withdrawal ends only that.
async fn apart_from_emails(backend: Backend, purpose: &'static str) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let tracker = gateway.recipient("mailer", purpose).await;
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
    // For whom the sender has no answer it has no pixel and no personal link either.
    assert!(!tracker.may_know(&anna).await);
    assert_eq!(tracker.pulls_on_record().await, (0, [("no_consent", 1)].into()));
    anna.gives(&[purpose]).await;
    assert!(tracker.may_know(&anna).await);
    // What is asked at each hit is answered by what holds then, for mails that were sent before as well.
    anna.withdraws(&[purpose]).await;
    assert_eq!(tracker.pulls_on_record().await, (0, [("withdrawn", 1)].into()));
    assert!(mailer.may_know(&anna).await);
}

async fn eml_07_consent_to_emails_is_none_to_watching_who_opens_them(backend: Backend) {
    apart_from_emails(backend, "email_open_tracking").await;
}

async fn eml_08_without_a_consent_no_link_tells_who_followed_it(backend: Backend) {
    apart_from_emails(backend, "link_tracking").await;
}

async fn eml_11_whoever_withdraws_between_the_list_and_the_mail_is_not_written_to(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, mailer) = (gateway.person("anna"), gateway.person("berta"), gateway.mailer().await);
    for person in [&anna, &berta] {
        person.gives(&["email_marketing"]).await;
    }
    let names = mailer.knows().await;
    assert_eq!(names.len(), 2);
    anna.withdraws(&["email_marketing"]).await;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let released = mailer.looks_up_names(&names).await.profiles();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0]["attributes"]["email"], berta.email);
}

async fn eml_14_whoever_gave_no_consent_is_not_asked_for_it_by_email(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (known, refused, withdrawn, unconfirmed, given) = (
        gateway.person("known"),
        gateway.person("refused"),
        gateway.person("withdrawn"),
        gateway.person("objected"),
        gateway.person("given"),
    );
    let attributes = json!({ "city": "Berlin" });
    gateway.shop().await.sends(&[Line::of(&known, attributes).of_region("DE")]).await;
    refused.refuses(&["email_marketing"]).await;
    withdrawn.gives(&["email_marketing"]).await;
    withdrawn.withdraws(&["email_marketing"]).await;
    unconfirmed.gives(&["email_marketing"]).await;
    unconfirmed.asks("object_direct_marketing").await;
    given.gives(&["email_marketing"]).await;
    // Whatever the mail would say: the audience of marketing mail is who consented to it.
    let mailer = gateway.mailer().await;
    assert_eq!(mailer.knows().await.len(), 1);
    assert!(mailer.may_know(&given).await);
}

async fn eml_15_and_sta_42_an_unsubscribed_address_goes_to_nobody(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let line = json!({ "email": carla.email, "interest_topic": "books", "birth_date": "1990-05-05" });
    gateway.shop().await.sends(&[Line::of(&carla, line).of_region("US-CA")]).await;
    let everybody = [
        ("mailer", "email_marketing"),
        ("segmentation", "profiling_segmentation"),
        ("adnetwork", "share_third_party"),
        ("risk_check", "fraud_prevention"),
    ];
    let told = async || {
        let mut told = Vec::new();
        for (recipient, purpose) in everybody {
            let pull = gateway.recipient(recipient, purpose).await.pulls().await;
            if pull.text().contains(&carla.email) {
                told.push(purpose);
            }
        }
        told
    };
    assert_eq!(told().await, ["email_marketing"]);
    carla.withdraws(&["email_marketing"]).await;
    assert_eq!(told().await, [""; 0]);
    // Sharing goes on, for that is another choice; it never had the address, and cannot ask for it.
    let adnetwork = gateway.adnetwork().await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    adnetwork
        .pulls_as("application/x-ndjson", "&attributes=email")
        .await
        .expect_problem(403, "attribute_outside_contract");
}

async fn sta_05_a_withdrawal_holds_for_every_controller_of_the_notice(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, adnetwork, segmentation) =
        (gateway.person("anna"), gateway.adnetwork().await, gateway.segmentation().await);
    // The notice names the shop and the ad network. She tells the shop only, once.
    let token = anna.gives(&["share_third_party", "profiling_segmentation"]).await["withdrawal_token"].clone();
    assert_eq!((adnetwork.knows().await.len(), segmentation.knows().await.len()), (1, 1));
    gateway.later();
    anna.sends(&json!({ "token": token, "requests": ["withdraw_all"] })).await.expect(201);
    assert_eq!(adnetwork.pulls_on_record().await, (0, [("withdrawn", 1)].into()));
    assert_eq!(segmentation.pulls_on_record().await, (0, [("withdrawn", 1)].into()));
}

async fn sta_21_an_opt_out_holds_from_the_next_page_on_and_those_who_got_the_data_are_known(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let line = json!({ "interest_topic": "books", "birth_date": "1990-05-05" });
    gateway.shop().await.sends(&[Line::of(&carla, line).of_region("US-CA")]).await;
    let (adnetwork, officer) = (gateway.adnetwork().await, gateway.officer().await);
    assert_eq!(adnetwork.knows().await.len(), 1);
    gateway.clock().advance_ms(300_000);
    carla.asks("opt_out_sale_share").await;
    // No fifteen business days: the opt-out and the next sale are a millisecond apart.
    assert_eq!(adnetwork.pulls_on_record().await, (0, [("opted_out", 1)].into()));
    let disclosures = officer.copy(&carla).await["disclosures"].clone();
    let told = disclosures.as_array().unwrap().iter().find(|told| told["purpose"] == "share_third_party").unwrap();
    assert_eq!((&told["recipient"], &told["times"]), (&json!("adnetwork"), &json!(1)));
    assert_eq!(officer.copy(&carla).await["withdrawal_notices"], json!([]));
}

async fn sta_21_who_bought_between_an_opt_out_and_its_arrival_is_put_down_to_be_told(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, shop) = (gateway.person("carla").of_region(Some("US-CA")), gateway.shop().await);
    let line = json!({ "interest_topic": "books", "birth_date": "1990-05-05" });
    shop.sends(&[Line::of(&carla, line).of_region("US-CA")]).await;
    let (adnetwork, segmentation) = (gateway.adnetwork().await, gateway.segmentation().await);
    let (officer, opted_out) = (gateway.officer().await, gateway.clock().now());
    gateway.clock().advance_ms(300_000);
    assert_eq!((adnetwork.knows().await.len(), segmentation.knows().await.len()), (1, 1));
    gateway.clock().advance_ms(300_000);
    // The call centre wrote it down ten minutes ago.
    let late = json!({
        "subject": { "email": carla.email }, "statement": "opt_out_sale_share", "captured_at": opted_out.to_string(),
    });
    shop.client.post("/v1/statements", &late).await.expect(201);
    let notices = officer.copy(&carla).await["withdrawal_notices"].clone();
    let notices = notices.as_array().unwrap();
    let told: Vec<_> = notices.iter().map(|notice| [&notice["name"], &notice["purpose"]]).collect();
    assert_eq!(told, [[&json!("adnetwork"), &json!("share_third_party")]]);
    assert_eq!(adnetwork.pulls_on_record().await, (0, [("opted_out", 1)].into()));
}

async fn sta_21_an_imported_opt_out_tells_who_bought_since(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, dora) = (gateway.person("carla"), gateway.person("dora"));
    let line = json!({ "interest_topic": "books", "birth_date": "1990-05-05" });
    let lines = [Line::of(&carla, line.clone()).of_region("US-CA"), Line::of(&dora, line).of_region("US-CA")];
    gateway.shop().await.sends(&lines).await;
    let opted_out = gateway.clock().now();
    gateway.clock().advance_ms(300_000);
    assert_eq!(gateway.adnetwork().await.knows().await.len(), 2);
    gateway.clock().advance_ms(300_000);
    let now = gateway.clock().now();
    let header = "email,region,captured_at,opted_out_of_sale";
    let row = |person: &Person<'_>, at| format!("{},US-CA,{at},yes\n", person.email);
    let file = format!("{header}\n{}{}", row(&carla, opted_out), row(&dora, now));
    let applied = gateway.importer().await.imports("", file).await;
    assert_eq!(applied["applied"]["changed"], 2);
    let officer = gateway.officer().await;
    let told =
        async |person: &Person<'_>| officer.copy(person).await["withdrawal_notices"].as_array().unwrap().len();
    assert_eq!((told(&carla).await, told(&dora).await), (1, 0));
}

async fn sta_44_and_41_a_browser_with_the_signal_is_not_sold_and_gets_its_newsletter(backend: Backend) {
    for region in ["DE", "US-CA"] {
        let gateway = TestGateway::start(backend).await;
        let anna = gateway.person("anna");
        // She ticks everything, in a browser that says with each request that it is not to be sold.
        let page = gateway.send(gateway.request("GET", "/forms/checkout?locale=en").header("sec-gpc", "1")).await;
        let page = page.expect(200).text();
        let (_, showing) = page.split_once("name=\"showing\" value=\"").unwrap();
        let notice = gateway.notice("checkout", "en");
        let inputs = [
            ("notice", &*notice),
            ("locale", "en"),
            ("showing", showing.split_once('"').unwrap().0),
            ("email", &*anna.email),
            ("region", region),
            ("birth_date", "1990-05-05"),
            ("purpose.email_marketing", "give"),
            ("purpose.share_third_party", "give"),
        ];
        gateway.later();
        let request =
            gateway.request("POST", "/forms/checkout").header("sec-gpc", "1").header("accept", "text/html");
        gateway.send(request.form(&inputs)).await.expect(201);
        assert!(gateway.mailer().await.may_know(&anna).await, "{region}");
        let adnetwork = gateway.adnetwork().await;
        assert_eq!(adnetwork.pulls_on_record().await.0, 0, "{region}");
        // A later visit without the signal, or a plain yes, changes nothing.
        gateway.person("anna").of_region(Some(region)).gives(&["share_third_party"]).await;
        assert_eq!(adnetwork.pulls_on_record().await, (0, [("opted_out", 1)].into()), "{region}");
        assert!(gateway.mailer().await.may_know(&anna).await, "{region}");
    }
}
