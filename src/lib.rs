//! Ottla: an Apache Kafka broker in one process.
//!
//! [`start`] is all there is to it: `main` calls it, and so may a test, several times in one
//! process, since nothing here is global. From the socket inwards: [`server`] cuts frames and keeps
//! answers in order, [`api`] dispatches and has one file per API key, [`partition`] holds the lock
//! around one [`log`], and [`controller`] decides metadata that [`quorum`] commits. Two lives of a
//! request are told in ARCHITECTURE.md.

pub mod api;
pub mod broker;
pub mod budget;
pub mod clock;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod error;
pub mod faults;
pub mod group;
pub mod log;
pub mod metadata;
pub mod partition;
pub mod protocol;
pub mod quorum;
pub mod server;
pub mod store;
pub mod types;

#[cfg(test)]
mod tidy;

use clock::Clock;
use config::Config;

pub use broker::SetLogLevels;
pub use server::Broker;

/// Starts a broker on the machine's clocks. When this returns, Produce and Fetch work on all its
/// listeners.
///
/// # Errors
/// One sentence with what is wrong and where: a port in use, a directory of another cluster or
/// held by another process, a disk that fails.
pub async fn start(config: Config) -> anyhow::Result<Broker> {
    start_at(config, Clock::system()).await
}

/// As [`start`], with time given by the caller.
pub async fn start_at(config: Config, clock: Clock) -> anyhow::Result<Broker> {
    Broker::start(config, clock, None).await
}

/// As [`start`], for a program that lets clients change its log levels. Without that they are
/// stored and shown, and the program logs as it did.
pub async fn start_with_log_levels(config: Config, set: SetLogLevels) -> anyhow::Result<Broker> {
    Broker::start(config, Clock::system(), Some(set)).await
}
