//! The four offset checkpoints of a log directory, in Kafka's format, with write-ahead checksums
//! (Kafka: `OffsetCheckpointFile`, `CheckpointFile`).
//!
//! Kafka's readers refuse any extra line in a checkpoint, so the checksum cannot live inside. It
//! stands in `ottla.sums`, which is on the device with {current, next} of every file before a
//! file is replaced. A checkpoint that matches neither is unreadable, never half believed.
//!
//! Does not know what the offsets mean, nor when a round is due. All of it is derived: an offset
//! that is not known here is found again by reading the log.

mod sums;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::small_files::{
    Malformed, read_lines, read_small_file, remove, replace_file, sync_directory, write_atomically,
    write_lines,
};
use crate::faults::crash_point;
use crate::protocol::batch::crc32c;
use crate::types::{Offset, TopicPartition};
use sums::{Sum, Sums};

/// The four offset checkpoints of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFile {
    /// Everything below is on the device.
    RecoveryPoint,
    /// The first offset that clients see: moved by DeleteRecords and retention.
    LogStart,
    /// The high watermark.
    HighWatermark,
    /// Up to where compaction has come.
    Cleaner,
}

impl CheckpointFile {
    pub const ALL: [CheckpointFile; 4] = [
        CheckpointFile::RecoveryPoint,
        CheckpointFile::LogStart,
        CheckpointFile::HighWatermark,
        CheckpointFile::Cleaner,
    ];

    /// Kafka's name of the file.
    pub fn name(self) -> &'static str {
        match self {
            CheckpointFile::RecoveryPoint => "recovery-point-offset-checkpoint",
            CheckpointFile::LogStart => "log-start-offset-checkpoint",
            CheckpointFile::HighWatermark => "replication-offset-checkpoint",
            CheckpointFile::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

/// The name of the write-ahead checksums.
pub const SUMS_FILE: &str = "ottla.sums";

/// 256 MiB, some 5 million partitions: larger is not a checkpoint.
const MAX_FILE_BYTES: usize = 256 << 20;

/// The offsets of every partition in one log directory, in RAM and on disk. Partitions that were
/// not opened since the start keep their offsets through every round.
#[derive(Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    files: [OffsetFile; 4],
}

#[derive(Debug, Default)]
struct OffsetFile {
    offsets: BTreeMap<TopicPartition, Offset>,
    /// RAM is ahead of the disk.
    changed: bool,
    /// CRC-32C of what the disk holds; `None`: nothing, or nothing to be believed.
    on_disk: Option<u32>,
    unreadable: bool,
}

impl Checkpoints {
    /// Reads the checkpoints of `dir`. `trust_sums` is false after a clean stop of Kafka, which
    /// replaces checkpoints without our checksums: they are removed and the files are judged by
    /// their syntax. A file that cannot be believed knows no offset and costs one warning; an
    /// error is the disk's.
    pub fn read(dir: &Path, trust_sums: bool) -> io::Result<Checkpoints> {
        let sums = if trust_sums {
            Sums::read(dir)?
        } else {
            remove(&dir.join(SUMS_FILE))?;
            None
        };
        let mut files: [OffsetFile; 4] = Default::default();
        for (file, which) in files.iter_mut().zip(CheckpointFile::ALL) {
            let bytes = read_small_file(&dir.join(which.name()), MAX_FILE_BYTES)?;
            let expected = sums.as_ref().map(|sums| sums.0[which as usize]);
            if bytes.is_none() && expected.is_none() {
                // A new directory, or somebody removed everything: no offset is known, as with
                // Kafka.
                continue;
            }
            match OffsetFile::judge(bytes.as_deref(), expected) {
                Ok(known) => *file = known,
                Err(cause) => {
                    warn!(file = which.name(), dir = %dir.display(), %cause,
                        "checkpoint is unreadable; its offsets are found again from the logs");
                    file.unreadable = true;
                    file.changed = true;
                }
            }
        }
        Ok(Checkpoints {
            dir: dir.to_owned(),
            files,
        })
    }

