//! Record batches as they are stored and served (R220–R228).

use flate2::write::GzEncoder;
use std::io::Write;

use super::batch::{
    Batch, GZIP, HEADER_SIZE, LOG_APPEND_TIME, LZ4, Record, SNAPPY, ZSTD, gzip, lz4, raw_snappy,
    xerial, zstd,
};
use super::calls::{Topic, fetch_request, produce_request};
use super::{Subject, subject};

const CODECS: [i16; 5] = [0, GZIP, SNAPPY, LZ4, ZSTD];

fn encoded(batch: Batch, codec: i16) -> Batch {
    if codec == 0 {
        batch
    } else {
        batch.compressed(codec)
    }
}

/// A topic for which the broker must look into compressed batches (R221).
fn compacted(subject: &Subject) -> Topic {
    subject.topic_with("compacted", 1, &[("cleanup.policy", "compact")])
}

#[test]
fn r220_a_batch_is_stored_as_received_but_for_offset_and_epoch() {
    let subject = subject();
    let topic = subject.topic("r220");
    let mut client = subject.connect();
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    for codec in CODECS {
        let sent = encoded(Batch::numbered(3), codec).bytes();
        let got = client.produce_bytes(&topic, sent.clone());
        assert_eq!(got.error_code, 0, "codec {codec}");
        for version in 4..=18 {
            let request = fetch_request(version, &topic, got.base_offset);
            let fetched = client.fetch_one(version, &request);
            let batches = super::batch::stored(fetched.records.expect("records"));
            assert_eq!(batches.len(), 1);
            let stored = &batches[0];
            assert_eq!(stored.base_offset, got.base_offset);
            assert_eq!(stored.leader_epoch, epoch);
            // Behind base offset, length and leader epoch nothing has changed.
            assert_eq!(stored.bytes[8..12], sent[8..12], "codec {codec}");
            assert_eq!(stored.bytes[16..], sent[16..], "codec {codec} v{version}");
        }
    }
}

#[test]
fn r220_log_append_time_marks_the_header_and_leaves_the_records() {
    let subject = subject();
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let topic = subject.topic_with("r220", 1, &configs);
    let mut client = subject.connect();
    for codec in CODECS {
        let batch = encoded(Batch::numbered(3), codec);
        let got = client.produce(&topic, &batch);
        assert_eq!(got.error_code, 0, "codec {codec}");
        let stored = client.batches(&topic, got.base_offset).remove(0);
        assert_eq!(stored.attributes, codec | LOG_APPEND_TIME);
        assert_eq!(stored.max_timestamp, got.log_append_time_ms);
        assert!(stored.crc_is_right, "codec {codec}");
        assert_eq!(stored.payload(), batch.payload, "codec {codec}");
        assert_eq!(stored.next_offset() - stored.base_offset, 3);
    }
}

#[test]
fn r221_a_compressed_batch_is_believed_unless_there_is_a_reason_to_look() {
    let subject = subject();
    let mut client = subject.connect();
    let garbage = || Batch::numbered(3).with_payload(GZIP, vec![0x55; 40]);
    let got = client.produce(&subject.topic("r221"), &garbage());
    assert_eq!(got.error_code, subject.differs(0, -1), "{got:?}");
    let configs = [("message.timestamp.before.max.ms", "9000000000000")];
    for topic in [compacted(&subject), subject.topic_with("r221", 1, &configs)] {
        let got = client.produce(&topic, &garbage());
        assert_eq!(got.error_code, subject.differs(2, -1), "{got:?}");
        assert_eq!(client.log_end_offset(&topic), 0);
    }
}

#[test]
fn r222_unknown_codecs_are_refused() {
    let subject = subject();
    let topic = subject.topic("r222");
    let mut client = subject.connect();
    for codec in 5..=7 {
        let batch = Batch::numbered(1).with_payload(codec, vec![1, 2, 3]);
        let got = client.produce(&topic, &batch);
        assert_eq!(got.error_code, subject.differs(76, -1), "codec {codec}");
        assert_eq!(got.base_offset, -1, "codec {codec}");
        let log_start = subject.differs(-1, 0);
        assert_eq!(got.log_start_offset, log_start, "codec {codec}");
    }
    assert_eq!(client.log_end_offset(&topic), 0);
}

