//! The texts of listener settings, read one by one: endpoints, the protocol map, names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{
    ADVERTISED, Address, BadListeners, BindHost, LISTENERS, PROTOCOL_MAP, SecurityProtocol,
};

/// Listener name to protocol.
pub(super) type ProtocolMap = BTreeMap<String, SecurityProtocol>;

/// One `NAME://host:port`, the host without brackets.
pub(super) struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// What clients are told of this bound endpoint.
    pub fn told(&self, advertised: Option<&[Endpoint]>, own_host: &str) -> Option<Address> {
        let told = match advertised {
            Some(advertised) => advertised.iter().find(|one| one.name == self.name)?,
            None => self,
        };
        let host = match BindHost::parse(&told.host) {
            BindHost::Wildcard => own_host.to_owned(),
            _ => told.host.clone(),
        };
        let port = told.port;
        Some(Address { host, port })
    }
}

/// Empty items, as a trailing comma leaves them, are ignored.
pub(super) fn endpoints(key: &'static str, text: &str) -> Result<Vec<Endpoint>, BadListeners> {
    let mut found: Vec<Endpoint> = Vec::new();
    for item in items(text) {
        let endpoint = endpoint(item).ok_or_else(|| {
            BadListeners::new(
                key,
                format!(
                    "Error creating broker listeners from '{text}': \
                     Unable to parse {item} to a broker endpoint"
                ),
                "write NAME://host:port, with an IPv6 address in brackets",
            )
        })?;
        if found.iter().any(|other| other.name == endpoint.name) {
            return Err(BadListeners::new(
                key,
                format!("Each listener must have a different name, listeners: {text}"),
                "give each its own name and map it in listener.security.protocol.map",
            ));
        }
        found.push(endpoint);
    }
    Ok(found)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Kafka: `^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)`
fn endpoint(text: &str) -> Option<Endpoint> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if name.trim().is_empty() || !host.chars().all(plain) || !digits {
        return None;
    }
    Some(Endpoint {
        name: name.trim().to_uppercase(),
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

/// Two listeners may share a port only as one IPv4 and one IPv6 address.
pub(super) fn check_ports(endpoints: &[Endpoint], text: &str) -> Result<(), BadListeners> {
    let mut by_port: BTreeMap<u16, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.port != 0) {
        by_port.entry(endpoint.port).or_default().push(endpoint);
    }
    for (port, sharing) in by_port.into_iter().filter(|(_, sharing)| sharing.len() > 1) {
        let addresses: Vec<Option<IpAddr>> = sharing
            .iter()
            .map(|endpoint| endpoint.host.parse().ok())
            .collect();
        let problem = match addresses[..] {
            [Some(one), Some(other)] if one.is_ipv4() != other.is_ipv4() => continue,
            [Some(_), Some(_)] => format!(
                "If you have two listeners on the same port then one needs to be IPv4 and the \
                 other IPv6, listeners: {text}, port: {port}"
            ),
            _ if addresses.iter().all(Option::is_none) => {
                format!("Each listener must have a different port, listeners: {text}")
            }
            _ => format!(
                "Each listener must have a different port unless exactly one listener has an \
                 IPv4 address and the other IPv6 address, listeners: {text}, port: {port}"
            ),
        };
        let remedy = "give each listener a port of its own";
        return Err(BadListeners::new(LISTENERS, problem, remedy));
    }
    Ok(())
}

/// `NAME:PROTOCOL` pairs; of a name that stands twice the last counts, as in Kafka.
pub(super) fn protocol_map(text: &str) -> Result<ProtocolMap, BadListeners> {
    let mut map = BTreeMap::new();
    for item in items(text) {
        let Some((name, protocol)) = item.rsplit_once(':') else {
            return Err(BadListeners::new(
                PROTOCOL_MAP,
                format!("{item} is not a listener name with its protocol"),
                "write NAME:PROTOCOL pairs, comma separated",
            ));
        };
        let Some(known) = SecurityProtocol::parse(protocol.trim()) else {
            return Err(BadListeners::new(
                PROTOCOL_MAP,
                format!(
                    "Invalid security protocol `{}` defined in {PROTOCOL_MAP}",
                    protocol.trim()
                ),
                "use PLAINTEXT",
            ));
        };
        map.insert(name.trim().to_uppercase(), known);
    }
    Ok(map)
}

/// `CONTROLLER` is the controller's also where nobody says so: images and frameworks name it thus.
pub(super) fn controller_names(text: Option<&str>) -> Vec<String> {
    let names: Vec<String> = text
        .map(|text| items(text).map(str::to_uppercase).collect())
        .unwrap_or_default();
    if names.is_empty() {
        return vec!["CONTROLLER".to_owned()];
    }
    names
}

/// The controller's entries, which Kafka 3.9.0 refused and every test framework sends, are left out.
pub(super) fn advertised(text: &str, controller: &[String]) -> Result<Vec<Endpoint>, BadListeners> {
    let mut advertised = endpoints(ADVERTISED, text)?;
    advertised.retain(|endpoint| !controller.contains(&endpoint.name));
    if advertised.is_empty() {
        return Err(BadListeners::new(
            ADVERTISED,
            "There must be at least one broker advertised listener. \
             Perhaps all listeners appear in controller.listener.names?",
            "advertise one of the names in listeners",
        ));
    }
    if advertised.iter().any(|endpoint| endpoint.host == "0.0.0.0") {
        return Err(BadListeners::new(
            ADVERTISED,
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. \
             Use a routable IP address.",
            "name the host by which clients reach this machine",
        ));
    }
    Ok(advertised)
}
