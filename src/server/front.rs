//! The listener: connections are counted, encrypted where TLS is set, watched, and handed to HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use app::network_of;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::{Connection, Patience};
use super::crowd::Crowd;
use super::tls::Tls;
use crate::config::{Networks, ServerSettings};
use crate::http::Edge;

/// How a connection is served.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// Threads.
    pub workers: usize,
    /// The most connections at once.
    pub max_connections: usize,
    /// The most connections of one machine; 0: unbounded.
    pub max_connections_per_machine: u32,
    /// Whose connections are not counted by machine.
    pub uncounted: Networks,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How slow a client may be.
    pub patience: Patience,
    /// How long a graceful stop waits, in seconds.
    pub shutdown_seconds: u64,
}

impl FrontSettings {
    /// Those of `[server]`; `uncounted` besides the trusted proxies.
    #[must_use]
    pub fn of(server: &ServerSettings, uncounted: &Networks) -> Self {
        // A core is left to the gateway's own tasks and to the database: with fewer workers the requests that wait at the
        // same time are gathered into fewer, larger batches, which costs both of them less (docs/performance.md).
        let most = || std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        Self {
            workers: if server.workers == 0 { most() } else { server.workers },
            max_connections: server.max_connections,
            // A proxy that nobody named stands for everybody.
            max_connections_per_machine: match (server.behind_tls_proxy, server.trusted_proxies.is_empty()) {
                (true, true) => 0,
                _ => server.max_connections_per_machine,
            },
            uncounted: uncounted.with(&server.trusted_proxies),
            keep_alive: Duration::from_secs(server.keep_alive_seconds),
            patience: Patience::of(server),
            shutdown_seconds: server.shutdown_seconds,
        }
    }
}

/// Serves an edge on a listener. Requests are answered from the moment that the server is polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    edge: &Edge,
    listener: TcpListener,
    settings: &FrontSettings,
    tls: Option<Arc<Tls>>,
) -> io::Result<Server> {
    let workers = settings.workers.max(1);
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(settings.max_connections.div_ceil(workers))
        .shutdown_timeout(settings.shutdown_seconds)
        .disable_signals();
    let (stopping, edge) = (builder.graceful_shutdown_signal(), edge.clone());
    let crowd = Crowd::of(settings.max_connections_per_machine);
    let settings = settings.clone();
    let builder = builder.listen("consentry", listener, move || {
        let (edge, stopping) = (edge.clone(), stopping.clone());
        let (crowd, settings, tls) = (Arc::clone(&crowd), settings.clone(), tls.clone());
        let patience = settings.patience;
        let app = App::new().configure(move |routes| edge.configure(routes));
        let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(settings.keep_alive)
            .client_request_timeout(patience.head)
            .client_disconnect_timeout(Duration::from_secs(1))
            .on_connect_ext(|connection: &Connection, about| {
                about.insert(connection.about());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let (crowd, tls, uncounted) = (Arc::clone(&crowd), tls.clone(), settings.uncounted.clone());
            async move { accept(stream, patience, &crowd, &uncounted, tls.as_deref()).await }
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}

/// Lets a connection in.
async fn accept(
    stream: TcpStream,
    patience: Patience,
    crowd: &Arc<Crowd>,
    uncounted: &Networks,
    tls: Option<&Tls>,
) -> Result<(Connection, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().map_err(DispatchError::Io)?;
    let counted = match counts(peer.ip(), uncounted) {
        true => crowd.admit(network_of(peer.ip())).ok_or_else(|| refused(io::ErrorKind::QuotaExceeded))?,
        false => None,
    };
    let connection = match tls {
        None => Connection::plain(stream, patience, counted),
        Some(tls) => {
            // Somebody who says nothing while shaking hands is slow like everybody else.
            let stream = timeout(patience.head, tls.acceptor().accept(stream)).await;
            let stream = stream.map_err(|_| refused(io::ErrorKind::TimedOut))?.map_err(DispatchError::Io)?;
            Connection::tls(stream, patience, counted)
        }
    };
    Ok((connection, Some(peer)))
}

fn counts(peer: IpAddr, uncounted: &Networks) -> bool {
    !uncounted.contain(peer)
}

fn refused(kind: io::ErrorKind) -> DispatchError {
    DispatchError::Io(kind.into())
}
