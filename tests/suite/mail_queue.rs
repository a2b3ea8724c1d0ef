//! The queue of mail: nothing is lost while the mail server is down or the process dies, nobody is flooded, and whoever
//! looks at the metrics sees what waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use consentry::config::{MailSettings, MailTls};
use consentry::smtp::Smtp;
use kernel::policy::ValidPolicy;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::double_opt_in::{asks, request};
use crate::harness::mailbox::{MailServer, Manner, calls};
use crate::harness::process::{Process, run, text};
use crate::harness::{Backend, TestGateway, log};

on_both!(
    a_mail_server_that_is_down_loses_nothing,
    a_mail_that_was_taken_and_not_acknowledged_comes_again_under_the_same_id,
    a_refusal_for_now_is_tried_again_and_one_for_good_is_kept_and_shown,
    mail_goes_over_an_encrypted_connection_to_a_server_that_proves_itself,
    nothing_is_said_in_the_clear_nor_to_a_server_that_nobody_vouches_for,
    a_process_that_dies_over_a_mail_leaves_it_to_another,
    what_cannot_be_sent_in_time_is_marked_and_not_tried_for_ever,
    without_a_mail_server_posts_wait_and_it_is_said,
    repeated_sign_ups_do_not_flood_a_mailbox,
    one_machine_causes_no_more_mails_than_it_may,
    the_answer_does_not_tell_who_is_known_limited_or_suppressed,
);

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

async fn start(backend: Backend) -> (TestGateway, MailServer) {
    let (gateway, server) = (TestGateway::start(backend).await, MailServer::start().await);
    server.serves(gateway.gateway());
    (gateway, server)
}

async fn a_mail_server_that_is_down_loses_nothing(backend: Backend) {
    let (gateway, server) = start(backend).await;
    server.goes_down().await;
    let people = ["anna", "berta", "carla"].map(|name| gateway.person(name));
    for person in &people {
        asks(person).await;
    }
    gateway.deliver().await;
    let figures = gateway.gateway().figures();
    assert_eq!((figures.letters_sent, figures.letters_deferred, figures.letters_failed), (0, 3, 0));
    // Not again before the pause is over.
    gateway.clock().advance_ms(MINUTE_MS - 100);
    gateway.deliver().await;
    assert_eq!(gateway.gateway().figures().letters_deferred, 3);
    assert_eq!(gateway.metric("consentry_mail_queued").await, 3);
    assert_eq!(gateway.metric("consentry_mail_oldest_seconds").await, 59);
    // The pauses grow: in six hours there are few attempts.
    let mut attempts = 3;
    for _ in 0..6 * 60 {
        gateway.clock().advance_ms(MINUTE_MS);
        gateway.deliver().await;
    }
    let deferred = gateway.gateway().figures().letters_deferred;
    attempts += 3 * 8;
    assert!((3 * 6..=attempts).contains(&deferred), "{deferred}");
    server.comes_back().await;
    gateway.clock().advance_ms(8 * HOUR_MS);
    gateway.deliver().await;
    let to: BTreeSet<_> = server.taken().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, people.iter().map(|person| person.email.clone()).collect());
    assert_eq!(server.taken().len(), 3);
    for (metric, value) in [
        ("consentry_mail_queued", 0),
        ("consentry_mail_oldest_seconds", 0),
        ("consentry_mail_failed", 0),
        ("consentry_mail_sent_total", 3),
        ("consentry_mail_configured", 1),
    ] {
        assert_eq!(gateway.metric(metric).await, value, "{metric}");
    }
    for mail in server.taken() {
        gateway.send(gateway.request("POST", &mail.confirmation())).await.expect(200);
    }
    assert!(gateway.mailer().await.may_know(&people[2]).await);
}

async fn a_mail_that_was_taken_and_not_acknowledged_comes_again_under_the_same_id(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    server.behaves(Manner::LosesAfterTaking);
    asks(&anna).await;
    gateway.deliver().await;
    server.behaves(Manner::Takes);
    gateway.clock().advance_ms(2 * MINUTE_MS);
    gateway.deliver().await;
    gateway.clock().advance_ms(24 * HOUR_MS);
    gateway.deliver().await;
    let mails = server.taken();
    assert_eq!(mails.len(), 2, "at least once, and no more than needed");
    assert_eq!(mails[0].message_id(), mails[1].message_id());
    assert_eq!(mails[0].parts(), mails[1].parts());
    let date = |at: usize| mails[at].headers().into_iter().find(|(name, _)| name == "Date");
    assert!(date(0).is_some() && date(0) == date(1));
}

