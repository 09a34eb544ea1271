use super::*;
use crate::log::flush::FlushNeed;
use crate::log::testing::*;
use crate::log::{Log, LogOptions, OpenAt};

const LOG: &str = "00000000000000000000.log";

/// Ten batches of one record; the first `synced` of them are below the recovery point.
fn ten_batches(node: &Node, synced: i64) -> Log {
    let mut log = node.open();
    for i in 0..10 {
        if i == synced {
            flush(&mut log);
        }
        log.append(batch_at(NOW + i, 1, 500), 0, NOW).unwrap();
    }
    log
}

fn flush(log: &mut Log) {
    if let Some(work) = log.start_flush(NOW) {
        log.flushed(work.run()).unwrap();
    }
}

fn size_of_batch() -> usize {
    batch_at(NOW, 1, 500).size()
}

#[test]
fn d2_a_killed_broker_finds_every_acknowledged_batch() {
    let mut node = Node::new();
    let log = ten_batches(&node, 10);
    let contents = log.contents();
    node.kill(log);
    let (log, report) = node.open_at(unclean(0)).unwrap();
    assert_eq!(log.contents(), contents);
    assert_eq!(report.scanned_bytes, contents.len() as u64);
    assert!(report.torn.is_none() && !report.lost_data());
    assert_eq!(log.recovery_point(), 10, "R9: synced before it is served");
}

/// The child's half: appends for ever and says what it has acknowledged.
fn append_until_killed(path: &std::path::Path, topic_id: crate::types::TopicId) {
    let cx = context(path, LogOptions::default());
    let mut config = config();
    config.segment_bytes = 200_000;
    let mut log = Log::create_or_open(&cx, TOPIC, topic_id, config, clean())
        .unwrap()
        .0;
    loop {
        let batch = batch_at(NOW, 3, 10 + log.size() as usize % 3_000);
        let appended = log.append(batch, 0, NOW).unwrap();
        println!("\nacked {}", appended.next_offset);
    }
}

