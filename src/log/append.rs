//! The write path: one batch, one critical section, one `pwritev`, no sync; and rolling to a
//! new segment.
//!
//! The order is what keeps a crash harmless: producer check, offsets, write, and only then
//! memory (indexes, producers, epochs, tail, log end). A failed write leaves nothing behind.
//! (Kafka: UnifiedLog.append, LocalLog.roll, LogSegment.shouldRoll.)

use std::sync::Arc;

use crate::faults::{crash_point, is_planted};
use crate::log::flush::FlushNeed;
use crate::log::index_rule::IndexRule;
use crate::log::producers::Verdict;
use crate::log::segment::Segment;
use crate::log::{Active, EPOCHS_FILE, Error, Log, LogConfig, Sealed, partition_dirs};
use crate::protocol::batch::{BatchHeader, TimestampType, ValidBatch};
use crate::types::{LeaderEpoch, Millis, Offset};

/// Segments up to this size grow on their own: most partitions of a cluster are small.
const PREALLOCATE_FROM: u64 = 1 << 20;
const PREALLOCATE_STEP: u64 = 16 << 20;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub next_offset: Offset,
    /// The stamp on LogAppendTime topics, else −1; the original's max timestamp for a duplicate
    /// (R61).
    pub log_append_time: Millis,
    pub max_timestamp: Millis,
    /// Nothing was appended: these are the offsets of the first time (R67).
    pub duplicate: bool,
    pub log_start_offset: Offset,
    /// Bytes appended; 0 for a duplicate.
    pub size: u64,
    /// What the caller must tell the flusher, and whether the acknowledgement waits for it.
    pub flush: FlushNeed,
}

impl Log {
    /// Appends one batch as leader: producer check, offset assignment and write are one step
    /// (R68). `now` is wall time in ms, as in every call on a log.
    ///
    /// Errors: [`Error::Sequence`] (R69), [`Error::DiskFull`], [`Error::Io`],
    /// [`Error::Offline`], [`Error::Corrupt`], [`Error::Closed`]; after each of them the log is
    /// as it was.
    pub fn append(
        &mut self,
        mut batch: ValidBatch,
        leader_epoch: LeaderEpoch,
        now: Millis,
    ) -> Result<Appended, Error> {
        self.check_healthy()?;
        // A marker has no sequence; its coordinator has judged its epoch.
        if batch.header().producer_id >= 0 && !batch.header().is_control() {
            self.refill_producers(now)?;
            if let Verdict::Duplicate {
                base_offset,
                next_offset,
                max_timestamp,
            } = self.producers.check(batch.header())?
            {
                return Ok(self.duplicate(base_offset, next_offset, max_timestamp));
            }
        }
        let latest = self.epochs.latest();
        assert!(
            latest <= Some(leader_epoch),
            "epoch {leader_epoch} appends to {} after epoch {latest:?}",
            self.shared.name
        );
        batch.assign(self.log_end_offset, leader_epoch);
        let log_append_time = match self.config.timestamp_type {
            TimestampType::CreateTime => -1,
            TimestampType::LogAppendTime => {
                batch.stamp_log_append_time(now);
                now
            }
        };
        let flush = self.write(&batch, now)?;
        Ok(Appended {
            base_offset: batch.header().base_offset,
            next_offset: self.log_end_offset,
            log_append_time,
            max_timestamp: batch.header().max_timestamp,
            duplicate: false,
            log_start_offset: self.log_start_offset,
            size: batch.size() as u64,
            flush,
        })
    }

    /// A duplicate of what is not synced yet must wait for the sync as the first copy does.
    fn duplicate(
        &self,
        base_offset: Offset,
        next_offset: Offset,
        max_timestamp: Millis,
    ) -> Appended {
        let unsynced = self.synced_offset() < next_offset;
        Appended {
            base_offset,
            next_offset,
            log_append_time: max_timestamp,
            max_timestamp,
            duplicate: true,
            log_start_offset: self.log_start_offset,
            size: 0,
            flush: FlushNeed {
                before_ack: unsynced
                    && (self.cx.options.durable || self.config.flush_messages <= 1),
                checkpoint_within_ms: None,
            },
        }
    }