async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_kept_and_shown(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    server.behaves(Manner::RefusesRecipient(451));
    asks(&anna).await;
    gateway.deliver().await;
    assert_eq!(gateway.gateway().figures().letters_deferred, 1);
    server.behaves(Manner::RefusesRecipient(550));
    asks(&berta).await;
    gateway.deliver().await;
    assert_eq!(gateway.metric("consentry_mail_failed").await, 1);
    assert_eq!(gateway.metric("consentry_mail_queued").await, 1);
    server.behaves(Manner::Takes);
    let before = server.conversations();
    gateway.clock().advance_ms(24 * HOUR_MS);
    gateway.deliver().await;
    assert_eq!(server.taken().iter().map(|mail| mail.to[0].as_str()).collect::<Vec<_>>(), [anna.email]);
    assert_eq!(server.conversations(), before + 1, "what is refused for good is not tried again");
    assert_eq!(gateway.metric("consentry_mail_failed").await, 1);
    let (state, code) =
        ("SELECT count(*) FROM outbox WHERE failed_at IS NOT NULL", "SELECT last_code FROM outbox");
    assert_eq!(gateway.database().number(state).await, 1);
    let code = gateway.database().number(&format!("SELECT CAST(last_code AS BIGINT) FROM ({code}) AS o")).await;
    assert_eq!(code, 550);
    // Somebody set it right and started the gateway anew.
    let job = kernel::authz::Authorized::prove(kernel::authz::Actor::Job("suite")).unwrap();
    assert_eq!(gateway.gateway().requeue_failed_letters(&job).await.unwrap(), 1);
    gateway.deliver().await;
    assert_eq!((server.taken().len(), gateway.metric("consentry_mail_failed").await), (2, 0));
    // The server's words quoted the address; the log does not.
    assert!(log::kept().contains("the mail server refused it for good") && !log::kept().contains("not here"));
}

async fn mail_goes_over_an_encrypted_connection_to_a_server_that_proves_itself(backend: Backend) {
    for tls in [MailTls::Starttls, MailTls::Tls] {
        let (gateway, server) = (TestGateway::start(backend).await, MailServer::start_encrypted(tls).await);
        server.serves(gateway.gateway());
        let anna = gateway.person("anna");
        asks(&anna).await;
        gateway.deliver().await;
        let [mail] = &server.taken()[..] else { panic!("{tls:?}") };
        assert_eq!(mail.to, std::slice::from_ref(&anna.email));
        gateway.send(gateway.request("POST", &mail.confirmation())).await.expect(200);
        assert!(gateway.mailer().await.may_know(&anna).await);
    }
}

async fn nothing_is_said_in_the_clear_nor_to_a_server_that_nobody_vouches_for(backend: Backend) {
    let server = MailServer::start_encrypted(MailTls::Starttls).await;
    let expect_deferred = async |settings: &MailSettings| {
        let gateway = TestGateway::start(backend).await;
        gateway.gateway().deliver_by(Arc::new(Smtp::of(settings, &calls()).unwrap().unwrap()));
        asks(&gateway.person("anna")).await;
        gateway.deliver().await;
        let figures = gateway.gateway().figures();
        assert_eq!((figures.letters_sent, figures.letters_deferred, figures.letters_failed), (0, 1, 0));
        assert!(server.taken().is_empty());
        gateway
    };
    // It is signed by an authority that nobody named.
    expect_deferred(&MailSettings { ca_file: String::new(), ..server.settings() }).await;
    // And the operator is told (ASVS 5.0 16.3.4).
    assert!(
        log::kept()
            .lines()
            .any(|line| line.contains("a letter was not taken") && line.contains("\"level\":\"WARN\""))
    );
    // Its certificate is for another name.
    expect_deferred(&MailSettings { host: "localhost".to_owned(), ..server.settings() }).await;
    // The password is wrong: somebody will set it right.
    let password = serde_json::from_value("another".into()).unwrap();
    expect_deferred(&MailSettings { password, ..server.settings() }).await;
    // Somebody between the two took the offer to encrypt away.
    server.behaves(Manner::OffersNoEncryption);
    let gateway = expect_deferred(&server.settings()).await;
    server.behaves(Manner::Takes);
    gateway.clock().advance_ms(HOUR_MS);
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 1);
    // A file that vouches for nobody is found before anything is sent.
    let empty = tempfile::NamedTempFile::new().unwrap();
    let ca_file = empty.path().to_str().unwrap().to_owned();
    let error = Smtp::of(&MailSettings { ca_file, ..server.settings() }, &calls()).unwrap_err().to_string();
    assert!(error.starts_with("mail.ca_file") && error.contains("holds no certificate"), "{error}");
}

