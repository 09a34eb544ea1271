//! `ottla healthcheck`: does the broker on this machine answer? Sends ApiVersions (18) v0 to the
//! first local address of the same configuration; an advertised address is never used.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};

use ottla::config::{CommandLine, Config};

/// Container engines give a health command two seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Exit code 0 if the broker answers; an error that says why not.
pub fn run(command_line: &CommandLine) -> anyhow::Result<ExitCode> {
    let config = Config::load(command_line)?.config;
    let listener = &config.listeners.broker[0];
    ensure!(
        listener.port != 0,
        "listener {} has no fixed port to ask",
        listener.name
    );
    let addresses = listener
        .bind_addresses()
        .context("the listener's host does not resolve")?;
    let mut stream = connect(addresses)?;
    ask(&mut stream).context("the broker does not answer")?;
    Ok(ExitCode::SUCCESS)
}

/// To the first address that accepts; what stands for every address is reached by loopback.
fn connect(addresses: Vec<SocketAddr>) -> anyhow::Result<TcpStream> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let reachable = addresses
        .into_iter()
        .flat_map(|address| match address.ip() {
            ip if ip.is_unspecified() => loopback
                .map(|ip| SocketAddr::new(ip, address.port()))
                .to_vec(),
            _ => vec![address],
        });
    let mut refused = None;
    for address in reachable {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                refused.get_or_insert((address, error));
            }
        }
    }
    let (address, error) = refused.context("the listener has no address")?;
    Err(error).context(format!("{address} does not accept connections"))
}

fn ask(stream: &mut TcpStream) -> anyhow::Result<()> {
    /// Length, key 18, version 0, correlation id, client id `health`.
    const REQUEST: &[u8] = b"\0\0\0\x10\0\x12\0\0\0\0\0\x2a\0\x06health";
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    // Length, correlation id, error code.
    let mut response = [0; 10];
    stream.read_exact(&mut response)?;
    ensure!(
        response[4..] == *b"\0\0\0\x2a\0\0",
        "it does not speak Kafka"
    );
    Ok(())
}
