//! The data protection officer's program.

use kernel::authz::Scope;
use serde_json::{Value, json};

use super::{Answer, Client, Person, Role, TestGateway};

pub(crate) struct Officer<'a> {
    pub(crate) client: Client<'a>,
}

impl TestGateway {
    pub(crate) async fn officer(&self) -> Officer<'_> {
        let scopes = vec![Scope::RightsRead, Scope::RightsWrite];
        Officer { client: Client::registered(self, Role { scopes, ..Role::default() }).await }
    }
}

impl Officer<'_> {
    pub(crate) async fn opens(&self, kind: &str, subject: Value) -> Answer {
        self.client.post("/v1/rights-requests", &json!({ "type": kind, "subject": subject })).await
    }

    /// Everything that is held of a person.
    pub(crate) async fn copy(&self, person: &Person<'_>) -> Value {
        let answer = self.opens("access", json!({ "email": person.email })).await.expect(201);
        answer.json()["document"].clone()
    }

    /// Whether anything is held of a person.
    pub(crate) async fn holds(&self, person: &Person<'_>) -> bool {
        self.copy(person).await["processing"].as_bool().unwrap()
    }

    /// The kinds of a person's events, in order.
    pub(crate) async fn events(&self, person: &Person<'_>) -> Vec<String> {
        let copy = self.copy(person).await;
        let events = copy["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// What the gateway calls a person.
    pub(crate) async fn finds(&self, person: &Person<'_>) -> String {
        let found =
            self.client.post("/v1/subjects/lookup", &json!({ "subject": { "email": person.email } })).await;
        found.expect(200).json()["id"].as_str().unwrap().to_owned()
    }

    /// A part of a person's file.
    pub(crate) async fn file(&self, person: &Person<'_>, part: &str) -> Answer {
        let id = self.finds(person).await;
        self.client.get(&format!("/v1/subjects/{id}/{part}")).await
    }

    /// Why a decision comes out, or came out, as it does.
    pub(crate) async fn explains(&self, person: &Person<'_>, query: &str) -> Value {
        self.file(person, &format!("explain?{query}")).await.expect(200).json()
    }

    pub(crate) async fn erases(&self, person: &Person<'_>) -> Value {
        let answer = self.opens("erasure", json!({ "email": person.email })).await.expect(201).json();
        assert_eq!((&answer["status"], &answer["outcome"]), (&json!("completed"), &json!("erased")));
        answer
    }

    pub(crate) async fn restricts(&self, person: &Person<'_>, ground: &str) -> Answer {
        self.client.at.later();
        let ask = json!({ "type": "restriction", "subject": { "email": person.email }, "ground": ground });
        self.client.post("/v1/rights-requests", &ask).await
    }

    /// Lifts a restriction, of which the person was told just now.
    pub(crate) async fn lifts(&self, person: &Person<'_>) -> Answer {
        let informed_at = self.client.at.later();
        self.client.at.later();
        let ask = json!({
            "type": "restriction_lift", "subject": { "email": person.email }, "informed_at": informed_at.to_string(),
        });
        self.client.post("/v1/rights-requests", &ask).await
    }
}