    /// Writes a batch whose offsets are assigned, then updates everything in memory.
    fn write(&mut self, batch: &ValidBatch, now: Millis) -> Result<FlushNeed, Error> {
        let header = batch.header();
        self.make_room(header, now)?;
        let Some(active) = &mut self.active else {
            unreachable!("make_room leaves an active segment");
        };
        let position = active.size;
        let segment = active.segment.clone();
        let extend = self.cx.options.durable || self.config.flush_messages == 1;
        active.preallocate(&self.cx.files, batch.size() as u64, extend)?;
        let written = if is_planted("append.unwritten") && header.base_offset % 50 == 49 {
            Ok(())
        } else {
            segment
                .log()
                .write_at([batch.head(), batch.body()], position)
        };
        if let Err(error) = written {
            active.allocated = position;
            return Err(self.undo(&segment, position, error));
        }
        crash_point("append.written");
        active.size += batch.size() as u64;
        active.first_timestamp.get_or_insert(header.max_timestamp);
        if let Some(entries) = active.rule.batch(header, position) {
            segment.add_entries(entries);
        }
        if self
            .epochs
            .assign(header.partition_leader_epoch, header.base_offset)
        {
            self.durability.epochs_changed();
        }
        if header.producer_id >= 0 {
            self.producers.appended(header, now);
            self.known_producers.bound(&mut self.producers);
        }
        self.hot_tail.push(batch, segment.base_offset(), position);
        self.log_end_offset = header.next_offset();
        let records = i64::from(header.last_offset_delta) + 1;
        let size = batch.size() as u64;
        let was_clean = self.durability.appended(size, records, now);
        Ok(self.flush_need(was_clean))
    }

    /// Nothing of a refused write may stay: cuts the file back to its last whole batch. If that
    /// fails too, nobody knows what the file ends with.
    fn undo(&self, segment: &Arc<Segment>, position: u64, error: Error) -> Error {
        if let Err(again) = segment.log().truncate(position) {
            self.cx.directory.mark_offline(&again);
        }
        self.cx.write_failed(error)
    }

    /// An active segment with room for the batch.
    fn make_room(&mut self, header: &BatchHeader, now: Millis) -> Result<(), Error> {
        match &self.active {
            None if self.sealed.is_empty() => self.create_directory()?,
            None => {}
            Some(active) if !active.must_roll(header, &self.config, now) => return Ok(()),
            Some(_) => self.seal_active()?,
        }
        crash_point("roll.sealed");
        let created = self.create_active(now);
        crash_point("roll.created");
        created.map_err(|e| self.cx.write_failed(e))
    }

    /// The partition's first append: a directory with the topic's id. Durable with the first
    /// flush.
    fn create_directory(&mut self) -> Result<(), Error> {
        let path = &self.shared.path;
        let created = match self.cx.files.create_directory(path) {
            // A first append that failed half way has left it.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        let written = created.and_then(|()| {
            partition_dirs::write_topic_id(path, self.topic_id)?;
            let text = self.epochs.to_text();
            let epochs = path.join(EPOCHS_FILE);
            self.cx.files.write_file(&epochs, text.as_bytes(), false)
        });
        written.map_err(|e| self.cx.write_failed(Error::io("create", path, e)))?;
        self.durability.directory_created();
        Ok(())
    }

    pub(super) fn create_active(&mut self, now: Millis) -> Result<(), Error> {
        let base_offset = self.log_end_offset;
        let segment = Segment::create(&self.cx.files, &self.shared.path, base_offset)?;
        let allocated = if self.config.preallocate {
            u64::from(self.config.segment_bytes)
        } else {
            0
        };
        if allocated > 0 {
            // Without support or room the segment grows as it is written.
            let file = segment.log().get()?;
            let _ = self.cx.files.allocate(&file, 0, allocated, false);
        }
        self.active = Some(Active {
            max_age_ms: max_age_ms(&self.config, &self.shared.name, &segment),
            segment: Arc::new(segment),
            size: 0,
            rule: IndexRule::new(base_offset, self.config.index_interval_bytes),
            first_timestamp: None,
            created_at: now,
            allocated,
        });
        self.durability.names_changed();
        Ok(())
    }

    /// Ends the active segment: trims it, writes its indexes and a producer snapshot at the
    /// offset the next one begins with. The syncs are left to the next flush.
    pub(super) fn seal_active(&mut self) -> Result<(), Error> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let closing = active.rule.close();
        let largest = active.rule.largest();
        let sealed = Sealed {
            segment: active.segment.clone(),
            size: active.size,
        };
        let trimmed = if active.allocated > active.size {
            sealed.segment.log().truncate(active.size)
        } else {
            Ok(())
        };
        crash_point("roll.trimmed");
        let finished = trimmed.and_then(|()| sealed.segment.finish_indexes(closing, false));
        let snapshot = finished.and_then(|()| self.write_snapshot(self.log_end_offset, false));
        snapshot.map_err(|e| self.cx.write_failed(e))?;
        sealed.segment.seal(sealed.size);
        sealed.segment.note_largest(largest);
        self.durability.sealed(sealed.clone());
        Arc::make_mut(&mut self.sealed).push(sealed);
        self.active = None;
        Ok(())
    }
}

