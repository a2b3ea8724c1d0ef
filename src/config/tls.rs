//! `[server.tls]`: where the gateway's own certificate is.

use std::path::PathBuf;

use serde::Deserialize;

/// `[server.tls]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The chain of certificates (PEM), the gateway's own first; empty: no TLS.
    pub certificate: PathBuf,
    /// Its private key (PEM), readable by its owner alone.
    pub key: PathBuf,
    /// The authorities (PEM) of the certificates that programs must have; empty: they need none.
    pub client_ca: PathBuf,
}

impl TlsSettings {
    /// Whether the gateway speaks TLS itself.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}
