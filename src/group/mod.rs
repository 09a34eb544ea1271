//! Consumer groups and committed offsets, pure: [`GroupShard`] is the machine behind one partition
//! of `__consumer_offsets`. Rules are here and in the files beside; the log, threads and callers are
//! the business of `coordinator::runtime`, requests and responses that of `api`.
//!
//! Served are classic groups (R99–R118). Consumer groups of KIP-848, share and streams groups are
//! not: their records are skipped, their requests not advertised.

pub mod classic;
pub mod command;
pub mod coordinator;
mod memory;
pub mod offsets;
pub mod records;
mod shard;
pub mod subscription;
mod turn;

#[cfg(test)]
mod scenarios;

pub use memory::GroupMemory;
pub use shard::GroupShard;
pub use turn::{Settings, Turn};
