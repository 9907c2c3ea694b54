//! Secrets of a whole session against everything that was logged at the finest level.

use skyline::Error;
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;

use crate::support::logs;
use crate::support::peer::{Link, Peer, Told};
use crate::support::soon;

#[tokio::test]
async fn neither_license_key_nor_token_nor_session_key_reaches_the_log() {
    logs::keep();
    let told: Told<(Vec<u8>, String)> = Told::default();
    let tell = told.clone();
    let peer = Peer::start(move |socket, identity| {
        let tell = tell.clone();
        async move {
            let (mut link, token) = Link::log_in(socket, &identity).await.unwrap();
            tell.lock()
                .unwrap()
                .push((link.key.as_bytes().to_vec(), token.expose().to_owned()));
            let request = link.request().await.unwrap();
            link.respond(request.seq, Status::Ok, None, Payload::None)
                .await;
            link.send(tokio_tungstenite::tungstenite::Message::text("breach"))
                .await;
            link.until_closed().await;
        }
    })
    .await;
    let client = peer.connect().await.unwrap();
    soon(client.call::<_, ()>("anything", &())).await.unwrap();
    let error = soon(client.call::<_, ()>("anything", &()))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::IntegrityBreach { .. }), "{error:?}");

    let (key, token) = told.lock().unwrap()[0].clone();
    let log = logs::text();
    assert!(
        log.contains("integrity breach"),
        "the session was logged at all"
    );
    let shown = format!("{client:?} {:?} {error:?}", peer.config());
    for text in [&log, &shown] {
        assert!(!text.contains(peer.license_key.expose()));
        assert!(!text.contains(&token));
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.to_lowercase().contains(&hex));
        // As Debug writes bytes: the first eight of them are telling enough.
        let list = format!("{:?}", &key[..8]);
        assert!(!text.contains(list.trim_end_matches(']')));
    }
}
