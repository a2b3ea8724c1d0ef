//! A mail server on this machine: it speaks SMTP (RFC 5321) over TCP, keeps what it takes, and can be told to refuse, to
//! stall or to be down. What it took is read with a parser that is not the gateway's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use app::Gateway;
use consentry::config::{MailSettings, MailTls, OutgoingSettings};
use consentry::outgoing::Outgoing;
use consentry::smtp::Smtp;
use kernel::authz::{Actor, Authorized};
use mail_parser::{MessageParser, MimeHeaders as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::TestGateway;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    /// Answers the recipient with this code.
    RefusesRecipient(u16),
    /// Takes the mail and then says that it did not.
    LosesAfterTaking,
    /// Says nothing at all.
    Stalls,
    /// Does not offer to encrypt.
    OffersNoEncryption,
}

/// The account that an encrypted server asks for.
pub(crate) const ACCOUNT: (&str, &str) = ("gateway", "q7canary-mail-password");

/// What an encrypted server has: its mode, what it proves itself by, and the authority that it was signed by.
struct Encrypted {
    tls: MailTls,
    acceptor: TlsAcceptor,
    authority: tempfile::NamedTempFile,
}

impl Encrypted {
    fn new(tls: MailTls) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Self { tls, acceptor: TlsAcceptor::from(Arc::new(config)), authority: file }
    }
}

/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What a gateway may call: this machine, where it is named by number.
pub(crate) fn calls() -> Outgoing {
    Outgoing::of(&OutgoingSettings { timeout_seconds: 10, ..OutgoingSettings::default() })
}

/// How long a real process may take to send a mail that is due.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

struct State {
    manner: Manner,
    taken: Vec<Mail>,
    conversations: usize,
}

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    listening: Mutex<Option<JoinHandle<()>>>,
    came: Arc<Notify>,
    encrypted: Option<Arc<Encrypted>>,
}

