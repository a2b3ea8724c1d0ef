//! TLS by the gateway itself (rustls, TLS 1.2 and 1.3): its certificate, and the authorities of its clients'.
//!
//! Nothing is served with files that do not fit, and none that were replaced by such: the ones in use stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kernel::time::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::TlsSettings;

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key}: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// Which setting.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{key}: {} {reason}", path.display())]
    Unusable {
        /// Which setting.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Others can read the key.
    #[error(
        "server.tls.key: {} is open to other users (mode {mode:o}): run `chmod 600 {}`, and take the key for known if \
         others could read it", path.display(), path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// The TLS of a listener, which follows its files.
pub struct Tls {
    settings: TlsSettings,
    current: RwLock<Current>,
}

struct Current {
    files: Files,
    acceptor: TlsAcceptor,
}

/// What the files say. Shown by no `Debug`: one of them is a key.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Vec<u8>,
}

impl Drop for Files {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Tls {
    /// The TLS of these settings; `None` where none is set.
    ///
    /// # Errors
    /// When a file is missing, does not fit the others, or is a certificate that is not good now.
    pub fn of(settings: &TlsSettings, now: Timestamp) -> Result<Option<Arc<Self>>, TlsError> {
        if !settings.is_set() {
            return Ok(None);
        }
        let files = Files::read(settings)?;
        let acceptor = files.acceptor(settings, now)?;
        let current = RwLock::new(Current { files, acceptor });
        Ok(Some(Arc::new(Self { settings: settings.clone(), current })))
    }

    /// What new connections shake hands with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Whether programs need a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        !self.settings.client_ca.as_os_str().is_empty()
    }

    /// Reads the files again. Connections that are open go on with what they began with. `true`: something changed.
    ///
    /// # Errors
    /// As [`Self::of`]; what was in use stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<bool, TlsError> {
        let files = Files::read(&self.settings)?;
        if self.current.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let acceptor = files.acceptor(&self.settings, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { files, acceptor };
        Ok(true)
    }
}

const CERTIFICATE: &str = "server.tls.certificate";
const KEY: &str = "server.tls.key";
const CLIENT_CA: &str = "server.tls.client_ca";

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        refuse_open(&settings.key)?;
        let client_ca = match settings.client_ca.as_os_str().is_empty() {
            true => Vec::new(),
            false => read(CLIENT_CA, &settings.client_ca)?,
        };
        Ok(Self {
            certificate: read(CERTIFICATE, &settings.certificate)?,
            key: read(KEY, &settings.key)?,
            client_ca,
        })
    }

    fn acceptor(&self, settings: &TlsSettings, now: Timestamp) -> Result<TlsAcceptor, TlsError> {
        let unusable = |key, path: &Path, reason| TlsError::Unusable { key, path: path.to_owned(), reason };
        let chain = certificates(&self.certificate)
            .ok_or_else(|| unusable(CERTIFICATE, &settings.certificate, "holds no certificate (PEM)"))?;
        if let Some(reason) = chain.first().and_then(|own| fault_of_time(own, now)) {
            return Err(unusable(CERTIFICATE, &settings.certificate, reason));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| unusable(KEY, &settings.key, "holds no private key (PEM)"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let own = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                unusable(KEY, &settings.key, "is not the key of the certificate")
            }
            _ => unusable(KEY, &settings.key, "holds a kind of key that TLS has no use for"),
        })?;
        let broken = |_| unusable(CERTIFICATE, &settings.certificate, "cannot be used for TLS");
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(broken)?;
        let builder = if self.client_ca.is_empty() {
            builder.with_no_client_auth()
        } else {
            let no_authority =
                || unusable(CLIENT_CA, &settings.client_ca, "holds no certificate of an authority (PEM)");
            let mut authorities = RootCertStore::empty();
            for authority in certificates(&self.client_ca).ok_or_else(no_authority)? {
                authorities.add(authority).map_err(|_| no_authority())?;
            }
            // Persons and their browsers have none: which requests need one is decided where they are known.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|_| no_authority())?;
            builder.with_client_cert_verifier(verifier)
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|reason| TlsError::Unreadable { key, path: path.to_owned(), reason })
}

