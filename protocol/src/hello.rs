//! The two hello messages: plain MessagePack maps (docs/protocol.md, section 2).

use rmp::encode::{self, ByteBuf};

use crate::handshake::HandshakeError;
use crate::limits::{
    ECDH_KEY_BYTES, MAX_HELLO_BYTES, MAX_PEER_NONCE_BYTES, MIN_PEER_NONCE_BYTES, SIGNATURE_BYTES,
};
use crate::status::Status;
use crate::wire::{self, PacketError};

/// The method name of the client hello.
const CLIENT_HELLO: &str = "client-hello";

/// What a client hello says.
pub(crate) struct ClientHello<'a> {
    pub(crate) ecdh_public: &'a [u8; ECDH_KEY_BYTES],
    pub(crate) nonce: &'a [u8],
}

/// What a server hello says.
pub(crate) struct ServerHello<'a> {
    pub(crate) ecdh_public: &'a [u8; ECDH_KEY_BYTES],
    pub(crate) signature: &'a [u8; SIGNATURE_BYTES],
    pub(crate) nonce: &'a [u8],
}

impl<'a> ClientHello<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.map(2);
        out.text("r");
        out.text(CLIENT_HELLO);
        out.text("d");
        out.map(2);
        out.bin("clientEcdhPublic", self.ecdh_public);
        out.bin("nonce", self.nonce);
        out.finish()
    }

    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut input = bounded(message)?;
        let (mut method, mut fields) = (None, None);
        wire::read_map(&mut input, |key, value| match key {
            b"r" => wire::keep(&mut method, "r", wire::read_str(value, "r")?),
            b"d" => wire::keep(&mut fields, "d", wire::read_raw(value)?),
            _ => Ok(false),
        })?;
        wire::end(input)?;
        if method.ok_or(PacketError::Missing("r"))? != CLIENT_HELLO {
            return Err(HandshakeError::Malformed(
                "the first message is not `client-hello`".to_owned(),
            ));
        }
        let mut fields = fields.ok_or(PacketError::Missing("d"))?;
        let (mut ecdh_public, mut nonce) = (None, None);
        wire::read_map(&mut fields, |key, value| match key {
            b"clientEcdhPublic" => read_bin(&mut ecdh_public, "clientEcdhPublic", value),
            b"nonce" => read_bin(&mut nonce, "nonce", value),
            _ => Ok(false),
        })?;
        Ok(Self {
            ecdh_public: sized(ecdh_public, "clientEcdhPublic")?,
            nonce: checked_nonce(nonce, "nonce")?,
        })
    }
}

impl<'a> ServerHello<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.answer(&Status::Ok, None);
        out.map(3);
        out.bin("serverEcdhPublic", self.ecdh_public);
        out.bin("signature", self.signature);
        out.bin("serverNonce", self.nonce);
        out.finish()
    }

    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut input = bounded(message)?;
        let (mut status, mut text, mut fields) = (None, None, None);
        wire::read_map(&mut input, |key, value| match key {
            b"S" => wire::keep(&mut status, "S", wire::read_str(value, "S")?),
            b"e" => wire::keep(&mut text, "e", wire::read_optional_str(value, "e")?),
            b"R" => wire::keep(&mut fields, "R", wire::read_raw(value)?),
            _ => Ok(false),
        })?;
        wire::end(input)?;
        let status = Status::from(status.ok_or(PacketError::Missing("S"))?);
        let text = text.ok_or(PacketError::Missing("e"))?;
        let mut fields = fields.ok_or(PacketError::Missing("R"))?;
        if status != Status::Ok {
            return Err(HandshakeError::Refused {
                status,
                message: text.map(str::to_owned),
            });
        }
        let (mut ecdh_public, mut signature, mut nonce) = (None, None, None);
        wire::read_map(&mut fields, |key, value| match key {
            b"serverEcdhPublic" => read_bin(&mut ecdh_public, "serverEcdhPublic", value),
            b"signature" => read_bin(&mut signature, "signature", value),
            b"serverNonce" => read_bin(&mut nonce, "serverNonce", value),
            _ => Ok(false),
        })?;
        Ok(Self {
            ecdh_public: sized(ecdh_public, "serverEcdhPublic")?,
            signature: sized(signature, "signature")?,
            nonce: checked_nonce(nonce, "serverNonce")?,
        })
    }
}

/// The answer of a server that goes no further: a status other than OK, and a sentence for a
/// person or nil (docs/protocol.md, section 2).
pub fn refusal(status: &Status, message: Option<&str>) -> Vec<u8> {
    let mut out = Writer::default();
    out.answer(status, message);
    out.nil();
    out.finish()
}

fn bounded(message: &[u8]) -> Result<&[u8], HandshakeError> {
    if message.len() > MAX_HELLO_BYTES {
        return Err(HandshakeError::TooLarge);
    }
    Ok(message)
}

fn read_bin<'a>(
    place: &mut Option<&'a [u8]>,
    key: &'static str,
    value: &mut &'a [u8],
) -> Result<bool, PacketError> {
    wire::keep(place, key, wire::read_bin(value, key)?)
}

fn sized<'a, const N: usize>(
    value: Option<&'a [u8]>,
    key: &'static str,
) -> Result<&'a [u8; N], HandshakeError> {
    let value = value.ok_or(PacketError::Missing(key))?;
    value.try_into().map_err(|_| {
        HandshakeError::Malformed(format!("`{key}` is {} bytes long, not {N}", value.len()))
    })
}

fn checked_nonce<'a>(
    value: Option<&'a [u8]>,
    key: &'static str,
) -> Result<&'a [u8], HandshakeError> {
    let value = value.ok_or(PacketError::Missing(key))?;
    if !(MIN_PEER_NONCE_BYTES..=MAX_PEER_NONCE_BYTES).contains(&value.len()) {
        return Err(HandshakeError::Malformed(format!(
            "`{key}` is {} bytes long, not {MIN_PEER_NONCE_BYTES} to {MAX_PEER_NONCE_BYTES}",
            value.len()
        )));
    }
    Ok(value)
}

/// Writes MessagePack into memory. Its parts are ours and short, so nothing here can fail.
#[derive(Default)]
struct Writer(ByteBuf);

impl Writer {
    fn map(&mut self, length: u32) {
        let _ = encode::write_map_len(&mut self.0, length);
    }

    fn text(&mut self, text: &str) {
        let _ = encode::write_str(&mut self.0, text);
    }

    fn nil(&mut self) {
        let _ = encode::write_nil(&mut self.0);
    }

    fn bin(&mut self, key: &str, bytes: &[u8]) {
        self.text(key);
        let _ = encode::write_bin(&mut self.0, bytes);
    }

    /// Everything of a server's answer but the value of `R`.
    fn answer(&mut self, status: &Status, message: Option<&str>) {
        self.map(3);
        self.text("S");
        self.text(status.as_str());
        self.text("e");
        match message {
            Some(message) => self.text(message),
            None => self.nil(),
        }
        self.text("R");
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_vec()
    }
}
