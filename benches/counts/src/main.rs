//! Runs one hot function a given number of times, for scripts/instruction-counts, which takes the
//! difference of two numbers and so counts neither start nor preparation.
//!
//! ```text
//! skyline-counts                  prints the names
//! skyline-counts NAME ITERATIONS
//! ```

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use bytes::BytesMut;
use skyline_protocol::{
    ExpectedSequence, InFlight, Opener, Payload, Request, Response, Sealer, SessionKey, Status,
    methods, validate,
};

/// Calls in flight while one more is sent and answered.
const IN_FLIGHT: u64 = 64;

/// Runs a function as often as it is told.
type Repeat = fn(u32);

const FUNCTIONS: &[(&str, Repeat)] = &[
    ("seal_request 64 B", |times| seal_request(64, times)),
    ("seal_request 1 KiB", |times| seal_request(1024, times)),
    ("seal_response 64 B", |times| seal_response(64, times)),
    ("seal_response 1 KiB", |times| seal_response(1024, times)),
    ("open and decode a request 64 B", |times| {
        open_request(64, times);
    }),
    ("open and decode a request 1 KiB", |times| {
        open_request(1024, times);
    }),
    ("open and decode a response 64 B", |times| {
        open_response(64, times);
    }),
    ("open and decode a response 1 KiB", |times| {
        open_response(1024, times);
    }),
    ("Request::encode 64 B", encode_request),
    ("Request::decode 64 B", decode_request),
    ("Response::encode 64 B", encode_response),
    ("Response::decode 64 B", decode_response),
    ("InFlight::send and answer", in_flight),
    ("ExpectedSequence::accept", expected_sequence),
    ("validate a map of 100 limits", validate_map),
    ("methods::decode 100 limits", decode_limits),
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(name) = arguments.next() else {
        for (name, _) in FUNCTIONS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    let times = arguments.next().and_then(|times| times.parse().ok());
    let (Some((_, repeat)), Some(times)) = (function, times) else {
        eprintln!("usage: skyline-counts [NAME ITERATIONS]");
        return ExitCode::FAILURE;
    };
    repeat(times);
    ExitCode::SUCCESS
}

fn cipher() -> (Sealer, Opener) {
    SessionKey::from_bytes([7; 32]).cipher()
}

/// The MessagePack bin of so many bytes.
fn payload(length: u16) -> Vec<u8> {
    let mut payload = match u8::try_from(length) {
        Ok(length) => vec![0xc4, length],
        Err(_) => [&[0xc5][..], &length.to_be_bytes()].concat(),
    };
    payload.resize(payload.len() + usize::from(length), 0x5a);
    payload
}

fn request(payload: &[u8]) -> Request<'_> {
    Request {
        seq: 100_000,
        timestamp: 1_765_529_203,
        method: "test.echo",
        token: Some("71ee0979-ea57b170"),
        payload: Payload::Binary(payload),
    }
}

fn response(payload: &[u8]) -> Response<'_> {
    Response {
        seq: 100_000,
        status: Status::Ok,
        message: None,
        payload: Payload::Binary(payload),
    }
}

fn seal_request(length: u16, times: u32) {
    let payload = payload(length);
    let (mut sealer, _) = cipher();
    let mut out = BytesMut::new();
    for _ in 0..times {
        out.clear();
        sealer
            .seal_request(black_box(&request(&payload)), &mut out)
            .unwrap();
        black_box(&out);
    }
}

fn seal_response(length: u16, times: u32) {
    let payload = payload(length);
    let (mut sealer, _) = cipher();
    let mut out = BytesMut::new();
    for _ in 0..times {
        out.clear();
        sealer
            .seal_response(black_box(&response(&payload)), &mut out)
            .unwrap();
        black_box(&out);
    }
}

/// As the packet is opened where it stands, each time on a copy, which counts too.
fn open_request(length: u16, times: u32) {
    let payload = payload(length);
    let (mut sealer, mut opener) = cipher();
    let mut packet = BytesMut::new();
    sealer
        .seal_request(&request(&payload), &mut packet)
        .unwrap();
    let mut copy = BytesMut::new();
    for _ in 0..times {
        copy.clear();
        copy.extend_from_slice(black_box(&packet));
        black_box(Request::decode(opener.open(&mut copy).unwrap()).unwrap());
    }
}

fn open_response(length: u16, times: u32) {
    let payload = payload(length);
    let (mut sealer, mut opener) = cipher();
    let mut packet = BytesMut::new();
    sealer
        .seal_response(&response(&payload), &mut packet)
        .unwrap();
    let mut copy = BytesMut::new();
    for _ in 0..times {
        copy.clear();
        copy.extend_from_slice(black_box(&packet));
        black_box(Response::decode(opener.open(&mut copy).unwrap()).unwrap());
    }
}

fn encode_request(times: u32) {
    let payload = payload(64);
    let mut out = BytesMut::new();
    for _ in 0..times {
        out.clear();
        black_box(&request(&payload)).encode(&mut out).unwrap();
        black_box(&out);
    }
}

fn decode_request(times: u32) {
    let payload = payload(64);
    let mut encoded = BytesMut::new();
    request(&payload).encode(&mut encoded).unwrap();
    for _ in 0..times {
        black_box(Request::decode(black_box(&encoded)).unwrap());
    }
}

fn encode_response(times: u32) {
    let payload = payload(64);
    let mut out = BytesMut::new();
    for _ in 0..times {
        out.clear();
        black_box(&response(&payload)).encode(&mut out).unwrap();
        black_box(&out);
    }
}

fn decode_response(times: u32) {
    let payload = payload(64);
    let mut encoded = BytesMut::new();
    response(&payload).encode(&mut encoded).unwrap();
    for _ in 0..times {
        black_box(Response::decode(black_box(&encoded)).unwrap());
    }
}

fn in_flight(times: u32) {
    let mut in_flight = InFlight::new();
    for number in 0..IN_FLIGHT {
        in_flight.send(number);
    }
    for _ in 0..times {
        let seq = in_flight.send(black_box(7));
        black_box(in_flight.answer(seq - IN_FLIGHT).unwrap());
    }
}

fn expected_sequence(times: u32) {
    let mut expected = ExpectedSequence::new();
    for seq in 0..times {
        expected.accept(black_box(seq.into())).unwrap();
    }
    black_box(&expected);
}

fn limits() -> Vec<u8> {
    let limits: methods::Limits = (0..100)
        .map(|number| (format!("engine.limits.number{number}.dailyLimit"), 150))
        .collect();
    methods::encode(&limits).unwrap()
}

fn validate_map(times: u32) {
    let limits = limits();
    for _ in 0..times {
        validate(black_box(&limits)).unwrap();
    }
}

fn decode_limits(times: u32) {
    let limits = limits();
    for _ in 0..times {
        black_box(methods::decode::<methods::Limits>(black_box(&limits)).unwrap());
    }
}
