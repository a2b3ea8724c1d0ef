//! The canary: a whole life with marked strings in every place where personal data can be, and none of them anywhere
//! that is not sealed. (Error bodies and the log are searched in every test of the suite.)

use std::collections::BTreeMap;

use app::{
    Choice, ChoiceKind, ConsentPost, Idempotency, RecordLine, RightsKind, RightsRequestView, RightsSubject, Who,
};
use kernel::attribute::{Purchase, Value};
use kernel::consent::{Action, ConsentEvent, EventKind, Evidence, Presentation, Standing};
use kernel::id::RightsRequestId;
use kernel::identifier::Identifier;
use kernel::subject::{Birth, SubjectId};
use serde_json::json;

use crate::erasure::expect_no_trace;
use crate::harness::{Backend, Line, MARK, TestGateway, log};

on_both!(nothing_marked_is_found_outside_what_is_sealed);

/// One marked value for every attribute that takes a text, and recognisable ones for the others.
fn marked() -> serde_json::Value {
    json!({
        "first_name": "q7canary-first-name", "city": "q7canary-city", "birth_date": "1961-09-04",
        "interest_topic": "q7canary-topic", "visits_30d": 715_517_715, "last_visit_on": "2026-03-09",
        "signup_date": "2017-06-05", "purchases": [{ "on": "2026-01-06", "amount": "7155177.15" }],
        "interests": ["q7canary-interest"], "propensity_model": "q7canary-model", "health_interest": "q7canary-health",
    })
}

const MARKS: &[&str] = &[
    MARK,
    "q7canary-first-name",
    "q7canary-city",
    "1961-09-04",
    "q7canary-topic",
    "715517715",
    "2026-03-09",
    "2017-06-05",
    "2026-01-06",
    "7155177.15",
    "q7canary-interest",
    "q7canary-model",
    "q7canary-health",
    "q7canary-statement",
    "q7canary-page",
    "q7canary-number",
    "q7canary-key",
    "q7canary-option",
];

async fn nothing_marked_is_found_outside_what_is_sealed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let (shop, officer) = (gateway.shop().await, gateway.officer().await);
    let recipients = [
        gateway.segmentation().await,
        gateway.recipient("segmentation", "sensitive_segmentation").await,
        gateway.adnetwork().await,
        gateway.risk_check().await,
        gateway.mailer().await,
    ];
    for person in [&anna, &berta] {
        live(&gateway, person).await;
        let mut line = Line::of(person, marked()).of_region("DE");
        line.0["subject"]["customer_id"] = format!("q7canary-number-{}", person.email.len()).into();
        shop.sends(&[line]).await;
        for recipient in &recipients {
            let pull = recipient.pulls().await;
            if recipient.purpose != "email_marketing" {
                for mark in MARKS {
                    assert!(!pull.text().contains(mark), "{mark} left for {}", recipient.purpose);
                }
            }
        }
        recipients[4].looks_up_persons(&[person]).await.profiles();
        officer.copy(person).await;
    }
    anna.asks("object_direct_marketing").await;
    anna.asks("withdraw_all").await;
    officer.erases(&anna).await;
    gateway.expect_sound_ledger().await;

    let stored = gateway.database().everything().await;
    for mark in MARKS {
        expect_no_trace(&stored, mark);
    }
    let ledger = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await.concat();
    assert!(ledger.windows(15).any(|window| window == b"email_marketing"), "the ledger names purposes");
    for mark in MARKS {
        expect_no_trace(&ledger, mark);
    }
    let shown = [gateway.get("/metrics").await.text(), log::kept()];
    for mark in MARKS {
        assert!(!shown.iter().any(|text| text.contains(mark)), "{mark}");
    }
    assert!(shown.iter().all(|text| text.contains("/v1/consents")));
}

