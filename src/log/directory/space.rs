//! How much room a log directory has, and when that is too little.

use std::fs::File;
use std::io;

/// What the reserve may take: enough for a controller to log that the disk is full.
const RESERVE_MAX_BYTES: u64 = 64 << 20;
/// Below this, or 5 % of a small disk, clients may no longer append.
const FULL_BELOW_BYTES: u64 = 256 << 20;

/// A file system's room, for users without privileges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
}

impl Space {
    pub(super) fn of(handle: &File) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(handle)?;
        Ok(Space {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    /// Full below the limit; not full again before there is twice as much.
    pub(super) fn is_full(self, was_full: bool) -> bool {
        let limit = (self.total_bytes / 20).min(FULL_BELOW_BYTES);
        self.free_bytes < if was_full { 2 * limit } else { limit }
    }

    pub(super) fn reserve_bytes(self) -> u64 {
        (self.total_bytes / 100).min(RESERVE_MAX_BYTES)
    }
}