#[test]
fn d2_a_process_killed_in_the_middle_of_its_appends_loses_none_it_acknowledged() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let mut node = Node::new();
    if let Some(path) = std::env::var_os("OTTLA_APPEND_UNTIL_KILLED") {
        return append_until_killed(path.as_ref(), node.topic_id);
    }
    let path = node.lend();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "log::recovery::tests::d2_a_process_killed_in_the_middle_of_its_appends_loses_none_it_acknowledged"])
        .env("OTTLA_APPEND_UNTIL_KILLED", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(offset) = line.unwrap().strip_prefix("acked ") {
            acked = offset.parse().unwrap();
            if acked == 1_500 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(acked >= 1_500);
    node.restart();
    let (log, report) = node.open_at(unclean(0)).unwrap();
    assert!(
        log.log_end_offset() >= acked,
        "{} < {acked}",
        log.log_end_offset()
    );
    assert_eq!(report.scanned_bytes, log.size());
    assert_eq!(log.contents().len() as u64, log.size());
}

#[test]
fn r5_a_torn_tail_is_cut_at_the_last_whole_batch_and_appends_go_on_there() {
    let mut node = Node::new();
    let log = ten_batches(&node, 4);
    node.kill(log);
    node.damage(LOG, |bytes| bytes.truncate(8 * size_of_batch() + 300));
    let at = OpenAt {
        high_watermark: Some(10),
        ..unclean(4)
    };
    let (mut log, report) = node.open_at(at).unwrap();
    assert_eq!(log.log_end_offset(), 8);
    assert_eq!(report.dropped_bytes, 300);
    assert_eq!(report.scanned_bytes, 4 * size_of_batch() as u64);
    assert_eq!(report.torn.as_ref().unwrap().offset, 8);
    assert_eq!((report.high_watermark, report.lost_below), (8, Some(10)));
    assert_eq!(log.append(batch(), 0, NOW).unwrap().base_offset, 8);
    log.forget_tail();
    assert_eq!(
        offsets_of(&log.read(7, 9, 1 << 20, true).unwrap()),
        "7-7 8-8"
    );
}

#[test]
fn r5_valid_batches_behind_a_hole_are_not_believed() {
    let mut node = Node::new();
    let log = ten_batches(&node, 4);
    node.kill(log);
    let size = size_of_batch();
    node.damage(LOG, |bytes| bytes[5 * size..6 * size].fill(0));
    let (log, _) = node.open_at(unclean(4)).unwrap();
    assert_eq!(log.log_end_offset(), 5);
    assert_eq!(node.files()[0], (LOG.to_string(), 5 * size as u64));
}

#[test]
fn r5_later_segments_go_with_the_first_bad_byte() {
    let mut node = Node::new();
    node.config.segment_bytes = 3 * size_of_batch() as u32;
    let log = ten_batches(&node, 2);
    assert_eq!(node.names().matches(".log").count(), 4);
    node.kill(log);
    let second = "00000000000000000003.log";
    node.damage(second, |bytes| bytes[size_of_batch() + 100] ^= 1);
    let (mut log, report) = node.open_at(unclean(2)).unwrap();
    assert_eq!(log.log_end_offset(), 4);
    assert_eq!(report.dropped_bytes, 6 * size_of_batch() as u64);
    assert_eq!(node.names().matches(".log").count(), 2);
    log.append(batch(), 0, NOW).unwrap();
    assert_eq!(log.read(4, 5, 1, true).unwrap().next_offset, 5);
}

#[test]
fn r5_a_segment_of_which_nothing_is_whole_goes_and_the_one_before_is_appended_to() {
    let mut node = Node::new();
    node.config.segment_bytes = 3 * size_of_batch() as u32;
    let log = ten_batches(&node, 2);
    node.kill(log);
    node.damage("00000000000000000003.log", |bytes| bytes.fill(0));
    node.config.segment_bytes = 1 << 20;
    let (mut log, _) = node.open_at(unclean(2)).unwrap();
    assert_eq!(log.log_end_offset(), 3);
    log.append(batch(), 0, NOW).unwrap();
    assert_eq!(node.names().matches(".log").count(), 1);
    log.forget_tail();
    assert_eq!(
        offsets_of(&log.read(2, 4, 1 << 20, true).unwrap()),
        "2-2 3-3"
    );
}

#[test]
fn r6_damage_below_the_recovery_point_keeps_the_partition_offline_and_touches_nothing() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 3] = [
        ("cut", |bytes| bytes.truncate(2_000)),
        ("zeroed", |bytes| bytes[size_of_batch() * 5..].fill(0)),
        ("a header", |bytes| bytes[size_of_batch() * 3 + 16] = 1),
    ];
    for (what, change) in changes {
        let mut node = Node::new();
        let log = ten_batches(&node, 6);
        node.kill(log);
        node.damage(LOG, change);
        let before = node.files();
        let opened = node.open_at(unclean(6));
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{what}");
        assert_eq!(node.files(), before, "{what}");
        assert!(!node.cx.directory.is_offline());
    }
}

#[test]
fn r6_the_operator_may_ask_for_kafkas_cut_instead() {
    let mut node = Node::with(LogOptions {
        truncate_corruption: true,
        ..LogOptions::default()
    });
    let log = ten_batches(&node, 6);
    node.kill(log);
    node.damage(LOG, |bytes| bytes.truncate(2_000));
    let (log, report) = node.open_at(unclean(6)).unwrap();
    assert_eq!(log.log_end_offset(), 3);
    assert_eq!(log.recovery_point(), 3);
    assert!(report.torn.is_some());
}

#[test]
fn r6_after_a_clean_stop_everything_was_synced() {
    let mut node = Node::new();
    let log = ten_batches(&node, 0);
    node.stop(log);
    node.damage(LOG, |bytes| bytes.truncate(2_000));
    assert!(matches!(node.open_at(clean()), Err(Error::Corrupt { .. })));
}

