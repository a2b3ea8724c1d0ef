//! The edge on a listener of its own, in a thread of its own, gone when it is dropped.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use app::Gateway;
use consentry::config::Settings;
use consentry::http::{Edge, EdgeSettings};
use consentry::server::{FrontSettings, Tls, serve};

pub(super) struct Server {
    pub(super) address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves a gateway with these settings, over TLS where they say so.
    pub(super) fn start(gateway: Gateway, settings: &Settings) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::channel();
        let settings = settings.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let tls = Tls::of(&settings.server.tls, gateway.now()).unwrap();
                let edge = Edge::new(gateway, &EdgeSettings::of(&settings));
                let front = FrontSettings::of(&settings.server, &settings.limits.exempt);
                let server = serve(&edge, listener, &front, tls).unwrap();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, handle: told.recv().unwrap(), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}
