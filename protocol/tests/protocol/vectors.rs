//! Every byte of the known answers, from both ends.

use bytes::BytesMut;
use serde_json::Value;
use skyline_protocol::methods::{
    self, Limits, START_SESSION, StartSessionRequest, StartSessionResponse,
};
use skyline_protocol::{
    ClientHandshake, IdentityKeyPair, IdentityPublicKey, KeyDerivation, Payload, Request, Response,
    ServerHandshake, SessionKey, Status,
};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::support::{array, bytes, encode_request, encode_response};

struct Vector(Value);

impl Vector {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().expect("a text in the vector file")
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        bytes(self.text(name))
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        array(self.text(name))
    }

    fn identity(&self) -> IdentityKeyPair {
        IdentityKeyPair::from_seed(&self.array("identity_seed"))
    }

    fn session_key(&self) -> SessionKey {
        SessionKey::from_bytes(self.array("session_key"))
    }

    fn packets(&self) -> impl Iterator<Item = Vector> {
        let packets = self.0["packets"].as_array().expect("packets");
        packets.iter().cloned().map(Vector)
    }

    fn packet(&self, what: &str) -> Vector {
        self.packets()
            .find(|packet| packet.text("what") == what)
            .unwrap_or_else(|| panic!("the vector has no {what}"))
    }
}

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../vectors/skyline.json")).unwrap();
    let vectors: Vec<_> = file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .map(Vector)
        .collect();
    assert_eq!(vectors.len(), 2);
    vectors
}

#[test]
fn keys_proof_and_signature_are_the_known_ones() {
    for vector in vectors() {
        let identity = vector.identity();
        assert_eq!(
            identity.public().to_bytes().to_vec(),
            vector.bytes("identity_public")
        );

        let client = StaticSecret::from(vector.array::<32>("client_ecdh_private"));
        let server = StaticSecret::from(vector.array::<32>("server_ecdh_private"));
        let (client_public, server_public) = (PublicKey::from(&client), PublicKey::from(&server));
        assert_eq!(client_public.to_bytes(), vector.array("client_ecdh_public"));
        assert_eq!(server_public.to_bytes(), vector.array("server_ecdh_public"));
        let shared = vector.array("shared_secret");
        assert_eq!(client.diffie_hellman(&server_public).to_bytes(), shared);
        assert_eq!(server.diffie_hellman(&client_public).to_bytes(), shared);

        let proof = vector.bytes("proof");
        let parts = [
            "client_ecdh_public",
            "server_ecdh_public",
            "client_nonce",
            "server_nonce",
        ];
        assert_eq!(proof, parts.map(|name| vector.bytes(name)).concat());
        let signature = ed25519_dalek::Signature::from_bytes(&vector.array("signature"));
        ed25519_dalek::VerifyingKey::from_bytes(&vector.array("identity_public"))
            .unwrap()
            .verify_strict(&proof, &signature)
            .unwrap();
    }
}

#[test]
fn the_server_answers_the_known_bytes() {
    for vector in vectors() {
        let (server_hello, session_key) = ServerHandshake::answer_with_secrets(
            &vector.bytes("client_hello"),
            &vector.identity(),
            &KeyDerivation::default(),
            vector.array("server_ecdh_private"),
            vector.array("server_nonce"),
        )
        .unwrap();
        assert_eq!(server_hello, vector.bytes("server_hello"));
        assert_eq!(*session_key.as_bytes(), vector.array("session_key"));
    }
}

#[test]
fn the_client_sends_the_known_bytes_and_takes_the_known_answer() {
    for vector in vectors() {
        let (client, client_hello) = ClientHandshake::with_secrets(
            vector.array("client_ecdh_private"),
            vector.array("client_nonce"),
        );
        assert_eq!(client_hello, vector.bytes("client_hello"));
        let pinned = IdentityPublicKey::from_bytes(&vector.bytes("identity_public")).unwrap();
        let session_key = client
            .finish(
                &vector.bytes("server_hello"),
                &[pinned],
                &KeyDerivation::default(),
            )
            .unwrap();
        assert_eq!(*session_key.as_bytes(), vector.array("session_key"));
    }
}

