//! What the gateway itself calls: hosts that the configuration names, or its operator on a command line, by addresses that were looked at before they are
//! connected to (server-side request forgery, CWE-918).
//!
//! Only `https`, or this very machine; no user in the address; no redirect followed; no proxy of the environment asked. A
//! name is resolved here, every address that it leads to is judged, and the connection goes to one of exactly these: a
//! name server that changes its mind between the look and the call gains nothing. Answers are bounded in size and time.

mod address;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use thiserror::Error;
use url::{Host, Url};

use crate::config::{ConfigError, OutgoingSettings};

pub use address::is_public;

/// How long what an operator names on a command line may take.
const TYPED_TIMEOUT: Duration = Duration::from_secs(30);

/// Why something is not called, or gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutgoingError {
    /// The address cannot be read, or has parts that it may not have.
    #[error("it is no https:// address without a user")]
    Malformed,
    /// The host is on no list.
    #[error("its host is not in outgoing.allowed_hosts")]
    NotAllowed,
    /// The host is, or leads to, a machine that is not on the public network.
    #[error("it leads into a private network, and its host is not in outgoing.allow_private")]
    Private,
    /// The name leads nowhere.
    #[error("its name cannot be resolved")]
    Unresolved,
    /// Nobody answers, or too late, or not encrypted as it should be.
    #[error("it cannot be reached")]
    Unreachable,
    /// The answer broke off, or is larger than any that makes sense.
    #[error("its answer cannot be read")]
    Unreadable,
}

/// The addresses that a name leads to, some time later.
pub type Found<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Tells the addresses of a name.
pub trait Names: Send + Sync {
    /// All addresses that a name leads to now.
    fn addresses<'a>(&'a self, host: &'a str) -> Found<'a>;
}

/// The names as this machine knows them.
struct SystemNames;

impl Names for SystemNames {
    fn addresses<'a>(&'a self, host: &'a str) -> Found<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// What may be called. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing(Arc<Rules>);

struct Rules {
    allowed: Vec<String>,
    private: Vec<String>,
    timeout: Duration,
    names: Box<dyn Names>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("allowed", &self.0.allowed).field("private", &self.0.private).finish()
    }
}

impl Outgoing {
    /// What these settings allow.
    #[must_use]
    pub fn of(settings: &OutgoingSettings) -> Self {
        Self::with_names(settings, Box::new(SystemNames))
    }

    /// The same, with names that somebody else tells.
    #[must_use]
    pub fn with_names(settings: &OutgoingSettings, names: Box<dyn Names>) -> Self {
        let hosts = |texts: &crate::config::Texts| texts.iter().map(canonical).collect();
        Self(Arc::new(Rules {
            allowed: hosts(&settings.allowed_hosts),
            private: hosts(&settings.allow_private),
            timeout: Duration::from_secs(settings.timeout_seconds),
            names,
        }))
    }

    /// Something to call that the configuration names: naming it there allows it, and allows this machine where it is
    /// named by number or as `localhost`.
    ///
    /// # Errors
    /// When the address is not one that may be called.
    pub fn configured(&self, key: &'static str, url: &str) -> Result<Target, ConfigError> {
        let target = read(url).and_then(|url| self.target(url, true, false));
        target.map_err(|error| ConfigError::Value { key, reason: error.to_string() })
    }

    /// Something to call that somebody else names: its host must be on the list.
    ///
    /// # Errors
    /// When it may not be called.
    pub fn listed(&self, url: &str) -> Result<Target, OutgoingError> {
        let url = read(url)?;
        let host = url.host_str().map(canonical).ok_or(OutgoingError::Malformed)?;
        if !self.0.allowed.contains(&host) {
            return Err(OutgoingError::NotAllowed);
        }
        self.target(url, false, false)
    }

    /// Something to call that an operator names on the command line: it may lie in a private network, for they say so
    /// themselves. Nothing else is different.
    ///
    /// # Errors
    /// When the address is not one that may be called.
    pub fn typed(url: &str) -> Result<Target, OutgoingError> {
        let (allowed, private, names) = (Vec::new(), Vec::new(), Box::new(SystemNames));
        let outgoing = Self(Arc::new(Rules { allowed, private, timeout: TYPED_TIMEOUT, names }));
        outgoing.target(read(url)?, true, true)
    }

