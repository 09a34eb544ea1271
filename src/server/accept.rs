//! Binds the listeners and accepts connections. The loop never sleeps and never waits for a
//! handler (R39); when descriptors run out it waits for a connection to close.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use crate::api::Peer;
use crate::broker::Shared;
use crate::config::Listener;
use crate::config::listeners::BindHost;
use crate::server::connection;

/// Connections that may wait for accept unless `socket.listen.backlog.size` is set: 5,000 clients
/// at once meet no SYN retry (R39).
const BACKLOG: i32 = 4096;
/// After running out of descriptors the loop tries again at least this often.
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
    pub fn serve(self, shared: &Arc<Shared>, stopping: &watch::Receiver<bool>) {
        for socket in self.sockets {
            let accept = accept_loop(stopping.clone(), socket, self.name.clone(), shared.clone());
            tokio::spawn(accept);
        }
    }
}

/// `stopping` comes first to be dropped last: it tells the stop that nothing else is held.
async fn accept_loop(
    mut stopping: watch::Receiver<bool>,
    socket: TcpListener,
    listener: Arc<str>,
    shared: Arc<Shared>,
) {
    let freed = Arc::new(Notify::new());
    let mut exhausted = false;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, address)) => {
                exhausted = false;
                spawn_connection(stream, address, &listener, &shared, &stopping, &freed);
            }
            // A client that went away while it waited concerns nobody else.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                if !exhausted {
                    tracing::warn!(%listener, %error, "accepting connections failed");
                }
                exhausted = true;
                let _ = tokio::time::timeout(RETRY_ACCEPT, freed.notified()).await;
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

fn spawn_connection(
    stream: TcpStream,
    address: SocketAddr,
    listener: &Arc<str>,
    shared: &Arc<Shared>,
    stopping: &watch::Receiver<bool>,
    freed: &Arc<Notify>,
) {
    let _ = stream.set_nodelay(true);
    let peer = Peer {
        address,
        listener: listener.clone(),
        client_id: None,
    };
    let span =
        tracing::debug_span!("connection", peer = %address, client_id = tracing::field::Empty);
    let (shared, stopping, freed) = (shared.clone(), stopping.clone(), freed.clone());
    tokio::spawn(
        async move {
            connection::serve(shared, stream, peer, stopping).await;
            freed.notify_one();
        }
        .instrument(span),
    );
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
