//! Connections: TLS by the gateway itself, clients that prove themselves by a certificate, and clients that are slow.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use consentry::config::{Networks, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use crate::harness::process::{run, text};
use crate::harness::{Backend, TestGateway};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(by: &Authority, name: &str) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, by).unwrap();
    (certificate.der().clone(), key)
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The files of a gateway, and who vouches for them.
struct Files {
    folder: tempfile::TempDir,
    authority: Authority,
    clients: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), authority: authority(), clients: authority() };
        fs::write(files.folder.path().join("clients.pem"), files.clients.pem()).unwrap();
        files.renew();
        files
    }

    /// Another certificate in the same place.
    fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.folder.path().join("chain.pem"), certificate.pem()).unwrap();
        write_private(&self.folder.path().join("key.pem"), &key.serialize_pem());
    }

    fn set(&self, settings: &mut Settings) {
        settings.server.tls.certificate = self.folder.path().join("chain.pem");
        settings.server.tls.key = self.folder.path().join("key.pem");
    }

    fn set_clients(&self, settings: &mut Settings) {
        self.set(settings);
        settings.server.tls.client_ca = self.folder.path().join("clients.pem");
    }

    fn connector(
        &self,
        version: &'static SupportedProtocolVersion,
        client: Option<(CertificateDer<'static>, KeyPair)>,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

type Encrypted = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(gateway: &TestGateway, connector: &TlsConnector) -> std::io::Result<Encrypted> {
    let stream = TcpStream::connect(gateway.address()).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Sends a request and reads the answer to the end of the connection.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without the last word of TLS ends the answer all the same.
    let _ended = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_10_both_versions_of_tls_are_spoken_and_every_answer_says_that_it_stays_so() {
    let files = Files::new();
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| files.set(settings)).await;
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let connector = files.connector(version, None);
        for (path, status) in
            [("/health/live", "200"), ("/nothing", "404"), ("/v1/profiles", "401"), ("/forms/newsletter", "200")]
        {
            let mut stream = connect(&gateway, &connector).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            let answer = exchange(&mut stream, &get(path, "")).await.to_ascii_lowercase();
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
            assert!(
                answer.contains("strict-transport-security: max-age=63072000; includesubdomains\r\n"),
                "{answer}"
            );
        }
    }
    // Whoever speaks in the clear is not answered, and whoever trusts somebody else does not come in.
    let mut plain = TcpStream::connect(gateway.address()).await.unwrap();
    let answer = exchange_bytes(&mut plain, &get("/health/live", "")).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    assert!(connect(&gateway, &Files::new().connector(&TLS13, None)).await.is_err());
}

async fn exchange_bytes(stream: &mut TcpStream, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hsts_is_said_behind_a_proxy_that_terminates_tls_and_never_without_tls() {
    let plain = TestGateway::start(Backend::Sqlite).await;
    assert_eq!(plain.get("/health/live").await.expect(200).header("strict-transport-security"), None);
    let behind = TestGateway::start_configured(Backend::Sqlite, |settings| {
        settings.server.public_url = "https://consent.example".to_owned();
        settings.server.behind_tls_proxy = true;
    })
    .await;
    let answer = behind.get("/health/live").await.expect(200);
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_10_a_service_without_a_client_identity_is_refused() {
    // Without a token nobody is served, on any route that programs use; with mutual TLS not without a certificate either.
    let files = Files::new();
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| files.set_clients(settings)).await;
    let operator = kernel::authz::Authorized::prove(kernel::authz::Actor::Operator).unwrap();
    let new = app::NewClient {
        id: "segmentation-1".parse().unwrap(),
        recipient: Some("segmentation".parse().unwrap()),
        source: None,
        scopes: vec![kernel::authz::Scope::ProfilesRead],
        purposes: Vec::new(),
        keys: None,
        bound_tokens: false,
    };
    let secret = gateway.gateway().register_client(&operator, new).await.unwrap().unwrap();
    let form = format!("grant_type=client_credentials&client_id=segmentation-1&client_secret={}", secret);
    let ask = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let without = files.connector(&TLS13, None);
    let with = |authority: &Authority| files.connector(&TLS13, Some(signed(authority, "segmentation-1")));
    let ours = with(&files.clients);
    // No token without the certificate.
    let mut stream = connect(&gateway, &without).await.unwrap();
    let refused = exchange(&mut stream, &ask).await;
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.contains("\"code\":\"certificate_needed\""),
        "{refused}"
    );
    let mut stream = connect(&gateway, &ours).await.unwrap();
    let issued = exchange(&mut stream, &ask).await;
    let body: serde_json::Value = serde_json::from_str(issued.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let token = body["access_token"].as_str().unwrap();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let pull = "/v1/profiles?purpose=profiling_segmentation";
    // A token that was stolen is worth nothing without it, and the certificate nothing without a token.
    for (connector, more, status, code) in [
        (&without, bearer.as_str(), "403", "certificate_needed"),
        (&without, "", "401", "unauthenticated"),
        (&ours, "", "401", "unauthenticated"),
        (&ours, "Authorization: Bearer guess\r\n", "401", "invalid_access_token"),
    ] {
        let mut stream = connect(&gateway, connector).await.unwrap();
        let answer = exchange(&mut stream, &get(pull, more)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{answer}");
    }
    let mut stream = connect(&gateway, &ours).await.unwrap();
    assert!(exchange(&mut stream, &get(pull, &bearer)).await.starts_with("HTTP/1.1 200"));
    // Persons need none.
    let mut stream = connect(&gateway, &without).await.unwrap();
    assert!(exchange(&mut stream, &get("/forms/newsletter", "")).await.starts_with("HTTP/1.1 200"));
    // One of an authority that nobody named does not even shake hands.
    let strange = connect(&gateway, &with(&authority())).await;
    let answer = match strange {
        Ok(mut stream) => exchange(&mut stream, &get(pull, &bearer)).await,
        Err(_) => String::new(),
    };
    assert!(answer.is_empty(), "{answer}");
}

#[test]
fn sec_10_files_of_tls_that_do_not_fit_stop_the_start() {
    let (data, files) = (tempfile::tempdir().unwrap(), Files::new());
    let at = |name: &str| files.folder.path().join(name).to_str().unwrap().to_owned();
    let start = |certificate: &str, key: &str, listen: &str| {
        let config = files.folder.path().join("config.toml");
        fs::write(&config, format!("[server.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")).unwrap();
        let path = data.path().to_str().unwrap();
        let arguments = ["serve", "--data", path, "--config", config.to_str().unwrap(), "--listen", listen];
        let output = run(&arguments);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert!(start("", "", "0.0.0.0:0").contains("server.tls.certificate"));
    assert!(start(&at("chain.pem"), "", "127.0.0.1:0").contains("a certificate and its key are set together"));
    assert!(
        start(&at("nothing.pem"), &at("key.pem"), "127.0.0.1:0").contains("server.tls.certificate: cannot read")
    );
    assert!(
        start(&at("clients.pem"), &at("key.pem"), "127.0.0.1:0").contains("is not the key of the certificate")
    );
    fs::set_permissions(at("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(start(&at("chain.pem"), &at("key.pem"), "0.0.0.0:0").contains("chmod 600"));
}

/// A gateway whose patience ends after a second.
async fn impatient() -> TestGateway {
    TestGateway::start_configured(Backend::Sqlite, |settings| {
        settings.server.request_timeout_seconds = 1;
        settings.server.keep_alive_seconds = 1;
        settings.server.stall_timeout_seconds = 1;
        settings.server.least_bytes_per_second = 1_000_000;
    })
    .await
}

/// What comes until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _reset = ended.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_is_given_up() {
    let gateway = impatient().await;
    let mut first = TcpStream::connect(gateway.address()).await.unwrap();
    first.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let answer = rest(&mut first).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // Nor one that comes after a request that was answered.
    let mut second = TcpStream::connect(gateway.address()).await.unwrap();
    second
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /health/live HTTP/1.1\r\nX-Slow: ")
        .await
        .unwrap();
    let answer = rest(&mut second).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.matches("HTTP/1.1 200").count() == 1, "{answer}");
    // Nor one that drips: each byte comes in time, the whole never.
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drips = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        writer.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /").await?;
        loop {
            beat.tick().await;
            writer.write_all(b"x").await?;
        }
        #[expect(unreachable_code, reason = "tells the type of the error")]
        Ok::<(), std::io::Error>(())
    });
    let mut answer = Vec::new();
    let _reset = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(timeout(PATIENCE, drips).await.unwrap().unwrap().is_err());
    gateway.get("/health/live").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_given_up_and_nothing_is_stored() {
    let gateway = impatient().await;
    let before = gateway.database().stored().await;
    let head = "POST /v1/consents HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"form\":";
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"request_timeout\""), "{answer}");
    // A body that drips is as slow as one that does not come.
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let head = head.to_owned();
    let drips = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        let _gone = writer.write_all(head.as_bytes()).await;
        while writer.write_all(b" ").await.is_ok() {
            beat.tick().await;
        }
    });
    let mut answer = Vec::new();
    let _reset = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    timeout(PATIENCE, drips).await.unwrap().unwrap();
    assert_eq!(gateway.database().stored().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_take_the_answers_loses_the_connection() {
    let gateway = impatient().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    // Asks again and again and reads nothing, until the other side has had enough.
    let asks = async {
        loop {
            if let Err(error) = stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").await {
                return error;
            }
        }
    };
    let error = timeout(PATIENCE, asks).await.unwrap();
    assert!(
        matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
        "{error}"
    );
    gateway.get("/health/live").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed_and_a_handshake_that_does_not_come_too() {
    let files = Files::new();
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| {
        files.set(settings);
        settings.server.request_timeout_seconds = 1;
    })
    .await;
    let mut silent = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    let gateway =
        TestGateway::start_configured(Backend::Sqlite, |settings| settings.server.keep_alive_seconds = 1).await;
    let mut idle = TcpStream::connect(gateway.address()).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_has_no_more_connections_than_it_may() {
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| {
        settings.limits.exempt = Networks::default();
        settings.server.max_connections_per_machine = 2;
    })
    .await;
    let ask = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(ask).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        open.push(stream);
    }
    let mut third = TcpStream::connect(gateway.address()).await.unwrap();
    let _reset = third.write_all(ask).await;
    assert_eq!(rest(&mut third).await, "");
    // A place that is given up is free again.
    open.pop();
    for _ in 0..100_000 {
        let mut again = TcpStream::connect(gateway.address()).await.unwrap();
        let _reset = again.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        if rest(&mut again).await.starts_with("HTTP/1.1 200") {
            return;
        }
    }
    panic!("the place is never free again");
}
