//! `skyline-server serve`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    CliError, ServeOptions, admin, print,
    settings::unknown_variables,
    signals::{Order, Signals},
};
use crate::{
    clock::SystemClock,
    http,
    identity::KeyFiles,
    log, open_files,
    refusals::write_each_minute,
    serve::{Server, WEBSOCKET_PATH},
    store::Store,
    tls::Certificate,
};

pub(super) async fn serve(options: ServeOptions) -> Result<(), CliError> {
    log::start(&options.log, options.log_format).map_err(CliError::LogFilter)?;
    for name in unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!(name, "this variable of the environment is no setting");
    }
    let mut config = options.config();
    config.max_connections = open_files::make_room(config.max_connections);
    let database = options.database.database.0.as_ref();
    config.releases = options.releases.files(database.map_err(Clone::clone)?);
    let key_files = options.identity.files();
    let keys = key_files.load()?;
    let identity = keys.current.public();
    let certificate = certificate(options.tls_certificate, options.tls_key)?;
    // Before the ready line is out, so that no signal is lost after it.
    let signals = Signals::new()?;
    let store: Arc<dyn Store> = Arc::new(admin::open(&options.database, true).await?);
    let (listener, address) = listen(options.listen).await?;
    let admin = match options.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    tracing::info!(%address, %identity, "serving");
    if options.test_hooks {
        tracing::warn!("the test hooks are on: clients can forge answers; never in production");
    }
    let scheme = if certificate.is_some() { "wss" } else { "ws" };
    let mut ready = format!("listening on {scheme}://{address}{WEBSOCKET_PATH}\n");
    if let Some((_, address)) = &admin {
        ready.push_str(&format!("metrics on http://{address}/metrics\n"));
    }

    let clock = Arc::new(SystemClock);
    let server = Server::new(config, keys.current, Arc::clone(&store), clock);
    server.announce_identity(keys.next);
    if let Some((listener, _)) = admin {
        // Until the process ends: while the server drains, it still tells how it is.
        tokio::spawn(http::serve_admin(Arc::clone(&server), listener));
    }
    print(&ready)?;
    let node = Node {
        server: Arc::clone(&server),
        key_files,
        certificate,
        reload_interval: options.tls_reload_interval,
    };
    if node.run(listener, signals).await {
        server.write_refusals().await;
        store.close().await;
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped at once: calls may be unanswered");
    }
    Ok(())
}

/// A server and what is read again while it runs.
struct Node {
    server: Arc<Server>,
    key_files: KeyFiles,
    certificate: Option<Arc<Certificate>>,
    reload_interval: Duration,
}

impl Node {
    /// Serves until it is told to stop; tells whether it could do so in good order.
    async fn run(self, listener: TcpListener, mut signals: Signals) -> bool {
        let running = Arc::clone(&self.server).run(listener, self.certificate.clone());
        let writing = write_each_minute(&self.server);
        tokio::pin!(running, writing);
        let first = Instant::now() + self.reload_interval;
        let mut ticks = interval_at(first, self.reload_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut running => return true,
                () = &mut writing => {}
                order = signals.next() => match order {
                    Order::Stop if self.server.is_stopping() => return false,
                    Order::Stop => {
                        tracing::info!("stopping");
                        self.server.stop();
                    }
                    Order::Reload => {
                        self.reload_identity().await;
                        self.reload_certificate();
                    }
                },
                _ = ticks.tick() => self.reload_certificate(),
            }
        }
    }

    async fn reload_identity(&self) {
        let replaced = match self.key_files.load() {
            Ok(keys) => self.server.replace_identity(keys).await,
            Err(error) => Err(error),
        };
        self.server.count_reload(replaced.is_ok());
        match replaced {
            Ok(()) => tracing::info!("the identity keys were read again"),
            Err(error) => {
                tracing::error!(%error, "the identity key stays as it was");
            }
        }
    }

    fn reload_certificate(&self) {
        let Some(certificate) = &self.certificate else {
            return;
        };
        match certificate.reload() {
            Ok(false) => {}
            Ok(true) => {
                self.server.count_reload(true);
                tracing::info!("the TLS certificate was renewed");
            }
            Err(error) => {
                self.server.count_reload(false);
                tracing::error!(%error, "the TLS certificate stays as it was");
            }
        }
    }
}

fn certificate(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Arc<Certificate>>, CliError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(Certificate::load(certificate, key)?))),
        (None, None) => Ok(None),
        _ => Err(CliError::HalfTls),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    let failed = |error| CliError::Listen(address.to_string(), error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