    /// The checkpoints of a directory that cannot be read.
    pub fn unknown(dir: &Path) -> Checkpoints {
        let mut files: [OffsetFile; 4] = Default::default();
        files.iter_mut().for_each(|file| file.unreadable = true);
        Checkpoints {
            dir: dir.to_owned(),
            files,
        }
    }

    /// The offset of a partition. `None`: the file is unreadable, or the partition is younger than
    /// the last round; [`Checkpoints::is_readable`] tells which.
    pub fn offset(&self, file: CheckpointFile, partition: &TopicPartition) -> Option<Offset> {
        self.files[file as usize].offsets.get(partition).copied()
    }

    /// False if the file was found damaged and has not been written since.
    pub fn is_readable(&self, file: CheckpointFile) -> bool {
        !self.files[file as usize].unreadable
    }

    /// All partitions that the file names: one without a directory has lost its data.
    pub fn partitions(&self, file: CheckpointFile) -> impl Iterator<Item = &TopicPartition> {
        self.files[file as usize].offsets.keys()
    }

    /// Sets an offset in RAM for the next round.
    pub fn set(&mut self, file: CheckpointFile, partition: &TopicPartition, offset: Offset) {
        assert!(offset >= 0, "{} of {partition} is {offset}", file.name());
        let file = &mut self.files[file as usize];
        match file.offsets.get_mut(partition) {
            Some(known) if *known == offset => return,
            Some(known) => *known = offset,
            None => {
                file.offsets.insert(partition.clone(), offset);
            }
        }
        file.changed = true;
    }

    /// Drops a partition that was deleted or moved away from all four files.
    pub fn forget(&mut self, partition: &TopicPartition) {
        for file in &mut self.files {
            file.changed |= file.offsets.remove(partition).is_some();
        }
    }

    /// Drops every partition that `is_here` does not know.
    pub fn keep(&mut self, is_here: impl Fn(&TopicPartition) -> bool) {
        for file in &mut self.files {
            let before = file.offsets.len();
            file.offsets.retain(|partition, _| is_here(partition));
            file.changed |= file.offsets.len() < before;
        }
    }

    /// True if a round would write something.
    pub fn is_changed(&self) -> bool {
        self.files.iter().any(|file| file.changed)
    }

    /// A checkpoint round: makes what changed durable. For an owner who holds no lock meanwhile;
    /// others write the [`Round`] themselves.
    pub fn write(&mut self) -> io::Result<()> {
        let Some(mut round) = self.begin_round() else {
            return Ok(());
        };
        let written = round.write();
        self.end_round(round);
        written
    }

    /// What the next round has to write; `None` if nothing changed. One round at a time.
    pub fn begin_round(&mut self) -> Option<Round> {
        if !self.is_changed() {
            return None;
        }
        let mut round = Round {
            dir: self.dir.clone(),
            sums: Sums::default(),
            texts: Default::default(),
        };
        for (i, file) in self.files.iter_mut().enumerate() {
            let text = file.changed.then(|| file.to_text());
            let next = text.as_ref().map(|text| crc32c(&[text.as_bytes()]));
            round.sums.0[i] = Sum {
                current: file.on_disk,
                next: next.or(file.on_disk),
            };
            round.texts[i] = text;
            file.changed = false;
        }
        Some(round)
    }