#[test]
fn r222_an_undecodable_payload_is_corrupt() {
    let subject = subject();
    let topic = compacted(&subject);
    let mut client = subject.connect();
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        let mut cut = Batch::numbered(50).compressed(codec);
        cut.payload.truncate(cut.payload.len() / 2);
        let noise = Batch::numbered(3).with_payload(codec, vec![0xee; 40]);
        for batch in [cut, noise] {
            let got = client.produce(&topic, &batch);
            // What is cut may still inflate to something, which then lacks records: 87.
            let ours = [2, 87].contains(&got.error_code);
            assert!(subject.differs(ours, true), "codec {codec}: {got:?}");
            assert_ne!(got.error_code, 0, "codec {codec}: {got:?}");
        }
    }
    assert_eq!(client.log_end_offset(&topic), 0);
}

/// Every way to write three records must be readable where the broker has to read them.
#[track_caller]
fn expect_readable(subject: &Subject, codec: i16, forms: &[(&str, Vec<u8>)]) {
    let topic = compacted(subject);
    let mut client = subject.connect();
    for (what, payload) in forms {
        let batch = Batch::numbered(3).with_payload(codec, payload.clone());
        let got = client.produce(&topic, &batch);
        assert_eq!(got.error_code, 0, "{what}: {got:?}");
        let stored = client.batches(&topic, got.base_offset).remove(0);
        assert_eq!(stored.payload(), payload, "{what}: stored as received");
        assert_eq!(stored.codec(), codec, "{what}");
    }
}

#[test]
fn r223_snappy_comes_raw_or_framed_with_any_version() {
    let records = Batch::numbered(3).payload;
    let (first, second) = records.split_at(records.len() / 2);
    let mut blocks = xerial(first, 1, 1);
    blocks.extend(&xerial(second, 1, 1)[16..]);
    expect_readable(
        &subject(),
        SNAPPY,
        &[
            ("raw", raw_snappy(&records)),
            ("framed", xerial(&records, 1, 1)),
            ("framed, two blocks", blocks),
            // kafka-python wrote the version fields in the wrong byte order.
            ("framed by kafka-python", xerial(&records, 1 << 24, 1 << 24)),
        ],
    );
}

#[test]
fn r224_gzip_comes_in_members_and_with_bytes_behind() {
    let records = Batch::numbered(3).payload;
    let (first, second) = records.split_at(records.len() / 2);
    let mut stored_only = GzEncoder::new(Vec::new(), flate2::Compression::none());
    stored_only.write_all(&records).expect("a Vec takes all");
    expect_readable(
        &subject(),
        GZIP,
        &[
            ("plain", gzip(&records)),
            ("two members", [gzip(first), gzip(second)].concat()),
            ("bytes behind", [gzip(&records), vec![0; 7]].concat()),
            ("not compressed", stored_only.finish().expect("a Vec")),
        ],
    );
}

fn lz4_with(records: &[u8], frame: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(records).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

#[test]
fn r224_lz4_comes_with_and_without_content_size_and_checksums() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let records = Batch::numbered(3).payload;
    let java = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let with_size = java.clone().content_size(Some(records.len() as u64));
    let checked = java.clone().content_checksum(true).block_checksums(true);
    expect_readable(
        &subject(),
        LZ4,
        &[
            ("as Java", lz4_with(&records, java)),
            ("with content size", lz4_with(&records, with_size)),
            ("with checksums", lz4_with(&records, checked)),
            ("the crate's default", lz4(&records)),
        ],
    );
}

#[test]
fn r224_linked_lz4_blocks_are_readable() {
    use lz4_flex::frame::{BlockMode, FrameInfo};
    let subject = subject();
    let topic = compacted(&subject);
    let batch = Batch::sized(200_000);
    let linked = FrameInfo::new().block_mode(BlockMode::Linked);
    let payload = lz4_with(&batch.payload, linked);
    let got = subject
        .connect()
        .produce(&topic, &batch.with_payload(LZ4, payload));
    assert_eq!(got.error_code, subject.differs(0, -1), "{got:?}");
}

#[test]
fn r224_zstd_comes_in_frames() {
    let records = Batch::numbered(3).payload;
    let (first, second) = records.split_at(records.len() / 2);
    let streamed = ::zstd::stream::encode_all(&records[..], 1).expect("a Vec");
    expect_readable(
        &subject(),
        ZSTD,
        &[
            ("one frame", zstd(&records)),
            ("without content size", streamed),
            ("two frames", [zstd(first), zstd(second)].concat()),
        ],
    );
}

