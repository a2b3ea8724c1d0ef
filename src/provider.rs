//! The identity provider of staff over HTTP: the edge's [`IdentityProvider`].

use std::time::Duration;

use app::{IdentityProvider, ProviderAnswer, ProviderAnswered, ProviderCall, SsoSettings};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

/// How long the provider may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer answers are not read: metadata and keys are a few kilobytes.
const MOST: usize = 256 * 1024;

/// The provider of some settings.
#[derive(Debug)]
pub struct HttpProvider {
    http: reqwest::Client,
    issuer: url::Origin,
    hosts: Vec<String>,
}

impl HttpProvider {
    /// The provider of these settings; `None`: this machine cannot speak HTTP.
    #[must_use]
    pub fn of(settings: &SsoSettings) -> Option<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .ok()?;
        let issuer = url::Url::parse(&settings.issuer).ok()?.origin();
        Some(Self { http, issuer, hosts: settings.hosts.clone() })
    }

    /// The one way out to the provider.
    async fn send(&self, call: ProviderCall) -> Result<ProviderAnswer, &'static str> {
        let url = match &call {
            ProviderCall::Get(url) | ProviderCall::Post { url, .. } => url,
        };
        let url = url::Url::parse(url).map_err(|_| "its address cannot be read")?;
        let is_named = url.scheme() == "https"
            && url.host_str().is_some_and(|host| self.hosts.iter().any(|named| named.eq_ignore_ascii_case(host)));
        if url.origin() != self.issuer && !is_named {
            return Err("its address is on a host that is not named");
        }
        let request = match call {
            ProviderCall::Get(_) => self.http.get(url),
            ProviderCall::Post { form, authorization, .. } => {
                let request =
                    self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
                match authorization {
                    Some(value) => request.header(AUTHORIZATION, value),
                    None => request,
                }
            }
        };
        let sent = request.header(ACCEPT, "application/json").send().await;
        let mut response = sent.map_err(|_| "it cannot be reached")?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| "its answer cannot be read")? {
            if bytes.len() + chunk.len() > MOST {
                return Err("its answer is too long");
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(bytes).map_err(|_| "its answer is not text")?;
        Ok(ProviderAnswer { status, body })
    }
}

impl IdentityProvider for HttpProvider {
    fn call(&self, call: ProviderCall) -> ProviderAnswered<'_> {
        Box::pin(self.send(call))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn provider(answer: Vec<u8>) -> (HttpProvider, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _read = stream.read(&mut [0; 4096]).unwrap();
            // Whoever reads no more has hung up.
            let _written = stream.write_all(&answer);
        });
        let settings = SsoSettings { issuer: issuer.clone(), ..SsoSettings::default() };
        (HttpProvider::of(&settings).unwrap(), issuer)
    }

    async fn ask(answer: Vec<u8>) -> Result<ProviderAnswer, &'static str> {
        let (provider, issuer) = provider(answer);
        provider.call(ProviderCall::Get(format!("{issuer}/keys"))).await
    }

    fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn an_answer_is_bounded_text_and_leads_nowhere_else() {
        let answer = ask(http("200 OK", "", b"{}")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
        let moved = ask(http("302 Found", "Location: http://127.0.0.1:1/\r\n", b"")).await.unwrap();
        assert_eq!(moved.status, 302);
        assert_eq!(ask(http("200 OK", "", &vec![b'x'; MOST + 1])).await.unwrap_err(), "its answer is too long");
        assert_eq!(ask(http("200 OK", "", &[0xff])).await.unwrap_err(), "its answer is not text");
    }

    #[tokio::test]
    async fn nobody_else_is_called() {
        let settings = SsoSettings {
            issuer: "https://id.example".to_owned(),
            hosts: vec!["keys.example".to_owned()],
            ..SsoSettings::default()
        };
        let provider = HttpProvider::of(&settings).unwrap();
        for url in [
            "http://id.example/keys",
            "http://keys.example/keys",
            "https://evil.example/keys",
            "https://id.example@evil.example/",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "",
        ] {
            assert!(
                provider.call(ProviderCall::Get(url.to_owned())).await.unwrap_err().contains("address"),
                "{url}"
            );
        }
    }
}
