//! Reading as scenarios: whole batches, limits, memory and files, damage.

use super::*;
use crate::log::testing::*;

/// Batches 0-2, 3-3, 4-8 of about 160, 100 and 2,000 bytes.
fn three_batches(node: &Node) -> Log {
    let mut log = node.open();
    for (count, bytes) in [(3, 20), (1, 30), (5, 400)] {
        log.append(batch_at(NOW, count, bytes), 0, NOW).unwrap();
    }
    log
}

/// Every rule of a read holds from memory and from the file.
fn both_ways(check: impl Fn(&Log)) {
    let node = Node::new();
    let log = three_batches(&node);
    check(&log);
    log.forget_tail();
    check(&log);
}

#[test]
fn r75_fetch_inside_a_batch_returns_the_whole_batch() {
    both_ways(|log| {
        let records = log.read(1, 9, 100_000, true).unwrap();
        assert_eq!((records.first_offset, records.next_offset), (0, 9));
        assert_eq!(offsets_of(&records), "0-2 3-3 4-8");
        assert_eq!(offsets_of(&log.read(7, 9, 100_000, true).unwrap()), "4-8");
    });
}

#[test]
fn r76_the_first_batch_comes_whole_even_above_the_limit_and_others_only_if_they_fit() {
    both_ways(|log| {
        let read = |max, whole| offsets_of(&log.read(0, 9, max, whole).unwrap());
        assert_eq!(read(0, true), "0-2");
        assert_eq!(read(0, false), "");
        assert_eq!(read(400, false), "0-2 3-3");
        assert_eq!(read(1 << 20, false), "0-2 3-3 4-8");
        let at = log.read(0, 9, 0, false).unwrap();
        assert_eq!((at.first_offset, at.next_offset), (0, 0));
    });
}

#[test]
fn r83_nothing_is_read_beyond_the_visible_end_and_outside_the_log_is_out_of_range() {
    both_ways(|log| {
        let read = |from, visible| offsets_of(&log.read(from, visible, 1 << 20, true).unwrap());
        assert_eq!(read(0, 4), "0-2 3-3");
        assert_eq!(
            read(0, 5),
            "0-2 3-3",
            "a batch is visible as a whole or not"
        );
        assert_eq!(read(0, 2), "");
        assert_eq!(read(4, 4), "");
        assert_eq!(read(9, 9), "");
        assert!(matches!(
            log.read(10, 9, 1, true),
            Err(Error::OutOfRange {
                log_end_offset: 9,
                ..
            })
        ));
    });
}

#[test]
fn a_reader_who_keeps_up_costs_no_file_call() {
    let node = Node::new();
    let mut log = three_batches(&node);
    let before = node.cx.files.calls();
    assert_eq!(
        log.read(4, 9, 1 << 20, true).unwrap().len(),
        bytes_of(&log.read(4, 9, 1 << 20, true).unwrap()).len()
    );
    assert_eq!(node.cx.files.calls(), before);
    let appended = log.append(batch(), 0, NOW).unwrap();
    assert!(matches!(
        log.read(appended.base_offset, 10, 1 << 20, true)
            .unwrap()
            .chunks,
        Chunks::Memory(_)
    ));
}

#[test]
fn a_cold_read_finds_both_ends_with_few_small_reads() {
    let node = Node::new();
    let mut log = node.open();
    for i in 0..2_000 {
        log.append(batch_at(NOW + i, 2, 400), 0, NOW).unwrap();
    }
    log.forget_tail();
    for from in [0, 1, 777, 2_500, 3_999] {
        let before = node.cx.files.calls();
        let records = log.read(from, 4_000, 300_000, true).unwrap();
        let calls = node.cx.files.calls();
        assert!(
            calls.reads - before.reads <= 4,
            "{} reads",
            calls.reads - before.reads
        );
        assert_eq!(calls.opens, before.opens);
        assert_eq!(records.first_offset, from / 2 * 2);
        let text = offsets_of(&records);
        assert!(
            text.ends_with(&format!("-{}", records.next_offset - 1)),
            "{text}"
        );
        let all = (4_000 - records.first_offset) * records.len() as i64
            / (records.next_offset - records.first_offset);
        assert!(
            records.len() as i64 > 298_000.min(all - 1),
            "{}",
            records.len()
        );
    }
    let records = log.read(10, 2_001, usize::MAX, true).unwrap();
    assert_eq!((records.first_offset, records.next_offset), (10, 2_000));
}

