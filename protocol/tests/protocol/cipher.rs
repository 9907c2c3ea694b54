//! Sealing and opening packets.

use bytes::BytesMut;
use rmpv::Value;
use skyline_protocol::limits::PACKET_OVERHEAD_BYTES;
use skyline_protocol::{OpenError, Opener, Payload, Request, Response, Sealer};

use crate::support::{pack, request, response, session_keys};

#[test]
fn a_reflected_packet_decrypts_and_is_refused_all_the_same() {
    let (client_key, server_key) = session_keys();
    let (mut client_sealer, mut client_opener) = client_key.cipher();
    let mut packet = BytesMut::new();
    client_sealer
        .seal_request(&request(Payload::None), &mut packet)
        .unwrap();
    let plaintext = client_opener.open(&mut packet).unwrap();
    assert!(Response::decode(plaintext).is_err());

    let (mut server_sealer, mut server_opener) = server_key.cipher();
    let mut packet = BytesMut::new();
    server_sealer
        .seal_response(&response(Payload::None), &mut packet)
        .unwrap();
    let plaintext = server_opener.open(&mut packet).unwrap();
    assert!(Request::decode(plaintext).is_err());
}

#[test]
fn a_packet_has_room_for_its_nonce_and_its_tag() {
    let (mut sealer, mut opener) = session_keys().0.cipher();
    let mut packet = BytesMut::new();
    sealer.seal_with_nonce([1; 12], b"", &mut packet).unwrap();
    assert_eq!(packet.len(), PACKET_OVERHEAD_BYTES);
    assert_eq!(opener.open(&mut packet.clone()), Ok([].as_mut_slice()));
    for length in 0..PACKET_OVERHEAD_BYTES {
        let result = opener.open(&mut packet[..length]);
        assert_eq!(result, Err(OpenError::TooShort));
    }
}

#[test]
fn a_packet_with_any_changed_byte_is_forged() {
    let (mut sealer, mut opener) = session_keys().0.cipher();
    let mut packet = BytesMut::new();
    sealer
        .seal_request(&request(Payload::Binary(&[0x80])), &mut packet)
        .unwrap();
    for index in 0..packet.len() {
        let mut changed = packet.clone();
        changed[index] ^= 1 << (index % 8);
        assert_eq!(opener.open(&mut changed), Err(OpenError::Forged), "{index}");
    }
    for length in PACKET_OVERHEAD_BYTES..packet.len() {
        let mut short = BytesMut::from(&packet[..length]);
        assert_eq!(opener.open(&mut short), Err(OpenError::Forged));
    }
    let mut long = packet.clone();
    long.extend_from_slice(&[0]);
    assert_eq!(opener.open(&mut long), Err(OpenError::Forged));
    assert!(opener.open(&mut packet).is_ok());
}

#[test]
fn a_packet_of_another_session_is_forged() {
    let (mut sealer, _) = session_keys().0.cipher();
    let (_, mut opener) = session_keys().1.cipher();
    let mut packet = BytesMut::new();
    sealer
        .seal_request(&request(Payload::None), &mut packet)
        .unwrap();
    assert_eq!(opener.open(&mut packet), Err(OpenError::Forged));
}

#[test]
fn sealing_appends_and_uses_a_new_nonce_each_time() {
    let (mut sealer, mut opener) = session_keys().0.cipher();
    let mut out = BytesMut::from("before");
    let request = request(Payload::Binary(&[0x93, 1, 2, 3]));
    sealer.seal_request(&request, &mut out).unwrap();
    assert_eq!(out.len(), 6 + request.sealed_len());
    sealer.seal_request(&request, &mut out).unwrap();
    assert_eq!(&out[..6], b"before");
    let (one, two) = out[6..].split_at_mut(request.sealed_len());
    assert_ne!(one[..12], two[..12]);
    for packet in [one, two] {
        let plaintext = opener.open(packet).unwrap();
        assert_eq!(Request::decode(plaintext), Ok(request.clone()));
    }
}

#[test]
fn a_reused_buffer_is_not_allocated_again() {
    let (mut sealer, _) = session_keys().0.cipher();
    let payload = vec![0xc0; 1000];
    let payload = pack(&Value::Binary(payload));
    let mut out = BytesMut::with_capacity(request(Payload::Binary(&payload)).sealed_len());
    let address = out.as_ptr();
    for _ in 0..10 {
        out.clear();
        sealer
            .seal_request(&request(Payload::Binary(&payload)), &mut out)
            .unwrap();
        assert_eq!(out.as_ptr(), address);
    }
}

#[test]
fn the_halves_of_a_cipher_may_live_in_different_threads() {
    fn can_move<T: Send + 'static>() {}
    can_move::<Sealer>();
    can_move::<Opener>();
}
