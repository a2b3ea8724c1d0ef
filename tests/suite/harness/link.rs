//! The links of a mail, as the person's mail program and browser follow them: no cookies, no login.

use kernel::capability::Stop;
use kernel::clock::Clock as _;
use serde_json::Value;

use super::{Answer, Person, TestGateway};

pub(crate) struct Link<'a> {
    at: &'a TestGateway,
    pub(crate) path: String,
}

impl<'a> Person<'a> {
    /// The link with which a mail sent now offers to unsubscribe.
    pub(crate) async fn unsubscribe_link(&self, stop: &Stop) -> Link<'a> {
        let subject = self.id().await;
        let token = self.at.keyring().unsubscribe_token(subject, stop, self.at.clock().now()).unwrap();
        Link { at: self.at, path: format!("/unsubscribe/{token}") }
    }

    /// The link to the preferences in a mail sent now.
    pub(crate) async fn preference_link(&self) -> Link<'a> {
        let token = self.at.keyring().preference_token(self.id().await, self.at.clock().now()).unwrap();
        Link { at: self.at, path: format!("/preferences/{token}") }
    }
}

impl<'a> TestGateway {
    /// A link as it stands in a mail.
    pub(crate) fn link(&'a self, url: &str) -> Link<'a> {
        let path = url.strip_prefix("http://gateway.test").unwrap();
        Link { at: self, path: path.to_owned() }
    }
}

impl Link<'_> {
    pub(crate) async fn get(&self) -> Answer {
        self.at.get(&self.path).await
    }

    pub(crate) async fn head(&self) -> Answer {
        self.at.send(self.at.request("HEAD", &self.path)).await
    }

    /// What a mail program does when the person says so (RFC 8058 §3.2).
    pub(crate) async fn one_click(&self) -> Answer {
        self.press("List-Unsubscribe", "One-Click").await
    }

    /// Presses a button of the page.
    pub(crate) async fn press(&self, name: &str, value: &str) -> Answer {
        self.at.later();
        self.at.send(self.at.request("POST", &self.path).form(&[(name, value)])).await
    }

    /// Posts a body.
    pub(crate) async fn post(&self, kind: &str, body: &str) -> Answer {
        self.at.later();
        let request = self.at.request("POST", &self.path).header("content-type", kind);
        self.at.send(request.body(body.to_owned())).await
    }

    /// The preferences as data.
    pub(crate) async fn data(&self) -> Value {
        let request = self.at.request("GET", &self.path).header("accept", "application/json");
        self.at.send(request).await.expect(200).json()
    }
}