    fn target(&self, url: Url, may_be_here: bool, may_be_private: bool) -> Result<Target, OutgoingError> {
        let host = url.host().ok_or(OutgoingError::Malformed)?;
        let is_here = may_be_here && is_this_machine(&host);
        if url.scheme() != "https" && !(is_here && url.scheme() == "http") {
            return Err(OutgoingError::Malformed);
        }
        // A number is not resolved any more: it is judged now.
        let number = match &host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        let is_private_allowed =
            is_here || may_be_private || self.0.private.contains(&canonical(&host.to_string()));
        if number.is_some_and(|address| !is_private_allowed && !is_public(address)) {
            return Err(OutgoingError::Private);
        }
        let guarded = Guarded { outgoing: self.clone(), is_private_allowed };
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .https_only(!is_here)
            .timeout(self.0.timeout)
            .connect_timeout(self.0.timeout)
            .dns_resolver(Arc::new(guarded))
            .build()
            .map_err(|_| OutgoingError::Unreachable)?;
        Ok(Target { http, url })
    }

    /// The addresses of a host that the configuration names, for what is no HTTP.
    ///
    /// # Errors
    /// When there are none, or one of them may not be called.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, OutgoingError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(number) = host.parse::<IpAddr>() {
            return self.judge(vec![number], number.is_loopback() || self.0.private.contains(&canonical(host)));
        }
        let is_private_allowed =
            host.eq_ignore_ascii_case("localhost") || self.0.private.contains(&canonical(host));
        self.resolve(host, is_private_allowed).await
    }

    async fn resolve(&self, host: &str, is_private_allowed: bool) -> Result<Vec<IpAddr>, OutgoingError> {
        let found = self.0.names.addresses(host).await.map_err(|_| OutgoingError::Unresolved)?;
        self.judge(found, is_private_allowed)
    }

    /// One address that is not public makes the name suspicious as a whole.
    fn judge(&self, found: Vec<IpAddr>, is_private_allowed: bool) -> Result<Vec<IpAddr>, OutgoingError> {
        if found.is_empty() {
            return Err(OutgoingError::Unresolved);
        }
        if !is_private_allowed && !found.iter().all(|address| is_public(*address)) {
            tracing::warn!("a name that was to be called leads into a private network");
            return Err(OutgoingError::Private);
        }
        Ok(found)
    }
}

/// A host as lists have it.
fn canonical(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

fn read(url: &str) -> Result<Url, OutgoingError> {
    let url = Url::parse(url).map_err(|_| OutgoingError::Malformed)?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_plain && url.has_host() { Ok(url) } else { Err(OutgoingError::Malformed) }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The resolver of one target: it hands out only addresses that were judged, and the connection goes there.
struct Guarded {
    outgoing: Outgoing,
    is_private_allowed: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (outgoing, is_private_allowed) = (self.outgoing.clone(), self.is_private_allowed);
        Box::pin(async move {
            let found = outgoing.resolve(name.as_str(), is_private_allowed).await?;
            let found: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(found)
        })
    }
}

/// Something that may be called.
#[derive(Debug, Clone)]
pub struct Target {
    http: reqwest::Client,
    url: Url,
}

/// An answer, read whole. A redirect is an answer like others: nobody follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status code.
    pub status: u16,
    /// For how many seconds it asks to wait, if it does in seconds (RFC 9110 §10.2.3).
    pub retry_after: Option<u64>,
    /// Its body.
    pub bytes: Vec<u8>,
}

impl Target {
    /// Another address of the same origin, called in the same way.
    ///
    /// # Errors
    /// When it is of another origin, or has parts that it may not have.
    pub fn on_same_origin(&self, url: &str) -> Result<Self, OutgoingError> {
        let url = read(url)?;
        if url.origin() != self.url.origin() {
            return Err(OutgoingError::NotAllowed);
        }
        Ok(Self { http: self.http.clone(), url })
    }

