//! The move to a fresh connection when a key is used up, and what may go wrong in it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use skyline::{BreachReason, Client, ConnectionState, Error};
use skyline_protocol::handshake::{KeyDerivation, ServerHandshake};
use skyline_protocol::identity::IdentityKeyPair;
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;
use tokio_tungstenite::tungstenite::Message;

use crate::support::peer::{Link, Peer, Received, Socket, receive};
use crate::support::{Server, soon};

/// So few that a login and a call use a key up.
const FEW_PACKETS: u64 = 4;

/// What the second connection of a test meets.
#[derive(Clone, Copy)]
enum Second {
    /// A server that signs with another identity key.
    WrongIdentity,
    /// A server that takes the greeting and says nothing.
    Silence,
}

/// A peer whose first connection answers all calls but those of the method `hang`, and whose
/// further ones are as told.
async fn peer(second: Second) -> Peer {
    let connections = Arc::new(AtomicUsize::new(0));
    Peer::start(move |socket, identity| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut socket = socket;
            match (number, second) {
                (0, _) => answer_all(socket, &identity).await,
                (_, Second::WrongIdentity) => sign_wrongly(socket).await,
                (_, Second::Silence) => {
                    let _greeting = receive(&mut socket).await;
                    pending::<()>().await;
                }
            }
        }
    })
    .await
}

async fn answer_all(socket: Socket, identity: &IdentityKeyPair) {
    let Some((mut link, _)) = Link::log_in(socket, identity).await else {
        return;
    };
    while let Some(request) = link.request().await {
        echo(&mut link, &request).await;
    }
}

async fn echo(link: &mut Link, request: &Received) {
    if request.method != "hang" {
        let payload = request
            .payload
            .as_deref()
            .map_or(Payload::None, Payload::Binary);
        link.respond(request.seq, Status::Ok, None, payload).await;
    }
}

async fn sign_wrongly(mut socket: Socket) {
    let Some(hello) = receive(&mut socket).await else {
        return;
    };
    let another = IdentityKeyPair::generate();
    let derivation = KeyDerivation::default();
    let (answer, _) = ServerHandshake::answer(&hello.into_data(), &another, &derivation).unwrap();
    let _ = socket.send(Message::Binary(answer.into())).await;
    while receive(&mut socket).await.is_some() {}
}

/// Lets nobody in.
async fn refuse(socket: Socket, identity: &IdentityKeyPair) {
    let Some(mut link) = Link::accept(socket, identity).await else {
        return;
    };
    let Some(login) = link.request().await else {
        return;
    };
    link.respond(login.seq, Status::LicenseExpired, None, Payload::None)
        .await;
    link.until_closed().await;
}

/// A client whose key is used up but for a call that hangs on the first connection.
async fn client_with_a_hanging_call(
    peer: &Peer,
) -> (Client, tokio::task::JoinHandle<skyline::Result<()>>) {
    let mut config = peer.config();
    config.limits.packets_per_connection = FEW_PACKETS;
    let client = soon(Client::connect(config)).await.unwrap();
    let hanging = client.clone();
    let hanging = tokio::spawn(async move { hanging.call("hang", &()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let () = soon(client.call("use-up", &())).await.unwrap();
    (client, hanging)
}

#[tokio::test]
async fn a_key_that_is_used_up_gives_way_to_a_fresh_one_without_losing_a_call() {
    const ROUNDS: usize = 4;
    const CALLS: usize = 25;
    let logins = Arc::new(AtomicUsize::new(0));
    let counter = logins.clone();
    let peer = Peer::start(move |socket, identity| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { answer_all(socket, &identity).await }
    })
    .await;
    let mut config = peer.config();
    config.limits.packets_per_connection = 20;
    let client = soon(Client::connect(config)).await.unwrap();
    for round in 0..ROUNDS {
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let client = client.clone();
                let sent = CALLS * round + number;
                tokio::spawn(async move {
                    let received: usize = client.call("echo", &sent).await.unwrap();
                    assert_eq!(received, sent);
                })
            })
            .collect();
        for call in calls {
            soon(call).await.unwrap();
        }
    }
    let logins = logins.load(Ordering::SeqCst);
    assert!(
        logins >= 3,
        "{logins} connections for more than 200 packets of 20 each"
    );
}

