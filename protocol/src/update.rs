//! Updates that can be trusted (docs/protocol.md, section 8): the manifest that a publisher signs,
//! the headers that carry it, and the rules for the names in it.
//!
//! ```
//! use skyline_protocol::IdentityKeyPair;
//! use skyline_protocol::update::{Manifest, SignedManifest};
//!
//! let key = IdentityKeyPair::generate();
//! let manifest = Manifest {
//!     product: "telepower".to_owned(),
//!     version: "7.1.0".to_owned(),
//!     platform: "linux-x86_64".to_owned(),
//!     file_name: "telepower-7.1.0.AppImage".to_owned(),
//!     size: 48_234_496,
//!     sha256: [7; 32],
//! };
//! let signed = SignedManifest::sign(&manifest, &key)?;
//!
//! // What the two headers carry, and what the client makes of them.
//! let received = SignedManifest::from_headers(&signed.manifest_header(), &signed.signature_header())?;
//! assert_eq!(received.open(&[key.public()])?, manifest);
//! assert!(received.open(&[IdentityKeyPair::generate().public()]).is_err());
//! # Ok::<(), skyline_protocol::update::ManifestError>(())
//! ```

mod disposition;
mod file_name;
mod manifest;
mod signed;

pub use disposition::{Disposition, DispositionError};
pub use file_name::{FileNameError, ascii_fallback, check_file_name};
pub use manifest::{Manifest, ManifestError, check_platform};
pub use signed::SignedManifest;

/// The header with the manifest, in base64.
pub const MANIFEST_HEADER: &str = "skyline-manifest";

/// The header with the signature over the manifest, in base64.
pub const SIGNATURE_HEADER: &str = "skyline-signature";

/// The name of the system that this code was compiled for, such as `linux-x86_64`: what a client
/// asks an update for (docs/protocol.md, section 8).
pub fn this_platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
