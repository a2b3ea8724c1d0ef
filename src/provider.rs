//! The identity provider of staff over HTTP: the edge's [`IdentityProvider`].

use app::{IdentityProvider, ProviderAnswer, ProviderAnswered, ProviderCall, SsoSettings};

use crate::outgoing::{Outgoing, OutgoingError, Target};

/// Longer answers are not read: metadata and keys are a few kilobytes.
const MOST: usize = 256 * 1024;
/// The setting that names the provider.
const KEY: &str = "staff.oidc.issuer";

/// The provider of some settings.
#[derive(Debug)]
pub struct HttpProvider {
    outgoing: Outgoing,
    issuer: Target,
    hosts: Vec<String>,
}

impl HttpProvider {
    /// The provider of these settings; `None`: its name is no address that may be called.
    #[must_use]
    pub fn of(settings: &SsoSettings, outgoing: &Outgoing) -> Option<Self> {
        let issuer = outgoing.configured(KEY, &settings.issuer).ok()?;
        Some(Self { outgoing: outgoing.clone(), issuer, hosts: settings.hosts.clone() })
    }

    /// What is called: an address of the issuer's origin, or on a host that is named.
    fn target(&self, address: &str) -> Result<Target, &'static str> {
        match self.issuer.on_same_origin(address) {
            Ok(target) => return Ok(target),
            Err(OutgoingError::NotAllowed) => {}
            Err(_) => return Err("its address is not one that may be called"),
        }
        let url = url::Url::parse(address).map_err(|_| "its address cannot be read")?;
        let is_named = url.scheme() == "https"
            && url.host_str().is_some_and(|host| self.hosts.iter().any(|named| named.eq_ignore_ascii_case(host)));
        if !is_named {
            return Err("its address is on a host that is not named");
        }
        self.outgoing.configured(KEY, address).map_err(|_| "its address is not one that may be called")
    }

    /// The one way out to the provider.
    async fn send(&self, call: ProviderCall) -> Result<ProviderAnswer, &'static str> {
        let (ProviderCall::Get(address) | ProviderCall::Post { url: address, .. }) = &call;
        let target = self.target(address)?;
        let sent = match call {
            ProviderCall::Get(_) => target.get(MOST).await,
            ProviderCall::Post { form, authorization, .. } => target.post_form(form, authorization, MOST).await,
        };
        let reply = sent.map_err(|error| match error {
            OutgoingError::Unreadable => "its answer broke off or is too long",
            OutgoingError::Private => "its name leads into a private network",
            _ => "it cannot be reached",
        })?;
        let body = String::from_utf8(reply.bytes).map_err(|_| "its answer is not text")?;
        Ok(ProviderAnswer { status: reply.status, body })
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
    use crate::config::OutgoingSettings;

    fn outgoing() -> Outgoing {
        Outgoing::of(&OutgoingSettings { timeout_seconds: 10, ..OutgoingSettings::default() })
    }

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
        (HttpProvider::of(&settings, &outgoing()).unwrap(), issuer)
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
        assert_eq!(
            ask(http("200 OK", "", &vec![b'x'; MOST + 1])).await.unwrap_err(),
            "its answer broke off or is too long"
        );
        assert_eq!(ask(http("200 OK", "", &[0xff])).await.unwrap_err(), "its answer is not text");
    }

    #[tokio::test]
    async fn nobody_else_is_called() {
        let settings = SsoSettings {
            issuer: "https://id.example".to_owned(),
            hosts: vec!["keys.example".to_owned()],
            ..SsoSettings::default()
        };
        let provider = HttpProvider::of(&settings, &outgoing()).unwrap();
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
