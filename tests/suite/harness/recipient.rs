//! A program that asks for persons, for a purpose.

use std::collections::{BTreeMap, BTreeSet};

use kernel::authz::Scope;
use kernel::decision::Refusal;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use serde_json::{Value, json};

use super::{Answer, Client, Person, Role, TestGateway};

pub(crate) struct Recipient<'a> {
    pub(crate) client: Client<'a>,
    pub(crate) purpose: &'static str,
}

/// The rows of a whole pull.
pub(crate) struct Pull {
    pub(crate) rows: Vec<Value>,
    pub(crate) bytes: Vec<u8>,
}

/// The answer to a look-up.
pub(crate) struct Lookup(pub(crate) Answer);

impl TestGateway {
    pub(crate) async fn recipient(&self, name: &'static str, purpose: &'static str) -> Recipient<'_> {
        let role = Role { recipient: Some(name), scopes: vec![Scope::ProfilesRead], ..Role::default() };
        Recipient { client: Client::registered(self, role).await, purpose }
    }

    pub(crate) async fn segmentation(&self) -> Recipient<'_> {
        self.recipient("segmentation", "profiling_segmentation").await
    }

    pub(crate) async fn mailer(&self) -> Recipient<'_> {
        self.recipient("mailer", "email_marketing").await
    }

    pub(crate) async fn adnetwork(&self) -> Recipient<'_> {
        self.recipient("adnetwork", "share_third_party").await
    }

    pub(crate) async fn risk_check(&self) -> Recipient<'_> {
        self.recipient("risk_check", "fraud_prevention").await
    }
}

impl Recipient<'_> {
    /// The same program, asking for another purpose of its contract.
    pub(crate) fn asking_for(self, purpose: &'static str) -> Self {
        Self { purpose, ..self }
    }

    /// Asks for everybody, in a format.
    pub(crate) async fn pulls_as(&self, accept: &str, query: &str) -> Answer {
        let path = format!("/v1/profiles?purpose={}{query}", self.purpose);
        let request = self.client.request("GET", &path).await.header("accept", accept);
        self.client.at.send(request).await
    }

    /// Asks for everybody.
    pub(crate) async fn pulls(&self) -> Pull {
        let answer = self.pulls_as("application/x-ndjson", "").await.expect(200);
        assert_eq!(answer.content_type(), "application/x-ndjson");
        Pull { rows: answer.lines(), bytes: answer.body }
    }

    /// Asks for everybody in bounded parts, following the links; the rows of each part.
    pub(crate) async fn pulls_in_parts(&self, limit: u32) -> Vec<Vec<Value>> {
        let mut parts = Vec::new();
        let mut path = format!("/v1/profiles?purpose={}&limit={limit}", self.purpose);
        for _ in 0..1_000 {
            let answer = self.client.get(&path).await.expect(200);
            parts.push(answer.lines());
            let Some(link) = answer.header("link") else { return parts };
            let (target, relation) = link.split_once('>').unwrap();
            assert_eq!(relation, "; rel=\"next\"");
            path = target.strip_prefix('<').unwrap().to_owned();
        }
        panic!("the pull has no end");
    }

    /// Whom the recipient may know now.
    pub(crate) async fn knows(&self) -> BTreeSet<String> {
        let pull = self.pulls().await;
        let names: BTreeSet<_> = pull.names().collect();
        assert_eq!(names.len(), pull.rows.len(), "somebody is there twice");
        names
    }

    /// Pulls, and reads in the ledger what became of everybody: how many were disclosed, and how many refused for what
    /// reason. The recipient itself is told no reason.
    pub(crate) async fn pulls_on_record(&self) -> (u64, BTreeMap<&'static str, u64>) {
        let database = self.client.at.database();
        let before: BTreeSet<_> = database.bytes("SELECT entry FROM ledger_entry").await.into_iter().collect();
        let shown = self.knows().await.len();
        let (mut disclosed, mut refused) = (0, BTreeMap::new());
        for entry in database.bytes("SELECT entry FROM ledger_entry").await {
            if before.contains(&entry) {
                continue;
            }
            if let LedgerEvent::Disclosed { subjects, refused: why, .. } =
                LedgerEntry::from_bytes(&entry).unwrap().event
            {
                disclosed += subjects;
                for (code, count) in why {
                    let reason = Refusal::ALL.into_iter().find(|reason| *reason as u8 == code).unwrap();
                    *refused.entry(reason.code()).or_default() += count;
                }
            }
        }
        assert_eq!(u64::try_from(shown), Ok(disclosed), "what was recorded is not what went out");
        (disclosed, refused)
    }

    pub(crate) async fn looks_up_names(&self, names: &[&str]) -> Lookup {
        self.looks_up(&json!({ "purpose": self.purpose, "pseudonyms": names })).await
    }

    pub(crate) async fn looks_up_persons(&self, persons: &[&Person<'_>]) -> Lookup {
        let identifiers: Vec<_> = persons.iter().map(|person| json!({ "email": person.email })).collect();
        self.looks_up(&json!({ "purpose": self.purpose, "identifiers": identifiers })).await
    }

    pub(crate) async fn looks_up(&self, ask: &Value) -> Lookup {
        Lookup(self.client.post("/v1/profiles/lookup", ask).await)
    }

    /// A campaign with nothing wrong with it.
    pub(crate) fn campaign(&self) -> Value {
        let class = if self.purpose == "service_transactional" { "transactional" } else { "marketing" };
        json!({
            "id": "advent-2026",
            "class": class,
            "template": { "slots": ["sender_name", "postal_address", "stop_address", "unsubscribe_link"] },
        })
    }

    /// Asks for the addresses of a campaign.
    pub(crate) async fn tries_to_resolve(&self, campaign: &Value, persons: &[&Person<'_>]) -> Answer {
        let identifiers: Vec<_> = persons.iter().map(|person| json!({ "email": person.email })).collect();
        let body = json!({ "purpose": self.purpose, "campaign": campaign, "identifiers": identifiers });
        self.client.post("/v1/deliveries/resolve", &body).await
    }

    /// The deliveries to some persons of a campaign with nothing wrong with it.
    pub(crate) async fn resolves(&self, persons: &[&Person<'_>]) -> Vec<Value> {
        let answer = self.tries_to_resolve(&self.campaign(), persons).await.expect(200);
        answer.json()["deliveries"].as_array().unwrap().clone()
    }

    /// Whether the recipient, a sender, may know a person now.
    pub(crate) async fn may_know(&self, person: &Person<'_>) -> bool {
        !self.looks_up_persons(&[person]).await.profiles().is_empty()
    }
}

impl Pull {
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| row["pseudonym"].as_str().unwrap().to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

impl Lookup {
    pub(crate) fn profiles(self) -> Vec<Value> {
        self.0.expect(200).json()["profiles"].as_array().unwrap().clone()
    }

    /// The whole answer without the one thing that is of the look-up and not of the person.
    pub(crate) fn without_pull_id(self) -> String {
        let answer = self.0.expect(200);
        let pull = answer.json()["pull"].as_str().unwrap().to_owned();
        answer.text().replace(&pull, "")
    }
}
