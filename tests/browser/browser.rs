//! Chromium without a screen, driven as a person drives it: by keys.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use thirtyfour::common::command::FormatRequestData;
use thirtyfour::common::requestdata::RequestData;
use thirtyfour::prelude::*;
use thirtyfour::{ElementId, SessionId};

const MISSING: &str =
    "chromedriver is not installed: install it with its browser (Debian: `apt install chromium chromium-driver`)";

/// How long a page may take to come, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// A browser with a profile of its own.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    _driver_process: DriverProcess,
    _profile: tempfile::TempDir,
}

/// chromedriver, gone when it is dropped.
struct DriverProcess(Child);

impl Drop for DriverProcess {
    fn drop(&mut self) {
        let _over = self.0.kill();
        let _over = self.0.wait();
    }
}

impl Browser {
    pub(crate) async fn start(has_scripts: bool) -> Self {
        let (process, port) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=900,1400",
            "--lang=en",
            "--no-proxy-server",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        if !has_scripts {
            let blocked = json!({ "profile.managed_default_content_settings.javascript": 2 });
            capabilities.add_experimental_option("prefs", blocked).unwrap();
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.unwrap();
        let browser = Self { driver, _driver_process: process, _profile: profile };
        browser.expect_scripts(has_scripts).await;
        browser
    }

    /// Sends Global Privacy Control with every request from now on.
    pub(crate) async fn signals(&self) {
        let tools = self.driver.cdp();
        tools.send_raw("Network.enable", json!({})).await.unwrap();
        let headers = json!({ "headers": { "Sec-GPC": "1" } });
        tools.send_raw("Network.setExtraHTTPHeaders", headers).await.unwrap();
    }

    /// That scripts really run, or really do not.
    async fn expect_scripts(&self, has_scripts: bool) {
        let page =
            "data:text/html,<p id=sign>none</p><script>document.getElementById('sign').textContent='run'</script>";
        self.driver.goto(page).await.unwrap();
        let sign = self.driver.find(By::Id("sign")).await.unwrap().text().await.unwrap();
        assert_eq!(sign, if has_scripts { "run" } else { "none" });
    }

    pub(crate) async fn end(self) {
        self.driver.clone().quit().await.unwrap();
    }

    /// Presses a combination of keys wherever the focus is.
    pub(crate) async fn presses(&self, keys: impl Into<TypingData>) {
        let focused = self.driver.active_element().await.unwrap();
        focused.send_keys(keys.into()).await.unwrap();
    }

    pub(crate) async fn types(&self, text: &str) {
        self.presses(text).await;
    }

    /// Sends the form by Enter in the field that has the focus, and waits until its page is gone: what is read then is
    /// the answer's.
    pub(crate) async fn submits(&self) {
        let before = self.driver.find(By::Tag("html")).await.unwrap();
        self.presses(Key::Enter + "").await;
        before.wait_until().wait(PATIENCE, POLL).stale().await.unwrap();
        self.driver.query(By::Tag("body")).wait(PATIENCE, POLL).exists().await.unwrap();
    }

    /// Goes on by Tab: what comes next must be this element.
    pub(crate) async fn tab_to(&self, id: &str) {
        self.presses(Key::Tab + "").await;
        assert_eq!(self.focused().await, id, "another element has the focus");
    }

    /// The id of what has the focus.
    pub(crate) async fn focused(&self) -> String {
        self.driver.active_element().await.unwrap().attr("id").await.unwrap().unwrap_or_default()
    }

    /// The text of the page, as it is shown.
    pub(crate) async fn page(&self) -> String {
        self.driver.find(By::Tag("body")).await.unwrap().text().await.unwrap()
    }

    /// For eyes: what the page looked like.
    pub(crate) async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        self.driver.screenshot(&file).await.unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() > 1_000);
    }
}

/// Starts chromedriver on a free port, which it tells.
fn start_driver() -> (DriverProcess, u16) {
    let mut child = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips=127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|_| panic!("{MISSING}"));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let process = DriverProcess(child);
    for line in lines {
        let line = line.unwrap();
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return (process, port.trim_end_matches('.').trim().parse().unwrap());
        }
    }
    panic!("chromedriver did not start");
}

/// What assistive technology reads out of an element (WebDriver §12.4.9, Get Computed Label).
pub(crate) async fn accessible_name(element: &WebElement) -> String {
    let question = ComputedLabel(element.element_id());
    element.handle().cmd(question).await.unwrap().value().unwrap()
}

#[derive(Debug)]
struct ComputedLabel(ElementId);

impl FormatRequestData for ComputedLabel {
    fn format_request(&self, session: &SessionId) -> RequestData {
        RequestData::new(reqwest::Method::GET, format!("session/{session}/element/{}/computedlabel", self.0))
    }
}
