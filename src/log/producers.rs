//! What idempotent producers have appended to one partition (KIP-98, KIP-360; Kafka:
//! `ProducerStateManager`, `ProducerAppendInfo`): which batch is a retry, which is out of order,
//! which comes from a producer that was fenced.
//!
//! Knows batch headers and nothing else: no files, no clock, no transaction coordinator. The log
//! holds it under the partition lock, so check and append are one critical section (R68). It is
//! a fold over the batches of the log and is never durable apart from them (R70).
//!
//! Unlike Kafka, a producer is forgotten by the broker's clock, not by the timestamps the client
//! wrote into its records (R73), and after a restart the window holds five batches again and not
//! only the last ([`ProducerStates::refill`]).

use hashbrown::HashMap;

use crate::protocol::batch::BatchHeader;
use crate::types::{Millis, Offset};

/// Batches a producer may have in flight, and therefore may send again (Kafka:
/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const WINDOW: usize = 5;

/// No producer epoch, coordinator epoch, sequence, offset: −1, as in Kafka's files.
pub(super) const NONE: i8 = -1;

/// The producers of one partition. About 160 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    pub(super) producers: HashMap<i64, Producer>,
}

/// What to do with a batch that may be appended or has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Append,
    /// One of the producer's last five batches: answer what the first copy was answered (R67).
    Duplicate {
        base_offset: Offset,
        next_offset: Offset,
        /// Of the original batch (R61).
        max_timestamp: Millis,
    },
}

/// Why a batch may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// 45: a batch before this one is missing, or this one is older than the window.
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming seq. \
         number), {last_sequence} (current end sequence number)"
    )]
    OutOfOrderSequence {
        producer_id: i64,
        sequence: i32,
        last_sequence: i32,
    },
    /// 45: the first batch of a new epoch does not begin at sequence 0.
    #[error(
        "Invalid sequence number for new epoch of producer {producer_id}: {epoch} (request \
         epoch), {sequence} (seq. number), {last_epoch} (current producer epoch)"
    )]
    NewEpochBeginsLate {
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        last_epoch: i16,
    },
    /// 47: a newer instance of this producer has appended.
    #[error(
        "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch \
         {last_epoch}"
    )]
    InvalidEpoch {
        producer_id: i64,
        epoch: i16,
        last_epoch: i16,
    },
}

/// What is known of a producer, for people (KIP-664). −1 is "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    /// As the client wrote it.
    pub last_timestamp: Millis,
    pub coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub current_txn_first_offset: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    /// Batches of this epoch, oldest first; those behind `len` are unused.
    window: [Appended; WINDOW],
    len: u8,
    /// Of the last transaction marker; −1 before the first.
    pub(super) coordinator_epoch: i32,
    /// First offset of the open transaction, −1 without one.
    pub(super) current_txn_first_offset: Offset,
    /// Max timestamp of the last batch or marker, as the client wrote it.
    pub(super) last_timestamp: Millis,
    /// Broker time of the last append, or of loading.
    pub(super) last_appended: Millis,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) last_offset: Offset,
    pub(super) max_timestamp: Millis,
    pub(super) last_sequence: i32,
    pub(super) offset_delta: i32,
}

