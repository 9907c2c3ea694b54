//! Where an update is fetched from.

use url::Url;

use crate::config::{ClientConfig, is_loopback};
use crate::error::{Error, Result};
use crate::update::UpdateFailure;
use crate::update::address::{check, parse};

/// The address of the newest version for this client: the configured one, or that of the product
/// on the server's own host (docs/protocol.md, section 8).
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] when one of the addresses is none.
pub(super) fn of(config: &ClientConfig, server: &Url, platform: &str) -> Result<Url> {
    let mut url = match &config.update.url {
        Some(url) => parse(url).map_err(|expected| Error::invalid("update_url", expected))?,
        None => beside(server, &config.product_id)?,
    };
    url.set_fragment(None);
    url.query_pairs_mut()
        .append_pair("version", &config.product_version)
        .append_pair("platform", platform);
    Ok(url)
}

fn beside(server: &Url, product: &str) -> Result<Url> {
    let host = server.host_str().unwrap_or_default();
    let loopback = server.host().as_ref().is_some_and(is_loopback);
    // A session may be allowed without TLS elsewhere too; a download is not.
    let scheme = if server.scheme() == "ws" && loopback {
        "http"
    } else {
        "https"
    };
    let port = server
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let mut url = parse(&format!("{scheme}://{host}{port}/"))
        .map_err(|expected| Error::invalid("url", expected))?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["updates", product]);
    }
    Ok(url)
}

/// Where a redirect leads.
///
/// # Errors
///
/// [`UpdateFailure::Redirect`] when updates must not come from there.
pub(super) fn redirected(from: &Url, location: &str) -> Result<Url> {
    let refused = |why: &str| UpdateFailure::Redirect.with(why);
    let mut to = from
        .join(location)
        .map_err(|_| refused("its location is no address"))?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(refused("it leads away from https"));
    }
    check(&to).map_err(|_| refused("it leads to an address that is neither https nor loopback"))?;
    to.set_fragment(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use skyline_protocol::identity::IdentityKeyPair;
    use skyline_protocol::license_key::LicenseKey;

    use super::*;

    fn default_for(server: &str, product: &str) -> String {
        let identity = IdentityKeyPair::generate().public();
        let config = ClientConfig::new(product, "7.0.3", LicenseKey::generate(), [identity]);
        let url = of(&config, &Url::parse(server).unwrap(), "linux-x86_64").unwrap();
        url.to_string()
    }

    #[test]
    fn the_default_is_on_the_servers_host() {
        for (server, product, expected) in [
            (
                "wss://host.example/ws",
                "telepower",
                "https://host.example/updates/telepower",
            ),
            (
                "wss://host.example:8443/ws?x=1",
                "a b/ж",
                "https://host.example:8443/updates/a%20b%2F%D0%B6",
            ),
            (
                "ws://127.0.0.1:8080/ws",
                "telepower",
                "http://127.0.0.1:8080/updates/telepower",
            ),
            (
                "ws://[::1]:8080/ws",
                "telepower",
                "http://[::1]:8080/updates/telepower",
            ),
            (
                "ws://host.example/ws",
                "telepower",
                "https://host.example/updates/telepower",
            ),
        ] {
            let expected = format!("{expected}?version=7.0.3&platform=linux-x86_64");
            assert_eq!(default_for(server, product), expected);
        }
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let from = Url::parse("https://host/updates/product?version=1").unwrap();
        for (location, expected) in [
            ("/files/a", "https://host/files/a"),
            ("https://cdn.example/a#part", "https://cdn.example/a"),
            ("//cdn.example/a", "https://cdn.example/a"),
        ] {
            assert_eq!(redirected(&from, location).unwrap().as_str(), expected);
        }
        for location in [
            "http://host/a",
            "http://127.0.0.1/a",
            "ftp://host/a",
            "file:///etc/passwd",
            "data:,x",
            "https://user:password@host/a",
            "http://",
        ] {
            let error = redirected(&from, location).unwrap_err();
            assert_eq!(error.code(), "UPDATE_REDIRECT", "{location}");
        }
        let local = Url::parse("http://127.0.0.1:1/").unwrap();
        assert!(redirected(&local, "http://127.0.0.1:2/").is_ok());
        assert!(redirected(&local, "http://host.example/").is_err());
    }
}