#[test]
fn r3_without_a_recovery_point_everything_is_scanned_and_only_the_last_segment_may_be_torn() {
    let open_at = OpenAt {
        recovery_point: None,
        ..unclean(0)
    };
    let mut node = Node::new();
    node.config.segment_bytes = 4 * size_of_batch() as u32;
    let log = ten_batches(&node, 10);
    node.kill(log);
    node.damage("00000000000000000008.log", |bytes| bytes.truncate(700));
    let (log, report) = node.open_at(open_at).unwrap();
    assert_eq!(log.log_end_offset(), 9);
    assert_eq!(report.scanned_bytes, 9 * size_of_batch() as u64);
    node.kill(log);
    node.damage("00000000000000000004.log", |bytes| bytes[900] ^= 1);
    assert!(matches!(node.open_at(open_at), Err(Error::Corrupt { .. })));
}

#[test]
fn r3_a_recovery_point_inside_a_batch_is_corruption() {
    let mut node = Node::new();
    let mut log = node.open();
    for _ in 0..3 {
        log.append(batch_at(NOW, 5, 100), 0, NOW).unwrap();
    }
    node.kill(log);
    assert!(matches!(
        node.open_at(unclean(7)),
        Err(Error::Corrupt { .. })
    ));
}

#[test]
fn recovery_reads_the_unsynced_tail_and_opens_no_untouched_segment() {
    let mut node = Node::new();
    node.config.segment_bytes = 1 << 20;
    let mut log = node.open();
    for i in 0..1_000 {
        log.append(batch_at(NOW + i, 1, 8_000), 0, NOW).unwrap();
        if i == 990 {
            flush(&mut log);
        }
    }
    node.kill(log);
    let before = node.cx.files.calls();
    let at = OpenAt {
        defer_sync: true,
        ..unclean(991)
    };
    let (log, report) = node.open_at(at).unwrap();
    let calls = node.cx.files.calls();
    let batch = batch_at(NOW, 1, 8_000).size() as u64;
    assert_eq!(report.scanned_bytes, 9 * batch);
    assert!(
        calls.reads - before.reads <= 12,
        "{} reads",
        calls.reads - before.reads
    );
    // The last log, its two indexes, the epochs.
    assert_eq!(calls.opens - before.opens, 4);
    assert_eq!(log.recovery_point(), 991, "the sync is still to be made");
    assert_eq!(log.log_end_offset(), 1_000);
}

#[test]
fn a_clean_start_writes_nothing_and_scans_nothing() {
    let mut node = Node::new();
    let mut log = ten_batches(&node, 10);
    log.append(from_producer(3, 0, 0), 2, NOW).unwrap();
    let (contents, epochs) = (log.contents(), log.epochs.clone());
    node.stop(log);
    let before = node.cx.files.calls();
    let (mut log, report) = node.open_at(clean()).unwrap();
    let calls = node.cx.files.calls();
    assert_eq!(report.scanned_bytes, 0);
    assert_eq!(
        (calls.writes, calls.data_syncs),
        (before.writes, before.data_syncs)
    );
    assert_eq!(
        (calls.renames, calls.removes),
        (before.renames, before.removes)
    );
    assert_eq!((log.contents(), log.epochs.clone()), (contents, epochs));
    assert_eq!(log.recovery_point(), 11);
    let before = node.cx.files.calls();
    log.close().unwrap();
    assert_eq!(
        node.cx.files.calls(),
        before,
        "nothing changed, nothing to do"
    );
}

#[test]
fn the_stop_leaves_what_kafka_leaves() {
    let mut node = Node::new();
    let mut log = ten_batches(&node, 3);
    log.append(from_producer(3, 0, 0), 0, NOW).unwrap();
    node.stop(log);
    let sizes: Vec<_> = node
        .files()
        .into_iter()
        .filter(|(name, _)| name != LOG)
        .collect();
    let sizes: Vec<_> = sizes
        .iter()
        .map(|(name, size)| format!("{name} {size}"))
        .collect();
    assert_eq!(
        sizes.join("\n"),
        "00000000000000000000.index 0\n\
         00000000000000000000.timeindex 12\n\
         00000000000000000011.snapshot 56\n\
         leader-epoch-checkpoint 8\n\
         partition.metadata 43"
    );
}

