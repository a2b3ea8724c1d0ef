//! Settings: typed, whole and valid before anything starts, and silent about their secrets.
//!
//! Three layers, each overriding the one before: `config/base.toml` (part of the program), the file of `--config`,
//! and the environment (`CONSENTRY__SECTION__KEY`). A key that no layer may have is an error that names the key and
//! the layer; nothing is ignored.

mod data_dir;
mod keys;
mod limits;
mod mail;
mod networks;
mod oidc;
mod outgoing;
mod tls;

pub use data_dir::{DataDir, DataDirError, Missing};
pub use keys::{AwsKmsSettings, KeySettings, Pkcs11Settings};
pub use limits::{ClientLimits, LimitSettings, QuotaSettings};
pub use mail::{ConfirmationLimits, MailPassword, MailSettings, MailTls};
pub use networks::{Networks, Texts};
pub use oidc::{OidcSecret, OidcSettings, StaffSettings};
pub use outgoing::OutgoingSettings;
pub use tls::TlsSettings;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use kernel::regime::Regime;
use serde::Deserialize;
use thiserror::Error;

use crate::outgoing::Outgoing;
use crate::witness::HttpWitness;

const BASE: &str = include_str!("../config/base.toml");
const BASE_NAME: &str = "config/base.toml";
const ENVIRONMENT_NAME: &str = "the environment";

/// Everything an operator may set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// The keys.
    pub keys: KeySettings,
    /// The policy.
    pub policies: PolicySettings,
    /// Access tokens.
    pub tokens: TokenSettings,
    /// The ledger.
    pub ledger: LedgerSettings,
    /// Defaults that decide which law applies.
    pub law: LawSettings,
    /// The mail server.
    pub mail: MailSettings,
    /// What the gateway itself may call.
    pub outgoing: OutgoingSettings,
    /// How often, and how many at once.
    pub limits: LimitSettings,
    /// Double opt-in.
    pub confirmation: ConfirmationLimits,
    /// Staff.
    pub staff: StaffSettings,
    /// The log.
    pub log: LogSettings,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How the world reaches the gateway; empty: `http://` and the address.
    pub public_url: String,
    /// TLS by the gateway itself.
    pub tls: TlsSettings,
    /// Whether a proxy in front terminates TLS.
    pub behind_tls_proxy: bool,
    /// The proxies whose word on the client's address is believed.
    pub trusted_proxies: Networks,
    /// In which header field they tell it.
    pub proxy_header: ProxyHeader,
    /// `Strict-Transport-Security`, wherever the gateway is reached by TLS; empty: not sent.
    pub hsts: String,
    /// Threads that answer requests; 0: one a core, but one core is left to the rest.
    pub workers: usize,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long an idle connection is kept.
    pub keep_alive_seconds: u64,
    /// The most connections of one machine at once; 0: unbounded.
    pub max_connections_per_machine: u32,
    /// How long a client may take to send a request's head, and to shake hands.
    pub request_timeout_seconds: u64,
    /// How long a client may neither send the next part of a body nor take the next part of an answer.
    pub stall_timeout_seconds: u64,
    /// How fast a client must at least send a body and take an answer, in bytes a second.
    pub least_bytes_per_second: u32,
    /// How long a graceful stop waits for requests in flight.
    pub shutdown_seconds: u64,
}

/// How a proxy tells the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// The custom one.
    XForwardedFor,
    /// The standard one (RFC 7239).
    Forwarded,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where it is; holds a password, perhaps.
    pub url: DatabaseUrl,
    /// The most connections to it.
    pub max_connections: u32,
    /// Whether to bring the schema up to date when starting.
    pub migrate_on_start: bool,
}

/// A database's address. Its `Debug` shows no more than the scheme.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Wraps an address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The address, password and all.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where it is, for messages: without user, password and parameters.
    #[must_use]
    pub fn place(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://").filter(|_| self.scheme() != "sqlite") else {
            return self.0.clone();
        };
        // A password may hold anything. Where it is not plain what is one, nothing is shown.
        let (user, host) = rest.split_once('@').unwrap_or(("", rest));
        let host = host.split(['?', '#']).next().unwrap_or_default();
        if rest.matches('@').count() > 1 || user.contains(['?', '#', '/']) || host.is_empty() {
            return format!("{scheme}://[redacted]");
        }
        format!("{scheme}://{host}")
    }

    fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme() {
            scheme @ ("sqlite" | "postgres" | "postgresql") => write!(f, "{scheme}:[redacted]"),
            _ => f.write_str("[redacted]"),
        }
    }
}

