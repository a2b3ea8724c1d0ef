//! The witness of the ledger over HTTP (c2sp.org/tlog-witness): the edge's [`Witness`].

use std::time::Duration;

use app::{Witness, WitnessAnswer, Witnessed};
use kernel::ledger::cosign::WitnessKey;

use crate::config::{ConfigError, LedgerSettings};

/// How long a witness may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer answers are not read: a witness says a line or two.
const MOST: usize = 16_384;

/// A witness at an address.
#[derive(Debug)]
pub struct HttpWitness {
    http: reqwest::Client,
    url: String,
}

impl HttpWitness {
    /// The witness of these settings and the key of its cosignatures; `None`: none is set.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub fn of(settings: &LedgerSettings) -> Result<Option<(Self, WitnessKey)>, ConfigError> {
        let fault = |key, reason: &str| ConfigError::Value { key, reason: reason.to_owned() };
        let (url, vkey) = (settings.witness_url.trim_end_matches('/'), settings.witness_vkey.trim());
        if url.is_empty() && vkey.is_empty() {
            return Ok(None);
        }
        let is_local =
            ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"].iter().any(|at| url.starts_with(at));
        if !url.starts_with("https://") && !is_local {
            return Err(fault("ledger.witness_url", "a witness has an https:// address, or is on this machine"));
        }
        let key = WitnessKey::from_vkey(vkey).map_err(|_| {
            fault("ledger.witness_vkey", "not the key of an Ed25519 cosignature (c2sp.org/tlog-cosignature)")
        })?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| fault("ledger.witness_url", "this machine cannot speak HTTP"))?;
        Ok(Some((Self { http, url: format!("{url}/add-checkpoint") }, key)))
    }

    async fn ask(&self, body: String) -> WitnessAnswer {
        let Ok(mut response) = self.http.post(&self.url).body(body).send().await else {
            return WitnessAnswer::Unable("it cannot be reached");
        };
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= MOST => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => return WitnessAnswer::Unable("its answer cannot be read"),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { return WitnessAnswer::Unable("its answer is not text") };
        match status {
            200 => WitnessAnswer::Cosigned(text),
            409 => text.trim().parse().map_or(WitnessAnswer::Unable("it told no size"), WitnessAnswer::Knows),
            422 => WitnessAnswer::Contradicts,
            403 => WitnessAnswer::Unable("it does not know the key of this ledger"),
            404 => WitnessAnswer::Unable("it does not know this ledger"),
            _ => WitnessAnswer::Unable("it answered with an error"),
        }
    }
}

impl Witness for HttpWitness {
    fn add_checkpoint(&self, body: String) -> Witnessed<'_> {
        Box::pin(self.ask(body))
    }
}