#[test]
fn a_checkpoint_without_files_is_lost_data() {
    let node = Node::new();
    let at = OpenAt {
        high_watermark: Some(4),
        ..unclean(5)
    };
    let (log, report) = node.open_at(at).unwrap();
    assert_eq!(log.log_end_offset(), 0);
    assert!(report.lost_everything && report.lost_data());
    let (_, report) = node.open_at(unclean(0)).unwrap();
    assert!(!report.lost_data(), "never written is not lost");
}

#[test]
fn r2_a_log_that_ends_below_its_start_is_moved_aside_and_begins_at_the_start() {
    let mut node = Node::new();
    let log = ten_batches(&node, 0);
    node.kill(log);
    let at = OpenAt {
        log_start_offset: Some(50),
        ..unclean(0)
    };
    let (mut log, report) = node.open_at(at).unwrap();
    assert!(report.moved_aside);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (50, 50));
    assert_eq!(log.append(batch(), 0, NOW).unwrap().base_offset, 50);
    assert!(node.names().contains("00000000000000000000.log.aside"));
    node.kill(log);
    let (log, report) = node.open_at(at).unwrap();
    assert!(!report.moved_aside);
    assert_eq!(log.log_end_offset(), 51);
}

#[test]
fn r1_leftovers_go_and_a_committed_compaction_is_finished() {
    let names = |list: &str| list.split(' ').map(|name| (name.to_string(), 1)).collect();
    let base = |at: i64, suffix: &str| format!("{at:020}.{suffix}");
    let present = [
        base(0, "log"),
        base(0, "index"),
        base(5, "log"),
        base(5, "timeindex"),
        base(9, "log"),
        base(9, "index"),
        base(0, "log.swap"),
        base(0, "index.swap"),
        base(9, "index.swap"),
        base(9, "log.cleaned"),
        base(2, "log.deleted"),
        base(7, "index"),
        base(7, "snapshot"),
        "partition.metadata.tmp".to_string(),
        "partition.metadata".to_string(),
    ];
    let steps = name_steps(&names(&present.join(" ")), &BTreeMap::from([(0, 9)]));
    let mut delete = [
        base(0, "index"),
        base(0, "log"),
        base(2, "log.deleted"),
        base(5, "log"),
        base(5, "timeindex"),
        base(7, "index"),
        base(9, "index.swap"),
        base(9, "log.cleaned"),
        "partition.metadata.tmp".to_string(),
    ];
    delete.sort();
    assert_eq!(steps.delete, delete);
    let renamed = [
        (base(0, "index.swap"), base(0, "index")),
        (base(0, "log.swap"), base(0, "log")),
    ];
    assert_eq!(steps.rename, renamed);
}

#[test]
fn r1_a_swapped_segment_takes_the_place_of_the_ones_it_was_made_of() {
    let mut node = Node::new();
    node.config.segment_bytes = 3 * size_of_batch() as u32;
    let log = ten_batches(&node, 0);
    let contents = log.contents();
    node.stop(log);
    let both = [
        std::fs::read(node.path(LOG)).unwrap(),
        std::fs::read(node.path("00000000000000000003.log")).unwrap(),
    ];
    std::fs::write(node.path("00000000000000000000.log.swap"), both.concat()).unwrap();
    let (log, _) = node.open_at(unclean(10)).unwrap();
    assert_eq!(node.names().matches(".log").count(), 3);
    assert_eq!(log.contents(), contents);
}

#[test]
fn r8_epochs_come_from_the_batches_if_the_file_is_missing_or_garbage() {
    type Change = fn(&Node);
    let changes: [Change; 3] = [
        |node| std::fs::remove_file(node.path("leader-epoch-checkpoint")).unwrap(),
        |node| node.damage("leader-epoch-checkpoint", |bytes| bytes.fill(0)),
        |_| {},
    ];
    for (clean_stop, change) in [true, false]
        .into_iter()
        .flat_map(|c| changes.map(|f| (c, f)))
    {
        let mut node = Node::new();
        node.config.segment_bytes = 3 * size_of_batch() as u32;
        let mut log = node.open();
        for epoch in [0, 0, 2, 2, 2, 2, 2, 2, 5, 7, 7, 7] {
            log.append(batch_at(NOW, 1, 500), epoch, NOW).unwrap();
        }
        let expected = log.epochs.clone();
        assert_eq!(expected.entries().len(), 4);
        let at = if clean_stop {
            node.stop(log);
            clean()
        } else {
            flush(&mut log);
            node.kill(log);
            unclean(12)
        };
        change(&node);
        let (log, _) = node.open_at(at).unwrap();
        assert_eq!(log.epochs, expected);
        assert_eq!(log.epoch_end_offset(4), (2, 8));
    }
}

