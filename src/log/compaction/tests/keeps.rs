//! What of a log stays, and how it is found.

use expect_test::expect;

use super::*;

#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    let node = Node::new();
    let mut log = log_of(
        &node,
        "a=1 b=1 c=1; a=2
         b=2; d=1 a=3
         c=2",
    );
    assert_eq!(compact(&mut log, NOW), Some(7));
    // The active segment is never compacted, so c has two records.
    check(
        &log,
        expect![[r#"
            0-2 c@2=1
            4-4 b@4=2
            5-6 d@5=1 a@6=3
            7-7 c@7=2
        "#]],
    );
    assert_eq!(compact_with(&mut log, rules(), Some(7), LIMITS, NOW), None);
}

/// Or a power loss would take the new value, and compaction has taken the old one.
#[test]
fn a_record_is_not_replaced_by_one_that_is_not_synced_yet() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 b=1");
    log.roll(NOW).unwrap();
    log.append(keyed("a=2"), 0, NOW).unwrap();
    log.roll(NOW).unwrap();
    log.append(keyed("x=1"), 0, NOW).unwrap();
    assert!(log.has_unsynced_segments());
    compact(&mut log, NOW);
    let before = "0-1 a@0=1 b@1=1\n2-2 a@2=2\n3-3 x@3=1\n";
    assert_eq!(story(&log), before);
    sync(&mut log);
    assert!(!log.has_unsynced_segments());
    compact(&mut log, NOW);
    let after = "0-1 b@1=1\n2-2 a@2=2\n3-3 x@3=1\n";
    assert_eq!(story(&log), after);
}

#[test]
fn a_segment_of_which_nothing_stays_keeps_its_end() {
    let node = Node::new();
    let mut log = log_of(
        &node,
        "a=1; a=2
         a=3 b=1
         x=1",
    );
    let small = CompactionConfig {
        segment_bytes: 1,
        ..rules()
    };
    compact_with(&mut log, small, None, LIMITS, NOW);
    check(
        &log,
        expect![[r#"
            1-1
            2-3 a@2=3 b@3=1
            4-4 x@4=1
        "#]],
    );
    assert_eq!(log.log_start_offset(), 0);
    let read = log.read(0, 5, 1 << 20, true).unwrap();
    assert_eq!(offsets_of(&read), "1-1");
    // What is merged needs it no longer.
    write_to(&mut log, "y=1\n z=1");
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
            2-3 a@2=3 b@3=1
            4-4 x@4=1
            5-5 y@5=1
            6-6 z@6=1
        "#]],
    );
    assert!(node.names().starts_with("00000000000000000000.index 0"));
}

#[test]
fn a_record_without_a_key_goes() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 =x b=1\n c=1");
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
        0-2 a@0=1 b@2=1
        3-3 c@3=1
    "#]],
    );
}

#[test]
fn a_tombstone_takes_what_came_before_it_and_goes_when_its_time_is_up() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 b=1\n a b=2; c\n x=1");
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
            2-3 until +86400000 a@2=null b@3=2
            4-4 until +86400000 c@4=null
            5-5 x@5=1
        "#]],
    );
    write_to(&mut log, "\n y=1\n z=1");
    compact(&mut log, NOW + DAY - 1);
    let kept = story(&log);
    assert!(
        kept.contains("a@2=null") && kept.contains("c@4=null"),
        "{kept}"
    );
    write_to(&mut log, "\n x=2\n z=2");
    compact(&mut log, NOW + DAY);
    check(
        &log,
        expect![[r#"
        2-3 until +86400000 b@3=2
        6-6 y@6=1
        7-7 z@7=1
        8-8 x@8=2
        9-9 z@9=2
    "#]],
    );
}

#[test]
fn every_codec_is_written_anew_as_it_was() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let node = Node::new();
        let mut log = node.open();
        let batches = [
            Some(compressed("a=1 b=1 c", codec)),
            Some(compressed("d=1 e=1", codec)),
            None,
            Some(compressed("b=2", codec)),
            None,
        ];
        fill(&mut log, batches);
        compact(&mut log, NOW);
        let told = story(&log);
        assert_eq!(
            told,
            "0-2 until +86400000 a@0=1 c@2=null\n3-4 d@3=1 e@4=1\n5-5 b@5=2\n"
        );
        let contents = log.contents();
        let mut rest = &contents[..];
        while let Some(header) = BatchHeader::read(rest) {
            assert_eq!(header.codec(), Some(codec));
            rest = &rest[header.total_size()..];
        }
    }
}

