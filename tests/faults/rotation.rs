//! The server's identity key is changed, or is not the one that a client knows.

use std::time::{Duration, Instant};

use skyline::{BreachReason, Client, ClientConfig, Error};

use crate::support::{Server, soon};

/// How long a running server may take to read its keys again.
const RELOAD: Duration = Duration::from_secs(20);

fn is_breach_of_the_signature(error: &Error) -> bool {
    matches!(
        error,
        Error::IntegrityBreach {
            reason: BreachReason::ServerSignature,
            ..
        }
    )
}

async fn connect(config: &ClientConfig) -> Result<Client, Error> {
    soon(Client::connect(config.clone())).await
}

/// Has the server drop the connection without an answer.
async fn drop_connection(client: &Client) {
    let error = soon(client.call::<_, ()>("test.drop-connection", &())).await;
    assert_eq!(error.unwrap_err().code(), "CONNECTION_LOST");
}

/// The steps of docs/security.md, "Rotating the identity key", with a server that never stops.
#[cfg(unix)]
#[tokio::test]
async fn a_rotation_breaks_no_prepared_client() {
    let next_file = ["--next-identity-key", "next.key"];
    let mut server = Server::start_with(&next_file);
    let old = server.identity_key.clone();

    // An install of long ago pins the old key alone.
    let unprepared_owner = server.owner();
    let unprepared = unprepared_owner.config();
    soon(connect(&unprepared).await.unwrap().shutdown()).await;

    // Step 1: the next key is made and named to the server, which goes on with the old one.
    let next = server.admin(&["keygen", "next.key"]);
    server.restart();
    let shown = server.admin(&[&["identity", "show"], &next_file[..]].concat());
    assert_eq!(shown, format!("current: {old}\nnext: {next}"));

    // Step 2: a version that pins both is installed. Its client runs through everything below.
    let owner = server.owner();
    let mut prepared = owner.config();
    prepared.identity_keys.push(next.parse().unwrap());
    let running = connect(&prepared).await.unwrap();
    soon(running.get_limits()).await.unwrap();
    let both = connect(&unprepared).await.unwrap();

    // Step 4: the next key becomes the current one, and the running server is told.
    server.admin(&[&["identity", "promote"], &next_file[..]].concat());
    server.signal("HUP");
    let newest = server.owner();
    let mut newest_alone = newest.config();
    newest_alone.identity_keys = vec![next.parse().unwrap()];
    let begun = Instant::now();
    let newest = loop {
        match connect(&newest_alone).await {
            Ok(client) => break client,
            // Until the server has read its keys again.
            Err(error) if is_breach_of_the_signature(&error) && begun.elapsed() < RELOAD => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };

    // Open sessions go on, those of unprepared clients too.
    soon(running.get_limits()).await.unwrap();
    soon(both.get_limits()).await.unwrap();
    // The prepared client connects again by itself, and after a restart of the product.
    drop_connection(&running).await;
    soon(running.get_limits()).await.unwrap();
    soon(running.shutdown()).await;
    soon(connect(&prepared).await.unwrap().get_limits())
        .await
        .unwrap();
    // The client that pins the old key alone cannot tell this from an attack.
    drop_connection(&both).await;
    let latched = soon(both.get_limits()).await.unwrap_err();
    assert!(is_breach_of_the_signature(&latched), "{latched}");
    let error = connect(&unprepared).await.unwrap_err();
    assert!(is_breach_of_the_signature(&error), "{error}");

    // Step 5: nobody needs the old key any more.
    soon(newest.get_limits()).await.unwrap();
}

#[tokio::test]
async fn a_restarted_client_starts_clean_after_a_breach() {
    let mut server = Server::start();
    let owner = server.owner();
    let config = owner.config();
    let client = connect(&config).await.unwrap();
    soon(client.shutdown()).await;
    // Somebody else answers for a while.
    server.admin(&["keygen", "stranger.key"]);
    server.restart_with_identity("stranger.key");
    let error = connect(&config).await.unwrap_err();
    assert!(is_breach_of_the_signature(&error), "{error}");
    // Then the server itself: the same folder, the same license, and nothing is held against it.
    server.restart();
    let client = connect(&config).await.unwrap();
    assert!(!client.session().is_activated_now);
    soon(client.get_limits()).await.unwrap();
}
