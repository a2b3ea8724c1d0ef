//! A person at a form: no login, one address.

use serde_json::{Value, json};

use super::{Answer, MARK, TestGateway};

pub(crate) struct Person<'a> {
    pub(crate) at: &'a TestGateway,
    pub(crate) email: String,
    region: Option<&'static str>,
}

impl TestGateway {
    /// An adult in Germany at the checkout, which asks for every purpose.
    pub(crate) fn person(&self, name: &str) -> Person<'_> {
        let email = format!("{name}.{MARK}@example.org");
        Person { at: self, email, region: Some("DE") }
    }
}

impl<'a> Person<'a> {
    pub(crate) fn of_region(self, region: Option<&'static str>) -> Self {
        Self { region, ..self }
    }

    /// Another spelling of an address.
    pub(crate) fn spelled(self, email: &str) -> Self {
        Self { email: email.to_owned(), ..self }
    }

    /// The same person at another gateway of the same store.
    pub(crate) fn at<'b>(&self, other: &'b TestGateway) -> Person<'b> {
        Person { at: other, email: self.email.clone(), region: self.region }
    }

    pub(crate) const fn region(&self) -> Option<&'static str> {
        self.region
    }

    /// What the gateway calls the person, as the officer's copy tells it.
    pub(crate) async fn id(&self) -> kernel::id::SubjectId {
        let copy = self.at.officer().await.copy(self).await;
        copy["subject"].as_str().unwrap().parse().unwrap()
    }

    /// A post with nothing wrong with it, as a page with JavaScript sends it.
    pub(crate) fn post(&self, choices: &[(&str, &str)]) -> Value {
        let choices: Vec<_> =
            choices.iter().map(|(purpose, choice)| json!({ "purpose": purpose, "choice": choice })).collect();
        let mut post = json!({
            "form": "checkout",
            "subject": { "email": self.email },
            "notice": self.at.notice("checkout", "en"),
            "locale": "en",
            "captured_at": self.at.later().to_string(),
            "evidence": { "action": "checkbox_ticked", "default_state": "unchecked", "presentation": "separate" },
            "choices": choices,
        });
        if let Some(region) = self.region {
            post["region"] = region.into();
        }
        post
    }

    pub(crate) async fn sends(&self, post: &Value) -> Answer {
        self.at.post("/v1/consents", post).await
    }

    async fn chooses(&self, choice: &str, purposes: &[&str]) -> Value {
        let choices: Vec<_> = purposes.iter().map(|purpose| (*purpose, choice)).collect();
        self.sends(&self.post(&choices)).await.expect(201).json()
    }

    pub(crate) async fn gives(&self, purposes: &[&str]) -> Value {
        self.chooses("give", purposes).await
    }

    pub(crate) async fn refuses(&self, purposes: &[&str]) -> Value {
        self.chooses("refuse", purposes).await
    }

    /// Takes consent back by the address alone: no reason, no login, no form.
    pub(crate) async fn withdraws(&self, purposes: &[&str]) -> Value {
        let choices: Vec<_> =
            purposes.iter().map(|purpose| json!({ "purpose": purpose, "choice": "withdraw" })).collect();
        self.at.later();
        self.sends(&json!({ "subject": { "email": self.email }, "choices": choices })).await.expect(201).json()
    }

    /// Asks for something as a whole: to object, to opt out, to limit, to withdraw all.
    pub(crate) async fn asks(&self, request: &str) -> Value {
        self.at.later();
        let mut post = json!({ "subject": { "email": self.email }, "requests": [request] });
        if let Some(region) = self.region {
            post["region"] = region.into();
        }
        self.sends(&post).await.expect(201).json()
    }

    /// Takes one step of an opt-in: the first without, the second with the receipt of the first.
    pub(crate) async fn opts_in(&self, purpose: &str, of: Option<&Value>, conflict_notice: bool) -> Answer {
        let mut post = self.post(&[(purpose, "give")]);
        post["choices"][0]["step"] = if of.is_some() { 2.into() } else { 1.into() };
        if let Some(of) = of {
            post["choices"][0]["of"] = of.clone();
            post["choices"][0]["conflict_notice"] = conflict_notice.into();
        }
        self.sends(&post).await
    }

    /// Opts in in both steps.
    pub(crate) async fn opts_in_twice(&self, purpose: &str, conflict_notice: bool) {
        let first = self.opts_in(purpose, None, false).await.expect(201).json();
        self.opts_in(purpose, Some(&first["receipt"]), conflict_notice).await.expect(201);
    }

    /// Visits with the Global Privacy Control on.
    pub(crate) async fn signals(&self, header: &str) -> Answer {
        self.at.later();
        let mut post = json!({ "subject": { "email": self.email } });
        if let Some(region) = self.region {
            post["region"] = region.into();
        }
        self.at.send(self.at.request("POST", "/v1/consents").header("sec-gpc", header).json(&post)).await
    }
}
