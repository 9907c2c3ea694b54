//! Versions of products, as people write them and as they are ordered.

pub use semver::Version;

/// Longest version that is read, in bytes: none that a person writes is near it.
const MAX_VERSION_BYTES: usize = 128;

/// Reads a version: that of semantic versioning, with missing numbers taken as zero (`7.0` is
/// `7.0.0`). `None` when it is none.
///
/// The order is that of semantic versioning, section 11: `7.0.0-beta` is before `7.0.0`.
///
/// ```
/// use skyline_protocol::version;
///
/// assert!(version::parse("7.10") > version::parse("7.9.9"));
/// assert_eq!(version::parse("seven"), None);
/// ```
pub fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    if text.len() > MAX_VERSION_BYTES {
        return None;
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, suffix) = text.split_at(end);
    let missing = 2_usize.saturating_sub(numbers.matches('.').count());
    Version::parse(&format!("{numbers}{}{suffix}", ".0".repeat(missing))).ok()
}

/// Whether one version comes after another. What stands behind a `+` does not count (semantic
/// versioning, section 10).
pub fn is_newer(candidate: &Version, running: &Version) -> bool {
    candidate.cmp_precedence(running).is_gt()
}
