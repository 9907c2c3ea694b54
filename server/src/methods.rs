//! What the methods do (docs/protocol.md, section 5).

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use skyline_protocol::{
    LicenseKey, SessionToken, Status,
    methods::{
        GET_LIMITS, PayloadError, RateLimit, SEND_EVENT, START_SESSION, SendEvent,
        StartSessionRequest, StartSessionResponse,
    },
};

use crate::{
    admission::Limited,
    licensing::{self, LAST_LOGIN_CODE, LoginAttempt, Refusal},
    messages::{Language, Sentence},
    metrics::{self, Breach},
    model::{Actor, Device, Event, LicenseId, LoginId},
    refusals::Refused,
    serve::Server,
    store::{LoginOutcome, StoreError},
    test_hooks,
};

/// Longest name that is stored, in bytes: of an event, of its id, of each part of a device. Each
/// is a short identifier; a client has no business to fill the database with more.
const MAX_NAME_BYTES: usize = 256;

/// Most data that one event may hold, in bytes of MessagePack. Events tell what happened in a few
/// words, and all of them share the database with the logins.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// A request that has passed the checks of its connection.
pub(crate) struct Call {
    pub(crate) seq: u64,
    pub(crate) timestamp: i64,
    pub(crate) method: String,
    /// The MessagePack of the payload; `None`: there is none.
    pub(crate) payload: Option<Bytes>,
}

/// An answer to be sealed.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) seq: u64,
    pub(crate) status: Status,
    pub(crate) message: Option<String>,
    pub(crate) payload: Option<Bytes>,
}

impl Reply {
    pub(crate) fn ok(seq: u64, payload: Option<Bytes>) -> Self {
        Self {
            seq,
            status: Status::Ok,
            message: None,
            payload,
        }
    }
}

/// What a call leads to.
pub(crate) enum Outcome {
    Reply(Reply),
    /// The connection is dropped without an answer (`test.drop-connection`).
    Drop,
}

/// Why a call is not answered with OK.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The part of the request that is not as it should be.
    BadRequest(&'static str),
    UnknownMethod(String),
    /// The request belongs to no session, or not to this one.
    InvalidSession,
    /// Something that only a broken or changed client does; the code is for the support.
    IntegrityBreach(&'static str),
    Refused(Refusal),
    RateLimited(Limited),
    /// What it was is in the log.
    Internal,
}

impl Fault {
    /// The answer that tells it to the user.
    pub(crate) fn reply(&self, server: &Server, language: Language, seq: u64) -> Reply {
        let (status, sentence) = match self {
            Self::BadRequest(part) => (Status::BadRequest, Sentence::BadRequest { part }),
            Self::UnknownMethod(method) => {
                (Status::UnknownMethod, Sentence::UnknownMethod { method })
            }
            Self::InvalidSession => (Status::InvalidSession, Sentence::InvalidSession),
            Self::IntegrityBreach(code) => {
                (Status::IntegrityBreach, Sentence::IntegrityBreach { code })
            }
            Self::Refused(refusal) => (refusal.status(), refusal.sentence()),
            Self::RateLimited(limited) => {
                let seconds = limited.retry_after_seconds;
                (Status::RateLimited, Sentence::RateLimited { seconds })
            }
            Self::Internal => (Status::InternalError, Sentence::InternalError),
        };
        let payload = match self {
            Self::RateLimited(limited) => encode(&RateLimit {
                retry_after_seconds: Some(limited.retry_after_seconds),
            })
            .ok(),
            _ => None,
        };
        Reply {
            seq,
            status,
            message: Some(server.messages.text(language, &sentence)),
            payload,
        }
    }
}

impl Fault {
    /// What the audit log calls it; `None`: nobody was refused anything.
    fn action(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(_) => Some("refused-bad-request"),
            Self::InvalidSession => Some("refused-invalid-session"),
            Self::IntegrityBreach(_) => Some("refused-integrity-breach"),
            Self::Refused(refusal) => Some(refusal.action()),
            Self::RateLimited(_) => Some("refused-rate-limited"),
            Self::UnknownMethod(_) | Self::Internal => None,
        }
    }

    /// What the audit log tells beside it.
    fn detail(&self) -> String {
        match self {
            Self::BadRequest(part) => (*part).to_owned(),
            Self::IntegrityBreach(code) => format!("code {code}"),
            _ => String::new(),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::Internal
    }
}

impl From<Limited> for Fault {
    fn from(limited: Limited) -> Self {
        Self::RateLimited(limited)
    }
}

impl From<PayloadError> for Fault {
    fn from(_: PayloadError) -> Self {
        Self::BadRequest("payload")
    }
}

/// What a session knows of itself.
pub(crate) struct Session {
    pub(crate) address: IpAddr,
    pub(crate) license: LicenseId,
    pub(crate) login: LoginId,
    pub(crate) token: SessionToken,
    pub(crate) language: Language,
}

/// `start-session`. The language is given apart, since it is the language of the fault too.
pub(crate) async fn start_session(
    server: &Server,
    address: IpAddr,
    call: &Call,
) -> Result<(Session, Reply), (Fault, Language)> {
    let payload = call.payload.as_deref().unwrap_or_default();
    let request: StartSessionRequest = match skyline_protocol::methods::decode(payload) {
        Ok(request) => request,
        Err(error) => {
            let fault = Fault::from(error);
            note_refusal(server, address, None, &fault).await;
            return Err((fault, Language::default()));
        }
    };
    let language = Language::from_wire(&request.language);
    match log_in(server, address, call, request, language).await {
        Ok(opened) => Ok(opened),
        Err(denied) => {
            if let Some(action) = denied.fault.action() {
                let refused = Refused {
                    address,
                    action,
                    license: denied.license,
                    product: denied.product,
                    detail: denied.detail,
                };
                server.note(refused).await;
            }
            Err((denied.fault, language))
        }
    }
}

/// Notes in the audit log that something was refused, if the fault is a refusal.
pub(crate) async fn note_refusal(
    server: &Server,
    address: IpAddr,
    license: Option<LicenseId>,
    fault: &Fault,
) {
    let Some(action) = fault.action() else {
        return;
    };
    let refused = Refused {
        address,
        action,
        license,
        product: None,
        detail: fault.detail(),
    };
    server.note(refused).await;
}

/// A login that is not let in, with what the audit log is to know of it.
struct Denied {
    fault: Fault,
    license: Option<LicenseId>,
    product: Option<String>,
    detail: String,
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self {
            detail: fault.detail(),
            fault,
            license: None,
            product: None,
        }
    }
}

