//! Makes the files of a partition what recovery found them to hold. Every step may be repeated:
//! a crash in between leaves an image that recovers to the same log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tracing::{debug, warn};

use crate::faults::crash_point;
use crate::log::Error;
use crate::log::context::{LogContext, Shared};
use crate::log::open::snapshots;
use crate::log::recovery::{Kept, Recovered, Walked};
use crate::log::segment::{SUFFIXES, Segment, file_name};

/// Removes dropped segments and snapshots from the future, cuts torn bytes and index entries
/// that were not verified, and writes the indexes of completed segments that were walked.
/// Returns the bytes of batches, or of what was there instead, that went.
pub(super) fn apply(
    cx: &LogContext,
    shared: &Shared,
    names: &BTreeMap<String, u64>,
    found: &[(Arc<Segment>, u64)],
    recovered: &Recovered,
) -> Result<u64, Error> {
    let remove = |path: &Path| {
        let removed = cx.files.remove(path);
        removed.map_err(|e| Error::io("remove", path, e))
    };
    let mut dropped_bytes = 0;
    // The newest first: what remains is always a log without a hole.
    for (segment, length) in found.iter().skip(recovered.kept.len()).rev() {
        for suffix in SUFFIXES {
            remove(&segment.path(suffix))?;
        }
        dropped_bytes += length;
    }
    let mut is_reserve = recovered.kept.len() == found.len();
    for (kept, (segment, length)) in recovered.kept.iter().zip(found) {
        if kept.size < *length {
            is_reserve &= begins_with_zeros(segment, kept.size)?;
            segment.log().truncate(kept.size)?;
            crash_point("recovery.cut");
            dropped_bytes += length - kept.size;
        }
    }
    if let Some((last, completed)) = recovered.kept.split_last() {
        for (kept, (segment, _)) in completed.iter().zip(found) {
            complete_indexes(kept, segment)?;
        }
        if let Some(walked) = &last.walked {
            cut_indexes(cx, shared, names, last, walked)?;
        }
    }
    for (offset, name) in snapshots(names) {
        if offset > recovered.next_offset {
            remove(&shared.path.join(name))?;
        }
    }
    if let Some(torn) = &recovered.torn {
        if is_reserve {
            // Durable topics extend their files ahead of what they write.
            debug!(
                log = shared.name,
                dropped_bytes, "space reserved behind the last batch cut"
            );
            return Ok(dropped_bytes);
        }
        warn!(log = shared.name, ?torn, dropped_bytes, "torn tail cut");
    }
    Ok(dropped_bytes)
}

/// A page of zeros at `position`, or fewer if the file ends before.
fn begins_with_zeros(segment: &Arc<Segment>, position: u64) -> Result<bool, Error> {
    let mut page = [0; 4096];
    let read = segment.log().read_at(&mut page, position)?;
    Ok(page[..read].iter().all(|byte| *byte == 0))
}

fn complete_indexes(kept: &Kept, segment: &Segment) -> Result<(), Error> {
    let Some(walked) = &kept.walked else {
        return Ok(());
    };
    let mut walked = walked.clone();
    walked.indexes.times.extend(walked.rule.close());
    segment.replace_index_files(&walked.indexes)
}

/// The index files of the active segment keep the entries that were found to be true.
fn cut_indexes(
    cx: &LogContext,
    shared: &Shared,
    names: &BTreeMap<String, u64>,
    kept: &Kept,
    walked: &Walked,
) -> Result<(), Error> {
    let lengths = [
        ("index", walked.offsets_in_file * 8),
        ("timeindex", walked.times_in_file * 12),
    ];
    for (suffix, length) in lengths {
        let name = file_name(kept.base_offset, suffix);
        if names.get(&name).is_some_and(|&found| found > length as u64) {
            let path = shared.path.join(name);
            let cut = cx.files.shorten(&path, length as u64);
            cut.map_err(|e| Error::io("truncate", &path, e))?;
        }
    }
    Ok(())
}