#[tokio::test]
async fn the_real_server_takes_the_move_to_a_fresh_key() {
    let server = Server::start();
    let mut config = server.owner().config();
    config.limits.packets_per_connection = 8;
    let client = soon(Client::connect(config)).await.unwrap();
    for _ in 0..30 {
        soon(client.get_limits()).await.unwrap();
    }
    assert!(
        client.session().is_activated_now,
        "this client activated the license"
    );
}

#[tokio::test]
async fn a_breach_on_the_fresh_connection_fails_the_calls_on_the_old_one() {
    let peer = peer(Second::WrongIdentity).await;
    let (client, hanging) = client_with_a_hanging_call(&peer).await;
    let breach = Error::IntegrityBreach {
        reason: BreachReason::ServerSignature,
        server_message: None,
    };
    assert_eq!(
        soon(client.call::<_, ()>("next", &())).await.unwrap_err(),
        breach
    );
    assert_eq!(soon(hanging).await.unwrap().unwrap_err(), breach);
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Breached(breach))
    );
}

#[tokio::test]
async fn calls_in_flight_get_their_answers_although_the_fresh_login_is_refused() {
    // The answer to `late` comes when the refusal has long been told.
    const LATE: Duration = Duration::from_millis(500);
    let connections = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start(move |socket, identity| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            if number > 0 {
                return refuse(socket, &identity).await;
            }
            let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
            let late = link.request().await.unwrap();
            loop {
                let request = link.request().await.unwrap();
                echo(&mut link, &request).await;
                if request.method == "use-up" {
                    break;
                }
            }
            tokio::time::sleep(LATE).await;
            link.respond(late.seq, Status::Ok, None, Payload::None)
                .await;
            link.until_closed().await;
        }
    })
    .await;
    let (client, late) = client_with_a_hanging_call(&peer).await;
    let refused = soon(client.call::<_, ()>("next", &())).await.unwrap_err();
    assert_eq!(refused.code(), "LICENSE_EXPIRED");
    soon(late).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_move_that_hangs() {
    let peer = peer(Second::Silence).await;
    let (client, hanging) = client_with_a_hanging_call(&peer).await;
    let moving = client.clone();
    let moving = tokio::spawn(async move { moving.call::<_, ()>("next", &()).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    soon(client.shutdown()).await;
    for call in [moving, hanging] {
        assert_eq!(soon(call).await.unwrap().unwrap_err().code(), "SHUT_DOWN");
    }
    // Half the deadline that the hanging handshake has.
    assert!(started.elapsed() < skyline::Deadlines::default().handshake / 2);
}

#[tokio::test]
async fn a_move_goes_on_when_the_call_that_began_it_gives_up() {
    // Time for many calls, and far too long for the deadline of one.
    const LOGIN: Duration = Duration::from_secs(1);
    let peer = Peer::start(|socket, identity| async move {
        tokio::time::sleep(LOGIN).await;
        answer_all(socket, &identity).await;
    })
    .await;
    let mut config = peer.config();
    config.limits.packets_per_connection = FEW_PACKETS;
    let client = soon(Client::connect(config)).await.unwrap();
    let () = soon(client.call("use-up", &())).await.unwrap();
    // Without the moves going on by themselves none would ever succeed.
    let hasty = client.with_deadline(LOGIN / 5);
    let mut tries = 0;
    while soon(hasty.call::<_, ()>("next", &())).await.is_err() {
        tries += 1;
        assert!(tries < 100, "no call found a fresh connection");
    }
    assert!(tries > 0, "the login was as fast as a call");
}

#[tokio::test]
async fn a_connection_that_ends_right_after_the_login_is_told() {
    let peer = Peer::start(|socket, identity| async move {
        drop(Link::log_in(socket, &identity).await);
    })
    .await;
    // Which of the two it is depends on what arrives first; that neither is silent does not.
    match peer.connect().await {
        Err(error) => assert_eq!(error.code(), "CONNECTION_LOST"),
        Ok(client) => {
            let mut states = client.states();
            let mut last = soon(states.next_state()).await;
            while last == Some(ConnectionState::Ready) {
                last = soon(states.next_state()).await;
            }
            assert!(
                matches!(last, Some(ConnectionState::Reconnecting { .. })),
                "{last:?}"
            );
        }
    }
}
