//! How many connections may be open and how fast they may come: Kafka's `max.connections` and its
//! relatives, for the broker, for one listener (`listener.name.L.max.connections`), for one address.
//! (Kafka: ConnectionQuotas in SocketServer.scala, KIP-402, KIP-612.)

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

use crate::config::key::Minima;
use crate::config::{BrokerConfigs, broker_keys};
use crate::types::Millis;

const PER_IP_OVERRIDES: &str = "max.connections.per.ip.overrides";

/// See the module. A limit that nobody set is `i32::MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    /// Addresses as they compare: IPv4 also where a socket shows it as IPv6.
    pub per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// Connections per second.
    pub max_creation_rate: u32,
    /// By listener name in lower case.
    pub listeners: BTreeMap<String, ListenerLimits>,
    /// `quota.window.num` and `quota.window.size.seconds`, over which a rate is measured.
    pub window_samples: usize,
    pub window_ms: Millis,
}

/// What one listener is held to beside the limits of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    pub max_connections: usize,
    pub max_creation_rate: u32,
}

/// Keys that a listener may have of its own.
const OF_A_LISTENER: [&str; 2] = ["max.connections", "max.connection.creation.rate"];

/// Whether `name` is `listener.name.L.KEY` with a key that acts per listener.
pub(super) fn is_of_a_listener(name: &str) -> bool {
    listener_key(name).is_some()
}

fn listener_key(name: &str) -> Option<(&str, &'static str)> {
    let rest = name.strip_prefix("listener.name.")?;
    let (listener, key) = rest.split_once('.')?;
    let key = OF_A_LISTENER.into_iter().find(|known| *known == key)?;
    Some((listener, key))
}

impl ConnectionLimits {
    /// What is in force.
    ///
    /// # Errors
    /// As [`ConnectionLimits::read`].
    pub fn of(configs: &BrokerConfigs) -> Result<ConnectionLimits, (String, String)> {
        let names = configs.names().collect::<Vec<&str>>().into_iter();
        ConnectionLimits::read(names.filter_map(|name| Some((name, configs.value(name)?))))
    }

    /// From effective values by key, those of listeners included.
    ///
    /// # Errors
    /// The key at fault and Kafka's sentence about it.
    pub fn read<'a>(
        settings: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<ConnectionLimits, (String, String)> {
        let number = |key: &str, default: u32| {
            let mut found = settings.clone().filter(|(name, _)| *name == key);
            found.next().map_or(default, |(_, value)| count(value))
        };
        let max_connections_per_ip = number("max.connections.per.ip", UNLIMITED);
        let mut listed = settings
            .clone()
            .filter(|(name, _)| *name == PER_IP_OVERRIDES);
        let listed = listed.next().map_or("", |(_, value)| value);
        let per_ip_overrides =
            overrides(listed).map_err(|problem| (PER_IP_OVERRIDES.to_owned(), problem))?;
        if max_connections_per_ip == 0 && per_ip_overrides.is_empty() {
            let problem = "max.connections.per.ip can be set to zero only if \
                           max.connections.per.ip.overrides property is set.";
            return Err(("max.connections.per.ip".to_owned(), problem.to_owned()));
        }
        let mut listeners: BTreeMap<String, ListenerLimits> = BTreeMap::new();
        for (name, value) in settings.clone() {
            let Some((listener, key)) = listener_key(name) else {
                continue;
            };
            // The entry of the broker's key says what values are right.
            let entry = broker_keys::find(key).map(|entry| entry.canonical(value, Minima::Strict));
            let value = match entry {
                Some(Ok(value)) => count(&value),
                Some(Err(problem)) => return Err((name.to_owned(), problem)),
                None => continue,
            };
            let limits = listeners
                .entry(listener.to_lowercase())
                .or_insert(NO_LIMITS);
            match key {
                "max.connections" => limits.max_connections = value as usize,
                _ => limits.max_creation_rate = value,
            }
        }
        Ok(ConnectionLimits {
            max_connections: number("max.connections", UNLIMITED) as usize,
            max_connections_per_ip: max_connections_per_ip as usize,
            per_ip_overrides,
            max_creation_rate: number("max.connection.creation.rate", UNLIMITED),
            listeners,
            window_samples: number("quota.window.num", 11).max(1) as usize,
            window_ms: Millis::from(number("quota.window.size.seconds", 1).max(1)) * 1000,
        })
    }