impl Active {
    /// Kafka's LogSegment.shouldRoll for the batch with `header`.
    fn must_roll(&self, header: &BatchHeader, config: &LogConfig, now: Millis) -> bool {
        if self.size == 0 {
            return false;
        }
        let size = header.total_size() as u64;
        let age = match self.first_timestamp {
            Some(first) if first >= 0 => header.max_timestamp.saturating_sub(first),
            _ => now.saturating_sub(self.created_at),
        };
        let relative_end = header.last_offset() - self.segment.base_offset();
        self.size + size > u64::from(config.segment_bytes)
            || age > self.max_age_ms
            || relative_end > i64::from(i32::MAX)
            || self.segment.is_index_full(config.segment_index_bytes)
    }

    /// Reserves the next step of blocks ahead of a write of `bytes`. `extend` makes the file
    /// grow with it, so that later data syncs need not write the size.
    fn preallocate(
        &mut self,
        files: &crate::log::Files,
        bytes: u64,
        extend: bool,
    ) -> Result<(), Error> {
        let end = self.size + bytes;
        if end < PREALLOCATE_FROM || end <= self.allocated {
            return Ok(());
        }
        let from = self.allocated.max(self.size);
        let length = (end - from).next_multiple_of(PREALLOCATE_STEP);
        let file = self.segment.log().get()?;
        // A file system without fallocate, or without room for the step, may still take the
        // write itself.
        let _ = files.allocate(&file, from, length, extend);
        self.allocated = from + length;
        Ok(())
    }
}