async fn a_process_that_dies_over_a_mail_leaves_it_to_another(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    asks(&anna).await;
    server.behaves(Manner::Stalls);
    {
        let job = kernel::authz::Authorized::prove(kernel::authz::Actor::Job("suite")).unwrap();
        let delivering = gateway.gateway().deliver_letters_once(&job);
        let stalled = async {
            while server.conversations() == 0 {
                tokio::task::yield_now().await;
            }
        };
        // It has the letter in hand when it dies.
        tokio::select! {
            _ = delivering => panic!("nobody answered it"),
            () = stalled => {}
        }
    }
    server.goes_down().await;
    server.comes_back().await;
    server.behaves(Manner::Takes);
    let twin = gateway.twin().await;
    server.serves(twin.gateway());
    twin.deliver().await;
    assert_eq!(server.taken().len(), 0, "it is still in the other one's hands");
    gateway.clock().advance_ms(5 * MINUTE_MS);
    twin.deliver().await;
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(twin.metric("consentry_mail_queued").await, 0);
}

async fn what_cannot_be_sent_in_time_is_marked_and_not_tried_for_ever(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    server.goes_down().await;
    asks(&anna).await;
    for _ in 0..7 * 24 {
        gateway.clock().advance_ms(HOUR_MS);
        gateway.deliver().await;
    }
    assert_eq!(gateway.metric("consentry_mail_failed").await, 1);
    assert_eq!(gateway.metric("consentry_mail_queued").await, 0);
    // Nobody was there to send this one while its link was good.
    asks(&berta).await;
    gateway.clock().advance_ms(8 * 24 * HOUR_MS);
    server.comes_back().await;
    gateway.deliver().await;
    assert_eq!((server.conversations(), gateway.metric("consentry_mail_failed").await), (0, 2));
    // They go with what was never confirmed.
    gateway.clock().advance_ms(31 * 24 * HOUR_MS);
    assert_eq!(gateway.purge_unconfirmed().await, 2);
    assert_eq!(gateway.metric("consentry_mail_failed").await, 0);
}

async fn without_a_mail_server_posts_wait_and_it_is_said(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let ready = gateway.get("/health/ready").await.expect(200).json();
    assert_eq!((&ready["status"], &ready["mail"]), (&"ready".into(), &"not_configured".into()));
    assert_eq!(gateway.gateway().forms_without_mail(), ["newsletter_confirmed"]);
    asks(&anna).await;
    gateway.deliver().await;
    assert_eq!(gateway.metric("consentry_mail_queued").await, 1);
    assert_eq!(gateway.metric("consentry_mail_configured").await, 0);
    let server = MailServer::start().await;
    server.serves(gateway.gateway());
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 1);
    assert!(gateway.get("/health/ready").await.expect(200).json()["mail"].is_null());
}

async fn repeated_sign_ups_do_not_flood_a_mailbox(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    // One after the other, in other spellings, and all at once.
    for _ in 0..3 {
        asks(&anna).await;
    }
    let shouted = gateway.person("anna");
    let mut post = request(&shouted, "en", &[("email_marketing", "give")]);
    post["subject"]["email"] = anna.email.to_uppercase().into();
    anna.sends(&post).await.expect(201);
    let post = request(&anna, "en", &[("email_marketing", "give")]);
    for answer in futures_util::future::join_all((0..8).map(|_| anna.sends(&post))).await {
        answer.expect(201);
    }
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 1, "not two within five minutes");
    for _ in 0..20 {
        gateway.clock().advance_ms(5 * MINUTE_MS);
        asks(&anna).await;
    }
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 3, "not more than three a day");
    assert_eq!(gateway.metric("consentry_mail_held_back_total").await, 12 - 1 + 20 - 2);
    // The first link is still good, and the next day there is room for another.
    gateway.send(gateway.request("POST", &server.taken()[0].confirmation())).await.expect(200);
    assert!(gateway.mailer().await.may_know(&anna).await);
    gateway.clock().advance_ms(24 * HOUR_MS);
    asks(&anna).await;
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 4);
    // What was counted is kept no longer than it counts.
    gateway.clock().advance_ms(24 * HOUR_MS);
    gateway.purge_unconfirmed().await;
    assert_eq!(gateway.database().number("SELECT count(*) FROM mail_quota").await, 0);
}