/// `[policies]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// The policy's folder; empty: the one inside the program.
    pub dir: PathBuf,
}

/// `[tokens]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// How long an access token is good.
    pub seconds: u32,
    /// Whether proofs of possession must name a nonce of ours.
    pub dpop_nonces: bool,
}

/// `[ledger]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSettings {
    /// The ledger's name in its checkpoints.
    pub origin: String,
    /// Where a witness takes checkpoints (`…/add-checkpoint`); empty: none.
    pub witness_url: String,
    /// The key of its cosignatures.
    pub witness_vkey: String,
}

/// `[law]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawSettings {
    /// The regime of persons who declare no region.
    pub default_regime: Regime,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How a line is written.
    pub format: LogFormat,
    /// From which level on.
    pub level: LogLevel,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading.
    Text,
}

/// The least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Faults that need somebody.
    Error,
    /// What may become one.
    Warn,
    /// What happened.
    Info,
    /// More of it.
    Debug,
    /// All of it.
    Trace,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file of `--config` cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A layer is malformed, has an unknown key or a value of the wrong kind.
    #[error("{layer}: {reason}")]
    Layer {
        /// The file, or the environment.
        layer: String,
        /// What is wrong, with the key.
        reason: String,
    },
    /// A value is of the right kind and still not usable.
    #[error("{key}: {reason}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Settings {
    /// Reads the three layers.
    ///
    /// # Errors
    /// When a layer cannot be read, names an unknown key, or has a value that cannot be used.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_layers(file, std::env::vars().collect())
    }

    /// As [`Self::load`], with the environment as a parameter.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_layers(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self, ConfigError> {
        let mut builder = Config::builder().add_source(File::from_str(BASE, FileFormat::Toml));
        read(&builder, BASE_NAME)?;
        // Read again after each layer: the first reading that fails tells which layer is at fault.
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
            read(&builder, &path.display().to_string())?;
        }
        let environment = Environment::with_prefix("CONSENTRY").separator("__").source(Some(environment));
        builder = builder.add_source(environment);
        let mut settings: Self = read(&builder, ENVIRONMENT_NAME)?;
        settings.server.public_url = trimmed_url(&settings.server.public_url)?;
        Ok(settings)
    }

    /// Whether the address may be listened on.
    ///
    /// # Errors
    /// When it would put personal data on the network in the clear.
    pub fn check_address(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        let fault = |key, reason: String| Err(ConfigError::Value { key, reason });
        let (certificate, key) = (&server.tls.certificate, &server.tls.key);
        if certificate.as_os_str().is_empty() != key.as_os_str().is_empty() {
            return fault("server.tls", "a certificate and its key are set together".to_owned());
        }
        if !server.tls.client_ca.as_os_str().is_empty() && !server.tls.is_set() {
            let reason = "certificates of clients are asked for only over the gateway's own TLS";
            return fault("server.tls.client_ca", reason.to_owned());
        }
        if server.tls.is_set() && server.public_url.starts_with("http://") {
            return fault("server.public_url", "begins with `https://` where the gateway speaks TLS".to_owned());
        }
        if !server.listen.ip().is_loopback() && !server.behind_tls_proxy && !server.tls.is_set() {
            let reason = format!(
                "`{}` is reachable from other machines; set server.tls.certificate and server.tls.key, or \
                 server.behind_tls_proxy = true once a proxy in front terminates TLS, or listen on 127.0.0.1",
                server.listen
            );
            return fault("server.listen", reason);
        }
        Ok(())
    }

    /// Whether everything fits together; call it when the command line has had its say.
    ///
    /// # Errors
    /// When a value is out of range or missing, or [`Self::check_address`] fails.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_address()?;
        self.mail.check()?;
        self.limits.check()?;
        HttpWitness::of(&self.ledger, &Outgoing::of(&self.outgoing))?;
        self.staff.oidc.read()?;
        let server = &self.server;
        if server.hsts.chars().any(char::is_control) || !server.hsts.is_ascii() {
            return Err(ConfigError::Value { key: "server.hsts", reason: "is one line of a header".to_owned() });
        }
        let at_least_one = [
            ("confirmation.valid_hours", u64::from(self.confirmation.valid_hours)),
            ("confirmation.purge_days", u64::from(self.confirmation.purge_days)),
            ("confirmation.mails_per_address_a_day", u64::from(self.confirmation.mails_per_address_a_day)),
            ("server.max_connections", server.max_connections as u64),
            ("server.keep_alive_seconds", server.keep_alive_seconds),
            ("server.request_timeout_seconds", server.request_timeout_seconds),
            ("server.stall_timeout_seconds", server.stall_timeout_seconds),
            ("server.least_bytes_per_second", u64::from(server.least_bytes_per_second)),
            ("outgoing.timeout_seconds", self.outgoing.timeout_seconds),
            ("database.max_connections", u64::from(self.database.max_connections)),
            ("tokens.seconds", u64::from(self.tokens.seconds)),
        ];
        if let Some((key, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Value { key, reason: "must be at least 1".to_owned() });
        }
        if self.database.url.is_empty() {
            return Err(ConfigError::Value {
                key: "database.url",
                reason: "there is no store: give --data DIR, or set database.url and keys.file".to_owned(),
            });
        }
        if !matches!(self.database.url.scheme(), "sqlite" | "postgres" | "postgresql") {
            let reason = "an address begins with `sqlite:` or `postgres://`".to_owned();
            return Err(ConfigError::Value { key: "database.url", reason });
        }
        self.keys.check()
    }
}

