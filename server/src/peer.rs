//! The packets of one connection: read and checked, made and sealed, and how each way of not being
//! right ends the connection (docs/protocol.md, sections 1 to 4).

use axum::extract::ws::{Message, WebSocket, close_code};
use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt,
    stream::{SplitSink, SplitStream},
};
use skyline_protocol::{
    ExpectedSequence, OpenError, Opener, Payload, Request, Response, SealError, Sealer,
    SessionToken, limits,
};
use tungstenite::error::{CapacityError, ProtocolError};

use crate::{
    messages::Language,
    methods::{Call, Fault, Reply},
    metrics::Breach,
    serve::Server,
};

/// The code that a user tells the support when the sequence was broken.
const SEQUENCE_CODE: &str = "SQ";

pub(crate) type Sink = SplitSink<WebSocket, Message>;
pub(crate) type Stream = SplitStream<WebSocket>;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At once: the peer is gone, or is not to get anything.
    Drop(&'static str),
    /// The peer has closed; it gets its close frame back.
    ClosedByPeer,
    /// With a close frame of this code and reason.
    Close(u16, &'static str),
    /// The same, because of something that only a broken or changed client does.
    Breach(Breach, u16, &'static str),
}

impl End {
    /// Nothing is wrong with the peer: it connects again and has a new key.
    pub(crate) const EXHAUSTED: Self =
        Self::Close(close_code::NORMAL, "the session key is used up");
    pub(crate) const STOPPING: Self = Self::Close(close_code::AWAY, "the server stops");

    /// What is wrong with a packet that got no answer: the others are in the audit log with it.
    pub(crate) fn unanswered(self) -> Option<&'static str> {
        match self {
            Self::Breach(Breach::PacketForged | Breach::Protocol, _, what) => Some(what),
            _ => None,
        }
    }

    /// Whether the calls in flight may finish: they were asked for in good faith.
    pub(crate) fn lets_calls_finish(self) -> bool {
        matches!(self, Self::STOPPING | Self::EXHAUSTED | Self::ClosedByPeer)
    }
}

/// What is checked of everything that the peer sends.
pub(crate) struct Peer {
    opener: Opener,
    sequence: ExpectedSequence,
}

/// Why a packet is not taken.
pub(crate) enum Violation {
    /// It ends the connection without an answer.
    Packet(Breach, &'static str),
    /// It carries another seq than the one that is due; it is answered, then the connection ends.
    Sequence(u64),
    /// The key has sealed its share of packets.
    Exhausted,
}

impl Peer {
    pub(crate) fn new(opener: Opener) -> Self {
        Self {
            opener,
            sequence: ExpectedSequence::new(),
        }
    }

    /// Opens and checks a packet. The flag says whether it carries the session's token.
    pub(crate) fn read(
        &mut self,
        packet: Bytes,
        token: Option<&SessionToken>,
    ) -> Result<(Call, bool), Violation> {
        let mut packet = BytesMut::from(packet);
        let length = self
            .opener
            .open(&mut packet)
            .map_err(|error| match error {
                OpenError::Exhausted => Violation::Exhausted,
                _ => Violation::Packet(Breach::PacketForged, "a packet does not open"),
            })?
            .len();
        let start = limits::PACKET_NONCE_BYTES;
        let plaintext = packet.freeze().slice(start..start + length);
        let request = Request::decode(&plaintext)
            .map_err(|_| Violation::Packet(Breach::Protocol, "a packet is not a request"))?;
        self.sequence
            .accept(request.seq)
            .map_err(|_| Violation::Sequence(request.seq))?;
        let authentic = match (token, request.token) {
            (Some(expected), Some(received)) => expected.matches(received),
            _ => false,
        };
        let call = Call {
            seq: request.seq,
            timestamp: request.timestamp,
            method: request.method.to_owned(),
            payload: request
                .payload
                .message_pack()
                .map(|payload| plaintext.slice_ref(payload)),
        };
        Ok((call, authentic))
    }
}

/// The next packet. Dropping it half way loses nothing.
pub(crate) async fn next_packet(stream: &mut Stream) -> Result<Bytes, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(packet))) => return Ok(packet),
            // The WebSocket answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_))) => {
                let code = close_code::UNSUPPORTED;
                return Err(End::Breach(Breach::Protocol, code, "packets are binary"));
            }
            Some(Ok(Message::Close(_))) => return Err(End::ClosedByPeer),
            Some(Err(error)) => return Err(read_failure(error)),
            None => return Err(End::Drop("the peer went away")),
        }
    }
}

fn read_failure(error: axum::Error) -> End {
    use tungstenite::Error;

    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
            let reason = "a packet is larger than the limit";
            End::Breach(Breach::Protocol, close_code::SIZE, reason)
        }
        // A peer that lost its network or its process says no goodbye.
        Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            End::Drop("the peer went away")
        }
        Some(Error::Protocol(_) | Error::Utf8(_) | Error::Capacity(_)) => {
            let reason = "this is not the WebSocket protocol";
            End::Breach(Breach::Protocol, close_code::PROTOCOL, reason)
        }
        _ => End::Drop("the connection broke"),
    }
}

/// How a violation ends the connection, and what is answered before.
pub(crate) fn refuse(violation: Violation) -> (End, Option<(u64, Fault)>) {
    match violation {
        Violation::Packet(breach, reason) => {
            (End::Breach(breach, close_code::PROTOCOL, reason), None)
        }
        Violation::Exhausted => (End::EXHAUSTED, None),
        Violation::Sequence(seq) => (
            End::Breach(
                Breach::Sequence,
                close_code::PROTOCOL,
                "a seq is not the one that is due",
            ),
            Some((seq, Fault::IntegrityBreach(SEQUENCE_CODE))),
        ),
    }
}

pub(crate) fn seal(
    server: &Server,
    language: Language,
    sealer: &mut Sealer,
    reply: Reply,
    buffer: &mut BytesMut,
) -> Result<Message, End> {
    let payload = match reply.payload.as_deref() {
        None => Payload::None,
        Some(payload) if server.config.inline_payloads => Payload::Inline(payload),
        Some(payload) => Payload::Binary(payload),
    };
    let too_large;
    let mut response = Response {
        seq: reply.seq,
        status: reply.status,
        message: reply.message.as_deref(),
        payload,
    };
    if response.sealed_len() > server.config.max_packet_bytes {
        tracing::error!(
            bytes = response.sealed_len(),
            "an answer is larger than a packet"
        );
        too_large = Fault::Internal.reply(server, language, reply.seq);
        response = Response {
            seq: too_large.seq,
            status: too_large.status,
            message: too_large.message.as_deref(),
            payload: Payload::None,
        };
    }
    match sealer.seal_response(&response, buffer) {
        Ok(()) => Ok(Message::Binary(buffer.split().freeze())),
        Err(SealError::Exhausted) => Err(End::EXHAUSTED),
        Err(SealError::TooLong) => Err(End::Drop("an answer cannot be written")),
    }
}
