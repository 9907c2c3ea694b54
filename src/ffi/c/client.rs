//! The client's handle.

use std::mem::ManuallyDrop;
use std::pin::pin;

use super::error::SkylineError;
use super::memory;
use super::waiting::block_on;
use crate::Client;
use crate::config::ClientConfig;
use crate::error::Result;
use crate::ffi::Configuration;
use crate::runtime;

/// A handle of a client. The last one of a client, of whatever language, closes its connection
/// once the calls in flight are over.
pub struct SkylineClient {
    client: ManuallyDrop<Client>,
}

impl SkylineClient {
    /// A new handle, to be freed with `skyline_client_free`.
    pub(in crate::ffi) fn of(client: Client) -> Box<Self> {
        Box::new(Self {
            client: ManuallyDrop::new(client),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for SkylineClient {
    fn drop(&mut self) {
        // Closing a connection takes locks that a thread of the parent may have held at the fork.
        if !runtime::is_forked() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.client) };
        }
    }
}

/// Connects, has the server prove its identity and logs in; blocks for as long as the deadlines of
/// the configuration allow.
///
/// `configuration` is a MessagePack map with the settings of the packages for other languages by
/// their names: `product_id`, `product_version`, `license_key` str and `identity_keys` array of
/// str must be there; `url`, `language`, `state_folder`, `update_url` str, `device` (a map of
/// `serial_number`, `cs_product_uuid` str), `connect_deadline`, `handshake_deadline`,
/// `call_deadline`, `reconnect_initial_delay`, `reconnect_max_delay`, `reconnect_stable_after`
/// (seconds, int or float), `max_packet_bytes`, `max_calls_in_flight`, `max_bytes_in_flight`,
/// `max_packets_per_connection`, `max_queued_events`, `max_queued_event_bytes`,
/// `max_update_bytes` int, `event_durability` (`buffered`, `synced`), `event_overflow`
/// (`drop-oldest`, `refuse`), `release_keys` array of str, `extra_root_certificates` array of bin,
/// `proxy` (`environment`, `direct` or a URL), `allow_plaintext`, `inline_payloads` bool,
/// `hkdf_salt`, `hkdf_info` bin may be.
///
/// Returns the kind of the failure, and leaves it in `error`, which may be null; on success
/// `SKYLINE_KIND_NONE`, and leaves the client in `client`, to be freed with `skyline_client_free`.
///
/// # Safety
/// `configuration` points to `length` bytes; `client` may be written to, `error` too unless null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_client_connect(
    configuration: *const u8,
    length: usize,
    client: *mut *mut SkylineClient,
    error: *mut *mut SkylineError,
) -> i32 {
    // SAFETY: promised by the caller.
    match connect(unsafe { memory::bytes(configuration, length) }) {
        Ok(connected) => {
            // SAFETY: promised by the caller.
            unsafe { *client = Box::into_raw(connected) };
            0
        }
        // SAFETY: promised by the caller.
        Err(failure) => unsafe { memory::leave(&failure, error) },
    }
}

fn connect(configuration: &[u8]) -> Result<Box<SkylineClient>> {
    let config: ClientConfig = Configuration::from_message_pack(configuration)?.try_into()?;
    let client = block_on(pin!(Client::connect(config)))?;
    Ok(SkylineClient::of(client))
}

/// Closes the connection in order: calls in flight complete with `SKYLINE_KIND_SHUT_DOWN`, and
/// later ones too. Blocks until that is done, for about five seconds at the most. A second call
/// changes nothing. The handle is still to be freed.
///
/// # Safety
/// `client` is a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_client_shutdown(client: *const SkylineClient) {
    // SAFETY: promised by the caller.
    let client = unsafe { &*client }.client();
    if runtime::check().is_ok() {
        block_on(pin!(client.shutdown()));
    }
}

/// Frees a handle. Calls in flight go on and complete. Null is fine.
///
/// # Safety
/// `client` is null, or a client that was not freed before and that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_client_free(client: *mut SkylineClient) {
    if !client.is_null() {
        // SAFETY: promised by the caller.
        drop(unsafe { Box::from_raw(client) });
    }
}