fn read(
    builder: &config::ConfigBuilder<config::builder::DefaultState>,
    layer: &str,
) -> Result<Settings, ConfigError> {
    builder
        .build_cloned()
        .and_then(Config::try_deserialize)
        .map_err(|error| ConfigError::Layer { layer: layer.to_owned(), reason: error.to_string() })
}

fn trimmed_url(url: &str) -> Result<String, ConfigError> {
    let fault = |reason: &str| ConfigError::Value { key: "server.public_url", reason: reason.to_owned() };
    if url.is_empty() {
        return Ok(String::new());
    }
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or_else(|| fault("begins with `https://` or `http://`"))?;
    if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#@\"'<>".contains(c)) {
        return Err(fault("is an address without user, query and fragment"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::from_layers(None, environment)
    }

    fn with_file(text: &str) -> Result<Settings, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::from_layers(Some(file.path()), HashMap::new())
    }

    #[test]
    fn the_shipped_files_are_read_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for name in ["base.toml", "development.toml", "production.example.toml"] {
            let settings = Settings::from_layers(Some(&folder.join(name)), HashMap::new()).unwrap();
            assert!(settings.tokens.seconds > 0, "{name}");
        }
    }

    #[test]
    fn the_production_example_lacks_nothing_but_the_database() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.example.toml");
        let environment = [("CONSENTRY__DATABASE__URL", "postgres://consentry:secret@db.internal/consentry")];
        let environment = environment.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let settings = Settings::from_layers(Some(&path), environment).unwrap();
        settings.check().unwrap();
        assert!(!settings.database.migrate_on_start);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let settings = with(&[
            ("CONSENTRY__SERVER__LISTEN", "127.0.0.1:0"),
            ("CONSENTRY__SERVER__WORKERS", "3"),
            ("CONSENTRY__DATABASE__MIGRATE_ON_START", "false"),
            ("CONSENTRY__LAW__DEFAULT_REGIME", "EU_GDPR:FR"),
            ("CONSENTRY__SERVER__PUBLIC_URL", "https://consent.example.com/"),
            ("CONSENTRY__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
            ("CONSENTRY__LIMITS__POSTS__PER_MINUTE", "7"),
            ("HOME", "/nowhere"),
        ])
        .unwrap();
        assert_eq!((settings.server.listen.port(), settings.server.workers), (0, 3));
        assert!(!settings.database.migrate_on_start);
        assert_eq!(settings.law.default_regime.to_string(), "EU_GDPR:FR");
        assert_eq!(settings.server.public_url, "https://consent.example.com");
        let proxies = &settings.server.trusted_proxies;
        assert!(proxies.contain([192, 0, 2, 7].into()) && !proxies.contain([192, 0, 2, 8].into()));
        assert_eq!((settings.limits.posts.per_minute, settings.limits.posts.burst), (7, 150));
    }

    #[test]
    fn a_limit_that_lets_nothing_through_and_a_name_that_no_client_has_are_refused() {
        let settings = with(&[("CONSENTRY__LIMITS__POSTS__BURST", "0")]).unwrap();
        assert!(settings.limits.check().unwrap_err().to_string().starts_with("limits.posts"));
        let settings = with_file("[limits.clients.\"No Name\"]\nat_once = 1\n").unwrap();
        assert!(settings.limits.check().unwrap_err().to_string().contains("No Name"));
        let settings = with_file("[limits.clients.crm]\npulls = { per_minute = 1, burst = 0 }\n").unwrap();
        assert!(settings.limits.check().unwrap_err().to_string().starts_with("limits.clients"));
        with_file("[limits.clients.crm]\nat_once = 1\n").unwrap().limits.check().unwrap();
    }

    #[test]
    fn sec_10_tls_is_set_whole_or_not_at_all() {
        let check = |tls: &str| with_file(tls).unwrap().check_address().map_err(|error| error.to_string());
        assert!(check("[server.tls]\ncertificate = \"c.pem\"\n").unwrap_err().starts_with("server.tls"));
        assert!(check("[server.tls]\nclient_ca = \"c.pem\"\n").unwrap_err().starts_with("server.tls.client_ca"));
        let whole = "listen = \"0.0.0.0:443\"\n[server.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        check(&format!("[server]\n{whole}")).unwrap();
        let plain = format!("[server]\npublic_url = \"http://consent.example\"\n{whole}");
        assert!(check(&plain).unwrap_err().starts_with("server.public_url"));
    }

    #[test]
    fn a_fault_names_its_key_and_its_layer() {
        let cases = [
            (with(&[("CONSENTRY__SERVER__WORKERS", "four")]), "the environment", "server.workers"),
            (with(&[("CONSENTRY__SERVER__WORKRES", "4")]), "the environment", "workres"),
            (with(&[("CONSENTRY__SERVER__LISTEN", "here")]), "the environment", "server.listen"),
            (with(&[("CONSENTRY__LOG__FORMAT", "xml")]), "the environment", "log.format"),
            (with_file("[server]\nworkres = 4\n"), "/", "workres"),
            (with_file("[sever]\nworkers = 4\n"), "/", "sever"),
            (with_file("[server]\nworkers = \"x\"\n"), "/", "server.workers"),
            (with_file("[server\n"), "/", "line 1"),
        ];
        for (result, layer, key) in cases {
            let message = result.unwrap_err().to_string();
            assert!(message.starts_with(layer) && message.contains(key), "{message}");
        }
    }

    #[test]
    fn sec_10_plaintext_on_a_non_loopback_address_is_refused() {
        let environment = |listen, tls| {
            with(&[
                ("CONSENTRY__SERVER__LISTEN", listen),
                ("CONSENTRY__SERVER__BEHIND_TLS_PROXY", tls),
                ("CONSENTRY__DATABASE__URL", "sqlite:/tmp/x.db"),
                ("CONSENTRY__KEYS__FILE", "/tmp/keys.toml"),
            ])
            .unwrap()
        };
        assert!(environment("0.0.0.0:80", "false").check().unwrap_err().to_string().contains("behind_tls_proxy"));
        environment("0.0.0.0:80", "true").check().unwrap();
        environment("[::1]:80", "false").check().unwrap();
    }

    #[test]
    fn a_store_and_its_keys_are_needed() {
        assert!(with(&[]).unwrap().check().unwrap_err().to_string().starts_with("database.url"));
        let settings = with(&[("CONSENTRY__DATABASE__URL", "mysql://h/d")]).unwrap();
        assert!(settings.check().unwrap_err().to_string().starts_with("database.url"));
        let settings = with(&[("CONSENTRY__DATABASE__URL", "postgres://h/d")]).unwrap();
        assert!(settings.check().unwrap_err().to_string().starts_with("keys.file"));
    }

    #[test]
    fn a_place_has_no_password() {
        for (url, place) in [
            ("postgres://u:p@ss?w@db:5432/c?password=x", "postgres://[redacted]"),
            ("postgres://db/c?password=x@y", "postgres://[redacted]"),
            ("postgres:///c?host=/run", "postgres:///c"),
            ("postgres://u:p%3F@db:5432/c?password=x", "postgres://db:5432/c"),
            ("postgres://db/c", "postgres://db/c"),
            ("sqlite:/data/consentry.db", "sqlite:/data/consentry.db"),
        ] {
            assert_eq!(DatabaseUrl::new(url).place(), place);
        }
    }

    #[test]
    fn a_database_password_is_never_shown() {
        let settings = with(&[("CONSENTRY__DATABASE__URL", "postgres://consentry:hunter2@db/consentry")]).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && shown.contains("postgres:[redacted]"), "{shown}");
    }
}