    /// Takes back a round after [`Round::write`]; what that could not write is still to be written.
    pub fn end_round(&mut self, round: Round) {
        for (i, file) in self.files.iter_mut().enumerate() {
            match round.texts[i] {
                Some(_) => file.changed = true,
                None => {
                    file.on_disk = round.sums.0[i].next;
                    file.unreadable &= file.on_disk.is_none();
                }
            }
        }
    }
}

/// The texts of one checkpoint round, to be written without a lock on the [`Checkpoints`].
#[derive(Debug)]
pub struct Round {
    dir: PathBuf,
    sums: Sums,
    /// What is still to be written.
    texts: [Option<String>; 4],
}

impl Round {
    /// Makes the round durable. Syncs: one file and the directory for the sums, one per changed
    /// file, the directory. After an error the disk holds for each file the old or the new
    /// content, and the sums of both.
    pub fn write(&mut self) -> io::Result<()> {
        write_atomically(&self.dir, SUMS_FILE, self.sums.to_text().as_bytes())?;
        crash_point("checkpoint.sums");
        for (which, text) in CheckpointFile::ALL.into_iter().zip(&mut self.texts) {
            if let Some(content) = text {
                replace_file(&self.dir, which.name(), content.as_bytes())?;
                crash_point("checkpoint.replaced");
                *text = None;
            }
        }
        sync_directory(&self.dir)
    }
}

impl OffsetFile {
    fn judge(bytes: Option<&[u8]>, expected: Option<Sum>) -> Result<OffsetFile, Malformed> {
        let found = bytes.map(|bytes| crc32c(&[bytes]));
        if let Some(expected) = expected
            && found != expected.current
            && found != expected.next
        {
            let cause = match found {
                Some(_) => "its checksum is neither the current nor the next in ottla.sums",
                None => "it is missing",
            };
            return Err(Malformed::because(cause));
        }
        let mut offsets = BTreeMap::new();
        for line in read_lines(bytes.unwrap_or_default())? {
            let (partition, offset) = parse_offset(line).ok_or_else(|| Malformed::line(line))?;
            if offset < 0 || offsets.insert(partition, offset).is_some() {
                return Err(Malformed::line(line));
            }
        }
        Ok(OffsetFile {
            offsets,
            changed: false,
            on_disk: found,
            unreadable: false,
        })
    }

    fn to_text(&self) -> String {
        write_lines(self.offsets.len(), |text| {
            for (key, offset) in &self.offsets {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{} {} {offset}", key.topic, key.partition);
            }
        })
    }
}

fn parse_offset(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut fields = line.split(' ');
    let topic = fields.next().filter(|topic| !topic.is_empty())?.into();
    let partition = fields.next()?.parse().ok().filter(|&p: &i32| p >= 0)?;
    let offset = fields.next()?.parse().ok()?;
    fields
        .next()
        .is_none()
        .then_some((TopicPartition { topic, partition }, offset))
}

#[cfg(test)]
mod tests {
    use super::CheckpointFile::{Cleaner, HighWatermark, LogStart, RecoveryPoint};
    use super::*;
    use tempfile::TempDir;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }

    fn read(dir: &TempDir) -> Checkpoints {
        Checkpoints::read(dir.path(), true).expect("the disk answers")
    }

