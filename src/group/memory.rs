//! How much memory the state of groups takes on this broker, and may take (security.md section 7).
//! An estimate: texts and blobs as they are, everything else at a flat rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An empty group, a member without its texts and blobs, an id that was handed out, a committed
/// offset without its metadata: with the nodes of the maps they are in.
pub const GROUP: usize = 600;
pub const MEMBER: usize = 500;
pub const PENDING: usize = 100;
pub const OFFSET: usize = 100;
/// A protocol that a member names, and a topic that one subscribes to, without their texts.
pub const PROTOCOL: usize = 80;
pub const TOPIC: usize = 80;

const SHARE_MAX: usize = 256 << 20;

/// Shared by all shards. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GroupMemory {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl GroupMemory {
    /// An eighth of what the process may have.
    pub fn of(memory_limit: usize) -> GroupMemory {
        GroupMemory::limited((memory_limit / 8).min(SHARE_MAX))
    }

    /// So many bytes.
    pub fn limited(limit: usize) -> GroupMemory {
        GroupMemory {
            used: Arc::default(),
            limit,
        }
    }

    /// Then no new groups and members are taken; those that are there go on.
    pub fn is_exhausted(&self) -> bool {
        self.used() >= self.limit
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// What took `before` bytes takes `after`.
    pub fn changed(&self, before: usize, after: usize) {
        match after.checked_sub(before) {
            Some(more) => self.used.fetch_add(more, Ordering::Relaxed),
            None => self.used.fetch_sub(before - after, Ordering::Relaxed),
        };
    }
}
