//! Whose connection it is: the peer's address, or the one that a trusted proxy tells.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use clap::ValueEnum;
use ipnet::IpNet;
use parse_net::{ClientAddress, ForwardedSource, client_address};

/// Proxies that a request may have passed: common chains have three at most.
const MAX_HOPS: u8 = 16;

/// The header in which a trusted proxy tells the address of its client. Only one is read: a proxy
/// that writes the one may pass on whatever a client has put into the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, which nearly every proxy writes.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ProxyHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => FORWARDED,
        }
    }
}

/// The proxies whose word about an address is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The client's address: the peer's own, unless the peer is a trusted proxy; then the last
    /// address of its header that is no trusted proxy's. The proxy's own address counts when it
    /// tells none, or something else than addresses.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<&[u8]> = headers
            .get_all(self.header.name())
            .iter()
            .map(|line| line.as_bytes())
            .collect();
        let source = match self.header {
            ProxyHeader::XForwardedFor => ForwardedSource::XForwardedFor(&lines),
            ProxyHeader::Forwarded => ForwardedSource::Forwarded(&lines),
        };
        let trust = |address: IpAddr| self.trust(address);
        match client_address(peer, source, &trust, MAX_HOPS) {
            Ok(ClientAddress::Peer(address) | ClientAddress::Forwarded { addr: address, .. }) => {
                address.to_canonical()
            }
            Ok(_) => peer.to_canonical(),
            Err(error) => {
                tracing::warn!(%error, "a trusted proxy tells no client's address");
                peer.to_canonical()
            }
        }
    }
}

/// What counts as one address where addresses are counted: an IPv4 address, or the /64 of an IPv6
/// one, of which a host may choose any (RFC 4291, section 2.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The client's address behind the trusted proxies 10.0.0.0/8 and 2001:db8:1::/48.
    fn client(header: ProxyHeader, peer: &str, lines: &[&str]) -> IpAddr {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"];
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), line.parse().unwrap());
        }
        Proxies::new(trusted, header).client(ip(peer), &headers)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
            let line = match header {
                ProxyHeader::XForwardedFor => "192.0.2.1",
                ProxyHeader::Forwarded => "for=192.0.2.1",
            };
            assert_eq!(client(header, "198.51.100.7", &[line]), ip("198.51.100.7"));
            assert_eq!(client(header, "10.0.0.1", &[line]), ip("192.0.2.1"));
            assert_eq!(client(header, "::ffff:10.0.0.1", &[line]), ip("192.0.2.1"));
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let of = |lines: &[&str]| client(ProxyHeader::XForwardedFor, "10.0.0.1", lines);
        let client = ip("192.0.2.1");
        assert_eq!(of(&["192.0.2.1"]), client);
        assert_eq!(
            of(&["6.6.6.6, 192.0.2.1"]),
            client,
            "the left part is the client's word"
        );
        assert_eq!(of(&["6.6.6.6, 192.0.2.1, 10.9.9.9 ,10.0.0.2"]), client);
        assert_eq!(
            of(&["6.6.6.6", "192.0.2.1", "10.0.0.2"]),
            client,
            "several lines"
        );
        assert_eq!(
            of(&["10.0.0.3, 10.0.0.2"]),
            ip("10.0.0.3"),
            "all are proxies"
        );
        assert_eq!(of(&["2001:db8::5, 2001:db8:1::9"]), ip("2001:db8::5"));
    }

    #[test]
    fn forwarded_is_read_with_its_quotes_ports_and_brackets() {
        let of = |lines: &[&str]| client(ProxyHeader::Forwarded, "10.0.0.1", lines);
        // The forms of RFC 7239, sections 4 and 6.
        for (line, address) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            ("for=\"192.0.2.60:4711\"", "192.0.2.60"),
            ("for=\"192.0.2.60:_port\"", "192.0.2.60"),
            ("proto=https;FOR=192.0.2.60", "192.0.2.60"),
            ("for=6.6.6.6, for=192.0.2.60, for=10.1.1.1", "192.0.2.60"),
            ("for=192.0.2.60, for=\"[2001:db8:1::1]:80\"", "192.0.2.60"),
        ] {
            assert_eq!(of(&[line]), ip(address), "{line}");
        }
        assert_eq!(of(&["for=6.6.6.6", "for=192.0.2.60"]), ip("192.0.2.60"));
    }

    #[test]
    fn the_proxy_itself_counts_where_it_tells_no_address() {
        let proxy = ip("10.0.0.1");
        for line in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=192.0.2.1, for=unknown",
            "for=2001:db8::1",
            "for=\"[2001:db8::1\"",
            "for=192.0.2.1:99999",
            "for=\"192.0.2.1",
            "nonsense",
        ] {
            assert_eq!(
                client(ProxyHeader::Forwarded, "10.0.0.1", &[line]),
                proxy,
                "{line}"
            );
        }
        for line in ["unknown", "192.0.2.1, nonsense", "192.0.2.256", "01.2.3.4"] {
            assert_eq!(
                client(ProxyHeader::XForwardedFor, "10.0.0.1", &[line]),
                proxy,
                "{line}"
            );
        }
        let long = vec!["192.0.2.1"; usize::from(MAX_HOPS) + 1].join(",");
        assert_eq!(
            client(ProxyHeader::XForwardedFor, "10.0.0.1", &[&long]),
            proxy
        );
        assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.1", &[]), proxy);
    }

    #[test]
    fn only_the_chosen_header_is_read() {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.append("forwarded", "for=6.6.6.6".parse().unwrap());
        headers.append("x-forwarded-for", "192.0.2.1".parse().unwrap());
        let proxies = Proxies::new(trusted, ProxyHeader::XForwardedFor);
        assert_eq!(proxies.client(ip("10.0.0.1"), &headers), ip("192.0.2.1"));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let network = |text| Network::from(ip(text));
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
