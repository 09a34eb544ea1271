//! The names of partition directories and the topic id each one carries (Kafka: `LocalLog`,
//! `UnifiedLog.logDeleteDirName`, `PartitionMetadataFile`).
//!
//! Pure text: does not know which partitions should exist.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::small_files::{read_small_file, write_options};
use crate::types::{TopicId, TopicPartition};

/// What a directory below a log directory is by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryKind {
    /// `<topic>-<partition>`.
    Partition(TopicPartition),
    /// Set aside; see [`Aside`].
    Aside(Aside),
}

/// Why a partition directory no longer bears the partition's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Its topic is deleted: waits to be unlinked.
    Delete,
    /// The metadata does not place it here: kept until an operator decides.
    Stray,
    /// A copy on its way between two log directories.
    Future,
}

impl Aside {
    const ALL: [Aside; 3] = [Aside::Delete, Aside::Stray, Aside::Future];

    fn suffix(self) -> &'static str {
        match self {
            Aside::Delete => "-delete",
            Aside::Stray => "-stray",
            Aside::Future => "-future",
        }
    }

    /// `<topic>-<partition>.<id><suffix>`. The topic is cut so that the name fits the 255 bytes
    /// that file systems allow; the id keeps it unique.
    pub fn name(self, partition: &TopicPartition, id: Uuid) -> String {
        let tail = format!("-{}.{}{}", partition.partition, id.simple(), self.suffix());
        // Topic names are ASCII, so a cut never splits a character.
        let keep = partition.topic.len().min(MAX_NAME_BYTES - tail.len());
        format!("{}{tail}", &partition.topic[..keep])
    }
}

/// The limit of ext4, XFS and every other usual file system.
const MAX_NAME_BYTES: usize = 255;

/// Reads a directory name; `None` if it is nobody's partition.
pub fn parse_name(name: &str) -> Option<DirectoryKind> {
    for aside in Aside::ALL {
        if let Some(stem) = name.strip_suffix(aside.suffix()) {
            let (partition, id) = stem.rsplit_once('.')?;
            let is_id = id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
            return (is_id && parse_partition(partition).is_some())
                .then_some(DirectoryKind::Aside(aside));
        }
    }
    parse_partition(name).map(DirectoryKind::Partition)
}

/// The partition number in the name of a directory that was set aside, whose topic may be cut.
pub fn partition_of_aside(name: &str) -> Option<i32> {
    let (stem, _) = name.rsplit_once('.')?;
    stem.rsplit_once('-')?.1.parse().ok()
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, number) = name.rsplit_once('-')?;
    let partition: i32 = number.parse().ok()?;
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    // Only the number's own text is a name: "t-007" and "t-+7" are not partition 7.
    (partition >= 0
        && partition.to_string() == number
        && !topic.is_empty()
        && topic.bytes().all(is_legal))
    .then(|| TopicPartition {
        topic: topic.into(),
        partition,
    })
}

/// The name of the file that holds a partition's topic id.
pub const METADATA_FILE: &str = "partition.metadata";

/// The topic id that a partition directory belongs to; `None` if it has none or it cannot be
/// read, which the metadata image repairs.
pub fn read_topic_id(directory: &Path) -> io::Result<Option<TopicId>> {
    let bytes = read_small_file(&directory.join(METADATA_FILE), 4096)?;
    Ok(bytes.as_deref().and_then(parse_metadata))
}

/// Writes `partition.metadata`, whole or not at all. Not synced: it is derived from the metadata
/// image, and a directory is created on the produce path.
pub fn write_topic_id(directory: &Path, topic_id: TopicId) -> io::Result<()> {
    let tmp = directory.join("partition.metadata.tmp");
    let mut file = write_options().create(true).truncate(true).open(&tmp)?;
    io::Write::write_all(
        &mut file,
        format!("version: 0\ntopic_id: {topic_id}").as_bytes(),
    )?;
    drop(file);
    std::fs::rename(&tmp, directory.join(METADATA_FILE))
}

fn parse_metadata(bytes: &[u8]) -> Option<TopicId> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != "version: 0" {
        return None;
    }
    let id = TopicId::parse(lines.next()?.strip_prefix("topic_id: ")?)?;
    (!id.is_zero()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }

    #[test]
    fn a_partition_directory_is_the_topic_and_the_number() {
        for (topic, partition) in [("t", 0), ("a-b", 12), ("x-7", 3), ("_.A", i32::MAX)] {
            let kind = parse_name(&tp(topic, partition).to_string());
            assert_eq!(kind, Some(DirectoryKind::Partition(tp(topic, partition))));
        }
    }

    #[test]
    fn anything_else_is_nobodys_partition() {
        for name in [
            "",
            "-",
            "t",
            "t-",
            "-0",
            "t-x",
            "t-01",
            "t-+1",
            "t--",
            "t-2147483648",
            "a b-0",
            "lost+found",
            "ä-0",
            "t-0-delete",
            "t-0.abc-delete",
            "t.00112233445566778899aabbccddeeff-delete",
        ] {
            assert_eq!(parse_name(name), None, "{name:?}");
        }
        let negative = parse_name("t--1");
        assert_eq!(
            negative,
            Some(DirectoryKind::Partition(tp("t-", 1))),
            "as Kafka reads it"
        );
    }

    #[test]
    fn a_directory_set_aside_keeps_its_kind_and_a_legal_length() {
        let id = Uuid::from_u128(0x00112233445566778899aabbccddeeff);
        let name = Aside::Delete.name(&tp("t", 4), id);
        assert_eq!(name, "t-4.00112233445566778899aabbccddeeff-delete");
        for aside in Aside::ALL {
            for length in [1, 200, 249] {
                let name = aside.name(&tp(&"x".repeat(length), i32::MAX), id);
                assert!(name.len() <= 255, "{} bytes", name.len());
                assert_eq!(parse_name(&name), Some(DirectoryKind::Aside(aside)));
            }
        }
    }

    #[test]
    fn partition_metadata_is_kafkas_43_bytes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let id = TopicId::parse("OvFrNz2yTnO_6uTajUhfMQ").expect("an id");
        assert_eq!(read_topic_id(dir.path()).expect("read"), None);
        write_topic_id(dir.path(), id).expect("write");
        let bytes = std::fs::read(dir.path().join(METADATA_FILE)).expect("read");
        assert_eq!(bytes, b"version: 0\ntopic_id: OvFrNz2yTnO_6uTajUhfMQ");
        assert_eq!(read_topic_id(dir.path()).expect("read"), Some(id));
        assert!(!dir.path().join("partition.metadata.tmp").exists());
    }

    #[test]
    fn a_damaged_partition_metadata_names_no_topic() {
        for damaged in [
            &b""[..],
            b"version: 1\ntopic_id: OvFrNz2yTnO_6uTajUhfMQ",
            b"version: 0\ntopic_id: OvFrNz2yTnO_6uTajUhf",
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            b"\0\0\0\0",
            b"\xff",
        ] {
            assert_eq!(parse_metadata(damaged), None, "{damaged:?}");
        }
    }
}