/// The certificates of a PEM file; `None`: there is none, or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!read.is_empty()).then_some(read)
}

/// Why a certificate is not good at a time.
fn fault_of_time(certificate: &CertificateDer<'_>, now: Timestamp) -> Option<&'static str> {
    let Ok(own) = webpki::EndEntityCert::try_from(certificate) else { return Some("holds a broken certificate") };
    let seconds = u64::try_from(now.as_seconds()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    // There is no authority to lead to; whether the time is right is looked at before that.
    let usage = webpki::KeyUsage::server_auth();
    match own.verify_for_usage(algorithms, &[], &[], now, usage, None, None).err() {
        Some(webpki::Error::CertExpired { .. }) => Some("has expired"),
        Some(webpki::Error::CertNotValidYet { .. }) => Some("is not valid yet"),
        _ => None,
    }
}

#[cfg(unix)]
fn refuse_open(path: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        fs::metadata(path).map_err(|reason| TlsError::Unreadable { key: KEY, path: path.to_owned(), reason })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(TlsError::Open { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_open(_: &Path) -> Result<(), TlsError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn settings(&self) -> TlsSettings {
            let at = |name: &str| self.0.path().join(name);
            TlsSettings { certificate: at("chain.pem"), key: at("key.pem"), client_ca: PathBuf::new() }
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn error(&self) -> String {
            Tls::of(&self.settings(), now()).map(|_| ()).unwrap_err().to_string()
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn pair(from: i32, to: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn folder(from: i32, to: i32) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let (certificate, key) = pair(from, to);
        folder.write("chain.pem", &certificate);
        folder.write("key.pem", &key);
        folder
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(Tls::of(&TlsSettings::default(), now()).unwrap().is_none());
        assert!(Tls::of(&folder(2020, 2040).settings(), now()).unwrap().is_some());
        assert!(folder(2020, 2025).error().ends_with("chain.pem has expired"));
        assert!(folder(2030, 2040).error().ends_with("chain.pem is not valid yet"));
        let broken = folder(2020, 2040);
        broken.write("key.pem", &pair(2020, 2040).1);
        assert!(broken.error().ends_with("key.pem is not the key of the certificate"));
        broken.write("key.pem", "nothing");
        assert!(broken.error().ends_with("holds no private key (PEM)"));
        broken.write("chain.pem", "nothing");
        assert!(broken.error().ends_with("holds no certificate (PEM)"));
        fs::remove_file(broken.0.path().join("chain.pem")).unwrap();
        assert!(broken.error().starts_with("server.tls.certificate: cannot read"));
        fs::remove_file(broken.0.path().join("key.pem")).unwrap();
        assert!(broken.error().starts_with("server.tls.key: cannot read"));
        let strange = TlsSettings { client_ca: strange_authority(&broken), ..folder(2020, 2040).settings() };
        assert!(Tls::of(&strange, now()).is_err());
    }

    fn strange_authority(folder: &Folder) -> PathBuf {
        folder.write("ca.pem", "nothing");
        folder.0.path().join("ca.pem")
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = folder(2020, 2040);
        let path = folder.settings().key;
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(folder.error().contains("chmod 600"), "{mode:o}");
        }
    }

    #[test]
    fn files_are_followed_and_bad_ones_change_nothing() {
        let folder = folder(2020, 2040);
        let tls = Tls::of(&folder.settings(), now()).unwrap().unwrap();
        assert!(!tls.reload(now()).unwrap());
        let (certificate, key) = pair(2021, 2041);
        folder.write("chain.pem", &certificate);
        assert!(tls.reload(now()).is_err(), "the key of the one before");
        folder.write("key.pem", &key);
        assert!(tls.reload(now()).unwrap() && !tls.reload(now()).unwrap());
    }
}
