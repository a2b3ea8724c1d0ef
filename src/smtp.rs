//! Letters by SMTP (RFC 5321): the edge's [`Post`]. Encrypted, or to this machine alone.

use std::time::{Duration, SystemTime};

use app::{Outgoing, Post, PostError, Posted};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncTransport as _, Message, Tokio1Executor};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::{ConfigError, MailSettings, MailTls};
use crate::outgoing::{Outgoing as Calls, OutgoingError};

/// How long one step of the conversation may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a whole delivery may take: well within the time that a letter is one's own.
const WHOLE: Duration = Duration::from_secs(120);

/// A mail server.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
    calls: Calls,
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp(..)")
    }
}

/// RFC 3834 §5: an answer by a machine to this is not wanted.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The language of a letter (RFC 3282).
#[derive(Clone)]
struct ContentLanguage(String);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

impl Smtp {
    /// Prepares the conversation with the server of these settings; `None` where none is set.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn of(settings: &MailSettings, calls: &Calls) -> Result<Option<Self>, ConfigError> {
        settings.check()?;
        if settings.host.is_empty() {
            return Ok(None);
        }
        let fault = |key, reason: &str| ConfigError::Value { key, reason: reason.to_owned() };
        let address = |key, text: &str| {
            text.parse::<Address>().map_err(|_| fault(key, "is an email address, without a name"))
        };
        let from = address("mail.from", &settings.from)?;
        let domain = ClientId::Domain(from.domain().to_owned());
        let name = Some(settings.sender.clone()).filter(|name| !name.is_empty());
        let reply_to = match settings.reply_to.as_str() {
            "" => None,
            text => Some(Mailbox::new(None, address("mail.reply_to", text)?)),
        };
        let authorities = authorities(&settings.ca_file)?;
        let parameters = || {
            let mut builder = TlsParameters::builder(settings.host.clone());
            for authority in &authorities {
                builder = builder.add_root_certificate(authority.clone());
            }
            builder.build().map_err(|_| fault("mail.host", "is no name that a certificate could be for"))
        };
        let tls = match settings.tls {
            MailTls::None => Tls::None,
            MailTls::Starttls => Tls::Required(parameters()?),
            MailTls::Tls => Tls::Wrapper(parameters()?),
        };
        let has_account = !settings.username.is_empty();
        let credentials = has_account
            .then(|| Credentials::new(settings.username.clone(), settings.password.expose().to_owned()));
        Ok(Some(Self {
            host: settings.host.clone(),
            port: settings.port_or_default(),
            tls,
            credentials,
            hello: domain,
            calls: calls.clone(),
            from: Mailbox::new(name, from),
            reply_to,
        }))
    }

    /// The conversation with one of the server's addresses, which was looked at before; at another time with another.
    async fn transport(&self, at_ms: i64) -> Result<AsyncSmtpTransport<Tokio1Executor>, OutgoingError> {
        let addresses = self.calls.addresses(&self.host).await?;
        let turn = usize::try_from(at_ms / 60_000).unwrap_or_default() % addresses.len().max(1);
        let address = addresses.get(turn).ok_or(OutgoingError::Unresolved)?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
            .port(self.port)
            .tls(self.tls.clone())
            .timeout(Some(TIMEOUT))
            .hello_name(self.hello.clone());
        if let Some(credentials) = &self.credentials {
            builder = builder.credentials(credentials.clone());
        }
        Ok(builder.build())
    }

    fn message(&self, outgoing: &Outgoing) -> Option<Message> {
        let letter = &outgoing.letter;
        let millis = u64::try_from(outgoing.at.as_millis()).ok()?;
        let part = |kind: ContentType, body: &str| {
            SinglePart::builder().header(kind).header(ContentLanguage(letter.locale.clone())).body(body.to_owned())
        };
        let mut builder = Message::builder()
            .message_id(Some(format!("<{}@{}>", outgoing.id, self.from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .from(self.from.clone())
            .to(Mailbox::new(None, letter.to.parse().ok()?))
            .subject(letter.subject.clone())
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let parts = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
            .singlepart(part(ContentType::TEXT_HTML, &letter.html));
        builder.multipart(parts).ok()
    }
}

/// The authorities of a PEM file; none without one.
fn authorities(file: &str) -> Result<Vec<Certificate>, ConfigError> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    let fault = |reason: &str| ConfigError::Value { key: "mail.ca_file", reason: format!("`{file}` {reason}") };
    let mut sections = Vec::new();
    for section in CertificateDer::pem_file_iter(file).map_err(|_| fault("cannot be read"))? {
        sections.push(section.map_err(|_| fault("is not a PEM file"))?);
    }
    if sections.is_empty() {
        return Err(fault("holds no certificate"));
    }
    let read =
        |der: CertificateDer<'_>| Certificate::from_der(der.to_vec()).map_err(|_| fault("holds no certificate"));
    sections.into_iter().map(read).collect()
}

impl Post for Smtp {
    fn deliver<'a>(&'a self, outgoing: &'a Outgoing) -> Posted<'a> {
        Box::pin(async move {
            let Some(message) = self.message(outgoing) else {
                let reason = "the address cannot be written to";
                return Err(PostError { code: None, is_permanent: true, reason });
            };
            let transport = self.transport(outgoing.at.as_millis()).await.map_err(|error| {
                let reason = match error {
                    OutgoingError::Private => "the mail server's name leads into a private network",
                    _ => "the mail server cannot be reached",
                };
                PostError { code: None, is_permanent: false, reason }
            })?;
            match tokio::time::timeout(WHOLE, transport.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(judge(&error, outgoing.letter.to.is_ascii())),
                Err(_) => {
                    Err(PostError { code: None, is_permanent: false, reason: "the mail server took too long" })
                }
            }
        })
    }
}

/// What an error means. Its text stays here: servers quote addresses.
fn judge(error: &lettre::transport::smtp::Error, is_plain_address: bool) -> PostError {
    let code = error.status().map(u16::from);
    let (is_permanent, reason) = match code {
        // RFC 4954 §6, RFC 3207: about this gateway, not about the letter; somebody will set it right.
        Some(530 | 534 | 535 | 538) => (false, "the mail server does not accept the credentials"),
        Some(_) if error.is_permanent() => (true, "the mail server refused it for good"),
        Some(_) => (false, "the mail server refused it for now"),
        None if error.is_tls() => (false, "no encrypted connection to the mail server"),
        None if error.is_timeout() => (false, "the mail server took too long"),
        // RFC 6531: without SMTPUTF8 an address of other letters has no way through.
        None if error.is_client() && !is_plain_address => {
            (true, "the address cannot be written to over this server")
        }
        None if error.is_client() => (false, "the mail server does not offer what is needed, such as encryption"),
        None => (false, "the mail server cannot be reached"),
    };
    PostError { code, is_permanent, reason }
}
