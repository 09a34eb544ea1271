//! What the scenarios of the log share: a log directory in memory where there is one, batches,
//! and damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::log::directory::LogDirectory;
use crate::log::meta_properties::Identity;
use crate::log::*;
use crate::protocol::batch::{BatchHeader, BatchOptions, Record, ValidBatch};
use crate::types::BrokerId;

/// A broker's log directory; restarting it forgets everything but the files.
pub struct Node {
    dir: TempDir,
    pub cx: Arc<LogContext>,
    options: LogOptions,
    pub config: LogConfig,
    pub topic_id: TopicId,
}

pub const TOPIC: &str = "topic-0";

impl Node {
    pub fn new() -> Node {
        Node::with(LogOptions::default())
    }

    pub fn with(options: LogOptions) -> Node {
        let dir = scratch();
        let cx = context(dir.path(), options);
        Node {
            dir,
            cx,
            options,
            config: config(),
            topic_id: TopicId::parse("OvFrNz2yTnO_6uTajUhfMQ").expect("an id"),
        }
    }

    pub fn open_at(&self, at: OpenAt) -> Result<(Log, RecoveryReport), Error> {
        Log::create_or_open(&self.cx, TOPIC, self.topic_id, self.config.clone(), at)
    }

    /// Another partition of the directory.
    pub fn open_partition(&self, number: i32) -> Log {
        let name = format!("other-{number}");
        let opened =
            Log::create_or_open(&self.cx, &name, self.topic_id, self.config.clone(), clean());
        opened.expect("open").0
    }

    /// A log that was never there, or one after a clean stop.
    pub fn open(&self) -> Log {
        self.open_at(clean()).expect("open").0
    }

    /// The process is gone without a word; its files stay.
    pub fn kill(&mut self, log: Log) {
        drop(log);
        self.restart();
    }

    pub fn stop(&mut self, mut log: Log) {
        log.close().expect("close");
        drop(log);
        self.restart();
    }

    pub fn restart(&mut self) {
        // The lock on the directory goes with the last use of the old context.
        let nowhere = scratch();
        self.cx = context(nowhere.path(), self.options);
        self.cx = context(self.dir.path(), self.options);
    }

    /// The log directory, for another process to use while this one holds none of it.
    pub fn lend(&mut self) -> PathBuf {
        self.cx = context(scratch().path(), self.options);
        self.dir.path().to_path_buf()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(TOPIC).join(name)
    }

    /// The partition's files and their lengths.
    pub fn files(&self) -> Vec<(String, u64)> {
        let listed = self.cx.files.list(&self.dir.path().join(TOPIC));
        let listed = listed.expect("list").unwrap_or_default();
        listed.into_iter().collect()
    }

    pub fn names(&self) -> String {
        let names: Vec<_> = self.files().into_iter().map(|(name, _)| name).collect();
        names.join(" ")
    }

    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(name);
        let mut bytes = std::fs::read(&path).expect("read");
        change(&mut bytes);
        std::fs::write(&path, bytes).expect("write");
    }
}

/// Syncs cost nothing in memory; what they are for needs a power cut, which no test has.
fn scratch() -> TempDir {
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    dir.expect("a scratch directory")
}

pub fn context(dir: &Path, options: LogOptions) -> Arc<LogContext> {
    let identity = Identity {
        cluster_id: None,
        node_id: BrokerId(1),
    };
    let directory = LogDirectory::open(dir, &identity).expect("log directory");
    Arc::new(LogContext::new(
        Arc::new(directory),
        Files::new(3_000),
        HotTails::new(),
        options,
    ))
}

pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: 7 * 24 * 3_600_000,
        segment_jitter_ms: 0,
        index_interval_bytes: 4096,
        segment_index_bytes: 10 << 20,
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        timestamp_type: TimestampType::CreateTime,
        file_delete_delay_ms: 60_000,
        preallocate: false,
        retention: Retention {
            delete: true,
            ms: -1,
            bytes: -1,
        },
    }
}

pub fn clean() -> OpenAt {
    OpenAt {
        clean: true,
        recovery_point: Some(0),
        log_start_offset: None,
        high_watermark: None,
        defer_sync: false,
        now: NOW,
    }
}

pub fn unclean(recovery_point: Offset) -> OpenAt {
    OpenAt {
        clean: false,
        recovery_point: Some(recovery_point),
        ..clean()
    }
}

/// Wall time at which scenarios happen, ms.
pub const NOW: Millis = 1_700_000_000_000;

/// A batch of `count` records with timestamps from `timestamp` on and values of `bytes` bytes.
pub fn batch_at(timestamp: Millis, count: usize, bytes: usize) -> ValidBatch {
    build(timestamp, count, bytes, BatchOptions::default())
}

/// One record of 100 bytes.
pub fn batch() -> ValidBatch {
    batch_at(NOW, 1, 100)
}

/// One record from an idempotent producer.
pub fn from_producer(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> ValidBatch {
    let options = BatchOptions {
        producer_id,
        producer_epoch,
        base_sequence,
        ..BatchOptions::default()
    };
    build(NOW, 1, 100, options)
}

fn build(timestamp: Millis, count: usize, bytes: usize, options: BatchOptions) -> ValidBatch {
    let values: Vec<Vec<u8>> = (0..count)
        .map(|i| vec![b'a' + (i % 26) as u8; bytes])
        .collect();
    let record = |(i, value): (usize, &'_ Vec<u8>)| Record {
        timestamp: timestamp + i as i64,
        value: Some(value.clone().leak()),
        ..Record::default()
    };
    let records: Vec<Record> = values.iter().enumerate().map(record).collect();
    ValidBatch::build(&records, &options)
}

/// The bytes of what was read.
pub fn bytes_of(records: &Records) -> Vec<u8> {
    match &records.chunks {
        Chunks::Empty => Vec::new(),
        Chunks::Memory(chunks) => chunks.concat(),
        Chunks::File {
            file,
            position,
            length,
        } => {
            let mut bytes = vec![0; *length];
            std::os::unix::fs::FileExt::read_exact_at(&**file, &mut bytes, *position)
                .expect("the region is in the file");
            bytes
        }
    }
}

/// Base and last offset of each batch, e.g. `0-2 3-3`.
pub fn offsets_of(records: &Records) -> String {
    let bytes = bytes_of(records);
    let mut rest = &bytes[..];
    let mut offsets = Vec::new();
    while let Some(header) = BatchHeader::read(rest) {
        offsets.push(format!("{}-{}", header.base_offset, header.last_offset()));
        rest = rest.get(header.total_size()..).expect("whole batches only");
    }
    assert!(
        rest.is_empty(),
        "{} bytes behind the last batch",
        rest.len()
    );
    offsets.join(" ")
}

impl Log {
    /// Reads everything and returns its bytes.
    pub fn contents(&self) -> Vec<u8> {
        let mut at = self.log_start_offset();
        let mut bytes = Vec::new();
        while at < self.log_end_offset() {
            let records = self.read(at, Offset::MAX, 1 << 30, true).expect("read");
            assert!(!records.is_empty(), "nothing at {at}");
            bytes.extend(bytes_of(&records));
            at = records.next_offset;
        }
        bytes
    }

    /// As after a restart: everything is read from the files.
    pub fn forget_tail(&self) {
        self.hot_tail.clear();
    }
}
