//! `listeners`, `advertised.listeners` and what connects them: which sockets this broker opens
//! and which addresses clients are told. Refusals use Kafka's texts (KafkaConfig.validateValues,
//! SocketServerConfigs, CoreUtils.listenerListToEndPoints). Opens and resolves nothing itself,
//! but for [`Listener::bind_addresses`].

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

mod parse;

use parse::{Endpoint, ProtocolMap};

/// What a listener speaks, with Kafka's ids in registration records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityProtocol {
    Plaintext = 0,
    Ssl = 1,
    SaslPlaintext = 2,
    SaslSsl = 3,
}

impl SecurityProtocol {
    /// Kafka's id.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// From Kafka's name in any case.
    pub fn parse(name: &str) -> Option<SecurityProtocol> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
            "SSL" => Some(SecurityProtocol::Ssl),
            "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
            "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        })
    }
}

/// Which local addresses a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindHost {
    /// Every address of both families (R40): an empty host, `0.0.0.0` or `[::]`.
    Wildcard,
    /// `localhost`: 127.0.0.1, and ::1 where the machine has it.
    Loopback,
    Ip(IpAddr),
    /// A name, resolved when the socket is opened.
    Name(String),
}

impl BindHost {
    fn parse(host: &str) -> BindHost {
        if host.is_empty() {
            return BindHost::Wildcard;
        }
        if host.eq_ignore_ascii_case("localhost") {
            return BindHost::Loopback;
        }
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => BindHost::Wildcard,
            Ok(ip) => BindHost::Ip(ip),
            Err(_) => BindHost::Name(host.to_owned()),
        }
    }
}

/// One listener of this broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In upper case, as Kafka normalises it.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// As configured, IPv6 without brackets; empty for every address.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
    /// `None` for a listener that is open but not told to clients.
    pub advertised: Option<Address>,
}

/// A host as clients are told it, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, IPv6 without brackets.
    pub host: String,
    /// 0 stands for the port the listener was bound to.
    pub port: u16,
}

impl Listener {
    /// Which local addresses `host` stands for.
    pub fn bind_host(&self) -> BindHost {
        BindHost::parse(&self.host)
    }

    /// The addresses to bind together, resolving a name. A wildcard is `[::]`, for one socket of
    /// both families, with `0.0.0.0` to stand in on a machine without IPv6. Of `localhost` the
    /// IPv6 address may be missing too.
    pub fn bind_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let with_port = |ip: IpAddr| SocketAddr::new(ip, self.port);
        Ok(match self.bind_host() {
            BindHost::Wildcard => vec![with_port(Ipv6Addr::UNSPECIFIED.into())],
            BindHost::Loopback => vec![
                with_port(Ipv4Addr::LOCALHOST.into()),
                with_port(Ipv6Addr::LOCALHOST.into()),
            ],
            BindHost::Ip(ip) => vec![with_port(ip)],
            BindHost::Name(name) => (name.as_str(), self.port).to_socket_addrs()?.collect(),
        })
    }

    /// What clients are told once the socket is bound to `bound_port`; `None` if it is not advertised.
    pub fn advertised_at(&self, bound_port: u16) -> Option<Address> {
        let mut address = self.advertised.clone()?;
        if address.port == 0 {
            address.port = bound_port;
        }
        Some(address)
    }
}

/// All listeners of the broker role, and the one that other brokers use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// In the order of `listeners`, without those of the controller, which needs no socket here.
    pub broker: Vec<Listener>,
    /// The name in `broker` that other brokers connect to.
    pub inter_broker: String,
}

/// The texts of the settings that listeners follow from, as given.
pub struct ListenerSettings<'a> {
    pub listeners: &'a str,
    pub advertised: Option<&'a str>,
    pub protocol_map: &'a str,
    pub inter_broker_name: Option<&'a str>,
    /// Explicit value of `security.inter.broker.protocol`.
    pub inter_broker_protocol: Option<&'a str>,
    pub controller_names: Option<&'a str>,
    /// The host for wildcard listeners that `advertised.listeners` does not name one for.
    pub own_host: &'a str,
}

/// What is wrong with listeners, and with which of the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct BadListeners {
    pub key: &'static str,
    pub problem: String,
    pub remedy: &'static str,
}

impl BadListeners {
    fn new(key: &'static str, problem: impl Into<String>, remedy: &'static str) -> BadListeners {
        BadListeners {
            key,
            problem: problem.into(),
            remedy,
        }
    }
}

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";
const INTER_BROKER: &str = "inter.broker.listener.name";

