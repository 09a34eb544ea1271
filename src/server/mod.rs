//! Sockets: accept, cut frames, keep answers in order. Knows bytes, frames and the order of
//! answers; knows no API and no partition. A frame goes to `api::dispatch` and an
//! [`api::Outcome`](crate::api::Outcome) comes back.

mod accept;
mod connection;
mod connections;
mod creation_rate;
pub mod frame;
mod output;
mod patience;
mod workers;

use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{Core, SetLogLevels};
use crate::budget::Usage;
use crate::clock::Clock;
use crate::config::Config;
use crate::metadata::image::Endpoint;
use crate::server::connections::Connections;
use crate::server::workers::Workers;

/// How long a stop waits for connections to end; they need milliseconds.
const CONNECTIONS_END: Duration = Duration::from_secs(5);

/// A running broker. Dropped without [`Broker::shutdown`] it stops as if killed.
pub struct Broker {
    core: Core,
    ports: Vec<(String, u16)>,
    stopping: watch::Sender<bool>,
}

impl Broker {
    /// Binds, boots, serves: a port in use is found before anything is written.
    pub(crate) async fn start(
        config: Config,
        clock: Clock,
        set_log_levels: Option<SetLogLevels>,
    ) -> anyhow::Result<Broker> {
        let mut bound = Vec::new();
        let mut endpoints = Vec::new();
        for listener in &config.listeners.broker {
            let socket = accept::bind(listener, config.socket_listen_backlog_size)?;
            endpoints.extend(endpoint(listener, socket.port()?));
            bound.push(socket);
        }
        let core = Core::boot(config, clock, endpoints, set_log_levels).await?;
        let connections = Connections::follow(core.shared());
        let workers = Workers::start()?;
        let (stopping, stop) = watch::channel(false);
        let mut ports = Vec::new();
        for socket in bound {
            ports.push((socket.name().to_owned(), socket.port()?));
            socket.serve(core.shared(), &connections, &workers, &stop);
        }
        Ok(Broker {
            core,
            ports,
            stopping,
        })
    }

    /// The port a listener is bound to; the kernel's choice where 0 was configured.
    pub fn port(&self, listener: &str) -> Option<u16> {
        self.ports
            .iter()
            .find(|(name, _)| name == listener)
            .map(|(_, port)| *port)
    }

    /// What clients make it hold, by pool: requests, responses, decompression.
    pub fn memory(&self) -> [(&'static str, Usage); 3] {
        self.core.shared().budget.usage()
    }

    /// Returns, with the reason, if the broker can no longer do its work; it should be dropped then.
    pub async fn failed(&self) -> String {
        self.core.failed().await
    }

    /// Stops accepting, closes connections, and makes everything durable (storage.md section 7).
    pub async fn shutdown(self) {
        self.stopping.send_replace(true);
        // Connections end at their next await; requests that are being appended are finished,
        // since an append never waits. Each holds a receiver until it has let go of the rest.
        if tokio::time::timeout(CONNECTIONS_END, self.stopping.closed())
            .await
            .is_err()
        {
            tracing::warn!("connections are still open, the stop goes on without them");
        } else {
            self.core.shared().budget.assert_empty();
        }
        self.core.shutdown().await;
    }
}

fn endpoint(listener: &crate::config::Listener, port: u16) -> Option<Endpoint> {
    let address = listener.advertised_at(port)?;
    Some(Endpoint {
        listener: listener.name.clone(),
        host: address.host,
        port: address.port,
        security_protocol: listener.protocol,
    })
}
