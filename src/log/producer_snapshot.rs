//! Producer state as a file: Kafka's `<offset>.snapshot`, version 1 (Kafka:
//! `ProducerStateManager.writeSnapshot`, `ProducerSnapshot.json`). One batch per producer: the
//! rest of the window comes from the log ([`ProducerStates::refill`]).

use std::fmt;

use bytes::{Buf, BufMut};
use hashbrown::HashMap;

use super::producers::{Appended, NONE, Producer, ProducerStates};
use crate::protocol::batch::crc32c;
use crate::types::Millis;

const VERSION: i16 = 1;
/// Version, CRC-32C of all that follows, number of producers.
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

impl ProducerStates {
    /// The content of `<log end offset>.snapshot`, producers by id (Kafka: in no order).
    pub fn snapshot(&self) -> Vec<u8> {
        let mut ids: Vec<i64> = self.producers.keys().copied().collect();
        ids.sort_unstable();
        let mut entries = Vec::with_capacity(4 + ids.len() * ENTRY_BYTES);
        entries.put_i32(ids.len() as i32);
        for id in ids {
            self.producers[&id].write(id, &mut entries);
        }
        let mut bytes = Vec::with_capacity(6 + entries.len());
        bytes.put_i16(VERSION);
        bytes.put_u32(crc32c(&[&entries]));
        bytes.extend_from_slice(&entries);
        bytes
    }

    /// Reads [`ProducerStates::snapshot`]. `now` is broker time: a producer's expiry begins anew.
    pub fn from_snapshot(bytes: &[u8], now: Millis) -> Result<ProducerStates, SnapshotError> {
        let mut rest = bytes;
        if rest.len() < HEADER_BYTES {
            return Err(SnapshotError::Length);
        }
        let version = rest.get_i16();
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        if rest.get_u32() != crc32c(&[rest]) {
            return Err(SnapshotError::Crc);
        }
        let count = rest.get_i32();
        let announced = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(ENTRY_BYTES));
        if announced != Some(rest.len()) {
            return Err(SnapshotError::Length);
        }
        let mut producers = HashMap::with_capacity(rest.len() / ENTRY_BYTES);
        for mut entry in rest.chunks_exact(ENTRY_BYTES) {
            let id = entry.get_i64();
            producers.insert(id, Producer::read(entry, now));
        }
        Ok(ProducerStates { producers })
    }
}

/// Why a snapshot is not used; an older one or the whole log is replayed instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    Version(i16),
    Crc,
    Length,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Version(version) => write!(f, "its version {version} is not 1"),
            SnapshotError::Crc => f.write_str("its checksum is wrong"),
            SnapshotError::Length => f.write_str("its length does not fit its producers"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl Producer {
    fn write(&self, id: i64, out: &mut Vec<u8>) {
        let last = self.batches().last().copied().unwrap_or(Appended {
            last_offset: NONE.into(),
            max_timestamp: self.last_timestamp,
            last_sequence: NONE.into(),
            offset_delta: 0,
        });
        out.put_i64(id);
        out.put_i16(self.epoch);
        out.put_i32(last.last_sequence);
        out.put_i64(last.last_offset);
        out.put_i32(last.offset_delta);
        out.put_i64(self.last_timestamp);
        out.put_i32(self.coordinator_epoch);
        out.put_i64(self.current_txn_first_offset);
    }

    /// Reads what [`Producer::write`] wrote behind the id; `entry` has exactly these bytes.
    fn read(mut entry: &[u8], now: Millis) -> Producer {
        let mut producer = Producer::new(entry.get_i16());
        let last_sequence = entry.get_i32();
        let last_offset = entry.get_i64();
        let offset_delta = entry.get_i32();
        producer.last_timestamp = entry.get_i64();
        producer.coordinator_epoch = entry.get_i32();
        producer.current_txn_first_offset = entry.get_i64();
        producer.last_appended = now;
        if last_offset >= 0 {
            let batch = Appended {
                last_offset,
                max_timestamp: producer.last_timestamp,
                last_sequence,
                offset_delta,
            };
            producer.insert(0, batch);
        }
        producer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::producers::Verdict;
    use crate::log::producers::tests::batch;

    /// From the log directory of a Kafka 4.1.2: one idempotent producer; two transactional ones.
    const KAFKAS_SNAPSHOTS: [&str; 3] = [
        "0001 48674bc7 00000000",
        "0001 ae9d7e10 00000001 0000000000001e61 0000 00000006 0000000000000006 00000000 \
         0000018bcfe56806 ffffffff ffffffffffffffff",
        "0001 0b660604 00000002 \
         0000000000000005 0000 00000001 0000000000000002 00000000 000001a1fd800c1b 00000000 \
         ffffffffffffffff \
         00000000000003e9 0000 00000001 0000000000000006 00000000 000001a1fd80780f 00000002 \
         ffffffffffffffff",
    ];

    fn unhex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex"))
            .collect()
    }

    #[test]
    fn kafkas_snapshots_are_read_and_written_byte_for_byte() {
        for text in KAFKAS_SNAPSHOTS {
            let bytes = unhex(text);
            let states = ProducerStates::from_snapshot(&bytes, 0).expect("Kafka wrote it");
            assert_eq!(states.snapshot(), bytes);
        }
        let states = ProducerStates::from_snapshot(&unhex(KAFKAS_SNAPSHOTS[1]), 0);
        let states = states.expect("Kafka wrote it");
        let known = Verdict::Duplicate {
            base_offset: 6,
            next_offset: 7,
            max_timestamp: 0x018b_cfe5_6806,
        };
        assert_eq!(states.check(&batch(7777, 0, 6, 1)), Ok(known));
        assert_eq!(states.check(&batch(7777, 0, 7, 1)), Ok(Verdict::Append));
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let good = unhex(KAFKAS_SNAPSHOTS[2]);
        for length in 0..good.len() {
            assert!(ProducerStates::from_snapshot(&good[..length], 0).is_err());
        }
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert!(ProducerStates::from_snapshot(&bad, 0).is_err(), "byte {i}");
        }
        let mut huge = unhex("0001 00000000 7fffffff");
        let crc = crc32c(&[&huge[6..]]);
        huge[2..6].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(
            ProducerStates::from_snapshot(&huge, 0),
            Err(SnapshotError::Length)
        );
        assert_eq!(
            ProducerStates::from_snapshot(&unhex("0002 48674bc7 00000000"), 0),
            Err(SnapshotError::Version(2))
        );
    }
}