impl ProducerStates {
    /// Judges a batch that a client sends; the state does not change. Batches without producer
    /// id always append. A retry is known by its first and last sequence and its epoch; the
    /// content is not compared (R67, R69).
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        let producer_id = header.producer_id;
        // An unknown producer may begin anywhere: it may have been forgotten.
        let Some(producer) = self.producers.get(&producer_id) else {
            return Ok(Verdict::Append);
        };
        let (epoch, last_epoch) = (header.producer_epoch, producer.epoch);
        if epoch < last_epoch {
            return Err(ProducerError::InvalidEpoch {
                producer_id,
                epoch,
                last_epoch,
            });
        }
        if epoch == last_epoch
            && let Some(duplicate) = producer.find(header)
        {
            return Ok(duplicate);
        }
        if last_epoch == i16::from(NONE) {
            return Ok(Verdict::Append);
        }
        let sequence = header.base_sequence;
        if epoch > last_epoch {
            return match sequence {
                0 => Ok(Verdict::Append),
                _ => Err(ProducerError::NewEpochBeginsLate {
                    producer_id,
                    epoch,
                    sequence,
                    last_epoch,
                }),
            };
        }
        let last_sequence = producer.last_sequence();
        if sequence == follow(last_sequence) {
            return Ok(Verdict::Append);
        }
        Err(ProducerError::OutOfOrderSequence {
            producer_id,
            sequence,
            last_sequence,
        })
    }

    /// Takes in a batch that is in the log at its offsets: appended, replicated or replayed at
    /// start. `now` is broker time.
    pub fn appended(&mut self, header: &BatchHeader, now: Millis) {
        if header.producer_id < 0 || (header.base_sequence < 0 && !header.is_control()) {
            return;
        }
        let producer = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Producer::new(header.producer_epoch));
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.len = 0;
        }
        producer.last_timestamp = header.max_timestamp;
        producer.last_appended = now;
        if header.is_control() {
            // A marker ends the transaction and has no sequence of its own.
            producer.current_txn_first_offset = NONE.into();
            return;
        }
        if header.is_transactional() && producer.current_txn_first_offset < 0 {
            producer.current_txn_first_offset = header.base_offset;
        }
        producer.insert(producer.len(), Appended::from(header));
    }

    /// Puts batches from before a snapshot back into the windows of the producers it names: a
    /// snapshot keeps only each producer's last batch (R70). Called with the batches of the
    /// log's tail in offset order; what is known already, or of another epoch, changes nothing.
    pub fn refill(&mut self, header: &BatchHeader) {
        let Some(producer) = self.producers.get_mut(&header.producer_id) else {
            return;
        };
        if header.is_control()
            || header.base_sequence < 0
            || header.producer_epoch != producer.epoch
        {
            return;
        }
        let batch = Appended::from(header);
        let at = producer
            .batches()
            .iter()
            .position(|known| known.last_offset >= batch.last_offset);
        // Behind the newest there is nothing to refill: that would be an append.
        if let Some(at) = at
            && producer.window[at].last_offset != batch.last_offset
        {
            producer.insert(at, batch);
        }
    }

    /// Forgets producers without an open transaction that have not appended for `expiration_ms`
    /// of broker time (R73: `producer.id.expiration.ms`).
    pub fn expire(&mut self, now: Millis, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.current_txn_first_offset >= 0
                || now.saturating_sub(producer.last_appended) < expiration_ms
        });
        if self.producers.len() < self.producers.capacity() / 4 {
            self.producers.shrink_to_fit();
        }
    }

    /// Every producer, by id.
    pub fn active(&self) -> Vec<ActiveProducer> {
        let active = self.producers.iter().map(|(id, producer)| ActiveProducer {
            producer_id: *id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_first_offset: producer.current_txn_first_offset,
        });
        let mut active: Vec<ActiveProducer> = active.collect();
        active.sort_unstable_by_key(|producer| producer.producer_id);
        active
    }

    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// The first offset of the oldest open transaction.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.producers
            .values()
            .map(|producer| producer.current_txn_first_offset)
            .filter(|&offset| offset >= 0)
            .min()
    }
}

impl Producer {
    pub(super) fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            window: [Appended::default(); WINDOW],
            len: 0,
            coordinator_epoch: NONE.into(),
            current_txn_first_offset: NONE.into(),
            last_timestamp: NONE.into(),
            last_appended: NONE.into(),
        }
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn batches(&self) -> &[Appended] {
        &self.window[..self.len()]
    }

    /// −1 if this epoch has appended nothing but markers.
    fn last_sequence(&self) -> i32 {
        self.batches()
            .last()
            .map_or(NONE.into(), |batch| batch.last_sequence)
    }

    fn find(&self, header: &BatchHeader) -> Option<Verdict> {
        let found = self.batches().iter().find(|batch| {
            batch.last_sequence == header.last_sequence()
                && batch.offset_delta == header.last_offset_delta
        })?;
        Some(Verdict::Duplicate {
            base_offset: found.last_offset - i64::from(found.offset_delta),
            next_offset: found.last_offset + 1,
            max_timestamp: found.max_timestamp,
        })
    }

    /// Inserts before the batch at `at`; the oldest leaves a full window.
    pub(super) fn insert(&mut self, at: usize, batch: Appended) {
        if self.len() < WINDOW {
            let len = self.len();
            self.window.copy_within(at..len, at + 1);
            self.window[at] = batch;
            self.len += 1;
        } else if at > 0 {
            self.window.copy_within(1..at, 0);
            self.window[at - 1] = batch;
        }
    }
}

impl From<&BatchHeader> for Appended {
    fn from(header: &BatchHeader) -> Appended {
        Appended {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
        }
    }
}

