//! `quorum-state`: term and vote, on the device before anything that depends on them leaves
//! this node. Kafka's fields (kafka:FileQuorumStateStore.java, data version 1), and two of our
//! own: the recovery point of the metadata log, and a checksum of the text before it.
//!
//! The log is synced before this file is written, so what the file calls the recovery point is
//! true of the device.

use std::io;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::log::small_files::{read_small_file, write_atomically};
use crate::protocol::batch::crc32c;
use crate::types::{BrokerId, Offset, TopicId};

/// The file's name in the metadata log's directory.
pub const FILE_NAME: &str = "quorum-state";

/// A vote file holds one line of some 150 bytes.
const MAX_FILE_BYTES: usize = 16 << 10;

/// What the node promised. The default is a node that never voted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuorumState {
    pub leader_id: Option<BrokerId>,
    /// The Raft term; 0 before the first.
    pub leader_epoch: u64,
    /// Whom the node voted for in that term, by id and directory id.
    pub voted: Option<(BrokerId, Uuid)>,
    /// Metadata offsets below it were on the device.
    pub recovery_point: Offset,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file: a node that never voted.
    Absent,
    /// A file that is not what was written. What the node promised is unknown.
    Unreadable,
    State(QuorumState),
}

impl QuorumState {
    pub fn read(dir: &Path) -> io::Result<Found> {
        let bytes = match read_small_file(&dir.join(FILE_NAME), MAX_FILE_BYTES) {
            Ok(None) => return Ok(Found::Absent),
            Ok(Some(bytes)) => bytes,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Found::Unreadable);
            }
            Err(error) => return Err(error),
        };
        Ok(parse(&bytes).map_or(Found::Unreadable, Found::State))
    }

    /// Two syncs: of the file and of its directory.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        write_atomically(dir, FILE_NAME, self.text().as_bytes())
    }

    fn text(&self) -> String {
        let id = |broker: Option<BrokerId>| broker.map_or(-1, |broker| broker.0);
        let directory = TopicId(self.voted.map_or(Uuid::nil(), |(_, directory)| directory));
        let fields = format!(
            "{{\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\"votedDirectoryId\":\"{directory}\",\
             \"data_version\":1,\"ottlaRecoveryPoint\":{}",
            id(self.leader_id),
            self.leader_epoch,
            id(self.voted.map(|(broker, _)| broker)),
            self.recovery_point,
        );
        let crc = crc32c(&[fields.as_bytes()]);
        format!("{fields},\"crc32c\":{crc}}}")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    leader_id: i32,
    leader_epoch: u64,
    voted_id: i32,
    voted_directory_id: String,
    ottla_recovery_point: Offset,
}

/// `None` unless writing what was read gives the same bytes: the checksum is among them.
fn parse(bytes: &[u8]) -> Option<QuorumState> {
    let fields: Fields = serde_json::from_slice(bytes).ok()?;
    let broker = |id: i32| (id >= 0).then_some(BrokerId(id));
    let directory = TopicId::parse(&fields.voted_directory_id)?.0;
    let state = QuorumState {
        leader_id: broker(fields.leader_id),
        leader_epoch: fields.leader_epoch,
        voted: broker(fields.voted_id).map(|id| (id, directory)),
        recovery_point: fields.ottla_recovery_point,
    };
    (state.text().as_bytes() == bytes).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_vote_reads_back_and_a_flipped_bit_makes_it_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(QuorumState::read(dir.path()).unwrap(), Found::Absent);
        let state = QuorumState {
            leader_id: Some(BrokerId(1)),
            leader_epoch: 7,
            voted: Some((BrokerId(1), Uuid::from_u128(5))),
            recovery_point: 42,
        };
        state.write(dir.path()).unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        expect![[r#"{"leaderId":1,"leaderEpoch":7,"votedId":1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAABQ","data_version":1,"ottlaRecoveryPoint":42,"crc32c":706015598}"#]]
            .assert_eq(std::str::from_utf8(&bytes).unwrap());
        assert_eq!(QuorumState::read(dir.path()).unwrap(), Found::State(state));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(QuorumState::read(dir.path()).unwrap(), Found::Unreadable, "at {at}");
            bytes[at] ^= 1;
        }
    }
}
