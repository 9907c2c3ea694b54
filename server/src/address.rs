//! Whose connection it is: the peer's address, or the one that a trusted proxy tells.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use clap::ValueEnum;
use ipnet::IpNet;
use parse_net::{ClientAddress, ForwardedSource, client_address};

/// Proxies that a request may have passed: common chains have three at most.
const MAX_HOPS: usize = 16;

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
    /// address of its header that is no trusted proxy's. What is left of that address may be the
    /// client's own invention and is not read. The proxy's own address counts when the header
    /// tells none, or has something else than an address where the client's would be.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let direct = peer.to_canonical();
        if !self.trust(direct) {
            return direct;
        }
        let lines: Vec<&[u8]> = headers
            .get_all(self.header.name())
            .iter()
            .map(|line| line.as_bytes())
            .collect();
        let chain = lines.iter().rev().flat_map(|line| members(line));
        let mut client = direct;
        for (hops, member) in chain.enumerate() {
            match self.told(direct, member) {
                Some(address) if hops < MAX_HOPS && self.trust(address) => client = address,
                Some(address) if hops < MAX_HOPS => return address,
                _ => {
                    tracing::debug!("a trusted proxy tells no client's address");
                    return direct;
                }
            }
        }
        client
    }

    /// The address that one member of the header tells.
    fn told(&self, peer: IpAddr, member: &[u8]) -> Option<IpAddr> {
        let line = [member];
        let source = match self.header {
            ProxyHeader::XForwardedFor => ForwardedSource::XForwardedFor(&line),
            ProxyHeader::Forwarded => ForwardedSource::Forwarded(&line),
        };
        match client_address(peer, source, &|address| self.trust(address), 1) {
            Ok(ClientAddress::Forwarded { addr, .. }) => Some(addr.to_canonical()),
            _ => None,
        }
    }
}

/// The members of a header's line, the last one first. Each is found without a look at what is
/// left of it: a quote that a client leaves open hides nothing that a proxy has appended.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let comma = last_comma(line);
        rest = comma.and_then(|at| line.get(..at));
        comma.map_or(Some(line), |at| line.get(at + 1..))
    })
    .map(<[u8]>::trim_ascii)
    // RFC 9110, section 5.6.1: empty members do not count.
    .filter(|member| !member.is_empty())
}

/// The last comma outside of a quoted string (RFC 9110, section 5.6.4).
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    line.iter().enumerate().rev().find_map(|(at, byte)| {
        let backslashes = || {
            line.iter()
                .take(at)
                .rev()
                .take_while(|byte| **byte == b'\\')
        };
        match byte {
            b'"' if backslashes().count() % 2 == 0 => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
        None
    })
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
        let long = format!("192.0.2.1{}", ",10.0.0.2".repeat(MAX_HOPS));
        assert_eq!(
            client(ProxyHeader::XForwardedFor, "10.0.0.1", &[&long]),
            proxy
        );
        assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.1", &[]), proxy);
    }

    #[test]
    fn what_a_client_writes_left_of_its_address_does_not_matter() {
        let many = "6.6.6.6, ".repeat(20);
        for left in [
            "x, ",
            "unknown, ",
            ", ,",
            "\"6.6.6.6, ",
            "6.6.6.6\\\", ",
            &many,
        ] {
            let line = format!("{left}192.0.2.1, 10.0.0.2");
            let told = client(ProxyHeader::XForwardedFor, "10.0.0.1", &[&line]);
            assert_eq!(told, ip("192.0.2.1"), "{line}");
        }
        let many = "for=6.6.6.6, ".repeat(20);
        for left in [
            "x, ",
            "for=unknown, ",
            "for=\"6.6.6.6, ",
            "=;\"\\\", ",
            &many,
        ] {
            let line = format!("{left}for=192.0.2.1;note=\"a, for=6.6.6.6\", for=10.0.0.2");
            let told = client(ProxyHeader::Forwarded, "10.0.0.1", &[&line]);
            assert_eq!(told, ip("192.0.2.1"), "{line}");
        }
        let lines = ["nonsense", "192.0.2.1"];
        let told = client(ProxyHeader::XForwardedFor, "10.0.0.1", &lines);
        assert_eq!(told, ip("192.0.2.1"), "a line of the client's own");
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