async fn log_in(
    server: &Server,
    address: IpAddr,
    call: &Call,
    request: StartSessionRequest,
    language: Language,
) -> Result<(Session, Reply), Denied> {
    server
        .admission
        .login(address, &server.metrics)
        .map_err(Fault::from)?;
    let now = server.clock.now();
    let policy = server.config.resync;
    let attempt = LoginAttempt {
        product_version: licensing::parse_version(&request.product_version)
            .ok_or(Fault::BadRequest("productVersion"))?,
        // A text that is no key is a key that was never issued.
        license_key: request
            .license_key
            .expose()
            .parse::<LicenseKey>()
            .map_err(|_| Fault::Refused(Refusal::NotFound))?,
        device: device(request.device_serial_number, request.cs_product_uuid)?,
        who: Actor::client(address),
        product_id: request.product_id,
        reported: request.last_login_reported_by_client,
        value: call.timestamp,
        now,
        resyncs_since: policy.since(now),
    };
    server
        .admission
        .login_with(&attempt.license_key, &server.metrics)
        .map_err(Fault::from)?;
    if !is_name(&attempt.product_id) {
        // No product has such a name: it is unknown like any other.
        return Err(Fault::Refused(Refusal::NotFound).into());
    }
    let attempt = Arc::new(attempt);
    let decide = Box::new(move |attempt: &_, facts: &_| licensing::decide(attempt, facts, &policy));
    let outcome = server.store.login(Arc::clone(&attempt), decide).await;
    let (license, login, acceptance) = match outcome.map_err(Fault::from)? {
        LoginOutcome::Accepted {
            license,
            login,
            acceptance,
        } => (license, login, acceptance),
        LoginOutcome::Refused { refusal, license } => {
            tracing::info!(?refusal, license = license.map(|id| id.0), "login refused");
            if refusal.status() == Status::IntegrityBreach {
                server.metrics.breach(Breach::LastLogin);
            }
            return Err(Denied {
                fault: Fault::Refused(refusal),
                license,
                detail: particulars(refusal, &attempt),
                product: Some(attempt.product_id.clone()).filter(|name| is_name(name)),
            });
        }
    };
    tracing::info!(
        license = license.0,
        activated_now = acceptance.activated_now,
        resync = acceptance.resync,
        "login accepted"
    );
    let session = Session {
        address,
        license,
        login,
        token: SessionToken::generate(),
        language,
    };
    let response = encode(&StartSessionResponse {
        is_activated_now: acceptance.activated_now,
        activation_date: acceptance.activation.date,
        expiry_date: acceptance.activation.expiry,
        license_plan: acceptance.plan,
        session_token: session.token.clone(),
    })?;
    Ok((session, Reply::ok(call.seq, Some(response))))
}

/// What the audit log tells of a refused login beside its reason.
fn particulars(refusal: Refusal, attempt: &LoginAttempt) -> String {
    match refusal {
        Refusal::Outdated => format!("version {}", attempt.product_version),
        Refusal::BoundToAnotherDevice(_) => attempt.device.to_string(),
        Refusal::UnknownLastLogin | Refusal::TooManyResyncs => {
            format!("reported {}", attempt.reported)
        }
        Refusal::NotFound | Refusal::Suspended | Refusal::Expired(_) => String::new(),
    }
}

