//! The browser suite: the forms as a person meets them, in Chromium, with the keyboard alone, with and without scripts.
//!
//! Chromium and chromedriver must be installed (Debian: `apt install chromium chromium-driver`). Where they are missing the
//! tests fail and say so: a test that is skipped proves nothing.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]

mod browser;
mod gateway;

use browser::{Browser, accessible_name};
use gateway::TestGateway;
use thirtyfour::prelude::*;

const BOXES: [&str; 4] = [
    "purpose.email_marketing",
    "purpose.email_open_tracking",
    "purpose.link_tracking",
    "purpose.profiling_segmentation",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gives_consent_with_the_keyboard_alone() {
    let (gateway, browser) = (TestGateway::start().await, Browser::start(true).await);
    give_consent(&gateway, &browser, "keyboard@example.org").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gives_consent_without_scripts() {
    let (gateway, browser) = (TestGateway::start().await, Browser::start(false).await);
    give_consent(&gateway, &browser, "without-scripts@example.org").await;
    browser.end().await;
}

/// Fills the form in by Tab, letters, Space and Enter, and sees that it counts.
async fn give_consent(gateway: &TestGateway, browser: &Browser, email: &str) {
    let driver = &browser.driver;
    driver.goto(gateway.url("/forms/newsletter")).await.unwrap();
    expect_accessible(driver, "en").await;
    browser.screenshot("form").await;
    assert!(!gateway.mailer_knows(email).await);

    browser.tab_to("email").await;
    browser.types(email).await;
    browser.tab_to("first_name").await;
    browser.types("Änne").await;
    for id in BOXES {
        browser.tab_to(id).await;
        assert!(!driver.find(By::Id(id)).await.unwrap().is_selected().await.unwrap(), "{id} is ticked beforehand");
    }
    // Back to the first box: only that one is ticked.
    for _ in 1..BOXES.len() {
        browser.presses(Key::Shift + Key::Tab).await;
    }
    assert_eq!(browser.focused().await, BOXES[0]);
    browser.types(" ").await;
    for (number, id) in BOXES.into_iter().enumerate() {
        let ticked = driver.find(By::Id(id)).await.unwrap().is_selected().await.unwrap();
        assert_eq!(ticked, number == 0, "{id}");
    }
    // Enter in a field sends the form, as everywhere.
    browser.submits().await;

    let confirmation = browser.page().await;
    assert!(confirmation.contains("Your choice was recorded."), "{confirmation}");
    assert!(confirmation.contains("withdrawal code") && !confirmation.contains(email), "{confirmation}");
    expect_accessible(driver, "en").await;
    browser.screenshot("confirmation").await;
    assert!(gateway.mailer_knows(email).await);
    assert_eq!(gateway.mailer_sees(email, "first_name").await, "Änne");
}

/// What every page has: a language, a title, one heading, a main part, and a label for everything that is filled in.
async fn expect_accessible(driver: &WebDriver, language: &str) {
    let html = driver.find(By::Tag("html")).await.unwrap();
    assert_eq!(html.attr("lang").await.unwrap().as_deref(), Some(language));
    let headings = driver.find_all(By::Tag("h1")).await.unwrap();
    assert_eq!(headings.len(), 1);
    assert_eq!(driver.title().await.unwrap(), headings[0].text().await.unwrap());
    assert_eq!(driver.find_all(By::Tag("main")).await.unwrap().len(), 1);
    for input in driver.find_all(By::Css("input:not([type=hidden])")).await.unwrap() {
        let id = input.attr("id").await.unwrap().unwrap();
        // The accessible name is what assistive technology reads out.
        let name = accessible_name(&input).await;
        assert!(!name.trim().is_empty(), "{id} has no name");
        let labels = driver.find_all(By::Css(format!("label[for='{id}']"))).await.unwrap();
        assert_eq!(labels.len(), 1, "{id}");
        assert_eq!(labels[0].text().await.unwrap().trim(), name.trim());
    }
    for group in driver.find_all(By::Tag("fieldset")).await.unwrap() {
        assert!(!group.find(By::Tag("legend")).await.unwrap().text().await.unwrap().is_empty());
    }
    let ids: Vec<_> = html_ids(driver).await;
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "an id is there twice: {ids:?}");
}

async fn html_ids(driver: &WebDriver) -> Vec<String> {
    let mut ids = Vec::new();
    for element in driver.find_all(By::Css("[id]")).await.unwrap() {
        ids.push(element.attr("id").await.unwrap().unwrap());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_in_words() {
    let (gateway, browser) = (TestGateway::start().await, Browser::start(true).await);
    let driver = &browser.driver;
    // An empty address does not leave the page: the browser says what is missing.
    driver.goto(gateway.url("/forms/newsletter")).await.unwrap();
    browser.tab_to("email").await;
    browser.presses(Key::Enter + "").await;
    assert!(driver.find(By::Css("input[name=email]:invalid")).await.is_ok());
    // One that only looks like an address does, and the gateway says what is wrong.
    browser.types("somebody@nowhere").await;
    browser.submits().await;
    let page = browser.page().await;
    assert!(page.contains("The email address or customer number is not written correctly."), "{page}");
    assert!(page.contains("Nothing was stored") && !page.contains("somebody"), "{page}");
    let alert = driver.find(By::Css("[role=alert]")).await.unwrap();
    assert!(!alert.text().await.unwrap().is_empty());
    expect_accessible(driver, "en").await;
    browser.screenshot("error").await;
    // Going back, what was filled in is still there, and it can be put right.
    driver.back().await.unwrap();
    browser.tab_to("email").await;
    browser.presses(Key::Control + "a").await;
    browser.types("put-right@example.org").await;
    for id in ["first_name", BOXES[0]] {
        browser.tab_to(id).await;
    }
    browser.types(" ").await;
    browser.submits().await;
    assert!(browser.page().await.contains("Your choice was recorded."));
    assert!(gateway.mailer_knows("put-right@example.org").await);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_speaks_the_persons_language() {
    let (gateway, browser) = (TestGateway::start().await, Browser::start(false).await);
    let driver = &browser.driver;
    driver.goto(gateway.url("/forms/newsletter?locale=de")).await.unwrap();
    expect_accessible(driver, "de").await;
    let page = browser.page().await;
    assert!(page.contains("Ihre Auswahl") && page.contains("Datenschutzbeauftragten"), "{page}");
    browser.tab_to("email").await;
    browser.types("deutsch@example.org").await;
    browser.submits().await;
    let page = browser.page().await;
    assert!(page.contains("Ihre Auswahl wurde gespeichert."), "{page}");
    expect_accessible(driver, "de").await;
    // Nothing was ticked, so nothing was given.
    assert!(!gateway.mailer_knows("deutsch@example.org").await);
    browser.end().await;
}

/// Ticks emails and sharing on the form of the shop.
async fn ticks_emails_and_sharing(gateway: &TestGateway, browser: &Browser, email: &str) {
    let driver = &browser.driver;
    driver.goto(gateway.url("/forms/checkout")).await.unwrap();
    let field = async |id: &str, text: &str| driver.find(By::Id(id)).await.unwrap().send_keys(text).await.unwrap();
    field("email", email).await;
    field("region", "US-CA").await;
    let birth = driver.find(By::Id("birth_date")).await.unwrap();
    birth.send_keys("05051990").await.unwrap();
    for purpose in ["purpose.email_marketing", "purpose.share_third_party"] {
        driver.find(By::Id(purpose)).await.unwrap().click().await.unwrap();
    }
    browser.submits().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_sends_the_signal_is_not_sold_and_gets_its_newsletter() {
    let (gateway, browser) = (TestGateway::start().await, Browser::start(true).await);
    ticks_emails_and_sharing(&gateway, &browser, "plain@example.org").await;
    assert_eq!((gateway.shared().await, gateway.mailer_knows("plain@example.org").await), (1, true));
    browser.signals().await;
    ticks_emails_and_sharing(&gateway, &browser, "signal@example.org").await;
    // 11 CCR §7025(c)(6): the page says that the signal was heard.
    let page = browser.page().await;
    assert!(page.contains("Your choice was recorded.") && page.contains("Global Privacy Control"), "{page}");
    browser.screenshot("signal").await;
    assert_eq!((gateway.shared().await, gateway.mailer_knows("signal@example.org").await), (1, true));
    browser.end().await;
}
