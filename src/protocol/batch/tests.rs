use super::*;
use proptest::prelude::*;

fn one(value: &[u8]) -> ValidBatch {
    let record = Record {
        timestamp: 1000,
        value: Some(value),
        ..Record::default()
    };
    ValidBatch::build(&[record], &BatchOptions::default())
}

#[test]
fn a_built_batch_is_byte_for_byte_kafkas() {
    // Producer 7 epoch 1 sequence 3, records ("k", "v", header h=1) at 1000 and (null, "") at 1005.
    let batch = ValidBatch::build(
        &[
            Record {
                timestamp: 1000,
                key: Some(b"k"),
                value: Some(b"v"),
                headers: &[(b"h", Some(b"1"))],
            },
            Record {
                timestamp: 1005,
                value: Some(b""),
                ..Record::default()
            },
        ],
        &BatchOptions {
            producer_id: 7,
            producer_epoch: 1,
            base_sequence: 3,
            ..BatchOptions::default()
        },
    );
    let hex: String = batch
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    expect_test::expect!["000000000000000000000045ffffffff0202edd0fb00000000000100000000000003e800000000000003ed00000000000000070001000000030000000218000000026b027602026802310c000a02010000"].assert_eq(&hex);
    assert!(crc_matches(&batch.to_bytes()));
}

#[test]
fn crc32c_is_castagnoli_over_all_parts() {
    assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
    assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
}

#[test]
fn r220_assigning_offset_and_epoch_leaves_the_crc_right() {
    let mut batch = one(b"v");
    let crc = batch.header().crc;
    batch.assign(5_000_000_000, 9);
    let stored = BatchHeader::read(&batch.to_bytes()).unwrap();
    assert_eq!(stored, *batch.header());
    assert_eq!(
        (stored.base_offset, stored.partition_leader_epoch),
        (5_000_000_000, 9)
    );
    assert_eq!(stored.crc, crc);
    assert!(crc_matches(&batch.to_bytes()));
}

#[test]
fn r69_the_last_sequence_wraps_to_zero_behind_the_largest() {
    let mut header = *one(b"v").header();
    header.base_sequence = i32::MAX;
    assert_eq!(header.last_sequence(), i32::MAX);
    header.last_offset_delta = 1;
    assert_eq!(header.last_sequence(), 0);
    header.last_offset_delta = 4;
    assert_eq!(header.last_sequence(), 3);
    header.base_sequence = -1;
    assert_eq!(header.last_sequence(), -1);
}

#[test]
fn a_header_of_noise_is_implausible_and_never_overflows() {
    for fill in [0x00, 0x7f, 0x80, 0xff] {
        let header = BatchHeader::read(&[fill; 61]).unwrap();
        assert!(!header.is_plausible());
        let _ = (header.next_offset(), header.last_sequence());
        let _ = (header.total_size(), header.codec());
    }
    assert!(BatchHeader::read(&[0; 60]).is_none());
    assert!(one(b"v").header().is_plausible());
}

proptest! {
    #[test]
    fn r220_log_append_time_leaves_a_crc_equal_to_a_full_pass(
        value in proptest::collection::vec(any::<u8>(), 0..5000),
        now: i64,
        again: i64,
    ) {
        let mut batch = one(&value);
        batch.stamp_log_append_time(now);
        prop_assert!(crc_matches(&batch.to_bytes()));
        prop_assert!(batch.header().is_log_append_time());
        prop_assert_eq!(batch.header().max_timestamp, now);
        batch.stamp_log_append_time(again);
        batch.restamp(TimestampType::CreateTime, 3);
        prop_assert!(crc_matches(&batch.to_bytes()));
        prop_assert!(!batch.header().is_log_append_time());
    }

    #[test]
    fn a_header_is_written_as_it_was_read(bytes: [u8; 32], tail: [u8; 29]) {
        let whole: Vec<u8> = bytes.into_iter().chain(tail).collect();
        let mut out = [0; 61];
        BatchHeader::read(&whole).unwrap().write(&mut out);
        prop_assert_eq!(out.as_slice(), whole.as_slice());
    }
}
