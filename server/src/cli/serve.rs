//! `skyline-server serve`.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use super::{CliError, ServeOptions, admin, print, settings::unknown_variables};
use crate::{
    clock::SystemClock,
    identity, log, open_files,
    refusals::write_each_minute,
    serve::{Server, WEBSOCKET_PATH},
    store::Store,
    tls,
};

pub(super) async fn serve(options: ServeOptions) -> Result<(), CliError> {
    log::start(&options.log, options.log_format).map_err(CliError::LogFilter)?;
    for name in unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!(name, "this variable of the environment is no setting");
    }
    let identity = identity::load(&options.identity.identity_key)?;
    let tls = match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        (None, None) => None,
        _ => return Err(CliError::HalfTls),
    };
    // Before the ready line is out, so that no signal is lost after it.
    let signals = Signals::new()?;
    let store: Arc<dyn Store> = Arc::new(admin::open(&options.database, true).await?);
    let (listener, address) = listen(options.listen).await?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    tracing::info!(%address, identity = %identity.public(), "serving");
    if options.test_hooks {
        tracing::warn!("the test hooks are on: clients can forge answers; never in production");
    }
    print(&format!(
        "listening on {scheme}://{address}{WEBSOCKET_PATH}\n"
    ))?;

    let mut config = options.config();
    config.max_connections = open_files::make_room(config.max_connections);
    let server = Server::new(config, identity, Arc::clone(&store), Arc::new(SystemClock));
    let running = Arc::clone(&server).run(listener, tls);
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => {}
        () = write_each_minute(&server) => {}
        () = signals.wait() => {
            tracing::info!("stopping");
            server.stop();
            running.await;
        }
    }
    server.write_refusals().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    let failed = |error| CliError::Listen(address.to_string(), error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The signals that ask the server to stop.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, CliError> {
        use tokio::signal::unix::{SignalKind, signal};

        let install = |kind| {
            signal(kind).map_err(|error| CliError::System("cannot listen for signals", error))
        };
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Where there are no Unix signals, Ctrl-C it is.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, CliError> {
        Ok(Self)
    }

    async fn wait(self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