    /// Posts a text and reads the answer, if it has at most so many bytes.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    pub async fn post(&self, body: String, most: usize) -> Result<Reply, OutgoingError> {
        reply(self.http.post(self.url.clone()).body(body), most).await
    }

    /// Posts a form, with what proves who posts it, and reads the JSON of the answer.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    pub async fn post_form(
        &self,
        form: String,
        authorization: Option<String>,
        most: usize,
    ) -> Result<Reply, OutgoingError> {
        let mut request = self.http.post(self.url.clone()).header(ACCEPT, "application/json");
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        reply(request, most).await
    }

    /// Reads a document, if it has at most so many bytes.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub async fn get(&self, most: usize) -> Result<Reply, OutgoingError> {
        reply(self.http.get(self.url.clone()).header(ACCEPT, "application/json"), most).await
    }

    /// Reads whatever lies there, if it has at most so many bytes.
    ///
    /// # Errors
    /// When there is nothing that can be read.
    pub async fn get_any(&self, most: usize) -> Result<Reply, OutgoingError> {
        reply(self.http.get(self.url.clone()), most).await
    }
}

async fn reply(request: reqwest::RequestBuilder, most: usize) -> Result<Reply, OutgoingError> {
    let mut response = request.send().await.map_err(|error| cause(&error))?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|told| told.to_str().ok()?.parse().ok());
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= most => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(Reply { status, retry_after, bytes }),
            Ok(Some(_)) | Err(_) => return Err(OutgoingError::Unreadable),
        }
    }
}