#[test]
fn r98_an_empty_log_knows_its_epoch_and_a_stopped_one_remembers_it() {
    let mut node = Node::new();
    let mut log = node.open();
    log.begin_epoch(0);
    assert_eq!(log.epoch_end_offset(0), (0, 0));
    log.append(batch(), 0, NOW).unwrap();
    log.begin_epoch(3);
    node.stop(log);
    let log = node.open();
    assert_eq!(log.latest_epoch(), Some(3));
    assert_eq!(log.epoch_end_offset(1), (0, 1));
}

#[test]
fn r70_the_window_of_five_survives_a_stop_a_kill_and_a_lost_snapshot() {
    for how in ["stop", "kill", "kill after a flush", "snapshot damaged"] {
        let mut node = Node::new();
        let mut log = node.open();
        for sequence in 0..8 {
            log.append(from_producer(7, 1, sequence), 0, NOW).unwrap();
            if sequence == 5 && how != "kill" {
                flush(&mut log);
            }
        }
        let at = match how {
            "stop" => {
                node.stop(log);
                clean()
            }
            "kill" => {
                node.kill(log);
                unclean(0)
            }
            _ => {
                node.kill(log);
                unclean(6)
            }
        };
        if how == "snapshot damaged" {
            node.damage("00000000000000000006.snapshot", |bytes| bytes[20] ^= 1);
        }
        let (mut log, _) = node.open_at(at).unwrap();
        for sequence in 3..8 {
            let again = log.append(from_producer(7, 1, sequence), 0, NOW).unwrap();
            assert!(again.duplicate, "{how} {sequence}");
            assert_eq!(again.base_offset, i64::from(sequence));
        }
        let next = log.append(from_producer(7, 1, 8), 0, NOW).unwrap();
        assert_eq!((next.duplicate, next.base_offset), (false, 8));
    }
}

#[test]
fn old_producer_snapshots_do_not_pile_up() {
    let mut node = Node::new();
    let mut log = node.open();
    for sequence in 0..5 {
        log.append(from_producer(7, 1, sequence), 0, NOW).unwrap();
        flush(&mut log);
    }
    let snapshots = |node: &Node| node.names().matches(".snapshot").count();
    assert_eq!(snapshots(&node), 1);
    log.expire_producers(NOW + 1_000_000, 1_000);
    log.append(batch(), 0, NOW).unwrap();
    flush(&mut log);
    assert_eq!(
        snapshots(&node),
        0,
        "none means that there are no producers"
    );
    node.kill(log);
    let (log, _) = node.open_at(unclean(6)).unwrap();
    assert!(log.producers.is_empty());
}

#[test]
fn a_directory_of_another_topic_of_the_same_name_is_not_opened() {
    let mut node = Node::new();
    let log = ten_batches(&node, 0);
    node.stop(log);
    node.topic_id = crate::types::TopicId::random();
    assert!(matches!(
        node.open_at(clean()),
        Err(Error::WrongTopicId { .. })
    ));
}

#[test]
fn a_recovered_log_asks_for_its_next_checkpoint_again() {
    let mut node = Node::new();
    let log = ten_batches(&node, 0);
    node.kill(log);
    let mut log = node.open_at(unclean(0)).unwrap().0;
    let need = log.append(batch(), 0, NOW).unwrap().flush;
    let expected = FlushNeed {
        before_ack: false,
        checkpoint_within_ms: Some(60_000),
    };
    assert_eq!(need, expected);
}