/// Every way in which a person's data comes in over HTTP, right and wrong.
async fn live(gateway: &TestGateway, person: &crate::harness::Person<'_>) {
    let mut post = person.post(&[
        ("email_marketing", "give"),
        ("profiling_segmentation", "give"),
        ("share_third_party", "give"),
        ("sensitive_segmentation", "give"),
    ]);
    post["choices"][3]["explicit"] = true.into();
    post["evidence"]["statement"] = "q7canary-statement".into();
    post["evidence"]["page"] = "https://www.example.com/q7canary-page?q7canary-query".into();
    post["evidence"]["options"] = json!(["q7canary-option", "No"]);
    post["fields"] =
        json!({ "first_name": "q7canary-first-name", "city": "q7canary-city", "birth_date": "1961-09-04" });
    let request = gateway
        .request("POST", "/v1/consents")
        .header("idempotency-key", format!("q7canary-key-{}", person.email.len()));
    gateway.send(request.header("user-agent", "q7canary-agent").json(&post)).await.expect(201);
    let notice = gateway.notice("newsletter", "en");
    let inputs =
        [("notice", &*notice), ("locale", "en"), ("email", &*person.email), ("first_name", "q7canary-first-name")];
    gateway.later();
    let form =
        gateway.request("POST", "/forms/newsletter?q7canary-query=1").header("accept", "text/html").form(&inputs);
    gateway.send(form).await.expect(201);
    for member in ["subject", "fields", "evidence", "locale", "choices"] {
        let mut bad = post.clone();
        bad[member] = json!({ "q7canary@example.org": "q7canary-value" });
        assert!(person.sends(&bad).await.status >= 400);
    }
    person.gives(&["email_marketing", "profiling_segmentation", "share_third_party"]).await;
}

#[test]
fn what_is_printed_for_debugging_holds_no_personal_value() {
    let text = || "q7canary".to_owned();
    let evidence = Evidence {
        action: Action::Button,
        preselected: false,
        presentation: Presentation::Separate,
        conditional_on_service: false,
        options: vec![text()],
        steps_accept: None,
        steps_decline: None,
        statement: Some(text()),
        locale: "en".to_owned(),
        page: Some(text()),
        mailbox: None,
    };
    let post = ConsentPost {
        form: None,
        who: Who::Identified { email: Some(text()), customer_id: Some(text()) },
        notice: None,
        locale: Some("en".to_owned()),
        region: Some("DE".to_owned()),
        captured_at: None,
        evidence: Some(evidence.clone()),
        choices: vec![Choice {
            purpose: "email_marketing".to_owned(),
            choice: ChoiceKind::Give,
            explicit: false,
            step: None,
        }],
        requests: Vec::new(),
        fields: BTreeMap::from([("first_name".to_owned(), text())]),
        gpc: false,
        birth: Some("1961-09-04".to_owned()),
        peer: Some("192.0.2.77".parse().unwrap()),
        idempotency: Some(Idempotency { scope: "public".to_owned(), key: text(), request: [7; 32] }),
    };
    let birth = Birth::Date(1961, 9, 4);
    let event = ConsentEvent {
        birth: Some(birth),
        ..ConsentEvent::new(
            EventKind::BirthDeclared,
            None,
            "2026-11-22T12:00:00Z".parse().unwrap(),
            "2026-11-22T12:00:00Z".parse().unwrap(),
        )
    };
    let standing = Standing::fold(SubjectId::from_bytes([7; 16]), [&event]);
    let line = RecordLine { email: Some(text()), customer_id: Some(text()), ..RecordLine::default() };
    let request = RightsRequestView {
        id: RightsRequestId::from_bytes([7; 16]),
        kind: RightsKind::Access,
        ground: None,
        status: "completed",
        outcome: Some("provided"),
        received_at: event.received_at,
        completed_at: None,
        document: Some(json!({ "attributes": [{ "name": "city", "value": text() }] })),
    };
    let values = [
        Value::Text(text()),
        Value::Integer(715_517),
        Value::TextList(vec![text()]),
        Value::Purchases(vec![Purchase { day: 20_454, hundredths: 715_517 }]),
    ];
    let printed = [
        format!("{post:?}"),
        format!("{:?}", post.who),
        format!("{:?}", Who::Token(text())),
        format!("{evidence:?}"),
        format!("{line:?}"),
        format!("{:?}", RightsSubject::Identified { email: Some(text()), customer_id: None }),
        format!("{:?}", Identifier::email("q7canary@example.org").unwrap()),
        format!("{values:?}"),
        format!("{birth:?}"),
        format!("{event:?}"),
        format!("{standing:?}"),
        format!("{request:?}"),
    ];
    let marks = ["q7canary", "192.0", "715", "20454", "1961", "09-04", "9, 4"];
    let telling: Vec<_> = printed.iter().filter(|shown| marks.iter().any(|mark| shown.contains(mark))).collect();
    assert!(telling.is_empty(), "{telling:#?}");
}
