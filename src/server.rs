//! The running gateway: composed from settings, ready before it answers, stopped without dropping a request.
//!
//! Requests are read and answered on actix workers, each with a thread of its own. The gateway's own tasks (commits,
//! bulk reads, jobs) run on the multi-thread runtime from which [`start`] is called, and spread over the cores.

mod connection;
mod crowd;
mod front;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use app::{Gateway, GatewaySettings, OpenGatewayError, SystemClock, SystemEntropy};
use kernel::clock::Clock as _;
use kernel::regime::Regime;
use thiserror::Error;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::assets::{self, PolicyFolderError};
use crate::config::{ConfigError, Settings};
use crate::http::{Edge, EdgeSettings};
use crate::keys::{self, KeyFileError};
use crate::outgoing::Outgoing;
use crate::smtp::Smtp;
use crate::witness::HttpWitness;

pub use connection::Patience;
pub(crate) use connection::{About, Working};
pub use front::{FrontSettings, serve};
pub use tls::{Tls, TlsError};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 2048;
/// How often the files of TLS are looked at.
const TLS_LOOK: Duration = Duration::from_secs(60);

/// Why the gateway does not start, or did not stop well.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The settings do not fit together.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key file cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The policy folder cannot be read.
    #[error(transparent)]
    PolicyFolder(#[from] PolicyFolderError),
    /// The policy has faults.
    #[error("the policy in {place} has {} faults:\n{}", faults.len(), faults.join("\n"))]
    Policy {
        /// Where it came from.
        place: String,
        /// `file:line:column: reason`, one each.
        faults: Vec<String>,
    },
    /// The database cannot be used.
    #[error("{place}: {reason}")]
    Database {
        /// Where it is.
        place: String,
        /// Why not.
        reason: OpenGatewayError,
    },
    /// The gateway cannot be opened.
    #[error(transparent)]
    Open(OpenGatewayError),
    /// Somebody else listens there.
    #[error("{0} is in use by another program: stop it, or choose another address with --listen")]
    AddressInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// The server ended by itself, or a task of the gateway did.
    #[error("the server ended: {0}")]
    Ended(String),
}

