//! An answer of the gateway, read whole, and what holds of every one of them.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::MARK;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(super) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let answer = Self { status, headers, body };
        answer.check();
        answer
    }

    /// What holds of every answer.
    fn check(&self) {
        assert!(self.header("x-request-id").is_some(), "no request id: {self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        assert!(self.header("cache-control").is_some(), "{self:?}");
        if self.status < 400 {
            return;
        }
        assert!(self.status < 500, "a fault of the gateway's own: {self:?}");
        let shown = String::from_utf8_lossy(&self.body);
        assert!(!shown.contains(MARK), "an error repeats a personal value: {self:?}");
        if self.content_type() == "application/problem+json" && !self.body.is_empty() {
            let problem = self.json();
            assert_eq!(problem["status"], self.status, "{self:?}");
            for member in ["type", "title", "detail", "code"] {
                assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {self:?}");
            }
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The media type, without parameters.
    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap().trim()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The lines of NDJSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// That this is a problem document with a status and a code, which the document itself or one of its faults has.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.content_type()), (status, "application/problem+json"), "{self:?}");
        assert!(self.codes().iter().any(|found| found == code), "no `{code}` in {self:?}");
        self
    }

    /// The codes of a problem document.
    pub(crate) fn codes(&self) -> Vec<String> {
        let problem = self.json();
        let faults = problem["errors"].as_array().cloned().unwrap_or_default();
        std::iter::once(&problem)
            .chain(&faults)
            .filter_map(|part| part["code"].as_str().map(str::to_owned))
            .collect()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(2_000).collect();
        write!(f, "{} {} {body}", self.status, self.content_type())
    }
}