#[test]
fn a_read_planned_before_a_roll_still_finds_its_batches() {
    let mut node = Node::new();
    node.config.segment_bytes = 40_000;
    let mut log = node.open();
    for _ in 0..3 {
        log.append(batch_at(NOW, 1, 10_000), 0, NOW).unwrap();
    }
    log.forget_tail();
    let plan = log.plan_read(1, 3, 1 << 20, true).unwrap();
    for _ in 0..3 {
        log.append(batch_at(NOW, 1, 10_000), 0, NOW).unwrap();
    }
    assert_eq!(offsets_of(&plan.run().unwrap()), "1-1 2-2");
}

#[test]
fn d6_a_damaged_or_missing_index_costs_a_rebuild_and_no_answer_changes() {
    let mut node = Node::new();
    node.config.segment_bytes = 200_000;
    let mut log = node.open();
    for i in 0..60 {
        log.append(batch_at(NOW + i, 3, 2_000), 0, NOW).unwrap();
    }
    let before = log.contents();
    node.stop(log);
    let index = "00000000000000000000.index";
    let good = std::fs::read(node.path(index)).unwrap();
    type Change = fn(&mut Vec<u8>);
    let changes: [Change; 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.fill(0),
        |bytes| bytes[11] ^= 1,
        |bytes| bytes[15] ^= 4,
        |bytes| bytes.truncate(17),
    ];
    for change in changes {
        node.damage(index, |bytes| {
            *bytes = good.clone();
            change(bytes);
        });
        let log = node.open();
        for from in 0..180 {
            let records = log.read(from, 180, 1, true).unwrap();
            assert_eq!(records.first_offset, from / 3 * 3);
        }
        assert_eq!(log.contents(), before);
        drop(log);
    }
    std::fs::remove_file(node.path(index)).unwrap();
    let log = node.open();
    assert_eq!(log.read(31, 180, 1, true).unwrap().first_offset, 30);
}

#[test]
fn a_damaged_batch_met_by_a_reader_takes_the_log_out_of_service() {
    let node = Node::new();
    let mut log = node.open();
    for _ in 0..10 {
        log.append(batch_at(NOW, 1, 1_000), 0, NOW).unwrap();
    }
    log.forget_tail();
    node.damage("00000000000000000000.log", |bytes| {
        bytes[3_000..5_000].fill(0)
    });
    assert!(matches!(
        log.read(5, 10, 1, true),
        Err(Error::Corrupt { .. })
    ));
    assert!(matches!(
        log.append(batch(), 0, NOW),
        Err(Error::Corrupt { .. })
    ));
    assert!(!node.cx.directory.is_offline(), "the others go on");
}

#[test]
fn readers_without_the_lock_see_whole_batches_in_order_while_segments_roll_and_are_flushed() {
    let mut node = Node::new();
    node.config.segment_bytes = 100_000;
    let log = std::sync::Mutex::new(node.open());
    let lock = || log.lock().unwrap();
    const RECORDS: Offset = 3_000;
    let read_all = |max_bytes: usize| {
        let mut at = 0;
        while at < RECORDS {
            let plan = lock().plan_read(at, Offset::MAX, max_bytes, true).unwrap();
            let records = plan.run().unwrap();
            let mut bytes = &bytes_of(&records)[..];
            while let Some(header) = BatchHeader::read(bytes) {
                assert_eq!(header.base_offset, at);
                assert!(crate::protocol::batch::crc_matches(
                    &bytes[..header.total_size()]
                ));
                bytes = &bytes[header.total_size()..];
                at = header.next_offset();
            }
            assert_eq!(records.next_offset, at);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| read_all(1 << 20));
        scope.spawn(|| read_all(7_000));
        scope.spawn(|| {
            while lock().recovery_point() < RECORDS {
                let work = lock().start_flush(NOW);
                if let Some(work) = work {
                    let done = work.run();
                    lock().flushed(done).unwrap();
                }
                std::thread::yield_now();
            }
        });
        for i in 0..RECORDS {
            let batch = batch_at(NOW, 1, 200 + (i % 50) as usize * 100);
            lock().append(batch, 0, NOW).unwrap();
            if i % 64 == 0 {
                lock().forget_tail();
            }
        }
    });
}