    /// A directory after two rounds: disk-0 has rp 7, then 14, and a high watermark of 14.
    fn written() -> TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 7);
        checkpoints.write().expect("first round");
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 14);
        checkpoints.set(HighWatermark, &tp("disk", 0), 14);
        checkpoints.write().expect("second round");
        dir
    }

    fn put(dir: &TempDir, file: CheckpointFile, content: &[u8]) {
        std::fs::write(dir.path().join(file.name()), content).expect("write");
    }

    #[test]
    fn a_round_reads_back_and_is_kafkas_text() {
        let dir = written();
        let checkpoints = read(&dir);
        assert_eq!(checkpoints.offset(RecoveryPoint, &tp("disk", 0)), Some(14));
        assert_eq!(checkpoints.offset(HighWatermark, &tp("disk", 0)), Some(14));
        assert_eq!(checkpoints.offset(LogStart, &tp("disk", 0)), None);
        assert!(
            CheckpointFile::ALL
                .into_iter()
                .all(|file| checkpoints.is_readable(file))
        );
        assert!(!checkpoints.is_changed());
        let text = std::fs::read_to_string(dir.path().join(RecoveryPoint.name())).expect("text");
        assert_eq!(text, "0\n1\ndisk 0 14\n");
    }

    #[test]
    fn a_partition_nobody_touches_keeps_its_offsets_through_a_round() {
        let dir = written();
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("a", 3), 1);
        checkpoints.write().expect("round");
        let checkpoints = read(&dir);
        assert_eq!(checkpoints.offset(RecoveryPoint, &tp("disk", 0)), Some(14));
        let named: Vec<String> = checkpoints
            .partitions(RecoveryPoint)
            .map(TopicPartition::to_string)
            .collect();
        assert_eq!(named, ["a-3", "disk-0"]);
    }

    #[test]
    fn a_deleted_partition_leaves_every_file() {
        let dir = written();
        let mut checkpoints = read(&dir);
        checkpoints.forget(&tp("disk", 0));
        checkpoints.write().expect("round");
        let checkpoints = read(&dir);
        assert_eq!(checkpoints.partitions(RecoveryPoint).count(), 0);
        assert_eq!(checkpoints.partitions(HighWatermark).count(), 0);
    }

    #[test]
    fn an_unchanged_offset_writes_nothing() {
        let dir = written();
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 14);
        assert!(!checkpoints.is_changed());
        std::fs::remove_dir_all(dir.path()).expect("remove");
        checkpoints
            .write()
            .expect("nothing to write, nothing to fail");
    }

    #[test]
    fn a_crash_between_sums_and_checkpoint_leaves_the_old_content_valid() {
        let dir = written();
        let old = std::fs::read(dir.path().join(RecoveryPoint.name())).expect("old");
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 99);
        checkpoints.write().expect("round");
        put(&dir, RecoveryPoint, &old);
        assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(14));
    }

    #[test]
    fn a_plausible_text_that_was_never_written_is_unreadable() {
        let dir = written();
        put(&dir, RecoveryPoint, b"0\n1\ndisk 0 1\n");
        let mut checkpoints = read(&dir);
        assert!(!checkpoints.is_readable(RecoveryPoint));
        assert_eq!(checkpoints.offset(RecoveryPoint, &tp("disk", 0)), None);
        assert_eq!(
            checkpoints.offset(HighWatermark, &tp("disk", 0)),
            Some(14),
            "the other files are believed"
        );
        // The next round replaces it, whether or not an offset changed.
        assert!(checkpoints.is_changed());
        checkpoints.write().expect("round");
        assert!(checkpoints.is_readable(RecoveryPoint) && read(&dir).is_readable(RecoveryPoint));
    }

    #[test]
    fn a_damaged_file_is_not_believed_after_a_crash_in_the_round_that_replaces_it() {
        let dir = written();
        let forged = b"0\n1\ndisk 0 1\n";
        put(&dir, RecoveryPoint, forged);
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 20);
        checkpoints.write().expect("round");
        put(&dir, RecoveryPoint, forged);
        assert!(!read(&dir).is_readable(RecoveryPoint));
    }

    #[test]
    fn a_missing_file_that_the_sums_know_is_unreadable() {
        let dir = written();
        std::fs::remove_file(dir.path().join(RecoveryPoint.name())).expect("remove");
        let checkpoints = read(&dir);
        assert!(!checkpoints.is_readable(RecoveryPoint));
        assert!(checkpoints.is_readable(Cleaner), "it never was there");
    }

    #[test]
    fn without_sums_the_syntax_is_the_judge() {
        for sums in [None, Some(&b"garbage"[..]), Some(b"\0\0\0"), Some(b"")] {
            let dir = written();
            let path = dir.path().join(SUMS_FILE);
            match sums {
                None => std::fs::remove_file(&path).expect("remove"),
                Some(garbage) => std::fs::write(&path, garbage).expect("write"),
            }
            assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(14));
            put(&dir, RecoveryPoint, b"0\n1\ndisk 0 1\n");
            assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(1));
            put(&dir, RecoveryPoint, b"0\n1\ndisk 0 1");
            assert!(
                !read(&dir).is_readable(RecoveryPoint),
                "cut in the middle of 14"
            );
        }
    }

    #[test]
    fn one_flipped_bit_in_the_sums_makes_them_absent_not_wrong() {
        let dir = written();
        let path = dir.path().join(SUMS_FILE);
        let good = std::fs::read(&path).expect("sums");
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x04;
            std::fs::write(&path, &bad).expect("write");
            assert_eq!(
                read(&dir).offset(RecoveryPoint, &tp("disk", 0)),
                Some(14),
                "byte {i}"
            );
        }
    }

    #[test]
    fn kafka_closed_the_directory_and_its_files_are_taken_without_our_sums() {
        let dir = written();
        put(&dir, RecoveryPoint, b"0\n2\ntx4628 2 0\ndisk 0 21\n");
        put(&dir, Cleaner, b"");
        let checkpoints = Checkpoints::read(dir.path(), false).expect("read");
        assert_eq!(checkpoints.offset(RecoveryPoint, &tp("disk", 0)), Some(21));
        assert_eq!(checkpoints.offset(RecoveryPoint, &tp("tx4628", 2)), Some(0));
        assert!(checkpoints.is_readable(Cleaner));
        assert!(!dir.path().join(SUMS_FILE).exists());
    }

    #[test]
    fn without_file_and_sums_nothing_is_known_and_nothing_is_written() {
        let dir = written();
        std::fs::remove_file(dir.path().join(SUMS_FILE)).expect("remove");
        std::fs::remove_file(dir.path().join(RecoveryPoint.name())).expect("remove");
        let checkpoints = read(&dir);
        assert!(checkpoints.is_readable(RecoveryPoint));
        assert!(checkpoints.is_readable(HighWatermark));
        assert!(!checkpoints.is_changed());
    }

    #[test]
    fn an_offset_set_while_a_round_is_written_goes_into_the_next() {
        let dir = written();
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 20);
        let mut round = checkpoints.begin_round().expect("a change");
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 30);
        round.write().expect("written");
        checkpoints.end_round(round);
        assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(20));
        checkpoints.write().expect("the next round");
        assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(30));
    }

    #[test]
    fn a_round_that_failed_is_written_again() {
        let dir = written();
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 20);
        checkpoints.set(HighWatermark, &tp("disk", 0), 19);
        let in_the_way = dir.path().join(format!("{}.tmp", HighWatermark.name()));
        std::fs::create_dir(&in_the_way).expect("create");
        assert!(checkpoints.write().is_err());
        let after_a_crash = read(&dir);
        assert_eq!(
            after_a_crash.offset(RecoveryPoint, &tp("disk", 0)),
            Some(20)
        );
        assert_eq!(
            after_a_crash.offset(HighWatermark, &tp("disk", 0)),
            Some(14)
        );
        std::fs::remove_dir(&in_the_way).expect("remove");
        checkpoints.write().expect("again");
        assert_eq!(read(&dir).offset(HighWatermark, &tp("disk", 0)), Some(19));
    }

    #[test]
    fn a_left_over_tmp_file_is_overwritten() {
        let dir = written();
        let tmp = dir.path().join(format!("{}.tmp", RecoveryPoint.name()));
        std::fs::write(&tmp, vec![b'x'; 10_000]).expect("write");
        let mut checkpoints = read(&dir);
        checkpoints.set(RecoveryPoint, &tp("disk", 0), 15);
        checkpoints.write().expect("round");
        assert!(!tmp.exists());
        assert_eq!(read(&dir).offset(RecoveryPoint, &tp("disk", 0)), Some(15));
    }

    #[test]
    fn damaged_texts_are_refused_whole() {
        for damaged in [
            "0\n1\n disk 0 1\n",
            "0\n1\ndisk 0\n",
            "0\n1\ndisk 0 1 2\n",
            "0\n1\ndisk -1 1\n",
            "0\n1\ndisk 0 -1\n",
            "0\n1\ndisk 0 99999999999999999999\n",
            "0\n2\ndisk 0 1\ndisk 0 2\n",
            "0\n1\n\n",
            "0\n",
            "\n",
            "1\n0\n",
            "0\n0\n\n",
        ] {
            assert!(
                OffsetFile::judge(Some(damaged.as_bytes()), None).is_err(),
                "{damaged:?}"
            );
        }
    }

    #[test]
    fn a_link_in_place_of_a_file_is_not_followed() {
        let dir = written();
        let target = dir.path().join("elsewhere");
        std::fs::write(&target, "0\n0\n").expect("write");
        let path = dir.path().join(Cleaner.name());
        std::os::unix::fs::symlink(&target, &path).expect("link");
        assert!(Checkpoints::read(dir.path(), true).is_err());
        std::os::unix::fs::symlink(&target, dir.path().join("x.tmp")).expect("link");
        assert!(write_atomically(dir.path(), "x", b"y").is_err());
    }
}
