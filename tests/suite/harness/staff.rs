//! A member of staff at a browser: cookies, pages, forms, and an authenticator app.

use std::collections::BTreeMap;

use kernel::authn::Authenticator;
use kernel::authz::{Actor, Authorized};
use kernel::clock::Clock as _;
use kernel::staff::Role;

use super::{Answer, TestGateway};

pub(crate) const PASSWORD: &str = "four words nobody joins";

/// A browser without a script.
pub(crate) struct Browser<'a> {
    pub(crate) at: &'a TestGateway,
    pub(crate) cookies: BTreeMap<String, String>,
    /// The secret of the form on the page that is open.
    pub(crate) csrf: String,
    page: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(at: &'a TestGateway) -> Self {
        Self { at, cookies: BTreeMap::new(), csrf: String::new(), page: String::new() }
    }

    /// A request with the cookies.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.at.request(method, path).header("accept", "text/html");
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let answer = self.at.send(request).await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            // One alone comes along when another site leads here.
            let site = if line.starts_with("consentry-sso=") { "Lax" } else { "Strict" };
            assert!(line.contains(&format!("; Path=/; HttpOnly; SameSite={site}")), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        if answer.content_type() == "text/html" {
            self.page = answer.text();
            if let Some(secret) = between(&self.page, "name=\"csrf\" value=\"", "\"") {
                self.csrf = secret;
            }
        }
        answer
    }

    pub(crate) async fn opens(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path);
        self.send(request).await
    }

    /// Comes from another site: without the cookies that no other site has sent.
    pub(crate) async fn arrives(&mut self, path: &str, query: &[(String, String)]) -> Answer {
        let request = self.at.request("GET", path).header("accept", "text/html").query(query);
        let request = request.header("sec-fetch-site", "cross-site");
        let request = match self.cookies.get("consentry-sso") {
            Some(cookie) => request.header("cookie", format!("consentry-sso={cookie}")),
            None => request,
        };
        self.send(request).await
    }

    /// Sends the form of the open page.
    pub(crate) async fn sends(&mut self, path: &str, inputs: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let mut inputs = inputs.to_vec();
        inputs.push(("csrf", &csrf));
        let request = self.request("POST", path).form(&inputs);
        self.send(request).await
    }

    /// Signs in with name and password.
    pub(crate) async fn signs_in(&mut self, name: &str, password: &str) -> Answer {
        self.opens("/console/login").await;
        self.sends("/console/login", &[("name", name), ("password", password)]).await
    }

    /// A copy that has what the machine keeps, and no session.
    pub(crate) fn later(&self) -> Self {
        let mut cookies = self.cookies.clone();
        cookies.remove("consentry-session");
        Browser { at: self.at, cookies, csrf: String::new(), page: String::new() }
    }

    /// What stands between two marks on the open page.
    pub(crate) fn reads(&self, before: &str, after: &str) -> String {
        between(&self.page, before, after).unwrap_or_else(|| panic!("no {before} on {}", self.page))
    }

    /// What stands between two marks, each time.
    pub(crate) fn reads_all(&self, before: &str, after: &str) -> Vec<String> {
        self.page.split(before).skip(1).map(|rest| rest.split(after).next().unwrap().to_owned()).collect()
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    Some(text.split(before).nth(1)?.split(after).next()?.to_owned())
}

/// Somebody who joined, with what they have.
pub(crate) struct Member<'a> {
    pub(crate) name: String,
    pub(crate) browser: Browser<'a>,
    pub(crate) authenticator: Authenticator,
    pub(crate) codes: Vec<String>,
}

impl<'a> Member<'a> {
    /// Joins by a one-time link.
    pub(crate) async fn joins(at: &'a TestGateway, name: &str, link: &str) -> Self {
        let path = link.strip_prefix("http://gateway.test").unwrap();
        let mut browser = Browser::new(at);
        browser.opens(path).await.expect(200);
        let answer = browser.sends(path, &[("name", name), ("password", PASSWORD)]).await.expect(303);
        assert_eq!(answer.header("location"), Some("/console/authenticator"));
        browser.opens("/console/authenticator").await.expect(200);
        let key = browser.reads("<code id=\"key\">", "<");
        let secret = totp_rs::Secret::try_from_base32(&key).unwrap();
        let authenticator = Authenticator::from_bytes(secret.as_bytes()).unwrap();
        let code = authenticator.code(at.clock().now()).unwrap();
        browser.sends("/console/authenticator", &[("code", &code)]).await.expect(200);
        let codes = browser.reads_all("<li><code>", "<");
        Member { name: name.to_owned(), browser, authenticator, codes }
    }

    /// The code of now.
    pub(crate) fn code(&self) -> String {
        self.authenticator.code(self.browser.at.clock().now()).unwrap()
    }

    /// Signs in again on another browser, a code later.
    pub(crate) async fn elsewhere(&self) -> Browser<'a> {
        self.browser.at.clock().advance_ms(30_000);
        let mut browser = Browser::new(self.browser.at);
        browser.signs_in(&self.name, PASSWORD).await.expect(303);
        browser.opens("/console/second-factor").await.expect(200);
        browser.sends("/console/second-factor", &[("code", &self.code())]).await.expect(303);
        browser
    }
}

impl TestGateway {
    /// The first administrator, by the link that is printed at the first start.
    pub(crate) async fn administrator(&self) -> Member<'_> {
        let operator = Authorized::prove(Actor::Operator).unwrap();
        let link = self.gateway().invite_first_administrator(&operator).await.unwrap().unwrap();
        Member::joins(self, "root-admin", link.expose()).await
    }

    /// A member with a role, invited by the operator.
    pub(crate) async fn member(&self, name: &str, role: Role) -> Member<'_> {
        let operator = Authorized::prove(Actor::Operator).unwrap();
        let link = self.gateway().invite_staff(&operator, name, role).await.unwrap();
        Member::joins(self, name, link.expose()).await
    }
}
