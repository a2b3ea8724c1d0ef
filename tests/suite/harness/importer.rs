//! A program that imports files of the shop.

use kernel::authz::Scope;
use serde_json::Value;

use super::{Answer, Client, Role, TestGateway};

pub(crate) struct Importer<'a> {
    pub(crate) client: Client<'a>,
}

impl TestGateway {
    /// The program that brings the shop's files.
    pub(crate) async fn importer(&self) -> Importer<'_> {
        self.importer_of("shop").await
    }

    pub(crate) async fn importer_of(&self, source: &'static str) -> Importer<'_> {
        let role = Role { source: Some(source), scopes: vec![Scope::ImportsWrite], ..Role::default() };
        Importer { client: Client::registered(self, role).await }
    }
}

impl Importer<'_> {
    /// Sends a file and returns the answer, whatever it is.
    pub(crate) async fn sends(&self, query: &str, file: impl Into<Vec<u8>>) -> Answer {
        let request = self.client.request("POST", &format!("/v1/imports{query}")).await;
        self.client.at.send(request.header("content-type", "text/csv").body(file.into())).await
    }

    /// Sends a file that can be read, and returns its preview.
    pub(crate) async fn previews(&self, query: &str, file: impl Into<Vec<u8>>) -> Value {
        let answer = self.sends(query, file).await.expect(201);
        let view = answer.json();
        assert_eq!(answer.header("location").unwrap(), format!("/v1/imports/{}", view["id"].as_str().unwrap()));
        assert_eq!(view["status"], "previewed", "{view}");
        view
    }

    pub(crate) async fn shows(&self, import: &Value) -> Value {
        self.client.get(&path(import)).await.expect(200).json()
    }

    pub(crate) async fn tries_to_apply(&self, import: &Value) -> Answer {
        let request = self.client.request("POST", &format!("{}/apply", path(import))).await;
        self.client.at.send(request).await
    }

    /// Applies a preview, all of it.
    pub(crate) async fn applies(&self, import: &Value) -> Value {
        let view = self.tries_to_apply(import).await.expect(200).json();
        assert_eq!(view["status"], "applied", "{view}");
        view
    }

    pub(crate) async fn discards(&self, import: &Value) -> Answer {
        let request = self.client.request("DELETE", &path(import)).await;
        self.client.at.send(request).await
    }

    /// Sends a file and applies it.
    pub(crate) async fn imports(&self, query: &str, file: impl Into<Vec<u8>>) -> Value {
        let preview = self.previews(query, file).await;
        self.applies(&preview).await
    }
}

fn path(import: &Value) -> String {
    format!("/v1/imports/{}", import["id"].as_str().unwrap())
}
