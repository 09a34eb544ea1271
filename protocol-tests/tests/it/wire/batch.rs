//! Record batches by hand: what a producer would send, and everything it should not.
//!
//! Every field of the header can be set to a lie; the length and the CRC follow the truth unless a
//! test overwrites them in the bytes.

use std::io::Write;

use bytes::{Buf, BufMut, Bytes};

/// Bytes of the header, from the base offset to the record count.
pub const HEADER_SIZE: usize = 61;
/// Bytes that the length field does not count: base offset and the length itself.
pub const PREFIX_SIZE: usize = 12;
pub const LENGTH_AT: usize = 8;
pub const MAGIC_AT: usize = 16;
pub const CRC_AT: usize = 17;
/// The CRC covers from here to the end.
pub const ATTRIBUTES_AT: usize = 21;

pub const GZIP: i16 = 1;
pub const SNAPPY: i16 = 2;
pub const LZ4: i16 = 3;
pub const ZSTD: i16 = 4;
pub const LOG_APPEND_TIME: i16 = 8;
pub const CONTROL: i16 = 32;

/// Create time of test batches unless they say otherwise, in ms since the epoch: in the past on
/// every machine. Test topics keep their records regardless of age.
pub const T0: i64 = 1_700_000_000_000;

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Option<&'static str>, Option<&'static [u8]>)>,
}

impl Record {
    pub fn new(key: &str, value: &str) -> Record {
        Record {
            key: Some(key.into()),
            value: Some(value.into()),
            ..Record::default()
        }
    }

    /// As it stands in a batch: its length, then its fields.
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = vec![0]; // attributes, unused
        put_varint(&mut body, self.timestamp_delta);
        put_varint(&mut body, i64::from(self.offset_delta));
        put_sized(&mut body, self.key.as_deref());
        put_sized(&mut body, self.value.as_deref());
        put_varint(&mut body, self.headers.len() as i64);
        for (key, value) in &self.headers {
            put_sized(&mut body, key.map(str::as_bytes));
            put_sized(&mut body, *value);
        }
        let mut bytes = Vec::new();
        put_varint(&mut bytes, body.len() as i64);
        bytes.extend(body);
        bytes
    }
}

/// A batch to send. `payload` is everything behind the header: records, perhaps compressed.
#[derive(Clone, Debug)]
pub struct Batch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub magic: i8,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
    pub payload: Vec<u8>,
}

impl Batch {
    /// Uncompressed, created at [`T0`], by no producer. Offset deltas are filled in.
    pub fn of(records: &[Record]) -> Batch {
        let records = (0..).zip(records).map(|(offset_delta, record)| Record {
            offset_delta,
            ..record.clone()
        });
        let records: Vec<Record> = records.collect();
        let latest = records.iter().map(|r| r.timestamp_delta).max();
        let count = i32::try_from(records.len()).expect("test batches are small");
        Batch {
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: T0,
            max_timestamp: T0 + latest.unwrap_or(0),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count,
            payload: records.iter().flat_map(Record::bytes).collect(),
        }
    }

    /// `count` records `k0 v0`, `k1 v1`, …
    pub fn numbered(count: usize) -> Batch {
        let record = |i| Record::new(&format!("k{i}"), &format!("v{i}"));
        Batch::of(&(0..count).map(record).collect::<Vec<_>>())
    }

    /// One record with a value of that many bytes.
    pub fn sized(value: usize) -> Batch {
        Batch::of(&[Record {
            key: Some(b"k".to_vec()),
            value: Some(vec![b'v'; value]),
            ..Record::default()
        }])
    }

    pub fn by_producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Batch {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Every record at `timestamp` (ms).
    pub fn created_at(mut self, timestamp: i64) -> Batch {
        let span = self.max_timestamp - self.base_timestamp;
        self.base_timestamp = timestamp;
        self.max_timestamp = timestamp + span;
        self
    }

    /// The same batch with its records compressed in the form the Java client writes.
    pub fn compressed(self, codec: i16) -> Batch {
        let payload = match codec {
            GZIP => gzip(&self.payload),
            SNAPPY => xerial(&self.payload, 1, 1),
            LZ4 => lz4(&self.payload),
            ZSTD => zstd(&self.payload),
            other => panic!("no codec {other}"),
        };
        self.with_payload(codec, payload)
    }

    /// The same header over other bytes, marked as `codec`.
    pub fn with_payload(mut self, codec: i16, payload: Vec<u8>) -> Batch {
        self.attributes |= codec;
        self.payload = payload;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_SIZE + self.payload.len());
        bytes.put_i64(self.base_offset);
        bytes.put_i32((HEADER_SIZE - PREFIX_SIZE + self.payload.len()) as i32);
        bytes.put_i32(self.leader_epoch);
        bytes.put_i8(self.magic);
        bytes.put_u32(0); // the CRC, below
        bytes.put_i16(self.attributes);
        bytes.put_i32(self.last_offset_delta);
        bytes.put_i64(self.base_timestamp);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.producer_id);
        bytes.put_i16(self.producer_epoch);
        bytes.put_i32(self.base_sequence);
        bytes.put_i32(self.count);
        bytes.extend(&self.payload);
        let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

/// A batch as it came out of a Fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub crc_is_right: bool,
    pub bytes: Bytes,
}

impl Stored {
    pub fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_SIZE..]
    }

    pub fn codec(&self) -> i16 {
        self.attributes & 7
    }

    pub fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta) + 1
    }
}

/// All batches in the records of an answer, which must be whole.
#[track_caller]
pub fn stored(mut records: Bytes) -> Vec<Stored> {
    let mut batches = Vec::new();
    while !records.is_empty() {
        assert!(records.len() >= HEADER_SIZE, "{} bytes", records.len());
        let size = PREFIX_SIZE + (&records[LENGTH_AT..]).get_u32() as usize;
        assert!(records.len() >= size, "{} of {size} bytes", records.len());
        let bytes = records.split_to(size);
        let crc = (&bytes[CRC_AT..]).get_u32();
        batches.push(Stored {
            base_offset: (&bytes[..]).get_i64(),
            leader_epoch: (&bytes[12..]).get_i32(),
            attributes: (&bytes[ATTRIBUTES_AT..]).get_i16(),
            last_offset_delta: (&bytes[23..]).get_i32(),
            max_timestamp: (&bytes[35..]).get_i64(),
            producer_id: (&bytes[43..]).get_i64(),
            crc_is_right: crc == crc32c(&bytes[ATTRIBUTES_AT..]),
            bytes,
        });
    }
    batches
}

pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).expect("any bytes can be compressed")
}

/// One snappy block without a frame, as librdkafka sends it.
pub fn raw_snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .expect("any bytes can be compressed")
}

/// snappy-java's frame around one block. Java writes the versions 1, 1.
pub fn xerial(bytes: &[u8], version: i32, compatible: i32) -> Vec<u8> {
    let block = raw_snappy(bytes);
    let mut framed = b"\x82SNAPPY\0".to_vec();
    framed.put_i32(version);
    framed.put_i32(compatible);
    framed.put_i32(block.len() as i32);
    framed.extend(block);
    framed
}

pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_sized(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |b| b.len() as i64));
    out.extend(bytes.unwrap_or_default());
}