#[test]
fn every_packet_seals_to_the_known_bytes_and_opens_from_them() {
    for vector in vectors() {
        let (mut sealer, mut opener) = vector.session_key().cipher();
        assert_eq!(vector.packets().count(), 5);
        for packet in vector.packets() {
            let (plaintext, message) = (packet.bytes("plaintext"), packet.bytes("message"));
            let mut sealed = BytesMut::new();
            sealer
                .seal_with_nonce(packet.array("gcm_nonce"), &plaintext, &mut sealed)
                .unwrap();
            assert_eq!(sealed, message, "{}", packet.text("what"));
            assert_eq!(*opener.open(&mut sealed).unwrap(), plaintext);
        }
    }
}

#[test]
fn every_packet_decodes_and_encodes_to_the_same_bytes() {
    for vector in vectors() {
        for packet in vector.packets() {
            let plaintext = packet.bytes("plaintext");
            let sealed_len = packet.bytes("message").len();
            if packet.text("what").ends_with("request") {
                let request = Request::decode(&plaintext).unwrap();
                assert_eq!(encode_request(&request), plaintext);
                assert_eq!(request.sealed_len(), sealed_len);
                assert!(Response::decode(&plaintext).is_err());
            } else {
                let response = Response::decode(&plaintext).unwrap();
                assert_eq!(encode_response(&response), plaintext);
                assert_eq!(response.sealed_len(), sealed_len);
                assert!(Request::decode(&plaintext).is_err());
            }
        }
    }
}

#[test]
fn the_requests_say_what_the_page_says() {
    for vector in vectors() {
        let plaintext = vector.packet("start-session request").bytes("plaintext");
        let payload = methods::encode(&StartSessionRequest {
            product_id: "telepower".to_owned(),
            product_version: "7.0.3".to_owned(),
            language: "russian".to_owned(),
            last_login_reported_by_client: 1_765_529_203,
            device_serial_number: "ADTFBB4112800098".to_owned(),
            cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
            license_key: "WDGQX-WC2Y3-4R966-TK3H3-HXRB8".parse().unwrap(),
        })
        .unwrap();
        let request = Request {
            seq: 0,
            timestamp: 0x693b_d673,
            method: START_SESSION,
            token: None,
            payload: Payload::Binary(&payload),
        };
        assert_eq!(encode_request(&request), plaintext);

        let plaintext = vector.packet("get-limits request").bytes("plaintext");
        let request = Request {
            seq: 1,
            timestamp: 0x693b_d674,
            method: methods::GET_LIMITS,
            token: Some("0b4968ec-3f2d1d71"),
            payload: Payload::None,
        };
        assert_eq!(encode_request(&request), plaintext);
    }
}

#[test]
fn the_responses_say_what_the_page_says() {
    for vector in vectors() {
        let plaintext = vector.packet("start-session response").bytes("plaintext");
        let response = Response::decode(&plaintext).unwrap();
        assert_eq!(
            (response.seq, &response.status, response.message),
            (0, &Status::Ok, None)
        );
        let payload = response.payload.message_pack().unwrap();
        let session: StartSessionResponse = methods::decode(payload).unwrap();
        assert!(!session.is_activated_now);
        assert_eq!(session.activation_date, jiff::civil::date(2024, 11, 20));
        assert_eq!(session.expiry_date, jiff::civil::date(2025, 2, 20));
        assert_eq!(
            session.license_plan,
            "telepower.licensePlan.release.quarterly"
        );
        assert_eq!(session.session_token.expose(), "0b4968ec-3f2d1d71");
        assert_eq!(methods::encode(&session).unwrap(), payload);

        let plaintext = vector.packet("get-limits response").bytes("plaintext");
        let response = Response::decode(&plaintext).unwrap();
        let payload = response.payload.message_pack().unwrap();
        let limits: Limits = methods::decode(payload).unwrap();
        assert_eq!(limits["engine.limits.inviteToChannel.dailyLimit"], 500);
        assert_eq!(limits["engine.limits.sendMessage.dailyLimit"], 150);
        assert_eq!(methods::encode(&limits).unwrap(), payload);

        let plaintext = vector
            .packet("INTEGRITY_BREACH response")
            .bytes("plaintext");
        let response = Response::decode(&plaintext).unwrap();
        assert_eq!(response.status, Status::IntegrityBreach);
        assert_eq!(
            response.message,
            Some(
                "Нарушена целостность программного обеспечения. Пожалуйста, обратитесь в \
                 техническую поддержку с кодом: LL"
            )
        );
        assert_eq!(response.payload, Payload::None);
    }
}
