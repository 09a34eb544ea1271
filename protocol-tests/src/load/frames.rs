//! Requests encoded before the clock starts. Afterwards only the correlation id changes, and the
//! offset of a Fetch.

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{BrokerId, FetchRequest, ProduceRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use ottla::clock::Clock;
use ottla::protocol::batch::{BatchHeader, BatchOptions, Codec, Record, ValidBatch, crc32c};
use ottla::protocol::compression::Compressor;

use crate::random::Random;

/// The newest versions that name topics instead of their ids, so that one frame serves any broker.
pub const VERSION: i16 = 12;
/// Length, key, version, correlation id: what differs between two sends of a frame, and before.
pub const HEAD: usize = 12;
const CORRELATION_ID_AT: usize = 8;
const CRC_START: usize = 21;
const TIMEOUT_MS: i32 = 30_000;

/// Records of about the same text as services log: words, numbers, identifiers. lz4 halves it.
pub struct Content {
    random: Random,
    now: i64,
}

/// One batch and what is in it.
pub struct Batch {
    pub bytes: Bytes,
    pub records: u32,
}

impl Default for Content {
    fn default() -> Content {
        Content {
            random: Random::new(42),
            now: Clock::system().wall_ms(),
        }
    }
}

impl Content {
    /// A batch of records of `record_bytes` each, as many as fit into `batch_bytes` on the wire,
    /// at least one.
    ///
    /// # Errors
    /// The codec's.
    pub fn batch(
        &mut self,
        record_bytes: usize,
        batch_bytes: usize,
        codec: Codec,
    ) -> Result<Batch> {
        let most = match codec {
            Codec::None => batch_bytes / record_bytes + 1,
            _ => 20 * batch_bytes / record_bytes + 1,
        };
        let values: Vec<Vec<u8>> = (0..most).map(|_| self.value(record_bytes)).collect();
        let (mut fits, mut too_many) = (1, most + 1);
        let mut batch = self.encode(&values[..1], codec)?;
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            let tried = self.encode(&values[..middle], codec)?;
            if tried.len() <= batch_bytes {
                (fits, batch) = (middle, tried);
            } else {
                too_many = middle;
            }
        }
        Ok(Batch {
            bytes: batch,
            records: u32::try_from(fits)?,
        })
    }

    fn value(&mut self, bytes: usize) -> Vec<u8> {
        const WORDS: [&str; 16] = [
            "request",
            "served",
            "user",
            "session",
            "timeout",
            "connection",
            "level",
            "info",
            "latency_ms",
            "status",
            "path",
            "/api/v1/orders",
            "region",
            "eu-west",
            "retry",
            "ok",
        ];
        let mut value = Vec::with_capacity(bytes + 32);
        while value.len() < bytes {
            match self.random.below(3) {
                0 => value.extend_from_slice(format!("{:016x} ", self.random.next()).as_bytes()),
                _ => {
                    let word = WORDS[self.random.below(WORDS.len() as u64) as usize];
                    value.extend_from_slice(word.as_bytes());
                    value.push(b' ');
                }
            }
        }
        value.truncate(bytes);
        value
    }

    fn encode(&self, values: &[Vec<u8>], codec: Codec) -> Result<Bytes> {
        let records: Vec<Record> = values
            .iter()
            .map(|value| Record {
                timestamp: self.now,
                value: Some(value),
                ..Record::default()
            })
            .collect();
        let plain = ValidBatch::build(&records, &BatchOptions::default());
        if codec == Codec::None {
            return Ok(plain.to_bytes());
        }
        let mut compressor = Compressor::new(codec, None, usize::MAX)?;
        compressor.write(plain.body())?;
        let body = compressor.finish()?.context("no limit was set")?;
        let mut header = *plain.header();
        header.attributes |= codec.id();
        header.batch_length = i32::try_from(BatchHeader::SIZE - 12 + body.len())?;
        let mut head = [0; BatchHeader::SIZE];
        header.write(&mut head);
        header.crc = crc32c(&[&head[CRC_START..], &body]);
        header.write(&mut head);
        Ok([&head[..], &body].concat().into())
    }
}

/// A Produce of one batch to one partition.
///
/// # Errors
/// The batch is too large for a frame.
pub fn produce(topic: &str, partition: i32, acks: i16, batch: &Batch) -> Result<Vec<u8>> {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch.bytes.clone()));
    let topic = TopicProduceData::default()
        .with_name(name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(TIMEOUT_MS)
        .with_topic_data(vec![topic]);
    frame(&request)
}

/// What a Fetch asks for.
#[derive(Clone, Copy, Debug)]
pub struct FetchShape {
    pub max_bytes: i32,
    pub min_bytes: i32,
    pub max_wait_ms: i32,
    /// 0 read_uncommitted, 1 read_committed.
    pub isolation: i8,
}

/// A Fetch of one partition without a session.
pub struct FetchFrame {
    pub bytes: Vec<u8>,
    offset_at: usize,
}

impl FetchFrame {
    /// # Errors
    /// Never in practice: a name of 32 KiB.
    pub fn new(topic: &str, partition: i32, shape: &FetchShape) -> Result<FetchFrame> {
        const MARK: i64 = 0x1f3d_5b79_97b5_d3f1;
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(MARK)
            .with_partition_max_bytes(shape.max_bytes);
        let topic = FetchTopic::default()
            .with_topic(name(topic))
            .with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(shape.max_wait_ms)
            .with_min_bytes(shape.min_bytes)
            .with_max_bytes(shape.max_bytes)
            .with_isolation_level(shape.isolation)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let bytes = frame(&request)?;
        let mark = MARK.to_be_bytes();
        let offset_at = bytes.windows(8).position(|window| *window == mark);
        Ok(FetchFrame {
            offset_at: offset_at.context("the offset stands in the frame")?,
            bytes,
        })
    }

    pub fn set_offset(&mut self, offset: i64) {
        self.bytes[self.offset_at..][..8].copy_from_slice(&offset.to_be_bytes());
    }
}

/// The first bytes of `frame` with another correlation id.
pub fn head(frame: &[u8], correlation_id: i32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head.copy_from_slice(&frame[..HEAD]);
    head[CORRELATION_ID_AT..].copy_from_slice(&correlation_id.to_be_bytes());
    head
}

fn frame<R: Request>(request: &R) -> Result<Vec<u8>> {
    self::request(VERSION, request)
}

/// Any request in any version.
///
/// # Errors
/// It does not fit the version, or a frame.
pub fn request<R: Request>(version: i16, request: &R) -> Result<Vec<u8>> {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("load")))
        .encode(&mut bytes, R::header_version(version))?;
    request.encode(&mut bytes, version)?;
    let length = u32::try_from(bytes.len() - 4)?;
    ensure!(length < 1 << 30, "a frame of {length} bytes");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.to_vec())
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fill_what_they_may_and_are_valid() {
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            let batch = Content::default()
                .batch(1024, 65_536, codec)
                .expect("a batch");
            assert!((60_000..=65_536).contains(&batch.bytes.len()), "{codec:?}");
            assert!(
                ottla::protocol::batch::crc_matches(&batch.bytes),
                "{codec:?}"
            );
        }
    }
}