#[test]
fn r225_zstd_needs_produce_7() {
    let subject = subject();
    let topic = subject.topic("r225");
    let mut client = subject.connect();
    for version in 3..=13 {
        let records = Some(Batch::numbered(1).compressed(ZSTD).bytes().into());
        let request = produce_request(version, &topic, &[(0, records)]);
        let got = client.produce_one(version, &request);
        let expected = if version < 7 { 76 } else { 0 };
        assert_eq!(got.error_code, expected, "v{version}");
    }
}

#[test]
fn r225_zstd_is_served_as_stored_to_every_fetch_version() {
    let subject = subject();
    let configs = [("compression.type", "zstd")];
    let topic = subject.topic_with("r225", 1, &configs);
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3).compressed(ZSTD));
    for version in 4..=18 {
        let got = client.fetch_one(version, &fetch_request(version, &topic, 0));
        assert_eq!(got.error_code, 0, "v{version}");
        let batches = super::batch::stored(got.records.expect("records"));
        assert_eq!(batches[0].codec(), ZSTD, "v{version}");
    }
}

#[test]
fn r226_the_topics_codec_wins() {
    let subject = subject();
    for (name, id) in [
        ("uncompressed", 0),
        ("gzip", GZIP),
        ("snappy", SNAPPY),
        ("lz4", LZ4),
        ("zstd", ZSTD),
    ] {
        let topic = subject.topic_with("r226", 1, &[("compression.type", name)]);
        let mut client = subject.connect();
        let producer = client.producer_id();
        for codec in CODECS {
            let plain = Batch::numbered(20);
            let sequence = client.log_end_offset(&topic) as i32;
            let batch = encoded(plain.clone(), codec).by_producer(producer, 0, sequence);
            let got = client.produce(&topic, &batch);
            assert_eq!(got.error_code, 0, "{codec} to {name}: {got:?}");
            let stored = client.batches(&topic, got.base_offset).remove(0);
            assert_eq!(stored.codec(), id, "{codec} to {name}");
            assert!(stored.crc_is_right, "{codec} to {name}");
            assert_eq!(stored.producer_id, producer, "{codec} to {name}");
            assert_eq!(stored.max_timestamp, plain.max_timestamp);
            assert_eq!(stored.next_offset() - stored.base_offset, 20);
            if codec == id {
                assert_eq!(stored.payload(), batch.payload, "left as it was");
            } else if id == 0 {
                assert_eq!(stored.payload(), plain.payload, "{codec} to {name}");
            } else if id == GZIP {
                let mut records = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(stored.payload());
                std::io::Read::read_to_end(&mut decoder, &mut records).expect("gzip");
                assert_eq!(records, plain.payload, "{codec} to {name}");
            }
        }
    }
}

#[test]
fn r228_headers_keep_order_and_duplicates_and_null_is_not_empty() {
    let subject = subject();
    let headers: Vec<(Option<&str>, Option<&[u8]>)> = vec![
        (Some("b"), Some(b"1")),
        (Some("a"), None),
        (Some("b"), Some(b"")),
        (Some(""), Some(b"2")),
        (Some("b"), Some(b"1")),
    ];
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let records: Vec<Record> = [
        (some(b""), some(b"")),
        (some(b""), None),
        (None, some(b"")),
        (None, None),
    ]
    .into_iter()
    .map(|(key, value)| Record {
        key,
        value,
        headers: headers.clone(),
        ..Record::default()
    })
    .collect();
    let topic = subject.topic("r228");
    let mut client = subject.connect();
    for codec in CODECS {
        let batch = encoded(Batch::of(&records), codec);
        let offset = client.append(&topic, &batch);
        let stored = client.batches(&topic, offset).remove(0);
        assert_eq!(stored.bytes[HEADER_SIZE..], batch.payload, "codec {codec}");
    }
    // Empty keys satisfy a compacted topic; null ones do not (R57).
    let topic = compacted(&subject);
    client.append(&topic, &Batch::of(&records[..2]));
    let got = client.produce(&topic, &Batch::of(&records[2..]));
    assert_eq!(got.error_code, 87);
}
