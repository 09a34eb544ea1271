//! One batch per scenario, altered where the scenario says so, and the verdict as text.

use std::ops::ControlFlow;

use expect_test::expect;

use super::*;
use crate::protocol::batch::{BatchOptions, Record, crc32c, for_each_record};
use crate::protocol::compression::tests::compress;

const NOW: Millis = 1_000_000_000_000;

const RULES: ProduceRules = ProduceRules {
    max_message_bytes: 1_048_588,
    segment_bytes: 1 << 30,
    compacted: false,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    compression: None,
    compression_level: None,
    strict: false,
    accept_zstd: true,
};

fn record(key: Option<&'static str>, timestamp: Millis) -> Record<'static> {
    Record {
        timestamp,
        key: key.map(str::as_bytes),
        value: Some(b"value"),
        headers: &[(b"h", Some(b"1")), (b"h", None)],
    }
}

/// Two records with keys, sent now.
fn two() -> Vec<u8> {
    let records = [record(Some("a"), NOW), record(Some("b"), NOW)];
    ValidBatch::build(&records, &BatchOptions::default())
        .to_bytes()
        .to_vec()
}

/// `bytes` with `change` applied and the CRC made right again.
fn altered(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    let length = (bytes.len() - 12) as u32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&[&bytes[21..]]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn header_altered(change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    altered(two(), |bytes| {
        let mut header = BatchHeader::read(bytes).unwrap();
        change(&mut header);
        let mut head = [0; 61];
        header.write(&mut head);
        bytes[..61].copy_from_slice(&head);
    })
}

/// The same records under another codec, as its producer would send them.
fn compressed(bytes: &[u8], codec: Codec) -> Vec<u8> {
    altered(bytes.to_vec(), |bytes| {
        let body = compress(codec, None, &bytes[61..]);
        bytes[22] |= codec.id() as u8;
        bytes.truncate(61);
        bytes.extend(body);
    })
}

fn produce(bytes: &[u8], rules: &ProduceRules) -> Result<ValidBatch, Rejection> {
    let records = Some(Bytes::copy_from_slice(bytes));
    ValidBatch::from_produce(records, rules, "t", 0, NOW)
}

fn verdict(bytes: &[u8], rules: &ProduceRules) -> String {
    match produce(bytes, rules) {
        Ok(batch) => {
            assert!(crc_matches(&batch.to_bytes()), "an accepted batch is whole");
            format!("accepted, {} bytes", batch.size())
        }
        Err(rejection) => {
            let whom = match rejection.found_by_log {
                true => "by the log",
                false => "before the log",
            };
            let mut text = format!("{} {whom}", rejection.error.code.code());
            if let Some(message) = rejection.error.message {
                text += &format!("\n  {message}");
            }
            for (index, message) in rejection.record_errors {
                text += &format!("\n  [{index}] {}", message.unwrap_or_default());
            }
            text
        }
    }
}

fn all_verdicts(cases: &[(&str, Vec<u8>)]) -> String {
    cases
        .iter()
        .map(|(name, bytes)| format!("{name}: {}\n", verdict(bytes, &RULES)))
        .collect()
}

#[test]
fn r55_what_is_no_single_v2_batch_is_refused_before_the_log() {
    let whole = two();
    let magic = |magic: i8| header_altered(|header| header.magic = magic);
    let behind = |tail: &[u8]| [&whole[..], tail].concat();
    let mut short_length = whole.clone();
    short_length[8..12].copy_from_slice(&13i32.to_be_bytes());
    let cases = [
        ("nothing", vec![]),
        ("eleven bytes", vec![0; 11]),
        ("length 13", short_length),
        ("sixteen bytes of a batch", whole[..16].to_vec()),
        ("one byte short", whole[..whole.len() - 1].to_vec()),
        ("magic 0", magic(0)),
        ("magic 1", magic(1)),
        ("magic 3", magic(3)),
        ("magic -1", magic(-1)),
        ("two batches", behind(&whole)),
        ("a stray byte behind", behind(&[0])),
        ("20 zero bytes behind", behind(&[0; 20])),
        ("most of a second batch behind", behind(&whole[..70])),
    ];
    expect![[r#"
        nothing: 87 before the log
        eleven bytes: 87 before the log
        length 13: 2 before the log
          Record size 13 is less than the minimum record overhead (14)
        sixteen bytes of a batch: 87 before the log
        one byte short: 87 before the log
        magic 0: 87 before the log
        magic 1: 87 before the log
        magic 3: 2 before the log
          Invalid magic found in record: 3
        magic -1: 2 before the log
          Invalid magic found in record: -1
        two batches: 87 before the log
        a stray byte behind: accepted, 101 bytes
        20 zero bytes behind: 2 before the log
          Record size 0 is less than the minimum record overhead (14)
        most of a second batch behind: accepted, 101 bytes
    "#]]
    .assert_eq(&all_verdicts(&cases));
}

#[test]
fn r55_a_null_records_field_is_refused_like_an_empty_one() {
    let got = ValidBatch::from_produce(None, &RULES, "t", 0, NOW).unwrap_err();
    assert_eq!(got.error, ResponseError::InvalidRecord.into());
    assert!(!got.found_by_log);
}

#[test]
fn r55_what_the_log_finds_is_refused_with_87_and_nothing_else() {
    let body_end = |change: fn(&mut Vec<u8>)| altered(two(), change);
    let cases = [
        ("base offset 1", header_altered(|h| h.base_offset = 1)),
        ("no records", header_altered(|h| h.record_count = 0)),
        (
            "no records, last delta -1",
            header_altered(|h| (h.record_count, h.last_offset_delta) = (0, -1)),
        ),
        ("count 3", header_altered(|h| h.record_count = 3)),
        (
            "count and last delta too large",
            header_altered(|h| (h.record_count, h.last_offset_delta) = (3, 2)),
        ),
        (
            "count and last delta too small",
            header_altered(|h| (h.record_count, h.last_offset_delta) = (1, 0)),
        ),
        (
            "largest count",
            header_altered(|h| h.record_count = i32::MAX),
        ),
        ("control batch", header_altered(|h| h.attributes = 0x20)),
        (
            "producer without sequence",
            header_altered(|h| h.producer_id = 5),
        ),
        ("a byte left over", body_end(|bytes| bytes.push(0))),
        ("a byte missing", body_end(|bytes| bytes.truncate(100))),
        ("record length 0", body_end(|bytes| bytes[61] = 0)),
        ("record length -1", body_end(|bytes| bytes[61] = 1)),
        ("offset delta 1 first", body_end(|bytes| bytes[64] = 2)),
        ("header count -1", body_end(|bytes| bytes[73] = 1)),
        ("null header key", body_end(|bytes| bytes[74] = 1)),
    ];
    expect![[r#"
        base offset 1: 87 by the log
        no records: 87 by the log
        no records, last delta -1: 87 by the log
        count 3: 87 by the log
        count and last delta too large: 87 by the log
        count and last delta too small: 87 by the log
        largest count: 87 by the log
        control batch: 87 by the log
        producer without sequence: 87 by the log
        a byte left over: 87 by the log
        a byte missing: 87 by the log
        record length 0: 87 by the log
        record length -1: 87 by the log
        offset delta 1 first: 87 by the log
        header count -1: 87 by the log
        null header key: 87 by the log
    "#]]
    .assert_eq(&all_verdicts(&cases));
}

#[test]
fn r55_odd_but_harmless_fields_are_taken_as_sent() {
    let cases = [
        (
            "leader epoch 7",
            header_altered(|h| h.partition_leader_epoch = 7),
        ),
        (
            "unused attribute bits",
            header_altered(|h| h.attributes = 0x7f80),
        ),
        (
            "delete horizon bit",
            header_altered(|h| h.attributes = 0x40),
        ),
        (
            "producer with epoch -1",
            header_altered(|h| (h.producer_id, h.base_sequence) = (5, 0)),
        ),
        (
            "sequence without producer",
            header_altered(|h| h.base_sequence = 5),
        ),
        (
            "epoch without producer",
            header_altered(|h| h.producer_epoch = 5),
        ),
        (
            "record attributes",
            altered(two(), |bytes| bytes[62] = 0xff),
        ),
    ];
    for (name, bytes) in cases {
        let batch = produce(&bytes, &RULES).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(batch.to_bytes(), bytes, "{name}");
    }
}

#[test]
fn r56_size_is_judged_before_the_crc_and_equal_passes() {
    let bytes = two();
    let mut broken = bytes.clone();
    broken[70] ^= 1;
    let size = bytes.len() as i32;
    let rules = |max_message_bytes, segment_bytes| ProduceRules {
        max_message_bytes,
        segment_bytes,
        ..RULES
    };
    let got = [
        verdict(&bytes, &rules(size, size)),
        verdict(&bytes, &rules(size - 1, size)),
        verdict(&bytes, &rules(size, size - 1)),
        verdict(&broken, &rules(size, size)),
        verdict(&broken, &rules(size - 1, size)),
    ];
    expect![[r#"
        accepted, 101 bytes
        10 before the log
        18 before the log
        2 before the log
        10 before the log"#]]
    .assert_eq(&got.join("\n"));
}

#[test]
fn r57_a_compacted_topic_names_every_record_without_key() {
    let keys = [None, Some("b"), None, None, None];
    let records: Vec<_> = keys.map(|key| record(key, NOW)).into();
    let bytes = ValidBatch::build(&records, &BatchOptions::default()).to_bytes();
    let compacted = ProduceRules {
        compacted: true,
        ..RULES
    };
    expect![[r#"
        87 by the log
          One or more records have been rejected due to 4 record errors in total, and only showing the first three errors at most: [RecordError(batchIndex=0, message='Compacted topic cannot accept message without key in topic partition t-0'), RecordError(batchIndex=2, message='Compacted topic cannot accept message without key in topic partition t-0'), RecordError(batchIndex=3, message='Compacted topic cannot accept message without key in topic partition t-0')]
          [0] Compacted topic cannot accept message without key in topic partition t-0
          [2] Compacted topic cannot accept message without key in topic partition t-0
          [3] Compacted topic cannot accept message without key in topic partition t-0
          [4] Compacted topic cannot accept message without key in topic partition t-0"#]].assert_eq(&verdict(&bytes, &compacted));
    // An empty key is a key (R228), and a compressed batch is judged alike (R221).
    assert!(produce(&bytes, &RULES).is_ok());
    let empty = [record(Some(""), NOW)];
    let empty = ValidBatch::build(&empty, &BatchOptions::default()).to_bytes();
    assert!(produce(&empty, &compacted).is_ok());
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let inflated = verdict(&compressed(&bytes, codec), &compacted);
        assert_eq!(inflated, verdict(&bytes, &compacted));
    }
}

#[test]
fn r58_a_timestamp_outside_the_bounds_is_named_with_them() {
    let records = [record(None, NOW), record(None, NOW + 3_600_001)];
    let late = ValidBatch::build(&records, &BatchOptions::default()).to_bytes();
    expect![[r#"
        32 by the log
          One or more records have been rejected due to invalid timestamp
          [1] Timestamp 1000003600001 of message with offset 1 is out of range. The timestamp should be within [-9223371036854775807, 1000003600000]"#]].assert_eq(&verdict(&late, &RULES));
    let records = [record(None, NOW - 11), record(None, NOW - 10)];
    let early = ValidBatch::build(&records, &BatchOptions::default()).to_bytes();
    let rules = ProduceRules {
        timestamp_before_max_ms: 10,
        ..RULES
    };
    expect![[r#"
        32 by the log
          One or more records have been rejected due to invalid timestamp
          [0] Timestamp 999999999989 of message with offset 0 is out of range. The timestamp should be within [999999999990, 1000003600000]"#]].assert_eq(&verdict(&early, &rules));
    // A lower bound inflates (R221); without one the header decides, and names no record.
    assert_eq!(
        verdict(&compressed(&early, Codec::Gzip), &rules),
        verdict(&early, &rules)
    );
    expect!["32 by the log"].assert_eq(&verdict(&compressed(&late, Codec::Gzip), &RULES));
}

#[test]
fn r58_negative_and_absent_timestamps_pass() {
    let rules = ProduceRules {
        timestamp_before_max_ms: 10,
        ..RULES
    };
    let bytes = |timestamp| {
        ValidBatch::build(&[record(None, timestamp)], &BatchOptions::default()).to_bytes()
    };
    assert!(produce(&bytes(-5), &RULES).is_ok());
    assert!(produce(&bytes(-1), &rules).is_ok());
    assert!(produce(&bytes(NOW - 11), &rules).is_err());
    let append_time = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules
    };
    assert!(produce(&bytes(0), &append_time).is_ok());
}

#[test]
fn r58_a_producer_may_not_claim_log_append_time() {
    let claimed = header_altered(|h| h.attributes = 0x08);
    let append_time = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..RULES
    };
    expect![[r#"
        32 by the log
          One or more records have been rejected due to invalid timestamp
          [0] Invalid timestamp type in message with offset 0. Producer should not set timestamp type to LogAppendTime.
          [1] Invalid timestamp type in message with offset 1. Producer should not set timestamp type to LogAppendTime."#]].assert_eq(&verdict(&claimed, &append_time));
    // On a CreateTime topic Kafka takes the bit away and keeps the records' own times.
    let batch = produce(&claimed, &RULES).unwrap();
    assert!(!batch.header().is_log_append_time());
    assert!(crc_matches(&batch.to_bytes()));
}

#[test]
fn a_walked_batch_gets_the_max_timestamp_its_records_have() {
    let batch = produce(&header_altered(|h| h.max_timestamp = 5), &RULES).unwrap();
    assert_eq!(batch.header().max_timestamp, NOW);
    assert!(crc_matches(&batch.to_bytes()));
}

#[test]
fn r221_a_compressed_batch_is_inflated_only_where_a_rule_needs_it() {
    let garbage = altered(compressed(&two(), Codec::Gzip), |bytes| bytes[61] = 0);
    let verdict_under = |rules: ProduceRules| verdict(&garbage, &rules);
    assert!(verdict_under(RULES).starts_with("accepted"));
    let inflating = [
        ProduceRules {
            compacted: true,
            ..RULES
        },
        ProduceRules {
            strict: true,
            ..RULES
        },
        ProduceRules {
            timestamp_before_max_ms: 1,
            ..RULES
        },
        ProduceRules {
            compression: Some(Codec::Zstd),
            ..RULES
        },
        ProduceRules {
            compression: Some(Codec::None),
            ..RULES
        },
    ];
    for rules in inflating {
        assert!(rules.inflates(Codec::Gzip));
        assert_eq!(verdict_under(rules), "2 before the log", "{rules:?}");
    }
    let same = ProduceRules {
        compression: Some(Codec::Gzip),
        ..RULES
    };
    assert!(verdict_under(same).starts_with("accepted"));
}

#[test]
fn r221_strict_validation_walks_inside_compressed_batches() {
    let strict = ProduceRules {
        strict: true,
        ..RULES
    };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let good = compressed(&two(), codec);
        assert_eq!(produce(&good, &strict).unwrap().to_bytes(), good);
        for (at, byte) in [(61, 0), (64, 2), (74, 1)] {
            let bad = altered(two(), |bytes| bytes[at] = byte);
            let bad = compressed(&bad, codec);
            assert_eq!(verdict(&bad, &strict), "87 by the log", "{codec:?} {at}");
        }
        let longer = altered(two(), |bytes| bytes.push(0));
        assert_eq!(
            verdict(&compressed(&longer, codec), &strict),
            "87 by the log"
        );
    }
}

#[test]
fn r222_codecs_5_to_7_are_unsupported_and_r225_zstd_before_v7_is_too() {
    for id in 5..8 {
        let bytes = header_altered(|h| h.attributes = id);
        assert_eq!(verdict(&bytes, &RULES), "76 before the log");
    }
    let old = ProduceRules {
        accept_zstd: false,
        ..RULES
    };
    let zstd = compressed(&two(), Codec::Zstd);
    assert_eq!(verdict(&zstd, &old), "76 before the log");
    assert!(produce(&zstd, &RULES).is_ok());
    assert!(produce(&compressed(&two(), Codec::Lz4), &old).is_ok());
}

fn story(batch: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for_each_record(batch, |record| {
        let headers: Vec<_> = record.headers.collect();
        lines.push(format!(
            "{} {} {:?} {:?} {headers:?}",
            record.offset, record.timestamp, record.key, record.value
        ));
        ControlFlow::Continue(())
    })
    .unwrap();
    lines
}

#[test]
fn r226_another_topic_codec_keeps_all_but_the_compression() {
    let records = [
        record(Some("a"), NOW),
        record(None, NOW + 5),
        record(Some(""), NOW - 5),
    ];
    let options = BatchOptions {
        producer_id: 9,
        producer_epoch: 1,
        base_sequence: 4,
        transactional: true,
        ..BatchOptions::default()
    };
    let sent = ValidBatch::build(&records, &options);
    let codecs = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];
    for from in codecs {
        for to in codecs {
            let rules = ProduceRules {
                compression: Some(to),
                ..RULES
            };
            let got = produce(&compressed(&sent.to_bytes(), from), &rules).unwrap();
            let bytes = got.to_bytes();
            assert!(crc_matches(&bytes));
            assert_eq!(story(&bytes), story(&sent.to_bytes()), "{from:?} to {to:?}");
            assert_eq!(got.header().codec(), Some(to));
            let kept = BatchHeader {
                batch_length: sent.header().batch_length,
                crc: sent.header().crc,
                attributes: sent.header().attributes,
                ..*got.header()
            };
            assert_eq!(kept, *sent.header());
            assert!(got.header().is_transactional());
        }
    }
}

#[test]
fn r226_a_batch_that_outgrows_the_limit_on_the_way_is_too_large() {
    let long = vec![b'x'; 10_000];
    let records = [Record {
        timestamp: NOW,
        value: Some(&long),
        ..Record::default()
    }];
    let sent = ValidBatch::build(&records, &BatchOptions::default()).to_bytes();
    let packed = compressed(&sent, Codec::Gzip);
    let rules = ProduceRules {
        max_message_bytes: 9_000,
        ..RULES
    };
    assert!(produce(&packed, &rules).is_ok());
    let plain = ProduceRules {
        compression: Some(Codec::None),
        ..rules
    };
    assert_eq!(verdict(&packed, &plain), "10 before the log");
}

#[test]
fn a_bomb_is_refused_for_good_and_not_as_retriable_corruption() {
    let zeros = vec![0; 70 << 20];
    let bomb = altered(two(), |bytes| {
        bytes.truncate(61);
        bytes[22] = Codec::Zstd.id() as u8;
        bytes.extend(compress(Codec::Zstd, None, &zeros));
    });
    let strict = ProduceRules {
        strict: true,
        ..RULES
    };
    // The walk ends in the first malformed record; a record that claims it all is streamed.
    assert_eq!(verdict(&bomb, &strict), "87 by the log");
    let claiming = altered(two(), |bytes| {
        let mut body = Vec::new();
        crate::protocol::varint::put_signed(&mut body, 70 << 20);
        body.extend([0, 0, 0, 1]);
        crate::protocol::varint::put_signed(&mut body, 69 << 20);
        body.extend(&zeros);
        bytes.truncate(61);
        bytes[22] = Codec::Zstd.id() as u8;
        bytes.extend(compress(Codec::Zstd, None, &body));
    });
    let got = verdict(&claiming, &strict);
    assert!(
        got.starts_with("87 by the log\n  the payload inflates beyond"),
        "{got}"
    );
}

proptest::proptest! {
    #[test]
    fn damaged_batches_are_judged_without_panic(
        at: proptest::sample::Index,
        byte: u8,
        codec in 0i16..5,
        fix_crc: bool,
    ) {
        let codec = Codec::from_id(codec).unwrap();
        let mut bytes = compressed(&two(), codec);
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if fix_crc {
            let crc = crc32c(&[&bytes[21..]]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let strict = ProduceRules { strict: true, ..RULES };
        if let Ok(batch) = produce(&bytes, &strict) {
            proptest::prop_assert!(crc_matches(&batch.to_bytes()));
            for_each_record(&batch.to_bytes(), |_| ControlFlow::Continue(())).unwrap();
        }
    }
}
