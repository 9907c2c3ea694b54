//! One connection's life: handshake, `start-session`, calls, end (docs/protocol.md, sections 1 to 4).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::extract::ws::{CloseFrame, Message, close_code};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use skyline_protocol::{
    Sealer, ServerHandshake, SessionKey, Status, methods::START_SESSION, refusal,
};
use tokio::time::timeout;

use crate::{
    http::Client,
    messages::{Language, Sentence},
    methods::{self, Fault, Session},
    metrics::HandshakeResult,
    peer::{End, Peer, Sink, Stream, next_packet, refuse, seal},
    refusals::Refused,
    serve::Server,
    session,
    stream::Meter,
};

/// Time for the peer to take the last answers and to answer a close frame, each: enough for a
/// slow round trip, and no reason to keep a connection that has ended.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(crate) async fn serve(
    server: &Server,
    (mut sink, mut stream): (Sink, Stream),
    client: &Client,
    meter: &Meter,
) {
    let mut license = None;
    // On the heap, which takes it back: an idle connection is past all of it.
    let begun = Box::pin(begin(server, client.address, &mut sink, &mut stream)).await;
    let end = match begun {
        Ok(connection) => {
            meter.lift_allowance();
            license = Some(connection.session.license);
            session::converse(server, connection, &mut sink, &mut stream, meter).await
        }
        Err(end) => end,
    };
    tracing::debug!(?end, "connection ends");
    if let End::Breach(breach, ..) = end {
        server.metrics.breach(breach);
    }
    if let Some(detail) = end.unanswered() {
        let refused = Refused {
            address: client.address,
            action: "refused-bad-packet",
            license,
            product: None,
            detail: detail.to_owned(),
        };
        server.note(refused).await;
    }
    // The peer may not be there to take part in it; then the deadline has the last word.
    let _ = timeout(CLOSE_DEADLINE, part(end, &mut sink, &mut stream)).await;
}

/// A connection with an open session.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) peer: Peer,
    pub(crate) sealer: Sealer,
}

/// Sends to a peer that has no session, which has as long to take it as it had to begin.
async fn send(server: &Server, sink: &mut Sink, message: Message) -> Result<(), End> {
    match timeout(server.config.handshake_deadline, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Drop("the peer went away")),
        Err(_) => Err(End::Drop("the peer takes no answer")),
    }
}

/// Everything up to the open session. A server that stops waits for nothing more from the peer,
/// and answers what has come in: a login may be written down already.
async fn begin(
    server: &Server,
    address: IpAddr,
    sink: &mut Sink,
    stream: &mut Stream,
) -> Result<Connection, End> {
    let begun = Instant::now();
    let handshake = handshake(server, address, sink, stream).await;
    let result = match &handshake {
        Ok(_) => HandshakeResult::Ok,
        Err(NO_HELLO) => HandshakeResult::TimedOut,
        Err(End::STOPPING | End::Drop(_) | End::ClosedByPeer) => HandshakeResult::Abandoned,
        Err(End::Close(..) | End::Breach(..)) => HandshakeResult::Refused,
    };
    server.metrics.handshake(result, begun.elapsed());
    let (sealer, opener) = handshake?.cipher();
    open_session(server, address, sealer, Peer::new(opener), sink, stream).await
}

const NO_HELLO: End = End::Close(close_code::POLICY, "no hello came in time");
const NO_SESSION: End = End::Close(close_code::POLICY, "no session was started in time");

/// The next packet of a peer that has no session, which ends with `late` at the deadline.
async fn packet_of_stranger(
    server: &Server,
    stream: &mut Stream,
    deadline: Duration,
    late: End,
) -> Result<Bytes, End> {
    tokio::select! {
        packet = timeout(deadline, next_packet(stream)) => packet.unwrap_or(Err(late)),
        () = server.stop.cancelled() => Err(End::STOPPING),
    }
}

async fn handshake(
    server: &Server,
    address: IpAddr,
    sink: &mut Sink,
    stream: &mut Stream,
) -> Result<SessionKey, End> {
    let deadline = server.config.handshake_deadline;
    let hello = packet_of_stranger(server, stream, deadline, NO_HELLO).await?;
    let identity = server.identity.current();
    match ServerHandshake::answer(&hello, &identity, &server.config.key_derivation) {
        Ok((answer, key)) => {
            send(server, sink, Message::Binary(answer.into())).await?;
            Ok(key)
        }
        Err(error) => {
            tracing::debug!(%error, "handshake refused");
            let part = "client-hello";
            methods::note_refusal(server, address, None, &Fault::BadRequest(part)).await;
            let sentence = Sentence::BadRequest { part };
            let message = server.messages.text(Language::default(), &sentence);
            let refusal = refusal(&Status::BadRequest, Some(&message));
            send(server, sink, Message::Binary(refusal.into())).await?;
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
    let deadline = server.config.session_deadline;
    let packet = packet_of_stranger(server, stream, deadline, NO_SESSION).await?;
    let begun = Instant::now();
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
    server
        .metrics
        .call(START_SESSION, &reply.status, begun.elapsed());
    let answer = seal(server, language, &mut sealer, reply, &mut BytesMut::new())?;
    send(server, sink, answer).await?;
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
        End::Close(code, reason) | End::Breach(_, code, reason) => {
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