/// A gateway that answers.
pub struct Running {
    address: SocketAddr,
    public_url: String,
    gateway: Gateway,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
    jobs: JoinHandle<()>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Opens the gateway of these settings and serves it. When this returns, requests are answered.
///
/// # Errors
/// When anything is missing or does not fit; nothing runs then.
pub async fn start(settings: &Settings) -> Result<Running, ServeError> {
    settings.check()?;
    let tls = Tls::of(&settings.server.tls, SystemClock.now())?;
    let outgoing = Outgoing::of(&settings.outgoing);
    let smtp = Smtp::of(&settings.mail, &outgoing)?;
    // The port first: it may be chosen by the system, and a second gateway must fail before it touches the store.
    let (listener, address) = listen(settings.server.listen)?;
    let public_url = match settings.server.public_url.as_str() {
        "" if tls.is_some() => format!("https://{address}"),
        "" => format!("http://{address}"),
        url => url.to_owned(),
    };
    let gateway = open(settings, &public_url).await?;
    if let Some(smtp) = smtp {
        gateway.deliver_by(Arc::new(smtp));
    }
    if let Some((witness, key)) = HttpWitness::of(&settings.ledger, &outgoing)? {
        gateway.witnessed_by(Arc::new(witness), key);
    }
    for form in gateway.forms_without_mail() {
        tracing::warn!(form, "this form asks for confirmations, but mail.host is not set: its mails wait");
    }
    gateway.ready().await.map_err(|error| ServeError::Ended(error.to_string()))?;

    if settings.server.behind_tls_proxy && settings.server.trusted_proxies.is_empty() {
        tracing::warn!("nothing is counted by machine: server.trusted_proxies names no proxy");
    }
    let front = FrontSettings::of(&settings.server, &settings.limits.exempt);
    let edge = Edge::new(gateway.clone(), &EdgeSettings::of(settings));
    let server =
        serve(&edge, listener, &front, tls.clone()).map_err(|reason| ServeError::Listen { address, reason })?;

    let stop = CancellationToken::new();
    let jobs = {
        let (gateway, stop) = (gateway.clone(), stop.clone());
        tokio::spawn(async move { gateway.run_jobs(stop).await })
    };
    if let Some(tls) = tls {
        tokio::spawn(follow(tls, stop.clone()));
    }
    let handle = server.handle();
    let server = tokio::spawn(server);
    tracing::info!(address = %address, workers = front.workers, policy = %gateway.policy().version(), "ready");
    Ok(Running { address, public_url, gateway, handle, server, jobs, stop })
}

/// Opens the gateway of these settings to look at it or at its clients: the policy in force stays in force, and the
/// schema stays as it is.
///
/// # Errors
/// When the keys, the policy or the database cannot be used, or the schema is older than this program.
pub async fn open_as_it_is(settings: &Settings) -> Result<Gateway, ServeError> {
    open_with(settings, &settings.server.public_url, false).await
}

/// Opens the gateway of these settings without serving it.
///
/// # Errors
/// When the keys, the policy or the database cannot be used.
pub async fn open(settings: &Settings, public_url: &str) -> Result<Gateway, ServeError> {
    open_with(settings, public_url, true).await
}

async fn open_with(settings: &Settings, public_url: &str, bring_up_to_date: bool) -> Result<Gateway, ServeError> {
    let keyring = keys::load(&settings.keys.file)?;
    let (place, sources) = if settings.policies.dir.as_os_str().is_empty() {
        (PathBuf::new(), assets::shipped_policy())
    } else {
        (settings.policies.dir.clone(), assets::read_policy(&settings.policies.dir)?)
    };
    let default_regime = Some(settings.law.default_regime).filter(|regime| *regime != Regime::Unknown);
    let gateway = GatewaySettings {
        issuer: public_url.to_owned(),
        audience: public_url.to_owned(),
        ledger_origin: settings.ledger.origin.clone(),
        token_seconds: settings.tokens.seconds,
        dpop_nonces: settings.tokens.dpop_nonces,
        default_regime,
        database_url: settings.database.url.expose().to_owned(),
        max_connections: settings.database.max_connections,
        migrate_on_start: settings.database.migrate_on_start && bring_up_to_date,
        apply_policy: bring_up_to_date,
        confirmation: settings.confirmation.into(),
        address_quota: settings.limits.address.into(),
        ..GatewaySettings::default()
    };
    Gateway::open(gateway, keyring, sources, Arc::new(SystemClock), Arc::new(SystemEntropy)).await.map_err(
        |error| match error {
            OpenGatewayError::Policy(faults) => ServeError::Policy {
                place: match place.display().to_string() {
                    shipped if shipped.is_empty() => "the program".to_owned(),
                    folder => folder,
                },
                faults: faults.iter().map(|fault| place.join(fault.to_string()).display().to_string()).collect(),
            },
            error => from_database(settings, error),
        },
    )
}

/// Says which database it was that could not be used.
pub(crate) fn from_database(settings: &Settings, error: OpenGatewayError) -> ServeError {
    match error {
        reason @ (OpenGatewayError::Database(_)
        | OpenGatewayError::PendingMigrations(_)
        | OpenGatewayError::WrongKeys) => ServeError::Database { place: settings.database.url.place(), reason },
        error => ServeError::Open(error),
    }
}

fn listen(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), ServeError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|reason: io::Error| match reason.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse(address),
        _ => ServeError::Listen { address, reason },
    })
}

impl Running {
    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The gateway behind it.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Serves until `signal` completes or the server ends by itself, then stops.
    ///
    /// # Errors
    /// When it ended by itself, or a task did not end well.
    pub async fn until(mut self, signal: impl Future<Output = ()>) -> Result<(), ServeError> {
        tokio::select! {
            () = signal => self.stop().await,
            ended = &mut self.server => {
                self.stop.cancel();
                Err(ServeError::Ended(reason(ended)))
            }
        }
    }

    /// Stops: accepts nothing more, finishes the requests in flight within the time set, then ends the jobs.
    ///
    /// # Errors
    /// When a task did not end well.
    pub async fn stop(self) -> Result<(), ServeError> {
        tracing::info!("stopping");
        self.handle.stop(true).await;
        match self.server.await {
            Ok(Ok(())) => {}
            ended => return Err(ServeError::Ended(reason(ended))),
        }
        self.stop.cancel();
        self.jobs.await.map_err(|error| ServeError::Ended(error.to_string()))?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn reason(ended: Result<io::Result<()>, tokio::task::JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it stopped accepting".to_owned(),
        Ok(Err(error)) => error.to_string(),
        // A panic's message may quote what was being handled.
        Err(error) if error.is_panic() => "it panicked".to_owned(),
        Err(_) => "its task was cancelled".to_owned(),
    }
}

/// Follows the files of TLS: looks at them from time to time, and when the operator says that they changed (SIGHUP).
async fn follow(tls: Arc<Tls>, stop: CancellationToken) {
    #[cfg(unix)]
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
    loop {
        #[cfg(unix)]
        let told = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let told = std::future::pending::<()>();
        tokio::select! {
            () = stop.cancelled() => return,
            () = told => {}
            () = tokio::time::sleep(TLS_LOOK) => {}
        }
        match tls.reload(SystemClock.now()) {
            Ok(true) => tracing::info!("new connections get the new certificate"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the certificate in use stays in use"),
        }
    }
}

/// Completes when the operator asks to stop: SIGTERM or SIGINT.
///
/// # Errors
/// When the system hands out no signals.
pub async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
