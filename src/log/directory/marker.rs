//! `.kafka_cleanshutdown`: the last thing a clean stop writes into a log directory, and the first
//! thing the next start removes (Kafka: `CleanShutdownFileHandler`). Kafka ignores our nonce, and
//! its absence tells us that Kafka wrote the marker.

use std::io;
use std::path::Path;

use serde_json::json;
use tracing::warn;

use crate::faults::crash_point;
use crate::log::small_files::{read_small_file, remove, sync_directory, write_atomically};

pub(super) const FILE_NAME: &str = ".kafka_cleanshutdown";
const MAX_BYTES: usize = 4096;

/// What the last step of a clean stop leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanMarker {
    pub broker_epoch: i64,
    /// Equal in every directory and in the metadata index of that stop. `None`: Kafka wrote it.
    pub nonce: Option<String>,
}

impl CleanMarker {
    /// True for a marker that Kafka wrote.
    pub fn is_kafkas(&self) -> bool {
        self.nonce.is_none()
    }

    /// The marker of the whole broker: every directory carries the same broker epoch and nonce.
    /// Anything else, and no directory at all, is an unclean stop.
    pub fn of_all<'a>(
        mut found: impl Iterator<Item = Option<&'a CleanMarker>>,
    ) -> Option<&'a CleanMarker> {
        let first = found.next()??;
        found.all(|marker| marker == Some(first)).then_some(first)
    }
}

/// Writes the marker durably.
pub(super) fn write(directory: &Path, broker_epoch: i64, nonce: &str) -> io::Result<()> {
    let marker = json!({"version": 0, "brokerEpoch": broker_epoch, "ottlaNonce": nonce});
    write_atomically(directory, FILE_NAME, marker.to_string().as_bytes())
}

/// Reads and removes the marker. What cannot be read is no marker.
pub(super) fn take(path: &Path) -> io::Result<Option<CleanMarker>> {
    let file = path.join(FILE_NAME);
    let Some(bytes) = read_small_file(&file, MAX_BYTES)? else {
        return Ok(None);
    };
    crash_point("start.marker-read");
    remove(&file)?;
    sync_directory(path)?;
    let marker = parse(&bytes);
    if marker.is_none() {
        warn!(file = %file.display(), "clean-shutdown marker is unreadable: the stop counts as unclean");
    }
    Ok(marker)
}

fn parse(bytes: &[u8]) -> Option<CleanMarker> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    if value.get("version")?.as_i64()? != 0 {
        return None;
    }
    let nonce = match value.get("ottlaNonce") {
        Some(nonce) => Some(nonce.as_str()?.to_owned()),
        None => None,
    };
    Some(CleanMarker {
        broker_epoch: value.get("brokerEpoch")?.as_i64()?,
        nonce,
    })
}
