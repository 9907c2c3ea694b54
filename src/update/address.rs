//! Which addresses updates may come from.

use url::Url;

use crate::config::is_loopback;

const EXPECTED: &str =
    "an address like https://host/updates/product without user name (http:// to loopback only)";

/// Reads an address and checks that updates may come from it.
///
/// # Errors
///
/// What was expected.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{EXPECTED} ({error})"))?;
    check(&url)?;
    Ok(url)
}

/// https everywhere; http only where no network is involved.
pub(super) fn check(url: &Url) -> Result<(), String> {
    let host = url.host().ok_or(EXPECTED)?;
    let allowed = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&host),
        _ => false,
    };
    if allowed && url.username().is_empty() && url.password().is_none() {
        Ok(())
    } else {
        Err(EXPECTED.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_by_https_or_from_loopback() {
        for good in [
            "https://host/updates/product",
            "https://host:8443/?channel=beta",
            "http://127.0.0.1:8080/updates/product",
            "http://localhost/",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "host/updates",
            "http://host/updates",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "file:///tmp/update",
            "wss://host/",
            "https://user@host/",
            "https://user:password@host/",
            "data:text/plain,x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
