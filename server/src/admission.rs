//! What a peer may take up: connections at a time, and the rates of connections, logins and calls.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use skyline_protocol::LicenseKey;

use crate::{
    address::Network,
    config::ServerConfig,
    metrics::{Limit, Metrics},
    model::LicenseId,
    rate::Limiter,
};

/// Why a peer has to wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    /// Whole seconds, at least one.
    pub(crate) retry_after_seconds: u64,
}

/// All limits of a node, and what its peers have taken up.
pub(crate) struct Admission {
    open: Arc<OpenConnections>,
    connections_by_address: Limiter<Network>,
    logins_by_address: Limiter<Network>,
    /// By a hash of the key, which is secret: the limiter has no need to know it.
    logins_by_license: Limiter<u64>,
    calls_by_address: Limiter<Network>,
    calls_by_license: Limiter<i64>,
    hasher: RandomState,
}

impl Admission {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let rates = &config.rates;
        Self {
            open: Arc::new(OpenConnections {
                most: config.max_connections_per_address,
                counts: Mutex::default(),
            }),
            connections_by_address: Limiter::new(rates.connections_per_address),
            logins_by_address: Limiter::new(rates.logins_per_address),
            logins_by_license: Limiter::new(rates.logins_per_license),
            calls_by_address: Limiter::new(rates.calls_per_address),
            calls_by_license: Limiter::new(rates.calls_per_license),
            hasher: RandomState::new(),
        }
    }

    /// Counts a connection of that address until the place is dropped; `None`: it has too many.
    pub(crate) fn open(&self, address: IpAddr, metrics: &Metrics) -> Option<Place> {
        let place = OpenConnections::enter(&self.open, address.into());
        if place.is_none() {
            metrics.limited(Limit::ConnectionsOpenPerAddress);
        }
        place
    }

    /// Whether that address may send one more request over HTTP.
    pub(crate) fn request(&self, address: IpAddr, metrics: &Metrics) -> Result<(), Limited> {
        let checked = self.connections_by_address.check(&address.into());
        limited(checked, Limit::ConnectionsPerAddress, metrics)
    }

    /// Whether that address may log in once more.
    pub(crate) fn login(&self, address: IpAddr, metrics: &Metrics) -> Result<(), Limited> {
        let checked = self.logins_by_address.check(&address.into());
        limited(checked, Limit::LoginsPerAddress, metrics)
    }

    /// Whether there may be one more login with that key.
    pub(crate) fn login_with(&self, key: &LicenseKey, metrics: &Metrics) -> Result<(), Limited> {
        let checked = self
            .logins_by_license
            .check(&self.hasher.hash_one(key.expose()));
        limited(checked, Limit::LoginsPerLicense, metrics)
    }

    /// Whether a session of that address and license may call once more. The license is asked
    /// first: what it is refused takes nothing from the others of its address.
    pub(crate) fn call(
        &self,
        address: IpAddr,
        license: LicenseId,
        metrics: &Metrics,
    ) -> Result<(), Limited> {
        let checked = self.calls_by_license.check(&license.0);
        limited(checked, Limit::CallsPerLicense, metrics)?;
        let checked = self.calls_by_address.check(&address.into());
        limited(checked, Limit::CallsPerAddress, metrics)
    }
}

fn limited(checked: Result<(), Duration>, limit: Limit, metrics: &Metrics) -> Result<(), Limited> {
    checked.map_err(|wait| {
        metrics.limited(limit);
        // Rounded up: a second early would be refused again.
        let retry_after_seconds = wait.as_millis().div_ceil(1000).max(1);
        Limited {
            retry_after_seconds: u64::try_from(retry_after_seconds).unwrap_or(u64::MAX),
        }
    })
}

/// The connections of each address. It knows no more addresses than there are connections.
#[derive(Debug)]
struct OpenConnections {
    most: usize,
    counts: Mutex<HashMap<Network, usize>>,
}

impl OpenConnections {
    fn enter(this: &Arc<Self>, network: Network) -> Option<Place> {
        let mut counts = this.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= this.most {
            return None;
        }
        *count += 1;
        Some(Place {
            open: Arc::clone(this),
            network,
        })
    }
}

/// The place of one connection among those of its address.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<OpenConnections>,
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = self.open.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_leaves_nothing_behind() {
        let config = ServerConfig {
            max_connections_per_address: 2,
            ..ServerConfig::default()
        };
        let (admission, metrics) = (Admission::new(&config), Metrics::new());
        let open = |text: &str| admission.open(text.parse().unwrap(), &metrics);
        let first = open("2001:db8::1").unwrap();
        let second = open("2001:db8::ffff").unwrap();
        assert!(open("2001:db8::2").is_none(), "the same /64");
        let other = open("192.0.2.1").unwrap();
        drop(first);
        let third = open("2001:db8::2").unwrap();
        drop((second, third, other));
        assert!(admission.open.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn what_a_license_is_refused_takes_nothing_from_its_address() {
        let mut config = ServerConfig::default();
        config.rates.calls_per_license = "1/h burst 1".parse().unwrap();
        config.rates.calls_per_address = "1/h burst 2".parse().unwrap();
        let (admission, metrics) = (Admission::new(&config), Metrics::new());
        let address = IpAddr::from([192, 0, 2, 1]);
        let call = |license| admission.call(address, LicenseId(license), &metrics);
        assert_eq!(call(1), Ok(()));
        for _ in 0..10 {
            assert!(call(1).is_err());
        }
        assert_eq!(call(2), Ok(()));
        assert!(call(3).is_err(), "the address has used up its own");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        let config = |rate: &str| {
            let mut config = ServerConfig::default();
            config.rates.logins_per_address = rate.parse().unwrap();
            config
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        let metrics = Metrics::new();
        for (rate, seconds) in [("20/s burst 1", 1), ("1/m", 60)] {
            let admission = Admission::new(&config(rate));
            assert_eq!(admission.login(address, &metrics), Ok(()));
            let limited = admission.login(address, &metrics).unwrap_err();
            assert_eq!(limited.retry_after_seconds, seconds);
        }
    }
}
