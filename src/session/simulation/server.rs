//! A server that answers as the protocol wants it, keeps account of what it did, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use skyline_protocol::handshake::{KeyDerivation, ServerHandshake};
use skyline_protocol::identity::{IdentityKeyPair, IdentityPublicKey};
use skyline_protocol::methods::{self, START_SESSION, StartSessionRequest, StartSessionResponse};
use skyline_protocol::packet::{Payload, Request, Response};
use skyline_protocol::status::Status;
use skyline_protocol::{ExpectedSequence, SessionToken};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long a peer may be silent: a server must not keep what a network has forgotten.
const PATIENCE: Duration = Duration::from_secs(50);

/// The seconds that a client is asked to wait for.
const RETRY_AFTER: u64 = 3;

#[derive(Debug)]
pub(super) struct Server {
    identity: IdentityKeyPair,
    random: Mutex<StdRng>,
    limiting: AtomicBool,
    /// How often each call of the method `work` was executed.
    executions: Mutex<HashMap<u64, usize>>,
    /// The accepted logins, by the time that the client remembers.
    logins: Mutex<Vec<i64>>,
}

/// A request, taken out of its packet.
struct Call {
    seq: u64,
    timestamp: i64,
    method: String,
    token: Option<String>,
    payload: Option<Vec<u8>>,
}

struct Answer {
    seq: u64,
    status: Status,
    payload: Option<Vec<u8>>,
}

impl Server {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            identity: IdentityKeyPair::generate(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            limiting: AtomicBool::new(false),
            executions: Mutex::default(),
            logins: Mutex::default(),
        }
    }

    pub(super) fn identity(&self) -> IdentityPublicKey {
        self.identity.public()
    }

    /// Whether logins and calls are answered with `RATE_LIMITED` from now on.
    pub(super) fn limit(&self, limiting: bool) {
        self.limiting.store(limiting, Ordering::Relaxed);
    }

    pub(super) fn logins(&self) -> usize {
        self.logins.lock().unwrap().len()
    }

    pub(super) fn executions(&self, call: u64) -> usize {
        let executions = self.executions.lock().unwrap();
        executions.get(&call).copied().unwrap_or_default()
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, io: DuplexStream) {
        // Whatever ends it, the client has to cope.
        let _ = self.converse(io).await;
    }

    async fn converse(self: Arc<Self>, io: DuplexStream) -> Option<()> {
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let (mut sink, mut stream) = socket.split();
        let hello = tokio::time::timeout(PATIENCE, stream.next())
            .await
            .ok()??
            .ok()?;
        let derivation = KeyDerivation::default();
        let (answer, key) =
            ServerHandshake::answer(&hello.into_data(), &self.identity, &derivation).ok()?;
        sink.send(Message::Binary(answer.into())).await.ok()?;
        let (mut sealer, mut opener) = key.cipher();
        let mut sequence = ExpectedSequence::new();
        let mut token = None;
        let (answers, mut inbox) = mpsc::unbounded_channel::<Answer>();
        loop {
            tokio::select! {
                biased;
                answer = inbox.recv() => {
                    let answer = answer?;
                    let response = Response {
                        seq: answer.seq,
                        status: answer.status,
                        message: None,
                        payload: answer.payload.as_deref().map_or(Payload::None, Payload::Binary),
                    };
                    let mut packet = BytesMut::new();
                    sealer.seal_response(&response, &mut packet).unwrap();
                    sink.send(Message::Binary(packet.freeze())).await.ok()?;
                }
                message = tokio::time::timeout(PATIENCE, stream.next()) => {
                    let message = message.ok()??.ok()?;
                    if !message.is_binary() {
                        continue;
                    }
                    let mut packet = BytesMut::from(&message.into_data()[..]);
                    let request = Request::decode(opener.open(&mut packet).unwrap()).unwrap();
                    let call = Call {
                        seq: request.seq,
                        timestamp: request.timestamp,
                        method: request.method.to_owned(),
                        token: request.token.map(str::to_owned),
                        payload: request.payload.message_pack().map(<[u8]>::to_vec),
                    };
                    sequence.accept(call.seq).expect("the client counts right");
                    if call.method == START_SESSION {
                        token = self.log_in(call, &answers);
                    } else {
                        assert!(token.is_some(), "a call before the login");
                        assert_eq!(call.token, token, "another session's token");
                        self.clone().work(call, answers.clone());
                    }
                }
            }
        }
    }

    /// Answers a login; gives the token of an accepted one.
    fn log_in(&self, call: Call, answers: &mpsc::UnboundedSender<Answer>) -> Option<String> {
        if self.limiting.load(Ordering::Relaxed) {
            let _ = answers.send(rate_limited(call.seq));
            return None;
        }
        let request: StartSessionRequest =
            methods::decode(call.payload.as_deref().unwrap()).unwrap();
        let mut logins = self.logins.lock().unwrap();
        let reported = request.last_login_reported_by_client;
        assert!(
            reported == 0 || logins.contains(&reported),
            "a login that this server never accepted was reported"
        );
        logins.push(call.timestamp);
        let token = SessionToken::generate();
        let exposed = token.expose().to_owned();
        let response = StartSessionResponse {
            is_activated_now: false,
            activation_date: "2024-11-20".parse().unwrap(),
            license_plan: "telepower.licensePlan.release.monthly".to_owned(),
            expiry_date: "2024-12-20".parse().unwrap(),
            session_token: token,
        };
        let _ = answers.send(Answer {
            seq: call.seq,
            status: Status::Ok,
            payload: Some(methods::encode(&response).unwrap()),
        });
        Some(exposed)
    }

    /// Executes a call after a while, and answers it after another.
    fn work(self: Arc<Self>, call: Call, answers: mpsc::UnboundedSender<Answer>) {
        let pause = |most: u64| {
            let mut random = self.random.lock().unwrap();
            Duration::from_millis(random.random_range(0..most))
        };
        let (before, after) = (pause(500), pause(1_500));
        tokio::spawn(async move {
            tokio::time::sleep(before).await;
            if self.limiting.load(Ordering::Relaxed) {
                let _ = answers.send(rate_limited(call.seq));
                return;
            }
            if call.method == "work" {
                let id: u64 = methods::decode(call.payload.as_deref().unwrap()).unwrap();
                *self.executions.lock().unwrap().entry(id).or_default() += 1;
            }
            tokio::time::sleep(after).await;
            let _ = answers.send(Answer {
                seq: call.seq,
                status: Status::Ok,
                payload: call.payload,
            });
        });
    }
}

fn rate_limited(seq: u64) -> Answer {
    let limit = methods::RateLimit {
        retry_after_seconds: Some(RETRY_AFTER),
    };
    Answer {
        seq,
        status: Status::RateLimited,
        payload: Some(methods::encode(&limit).unwrap()),
    }
}
