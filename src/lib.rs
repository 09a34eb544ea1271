//! Ottla: an Apache Kafka broker in one process.

pub mod api;
pub mod broker;
pub mod clock;
pub mod config;
pub mod controller;
pub mod error;
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