#[test]
fn a_full_map_ends_the_round_and_the_next_one_goes_on() {
    let node = Node::new();
    let mut log = node.open();
    let text = |round: usize| -> String { (0..400).map(|i| format!("k{i}={round} ")).collect() };
    for round in 0..4 {
        fill(&mut log, [Some(keyed(&text(round))), None]);
    }
    // 2 slots in each of 256 tables, one of them filled: some key finds no room before the 400th.
    let tiny = Limits {
        map_bytes: 0,
        load_factor: 0.5,
        ..LIMITS
    };
    let mut ends = vec![0];
    while let Some(end) = compact_with(&mut log, rules(), ends.last().copied(), tiny, NOW) {
        assert!(end > *ends.last().unwrap(), "{ends:?}");
        ends.push(end);
    }
    assert_eq!(ends.last(), Some(&1600));
    assert!(ends.len() > 8, "{ends:?}");
    // Each key has its last record, and those that no single round could tell to be old.
    let told = story(&log);
    for key in 0..400 {
        assert!(told.contains(&format!(" k{key}@{}=3", 1200 + key)), "{key}");
    }
}

#[test]
fn small_segments_become_one() {
    let node = Node::new();
    let mut log = node.open();
    for i in 0..10 {
        fill(&mut log, [Some(keyed(&format!("k{i}=v"))), None]);
    }
    let size = keyed("k0=v").size() as u64;
    let thirds = CompactionConfig {
        segment_bytes: 3 * size,
        ..rules()
    };
    let all = story(&log);
    compact_with(&mut log, thirds, None, LIMITS, NOW);
    assert_eq!(story(&log), all);
    let logs = |node: &Node| {
        let names = node.files().into_iter().map(|(name, _)| name);
        let bases = names.filter_map(|name| name.strip_suffix(".log")?.parse::<i64>().ok());
        bases.collect::<Vec<_>>()
    };
    assert_eq!(logs(&node), [0, 3, 6, 9, 10]);
}