/// The sequence behind `last`: 2147483647 is followed by 0 (R69), and so is "none".
fn follow(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A batch of `records` from a producer, sequences from `sequence` on.
    pub(crate) fn batch(producer_id: i64, epoch: i16, sequence: i32, records: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 49,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 1000,
            max_timestamp: 1000,
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            record_count: records,
        }
    }

    /// A log of headers: what the states are a fold of.
    #[derive(Default)]
    struct Log {
        states: ProducerStates,
        batches: Vec<BatchHeader>,
        next_offset: Offset,
    }

    impl Log {
        fn append(&mut self, mut header: BatchHeader) -> Result<Verdict, ProducerError> {
            let verdict = self.states.check(&header)?;
            if verdict == Verdict::Append {
                header.base_offset = self.next_offset;
                header.max_timestamp = 1000 + self.next_offset;
                self.states.appended(&header, 0);
                self.next_offset = header.next_offset();
                self.batches.push(header);
            }
            Ok(verdict)
        }

        /// The base offset of the answer, whether appended now or known.
        fn produce(&mut self, header: BatchHeader) -> Result<Offset, ProducerError> {
            match self.append(header)? {
                Verdict::Append => Ok(self.batches[self.batches.len() - 1].base_offset),
                Verdict::Duplicate { base_offset, .. } => Ok(base_offset),
            }
        }
    }

    fn out_of_order(sequence: i32, last_sequence: i32) -> Result<Offset, ProducerError> {
        Err(ProducerError::OutOfOrderSequence {
            producer_id: 7,
            sequence,
            last_sequence,
        })
    }

    #[test]
    fn r67_each_of_the_last_five_batches_is_known_again_at_its_offset() {
        let mut log = Log::default();
        for i in 0..6 {
            assert_eq!(log.produce(batch(7, 0, 2 * i, 2)), Ok(i64::from(2 * i)));
        }
        for i in 1..6 {
            assert_eq!(log.produce(batch(7, 0, 2 * i, 2)), Ok(i64::from(2 * i)));
        }
        assert_eq!(log.next_offset, 12, "nothing was appended twice");
        assert_eq!(
            log.produce(batch(7, 0, 0, 2)),
            out_of_order(0, 11),
            "the sixth last is gone"
        );
        assert_eq!(
            log.append(batch(7, 0, 4, 2)),
            Ok(Verdict::Duplicate {
                base_offset: 4,
                next_offset: 6,
                max_timestamp: 1004
            })
        );
    }

    #[test]
    fn r67_a_batch_that_only_overlaps_a_known_one_is_out_of_order() {
        let mut log = Log::default();
        log.produce(batch(7, 0, 0, 3)).expect("first");
        assert_eq!(log.produce(batch(7, 0, 0, 4)), out_of_order(0, 2));
        assert_eq!(log.produce(batch(7, 0, 1, 2)), out_of_order(1, 2));
        assert_eq!(log.produce(batch(7, 0, 2, 1)), out_of_order(2, 2));
    }

    #[test]
    fn r69_a_gap_is_out_of_order_and_an_unknown_producer_begins_anywhere() {
        let mut log = Log::default();
        assert_eq!(log.produce(batch(7, 3, 40, 1)), Ok(0));
        assert_eq!(log.produce(batch(7, 3, 42, 1)), out_of_order(42, 40));
        assert_eq!(log.produce(batch(7, 3, 41, 1)), Ok(1));
    }

    #[test]
    fn r69_the_sequence_wraps_to_zero_between_and_inside_batches() {
        let mut log = Log::default();
        assert_eq!(log.produce(batch(7, 0, i32::MAX, 1)), Ok(0));
        assert_eq!(log.produce(batch(7, 0, 0, 1)), Ok(1));
        assert_eq!(log.produce(batch(8, 0, i32::MAX - 1, 4)), Ok(2));
        assert_eq!(
            log.produce(batch(8, 0, i32::MAX - 1, 4)),
            Ok(2),
            "a retry across the wrap"
        );
        assert_eq!(log.produce(batch(8, 0, 2, 1)), Ok(6));
    }

    #[test]
    fn r69_a_lower_epoch_is_fenced_even_with_a_known_sequence() {
        let mut log = Log::default();
        log.produce(batch(7, 4, 0, 1)).expect("epoch 4");
        log.produce(batch(7, 5, 0, 1)).expect("epoch 5");
        let fenced = ProducerError::InvalidEpoch {
            producer_id: 7,
            epoch: 4,
            last_epoch: 5,
        };
        assert_eq!(log.produce(batch(7, 4, 0, 1)), Err(fenced));
        assert_eq!(log.produce(batch(7, 4, 1, 1)), Err(fenced));
    }

    #[test]
    fn r69_a_higher_epoch_begins_at_zero_and_forgets_the_old_batches() {
        let mut log = Log::default();
        log.produce(batch(7, 0, 0, 1)).expect("epoch 0");
        let late = ProducerError::NewEpochBeginsLate {
            producer_id: 7,
            epoch: 1,
            sequence: 1,
            last_epoch: 0,
        };
        assert_eq!(log.produce(batch(7, 1, 1, 1)), Err(late));
        assert_eq!(
            log.produce(batch(7, 1, 0, 1)),
            Ok(1),
            "not a duplicate of epoch 0"
        );
        assert_eq!(log.produce(batch(7, 1, 0, 1)), Ok(1), "but of itself");
    }

    #[test]
    fn r55_a_producer_without_epoch_and_a_batch_without_producer_are_taken_as_sent() {
        let mut log = Log::default();
        for sequence in [5, 7, 1] {
            log.produce(batch(7, -1, sequence, 1))
                .expect("no epoch, no order");
            log.produce(batch(-1, 3, sequence, 1))
                .expect("no producer, no order");
        }
        assert_eq!(log.next_offset, 6);
        assert_eq!(log.states.len(), 1);
    }

    #[test]
    fn r73_a_producer_is_forgotten_by_the_brokers_clock() {
        let mut states = ProducerStates::default();
        let mut old_timestamps = batch(7, 0, 0, 1);
        old_timestamps.max_timestamp = 0;
        states.appended(&old_timestamps, 100_000);
        states.appended(&batch(8, 0, 0, 1), 160_000);
        states.expire(199_999, 100_000);
        assert_eq!(
            states.len(),
            2,
            "a record from 1970 was appended 99,999 ms ago"
        );
        states.expire(200_000, 100_000);
        assert_eq!(states.len(), 1);
        let reloaded = ProducerStates::from_snapshot(&states.snapshot(), 500_000);
        let mut reloaded = reloaded.expect("our own snapshot");
        reloaded.expire(599_999, 100_000);
        assert_eq!(reloaded.len(), 1, "loading counts as an append");
    }

    #[test]
    fn a_transaction_is_open_from_its_first_batch_to_its_marker() {
        let mut states = ProducerStates::default();
        let mut data = batch(7, 0, 0, 2);
        (data.attributes, data.base_offset) = (0x10, 30);
        states.appended(&data, 0);
        (data.base_sequence, data.base_offset) = (2, 32);
        states.appended(&data, 0);
        assert_eq!(states.first_unstable_offset(), Some(30));
        states.expire(i64::MAX, 1);
        assert_eq!(states.len(), 1, "an open transaction does not expire");
        let reloaded = ProducerStates::from_snapshot(&states.snapshot(), 0).expect("snapshot");
        assert_eq!(reloaded.first_unstable_offset(), Some(30));
        let mut marker = batch(7, 0, -1, 1);
        (marker.attributes, marker.base_offset) = (0x30, 34);
        states.appended(&marker, 0);
        assert_eq!(states.first_unstable_offset(), None);
        assert!(
            states.check(&batch(7, 0, 4, 1)).is_ok(),
            "the marker took no sequence"
        );
    }

    proptest! {
        /// D7, R70: snapshot at any batch, replay of the rest and a refill from any point at or
        /// before the windows give what the live broker had.
        #[test]
        fn d7_snapshot_replay_and_refill_are_the_full_replay(
            sends in prop::collection::vec((0..3i64, 1..4i32, prop::bool::weighted(0.05)), 1..60),
            cut in 0..60usize,
        ) {
            let mut log = Log::default();
            let mut next = [(0i16, 0i32); 3];
            for (id, records, bump) in sends {
                let (epoch, sequence) = &mut next[id as usize];
                if bump {
                    (*epoch, *sequence) = (*epoch + 1, 0);
                }
                log.produce(batch(id, *epoch, *sequence, records)).expect("in order");
                *sequence += records;
            }
            let (before, after) = log.batches.split_at(cut.min(log.batches.len()));
            let mut states = ProducerStates::default();
            before.iter().for_each(|header| states.appended(header, 0));
            let mut states =
                ProducerStates::from_snapshot(&states.snapshot(), 0).expect("our own snapshot");
            after.iter().for_each(|header| states.appended(header, 0));
            prop_assert_eq!(states.snapshot(), log.states.snapshot());
            log.batches.iter().for_each(|header| states.refill(header));
            for header in &log.batches {
                prop_assert_eq!(states.check(header), log.states.check(header));
            }
        }
    }
}
