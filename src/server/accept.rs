//! Binds the listeners and accepts connections. The loop never waits for a handler (R39). It pauses
//! only where a limit says so: of connections, of their rate, of descriptors.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::Instrument;

use crate::api::Peer;
use crate::broker::Shared;
use crate::config::Listener;
use crate::config::listeners::BindHost;
use crate::server::connection;
use crate::server::connections::{Admitted, Connections, TooMany};
use crate::server::workers::Workers;

/// Connections that may wait for accept unless `socket.listen.backlog.size` is set: 5,000 clients
/// at once meet no SYN retry (R39).
const BACKLOG: i32 = 4096;
/// Connections may have this part of the descriptors; logs need some too.
const CONNECTIONS_PER_CENT: u64 = 95;
/// After running out of descriptors the loop looks for free ones at least this often.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// A listener that is bound but does not accept yet.
pub struct BoundListener {
    name: Arc<str>,
    sockets: Vec<TcpListener>,
}

/// Binds one configured listener.
///
/// # Errors
/// One sentence that names the listener and the address.
pub fn bind(listener: &Listener, backlog: Option<i32>) -> anyhow::Result<BoundListener> {
    let addresses = listener
        .bind_addresses()
        .with_context(|| format!("the host of listener {} does not resolve", listener.name))?;
    let mut sockets: Vec<TcpListener> = Vec::new();
    for mut address in addresses {
        // With port 0 the second family takes the port the first one was given.
        if let (0, Some(first)) = (address.port(), sockets.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match bind_one(address, backlog.unwrap_or(BACKLOG)) {
            Ok(socket) => sockets.push(socket),
            // `localhost` and the wildcard name IPv6 on a machine that may not have it.
            Err(error) if address.is_ipv6() && no_such_address(&error) => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("listener {} cannot listen on {address}", listener.name)
                });
            }
        }
        if listener.bind_host() == BindHost::Wildcard && !sockets.is_empty() {
            break;
        }
    }
    anyhow::ensure!(
        !sockets.is_empty(),
        "listener {} has no usable address",
        listener.name
    );
    Ok(BoundListener {
        name: listener.name.as_str().into(),
        sockets,
    })
}

impl BoundListener {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port it is bound to, which is the kernel's choice where 0 was configured.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.sockets[0].local_addr()?.port())
    }

    /// Starts accepting on every address.
    pub fn serve(
        self,
        shared: &Arc<Shared>,
        connections: &Arc<Connections>,
        workers: &Arc<Workers>,
        stopping: &watch::Receiver<bool>,
    ) {
        for socket in self.sockets {
            let acceptor = Acceptor {
                listener: self.name.clone(),
                shared: shared.clone(),
                connections: connections.clone(),
                workers: workers.clone(),
                reserve_from: reserve_from(),
                is_short: false,
            };
            tokio::spawn(Acceptor::run(stopping.clone(), socket, acceptor));
        }
    }
}

/// The lowest number of a descriptor that a connection may not have.
fn reserve_from() -> RawFd {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let reserved = limit.map(|limit| limit.saturating_mul(CONNECTIONS_PER_CENT) / 100);
    reserved.map_or(RawFd::MAX, |from| {
        RawFd::try_from(from).unwrap_or(RawFd::MAX)
    })
}

struct Acceptor {
    listener: Arc<str>,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    workers: Arc<Workers>,
    reserve_from: RawFd,
    /// Descriptors have run short, and it has been said.
    is_short: bool,
}

impl Acceptor {
    /// `stopping` comes first to be dropped last: it tells the stop that nothing else is held.
    async fn run(mut stopping: watch::Receiver<bool>, socket: TcpListener, mut acceptor: Acceptor) {
        let children = stopping.clone();
        tokio::select! {
            () = acceptor.accept_all(&socket, &children) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn accept_all(&mut self, socket: &TcpListener, stopping: &watch::Receiver<bool>) {
        loop {
            // Where a limit is reached, clients wait in the backlog, as with Kafka.
            self.connections.room(&self.listener).await;
            match socket.accept().await {
                Ok((stream, address)) => self.take(socket, stream, address, stopping).await,
                // A client that went away while it waited concerns nobody else.
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    self.say_short(&error);
                    self.wait_for_descriptors(socket).await;
                }
            }
        }
    }

    /// Serves a connection on a task of its own, once it is its turn.
    async fn take(
        &mut self,
        socket: &TcpListener,
        stream: TcpStream,
        address: SocketAddr,
        stopping: &watch::Receiver<bool>,
    ) {
        let wait_ms = self
            .connections
            .pace(&self.listener, self.shared.clock.monotonic_ms());
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms as u64)).await;
        }
        // The kernel gives the lowest free number: this one says how many are in use.
        let is_of_the_reserve = stream.as_raw_fd() >= self.reserve_from;
        let now = self.shared.clock.monotonic_ms();
        match self.connections.admit(&self.listener, address.ip(), now) {
            Ok(admitted) => {
                self.serve(stream, address, admitted, stopping);
            }
            Err(TooMany { limit }) => {
                tracing::info!(peer = %address, listener = %self.listener,
                    "rejected a connection: the address has the configured maximum of {limit}");
            }
        }
        if is_of_the_reserve {
            self.say_short(&"95 % of the descriptors are in use");
            self.wait_for_descriptors(socket).await;
        } else {
            self.is_short = false;
        }
    }

    /// Hands the connection to a worker.
    fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        admitted: Admitted,
        stopping: &watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true);
        // Each runtime waits for its own sockets.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::info!(peer = %address, %error, "a connection was lost"),
        };
        let seat = admitted.seat.clone();
        let peer = Peer {
            address,
            listener: seat.listener().clone(),
            client_id: None,
        };
        let span =
            tracing::debug_span!("connection", peer = %address, client_id = tracing::field::Empty);
        let serving = connection::serve(
            self.shared.clone(),
            stream,
            peer,
            admitted,
            stopping.clone(),
        );
        seat.served_by(self.workers.spawn(serving.instrument(span)));
    }

    fn say_short(&mut self, reason: &dyn std::fmt::Display) {
        if !self.is_short {
            tracing::warn!(listener = %self.listener, %reason,
                "accepting connections pauses until some are closed");
        }
        self.is_short = true;
    }

    /// Until one below the reserve is free, by the end of a connection or otherwise: the rest is for
    /// logs.
    async fn wait_for_descriptors(&self, socket: &TcpListener) {
        loop {
            let ended = self.connections.next_end();
            let _ = tokio::time::timeout(RETRY_ACCEPT, ended).await;
            // A copy gets the lowest free number, as the next connection would.
            let copy = socket.as_fd().try_clone_to_owned();
            if copy.is_ok_and(|copy| copy.as_raw_fd() < self.reserve_from) {
                return;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn bind_one(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

fn no_such_address(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    )
}
