use rustix::io::Errno;

use super::*;
use crate::log::files::Class;
use crate::log::files::tests::Fault;
use crate::log::testing::*;

fn checkpoint(log: &mut Log) {
    let work = log.start_flush(NOW).expect("something to do");
    log.flushed(work.run()).expect("flush");
}

fn need(before_ack: bool, checkpoint_within_ms: Option<i64>) -> FlushNeed {
    FlushNeed {
        before_ack,
        checkpoint_within_ms,
    }
}

#[test]
fn the_first_byte_asks_for_a_checkpoint_in_a_minute_and_the_others_for_nothing() {
    let node = Node::new();
    let mut log = node.open();
    assert_eq!(
        log.append(batch(), 0, NOW).unwrap().flush,
        need(false, Some(60_000))
    );
    assert!(log.append(batch(), 0, NOW).unwrap().flush.is_none());
    checkpoint(&mut log);
    assert_eq!((log.recovery_point(), log.synced_offset()), (2, 2));
    assert!(log.start_flush(NOW).is_none(), "nothing new, nothing to do");
    assert_eq!(
        log.append(batch(), 0, NOW).unwrap().flush,
        need(false, Some(60_000))
    );
}

#[test]
fn flush_ms_and_flush_messages_are_obeyed() {
    let mut node = Node::new();
    node.config.flush_ms = 500;
    node.config.flush_messages = 3;
    let mut log = node.open();
    assert_eq!(
        log.append(batch(), 0, NOW).unwrap().flush,
        need(false, Some(500))
    );
    assert_eq!(
        log.append(batch(), 0, NOW).unwrap().flush,
        need(false, None)
    );
    let third = log.append(batch(), 0, NOW).unwrap();
    assert!(
        third.flush.before_ack,
        "the append that crosses n waits for the sync"
    );
    let work = log.start_commit().unwrap();
    let fourth = log.append(batch(), 0, NOW).unwrap();
    assert!(!fourth.flush.before_ack, "the count begins again");
    assert_eq!(log.flushed(work.run()).unwrap(), 3);
    assert_eq!((log.synced_offset(), log.recovery_point()), (3, 0));
}

#[test]
fn a_completed_segment_or_64_mib_ask_at_once_and_only_once() {
    let mut node = Node::new();
    node.config.segment_bytes = 1 << 20;
    let mut log = node.open();
    let mut asked = Vec::new();
    for i in 0..12 {
        let appended = log.append(batch_at(NOW, 1, 250_000), 0, NOW).unwrap();
        if let Some(within) = appended.flush.checkpoint_within_ms {
            asked.push((i, within));
        }
    }
    assert_eq!(asked, [(0, 60_000), (4, 0), (8, 0)]);
    node.config.segment_bytes = 1 << 30;
    log.set_config(node.config.clone());
    checkpoint(&mut log);
    asked.clear();
    for i in 0..70 {
        let appended = log.append(batch_at(NOW, 1, 1_000_000), 0, NOW).unwrap();
        if let Some(within) = appended.flush.checkpoint_within_ms {
            asked.push((i, within));
        }
    }
    assert_eq!(asked, [(0, 60_000), (67, 0)]);
}

#[test]
fn a_checkpoint_syncs_the_log_once_and_writes_each_index_once() {
    let node = Node::new();
    let mut log = node.open();
    log.append(batch(), 0, NOW).unwrap();
    checkpoint(&mut log);
    for i in 0..64 {
        log.append(batch_at(NOW + i, 1, 1_000_000), 0, NOW).unwrap();
    }
    let before = node.cx.files.calls();
    checkpoint(&mut log);
    let after = node.cx.files.calls();
    assert_eq!(after.data_syncs - before.data_syncs, 1);
    assert_eq!(after.directory_syncs, before.directory_syncs);
    assert_eq!(after.writes - before.writes, 2, ".index and .timeindex");
    let sizes: Vec<_> = node.files().into_iter().map(|(_, size)| size).collect();
    assert_eq!(sizes[0], 63 * 8);
}

#[test]
fn the_recovery_point_does_not_move_before_or_without_the_sync() {
    let node = Node::new();
    let mut log = node.open();
    log.append(batch(), 0, NOW).unwrap();
    let work = log.start_flush(NOW).unwrap();
    log.append(batch(), 0, NOW).unwrap();
    assert!(
        log.start_flush(NOW).is_none() && log.start_commit().is_none(),
        "one at a time"
    );
    assert_eq!(log.recovery_point(), 0);
    log.flushed(work.run()).unwrap();
    assert_eq!(log.recovery_point(), 1, "what came later is not covered");
    log.append(batch(), 0, NOW).unwrap();
    node.cx.files.inject(Fault {
        class: Class::Sync,
        skip: 0,
        times: 1,
        errno: Errno::IO,
    });
    let work = log.start_flush(NOW).unwrap();
    assert!(matches!(log.flushed(work.run()), Err(Error::Io { .. })));
    assert_eq!(log.recovery_point(), 1);
    assert!(
        node.cx.directory.is_offline(),
        "a retry that succeeds would prove nothing"
    );
    assert!(log.start_flush(NOW).is_none());
}

