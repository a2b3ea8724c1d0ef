//! The conflict vectors of the law: what happened to a person, and who may know the person then.
//!
//! Everything happens through the HTTP API, as it happens to real persons: forms are posted, officers act, sources and
//! recipients ask with their tokens. Permitted is who is in the pull; the reason of a refusal is read where officers
//! read it, for the recipient is told none.

use consentry::assets::shipped_policy;
use kernel::policy::document::PolicySources;
use serde_json::{Value, json};

use crate::double_opt_in;
use crate::harness::mailbox::MailServer;
use crate::harness::{Answer, Backend, Line, Person, TestGateway, policy_with};

on_both!(
    v01_nothing_given_is_no_consent,
    v02_a_request_is_pending,
    v03_a_request_that_was_confirmed_is_a_consent,
    v04_a_withdrawal_ends_it,
    v06_a_new_consent_after_a_withdrawal_counts,
    v07_one_purpose_is_not_another,
    v08_withdrawing_one_leaves_the_other,
    v09_a_breaking_version_asks_anew,
    v10_an_end_that_passed_is_an_end,
    v11_a_restriction_stops_everything,
    v13_a_soft_opt_in_covers_own_products_alone,
    v14_an_objection_ends_a_soft_opt_in_and_profiling,
    v15_an_objection_ends_a_consent_to_marketing,
    v19_an_ordinary_consent_opens_no_health_data,
    v20_a_german_of_15_does_not_consent_alone,
    v21_a_parent_authorises_a_german_of_15,
    v22_a_consent_that_names_one_controller_is_none_for_another,
    v24_an_adult_californian_is_shared,
    v25_the_signal_ends_sharing_and_leaves_emails,
    v27_the_first_of_two_steps_opts_nobody_in,
    v29_a_signal_that_is_no_longer_sent_still_counts,
    v32_below_16_only_the_own_opt_in_counts,
    v34_limiting_leaves_what_is_necessary,
    v36_under_two_laws_both_must_permit,
    v37_an_unknown_law_is_the_strictest,
    v40_withdrawing_an_unknown_purpose_changes_nothing_and_is_on_record,
    v41_a_refusal_is_not_replaced_by_another_basis,
);