/// `segment.ms` minus a part of `segment.jitter.ms` that is fixed for the segment, so that the
/// segments of many partitions do not roll at once.
pub(super) fn max_age_ms(config: &LogConfig, name: &str, segment: &Segment) -> i64 {
    let jitter = config.segment_jitter_ms.min(config.segment_ms);
    if jitter <= 0 {
        return config.segment_ms;
    }
    // FNV-1a over name and base offset: any even spread does.
    let base = segment.base_offset().to_be_bytes();
    let hash = name
        .bytes()
        .chain(base)
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, byte| {
            (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    config.segment_ms - (hash % jitter as u64) as i64
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::log::files::Class;
    use crate::log::files::tests::Fault;
    use crate::log::testing::*;
    use crate::log::{LogOptions, OpenAt};

    #[test]
    fn a_partition_has_no_directory_until_its_first_append() {
        let node = Node::new();
        let mut log = node.open();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 0));
        assert_eq!(node.names(), "");
        let appended = log.append(batch_at(NOW, 3, 100), 7, NOW).unwrap();
        assert_eq!((appended.base_offset, appended.next_offset), (0, 3));
        assert_eq!(
            (appended.log_append_time, appended.max_timestamp),
            (-1, NOW + 2)
        );
        assert_eq!(
            node.names(),
            "00000000000000000000.log leader-epoch-checkpoint partition.metadata"
        );
        assert_eq!(log.latest_epoch(), Some(7));
    }

    #[test]
    fn an_append_is_one_write_and_no_sync() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch(), 0, NOW).unwrap();
        let before = node.cx.files.calls();
        log.append(batch(), 0, NOW).unwrap();
        let after = node.cx.files.calls();
        let expected = crate::log::files::FileCalls {
            writes: before.writes + 1,
            ..before
        };
        assert_eq!(after, expected);
    }

    #[test]
    fn r220_a_batch_is_stored_as_sent_but_for_offset_and_epoch() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch_at(NOW, 5, 10), 0, NOW).unwrap();
        let sent = batch_at(NOW, 2, 1000);
        log.append(sent.clone(), 3, NOW).unwrap();
        let stored = std::fs::read(node.path("00000000000000000000.log")).unwrap();
        let stored = &stored[stored.len() - sent.size()..];
        let mut expected = sent;
        expected.assign(5, 3);
        assert_eq!(stored, &expected.to_bytes()[..]);
        assert!(crate::protocol::batch::crc_matches(stored));
    }

    #[test]
    fn r61_log_append_time_is_stamped_and_answered() {
        let mut node = Node::new();
        node.config.timestamp_type = TimestampType::LogAppendTime;
        let mut log = node.open();
        let appended = log.append(batch_at(5, 3, 10), 0, NOW).unwrap();
        assert_eq!(
            (appended.log_append_time, appended.max_timestamp),
            (NOW, NOW)
        );
        assert!(crate::protocol::batch::crc_matches(&log.contents()));
    }

    #[test]
    fn r67_a_retry_of_any_of_the_last_five_batches_gets_the_first_answer() {
        let node = Node::new();
        let mut log = node.open();
        for sequence in 0..6 {
            log.append(from_producer(9, 0, sequence), 0, NOW).unwrap();
        }
        let size = log.size();
        for sequence in 1..6 {
            let again = log.append(from_producer(9, 0, sequence), 0, NOW).unwrap();
            assert!(again.duplicate);
            assert_eq!(again.base_offset, i64::from(sequence));
            assert_eq!(again.next_offset, i64::from(sequence) + 1);
            assert_eq!(again.log_append_time, NOW, "the original's max timestamp");
        }
        assert!(matches!(
            log.append(from_producer(9, 0, 0), 0, NOW),
            Err(Error::Sequence(_))
        ));
        assert_eq!((log.log_end_offset(), log.size()), (6, size));
    }

    #[test]
    fn a_full_segment_is_sealed_with_indexes_and_a_snapshot_and_the_next_begins() {
        let mut node = Node::new();
        node.config.segment_bytes = 50_000;
        let mut log = node.open();
        for sequence in 0..9 {
            log.append(batch_at(NOW + sequence, 1, 10_000), 0, NOW)
                .unwrap();
        }
        log.append(from_producer(1, 0, 0), 0, NOW).unwrap();
        assert_eq!(
            node.names(),
            "00000000000000000000.index 00000000000000000000.log \
             00000000000000000000.timeindex 00000000000000000004.index \
             00000000000000000004.log 00000000000000000004.timeindex \
             00000000000000000008.log leader-epoch-checkpoint partition.metadata"
        );
        for _ in 0..4 {
            log.append(batch_at(NOW, 1, 10_000), 0, NOW).unwrap();
        }
        assert!(node.names().contains("00000000000000000013.snapshot"));
        log.forget_tail();
        assert_eq!(log.contents().len() as u64, log.size());
    }

    #[test]
    fn segment_ms_counts_from_the_first_record_by_record_time() {
        let mut node = Node::new();
        node.config.segment_ms = 1000;
        let mut log = node.open();
        log.append(batch_at(NOW, 1, 10), 0, NOW).unwrap();
        log.append(batch_at(NOW + 1000, 1, 10), 0, NOW + 900_000)
            .unwrap();
        assert_eq!(log.sealed.len(), 0, "the wall clock does not matter");
        log.append(batch_at(NOW + 1001, 1, 10), 0, NOW).unwrap();
        assert_eq!(log.sealed.len(), 1);
    }

    #[test]
    fn jitter_spreads_rolls_and_stays_the_same_for_a_segment() {
        let mut node = Node::new();
        node.config.segment_jitter_ms = 600_000;
        let mut log = node.open();
        log.append(batch(), 0, NOW).unwrap();
        let age = log.active.as_ref().unwrap().max_age_ms;
        let full = node.config.segment_ms;
        assert!((full - 600_000..=full).contains(&age), "{age}");
        log.set_config(node.config.clone());
        assert_eq!(log.active.as_ref().unwrap().max_age_ms, age);
    }

    #[test]
    fn d12_a_write_that_meets_a_full_disk_leaves_nothing_and_the_next_one_succeeds() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch(), 0, NOW).unwrap();
        let size = log.size();
        node.cx.files.inject(Fault {
            class: Class::Write,
            skip: 0,
            times: 1,
            errno: Errno::NOSPC,
        });
        assert!(matches!(
            log.append(from_producer(4, 0, 0), 0, NOW),
            Err(Error::DiskFull { .. })
        ));
        assert!(node.cx.directory.is_full() && !node.cx.directory.is_offline());
        assert_eq!((log.log_end_offset(), log.size()), (1, size));
        let again = log.append(from_producer(4, 0, 0), 0, NOW).unwrap();
        assert!(!again.duplicate, "what was refused was not remembered");
        assert_eq!(again.base_offset, 1);
        log.forget_tail();
        assert_eq!(log.contents().len() as u64, log.size());
    }

    #[test]
    fn d12_a_broken_disk_takes_the_directory_offline_and_nothing_is_written_after() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch(), 0, NOW).unwrap();
        node.cx.files.inject(Fault {
            class: Class::Write,
            skip: 0,
            times: 1,
            errno: Errno::IO,
        });
        assert!(matches!(log.append(batch(), 0, NOW), Err(Error::Io { .. })));
        assert!(node.cx.directory.is_offline());
        assert!(matches!(
            log.append(batch(), 0, NOW),
            Err(Error::Offline { .. })
        ));
        assert_eq!(
            bytes_of(&log.read(0, 1, 1000, true).unwrap()).len() as u64,
            log.size()
        );
    }

    #[test]
    fn a_failed_roll_changes_nothing_and_is_tried_again() {
        let mut node = Node::new();
        node.config.segment_bytes = 5_000;
        let mut log = node.open();
        log.append(batch_at(NOW, 1, 4_000), 0, NOW).unwrap();
        node.cx.files.inject(Fault {
            class: Class::Create,
            skip: 2,
            times: 1,
            errno: Errno::NOSPC,
        });
        assert!(matches!(
            log.append(batch_at(NOW, 1, 4_000), 0, NOW),
            Err(Error::DiskFull { .. })
        ));
        assert_eq!(log.log_end_offset(), 1);
        log.append(batch_at(NOW, 1, 4_000), 0, NOW).unwrap();
        assert_eq!(log.sealed.len(), 1);
        log.forget_tail();
        assert_eq!(offsets_of(&log.read(0, 2, 100_000, true).unwrap()), "0-0");
        assert_eq!(offsets_of(&log.read(1, 2, 100_000, true).unwrap()), "1-1");
    }

    #[test]
    fn large_segments_grow_by_reserved_blocks_that_a_clean_stop_gives_back() {
        let mut node = Node::new();
        let mut log = node.open();
        for _ in 0..12 {
            log.append(batch_at(NOW, 1, 100_000), 0, NOW).unwrap();
        }
        let size = log.size();
        let meta = |node: &Node| std::fs::metadata(node.path("00000000000000000000.log")).unwrap();
        let blocks = |node: &Node| std::os::unix::fs::MetadataExt::blocks(&meta(node)) * 512;
        assert_eq!(meta(&node).len(), size, "the default mode keeps the size");
        assert!(blocks(&node) >= 16 << 20);
        assert_eq!(node.cx.files.calls().allocates, 1);
        node.stop(log);
        assert_eq!(meta(&node).len(), size);
        assert!(blocks(&node) < 2 << 20);
    }

    #[test]
    fn durable_mode_extends_the_file_and_reads_end_at_the_tracked_size() {
        let mut node = Node::with(LogOptions {
            durable: true,
            ..LogOptions::default()
        });
        let mut log = node.open();
        for _ in 0..12 {
            let appended = log.append(batch_at(NOW, 1, 100_000), 0, NOW).unwrap();
            assert!(appended.flush.before_ack);
        }
        let length = std::fs::metadata(node.path("00000000000000000000.log"))
            .unwrap()
            .len();
        assert!(length >= 16 << 20);
        log.forget_tail();
        assert_eq!(log.contents().len() as u64, log.size());
        let size = log.size();
        node.kill(log);
        let at = OpenAt {
            recovery_point: Some(0),
            ..unclean(0)
        };
        let (log, report) = node.open_at(at).unwrap();
        assert_eq!((log.size(), log.log_end_offset()), (size, 12));
        assert!(
            report.torn.is_some(),
            "trailing zeros are a normal torn tail"
        );
    }
}