async fn one_machine_causes_no_more_mails_than_it_may(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let people: Vec<_> = (0..40).map(|number| gateway.person(&format!("person-{number}"))).collect();
    let mut shapes = BTreeSet::new();
    for person in &people {
        shapes.insert(format!("{:?}", asks(person).await["events"]));
    }
    assert_eq!(shapes.len(), 1);
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 30);
    gateway.clock().advance_ms(HOUR_MS);
    for person in people.iter().rev().take(2) {
        asks(person).await;
    }
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 32);
    // Nobody can read from the database who asked, or from where.
    let keys = gateway.database().bytes("SELECT key FROM mail_quota").await;
    assert_eq!(keys.len(), 1 + 32);
    for guess in [&b"127.0.0.1"[..], &[127, 0, 0, 1], people[0].email.as_bytes()] {
        assert!(!keys.contains(&Sha256::digest(guess).to_vec()));
    }
}

async fn the_answer_does_not_tell_who_is_known_limited_or_suppressed(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let people = ["new", "known", "limited", "suppressed", "confirmed"].map(|name| gateway.person(name));
    people[1].gives(&["email_marketing"]).await;
    asks(&people[2]).await;
    people[3].gives(&["email_marketing"]).await;
    gateway.officer().await.erases(&people[3]).await;
    asks(&people[4]).await;
    gateway.deliver().await;
    let path = server.taken().pop().unwrap().confirmation();
    gateway.send(gateway.request("POST", &path)).await.expect(200);
    let mut shapes = BTreeSet::new();
    for person in &people {
        let post = request(person, "en", &[("email_marketing", "give")]);
        let answer = person.sends(&post).await.expect(201);
        let mut body = answer.json();
        for own in ["receipt", "recorded_at", "withdrawal_token", "receipt_token"] {
            let text = body[own].as_str().unwrap();
            body[own] = text.len().into();
        }
        let headers: BTreeSet<_> = answer.headers.keys().map(ToString::to_string).collect();
        shapes.insert(format!("{} {body} {headers:?}", answer.status));
    }
    assert_eq!(shapes.len(), 1, "{shapes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_process_loses_no_mail_and_no_confirmation() {
    let (folder, server) = (tempfile::tempdir().unwrap(), MailServer::start().await);
    let data = folder.path().join("data");
    let policy = ValidPolicy::from_sources(&consentry::assets::shipped_policy()).unwrap();
    let notice = policy.current_notice(&"newsletter".parse().unwrap(), "en").unwrap().digest.to_string();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    // Nobody sends mail yet: what is acknowledged waits, and the process is killed over it.
    let process = Process::serve(&data, &[]);
    for name in ["anna", "berta", "carla"] {
        let post = json!({
            "form": "newsletter_confirmed", "subject": { "email": format!("q7canary-{name}@example.org") },
            "notice": notice, "locale": "en", "region": "DE", "captured_at": "2024-03-01T00:00:00Z",
            "evidence": { "action": "checkbox_ticked", "default_state": "unchecked", "presentation": "separate" },
            "choices": [{ "purpose": "email_marketing", "choice": "give" }],
        });
        let answer = http.post(format!("{}/v1/consents", process.url)).json(&post).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    process.kill();
    let port = server.address.port().to_string();
    let mail = [
        ("CONSENTRY__MAIL__HOST", "127.0.0.1"),
        ("CONSENTRY__MAIL__PORT", &port),
        ("CONSENTRY__MAIL__TLS", "none"),
        ("CONSENTRY__MAIL__FROM", "consent@shop.example"),
    ];
    let process = Process::serve(&data, &mail);
    server.takes(3).await;
    let mails = server.taken();
    let to: BTreeSet<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    assert_eq!(to.len(), 3);
    for mail in &mails {
        let answer = http.post(format!("{}{}", process.url, mail.confirmation())).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    process.kill();
    let process = Process::serve(&data, &mail);
    let metrics = http.get(format!("{}/metrics", process.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("consentry_mail_queued 0\n"), "{metrics}");
    for mail in &mails {
        let page = http.post(format!("{}{}", process.url, mail.confirmation())).send().await.unwrap();
        assert_eq!(page.status(), 200);
    }
    let log = process.stop();
    assert!(!log.contains("q7canary") && !mails.iter().any(|mail| log.contains(&mail.confirmation()[9..])));
    let report = run(&["ledger", "verify", "--data", data.to_str().unwrap()]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    assert_eq!(server.taken().len(), 3, "each came once");
}

#[test]
fn mail_in_the_clear_to_another_machine_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("gateway.toml"));
    std::fs::write(&config, "[mail]\nhost = \"mail.shop.example\"\ntls = \"none\"\nfrom = \"a@shop.example\"\n")
        .unwrap();
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let output = run(&[&arguments[..], &["--listen", "127.0.0.1:0"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("mail.tls"), "{}", text(&output.stderr));
}
