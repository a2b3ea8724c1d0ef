//! What mail providers and people answer to a mail (rows EML-13 and OBJ-06 of the law).

use kernel::authz::Scope;
use kernel::capability::Stop;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Client, Role, TestGateway};

on_both!(
    eml_13_a_spam_complaint_is_an_objection,
    eml_13_a_complaint_about_a_stranger_is_kept_before_the_first_import,
    obj_06_a_reply_with_the_token_of_a_list_leaves_the_list_and_stop_all_objects,
    obj_06_an_unclear_reply_stops_all_of_it,
    an_unknown_event_type_loses_only_its_line,
    a_line_has_one_person_and_says_what_it_must,
    nobodys_client_reports_nothing,
);

async fn reporter(gateway: &TestGateway) -> Client<'_> {
    let role = Role { recipient: Some("mailer"), scopes: vec![Scope::EventsWrite], ..Role::default() };
    Client::registered(gateway, role).await
}

async fn reports(client: &Client<'_>, lines: &Value) -> Answer {
    client.at.later();
    client.post("/v1/events", lines).await
}

async fn token(person: &crate::harness::Person<'_>) -> String {
    let link = person.unsubscribe_link(&Stop::List("email_marketing".parse().unwrap())).await;
    link.path.strip_prefix("/unsubscribe/").unwrap().to_owned()
}

async fn eml_13_a_spam_complaint_is_an_objection(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, mailer) = (gateway.person("anna"), gateway.person("berta"), gateway.mailer().await);
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
    }
    let (client, officer) = (reporter(&gateway).await, gateway.officer().await);
    let lines = json!([
        { "type": "complaint", "subject": { "email": anna.email } },
        { "type": "complaint", "token": token(&berta).await },
        { "type": "complaint", "subject": { "email": anna.email } },
    ]);
    let result = reports(&client, &lines).await.expect(200).json();
    assert_eq!((&result["accepted"], &result["rejected"]), (&json!(3), &json!(0)), "{result}");
    for person in [&anna, &berta] {
        assert!(!mailer.may_know(person).await);
        let events = officer.events(person).await;
        assert_eq!(events.iter().filter(|event| *event == "OBJECTED").count(), 1, "{events:?}");
    }
    assert!(gateway.segmentation().await.knows().await.is_empty());
    gateway.expect_sound_ledger().await;
}

async fn eml_13_a_complaint_about_a_stranger_is_kept_before_the_first_import(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, mailer) = (gateway.person("carla").of_region(Some("US-CA")), gateway.mailer().await);
    let lines = json!([{ "type": "complaint", "subject": { "email": carla.email } }]);
    reports(&reporter(&gateway).await, &lines).await.expect(200);
    let line = crate::harness::Line::of(&carla, json!({ "email": carla.email })).of_region("US-CA");
    gateway.shop().await.sends(&[line]).await;
    // Under this law marketing needs no consent; the objection came first.
    assert!(!mailer.may_know(&carla).await);
}

async fn obj_06_a_reply_with_the_token_of_a_list_leaves_the_list_and_stop_all_objects(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
    }
    let lines = json!([
        { "type": "mail_reply", "token": token(&anna).await, "text_class": "unsubscribe_list" },
        { "type": "mail_reply", "token": token(&berta).await, "text_class": "stop_all" },
    ]);
    reports(&reporter(&gateway).await, &lines).await.expect(200);
    let officer = gateway.officer().await;
    let last = async |person| officer.events(person).await.pop().unwrap();
    assert_eq!((last(&anna).await.as_str(), last(&berta).await.as_str()), ("WITHDRAWN", "OBJECTED"));
    assert!(gateway.mailer().await.knows().await.is_empty());
    assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
}

async fn obj_06_an_unclear_reply_stops_all_of_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
    }
    let lines = json!([
        { "type": "mail_reply", "token": token(&anna).await, "text_class": "unclear" },
        // Nobody knows which list is meant.
        { "type": "mail_reply", "subject": { "email": berta.email }, "text_class": "unsubscribe_list" },
    ]);
    reports(&reporter(&gateway).await, &lines).await.expect(200);
    let officer = gateway.officer().await;
    for person in [&anna, &berta] {
        assert_eq!(officer.events(person).await.pop().unwrap(), "OBJECTED");
    }
    assert!(gateway.segmentation().await.knows().await.is_empty());
}

async fn an_unknown_event_type_loses_only_its_line(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, client) = (gateway.person("anna"), reporter(&gateway).await);
    anna.gives(&["email_marketing"]).await;
    gateway.later();
    let body = format!(
        "{{\"type\":\"open\",\"subject\":{{\"email\":\"{0}\"}}}}\n\n{{not json\n\
         {{\"type\":\"complaint\",\"subject\":{{\"email\":\"{0}\"}}}}\n",
        anna.email
    );
    let request = client.request("POST", "/v1/events").await;
    let answer = gateway.send(request.header("content-type", "application/x-ndjson").body(body)).await.expect(200);
    assert_eq!(answer.content_type(), "application/x-ndjson");
    let lines = answer.lines();
    let told: Vec<_> = lines.iter().map(|line| (&line["line"], line["status"].as_str().unwrap())).collect();
    assert_eq!(told, [(&json!(1), "rejected"), (&json!(3), "rejected"), (&json!(4), "accepted")]);
    assert_eq!(lines[0]["problem"]["errors"][0]["pointer"], "/type");
    assert!(!gateway.mailer().await.may_know(&anna).await);
}

async fn a_line_has_one_person_and_says_what_it_must(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let client = reporter(&gateway).await;
    let before = gateway.database().stored().await;
    let lines = json!([
        { "type": "complaint" },
        { "type": "complaint", "subject": { "email": "no address q7canary" } },
        { "type": "complaint", "subject": { "email": "a@b.example", "customer_id": "1" } },
        { "type": "complaint", "subject": { "email": "a@b.example" }, "token": "u1_AAAA" },
        { "type": "complaint", "token": "u1_AAAA" },
        { "type": "mail_reply", "subject": { "email": "a@b.example" } },
        { "type": "mail_reply", "subject": { "email": "a@b.example" }, "text_class": "please" },
        { "type": "complaint", "subject": { "email": "a@b.example" }, "text_class": "unclear" },
        { "type": "complaint", "subject": { "email": "a@b.example" }, "campaign": "x" },
    ]);
    let answer = reports(&client, &lines).await.expect(200);
    assert!(!answer.text().contains("q7canary"));
    let result = answer.json();
    assert_eq!((&result["accepted"], &result["rejected"]), (&json!(0), &json!(9)), "{result}");
    let codes: Vec<_> = result["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["problem"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "missing_field",
            "invalid_identifier",
            "invalid_identifier",
            "invalid_field",
            "invalid_token",
            "missing_field",
            "invalid_field",
            "unknown_field",
            "unknown_field"
        ]
    );
    assert_eq!(gateway.database().stored().await, before);
    client.post("/v1/events", &json!({ "type": "complaint" })).await.expect_problem(422, "invalid_field");
}

async fn nobodys_client_reports_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let role = Role { scopes: vec![Scope::EventsWrite], ..Role::default() };
    let nobody = Client::registered(&gateway, role).await;
    let lines = json!([{ "type": "complaint", "subject": { "email": anna.email } }]);
    reports(&nobody, &lines).await.expect_problem(403, "source_mismatch");
    assert!(gateway.mailer().await.may_know(&anna).await);
}
