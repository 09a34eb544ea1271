//! The records of a Produce: v2 batches of every codec, message sets of the old formats, and the
//! payloads alone.

use std::ops::ControlFlow;

use bytes::{BufMut, Bytes};
use ottla::protocol::batch::{
    BatchHeader, BatchOptions, Record, TimestampType, ValidBatch, crc_matches, crc32c,
    for_each_record,
};
use ottla::protocol::compression::{Codec, Compressor, Inflate};
use ottla::protocol::validate::ProduceRules;
use ottla::protocol::varint;

use super::mutate::mutate;
use crate::random::Random;

const NOW: i64 = 1_700_000_000_000;
const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

fn records(random: &mut Random) -> Vec<u8> {
    let values: Vec<Bytes> = (0..1 + random.below(12)).map(|_| random.bytes()).collect();
    let key = random.maybe(Random::bytes);
    let headers = [("trace".as_bytes(), Some(&b"1"[..])), (b"", None)];
    let records: Vec<Record> = values
        .iter()
        .map(|value| Record {
            timestamp: NOW + random.below(5_000) as i64,
            key: key.as_deref(),
            value: random.one_in(9).then_some(&value[..]),
            headers: &headers[..random.below(3) as usize],
        })
        .collect();
    let options = BatchOptions {
        producer_id: random.maybe(|random| random.i64()).unwrap_or(-1),
        transactional: random.one_in(10),
        control: random.one_in(20),
        ..BatchOptions::default()
    };
    ValidBatch::build(&records, &options).to_bytes().to_vec()
}

fn compressed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let packed = Compressor::new(codec, None, usize::MAX).and_then(|mut compressor| {
        compressor.write(bytes)?;
        compressor.finish()
    });
    packed.expect("memory takes it").expect("there is no cap")
}

/// One batch, damaged before or behind the compression or in its header, with a checksum that is
/// mostly right.
pub fn make_batch(random: &mut Random) -> Vec<u8> {
    if random.one_in(10) {
        return message_set(random);
    }
    let mut head = records(random);
    let mut body = head.split_off(BatchHeader::SIZE);
    let codec = CODECS[random.below(5) as usize];
    if random.one_in(3) {
        mutate(&mut body, random);
    }
    if codec != Codec::None {
        body = compressed(codec, &body);
        head[ATTRIBUTES_AT + 1] = head[ATTRIBUTES_AT + 1] & !7 | codec.id() as u8;
    }
    if random.one_in(3) {
        mutate(&mut body, random);
    }
    let mut batch = [head, body].concat();
    let length = batch.len() as i32 - 12;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    if random.one_in(3) {
        mutate(&mut batch, random);
    }
    if batch.len() > ATTRIBUTES_AT && !random.one_in(6) {
        let crc = crc32c(&[&batch[ATTRIBUTES_AT..]]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    }
    batch
}

/// Messages of format 0 or 1, which no client of today may produce.
fn message_set(random: &mut Random) -> Vec<u8> {
    let mut set = Vec::new();
    for offset in 0..1 + random.below(4) {
        let magic = random.below(2) as u8;
        let mut message = vec![magic, random.below(4) as u8];
        if magic == 1 {
            message.put_i64(NOW);
        }
        for field in [random.bytes(), random.bytes()] {
            message.put_i32(field.len() as i32);
            message.extend(field);
        }
        set.put_i64(offset as i64);
        set.put_i32(message.len() as i32 + 4);
        set.put_u32(crc32c(&[&message]));
        set.extend(message);
    }
    mutate(&mut set, random);
    set
}

/// What Produce does with it under some topic's rules, and what look-ups do with stored batches.
pub fn check_batch(bytes: &Bytes) -> bool {
    let mut random = Random::new(crc32c(&[bytes]).into());
    let compression = random.maybe(|random| CODECS[random.below(5) as usize]);
    let rules = ProduceRules {
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 20,
        compacted: random.one_in(4),
        timestamp_type: match random.one_in(4) {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: if random.flip() { i64::MAX } else { 86_400_000 },
        timestamp_after_max_ms: if random.flip() { i64::MAX } else { 3_600_000 },
        compression,
        compression_level: None,
        strict: random.flip(),
        accept_zstd: !random.one_in(8),
    };
    let judged = ValidBatch::from_produce(Some(bytes.clone()), &rules, "t", 0, NOW);
    if let Ok(batch) = &judged {
        let stored = batch.to_bytes();
        assert!(crc_matches(&stored), "accepted with a wrong checksum");
        let header = BatchHeader::read(&stored).expect("a batch has a header");
        assert_eq!(&header, batch.header(), "head and header differ");
        let walked = walk(&stored);
        assert!(
            !rules.strict || walked,
            "strictly accepted and not readable"
        );
    }
    walk(bytes);
    judged.is_ok()
}

/// Reads every field of every record.
fn walk(batch: &[u8]) -> bool {
    let mut bytes = 0;
    let walked = for_each_record(batch, |record| {
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        ControlFlow::Continue(())
    });
    walked.is_ok()
}

/// A codec and what is said to be its payload.
pub fn make_payload(random: &mut Random) -> Vec<u8> {
    let codec = CODECS[1 + random.below(4) as usize];
    let plain: Vec<u8> = match random.one_in(50) {
        true => vec![7; 200_000],
        false => (0..random.below(5)).flat_map(|_| random.bytes()).collect(),
    };
    let mut payload = match random.one_in(8) {
        // Raw snappy says its own length first.
        true if codec == Codec::Snappy => {
            let mut raw = Vec::new();
            varint::put_unsigned(&mut raw, random.next() as u32 >> random.below(32));
            raw.extend(random.bytes());
            raw
        }
        _ => compressed(codec, &plain),
    };
    mutate(&mut payload, random);
    payload.insert(0, codec.id() as u8);
    payload
}

/// Inflates it as far as it goes, within the bound for a message of 1 MiB.
pub fn check_payload(bytes: &Bytes) -> bool {
    let Some((&codec, payload)) = bytes.split_first() else {
        return false;
    };
    let Some(codec) = Codec::from_id(codec.into()) else {
        return false;
    };
    let limit = ottla::protocol::compression::max_inflated(1 << 20);
    let Ok(mut inflate) = Inflate::new(codec, payload, limit) else {
        return false;
    };
    let mut out = vec![0; 64 << 10];
    loop {
        match inflate.read(&mut out) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
