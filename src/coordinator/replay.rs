//! Reads a coordinator's log from its start to its end and hands out the records. Not for the
//! runtime's threads: the log may be large and on a slow disk.

use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

use super::machine::LogRecord;
use crate::error::ResponseError;
use crate::log::{Chunks, Records};
use crate::partition::{Isolation, Partition, ReadAt};
use crate::protocol::batch::{BatchHeader, RecordView, crc_matches, for_each_record};
use crate::types::Offset;

/// One read (Kafka: offsets.load.buffer.size is 5 MiB; a batch that is larger comes whole).
const READ_BYTES: usize = 1 << 20;

pub enum ReplayError {
    /// The partition cannot be read now.
    Partition(ResponseError),
    /// What was read is not what was written.
    Damaged(String),
}

pub struct Replayed {
    pub next_offset: Offset,
    pub records: u64,
}

/// All records from the log start to the log end. Those of an unknown kind are skipped.
pub fn replay<R: LogRecord>(
    partition: &Partition,
    mut apply: impl FnMut(R),
) -> Result<Replayed, ReplayError> {
    let progress = partition.progress().map_err(ReplayError::Partition)?;
    let (mut offset, end) = (progress.log_start_offset, progress.log_end_offset);
    let mut records = 0;
    let mut buffer = Vec::new();
    while offset < end {
        let read = partition.read(&ReadAt {
            offset,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            isolation: Isolation::ReadUncommitted,
            max_bytes: READ_BYTES,
            at_least_one: true,
        });
        let read = match read {
            // Compaction or DeleteRecords moved the start while we were on our way.
            Err(ResponseError::OffsetOutOfRange) => {
                let start = partition.progress().map_err(ReplayError::Partition)?;
                if start.log_start_offset <= offset {
                    return Err(ReplayError::Partition(ResponseError::OffsetOutOfRange));
                }
                offset = start.log_start_offset;
                continue;
            }
            read => read.map_err(ReplayError::Partition)?.records,
        };
        if read.is_empty() {
            // The high watermark stands below the log end: what lies between is not committed yet.
            return Err(ReplayError::Partition(ResponseError::OffsetNotAvailable));
        }
        copy(&read, &mut buffer).map_err(|error| ReplayError::Damaged(error.to_string()))?;
        for_each_batch(&buffer, |batch| {
            records += apply_batch(batch, offset, &mut apply)?;
            Ok(())
        })?;
        offset = read.next_offset;
    }
    Ok(Replayed {
        next_offset: end,
        records,
    })
}

fn copy(records: &Records, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    buffer.clear();
    match &records.chunks {
        Chunks::Empty => {}
        Chunks::Memory(chunks) => chunks.iter().for_each(|c| buffer.extend_from_slice(c)),
        Chunks::File {
            file,
            position,
            length,
        } => {
            buffer.resize(*length, 0);
            file.read_exact_at(buffer, *position)?;
        }
    }
    Ok(())
}

fn for_each_batch(
    mut bytes: &[u8],
    mut f: impl FnMut(&[u8]) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    while !bytes.is_empty() {
        let whole = BatchHeader::read(bytes).filter(BatchHeader::is_plausible);
        let batch = whole.and_then(|header| bytes.get(..header.total_size()));
        let batch = batch.ok_or_else(|| ReplayError::Damaged("a batch is cut short".into()))?;
        f(batch)?;
        bytes = &bytes[batch.len()..];
    }
    Ok(())
}

/// Returns how many records the batch held from `from` on.
fn apply_batch<R: LogRecord>(
    batch: &[u8],
    from: Offset,
    apply: &mut impl FnMut(R),
) -> Result<u64, ReplayError> {
    if !crc_matches(batch) {
        return Err(ReplayError::Damaged(
            "the checksum of a batch is wrong".into(),
        ));
    }
    if BatchHeader::read(batch).is_some_and(|header| header.is_control()) {
        return Ok(0);
    }
    let (mut count, mut damage) = (0, None);
    let walked = for_each_record(batch, |record| {
        if record.offset < from {
            return ControlFlow::Continue(());
        }
        count += 1;
        match decode(&record) {
            Ok(Some(record)) => apply(record),
            Ok(None) => {}
            Err(what) => {
                damage = Some(format!("the record at offset {}: {what}", record.offset));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    walked.map_err(|error| ReplayError::Damaged(error.to_string()))?;
    match damage {
        Some(what) => Err(ReplayError::Damaged(what)),
        None => Ok(count),
    }
}

fn decode<R: LogRecord>(record: &RecordView<'_>) -> Result<Option<R>, String> {
    match record.key {
        Some(key) => R::decode(key, record.value),
        // Nobody writes one; there is nothing it could be about.
        None => Ok(None),
    }
}
