//! The client as the host sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::c::SkylineClient;
use super::{Cancellation, Configuration, Failure, Session, StateStream, json};
use crate::error::Result;

/// What one call may be told.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct CallOptions {
    /// How long the whole call may take, waiting for its turn included; the configured call
    /// deadline when absent.
    #[uniffi(default = None)]
    pub deadline: Option<Duration>,
    /// Whether executing the call twice does no harm: then it is sent again when the connection is
    /// lost before its answer, and waits out a rate limit.
    #[uniffi(default = false)]
    pub idempotent: bool,
    /// Ends the call early.
    #[uniffi(default = None)]
    pub cancellation: Option<Arc<Cancellation>>,
}

/// A session with the licensing server.
///
/// May be used from any thread and any executor. Dropping the last reference closes the
/// connection when the calls in flight are over.
#[derive(Debug, uniffi::Object)]
pub struct Client {
    client: crate::Client,
}

impl Client {
    pub(super) fn client(&self) -> &crate::Client {
        &self.client
    }

    pub(super) fn with(&self, options: &CallOptions) -> crate::Client {
        let mut client = self.client.clone();
        if let Some(deadline) = options.deadline {
            client = client.with_deadline(deadline);
        }
        if options.idempotent {
            client = client.idempotent();
        }
        client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Closing a connection takes locks that a thread of the parent may have held at the fork.
        if crate::runtime::is_forked() {
            std::mem::forget(self.client.clone());
        }
    }
}

#[uniffi::export]
impl Client {
    /// Connects, proves the server's identity and logs in.
    #[uniffi::constructor]
    pub async fn connect(
        configuration: Configuration,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Arc<Self>, Failure> {
        let connect = async {
            let config = configuration.try_into()?;
            crate::Client::connect(config).await
        };
        let client = Cancellation::guard(cancellation, connect).await?;
        Ok(Arc::new(Self { client }))
    }

    /// What the server said at the login.
    pub fn session(&self) -> Session {
        (&self.client.session()).into()
    }

    /// The limits of the license: name → value.
    pub async fn get_limits(&self, options: CallOptions) -> Result<HashMap<String, i64>, Failure> {
        let client = self.with(&options);
        let limits = Cancellation::guard(options.cancellation, client.get_limits()).await?;
        Ok(limits.into_iter().collect())
    }

    /// Reports an event; `data` is the MessagePack of a map.
    pub async fn send_event(
        &self,
        name: String,
        data: Vec<u8>,
        options: CallOptions,
    ) -> Result<(), Failure> {
        let client = self.with(&options);
        let send = client.send_event_raw(&name, &data);
        Ok(Cancellation::guard(options.cancellation, send).await?)
    }

    /// Reports an event; `data` is the text of a JSON object.
    pub async fn send_event_json(
        &self,
        name: String,
        data: String,
        options: CallOptions,
    ) -> Result<(), Failure> {
        let client = self.with(&options);
        let send = async {
            let data = json::to_message_pack(&data)?;
            client.send_event_raw(&name, &data).await
        };
        Ok(Cancellation::guard(options.cancellation, send).await?)
    }

    /// Calls any method; payload and answer are each the MessagePack of one value, or absent.
    pub async fn call(
        &self,
        method: String,
        payload: Option<Vec<u8>>,
        options: CallOptions,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let client = self.with(&options);
        let call = client.call_raw(&method, payload.map(Into::into));
        let answer = Cancellation::guard(options.cancellation, call).await?;
        Ok(answer.map(Into::into))
    }

    /// Calls any method; payload and answer are each the JSON text of one value, or absent.
    ///
    /// Fails with `Payload` where the answer holds what JSON cannot say: binary data, extension
    /// types. NaN and infinities become `null`. Use [`Self::call`] for those.
    pub async fn call_json(
        &self,
        method: String,
        payload: Option<String>,
        options: CallOptions,
    ) -> Result<Option<String>, Failure> {
        let client = self.with(&options);
        let call = async {
            let payload = payload
                .map(|text| json::to_message_pack(&text))
                .transpose()?;
            let answer = client.call_raw(&method, payload.map(Into::into)).await?;
            answer
                .map(|payload| json::from_message_pack(&payload))
                .transpose()
        };
        Ok(Cancellation::guard(options.cancellation, call).await?)
    }

    /// A new handle of this client for the C interface: a `SkylineClient *` as a number, to be freed
    /// with `skyline_client_free`.
    pub fn c_handle(&self) -> u64 {
        let handle = Box::into_raw(SkylineClient::of(self.client.clone()));
        handle.expose_provenance() as u64
    }

    /// The states of the connection, from the present one on. Each stream is read on its own.
    pub fn states(&self) -> Arc<StateStream> {
        StateStream::new(self.client.states())
    }

    /// Ends a wait between two attempts to connect, and asks a connection that seems open for a
    /// sign of life; for a host that knows that the network came back.
    pub fn reconnect_now(&self) {
        self.client.reconnect_now();
    }

    /// Closes the connection in order; calls in flight fail with `ShutDown`, and so does
    /// everything asked later. Events that are not delivered are on disk then. Never fails, and a second call changes nothing.
    pub async fn shutdown(&self) {
        self.client.shutdown().await;
    }
}
