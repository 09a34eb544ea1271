//! Scenarios of retention on real files.

use super::*;
use crate::log::LookUp;
use crate::log::log_file::Cached;
use crate::log::testing::*;

/// Ten batches of one record of 1,000 bytes, a minute apart, in segments of two; the last two are
/// the active segment's. The last one was written at `NOW`.
fn log_of_ten(node: &mut Node) -> Log {
    let size = batch_at(NOW, 1, 1_000).size() as u32;
    node.config.segment_bytes = 2 * size;
    let mut log = node.open();
    for i in 0..10 {
        let timestamp = NOW - (9 - i) * 60_000;
        log.append(batch_at(timestamp, 1, 1_000), 0, NOW).unwrap();
    }
    log
}

fn set(log: &mut Log, change: impl FnOnce(&mut crate::log::LogConfig)) {
    let mut config = log.config().clone();
    change(&mut config);
    log.set_config(config);
}

/// One pass; the new start.
fn pass(log: &mut Log, high_watermark: Offset, now: Millis) -> Offset {
    if let Some(plan) = log.plan_retention(high_watermark, true, now)
        && let Some(expired) = plan.run().unwrap()
    {
        log.apply_retention(expired, now).unwrap();
    }
    log.log_start_offset()
}

fn remove_all(log: &mut Log) -> Vec<PathBuf> {
    let mut renamed = Vec::new();
    while let Some(detached) = log.detach_segments(2) {
        renamed.extend(detached.rename().unwrap());
    }
    renamed
}

fn logs(node: &Node) -> usize {
    let files = node.files();
    files.iter().filter(|(n, _)| n.ends_with(".log")).count()
}

#[test]
fn whole_segments_older_than_retention_ms_go_and_their_files_lose_their_names() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    set(&mut log, |config| config.retention.ms = 5 * 60_000);
    assert_eq!(pass(&mut log, 10, NOW), 4);
    assert!(log.has_detachable());
    let view = log.read(4, 10, 100, true).unwrap();
    let renamed = remove_all(&mut log);
    assert_eq!(renamed.len(), 6, "log and both indexes of two segments");
    assert!(renamed.iter().all(|path| path.exists()));
    assert_eq!((logs(&node), log.has_detachable()), (3, false));
    assert_eq!(offsets_of(&view), "4-4");
    assert!(matches!(
        log.read(3, 10, 100, true),
        Err(Error::OutOfRange { .. })
    ));
    assert_eq!(pass(&mut log, 10, NOW + 60_000), 4, "exactly as old");
    assert_eq!(pass(&mut log, 10, NOW + 60_001), 6);
}

#[test]
fn an_expired_active_segment_is_completed_first_and_an_empty_one_stays() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    log.append(from_producer(5, 0, 0), 0, NOW).unwrap();
    set(&mut log, |config| config.retention.ms = 1_000);
    assert_eq!(pass(&mut log, 11, NOW + 1_001), 11);
    remove_all(&mut log);
    assert_eq!((log.size(), logs(&node)), (0, 1));
    assert_eq!(pass(&mut log, 11, NOW + 9_000_000), 11);
    let again = log.append(from_producer(5, 0, 0), 0, NOW).unwrap();
    assert!(again.duplicate, "R70: the window is kept");
    let next = log.append(from_producer(5, 0, 1), 0, NOW).unwrap();
    assert_eq!((next.base_offset, next.log_start_offset), (11, 11));
    node.kill(log);
    let (mut log, report) = node.open_at(unclean(0)).unwrap();
    assert!(!report.lost_data());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (11, 12));
    let again = log.append(from_producer(5, 0, 1), 0, NOW).unwrap();
    assert!(again.duplicate);
}

#[test]
fn an_append_between_question_and_answer_saves_the_active_segment() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    set(&mut log, |config| config.retention.ms = 1_000);
    let plan = log.plan_retention(10, true, NOW + 1_001).unwrap();
    let expired = plan.run().unwrap().unwrap();
    log.append(batch_at(NOW + 1_000, 1, 10), 0, NOW).unwrap();
    assert!(log.apply_retention(expired, NOW + 1_001).unwrap());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (10, 11));
}

#[test]
fn what_exceeds_retention_bytes_goes_and_nothing_above_the_high_watermark() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    let segment = log.size() as i64 / 5;
    set(&mut log, |config| config.retention.bytes = 3 * segment - 1);
    assert_eq!(
        pass(&mut log, 10, NOW),
        4,
        "three would be one byte too many"
    );
    set(&mut log, |config| config.retention.bytes = 3 * segment);
    assert_eq!(pass(&mut log, 10, NOW), 4);
    set(&mut log, |config| config.retention.bytes = 0);
    assert_eq!(pass(&mut log, 7, NOW), 6, "[6, 8) is not committed");
    assert_eq!(pass(&mut log, 10, NOW), 10, "the active one as well");
}

