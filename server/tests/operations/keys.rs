//! The change to the next identity key, as docs/operations.md tells it.

use skyline_protocol::{ClientHandshake, IdentityPublicKey, KeyDerivation};
use tokio::time::sleep;

use super::http::{metrics, value};
use crate::common::{
    QUIET, Received, Socket,
    process::{Installation, Running, fail, succeed},
    within,
};

const NEXT: [&str; 2] = ["--next-identity-key", "next.key"];

/// The key that the server signs with, of those that a client pins.
async fn signer(running: &Running, pinned: &[IdentityPublicKey]) -> Option<IdentityPublicKey> {
    let mut socket = Socket::open(running.address).await;
    let (handshake, hello) = ClientHandshake::start();
    socket.send_binary(hello).await;
    let Received::Binary(answer) = socket.receive().await else {
        panic!("no answer to the hello");
    };
    let derivation = KeyDerivation::default();
    handshake.finish(&answer, pinned, &derivation).ok()?;
    // One of them; the others alone would not do.
    for key in pinned {
        let mut socket = Socket::open(running.address).await;
        let (handshake, hello) = ClientHandshake::start();
        socket.send_binary(hello).await;
        if let Received::Binary(answer) = socket.receive().await
            && handshake
                .finish(&answer, std::slice::from_ref(key), &derivation)
                .is_ok()
        {
            return Some(key.clone());
        }
    }
    None
}

#[tokio::test]
async fn the_identity_key_is_changed_without_a_restart_and_only_to_the_announced_one() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let old = installation.identity.clone();
    let admin = ["--admin-listen", "127.0.0.1:0"];
    let mut running = installation.serve(&[&NEXT[..], &admin].concat()).await;
    let admin = running.admin().await;

    // Made while the server runs, and announced to it.
    let printed = succeed(folder, &["keygen", "next.key"]).await;
    let new: IdentityPublicKey = printed.trim_end().parse().unwrap();
    let pinned = [old.clone(), new.clone()];
    let shown = succeed(folder, &[&["identity", "show"][..], &NEXT].concat()).await;
    assert_eq!(shown, format!("current: {old}\nnext: {new}\n"));
    let json = succeed(
        folder,
        &[&["identity", "show", "--json"][..], &NEXT].concat(),
    )
    .await;
    assert_eq!(
        json,
        format!("{{\"current\":\"{old}\",\"next\":\"{new}\"}}\n")
    );
    reload(&running, admin, "ok").await;
    assert_eq!(
        signer(&running, &pinned).await,
        Some(old.clone()),
        "not yet"
    );

    let promoted = succeed(folder, &[&["identity", "promote"][..], &NEXT].concat()).await;
    assert!(promoted.starts_with(&format!("current: {new}\nretired: identity.key.retired-")));
    let mut session = running.peer(&installation).await;
    reload(&running, admin, "ok").await;
    assert_eq!(signer(&running, &pinned).await, Some(new.clone()));
    assert_eq!(
        signer(&running, &[old]).await,
        None,
        "the old one is out of use"
    );
    let audit = succeed(folder, &["audit", "--json"]).await;
    assert_eq!(audit.matches("identity-changed").count(), 1, "{audit}");
    // A connection from before goes on.
    let login = crate::common::Login::new(&installation.license().await);
    session.log_in(&login).await.expect_ok();

    // A key that nobody was told of locks nobody out.
    std::fs::remove_file(folder.join("identity.key")).unwrap();
    succeed(folder, &["keygen", "identity.key"]).await;
    reload(&running, admin, "failed").await;
    assert_eq!(signer(&running, &pinned).await, Some(new));
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the identity key stays as it was"), "{log}");
}

/// Sends SIGHUP and waits until the server has read its keys again, with that result.
async fn reload(running: &Running, admin: std::net::SocketAddr, result: &str) {
    let series = format!("skyline_reloads_total{{result=\"{result}\"}}");
    let before = value(&metrics(admin).await, &series);
    running.signal("HUP").await;
    let noticed = async {
        while value(&metrics(admin).await, &series) == before {
            sleep(QUIET / 10).await;
        }
    };
    within(noticed).await;
}

#[tokio::test]
async fn without_a_next_key_nothing_is_promoted() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let shown = succeed(folder, &["identity", "show"]).await;
    assert_eq!(shown, format!("current: {}\n", installation.identity));
    for options in [&[][..], &NEXT] {
        let errors = fail(folder, 1, &[&["identity", "promote"], options].concat()).await;
        assert!(errors.contains("there is no identity key"), "{errors}");
    }
    assert_eq!(succeed(folder, &["identity", "show"]).await, shown);
}
