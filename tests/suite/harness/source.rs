//! A program that sends what it knows of persons.

use kernel::authz::Scope;
use serde_json::{Value, json};

use super::{Answer, Client, Person, Role, TestGateway};

pub(crate) struct Source<'a> {
    pub(crate) client: Client<'a>,
}

/// What is sent of one person.
pub(crate) struct Line(pub(crate) Value);

impl Line {
    pub(crate) fn of(person: &Person<'_>, attributes: Value) -> Self {
        Self(json!({ "subject": { "email": person.email }, "attributes": attributes }))
    }

    pub(crate) fn of_region(mut self, region: &str) -> Self {
        self.0["region"] = region.into();
        self
    }

    pub(crate) fn observed_at(mut self, at: &str) -> Self {
        self.0["observed_at"] = at.into();
        self
    }
}

impl TestGateway {
    /// The shop's own systems.
    pub(crate) async fn shop(&self) -> Source<'_> {
        let role = Role { source: Some("shop"), scopes: vec![Scope::RecordsWrite], ..Role::default() };
        Source { client: Client::registered(self, role).await }
    }
}

impl Source<'_> {
    /// Sends lines and returns the answer, whatever became of them.
    pub(crate) async fn tries(&self, lines: &[Line]) -> Answer {
        let lines: Vec<_> = lines.iter().map(|line| &line.0).collect();
        self.client.post("/v1/records", &json!(lines)).await
    }

    /// Sends lines, all of which are stored.
    pub(crate) async fn sends(&self, lines: &[Line]) {
        let result = self.tries(lines).await.expect(200).json();
        assert_eq!((&result["stored"], &result["rejected"]), (&json!(lines.len()), &json!(0)), "{result}");
    }

    /// Asks whether it may ask a person for a purpose.
    pub(crate) async fn asks(&self, person: &Person<'_>, purpose: &str, more: Value) -> Value {
        let mut body = json!({ "subject": { "email": person.email }, "purposes": [purpose] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.client.post("/v1/prompts/lookup", &body).await.expect(200).json();
        answer["purposes"][0].clone()
    }

    /// Whether it may ask a person for a purpose, at noon of a day.
    pub(crate) async fn may_ask(&self, person: &Person<'_>, purpose: &str, on: &str) -> bool {
        self.client.at.clock().set(format!("{on}T12:00:00Z").parse().unwrap());
        self.asks(person, purpose, json!({})).await["may_prompt"].as_bool().unwrap()
    }

    /// Sends raw bytes.
    pub(crate) async fn sends_bytes(&self, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.client.request("POST", "/v1/records").await;
        self.client.at.send(request.header("content-type", kind).body(body.into())).await
    }
}