    /// How many connections `address` may have.
    pub fn of_address(&self, address: IpAddr) -> usize {
        let own = self.per_ip_overrides.get(&address.to_canonical());
        own.copied().unwrap_or(self.max_connections_per_ip)
    }

    /// `listener` in any case.
    pub fn of_listener(&self, listener: &str) -> ListenerLimits {
        let own = self.listeners.get(&listener.to_lowercase());
        own.copied().unwrap_or(NO_LIMITS)
    }
}

const UNLIMITED: u32 = i32::MAX as u32;
const NO_LIMITS: ListenerLimits = ListenerLimits {
    max_connections: UNLIMITED as usize,
    max_creation_rate: UNLIMITED,
};

/// No limits at all.
impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            max_connections: UNLIMITED as usize,
            max_connections_per_ip: UNLIMITED as usize,
            per_ip_overrides: BTreeMap::new(),
            max_creation_rate: UNLIMITED,
            listeners: BTreeMap::new(),
            window_samples: 11,
            window_ms: 1000,
        }
    }
}

/// Values have passed their key's rule.
fn count(value: &str) -> u32 {
    value.trim().parse().unwrap_or(UNLIMITED)
}

/// `host:count`, comma separated. A name stands for every address it has now.
fn overrides(text: &str) -> Result<BTreeMap<IpAddr, usize>, String> {
    let mut found = BTreeMap::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let broken =
            || format!("Error parsing configuration property '{PER_IP_OVERRIDES}': {entry}");
        let (host, count) = entry.rsplit_once(':').ok_or_else(broken)?;
        let count: usize = count.trim().parse().map_err(|_| broken())?;
        let host = host.trim().trim_matches(['[', ']']);
        let addresses = (host, 0).to_socket_addrs();
        let addresses = addresses
            .map_err(|_| format!("{PER_IP_OVERRIDES} contains invalid addresses : {host}"))?;
        found.extend(addresses.map(|address| (address.ip().to_canonical(), count)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<ConnectionLimits, (String, String)> {
        ConnectionLimits::read(settings.iter().copied())
    }

    #[test]
    fn nothing_set_is_no_limit() {
        let limits = read(&[]).expect("valid");
        assert_eq!(limits, ConnectionLimits::default());
        assert_eq!(limits.of_listener("PLAINTEXT"), NO_LIMITS);
    }

    #[test]
    fn addresses_and_listeners_have_limits_of_their_own() {
        let limits = read(&[
            ("max.connections.per.ip", "7"),
            ("max.connections.per.ip.overrides", "127.0.0.1:2, [::1]:3"),
            ("listener.name.plaintext.max.connections", "5"),
            ("listener.name.plaintext.ssl.keystore.type", "PEM"),
        ])
        .expect("valid");
        let of = |text: &str| limits.of_address(text.parse().expect("an address"));
        assert_eq!((of("127.0.0.1"), of("::ffff:127.0.0.1")), (2, 2));
        assert_eq!((of("::1"), of("10.0.0.1")), (3, 7));
        assert_eq!(limits.of_listener("PLAINTEXT").max_connections, 5);
        assert_eq!(limits.of_listener("SSL"), NO_LIMITS);
    }

    #[test]
    fn what_kafka_refuses_is_refused_with_its_sentence() {
        let (key, problem) = read(&[("max.connections.per.ip", "0")]).expect_err("zero");
        assert_eq!(key, "max.connections.per.ip");
        assert!(problem.starts_with("max.connections.per.ip can be set to zero only if"));
        for wrong in ["127.0.0.1", "127.0.0.1:x", "not a host:5"] {
            assert!(read(&[(PER_IP_OVERRIDES, wrong)]).is_err(), "{wrong}");
        }
        let (key, problem) =
            read(&[("listener.name.plaintext.max.connections", "-1")]).expect_err("negative");
        assert_eq!(key, "listener.name.plaintext.max.connections");
        assert_eq!(
            problem,
            "Invalid value -1 for configuration max.connections: Value must be at least 0"
        );
    }
}
