//! One connection's life: handshake, `start-session`, calls, end (docs/protocol.md, sections 1 to 4).

use std::{net::IpAddr, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use skyline_protocol::{
    Sealer, ServerHandshake, SessionKey, Status, methods::START_SESSION, refusal,
};
use tokio::time::timeout;

use crate::{
    messages::{Language, Sentence},
    methods::{self, Fault, Session},
    peer::{End, Peer, Sink, Stream, next_packet, refuse, seal},
    serve::Server,
    session,
    stream::Meter,
};

/// Time for the peer to take the last answers and to answer a close frame, each: enough for a
/// slow round trip, and no reason to keep a connection that has ended.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(crate) async fn serve(server: &Server, socket: WebSocket, address: IpAddr, meter: &Meter) {
    let (mut sink, mut stream) = socket.split();
    let begun = tokio::select! {
        begun = begin(server, address, &mut sink, &mut stream) => begun,
        () = server.stop.cancelled() => Err(End::STOPPING),
    };
    let end = match begun {
        Ok(connection) => {
            meter.lift_allowance();
            session::converse(server, connection, &mut sink, &mut stream, meter).await
        }
        Err(end) => end,
    };
    tracing::debug!(?end, "connection ends");
    // The peer may not be there to take part in it; then the deadline has the last word.
    let _ = timeout(CLOSE_DEADLINE, part(end, &mut sink, &mut stream)).await;
}

/// A connection with an open session.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) peer: Peer,
    pub(crate) sealer: Sealer,
}

async fn send(sink: &mut Sink, message: Vec<u8>) -> Result<(), End> {
    sink.send(Message::Binary(message.into()))
        .await
        .map_err(|_| End::Drop("the peer went away"))
}

/// Everything up to the open session.
async fn begin(
    server: &Server,
    address: IpAddr,
    sink: &mut Sink,
    stream: &mut Stream,
) -> Result<Connection, End> {
    let key = timeout(
        server.config.handshake_deadline,
        handshake(server, sink, stream),
    )
    .await
    .map_err(|_| End::Close(close_code::POLICY, "no hello came in time"))??;
    let (sealer, opener) = key.cipher();
    let peer = Peer::new(opener);
    timeout(
        server.config.session_deadline,
        open_session(server, address, sealer, peer, sink, stream),
    )
    .await
    .unwrap_or(Err(End::Close(
        close_code::POLICY,
        "no session was started in time",
    )))
}

async fn handshake(
    server: &Server,
    sink: &mut Sink,
    stream: &mut Stream,
) -> Result<SessionKey, End> {
    let hello = next_packet(stream).await?;
    match ServerHandshake::answer(&hello, &server.identity, &server.config.key_derivation) {
        Ok((answer, key)) => {
            send(sink, answer).await?;
            Ok(key)
        }
        Err(error) => {
            tracing::debug!(%error, "handshake refused");
            let part = "client-hello";
            let sentence = Sentence::BadRequest { part };
            let message = server.messages.text(Language::default(), &sentence);
            send(sink, refusal(&Status::BadRequest, Some(&message))).await?;
            Err(End::Close(close_code::PROTOCOL, "the hello is not valid"))
        }
    }
}

async fn open_session(
    server: &Server,
    address: IpAddr,
    mut sealer: Sealer,
    mut peer: Peer,
    sink: &mut Sink,
    stream: &mut Stream,
) -> Result<Connection, End> {
    let packet = next_packet(stream).await?;
    let no_session = End::Close(close_code::POLICY, "no session was started");
    let english = Language::default();
    // What is answered, in which language, and how the connection ends if it is not a session.
    let (reply, language, opened) = match peer.read(packet, None) {
        Ok((call, _)) if call.method == START_SESSION => {
            match methods::start_session(server, address, &call).await {
                Ok((session, reply)) => (reply, session.language, Ok(session)),
                Err((fault, language)) => {
                    let reply = fault.reply(server, language, call.seq);
                    (reply, language, Err(no_session))
                }
            }
        }
        Ok((call, _)) => {
            let fault = Fault::InvalidSession;
            methods::note_refusal(server, address, None, &fault).await;
            let reply = fault.reply(server, english, call.seq);
            (reply, english, Err(no_session))
        }
        Err(violation) => match refuse(violation) {
            (end, None) => return Err(end),
            (end, Some((seq, fault))) => {
                methods::note_refusal(server, address, None, &fault).await;
                (fault.reply(server, english, seq), english, Err(end))
            }
        },
    };
    let answer = seal(server, language, &mut sealer, reply, &mut BytesMut::new())?;
    sink.send(answer)
        .await
        .map_err(|_| End::Drop("the peer went away"))?;
    Ok(Connection {
        session: opened?,
        peer,
        sealer,
    })
}

/// Ends the WebSocket as its protocol wants it.
async fn part(end: End, sink: &mut Sink, stream: &mut Stream) {
    match end {
        End::Drop(_) => {}
        End::ClosedByPeer => {
            let _ = sink.close().await;
        }
        End::Close(code, reason) => {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            if sink.send(Message::Close(Some(frame))).await.is_ok() {
                // Until the peer has closed too: unread bytes would reset the connection, and the
                // peer would lose what was written to it.
                while let Some(Ok(_)) = stream.next().await {}
            }
        }
    }
}