/// Why there is no answer: what the resolver said, if it said anything.
fn cause(error: &reqwest::Error) -> OutgoingError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(known) = cause.downcast_ref::<OutgoingError>() {
            return *known;
        }
        source = cause.source();
    }
    OutgoingError::Unreachable
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::Texts;

    fn settings(allowed: &[&str], private: &[&str]) -> OutgoingSettings {
        let texts = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect::<Texts>();
        OutgoingSettings { allowed_hosts: texts(allowed), allow_private: texts(private), timeout_seconds: 5 }
    }

    /// Names that lead somewhere else each time that they are asked for.
    struct Turning(Vec<Vec<&'static str>>, AtomicUsize);

    impl Names for Turning {
        fn addresses<'a>(&'a self, _: &'a str) -> Found<'a> {
            let turn = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
            let found = self.0[turn].iter().map(|text| text.parse().unwrap()).collect();
            Box::pin(async move { Ok(found) })
        }
    }

    fn turning(settings: &OutgoingSettings, turns: &[&[&'static str]]) -> Outgoing {
        let turns = turns.iter().map(|turn| turn.to_vec()).collect();
        Outgoing::with_names(settings, Box::new(Turning(turns, AtomicUsize::new(0))))
    }

    /// A server that answers every connection alike and counts them.
    fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let _read = stream.read(&mut [0; 4096]);
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        (address, asked)
    }

    #[test]
    fn an_address_is_https_and_names_nobody() {
        let outgoing = Outgoing::of(&settings(&["hooks.example"], &["10.0.0.5"]));
        for url in [
            "https://witness.example/log",
            "https://1.1.1.1",
            "http://127.0.0.1:9",
            "http://localhost:9",
            "https://10.0.0.5/",
        ] {
            assert!(outgoing.configured("key", url).is_ok(), "{url}");
        }
        for url in [
            "http://witness.example",
            "ftp://witness.example",
            "https://user@witness.example",
            "https://:password@witness.example",
            "https://witness.example/#part",
            "file:///etc/passwd",
            "https://",
            "witness.example",
            "http://10.0.0.5",
            "https://10.0.0.6",
            "https://169.254.169.254/latest/meta-data",
            // The same numbers in other writings.
            "https://0xa9fea9fe/",
            "https://2852039166/",
            "https://0251.0376.0251.0376/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[fe80::1]/",
        ] {
            assert!(outgoing.configured("key", url).is_err(), "{url}");
        }
        assert!(outgoing.listed("https://hooks.example/in").is_ok());
        assert!(outgoing.listed("https://HOOKS.example./in").is_ok());
        assert_eq!(outgoing.listed("https://other.example").unwrap_err(), OutgoingError::NotAllowed);
        assert_eq!(outgoing.listed("https://hooks.example.evil.example").unwrap_err(), OutgoingError::NotAllowed);
        // What somebody else names is never this machine, on the list or not.
        let here = Outgoing::of(&settings(&["127.0.0.1", "localhost"], &[]));
        assert_eq!(here.listed("http://127.0.0.1:9").unwrap_err(), OutgoingError::Malformed);
        assert_eq!(here.listed("https://127.0.0.1:9").unwrap_err(), OutgoingError::Private);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (inside, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret");
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{inside}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let (outside, _) = server(answer.leak());
        let target = Outgoing::of(&settings(&[], &[])).configured("key", &format!("http://{outside}/")).unwrap();
        assert_eq!(target.get(64).await, Ok(Reply { status: 302, retry_after: None, bytes: Vec::new() }));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_an_operator_types_may_be_private_and_is_guarded_otherwise() {
        for url in ["https://log.example", "https://10.0.0.5/", "https://[fd00::1]:8443/log", "http://127.0.0.1:9"]
        {
            assert!(Outgoing::typed(url).is_ok(), "{url}");
        }
        for url in ["http://log.example", "http://10.0.0.5", "ftp://127.0.0.1", "https://user@log.example", "log"]
        {
            assert_eq!(Outgoing::typed(url).unwrap_err(), OutgoingError::Malformed, "{url}");
        }
        let (inside, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{inside}/\r\nRetry-After: 7\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let (outside, _) = server(answer.leak());
        let target = Outgoing::typed(&format!("http://{outside}/")).unwrap();
        let moved = Reply { status: 302, retry_after: Some(7), bytes: Vec::new() };
        assert_eq!(target.get_any(64).await, Ok(moved));
        assert_eq!(asked.load(Ordering::Relaxed), 0, "a redirect was followed");
        assert!(target.on_same_origin(&format!("http://{inside}/")).is_err());
    }

    #[tokio::test]
    async fn an_answer_is_bounded() {
        let (address, _) = server("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret");
        let target = Outgoing::of(&settings(&[], &[])).configured("key", &format!("http://{address}/")).unwrap();
        assert_eq!(target.get(6).await, Ok(Reply { status: 200, retry_after: None, bytes: b"secret".to_vec() }));
        assert_eq!(target.get(5).await, Err(OutgoingError::Unreadable));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        let (address, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let url = format!("https://witness.example:{}/", address.port());
        for turns in [
            &[&["127.0.0.1"][..]][..],
            &[&["10.0.0.1"]],
            &[&["::1"]],
            &[&["::ffff:127.0.0.1"]],
            // One of several is enough.
            &[&["1.1.1.1", "127.0.0.1"]],
        ] {
            let target = turning(&settings(&[], &[]), turns).configured("key", &url).unwrap();
            assert_eq!(target.get(64).await, Err(OutgoingError::Private), "{turns:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody connected");
        // Whose name is on the list is connected to, and refused for its certificate.
        let target =
            turning(&settings(&[], &["witness.example"]), &[&["127.0.0.1"]]).configured("key", &url).unwrap();
        assert_eq!(target.get(64).await, Err(OutgoingError::Unreachable));
        assert!(asked.load(Ordering::Relaxed) > 0);
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_is_judged_each_time() {
        let (address, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let outgoing = turning(&settings(&[], &[]), &[&["1.1.1.1"], &["127.0.0.1"]]);
        // The first look says that all is well ...
        assert_eq!(outgoing.addresses("witness.example").await, Ok(vec!["1.1.1.1".parse().unwrap()]));
        // ... and what the call itself is told is judged again: there is no second look that nobody judges.
        let target = outgoing.configured("key", &format!("https://witness.example:{}/", address.port())).unwrap();
        assert_eq!(target.get(64).await, Err(OutgoingError::Private));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_mail_server_is_judged_too() {
        let outgoing = turning(&settings(&[], &["mail.internal"]), &[&["10.0.0.25"]]);
        assert_eq!(outgoing.addresses("mail.example").await, Err(OutgoingError::Private));
        assert_eq!(outgoing.addresses("mail.internal").await, Ok(vec!["10.0.0.25".parse().unwrap()]));
        assert_eq!(outgoing.addresses("127.0.0.1").await, Ok(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(outgoing.addresses("10.0.0.25").await, Err(OutgoingError::Private));
    }
}