#[test]
fn a_full_disk_under_a_checkpoint_is_tried_again() {
    let node = Node::new();
    let mut log = node.open();
    log.append(from_producer(1, 0, 0), 0, NOW).unwrap();
    node.cx.files.inject(Fault {
        class: Class::Create,
        skip: 0,
        times: 1,
        errno: Errno::NOSPC,
    });
    let flushed = log.start_flush(NOW).unwrap().run();
    assert!(flushed.may_be_retried());
    assert!(matches!(log.flushed(flushed), Err(Error::DiskFull { .. })));
    assert_eq!(log.recovery_point(), 0);
    assert!(!node.cx.directory.is_offline());
    checkpoint(&mut log);
    assert_eq!(log.recovery_point(), 1);
}

#[test]
fn a_roll_during_a_flush_loses_no_index_entry() {
    let mut node = Node::new();
    node.config.segment_bytes = 300_000;
    let mut log = node.open();
    let append = |log: &mut Log| log.append(batch_at(NOW, 1, 20_000), 0, NOW).unwrap();
    for _ in 0..10 {
        append(&mut log);
    }
    let work = log.start_flush(NOW).unwrap();
    for _ in 0..10 {
        append(&mut log);
    }
    log.flushed(work.run()).unwrap();
    checkpoint(&mut log);
    assert_eq!(log.recovery_point(), 20);
    let index = node
        .files()
        .into_iter()
        .find(|(name, _)| name.ends_with("0.index"));
    assert_eq!(index.unwrap().1, 13 * 8, "every batch but the first of 14");
    let contents = log.contents();
    node.kill(log);
    let (log, report) = node.open_at(unclean(20)).unwrap();
    assert_eq!((log.contents(), report.scanned_bytes), (contents, 0));
}

#[test]
fn a_log_closed_or_deleted_under_a_flush_gets_no_late_file() {
    let node = Node::new();
    let mut log = node.open();
    for _ in 0..10 {
        log.append(batch_at(NOW, 1, 20_000), 0, NOW).unwrap();
    }
    let work = log.start_flush(NOW).unwrap();
    let deleted = log.mark_deleted().unwrap();
    let mut again = node.open();
    again.append(batch(), 0, NOW).unwrap();
    let names = node.names();
    work.run();
    assert_eq!(node.names(), names);
    assert!(deleted.path().unwrap().exists());
    deleted.unlink().unwrap();
}

#[test]
fn many_logs_are_made_durable_by_one_sync() {
    let mut node = Node::new();
    let mut logs: Vec<_> = (0..10).map(|number| node.open_partition(number)).collect();
    for log in &mut logs {
        log.append(from_producer(1, 0, 0), 0, NOW).unwrap();
    }
    let works = logs.iter_mut().map(|log| log.start_flush(NOW).unwrap());
    let works = works.collect();
    let before = node.cx.files.calls();
    let done = FlushWork::run_together(&node.cx, works);
    let after = node.cx.files.calls();
    for (log, done) in logs.iter_mut().zip(done) {
        assert_eq!(log.flushed(done).unwrap(), 1);
        assert_eq!(log.recovery_point(), 1);
    }
    assert_eq!(after.filesystem_syncs - before.filesystem_syncs, 1);
    assert_eq!(after.data_syncs, before.data_syncs);
    assert_eq!(after.directory_syncs, before.directory_syncs);
    for log in &mut logs {
        log.append(batch(), 0, NOW).unwrap();
        log.close_without_sync().unwrap();
    }
    assert_eq!(node.cx.files.calls().data_syncs, before.data_syncs);
    node.cx.sync_filesystem().unwrap();
    drop(logs);
    node.restart();
    assert_eq!(node.open_partition(3).log_end_offset(), 2);
}

#[test]
fn an_idle_log_keeps_no_index_in_memory_and_still_finds_everything() {
    let node = Node::new();
    let mut log = node.open();
    for i in 0..100 {
        log.append(batch_at(NOW + i, 1, 20_000), 0, NOW).unwrap();
    }
    checkpoint(&mut log);
    log.forget_tail();
    for from in [0, 50, 99] {
        assert_eq!(log.read(from, 100, 1, true).unwrap().first_offset, from);
    }
    for i in 0..100 {
        log.append(batch_at(NOW + i, 1, 20_000), 0, NOW).unwrap();
    }
    log.forget_tail();
    for from in [0, 99, 100, 101, 150, 199] {
        assert_eq!(log.read(from, 200, 1, true).unwrap().first_offset, from);
    }
}

#[test]
fn a_term_without_appends_costs_its_stop_the_epoch_file_and_nothing_else() {
    let mut node = Node::new();
    let mut log = node.open();
    log.append(from_producer(1, 0, 0), 0, NOW).unwrap();
    node.stop(log);
    let mut log = node.open();
    log.begin_epoch(2);
    let before = node.cx.files.calls();
    log.close().unwrap();
    let after = node.cx.files.calls();
    assert_eq!(
        (after.writes - before.writes, after.renames - before.renames),
        (1, 1)
    );
    assert_eq!(after.data_syncs - before.data_syncs, 1);
    drop(log);
    node.restart();
    assert_eq!(node.open().latest_epoch(), Some(2));
}

#[test]
fn a_log_and_what_it_hands_out_may_cross_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Log>();
    assert_send::<FlushWork>();
    assert_send::<Flushed>();
    assert_send::<crate::log::ReadPlan>();
    assert_send::<crate::log::LookUp>();
}