/// Whether a text is short enough to be stored, and safe to be printed: a control character could
/// forge lines of what administrators read, and PostgreSQL stores no U+0000.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

/// A device needs one part at least: some machines have no serial number, others no UUID.
fn device(serial_number: String, cs_product_uuid: String) -> Result<Device, Fault> {
    for (part, text) in [
        ("deviceSerialNumber", &serial_number),
        ("csProductUUID", &cs_product_uuid),
    ] {
        if !is_name(text) {
            return Err(Fault::BadRequest(part));
        }
    }
    if serial_number.is_empty() && cs_product_uuid.is_empty() {
        return Err(Fault::BadRequest("deviceSerialNumber, csProductUUID"));
    }
    Ok(Device {
        serial_number,
        cs_product_uuid,
    })
}

/// Notes that the client received the answer to its `start-session`, which any later request
/// shows. A resync counts only now, so only now can it be one too many.
pub(crate) async fn confirm_login(server: &Server, session: &Session) -> Result<(), Fault> {
    let policy = server.config.resync;
    let since = policy.since(server.clock.now());
    let resyncs = server.store.confirm_login(session.login, since).await?;
    if resyncs > policy.budget {
        tracing::warn!(
            license = session.license.0,
            resyncs,
            "resync budget exceeded"
        );
        return Err(Fault::IntegrityBreach(LAST_LOGIN_CODE));
    }
    Ok(())
}

/// Answers a call of an open session.
pub(crate) async fn answer(server: &Server, session: &Session, call: Call) -> Outcome {
    let (seq, begun) = (call.seq, Instant::now());
    let method = metrics::method_label(&call.method);
    let outcome = match dispatch(server, session, call).await {
        Ok(outcome) => outcome,
        Err(fault) => {
            note_refusal(server, session.address, Some(session.license), &fault).await;
            Outcome::Reply(fault.reply(server, session.language, seq))
        }
    };
    if let Outcome::Reply(reply) = &outcome {
        server.metrics.call(method, &reply.status, begun.elapsed());
    }
    outcome
}

async fn dispatch(server: &Server, session: &Session, call: Call) -> Result<Outcome, Fault> {
    let (address, license) = (session.address, session.license);
    server.admission.call(address, license, &server.metrics)?;
    let payload = match call.method.as_str() {
        GET_LIMITS => Some(get_limits(server, session).await?),
        SEND_EVENT => {
            send_event(server, session, &call).await?;
            None
        }
        // One connection carries one session.
        START_SESSION => return Err(Fault::BadRequest(START_SESSION)),
        _ if server.config.test_hooks => return test_hooks::answer(server, session, call).await,
        _ => return Err(Fault::UnknownMethod(call.method)),
    };
    Ok(Outcome::Reply(Reply::ok(call.seq, payload)))
}

async fn get_limits(server: &Server, session: &Session) -> Result<Bytes, Fault> {
    check_standing(server, session).await?;
    encode(&server.store.limits(session.license).await?)
}

async fn send_event(server: &Server, session: &Session, call: &Call) -> Result<(), Fault> {
    let payload = call.payload.as_ref().ok_or(Fault::BadRequest("payload"))?;
    let request = SendEvent::decode(payload)?;
    if request.event.is_empty() || !is_name(request.event) {
        return Err(Fault::BadRequest("event"));
    }
    if request.data.len() > MAX_EVENT_BYTES {
        return Err(Fault::BadRequest("data"));
    }
    if request.id.is_some_and(|id| !is_name(id)) {
        return Err(Fault::BadRequest("id"));
    }
    check_standing(server, session).await?;
    let event = Event {
        name: request.event.to_owned(),
        data: payload.slice_ref(request.data),
        id: request.id.map(str::to_owned),
        sent_at: call.timestamp,
    };
    let now = server.clock.now();
    let recorded = server
        .store
        .record_event(session.license, &event, now)
        .await?;
    server.metrics.event(recorded);
    if !recorded {
        tracing::debug!(license = session.license.0, "a repeated event was dropped");
    }
    Ok(())
}

/// A license may be suspended or run out while its session is open, also by way of another node.
async fn check_standing(server: &Server, session: &Session) -> Result<(), Fault> {
    let license = server.store.license(session.license).await?;
    let license = license.ok_or(Fault::Refused(Refusal::NotFound))?;
    licensing::check_standing(&license, server.clock.now()).map_err(Fault::Refused)
}

/// The MessagePack of an answer.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Result<Bytes, Fault> {
    skyline_protocol::methods::encode(value)
        .map(Bytes::from)
        .map_err(|error| {
            tracing::error!(%error, "an answer cannot be encoded");
            Fault::Internal
        })
}
