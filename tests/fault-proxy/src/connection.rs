//! One connection through the proxy, from its two sockets to their end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fault::{Cut, Direction, Script};
use crate::proxy::Ledger;
use crate::pump::{End, Pump};

/// How long the two ends may take to close after a FIN before the proxy forgets them.
const PARTING_TIME: Duration = Duration::from_secs(5);

/// Forwards between the two until the connection has ended, by itself or by its script.
pub(crate) async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    script: Script,
    ledger: &Ledger,
) {
    // Nagle's algorithm (RFC 896) would join what a fault keeps apart.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    match pump_both(&mut client, &mut server, script, ledger).await {
        None => {}
        Some(Cut::Reset) => {
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
        Some(Cut::Finish) => {
            let _ = client.shutdown().await;
            let _ = server.shutdown().await;
            // A socket that is closed with bytes unread resets the connection.
            let parting = async { tokio::join!(drain(&mut client), drain(&mut server)) };
            let _ = tokio::time::timeout(PARTING_TIME, parting).await;
        }
    }
}

/// Forwards both ways; gives how the connection is to be cut, unless both ends closed it.
async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    script: Script,
    ledger: &Ledger,
) -> Option<Cut> {
    let (client_reader, client_writer) = client.split();
    let (server_reader, server_writer) = server.split();
    let up = Pump::new(
        client_reader,
        server_writer,
        Direction::ToServer,
        script.to_server,
        ledger,
    );
    let down = Pump::new(
        server_reader,
        client_writer,
        Direction::ToClient,
        script.to_client,
        ledger,
    );
    let (up, down) = (up.run(), down.run());
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => finish(end, down).await,
        end = &mut down => finish(end, up).await,
    }
}

/// Goes on with the other direction after one has ended.
async fn finish(first: End, other: impl Future<Output = End>) -> Option<Cut> {
    if let End::Cut(how) = first {
        return Some(how);
    }
    match other.await {
        End::Cut(how) => Some(how),
        End::Finished | End::Deaf => None,
    }
}

async fn drain(socket: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = socket.read(&mut buffer).await {}
}