/// A mail as it arrived.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) raw: Vec<u8>,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        Self::start_as(None).await
    }

    /// One that takes mail over an encrypted connection only, from its account only.
    pub(crate) async fn start_encrypted(tls: MailTls) -> Self {
        Self::start_as(Some(Arc::new(Encrypted::new(tls)))).await
    }

    async fn start_as(encrypted: Option<Arc<Encrypted>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { manner: Manner::Takes, taken: Vec::new(), conversations: 0 }));
        let server = Self { address, state, listening: Mutex::default(), came: Arc::default(), encrypted };
        server.listen_on(listener);
        server
    }

    fn listen_on(&self, listener: TcpListener) {
        let (state, came, encrypted) = (Arc::clone(&self.state), Arc::clone(&self.came), self.encrypted.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                state.lock().unwrap().conversations += 1;
                // Whoever goes away in the middle of a conversation ends it.
                let _gone = serve(stream, &state, encrypted.as_deref()).await;
                came.notify_waiters();
            }
        });
        *self.listening.lock().unwrap() = Some(task);
    }

    /// Goes down: nobody listens on its port.
    pub(crate) async fn goes_down(&self) {
        let task = self.listening.lock().unwrap().take().unwrap();
        task.abort();
        assert!(task.await.is_err());
    }

    pub(crate) async fn comes_back(&self) {
        self.listen_on(TcpListener::bind(self.address).await.unwrap());
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    pub(crate) fn conversations(&self) -> usize {
        self.state.lock().unwrap().conversations
    }

    /// Everything it took, in order.
    pub(crate) fn taken(&self) -> Vec<Mail> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Waits until it took some mails.
    pub(crate) async fn takes(&self, mails: usize) {
        let waiting = async {
            loop {
                // Asked for first, so that none that comes meanwhile is missed.
                let came = self.came.notified();
                if self.taken().len() >= mails {
                    return;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Has a gateway send its mails here.
    pub(crate) fn serves(&self, gateway: &Gateway) {
        gateway.deliver_by(Arc::new(Smtp::of(&self.settings(), &calls()).unwrap().unwrap()));
    }

    /// What a gateway has to be told of it.
    pub(crate) fn settings(&self) -> MailSettings {
        let encrypted = self.encrypted.as_deref();
        let (username, password) = if encrypted.is_some() { ACCOUNT } else { ("", "") };
        MailSettings {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            tls: encrypted.map_or(MailTls::None, |encrypted| encrypted.tls),
            ca_file: encrypted.map_or_else(String::new, |tls| tls.authority.path().to_str().unwrap().to_owned()),
            username: username.to_owned(),
            password: serde_json::from_value(password.into()).unwrap(),
            from: "consent@shop.example".to_owned(),
            sender: "Example Shop".to_owned(),
            reply_to: "privacy@shop.example".to_owned(),
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(task) = self.listening.lock().unwrap().take() {
            task.abort();
        }
    }
}

async fn serve(stream: TcpStream, state: &Mutex<State>, encrypted: Option<&Encrypted>) -> std::io::Result<()> {
    if state.lock().unwrap().manner == Manner::Stalls {
        std::future::pending::<()>().await;
    }
    let wire: Box<dyn Wire> = match encrypted {
        Some(encrypted) if encrypted.tls == MailTls::Tls => Box::new(encrypted.acceptor.accept(stream).await?),
        _ => Box::new(stream),
    };
    let mut lines = BufReader::new(wire);
    lines.write_all(b"220 mail.test ESMTP\r\n").await?;
    let is_safe = encrypted.is_none_or(|encrypted| encrypted.tls == MailTls::Tls);
    if converse(&mut lines, state, encrypted.is_some(), is_safe).await? == Ended::ToEncrypt
        && let Some(encrypted) = encrypted
    {
        // Nothing that came before the handshake counts (RFC 3207 §5).
        let mut lines =
            BufReader::new(Box::new(encrypted.acceptor.accept(lines.into_inner()).await?) as Box<dyn Wire>);
        converse(&mut lines, state, true, true).await?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Over,
    ToEncrypt,
}

async fn converse(
    lines: &mut BufReader<Box<dyn Wire>>,
    state: &Mutex<State>,
    asks_for_account: bool,
    is_safe: bool,
) -> std::io::Result<Ended> {
    let manner = || state.lock().unwrap().manner;
    let mut is_known = !asks_for_account;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(Ended::Over);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let path =
            || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned());
        let reply = match verb.as_str() {
            "EHLO" => {
                let more = match (is_safe, asks_for_account) {
                    (false, _) if manner() == Manner::OffersNoEncryption => "",
                    (false, _) => "250-STARTTLS\r\n",
                    (true, true) => "250-AUTH PLAIN\r\n",
                    (true, false) => "",
                };
                format!("250-mail.test\r\n{more}250-8BITMIME\r\n250 SMTPUTF8")
            }
            "STARTTLS" if !is_safe => {
                lines.write_all(b"220 go on\r\n").await?;
                return Ok(Ended::ToEncrypt);
            }
            "AUTH" if is_safe => {
                use base64::Engine as _;
                let said = format!("\0{}\0{}", ACCOUNT.0, ACCOUNT.1);
                is_known = line.strip_prefix("AUTH PLAIN ")
                    == Some(&*base64::engine::general_purpose::STANDARD.encode(said));
                if is_known { "235 welcome".to_owned() } else { "535 no".to_owned() }
            }
            "MAIL" | "RCPT" | "DATA" if !is_safe || !is_known => "530 not like this".to_owned(),
            "HELO" | "NOOP" => "250 OK".to_owned(),
            "RSET" => {
                (from, to) = (String::new(), Vec::new());
                "250 OK".to_owned()
            }
            "MAIL" => {
                from = path().unwrap_or_default();
                "250 OK".to_owned()
            }
            "RCPT" => match (manner(), path()) {
                // Servers like to repeat the address.
                (Manner::RefusesRecipient(code), Some(path)) => format!("{code} <{path}> not here"),
                (_, Some(path)) => {
                    to.push(path);
                    "250 OK".to_owned()
                }
                (_, None) => "501 no path".to_owned(),
            },
            "DATA" => {
                lines.write_all(b"354 go on\r\n").await?;
                let raw = data(lines).await?;
                let mail = Mail { from: from.clone(), to: std::mem::take(&mut to), raw };
                state.lock().unwrap().taken.push(mail);
                let lost = manner() == Manner::LosesAfterTaking;
                if lost { "451 try again later".to_owned() } else { "250 taken".to_owned() }
            }
            "QUIT" => {
                lines.write_all(b"221 bye\r\n").await?;
                return Ok(Ended::Over);
            }
            _ => "502 not here".to_owned(),
        };
        lines.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

/// The lines up to the single point, with doubled points undone (RFC 5321 §4.5.2).
async fn data(lines: &mut BufReader<Box<dyn Wire>>) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(raw);
        }
        raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

impl Mail {
    fn parsed(&self) -> mail_parser::Message<'_> {
        MessageParser::default().parse(&self.raw).unwrap()
    }

    /// The two parts: plain, then HTML. There is nothing else in it.
    pub(crate) fn parts(&self) -> [String; 2] {
        let message = self.parsed();
        let kinds: Vec<_> = message
            .parts
            .iter()
            .map(|part| {
                let kind = part.content_type().unwrap();
                format!("{}/{}", kind.c_type, kind.c_subtype.as_deref().unwrap_or_default())
            })
            .collect();
        assert_eq!(kinds, ["multipart/alternative", "text/plain", "text/html"]);
        assert_eq!((message.attachment_count(), message.text_body_count(), message.html_body_count()), (0, 1, 1));
        [message.body_text(0).unwrap().into_owned(), message.body_html(0).unwrap().into_owned()]
    }

    pub(crate) fn subject(&self) -> String {
        self.parsed().subject().unwrap().to_owned()
    }

    pub(crate) fn message_id(&self) -> String {
        self.parsed().message_id().unwrap().to_owned()
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let message = self.parsed();
        message.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// Every address of a page in it, each once.
    pub(crate) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for part in self.parts() {
            for scheme in ["http://", "https://"] {
                for (at, _) in part.match_indices(scheme) {
                    let end = part[at..].find(|c: char| c.is_whitespace() || "\"'<>)".contains(c));
                    links.push(part[at..end.map_or(part.len(), |end| at + end)].to_owned());
                }
            }
        }
        links.sort();
        links.dedup();
        links
    }

    /// The path of the one link to confirm.
    pub(crate) fn confirmation(&self) -> String {
        let links = self.links();
        let [link] = links.as_slice() else { panic!("not one link: {}", links.len()) };
        link.find("/confirm/").map(|at| link[at..].to_owned()).unwrap()
    }
}

impl TestGateway {
    /// Delivers what is due, as the courier does.
    pub(crate) async fn deliver(&self) {
        let job = Authorized::prove(Actor::Job("suite")).unwrap();
        while self.gateway().deliver_letters_once(&job).await.unwrap() > 0 {}
    }

    /// Removes what was never confirmed, as the background job does.
    pub(crate) async fn purge_unconfirmed(&self) -> u64 {
        let job = Authorized::prove(Actor::Job("suite")).unwrap();
        self.gateway().purge_unconfirmed_once(&job).await.unwrap()
    }

    /// A figure of the metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.expect(200).text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }
}
