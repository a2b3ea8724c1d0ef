//! Notices: what was shown stays retrievable, and consent goes no further than it said.

use consentry::assets::shipped_policy;
use kernel::notice::NoticeDigest;
use kernel::policy::document::PolicySources;
use serde_json::json;

use crate::harness::{Backend, Line, TestGateway, policy_with};

on_both!(
    cap_06_a_digest_names_the_exact_text,
    cap_17_a_language_without_a_text_is_refused,
    cap_17_a_form_is_in_the_language_of_its_notice_throughout,
    not_05_a_recipient_that_the_notice_did_not_name_gets_nothing_under_it,
    not_10_a_new_purpose_needs_a_consent_of_its_own,
    not_11_a_notice_of_two_years_ago_is_still_there,
);

/// The shipped policy with a second version of the checkout's notice. The first stays, as the rules for notices say.
pub(crate) fn second_version() -> PolicySources {
    let mut sources = shipped_policy();
    let first = sources.iter().find(|source| source.path() == "notices/checkout-1.toml").unwrap();
    let mut second = first.text().to_owned();
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("\"Your order and your data\"", "\"You and your data\""),
        ("\"Ihre Bestellung und Ihre Daten\"", "\"Sie und Ihre Daten\""),
    ] {
        assert!(second.contains(from), "{from}");
        second = second.replace(from, to);
    }
    sources.push("notices/checkout-2.toml", second);
    sources
}

async fn cap_06_a_digest_names_the_exact_text(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    for (form, locale) in [("checkout", "en"), ("checkout", "de"), ("newsletter", "en"), ("newsletter", "de")] {
        let digest = gateway.notice(form, locale);
        let notice = gateway.get(&format!("/v1/notices/{digest}")).await.expect(200).json();
        let text = notice["text"].as_str().unwrap();
        assert_eq!(NoticeDigest::of(locale, text).to_string(), digest);
        assert_eq!(
            notice,
            json!({
                "digest": digest, "id": form, "version": 1, "locale": locale, "text": text, "current": true,
            })
        );
        // One byte less is another text, and nobody was ever shown it.
        let altered = NoticeDigest::of(locale, text.get(1..).unwrap()).to_string();
        gateway.get(&format!("/v1/notices/{altered}")).await.expect_problem(404, "not_found");
    }
    gateway.get("/v1/notices/sha256:nonsense").await.expect_problem(404, "not_found");
}

async fn cap_17_a_form_is_in_the_language_of_its_notice_throughout(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let page = gateway.get("/forms/checkout?locale=de").await.expect(200).text();
    for german in
        ["<h1>Kasse</h1>", "E-Mail-Adresse", "Geburtsdatum", "Angebote und Neuigkeiten per E-Mail", "Absenden"]
    {
        assert!(page.contains(german), "{german}: {page}");
    }
    for english in ["Checkout", "Email address", "Birth date", "Offers and news", "Send", "Grouping customers"] {
        assert!(!page.contains(english), "{english}: {page}");
    }
    let page = gateway.get("/forms/checkout?locale=en").await.expect(200).text();
    assert!(page.contains("<h1>Checkout</h1>") && page.contains("Offers and news by email"), "{page}");
}

/// The shipped policy with another sender of emails, whom a second version of the checkout's notice names.
fn another_mailer() -> PolicySources {
    let mailer = "[[recipient]]\nid = \"second_mailer\"\nname = \"Second Mail Services Oy\"\nrole = \"sender\"\n\
        controller = \"example_shop\"\ncountry = \"FI\"\n\
        contract = { reference = \"DPA-2026-09\", kind = \"service_provider\" }\npurposes = [\"email_marketing\"]\nattributes = [\"email\"]\n\n\
        [[recipient]]\nid = \"mailer\"";
    let named = "recipients = [\"mailer\", \"segmentation\"";
    let also = "recipients = [\"second_mailer\", \"mailer\", \"segmentation\"";
    let mut sources = PolicySources::new();
    for source in second_version().iter().filter(|source| !source.path().starts_with("cases/")) {
        let text = source.text().replace("[[recipient]]\nid = \"mailer\"", mailer);
        // The first version of the checkout's notice stays what persons were shown.
        let text = if source.path() == "notices/checkout-1.toml" { text } else { text.replace(named, also) };
        sources.push(source.path(), text);
    }
    sources
}