#[test]
fn a_compacted_log_loses_only_what_lies_below_its_start() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    set(&mut log, |config| {
        config.retention = Retention {
            delete: false,
            ms: 1,
            bytes: 1,
        };
    });
    assert_eq!(pass(&mut log, 10, NOW * 2), 0);
    assert!(log.raise_start(5));
    remove_all(&mut log);
    assert_eq!(logs(&node), 3, "5 lies inside the third segment");
    assert_eq!(offsets_of(&log.read(5, 10, 1, true).unwrap()), "5-5");
}

#[test]
fn records_without_timestamps_are_as_old_as_their_file() {
    let mut node = Node::new();
    node.config.segment_bytes = 2_000;
    node.config.retention.ms = 60_000;
    let mut log = node.open();
    for _ in 0..3 {
        log.append(batch_at(-1, 1, 1_500), 0, NOW).unwrap();
    }
    assert_eq!(pass(&mut log, 3, NOW), 0, "written long after that");
    let far = 100 * NOW;
    assert_eq!(pass(&mut log, 3, far), 3);
}

#[test]
fn r158_a_raised_start_hides_what_lies_below_and_survives_a_kill() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    assert!(log.raise_start(7));
    assert!(!log.raise_start(6), "never back");
    let earliest = log.offset_for_timestamp(0, 10).unwrap().run().unwrap();
    assert_eq!(earliest.map(|found| found.offset), Some(7));
    node.kill(log);
    let mut at = unclean(0);
    at.log_start_offset = Some(7);
    let (mut log, _) = node.open_at(at).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (7, 10));
    assert_eq!(log.epoch_of(7), Some(0));
    remove_all(&mut log);
    assert_eq!(logs(&node), 2);
    node.stop(log);
    let log = node.open();
    assert_eq!(log.log_start_offset(), 6, "the checkpoint says the rest");
}

/// Everything that reads without the lock, begun before the segments go and ended after.
#[test]
fn readers_and_flushes_that_were_under_way_survive() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    log.forget_tail();
    let view = log.view();
    let segments: Vec<_> = (0..view.len()).map(|i| view.segment(i).0.clone()).collect();
    let read = log.plan_read(0, 10, 1, true).unwrap();
    let search: LookUp = log.offset_for_timestamp(NOW - 500_000, 10).unwrap();
    let late = log.plan_read(0, 10, 1, true).unwrap();
    let late_search = log.offset_for_timestamp(NOW - 500_000, 10).unwrap();
    let flush = log.start_flush(NOW).unwrap();
    log.raise_start(10);
    let renamed = remove_all(&mut log);
    assert_eq!(offsets_of(&read.run().unwrap()), "0-0");
    assert_eq!(search.run().unwrap().map(|found| found.offset), Some(1));
    for path in &renamed {
        std::fs::remove_file(path).unwrap();
    }
    segments.iter().for_each(|segment| segment.log().evict());
    assert!(matches!(late.run(), Err(Error::Overtaken { .. })));
    assert!(matches!(late_search.run(), Err(Error::Overtaken { .. })));
    log.flushed(flush.run()).unwrap();
    assert!(!node.cx.directory.is_offline());
    assert_eq!(log.recovery_point(), 10);
    assert!(log.check_healthy().is_ok());
    assert!(
        node.files()
            .iter()
            .all(|(name, _)| !name.starts_with("00000000000000000000"))
    );
}

#[test]
fn snapshots_of_segments_that_went_go_once_a_newer_one_is_durable() {
    let mut node = Node::new();
    node.config.segment_bytes = 5_000;
    let mut log = node.open();
    for sequence in 0..60 {
        log.append(from_producer(3, 0, sequence), 0, NOW).unwrap();
    }
    let snapshots = |node: &Node| node.names().matches(".snapshot").count();
    let before = snapshots(&node);
    assert!(before > 1, "{}", node.names());
    log.raise_start(50);
    remove_all(&mut log);
    assert_eq!(snapshots(&node), before, "nothing is durable yet");
    let work = log.start_flush(NOW).unwrap();
    assert!(log.start_commit().is_none());
    log.flushed(work.run()).unwrap();
    assert_eq!(log.recovery_point(), 60);
    assert!(snapshots(&node) <= 3, "{}", node.names());
    node.kill(log);
    let mut log = node.open_at(unclean(60)).unwrap().0;
    let again = log.append(from_producer(3, 0, 59), 0, NOW).unwrap();
    assert!(again.duplicate);
}

#[test]
fn files_with_deleted_names_go_with_the_next_start() {
    let mut node = Node::new();
    let mut log = log_of_ten(&mut node);
    log.raise_start(8);
    remove_all(&mut log);
    assert!(node.names().contains(".deleted"));
    node.stop(log);
    assert_eq!(node.open().log_start_offset(), 8);
    assert!(!node.names().contains(".deleted"));
}