impl Listeners {
    /// Reads and checks all of them together.
    pub fn parse(settings: &ListenerSettings<'_>) -> Result<Listeners, BadListeners> {
        let protocols = parse::protocol_map(settings.protocol_map)?;
        let controller = parse::controller_names(settings.controller_names);
        let mut bound = parse::endpoints(LISTENERS, settings.listeners)?;
        parse::check_ports(&bound, settings.listeners)?;
        bound.retain(|endpoint| !controller.contains(&endpoint.name));
        if bound.is_empty() {
            return Err(BadListeners::new(
                LISTENERS,
                "There must be at least one broker advertised listener. \
                 Perhaps all listeners appear in controller.listener.names?",
                "add a listener such as PLAINTEXT://:9092",
            ));
        }
        let advertised = match settings.advertised {
            // Compose files pass an unset variable on as an empty value.
            Some(text) if !text.trim().is_empty() => Some(parse::advertised(text, &controller)?),
            _ => None,
        };
        let mut broker = Vec::new();
        for endpoint in &bound {
            let protocol = protocol_of(LISTENERS, endpoint, &protocols)?;
            if protocol != SecurityProtocol::Plaintext {
                return Err(BadListeners::new(
                    LISTENERS,
                    format!(
                        "the listener {} speaks {protocol}, which this version does not serve",
                        endpoint.name
                    ),
                    "use PLAINTEXT, or remove the listener",
                ));
            }
            broker.push(Listener {
                name: endpoint.name.clone(),
                protocol,
                host: endpoint.host.clone(),
                port: endpoint.port,
                advertised: endpoint.told(advertised.as_deref(), settings.own_host),
            });
        }
        if let Some(advertised) = &advertised {
            check_advertised(advertised, &bound, &protocols)?;
        }
        let inter_broker = inter_broker(settings, &broker, &protocols)?;
        Ok(Listeners {
            broker,
            inter_broker,
        })
    }
}

/// The listener names and addresses of a dynamic `advertised.listeners`, those of controllers
/// included; `None` if it does not read.
pub fn readvertised(text: &str) -> Option<Vec<(String, Address)>> {
    let endpoints = parse::endpoints(ADVERTISED, text).ok()?.into_iter();
    let told = |endpoint: Endpoint| {
        let (host, port) = (endpoint.host, endpoint.port);
        (endpoint.name, Address { host, port })
    };
    Some(endpoints.map(told).collect())
}

impl Listeners {
    /// Whether a running broker may be told to advertise this, or what Kafka says against it.
    pub fn check_readvertised(&self, text: &str) -> Result<(), String> {
        let advertised = parse::advertised(text, &parse::controller_names(None));
        let advertised = advertised.map_err(|bad| bad.problem)?;
        let known = |name: &str| self.broker.iter().any(|listener| listener.name == name);
        if advertised.iter().all(|endpoint| known(&endpoint.name)) {
            return Ok(());
        }
        let found: Vec<&str> = advertised.iter().map(|one| one.name.as_str()).collect();
        let valid: Vec<&str> = self.broker.iter().map(|one| one.name.as_str()).collect();
        Err(subset(&found.join(","), &valid.join(",")))
    }
}

fn subset(found: &str, valid: &str) -> String {
    format!(
        "advertised.listeners listener names must be equal to or a subset of the ones defined in \
         listeners. Found {found}. The valid options based on the current configuration are {valid}"
    )
}

fn check_advertised(
    advertised: &[Endpoint],
    bound: &[Endpoint],
    protocols: &ProtocolMap,
) -> Result<(), BadListeners> {
    for endpoint in advertised {
        protocol_of(ADVERTISED, endpoint, protocols)?;
    }
    let names = |endpoints: &[Endpoint]| {
        let names: Vec<&str> = endpoints.iter().map(|one| one.name.as_str()).collect();
        names.join(",")
    };
    if advertised
        .iter()
        .all(|endpoint| bound.iter().any(|one| one.name == endpoint.name))
    {
        return Ok(());
    }
    Err(BadListeners::new(
        ADVERTISED,
        subset(&names(advertised), &names(bound)),
        "use the same names in both",
    ))
}

fn protocol_of(
    key: &'static str,
    endpoint: &Endpoint,
    protocols: &ProtocolMap,
) -> Result<SecurityProtocol, BadListeners> {
    protocols.get(&endpoint.name).copied().ok_or_else(|| {
        BadListeners::new(
            key,
            format!(
                "No security protocol defined for listener {}",
                endpoint.name
            ),
            "add NAME:PLAINTEXT for it to listener.security.protocol.map",
        )
    })
}

fn inter_broker(
    settings: &ListenerSettings<'_>,
    broker: &[Listener],
    protocols: &ProtocolMap,
) -> Result<String, BadListeners> {
    if settings.inter_broker_name.is_some() && settings.inter_broker_protocol.is_some() {
        return Err(BadListeners::new(
            INTER_BROKER,
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
            "remove one of the two",
        ));
    }
    let name = match settings.inter_broker_name {
        Some(name) => {
            let name = name.trim().to_uppercase();
            if !protocols.contains_key(&name) {
                return Err(BadListeners::new(
                    INTER_BROKER,
                    format!(
                        "Listener with name {name} defined in {INTER_BROKER} not found in \
                         {PROTOCOL_MAP}."
                    ),
                    "use one of the names in listeners",
                ));
            }
            name
        }
        None => settings
            .inter_broker_protocol
            .unwrap_or("PLAINTEXT")
            .to_owned(),
    };
    let told = broker
        .iter()
        .filter(|listener| listener.advertised.is_some());
    let options: Vec<&str> = told.map(|listener| listener.name.as_str()).collect();
    if options.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(BadListeners::new(
        INTER_BROKER,
        format!(
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. \
             The valid options based on currently configured listeners are {}",
            options.join(",")
        ),
        "set inter.broker.listener.name to one of them",
    ))
}
