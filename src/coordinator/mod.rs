//! Coordinators: state machines over the partitions of an internal topic. [`machine`] says what a
//! machine is, [`shard`] runs one ([`core`]) over its log, [`runtime`] holds those of a topic, loads them as
//! leadership comes and goes and wakes them at their deadlines. Which machine it is they do not know.

mod core;
pub mod machine;
mod replay;
pub mod runtime;
mod shard;
mod timer;

pub use shard::Pending;

/// The partition of an internal topic that a group or a transactional id belongs to: Java's
/// `String.hashCode`, made non-negative, as in Kafka (R105; Kafka: Utils.abs).
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    let mut hash: i32 = 0;
    for unit in key.encode_utf16() {
        hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    }
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests;