#[test]
fn aborted_data_goes_and_its_marker_when_nothing_is_left_that_it_is_for() {
    let node = Node::new();
    let mut log = node.open();
    fill(
        &mut log,
        [
            Some(keyed("a=old b=old")),
            Some(transactional(1, 0, "a=aborted")),
            Some(transactional(2, 0, "b=committed")),
            None,
            Some(marker(1, 0)),
            Some(marker(2, 1)),
            Some(transactional(1, 1, "c=again")),
            Some(marker(1, 1)),
            None,
            Some(keyed("x=1")),
        ],
    );
    // Producer 1 is remembered by the header of its batches, aborted or not.
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
            0-1 a@0=old
            2-2
            3-3 b@3=committed
            4-4 marker @4
            5-5 marker @5
            6-6 c@6=again
            7-7 marker @7
            8-8 x@8=1
        "#]],
    );
    log.expire_producers(NOW + 1, 0);
    fill(&mut log, [None, Some(keyed("y=1")), None]);
    compact(&mut log, NOW + 2 * DAY);
    check(
        &log,
        expect![[r#"
        0-1 a@0=old
        3-3 b@3=committed
        4-4 marker @4
        5-5 marker @5
        6-6 c@6=again
        7-7 marker @7
        8-8 x@8=1
        9-9 y@9=1
    "#]],
    );
    fill(&mut log, [Some(keyed("z=1")), None]);
    compact(&mut log, NOW + 4 * DAY);
    check(
        &log,
        expect![[r#"
        0-1 a@0=old
        3-3 b@3=committed
        4-4 until +432000000 marker @4
        5-5 marker @5
        6-6 c@6=again
        7-7 marker @7
        8-8 x@8=1
        9-9 y@9=1
        10-10 z@10=1
    "#]],
    );
}

#[test]
fn a_transaction_that_ends_behind_what_is_compacted_is_known_to_be_aborted() {
    let node = Node::new();
    let mut log = node.open();
    fill(
        &mut log,
        [
            Some(keyed("a=old")),
            Some(transactional(1, 0, "a=aborted")),
            None,
            Some(marker(1, 0)),
        ],
    );
    assert_eq!(compact(&mut log, NOW), Some(2));
    check(
        &log,
        expect![[r#"
            0-0 a@0=old
            1-1
            2-2 marker @2
        "#]],
    );
}

#[test]
fn nothing_is_compacted_that_may_still_be_aborted() {
    let node = Node::new();
    let mut log = node.open();
    fill(
        &mut log,
        [
            Some(keyed("a=1")),
            None,
            Some(keyed("a=2")),
            Some(transactional(1, 0, "a=3")),
            None,
        ],
    );
    assert_eq!(compact(&mut log, NOW), Some(1));
    assert!(story(&log).contains("a@0=1"));
}

#[test]
fn r70_a_retry_after_a_restart_from_a_compacted_log_gets_its_first_answer() {
    let mut node = Node::new();
    let mut log = node.open();
    let one = |sequence: i32| {
        let options = BatchOptions {
            producer_id: 9,
            producer_epoch: 0,
            base_sequence: sequence,
            ..BatchOptions::default()
        };
        records("k=v", options)
    };
    fill(&mut log, (0..8).map(|sequence| Some(one(sequence))));
    fill(&mut log, [None, Some(keyed("x=1"))]);
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
            3-3
            4-4
            5-5
            6-6
            7-7 k@7=v
            8-8 x@8=1
        "#]],
    );
    node.kill(log);
    for name in node
        .names()
        .split(' ')
        .filter(|name| name.ends_with(".snapshot"))
    {
        std::fs::remove_file(node.path(name)).unwrap();
    }
    let (mut log, _) = node.open_at(unclean(9)).unwrap();
    for sequence in 3..8 {
        let again = log.append(one(sequence), 0, NOW).unwrap();
        assert!(again.duplicate, "{sequence}");
        assert_eq!(again.base_offset, i64::from(sequence));
    }
    assert!(!log.append(one(8), 0, NOW).unwrap().duplicate);
}

#[test]
fn look_ups_pass_over_what_is_gone() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 b=1 c=1; a=2 b=2\n c=2 d=1\n x=1");
    compact(&mut log, NOW);
    check(
        &log,
        expect![[r#"
        3-4 a@3=2 b@4=2
        5-6 c@5=2 d@6=1
        7-7 x@7=1
    "#]],
    );
    let at = |log: &Log, timestamp| {
        let found = log
            .offset_for_timestamp(timestamp, 100)
            .unwrap()
            .run()
            .unwrap();
        found.map(|found| (found.offset, found.timestamp - NOW))
    };
    assert_eq!(at(&log, NOW), Some((3, 0)));
    assert_eq!(at(&log, NOW + 1), Some((4, 1)));
    assert_eq!(at(&log, NOW + 2), None);
    let largest = log
        .offset_of_max_timestamp(100)
        .unwrap()
        .run()
        .unwrap()
        .unwrap();
    assert_eq!((largest.offset, largest.timestamp), (4, NOW + 1));
    for from in 0..8 {
        let read = log.read(from, 100, 1, true).unwrap();
        assert!(read.next_offset > from, "{from}: {read:?}");
    }
    assert_eq!(log.epoch_of(0), Some(0));
    assert_eq!(log.epoch_end_offset(0), (0, 8));
}

#[test]
fn the_largest_timestamp_is_that_of_a_record_that_is_there() {
    let node = Node::new();
    let mut log = node.open();
    // The batch with the largest timestamp is left as a header.
    fill(
        &mut log,
        [
            Some(keyed("p=1 q=1 a=1")),
            None,
            Some(keyed("p=2 q=2")),
            Some(keyed("a=2")),
            None,
        ],
    );
    let small = CompactionConfig {
        segment_bytes: 1,
        ..rules()
    };
    compact_with(&mut log, small, None, LIMITS, NOW);
    check(
        &log,
        expect![[r#"
        0-2
        3-4 p@3=2 q@4=2
        5-5 a@5=2
    "#]],
    );
    let largest = log.offset_of_max_timestamp(100).unwrap().run().unwrap();
    assert_eq!(largest.map(|l| (l.offset, l.timestamp)), Some((4, NOW + 1)));
}