/// What happens to a person, in order.
enum Act {
    /// The shop sends what it knows: the person is held, and nothing is said.
    Known,
    /// A birth date becomes known.
    Born(&'static str),
    Gives(&'static str),
    /// Gives to a form that asks for a confirmation by mail.
    Requests(&'static str),
    Withdraws(&'static str),
    Asks(&'static str),
    /// Visits with the Global Privacy Control on.
    Signals,
    /// Visits without it, and says where from.
    Visits(&'static str),
    /// An officer restricts the processing, or ends that.
    Restricted,
    Lifted,
    /// Time passes, until then.
    Until(&'static str),
    /// Another policy comes into force.
    Under(fn() -> PolicySources),
}

use Act::{Asks, Born, Gives, Known, Lifted, Requests, Restricted, Signals, Under, Until, Visits, Withdraws};

/// Who asks, for what, and `None` for permitted or the reason of the refusal.
type Expected = (&'static str, &'static str, Option<&'static str>);

const EMAIL: &str = "email_marketing";
const PROFILING: &str = "profiling_segmentation";
const SENSITIVE: &str = "sensitive_segmentation";
const SHARE: &str = "share_third_party";
const FRAUD: &str = "fraud_prevention";
const ORDERS: &str = "service_transactional";

const EU: Option<&str> = Some("DE");
const CALIFORNIA: Option<&str> = Some("US-CA");

/// Lets it happen on a fresh gateway, and asks.
async fn vector(backend: Backend, region: Option<&'static str>, acts: &[Act], expected: &[Expected]) {
    vector_under(backend, shipped_policy(), region, acts, expected).await;
}

async fn vector_under(
    backend: Backend,
    policy: PolicySources,
    region: Option<&'static str>,
    acts: &[Act],
    expected: &[Expected],
) {
    let mut gateway = TestGateway::start_under(backend, policy).await;
    for act in acts {
        if let Under(policy) = act {
            gateway = gateway.under(policy()).await;
            continue;
        }
        perform(&gateway, &gateway.person("someone").of_region(region), act).await;
    }
    expect(&gateway, expected).await;
}

/// That each recipient gets the one person there is, or does not, for the reason.
async fn expect(gateway: &TestGateway, expected: &[Expected]) {
    let person = gateway.person("someone");
    for (recipient, purpose, reason) in expected {
        let recipient = gateway.recipient(recipient, purpose).await;
        let (disclosed, refused) = recipient.pulls_on_record().await;
        let found = refused.iter().map(|(reason, count)| (*reason, *count)).collect::<Vec<_>>();
        match reason {
            None => assert_eq!((disclosed, found), (1, vec![]), "{purpose}"),
            Some(reason) => assert_eq!((disclosed, found), (0, vec![(*reason, 1)]), "{purpose}"),
        }
        if *purpose == EMAIL {
            assert_eq!(recipient.may_know(&person).await, reason.is_none(), "the look-up differs from the pull");
        }
    }
}

async fn perform(gateway: &TestGateway, person: &Person<'_>, act: &Act) {
    match act {
        Known => {
            let line = Line::of(person, json!({ "birth_date": "1990-05-05" }));
            let line = match person.region() {
                Some(region) => line.of_region(region),
                None => line,
            };
            gateway.shop().await.sends(&[line]).await;
        }
        Born(date) => {
            let line = Line::of(person, json!({ "birth_date": date }));
            gateway.shop().await.sends(&[line.of_region(person.region().unwrap())]).await;
        }
        Gives(purpose) => drop(person.gives(&[purpose]).await),
        Requests(purpose) => {
            let post = double_opt_in::request(person, "en", &[(purpose, "give")]);
            let receipt = person.sends(&post).await.expect(201).json();
            assert_eq!(receipt["events"], json!([{ "event": "GRANT_REQUESTED", "purpose": purpose }]));
        }
        Withdraws(purpose) => drop(person.withdraws(&[purpose]).await),
        Asks(request) => drop(person.asks(request).await),
        Signals => drop(person.signals("1").await.expect(201)),
        Visits(region) => {
            let visitor = gateway.person("someone").of_region(Some(region));
            let receipt = visitor.refuses(&["link_tracking"]).await;
            assert_eq!(receipt["gpc_processed"], false);
        }
        Restricted => {
            let answer = gateway.officer().await.restricts(person, "accuracy_contested").await.expect(201).json();
            assert_eq!(answer["outcome"], "restricted");
        }
        Lifted => {
            let answer = gateway.officer().await.lifts(person).await.expect(201).json();
            assert_eq!(answer["outcome"], "lifted");
        }
        Until(at) => gateway.clock().set(at.parse().unwrap()),
        Under(_) => unreachable!("a policy is not something that happens to a person"),
    }
}

/// A source reports what happened elsewhere.
async fn reports(person: &Person<'_>, event: &str, more: Value) -> Answer {
    person.at.later();
    let mut report = json!({ "subject": { "email": person.email }, "statement": event });
    for (member, value) in more.as_object().unwrap() {
        report[member] = value.clone();
    }
    person.at.shop().await.client.post("/v1/statements", &report).await
}

/// A sale of a family of products, with everything that a soft opt-in needs.
async fn buys(person: &Person<'_>, family: &str) {
    let sale = json!({
        "purpose": EMAIL, "region": "DE", "notice": person.at.notice("checkout", "en"), "sale_ref": "2026-10042",
        "product_family": family, "objection_offered_at_collection": true,
    });
    reports(person, "soft_opt_in", sale).await.expect(201);
}

/// Reads the mail that waits, and presses its button.
async fn confirm(gateway: &TestGateway, server: &MailServer) {
    gateway.deliver().await;
    let path = server.taken().pop().unwrap().confirmation();
    gateway.later();
    gateway.send(gateway.request("POST", &path).form(&[("confirm", "yes")])).await.expect(200);
}

async fn v01_nothing_given_is_no_consent(backend: Backend) {
    vector(backend, EU, &[Known], &[("mailer", EMAIL, Some("no_consent"))]).await;
}

async fn v02_a_request_is_pending(backend: Backend) {
    vector(backend, EU, &[Requests(EMAIL)], &[("mailer", EMAIL, Some("pending"))]).await;
}

async fn v03_a_request_that_was_confirmed_is_a_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let server = MailServer::start().await;
    server.serves(gateway.gateway());
    let person = gateway.person("someone");
    perform(&gateway, &person, &Requests(EMAIL)).await;
    expect(&gateway, &[("mailer", EMAIL, Some("pending"))]).await;
    confirm(&gateway, &server).await;
    expect(&gateway, &[("mailer", EMAIL, None)]).await;
}

async fn v04_a_withdrawal_ends_it(backend: Backend) {
    vector(backend, EU, &[Gives(EMAIL), Withdraws(EMAIL)], &[("mailer", EMAIL, Some("withdrawn"))]).await;
}

async fn v06_a_new_consent_after_a_withdrawal_counts(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let server = MailServer::start().await;
    server.serves(gateway.gateway());
    let person = gateway.person("someone");
    for act in [Requests(EMAIL), Withdraws(EMAIL), Requests(EMAIL)] {
        // Sooner no second mail goes to the same address.
        gateway.clock().advance_ms(3_600_000);
        perform(&gateway, &person, &act).await;
        match act {
            Requests(_) => {
                confirm(&gateway, &server).await;
                expect(&gateway, &[("mailer", EMAIL, None)]).await;
            }
            _ => expect(&gateway, &[("mailer", EMAIL, Some("withdrawn"))]).await,
        }
    }
}

async fn v07_one_purpose_is_not_another(backend: Backend) {
    let expected = [("mailer", EMAIL, None), ("segmentation", PROFILING, Some("no_consent"))];
    vector(backend, EU, &[Gives(EMAIL)], &expected).await;
}

async fn v08_withdrawing_one_leaves_the_other(backend: Backend) {
    let acts = [Gives(EMAIL), Gives(PROFILING), Withdraws(PROFILING)];
    let expected = [("mailer", EMAIL, None), ("segmentation", PROFILING, Some("withdrawn"))];
    vector(backend, EU, &acts, &expected).await;
}

/// The shipped policy with a breaking second version of the emails.
fn second_version() -> PolicySources {
    let heading = "[[purpose]]\nid = \"email_marketing\"\n";
    let change = "[[purpose.change]]\nversion = 2\nkind = \"breaking\"\nsummary = \"Offers of partners, too.\"\n\n\
                  [[purpose]]\nid = \"email_open_tracking\"";
    policy_with(&[
        ("purposes.toml", heading, &format!("{heading}version = 2\n")),
        ("purposes.toml", "[[purpose]]\nid = \"email_open_tracking\"", change),
    ])
}

async fn v09_a_breaking_version_asks_anew(backend: Backend) {
    let acts = [Gives(EMAIL), Under(second_version)];
    vector(backend, EU, &acts, &[("mailer", EMAIL, Some("reconsent"))]).await;
}

async fn v10_an_end_that_passed_is_an_end(backend: Backend) {
    let acts = [Gives(EMAIL), Until("2029-01-01T00:00:00Z")];
    vector(backend, EU, &acts, &[("mailer", EMAIL, Some("expired"))]).await;
}

async fn v11_a_restriction_stops_everything(backend: Backend) {
    let given = [Gives(EMAIL), Gives(PROFILING), Gives(SHARE)];
    let everybody = [
        ("mailer", EMAIL),
        ("mailer", ORDERS),
        ("segmentation", PROFILING),
        ("risk_check", FRAUD),
        ("adnetwork", SHARE),
    ];
    let restricted = everybody.map(|(recipient, purpose)| (recipient, purpose, Some("restricted")));
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone");
    for act in given {
        perform(&gateway, &person, &act).await;
    }
    perform(&gateway, &person, &Restricted).await;
    expect(&gateway, &restricted).await;
    // The consent underneath is as it was.
    perform(&gateway, &person, &Lifted).await;
    expect(&gateway, &everybody.map(|(recipient, purpose)| (recipient, purpose, None))).await;
}

async fn v13_a_soft_opt_in_covers_own_products_alone(backend: Backend) {
    for (family, refusal) in [("clothing", None), ("partner_insurance", Some("no_consent"))] {
        let gateway = TestGateway::start(backend).await;
        buys(&gateway.person("someone"), family).await;
        expect(&gateway, &[("mailer", EMAIL, refusal)]).await;
    }
}

async fn v14_an_objection_ends_a_soft_opt_in_and_profiling(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone");
    buys(&person, "clothing").await;
    perform(&gateway, &person, &Gives(PROFILING)).await;
    expect(&gateway, &[("mailer", EMAIL, None), ("segmentation", PROFILING, None)]).await;
    perform(&gateway, &person, &Asks("object_direct_marketing")).await;
    expect(&gateway, &[("mailer", EMAIL, Some("objected")), ("segmentation", PROFILING, Some("objected"))]).await;
}

async fn v15_an_objection_ends_a_consent_to_marketing(backend: Backend) {
    let acts = [Gives(EMAIL), Gives(PROFILING), Asks("object_direct_marketing")];
    let expected = [
        ("mailer", EMAIL, Some("objected")),
        ("segmentation", PROFILING, Some("objected")),
        ("mailer", ORDERS, None),
    ];
    vector(backend, EU, &acts, &expected).await;
}

async fn v19_an_ordinary_consent_opens_no_health_data(backend: Backend) {
    vector(backend, EU, &[Gives(SENSITIVE)], &[("segmentation", SENSITIVE, Some("sensitive"))]).await;
}

async fn v20_a_german_of_15_does_not_consent_alone(backend: Backend) {
    let acts = [Born("2011-01-31"), Gives(EMAIL)];
    vector(backend, EU, &acts, &[("mailer", EMAIL, Some("minor")), ("mailer", ORDERS, None)]).await;
}

async fn v21_a_parent_authorises_a_german_of_15(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone");
    perform(&gateway, &person, &Born("2011-01-31")).await;
    let word = json!({ "purpose": EMAIL, "method": "signed_form" });
    reports(&person, "parent_authorised", word).await.expect(201);
    expect(&gateway, &[("mailer", EMAIL, Some("no_consent"))]).await;
    perform(&gateway, &person, &Gives(EMAIL)).await;
    expect(&gateway, &[("mailer", EMAIL, None)]).await;
}

async fn v22_a_consent_that_names_one_controller_is_none_for_another(backend: Backend) {
    // Under the notice as it was shown, the shop alone asked; the ad network is a controller of its own.
    let both = "controllers = [\"example_shop\", \"example_ads\"]";
    let alone = policy_with(&[("notices/checkout-1.toml", both, "controllers = [\"example_shop\"]")]);
    let expected = [("adnetwork", SHARE, Some("controller")), ("mailer", EMAIL, None)];
    vector_under(backend, alone, EU, &[Gives(SHARE), Gives(EMAIL)], &expected).await;
}

async fn v24_an_adult_californian_is_shared(backend: Backend) {
    vector(backend, CALIFORNIA, &[Known], &[("adnetwork", SHARE, None)]).await;
}

async fn v25_the_signal_ends_sharing_and_leaves_emails(backend: Backend) {
    let expected = [("adnetwork", SHARE, Some("opted_out")), ("mailer", EMAIL, None)];
    vector(backend, CALIFORNIA, &[Known, Signals], &expected).await;
}

async fn v27_the_first_of_two_steps_opts_nobody_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone").of_region(CALIFORNIA);
    for act in [Known, Signals] {
        perform(&gateway, &person, &act).await;
    }
    let first = person.opts_in(SHARE, None, false).await.expect(201).json();
    expect(&gateway, &[("adnetwork", SHARE, Some("opted_out"))]).await;
    person.opts_in(SHARE, Some(&first["receipt"]), true).await.expect(201);
    expect(&gateway, &[("adnetwork", SHARE, None)]).await;
}

async fn v29_a_signal_that_is_no_longer_sent_still_counts(backend: Backend) {
    let acts = [Known, Signals, Visits("US-CA")];
    vector(backend, CALIFORNIA, &acts, &[("adnetwork", SHARE, Some("opted_out"))]).await;
}

async fn v32_below_16_only_the_own_opt_in_counts(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone").of_region(CALIFORNIA);
    perform(&gateway, &person, &Born("2011-01-31")).await;
    expect(&gateway, &[("adnetwork", SHARE, Some("minor"))]).await;
    let word = json!({ "purpose": SHARE, "method": "signed_form" });
    // From 13 on the parent's word is none any more (CCPA 1798.120(c)).
    reports(&person, "parent_authorised", word).await.expect_problem(403, "parental_authority_ended");
    expect(&gateway, &[("adnetwork", SHARE, Some("minor"))]).await;
    let first = person.opts_in(SHARE, None, false).await.expect(201).json();
    expect(&gateway, &[("adnetwork", SHARE, Some("minor"))]).await;
    person.opts_in(SHARE, Some(&first["receipt"]), false).await.expect(201);
    expect(&gateway, &[("adnetwork", SHARE, None)]).await;
}

async fn v34_limiting_leaves_what_is_necessary(backend: Backend) {
    let before = [("segmentation", SENSITIVE, None), ("risk_check", FRAUD, None)];
    vector(backend, CALIFORNIA, &[Known], &before).await;
    let expected = [("segmentation", SENSITIVE, Some("sensitive")), ("risk_check", FRAUD, None)];
    vector(backend, CALIFORNIA, &[Known, Asks("limit_sensitive")], &expected).await;
}

async fn v36_under_two_laws_both_must_permit(backend: Backend) {
    let acts = [Known, Visits("DE")];
    vector(backend, CALIFORNIA, &acts, &[("adnetwork", SHARE, Some("no_consent"))]).await;
}

async fn v37_an_unknown_law_is_the_strictest(backend: Backend) {
    vector(backend, None, &[Known], &[("mailer", EMAIL, Some("no_consent"))]).await;
}

async fn v40_withdrawing_an_unknown_purpose_changes_nothing_and_is_on_record(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&[EMAIL]).await;
    let (before, entries) = (gateway.database().stored().await, gateway.expect_sound_ledger().await.entries);
    let withdrawal = json!({
        "subject": { "email": anna.email }, "choices": [{ "purpose": "world_domination", "choice": "withdraw" }],
    });
    anna.sends(&withdrawal).await.expect_problem(404, "unknown_purpose");
    assert_eq!(gateway.database().stored().await, before);
    assert_eq!(gateway.expect_sound_ledger().await.entries, entries + 1);
    assert!(mailer.may_know(&anna).await);
}

async fn v41_a_refusal_is_not_replaced_by_another_basis(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let person = gateway.person("someone");
    person.refuses(&[PROFILING]).await;
    let (stored, entries) = (gateway.database().stored().await, gateway.expect_sound_ledger().await.entries);
    reports(&person, "legitimate_interest", json!({ "purpose": PROFILING }))
        .await
        .expect_problem(409, "legal_basis_fixed");
    assert_eq!(gateway.database().stored().await, stored);
    assert_eq!(
        gateway.expect_sound_ledger().await.entries,
        entries + 2,
        "the source was registered, and was refused"
    );
    expect(&gateway, &[("segmentation", PROFILING, Some("refused"))]).await;
}
