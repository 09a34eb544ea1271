//! What a client cannot see: the batches of a partition as they are stored. A client may drop
//! compression in silence, so "the records came back" does not prove that a codec was used.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Before sessions (7) and topic ids (13): a request is a name and an offset.
const FETCH_VERSION: i16 = 4;
/// Bytes of a batch that its length field does not count: base offset and length itself.
const BATCH_PREFIX: usize = 12;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
/// Where the records begin.
const BATCH_HEADER: usize = 61;
const CODEC_MASK: u16 = 0b111;

/// One batch of a partition.
pub struct StoredBatch {
    pub codec: u16,
    /// In bytes, the prefix included.
    pub length: usize,
    /// The records, compressed as they are.
    pub payload: Bytes,
}

/// The codec ids in `batches`, in the order in which they first appear.
pub fn codecs(batches: &[StoredBatch]) -> Vec<u16> {
    let mut seen = Vec::new();
    for batch in batches {
        if !seen.contains(&batch.codec) {
            seen.push(batch.codec);
        }
    }
    seen
}

/// All batches in partition 0 of `topic`.
pub fn read(bootstrap: &str, topic: &str) -> Result<Vec<StoredBatch>> {
    let mut stream = TcpStream::connect(bootstrap)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut stored = Vec::new();
    let mut next_offset = 0;
    loop {
        let mut batches = fetch(&mut stream, topic, next_offset)?;
        if batches.is_empty() {
            return Ok(stored);
        }
        while let Some(batch) = split_off_batch(&mut batches) {
            let last_offset_delta = (&batch[LAST_OFFSET_DELTA_AT..]).get_i32();
            next_offset = (&batch[..]).get_i64() + i64::from(last_offset_delta) + 1;
            stored.push(StoredBatch {
                codec: (&batch[ATTRIBUTES_AT..]).get_u16() & CODEC_MASK,
                length: batch.len(),
                payload: batch.slice(BATCH_HEADER..),
            });
        }
    }
}

fn fetch(stream: &mut TcpStream, topic: &str, offset: i64) -> Result<Bytes> {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Fetch as i16)
        .with_request_api_version(FETCH_VERSION);
    let mut frame = BytesMut::new();
    header.encode(
        &mut frame,
        ApiKey::Fetch.request_header_version(FETCH_VERSION),
    )?;
    request.encode(&mut frame, FETCH_VERSION)?;
    stream.write_all(&u32::try_from(frame.len())?.to_be_bytes())?;
    stream.write_all(&frame)?;

    let mut answer = read_frame(stream)?;
    ResponseHeader::decode(
        &mut answer,
        ApiKey::Fetch.response_header_version(FETCH_VERSION),
    )?;
    let response = FetchResponse::decode(&mut answer, FETCH_VERSION)?;
    let partition = response
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .next()
        .context("Fetch answered without the partition")?;
    ensure!(
        partition.error_code == 0,
        "Fetch answered error {}",
        partition.error_code
    );
    Ok(partition.records.unwrap_or_default())
}

fn read_frame(stream: &mut TcpStream) -> Result<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame.into())
}

/// None at the end and at a batch that the size limit of the answer has cut.
fn split_off_batch(batches: &mut Bytes) -> Option<Bytes> {
    let length = batches.get(8..BATCH_PREFIX)?.get_u32() as usize;
    (batches.len() >= BATCH_PREFIX + length).then(|| batches.split_to(BATCH_PREFIX + length))
}