async fn not_05_a_recipient_that_the_notice_did_not_name_gets_nothing_under_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["email_marketing"]).await;
    let gateway = gateway.under(another_mailer()).await;
    let anna = gateway.person("anna");
    let second = gateway.recipient("second_mailer", "email_marketing").await;
    assert!(gateway.mailer().await.may_know(&anna).await);
    assert!(!second.may_know(&anna).await);
    let metrics = gateway.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("refusals_total{reason=\"recipient_not_disclosed\"} 1"), "{metrics}");
    // Whoever was shown the notice that names it told it yes.
    anna.gives(&["email_marketing"]).await;
    assert!(second.may_know(&anna).await && gateway.mailer().await.may_know(&anna).await);
}

async fn cap_17_a_language_without_a_text_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let before = gateway.database().stored().await;
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["locale"] = "fr".into();
    anna.sends(&post).await.expect_problem(422, "notice_locale");
    // The German page with the digest of the English text: one of both was not shown.
    post["locale"] = "de".into();
    anna.sends(&post).await.expect_problem(422, "notice_locale");
    assert_eq!(gateway.database().stored().await, before);
    post["notice"] = gateway.notice("checkout", "de").into();
    anna.sends(&post).await.expect(201);
}

async fn not_10_a_new_purpose_needs_a_consent_of_its_own(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation", "email_marketing"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "interest_topic": "books" }))]).await;
    let purposes =
        shipped_policy().iter().find(|source| source.path() == "purposes.toml").unwrap().text().to_owned();
    let begin = purposes.find("[[purpose]]\nid = \"profiling_segmentation\"").unwrap();
    let end = purposes[begin + 1..].find("[[purpose]]").unwrap() + begin + 1;
    let loyalty = purposes[begin..end].replace("profiling_segmentation", "loyalty");
    let policy = policy_with(&[
        (
            "purposes.toml",
            "[[purpose]]\nid = \"share_third_party\"",
            &format!("{loyalty}[[purpose]]\nid = \"share_third_party\""),
        ),
        (
            "recipients.toml",
            "[\"profiling_segmentation\", \"sensitive_segmentation\"]",
            "[\"profiling_segmentation\", \"sensitive_segmentation\", \"loyalty\"]",
        ),
        (
            "attributes.toml",
            "\ntag = \"none\"\npurposes = [\"profiling_segmentation\", \"share_third_party\"]",
            "\ntag = \"none\"\npurposes = [\"profiling_segmentation\", \"share_third_party\", \"loyalty\"]",
        ),
    ]);
    let gateway = gateway.under(policy).await;
    let segmentation = gateway.segmentation().await;
    assert_eq!(segmentation.knows().await.len(), 1);
    assert_eq!(segmentation.asking_for("loyalty").knows().await.len(), 0);
}

async fn not_11_a_notice_of_two_years_ago_is_still_there(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let digest = gateway.notice("checkout", "en");
    let shown = gateway.get(&format!("/v1/notices/{digest}")).await.expect(200).json();
    gateway.clock().set("2028-11-23T00:00:00Z".parse().unwrap());
    // Not even the policy has it any more.
    let second = second_version()
        .iter()
        .filter(|source| source.path() != "notices/checkout-1.toml")
        .map(|source| (source.path().to_owned(), source.text().to_owned()))
        .collect();
    let gateway = gateway.under(second).await;
    let still = gateway.get(&format!("/v1/notices/{digest}")).await.expect(200).json();
    assert_eq!((&still["text"], &still["current"]), (&shown["text"], &json!(false)));
    // And the person's copy quotes it.
    let anna = gateway.person("anna");
    let copy = gateway.officer().await.copy(&anna).await;
    let given =
        copy["events"].as_array().unwrap().iter().find(|event| event["event"] == "GRANT_CONFIRMED").unwrap();
    assert_eq!((&given["notice"]["digest"], &given["notice"]["shown"]["text"]), (&json!(digest), &shown["text"]));
}
